"""Lines and paragraphs between new-line characters, and which of them repeat.

Gopher repetition (Rae et al. 2021, arXiv:2112.11446, Table A1) and FineWeb (Penedo et al. 2024,
arXiv:2406.17557) walk over the same lines with different rules, kept as in datatrove 0.10. Gopher
splits at *runs* of U+000A, so an empty line exists only before the first or after the last one;
paragraphs lie between runs of two or more, after white space at both ends of the text is taken
off. FineWeb splits at each U+000A and leaves blank lines out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics import signals as s
from annotators.text.characters import SPACE, TERMINAL
from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.repeats import count_duplicates, table_size
from annotators.text.utf8 import Characters

SHORT_LINE_CHARACTERS = 30
"""FineWeb's `short_line_length`: a line of so many characters or fewer is short."""

LONG_LINE_CHARACTERS = 200
"""A line of mC4 (Xue et al. 2021, arXiv:2010.11934) that counts as a paragraph."""

_NEW_LINE = 10
_SEED = np.uint64(0xCBF29CE484222325)
# Of four characters at once: the product of one need not wait for that of another.
_BASE = np.uint64(0xFF51AFD7ED558CCD)
_BASE_2 = np.uint64(0xFF51AFD7ED558CCD**2 % 2**64)
_BASE_3 = np.uint64(0xFF51AFD7ED558CCD**3 % 2**64)
_BASE_4 = np.uint64(0xFF51AFD7ED558CCD**4 % 2**64)


class Spans(NamedTuple):
    """Scratch for the lines or paragraphs of one text."""

    hashes: NDArray[np.uint64]
    """`uint64[max_spans]`."""
    lengths: NDArray[np.int32]
    """Characters: `int32[max_spans]`."""


class LineScratch(NamedTuple):
    """Scratch for one text, of at least `most_spans` entries."""

    lines: Spans
    paragraphs: Spans
    is_blank: NDArray[np.bool_]
    """Of each line: `bool[max_spans]`."""
    table: NDArray[np.int32]
    """`int32[repeats.table_size(max_spans)]`."""


def empty_line_scratch(max_spans: int) -> LineScratch:
    """Makes scratch; its pages take memory only where they are written."""
    lines, paragraphs = (
        Spans(np.empty(max_spans, dtype=np.uint64), np.empty(max_spans, dtype=np.int32))
        for _ in range(2)
    )
    is_blank = np.empty(max_spans, dtype=np.bool_)
    return LineScratch(lines, paragraphs, is_blank, np.empty(table_size(max_spans), dtype=np.int32))


@lean_kernel
def most_spans(text: Characters, num_points: int) -> int:
    """Gives a bound on the lines, and on the paragraphs, of a text: how much scratch it needs.

    Args:
        text: Decoded, with at least `num_points` entries.
        num_points: Characters of the text.
    """
    points = text.points[:num_points]
    bound = 3  # an empty one at each end, and what follows the last new line
    # Without a branch, so that the compiler compares many characters at a time.
    for i in range(1, len(points)):
        bound += (points[i] == _NEW_LINE) & (points[i - 1] != _NEW_LINE)
    return bound


@inlined_lean_kernel
def _hash_span(points: NDArray[np.int32], start: int, end: int) -> np.uint64:
    value = _SEED
    i = start
    while i + 4 <= end:
        value = (
            value * _BASE_4
            + np.uint64(points[i]) * _BASE_3
            + np.uint64(points[i + 1]) * _BASE_2
            + np.uint64(points[i + 2]) * _BASE
            + np.uint64(points[i + 3])
        )
        i += 4
    while i < end:
        value = value * _BASE + np.uint64(points[i])
        i += 1
    return value


@inlined_lean_kernel
def _measure_line(text: Characters, start: int, end: int, row: NDArray[np.float64]) -> bool:
    """Adds a line to the signals of FineWeb and mC4, and says whether it is blank."""
    flags = text.flags
    row[s.C4_LONG_LINES] += end - start >= LONG_LINE_CHARACTERS
    first = start
    while first < end and flags[first] & SPACE:
        first += 1
    if first == end:
        return True
    row[s.FINEWEB_NUM_LINES] += 1
    row[s.FINEWEB_LINE_PUNCT_RATIO] += (flags[end - 1] & TERMINAL) != 0
    row[s.FINEWEB_SHORT_LINE_RATIO] += end - start <= SHORT_LINE_CHARACTERS
    return False


@inlined_lean_kernel
def _without_blanks(spans: Spans, num_spans: int, is_blank: NDArray[np.bool_]) -> int:
    """Moves the lines that are not blank to the front and gives their number."""
    count = 0
    for i in range(num_spans):
        if not is_blank[i]:
            spans.hashes[count] = spans.hashes[i]
            spans.lengths[count] = spans.lengths[i]
            count += 1
    return count


@inlined_lean_kernel
def _stripped(text: Characters, num_points: int) -> tuple[int, int]:
    """Gives the bounds of a text without white space at its ends."""
    flags = text.flags
    first, last = 0, num_points
    while first < last and flags[first] & SPACE:
        first += 1
    while last > first and flags[last - 1] & SPACE:
        last -= 1
    return first, last


@inlined_lean_kernel
def _add_to_paragraph(spans: Spans, index: int, value: np.uint64, length: int) -> None:
    """Appends a line to the paragraph at an index, whose length is -1 where it has none."""
    spans.hashes[index] = (spans.hashes[index] ^ value) * _BASE_2
    spans.lengths[index] += length + 1


@inlined_lean_kernel
def _begin_paragraph(spans: Spans, index: int) -> int:
    spans.hashes[index] = _SEED
    spans.lengths[index] = -1  # no new line stands before its first line
    return index


@inlined_lean_kernel
def _walk_lines(
    text: Characters, num_points: int, scratch: LineScratch, row: NDArray[np.float64]
) -> tuple[int, int, int]:
    """Hashes lines and paragraphs; gives the number of each, and of new lines."""
    points = text.points
    lines, paragraphs = scratch.lines, scratch.paragraphs
    first, last = _stripped(text, num_points)
    num_lines, num_breaks, start = 0, 0, 0
    paragraph = _begin_paragraph(paragraphs, 0)
    while start <= num_points:
        end = start
        while end < num_points and points[end] != _NEW_LINE:
            end += 1
        num_breaks += end < num_points
        value = _hash_span(points, start, end)
        # Between two breaks of one run there is no line; at both ends of the text there is.
        if start < end or start == 0 or end == num_points:
            scratch.is_blank[num_lines] = _measure_line(text, start, end, row)
            lines.hashes[num_lines] = value
            lines.lengths[num_lines] = end - start
            num_lines += 1
        from_, to = max(start, first), min(end, last)
        if from_ < to:
            if to - from_ < end - start:  # the first or last line of the stripped text
                value = _hash_span(points, from_, to)
            _add_to_paragraph(paragraphs, paragraph, value, to - from_)
        elif start == end and paragraphs.lengths[paragraph] >= 0 and start < last:
            paragraph = _begin_paragraph(paragraphs, paragraph + 1)
        start = end + 1
    paragraphs.lengths[paragraph] = max(0, paragraphs.lengths[paragraph])
    return num_lines, paragraph + 1, num_breaks


@lean_kernel
def measure_lines(
    text: Characters, num_points: int, scratch: LineScratch, row: NDArray[np.float64]
) -> int:
    """Measures lines and paragraphs: duplicates for Gopher; FineWeb's ends, lengths, duplicates.

    Args:
        text: Decoded, with at least `num_points` entries.
        num_points: Characters of the text.
        scratch: Of at least `most_spans` entries.
        row: Written: `float64[len(SIGNALS)]`, zero before.

    Returns:
        The number of U+000A.
    """
    lines, paragraphs, is_blank, table = scratch
    num_lines, num_paragraphs, num_breaks = _walk_lines(text, num_points, scratch, row)
    size = max(1, num_points)
    duplicates, characters = count_duplicates(
        paragraphs.hashes, paragraphs.lengths, num_paragraphs, table
    )
    row[s.GOPHER_DUP_PARA_FRAC] = duplicates / num_paragraphs
    row[s.GOPHER_DUP_PARA_CHAR_FRAC] = characters / size
    duplicates, characters = count_duplicates(lines.hashes, lines.lengths, num_lines, table)
    row[s.GOPHER_DUP_LINE_FRAC] = duplicates / num_lines
    row[s.GOPHER_DUP_LINE_CHAR_FRAC] = characters / size
    num_full = _without_blanks(lines, num_lines, is_blank)
    _, characters = count_duplicates(lines.hashes, lines.lengths, num_full, table)
    row[s.FINEWEB_CHAR_DUP_RATIO] = characters / max(1, num_points - num_breaks)
    row[s.FINEWEB_LINE_PUNCT_RATIO] /= max(1, num_full)
    row[s.FINEWEB_SHORT_LINE_RATIO] /= max(1, num_full)
    return num_breaks
