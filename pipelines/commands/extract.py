"""`tokenmill extract`: texts of archives, pages and documents, without a corpus.

The output folder is a workspace with the files that a run of a corpus would write: documents,
rejects and pages as Parquet, and the ledger that balances them. A further call goes on where a
killed one was, and adds what is new.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.config import ExtractConfig
    from pipelines.extract.job import ExtractJob
    from pipelines.models.settings import ModelConfig
    from pipelines.stages import Stages
    from pipelines.workspace.ledger import Entry

_PAGES: Final = ("text", "ocr", "blank", "rejected")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("extract")(extract)


def extract(
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="PATH",
            help="File, folder or glob: WARC, WET, ARC, HTML, text, PDF, pictures, EPUB, DOCX, "
            "ODT, PPTX, XPS, JSONL, Parquet, lists of Common Crawl (warc.paths.gz); or NAME=PATH; "
            "may be given more than once.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder for the documents.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Where the paths of a list lie: a folder, or a URL such as s3://commoncrawl/; "
            "default: https://data.commoncrawl.org/.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A key of `extract` in corpus.yaml, such as html_engine=fast or pdf.ocr=none; "
            "may be given more than once.",
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the mapping `models`, as in corpus.yaml: for pdf.ocr=vl, which "
            "reads pages with the model that pdf.ocr_model names.",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
) -> None:
    """Extracts texts: every record is a document, a reject with its reason, or counted.

    Give the same command again after a crash, and it goes on.
    """
    if not inputs or output is None:
        raise ValueError(
            f"{'--output' if inputs else '--input'}: missing; allowed are --input PATH --output "
            "DIR: add it"
        )
    from pipelines.commands.options import parse_options
    from pipelines.commands.screen import open_console
    from pipelines.config import ExtractConfig, read_section
    from pipelines.standalone_extract import extract_files, open_output

    settings = read_section(("extract",), parse_options(option or []))
    assert isinstance(settings, ExtractConfig)
    model = _reader(settings, models)
    with open_output(output, processes) as stages:
        jobs = extract_files(stages, inputs, settings, base, model)
    _show(open_console(), stages, jobs)


def _reader(settings: "ExtractConfig", models: str | None) -> "ModelConfig | None":
    """The model that reads pages, where one is asked for."""
    from pathlib import Path

    from pipelines.models.reading import model_named, read_models

    known = read_models(Path(models)) if models is not None else {}
    if settings.pdf.ocr != "vl":
        return None
    if models is None:
        raise ValueError(
            "--models: missing; with --option pdf.ocr=vl it names the YAML file with the mapping "
            "`models`: add it"
        )
    return model_named(known, settings.pdf.ocr_model or "", "extract.pdf.ocr_model")


def _show(console: "Console", stages: "Stages", jobs: Mapping[str, "ExtractJob"]) -> None:
    """What became of the records of each source, of their pages, and why some were rejected."""
    from pipelines.commands.screen import Sheet, show

    ledger = stages.workspace.ledger
    entries = {name: ledger.entries(job.generation, name) for name, job in jobs.items()}
    sheet = Sheet(("source", "records", "documents", "rejects", "not asked", "text MB"))
    for name, made in entries.items():
        counts = _sums(entry.counts for entry in made)
        size = sum(entry.detail["text_bytes"] for entry in made) / 1e6
        named = ("records", "documents", "rejects", "not_asked")
        sheet.add_row(name, *(f"{counts[key]:,}" for key in named), f"{size:,.2f}")
    show(console, "Records = documents + rejects + not asked for", sheet)

    def everything() -> Iterator["Entry"]:
        return (entry for made in entries.values() for entry in made)

    _show_pages(console, everything())
    _show_model(console, everything())
    for title, key in (
        ("Rejected, in rejects/", "rejects"),
        ("Pages rejected", "page_rejects"),
        ("Not asked for", "not_asked"),
    ):
        _show_reasons(console, title, _sums(entry.detail[key] for entry in everything()))
    url = stages.workspace.url.rstrip("/")
    console.print(f"\nDocuments, as Parquet with the column `text`, in {url}:", soft_wrap=True)
    for name, job in jobs.items():
        console.print(f"  documents/{name}@{job.generation.fp}/*.parquet", soft_wrap=True)
    console.print(f"Check them: tokenmill audit {url}", soft_wrap=True)


def _show_pages(console: "Console", entries: Iterable["Entry"]) -> None:
    pages = _sums(entry.counts for entry in entries)
    if not pages["pages"]:
        return
    told = ", ".join(f"{name} {pages[f'pages_{name}']:,}" for name in _PAGES)
    console.print(f"\nPages of documents: {pages['pages']:,} = {told}", soft_wrap=True)


def _show_model(console: "Console", entries: Iterable["Entry"]) -> None:
    """What a model made of the pages that it was shown, and what it wrote for it."""
    asked = [entry.with_detail("vl", "usage") for entry in entries if "vl" in entry.detail]
    verdicts = _sums(entry.detail["vl"]["verdicts"] for entry in asked)
    if not verdicts:
        return
    told = ", ".join(f"{verdict} {count:,}" for verdict, count in verdicts.most_common())
    console.print(f"Pages read by the model: {told}", soft_wrap=True)
    read, usage = (_sums(entry.detail[key] for entry in asked) for key in ("vl", "usage"))
    console.print(
        f"It was asked {read['tries']:,} times ({usage['from_journal']:,} answered earlier) and "
        f"wrote {usage['completion_tokens']:,} tokens; {read['accepted_tokens']:,} are of texts "
        "that were kept",
        soft_wrap=True,
    )


def _show_reasons(console: "Console", title: str, reasons: "Counter[str]") -> None:
    if reasons:
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        console.print(f"{title}: {told}", soft_wrap=True)


def _sums(counts: Any) -> "Counter[str]":  # noqa: ANN401 - any iterable of mappings
    total: Counter[str] = Counter()
    for one in counts:
        total.update({key: value for key, value in one.items() if isinstance(value, int)})
    return total
