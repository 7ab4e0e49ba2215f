"""What a workspace still holds of what was taken down, so that a person can remove it.

Archives are those that a crawl of this workspace wrote; each record that one keeps has a row in
`fetches/`, so no archive is read. Archives that a source brought lie elsewhere and are not looked
into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.takedown.documents import cover_parts
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import Takedowns
from pipelines.workspace.tracing import prefix_of
from pipelines.workspace.workspace import Workspace

_NOTHING: Final = Takedowns(())


@dataclass(frozen=True, slots=True)
class Holdings:
    """Documents, and draws of them in shards."""

    documents: Mapping[str, int]
    """`source (extract@fp)`, or `(synthesize@fp)` -> documents, where there are any."""
    shards: tuple["HeldInShard", ...]
    """By folder, stage and shard."""
    archives: Mapping[str, int]
    """WARC file of a crawl -> records in it under an address that was taken down, be it the one
    that was asked for or the one behind its redirects."""
    ids: pa.FixedSizeBinaryArray
    """Of the documents: fixed_size_binary(16)[n]."""


@dataclass(frozen=True, slots=True)
class HeldInShard:
    """What one shard holds of some documents."""

    folder: str
    """`shards/<mixture>@<fp>`."""
    plan: str
    """mixture@fp of the plan that it was written by."""
    stage: str
    shard: str
    """Path of its files within the workspace, without their endings."""
    documents: int
    draws: int
    tokens: int
    """Of every draw, EOD included."""


def find_holdings(
    workspace: Workspace, takedowns: Takedowns, before: Takedowns = _NOTHING
) -> Holdings:
    """Looks for documents that were taken down, and for their tokens.

    Args:
        workspace: Where to look.
        takedowns: What was taken down.
        before: Takedowns among them; what those cover is left out, so that the rest is told alone.
    """
    none = pa.array([], ID)
    if takedowns.is_empty:
        return Holdings({}, (), {}, none)
    known = _ids_of(workspace, before)
    documents: dict[str, int] = {}
    found = [none]
    for part in cover_parts(workspace, takedowns):
        fresh = part.ids.filter(pc.invert(pc.is_in(part.ids, known)))
        if len(fresh):
            label = f"{part.entry.source} ({part.entry.job}@{part.entry.fp})"
            documents[label] = documents.get(label, 0) + len(fresh)
            found.append(fresh)
    ids = pc.unique(pa.concat_arrays(found))
    shards = tuple(_in_shards(workspace, ids)) if len(ids) else ()
    return Holdings(documents, shards, _in_archives(workspace, takedowns, before), ids)


def _ids_of(workspace: Workspace, takedowns: Takedowns) -> pa.FixedSizeBinaryArray:
    """Ids of the documents that takedowns cover."""
    none = pa.array([], ID)
    if takedowns.is_empty:
        return none
    return pa.concat_arrays([none, *(part.ids for part in cover_parts(workspace, takedowns))])


def _in_archives(workspace: Workspace, takedowns: Takedowns, before: Takedowns) -> dict[str, int]:
    held: dict[str, int] = {}
    for entry in _entries(workspace, "crawl@"):
        columns = ["url", "final_url", "offset"]
        fetches = read_table(workspace.storage, entry.file("fetches"), columns)
        kept = fetches.filter(pc.is_valid(fetches.column("offset")))
        number = pc.and_not(_either(takedowns, kept), _either(before, kept)).true_count
        if number:
            held[entry.file("warc").path] = number
    return held


def _either(takedowns: Takedowns, fetches: pa.Table) -> pa.BooleanArray:
    """Whether the address that was asked for is covered, or the one behind its redirects."""
    return pc.or_(*(takedowns.cover(fetches.column(name)) for name in ("url", "final_url")))


def _in_shards(workspace: Workspace, ids: pa.Array) -> Iterator[HeldInShard]:
    for entry in _entries(workspace, "shards."):
        for ref in (ref for ref in entry.files if ref.kind == "map"):
            columns = ["id", "draw", "token_start", "token_end"]
            table = read_table(workspace.storage, ref, columns)
            table = table.filter(pc.is_in(table.column("id"), ids))
            if not table.num_rows:
                continue
            lengths = pc.subtract(table.column("token_end"), table.column("token_start"))
            mixture = entry.job.removeprefix("shards.")
            plan = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["plan"]
            yield HeldInShard(
                folder=f"shards/{mixture}@{entry.fp}",
                plan=f"{mixture}@{plan[:8]}",
                stage=entry.source,
                shard=prefix_of(entry),
                documents=len(pc.unique(table.column("id"))),
                draws=table.group_by(["id", "draw"]).aggregate([]).num_rows,
                tokens=int(np.sum(lengths.to_numpy())),
            )


def _entries(workspace: Workspace, prefix: str) -> Iterator[Entry]:
    for name in workspace.ledger.generations():
        if name.startswith(prefix):
            yield from workspace.ledger.entries(name)
