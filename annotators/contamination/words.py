"""Words of a text as contamination sees them: folded, without marks, as hashes with byte positions.

A quotation keeps its words and loses its dress: case, punctuation, accents, line breaks and markup
change from site to site. So a character counts as what remains of it after

1. compatibility decomposition and case folding (NFKD, `str.casefold`, NFKD again: Unicode 15,
   sections 3.11 and 3.13), which makes full-width letters, ligatures and circled numbers plain;
2. leaving out marks (M*), format characters and apostrophes, so that accents, vowel points and
   the two ways of writing them do not matter ("don't" is one word);
3. taking punctuation and symbols (P*, S*), controls and white space as the ends of words, so that
   "x=2" and "x = 2" are the same two words (joining what stands on both sides of a mark, the other
   reading of "strip punctuation", would make them differ), and so is the border between a digit
   and a letter: "3x", "3 x" and "x\u00b2", "x^2" are typed for one another.

Han, Kana, Thai, Lao, Khmer and Burmese are written without spaces: there each letter is a word of
its own and weighs less than one. Lengths are counted in **weight**, 100 for a word:

- a letter of those scripts weighs 100 / `TOKENS_PER_WORD` (Han 56, Thai 26), so 13 words are 24 Han
  or 50 Thai letters, as specific as 13 words of English;
- a digit or a Latin or Greek letter that stands alone weighs 50. Formulas fall apart into such
  ("x^2 + 3x" into three words, of which two are short), and 13 of them are soon repeated
  by chance.

Words are compared by 64-bit hashes; a run of words by prefix hashes as in `annotators.text.words`.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.characters import (
    APOSTROPHE,
    ATTACHED,
    NUM_CODE_POINTS,
    SCRIPT_MASK,
    SCRIPT_SHIFT,
    SPACE,
    SYMBOL,
    character_classes,
)
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.utf8 import decode_sequence
from annotators.text.words import HASH_BASE, TOKENS_PER_WORD

WORD = 100
"""Weight of one word."""

MAX_WORDS_PER_BYTE = 2
"""U+3316, three bytes, is the kilometre in six Kana; no character gives more words a byte."""

_BREAK, _DROPPED, _EXPANDS = 1 << 28, 1 << 29, 1 << 30
_POINT, _SCRIPT_BITS = (1 << 24) - 1, 24
_LAST_SHORT = 0x3FF  # ASCII, Latin and Greek
_SHORT_WORD = 50
_WEIGHTS = np.rint(WORD / TOKENS_PER_WORD).astype(np.int64)
_WEIGHTS.flags.writeable = False
_SEED = np.uint64(0xCBF29CE484222325)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_FINAL = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(32)

# Normalisation leaves these as they are or is not wanted: ideographs, Hangul syllables (which stay
# whole), surrogates and private use.
_UNCHANGED = (range(0x3400, 0xA000), range(0xAC00, 0xF900))
_LISTED = (range(0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200))


class Folds(NamedTuple):
    """What becomes of each code point."""

    codes: NDArray[np.int32]
    """`int32[0x110000]`: a code point and its script above bit 24, or one of the marks above."""
    expansions: NDArray[np.int32]
    """Sequences of codes, each after its length; `codes` gives where one begins."""


class FoldedWords(NamedTuple):
    """Scratch in which `fold_words` writes the words of one text."""

    hashes: NDArray[np.uint64]
    """`uint64[max_words]`, one a word."""
    prefixes: NDArray[np.uint64]
    """`uint64[max_words + 1]`: the hash of words i to j is P[j] - P[i] * HASH_BASE^(j - i)."""
    weights: NDArray[np.int64]
    """`int64[max_words + 1]`: weight of the words before each."""
    starts: NDArray[np.int64]
    """`int64[max_words]`: first byte of each word, from the start of the text."""
    ends: NDArray[np.int64]
    """`int64[max_words]`: the byte after its last."""


def empty_folded_words(max_bytes: int) -> FoldedWords:
    """Makes scratch for texts of at most so many bytes; pages take memory only where written."""
    size = MAX_WORDS_PER_BYTE * max_bytes
    return FoldedWords(
        np.empty(size, np.uint64),
        np.empty(size + 1, np.uint64),
        np.empty(size + 1, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
    )


def _sequence(code_point: int, plain: NDArray[np.int32]) -> list[int]:
    """Gives the codes that one code point becomes, without dropped ones."""
    folded = unicodedata.normalize("NFKD", chr(code_point)).casefold()
    codes = [int(plain[ord(one)]) for one in unicodedata.normalize("NFKD", folded)]
    return [code for code in codes if code != _DROPPED]


@functools.cache
def folds() -> Folds:
    """Makes the tables of the running Python's Unicode data, once a process, in about 0.1 s."""
    classes = character_classes()
    plain = np.arange(NUM_CODE_POINTS, dtype=np.int32)
    plain |= (classes >> SCRIPT_SHIFT & SCRIPT_MASK).astype(np.int32) << _SCRIPT_BITS
    plain[(classes & (SPACE | SYMBOL)) != 0] = _BREAK
    plain[(classes & (ATTACHED | APOSTROPHE)) != 0] = _DROPPED
    codes = plain.copy()
    expansions: list[int] = []
    for code_point in (point for run in _LISTED for point in run):
        if any(code_point in run for run in _UNCHANGED):
            continue
        if plain[code_point] in (_BREAK, _DROPPED) and code_point < 0x80:
            continue
        sequence = _sequence(code_point, plain)
        if len(sequence) < 2:
            codes[code_point] = sequence[0] if sequence else _DROPPED
            continue
        codes[code_point] = _EXPANDS | len(expansions)
        expansions += [len(sequence), *sequence]
    codes.flags.writeable = False
    expanded = np.array(expansions, np.int32)
    expanded.flags.writeable = False
    return Folds(codes, expanded)


@inlined_kernel
def _mix(value: np.uint64, code: np.int64) -> np.uint64:
    return value * _MULTIPLIER + np.uint64(code)


@inlined_kernel
def _is_digit(code: np.int64) -> bool:
    return bool(0x30 <= code <= 0x39)


@inlined_kernel
def _add(words: FoldedWords, count: int, value: np.uint64, weight: int) -> None:
    """Writes hash and weight of the word number `count`."""
    final = (value ^ (value >> _SHIFT)) * _FINAL
    final ^= final >> _SHIFT
    words.hashes[count] = final
    words.prefixes[count + 1] = words.prefixes[count] * HASH_BASE + final
    words.weights[count + 1] = words.weights[count] + weight


@inlined_kernel
def _close(words: FoldedWords, count: int, value: np.uint64, length: int, first: np.int64) -> int:
    """Ends the open word of `length` characters, where there is one; gives how many there are."""
    if length == 0:
        return count
    is_short = length == 1 and first <= _LAST_SHORT
    _add(words, count, value, _SHORT_WORD if is_short else WORD)
    return count + 1


@kernel
def fold_words(
    data: NDArray[np.uint8], start: int, end: int, table: Folds, words: FoldedWords
) -> int:
    """Splits one text into folded words.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        start: Start of the text in bytes.
        end: End of the text in bytes.
        table: `folds()`.
        words: Written; made for at least `end - start` bytes.

    Returns:
        The number of words.
    """
    codes, expansions = table
    words.prefixes[0] = 0
    words.weights[0] = 0
    count = 0
    length = 0  # characters of the open word; 0: none is open
    first = np.int64(0)
    value = _SEED
    position = start
    while position < end:
        here = position
        point: int | np.int64 = np.int64(data[position])
        if point < 0x80:
            code = np.int64(codes[point])
            if code < 0x80:
                # Letters or digits of ASCII, which are most of most texts, in a loop of their own.
                is_number = _is_digit(code)
                if length and is_number != _is_digit(first):
                    count = _close(words, count, value, length, first)
                    length = 0
                if length == 0:
                    words.starts[count] = here - start
                    value = _SEED
                while True:
                    value = _mix(value, code)
                    first = code
                    length += 1
                    position += 1
                    if position >= end or data[position] >= 0x80:
                        break
                    code = np.int64(codes[data[position]])
                    if code >= 0x80 or _is_digit(code) != is_number:
                        break
                words.ends[count] = position - start
                continue
            position += 1
            if code == _BREAK:
                count = _close(words, count, value, length, first)
                length = 0
                continue
        else:
            point, position = decode_sequence(data, position, end)
            code = np.int64(codes[point])
        at, stop = np.int64(0), np.int64(1)
        if code & _EXPANDS:
            at = (code ^ _EXPANDS) + 1
            stop = at + expansions[at - 1]
            code = np.int64(expansions[at])
        while True:
            script = code >> _SCRIPT_BITS
            if script == 0:
                if length and _is_digit(code) != _is_digit(first):
                    count = _close(words, count, value, length, first)
                    length = 0
                if length == 0:
                    words.starts[count] = here - start
                    value = _SEED
                first = code
                length += 1
                value = _mix(value, code)
                words.ends[count] = position - start
            elif code == _DROPPED:
                # A mark belongs to the letter before it.
                last = count if length else count - 1
                if last >= 0 and words.ends[last] == here - start:
                    words.ends[last] = position - start
            else:
                count = _close(words, count, value, length, first)
                length = 0
                if code != _BREAK:
                    words.starts[count] = here - start
                    words.ends[count] = position - start
                    _add(words, count, _mix(_SEED, code & _POINT), _WEIGHTS[script])
                    count += 1
            at += 1
            if at >= stop:
                break
            code = np.int64(expansions[at])
    return _close(words, count, value, length, first)
