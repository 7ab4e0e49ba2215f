"""Pins: the exact generations, and parts, that a plan was made from.

A labels part has the rows of its documents part in the same order, so the table of all labels of a
part is a zip of files; no join, no shuffle. A reader that names columns opens only the files that
hold one, and pays for no other. Without ids the ledger says that the files belong together: as many
rows, and the labels name the documents part that they were made from.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mixtures.expressions import NUM_TOKENS
from pipelines.mix.columns import (
    DOCUMENT_COLUMNS,
    ID,
    document_columns,
    id_bytes,
    read_columns,
)
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import open_part
from pipelines.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePins:
    """What of one source a plan reads."""

    documents: str
    """`extract@fp`."""
    labels: Mapping[str, str]
    """Labels set -> `job@fp`."""
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pins:
    """What of all sources a plan reads."""

    sources: Mapping[str, SourcePins]
    contents: str
    """Hash over the contents of every pinned part."""

    def keys(self) -> list[PartKey]:
        """All parts, by source and number."""
        return [
            PartKey(source, part)
            for source in sorted(self.sources)
            for part in self.sources[source].parts
        ]

    def to_json(self) -> dict[str, Any]:
        """As it stands in plan.json."""
        return {
            "contents": self.contents,
            "sources": {
                name: {
                    "documents": pins.documents,
                    "labels": dict(sorted(pins.labels.items())),
                    "parts": list(pins.parts),
                }
                for name, pins in sorted(self.sources.items())
            },
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Pins":
        """The pins of a plan.json."""
        sources = {
            name: SourcePins(
                documents=pins["documents"], labels=pins["labels"], parts=tuple(pins["parts"])
            )
            for name, pins in raw["sources"].items()
        }
        return cls(sources, raw["contents"])


def pin(
    workspace: Workspace,
    documents: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
    parts: Mapping[str, Sequence[int]],
) -> Pins:
    """Pins generations that hold all their parts.

    Args:
        workspace: Where they are.
        documents: Source -> `extract@fp`.
        labels: Source -> labels set -> `job@fp`.
        parts: Source -> part numbers.

    Raises:
        LookupError: A part is missing from one of the generations.
    """
    state = hashlib.sha256()
    for source in sorted(documents):
        for name in (documents[source], *(labels[source][key] for key in sorted(labels[source]))):
            held = {e.part: e.content for e in workspace.ledger.entries(name, source)}
            absent = [number for number in parts[source] if number not in held]
            if absent:
                raise LookupError(
                    f"{name} lacks {len(absent)} of {len(parts[source])} parts of {source} (first: "
                    f"{absent[0]}); run the corpus to the end before planning"
                )
            for number in parts[source]:
                state.update(f"{name}/{number}={held[number]}\n".encode())
    pinned = {
        source: SourcePins(
            documents=documents[source], labels=dict(labels[source]), parts=tuple(parts[source])
        )
        for source in sorted(documents)
    }
    return Pins(pinned, state.hexdigest())


def label_table(
    workspace: Workspace,
    pins: Pins,
    key: PartKey,
    *,
    columns: Collection[str] | None = None,
    ids: bool = True,
) -> pa.Table:
    """Labels of a part, one row a document: `id`, document columns, label columns.

    Args:
        workspace: Where they are.
        pins: Which generations.
        key: The part.
        columns: Names of the columns to read, text among them as dictionaries; those that this
            source does not have are left out. None: all.
        ids: Whether to read `id` too, and to compare it row by row with that of every labels file
            that is opened; else the ledger's word is taken.

    Raises:
        ValueError: Two labels sets have a column of the same name, or rows do not match.
    """
    source = pins.sources[key.source]
    sets = _columns_by_set(workspace, key.source, source)
    documents = workspace.ledger.get(source.documents, key.source, key.part)
    ref = documents.file("documents")
    names = [name for name in DOCUMENT_COLUMNS.names if columns is None or name in columns]
    table = document_columns(
        workspace, key.source, ref, names, ids=ids, encoded=columns is not None
    )
    for name, owned in sets.items():
        wanted = [column for column in owned if columns is None or column in columns]
        if not wanted and columns is not None:
            continue
        entry = workspace.ledger.get(source.labels[name], key.source, key.part)
        _check_aligned(entry, ref)
        read = [ID, *wanted] if ids else wanted
        labels = read_columns(workspace, entry.file("labels"), read, encoded=columns is not None)
        if ids and not labels.column(ID).equals(table.column(ID)):
            raise ValueError(
                f"{entry.file('labels').path} is not aligned with the documents of part "
                f"{key.part} of {key.source}; run `tokenmill audit`"
            )
        for column in wanted:
            table = table.append_column(labels.schema.field(column), labels.column(column))
    return table


def read_ids(workspace: Workspace, pins: Pins, key: PartKey) -> npt.NDArray[np.uint8]:
    """Document ids of a part, uint8[n, 16].

    From the labels file that counts tokens: it is small, and those of a documents part lie between
    its texts.
    """
    source = pins.sources[key.source]
    sets = _columns_by_set(workspace, key.source, source)
    entry = workspace.ledger.get(
        source.labels[next(name for name, owned in sets.items() if NUM_TOKENS in owned)],
        key.source,
        key.part,
    )
    ids = read_columns(workspace, entry.file("labels"), [ID], encoded=False).column(ID)
    return id_bytes(ids.combine_chunks())


def columns_of(workspace: Workspace, pins: Pins) -> pa.Schema:
    """All columns that `label_table` can give, `id` left out.

    Raises:
        ValueError: Two labels sets of a source have a column of the same name.
    """
    found = dict(zip(DOCUMENT_COLUMNS.names, DOCUMENT_COLUMNS, strict=True))
    for name, source in pins.sources.items():
        for owned in _columns_by_set(workspace, name, source).values():
            for column, kind in owned.items():
                found.setdefault(column, pa.field(column, kind))
    return pa.schema(list(found.values()))


def check_columns(workspace: Workspace, pins: Pins, columns: Collection[str]) -> None:
    """Checks that every source has the columns that a mixture reads.

    Raises:
        ValueError: One lacks some that another has; names source, columns and labels set.
    """
    maker: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    for name, source in pins.sources.items():
        if not source.parts:
            continue
        sets = _columns_by_set(workspace, name, source)
        owned = {column: owner for owner, some in sets.items() for column in some}
        maker |= owned
        own = {*owned, *DOCUMENT_COLUMNS.names}
        lacking[name] = [column for column in columns if column not in own]
    for name, absent in lacking.items():
        if absent:
            sets_ = sorted({maker.get(column, "?") for column in absent})
            raise ValueError(
                f"source {name} has no labels {', '.join(map(repr, absent))}, which the mixture "
                f"reads and other sources have: it lacks the labels set {', '.join(sets_)}; "
                "run the corpus again with the annotators that make them for every source"
            )


def _columns_by_set(
    workspace: Workspace, name: str, source: SourcePins
) -> dict[str, dict[str, pa.DataType]]:
    """Labels set -> its columns without `id`, in the order of the sets' names.

    Raises:
        ValueError: A column is in two sets, or is one of the document.
    """
    if not source.parts:
        return {}
    generations = tuple(sorted(source.labels.items()))
    return _schemas(workspace.url, name, source.parts[0], generations)


@lru_cache(maxsize=64)
def _schemas(
    url: str, source: str, part: int, generations: tuple[tuple[str, str], ...]
) -> dict[str, dict[str, pa.DataType]]:
    workspace = Workspace(url)
    taken: set[str] = set(DOCUMENT_COLUMNS.names)
    sets = {}
    for name, generation in generations:
        ref = workspace.ledger.get(generation, source, part).file("labels")
        with open_part(workspace.storage, ref) as file:
            schema = pq.read_schema(file)
        sets[name] = {field.name: field.type for field in schema if field.name != ID}
        for column in sets[name]:
            if column in taken:
                raise ValueError(
                    f"labels sets of {source} have two columns called {column!r} (the second in "
                    f"{generation}); rename one in its annotator"
                )
        taken |= set(sets[name])
    return sets


def _check_aligned(labels: Entry, documents: FileRef) -> None:
    """Refuses labels that the ledger does not say belong to these documents.

    Raises:
        ValueError: Another number of rows, or made from another file.
    """
    ref = labels.file("labels")
    if ref.rows != documents.rows or documents.path not in labels.inputs:
        raise ValueError(
            f"{ref.path} ({ref.rows} rows, made from {', '.join(labels.inputs)}) is not aligned "
            f"with {documents.path} ({documents.rows} rows); run `tokenmill audit`"
        )
