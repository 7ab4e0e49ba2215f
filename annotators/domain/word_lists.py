"""The default topics: words that speak for a topic, and how much of a text's evidence each has.

`model/words.json` lists about a hundred English words and phrases for each of 23 topics of
WebOrganizer (Wettig et al. 2025, arXiv:2502.10341; all but Adult). They were written for this
project from the names of the topics alone: nothing was trained, so no licence but the project's own
is on them, and the labels of WebOrganizer's pages stay an evaluation. A word on more than one page
in 23 cannot speak for one topic of 23: those (school, love, online, email, account ...), counted on
244 web pages of another origin, were struck from the lists. What was tried instead, and what all of
it is worth, stands in `model/CARD.md`.

A word that occurs c times gives (1 + ln c) / t to each of its t topics. With evidence e_1 ... e_k
the score of topic i is e_i^2 / (sum of e_j^2 + FLOOR^2): the share of the topic, where FLOOR is
what six different words weigh, put on no topic at all, so that two words in a short text decide
nothing. A topic is named from one half on: where it is more likely than all others and none
together. The square and FLOOR are one of nine settings that were looked at; all lie on nearly one
curve of coverage against precision.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from annotators.domain.linear import Floats, Weights, weighted_sums
from annotators.domain.terms import TermSettings, Vocabulary, build_vocabulary, count_terms
from annotators.domain.terms import whole_terms as hashes_of

WORDS: Final = Path(__file__).parent / "model" / "words.json"
FLOOR: Final = 6.0
MIN_SCORE: Final = 0.5
"""Score below which the default names no topic."""

_ENGLISH = "eng_Latn"
_VOWELS = "aeiou"


class WordLists:
    """Topics by their words (a `Scorer`)."""

    def __init__(self, path: Path = WORDS) -> None:
        """Reads the words.

        Args:
            path: JSON: language code to topic to list of words and phrases.

        Raises:
            ValueError: The file is missing or of another form.
        """
        try:
            languages = json.loads(path.read_text(encoding="utf-8"))
            self._phrases = sorted(
                (form, topic)
                for language, topics in languages.items()
                for topic, phrases in topics.items()
                for phrase in phrases
                for form in _forms(phrase, language)
            )
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"the word lists {path} cannot be read ({error}); reinstall tokenmill"
            ) from None
        self.labels: tuple[str, ...] = tuple(sorted({topic for _, topic in self._phrases}))

    @cached_property
    def _tables(self) -> tuple[Vocabulary, TermSettings, Weights]:
        found = hashes_of([phrase for phrase, _ in self._phrases])
        hashes = np.array([value for value, _ in found], np.uint64)
        vocabulary = build_vocabulary(hashes)
        places = np.searchsorted(vocabulary.hashes, hashes)
        weights = np.zeros((len(vocabulary.hashes), len(self.labels)), np.float32)
        numbers = [self.labels.index(topic) for _, topic in self._phrases]
        weights[places, numbers] = 1
        weights /= weights.sum(axis=1, keepdims=True)
        settings = TermSettings(max(num_words for _, num_words in found), keep_lines=False)
        return vocabulary, settings, weights

    def scores(self, texts: pa.LargeStringArray, urls: "pa.Array[Any] | None" = None) -> Floats:
        """Shares of the topics: float64[num_texts, num_labels], each row's sum below 1.

        Args:
            texts: large_string, no nulls.
            urls: Not read.
        """
        vocabulary, settings, weights = self._tables
        rows = count_terms(texts, vocabulary, settings)
        values = (1 + np.log(rows.counts)).astype(np.float32)
        squares = weighted_sums(rows, values, weights) ** 2
        return np.asarray(squares / (squares.sum(axis=1, keepdims=True) + FLOOR**2))


def _forms(phrase: str, language: str) -> list[str]:
    """The phrase and, in English, its regular plural."""
    last = phrase[-1]
    if language != _ENGLISH or not last.isalpha() or last == "s":
        return [phrase]
    if last == "y" and phrase[-2] not in _VOWELS:
        return [phrase, f"{phrase[:-1]}ies"]
    ending = "es" if phrase.endswith(("ch", "sh", "x")) else "s"
    return [phrase, phrase + ending]
