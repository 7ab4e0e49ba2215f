"""`quality_score`: the signals of a text as one number in [0, 1], by a logistic regression.

The rules answer yes or no; a mixture that wants "the better half" needs an order. Every signal that
a rule of Gopher or FineWeb sets against a number is a feature, pushing the way its rule does
(`Feature.sign`); only "#" is not, which is how extracted text marks a heading. A feature means the
same in every language: a ratio x is set against the threshold t that the rules have for the
language (`languages`), as x / (x + t), which is one half at the threshold and never above one;
letters and stop words are shares; words are counted as a logarithm, estimated where a script has no
spaces. No feature counts beyond three standard deviations of web pages: most have no ellipsis, so
its deviation is tiny, and without a bound a few of them would weigh more than all that is written
around them. A language without a threshold (terminal punctuation in Thai) or without stop words
gets the mean there, which says nothing for or against it; a text of no known language is held
against the thresholds for English, where the tables have none for it.

What the shipped coefficients were learnt from, without a judge, and what they are worth:
`model/CARD.md`; how: `score_training`. `ScoreModel` is what the annotator calls: these
coefficients, others of the same kind, or a text classifier of `annotators.quality`.
"""

import functools
import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.heuristics import signals as s
from annotators.heuristics.languages import UNDETERMINED, languages
from annotators.heuristics.rules import RULES, THRESHOLDS
from annotators.quality.text_model import DESCRIPTION, load_text_model

COEFFICIENTS: Final = Path(__file__).parent / "model" / "quality_score.json"
REMEDY: Final = "reinstall tokenmill, or make one: tokenmill train quality"

_MAX_DEVIATION: Final = 3.0

Floats = NDArray[np.float64]


class Feature(NamedTuple):
    """One column of the regression."""

    name: str
    sign: int
    """1: more is better, -1: more is worse."""


class Coefficients(NamedTuple):
    """The regression."""

    mean: Floats
    """float64[num_features], of the training pages; stands in for a value that is not known."""
    scale: Floats
    """float64[num_features], standard deviations of the training pages."""
    weights: Floats
    """float64[num_features]"""
    bias: float


_RATIOS: Final = tuple(
    rule
    for name in ("gopher_quality", "gopher_repetition", "fineweb")
    for rule in RULES[name]
    if rule.signal
    not in (
        # A "#" begins a heading in what the extract stage makes of a page: no fault of the page.
        s.GOPHER_HASH_RATIO,
        # Counts, and what has two sides: features of their own, or nothing that orders texts.
        s.GOPHER_NUM_CHARACTERS,
        s.GOPHER_NUM_WORDS,
        s.GOPHER_MEAN_WORD_LENGTH,
        s.GOPHER_ALPHA_WORDS,
        s.GOPHER_STOP_WORDS,
        s.FINEWEB_NUM_LINES,
    )
)
"""Rules whose signal is set against the threshold of the language."""

FEATURES: Final = (
    Feature("words", 1),
    Feature("letters", 1),
    Feature("stop_words", 1),
    Feature("word_length", -1),
    *(
        Feature(s.SIGNALS[rule.signal][0].partition("_")[2], 1 if rule.is_minimum else -1)
        for rule in _RATIOS
    ),
)


def features_of(rows: Floats, language_numbers: NDArray[np.int64]) -> Floats:
    """Turns signals into features.

    Args:
        rows: float64[num_texts, len(SIGNALS)], from `measure.measure`.
        language_numbers: int64[num_texts], of `languages.languages()`.

    Returns:
        float64[num_texts, len(FEATURES)], NaN where the language has no threshold or stop words.
    """
    least, shortest, longest, *thresholds = (
        limits[language_numbers]
        for limits in _of_language(
            "gopher_min_alpha_words",
            "gopher_min_mean_word_length",
            "gopher_max_mean_word_length",
            *(rule.threshold for rule in _RATIOS),
        )
    )
    found = rows[:, s.GOPHER_STOP_WORDS]
    middle = (shortest + longest) / 2
    columns = [
        np.log1p(rows[:, s.GOPHER_NUM_WORDS]),
        np.clip((rows[:, s.GOPHER_ALPHA_WORDS] - least) / (1 - least), -1, 1),
        np.where(found < 0, np.nan, found / _num_stop_words()[language_numbers]),
        np.minimum(np.abs(rows[:, s.GOPHER_MEAN_WORD_LENGTH] - middle) / (longest - middle), 2),
    ]
    for rule, limits in zip(_RATIOS, thresholds, strict=True):
        values = rows[:, rule.signal]
        columns.append(values / (values + limits))
    return np.stack(columns, axis=1)


def quality_scores(rows: Floats, language_numbers: NDArray[np.int64]) -> Floats:
    """Scores texts by the shipped coefficients: float64[num_texts] in [0, 1], NaN if empty.

    Args:
        rows: float64[num_texts, len(SIGNALS)], from `measure.measure`.
        language_numbers: int64[num_texts], of `languages.languages()`.
    """
    return _by_signals(load_coefficients(), rows, language_numbers)


def _by_signals(
    coefficients: Coefficients, rows: Floats, language_numbers: NDArray[np.int64]
) -> Floats:
    scores = apply(coefficients, features_of(rows, language_numbers))
    scores[rows[:, s.GOPHER_NUM_CHARACTERS] == 0] = np.nan
    return scores


class ScoreModel:
    """The model of `quality_score`: coefficients over signals, or a classifier of words."""

    def __init__(self, model: str | Path | None = None) -> None:
        """Remembers the model; nothing is read.

        Args:
            model: A file of coefficients, or a folder of a text classifier, as `tokenmill train
                quality` writes them. Left out, the shipped coefficients.

        Raises:
            ValueError: There is no such file or folder.
        """
        self._path = COEFFICIENTS if model is None else Path(model)
        if not self._path.exists():
            raise ValueError(f"score_model: there is no {self._path}; {REMEDY}")

    def files(self) -> list[Path]:
        """The files whose bytes decide the scores."""
        if self._path.is_dir():
            return [self._path / DESCRIPTION, *sorted(self._path.glob("*.npz"))]
        return [self._path]

    def check(self) -> None:
        """Reads the model.

        Raises:
            ValueError: It is missing, damaged, or of other signals or words.
        """
        if self._path.is_dir():
            load_text_model(self._path, "quality")
        else:
            load_coefficients(self._path)

    def scores(
        self, texts: pa.LargeStringArray, rows: Floats, language_numbers: NDArray[np.int64]
    ) -> Floats:
        """Scores texts: float64[num_texts] in [0, 1], NaN where nothing is known.

        Args:
            texts: large_string, no nulls.
            rows: float64[num_texts, len(SIGNALS)], their signals.
            language_numbers: int64[num_texts], of `languages.languages()`.

        Raises:
            ValueError: As `check`.
        """
        if self._path.is_dir():
            return load_text_model(self._path, "quality").scores(texts)
        return _by_signals(load_coefficients(self._path), rows, language_numbers)


def apply(coefficients: Coefficients, features: Floats) -> Floats:
    """Probabilities float64[num_texts] of features float64[num_texts, num_features]."""
    return 1 / (1 + np.exp(-standardised(coefficients, features) @ coefficients.weights
                           - coefficients.bias))  # fmt: skip


def standardised(coefficients: Coefficients, features: Floats) -> Floats:
    """Features in standard deviations from the mean, at most 3, and 0 where they are not known."""
    found = (features - coefficients.mean) / coefficients.scale
    return np.nan_to_num(np.clip(found, -_MAX_DEVIATION, _MAX_DEVIATION), nan=0.0)


@functools.cache
def load_coefficients(path: Path = COEFFICIENTS) -> Coefficients:
    """Reads coefficients.

    Raises:
        ValueError: The file is missing or of other features.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names = [feature.name for feature in FEATURES]
        if list(told["features"]) != names:
            raise ValueError(
                f"its features are {list(told['features'])}, those of the code {names}"
            )
        columns = np.array(
            [[one["mean"], one["scale"], one["weight"]] for one in told["features"].values()]
        )
        if not np.isfinite([*columns.ravel(), told["bias"]]).all() or (columns[:, 1] <= 0).any():
            raise ValueError("its numbers are no coefficients")
        mean, scale, weights = columns.T.astype(np.float64)
        return Coefficients(mean, scale, weights, float(told["bias"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the coefficients {path} are missing or damaged ({error}); {REMEDY}"
        ) from None


@functools.cache
def _of_language(*names: str) -> tuple[Floats, ...]:
    """Thresholds by name, each float64[len(languages())]; NaN where a language has none."""
    table = []
    for name in names:
        values = [(THRESHOLDS | dict(one.thresholds))[name] for one in languages().values()]
        limits = np.array([np.nan if v is None or v <= 0 else v for v in values], np.float64)
        undetermined = list(languages()).index(UNDETERMINED)
        if np.isnan(limits[undetermined]):
            limits[undetermined] = THRESHOLDS[name]
        table.append(limits)
    return tuple(table)


@functools.cache
def _num_stop_words() -> Floats:
    return np.array([max(1, len(one.stop_words)) for one in languages().values()], np.float64)
