"""Training of a domain model of your own: a linear classifier for topics and one for formats.

Linear support vector machines over terms, one label against the rest (`solver`), whose margins one
factor and a line in log-odds turn into probabilities. Topics and formats want other terms: topics
single words by idf, formats pairs, too, with line breaks among them, by the root of idf. What that
is worth is measured by `tokenmill evaluate domain` and stands in model/CARD.md.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.annotator import DESCRIPTION, TASKS
from annotators.domain.examples import Example, fold_of
from annotators.domain.linear import (
    ADDRESS_TERMS,
    Calibration,
    Classifier,
    LinearModel,
    LinearWeights,
    address_words,
    log_odds,
    probe,
    save,
    softmax,
    term_values,
)
from annotators.domain.solver import separate
from annotators.domain.terms import (
    Hashes,
    TermCounts,
    TermSettings,
    build_vocabulary,
    count_terms,
    frequent_terms,
)

CARD: Final = "CARD.md"

_SHARPNESSES: Final = np.geomspace(0.5, 20, 75)
"""What margins may be multiplied by; 5 % from one to the next."""
_NEWTON_STEPS: Final = 20
_STAY: Final = 5.0
"""Pull of the line in log-odds towards none, in pages; it decides where few are held out."""
_LEAST_SLOPE: Final = 0.05  # so that the best label stays the best
_HELD_OUT_FOLD, _NUM_FOLDS = 0, 7  # not the 5 of `evaluation`, which would leave none

Weights = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What decides one classifier, but for the pages and the seed."""

    max_words: int
    """Words of the longest term."""
    keep_lines: bool
    """Whether line breaks are terms."""
    idf_power: float
    """How much less a term weighs the more pages have it: idf to this power; 0 is not at all."""
    uses_url: bool = False
    """Whether the words of the address are terms, too."""
    url_share: float = 0.5
    """Length of the values of an address beside those of the text, which is 1."""
    cost: float = 0.3
    """Of an error beside the size of the weights; more fits the pages closer."""
    min_pages: int = 2
    """Pages below which a term is left out."""
    max_terms: int = 200_000
    """The terms of most pages are kept; 24 labels take 36 bytes a term."""


def _default_tasks(uses_url: bool) -> dict[str, TaskSettings]:
    return {
        "topic": TaskSettings(max_words=1, keep_lines=False, idf_power=1.0, uses_url=uses_url),
        "format": TaskSettings(
            max_words=2, keep_lines=True, idf_power=0.5, uses_url=uses_url, min_pages=3,
            max_terms=40_000,
        ),
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings:
    """Settings of both classifiers."""

    tasks: dict[str, TaskSettings] = field(default_factory=lambda: _default_tasks(False))

    @classmethod
    def with_urls(cls) -> "DomainSettings":
        """The defaults, and addresses are read."""
        return cls(tasks=_default_tasks(True))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedTask:
    """What one training left behind."""

    task: str
    num_pages: int
    num_labels: int
    num_terms: int
    num_bytes: int


def train_domain(
    examples: Sequence[Example],
    output: Path,
    *,
    seed: int = 1,
    settings: DomainSettings | None = None,
    own_labels: bool = False,
    licence: str | None = None,
) -> list[TrainedTask]:
    """Trains a classifier for each task that the pages have labels of, and writes them.

    Args:
        examples: The pages.
        output: Folder for `topic.npz`, `format.npz` and `model.json`; replaced where they are.
        seed: Decides the order of pages.
        settings: The defaults are those of the figures in model/CARD.md.
        own_labels: Whether the labels are not WebOrganizer's; only written down.
        licence: Of the model, as its user is to read it: with it `CARD.md` is written, too.

    Raises:
        ValueError: No task has pages of two labels.
    """
    settings = settings or DomainSettings()
    output.mkdir(parents=True, exist_ok=True)
    told, trained = {}, []
    for task in TASKS:
        pages = [one for one in examples if task in one.labels]
        if len({one.labels[task] for one in pages}) < 2:
            (output / f"{task}.npz").unlink(missing_ok=True)  # of an earlier training
            continue
        of_task = settings.tasks[task]
        labels, numbers, calibration = _fit_calibrated(pages, task, of_task, seed)
        path = output / f"{task}.npz"
        save(path, numbers)
        told[task] = {
            "labels": labels, "pages": len(pages), "seed": seed, 
            "calibration": calibration._asdict(), **asdict(of_task),
        }  # fmt: skip
        trained.append(
            TrainedTask(
                task=task, num_pages=len(pages), num_labels=len(labels),
                num_terms=len(numbers.words.hashes), num_bytes=path.stat().st_size,
            )
        )  # fmt: skip
    if not told:
        raise ValueError("no task has pages of at least two labels; nothing can be learnt")
    description = {"probe": probe(), "own_labels": own_labels, "tasks": told}
    written = json.dumps(description, indent=2, ensure_ascii=False)
    (output / DESCRIPTION).write_text(written + "\n", encoding="utf-8")
    if licence is None:
        (output / CARD).unlink(missing_ok=True)  # of an earlier training
    else:
        (output / CARD).write_text(_card(examples, trained, licence, seed), encoding="utf-8")
    return trained


def _card(
    examples: Sequence[Example], trained: Sequence[TrainedTask], licence: str, seed: int
) -> str:
    """What the model was learnt from; what it is worth is measured apart."""
    lines = [
        "# Card of a domain model",
        "",
        f"Licence: {licence}",
        "",
        "The licence above was stated by whoever trained the model.",
        "",
        f"Linear classifiers trained with the seed {seed} on {len(examples):,} pages of "
        f"{len({one.kin for one in examples}):,} hosts.",
    ]
    for one in trained:
        counts = Counter(page.labels[one.task] for page in examples if one.task in page.labels)
        lines += ["", f"## {one.task}", "", f"{one.num_terms:,} terms.", "", "| label | pages |"]
        lines += [
            "|---|---|",
            *(f"| {name} | {count:,} |" for name, count in sorted(counts.items())),
        ]
    lines += [
        "",
        "## Figures",
        "",
        "None were measured when it was trained: `tokenmill evaluate domain --model` does, on "
        "pages that are not among those above.",
    ]
    return "\n".join(lines) + "\n"


def fit_model(
    examples: Sequence[Example], task: str, *, seed: int = 1, settings: TaskSettings | None = None
) -> LinearModel:
    """Trains one classifier and keeps it in memory, with weights that are not quantised."""
    settings = settings or _default_tasks(False)[task]
    labels, numbers, calibration = _fit_calibrated(examples, task, settings, seed)
    terms = TermSettings(settings.max_words, settings.keep_lines)
    return LinearModel(labels, terms, numbers, calibration)


def _fit_calibrated(
    examples: Sequence[Example], task: str, settings: TaskSettings, seed: int
) -> tuple[list[str], Classifier, Calibration]:
    """A classifier of all pages, calibrated by one that has not seen a seventh, on that."""
    labels, numbers = _fit(examples, task, settings, seed)
    held_out = [one for one in examples if fold_of(one, _NUM_FOLDS) == _HELD_OUT_FOLD]
    others = [one for one in examples if fold_of(one, _NUM_FOLDS) != _HELD_OUT_FOLD]
    known = {one.labels[task] for one in others if one.weights[task] > 0}
    held_out = [one for one in held_out if one.labels[task] in known and one.weights[task] > 0]
    if not held_out or len(known) < 2:
        return labels, numbers, Calibration()
    part_labels, part = _fit(others, task, settings, seed)
    terms = TermSettings(settings.max_words, settings.keep_lines)
    margins = LinearModel(part_labels, terms, part).margins(texts_of(held_out), urls_of(held_out))
    right = np.array([part_labels.index(one.labels[task]) for one in held_out])
    return labels, numbers, _calibrate(margins, right)


def _calibrate(margins: Floats, right: npt.NDArray[np.int64]) -> Calibration:
    """Fits how margins become probabilities.

    First temperature scaling (Guo et al. 2017, arXiv:1706.04599), which makes what is right most
    likely as a whole; then the logistic regression of "is the best label right?" on its log-odds
    (Platt 1999), because one factor leaves the low scores too low and the high ones too high.

    Args:
        margins: float64[num_pages, num_labels], of pages that were not trained on.
        right: int64[num_pages], their labels.
    """
    rows = np.arange(len(right))
    surprise = [-np.log(softmax(margins * one)[rows, right]).mean() for one in _SHARPNESSES]
    sharpness = float(_SHARPNESSES[int(np.argmin(surprise))])
    odds = log_odds(softmax(margins * sharpness).max(axis=1))
    inputs = np.stack([odds, np.ones(len(odds))])
    is_right = margins.argmax(axis=1) == right
    line = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        guess = 1 / (1 + np.exp(-line @ inputs))
        slope = inputs @ (guess - is_right) + _STAY * (line - [1, 0])
        curve = (inputs * (guess * (1 - guess))) @ inputs.T + _STAY * np.eye(2)
        line -= np.linalg.solve(curve, slope)
    return Calibration(sharpness, max(float(line[0]), _LEAST_SLOPE), float(line[1]))


def texts_of(examples: Sequence[Example]) -> pa.LargeStringArray:
    """Their texts as an array."""
    return pa.array([one.text for one in examples], pa.large_string())


def urls_of(examples: Sequence[Example]) -> pa.LargeStringArray:
    """Their addresses as an array, null where there is none."""
    return pa.array([one.url or None for one in examples], pa.large_string())


def _fit(
    examples: Sequence[Example], task: str, settings: TaskSettings, seed: int
) -> tuple[list[str], Classifier]:
    labels = sorted({one.labels[task] for one in examples})
    number = {label: at for at, label in enumerate(labels)}
    terms = TermSettings(settings.max_words, settings.keep_lines)
    hashes, idf, rows = _weighed_terms(texts_of(examples), terms, settings, settings.idf_power)
    values = term_values(rows, idf)
    num_words = len(hashes)
    if settings.uses_url:
        addresses = address_words(urls_of(examples))
        of_url = _weighed_terms(addresses, ADDRESS_TERMS, settings, 1.0)
        shared = term_values(of_url[2], of_url[1]) * np.float32(settings.url_share)
        rows, values = _beside(rows, values, of_url[2], shared, num_words)
    weights, bias = separate(
        rows, values,
        np.array([number[one.labels[task]] for one in examples]),
        settings.cost * np.array([one.weights[task] for one in examples], np.float64),
        len(labels), num_words + (len(of_url[0]) if settings.uses_url else 0), seed,
    )  # fmt: skip
    ones = np.ones(len(labels), np.float32)
    address = None
    if settings.uses_url:
        share = np.float32(settings.url_share)
        address = LinearWeights(of_url[0], of_url[1], weights[num_words:], ones * share)
    words = LinearWeights(hashes, idf, weights[:num_words], ones)
    return labels, Classifier(words, bias, address)


def _beside(
    left: TermCounts, of_left: Weights, right: TermCounts, of_right: Weights, num_left: int
) -> tuple[TermCounts, Weights]:
    """Rows that have the terms of both; those of the right are numbered behind the left's."""
    num_rows = len(left.starts) - 1
    row_of = np.concatenate(
        [np.repeat(np.arange(num_rows), np.diff(one.starts)) for one in (left, right)]
    )
    order = np.argsort(row_of, kind="stable")
    terms = np.concatenate([left.terms, right.terms + num_left])[order].astype(np.int32)
    counts = np.concatenate([left.counts, right.counts])[order]
    return (
        TermCounts(left.starts + right.starts, terms, counts),
        np.concatenate([of_left, of_right])[order],
    )


def _weighed_terms(
    texts: pa.LargeStringArray, terms: TermSettings, settings: TaskSettings, idf_power: float
) -> tuple[Hashes, Weights, TermCounts]:
    """Terms that are kept, sorted, what each weighs, and how often each text has them."""
    hashes, num_pages = frequent_terms(
        texts, terms, min_texts=settings.min_pages, max_terms=settings.max_terms
    )
    # A term on every page weighs nothing by idf; a little keeps it from being lost.
    idf = np.asarray(np.log((1 + len(texts)) / num_pages) ** idf_power, np.float32)
    return hashes, idf, count_terms(texts, build_vocabulary(hashes), terms)
