"""Exact duplicates: rows of equal text hash form a cluster.

Which row represents a cluster depends on the rows alone, never on the order in which they arrive:
the smallest document id, then the first place (source, part, row). A row with the id of its
predecessor is the same record met twice, and must never be drawn; a row with another id is a
duplicate, and the mixture decides.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ALONE: Final = "alone"
REPRESENTATIVE: Final = "representative"
DUPLICATE: Final = "duplicate"
REPEATED_RECORD: Final = "repeated_record"

_KEY: Final = pa.binary(16)
MEMBER: Final = pa.schema(
    [
        pa.field("text_hash", _KEY, nullable=False),
        pa.field("id", _KEY, nullable=False),
        pa.field("source", pa.int32(), nullable=False),  # position of the source in the run
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
"""What is shuffled: 48 bytes a document."""

DECISION: Final = pa.schema(
    [
        pa.field("source", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("cluster", _KEY, nullable=False),  # id of the representative
        pa.field("cluster_size", pa.int64(), nullable=False),  # rows, the representative included
        pa.field("duplicate_role", pa.string(), nullable=False),
        pa.field("jaccard", pa.float32(), nullable=False),  # with the representative
    ]
)
"""One row for each member of a cluster of two or more, by place."""

LABELS: Final = pa.schema(
    [
        pa.field("id", _KEY, nullable=False),
        pa.field("cluster", _KEY),  # null when alone
        pa.field("cluster_size", pa.int64(), nullable=False),
        pa.field("duplicate_role", pa.string(), nullable=False),
        pa.field("jaccard", pa.float32()),  # with the representative; null when alone
    ]
)
"""The `duplicates` labels set."""


def partition_of(hashes: pa.FixedSizeBinaryArray, num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each hash, int64[n] in [0, num_partitions): equal hashes share one."""
    first = key_words(hashes)[:, 0]
    return (first % np.uint64(num_partitions)).astype(np.int64)


def members(signatures: pa.Table, source: int, part: int) -> pa.RecordBatch:
    """What one part sends into the shuffle.

    Args:
        signatures: Columns `id` and `text_hash`; where the hash is null, because the annotator
            failed, the id stands for it, so that such a text equals only its own record.
        source: Position of the source in the run.
        part: Number of the part.
    """
    n = signatures.num_rows
    ids = signatures.column("id").combine_chunks().cast(_KEY)
    hashes = signatures.column("text_hash").combine_chunks().cast(_KEY)
    return pa.RecordBatch.from_arrays(
        [
            pc.coalesce(hashes, ids),
            ids,
            pa.array(np.full(n, source, np.int32)),
            pa.array(np.full(n, part, np.int32)),
            pa.array(np.arange(n, dtype=np.int64)),
        ],
        schema=MEMBER,
    )


def find_clusters(rows: pa.Table) -> pa.Table:
    """Decides about all rows of one partition.

    Args:
        rows: MEMBER rows in any order, all rows of every hash that occurs.

    Returns:
        DECISION rows of the clusters of two or more, sorted by source, part and row.
    """
    table = rows.combine_chunks()
    if table.num_rows == 0:
        return DECISION.empty_table()
    order = _order(table)
    hashes, ids = key_words(table.column("text_hash"))[order], key_words(table.column("id"))[order]
    starts = np.flatnonzero(np.r_[True, (hashes[1:] != hashes[:-1]).any(axis=1)])
    sizes = np.diff(np.r_[starts, len(order)])
    size = np.repeat(sizes, sizes)
    first = np.repeat(starts, sizes)
    same_record = np.r_[False, (ids[1:] == ids[:-1]).all(axis=1)] & (first != np.arange(len(order)))
    role = np.where(same_record, REPEATED_RECORD, DUPLICATE)
    role[starts] = REPRESENTATIVE
    member = np.flatnonzero(size > 1)
    by_row = table.take(pa.array(order[member]))
    decided = pa.table(
        [
            by_row.column("source"),
            by_row.column("part"),
            by_row.column("row"),
            table.column("id").take(pa.array(order[first[member]])),
            pa.array(size[member]),
            pa.array(role[member].tolist(), pa.string()),
            np.ones(len(member), np.float32),
        ],
        schema=DECISION,
    )
    return decided.sort_by([("source", "ascending"), ("part", "ascending"), ("row", "ascending")])


def labels_of(ids: pa.Array, decisions: pa.Table) -> pa.RecordBatch:
    """The labels part of one documents part.

    Args:
        ids: Document ids of the part, in order.
        decisions: DECISION rows of this part, in any order.

    Returns:
        LABELS rows aligned with `ids`.
    """
    n = len(ids)
    where = np.full(n, -1, np.int64)
    where[decisions.column("row").to_numpy()] = np.arange(decisions.num_rows)
    found = pa.array(where, mask=where < 0)
    picked = decisions.combine_chunks().take(found)
    role = picked.column("duplicate_role").combine_chunks().fill_null(ALONE)
    return pa.RecordBatch.from_arrays(
        [
            ids,
            picked.column("cluster").combine_chunks(),
            picked.column("cluster_size").combine_chunks().fill_null(1),
            role,
            picked.column("jaccard").combine_chunks(),
        ],
        schema=LABELS,
    )


def _order(table: pa.Table) -> npt.NDArray[np.int64]:
    """Rows by hash, id and place; np.lexsort takes the last key as the first."""
    hashes, ids = key_words(table.column("text_hash")), key_words(table.column("id"))
    place = [table.column(name).to_numpy() for name in ("row", "part", "source")]
    return np.lexsort([*place, ids[:, 1], ids[:, 0], hashes[:, 1], hashes[:, 0]])


def key_words(keys: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """uint64[n, 2] of 16-byte keys, in the byte order in which they sort as bytes."""
    array = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    data = np.frombuffer(array.buffers()[1], dtype=">u8")
    start = 2 * array.offset
    return data[start : start + 2 * len(array)].reshape(-1, 2).astype(np.uint64)
