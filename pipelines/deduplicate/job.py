"""Exact copies and labels without Beam: what a partition commits, and what a part commits.

First every document's signature goes to the partition of its hash, and its address to that of the
hash of that, and each partition commits its clusters. Then the distinct texts are searched for
near-duplicates (`pipelines.near_duplicates.job`). At last every part takes its decisions from the
files of all and commits row-aligned labels, each set with an entry of its own. Keeping the clusters
on disk in between lets a killed run go on where it was, and lets each shuffle run in passes that
fit into memory.

Equations: members over all partitions = documents over all parts; members of a partition = alone +
representatives + duplicates + repeated records, at each level; rows of a labels part = rows of its
documents part = those of each role.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.deduplicate.clusters import merge_near
from pipelines.deduplicate.exact import (
    ALONE,
    BYTES,
    DECISION,
    DUPLICATE,
    LABEL_SCHEMAS,
    MEMBER,
    NEAR,
    REPEATED_RECORD,
    REPRESENTATIVE,
    TEXT,
    find_byte_clusters,
    find_clusters,
    labels_of,
)
from pipelines.deduplicate.plan import DUPLICATES, EXACT_SETS, JOB, DuplicatesPlan
from pipelines.deduplicate.urls import URL_MEMBER, find_url_clusters
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, labels_folder, open_part, read_table
from pipelines.workspace.workspace import Workspace

SENT: Final = pa.schema([pa.field("labels", pa.int8(), nullable=False), *DECISION])
"""A decision and the labels set that it is for, by its position in `DuplicatesPlan.label_sets`."""

NUM_LARGEST: Final = 10
"""Clusters of a part that its entry names in `detail`, the largest first."""

_CLUSTERS: Final = "clusters"  # the kind of file that near-duplicates read as well
_ROWS: Final = 1 << 16  # of a batch in a file
_ROLES: Final = (REPRESENTATIVE, DUPLICATE, REPEATED_RECORD)
_ORDER: Final = [("source", "ascending"), ("part", "ascending"), ("row", "ascending")]


def commit_partition(
    workspace: Workspace, plan: DuplicatesPlan, partition: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Finds and commits the clusters of one partition of `DuplicatesPlan.all_partitions`.

    Args:
        workspace: Where they go.
        plan: What is deduplicated.
        partition: Of texts, or of addresses.
        batches: All that was sent to it, in any order; empty ones are of no schema.
    """
    watch = Stopwatch()
    is_url = partition >= plan.num_partitions
    schema = URL_MEMBER if is_url else MEMBER
    rows = pa.Table.from_batches([batch for batch in batches if batch.num_rows], schema)
    if is_url:
        generation, number = plan.url_clusters, partition - plan.num_partitions
        levels = {_CLUSTERS: find_url_clusters(rows)}
    else:
        generation, number = plan.clusters, partition
        levels = {_CLUSTERS: find_clusters(rows)}
        if plan.collapse == TEXT:
            levels[BYTES] = find_byte_clusters(rows)
    files, counts = [], {"members": rows.num_rows}
    for kind, table in levels.items():
        is_first = kind == _CLUSTERS
        folder = f"clusters/{generation.name}" + ("" if is_first else f"/{kind}")
        files.append(_publish(workspace, table, kind, folder, number))
        roles = _counted(table.column("duplicate_role"))
        counted = {ALONE: rows.num_rows - table.num_rows} | {n: roles.get(n, 0) for n in _ROLES}
        counts |= {name if is_first else f"{kind}.{name}": n for name, n in counted.items()}
    key = PartKey(PARTITIONS, number)
    made = entry_of(generation, key, files=tuple(files), counts=counts, watch=watch)
    workspace.ledger.commit(made)


def decisions_for(
    workspace: Workspace,
    plan: DuplicatesPlan,
    partition: int,
    keys: Sequence[PartKey],
    sets: Collection[str],
) -> Iterator[tuple[PartKey, pa.RecordBatch]]:
    """What one partition decided about some parts, for some labels sets.

    Args:
        workspace: Where the clusters are.
        plan: What is deduplicated.
        partition: Of `DuplicatesPlan.all_partitions`.
        keys: The parts.
        sets: Names of labels sets.

    Yields:
        A part, and SENT rows of it, of one set.
    """
    wanted = {(plan.sources.index(key.source), key.part): key for key in keys}
    names = list(plan.label_sets)
    for name, table in _decisions(workspace, plan, partition, sets, [*wanted]):
        number = pa.array(np.full(table.num_rows, names.index(name), np.int8))
        sent = pa.table([number, *table.columns], schema=SENT)
        for place, batch in _by_place(sent):
            if place in wanted:
                yield wanted[place], batch


def _decisions(
    workspace: Workspace,
    plan: DuplicatesPlan,
    partition: int,
    sets: Collection[str],
    places: Sequence[tuple[int, int]],
) -> Iterator[tuple[str, pa.Table]]:
    """Labels set and DECISION rows, by place, of some sources at least."""
    if partition >= plan.num_partitions:
        number = partition - plan.num_partitions
        if EXACT_SETS["url"] in sets:
            yield EXACT_SETS["url"], _read(workspace, plan.url_clusters, number, _CLUSTERS, places)
        return
    same_bytes, same_text = EXACT_SETS[BYTES], EXACT_SETS[TEXT]
    if same_bytes in sets:
        kind = BYTES if plan.collapse == TEXT else _CLUSTERS
        yield same_bytes, _read(workspace, plan.clusters, partition, kind, places)
    if not {same_text, DUPLICATES} & set(sets):
        return
    table = _read(workspace, plan.clusters, partition, _CLUSTERS, places)
    if same_text in sets:
        yield same_text, table
    if DUPLICATES in sets:
        if plan.near is not None:
            near = workspace.ledger.get(plan.near.stars, PARTITIONS, partition).file("near")
            table = merge_near(table, read_table(workspace.storage, near)).sort_by(_ORDER)
        yield DUPLICATES, table


def _read(
    workspace: Workspace,
    generation: Generation,
    partition: int,
    kind: str,
    places: Sequence[tuple[int, int]],
) -> pa.Table:
    """Row groups are sorted by source and part: those outside the range are not read."""
    ref = workspace.ledger.get(generation, PARTITIONS, partition).file(kind)
    numbers = sorted(number for number, _ in places)
    with open_part(workspace.storage, ref) as opened:
        return pq.read_table(
            opened,
            filters=[("source", ">=", numbers[0]), ("source", "<=", numbers[-1])],
            page_checksum_verification=True,
        )


def _by_place(table: pa.Table) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
    """(position of the source, part), and its rows; the table is sorted by them."""
    if table.num_rows == 0:
        return
    source, part = table.column("source").to_numpy(), table.column("part").to_numpy()
    changes = (source[1:] != source[:-1]) | (part[1:] != part[:-1])
    starts = np.flatnonzero(np.r_[True, changes])
    ends = np.r_[starts[1:], table.num_rows]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        batch = table.slice(start, end - start).combine_chunks().to_batches()[0]
        yield (int(source[start]), int(part[start])), batch


def commit_labels(
    workspace: Workspace,
    plan: DuplicatesPlan,
    key: PartKey,
    batches: Sequence[pa.RecordBatch],
    sets: Collection[str],
) -> None:
    """Writes those labels sets of one part that it does not have yet.

    Args:
        workspace: Where they go.
        plan: What is deduplicated.
        key: The part.
        batches: SENT rows of it, in any order: all of these sets.
        sets: Names of labels sets.
    """
    ledger = workspace.ledger
    signatures = ledger.get(plan.signatures[key.source], key.source, key.part)
    table = read_table(workspace.storage, signatures.file("labels"), ["id"])
    ids = table.column("id").combine_chunks()
    decisions = pa.Table.from_batches(batches, schema=SENT)
    for number, (name, generation) in enumerate(plan.label_sets.items()):
        if name not in sets or ledger.find(generation, key.source, key.part) is not None:
            continue
        watch = Stopwatch()
        own = decisions.filter(pc.equal(decisions.column("labels"), number)).select(DECISION.names)
        labels = labels_of(ids, own, name)
        folder = labels_folder(name, generation.fp, key.source)
        ref = _publish(workspace, pa.Table.from_batches([labels]), "labels", folder, key.part)
        ledger.commit(
            entry_of(
                generation,
                key,
                files=(ref,),
                counts={"documents": len(ids), "rows": ref.rows, **_label_counts(name, labels)},
                watch=watch,
                detail=_largest(labels) if name == DUPLICATES else {},
                inputs=signatures.inputs,
            )
        )
    METER.add(JOB, len(ids))
    METER.add(f"{JOB}.parts", 1)


def _label_counts(name: str, labels: pa.RecordBatch) -> dict[str, int]:
    """Rows of each role; of `duplicates`, also removed rows of each level."""
    role = labels.column(LABEL_SCHEMAS[name].names[3])
    counts = {f"role.{value}": n for value, n in _counted(role).items()}
    if name == DUPLICATES:
        is_removed = pc.is_in(role, value_set=pa.array([DUPLICATE, NEAR_DUPLICATE]))
        levels = _counted(labels.column("duplicate_level").filter(is_removed))
        counts |= {f"level.{level}": levels.get(level, 0) for level in (BYTES, TEXT, NEAR)}
    return counts


def _largest(labels: pa.RecordBatch) -> dict[str, Any]:
    """The largest clusters whose representative is in a part: [id in hex digits, size] each."""
    heads = labels.filter(pc.equal(labels.column("duplicate_role"), REPRESENTATIVE))
    order = [("cluster_size", "descending"), ("id", "ascending")]
    few = heads.select(["id", "cluster_size"]).take(
        pc.select_k_unstable(heads, k=NUM_LARGEST, sort_keys=order)
    )
    rows = zip(few.column("id").to_pylist(), few.column("cluster_size").to_pylist(), strict=True)
    return {"largest": [[id_.hex(), size] for id_, size in rows]}


def _counted(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Value -> rows, by value."""
    found = pc.value_counts(column).to_pylist()
    return {item["values"]: item["counts"] for item in sorted(found, key=lambda i: i["values"])}


def _publish(workspace: Workspace, table: pa.Table, kind: str, folder: str, part: int) -> FileRef:
    with PartFile(workspace.storage, table.schema) as file:
        for batch in table.to_batches(max_chunksize=_ROWS):
            file.write(batch)
        return file.publish(kind, folder, part)
