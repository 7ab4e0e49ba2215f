"""The whole search over texts that fit into memory: the kernels of the jobs, in one call."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.minhash import BAND_BYTES, NUM_BANDS, MinHashes, min_hashes
from annotators.text.shingles import jaccards, shingle_sets
from pipelines.near_duplicates.buckets import BucketCounts, band_members, candidate_pairs
from pipelines.near_duplicates.near import NearDuplicates, places_of, rows_at
from pipelines.near_duplicates.stars import Stars, priority_order, stars_of


class Search(NamedTuple):
    """What was found among some texts, by their position."""

    signatures: MinHashes
    left: npt.NDArray[np.int64]
    """The smaller position of each distinct candidate pair, `int64[num_pairs]`."""
    right: npt.NDArray[np.int64]
    """The larger one."""
    jaccard: npt.NDArray[np.float64]
    """Exact, of each candidate pair, `float64[num_pairs]`."""
    stars: Stars
    """Of the pairs that reach the threshold; without labels of quality, ids in order of texts."""
    counts: BucketCounts
    largest_bucket: int
    """Texts in it."""


def search(texts: pa.LargeStringArray, near: NearDuplicates) -> Search:
    """Looks for near-duplicates among texts of which no two are equal.

    Args:
        texts: large_string, no nulls.
        near: What counts as one.
    """
    n = len(texts)
    signatures = min_hashes(texts)
    members = _members(signatures)
    counts = BucketCounts()
    batches = candidate_pairs(members, near, counts)
    both = [np.stack([rows_at(column.to_numpy()) for column in batch]) for batch in batches]
    joined = np.sort(np.concatenate([np.empty((2, 0), np.int64), *both], axis=1), axis=0)
    codes = joined[0] * n + joined[1]
    codes.sort()
    codes = codes[np.r_[True, codes[1:] != codes[:-1]][: len(codes)]]
    left, right = codes // max(n, 1), codes % max(n, 1)
    jaccard = jaccards(shingle_sets(texts), left, right)
    similar = jaccard >= near.threshold
    ids = np.stack([np.zeros(n, np.uint64), np.arange(n, dtype=np.uint64)], axis=1)
    order = priority_order(np.zeros(n, bool), np.zeros(n, np.float32), signatures.num_shingles, ids)
    stars = stars_of(order, left[similar], right[similar], jaccard[similar])
    hashes = np.sort(members.column("band_hash").to_numpy())
    bounds = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1], True])
    largest = int(np.diff(bounds).max(initial=0)) if n else 0
    return Search(signatures, left, right, jaccard, stars, counts, largest)


def _members(signatures: MinHashes) -> pa.Table:
    n = len(signatures.num_shingles)
    ids = pa.array([index.to_bytes(16, "big") for index in range(n)], pa.binary(16))
    batch = band_members(
        pa.array([row.tobytes() for row in signatures.bands], pa.binary(BAND_BYTES * NUM_BANDS)),
        pa.array(signatures.further),
        pa.array(signatures.num_shingles),
        places_of(0, 0, np.arange(n)),
        np.zeros(n, np.uint32),
        ids,
    )
    return pa.Table.from_batches([batch])
