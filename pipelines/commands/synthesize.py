"""`tokenmill synthesize`: what models make of the texts of plain files, without a corpus.

The output folder is a workspace with the files that a run of a corpus would write. Answers of the
model are kept in its journal: after a crash, or with another rule of acceptance, the same command
goes on and pays for nothing twice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.models.settings import ModelConfig
    from pipelines.standalone_synthesize import Cooked


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("synthesize")(synthesize)


def synthesize(
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="PATH",
            help="Seeds: file, folder or glob of Parquet or JSONL (also .gz, .zst), or NAME=PATH; "
            "may be given more than once.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder for the documents.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|YAML", help="A shipped recipe, or one of your own.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="File with the mapping `models`, as in corpus.yaml."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Key of --models; or, with --url, name at the endpoint."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="In place of --models: an endpoint of the OpenAI protocol such as "
            "http://host:8000/v1, or `echo:` for a server of rules, a dry run without a model.",
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --url: environment variable that holds the key."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Condition on the labels of seeds; default: that of the recipe; '' takes all.",
        ),
    ] = None,
    share: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Part of the seeds, such as 1%.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A key of the recipe, such as samples=2 or sampling.temperature=0.3; may be given "
            "more than once.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of what comes out; default: the recipe's.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column or field of the text.")] = "text",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the shipped recipes, and do nothing else.")
    ] = False,
) -> None:
    """Lets a model rewrite, refine or write anew; every unit is a document or a stated reject.

    Give the same command again after a crash, and it goes on.
    """
    from pipelines.commands.screen import open_console

    if list_:
        _list(open_console())
        return
    if not inputs or output is None or recipe is None:
        lacking = "--input" if not inputs else "--output" if output is None else "--recipe"
        raise ValueError(
            f"{lacking}: missing; allowed are --input FILES --output DIR --recipe NAME with "
            "--models FILE or --url URL, or --list: add it"
        )
    from pipelines.commands.options import parse_options
    from pipelines.config import read_section
    from pipelines.standalone import open_stages
    from pipelines.standalone_synthesize import cook
    from pipelines.synthesize.settings import SynthesizeConfig

    written = {"recipe": recipe, "name": name, "share": share, "where": where}
    settings = read_section(
        ("synthesize",),
        {key: value for key, value in written.items() if value is not None}
        | {"options": parse_options(option or [])},
    )
    assert isinstance(settings, SynthesizeConfig)
    asked = _model(models, model, url, api_key_env)
    with open_stages(output, processes) as stages:
        cooked = cook(stages, inputs, settings, asked, text_column=text_column)
    _show(open_console(), cooked)


def _model(
    models: Path | None, name: str | None, url: str | None, api_key_env: str | None
) -> "ModelConfig | None":
    """The model that was named; None where none was.

    Raises:
        ConfigError: It is named in two ways, or not there.
    """
    from mixtures.errors import listed
    from pipelines.config import ConfigError, read_section
    from pipelines.models.reading import read_models
    from pipelines.models.settings import ECHO_URL, ModelConfig

    if models is not None and url is not None:
        raise ConfigError(
            "--models and --url: found both; allowed is one of the two; leave one out"
        )
    if url is not None:
        if name is None and url != ECHO_URL:
            raise ConfigError(
                "--model: missing; with --url name the model as the endpoint calls it"
            )
        written = {"engine": "endpoint", "url": url, "model": name or "echo"}
        written |= {"api_key_env": api_key_env} if api_key_env else {}
        one = read_section(("models",), written)
        assert isinstance(one, ModelConfig)
        return one
    if models is None:
        return None
    found = read_models(models)
    key = name or (next(iter(found)) if len(found) == 1 else None)
    if key not in found:
        raise ConfigError(
            f"--model: found {key!r}; allowed are the models of {models}: {listed(found)}; name one"
        )
    return found[key]


def _list(console: "Console") -> None:
    """The shipped recipes, a line each."""
    from pipelines.synthesize.recipes import described, load_recipe, shipped_recipes

    names = shipped_recipes()
    width = max(map(len, names))
    for name in names:
        recipe = load_recipe(name, {})
        asks = recipe.kind if recipe.needs_model else f"{recipe.kind}, no model"
        console.print(f"{name:<{width}}  {described(name)} ({asks})", soft_wrap=True)
    console.print(
        "\nA recipe is a YAML file: copy one from pipelines/synthesize/recipes/, change it, and "
        "give its path.",
        soft_wrap=True,
    )


def _show(console: "Console", cooked: "Cooked") -> None:
    """What became of the seeds, what it cost, and where the documents are."""
    from pipelines.commands.screen import Sheet, show
    from pipelines.models.costs import cost_of, money

    ledger = cooked.texts.workspace.ledger
    sheet = Sheet(("source", "rows", "seeds", "units", "accepted", "rejected", "documents"))
    for name, made in cooked.sources.made.items():
        entries = ledger.entries(made.job.generation, name)
        named = ("rows", "chosen", "units", "accepted", "rejected", "documents")
        sums = dict.fromkeys(named, 0)
        for entry in entries:
            for key in named:
                sums[key] += entry.counts[key]
        sheet.add_row(name, *(f"{sums[key]:,}" for key in named))
    show(console, "Units = accepted + rejected", sheet)
    for name, made in cooked.sources.made.items():
        entries = ledger.entries(made.job.generation, name)
        for title, key in (("Not chosen", "not_chosen"), ("Rejected", "rejects")):
            reasons: dict[str, int] = {}
            for entry in entries:
                for reason, count in entry.detail[key].items():
                    reasons[reason] = reasons.get(reason, 0) + count
            if reasons:
                told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
                console.print(f"{title} of {name}: {told}", soft_wrap=True)
        cost = cost_of(name, entries)
        if cost is not None:
            told = (
                f"{cost.model}: {cost.requests:,} requests ({cost.from_journal:,} answered by the "
                f"journal), {cost.prompt_tokens:,} prompt and {cost.completion_tokens:,} "
                f"completion tokens, of which {cost.accepted_tokens:,} accepted"
            )
            if cost.has_price:
                told += f"; {money(cost.money, cost.price.currency)}"
                if cost.per_accepted is not None:
                    each = money(cost.per_accepted, cost.price.currency)
                    told += f", {each} a million accepted tokens"
            console.print(told, soft_wrap=True)
    url = cooked.texts.workspace.url.rstrip("/")
    console.print(f"\nDocuments, as Parquet with the column `text`, in {url}:", soft_wrap=True)
    for name, made in cooked.sources.made.items():
        console.print(f"  documents/{name}@{made.job.generation.fp}/*.parquet", soft_wrap=True)
    console.print(f"Check them: tokenmill audit {url}", soft_wrap=True)
