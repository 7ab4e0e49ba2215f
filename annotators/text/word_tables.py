"""Short words that keep or lose a mark: abbreviations, units behind numbers, emoticons.

`words.split_words` follows the rules of spaCy 3.8, which has such words in lists of exceptions for
every language; here is one list for all, of those that are frequent in English web pages, where it
halves the differences to spaCy. A kernel looks a word up by its hash, without a string.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel

ABBREVIATIONS = (
    "a.m. p.m. e.g. E.g. E.G. i.e. I.e. I.E. vs. v.s. Ph.D. "
    "Mr. Mrs. Ms. Messrs. Dr. Prof. Rev. Gen. Adm. Gov. Rep. Sen. Jr. St. Mt. "
    "Co. co. Corp. Inc. Ltd. Bros. "
    "Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. "
    "Ak. Ala. Ariz. Ark. Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. "
    "Mass. Md. Mich. Minn. Miss. Mo. Mont. Neb. Nebr. Nev. Okla. Ore. Pa. Tenn. Va. Wash. Wis. "
    "a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä. ö. ü."
).split()
"""Words that keep their last dot (one of capitals, such as "U.S.", does by its form)."""

UNITS = (
    "km km² km³ m m² m³ dm cm cm² cm³ mm mm² mm³ nm µm ha yd in ft kg g mg µg t lb oz m/s km/h kmh "
    "mph Pa hPa mbar kb KB mb MB gb GB tb TB K M G T % "
    # ruff: noqa: RUF001 - Cyrillic letters that look like Latin ones
    "км км² м м² м³ см см² мм нм кг г мг м/с км/ч Па кПа мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тб "
    "كم م سم مم جم كغ ملغ"
).split()
"""What is a token of its own right behind a digit."""

EMOTICONS = (
    [f"{eyes}{nose}{mouth}" for eyes in ":=" for nose in ("", "-") for mouth in ")("]
    + [f"{mouth}{nose}{eyes}" for eyes in ":=" for nose in ("", "-") for mouth in "(["]
    + "): )-: ]= :] =] =[ :} :/ =/ :| =| :* :> ;) ;-) (; (-; :)) :)) :(( -_- ^_^".split()
)
"""Runs of marks that are one token."""

_MULTIPLIER = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_FREE = np.uint64(0)


def _hash(word: str) -> int:
    """As `hash_of` for the code points of a word."""
    value = 1
    for character in word:
        value = value * _MULTIPLIER + ord(character) & _MASK
    return value


def _table(words: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes of words by open addressing, at most a quarter full: `uint64[a power of two]`."""
    table = np.zeros(1 << (4 * len(words)).bit_length(), dtype=np.uint64)
    for word in words:
        value = _hash(word)
        slot = (value >> 32) % len(table)
        while table[slot] not in (0, value):
            slot = (slot + 1) % len(table)
        table[slot] = value
    return table


IN_ABBREVIATIONS, IN_UNITS, IN_EMOTICONS = map(_table, (ABBREVIATIONS, UNITS, EMOTICONS))
LONGEST_ABBREVIATION, LONGEST_UNIT, LONGEST_EMOTICON = (
    max(map(len, words)) for words in (ABBREVIATIONS, UNITS, EMOTICONS)
)


@inlined_lean_kernel
def has_word(table: NDArray[np.uint64], points: NDArray[np.int32], start: int, end: int) -> bool:
    """Says whether a table has the word of these code points.

    Args:
        table: One of the `IN_...`.
        points: Code points, `int32[at least end]`.
        start: Where the word starts.
        end: Where it ends.
    """
    value = np.uint64(1)
    for i in range(start, end):
        value = value * np.uint64(_MULTIPLIER) + np.uint64(points[i])
    slot = np.int64(value >> np.uint64(32)) & len(table) - 1
    while table[slot] != _FREE and table[slot] != value:
        slot = slot + 1 & len(table) - 1
    return bool(table[slot] == value)
