"""Training of a domain model of your own: a linear classifier for topics and one for formats.

A softmax regression over terms, fitted by AdaGrad (Duchi et al. 2011) one page at a time in a
seeded order, so the same pages and seed give the same bytes. Topics and formats want other terms.
Macro-F1 on one held-out fifth of 5,300 English web pages (23 topics, 24 formats), by host:

                                                  topic   format
    fastText, words and pairs, 32 dimensions      0.558   0.474
    words, idf                                    0.645   0.470
    words                                         0.619   0.505
    words and pairs, idf                          0.608   0.507
    words and pairs                               0.580   0.520
    words and pairs, line breaks among them       0.583   0.533

so topics have words with idf, and formats words, pairs and line breaks without (three words:
0.544, for half as many terms again). fastText had 40 and 60 epochs; the better one stands here.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.annotator import DESCRIPTION, TASKS
from annotators.domain.examples import Example
from annotators.domain.linear import LinearModel, LinearWeights, probe, save, term_values
from annotators.domain.terms import (
    Hashes,
    TermCounts,
    TermSettings,
    build_vocabulary,
    count_terms,
    list_terms,
)
from annotators.text.kernels import kernel

_PAGES_AT_ONCE: Final = 4096
_START_OF_SQUARES: Final = 1e-8
_BIAS_RATE: Final = 0.02

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What decides one classifier, but for the pages and the seed."""

    max_words: int
    """Words of the longest term."""
    keep_lines: bool
    """Whether line breaks are terms."""
    uses_idf: bool
    """Whether a term weighs less the more pages have it."""
    epochs: int = 10
    learning_rate: float = 0.1
    min_pages: int = 2
    """Pages below which a term is left out."""
    max_terms: int = 200_000
    """The terms of most pages are kept; 24 labels take 36 bytes a term."""


def _default_tasks() -> dict[str, TaskSettings]:
    return {
        "topic": TaskSettings(max_words=1, keep_lines=False, uses_idf=True),
        "format": TaskSettings(max_words=2, keep_lines=True, uses_idf=False),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings:
    """Settings of both classifiers."""

    tasks: dict[str, TaskSettings] = field(default_factory=_default_tasks)


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
) -> list[TrainedTask]:
    """Trains a classifier for each task that the pages have labels of, and writes them.

    Args:
        examples: The pages.
        output: Folder for `topic.npz`, `format.npz` and `model.json`; replaced where they are.
        seed: Decides the order of pages.
        settings: The defaults are those of the figures in model/CARD.md.

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
        labels, numbers = _fit_task(pages, task, of_task, seed)
        path = output / f"{task}.npz"
        save(path, numbers)
        told[task] = {"labels": labels, "pages": len(pages), "seed": seed, **asdict(of_task)}
        trained.append(
            TrainedTask(
                task=task, num_pages=len(pages), num_labels=len(labels),
                num_terms=len(numbers.hashes), num_bytes=path.stat().st_size,
            )
        )  # fmt: skip
    if not told:
        raise ValueError("no task has pages of at least two labels; nothing can be learnt")
    description = json.dumps({"probe": probe(), "tasks": told}, indent=2, ensure_ascii=False)
    (output / DESCRIPTION).write_text(description + "\n", encoding="utf-8")
    return trained


def fit_model(
    examples: Sequence[Example], task: str, *, seed: int = 1, settings: TaskSettings | None = None
) -> LinearModel:
    """Trains one classifier and keeps it in memory, with weights that are not quantised."""
    settings = settings or _default_tasks()[task]
    labels, numbers = _fit_task(examples, task, settings, seed)
    return LinearModel(labels, TermSettings(settings.max_words, settings.keep_lines), numbers)


def _fit_task(
    examples: Sequence[Example], task: str, settings: TaskSettings, seed: int
) -> tuple[list[str], LinearWeights]:
    labels = sorted({one.labels[task] for one in examples})
    number = {label: at for at, label in enumerate(labels)}
    terms = TermSettings(settings.max_words, settings.keep_lines)
    texts = pa.array([one.text for one in examples], pa.large_string())
    hashes, num_pages = _frequent_terms(texts, terms, settings)
    rarity = np.log(len(examples) / num_pages) if settings.uses_idf else np.ones(len(hashes))
    idf: Weights = np.asarray(rarity, np.float32)
    rows = count_terms(texts, build_vocabulary(hashes), terms)
    weights, bias = _fit(
        rows, term_values(rows, idf),
        np.array([number[one.labels[task]] for one in examples]),
        np.array([one.weights[task] for one in examples], np.float64),
        _orders(len(examples), settings.epochs, seed), settings.learning_rate, len(labels),
        len(hashes),
    )  # fmt: skip
    return labels, LinearWeights(hashes, idf, weights, bias)


def _frequent_terms(
    texts: pa.LargeStringArray, terms: TermSettings, settings: TaskSettings
) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Terms that are kept, sorted, and how many pages have each."""
    hashes, pages = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for start in range(0, len(texts), _PAGES_AT_ONCE):
        found = list_terms(texts.slice(start, _PAGES_AT_ONCE), terms)
        new, new_pages = np.unique(np.concatenate(found), return_counts=True)
        merged, where = np.unique(np.concatenate([hashes, new]), return_inverse=True)
        total = np.bincount(where, np.concatenate([pages, new_pages]), len(merged))
        hashes, pages = merged, total.astype(np.int64)
    kept = np.flatnonzero(pages >= settings.min_pages)
    # The most frequent first, ties by hash; then sorted by hash again.
    order = kept[np.argsort(-pages[kept], kind="stable")[: settings.max_terms]]
    order.sort()
    return hashes[order], pages[order]


def _orders(num_pages: int, epochs: int, seed: int) -> npt.NDArray[np.int64]:
    """int64[epochs, num_pages]: the order of pages in each epoch."""
    chance = np.random.default_rng(seed)
    return np.stack([chance.permutation(num_pages) for _ in range(epochs)])


def _fit(
    rows: TermCounts,
    values: Weights,
    labels: npt.NDArray[np.int64],
    page_weights: npt.NDArray[np.float64],
    orders: npt.NDArray[np.int64],
    learning_rate: float,
    num_labels: int,
    num_terms: int,
) -> tuple[Weights, Weights]:
    """Fits weights float32[num_terms, num_labels] and bias float32[num_labels]."""
    weights = np.zeros((num_terms, num_labels), np.float32)
    squares = np.full((num_terms, num_labels), _START_OF_SQUARES, np.float32)
    bias = np.zeros(num_labels, np.float32)
    _descend(rows, values, labels, page_weights, orders, learning_rate, weights, squares, bias)
    return weights, bias


@kernel
def _descend(
    rows: TermCounts,
    values: Weights,
    labels: npt.NDArray[np.int64],
    page_weights: npt.NDArray[np.float64],
    orders: npt.NDArray[np.int64],
    learning_rate: float,
    weights: Weights,
    squares: Weights,
    bias: Weights,
) -> None:
    """AdaGrad on the log loss, page by page; `squares` sums the squared gradients."""
    starts, terms, _ = rows
    num_labels = weights.shape[1]
    slope = np.zeros(num_labels)
    for at in range(orders.size):
        page = orders[at // orders.shape[1], at % orders.shape[1]]
        slope[:] = bias
        for entry in range(starts[page], starts[page + 1]):
            for label in range(num_labels):
                slope[label] += weights[terms[entry], label] * values[entry]
        slope -= slope.max()
        slope[:] = np.exp(slope)
        slope /= slope.sum()
        slope[labels[page]] -= 1
        slope *= page_weights[page]
        for entry in range(starts[page], starts[page + 1]):
            term, value = terms[entry], values[entry]
            for label in range(num_labels):
                step = slope[label] * value
                squares[term, label] += step * step
                weights[term, label] -= learning_rate * step / np.sqrt(squares[term, label])
        for label in range(num_labels):
            bias[label] -= _BIAS_RATE * slope[label]
