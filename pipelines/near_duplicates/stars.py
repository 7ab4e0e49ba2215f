"""Clusters of near-duplicates: each text joins a representative that it is itself similar to.

Texts are taken in order of priority: those that people wrote first, then higher quality, then more
shingles, then the smaller id. A text joins the first representative with which it is a verified
pair, or becomes one. So a cluster is a star, never a chain in which the ends have nothing in
common; no two representatives are a verified pair; and what is kept is the best and longest
version. The result is that of the pairs and the order alone: the lexicographically first maximal
independent set of their graph, whatever the order in which pairs are found.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.kernels import kernel
from pipelines.deduplicate.exact import DECISION
from pipelines.near_duplicates.pairing import QUALITY_STEPS

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


def priority_order(
    generated: npt.NDArray[np.bool_],
    quality: npt.NDArray[np.float32],
    num_shingles: npt.NDArray[np.int32],
    ids: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """Which text is to represent which.

    Args:
        generated: Whether a model made the text, `bool[num_texts]`; what people wrote goes first.
        quality: Of `quality_of`, `float32[num_texts]`.
        num_shingles: Of each text, `int32[num_texts]`.
        ids: Of each text, in two words that sort as its bytes: `uint64[num_texts, 2]`.

    Returns:
        Positions, highest priority first: `int64[num_texts]`.
    """
    return np.lexsort((ids[:, 1], ids[:, 0], -num_shingles, -quality, generated))


def quality_of(labels: pa.Table) -> npt.NDArray[np.float32]:
    """How good texts are, as far as it decides which of two versions is kept.

    In steps of a twentieth, so that the last digits of a model's score do not outweigh that a
    version is longer.

    Args:
        labels: Columns `quality_keep` and `quality_score`; either may be absent or null.

    Returns:
        `float32[num_rows]` in [0, 2]: 1 for what is to be kept, and the score, 0.5 where there is
        none; 0 everywhere without labels of quality.
    """
    num_rows = labels.num_rows
    if "quality_keep" not in labels.column_names:
        return np.zeros(num_rows, np.float32)
    keep = pc.cast(labels.column("quality_keep"), pa.float32())
    quality = pc.fill_null(keep, 0).to_numpy()
    scores = np.full(num_rows, 0.5, np.float32)
    if "quality_score" in labels.column_names:
        column = pc.cast(labels.column("quality_score"), pa.float32())
        scores = np.nan_to_num(pc.fill_null(column, 0.5).to_numpy(), nan=0.5)
    steps = np.rint(np.clip(scores, 0, 1) * QUALITY_STEPS)
    found: npt.NDArray[np.float32] = (quality + steps / QUALITY_STEPS).astype(np.float32)
    return found


def stars_of(
    order: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    jaccard: npt.NDArray[np.float64],
) -> Stars:
    """Finds the clusters.

    Args:
        order: Of `priority_order`, `int64[num_texts]`.
        left: Position of one text of each verified pair, `int64[num_pairs]`.
        right: Of the other.
        jaccard: Of the pair, `float64[num_pairs]`.
    """
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    higher, lower = np.minimum(rank[left], rank[right]), np.maximum(rank[left], rank[right])
    by_lower = np.lexsort([higher, lower])
    representative = np.arange(len(order))
    similarity = np.ones(len(order))
    _join(higher[by_lower], lower[by_lower], jaccard[by_lower], representative, similarity)
    return Stars(order[representative[rank]], similarity[rank])
