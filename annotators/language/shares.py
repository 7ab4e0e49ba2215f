"""The parts of each text put together: shares of languages, and the language of the whole."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Parts(NamedTuple):
    """Pieces of texts with one language each; arrays of one entry a part."""

    rows: Ints
    """Which text it is of."""
    languages: Ints
    """Number of its language, the highest number is `und`."""
    scores: Floats
    """Probability of `languages`, 0 for `und`."""
    seconds: Ints
    """The next best guess."""
    family_scores: Floats
    """Probability of the family of labels that `languages` is of."""
    letters: Ints
    """Letters in it, its weight; a part without letters counts for nothing."""

    def without(self, rows: Ints) -> Self:
        """Leaves out the parts of some texts."""
        kept = ~np.isin(self.rows, rows)
        return self._made([column[kept] for column in self])

    def and_then(self, others: Self) -> Self:
        """These parts and others behind them."""
        return self._made([np.concatenate(both) for both in zip(self, others, strict=True)])

    def _made(self, columns: list[Any]) -> Self:
        return type(self)(*columns)


class TextColumns(NamedTuple):
    """What is said of each text; numbers of languages."""

    language: Ints
    """int64[num_texts]: with the largest share of letters, of equal ones the lowest number."""
    score: Floats
    """float64[num_texts]: mean score of its parts, weighted by letters."""
    second: Ints
    """int64[num_texts]: with the next largest share, or the guess of its largest part."""
    share: Floats
    """float64[num_texts]: of `language`."""
    offsets: Ints
    """int64[num_texts + 1]: the shares of text i are those from `offsets[i]` on."""
    languages: Ints
    """int64[num_shares]"""
    shares: Floats
    """float64[num_shares]: descending in each text."""


def columns_of(parts: Parts, num_texts: int, undetermined: int) -> TextColumns:
    """Sums parts by text and language.

    Args:
        parts: Of all texts, in any order.
        num_texts: How many there are; one without letters has no share and is undetermined.
        undetermined: Number of `und`.
    """
    weights = parts.letters.astype(np.float64)
    heard = np.flatnonzero(weights > 0)
    keys, at = np.unique(
        parts.rows[heard] * (undetermined + 1) + parts.languages[heard], return_inverse=True
    )
    letters = np.bincount(at, weights[heard], len(keys))
    scores = np.bincount(at, weights[heard] * parts.scores[heard], len(keys))
    rows, languages = np.divmod(keys, undetermined + 1)
    order = np.lexsort((languages, -letters, rows))
    rows, languages, letters, scores = (
        column[order] for column in (rows, languages, letters, scores)
    )
    offsets = np.searchsorted(rows, np.arange(num_texts + 1))
    totals = np.bincount(rows, letters, num_texts)
    shares = letters / totals[rows]

    with_letters = np.flatnonzero(np.diff(offsets))
    first = offsets[with_letters]
    language = np.full(num_texts, undetermined)
    language[with_letters] = languages[first]
    score, share = np.zeros(num_texts), np.zeros(num_texts)
    score[with_letters] = scores[first] / letters[first]
    share[with_letters] = shares[first]
    second = _seconds(parts, heard, language, undetermined)
    for rank in (2, 1):
        several = np.flatnonzero(np.diff(offsets) > rank)
        next_languages = languages[offsets[several] + rank]
        is_known = next_languages != undetermined
        second[several[is_known]] = next_languages[is_known]
    return TextColumns(language, score, second, share, offsets, languages, shares)


def _seconds(parts: Parts, heard: Ints, language: Ints, undetermined: int) -> Ints:
    """The next best guess of the largest part in each text's language."""
    own = heard[parts.languages[heard] == language[parts.rows[heard]]]
    own = own[np.argsort(parts.letters[own], kind="stable")]
    second = np.full(len(language), undetermined)
    second[parts.rows[own]] = parts.seconds[own]  # the last, which is the largest, stays
    return second
