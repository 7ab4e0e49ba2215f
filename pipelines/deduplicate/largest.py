"""The largest clusters as a person judges them: their size, why they are one, how they begin.

A wrong cluster shows here first: near-duplicates of pages that share a template make the largest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.alarms import cluster_levels, largest_clusters
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.report.rows import document_rows
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

_MAX_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeCluster:
    """One of the largest clusters."""

    id: str
    """Of its representative, in hex digits."""
    size: int
    levels: Mapping[str, int]
    """Level (bytes, text, near), or repeated_record -> members; the representative has none."""
    beginning: str
    """Of the text of its representative, on one line, at most 200 characters."""


def largest_with_texts(workspace: Workspace, plan: DuplicatesPlan, most: int) -> list[LargeCluster]:
    """The largest clusters of all labels, the largest first; nothing where there is no cluster.

    Reads three columns of every part of the labels, and the texts of the representatives.

    Args:
        workspace: Where the labels are, all of them committed.
        plan: What was deduplicated.
        most: Clusters at most.
    """
    clusters = largest_clusters(workspace, plan)[:most]
    if not clusters:
        return []
    levels = cluster_levels(workspace, plan, clusters)
    texts = _beginnings(workspace, plan, {one.id for one in clusters})
    return [
        LargeCluster(id=one.id, size=one.size, levels=levels[one.id], beginning=texts[one.id])
        for one in clusters
    ]


def document_at(workspace: Workspace, entry: Entry, row: int) -> tuple[Entry, dict[str, Any]]:
    """(entry of the documents, document with its whole text) of a row of `duplicates` labels."""
    (path,) = entry.inputs
    fp = path.split("/")[1].rpartition("@")[2]
    names = [name for name in workspace.ledger.generations() if name.endswith(f"@{fp}")]
    held = (workspace.ledger.find(name, entry.source, entry.part) for name in names)
    made = next(one for one in held if one is not None and path in {r.path for r in one.files})
    ((_, document),) = document_rows(workspace, made.file("documents"), [row])
    return made, document


def _beginnings(workspace: Workspace, plan: DuplicatesPlan, ids: set[str]) -> dict[str, str]:
    """Id -> beginning of its text; only the parts that name such a cluster are read."""
    found: dict[str, str] = {}
    for entry in workspace.ledger.entries(plan.labels):
        for id_ in ids.intersection(id_ for id_, _ in entry.detail["largest"]):
            column = read_table(workspace.storage, entry.file("labels"), ["id"]).column("id")
            row = pc.index(column, pa.scalar(bytes.fromhex(id_), pa.binary(16))).as_py()
            _, document = document_at(workspace, entry, row)
            # 4 characters of white space for each that stays are enough for any text to be read.
            found[id_] = " ".join(document["text"][: 4 * _MAX_CHARACTERS].split())[:_MAX_CHARACTERS]
    return found
