"""`tokenmill estimate`: what the models of a corpus will take, from a sample of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.estimate import Estimate


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("estimate")(estimate)


def estimate(
    corpus: Annotated[Path, typer.Argument(help="corpus.yaml")],
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
    """Prices what models are to make, by making a sample of it.

    Reads, labels and asks as `tokenmill run` would: what it makes up to the models the run takes
    over, and answers that it paid for are found in the journal. At least 20 seeds and 8 files are
    sampled.
    """
    from pipelines.commands.run import connections
    from pipelines.commands.screen import open_console
    from pipelines.config import load_corpus
    from pipelines.driver import RunOptions
    from pipelines.estimate import estimate as sampled
    from pipelines.progress import Progress
    from pipelines.workspace.children import Limits, default_processes

    sys.path.append(str(corpus.resolve().parent))  # for annotators that stand beside corpus.yaml
    config = load_corpus(corpus)
    options = RunOptions(
        workspace=workspace or f"work/{config.name}",
        limits=Limits(processes=processes or default_processes()),
        connect=connections(connect or []),
    )
    found = sampled(config, options, Progress(), _share(sample))
    _show(open_console(), found)


def _share(written: str) -> float:
    """A share above 0.

    Raises:
        ValueError: It is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from pipelines.quantities import Share

    try:
        share = TypeAdapter(Share).validate_python(written)
    except ValidationError:
        share = 0.0
    if not share:
        raise ValueError(
            f"--sample: found {written!r}; allowed: a share above 0 such as 0.1% or 0.05; change it"
        )
    return float(share)


def _show(console: "object", found: "Sequence[Estimate]") -> None:
    """A line for each use of a model, and the sum."""
    from rich.console import Console

    from pipelines.commands.screen import Sheet, show
    from pipelines.models.costs import money

    assert isinstance(console, Console)
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
