"""A corpus of notes in seven languages, of which the echo model makes more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipelines.config import load_corpus
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.progress import Progress
from pipelines.workspace.children import Limits
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "examples"
ECHO = {"engine": "endpoint", "url": "echo:", "model": "echo", "thinking": "template"}
ITEMS = [
    {"recipe": "refine_web", "where": "provenance_kind = 'natural'", "name": "clean"},
    {"recipe": "rephrase_medium", "where": "", "name": "plain"},
]
MIXTURE = {
    "name": "small",
    "seed": 7,
    "stages": [
        {
            "name": "first",
            "sequence_length": 64,
            "tokens": "max",
            "max_epochs": 1,
            "where": "duplicate_role in ('alone', 'representative')",
        }
    ],
}


def write_corpus(
    folder: Path,
    items: list[dict[str, Any]] = ITEMS,
    model: dict[str, Any] = ECHO,
    **settings: object,
) -> Path:
    """Writes the notes, a mixture and corpus.yaml; gives the path of the last."""
    notes = folder / "notes"
    notes.mkdir(parents=True, exist_ok=True)
    lines = (EXAMPLES / "texts" / "notes.jsonl").read_text(encoding="utf-8").splitlines()
    whole = [json.dumps(_worn(one)) for one in map(_parsed, lines) if one is not None]
    for number in (0, 1):  # two files, so that there are two parts
        (notes / f"{number}.jsonl").write_text("\n".join(whole[number::2]) + "\n", "utf-8")
    (folder / "small.yaml").write_text(yaml.safe_dump(MIXTURE, sort_keys=False))
    corpus = {
        "name": "cooked",
        "sources": [{"name": "notes", "path": "notes"}],
        "tokenizer": str(EXAMPLES / "tokenizer"),
        "annotators": ["language"],
        "mixtures": ["small.yaml"],
        "part_bytes": 6000,
        "models": {"writer": model},
        "synthesize": items,
        **settings,
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


def _worn(note: dict[str, Any]) -> dict[str, Any]:
    """A note with a word that was broken at the end of a line, so that it can be refined."""
    text = re.sub(r"\b([a-z]{4})([a-z]{4,})\b", r"\1-\n\2", note["text"], count=1)
    return {**note, "text": text}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found if found.get("text") else None


def cook(corpus: Path, workspace: Path, **options: Any) -> RunResult:  # noqa: ANN401
    """Runs the corpus as `tokenmill run` does."""
    limits = Limits(processes=1)
    asked = RunOptions(workspace=str(workspace), limits=limits, **options)
    return run_corpus(load_corpus(corpus), asked, Progress())


def documents_of(result: RunResult, source: str) -> list[dict[str, Any]]:
    """All documents of a source, by part and row."""
    return [row for entry in entries_of(result, source) for row in rows_of(result.workspace, entry)]


def entries_of(result: RunResult, source: str) -> list[Entry]:
    """The ledger's entries of a source, by part."""
    entries = result.workspace.ledger.entries(result.documents[source], source)
    return sorted(entries, key=lambda entry: entry.part)


def rows_of(workspace: Workspace, entry: Entry, kind: str = "documents") -> list[dict[str, Any]]:
    """Rows of one file of an entry."""
    rows: list[dict[str, Any]] = read_table(workspace.storage, entry.file(kind)).to_pylist()
    return rows


def drawn_ids(result: RunResult) -> set[bytes]:
    """Ids of the documents in the shards."""
    found: set[bytes] = set()
    for job in result.shards:
        for entry in result.workspace.ledger.entries(job.generation):
            for ref in (ref for ref in entry.files if ref.kind == "map"):
                table: pa.Table = read_table(result.workspace.storage, ref, ["id"])
                found |= set(table.column("id").to_pylist())
    return found


def answers_of(workspace: Path) -> Iterator[dict[str, Any]]:
    """All answers in the journal."""
    for path in sorted((workspace / "answers").rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def files_of(workspace: Path) -> dict[str, bytes]:
    """Data files that the ledger names: path -> bytes."""
    opened = Workspace.open(str(workspace))
    return {
        ref.path: (workspace / ref.path).read_bytes()
        for name in opened.ledger.generations()
        for entry in opened.ledger.entries(name)
        for ref in entry.files
    }
