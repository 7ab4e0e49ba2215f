"""The documents that a judge is asked about: those of the smallest hashes of their ids.

The hash of (seed, id, text) decides, so the sample is the same in whatever order, files or formats
the documents come, a larger sample holds the smaller one, and a document that is added takes at
most one place. An id is that of the document, or the hash of its text where it has none; the same
id with the same text counts once.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from annotators.quality.rows import list_files, read_rows

KEY_BYTES: Final = 16
_URL_COLUMNS: Final = ("url", "uri")


class Document(NamedTuple):
    """A document to judge."""

    key: str
    """32 hexadecimal digits of (id, text): names it in the journal."""
    id: str
    text: str
    url: str | None
    doc_id: str | None


class Sample(NamedTuple):
    """What was drawn, and of how many."""

    documents: list[Document]
    """By key."""
    num_read: int
    num_twice: int
    num_without_text: int
    """Rows whose text is missing or blank: there is nothing to judge."""


def draw_sample(
    inputs: Sequence[str], size: int | None, *, seed: int = 0, text_column: str = "text"
) -> Sample:
    """Draws documents.

    Args:
        inputs: Files, folders or globs of JSON lines or Parquet.
        size: How many; all of them if None.
        seed: Of the draw.
        text_column: That holds the text.

    Raises:
        ValueError: An input is not there or damaged, or no row has a text.
    """
    chosen: list[tuple[int, Document]] = []
    kept = set[str]()
    num_read = num_twice = num_without_text = 0
    for document in _documents(list_files(_paths(inputs)), text_column):
        num_read += 1
        if document is None:
            num_without_text += 1
            continue
        if document.key in kept:
            num_twice += 1
            continue
        kept.add(document.key)
        rank = int.from_bytes(_digest(seed.to_bytes(8, "little", signed=True), document.key))
        if size is None or len(chosen) < size:
            heapq.heappush(chosen, (-rank, document))
        elif -rank > chosen[0][0]:
            heapq.heapreplace(chosen, (-rank, document))
    if not chosen:
        raise ValueError(
            f"--input: found no text in column {text_column!r} of {num_read:,} rows; name the "
            "column with --text-column"
        )
    documents = sorted((one for _, one in chosen), key=lambda one: one.key)
    return Sample(documents, num_read, num_twice, num_without_text)


def _paths(inputs: Iterable[str]) -> list[Path]:
    """What the inputs name, each path once, sorted.

    Raises:
        ValueError: One names nothing.
    """
    found = set[Path]()
    for word in inputs:
        path = Path(word)
        matches = [path] if path.exists() else sorted(_glob(path))
        if not matches:
            raise ValueError(f"--input: there is no {word}")
        found.update(matches)
    return sorted(found)


def _glob(path: Path) -> Iterator[Path]:
    root = Path(path.anchor) if path.is_absolute() else Path()
    pattern = str(path.relative_to(root)) if path.is_absolute() else str(path)
    return root.glob(pattern)


def _documents(files: Sequence[Path], text_column: str) -> Iterator[Document | None]:
    for file in files:
        for _, row in read_rows(file):
            yield _document(row, text_column)


def _document(row: dict[str, Any], text_column: str) -> Document | None:
    text = row.get(text_column)
    if not isinstance(text, str) or not text.strip():
        return None
    given = row.get("id")
    if isinstance(given, bytes):
        given = given.hex()
    found = str(given) if given is not None else _digest(b"", text).hex()
    url = next((row[name] for name in _URL_COLUMNS if isinstance(row.get(name), str)), None)
    doc_id = row.get("doc_id")
    key = _digest(found.encode("utf-8", "surrogatepass") + b"\0", text).hex()
    return Document(key, found, text, url, None if doc_id is None else str(doc_id))


def _digest(start: bytes, text: str) -> bytes:
    return hashlib.blake2b(
        start + text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES
    ).digest()
