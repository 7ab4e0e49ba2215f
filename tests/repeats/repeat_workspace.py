"""A workspace with documents and `duplicates` labels, and the whole search over it.

Both are written here as the jobs before commit them, so that tests choose hosts, texts and roles.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.repeats.plan import LABEL_SCHEMAS, RepeatsPlan, plan_repeats
from pipelines.repeats.transform import steps
from pipelines.run import run_transform
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import (
    PartFile,
    batch_of,
    documents_folder,
    labels_folder,
    read_table,
)
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)
DUPLICATES = Generation(job="deduplicate", payload={"what": "by hand"})
ROLES = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("duplicate_role", pa.string(), nullable=False),
    ]
)


class Row(NamedTuple):
    """A document."""

    id: bytes
    text: str
    host: str | None
    role: str


Documents = Mapping[PartKey, Sequence[Row]]


def extract_of(source: str) -> Generation:
    return Generation(job="extract", payload={"source": source})


def written(folder: Path, documents: Documents) -> Workspace:
    """Commits documents and their roles."""
    workspace = Workspace.create(str(folder))
    for key, rows in documents.items():
        extract = extract_of(key.source)
        table = batch_of([_document(key.source, row) for row in rows], DOCUMENT)
        ref = _publish(workspace, table, "documents", documents_folder(key.source, extract.fp), key)
        _commit(workspace, extract, key, ref, {"records": len(rows), "documents": len(rows)})
        roles = batch_of([{"id": row.id, "duplicate_role": row.role} for row in rows], ROLES)
        place = labels_folder("duplicates", DUPLICATES.fp, key.source)
        labels = _publish(workspace, roles, "labels", place, key)
        tally = Counter(f"role.{row.role}" for row in rows)
        counts = {"documents": len(rows), "rows": len(rows), **tally}
        _commit(workspace, DUPLICATES, key, labels, counts, inputs=(ref.path,))
    return workspace


def _document(source: str, row: Row) -> dict[str, Any]:
    known = {"id": row.id, "text": row.text, "host": row.host, "source": source}
    return known | {"extractor": "by hand", "locator": {}, "provenance": {"kind": "natural"}}


def _publish(
    workspace: Workspace, batch: pa.RecordBatch, kind: str, folder: str, key: PartKey
) -> FileRef:
    with PartFile(workspace.storage, batch.schema) as file:
        file.write(batch)
        return file.publish(kind, folder, key.part)


def _commit(
    workspace: Workspace,
    generation: Generation,
    key: PartKey,
    ref: FileRef,
    counts: dict[str, int],
    inputs: tuple[str, ...] = (),
) -> None:
    watch = Stopwatch()
    entry = entry_of(generation, key, files=(ref,), counts=counts, watch=watch, inputs=inputs)
    workspace.ledger.declare(generation)
    workspace.ledger.commit(entry)


def plan_of(workspace: Workspace, documents: Documents, level: str) -> RepeatsPlan:
    extract = {key.source: extract_of(key.source) for key in documents}
    plan = plan_repeats(workspace, level, extract, DUPLICATES, sorted(documents))
    for generation in plan.generations:
        workspace.ledger.declare(generation)
    return plan


def search(
    workspace: Workspace, documents: Documents, level: str, memory_bytes: int = 1 << 30
) -> RepeatsPlan:
    """Runs all that is missing, as the driver does."""
    plan = plan_of(workspace, documents, level)
    for transform in steps(workspace, plan, sorted(documents), LIMITS, memory_bytes):
        run_transform(transform, ())
    return plan


def labels(workspace: Workspace, plan: RepeatsPlan) -> dict[PartKey, list[Any]]:
    """The spans of each row, by part."""
    found = {}
    for entry in workspace.ledger.entries(plan.labels):
        table = read_table(workspace.storage, entry.file("labels"))
        assert table.schema == LABEL_SCHEMAS[plan.level]
        found[PartKey(entry.source, entry.part)] = table.column(plan.level).to_pylist()
    return found
