"""Exact copies and labels without Beam: what a partition commits, and what a part commits.

First every document's signature goes to the partition of its hash, and each partition commits its
clusters as one file. Then the distinct texts are searched for near-duplicates (`near_job`). At last
every part takes its decisions from the files of both and commits row-aligned labels. Keeping the
clusters on disk in between lets a killed run go on where it was, and lets each shuffle run in
passes that fit into memory.

Equations: members over all partitions = documents over all parts; rows of a labels part = rows of
its documents part.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.deduplicate.clusters import merge_near
from pipelines.deduplicate.exact import DECISION, LABELS, find_clusters, labels_of
from pipelines.deduplicate.plan import JOB, DuplicatesPlan
from pipelines.workspace.jobs import METER, PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, labels_folder, read_table
from pipelines.workspace.workspace import Workspace


def commit_partition(
    workspace: Workspace, plan: DuplicatesPlan, partition: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Finds and commits the clusters of one partition."""
    watch, generation = Stopwatch(), plan.clusters
    rows = pa.Table.from_batches(batches)
    decisions = find_clusters(rows)
    with PartFile(workspace.storage, DECISION) as file:
        for batch in decisions.to_batches(max_chunksize=1 << 16):
            file.write(batch)
        ref = file.publish("clusters", f"clusters/{generation.name}", partition)
    roles = {
        name: pc.sum(pc.equal(decisions.column("duplicate_role"), name)).as_py() or 0
        for name in ("representative", "duplicate", "repeated_record")
    }
    counts = {"members": rows.num_rows, **roles}
    key = PartKey(PARTITIONS, partition)
    workspace.ledger.commit(entry_of(generation, key, files=(ref,), counts=counts, watch=watch))


def decisions_for(
    workspace: Workspace, plan: DuplicatesPlan, partition: int, keys: Sequence[PartKey]
) -> list[tuple[PartKey, pa.RecordBatch]]:
    """What one partition of text hashes decided about some parts, by exact copies and near ones."""
    ref = workspace.ledger.get(plan.clusters, PARTITIONS, partition).file("clusters")
    wanted = {(plan.sources.index(key.source), key.part): key for key in keys}
    numbers = sorted(number for number, _ in wanted)
    with workspace.storage.open(ref.path) as opened:
        # Row groups are sorted by source and part: those outside the range are not read.
        table = pq.read_table(
            opened, filters=[("source", ">=", numbers[0]), ("source", "<=", numbers[-1])]
        )
    if plan.near is not None:
        near = workspace.ledger.get(plan.near.stars, PARTITIONS, partition).file("near")
        table = merge_near(table, read_table(workspace.storage, near))
        order = [("source", "ascending"), ("part", "ascending"), ("row", "ascending")]
        table = table.sort_by(order)
    found = []
    for place, batch in _by_place(table):
        if place in wanted:
            found.append((wanted[place], batch))
    return found


def _by_place(table: pa.Table) -> list[tuple[tuple[int, int], pa.RecordBatch]]:
    if table.num_rows == 0:
        return []
    source, part = table.column("source").to_numpy(), table.column("part").to_numpy()
    changes = (source[1:] != source[:-1]) | (part[1:] != part[:-1])
    starts = np.flatnonzero(np.r_[True, changes])
    ends = np.r_[starts[1:], table.num_rows]
    return [
        ((int(source[a]), int(part[a])), table.slice(a, b - a).combine_chunks().to_batches()[0])
        for a, b in zip(starts, ends, strict=True)
    ]


def commit_labels(
    workspace: Workspace, plan: DuplicatesPlan, key: PartKey, decisions: Sequence[pa.RecordBatch]
) -> None:
    """Writes the `duplicates` labels of one part."""
    watch, generation = Stopwatch(), plan.labels
    signatures = workspace.ledger.get(plan.signatures[key.source], key.source, key.part)
    ids = read_table(workspace.storage, signatures.file("labels"), ["id"]).column("id")
    labels = labels_of(ids.combine_chunks(), pa.Table.from_batches(decisions, schema=DECISION))
    with PartFile(workspace.storage, LABELS) as file:
        file.write(labels)
        folder = labels_folder("duplicates", generation.fp, key.source)
        ref = file.publish("labels", folder, key.part)
    METER.add(JOB, len(ids))
    METER.add(f"{JOB}.parts", 1)
    roles = pc.value_counts(labels.column("duplicate_role")).to_pylist()
    counts = {"documents": len(ids), "rows": ref.rows}
    counts |= {f"role.{item['values']}": item["counts"] for item in roles}
    workspace.ledger.commit(
        entry_of(
            generation, key, files=(ref,), counts=counts, watch=watch, inputs=signatures.inputs
        )
    )
