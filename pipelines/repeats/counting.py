"""How many documents hold a key, and which is the first of them: the one count behind both levels.

A part sends each of its keys once, with the number of its documents that hold it and the smallest
id among them; documents that do not count, such as copies, ask for theirs with a count of zero. A
partition of keys adds up what all parts sent, keeps the keys that enough documents hold, and gives
each part back those that it sent itself, with the whole count.

Keys of a part are sorted, and a partition is a range of keys, so a pass over some partitions reads
only its share of each part's file. Ids are compared by their first eight bytes: should two share
them, each is the first, and a text is kept twice rather than lost.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.workspace.schema import ID_BYTES

_COUNTED: Final = [
    pa.field("key", pa.uint64(), nullable=False),
    pa.field("documents", pa.int32(), nullable=False),  # that hold it
    pa.field("first_id", pa.uint64(), nullable=False),  # the smallest of their ids, first 8 bytes
]
KEY: Final = pa.schema(_COUNTED)
"""A key of one part, or of all; ascending by key in a file."""

SENT: Final = pa.schema([*_COUNTED, pa.field("sender", pa.int32(), nullable=False)])
"""A key with the position of the part that sent it, or to which it goes back."""

SENT_BYTES: Final = 24
_HALF: Final = np.uint64(32)
_NO_ID: Final = np.uint64(2**64 - 1)
_LARGEST: Final = np.iinfo(np.int32).max


class DocumentKeys(NamedTuple):
    """Keys of some documents."""

    keys: npt.NDArray[np.uint64]
    """Distinct within each document: `uint64[num_keys]`."""
    sizes: npt.NDArray[np.int64]
    """Keys of each document: `int64[num_documents]`."""


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """Keys of one part that enough documents hold."""

    keys: npt.NDArray[np.uint64]
    """Ascending and distinct: uint64[n]."""
    documents: npt.NDArray[np.int64]
    """That hold each: int64[n]."""
    first_ids: npt.NDArray[np.uint64]
    """The smallest id among them, first eight bytes: uint64[n]."""

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch]) -> "SharedKeys":
        """Takes KEY rows in any order, each key once."""
        table = pa.Table.from_batches(list(batches), schema=KEY)
        keys, documents, first_ids = (table.column(name).to_numpy() for name in KEY.names)
        order = np.argsort(keys)
        return cls(keys[order], documents[order].astype(np.int64), first_ids[order])


def id_numbers(ids: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each id, uint64[n], in the order of the ids."""
    if not len(ids):
        return np.zeros(0, np.uint64)
    words = np.frombuffer(ids.buffers()[1], ">u8")
    width = ID_BYTES // 8
    start = width * ids.offset
    return words[start : start + width * len(ids) : width].astype(np.uint64)


class PartKeys:
    """Gathers the keys of one part."""

    def __init__(self) -> None:
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._ids: list[npt.NDArray[np.uint64]] = []
        self._counts: list[npt.NDArray[np.bool_]] = []

    def add(
        self,
        found: DocumentKeys,
        ids: npt.NDArray[np.uint64],
        is_counted: npt.NDArray[np.bool_],
    ) -> None:
        """Adds some documents.

        Args:
            found: Their keys.
            ids: Their ids, by `id_numbers`: uint64[num_documents].
            is_counted: Whether they count; what only others hold is asked for with a count of 0:
                bool[num_documents].
        """
        self._keys.append(found.keys)
        self._ids.append(np.repeat(np.where(is_counted, ids, _NO_ID), found.sizes))
        self._counts.append(np.repeat(is_counted, found.sizes))

    def table(self) -> pa.Table:
        """KEY rows, each key once, ascending."""
        if not sum(len(keys) for keys in self._keys):
            return KEY.empty_table()
        keys, ids, counts = (np.concatenate(one) for one in (self._keys, self._ids, self._counts))
        order = np.argsort(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        documents = np.add.reduceat(counts[order].astype(np.int32), starts)
        first_ids = np.minimum.reduceat(ids[order], starts)
        return pa.table([pa.array(one) for one in (keys[starts], documents, first_ids)], schema=KEY)


def partition_of(keys: npt.NDArray[np.uint64], num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each key, int64[n] in [0, num_partitions), which ascends with the key."""
    return ((keys >> _HALF) * np.uint64(num_partitions) >> _HALF).astype(np.int64)


def key_range(partitions: Sequence[int], num_partitions: int) -> tuple[int, int]:
    """The smallest and the largest key that some partitions can hold."""
    first = -(-(min(partitions) << 32) // num_partitions)
    last = -(-((max(partitions) + 1) << 32) // num_partitions) - 1
    return first << 32, (last << 32) + (1 << 32) - 1


def runs_of(
    batch: pa.RecordBatch, groups: npt.NDArray[np.int64], max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch where its rows go to another group.

    Args:
        batch: The rows.
        groups: Of each, ascending, int64[num_rows].
        max_rows: Of one batch.

    Yields:
        A group, and some of its rows.
    """
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]][: len(groups)])
    ends = np.r_[starts[1:], len(groups)].astype(np.int64)
    for start, end in zip(starts.tolist(), ends.tolist()[: len(starts)], strict=True):
        for first in range(start, end, max_rows):
            yield int(groups[start]), batch.slice(first, min(max_rows, end - first))


class Counted(NamedTuple):
    """What became of the keys of one partition."""

    shared: pa.Table
    """SENT rows of the keys that enough documents hold, by sender and key."""
    num_distinct: int
    num_shared: int


def count_keys(rows: pa.Table, min_documents: int) -> Counted:
    """Counts the documents of every key of one partition.

    Args:
        rows: SENT rows in any order, each key at most once a sender, all rows of every key that
            occurs.
        min_documents: That must hold a key for it to be shared.
    """
    if rows.num_rows == 0:
        return Counted(SENT.empty_table(), 0, 0)
    keys, documents, first_ids, senders = (rows.column(name).to_numpy() for name in SENT.names)
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    totals = np.add.reduceat(documents[order].astype(np.int64), starts)
    smallest = np.minimum.reduceat(first_ids[order], starts)
    is_shared = totals >= min_documents
    number = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)]))
    kept = np.flatnonzero(is_shared[number])
    number, keys, senders = number[kept], keys[kept], senders[order][kept]
    by_sender = np.lexsort([keys, senders])
    columns = [
        keys,
        np.minimum(totals, _LARGEST).astype(np.int32)[number],
        smallest[number],
        senders,
    ]
    shared = pa.table([pa.array(column[by_sender]) for column in columns], schema=SENT)
    return Counted(shared, len(starts), int(is_shared.sum()))
