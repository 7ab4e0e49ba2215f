"""A linear classifier over terms: softmax of weighted counts, as three small arrays in a folder.

A term that occurs c times in a text has the value (1 + ln c) * idf; the values of a text are
divided by their Euclidean norm (the ltc weighting of Salton and Buckley 1988), and the logits of
the labels are their weighted sums. Weights are stored as int8 with one scale a label. Beside
fastText, which averages 32-dimensional vectors of words and word pairs, it was better on the same
pages and trains the same bytes each time; the figures stand in `training`.

On disk, `<name>.npz` in the folder of a model:

    hashes  uint64[num_terms]             sorted
    idf     float32[num_terms]
    weights int8[num_terms, num_labels]   times scales is the weight
    scales  float32[num_labels]
    bias    float32[num_labels]
"""

import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.terms import (
    TermCounts,
    TermSettings,
    Vocabulary,
    build_vocabulary,
    count_terms,
    list_terms,
)
from annotators.text.kernels import kernel

_LARGEST: Final = 127
_PROBE: Final = "The cat sat on Élodie's mat,\nand 猫は寝た — isn't it?\n"

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]


class Scorer(Protocol):
    """What gives each label a share of a text."""

    labels: tuple[str, ...]

    def scores(self, texts: pa.LargeStringArray) -> Floats:
        """float64[num_texts, num_labels] in [0, 1]; a row of zeros where nothing is known."""
        ...


class LinearWeights(NamedTuple):
    """The numbers of a classifier."""

    hashes: npt.NDArray[np.uint64]
    """uint64[num_terms], sorted."""
    idf: Weights
    """float32[num_terms]"""
    weights: Weights
    """float32[num_terms, num_labels]"""
    bias: Weights
    """float32[num_labels]"""


class LinearModel:
    """A trained classifier (a `Scorer`)."""

    def __init__(
        self, labels: Sequence[str], settings: TermSettings, numbers: LinearWeights
    ) -> None:
        """Keeps what was trained or loaded; the look-up table is built at the first text."""
        self.labels = tuple(labels)
        self._settings = settings
        self._numbers = numbers

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return build_vocabulary(self._numbers.hashes)

    def scores(self, texts: pa.LargeStringArray) -> Floats:
        """Probabilities of the labels: float64[num_texts, num_labels].

        A text without any term of the vocabulary gets zeros.
        """
        rows = count_terms(texts, self._vocabulary, self._settings)
        sums = weighted_sums(rows, term_values(rows, self._numbers.idf), self._numbers.weights)
        logits = sums + self._numbers.bias
        found = softmax(logits)
        found[np.diff(rows.starts) == 0] = 0
        return found


def term_values(rows: TermCounts, idf: Weights) -> Weights:
    """float32[num_entries]: (1 + ln c) * idf of each entry, each text's of length 1."""
    values = (1 + np.log(rows.counts)) * idf[rows.terms]
    text_of = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
    squares = np.bincount(text_of, values * values, len(rows.starts) - 1)
    lengths = np.sqrt(squares)
    lengths[lengths == 0] = 1
    return np.asarray(values / lengths[text_of], np.float32)


def weighted_sums(rows: TermCounts, values: Weights, weights: Weights) -> Floats:
    """float64[num_texts, num_labels]: the sum of each text's values times their weights.

    Args:
        rows: The terms of each text.
        values: float32[num_entries].
        weights: float32[num_terms, num_labels].
    """
    sums = np.zeros((len(rows.starts) - 1, weights.shape[1]))
    _add_up(rows, values, weights, sums)
    return sums


def softmax(logits: Floats) -> Floats:
    """Probabilities of the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@kernel
def _add_up(rows: TermCounts, values: Weights, weights: Weights, sums: Floats) -> None:
    starts, terms, _ = rows
    for row in range(len(starts) - 1):
        for entry in range(starts[row], starts[row + 1]):
            for label in range(weights.shape[1]):
                sums[row, label] += values[entry] * weights[terms[entry], label]


def probe() -> list[int]:
    """Hashes that change when the splitting of words does: a model then has to be trained again."""
    terms = list_terms(pa.array([_PROBE], pa.large_string()), TermSettings(2, True))[0]
    return [len(terms), int(np.bitwise_xor.reduce(terms))]


def quantised(numbers: LinearWeights) -> tuple[npt.NDArray[np.int8], Weights]:
    """Weights as int8 and the scale of each label."""
    largest = np.abs(numbers.weights).max(axis=0, initial=0)
    scales = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return np.rint(numbers.weights / scales).astype(np.int8), scales


def save(path: Path, numbers: LinearWeights) -> None:
    """Writes `<name>.npz`; the same numbers give the same bytes."""
    weights, scales = quantised(numbers)
    kept = (weights != 0).any(axis=1)
    np.savez(
        path, hashes=numbers.hashes[kept], idf=numbers.idf[kept], weights=weights[kept],
        scales=scales, bias=numbers.bias,
    )  # fmt: skip


def load(path: Path, num_labels: int) -> LinearWeights:
    """Reads `<name>.npz`.

    Raises:
        ValueError: It is missing, damaged, or of other labels.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in ("hashes", "idf", "weights", "scales", "bias")}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is missing or damaged ({error}); train it again: tokenmill train domain"
        ) from None
    shape = (len(found["hashes"]), num_labels)
    if found["weights"].shape != shape or found["idf"].shape != shape[:1]:
        raise ValueError(
            f"{path} holds weights of shape {found['weights'].shape}, its model.json asks for "
            f"{shape}; train it again: tokenmill train domain"
        )
    weights = found["weights"] * found["scales"]
    return LinearWeights(found["hashes"], found["idf"], weights, found["bias"])
