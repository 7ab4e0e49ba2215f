"""One of several categories of a text, by its words: what a judge says of safety, made cheap.

A logistic regression a category, one against the rest, over the same terms as `text_model`; the
category of the largest probability is named, and its score is that probability over the sum of all.
Categories and their column are whatever the labelled documents have.

On disk, a folder: `model.json` (categories, how terms are made), `categories.npz` (hashes
uint64[n], idf float32[n], weights int8[n, k], scales and bias float32[k]) and `CARD.md`.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.linear import probe, term_values, weighted_sums
from annotators.domain.terms import TermSettings, build_vocabulary, count_terms
from annotators.quality.card import Card, render_card, write_card
from annotators.quality.figures import CategoryFigures, measure_categories
from annotators.quality.labelled import Labelled, read_categories
from annotators.quality.text_model import DESCRIPTION, Floats, Weights
from annotators.quality.training import TextSettings, fit, folds_of, prepare, refuse_one_sided

WEIGHTS: Final = "categories.npz"

_ROWS_AT_ONCE: Final = 1024
_LARGEST: Final = 127


class _Numbers(NamedTuple):
    hashes: npt.NDArray[np.uint64]
    idf: Weights
    weights: Weights
    """float32[num_terms, num_categories]"""
    bias: Weights


class TrainedCategories(NamedTuple):
    """What a training left behind."""

    folder: Path
    num_bytes: int
    card: Card


class CategoryModel:
    """Names the category of each text."""

    def __init__(self, labels: Sequence[str], max_words: int, numbers: _Numbers) -> None:
        """Keeps the numbers; `load` and `train_categories` make them."""
        self.labels = tuple(labels)
        self._settings = TermSettings(max_words, False)
        self._numbers = numbers
        self._vocabulary = build_vocabulary(numbers.hashes)

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """The files whose bytes decide what is said."""
        return [folder / DESCRIPTION, folder / WEIGHTS]

    @classmethod
    def load(cls, folder: Path) -> "CategoryModel":
        """Loads a model.

        Raises:
            ValueError: A file is missing or damaged, or words were split otherwise at the training.
        """
        remedy = "train it again: tokenmill train safety"
        try:
            told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            labels, splits, max_words = told["labels"], told["probe"], int(told["max_words"])
            numbers = _read_numbers(folder / WEIGHTS, len(labels))
        except (
            OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
        ) as error:  # fmt: skip
            raise ValueError(
                f"the model in {folder} is missing or damaged ({type(error).__name__}: {error}); "
                f"{remedy}"
            ) from None
        if splits != probe():
            raise ValueError(
                f"{folder} was trained on words that another tokenmill (or Python) splits "
                f"otherwise; {remedy}"
            )
        return cls(labels, max_words, numbers)

    def scores(self, texts: pa.LargeStringArray) -> Floats:
        """float64[num_texts, num_categories] that sum to 1; a row of zeros where nothing is known.

        Args:
            texts: large_string, no nulls.
        """
        parts = [np.zeros((0, len(self.labels)))]
        for start in range(0, len(texts), _ROWS_AT_ONCE):
            rows = count_terms(texts.slice(start, _ROWS_AT_ONCE), self._vocabulary, self._settings)
            values = term_values(rows, self._numbers.idf)
            sums = weighted_sums(rows, values, self._numbers.weights) + self._numbers.bias
            found = 1 / (1 + np.exp(-np.clip(sums, -60, 60)))
            found /= found.sum(axis=1, keepdims=True)
            found[np.diff(rows.starts) == 0] = 0
            parts.append(found)
        return np.concatenate(parts)

    def predict(self, texts: pa.LargeStringArray) -> tuple["pa.Array[Any]", "pa.Array[Any]"]:
        """Categories, string, and their scores, float32; both null where no word is known.

        Args:
            texts: large_string, no nulls.
        """
        scores = self.scores(texts)
        best = scores.argmax(axis=1)
        score = scores[np.arange(len(best)), best]
        unknown = score <= 0
        names = pa.array(np.array(self.labels, object)[best], pa.string(), mask=unknown)
        return names, pa.array(score.astype(np.float32), pa.float32(), mask=unknown)


def train_categories(
    data: Sequence[Path],
    output: Path,
    *,
    licence: str,
    column: str = "safety",
    seed: int = 1,
    settings: TextSettings | None = None,
) -> TrainedCategories:
    """Trains a model from documents with the name of a category, and writes it with its card.

    Args:
        data: See `labelled.read_labelled`, for example the output of `tokenmill judge`.
        output: Folder for `model.json`, `categories.npz` and `CARD.md`.
        licence: Of the model, as its user is to read it.
        column: That holds the category.
        seed: Decides the order of documents.
        settings: Of the words.

    Raises:
        ValueError: See `labelled.read_categories`; or all have one category.
    """
    settings = settings or TextSettings()
    found = read_categories(data, column)
    refuse_one_sided(found)
    figures: dict[str, CategoryFigures] = {"words": _held_out(found, seed, settings)}
    numbers = _fit(found.texts, found.labels, len(found.names), seed, settings)
    output.mkdir(parents=True, exist_ok=True)
    num_bytes = _save(output, found, numbers, settings.max_words, seed)
    card = Card(
        kind=column, features="words", licence=licence, documents=found,
        num_terms=len(numbers.hashes), seed=seed, figures=figures,
    )  # fmt: skip
    write_card(output, card)
    return TrainedCategories(output, num_bytes, card)


def render_categories(trained: TrainedCategories) -> str:
    """The figures of a training, and where the model is."""
    return f"{render_card(trained.card)}\n\n{trained.folder}: {trained.num_bytes:,} bytes"


def _held_out(found: Labelled, seed: int, settings: TextSettings) -> CategoryFigures:
    folds, said = folds_of(found), np.zeros(len(found.texts), np.int64)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        numbers = _fit(
            [found.texts[at] for at in outside], found.labels[outside], len(found.names), seed,
            settings,
        )  # fmt: skip
        model = CategoryModel(found.names, settings.max_words, numbers)
        texts = pa.array([found.texts[at] for at in inside], pa.large_string())
        said[inside] = model.scores(texts).argmax(axis=1)
    return measure_categories(said, found.labels.astype(np.int64))


def _fit(
    texts: Sequence[str], labels: Floats, num_categories: int, seed: int, settings: TextSettings
) -> _Numbers:
    """One regression a category; one that no document has is never named."""
    documents = prepare(texts, settings)
    weights = np.zeros((len(documents.hashes), num_categories), np.float32)
    bias = np.full(num_categories, -60, np.float32)
    for category in range(num_categories):
        own = (labels == category).astype(np.float64)
        if own.any():
            weights[:, category], bias[category] = fit(
                documents, own, settings, seed, logistic=True
            )
    return _Numbers(documents.hashes, documents.idf, weights, bias)


def _save(folder: Path, found: Labelled, numbers: _Numbers, max_words: int, seed: int) -> int:
    scales = np.abs(numbers.weights).max(axis=0, initial=0) / _LARGEST
    scales[scales == 0] = 1
    weights = np.rint(numbers.weights / scales).astype(np.int8)
    kept = (weights != 0).any(axis=1)
    np.savez(
        folder / WEIGHTS, hashes=numbers.hashes[kept], idf=numbers.idf[kept], weights=weights[kept],
        scales=scales.astype(np.float32), bias=numbers.bias,
    )  # fmt: skip
    told = {
        "kind": found.column, "labels": found.names, "max_words": max_words, "probe": probe(),
        "origin": {"documents": len(found.texts), "seed": seed},
    }  # fmt: skip
    (folder / DESCRIPTION).write_text(
        json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return sum(path.stat().st_size for path in CategoryModel.files(folder))


def _read_numbers(path: Path, num_labels: int) -> _Numbers:
    with np.load(path, allow_pickle=False) as file:
        hashes, idf, weights, scales, bias = (
            file[name] for name in ("hashes", "idf", "weights", "scales", "bias")
        )
    shapes = (hashes.shape, idf.shape, weights.shape, scales.shape, bias.shape)
    size = (len(hashes),)
    if shapes != (size, size, (*size, num_labels), (num_labels,), (num_labels,)):
        raise ValueError(f"{path.name} holds arrays of shapes {shapes}")
    if not (np.isfinite(idf).all() and np.isfinite(scales).all() and np.isfinite(bias).all()):
        raise ValueError(f"{path.name} holds other numbers than weights")
    return _Numbers(hashes, idf, weights.astype(np.float32) * scales, bias)
