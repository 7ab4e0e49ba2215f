"""What a workspace still holds of what was taken down, so that a person can remove it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import Takedowns
from pipelines.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Holdings:
    """Documents, and draws of them in shards."""

    documents: Mapping[str, int]
    """`source (extract@fp)` -> documents, where there are any."""
    shards: Mapping[str, "Drawn"]
    """Folder of shards -> what of them it holds."""


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
        return Holdings({}, {})
    documents: dict[str, int] = {}
    found: list[pa.Array] = []
    ledger = workspace.ledger
    generations = ledger.generations()
    for name in (name for name in generations if name.startswith("extract@")):
        for entry in ledger.entries(name):
            table = read_table(workspace.storage, entry.file("documents"), ["id", "uri"])
            marked = takedowns.cover(table.column("uri"))
            if marked.true_count:
                label = f"{entry.source} ({name})"
                documents[label] = documents.get(label, 0) + marked.true_count
                found.append(table.column("id").combine_chunks().filter(marked))
    ids = pc.unique(pa.concat_arrays([pa.array([], ID), *found]))
    return Holdings(documents, _in_shards(workspace, generations, ids) if len(ids) else {})


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
