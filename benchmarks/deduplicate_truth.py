"""What a side of `deduplicate.py` found, and what it removed wrongly, by what it kept.

All sides are judged by one thing that all of them give: which documents are kept. A true pair, two
documents of one cluster of the generator whose Jaccard is 0.8 or more, is found where not both are
kept. A document is removed wrongly where every kept document of its cluster is less similar to it.
Both are counted on a sample of clusters of 2 to 30 documents, over all pairs of each; that alone
documents are removed is counted over all of them.

The Jaccard is over word 5-grams of the case-folded text, as sets of Python tuples: an
implementation that no side shares. Words are what is left between white space, punctuation and
symbols. Sides define words in their own way, so at 0.8 itself they need not agree with it.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

THRESHOLD: Final = 0.8
LOWEST_BIN: Final = 0.85
"""End of the bin of Jaccards from the threshold on that is shown apart, the hardest to find."""
_MAX_CLUSTER: Final = 30
_WORDS: Final = 5

Shingles = set[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The sample, and which documents are alone."""

    num_documents: int
    clusters: Sequence[Sequence[int]]
    """Documents of each sampled cluster."""
    jaccard: Mapping[tuple[int, int], float]
    """Of every pair of each sampled cluster, the smaller number first."""
    is_alone: npt.NDArray[np.bool_]
    """`bool[num_documents]`."""

    @property
    def num_true_pairs(self) -> int:
        """Pairs of the sample that are to be found."""
        return sum(value >= THRESHOLD for value in self.jaccard.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How one side did."""

    removed: int
    """Of all documents."""
    removed_alone: int
    """Of all documents that are alone."""
    recall: float
    """Of true pairs."""
    recall_lowest: float
    """Of true pairs in the bin next to the threshold."""
    wrong: float
    """Share of the removed documents of the sample that are like no kept document."""


def truth_of(folder: Path, clusters: Path, num_clusters: int, seed: int = 1) -> Truth:
    """Draws clusters and compares all pairs in them.

    Args:
        folder: Of the documents.
        clusters: Of the cluster of each, `int32[num_documents]`.
        num_clusters: To draw, or all where there are fewer.
        seed: Of the draw.
    """
    cluster = np.load(clusters)
    sizes = np.bincount(cluster)
    eligible = np.flatnonzero((sizes > 1) & (sizes <= _MAX_CLUSTER))
    chance = np.random.default_rng(seed)
    chosen = np.sort(chance.permutation(eligible)[:num_clusters])
    members: dict[int, list[int]] = {number: [] for number in chosen.tolist()}
    for document in np.flatnonzero(np.isin(cluster, chosen)).tolist():
        members[int(cluster[document])].append(document)
    shingles = {
        number: word_shingles(text)
        for number, text in texts_at(folder, {d for some in members.values() for d in some})
    }
    jaccards = {
        pair: jaccard(shingles[pair[0]], shingles[pair[1]])
        for some in members.values()
        for pair in combinations(some, 2)
    }
    return Truth(
        num_documents=len(cluster),
        clusters=tuple(members.values()),
        jaccard=jaccards,
        is_alone=sizes[cluster] == 1,
    )


def judge(truth: Truth, kept: npt.NDArray[np.bool_]) -> Quality:
    """Judges a side by which documents it kept, `bool[num_documents]`."""
    true = {pair: value for pair, value in truth.jaccard.items() if value >= THRESHOLD}
    lowest = [pair for pair, value in true.items() if value < LOWEST_BIN]
    removed = wrong = 0
    for members in truth.clusters:
        stay = [document for document in members if kept[document]]
        for document in members:
            if not kept[document]:
                removed += 1
                pairs = (tuple(sorted((document, other))) for other in stay)
                wrong += not any(pair in true for pair in pairs)
    return Quality(
        removed=int((~kept).sum()),
        removed_alone=int((~kept & truth.is_alone).sum()),
        recall=_found(true, kept),
        recall_lowest=_found(lowest, kept),
        wrong=wrong / max(1, removed),
    )


def _found(pairs: Iterable[tuple[int, int]], kept: npt.NDArray[np.bool_]) -> float:
    """Share of pairs of which not both are kept; NaN for none."""
    found = [not (kept[left] and kept[right]) for left, right in pairs]
    return float(np.mean(found)) if found else float("nan")


def texts_at(folder: Path, wanted: set[int]) -> Iterable[tuple[int, str]]:
    """The wanted documents of all files."""
    number = 0
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if number in wanted:
                    yield number, json.loads(line)["text"]
                number += 1


@cache
def _spaces() -> dict[int, str]:
    """Code points that are in no word -> a space."""
    points = ((point, unicodedata.category(chr(point))) for point in range(sys.maxunicode + 1))
    return {point: " " for point, kind in points if kind[0] in "PSZC" and chr(point) != "_"}


def word_shingles(text: str) -> Shingles:
    """The word 5-grams of a text; of a shorter one all its words."""
    words = text.casefold().translate(_spaces()).split()
    return set(zip(*(words[i:] for i in range(_WORDS)), strict=False)) or {tuple(words)}


def jaccard(left: Shingles, right: Shingles) -> float:
    """Size of what both have over the size of what either has."""
    both = len(left & right)
    return both / (len(left) + len(right) - both)
