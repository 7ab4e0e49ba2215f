"""`tokenmill annotate`: labels of plain files, by any annotators, without a corpus.

The labels stand beside the documents, row by row, in the files that a run of a corpus would write;
`--join` also writes one Parquet file with texts and labels together. What is labelled stays: a
further call makes what is new, be it an input, an annotator or an option of one.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.annotate.registry import AnnotatorSpec
    from pipelines.standalone import Texts


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("annotate")(annotate)


def annotate(
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="PATH",
            help="File, folder or glob of Parquet or JSONL (also .gz, .zst), or NAME=PATH; may be "
            "given more than once.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder for the labels.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Further inputs.")
    ] = None,
    annotators: Annotated[
        str, typer.Option(help="Names, module:Class or module:function; by commas.")
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="Annotators with options, as `annotators` in corpus.yaml."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.KEY=VALUE",
            help="An option of an annotator, its value in YAML; may be given more than once.",
        ),
    ] = None,
    paragraphs: Annotated[
        bool, typer.Option("--paragraphs", help="Judge the language of every line; slow, exact.")
    ] = False,
    join: Annotated[
        str | None,
        typer.Option(metavar="FILE.parquet", help="Also write texts and all labels in one file."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column or field of the text.")] = "text",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List all annotators, and do nothing else.")
    ] = False,
) -> None:
    """Labels the documents of plain files; changes and deletes nothing.

    Annotators share one read of each part, and each writes its own labels set. Call it again with
    more input or a changed annotator, and only what is new is made.
    """
    from pipelines.commands.screen import open_console

    sys.path.append(os.getcwd())  # for annotators of your own
    if list_:
        from pipelines.annotate.listing import show_annotators

        show_annotators(open_console())
        return
    words = [*(inputs or []), *(more or [])]
    if not words or output is None:
        raise ValueError(
            f"{'--output' if words else '--input'}: missing; allowed are --input FILES --output "
            "DIR --annotators NAMES, or --list: add it"
        )
    from pipelines.annotate.asked import asked_annotators
    from pipelines.annotate.registry import check_annotators
    from pipelines.standalone import keep_record, label_texts, open_stages, say_where

    specs, added = asked_annotators(annotators, config, option or [], paragraphs=paragraphs)
    check_annotators(specs)
    if join is not None:
        _check_join(join, words, text_column)
    _say_added(added)
    with open_stages(output, processes) as stages:
        texts = label_texts(stages, words, specs, text_column)
        keep_record(stages, texts)
    console = open_console()
    _show(console, texts, specs)
    taken = sum(stages.progress.seconds.values())
    for line in [*texts.rejects_told, _told(taken, stages.parts_done, texts)]:
        console.print(line, soft_wrap=True)
    made = next(iter(texts.annotate.values()))
    names = [spec.annotator.name for spec in specs]
    say_where(console, texts, dict(zip(names, made, strict=True)))
    if join is not None:
        _join(console, texts, specs, join)


def _check_join(join: str, words: Sequence[str], text_column: str) -> None:
    from pipelines.annotate.joined import check_join
    from pipelines.standalone import find_inputs

    roots = find_inputs(words, text_column)
    check_join(join, [item.url for root in roots for item in root.files.values()])


def _join(console: "Console", texts: "Texts", specs: "Sequence[AnnotatorSpec]", join: str) -> None:
    from pipelines.annotate.joined import write_joined

    rows = write_joined(texts.workspace, texts.extract, texts.annotate, specs, texts.keys, join)
    console.print(f"Texts with all these labels, {rows:,} rows: {join}", soft_wrap=True)


def _say_added(added: dict[str, str]) -> None:
    for name, needs in added.items():
        typer.echo(f"note: {needs} needs the labels of {name}, which is added", err=True)


def _told(seconds: float, parts: int, texts: "Texts") -> str:
    """What this call did, and which labels sets it left as they were."""
    if not parts:
        return "nothing to do: all of it is labelled already"
    total = len(texts.keys)
    new = [
        name if made == total else f"{name} ({made:,} of {total:,} parts)"
        for name, made in texts.made.items()
        if made
    ]
    kept = [name for name, made in texts.made.items() if not made]
    told = f"labelled {parts:,} {'part' if parts == 1 else 'parts'} in {seconds:,.1f} s"
    told += f"; new: {', '.join(new) or 'none'}"
    return told + (f"; kept as before: {', '.join(kept)}" if kept else "")


def _show(console: "Console", texts: "Texts", specs: "Iterable[AnnotatorSpec]") -> None:
    """A line a labels set, then the values that it has most."""
    from pipelines.annotate.summary import sum_of
    from pipelines.commands.screen import Sheet, show, wrapped

    ledger = texts.workspace.ledger
    table = Sheet(("labels", "rows", "failed", "documents/s a core"))
    told: dict[str, list[str]] = {}
    for spec in specs:
        name = spec.annotator.name
        sums = sum_of(
            entry
            for source, generation in texts.sets(name).items()
            for entry in ledger.entries(generation, source)
        )
        # Without compiling; in less than a second it is the loading of models that was measured.
        rate = f"{sums.rows / sums.cpu_seconds:,.0f}" if sums.cpu_seconds >= 1 else "-"
        table.add_row(name, f"{sums.rows:,}", f"{sums.failed:,}", rate)
        told[name] = sums.lines(spec.annotator.columns)
    show(console, "Labels, and documents that one core labels in a second", table)
    console.print()
    for name, lines in told.items():
        for line in lines:
            line = line if line.startswith(f"{name}: ") else f"{name}: {line}"
            console.print(wrapped(line, console.width, indent=4), soft_wrap=True)
    console.print()
