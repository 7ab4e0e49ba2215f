"""`quality_score`: the signals of a text as one number in [0, 1], by a logistic regression.

The rules answer yes or no; a mixture that wants "the better half" needs an order. Each signal
becomes a feature that means the same in every language: a ratio x is set against the threshold t
that the rules have for the language (`languages`), as x / (x + t), which is one half at the
threshold and never above one; letters and stop words are shares; lengths are logarithms of words,
estimated where a script has no spaces. No feature counts beyond two standard deviations of the
training pages: above 2,500 words no text is better for being longer. A language without a threshold
(terminal punctuation in Thai) or without stop words gets the mean of the training pages there,
which says nothing for or against it.

Features may only push the way they are meant to (`Feature.sign`): with 244 training pages a
repetition would otherwise be called good by chance. Coefficients, what they were trained on and
what they are worth: `model/CARD.md`.
"""

import functools
import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics import signals as s
from annotators.heuristics.languages import languages
from annotators.heuristics.rules import THRESHOLDS

COEFFICIENTS: Final = Path(__file__).parent / "model" / "quality_score.json"

_MAX_DEVIATION: Final = 2.0
_LETTERS: Final = "gopher_min_alpha_words"

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


_AGAINST_THRESHOLD: Final = (
    ("line_punct", 1, s.FINEWEB_LINE_PUNCT_RATIO, "fineweb_min_line_punct_ratio"),
    ("new_lines", -1, s.FINEWEB_NEW_LINE_RATIO, "fineweb_max_new_line_ratio"),
    ("top_2_gram", -1, s.GOPHER_TOP_2_GRAM, "gopher_max_top_2_gram"),
    ("top_4_gram", -1, s.GOPHER_TOP_4_GRAM, "gopher_max_top_4_gram"),
    ("dup_5_gram", -1, s.GOPHER_DUP_5_GRAM, "gopher_max_dup_5_gram"),
    ("dup_10_gram", -1, s.GOPHER_DUP_10_GRAM, "gopher_max_dup_10_gram"),
    ("dup_lines", -1, s.GOPHER_DUP_LINE_FRAC, "gopher_max_dup_line_frac"),
    ("hashes", -1, s.GOPHER_HASH_RATIO, "gopher_max_hash_ratio"),
    ("bullet_lines", -1, s.GOPHER_BULLET_LINES, "gopher_max_bullet_lines"),
    ("ellipsis_lines", -1, s.GOPHER_ELLIPSIS_LINES, "gopher_max_ellipsis_lines"),
)
"""Name, sign, signal, threshold that it is set against."""

FEATURES: Final = (
    Feature("words", 1),
    Feature("words_of_line", 1),
    Feature("letters", 1),
    Feature("stop_words", 1),
    *(Feature(name, sign) for name, sign, _, _ in _AGAINST_THRESHOLD),
)


def features_of(rows: Floats, language_numbers: NDArray[np.int64]) -> Floats:
    """Turns signals into features.

    Args:
        rows: float64[num_texts, len(SIGNALS)], from `measure.measure`.
        language_numbers: int64[num_texts], of `languages.languages()`.

    Returns:
        float64[num_texts, len(FEATURES)], NaN where the language has no threshold or stop words.
    """
    words = rows[:, s.GOPHER_NUM_WORDS]
    lines = np.maximum(rows[:, s.FINEWEB_NUM_LINES], 1)
    letters, *thresholds = _of_language(
        "gopher_min_alpha_words", *(t[3] for t in _AGAINST_THRESHOLD)
    )
    least = letters[language_numbers]
    found = rows[:, s.GOPHER_STOP_WORDS]
    columns = [
        np.log1p(words),
        np.log1p(words / lines),
        np.clip((rows[:, s.GOPHER_ALPHA_WORDS] - least) / (1 - least), -1, 1),
        np.where(found < 0, np.nan, found / _num_stop_words()[language_numbers]),
    ]
    for (_, _, signal, _), limits in zip(_AGAINST_THRESHOLD, thresholds, strict=True):
        values = rows[:, signal]
        columns.append(values / (values + limits[language_numbers]))
    return np.stack(columns, axis=1)


def quality_scores(rows: Floats, language_numbers: NDArray[np.int64]) -> Floats:
    """Scores texts: float64[num_texts] in [0, 1], NaN for an empty text alone.

    Args:
        rows: float64[num_texts, len(SIGNALS)], from `measure.measure`.
        language_numbers: int64[num_texts], of `languages.languages()`.
    """
    scores = apply(load_coefficients(), features_of(rows, language_numbers))
    scores[rows[:, s.GOPHER_NUM_CHARACTERS] == 0] = np.nan
    return scores


def apply(coefficients: Coefficients, features: Floats) -> Floats:
    """Probabilities float64[num_texts] of features float64[num_texts, num_features]."""
    return 1 / (1 + np.exp(-standardised(coefficients, features) @ coefficients.weights
                           - coefficients.bias))  # fmt: skip


def standardised(coefficients: Coefficients, features: Floats) -> Floats:
    """Features in standard deviations from the mean, at most 2, and 0 where they are not known.

    Most pages have no "#" and no ellipsis, so their deviations are tiny: without a bound one
    heading in Markdown would weigh more than all that is written below it.
    """
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
        mean, scale, weights = columns.T
        return Coefficients(mean, scale, weights, float(told["bias"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the coefficients {path} cannot be read ({error}); reinstall tokenmill or make them: "
            "tokenmill train quality"
        ) from None


@functools.cache
def _of_language(*names: str) -> tuple[Floats, ...]:
    """Thresholds by name, each float64[len(languages())]; NaN where a language has none."""
    table = []
    for name in names:
        values = [(THRESHOLDS | dict(one.thresholds))[name] for one in languages().values()]
        table.append(np.array([np.nan if v is None or v <= 0 else v for v in values], np.float64))
    return tuple(table)


@functools.cache
def _num_stop_words() -> Floats:
    return np.array([max(1, len(one.stop_words)) for one in languages().values()], np.float64)
