"""The texts job: which documents of a part are held out, and their texts.

Equation: documents = held out + others + failed. A text whose hash could not be computed (its child
process died three times) is not trained on either: it keeps a row without text, and is listed among
the rejects.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.validation.plan import JOB, ValidationPlan
from pipelines.validation.roots import is_validation, root_hash_of
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import (
    PartFile,
    batch_of,
    read_batches,
    read_table,
    rejects_folder,
)
from pipelines.workspace.schema import ID, REJECT
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

TEXTS: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", ID, nullable=False),
        pa.field("cluster", ID),  # of the duplicates; null when alone
        pa.field("root", ID),  # hash of its root ancestor; null where it could not be computed ...
        pa.field("text", pa.large_string()),  # ... and then this is null too
    ]
)
"""One row for each held-out document of a part, and for each that failed."""

_HASHED: Final = pa.schema(
    [
        pa.field("chosen", pa.bool_(), nullable=False),
        pa.field("id", ID, nullable=False),
        pa.field("root", ID),
        pa.field("text", pa.large_string()),
        pa.field("failed", pa.string()),  # reason and message
    ]
)
BATCH_ROWS: Final = 512
"""Documents that go to a child process at a time; of long texts fewer."""
_BATCH_BYTES: Final = 2 << 20


@dataclass(frozen=True)
class TextsJob:
    """Finds the held-out texts of a part."""

    plan: ValidationPlan

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.plan.texts,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Hashes all documents of a part and commits those that are held out."""
        watch, generation, storage = Stopwatch(), self.plan.texts, workspace.storage
        documents = workspace.ledger.get(
            self.plan.documents[key.source], key.source, key.part
        ).file("documents")
        clusters = _clusters(workspace, self.plan, key)
        rejects: list[dict[str, Any]] = []
        first = num_bytes = 0
        with PartFile(storage, TEXTS) as file:
            batches = _with_roots(storage, documents)
            hash_some = functools.partial(hash_rows, share=self.plan.share)
            for hashed in children.map(hash_some, batches, _failed_row):
                rows = first + np.flatnonzero(hashed.column("chosen"))
                chosen = hashed.filter(hashed.column("chosen"))
                columns = [rows, chosen["id"], clusters.take(pa.array(rows))]
                columns += [chosen["root"], chosen["text"]]
                file.write(pa.RecordBatch.from_arrays([_array(c) for c in columns], schema=TEXTS))
                rejects += rejected(chosen)
                num_bytes += pc.sum(pc.binary_length(chosen["text"])).as_py() or 0
                first += hashed.num_rows
                METER.add(JOB, hashed.num_rows)
            folder = f"validation/{generation.name}/{key.source}"
            files = [file.publish("texts", folder, key.part)]
        files += publish_rejects(storage, generation, key, rejects)
        held_out = files[0].rows - len(rejects)
        counts = {"documents": first, "held_out": held_out, "failed": len(rejects)}
        counts |= {"others": first - files[0].rows, "text_bytes": num_bytes}
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=tuple(files),
                counts=counts,
                watch=watch,
                inputs=(documents.path,),
            )
        )


def hash_rows(batch: pa.RecordBatch, *, share: float) -> pa.RecordBatch:
    """Says of each document whether it is held out; runs in a child process.

    Args:
        batch: `id`, `text` and `root`, which is null where a document is its own.
        share: Part of all texts that is.

    Returns:
        Rows of `id`, `chosen`, `root`, and the `text` of those chosen.
    """
    roots = root_hash_of(batch["text"], batch["root"])
    chosen = pa.array(is_validation(roots, share))
    texts = pc.if_else(chosen, batch["text"], pa.scalar(None, pa.large_string()))
    failed = pa.nulls(batch.num_rows, pa.string())
    columns = [chosen, batch["id"], roots, texts, failed]
    return pa.RecordBatch.from_arrays(columns, schema=_HASHED)


def _failed_row(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    row = {"chosen": True, "id": record["id"][0].as_py(), "failed": f"{reason}\n{message}"}
    return batch_of([row], _HASHED)


def rejected(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """REJECT rows of those that `failed`: reason, a line break, message."""
    found = []
    for row in rows.select(["id", "failed"]).filter(pc.is_valid(rows["failed"])).to_pylist():
        reason, _, message = row["failed"].partition("\n")
        found.append({"id": row["id"], "locator": {}, "reason": reason, "message": message})
    return found


def publish_rejects(
    storage: Storage, generation: Generation, key: PartKey, rejects: list[dict[str, Any]]
) -> list[FileRef]:
    """A part of rejects, where there are any."""
    if not rejects:
        return []
    with PartFile(storage, REJECT) as file:
        file.write(batch_of(rejects, REJECT))
        folder = rejects_folder(generation.job, generation.fp, key.source)
        return [file.publish("rejects", folder, key.part)]


def cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halves a batch until it is of a size for a child, or one row."""
    if batch.num_rows <= 1 or batch.nbytes <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from cut(batch.slice(0, half))
    yield from cut(batch.slice(half))


def read_documents(
    storage: Storage, documents: FileRef, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Rows of a documents part."""
    yield from read_batches(storage, documents, columns, batch_rows=BATCH_ROWS)


def texts_entries(workspace: Workspace, plan: ValidationPlan) -> Sequence[Entry]:
    """What all parts hold out."""
    return workspace.ledger.entries(plan.texts)


def _with_roots(storage: Storage, documents: FileRef) -> Iterator[pa.RecordBatch]:
    for batch in read_documents(storage, documents, ["id", "text", "provenance.root"]):
        roots = pc.struct_field(batch["provenance"], "root")
        columns = {"id": batch["id"], "text": batch["text"], "root": roots}
        yield from cut(pa.RecordBatch.from_pydict(columns))


def _clusters(workspace: Workspace, plan: ValidationPlan, key: PartKey) -> pa.Array:
    labels = workspace.ledger.get(plan.duplicates, key.source, key.part).file("labels")
    clusters: pa.Array = read_table(workspace.storage, labels, ["cluster"])["cluster"]
    return clusters.combine_chunks()


def _array(values: object) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)
