"""What a workspace still holds of what was taken down, so that a person can remove it.

Archives are those that a crawl of this workspace wrote; each record that one keeps has a row in
`fetches/`, so no archive is read. Archives that a source brought lie elsewhere and are not looked
into.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import Takedowns, origin_uris
from pipelines.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Holdings:
    """Documents, and draws of them in shards."""

    documents: Mapping[str, int]
    """`source (extract@fp)`, or `(synthesize@fp)` -> documents, where there are any."""
    shards: Mapping[str, "Drawn"]
    """Folder of shards -> what of them it holds."""
    archives: Mapping[str, int]
    """WARC file of a crawl -> records in it under an address that was taken down, be it the one
    that was asked for or the one behind its redirects."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What shards hold of some documents."""

    plan: str
    """mixture@fp of the plan that the shards were written by."""
    documents: int
    tokens: int
    """Of every draw, EOD included."""


def find_holdings(workspace: Workspace, takedowns: Takedowns) -> Holdings:
    """Looks for documents under what was taken down, and for their tokens.

    Args:
        workspace: Where to look.
        takedowns: What was taken down.
    """
    if not len(takedowns.keys):
        return Holdings({}, {}, {})
    documents: dict[str, int] = {}
    found: list[pa.Array] = []
    ledger = workspace.ledger
    generations = ledger.generations()
    for name in (name for name in generations if name.startswith(("extract@", "synthesize@"))):
        for entry in ledger.entries(name):
            columns = ["id", "uri", *(["meta"] if name.startswith("synthesize@") else [])]
            table = read_table(workspace.storage, entry.file("documents"), columns)
            marked = takedowns.cover(origin_uris(table))
            if marked.true_count:
                label = f"{entry.source} ({name})"
                documents[label] = documents.get(label, 0) + marked.true_count
                found.append(table.column("id").combine_chunks().filter(marked))
    ids = pc.unique(pa.concat_arrays([pa.array([], ID), *found]))
    shards = _in_shards(workspace, generations, ids) if len(ids) else {}
    return Holdings(documents, shards, _in_archives(workspace, generations, takedowns))


def _in_archives(
    workspace: Workspace, generations: list[str], takedowns: Takedowns
) -> dict[str, int]:
    held: dict[str, int] = {}
    for name in (name for name in generations if name.startswith("crawl@")):
        for entry in workspace.ledger.entries(name):
            columns = ["url", "final_url", "offset"]
            fetches = read_table(workspace.storage, entry.file("fetches"), columns)
            kept = fetches.filter(pc.is_valid(fetches.column("offset")))
            asked = takedowns.cover(kept.column("url"))
            number = pc.or_(asked, takedowns.cover(kept.column("final_url"))).true_count
            if number:
                held[entry.file("warc").path] = number
    return held


def _in_shards(workspace: Workspace, generations: list[str], ids: pa.Array) -> dict[str, Drawn]:
    held: dict[str, Drawn] = {}
    for name in (name for name in generations if name.startswith("shards.")):
        drawn: list[pa.Array] = []
        tokens = 0
        for entry in workspace.ledger.entries(name):
            for ref in (ref for ref in entry.files if ref.kind == "map"):
                table = read_table(workspace.storage, ref, ["id", "token_start", "token_end"])
                table = table.filter(pc.is_in(table.column("id"), ids))
                lengths = pc.subtract(table.column("token_end"), table.column("token_start"))
                tokens += int(np.sum(lengths.to_numpy()))
                drawn.append(table.column("id").combine_chunks())
        number = len(pc.unique(pa.concat_arrays([pa.array([], ID), *drawn])))
        if number:
            folder = name.removeprefix("shards.")
            plan = f"{folder.partition('@')[0]}@{workspace.ledger.payload(name)['plan'][:8]}"
            held[f"shards/{folder}"] = Drawn(plan, number, tokens)
    return held
