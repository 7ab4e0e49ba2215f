"""Copies of what is forgotten: exact and near duplicates under addresses of their own."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.run_record import read_run_record
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.workspace import Workspace

_JOB: Final = "deduplicate@"
_COLUMNS: Final = ["id", "cluster"]


@dataclass(frozen=True, slots=True)
class Copies:
    """Documents that say the same as forgotten ones and are not forgotten themselves."""

    ids: tuple[str, ...]
    """32 hexadecimal digits each, sorted."""
    stood_for: int
    """Of those, copies that a forgotten document stands for: plans draw the one, and so neither."""


def find_copies(
    workspace: Workspace,
    ids: pa.FixedSizeBinaryArray,
    forgotten: pa.FixedSizeBinaryArray | None = None,
) -> Copies:
    """Looks for copies by the clusters of the last run, else of all that were ever made.

    Args:
        workspace: Where to look.
        ids: fixed_size_binary(16)[n], of what copies are looked for.
        forgotten: fixed_size_binary(16)[m], all that is forgotten; `ids`, where None.
    """
    forgotten = ids if forgotten is None else forgotten
    tables = [
        read_table(workspace.storage, entry.file("labels"), _COLUMNS)
        for name in _generations(workspace)
        for entry in workspace.ledger.entries(name)
    ]
    if not tables or not len(ids):
        return Copies((), 0)
    table = pa.concat_tables(tables)
    clustered = table.filter(pc.is_valid(table.column("cluster")))
    wanted = clustered.column("cluster").filter(pc.is_in(clustered.column("id"), ids))
    is_known = pc.is_in(clustered.column("id"), forgotten)
    among = pc.and_not(pc.is_in(clustered.column("cluster"), pc.unique(wanted).cast(ID)), is_known)
    copies = clustered.filter(among)
    stood_for = copies.filter(pc.is_in(copies.column("cluster"), forgotten))
    return Copies(
        tuple(sorted({id_.hex() for id_ in copies.column("id").to_pylist()})),
        len(pc.unique(stood_for.column("id"))),
    )


def _generations(workspace: Workspace) -> list[str]:
    try:
        return [read_run_record(workspace).duplicates]
    except LookupError:
        return [name for name in workspace.ledger.generations() if name.startswith(_JOB)]
