r"""Sorts the lines of a text into prose, code and math, and gives the share of each.

Works on UTF-8 bytes, because every sign of code or LaTeX is ASCII (but for Unicode operators);
bytes of other scripts only make a line longer. Blank lines count for nothing, and a line is at most
one of the two. In the shares a line counts once for every `LINE_CHARACTERS` it has begun, as if it
were wrapped: prose from web pages has a paragraph on a line, and else a few lines of code beside it
would be most of the page.

Blocks come first. Lines between fences of ``` or ~~~ are code, the fences too (CommonMark 0.31,
4.5), or math where the fence says math, tex or latex; a fence without an end opens nothing. Lines
from `$$` or \[ to their ends, and inside displayed LaTeX environments, are math. Each other line is
judged alone: `formulas.is_formula_line`, then `source_code.is_code_line`.

Formulas are counted in the lines that are not code. The programming language is looked for only in
texts with `MIN_CODE_SHARE` of code, in their code lines, and in all lines where most are code: then
the others are its comments and its words without marks.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.stem.formulas import (
    formula_marks,
    is_formula_line,
    is_letter,
    may_hold_formulas,
)
from annotators.stem.identification import (
    FOREIGN,
    MAX_BYTES,
    Signs,
    best_language,
    count_signs,
    fence_language,
)
from annotators.stem.source_code import is_code_line
from annotators.stem.vocabulary import is_listed, word_hash
from annotators.text.kernels import kernel


class Words(NamedTuple):
    """Hashes of the lists of `vocabulary`, each uint64 and sorted."""

    keywords: NDArray[np.uint64]
    """Words that code lines begin with."""
    commands: NDArray[np.uint64]
    """Known LaTeX commands."""
    environments: NDArray[np.uint64]
    """Displayed LaTeX environments."""
    formats: NDArray[np.uint64]
    """Names that make a fence a formula."""


_PROSE: Final = 0
_CODE: Final = 1
_MATH: Final = 2

MAX_DISPLAY_LINES: Final = 60
"""A displayed formula without an end within so many lines is not one."""

LINE_CHARACTERS: Final = 80
"""Characters of a line that counts once; a longer one counts as often as it would be wrapped."""

MIN_CODE_SHARE: Final = 0.1
"""Share of code lines from which on a text has a programming language: one in ten."""

FILE_CODE_SHARE: Final = 0.5
"""Share of code lines from which on a text without fences is taken for a file of code."""

FORMULA_UNIT: Final = 1000
"""Characters to which `formula_density` refers."""

_FENCED: Final = 3
"""Kind of a line of code between fences."""

TAB_COLUMNS: Final = 4
_FENCE_MIN: Final = 3
_NO_END: Final = -1


@kernel
def _split(data: NDArray[np.uint8], start: int, end: int, lines: NDArray[np.int64]) -> int:
    """Finds the lines that are not blank.

    Args:
        data: uint8[num_bytes], UTF-8.
        start: First byte of the text.
        end: Byte behind its last.
        lines: int64[3, max_lines], filled with start, end (white space cut) and indent in columns.

    Returns:
        How many there are.
    """
    count = 0
    at = start
    while at < end:
        indent = 0
        while at < end and (data[at] == 32 or data[at] == 9):
            indent += TAB_COLUMNS if data[at] == 9 else 1
            at += 1
        begin = at
        while at < end and data[at] != 10:
            at += 1
        stop = at
        while stop > begin and data[stop - 1] <= 32:
            stop -= 1
        if stop > begin:
            lines[0, count], lines[1, count], lines[2, count] = begin, stop, indent
            count += 1
        at += 1
    return count


@kernel
def _fence(data: NDArray[np.uint8], start: int, end: int) -> int:
    """Length of the run of ` or ~ at the start of a line; 0 where it is no fence."""
    if data[start] != 96 and data[start] != 126:
        return 0
    at = start
    while at < end and data[at] == data[start]:
        at += 1
    length = at - start
    while data[start] == 96 and at < end:  # ```inline code``` is no fence
        if data[at] == 96:
            return 0
        at += 1
    return length if length >= _FENCE_MIN else 0


@kernel
def _fence_end(
    data: NDArray[np.uint8], lines: NDArray[np.int64], count: int, opening: int, length: int
) -> int:
    """Line that closes a fence: the same byte, at least as often, and nothing else."""
    mark = data[lines[0, opening]]
    for line in range(opening + 1, count):
        start, end = lines[0, line], lines[1, line]
        if data[start] == mark and _fence(data, start, end) == end - start >= length:
            return line
    return _NO_END


@kernel
def _fence_kind(data: NDArray[np.uint8], start: int, end: int, formats: NDArray[np.uint64]) -> int:
    while start < end and not is_letter(data[start]):
        start += 1
    word_end = start
    while word_end < end and is_letter(data[word_end]):
        word_end += 1
    return _MATH if is_listed(word_hash(data, start, word_end), formats) else _CODE


@kernel
def _opens_display(
    data: NDArray[np.uint8], start: int, end: int, environments: NDArray[np.uint64]
) -> int:
    r"""What would close the display that a line opens: `$`, `]`, `e` for \end, or 0."""
    if end - start < 2:
        return 0
    if data[start] == 36 and data[start + 1] == 36:
        return 36
    if data[start] == 92 and data[start + 1] == 91:
        return 93
    begin = b"\\begin{"
    if end - start <= len(begin):
        return 0
    for at in range(len(begin)):
        if data[start + at] != begin[at]:
            return 0
    word_start = start + len(begin)
    word_end = word_start
    while word_end < end and is_letter(data[word_end]):
        word_end += 1
    return 101 if is_listed(word_hash(data, word_start, word_end), environments) else 0


@kernel
def _display_end(
    data: NDArray[np.uint8], lines: NDArray[np.int64], count: int, opening: int, closer: int
) -> int:
    """Line that closes a display, which may be the opening one."""
    for line in range(opening, min(count, opening + MAX_DISPLAY_LINES)):
        start, end = lines[0, line], lines[1, line]
        if line == opening:
            start += 2
        for at in range(start, end - 1):
            first, second = data[at], data[at + 1]
            if closer == 36 and first == 36 and second == 36:
                return line
            if closer == 93 and first == 92 and second == 93:
                return line
            if closer == 101 and first == 92 and second == 101 and at + 3 < end:
                if data[at + 2] == 110 and data[at + 3] == 100:
                    return line
    return _NO_END


@kernel
def _sort_lines(
    data: NDArray[np.uint8],
    lines: NDArray[np.int64],
    count: int,
    words: Words,
    signs: Signs,
    kinds: NDArray[np.int8],
    told: NDArray[np.int64],
) -> int:
    """Fills the kind of each line of one text, and counts the marks of its formulas.

    Args:
        data: uint8[num_bytes], UTF-8.
        lines: int64[3, max_lines], see `_split`.
        count: Lines there are.
        words: Hashes of the lists.
        signs: Of programming languages.
        kinds: int8[max_lines], filled.
        told: int64[num_languages + 1], filled: lines between fences that name a language, last
            those of languages that are not known.
    """
    unclosed = np.zeros(256, np.bool_)  # fences that no later line closes: not looked for again
    marks = line = 0
    while line < count:
        start, end = lines[0, line], lines[1, line]
        kind, last = _PROSE, _NO_END
        length = 0 if unclosed[data[start]] else _fence(data, start, end)
        if length:
            last = _fence_end(data, lines, count, line, length)
            unclosed[data[start]] = last == _NO_END
            kind = _fence_kind(data, start + length, end, words.formats)
            if kind == _CODE and last != _NO_END:
                kind = _FENCED
                language = fence_language(data, start + length, end, signs)
                if language == FOREIGN:
                    language = len(told) - 1
                if language >= 0:
                    told[language] += last - line
        else:
            closer = _opens_display(data, start, end, words.environments)
            if closer:
                last = _display_end(data, lines, count, line, closer)
                kind = _MATH
        if last == _NO_END:
            last, kind = line, _PROSE
            if is_formula_line(data, start, end, words.commands):
                kind = _MATH
            elif is_code_line(data, start, end, lines[2, line], words.keywords):
                kind = _CODE
        for at in range(line, last + 1):
            kinds[at] = kind
            if kind == _PROSE or kind == _MATH:
                if may_hold_formulas(data, lines[0, at], lines[1, at]):
                    marks += formula_marks(data, lines[0, at], lines[1, at], words.commands)
        line = last + 1
    return marks


@kernel
def _language_of(
    data: NDArray[np.uint8],
    lines: NDArray[np.int64],
    kinds: NDArray[np.int8],
    told: NDArray[np.int64],
    signs: Signs,
    counts: NDArray[np.int32],
    evidence: NDArray[np.float64],
) -> tuple[int, float]:
    """Place of the language of the code of a text, or -1, and its score."""
    num_code = num_fenced = 0
    for kind in kinds:
        num_code += kind == _CODE or kind == _FENCED
        num_fenced += kind == _FENCED
    most = int(np.argmax(told))
    if 2 * told[most] > max(told.sum(), num_fenced // 2):
        return (most if most < len(told) - 1 else -1), told[most] / told.sum()
    takes_all = num_fenced == 0 and num_code >= FILE_CODE_SHARE * len(kinds)
    counts[:] = 0
    left = MAX_BYTES
    for line in range(len(kinds)):
        kind = kinds[line]
        is_fence = kind == _FENCED and _fence(data, lines[0, line], lines[1, line]) > 0
        if (takes_all or kind == _CODE or kind == _FENCED) and not is_fence and left > 0:
            if num_fenced == 0 or kind == _FENCED:
                count_signs(data, lines[0, line], lines[1, line], signs, counts)
                left -= lines[1, line] - lines[0, line]
    return best_language(counts, signs.weights, evidence)


@kernel
def _num_wrapped(data: NDArray[np.uint8], start: int, end: int) -> int:
    """How many lines a line that is not blank makes at `LINE_CHARACTERS`."""
    num_characters = 0
    for at in range(start, end):
        num_characters += data[at] & 0xC0 != 0x80
    return max(1, (num_characters + LINE_CHARACTERS - 1) // LINE_CHARACTERS)


@kernel
def measure(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], words: Words, signs: Signs
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Measures code, math and formulas of each text, and names the language of its code.

    Args:
        data: uint8[num_bytes], UTF-8.
        offsets: int64[num_texts + 1]: text i is `data[offsets[i]:offsets[i + 1]]`.
        words: Hashes of the lists.
        signs: Of programming languages.

    Returns:
        float32[4, num_texts]: the shares of code lines and math lines, each in [0, 1] of the lines
        that are not blank (0 without such lines), long lines as if wrapped; marks of formulas per
        1,000 characters; score of the language. int64[num_texts]: place of the language in
        `identification.LANGUAGES`, or -1.
    """
    num_texts = len(offsets) - 1
    found = np.zeros((4, num_texts), np.float32)
    languages = np.full(num_texts, -1, np.int64)
    counts = np.zeros(len(signs.weights), np.int32)
    evidence = np.zeros(signs.weights.shape[1])
    told = np.zeros(signs.weights.shape[1] + 1, np.int64)
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        max_lines, num_characters = 1, 0
        for at in range(start, end):
            max_lines += data[at] == 10
            num_characters += data[at] & 0xC0 != 0x80
        lines = np.empty((3, max_lines), np.int64)
        count = _split(data, start, end, lines)
        if not count:
            continue
        kinds = np.empty(count, np.int8)
        told[:] = 0
        marks = _sort_lines(data, lines, count, words, signs, kinds, told)
        code = math = all_lines = 0
        for line in range(count):
            num_wrapped = _num_wrapped(data, lines[0, line], lines[1, line])
            code += num_wrapped * (kinds[line] == _CODE or kinds[line] == _FENCED)
            math += num_wrapped * (kinds[line] == _MATH)
            all_lines += num_wrapped
        found[0, text] = code / all_lines
        found[1, text] = math / all_lines
        found[2, text] = marks * FORMULA_UNIT / num_characters
        if code >= MIN_CODE_SHARE * all_lines:
            languages[text], found[3, text] = _language_of(
                data, lines, kinds, told, signs, counts, evidence
            )
    return found, languages
