"""Which documents of a workspace are forgotten, and what was made of them.

A made document names its parents by id. So what is forgotten grows until nothing more is made of
it: a document is forgotten by its address, by its id, or because one of its parents is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import Takedowns
from pipelines.workspace.workspace import Workspace

_MADE: Final = ("meta", "provenance.parents")
_JOBS: Final = ("extract@", "synthesize@")


@dataclass(frozen=True, slots=True)
class CoveredPart:
    """A documents part, and which of its rows are forgotten."""

    entry: Entry
    table: pa.Table
    """The columns that were read, `id` and `uri` among them."""
    mask: pa.BooleanArray
    """bool[rows], no nulls."""

    @property
    def ids(self) -> pa.FixedSizeBinaryArray:
        """Of what is forgotten: fixed_size_binary(16)[n]."""
        found = self.table.column("id").filter(self.mask)
        return pa.concat_arrays([pa.array([], ID), *(chunk.cast(ID) for chunk in found.chunks)])


def cover_parts(
    workspace: Workspace, takedowns: Takedowns, columns: Sequence[str] = ()
) -> list[CoveredPart]:
    """All documents parts of all generations that hold something forgotten.

    Args:
        workspace: Where to look.
        takedowns: What is forgotten.
        columns: Of DOCUMENT, to be read beside `id` and `uri`.
    """
    tables = [
        (entry, _read(workspace, entry, columns))
        for entry in _documents(workspace)
        if entry.file("documents").rows
    ]
    known = takedowns
    while True:
        parts = [CoveredPart(e, table, known.cover_documents(table)) for e, table in tables]
        found = [takedowns.erased.cast(ID), *(part.ids for part in parts)]
        ids = pc.unique(pa.concat_arrays(found))
        if len(ids) == len(known.erased):
            return [part for part in parts if part.mask.true_count]
        known = replace(takedowns, erased=ids)


def made_of(workspace: Workspace, takedowns: Takedowns) -> tuple[str, ...]:
    """Documents that are forgotten only because of what they were made of.

    Args:
        workspace: Where to look.
        takedowns: What a person named.

    Returns:
        Their ids, 32 hexadecimal digits each, sorted.
    """
    found = set()
    for part in cover_parts(workspace, takedowns):
        named = takedowns.cover_documents(part.table)
        more = part.table.column("id").filter(pc.and_not(part.mask, named))
        found |= {id_.hex() for id_ in more.to_pylist()}
    return tuple(sorted(found))


def _documents(workspace: Workspace) -> Iterator[Entry]:
    for name in workspace.ledger.generations():
        if name.startswith(_JOBS):
            yield from workspace.ledger.entries(name)


def _read(workspace: Workspace, entry: Entry, columns: Sequence[str]) -> pa.Table:
    more = _MADE if entry.job == "synthesize" else ()
    wanted = dict.fromkeys(("id", "uri", *columns, *more))
    return read_table(workspace.storage, entry.file("documents"), list(wanted))
