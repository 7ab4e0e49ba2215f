"""Training of a text classifier from labelled documents: `train quality`, `train educational`.

Quality is a logistic regression of good against bad, as DCLM's; educational value a regression to
points from 0 to 5, as FineWeb-Edu's. Both are fitted by AdaGrad (Duchi et al. 2011), one document
at a time in a seeded order, so the same documents and seed give the same bytes. Figures are
cross-validated: five folds by host, each document scored by a model that has not seen its host; the
model that is written is then fitted on all.

A few hundred documents teach few words. There the signals of `annotators.heuristics` order pages
better, so `train_quality` measures both (`Features`) on the same folds and writes the better one,
unless it is told which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.linear import term_values
from annotators.domain.terms import (
    Hashes,
    TermCounts,
    TermSettings,
    build_vocabulary,
    count_terms,
    frequent_terms,
)
from annotators.heuristics.score import Coefficients, apply
from annotators.heuristics.score_training import fit_labelled, page_features, write_coefficients
from annotators.quality.card import CARD, Card, render_card, write_card
from annotators.quality.figures import (
    EducationalFigures,
    QualityFigures,
    measure_educational,
    measure_quality,
)
from annotators.quality.labelled import Labelled, fold_of, read_labelled
from annotators.quality.text_model import (
    DESCRIPTION,
    WEIGHTS,
    Floats,
    Kind,
    TextModel,
    TextWeights,
    Weights,
    linked,
    save_text_model,
)
from annotators.text.kernels import kernel

NUM_FOLDS: Final = 5
COEFFICIENTS_NAME: Final = "quality_score.json"

_FILES: Final = (DESCRIPTION, WEIGHTS, COEFFICIENTS_NAME)
_START_OF_SQUARES: Final = 1e-8
_BIAS_RATE: Final = 0.02
_LEAST_SPREAD: Final = 1e-9

Features = Literal["words", "signals", "better"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """What decides a text model, but for the documents and the seed."""

    max_words: int = 2
    """Words of the longest term."""
    epochs: int = 10
    learning_rate: float = 0.1
    min_documents: int = 3
    """Documents below which a term is left out."""
    max_terms: int = 500_000
    """The terms of most documents are kept; each takes 13 bytes on disk."""


class Prepared(NamedTuple):
    """Documents as terms."""

    hashes: Hashes
    idf: Weights
    rows: TermCounts
    values: Weights
    """float32[num_entries of rows]"""


class TrainedText(NamedTuple):
    """What a training left behind."""

    path: Path
    """What `score_model` or `model` is to name."""
    num_bytes: int
    card: Card


def train_quality(
    data: Sequence[Path],
    output: Path,
    *,
    licence: str,
    column: str | None = None,
    features: Features = "better",
    seed: int = 1,
    settings: TextSettings | None = None,
) -> TrainedText:
    """Trains a quality score from good and bad documents, and writes it with its card.

    Args:
        data: See `labelled.read_labelled`; labels are 0 or 1.
        output: Folder: `model.json` and `weights.npz` of words, or `quality_score.json` of signals.
        licence: Of the model, as its user is to read it.
        column: That holds the label.
        features: Words of any language, signals (English documents), or the better of both.
        seed: Decides the order of documents.
        settings: Of the words.

    Raises:
        ValueError: See `labelled.read_labelled`; or all labels are the same, or there are too few.
    """
    settings = settings or TextSettings()
    found = read_labelled(data, "quality", column=column)
    refuse_one_sided(found)
    measured: dict[str, QualityFigures] = {}
    if features != "signals":
        scores = linked("quality", held_out_sums(found, "quality", seed, settings))
        measured["words"] = measure_quality(scores, found.labels)
    if features != "words":
        measured["signals"] = measure_quality(_held_out_by_signals(found), found.labels)
    chosen = max(measured, key=lambda name: measured[name].auc)
    output.mkdir(parents=True, exist_ok=True)
    _remove_earlier(output)
    if chosen == "words":
        path, num_terms = output, _write(found, "quality", output, seed, settings)
    else:
        path, num_terms = output / COEFFICIENTS_NAME, 0
        coefficients, penalty = fit_labelled(
            page_features(found.texts), found.labels.astype(np.int64), found.kin
        )
        good = int(found.labels.sum())
        write_coefficients(
            path, coefficients, {"pages": len(found.texts), "good": good, "penalty": penalty}
        )
    card = Card(
        kind="quality", features=chosen, licence=licence, documents=found, num_terms=num_terms,
        seed=seed, figures=measured,
    )  # fmt: skip
    write_card(output, card)
    return TrainedText(path, _size(output), card)


def train_educational(
    data: Sequence[Path],
    output: Path,
    *,
    licence: str,
    column: str | None = None,
    seed: int = 1,
    settings: TextSettings | None = None,
) -> TrainedText:
    """Trains educational value from documents with 0 to 5 points, and writes it with its card.

    Args:
        data: See `labelled.read_labelled`, for example the output of `tokenmill judge`.
        output: Folder for `model.json`, `weights.npz` and `CARD.md`.
        licence: Of the model, as its user is to read it.
        column: That holds the points.
        seed: Decides the order of documents.
        settings: Of the words.

    Raises:
        ValueError: See `labelled.read_labelled`; or all labels are the same, or there are too few.
    """
    settings = settings or TextSettings()
    found = read_labelled(data, "educational", column=column)
    refuse_one_sided(found)
    sums = held_out_sums(found, "educational", seed, settings)
    points = _held_out_points(found, sums)
    figures: dict[str, EducationalFigures] = {"words": measure_educational(points, found.labels)}
    _remove_earlier(output)
    line = straightened(sums, found.labels)
    num_terms = _write(found, "educational", output, seed, settings, line)
    card = Card(
        kind="educational", features="words", licence=licence, documents=found,
        num_terms=num_terms, seed=seed, figures=figures,
    )  # fmt: skip
    write_card(output, card)
    return TrainedText(output, _size(output), card)


def render_trained(trained: TrainedText) -> str:
    """The figures of a training, and what to do with the model."""
    option = (
        "quality: {score_model: " if trained.card.kind == "quality" else "educational: {model: "
    )
    return (
        f"{render_card(trained.card)}\n\n{trained.path}: {trained.num_bytes:,} bytes; in "
        f"corpus.yaml: annotators: [{option}{trained.path}}}]"
    )


def fit_text_model(
    texts: Sequence[str],
    labels: Floats,
    kind: Kind,
    *,
    seed: int = 1,
    settings: TextSettings | None = None,
) -> TextModel:
    """Trains a model and keeps it in memory, with weights that are not quantised."""
    settings = settings or TextSettings()
    return TextModel(kind, settings.max_words, _fit_weights(texts, labels, kind, seed, settings))


def held_out_sums(found: Labelled, kind: Kind, seed: int, settings: TextSettings) -> Floats:
    """float64[num_documents]: sums by models that have not seen the document's host.

    A document without a known word gets what the mean label stands for.
    """
    folds = folds_of(found)
    sums = np.zeros(len(folds))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        model = fit_text_model(
            [found.texts[at] for at in outside], found.labels[outside], kind, seed=seed,
            settings=settings,
        )  # fmt: skip
        given = model.sums(pa.array([found.texts[at] for at in inside], pa.large_string()))
        sums[inside] = np.nan_to_num(given, nan=_start(found.labels[outside], kind))
    return sums


def straightened(sums: Floats, labels: Floats) -> tuple[float, float]:
    """Intercept and slope of the line of least squares from sums to labels.

    A regression with few documents shrinks: what it says of documents held out lies too near the
    mean. The line through those pairs undoes that.
    """
    spread = float(sums.var())
    if spread < _LEAST_SPREAD:
        return float(labels.mean()), 0.0
    slope = float(((sums - sums.mean()) * (labels - labels.mean())).mean()) / spread
    return float(labels.mean() - slope * sums.mean()), slope


def _held_out_points(found: Labelled, sums: Floats) -> Floats:
    """Points by sums held out and lines through the other folds'."""
    folds, points = folds_of(found), np.zeros(len(sums))
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        intercept, slope = straightened(sums[outside], found.labels[outside])
        points[inside] = intercept + slope * sums[inside]
    return linked("educational", points)


def _held_out_by_signals(found: Labelled) -> Floats:
    features, folds = page_features(found.texts), folds_of(found)
    labels = found.labels.astype(np.int64)
    scores = np.zeros(len(folds))
    for fold in np.unique(folds):
        inside, outside = folds == fold, np.flatnonzero(folds != fold)
        trained: Coefficients = fit_labelled(
            features[outside], labels[outside], [found.kin[at] for at in outside]
        )[0]
        scores[inside] = apply(trained, features[inside])
    return scores


def folds_of(found: Labelled) -> Ints:
    """int64[num_documents]: the fold of each, by its kin.

    Raises:
        ValueError: A fold would leave nothing, or one label alone, to learn from.
    """
    folds = np.array([fold_of(kin, NUM_FOLDS) for kin in found.kin])
    for fold in np.unique(folds):
        left = found.labels[folds != fold]
        if len(np.unique(left)) < 2:
            raise ValueError(
                f"{len(found.texts)} documents of {len(set(found.kin))} hosts are too few to hold "
                "some out: all labels of the others are the same; give more documents of both kinds"
            )
    return folds


def refuse_one_sided(found: Labelled) -> None:
    """Refuses documents that all have one label.

    Raises:
        ValueError: They do.
    """
    if len(np.unique(found.labels)) < 2:
        raise ValueError(
            f"all {len(found.texts)} documents have the label {found.labels[0]:g}; nothing can be "
            "learnt: give documents of other labels too"
        )


def _remove_earlier(output: Path) -> None:
    """What an earlier training left, so that no folder holds two models."""
    for name in (*_FILES, CARD):
        (output / name).unlink(missing_ok=True)


def _size(output: Path) -> int:
    return sum((output / name).stat().st_size for name in _FILES if (output / name).is_file())


def _write(
    found: Labelled,
    kind: Kind,
    output: Path,
    seed: int,
    settings: TextSettings,
    line: tuple[float, float] = (0.0, 1.0),
) -> int:
    """Trains on all documents, writes the model, and gives its number of terms."""
    numbers = _fit_weights(found.texts, found.labels, kind, seed, settings)
    intercept, slope = line
    numbers = numbers._replace(
        weights=numbers.weights * np.float32(slope), bias=intercept + slope * numbers.bias
    )
    origin = {
        "documents": len(found.texts), "label": found.column, "mean": float(found.labels.mean()),
        "seed": seed, "epochs": settings.epochs, "learning_rate": settings.learning_rate,
    }  # fmt: skip
    save_text_model(output, kind, settings.max_words, numbers, origin)
    return len(numbers.hashes)


def prepare(texts: Sequence[str], settings: TextSettings) -> Prepared:
    """Finds the terms of documents and what each counts in each."""
    arrays = pa.array(texts, pa.large_string())
    terms = TermSettings(settings.max_words, False)
    hashes, num_documents = frequent_terms(
        arrays, terms, min_texts=settings.min_documents, max_terms=settings.max_terms
    )
    idf: Weights = np.log(len(texts) / num_documents).astype(np.float32)
    rows = count_terms(arrays, build_vocabulary(hashes), terms)
    return Prepared(hashes, idf, rows, term_values(rows, idf))


def fit(
    documents: Prepared, labels: Floats, settings: TextSettings, seed: int, *, logistic: bool
) -> tuple[Weights, float]:
    """Fits one column of weights.

    Args:
        documents: Made by `prepare`.
        labels: float64[num_documents], 0 or 1 where `logistic`.
        settings: Epochs and rate.
        seed: Decides the order of documents.
        logistic: Whether the log loss or the squared error is fitted.

    Returns:
        float32[num_terms] and the bias.
    """
    chance = np.random.default_rng(seed)
    orders = np.stack([chance.permutation(len(labels)) for _ in range(settings.epochs)])
    weights = np.zeros(len(documents.hashes))
    squares = np.full(len(documents.hashes), _START_OF_SQUARES)
    start = _start(labels, "quality" if logistic else "educational")
    bias = _descend(
        documents.rows, documents.values, labels, orders, settings.learning_rate, logistic, start,
        weights, squares,
    )  # fmt: skip
    return weights.astype(np.float32), float(bias)


def _start(labels: Floats, kind: Kind) -> float:
    """The sum that gives the mean label."""
    mean = float(labels.mean())
    return math.log(mean / (1 - mean)) if kind == "quality" else mean


def _fit_weights(
    texts: Sequence[str], labels: Floats, kind: Kind, seed: int, settings: TextSettings
) -> TextWeights:
    documents = prepare(texts, settings)
    weights, bias = fit(documents, labels, settings, seed, logistic=kind == "quality")
    return TextWeights(documents.hashes, documents.idf, weights, bias)


@kernel
def _descend(
    rows: TermCounts,
    values: Weights,
    labels: Floats,
    orders: Ints,
    learning_rate: float,
    logistic: bool,
    start: float,
    weights: Floats,
    squares: Floats,
) -> float:
    """AdaGrad on the log loss or half the squared error; fills `weights`, gives the bias."""
    starts, terms, _ = rows
    bias = start
    for at in range(orders.size):
        row = orders[at // orders.shape[1], at % orders.shape[1]]
        found = bias
        for entry in range(starts[row], starts[row + 1]):
            found += weights[terms[entry]] * values[entry]
        if logistic:
            found = 1 / (1 + np.exp(-found))
        error = found - labels[row]
        for entry in range(starts[row], starts[row + 1]):
            step = error * values[entry]
            term = terms[entry]
            squares[term] += step * step
            weights[term] -= learning_rate * step / np.sqrt(squares[term])
        bias -= _BIAS_RATE * error
    return bias
