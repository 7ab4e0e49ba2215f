"""What a quality or educational score is worth on documents that it was not trained on.

Intervals are the 2.5 % and 97.5 % quantiles of resampled documents (Efron 1979).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.heuristics.score_evaluation import auc

NUM_RESAMPLES: Final = 1000
EDUCATIONAL: Final = 3
"""Points from which a document is educational, after rounding (FineWeb-Edu)."""

_SEED: Final = 0

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFigures:
    """Of good and bad documents."""

    num_documents: int
    num_good: int
    auc: float
    """Chance that a good document stands above a bad one."""
    auc_interval: Interval
    accuracy: float
    """Share on the right side of 0.5."""

    def rows(self) -> list[tuple[str, float, Interval | None]]:
        """Name, value and interval of each figure."""
        return [("AUC", self.auc, self.auc_interval), ("accuracy at 0.5", self.accuracy, None)]

    def warning(self) -> str | None:
        """Why the score is not to be used, if so."""
        if self.auc_interval[0] > 0.5:
            return None
        return "on documents it has not seen it is not shown to be better than chance (AUC 0.5)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EducationalFigures:
    """Of documents with 0 to 5 points."""

    num_documents: int
    num_educational: int
    """With at least 3 points."""
    f1: float
    """Of "at least 3 points", scores rounded; NaN where no document has so many."""
    f1_interval: Interval
    precision: float
    recall: float
    correlation: float
    """Spearman's, of scores and points."""
    mean_error: float
    """Mean absolute difference, in points."""

    def rows(self) -> list[tuple[str, float, Interval | None]]:
        """Name, value and interval of each figure."""
        return [
            ("F1 at 3 points", self.f1, self.f1_interval),
            ("precision at 3 points", self.precision, None),
            ("recall at 3 points", self.recall, None),
            ("rank correlation", self.correlation, None),
            ("mean error in points", self.mean_error, None),
        ]

    def warning(self) -> str | None:
        """Why the points are not to be used, if so."""
        if self.correlation > 0 and self.f1 > 0:
            return None
        return (
            f"on documents it has not seen it does not find those with {EDUCATIONAL} points or "
            "more, or orders documents no better than chance"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFigures:
    """Of documents with one of several categories."""

    num_documents: int
    macro_f1: float
    """Mean over the categories that documents have."""
    macro_f1_interval: Interval
    accuracy: float
    num_categories: int
    """That documents have."""
    largest: float
    """Share of the largest category: the accuracy of always naming it."""

    def rows(self) -> list[tuple[str, float, Interval | None]]:
        """Name, value and interval of each figure."""
        return [
            ("macro-F1", self.macro_f1, self.macro_f1_interval),
            ("accuracy", self.accuracy, None),
            ("share of the largest", self.largest, None),
        ]

    def warning(self) -> str | None:
        """Why the categories are not to be used, if so."""
        always = 2 * self.largest / (1 + self.largest) / self.num_categories
        if self.accuracy > self.largest and self.macro_f1_interval[0] > always:
            return None
        return (
            "on documents it has not seen it is not shown to be better than always naming the "
            f"largest category (accuracy {self.largest:.3f}, macro-F1 {always:.3f})"
        )


def measure_categories(said: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> CategoryFigures:
    """Figures of categories by number, int64[num_documents] each."""

    def of(rows: npt.NDArray[np.int64]) -> float:
        one, other = said[rows], true[rows]
        return float(np.mean([f1(one == name, other == name) for name in np.unique(other)]))

    everything = np.arange(len(true))
    return CategoryFigures(
        num_documents=len(true),
        macro_f1=of(everything),
        macro_f1_interval=_interval(of, len(true)),
        accuracy=float((said == true).mean()),
        num_categories=len(np.unique(true)),
        largest=float(np.bincount(true).max() / len(true)),
    )


def measure_quality(scores: Floats, labels: Floats) -> QualityFigures:
    """Figures of scores in [0, 1] against labels 0 or 1, float64[num_documents] each."""
    wanted = labels.astype(np.int64)

    def of(rows: npt.NDArray[np.int64]) -> float:
        has_both = 0 < wanted[rows].sum() < len(rows)
        return auc(scores[rows], wanted[rows]) if has_both else float("nan")

    return QualityFigures(
        num_documents=len(labels),
        num_good=int(wanted.sum()),
        auc=auc(scores, wanted),
        auc_interval=_interval(of, len(labels)),
        accuracy=float(((scores >= 0.5) == (wanted == 1)).mean()),
    )


def measure_educational(scores: Floats, labels: Floats) -> EducationalFigures:
    """Figures of scores against labels, both in [0, 5], float64[num_documents] each."""
    said, true = np.rint(scores) >= EDUCATIONAL, np.rint(labels) >= EDUCATIONAL
    hits = float((said & true).sum())

    def of(rows: npt.NDArray[np.int64]) -> float:
        return f1(said[rows], true[rows])

    return EducationalFigures(
        num_documents=len(labels),
        num_educational=int(true.sum()),
        f1=f1(said, true),
        f1_interval=_interval(of, len(labels)),
        precision=hits / said.sum() if said.any() else float("nan"),
        recall=hits / true.sum() if true.any() else float("nan"),
        correlation=rank_correlation(scores, labels),
        mean_error=float(np.abs(scores - labels).mean()),
    )


def f1(said: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> float:
    """Twice the hits over what was said plus what is true; NaN where both are nothing."""
    total = said.sum() + true.sum()
    return float(2 * (said & true).sum() / total) if total else float("nan")


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's: Pearson's correlation of ranks, equal values at their mean rank."""
    ranks = [_ranks(one), _ranks(other)]
    if ranks[0].std() == 0 or ranks[1].std() == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _ranks(values: Floats) -> Floats:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where])


def _interval(of: Callable[[npt.NDArray[np.int64]], float], size: int) -> Interval:
    chance = np.random.default_rng(_SEED)
    found = [of(chance.integers(0, size, size)) for _ in range(NUM_RESAMPLES)]
    known = [value for value in found if not np.isnan(value)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
