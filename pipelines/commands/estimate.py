"""`tokenmill estimate`: what a corpus takes, and what the models of it do."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pipelines.config import CorpusConfig
    from pipelines.estimate import Estimate
    from pipelines.scale.bill import Bill
    from pipelines.scale.facts import CorpusFacts

_NO_CORPUS: Final = "found neither a corpus.yaml nor --text; give one of them"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("estimate")(estimate)


def estimate(
    corpus: Annotated[
        Path | None, typer.Argument(help="corpus.yaml; or none, and --text for one on paper.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Text of a corpus on paper, such as 100TB.")
    ] = None,
    documents: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="Its documents, such as 25B; default: 4,000 bytes each."
        ),
    ] = None,
    html: Annotated[
        str, typer.Option(metavar="SHARE", help="Part of its documents that comes from HTML.")
    ] = "0%",
    epochs: Annotated[
        float, typer.Option(min=0.0, help="Tokens that all mixtures write, over those there are.")
    ] = 1.0,
    part_bytes: Annotated[
        str, typer.Option(metavar="BYTES", help="Text of a part, as part_bytes in corpus.yaml.")
    ] = "256MB",
    cores: Annotated[
        int | None, typer.Option(min=1, help="Cores of the run; default: those of this machine.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            help="YAML with prices: see pipelines/scale/prices.yaml; without it no money."
        ),
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option(help="Of the run that is to come; default: work/<corpus name>."),
    ] = None,
    sample: Annotated[
        str, typer.Option(metavar="SHARE", help="Of seeds and files, such as 0.1% or 5%.")
    ] = "0.1%",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes a worker; default: its cores.")
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(help="HOST=ADDRESS:PORT: reach a host of a crawl there."),
    ] = None,
) -> None:
    """Says what a corpus takes: core-hours, hours, shuffle, storage, and money at stated prices.

    Sizes are those of the files that the sources have now, costs those that were measured
    (pipelines/scale/unit_costs.yaml). Where models make text or read pages, they are asked for a
    sample as `tokenmill run` would; what that makes and pays for, the run takes over.
    """
    from pipelines.commands.screen import open_console
    from pipelines.scale.bill import Machine, make_bill
    from pipelines.scale.facts import facts_of
    from pipelines.scale.prices import load_prices
    from pipelines.scale.units import load_units
    from pipelines.workspace.children import default_processes

    if (corpus is None) == (text is None):
        raise ValueError(_NO_CORPUS if corpus is None else "give a corpus.yaml or --text, not both")
    stated = load_prices(prices) if prices is not None else None
    config = _load(corpus) if corpus is not None else None
    if config is not None:
        facts = facts_of(config, epochs=epochs)
    else:
        facts = _on_paper(text or "", documents, html, epochs, part_bytes)
    machine = Machine(cores=cores or default_processes())
    console = open_console()
    _show_bill(console, make_bill(facts, load_units(), machine, stated))
    if config is not None and config.models:
        found = _sampled(config, workspace, _share(sample, "--sample"), processes, connect or [])
        _show(console, found)


def _load(corpus: Path) -> "CorpusConfig":
    from pipelines.config import load_corpus

    sys.path.append(str(corpus.resolve().parent))  # for annotators that stand beside corpus.yaml
    return load_corpus(corpus)


def _on_paper(
    text: str, documents: str | None, html: str, epochs: float, part_bytes: str
) -> "CorpusFacts":
    """The facts as options tell them; `100TB` are 10^14 bytes, as the tables count.

    Raises:
        ValueError: One of them is no quantity.
    """
    from pipelines.scale.facts import MEAN_DOCUMENT_BYTES, CorpusFacts

    num_bytes = _quantity("--text", text)
    number = _quantity("--documents", documents) if documents else num_bytes / MEAN_DOCUMENT_BYTES
    return CorpusFacts(
        text_bytes=num_bytes,
        documents=number,
        html_pages=number * _share(html, "--html"),
        epochs=epochs,
        part_bytes=_part_bytes(part_bytes),
        is_on_paper=True,
    )


def _part_bytes(written: str) -> float:
    """Bytes in powers of 1,024, as `part_bytes` of corpus.yaml has them.

    Raises:
        ValueError: It is no size.
    """
    from pydantic import TypeAdapter, ValidationError

    from pipelines.quantities import Bytes

    try:
        return float(TypeAdapter(Bytes).validate_python(written))
    except ValidationError:
        raise ValueError(
            f"--part-bytes: found {written!r}; allowed: a size above 0 such as 256MB or 1GB, in "
            "powers of 1,024 as in corpus.yaml; change it"
        ) from None


def _quantity(option: str, written: str) -> float:
    """Bytes or a count in powers of 1,000.

    Raises:
        ValueError: It is none.
    """
    import re

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGBTP]?)B?", written.strip())
    if found is None or not float(found[1]):
        raise ValueError(
            f"{option}: found {written!r}; allowed: a number above 0 such as 25B, 100TB, 36e12 "
            "written as 36T; change it"
        )
    powers = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "B": 3, "T": 4, "P": 5}
    return float(float(found[1]) * 1000 ** powers[found[2]])


def _share(written: str, option: str) -> float:
    """A share; that of a sample is above 0.

    Raises:
        ValueError: It is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from pipelines.quantities import Share

    try:
        share = float(TypeAdapter(Share).validate_python(written))
    except ValidationError:
        share = -1.0
    if share < 0 or (not share and option == "--sample"):
        least = "above 0 " if option == "--sample" else ""
        raise ValueError(
            f"{option}: found {written!r}; allowed: a share {least}such as 0.1% or 0.05; change it"
        )
    return share


def _sampled(
    config: "CorpusConfig",
    workspace: str | None,
    share: float,
    processes: int | None,
    connect: "Sequence[str]",
) -> "list[Estimate]":
    """What the models take, from a sample."""
    from pipelines.commands.run import connections
    from pipelines.driver import RunOptions
    from pipelines.estimate import estimate as sampled
    from pipelines.progress import Progress
    from pipelines.workspace.children import Limits, default_processes

    options = RunOptions(
        workspace=workspace or f"work/{config.name}",
        limits=Limits(processes=processes or default_processes()),
        connect=connections(list(connect)),
    )
    return sampled(config, options, Progress(), share)


def _show_bill(console: "Console", bill: "Bill") -> None:
    """Stages, what grows, and the sums."""
    from pipelines.commands.screen import Sheet, show
    from pipelines.scale.tables import (
        LIMIT_COLUMNS,
        STAGE_COLUMNS,
        limit_rows,
        lines_of,
        stage_rows,
    )
    from pipelines.scale.units import load_units

    stages = Sheet(STAGE_COLUMNS)
    for row in stage_rows(bill):
        stages.add_row(*row)
    show(console, "What the corpus takes", stages)
    for line in lines_of(bill):
        console.print(line, soft_wrap=True)
    passed = [limit for limit in bill.limits if limit.is_passed]
    if passed:
        limits = Sheet(LIMIT_COLUMNS)
        for row in limit_rows(passed):
            limits.add_row(*row)
        show(console, "What does not fit", limits)
    units = load_units()
    console.print(
        f"Costs as measured on {units.date} on {units.machine}; `from` and `to` are their spread, "
        "other texts and cores are not in it.",
        soft_wrap=True,
    )


def _show(console: "Console", found: "Sequence[Estimate]") -> None:
    """A line for each use of a model, and the sum."""
    from pipelines.commands.screen import Sheet, show
    from pipelines.models.costs import money

    names = ("what", "model", "sampled", "of", "prompt tok.", "compl. tok.", "accepted tok.")
    sheet = Sheet((*names, "hours", "money"))
    sums: dict[str, float] = {}
    for one in found:
        cost, times = one.cost, one.factor
        sums[cost.price.currency] = sums.get(cost.price.currency, 0.0) + cost.money * times
        counts = (cost.prompt_tokens, cost.completion_tokens, cost.accepted_tokens)
        sheet.add_row(
            one.what,
            cost.model,
            f"{one.sampled:,}",
            f"{one.total:,.0f}",
            *(f"{count * times:,.0f}" for count in counts),
            f"{cost.seconds * times / 3600:,.2f}",
            money(cost.money * times, cost.price.currency) if cost.has_price else "no price",
        )
    show(console, "What models will take, scaled from the sample", sheet)
    for currency, amount in sums.items():
        if amount:
            console.print(f"In all: {money(amount, currency)}", soft_wrap=True)
    console.print(
        "Hours are those of the model at the rate of the sample; more requests in flight make a "
        "larger run faster a token.",
        soft_wrap=True,
    )
    if any(not one.cost.has_price for one in found):
        console.print(
            "No price is stated for some: add `price: {prompt: ..., completion: ..., gpu_hour: "
            "...}` to the model.",
            soft_wrap=True,
        )
