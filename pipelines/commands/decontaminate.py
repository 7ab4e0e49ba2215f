"""`tokenmill decontaminate`: labels that say which documents of plain files quote a benchmark.

Nothing is deleted: the label names benchmark, item, rule, score and span, and whoever reads it
decides. The labels stand beside the documents, row by row, as a run of a corpus would write them.
What of the benchmarks cannot be found is listed in `not_covered.jsonl`, lest it pass as clean.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

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
_RULE: Final = "contamination_rule"
_NOT_COVERED: Final = "not_covered.jsonl"
_BEGINNING_CHARACTERS: Final = 200
_EXAMPLES: Final = 3


class NotCovered(NamedTuple):
    """An item of a benchmark that cannot be found in any text; a line of `not_covered.jsonl`."""

    benchmark: str
    item: str
    """Its id in the benchmark."""
    beginning: str
    """Of its text, on one line, at most 200 characters."""


@dataclass(slots=True)
class _Flagged:
    """Sums over all documents."""

    documents: Counter[str] = field(default_factory=Counter)
    """Benchmark -> documents that are contaminated by an item of it."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rule of the best quotation -> contaminated documents."""
    num_documents: int = 0


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
    from pipelines.standalone import keep_record, label_texts, open_stages, say_where

    options = [_option(name, path) for name, path in _benchmarks(against).items()]
    spec = spec_of(_SET, {"benchmarks": options})
    annotator = spec.annotator
    assert isinstance(annotator, Contamination)
    annotator.index_facts()  # a broken benchmark is found before a text is read
    with open_stages(output, processes) as stages:
        texts = label_texts(stages, [*inputs, *(more or [])], (spec,), text_column)
        keep_record(stages, texts)
        lost = _not_covered(annotator)
        _write_not_covered(texts, lost)
    console = open_console()
    _show(console, texts, annotator, lost)
    made = next(iter(texts.sets(_SET).values()))
    say_where(console, texts, {_SET: made})


def _option(name: str, path: Path) -> dict[str, Any]:
    """A benchmark as corpus.yaml would name it.

    Raises:
        ValueError: The name is not one.
    """
    from pydantic import ValidationError

    from pipelines.config import BenchmarkConfig

    try:
        return BenchmarkConfig(name=name, path=str(path)).model_dump(mode="json")
    except ValidationError as error:
        allowed = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"--against: found the name {name!r} of {path}; {allowed}, and it begins with a letter "
            "or a digit: name it otherwise, as NAME=PATH"
        ) from None


def _benchmarks(against: "Sequence[str]") -> dict[str, Path]:
    """Name -> file, by name.

    Raises:
        ValueError: A path is not there, a folder holds no benchmark, or two have one name.
    """
    found: dict[str, Path] = {}
    for word in against:
        if not word.strip():
            raise ValueError(
                "--against '': found nothing; allowed are JSONL files, NAME=PATH and folders: "
                "name one"
            )
        name, _, path = word.rpartition("=")
        if not name or Path(word).exists():
            name, path = "", word
        for file in _files(Path(path), word, bool(name)):
            chosen = name or _stem(file)
            if found.setdefault(chosen, file).resolve() != file.resolve():
                raise ValueError(
                    f"--against: {found[chosen]} and {file} are both called {chosen!r}; name one "
                    "of them otherwise, as NAME=PATH"
                )
    return dict(sorted(found.items()))


def _files(path: Path, word: str, is_named: bool) -> list[Path]:
    if path.is_dir():
        if is_named:
            raise ValueError(
                f"--against {word}: found the folder {path}, but a name needs a file; leave the "
                "name out (its files are called by their own names), or name one file of it"
            )
        files = sorted(file for file in path.iterdir() if file.name != _stem(file))
        if not files:
            raise ValueError(
                f"--against {word}: the folder {path} holds no benchmark file; allowed are "
                f"{', '.join(_ENDINGS)}, also with {' or '.join(_PACKED)}: name the folder or the "
                "file that holds them"
            )
        return files
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


def _show(
    console: "Console", texts: "Texts", annotator: "Contamination", lost: "Sequence[NotCovered]"
) -> None:
    """A line a benchmark, then what there is in all."""
    from pipelines.commands.screen import Sheet, show, wrapped

    flagged = _flagged(texts)
    columns = ("benchmark", "kind", "roles from", "items", "covered", "not covered", "documents")
    table = Sheet(columns, names=(0, 1, 2))
    for facts in annotator.index_facts():
        numbers = (
            facts.items,
            facts.indexed,
            facts.items - facts.indexed,
            flagged.documents[facts.benchmark],
        )
        cells = (f"{number:,}" for number in numbers)
        table.add_row(facts.benchmark, facts.kind, facts.roles, *cells)
    show(console, "Benchmarks, their items, and documents that are contaminated by one", table)
    console.print()
    rules = ", ".join(f"{rule} {count:,}" for rule, count in sorted(flagged.rules.items()))
    lines = [
        f"documents: {flagged.num_documents:,}",
        f"contaminated: {sum(flagged.rules.values()):,}" + (f" (by rule: {rules})" * bool(rules)),
        f"index in memory: {annotator.index().num_bytes / _MEBIBYTE:,.1f} MiB a process",
    ]
    lines += texts.rejects_told
    for line in lines:
        console.print(line, soft_wrap=True)
    if not lost:
        return
    short = sum(facts.too_short for facts in annotator.index_facts())
    console.print(
        f"items not covered: {len(lost):,} ({short:,} too short, {len(lost) - short:,} too "
        f"common), listed in {texts.workspace.url.rstrip('/')}/{_NOT_COVERED}, such as",
        soft_wrap=True,
    )
    for one in lost[:_EXAMPLES]:
        told = f"  {one.benchmark}/{one.item}: {one.beginning or '(no text)'}"
        console.print(wrapped(told, console.width, indent=4), soft_wrap=True)


def _write_not_covered(texts: "Texts", lost: "Sequence[NotCovered]") -> None:
    """Lists the items that cannot be found, as JSON Lines; of none there is no file."""
    lines = [json.dumps(one._asdict(), ensure_ascii=False) + "\n" for one in lost]
    storage = texts.workspace.storage
    if lines:
        with storage.fs.open(storage.path(_NOT_COVERED), "wb") as file:
            file.write("".join(lines).encode())
    elif storage.exists(_NOT_COVERED):
        storage.remove(_NOT_COVERED)


def _not_covered(annotator: "Contamination") -> "list[NotCovered]":
    """The items that cannot be found, by benchmark and in the order of its file."""
    from annotators.contamination.items import read_items

    findable = iter(annotator.index().findable.tolist())
    return [
        NotCovered(benchmark.name, item.id, _beginning(" ".join(p.text for p in item.parts)))
        for benchmark in annotator.benchmarks
        for item in read_items(benchmark)
        if not next(findable)
    ]


def _beginning(text: str) -> str:
    return " ".join(text.split())[:_BEGINNING_CHARACTERS]


def _flagged(texts: "Texts") -> _Flagged:
    """Counts the documents that are contaminated; the labels are read a part at a time."""
    import pyarrow.compute as pc

    from pipelines.workspace.parts import read_table

    workspace = texts.workspace
    found = _Flagged()
    for source, generation in texts.sets(_SET).items():
        for entry in workspace.ledger.entries(generation, source):
            table = read_table(workspace.storage, entry.file("labels"), [_FLAG, _RULE, _SPANS])
            found.num_documents += table.num_rows
            rows = table.filter(pc.fill_null(table.column(_FLAG), False))
            found.rules.update(rows.column(_RULE).to_pylist())
            for spans in rows.column(_SPANS).to_pylist():
                found.documents.update({span["benchmark"] for span in spans if span[_FLAG]})
    return found
