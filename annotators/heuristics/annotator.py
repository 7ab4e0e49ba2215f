"""Quality by rules: Gopher, C4 and FineWeb, as signals with a decision beside them.

Every signal of every rule set is a column, whichever sets decide, so that a mixture can set its own
thresholds without reading a text again. `quality_keep` says whether a document passes the chosen
sets and `quality_reason` names the first rule that it fails. `quality_score` orders the documents
that pass, and those that do not, by all signals together (`score`).
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotators.heuristics import languages as parameters
from annotators.heuristics.measure import measure
from annotators.heuristics.rules import (
    DEFAULT_RULES,
    check_thresholds,
    first_failures,
    select_rules,
)
from annotators.heuristics.score import ScoreModel, features_of
from annotators.heuristics.signals import GOPHER_STOP_WORDS, SIGNALS
from annotators.heuristics.stop_words import StopWords, build_stop_words
from annotators.text.utf8 import utf8_texts

_FIELDS: list["pa.Field[Any]"] = [
    pa.field("quality_keep", pa.bool_()),
    pa.field("quality_reason", pa.string()),
    pa.field("quality_score", pa.float32()),
    *(pa.field(name, data_type) for name, data_type in SIGNALS),
]
_COLUMNS = pa.schema(_FIELDS)


class Heuristics:
    """Measures texts and decides by rules which to keep (an `Annotator`)."""

    name: ClassVar[str] = "quality"
    # The character tables are those of the running Python, and 3.11 to 3.13 differ in them.
    version: ClassVar[str] = f"3/unicode-{unicodedata.unidata_version}"
    inputs: ClassVar[tuple[str, ...]] = ("language",)
    columns: ClassVar[pa.Schema] = _COLUMNS

    def __init__(
        self,
        *,
        rules: Sequence[str] = DEFAULT_RULES,
        thresholds: Mapping[str, float | None] | None = None,
        score_model: str | Path | None = None,
    ) -> None:
        """Chooses the rules that decide.

        Args:
            rules: Sets out of `rules.RULES`, in the order in which they are asked.
            thresholds: Values by name (`rules.THRESHOLDS`) for every language; None switches a
                rule off.
            score_model: File or folder of `tokenmill train quality`, instead of the shipped
                coefficients.

        Raises:
            ValueError: A set or a threshold is unknown, a value is no number, or there is no such
                file or folder.
        """
        overrides = dict(thresholds or {})
        check_thresholds(overrides)
        self._rules = select_rules(rules)
        self._overrides = overrides
        self._score = ScoreModel(score_model)
        self._stop_words: StopWords | None = None

    def model_files(self) -> list[Path]:
        """Gives the table of languages and the files of the score."""
        return [parameters.TABLE, *self._score.files()]

    def check(self) -> None:
        """Looks whether the files can be read.

        Raises:
            ValueError: One is missing or damaged; path and remedy.
        """
        parameters.languages()
        self._score.check()

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Measures texts.

        Args:
            texts: large_string, no nulls.
            labels: `language`: string, one of the 119 codes, `und`, or null, as long as `texts`.

        Returns:
            One row a text, of schema `columns`.

        Raises:
            ValueError: A text is null, or a language is missing or unknown.
        """
        rows, language_numbers = self._measure(texts, labels)
        thresholds = parameters.threshold_table(self._rules, self._overrides)
        failures = first_failures(rows, self._rules, thresholds[language_numbers])
        scores = self._score.scores(texts, rows, language_numbers).astype(np.float32)
        columns = [
            *self._decisions(failures),
            pa.array(scores, pa.float32(), mask=np.isnan(scores)),
            *_signal_columns(rows),
        ]
        return pa.record_batch(columns, schema=self.columns)

    def features(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> NDArray[np.float64]:
        """Gives what `score` is learnt from: `float64[num_texts, len(score.FEATURES)]`.

        Args:
            texts: As for a call.
            labels: As for a call.

        Raises:
            ValueError: As for a call.
        """
        return features_of(*self._measure(texts, labels))

    def _measure(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Signals and number of the language of each text."""
        language_numbers = _number_languages(labels, len(texts))
        if self._stop_words is None:
            lists = [language.stop_words for language in parameters.languages().values()]
            self._stop_words = build_stop_words(lists)
        return measure(utf8_texts(texts), language_numbers, self._stop_words), language_numbers

    def _decisions(self, failures: NDArray[np.int64]) -> tuple["pa.Array[Any]", "pa.Array[Any]"]:
        """Turns indices of failed rules into the keep flag and the reason."""
        reasons = pa.array([*(rule.reason for rule in self._rules), None], pa.string())
        return pa.array(failures == len(self._rules), pa.bool_()), reasons.take(
            pa.array(failures, pa.int64())
        )


def _number_languages(labels: Mapping[str, "pa.Array[Any]"], num_texts: int) -> NDArray[np.int64]:
    """Gives the number of each text's language in `languages()`: `int64[num_texts]`."""
    if "language" not in labels:
        raise ValueError(
            f"labels hold {sorted(labels)} but no 'language'; run the language annotator first"
        )
    if len(labels["language"]) != num_texts:
        raise ValueError(
            f"there are {len(labels['language'])} language labels for {num_texts} texts; "
            "give one a text"
        )
    codes = list(parameters.languages())
    labelled: Any = labels["language"]
    found: Any = pc.fill_null(labelled.cast(pa.string()), parameters.UNDETERMINED)
    numbers = pc.index_in(found, pa.array(codes, pa.string()))
    # An annotator of a user's own may know other languages than the rules do.
    numbers = pc.fill_null(numbers, codes.index(parameters.UNDETERMINED))
    return np.asarray(numbers, dtype=np.int64)


def _signal_columns(rows: NDArray[np.float64]) -> list["pa.Array[Any]"]:
    """Turns rows of signals into one Arrow array a signal, of its own type."""
    columns: list[pa.Array[Any]] = []
    for index, (_, data_type) in enumerate(SIGNALS):
        values = rows[:, index]
        mask = values < 0 if index == GOPHER_STOP_WORDS else None
        array: Any = pa.array(values, pa.float64(), mask=mask)
        columns.append(array.cast(data_type, safe=False))  # narrower: see `signals`
    return columns
