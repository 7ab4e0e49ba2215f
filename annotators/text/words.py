"""Words of a text as hashes, in one pass over its classed code points.

The thresholds of Gopher, FineWeb and FineWeb-2 were set on tokenizers that make punctuation marks
tokens of their own (datatrove 0.10 uses spaCy's rules for most languages), which decides, for
example, what "80 % of words hold a letter" means. So words here follow spaCy 3.8's rules for
English without its list of contractions: 0.36 % of the tokens of 900 English web pages differ (most
are "do" + "n't", here "don" + "'t"), and the share of tokens with a letter by 0.0004 a page.

- White space separates. A mark of class ALONE is a token wherever it stands.
- Marks of class EDGE are tokens at the start and end of a run (`= + % $` only where spaCy splits
  them off); two or more dots are one token, and so is an emoticon; a single dot ends a run as a
  token unless a single capital letter stands before it ("J.", "U.S.") or the run is one of
  `word_tables.ABBREVIATIONS`. A unit is a token behind a digit ("5 kg" of "5kg").
- Inside a run these split: hyphens before a letter ("mid-way", "20-day", but not "mid-1990s") and
  between digits; commas and dots at "a,b" and "a.B"; `: < > = /` before a letter; `+ * ^` between
  digits. Runs with "://" or "@" and host names ("example.com/a-b") stay whole.
- An apostrophe after a Latin letter starts a token ("it" + "'s"). It does not enter the hash, so
  "l'eau" and a stop word "l'" meet.
- In Han, Kana, Thai, Lao, Khmer and Burmese, written without spaces, each letter with its marks is
  a token; `TOKENS_PER_WORD` says how many make a word.

N-grams cost no strings: with prefix hashes H (polynomial, modulo 2^64) the hash of words i to j is
H[j] - H[i] * BASE^(j - i).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.characters import (
    ALONE,
    APOSTROPHE,
    ATTACHED,
    DIGIT,
    EDGE,
    HYPHEN,
    LETTER,
    LOWER,
    SCRIPT_MASK,
    SCRIPT_SHIFT,
    SPACE,
    SYMBOL,
    UPPER,
)
from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.utf8 import Characters
from annotators.text.word_tables import (
    IN_ABBREVIATIONS,
    IN_EMOTICONS,
    IN_UNITS,
    LONGEST_ABBREVIATION,
    LONGEST_EMOTICON,
    LONGEST_UNIT,
    has_word,
)

TOKENS_PER_WORD = np.array([1.0, 1.8, 1.74, 3.8, 3.3, 2.9, 2.2])
"""Letters a word by script (none, Han, Kana, Thai, Lao, Khmer, Burmese): letters divided by words
of datatrove 0.10's tokenizers (jieba, SudachiPy, pythainlp, laonlp, khmer-nltk, pyidaungsu) on 120
sentences a language of SIB-200 / FLORES dev: zho 1.84, jpn 1.74, tha 3.81, lao 3.33, khm 2.94,
mya 2.19. Japanese, known by its Kana, mixes Han and Kana."""

NUM_TOKENS, NUM_SYMBOL_TOKENS, NUM_LETTER_TOKENS, NUM_WORD_CHARACTERS, NUM_LETTERS_OF_SCRIPT = (
    range(5)
)
"""Where `split_words` counts; letters of scripts without spaces stand from the last, by script."""
NUM_WORD_COUNTS = NUM_LETTERS_OF_SCRIPT + SCRIPT_MASK + 1

HASH_BASE = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0xCBF29CE484222325)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(32)

_DOT, _COMMA, _SLASH, _COLON, _AT, _QUESTION = 46, 44, 47, 58, 64, 63
_LESS, _GREATER, _EQUALS, _PLUS, _STAR, _CARET = 60, 62, 61, 43, 42, 94
_HYPHEN_MINUS, _PERCENT, _DOLLAR, _S, _A, _M, _P = 45, 37, 36, 115, 97, 109, 112
_LAST_LATIN = 0x24F
_ENDS_RUN = SPACE | ALONE | SCRIPT_MASK << SCRIPT_SHIFT
_LETTERS_AND_DIGITS = LETTER | UPPER | LOWER | DIGIT
_ENDS_PLAIN = 0xFFFF & ~_LETTERS_AND_DIGITS
_ALPHANUMERIC = LETTER | DIGIT


class Words(NamedTuple):
    """Scratch in which kernels write the words of one text."""

    hashes: NDArray[np.uint64]
    """Prefix hashes of the words: `uint64[max_words + 1]`."""
    lengths: NDArray[np.int32]
    """Characters in the words before each: `int32[max_words + 1]`."""
    starts: NDArray[np.int32]
    """Where each begins in the text, in characters: `int32[max_words + 1]`."""
    counts: NDArray[np.int64]
    """`int64[NUM_WORD_COUNTS]`, see `NUM_TOKENS` and the names beside it."""


def empty_words(max_words: int) -> Words:
    """Makes scratch; its pages take memory only where they are written."""
    return Words(
        np.empty(max_words + 1, dtype=np.uint64),
        np.empty(max_words + 1, dtype=np.int32),
        np.empty(max_words + 1, dtype=np.int32),
        np.zeros(NUM_WORD_COUNTS, dtype=np.int64),
    )


@inlined_lean_kernel
def mix_hash(value: np.uint64, point: int) -> np.uint64:
    """Adds one code point to a hash."""
    return value * _MULTIPLIER + np.uint64(point)


@inlined_lean_kernel
def _append(value: np.uint64, start: int, end: int, words: Words) -> None:
    """Appends a word by the hash of its characters."""
    token = words.counts[NUM_TOKENS]
    words.hashes[token + 1] = words.hashes[token] * HASH_BASE + (value ^ (value >> _SHIFT))
    words.lengths[token + 1] = words.lengths[token] + (end - start)
    words.starts[token] = start
    words.counts[NUM_TOKENS] = token + 1


@inlined_lean_kernel
def _add_word(text: Characters, start: int, end: int, words: Words) -> None:
    points, flags = text
    counts = words.counts
    if start >= end:
        return
    value = _SEED
    any_flags = np.uint16(0)
    num_symbols = 0
    for i in range(start, end):
        any_flags |= flags[i]
        num_symbols += (flags[i] & SYMBOL) != 0
        if not flags[i] & APOSTROPHE:
            value = mix_hash(value, points[i])
    _append(value, start, end, words)
    counts[NUM_LETTER_TOKENS] += (any_flags & LETTER) != 0
    if num_symbols == end - start:
        counts[NUM_SYMBOL_TOKENS] += 1
    else:
        counts[NUM_WORD_CHARACTERS] += end - start


@inlined_lean_kernel
def _is_quote(point: int) -> bool:
    """Says whether a character is in spaCy's class of quotes, which has the comma too."""
    if point < 0x80:
        return point == 34 or point == 39 or point == _COMMA or point == 96
    return point == 0x2018 or point == 0x2019 or point == 0xB4


@inlined_lean_kernel
def _splits_inside(points: NDArray[np.int32], flags: NDArray[np.uint16], i: int) -> bool:
    """Says whether the character at i, between two others of a run, is a token there."""
    before, point, after = int(flags[i - 1]), points[i], int(flags[i + 1])
    if point == _COMMA:
        return (before & LETTER) != 0 and (after & LETTER) != 0
    if point == _DOT:
        opens = (before & LOWER) != 0 or _is_quote(points[i - 1])
        return opens and ((after & UPPER) != 0 or _is_quote(points[i + 1]))
    if point == _COLON or point == _SLASH or point == _LESS or point == _GREATER:
        return (before & _ALPHANUMERIC) != 0 and (after & LETTER) != 0
    if point == _PLUS or point == _STAR or point == _CARET:
        return (before & DIGIT) != 0 and ((after & DIGIT) != 0 or points[i + 1] == _HYPHEN_MINUS)
    return point == _EQUALS and (before & _ALPHANUMERIC) != 0 and (after & LETTER) != 0


@inlined_lean_kernel
def _splits_at_hyphens(text: Characters, i: int, after: int) -> bool:
    """Says whether a run of one dash from i to `after` is a token between two characters."""
    points, flags = text
    if flags[i - 1] & _ALPHANUMERIC and flags[after] & LETTER:
        return True
    return bool(points[i] == _HYPHEN_MINUS and flags[i - 1] & DIGIT and flags[after] & DIGIT)


@inlined_lean_kernel
def _splits_at_apostrophe(text: Characters, i: int, end: int) -> bool:
    """Says whether an apostrophe inside a run starts a token."""
    points, flags = text
    if flags[i - 1] & DIGIT:  # the 1990's
        return i + 2 == end and points[i + 1] | 0x20 == _S
    return bool(flags[i - 1] & LETTER and flags[i + 1] & LETTER) and points[i - 1] <= _LAST_LATIN


@inlined_lean_kernel
def _same_run(points: NDArray[np.int32], start: int, end: int) -> int:
    """Gives the end of the run of the character at `start`."""
    i = start + 1
    while i < end and points[i] == points[start]:
        i += 1
    return i


@inlined_lean_kernel
def _split_inside(text: Characters, start: int, end: int, words: Words) -> None:
    """Adds the words of a run without its edge marks."""
    points, flags = text
    last = start
    i = start + 1
    while i < end - 1:
        here = flags[i]
        if here & _ALPHANUMERIC:
            i += 1
            continue
        if here & APOSTROPHE:
            if _splits_at_apostrophe(text, i, end):
                _add_word(text, last, i, words)
                last = i
            i += 1
            continue
        run_end = i + 1
        if points[i] == _DOT or here & HYPHEN:
            run_end = _same_run(points, i, end)
        if here & HYPHEN and run_end < end:
            splits = _splits_at_hyphens(text, i, run_end)
        else:
            splits = _splits_inside(points, flags, i) or (points[i] == _DOT and run_end - i > 1)
        if splits:
            _add_word(text, last, i, words)
            _add_word(text, i, run_end, words)
            last = run_end
        i = run_end
    _add_word(text, last, end, words)


@inlined_lean_kernel
def _is_address(text: Characters, start: int, end: int) -> bool:
    """Says whether a run is a URL, an e-mail address or a host name, and so stays whole."""
    points, flags = text
    if end - start < 4:
        return False
    for i in range(start + 1, end - 2):
        if points[i] == _COLON and points[i + 1] == _SLASH and points[i + 2] == _SLASH:
            return True
        if points[i] == _AT and flags[i - 1] & _ALPHANUMERIC and flags[i + 1] & LETTER:
            return True
    label, num_labels = start, 0
    all_lower = True
    i = start
    while i < end and (flags[i] & (_ALPHANUMERIC | HYPHEN) or points[i] == _DOT):
        if points[i] == _DOT:
            if i == label:
                return False
            num_labels += 1
            label, all_lower = i + 1, True
        else:
            all_lower &= (flags[i] & LOWER) != 0
        i += 1
    ends = i == end or points[i] == _SLASH or points[i] == _COLON or points[i] == _QUESTION
    return num_labels > 0 and i - label >= 2 and all_lower and ends


@inlined_lean_kernel
def _add_marks(text: Characters, start: int, end: int, words: Words) -> None:
    """Adds marks one by one, but a run of dots, and an emoticon, as one token."""
    points = text.points
    i = start
    while i < end:
        after = _same_run(points, i, end) if points[i] == _DOT else i + 1
        for length in range(min(LONGEST_EMOTICON, end - i), 1, -1):
            if after == i + 1 and has_word(IN_EMOTICONS, points, i, i + length):
                after = i + length
        _add_word(text, i, after, words)
        i = after


@inlined_lean_kernel
def _after_marks(text: Characters, start: int, end: int) -> int:
    """Gives where the marks in front of a run end."""
    points, flags = text
    first = start
    while first < end:
        dots_end = _same_run(points, first, end) if points[first] == _DOT else first
        is_sign = points[first] == _PLUS and (first + 1 == end or not flags[first + 1] & DIGIT)
        if not flags[first] & EDGE and not is_sign and dots_end - first < 2:
            break
        first = max(dots_end, first + 1)
    return first


@inlined_lean_kernel
def _keeps_dot(text: Characters, start: int, dot: int) -> bool:
    """Says whether a last dot belongs to the word: an abbreviation, or after a capital letter."""
    points, flags = text
    if dot == start:
        return False
    before = flags[dot - 1]
    if before & UPPER:
        return dot - 1 == start or not flags[dot - 2] & UPPER
    if dot + 1 - start <= LONGEST_ABBREVIATION and before & LETTER:
        return has_word(IN_ABBREVIATIONS, points, start, dot + 1)
    return bool(before & SYMBOL and not before & (EDGE | HYPHEN) and points[dot - 1] != _PLUS)


@inlined_lean_kernel
def _before_marks(text: Characters, start: int, end: int) -> int:
    """Gives where the marks behind a run begin."""
    points, flags = text
    last = end
    while last > start:
        point = points[last - 1]
        follows_digit = last - 1 > start and (flags[last - 2] & DIGIT) != 0
        if point == _DOT:
            if last - 1 == start or points[last - 2] != _DOT:
                if _keeps_dot(text, start, last - 1):
                    break
            while last - 1 > start and points[last - 2] == _DOT:
                last -= 1
        elif point == _PLUS or point == _PERCENT or point == _DOLLAR:
            if not follows_digit:
                break
        elif point == _EQUALS or not flags[last - 1] & EDGE:
            break
        last -= 1
    return last


@inlined_lean_kernel
def _before_unit(text: Characters, start: int, end: int) -> int:
    """Gives where the unit behind a number begins, or the end."""
    points, flags = text
    unit = end
    while unit > start and end - unit <= LONGEST_UNIT and not flags[unit - 1] & DIGIT:
        unit -= 1
    if start < unit < end and end - unit <= LONGEST_UNIT and flags[unit - 1] & DIGIT:
        if has_word(IN_UNITS, points, unit, end):
            return unit
        is_time = points[end - 1] == _M and (points[unit] == _A or points[unit] == _P)
        if is_time and end - unit == 2 and unit - start <= 2:
            return unit
    return end


@inlined_lean_kernel
def _split_run(text: Characters, start: int, end: int, words: Words) -> None:
    """Adds the words of a run between spaces: marks in front, the inside, marks behind."""
    points, flags = text
    if end - start <= LONGEST_EMOTICON and has_word(IN_EMOTICONS, points, start, end):
        _add_word(text, start, end, words)  # also with a hyphen in it, which is no edge
        return
    first = _after_marks(text, start, end)
    last = _before_marks(text, first, end)
    found = np.uint16(0)
    for i in range(first, last):
        found |= flags[i]
    _add_marks(text, start, first, words)
    if found & DIGIT and found & LETTER:
        unit = _before_unit(text, first, last)
    else:
        unit = last
    if not found & ~_LETTERS_AND_DIGITS:
        _add_word(text, first, unit, words)
    elif points[last - 1] == _DOT and has_word(IN_ABBREVIATIONS, points, first, last):
        _add_word(text, first, last, words)
    elif _is_address(text, first, unit):
        _add_word(text, first, unit, words)
    else:
        _split_inside(text, first, unit, words)
    _add_word(text, unit, last, words)
    _add_marks(text, last, end, words)


@inlined_lean_kernel
def _add_mark(text: Characters, i: int, words: Words) -> None:
    """Adds a word of one mark."""
    value = _SEED if text.flags[i] & APOSTROPHE else mix_hash(_SEED, text.points[i])
    _append(value, i, i + 1, words)
    words.counts[NUM_SYMBOL_TOKENS] += 1


@inlined_lean_kernel
def _sheds_mark(text: Characters, start: int, end: int, found: int) -> bool:
    """Says whether the one mark behind letters or digits is a token."""
    point = text.points[end]
    if point == _DOT:
        if found & DIGIT:
            return not found & LETTER
        is_upper = (text.flags[end - 1] & UPPER) != 0
        return not is_upper and not _keeps_dot(text, start, end)
    is_edge = (text.flags[end] & (EDGE | SYMBOL)) == EDGE | SYMBOL
    return bool(is_edge and point != _PERCENT and point != _DOLLAR and point != _EQUALS)


@lean_kernel
def most_words(text: Characters, num_points: int) -> int:
    """Gives a bound on the words of a text, in prose close to it: how much scratch it needs.

    A word begins at a mark or a letter of a script without spaces, at the first of letters and
    digits, or at a unit behind a digit.

    Args:
        text: Decoded, with at least `num_points` entries.
        num_points: Characters of the text.
    """
    flags = text.flags[:num_points]
    bound = min(1, num_points)
    # Without a branch, so that the compiler compares many characters at a time.
    for i in range(1, len(flags)):
        begins = flags[i] & _ENDS_PLAIN | flags[i - 1] & (_ENDS_PLAIN | DIGIT & ~flags[i])
        bound += (begins != 0) & (flags[i] & SPACE == 0)
    return bound


@lean_kernel
def split_words(text: Characters, num_points: int, words: Words) -> int:
    """Splits one decoded text into words.

    Args:
        text: Decoded, with at least `num_points` entries.
        num_points: Characters of the text.
        words: Written; made for at least `most_words` of the text.

    Returns:
        The number of tokens.
    """
    points, flags = text
    counts = words.counts
    counts[:] = 0
    words.hashes[0] = 0
    words.lengths[0] = 0
    i = 0
    while i < num_points:
        here = flags[i]
        if here & SPACE:
            i += 1
            continue
        script = here >> SCRIPT_SHIFT & SCRIPT_MASK
        end = i + 1
        if script or here & ALONE:
            while end < num_points and flags[end] & ATTACHED:
                end += 1
            counts[NUM_LETTERS_OF_SCRIPT + script] += 1
            _add_word(text, i, end, words)
            i = end
            continue
        # Most runs are letters or digits, with one mark behind them at most: the hash of those is
        # made on the way.
        end = i
        found = np.uint16(0)
        value = _SEED
        while end < num_points and not flags[end] & _ENDS_PLAIN:
            found |= flags[end]
            value = mix_hash(value, points[end])
            end += 1
        plain_end = end
        while end < num_points and not flags[end] & _ENDS_RUN:
            end += 1
        is_mixed = (found & DIGIT) != 0 and (found & LETTER) != 0
        num_marks = end - plain_end
        if end == i + 1:
            _add_word(text, i, end, words)
        elif (
            is_mixed
            or plain_end == i
            or num_marks > 1
            or (num_marks == 1 and not _sheds_mark(text, i, plain_end, int(found)))
        ):
            _split_run(text, i, end, words)
        else:
            _append(value, i, plain_end, words)
            counts[NUM_LETTER_TOKENS] += (found & LETTER) != 0
            counts[NUM_WORD_CHARACTERS] += plain_end - i
            if num_marks:
                _add_mark(text, plain_end, words)
        i = end
    return int(counts[NUM_TOKENS])
