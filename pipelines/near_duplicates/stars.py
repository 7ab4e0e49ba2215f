"""Clusters of near-duplicates: each text joins a representative that it is itself similar to.

Texts are taken in order of priority: more shingles first, then the smaller id. A text joins the
first representative with which it is a verified pair, or becomes one. So a cluster is a star, never
a chain in which the ends have nothing in common; no two representatives are similar; and what is
kept is the longest version. The result is that of the pairs alone: the lexicographically first
maximal independent set of their graph, whatever the order in which they are found.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from pipelines.deduplicate.exact import DECISION

NEAR_DUPLICATE: Final = "near_duplicate"

NEAR: Final = pa.schema([*DECISION, pa.field("id", pa.binary(16), nullable=False)])
"""One row for each distinct text in a cluster of two distinct texts or more; `id` is its own, which
is that of the representative among its exact copies."""


class Stars(NamedTuple):
    """What became of each text, by its position."""

    representative: npt.NDArray[np.int64]
    """Position of its representative, its own where it is one: `int64[num_texts]`."""
    jaccard: npt.NDArray[np.float64]
    """With it: `float64[num_texts]`."""


@kernel
def _join(
    higher: npt.NDArray[np.int64],
    lower: npt.NDArray[np.int64],
    jaccard: npt.NDArray[np.float64],
    representative: npt.NDArray[np.int64],
    similarity: npt.NDArray[np.float64],
) -> None:
    """Decides in order; pairs are sorted by the lower text, then by the higher."""
    for pair in range(len(lower)):
        text, other = lower[pair], higher[pair]
        # `other` stands before `text`, so it is decided.
        if representative[text] == text and representative[other] == other:
            representative[text] = other
            similarity[text] = jaccard[pair]


def stars_of(
    num_shingles: npt.NDArray[np.int32],
    ids: npt.NDArray[np.uint64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    jaccard: npt.NDArray[np.float64],
) -> Stars:
    """Finds the clusters.

    Args:
        num_shingles: Of each text, `int32[num_texts]`.
        ids: Of each text, in two words that sort as its bytes: `uint64[num_texts, 2]`.
        left: Position of one text of each verified pair, `int64[num_pairs]`; no pair twice.
        right: Of the other.
        jaccard: Of the pair, `float64[num_pairs]`.
    """
    order = np.lexsort((ids[:, 1], ids[:, 0], -num_shingles))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    higher, lower = np.minimum(rank[left], rank[right]), np.maximum(rank[left], rank[right])
    by_lower = np.lexsort([higher, lower])
    representative = np.arange(len(order))
    similarity = np.ones(len(order))
    _join(higher[by_lower], lower[by_lower], jaccard[by_lower], representative, similarity)
    return Stars(order[representative[rank]], similarity[rank])
