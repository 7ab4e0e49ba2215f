"""What the ledger of erasures says, for the audit, for traces and for repairs."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.erasure.swap import is_unfinished
from pipelines.workspace.ledger import ERASED, Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import ERASED_KIND, ERASURES
from pipelines.workspace.workspace import Workspace

_KINDS: Final = ("extract", "synthesize")


def erasure_notes(workspace: Workspace) -> Iterator[str]:
    """One line for each erasure, and one where the last was interrupted."""
    for entry in workspace.ledger.entries(ERASURES):
        counts, why = entry.counts, entry.detail["why"]
        yield (
            f"erasure {entry.part} of {entry.detail['at']}: {counts['documents']:,} documents and "
            f"{counts['records']:,} records of archives, {counts['files']:,} files written again"
            + (f" ({why})" if why else "")
        )
    if is_unfinished(workspace.storage):
        yield "an erasure was interrupted; give `tokenmill erase WORKSPACE --yes` again"


def erased_at(workspace: Workspace, id_: bytes) -> str | None:
    """When a document was erased, ISO 8601 in UTC; None where it was not."""
    wanted = pa.scalar(id_, ID)
    for entry in workspace.ledger.entries(ERASURES):
        ids = read_table(workspace.storage, entry.file(ERASED_KIND), ["id"]).column("id")
        if pc.any(pc.equal(ids, wanted)).as_py():
            return str(entry.detail["at"])
    return None


def refuse_erased(workspace: Workspace, entry: Entry) -> str | None:
    """Why a part cannot be made again with the same bytes: something of it was erased.

    Args:
        workspace: Where it is.
        entry: That is to be taken back; as `pipelines.workspace.repair.Refusal` asks.
    """
    if ERASED not in entry.detail:
        return None
    return "an erasure wrote it anew; restore it from a copy made after that"
