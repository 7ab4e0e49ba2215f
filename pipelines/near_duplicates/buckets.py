"""From signatures to candidate pairs: texts that share the hash of a band form a bucket.

In a bucket texts stand by length, longer ones first. A pair whose lengths alone rule out the
threshold is never made: two sets of n and m < n shingles have a Jaccard of at most m / n. As
lengths fall along the bucket, the texts that remain for each are those just before it.

The pairs of a bucket of more than `near.MAX_BUCKET` texts would be millions, so it is handled in
`large_buckets.py`, and the pairs that are left out are counted.

Texts of one recipe share buckets with each other alone: the group of a text is mixed into its
hashes. A text that a model made of others meets those in buckets of another kind (`groups.py`), in
which each text is compared with its seed and with nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.large_buckets import pair_large
from pipelines.near_duplicates.near import MAX_BUCKET, NearDuplicates, Places
from pipelines.near_duplicates.pairing import (
    ID_BITS,
    QUALITY_STEPS,
    Buckets,
    Members,
    codes_of,
    decode_pairs,
    pair_all,
    pair_seeds,
)

BAND: Final = pa.schema(
    [
        pa.field("band_hash", pa.uint64(), nullable=False),  # the number of the band included
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("num_shingles", pa.int32(), nullable=False),
        pa.field("order", pa.uint32(), nullable=False),  # quality and id, the best first
        pa.field("further", pa.uint64(), nullable=False),  # eight more minima, a byte each
    ]
)
"""What is shuffled of each text and band. The highest bit of the hash is that of `groups.py`."""
BAND_BYTES: Final = 32
OF_SEEDS: Final = np.uint64(1 << 63)
"""The bit of a hash that says: a bucket of one seed and what was made of it."""

PAIR: Final = pa.schema(
    [
        pa.field("lower", pa.uint64(), nullable=False),  # place of the text with fewer shingles
        pa.field("higher", pa.uint64(), nullable=False),
    ]
)
"""Two texts to be compared."""
PAIR_BYTES: Final = 16

_MAX_SIZE: Final = np.uint64(1 << 31)
_OWN: Final = np.uint64(0x9E3779B97F4A7C15)
_GROUP: Final = np.uint64(0xD6E8FEB86659FD93)  # odd, so that groups stay apart


@dataclass(slots=True)
class BucketCounts:
    """What one partition of band hashes held."""

    members: int = 0
    """Texts x bands."""
    seed_members: int = 0
    """Rows of `groups.seed_members`."""
    buckets: int = 0
    """Of two texts or more."""
    large_buckets: int = 0
    """Of more than `MAX_BUCKET`."""
    split_buckets: int = 0
    """Of those, the ones that fell apart by further minima."""
    pairs: int = 0
    """Made; a pair that shares several bands counts up to once for each."""
    pairs_skipped: int = 0
    """Allowed by the lengths but not made by a bucket that is too large; others may make them."""


def band_members(
    bands: pa.FixedSizeBinaryArray,
    further: pa.UInt64Array,
    num_shingles: pa.Int32Array,
    places: Places,
    groups: npt.NDArray[np.uint32],
    ids: pa.FixedSizeBinaryArray,
    quality: npt.NDArray[np.float32] | None = None,
) -> pa.RecordBatch:
    """What some texts send into the shuffle, band by band.

    Args:
        bands: Of the `minhash` labels, `NUM_BANDS` hashes of 8 bytes each; null where the annotator
            failed: such a text gets hashes of its own, so that it is counted and matches nothing.
        further: Of the same labels, as long.
        num_shingles: As long.
        places: As long.
        groups: Of `groups.groups_of`, as long: texts of two groups share no bucket.
        ids: Document ids, as long.
        quality: Of `stars.quality_of`, as long; None where there are no such labels. In a large
            bucket texts are compared with those of the best quality, which become representatives.

    Returns:
        BAND rows, `NUM_BANDS` for each text.
    """
    prefixes = np.frombuffer(ids.buffers()[1], ">u8")[2 * ids.offset :: 2]
    prefixes = prefixes[: len(ids)].astype(np.uint64)
    width = NUM_BANDS
    hashes = np.frombuffer(bands.buffers()[1], "<u8")[width * bands.offset :]
    hashes = hashes[: width * len(bands)].reshape(-1, width).astype(np.uint64)
    failed = bands.is_null().to_numpy(zero_copy_only=False)
    own = prefixes[failed, None] ^ np.arange(1, width + 1, dtype=np.uint64) * _OWN
    hashes[failed] = own
    hashes ^= (groups.astype(np.uint64) * _GROUP)[:, None]
    hashes &= ~OF_SEEDS
    columns = [
        hashes.T.ravel(),
        np.tile(places, width),
        np.tile(num_shingles.fill_null(0).to_numpy(), width),
        np.tile(_orders(prefixes, quality), width),
        np.tile(further.fill_null(0).to_numpy(), width),
    ]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=BAND)


def _orders(
    prefixes: npt.NDArray[np.uint64], quality: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.uint32]:
    """Smaller is better: the quality, then the first bits of the id."""
    orders = prefixes >> np.uint64(64 - ID_BITS)
    if quality is not None:
        best = 2 * QUALITY_STEPS
        steps = np.clip(np.rint(quality * QUALITY_STEPS), 0, best)
        orders |= (best - steps).astype(np.uint64) << np.uint64(ID_BITS)
    return orders.astype(np.uint32)


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
    hashes = rows.column("band_hash").to_numpy()
    num_seed_members = int((hashes >= OF_SEEDS).sum())
    counts.seed_members += num_seed_members
    counts.members += len(hashes) - num_seed_members
    found = _buckets_of(rows, hashes)
    counts.buckets += len(found.starts)
    of_seeds = found.band_hashes[found.starts] >= OF_SEEDS
    is_large = (found.ends - found.starts > MAX_BUCKET) & ~of_seeds
    large = pair_large(found.where(is_large), near.threshold)
    counts.large_buckets += int(is_large.sum())
    counts.split_buckets += large.num_split
    counts.pairs_skipped += large.num_skipped
    small = pair_all(found.where(~is_large & ~of_seeds), near.threshold)
    seeds = pair_seeds(found.where(of_seeds), near.threshold)
    for ranges in (small, *large.ranges, seeds):
        for codes in codes_of(ranges):
            counts.pairs += len(codes)
            lower, higher = decode_pairs(codes, found.places)
            yield pa.RecordBatch.from_arrays([pa.array(lower), pa.array(higher)], schema=PAIR)


def _buckets_of(rows: pa.Table, hashes: npt.NDArray[np.uint64]) -> Buckets:
    """Those of two texts or more."""
    order = np.argsort(hashes)
    hashes = hashes[order]
    same = hashes[1:] == hashes[:-1]
    shared = order[np.r_[False, same] | np.r_[same, False]] if len(order) else order
    band, place, size, rank, further = (rows.column(name).to_numpy()[shared] for name in BAND.names)
    size = np.maximum(size, 1)
    by_length = (_MAX_SIZE - size.astype(np.uint64)) << np.uint64(32) | rank
    order = np.lexsort([place, by_length, band])
    band = band[order]
    places, place_ranks = np.unique(place[order], return_inverse=True)
    starts = np.flatnonzero(np.r_[True, band[1:] != band[:-1]][: len(band)])
    return Buckets(
        members=Members(size[order], place_ranks.astype(np.uint32)),
        orders=rank[order],
        further=further[order],
        band_hashes=band,
        places=places,
        starts=starts,
        ends=np.r_[starts[1:], len(band)][: len(starts)],
    )


def distinct_pairs(lower: Places, higher: Places) -> tuple[Places, Places]:
    """Sorts pairs by both places and keeps one of each."""
    order = np.lexsort([higher, lower])
    lower, higher = lower[order], higher[order]
    is_first = np.ones(len(lower), bool)
    is_first[1:] = (lower[1:] != lower[:-1]) | (higher[1:] != higher[:-1])
    return lower[is_first], higher[is_first]
