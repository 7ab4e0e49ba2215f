"""Compiles the kernels that the search for near-duplicates uses beside its annotator, once.

Each is called on next to nothing, with arrays that are made as a run makes them: compiled code is
kept by the types of its arguments, and an array that nobody may write to is of another type.
"""

import numpy as np
import pyarrow as pa

from annotators.text.minhash import min_hashes
from annotators.text.shingles import ShingleRanges, jaccards, jaccards_between, shingle_sets
from pipelines.near_duplicates.buckets import BAND, PAIR, BucketCounts, candidate_pairs
from pipelines.near_duplicates.candidates import distinct
from pipelines.near_duplicates.components import join_pairs, number_groups, settle_roots
from pipelines.near_duplicates.known import COMPARED, fill_known
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.repeated import mark_bands, marked_bands, signed_bands
from pipelines.near_duplicates.stars import stars_of
from pipelines.near_duplicates.sweep.arcs import KEY, keys_of
from pipelines.near_duplicates.sweep.runs import starts_of_runs
from pipelines.near_duplicates.sweep.taken import take_arcs


def warm() -> None:
    """Calls each of them; the compiled code stays in a cache on disk."""
    texts = pa.array(["Two texts.", "二つ"], pa.large_string())
    sets = shingle_sets(texts)
    one, other = np.array([0]), np.array([1])
    similarity = jaccards(sets, one, other)
    ranges = ShingleRanges(sets.hashes, sets.offsets[:-1].copy(), sets.offsets[1:].copy())
    jaccards_between(ranges, ranges, one, other)
    columns = [[7, 7], [0, 1], [1, 1], [0, 1], [0, 0]]
    for _ in candidate_pairs(pa.table(columns, schema=BAND), NearDuplicates(), BucketCounts()):
        pass
    _warm_bands(texts)
    _warm_pairs()
    stars_of(np.arange(2), one, other, similarity)


def _warm_bands(texts: pa.LargeStringArray) -> None:
    found = min_hashes(texts).bands
    bands = pa.array([row.tobytes() for row in found], pa.binary(found[0].nbytes))
    words, is_signed = signed_bands(bands)
    slots, shift = np.zeros(4, np.uint64), np.uint64(63)
    mark_bands(words, is_signed, shift, slots)
    marked_bands(words, is_signed, shift, np.frombuffer(slots.tobytes(), np.uint64))


def _warm_pairs() -> None:
    pairs = distinct(pa.table([[0], [1]], schema=PAIR))
    lower, higher = (pairs.column(name).to_numpy() for name in PAIR.names)
    known = pa.record_batch([[0], [1], [0.5]], schema=COMPARED)
    known_lower, known_higher, jaccard = (column.to_numpy() for column in known.columns)
    fill_known(lower, higher, known_lower, known_higher, jaccard, 0, np.empty(1))
    places, root, num_pairs = np.arange(2, dtype=np.uint64), np.arange(2), np.zeros(2, np.int64)
    join_pairs(places, root, num_pairs, known_lower, known_higher)
    settle_roots(root, num_pairs)
    number_groups(root, num_pairs, 1)
    _warm_sweep()


def _warm_sweep() -> None:
    arcs = pa.record_batch([[1], pa.array([b"0" * 16], pa.binary(16)), [0], [0]], schema=KEY)
    starts_of_runs(keys_of(arcs), keys_of(arcs))
    text, other = (arcs.column(name).to_numpy() for name in ("text", "other"))
    take_arcs(text, other, np.zeros(1, np.uint8), np.empty(1, np.bool_))


if __name__ == "__main__":
    warm()
