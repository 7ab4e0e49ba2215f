"""Which programming language the code of a text is written in, by the signs of `languages`.

A sign that occurs c times gives (1 + ln c) / t to each of the t languages that list it. With
evidence e_1 ... e_k the score of language i is e_i^2 / (sum of e_j^2 + FLOOR^2): its share, where
FLOOR is put on no language at all, so that two keywords decide nothing. A language is named from
`MIN_SCORE` on. This is the rule of the default topics, for the same reason: the lists are written,
not trained, and a share of evidence says when they know little.

What fences say (```python) comes before all signs: where most of the fenced lines that name a
language name one, that is the language, and its share of them the score. Where they name one
that is not on the lists (```vim), the signs are not asked: all they could do is name another.

Bytes are read once; a token costs up to five look-ups in a table that stays in the first cache.
"""

import string
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.stem.formulas import is_word_byte
from annotators.stem.languages import ALIASES, SIGNS
from annotators.text.kernels import inlined_kernel, kernel

FLOOR: Final = 2.5
"""More than what one sign alone weighs, however rare: it names no language."""

MIN_SCORE: Final = 0.25
"""Share of evidence below which no language is named; low, because kin such as C and C++ share.

Of 107 tutorials on what is not on the lists (tmux, vim, Brainfuck; Learn X in Y minutes, words
behind fences taken away) 26 are named something, with 0.15 it were 61; of 327 on what is, 79 % are
named rightly, with 0.15 it were 84 %.
"""

FOREIGN: Final = -2
"""In place of a language: a fence names one that is not on the lists."""

_NO_LANGUAGE: Final = (
    "text txt plain plaintext output console terminal session log none code example"
)
"""What fences say that name no language."""

MAX_BYTES: Final = 16_384
"""Of code that are looked at; a file does not change its language behind them."""

_BEFORE: Final = "#@$%&:.!-\\/'`"
_OPENS: Final = "([<"
_AFTER: Final = "(!?:{<["
_LETTERS: Final = frozenset(string.ascii_letters + string.digits + "_")
_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
_NUM_SLOTS: Final = 1 << 14

_IS_BEFORE = np.zeros(256, np.bool_)
_IS_BEFORE[list(_BEFORE.encode())] = True
_IS_OPENING = np.zeros(256, np.bool_)
_IS_OPENING[list(_OPENS.encode())] = True
_IS_AFTER = np.zeros(256, np.bool_)
_IS_AFTER[list(_AFTER.encode())] = True

LANGUAGES: Final = tuple(SIGNS)

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


class Signs(NamedTuple):
    """All signs, for look-up."""

    hashes: NDArray[np.uint64]
    """uint64[_NUM_SLOTS] by open addressing, 0 where free."""
    places: NDArray[np.int32]
    """int32[_NUM_SLOTS]: row of `weights`."""
    weights: Floats
    """float64[num_signs, num_languages]: 1 / t, or 0."""
    fences: NDArray[np.uint64]
    """uint64[num_names], sorted: hashes of what fences call languages, in lower case."""
    fence_languages: NDArray[np.int64]
    """int64[num_names]: places in `LANGUAGES`, or -1 for a name that is no language's."""


def build_signs() -> Signs:
    """Makes the tables from the lists.

    Raises:
        ValueError: A sign has a form that no text could show.
    """
    users: dict[str, set[int]] = {}
    for number, listed in enumerate(SIGNS.values()):
        for sign in listed.split():
            users.setdefault(key_of(sign), set()).add(number)
    hashes = np.zeros(_NUM_SLOTS, np.uint64)
    places = np.zeros(_NUM_SLOTS, np.int32)
    weights = np.zeros((len(users), len(SIGNS)))
    for place, (key, languages) in enumerate(sorted(users.items())):
        weights[place, sorted(languages)] = 1 / len(languages)
        value = hash_of(key.encode())
        slot = value >> 50
        while hashes[slot]:
            slot = (slot + 1) % _NUM_SLOTS
        hashes[slot], places[slot] = value, place
    names = {name.lower(): name for name in SIGNS} | ALIASES
    told = sorted(
        [(hash_of(alias.encode()), LANGUAGES.index(name)) for alias, name in names.items()]
        + [(hash_of(name.encode()), -1) for name in _NO_LANGUAGE.split()]
    )
    return Signs(
        hashes, places, weights,
        np.array([value for value, _ in told], np.uint64),
        np.array([number for _, number in told], np.int64),
    )  # fmt: skip


def key_of(sign: str) -> str:
    """What the kernel makes of a sign where it meets it (see `languages`).

    Raises:
        ValueError: It has none of the forms.
    """
    first, rest = sign[0], sign[1:]
    if not _LETTERS & set(sign):
        is_run = 2 <= len(sign) <= 3 or (first == "^" and 2 <= len(sign) <= 4)
        if is_run and all(33 <= ord(one) < 127 for one in sign):
            return sign
    elif set(sign) <= _LETTERS or (first == "^" and set(rest) <= _LETTERS):
        return sign
    elif first in _BEFORE and set(rest) <= _LETTERS:
        return "#" + rest
    elif first in _OPENS and set(rest) <= _LETTERS:
        return sign
    elif sign[-1] in _AFTER and set(sign[:-1]) <= _LETTERS:
        return sign
    elif "+" in sign and all(one and set(one) <= _LETTERS for one in sign.split("+")):
        if sign.count("+") == 1:
            return sign.replace("+", " ")
    raise ValueError(f"the sign {sign!r} of annotators/stem/languages.py can never be met")


def hash_of(key: bytes) -> int:
    """FNV-1a, 64 bits, spread; never 0."""
    value = _OFFSET
    for byte in key:
        value = (value ^ byte) * _PRIME % 2**64
    return _spread_int(value)


def _spread_int(value: int) -> int:
    value = (value ^ value >> 32) * 0x9E3779B97F4A7C15 % 2**64
    return value or 1


@inlined_kernel
def _step(value: np.uint64, byte: int) -> np.uint64:
    return (value ^ np.uint64(byte)) * np.uint64(_PRIME)


@kernel
def _look_up(value: np.uint64, hashes: NDArray[np.uint64], places: NDArray[np.int32]) -> int:
    """Row of the sign with an FNV hash, or -1."""
    spread = (value ^ value >> np.uint64(32)) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(spread >> np.uint64(50))
    while hashes[slot] != 0:
        if hashes[slot] == spread:
            return int(places[slot])
        slot = (slot + 1) & (_NUM_SLOTS - 1)
    return -1


@kernel
def _see(value: np.uint64, signs: Signs, counts: NDArray[np.int32]) -> None:
    place = _look_up(value, signs.hashes, signs.places)
    if place >= 0:
        counts[place] += 1


@kernel
def count_signs(data: Bytes, start: int, end: int, signs: Signs, counts: NDArray[np.int32]) -> None:
    """Counts the signs of one line, without white space at its ends.

    Args:
        data: uint8[num_bytes], UTF-8.
        start: First byte of the line.
        end: Byte behind its last.
        signs: From `build_signs`.
        counts: int32[num_signs], added to.
    """
    offset = np.uint64(_OFFSET)
    before_word = offset  # hash of the word before and a blank; the offset where there is none
    at = start
    while at < end:
        byte = data[at]
        if byte <= 32 or byte >= 127:
            before_word = offset
            at += 1
            continue
        stop = at
        if is_word_byte(byte):
            value, marked, first = offset, _step(offset, 35), _step(offset, 94)  # # ^
            pair = before_word
            opened = _step(offset, data[at - 1]) if at > start else offset
            while stop < end and is_word_byte(data[stop]):
                one = data[stop]
                value, marked, first = _step(value, one), _step(marked, one), _step(first, one)
                pair, opened = _step(pair, one), _step(opened, one)
                stop += 1
            _see(value, signs, counts)
            if at == start:
                _see(first, signs, counts)
            elif _IS_BEFORE[data[at - 1]]:
                _see(marked, signs, counts)
            elif _IS_OPENING[data[at - 1]] and (at - 1 == start or not is_word_byte(data[at - 2])):
                _see(opened, signs, counts)
            if before_word != offset:
                _see(pair, signs, counts)
            before_word = offset
            if stop < end and _IS_AFTER[data[stop]]:
                _see(_step(value, data[stop]), signs, counts)
            elif stop + 1 < end and data[stop] == 32 and is_word_byte(data[stop + 1]):
                before_word = _step(value, 32)
                stop += 1
            at = stop
            continue
        before_word = offset
        while stop < end and 32 < data[stop] < 127 and not is_word_byte(data[stop]):
            stop += 1
        for mark in range(at, stop):
            value = _step(offset, data[mark])
            for last in range(mark + 1, min(mark + 3, stop)):
                value = _step(value, data[last])
                _see(value, signs, counts)
        if at == start:
            value = _step(offset, 94)
            for last in range(at, min(at + 3, stop)):
                value = _step(value, data[last])
                _see(value, signs, counts)
        if stop == end:
            _see(_step(_step(offset, data[end - 1]), 124), signs, counts)  # |
        at = stop


@kernel
def fence_language(data: Bytes, start: int, end: int, signs: Signs) -> int:
    """Place in `LANGUAGES` of what stands behind a fence; -1 for none, or `FOREIGN`.

    Args:
        data: uint8[num_bytes], UTF-8.
        start: Byte behind the marks of the fence.
        end: Byte behind its line.
        signs: From `build_signs`.
    """
    while start < end and (data[start] <= 32 or data[start] in (123, 46)):  # {.python}
        start += 1
    value = np.uint64(_OFFSET)
    is_name = True
    at = start
    while at < end and data[at] > 32 and data[at] != 125 and data[at] != 44 and data[at] != 58:
        byte = data[at]
        # A file's name or a setting is no language.
        is_name = is_name and (is_word_byte(byte) or byte == 43 or byte == 45 or byte == 35)  # +-#
        value = _step(value, byte + 32 if 65 <= byte <= 90 else byte)
        at += 1
    if at == start:
        return -1
    spread = (value ^ value >> np.uint64(32)) * np.uint64(0x9E3779B97F4A7C15)
    place = np.searchsorted(signs.fences, spread)
    if place < len(signs.fences) and signs.fences[place] == spread:
        return int(signs.fence_languages[place])
    return FOREIGN if is_name else -1


@kernel
def best_language(
    counts: NDArray[np.int32], weights: Floats, evidence: Floats
) -> tuple[int, float]:
    """The language of most evidence, and its score; -1 and the score where that is too low.

    Args:
        counts: int32[num_signs].
        weights: float64[num_signs, num_languages].
        evidence: float64[num_languages], scratch.
    """
    evidence[:] = 0
    for place in range(len(counts)):
        if counts[place]:
            amount = 1 + np.log(counts[place])
            for language in range(len(evidence)):
                evidence[language] += amount * weights[place, language]
    best = int(np.argmax(evidence))
    score = evidence[best] ** 2 / ((evidence * evidence).sum() + FLOOR**2)
    return (best if score >= MIN_SCORE else -1), score
