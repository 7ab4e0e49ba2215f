"""Evaluation of `quality_score`, on pages that people called good or bad.

Two files of the DCLM paper's human study (Li et al. 2024, arXiv:2406.11794; MIT): the label of the
majority, and of the pages on which all agree. The second is a part of the first, so a page counts
once, by its `doc_id`: 244 pages in the half at hand, all English. Nothing that is shipped was
trained on them. Intervals are quantiles of resampled pages (Efron 1979).
"""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.languages import ENGLISH

SETS: Final = ("dclm_majority", "dclm_agreement")
NUM_RESAMPLES: Final = 2000

_SEED: Final = 0

Floats = NDArray[np.float64]
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
    """A tenth of the pages, by their scores."""

    lowest: float
    highest: float
    good: float
    """Share of good pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFigures:
    """All figures of the score."""

    model: str
    sets: tuple[ScoreFigures, ...]
    tenths: tuple[Tenth, ...]


def evaluate_quality(data: Path, model: str | Path | None = None) -> QualityFigures:
    """Measures how well a score orders judged pages.

    Args:
        data: See `read_judged_pages`.
        model: File or folder of `tokenmill train quality`; the shipped coefficients if left out.
            One that was trained on these pages gets figures that mean nothing.

    Raises:
        ValueError: There are no pages, or the model cannot be read.
    """
    return evaluate_scores(read_judged_pages(data), scores_of(model), str(model or "default"))


def scores_of(model: str | Path | None) -> Callable[[list[str]], Floats]:
    """A function that scores English pages: NaN becomes 0."""
    annotator = Heuristics(score_model=model)
    annotator.check()

    def scores(texts: list[str]) -> Floats:
        labels: Mapping[str, pa.Array[Any]] = {"language": pa.array([ENGLISH] * len(texts))}
        found = annotator(pa.array(texts, pa.large_string()), labels).column("quality_score")
        return np.asarray(found.fill_null(0).to_numpy(zero_copy_only=False), np.float64)

    return scores


def evaluate_scores(
    pages: JudgedPages, score: Callable[[list[str]], Floats], model: str
) -> QualityFigures:
    """Figures of all pages and of those on which all agree."""
    scores = score(pages.texts)
    kinds = {"majority": np.ones(len(scores), np.bool_), "all agree": pages.all_agree}
    return QualityFigures(
        model=model,
        sets=tuple(
            figures_of(what, scores[rows], pages.labels[rows])
            for what, rows in kinds.items()
            if 0 < pages.labels[rows].sum() < rows.sum()
        ),
        tenths=tenths_of(scores, pages.labels),
    )


def figures_of(what: str, scores: Floats, labels: Labels) -> ScoreFigures:
    """AUC with its interval."""
    chance = np.random.default_rng(_SEED)
    found = []
    for _ in range(NUM_RESAMPLES):
        draw = chance.integers(0, len(labels), len(labels))
        if 0 < labels[draw].sum() < len(labels):
            found.append(auc(scores[draw], labels[draw]))
    low, high = np.quantile(found, [0.025, 0.975]) if found else (np.nan, np.nan)
    return ScoreFigures(
        what=what,
        num_pages=len(labels),
        num_good=int(labels.sum()),
        auc=auc(scores, labels),
        auc_interval=(float(low), float(high)),
    )


def tenths_of(scores: Floats, labels: Labels) -> tuple[Tenth, ...]:
    """Share of good pages in each tenth of the pages, from the lowest scores to the highest."""
    parts = np.array_split(np.argsort(scores, kind="stable"), 10)
    return tuple(
        Tenth(float(scores[one].min()), float(scores[one].max()), float(labels[one].mean()))
        for one in parts
        if len(one)
    )


def auc(scores: Floats, labels: Labels) -> float:
    """Area under the ROC curve: the chance that a good page stands above a bad, ties one half."""
    good, bad = scores[labels == 1], np.sort(scores[labels == 0])
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))


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


def render_quality(figures: QualityFigures) -> str:
    """A table of AUC, and of the share of good pages in each tenth of the scores."""
    lines = [f"model: {figures.model}"]
    lines += [f"{'pages':<14}{'number':>8}{'good':>6}{'AUC':>8}{'95 % interval':>16}"]
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
