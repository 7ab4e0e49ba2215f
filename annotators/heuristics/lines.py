"""Lines of `str.splitlines`: the signals of Gopher quality and of C4.

Gopher (Rae et al. 2021, arXiv:2112.11446) counts blank lines in its shares, as in datatrove
0.10; the shares of C4 lines here leave them out.

C4 (Raffel et al. 2020, arXiv:1910.10683, and its published code) drops lines and then documents.
Nothing here rewrites a text: the shares of lines that C4 would drop are signals, and the document
rules look, as C4 does, only at lines that came through the line rules before them. A sentence ends
at a word that is one terminal mark and begins with the next that is no mark, as in datatrove 0.10
(spaCy's sentencizer), so an abbreviation or a number ends none.

mC4 (Xue et al. 2021, arXiv:2010.11934) asks for three long lines; see `spans`.
"""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics import signals as s
from annotators.text.characters import (
    LINE_BREAK,
    SCRIPT_MASK,
    SCRIPT_SHIFT,
    SPACE,
    SYMBOL,
    TERMINAL,
)
from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.utf8 import Characters
from annotators.text.words import NUM_TOKENS, Words

MIN_LINE_WORDS, MAX_WORD_CHARACTERS = 3, 1000
"""C4's line rules; letters written without spaces count as words of their own."""

_NEW_LINE, _RETURN, _DOT, _ELLIPSIS, _BULLET, _HYPHEN = 10, 13, 46, 0x2026, 0x2022, 45
_QUOTE, _APOSTROPHE, _OPEN_SQUARE, _CLOSE_SQUARE, _OPEN_CURLY = 34, 39, 91, 93, 123

# A space, or a letter of a script without spaces, which is a word of its own.
_ENDS_WORD = SPACE | SCRIPT_MASK << SCRIPT_SHIFT

_LOREM_IPSUM, _JAVASCRIPT, _POLICY = 1, 2, 4
_PHRASES = (
    (_LOREM_IPSUM, "lorem ipsum"),
    (_JAVASCRIPT, "javascript"),
    (_POLICY, "terms of use"),
    (_POLICY, "privacy policy"),
    (_POLICY, "cookie policy"),
    (_POLICY, "uses cookies"),
    (_POLICY, "use of cookies"),
    (_POLICY, "use cookies"),
)
"""The phrases of C4's code, looked for without regard to ASCII case."""
_PHRASE_KINDS = np.array([kind for kind, _ in _PHRASES])
_PHRASE_BYTES = np.array([list(phrase.ljust(16, "\0").encode()) for _, phrase in _PHRASES])
_SECOND_LETTERS = np.zeros(128, dtype=np.int64)
"""The second letter of the phrases by their first: no two phrases share one and not the other."""
for _, _phrase in _PHRASES:
    _SECOND_LETTERS[ord(_phrase[0])] = ord(_phrase[1])
_ANCHORS = np.array(
    [list(anchor) for anchor in (b"java", b"m ip", b"ms o", b"cy p", b"okie")], "u1"
)
"""Four bytes of each phrase."""
_LOWER = np.uint8(0x20)
_CITATIONS = np.array([list(mark.encode()) for mark in ("           [edit", "[citation needed")])
_IS_PUNCTUATION = np.array([unicodedata.category(chr(i))[0] == "P" for i in range(0x80)])


@lean_kernel
def may_have_phrases(data: NDArray[np.uint8], start: int, end: int) -> bool:
    """Says whether a text may hold a phrase of C4; if not, no line needs to be searched.

    Without a branch, so that the compiler compares many places at a time: 4 KB take 0.5 us.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        start: Where the text starts.
        end: Where it ends.
    """
    text = data[start:end]
    found = False
    for i in range(len(text) - 3):
        for k in range(len(_ANCHORS)):
            found |= (
                (text[i] | _LOWER) ^ _ANCHORS[k, 0]
                | (text[i + 1] | _LOWER) ^ _ANCHORS[k, 1]
                | (text[i + 2] | _LOWER) ^ _ANCHORS[k, 2]
                | (text[i + 3] | _LOWER) ^ _ANCHORS[k, 3]
            ) == 0
    return found


@inlined_lean_kernel
def _lower_ascii(point: int) -> int:
    return point + 32 if 65 <= point <= 90 else point


@inlined_lean_kernel
def _phrases(points: NDArray[np.int32], start: int, end: int) -> int:
    """Gives the kinds of phrases in a line as bits."""
    found = 0
    for i in range(start, end - 1):
        first = points[i] | 0x20  # lower case, where it is a letter
        if first >= 128 or _SECOND_LETTERS[first] != points[i + 1] | 0x20:
            continue
        for phrase in range(len(_PHRASE_KINDS)):
            length = 0
            while (
                _PHRASE_BYTES[phrase, length] != 0
                and i + length < end
                and _lower_ascii(points[i + length]) == _PHRASE_BYTES[phrase, length]
            ):
                length += 1
            if _PHRASE_BYTES[phrase, length] == 0:
                found |= int(_PHRASE_KINDS[phrase])
    return found


@inlined_lean_kernel
def _has_curly_bracket(points: NDArray[np.int32], start: int, end: int) -> bool:
    line = points[start:end]
    found = False
    for i in range(len(line)):
        found |= line[i] == _OPEN_CURLY
    return found


@inlined_lean_kernel
def _is_short(text: Characters, start: int, end: int) -> bool:
    """Says whether a line has fewer words between spaces than C4 wants."""
    num_words, word_start = 0, start
    i = start
    while i < end and num_words < MIN_LINE_WORDS:
        here = text.flags[i]
        if here & _ENDS_WORD:
            num_words += (i > word_start) + ((here & SPACE) == 0)
            word_start = i + 1
        i += 1
    return num_words + (i == end and end > word_start) < MIN_LINE_WORDS


@inlined_lean_kernel
def _has_long_word(text: Characters, start: int, end: int) -> bool:
    """Says whether a line has a word that is longer than C4 allows."""
    if end - start <= MAX_WORD_CHARACTERS:
        return False
    word_start = start
    for i in range(start, end):
        if text.flags[i] & _ENDS_WORD:
            if i - word_start > MAX_WORD_CHARACTERS:
                return True
            word_start = i + 1
    return end - word_start > MAX_WORD_CHARACTERS


@inlined_lean_kernel
def _is_mark(text: Characters, words: Words, token: int) -> bool:
    """Says whether a token is of punctuation alone."""
    start = words.starts[token]
    for i in range(start, start + words.lengths[token + 1] - words.lengths[token]):
        point = text.points[i]
        if not text.flags[i] & SYMBOL or (point < 0x80 and not _IS_PUNCTUATION[point]):
            return False
    return True


@inlined_lean_kernel
def _count_sentences(text: Characters, words: Words, token: int, num_tokens: int, end: int) -> int:
    """Counts the sentences from a token to the end of a line."""
    num_sentences = 1
    is_over = False
    while token < num_tokens and words.starts[token] < end:
        is_one = words.lengths[token + 1] - words.lengths[token] == 1
        if is_one and text.flags[words.starts[token]] & TERMINAL:
            is_over = True
        elif is_over and not _is_mark(text, words, token):
            num_sentences += 1
            is_over = False
        token += 1
    return num_sentences


@inlined_lean_kernel
def _without_citations(points: NDArray[np.int32], start: int, end: int) -> int:
    """Gives the end of a line without citation marks such as [12] and [edit] behind it."""
    while end > start and points[end - 1] == _CLOSE_SQUARE:
        i = end - 2
        while i >= start and (48 <= points[i] <= 57):
            i -= 1
        for mark in range(len(_CITATIONS)):
            length = 0
            while (
                i == end - 2 - length
                and i >= start
                and points[i] == _CITATIONS[mark, -1 - length]
                and points[i] != _OPEN_SQUARE
            ):
                i -= 1
                length += 1
        if i < start or points[i] != _OPEN_SQUARE:
            break
        end = i
    return end


@inlined_lean_kernel
def _ends_sentence(text: Characters, start: int, end: int) -> bool:
    """Says whether C4 keeps a line for its end: a terminal mark or a quote, but no ellipsis."""
    points, flags = text
    end = _without_citations(points, start, end)
    if end <= start:
        return False
    last = points[end - 1]
    if last == _DOT and end - start > 2 and points[end - 2] == _DOT and points[end - 3] == _DOT:
        return False
    return bool(flags[end - 1] & TERMINAL) or last == _QUOTE or last == _APOSTROPHE


@inlined_lean_kernel
def _measure_c4_line(
    text: Characters, start: int, end: int, may_have_phrase: bool, row: NDArray[np.float64]
) -> bool:
    """Adds one line, without white space at its ends and not blank, to the C4 signals.

    Says whether C4 would count its sentences.
    """
    is_short = _is_short(text, start, end)
    has_long_word = _has_long_word(text, start, end)
    ends_sentence = _ends_sentence(text, start, end)
    phrases = _phrases(text.points, start, end) if may_have_phrase else 0
    row[s.C4_NUM_LINES] += 1
    row[s.C4_TERMINAL_PUNCT_LINES] += ends_sentence
    row[s.C4_SHORT_LINES] += is_short
    row[s.C4_LONG_WORD_LINES] += has_long_word
    row[s.C4_JAVASCRIPT_LINES] += (phrases & _JAVASCRIPT) != 0
    row[s.C4_POLICY_LINES] += (phrases & _POLICY) != 0
    if has_long_word or not ends_sentence or is_short:
        return False
    if phrases & _LOREM_IPSUM:
        row[s.C4_LOREM_IPSUM] = 1
    if phrases & _JAVASCRIPT:
        return False
    if _has_curly_bracket(text.points, start, end):
        row[s.C4_CURLY_BRACKET] = 1
    return not phrases & _POLICY


@inlined_lean_kernel
def _ends_with_ellipsis(points: NDArray[np.int32], start: int, end: int) -> bool:
    if end > start and points[end - 1] == _ELLIPSIS:
        return True
    return (
        end - start > 2
        and points[end - 1] == _DOT
        and points[end - 2] == _DOT
        and points[end - 3] == _DOT
    )


@lean_kernel
def measure_split_lines(
    text: Characters,
    num_points: int,
    words: Words,
    may_have_phrase: bool,
    row: NDArray[np.float64],
) -> None:
    """Measures the lines of `str.splitlines`: bullets, ellipses and the C4 signals.

    Args:
        text: Decoded, with at least `num_points` entries.
        num_points: Characters of the text.
        words: Of the text, filled by `words.split_words`.
        may_have_phrase: What `may_have_phrases` says of the text.
        row: Written: `float64[len(SIGNALS)]`, zero before.
    """
    points, flags = text
    num_tokens = words.counts[NUM_TOKENS]
    num_lines, num_bullets, num_ellipses = 0, 0, 0
    start, token = 0, 0
    while start < num_points:
        end = start
        while end < num_points and not flags[end] & LINE_BREAK:
            end += 1
        first, last = start, end
        while first < last and flags[first] & SPACE:
            first += 1
        while last > first and flags[last - 1] & SPACE:
            last -= 1
        num_lines += 1
        if first < last:
            num_bullets += points[first] == _BULLET or points[first] == _HYPHEN
            num_ellipses += _ends_with_ellipsis(points, first, last)
            if _measure_c4_line(text, first, last, may_have_phrase, row):
                while words.starts[token] < first:
                    token += 1
                row[s.C4_NUM_SENTENCES] += _count_sentences(text, words, token, num_tokens, last)
        is_pair = end + 1 < num_points and points[end] == _RETURN and points[end + 1] == _NEW_LINE
        start = end + (2 if is_pair else 1)
    row[s.GOPHER_BULLET_LINES] = num_bullets / max(1, num_lines)
    row[s.GOPHER_ELLIPSIS_LINES] = num_ellipses / max(1, num_lines)
    num_full_lines = max(1.0, row[s.C4_NUM_LINES])
    for signal in range(s.C4_TERMINAL_PUNCT_LINES, s.C4_POLICY_LINES + 1):
        row[signal] /= num_full_lines
