"""A linear model of the words of a text that gives one number: how good it is, or how educational.

The manner is that of the classifiers that chose DCLM-Baseline (fastText over words and word pairs,
Li et al. 2024, arXiv:2406.11794) and FineWeb-Edu (a regression to a judge's 0 to 5, Penedo et al.
2024, arXiv:2406.17557), made of the parts of the domain model: its terms, their values
((1 + ln c) * idf, of length 1) and its sums, with one column of weights. A text longer than 4 KiB
is read through four windows (`annotators.domain.terms`).

On disk, a folder:

    model.json     what it is, how terms are made, where the numbers came from
    weights.npz    hashes uint64[n] sorted, idf float32[n], weights int8[n], scale and bias float32
    CARD.md        data, figures, licence; written by the same command
"""

import functools
import json
import zipfile
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.domain.linear import probe, term_values, weighted_sums
from annotators.domain.terms import TermSettings, Vocabulary, build_vocabulary, count_terms

DESCRIPTION: Final = "model.json"
WEIGHTS: Final = "weights.npz"
LARGEST_LABEL: Final = {"quality": 1.0, "educational": 5.0}
"""Kind of model -> the upper end of its scores; the lower end is 0."""

_ROWS_AT_ONCE: Final = 1024
_LARGEST: Final = 127

Kind = Literal["quality", "educational"]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]


class TextWeights(NamedTuple):
    """The numbers of a model."""

    hashes: npt.NDArray[np.uint64]
    """uint64[num_terms], sorted."""
    idf: Weights
    """float32[num_terms]"""
    weights: Weights
    """float32[num_terms]"""
    bias: float


class TextModel:
    """Scores texts by their words."""

    def __init__(self, kind: Kind, max_words: int, numbers: TextWeights) -> None:
        """Keeps the numbers; the look-up table is built at the first text.

        Args:
            kind: `quality` gives probabilities, `educational` points from 0 to 5.
            max_words: Words of the longest term.
            numbers: Weights of the terms.
        """
        self.kind = kind
        self._settings = TermSettings(max_words, False)
        self._numbers = numbers

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        return build_vocabulary(self._numbers.hashes)

    def scores(self, texts: pa.LargeStringArray) -> Floats:
        """Scores texts.

        Args:
            texts: large_string, no nulls.

        Returns:
            float64[num_texts] in [0, 1] or [0, 5]; NaN for a text with no word that is known.
        """
        parts = [
            linked(self.kind, self.sums(texts.slice(start, _ROWS_AT_ONCE)))
            for start in range(0, len(texts), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def sums(self, texts: pa.LargeStringArray) -> Floats:
        """float64[num_texts]: as `scores`, before they become probabilities or points."""
        rows = count_terms(texts, self._vocabulary, self._settings)
        values = term_values(rows, self._numbers.idf)
        found = weighted_sums(rows, values, self._numbers.weights[:, None])[:, 0]
        found += self._numbers.bias
        found[np.diff(rows.starts) == 0] = np.nan
        return found


def linked(kind: Kind, sums: Floats) -> Floats:
    """Scores of weighted sums: a probability, or points held between 0 and 5."""
    if kind == "quality":
        return 1 / (1 + np.exp(-np.clip(sums, -60, 60)))
    return np.clip(sums, 0, LARGEST_LABEL[kind])


def save_text_model(
    folder: Path, kind: Kind, max_words: int, numbers: TextWeights, origin: dict[str, Any]
) -> int:
    """Writes `model.json` and `weights.npz`, the same bytes for the same numbers.

    Args:
        folder: Made where it is not there.
        kind: Of the model.
        max_words: Words of the longest term.
        numbers: Weights; those that round to 0 of 127 are left out.
        origin: What the numbers came from, kept in model.json.

    Returns:
        How many bytes the two files take.
    """
    scale = float(np.abs(numbers.weights).max(initial=0)) / _LARGEST or 1.0
    weights = np.rint(numbers.weights / scale).astype(np.int8)
    kept = weights != 0
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / WEIGHTS, hashes=numbers.hashes[kept], idf=numbers.idf[kept], weights=weights[kept],
        scale=np.float32(scale), bias=np.float32(numbers.bias),
    )  # fmt: skip
    told = {"kind": kind, "max_words": max_words, "probe": probe(), "origin": origin}
    (folder / DESCRIPTION).write_text(
        json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return sum((folder / name).stat().st_size for name in (DESCRIPTION, WEIGHTS))


def load_text_model(folder: Path, kind: Kind) -> TextModel:
    """Loads a model, once a process and version of its files.

    Args:
        folder: Written by `save_text_model`.
        kind: What it has to be.

    Raises:
        ValueError: A file is missing or damaged, the model is of the other kind, or words were
            split otherwise at the training.
    """
    times = tuple(
        path.stat().st_mtime_ns if path.is_file() else 0
        for path in (folder / DESCRIPTION, folder / WEIGHTS)
    )
    return _load(folder, kind, times)


@functools.lru_cache(maxsize=8)
def _load(folder: Path, kind: Kind, _times: tuple[int, ...]) -> TextModel:
    remedy = f"train it again: tokenmill train {kind}"
    path = folder / DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found, splits, max_words = told["kind"], told["probe"], int(told["max_words"])
        numbers = _read_weights(folder / WEIGHTS)
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ValueError(
            f"the model in {folder} is missing or damaged ({type(error).__name__}: {error}); "
            f"{remedy}"
        ) from None
    if found != kind:
        raise ValueError(f"{path} is a model of {found!r}, not of {kind!r}; name another folder")
    if splits != probe():
        raise ValueError(
            f"{path} was trained on words that another tokenmill (or Python) splits otherwise; "
            f"{remedy}"
        )
    return TextModel(kind, max_words, numbers)


def _read_weights(path: Path) -> TextWeights:
    with np.load(path, allow_pickle=False) as file:
        hashes, idf, weights = file["hashes"], file["idf"], file["weights"]
        scale, bias = float(file["scale"]), float(file["bias"])
    if not (hashes.shape == idf.shape == weights.shape and hashes.ndim == 1):
        raise ValueError(f"{path.name} holds arrays of different lengths")
    if hashes.dtype != np.uint64 or not np.isfinite([*idf, scale, bias]).all():
        raise ValueError(f"{path.name} holds other numbers than weights")
    return TextWeights(hashes, idf, weights.astype(np.float32) * np.float32(scale), bias)
