"""The `domain` labels: what a text is about (topic) and what kind of text it is (format).

The default knows topics only, of English pages, by lists of words (`word_lists`), and is silent
where they do not agree: three texts in ten get a topic. A model of your own, made by `tokenmill
train domain` from pages with labels, gives topics and formats in whatever taxonomy and languages
they have.

A label is null where its score is below `min_score` or where nothing in the text is known, and
`format` is always null without a model of your own: a wrong label is worse than none, because a
mixture can see that it has none.
"""

import json
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from annotators.domain.linear import Calibration, LinearModel, Scorer, load, probe
from annotators.domain.terms import TermSettings
from annotators.domain.word_lists import MIN_SCORE, WORDS, WordLists

TASKS: Final = ("topic", "format")
DESCRIPTION: Final = "model.json"

_ROWS_AT_ONCE = 1024  # bounds the counted terms held at once to about 50 MB
_FIELDS: list["pa.Field[Any]"] = [
    pa.field("topic", pa.string()),
    pa.field("topic_score", pa.float32()),
    pa.field("format", pa.string()),
    pa.field("format_score", pa.float32()),
]


class Domain:
    """Names the topic and the format of each text, or null (an `Annotator`)."""

    name = "domain"
    # Words follow the character tables of the running Python; 3.11 to 3.13 differ in them.
    version = f"1/unicode-{unicodedata.unidata_version}"
    columns = pa.schema(_FIELDS)
    inputs: tuple[str, ...] = ()
    """`url` for a model that was trained with addresses."""

    def __init__(self, *, model: str | Path | None = None, min_score: float | None = None) -> None:
        """Remembers the model; it is loaded at the first call.

        Args:
            model: Folder that `tokenmill train domain` wrote, instead of the word lists.
            min_score: Score in [0, 1] below which a label is null. Left out, 0.5 for the word
                lists and 0 for a model.

        Raises:
            ValueError: There is no model in the folder, or the score is out of range.
        """
        self._folder = Path(model) if model is not None else None
        if self._folder is not None and not (self._folder / DESCRIPTION).is_file():
            raise ValueError(
                f"no {DESCRIPTION} in {self._folder}; name a folder that `tokenmill train domain` "
                "wrote, or leave the option `model` out"
            )
        if self._folder is not None and _reads_urls(self._folder):
            self.inputs = ("url",)
        default = MIN_SCORE if model is None else 0.0
        self._min_score = default if min_score is None else min_score
        if not 0 <= self._min_score <= 1:
            raise ValueError(f"min_score is {min_score}; give a number from 0 to 1")

    def model_files(self) -> list[Path]:
        """The word lists, or the files of the model."""
        if self._folder is None:
            return [WORDS]
        return [self._folder / DESCRIPTION, *sorted(self._folder.glob("*.npz"))]

    def check(self) -> None:
        """Loads the model.

        Raises:
            ValueError: A file is missing or damaged; it says which, and what to do.
        """
        _ = self._scorers

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: One text a row, no nulls.
            labels: `url`, null where unknown, for a model that was trained with addresses.

        Returns:
            `topic` and `format`, names or null; `topic_score` and `format_score`, null where the
            name is: the probability of a trained model, or the share of the evidence of the word
            lists (see `word_lists`), which is no probability.

        Raises:
            ValueError: The model is damaged, or was trained with other words.
        """
        # An empty array is one chunk too, so that its columns get their types.
        starts = range(0, max(len(texts), 1), _ROWS_AT_ONCE)
        urls = labels.get("url") if self.inputs else None
        chunks = [
            self._annotate(
                texts.slice(start, _ROWS_AT_ONCE),
                None if urls is None else urls.slice(start, _ROWS_AT_ONCE),
            )
            for start in starts
        ]
        table = pa.Table.from_batches(chunks).combine_chunks()
        return pa.RecordBatch.from_arrays(
            [
                column.chunk(0) if column.num_chunks else pa.array([], column.type)
                for column in table.columns
            ],
            schema=self.columns,
        )

    def _annotate(self, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None") -> pa.RecordBatch:
        columns: list[pa.Array[Any]] = []
        for task in TASKS:
            if task in self._scorers:
                columns += self._best(self._scorers[task], texts, urls)
            else:
                columns += [pa.nulls(len(texts), pa.string()), pa.nulls(len(texts), pa.float32())]
        return pa.RecordBatch.from_arrays(columns, schema=self.columns)

    def _best(
        self, scorer: Scorer, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None"
    ) -> list["pa.Array[Any]"]:
        scores = scorer.scores(texts, urls)
        best = scores.argmax(axis=1)
        score = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
        unknown = (score <= 0) | (score < self._min_score)
        names = pa.array(np.array(scorer.labels, object)[best], pa.string(), mask=unknown)
        return [names, pa.array(score.astype(np.float32), pa.float32(), mask=unknown)]

    @cached_property
    def _scorers(self) -> dict[str, Scorer]:
        if self._folder is None:
            return {"topic": WordLists()}
        return load_models(self._folder)

    def __getstate__(self) -> dict[str, object]:
        """Without the loaded model, which a worker loads itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_scorers"}


def has_own_labels(folder: Path) -> bool:
    """Whether the model in a folder names other labels than WebOrganizer's."""
    return bool(_told(folder).get("own_labels"))


def _reads_urls(folder: Path) -> bool:
    tasks = _told(folder).get("tasks")
    told = tasks.values() if isinstance(tasks, dict) else ()
    return any(isinstance(one, dict) and one.get("uses_url") for one in told)


def _told(folder: Path) -> dict[str, Any]:
    """What the description says, nothing where it is damaged; `load_models` says how."""
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def load_models(folder: Path) -> dict[str, Scorer]:
    """Loads the classifiers of a folder, by task.

    Raises:
        ValueError: A file is missing or damaged, or words were split otherwise at the training.
    """
    path = folder / DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["probe"] != probe():
            raise ValueError(
                f"{path} was trained on words that another tokenmill (or Python) splits otherwise; "
                "train it again: tokenmill train domain"
            )
        return {
            task: LinearModel(
                one["labels"],
                TermSettings(one["max_words"], one["keep_lines"]),
                load(folder / f"{task}.npz", len(one["labels"]), reads_urls=one["uses_url"]),
                Calibration(**one["calibration"]),
            )
            for task, one in told["tasks"].items()
        }
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is no description of a domain model ({type(error).__name__}: {error}); train "
            "it again: tokenmill train domain"
        ) from None
