"""Training and evaluation of `quality_score`, on pages that people called good or bad.

Two files of the DCLM paper's human study (Li et al. 2024, arXiv:2406.11794; MIT): the label of the
majority, and of the pages on which all agree. The second is a part of the first, so a page counts
once, by its `doc_id`: 244 pages in the half at hand, all English. That is little, and is why the
regression has few features of fixed sign, a penalty on their size, and an interval beside its AUC.

The figure is nested cross-validation: ten folds by page, and within the nine that train, ten again
choose the penalty. Features of a page depend on that page alone.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.languages import ENGLISH
from annotators.heuristics.score import (
    FEATURES,
    Coefficients,
    Floats,
    apply,
    standardised,
)

SETS: Final = ("dclm_majority", "dclm_agreement")
PENALTIES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NUM_FOLDS: Final = 10
NUM_RESAMPLES: Final = 2000

_STEPS, _SEED = 200, 0

Labels = NDArray[np.int64]


class JudgedPages(NamedTuple):
    """Pages with what people said of them."""

    texts: list[str]
    labels: Labels
    """int64[num_pages]: 1 good, 0 bad."""
    all_agree: NDArray[np.bool_]
    """bool[num_pages]: whether the page stands in `dclm_agreement`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """How well the score orders pages that it was not trained on."""

    what: str
    num_pages: int
    num_good: int
    auc: float
    """Chance that a good page stands above a bad one."""
    auc_interval: tuple[float, float]
    """95 %, by resamples of pages."""


class Tenth(NamedTuple):
    """A tenth of the pages, by their held-out scores."""

    lowest: float
    highest: float
    good: float
    """Share of good pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFigures:
    """All figures of the score."""

    sets: tuple[ScoreFigures, ...]
    tenths: tuple[Tenth, ...]


def read_judged_pages(data: Path) -> JudgedPages:
    """Reads the pages of SETS, each once.

    Args:
        data: Folder of `dclm_majority.jsonl.gz` and `dclm_agreement.jsonl.gz`, itself or in its
            subfolder `labels`; or one JSON-lines file with `text`, `quality_label` (0 or 1) and,
            where a page may stand twice, `doc_id`.

    Raises:
        ValueError: Nothing is there, a line lacks a field, or a page has two labels.
    """
    pages: dict[str, tuple[str, int, bool]] = {}
    for path in _files(data):
        agreed = path.name.startswith(SETS[1])
        for number, row in enumerate(_rows(path), 1):
            where = f"{path} line {number}"
            text, label = row.get("text"), row.get("quality_label")
            if not isinstance(text, str) or label not in (0, 1):
                raise ValueError(f"{where}: a line needs `text` and `quality_label`, 0 or 1")
            key = str(row.get("doc_id") or text)
            known = pages.setdefault(key, (text, int(label), agreed))
            if known[1] != label:
                raise ValueError(f"{where}: page {key[:40]!r} has label {label}, before {known[1]}")
            pages[key] = (text, known[1], known[2] or agreed)
    columns = [list(column) for column in zip(*(pages[key] for key in sorted(pages)), strict=True)]
    return JudgedPages(columns[0], np.array(columns[1]), np.array(columns[2]))


def fit(features: Floats, labels: Labels, penalty: float) -> Coefficients:
    """Fits the regression with signs and an L2 penalty, by accelerated projected gradient descent.

    The method is FISTA (Beck and Teboulle 2009); after 200 steps the weights stand still to four
    decimals.

    Args:
        features: float64[num_pages, num_features], NaN where not known.
        labels: int64[num_pages], 0 or 1.
        penalty: Added to the mean log loss: penalty / 2 * the sum of squared weights.
    """
    scale = np.nanstd(features, axis=0)
    scale[scale < 1e-9] = 1
    start = Coefficients(np.nanmean(features, axis=0), scale, np.zeros(features.shape[1]), 0.0)
    inputs = np.column_stack([standardised(start, features), np.ones(len(labels))])
    signs = np.array([*(feature.sign for feature in FEATURES), 0])
    penalties = np.where(signs != 0, penalty, 0.0)  # the bias is free
    # The log loss curves by at most a quarter of the largest eigenvalue of the inputs' products.
    rate = 1 / (np.linalg.eigvalsh(inputs.T @ inputs / len(labels))[-1] / 4 + penalty)
    weights = ahead = np.zeros(inputs.shape[1])
    momentum = 1.0
    for _ in range(_STEPS):
        errors = 1 / (1 + np.exp(-inputs @ ahead)) - labels
        stepped = ahead - rate * (errors @ inputs / len(labels) + penalties * ahead)
        stepped = np.where(stepped * signs < 0, 0.0, stepped)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = stepped + (momentum - 1) / grown * (stepped - weights)
        weights, momentum = stepped, grown
    return start._replace(weights=weights[:-1], bias=float(weights[-1]))


def choose_penalty(features: Floats, labels: Labels) -> float:
    """The penalty of the least cross-validated log loss."""
    losses = [_log_loss(_held_out(features, labels, penalty), labels) for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]


def train_quality(data: Path, output: Path) -> QualityFigures:
    """Trains on all pages, writes the coefficients, and gives the cross-validated figures.

    Args:
        data: See `read_judged_pages`.
        output: JSON to write.
    """
    pages = read_judged_pages(data)
    features = page_features(pages.texts)
    penalty = choose_penalty(features, pages.labels)
    found = fit(features, pages.labels, penalty)
    told = {
        "features": {
            feature.name: {"mean": mean, "scale": scale, "weight": weight}
            for feature, mean, scale, weight in zip(
                FEATURES, *(column.round(6).tolist() for column in found[:3]), strict=True
            )
        },
        "bias": round(found.bias, 6),
        "training": {"pages": len(pages.labels), "good": int(pages.labels.sum()),
                     "penalty": penalty},
    }  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return evaluate_score(pages)


def evaluate_score(pages: JudgedPages) -> QualityFigures:
    """Nested cross-validation on all pages, and on those of them on which all agree."""
    scores = nested_scores(pages)
    kinds = {"majority": np.ones(len(scores), np.bool_), "all agree": pages.all_agree}
    tenths = np.array_split(np.argsort(scores, kind="stable"), 10)
    return QualityFigures(
        sets=tuple(
            _figures(what, scores[rows], pages.labels[rows])
            for what, rows in kinds.items()
            if 0 < pages.labels[rows].sum() < rows.sum()
        ),
        tenths=tuple(
            Tenth(
                float(scores[one].min()), float(scores[one].max()), float(pages.labels[one].mean())
            )
            for one in tenths
            if len(one)
        ),
    )


def nested_scores(pages: JudgedPages) -> Floats:
    """float64[num_pages]: the score of each page by coefficients that were not fitted on it."""
    features = page_features(pages.texts)
    folds = _folds(len(pages.labels))
    scores = np.zeros(len(pages.labels))
    for fold in range(NUM_FOLDS):
        inside, outside = folds == fold, folds != fold
        penalty = choose_penalty(features[outside], pages.labels[outside])
        coefficients = fit(features[outside], pages.labels[outside], penalty)
        scores[inside] = apply(coefficients, features[inside])
    return scores


def page_features(texts: Sequence[str]) -> Floats:
    """Features of English pages: float64[num_pages, num_features]."""
    labels: Mapping[str, pa.Array[Any]] = {"language": pa.array([ENGLISH] * len(texts))}
    return Heuristics().features(pa.array(texts, pa.large_string()), labels)


def auc(scores: Floats, labels: Labels) -> float:
    """Area under the ROC curve: the chance that a good page stands above a bad, ties one half."""
    good, bad = scores[labels == 1], np.sort(scores[labels == 0])
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))


def render_score(figures: QualityFigures) -> str:
    """A table of AUC, and of the share of good pages in each tenth of the scores."""
    lines = [f"{'pages':<14}{'number':>8}{'good':>6}{'AUC':>8}{'95 % interval':>16}"]
    for one in figures.sets:
        low, high = one.auc_interval
        lines.append(
            f"{one.what:<14}{one.num_pages:>8}{one.num_good:>6}{one.auc:>8.3f}"
            f"{f'{low:.3f}-{high:.3f}':>16}"
        )
    lines += ["", f"{'tenth':<14}{'score from':>12}{'to':>8}{'good':>8}"]
    lines += [
        f"{at:<14}{tenth.lowest:>12.3f}{tenth.highest:>8.3f}{tenth.good:>8.2f}"
        for at, tenth in enumerate(figures.tenths, 1)
    ]
    return "\n".join(lines)


def _held_out(features: Floats, labels: Labels, penalty: float) -> Floats:
    folds = _folds(len(labels))
    scores = np.zeros(len(labels))
    for fold in range(NUM_FOLDS):
        coefficients = fit(features[folds != fold], labels[folds != fold], penalty)
        scores[folds == fold] = apply(coefficients, features[folds == fold])
    return scores


def _folds(num_pages: int) -> Labels:
    """int64[num_pages]: a shuffled number of fold for each page, always the same."""
    return np.random.default_rng(_SEED).permutation(num_pages) % NUM_FOLDS


def _log_loss(scores: Floats, labels: Labels) -> float:
    return float(-np.log(np.where(labels == 1, scores, 1 - scores)).mean())


def _figures(what: str, scores: Floats, labels: Labels) -> ScoreFigures:
    chance = np.random.default_rng(_SEED)
    found = []
    for _ in range(NUM_RESAMPLES):
        draw = chance.integers(0, len(labels), len(labels))
        if 0 < labels[draw].sum() < len(labels):
            found.append(auc(scores[draw], labels[draw]))
    low, high = np.quantile(found, [0.025, 0.975])
    return ScoreFigures(
        what=what,
        num_pages=len(labels),
        num_good=int(labels.sum()),
        auc=auc(scores, labels),
        auc_interval=(float(low), float(high)),
    )


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    places = [folder / f"{name}.jsonl.gz" for name in SETS for folder in (data, data / "labels")]
    present = [path for path in places if path.is_file()]
    if not present:
        raise ValueError(
            f"{data} holds none of {', '.join(SETS)} as .jsonl.gz, itself or in its subfolder "
            "labels; name the folder that does, or a file of your own, with --data"
        )
    return present


def _rows(path: Path) -> list[dict[str, Any]]:
    open_lines = gzip.open if path.suffix == ".gz" else open
    with open_lines(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
