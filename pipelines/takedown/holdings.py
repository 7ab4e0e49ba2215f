"""What a workspace still holds of what was taken down, so that a person can remove it.

Archives are those that a crawl of this workspace wrote; each record that one keeps has a row in
`fetches/`, so no archive is read. Archives that a source brought lie elsewhere and are not looked
into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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


def find_holdings(workspace: Workspace, takedowns: Takedowns) -> Holdings:
    """Looks for documents that were taken down, and for their tokens.

    Args:
        workspace: Where to look.
        takedowns: What was taken down.
    """
    none = pa.array([], ID)
    if takedowns.is_empty:
        return Holdings({}, (), {}, none)
    documents: dict[str, int] = {}
    found = [none]
    for part in cover_parts(workspace, takedowns):
        label = f"{part.entry.source} ({part.entry.job}@{part.entry.fp})"
        documents[label] = documents.get(label, 0) + part.mask.true_count
        found.append(part.ids)
    ids = pc.unique(pa.concat_arrays(found))
    shards = tuple(_in_shards(workspace, ids)) if len(ids) else ()
    return Holdings(documents, shards, _in_archives(workspace, takedowns), ids)


def _in_archives(workspace: Workspace, takedowns: Takedowns) -> dict[str, int]:
    held: dict[str, int] = {}
    for entry in _entries(workspace, "crawl@"):
        columns = ["url", "final_url", "offset"]
        fetches = read_table(workspace.storage, entry.file("fetches"), columns)
        kept = fetches.filter(pc.is_valid(fetches.column("offset")))
        asked = takedowns.cover(kept.column("url"))
        number = pc.or_(asked, takedowns.cover(kept.column("final_url"))).true_count
        if number:
            held[entry.file("warc").path] = number
    return held


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
