"""From signatures to candidate pairs: texts that share the hash of a band form a bucket.

In a bucket texts stand in order of priority, longer ones first. A pair whose lengths alone rule out
the threshold is never made: two sets of n and m < n shingles have a Jaccard of at most m / n. As
lengths fall along the bucket, the texts that remain for each are those just before it.

A bucket of more than `near.MAX_BUCKET` texts is one of boilerplate, and all its pairs would be
millions: each text is compared with the first of those that remain, which become representatives,
and with those just before it. The pairs left out are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.near import (
    MAX_BUCKET,
    NUM_ANCHORS,
    NUM_NEIGHBOURS,
    NearDuplicates,
    Places,
)

BAND: Final = pa.schema(
    [
        pa.field("band_hash", pa.uint64(), nullable=False),  # the number of the band included
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("num_shingles", pa.int32(), nullable=False),
        pa.field("id_prefix", pa.uint64(), nullable=False),  # first 8 bytes, as they sort
    ]
)
"""What is shuffled of each text and band."""
BAND_BYTES: Final = 28

PAIR: Final = pa.schema(
    [
        pa.field("lower", pa.uint64(), nullable=False),  # place of the text of lower priority
        pa.field("higher", pa.uint64(), nullable=False),
    ]
)
"""Two texts to be compared."""
PAIR_BYTES: Final = 16

_CHUNK_PAIRS: Final = 1 << 22
_UNSIGNED: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class BucketCounts:
    """What one partition of band hashes held."""

    members: int = 0
    """Texts x bands."""
    buckets: int = 0
    """Of two texts or more."""
    large_buckets: int = 0
    """Of more than `MAX_BUCKET`."""
    pairs: int = 0
    """Made; a pair that shares several bands counts up to once for each."""
    pairs_skipped: int = 0
    """Not made, because their bucket was too large."""


def band_members(
    bands: pa.FixedSizeBinaryArray,
    num_shingles: pa.Int32Array,
    ids: pa.FixedSizeBinaryArray,
    places: Places,
) -> pa.RecordBatch:
    """What some texts send into the shuffle, band by band.

    Args:
        bands: Of the `minhash` labels, `NUM_BANDS` hashes of 8 bytes each; null where the annotator
            failed: such a text gets hashes of its own, so that it is counted and matches nothing.
        num_shingles: As long.
        ids: Document ids, as long.
        places: As long.

    Returns:
        BAND rows, `NUM_BANDS` for each text.
    """
    prefixes = np.frombuffer(ids.buffers()[1], ">u8")[2 * ids.offset :: 2]
    prefixes = prefixes[: len(ids)].astype(np.uint64)
    width = NUM_BANDS
    hashes = np.frombuffer(bands.buffers()[1], "<u8")[width * bands.offset :]
    hashes = hashes[: width * len(bands)].reshape(-1, width).astype(np.uint64)
    failed = bands.is_null().to_numpy(zero_copy_only=False)
    own = prefixes[failed, None] ^ np.arange(1, width + 1, dtype=np.uint64) * _UNSIGNED
    hashes[failed] = own
    sizes = num_shingles.fill_null(0).to_numpy()
    columns = [
        hashes.T.ravel(),
        np.tile(places, width),
        np.tile(sizes, width),
        np.tile(prefixes, width),
    ]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=BAND)


def by_partition(
    batch: pa.RecordBatch, partitions: npt.NDArray[np.int64], wanted: list[int], max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Splits a batch by the partition of each row, into batches of at most so many rows.

    Args:
        batch: The rows.
        partitions: The partition of each, int64[num_rows].
        wanted: Partitions to give; others are left out.
        max_rows: Of one batch.
    """
    order = np.argsort(partitions, kind="stable")
    sorted_partitions = partitions[order]
    starts = np.searchsorted(sorted_partitions, wanted, side="left")
    ends = np.searchsorted(sorted_partitions, wanted, side="right")
    for partition, first, end in zip(wanted, starts.tolist(), ends.tolist(), strict=True):
        for start in range(first, end, max_rows):
            rows = order[start : min(start + max_rows, end)]
            yield partition, batch.take(pa.array(rows))


def candidate_pairs(
    rows: pa.Table, near: NearDuplicates, counts: BucketCounts
) -> Iterator[pa.RecordBatch]:
    """Makes the pairs of all buckets.

    Args:
        rows: BAND rows in any order, all rows of every band hash that occurs.
        near: What is looked for.
        counts: Added to.

    Yields:
        PAIR rows, sorted and distinct within a batch; a pair may come again in a later one.
    """
    counts.members += rows.num_rows
    columns = _bucketed(rows)
    places, sizes, starts, ends = columns
    counts.buckets += len(starts)
    counts.large_buckets += int((ends - starts > MAX_BUCKET).sum())
    state = np.zeros(_STATE, np.int64)
    if len(starts):
        state[_MEMBER] = state[_FIRST] = starts[0]
    room = MAX_BUCKET + _most_pairs(starts, ends)  # one text makes fewer than MAX_BUCKET
    lower, higher = np.empty(room, np.int64), np.empty(room, np.int64)
    while state[_BUCKET] < len(starts):
        made = _fill_pairs(sizes, starts, ends, near.threshold, state, lower, higher)
        batch = _distinct(places, lower[:made], higher[:made])
        counts.pairs += batch.num_rows
        yield batch
    counts.pairs_skipped += int(state[_SKIPPED])


def _bucketed(
    rows: pa.Table,
) -> tuple[Places, npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places and sizes of texts in buckets of two or more, in order, and where buckets stand."""
    hashes = rows.column("band_hash").to_numpy()
    order = np.argsort(hashes)
    hashes = hashes[order]
    same = hashes[1:] == hashes[:-1]
    shared = order[np.r_[False, same] | np.r_[same, False]] if len(order) else order
    names = ("place", "id_prefix", "num_shingles", "band_hash")
    place, prefix, size, band = (rows.column(name).to_numpy()[shared] for name in names)
    order = np.lexsort([place, prefix, -size, band])
    band = band[order]
    starts = np.flatnonzero(np.r_[True, band[1:] != band[:-1]]) if len(band) else np.empty(0, int)
    ends = np.r_[starts[1:], len(band)] if len(band) else starts
    return place[order], size[order], starts.astype(np.int64), ends.astype(np.int64)


def _most_pairs(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> int:
    size = (ends - starts).astype(np.float64)
    return int(min((size * (size - 1) / 2).sum(), _CHUNK_PAIRS))


def _distinct(
    places: Places, lower: npt.NDArray[np.int64], higher: npt.NDArray[np.int64]
) -> pa.RecordBatch:
    pairs = distinct_pairs(places[lower], places[higher])
    return pa.RecordBatch.from_arrays([pa.array(column) for column in pairs], schema=PAIR)


def distinct_pairs(lower: Places, higher: Places) -> tuple[Places, Places]:
    """Sorts pairs by both places and keeps one of each."""
    order = np.lexsort([higher, lower])
    lower, higher = lower[order], higher[order]
    is_first = np.ones(len(lower), bool)
    is_first[1:] = (lower[1:] != lower[:-1]) | (higher[1:] != higher[:-1])
    return lower[is_first], higher[is_first]


_BUCKET, _MEMBER, _FIRST, _SKIPPED = range(4)
_STATE: Final = 4


@kernel
def _fill_pairs(
    sizes: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    threshold: float,
    state: npt.NDArray[np.int64],
    lower: npt.NDArray[np.int64],
    higher: npt.NDArray[np.int64],
) -> int:
    """Goes on making pairs until there are no more, or no room; gives their number.

    `state` says where to go on: the bucket, its next member, and the first member before that one
    whose length allows the threshold; and how many pairs were skipped so far.
    """
    made = 0
    bucket, member, first = state[_BUCKET], state[_MEMBER], state[_FIRST]
    while bucket < len(starts):
        end = ends[bucket]
        is_large = end - starts[bucket] > MAX_BUCKET
        while member < end:
            if made + MAX_BUCKET > len(lower):
                state[_BUCKET], state[_MEMBER], state[_FIRST] = bucket, member, first
                return made
            # The same division as in the comparison, so that equality is equality.
            while first < member and sizes[member] / sizes[first] < threshold:
                first += 1
            gap = first
            if is_large and member - first > NUM_ANCHORS + NUM_NEIGHBOURS:
                for other in range(first, first + NUM_ANCHORS):
                    lower[made], higher[made] = member, other
                    made += 1
                gap = member - NUM_NEIGHBOURS
                state[_SKIPPED] += gap - first - NUM_ANCHORS
            for other in range(gap, member):
                lower[made], higher[made] = member, other
                made += 1
            member += 1
        bucket += 1
        if bucket < len(starts):
            member = first = starts[bucket]
    state[_BUCKET] = bucket
    return made
