"""The work of both levels without Beam: what a part commits, and what a partition of keys.

1. Keys, by part: those of its documents that are counted.
2. Shared keys, by partition: those that enough documents hold. Each goes back to the parts that
   sent it. `repeats` does both twice: the shared guards say of which windows keys are needed.
3. Labels, by part: spans, from the texts and the shared keys of the part.

Copies of one text count once. Boilerplate is counted over texts that equal no other (alone,
representative, near_duplicate) and looked for in all; repeats are looked for among the texts that
stay (alone, representative), since a near-duplicate is a repeat as a whole.

Every step asks the ledger for what was made before it and commits last, so all may be run again.

Equations: documents = counted + left out (of a part's keys); keys of all parts = keys of all
partitions; distinct = shared + rare (of a partition); documents = rows (of labels).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.deduplicate.exact import ALONE, REPRESENTATIVE
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.repeats.boilerplate import boilerplate_spans, passage_keys
from pipelines.repeats.counting import (
    KEY,
    SENT,
    SENT_BYTES,
    DocumentKeys,
    PartKeys,
    SharedKeys,
    count_keys,
    id_numbers,
    key_range,
    partition_of,
    runs_of,
)
from pipelines.repeats.plan import (
    BOILERPLATE,
    GUARDS,
    LABEL_SCHEMAS,
    PASSAGES,
    REPEATS,
    WINDOWS,
    RepeatsPlan,
)
from pipelines.repeats.spans import labels_of
from pipelines.repeats.stretches import guard_keys, repeat_spans, window_keys
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, labels_folder, open_part, read_batches, read_table
from pipelines.workspace.workspace import Workspace

COUNTED_ROLES: Final = {
    BOILERPLATE: (ALONE, REPRESENTATIVE, NEAR_DUPLICATE),
    REPEATS: (ALONE, REPRESENTATIVE),
}
"""Duplicate roles of the documents that are counted, by level."""

_BATCH_ROWS: Final = 1 << 10  # documents whose passages or windows are in memory at a time
_ROWS: Final = 1 << 18  # of a batch of keys in a file


def documents_of(workspace: Workspace, plan: RepeatsPlan, key: PartKey) -> Iterator[pa.RecordBatch]:
    """The documents of a part: `id`, `text`, `host` and `is_counted`.

    Raises:
        OSError: The labels are not aligned with the documents.
    """
    storage, ledger = workspace.storage, workspace.ledger
    file = ledger.get(plan.documents[key.source], key.source, key.part).file("documents")
    labels = ledger.get(plan.duplicates, key.source, key.part).file("labels")
    roles = read_table(storage, labels, ["duplicate_role"]).column(0).combine_chunks()
    if labels.rows != file.rows:
        raise OSError(f"{labels.path} has {labels.rows} rows, and {file.path} {file.rows}")
    is_counted = pc.is_in(roles, value_set=pa.array(COUNTED_ROLES[plan.level]))
    first = 0
    columns = ["id", "text", "host"]
    for batch in read_batches(storage, file, columns, batch_rows=_BATCH_ROWS):
        yield batch.append_column("is_counted", is_counted.slice(first, batch.num_rows))
        first += batch.num_rows


@dataclass(frozen=True)
class CollectKeys:
    """The part job that gathers the keys of one part for the first count."""

    plan: RepeatsPlan

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The keys."""
        return (self.plan.countings[0].keys,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the keys; the kernels run here, for nothing of them can hang or crash."""
        commit_keys(workspace, self.plan, 0, key, ())


def commit_keys(
    workspace: Workspace,
    plan: RepeatsPlan,
    number: int,
    key: PartKey,
    returned: Sequence[pa.RecordBatch],
) -> None:
    """Gathers and commits the keys of one part.

    Args:
        workspace: Where it is.
        plan: What is looked for.
        number: Of the count, in `plan.countings`.
        key: The part.
        returned: Shared keys of the count before, KEY rows.
    """
    watch, generation = Stopwatch(), plan.countings[number].keys
    shared, gathered = SharedKeys.of(returned), PartKeys()
    what = generation.job.split(".")[1]
    counts = {"documents": 0, "counted": 0}
    for batch in documents_of(workspace, plan, key):
        is_counted = batch.column("is_counted").to_numpy(zero_copy_only=False)
        counts["documents"] += batch.num_rows
        counts["counted"] += int(is_counted.sum())
        if plan.level == REPEATS:  # copies of boilerplate are labelled too
            batch, is_counted = batch.filter(batch.column("is_counted")), is_counted[is_counted]
        gathered.add(_keys_of(what, batch, shared), id_numbers(batch.column("id")), is_counted)
    table = gathered.table()
    ref = _publish(workspace, table, "keys", f"clusters/{generation.name}/{key.source}", key.part)
    counts["left_out"] = counts["documents"] - counts["counted"]
    counts["keys"] = ref.rows
    workspace.ledger.commit(entry_of(generation, key, files=(ref,), counts=counts, watch=watch))


def _keys_of(what: str, batch: pa.RecordBatch, shared: SharedKeys) -> DocumentKeys:
    texts = batch.column("text")
    if what == PASSAGES:
        return passage_keys(texts, batch.column("host"))
    if what == GUARDS:
        return guard_keys(texts)
    assert what == WINDOWS
    return window_keys(texts, shared)


def keys_to_send(
    workspace: Workspace,
    plan: RepeatsPlan,
    number: int,
    key: PartKey,
    partitions: Sequence[int],
    max_bytes: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """What one part sends to some consecutive partitions.

    Yields:
        A partition, and SENT rows of at most so many bytes.
    """
    counting = plan.countings[number]
    ref = workspace.ledger.get(counting.keys, key.source, key.part).file("keys")
    low, high = (
        pa.scalar(one, pa.uint64()) for one in key_range(partitions, counting.num_partitions)
    )
    with open_part(workspace.storage, ref) as opened:
        # Row groups are sorted by key: those outside the range are not read.
        table = pq.read_table(opened, filters=(pc.field("key") >= low) & (pc.field("key") <= high))
    sender = np.full(table.num_rows, plan.parts.index(key), np.int32)
    table = table.append_column(SENT.field("sender"), pa.array(sender))
    for batch in table.to_batches(max_chunksize=_ROWS):
        target = partition_of(batch.column("key").to_numpy(), counting.num_partitions)
        yield from runs_of(batch, target, max_bytes // SENT_BYTES)


def commit_shared(
    workspace: Workspace,
    plan: RepeatsPlan,
    number: int,
    partition: int,
    batches: Sequence[pa.RecordBatch],
) -> None:
    """Counts and commits the keys of one partition.

    Args:
        workspace: Where it is.
        plan: What is looked for.
        number: Of the count, in `plan.countings`.
        partition: Of its keys.
        batches: SENT rows, all of this partition.
    """
    watch, counting = Stopwatch(), plan.countings[number]
    rows = pa.Table.from_batches(batches, schema=SENT)
    found = count_keys(rows, counting.min_documents)
    ref = _publish(workspace, found.shared, "shared", f"clusters/{counting.shared.name}", partition)
    counts = {
        "keys": rows.num_rows,
        "distinct": found.num_distinct,
        "shared": found.num_shared,
        "rare": found.num_distinct - found.num_shared,
        "returned": ref.rows,
    }
    key = PartKey(PARTITIONS, partition)
    workspace.ledger.commit(
        entry_of(counting.shared, key, files=(ref,), counts=counts, watch=watch)
    )


def keys_to_return(
    workspace: Workspace, plan: RepeatsPlan, number: int, partition: int, max_bytes: int
) -> Iterator[tuple[PartKey, pa.RecordBatch]]:
    """What one partition gives back.

    Yields:
        A part, and KEY rows that it sent, of at most so many bytes.
    """
    ref = workspace.ledger.get(plan.countings[number].shared, PARTITIONS, partition).file("shared")
    for batch in read_batches(workspace.storage, ref, batch_rows=_ROWS):
        senders = batch.column("sender").to_numpy().astype(np.int64)
        for sender, rows in runs_of(batch.select(KEY.names), senders, max_bytes // SENT_BYTES):
            yield plan.parts[sender], rows


def commit_labels(
    workspace: Workspace, plan: RepeatsPlan, key: PartKey, returned: Sequence[pa.RecordBatch]
) -> None:
    """Writes the labels of one part.

    Args:
        workspace: Where it is.
        plan: What is looked for.
        key: The part.
        returned: Shared keys of the last count, KEY rows.
    """
    watch, generation, level = Stopwatch(), plan.labels, plan.level
    shared = SharedKeys.of(returned)
    documents = workspace.ledger.get(plan.documents[key.source], key.source, key.part)
    names = ("documents", "labelled", "spans", "span_bytes", "text_bytes")
    counts = dict.fromkeys(names, 0)
    with PartFile(workspace.storage, LABEL_SCHEMAS[level]) as file:
        for batch in documents_of(workspace, plan, key):
            labels, num_bytes = _labels_of(level, batch, shared)
            file.write(labels)
            lists = labels.column(level)
            spans = lists.flatten()
            held = pc.subtract(pc.struct_field(spans, "end"), pc.struct_field(spans, "start"))
            counts["documents"] += batch.num_rows
            counts["labelled"] += pc.sum(pc.greater(pc.list_value_length(lists), 0)).as_py() or 0
            counts["spans"] += len(spans)
            counts["span_bytes"] += pc.sum(held).as_py() or 0
            counts["text_bytes"] += int(num_bytes.sum())
            METER.add(f"{level}_labels", batch.num_rows)
        folder = labels_folder(level, generation.fp, key.source)
        ref = file.publish("labels", folder, key.part)
    METER.add(f"{level}_labels.parts", 1)
    counts["rows"] = ref.rows
    inputs = (documents.file("documents").path,)
    workspace.ledger.commit(
        entry_of(generation, key, files=(ref,), counts=counts, watch=watch, inputs=inputs)
    )


def _labels_of(
    level: str, batch: pa.RecordBatch, shared: SharedKeys
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """LABEL_SCHEMAS rows of some documents, and the bytes of their texts."""
    texts = batch.column("text")
    num_bytes = pc.binary_length(texts).to_numpy()
    if level == BOILERPLATE:
        spans = boilerplate_spans(texts, batch.column("host"), shared)
    else:
        rows = np.flatnonzero(batch.column("is_counted").to_numpy(zero_copy_only=False))
        some = batch.take(pa.array(rows))
        spans = repeat_spans(some.column("text"), id_numbers(some.column("id")), shared)
        spans = spans._replace(rows=rows[spans.rows])
    return labels_of(level, batch.column("id"), num_bytes, spans), num_bytes


def _publish(workspace: Workspace, table: pa.Table, kind: str, folder: str, part: int) -> FileRef:
    with PartFile(workspace.storage, table.schema) as file:
        for batch in table.combine_chunks().to_batches(max_chunksize=_ROWS):
            file.write(batch)
        return file.publish(kind, folder, part)


def forget_keys(workspace: Workspace, plan: RepeatsPlan) -> None:
    """Deletes the keys of the parts, which are as large as the texts' files, once labels are made.

    What the last count found stays, for the audit. In an order that is safe to interrupt: first
    the ledger entries, so that no reader opens the files any more.
    """
    ledger, storage = workspace.ledger, workspace.storage
    kept = plan.countings[-1].shared, plan.labels
    for generation in plan.generations:
        if generation in kept:
            continue
        paths = ledger.entry_files(generation.name)
        files = [ref.path for entry in ledger.entries(generation) for ref in entry.files]
        fold = f"ledger/{generation.name}/folded.parquet"
        for path in (fold, *paths, *files):
            if storage.exists(path):  # another driver may do the same
                storage.remove(path)
