"""A linear classifier over terms: softmax of weighted counts, as a few small arrays in a folder.

A term that occurs c times has the value (1 + ln c) * idf; the values of a text are divided by
their Euclidean norm (the ltc weighting of Salton and Buckley 1988). The logits of the labels are
the weighted sums of the values, times one number that makes their softmax honest (`training`). The
words of the address are a second block of terms with a vocabulary and a norm of its own; where a
document has no address they say nothing. Weights are stored as int8 with one scale a label.

On disk, `<task>.npz` in the folder of a model, with the four arrays of a second block, `url_...`,
where it reads addresses:

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
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.domain.terms import (
    TermCounts,
    TermSettings,
    Vocabulary,
    build_vocabulary,
    count_terms,
    list_terms,
)
from annotators.text.kernels import kernel

ADDRESS_TERMS: Final = TermSettings(2, keep_lines=False)
"""Words of an address and pairs of them; a slash and a number are words."""

_LARGEST: Final = 127
_PROBE: Final = "The cat sat on Élodie's mat,\nand 猫は寝た — isn't it?\n"
_TEXT, _ADDRESS = "", "url_"  # prefixes of the arrays of a block

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]


class Scorer(Protocol):
    """What gives each label a share of a text."""

    labels: tuple[str, ...]

    def scores(self, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None" = None) -> Floats:
        """float64[num_texts, num_labels] in [0, 1]; a row of zeros where nothing is known."""
        ...


class LinearWeights(NamedTuple):
    """The terms of a text (or of an address) and what they weigh."""

    hashes: npt.NDArray[np.uint64]
    """uint64[num_terms], sorted."""
    idf: Weights
    """float32[num_terms]"""
    weights: Weights | npt.NDArray[np.int8]
    """float32[num_terms, num_labels] as trained, int8 as loaded: a fourth of the cache."""
    scales: Weights
    """float32[num_labels]: what weights are multiplied by; ones for those as trained."""

    def sums(self, rows: TermCounts) -> Floats:
        """float64[num_texts, num_labels]: the logits that the terms of each text add."""
        return weighted_sums(rows, term_values(rows, self.idf), self.weights) * self.scales


class Classifier(NamedTuple):
    """The numbers of a classifier."""

    words: LinearWeights
    bias: Weights
    """float32[num_labels]"""
    address: LinearWeights | None = None
    """None for a model that does not read addresses."""


class Calibration(NamedTuple):
    """How margins become probabilities: softmax of sharper ones, then a line in log-odds."""

    sharpness: float = 1.0
    """What margins are multiplied by before the softmax."""
    slope: float = 1.0
    """What the log-odds of the softmax are multiplied by; below 1 where it is too sure."""
    offset: float = 0.0
    """What is added to them."""


UNCALIBRATED: Final = Calibration()


class LinearModel:
    """A trained classifier (a `Scorer`)."""

    def __init__(
        self,
        labels: Sequence[str],
        settings: TermSettings,
        numbers: Classifier,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        """Keeps what was trained or loaded; the look-up table is built at the first text.

        Args:
            labels: Names, in the order of the weights.
            settings: What counts as a term of the text.
            numbers: The weights.
            calibration: How margins become probabilities.
        """
        self.labels = tuple(labels)
        self.reads_urls = numbers.address is not None
        self._settings = settings
        self._numbers = numbers
        self._calibration = calibration

    @cached_property
    def _vocabularies(self) -> tuple[Vocabulary, Vocabulary | None]:
        address = self._numbers.address
        return (
            build_vocabulary(self._numbers.words.hashes),
            None if address is None else build_vocabulary(address.hashes),
        )

    def margins(self, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None" = None) -> Floats:
        """Logits before they are sharpened: float64[num_texts, num_labels], 0 for an empty text."""
        of_text, of_address = self._vocabularies
        rows = count_terms(texts, of_text, self._settings)
        words, bias, address = self._numbers
        margins = words.sums(rows) + bias
        if address is not None and of_address is not None and urls is not None:
            margins += address.sums(count_terms(address_words(urls), of_address, ADDRESS_TERMS))
        margins[np.diff(rows.starts) == 0] = 0
        return margins

    def scores(self, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None" = None) -> Floats:
        """Probability of each label to be right: float64[num_texts, num_labels].

        Each is calibrated by itself, so those of a text need not add up to 1. A text without any
        term of the vocabulary gets zeros, whatever its address.

        Args:
            texts: large_string, no nulls.
            urls: string, null where unknown; not read by a model of texts alone.
        """
        margins = self.margins(texts, urls)
        sharpness, slope, offset = self._calibration
        found = 1 / (1 + np.exp(-slope * log_odds(softmax(margins * sharpness)) - offset))
        found[(margins == 0).all(axis=1)] = 0
        return found


def address_words(urls: "pa.Array[Any]") -> pa.LargeStringArray:
    """Addresses as texts: words of letters between spaces, a slash, `0` for each number.

    Args:
        urls: string, null where unknown.
    """
    found = pc.fill_null(urls.cast(pa.large_string()), "")
    for pattern, instead in (
        ("^[A-Za-z]+://(www[.])?", ""),
        (r"[^\pL\pN/]+", " "),
        (r"\pN+", " 0 "),
        ("/", " / "),
    ):
        found = pc.replace_substring_regex(found, pattern=pattern, replacement=instead)
    return found


def term_values(rows: TermCounts, idf: Weights) -> Weights:
    """float32[num_entries]: (1 + ln c) * idf of each entry, each text's of length 1."""
    values = np.empty(len(rows.terms), np.float32)
    _fill_values(rows, idf, values)
    return values


def weighted_sums(
    rows: TermCounts, values: Weights, weights: Weights | npt.NDArray[np.int8]
) -> Floats:
    """float64[num_texts, num_labels]: the sum of each text's values times their weights.

    Args:
        rows: The terms of each text.
        values: float32[num_entries].
        weights: float32 or int8 [num_terms, num_labels].
    """
    sums = np.zeros((len(rows.starts) - 1, weights.shape[1]))
    _add_up(rows, values, weights, sums)
    return sums


def softmax(logits: Floats) -> Floats:
    """Probabilities of the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_odds(probabilities: Floats) -> Floats:
    """ln(p / (1 - p)), bounded where p is 0 or 1."""
    bounded = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(bounded / (1 - bounded)))


@kernel
def _fill_values(rows: TermCounts, idf: Weights, values: Weights) -> None:
    starts, terms, counts = rows
    for row in range(len(starts) - 1):
        squares = 0.0
        for entry in range(starts[row], starts[row + 1]):
            value = idf[terms[entry]]
            if counts[entry] > 1:
                value *= np.float32(1 + np.log(counts[entry]))
            values[entry] = value
            squares += value * value
        length = np.float32(np.sqrt(squares)) if squares > 0 else np.float32(1)
        for entry in range(starts[row], starts[row + 1]):
            values[entry] /= length


@kernel
def _add_up(
    rows: TermCounts, values: Weights, weights: Weights | npt.NDArray[np.int8], sums: Floats
) -> None:
    starts, terms, _ = rows
    of_text = np.zeros(weights.shape[1], np.float32)
    for row in range(len(starts) - 1):
        of_text[:] = 0
        for entry in range(starts[row], starts[row + 1]):
            value, term = values[entry], terms[entry]
            for label in range(len(of_text)):
                of_text[label] += value * np.float32(weights[term, label])
        sums[row] = of_text


def probe() -> list[int]:
    """Hashes that change when the splitting of words does: a model then has to be trained again."""
    terms = list_terms(pa.array([_PROBE], pa.large_string()), TermSettings(2, True))[0]
    return [len(terms), int(np.bitwise_xor.reduce(terms))]


def quantised(numbers: LinearWeights) -> tuple[npt.NDArray[np.int8], Weights]:
    """Weights as int8 and the scale of each label."""
    weights = numbers.weights * numbers.scales
    largest = np.abs(weights).max(axis=0, initial=0)
    scales = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


def save(path: Path, numbers: Classifier) -> None:
    """Writes `<task>.npz`; the same numbers give the same bytes."""
    blocks = {_TEXT: numbers.words, _ADDRESS: numbers.address}
    arrays: dict[str, Any] = {"bias": numbers.bias}
    for prefix, block in blocks.items():
        if block is not None:
            weights, scales = quantised(block)
            kept = (weights != 0).any(axis=1)
            arrays |= {
                f"{prefix}hashes": block.hashes[kept],
                f"{prefix}idf": block.idf[kept],
                f"{prefix}weights": weights[kept],
                f"{prefix}scales": scales,
            }
    np.savez(path, **arrays)


def load(path: Path, num_labels: int, *, reads_urls: bool = False) -> Classifier:
    """Reads `<task>.npz`.

    Raises:
        ValueError: It is missing, damaged, or of other labels.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        words = _block(path, found, _TEXT, num_labels)
        address = _block(path, found, _ADDRESS, num_labels) if reads_urls else None
        return Classifier(words, found["bias"], address)
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is missing or damaged ({error}); train it again: tokenmill train domain"
        ) from None


def _block(
    path: Path, found: dict[str, npt.NDArray[Any]], prefix: str, num_labels: int
) -> LinearWeights:
    hashes, idf, weights, scales = (
        found[f"{prefix}{name}"] for name in ("hashes", "idf", "weights", "scales")
    )
    shape = (len(hashes), num_labels)
    if weights.shape != shape or idf.shape != shape[:1]:
        raise ValueError(
            f"{path} holds weights of shape {weights.shape}, its model.json asks for {shape}; "
            "train it again: tokenmill train domain"
        )
    return LinearWeights(hashes, idf, weights, scales)
