"""Compiles the kernels that the search for near-duplicates uses beside its annotator, once."""

import numpy as np
import pyarrow as pa

from annotators.text.shingles import jaccards, shingle_sets
from pipelines.near_duplicates.buckets import BAND, BucketCounts, candidate_pairs
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.stars import stars_of


def warm() -> None:
    """Calls each of them on two short texts; the compiled code stays in a cache on disk."""
    sets = shingle_sets(pa.array(["Two texts.", "二つ"], pa.large_string()))
    one, other = np.array([0]), np.array([1])
    similarity = jaccards(sets, one, other)
    columns = [[7, 7], [0, 1], [1, 1], [0, 1], [0, 0]]
    for _ in candidate_pairs(pa.table(columns, schema=BAND), NearDuplicates(), BucketCounts()):
        pass
    stars_of(np.arange(2), one, other, similarity)


if __name__ == "__main__":
    warm()
