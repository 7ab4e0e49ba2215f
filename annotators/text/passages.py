"""Lines and paragraphs of a text as hashes of their normalised form, with their places.

What a site prints on every page (menus, cookie notices, footers) comes back in its documents as the
same lines, or as whole paragraphs of them. So that passages can be counted over documents, each
gets one 64-bit key:

- A **line** ends at a character at which `str.splitlines` splits; CR LF is one end. A line of white
  space alone is blank.
- A **paragraph** is a run of non-blank lines. One of a single line is just that line.
- Two passages are equal where their normalised form is (`annotators.text.hashing`: case folding,
  without punctuation, white space as one space), so a bullet, a trailing colon or another line
  break makes no difference, and a paragraph equals a line of the same words.
- Only passages with at least two letters have a key. One word of a menu has them in every script
  ("Home", "首页"); page numbers, years, table cells with figures and lines of bullets or dashes
  have not, and are content where they are anything.
- Fenced code (CommonMark 0.31, section 4.5) is left out, and ends a paragraph: `import sys` and
  `return` stand in many documents of a host and are never its menu.

The key is a polynomial over the folded code points from a seed (of the host, so that hosts never
meet), finished by the mixer of MurmurHash3. Among 10^9 keys, one given key equals that of another
passage with probability 5e-11.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.text.characters import (
    DROPPED,
    LETTER,
    LINE_BREAK,
    SPACE,
    character_classes,
    fold_table,
)
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.key_table import finished
from annotators.text.utf8 import decode_sequence, utf8_texts
from annotators.text.words import mix_hash

MIN_LETTERS = 2
"""Letters that a passage with a key has at least."""

NO_KEY = np.uint64(0)

_LINE_FEED, _RETURN, _BLANK, _TAB = 0x0A, 0x0D, 0x20, 0x09
_BACKTICK, _TILDE = 0x60, 0x7E
_FENCE_LENGTH, _FENCE_INDENT = 3, 3
# Bytes that a line's end holds: LF to CR, FS to RS, and the last byte of U+0085, U+2028 and U+2029.
_ENDS_LINE = np.zeros(256, np.bool_)
_ENDS_LINE[[0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0xA8, 0xA9]] = True


class Lines(NamedTuple):
    """Lines that have a key, in order."""

    keys: NDArray[np.uint64]
    """`uint64[num_lines]`."""
    paragraphs: NDArray[np.int64]
    """The paragraph that holds it: `int64[num_lines]`."""
    starts: NDArray[np.int64]
    """First byte, from the start of its text: `int64[num_lines]`."""
    ends: NDArray[np.int64]
    """The byte after its line break: `int64[num_lines]`."""


class Paragraphs(NamedTuple):
    """All paragraphs, in order."""

    keys: NDArray[np.uint64]
    """`uint64[num_paragraphs]`; NO_KEY where it is one line, or has too few letters."""
    texts: NDArray[np.int64]
    """The text that holds it: `int64[num_paragraphs]`."""
    num_lines: NDArray[np.int64]
    """Its lines, those without a key included: `int64[num_paragraphs]`."""
    starts: NDArray[np.int64]
    """First byte, from the start of its text: `int64[num_paragraphs]`."""
    ends: NDArray[np.int64]
    """The byte after its last line break and the blank lines behind: `int64[num_paragraphs]`."""


@inlined_kernel
def _fence_at(data: NDArray[np.uint8], start: int, end: int) -> tuple[int, int, bool]:
    """The mark and length of a code fence that a line is; length 0: it is none.

    The third value says that nothing stands behind it, so that it can close a block.
    """
    position = start
    while position < end and position - start < _FENCE_INDENT and data[position] == _BLANK:
        position += 1
    if position >= end or (data[position] != _BACKTICK and data[position] != _TILDE):
        return 0, 0, False
    mark = np.int64(data[position])
    first = position
    while position < end and data[position] == mark:
        position += 1
    length = position - first
    if length < _FENCE_LENGTH:
        return 0, 0, False
    is_bare = True
    while position < end and data[position] != _LINE_FEED and data[position] != _RETURN:
        if data[position] == _BACKTICK and mark == _BACKTICK:
            return 0, 0, False  # code within a line
        is_bare &= data[position] == _BLANK or data[position] == _TAB
        position += 1
    return int(mark), int(length), is_bare


@inlined_kernel
def _read_line(
    data: NDArray[np.uint8],
    position: int,
    end: int,
    table: NDArray[np.uint32],
    classes: NDArray[np.uint16],
    value: np.uint64,
    of_paragraph: np.uint64,
    follows: bool,
) -> tuple[int, np.uint64, np.uint64, int, bool, bool]:
    """Reads one line into two hashes, its own and that of its paragraph.

    `follows` says that something of the paragraph is in its hash already. Gives the position after
    the line break, the hashes, the letters, whether anything was hashed, and whether it is blank.
    """
    letters = 0
    is_blank, is_written, wants_space = True, False, follows
    while position < end:
        point: int | np.int64 = np.int64(data[position])
        if point < 0x80:
            position += 1
        else:
            point, position = decode_sequence(data, position, end)
        flags = classes[point]
        if flags & LINE_BREAK:
            if point == _RETURN and position < end and data[position] == _LINE_FEED:
                position += 1
            break
        if flags & SPACE:
            wants_space |= is_written
            continue
        is_blank = False
        folded = int(table[point])
        if folded == DROPPED:
            continue
        if wants_space:
            of_paragraph = mix_hash(of_paragraph, _BLANK)
            if is_written:
                value = mix_hash(value, _BLANK)
            wants_space = False
        is_written = True
        letters += (flags & LETTER) != 0
        value = mix_hash(value, folded)
        of_paragraph = mix_hash(of_paragraph, folded)
    return position, value, of_paragraph, letters, is_written, is_blank


@inlined_kernel
def _write_paragraph(
    paragraphs: Paragraphs,
    number: int,
    text: int,
    num_lines: int,
    start: int,
    end: int,
    value: np.uint64,
    letters: int,
) -> None:
    paragraphs.texts[number] = text
    paragraphs.num_lines[number] = num_lines
    paragraphs.starts[number] = start
    paragraphs.ends[number] = end
    has_key = num_lines > 1 and letters >= MIN_LETTERS
    paragraphs.keys[number] = finished(value) if has_key else NO_KEY


@kernel
def _find_passages(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    table: NDArray[np.uint32],
    classes: NDArray[np.uint16],
    lines: Lines,
    paragraphs: Paragraphs,
) -> tuple[int, int]:
    """Writes all passages; gives the number of lines and of paragraphs."""
    found, closed = 0, 0
    for text in range(len(offsets) - 1):
        origin, end = offsets[text], offsets[text + 1]
        seed = seeds[text]
        if seed == NO_KEY:
            continue
        fence_mark, fence_length = 0, 0  # of the block of code that is open
        num_lines, start, letters = 0, 0, 0  # of the paragraph that is open
        value, follows = seed, False
        takes_gap = False  # blank lines go to the paragraph before them
        position = origin
        while position < end:
            first = position
            mark, length, is_bare = _fence_at(data, first, end)
            is_code = fence_length > 0 or length > 0
            if fence_length == 0:
                fence_mark, fence_length = mark, length
            elif mark == fence_mark and length >= fence_length and is_bare:
                fence_length = 0
            position, of_line, with_line, letters_of_line, is_written, is_blank = _read_line(
                data, position, end, table, classes, seed, value, follows
            )
            if not is_code and not is_blank:
                if num_lines == 0:
                    start = first - origin
                num_lines += 1
                letters += letters_of_line
                value = with_line
                follows |= is_written
                takes_gap = False
                if letters_of_line >= MIN_LETTERS:
                    lines.keys[found] = finished(of_line)
                    lines.paragraphs[found] = closed
                    lines.starts[found] = first - origin
                    lines.ends[found] = position - origin
                    found += 1
                continue
            if num_lines > 0:
                before = first - origin
                _write_paragraph(paragraphs, closed, text, num_lines, start, before, value, letters)
                closed += 1
                takes_gap = True
                num_lines, letters, value, follows = 0, 0, seed, False
            takes_gap &= not is_code
            if takes_gap:
                paragraphs.ends[closed - 1] = position - origin
        if num_lines > 0:
            last = end - origin
            _write_paragraph(paragraphs, closed, text, num_lines, start, last, value, letters)
            closed += 1
    return found, closed


def find_passages(
    texts: pa.LargeStringArray, seeds: NDArray[np.uint64]
) -> tuple[Lines, Paragraphs]:
    """Finds the lines and paragraphs of every text.

    Args:
        texts: large_string, no nulls.
        seeds: Only passages of texts with equal seeds have equal keys; texts with 0 are left out:
            `uint64[num_texts]`.

    Returns:
        Lines that have a key, and all paragraphs, both by text and place.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    data, offsets = utf8_texts(texts)
    some = data[offsets[0] : offsets[-1]]
    most = int(np.count_nonzero(_ENDS_LINE[some])) + len(texts)
    lines = Lines(
        keys=np.empty(most, np.uint64),
        paragraphs=np.empty(most, np.int64),
        starts=np.empty(most, np.int64),
        ends=np.empty(most, np.int64),
    )
    paragraphs = Paragraphs(
        keys=np.empty(most, np.uint64),
        texts=np.empty(most, np.int64),
        num_lines=np.empty(most, np.int64),
        starts=np.empty(most, np.int64),
        ends=np.empty(most, np.int64),
    )
    found, closed = _find_passages(
        data, offsets, seeds, fold_table(), character_classes(), lines, paragraphs
    )
    return (
        Lines._make(column[:found] for column in lines),
        Paragraphs._make(column[:closed] for column in paragraphs),
    )
