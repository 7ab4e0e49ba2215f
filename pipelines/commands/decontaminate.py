"""`tokenmill decontaminate`: labels that say which documents of plain files quote a benchmark.

Nothing is deleted: the label names benchmark, item, rule, score and span, and whoever reads it
decides. The labels stand beside the documents, row by row, as a run of a corpus would write them.
"""

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from annotators.contamination.annotator import Contamination
    from pipelines.standalone import Texts

_SET: Final = "contamination"
_SPANS: Final = "contamination_spans"
_FLAG: Final = "contaminated"
_ENDINGS: Final = (".jsonl", ".ndjson", ".jsonlines")
_PACKED: Final = (".gz", ".zst")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9_.-]+")
_MEBIBYTE: Final = 1 << 20


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("decontaminate")(decontaminate)


def decontaminate(
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="PATH",
            help="File, folder or glob of Parquet or JSONL (also .gz, .zst), or NAME=PATH; may be "
            "given more than once.",
        ),
    ],
    against: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="Benchmark as JSONL (also .gz, .zst), NAME=PATH, or a folder of such files; may "
            "be given more than once.",
        ),
    ],
    output: Annotated[str, typer.Option(metavar="DIR", help="Folder for the labels.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Further inputs.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column or field of the text.")] = "text",
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes; default: the cores.")
    ] = None,
) -> None:
    """Labels quotations of benchmarks in the documents of plain files; deletes nothing.

    A benchmark that the registry knows by its name brings its kind and its fields; others are text,
    and all their fields that hold text count. Name a file otherwise with NAME=PATH.
    """
    from annotators.contamination.annotator import Contamination
    from pipelines.annotate.registry import spec_of
    from pipelines.commands.screen import open_console
    from pipelines.config import BenchmarkConfig
    from pipelines.standalone import keep_record, label_texts, open_stages, say_where

    named = _benchmarks(against)
    options: list[dict[str, Any]] = [
        BenchmarkConfig(name=name, path=str(path)).model_dump(mode="json")
        for name, path in named.items()
    ]
    spec = spec_of(_SET, {"benchmarks": options})
    annotator = spec.annotator
    assert isinstance(annotator, Contamination)
    annotator.index_facts()  # a broken benchmark is found before a text is read
    stages = open_stages(output, processes)
    texts = label_texts(stages, [*inputs, *(more or [])], (spec,), text_column)
    keep_record(stages, texts)
    console = open_console()
    _show(console, texts, annotator)
    made = next(iter(texts.sets(_SET).values()))
    say_where(console, texts, {_SET: made})


def _benchmarks(against: "Sequence[str]") -> dict[str, Path]:
    """Name -> file, by name.

    Raises:
        ValueError: A path is not there, a folder holds no benchmark, or two have one name.
    """
    found: dict[str, Path] = {}
    for word in against:
        name, _, path = word.rpartition("=")
        if not name or Path(word).exists():
            name, path = "", word
        for file in _files(Path(path), word):
            chosen = name or _stem(file)
            if found.setdefault(chosen, file).resolve() != file.resolve():
                raise ValueError(
                    f"--against: {found[chosen]} and {file} are both called {chosen!r}; name one "
                    "of them otherwise, as NAME=PATH"
                )
    return dict(sorted(found.items()))


def _files(path: Path, word: str) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name != _stem(file))
        if files and "=" not in word:
            return files
        raise ValueError(
            f"--against {word}: found a folder; allowed are folders that hold JSONL (also .gz, "
            ".zst), without a name"
        )
    if not path.is_file():
        raise ValueError(
            f"--against {word}: found no file {path}; allowed are JSONL files, NAME=PATH and "
            "folders; correct the path"
        )
    return [path]


def _stem(file: Path) -> str:
    """What the file is called without its endings; the whole name where it is no JSONL."""
    name = file.name
    for ending in _PACKED:
        name = name.removesuffix(ending)
    for ending in _ENDINGS:
        if name.endswith(ending):
            return _NOT_IN_NAMES.sub("-", name.removesuffix(ending).lower()).strip("-._")
    return file.name


def _show(console: "Console", texts: "Texts", annotator: "Contamination") -> None:
    """A line a benchmark, then what there is in all."""
    from pipelines.commands.screen import Sheet, show

    flagged, num_flagged, num_documents = _flagged(texts)
    table = Sheet(("benchmark", "items", "too short", "too common", "documents"), spare=(3,))
    for facts in annotator.index_facts():
        numbers = (facts.items, facts.too_short, facts.common, flagged[facts.benchmark])
        table.add_row(facts.benchmark, *(f"{number:,}" for number in numbers))
    show(console, "Benchmarks, items that cannot be found, and documents that hold one", table)
    console.print()
    lines = [
        f"documents: {num_documents:,}",
        f"contaminated: {num_flagged:,}",
        f"index in memory: {annotator.index().num_bytes / _MEBIBYTE:,.1f} MiB a process",
    ]
    if texts.num_rejects:
        lines.append(f"records without a text, in rejects/: {texts.num_rejects:,}")
    for line in lines:
        console.print(line, soft_wrap=True)


def _flagged(texts: "Texts") -> tuple[Counter[str], int, int]:
    """Benchmark -> documents that hold an item of it; documents that hold any; documents."""
    import pyarrow.compute as pc

    from pipelines.workspace.parts import read_table

    workspace = texts.workspace
    flagged: Counter[str] = Counter()
    num_flagged = num_documents = 0
    for source, generation in texts.sets(_SET).items():
        for entry in workspace.ledger.entries(generation, source):
            table = read_table(workspace.storage, entry.file("labels"), [_FLAG, _SPANS])
            num_documents += table.num_rows
            rows = table.filter(pc.fill_null(table.column(_FLAG), False))
            num_flagged += rows.num_rows
            for spans in rows.column(_SPANS).to_pylist():
                flagged.update({span["benchmark"] for span in spans if span[_FLAG]})
    return flagged, num_flagged, num_documents
