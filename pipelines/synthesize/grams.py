"""N-grams of a text over numpy: what a text made by a model shares with its seed.

Two kinds, each a few vectorised passes (0.2 ms for 8 KB), so that they can be asked of every answer
while a model works:

- Of words, or of characters where words are not separated by spaces: how much of a text is new
  (`pipelines.synthesize.novelty`). Words are runs of letters, digits, their marks and underscores,
  case-folded, as in `annotators.text.shingles`; characters are the letters and digits alone.
- Of letters: where a text holds what another lacks (`pipelines.synthesize.fidelity`). White space
  and punctuation do not count, so joining lines or repairing a hyphen changes nothing.

Hashes are polynomials modulo 2^64 over mixed code points: among 10^6 n-grams, a given one meets
another by chance with probability 5e-14.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.characters import (
    ATTACHED,
    DIGIT,
    DROPPED,
    HAN,
    KANA,
    LETTER,
    NO_SCRIPT,
    SCRIPT_MASK,
    SCRIPT_SHIFT,
    character_classes,
    fold_table,
)
from annotators.text.shingles import UNSPACED_SHARE

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT: Final = np.uint64(32)
_HANGUL: Final = (0xAC00, 0xD7A4)
_UNDERSCORE: Final = ord("_")


class Letters(NamedTuple):
    """The letters and digits of a text with their marks, case-folded."""

    points: NDArray[np.uint32]
    """Code points: `uint32[num_letters]`."""
    places: NDArray[np.int64]
    """Where each stands in the text, in characters: `int64[num_letters]`."""


def points_of(text: str) -> NDArray[np.uint32]:
    """Code points of a text: `uint32[len(text)]`; a lone surrogate is itself."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def letters_of(text: str) -> Letters:
    """The letters, digits and marks of a text."""
    points = points_of(text)
    places = np.flatnonzero(character_classes()[points] & (LETTER | DIGIT | ATTACHED))
    folded = fold_table()[points[places]]
    kept = folded != DROPPED
    return Letters(folded[kept], places[kept])


def is_unspaced(text: str) -> bool:
    """Whether a tenth of the letters are of scripts without spaces, or there is no word at all."""
    classes = character_classes()[points_of(text)]
    letters = classes & LETTER != 0
    unspaced = letters & ((classes >> SCRIPT_SHIFT & SCRIPT_MASK) != NO_SCRIPT)
    num_letters = np.count_nonzero(letters)
    if not num_letters:
        return not np.any(classes & DIGIT)
    return bool(np.count_nonzero(unspaced) >= UNSPACED_SHARE * num_letters)


def density(points: NDArray[np.uint32]) -> float:
    """How many letters of an alphabet one letter stands for, as a mean over a text.

    3 for Han and 2 for Kana and Hangul: of the same 521 sentences of FLORES-200, English has 105
    letters each, simplified Chinese 38, Japanese 52, Korean 48. Arabic 93, Hindi 102, Russian 116
    and Thai 120 are near to English.

    Args:
        points: `uint32[num_letters]`.
    """
    if not len(points):
        return 1.0
    scripts = character_classes()[points] >> SCRIPT_SHIFT & SCRIPT_MASK
    hangul = (points >= _HANGUL[0]) & (points < _HANGUL[1])
    han = np.count_nonzero(scripts == HAN)
    syllables = np.count_nonzero(scripts == KANA) + np.count_nonzero(hangul)
    return float(1 + (2 * han + syllables) / len(points))


def units_of(text: str, *, by_characters: bool) -> NDArray[np.uint64]:
    """A hash for each word, or for each letter and digit: `uint64[num_units]`."""
    if by_characters:
        return _mixed(letters_of(text).points.astype(np.uint64))
    points = points_of(text)
    in_word = (character_classes()[points] & (LETTER | DIGIT | ATTACHED)) != 0
    in_word |= points == _UNDERSCORE
    places = np.flatnonzero(in_word)
    if not len(places):
        return np.zeros(0, np.uint64)
    folded = fold_table()[points[places]]
    folded = np.where(folded == DROPPED, np.uint32(_UNDERSCORE), folded)
    starts = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    within = np.arange(len(places)) - np.repeat(starts, np.diff(starts, append=len(places)))
    values = _mixed(folded.astype(np.uint64)) * _powers(int(within.max()) + 1)[within]
    return _mixed(np.add.reduceat(values, starts))


def grams_of(units: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Hashes of all n-grams in order: `uint64[max(0, num_units - size + 1)]`."""
    count = max(0, len(units) - size + 1)
    grams = np.zeros(count, np.uint64)
    for i in range(size):
        grams = grams * _BASE + units[i : i + count]
    return grams


def covered(text: NDArray[np.uint32], other: NDArray[np.uint32], size: int) -> NDArray[np.bool_]:
    """Which letters of a text stand in an n-gram that another text has too.

    So a letter that was changed is alone uncovered, whatever the size of n-grams is.

    Args:
        text: Letters, `uint32[num_letters]`.
        other: Letters of the other text.
        size: Letters of an n-gram, at least 1.

    Returns:
        `bool[num_letters]` of the text.
    """
    size = max(1, min(size, len(text), len(other)))
    grams = grams_of(_mixed(text.astype(np.uint64)), size)
    known = np.isin(grams, grams_of(_mixed(other.astype(np.uint64)), size))
    change = np.zeros(len(text) + 1, np.int64)
    found = np.flatnonzero(known)
    np.add.at(change, found, 1)
    np.add.at(change, found + size, -1)
    return np.cumsum(change[:-1]) > 0


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (values + np.uint64(1)) * _MIX
    return (mixed ^ (mixed >> _SHIFT)) * _BASE


def _powers(count: int) -> NDArray[np.uint64]:
    return np.cumprod(np.full(count, _MIX, np.uint64), dtype=np.uint64)
