"""Where rendered Markdown goes: one byte buffer, what is due before the next word, and prefixes.

Space between words is never written when it is met but when the next word is: a page has runs of
blanks, line ends and empty elements, of which the widest wins (`GAP`: nothing, a space, a new line,
an empty line). A list item or a quotation lengthens `prefix`, which begins each further line;
`first` is the same for the next line only, where a marker stands in the place of the blanks.

Collapsing is that of CSS (CSS Text 3, 4.1.1) with two changes for readers of plain text: a no-break
space is a space, and invisible characters that only help a browser to break lines are left out:
U+00AD, U+FEFF, and U+200B beside ASCII (in Khmer or Thai it parts words, and stays).

A buffer that proves too small is no error here: `state[FULL]` is set, nothing more is written, and
`rendering` calls again with a larger one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.rendering_constants import (
    BACKSLASH,
    BACKTICK,
    BLANK_BYTE,
    HASH,
    NEW_LINE,
    fixed,
)

# What is due before the next word, in the order of strength.
NOTHING: Final = fixed(0)
SPACE: Final = fixed(1)
LINE: Final = fixed(2)
BLANK: Final = fixed(3)

# Places in `state`.
LENGTH: Final = 0  # bytes written
GAP: Final = 1  # what is due before the next word
PREFIX: Final = 2  # length of the prefix, in bytes
LOW: Final = 3  # the shortest that the prefix was since the last word
HEADING: Final = 4  # level of a heading whose marks are due, or 0
FLAT: Final = 5  # 1 where every gap is a space: in headings and in cells of tables
ORIGIN: Final = 6  # where the text of the cell begins: no gap before it; -1 outside cells
TICK: Final = 7  # 0 outside inline code, 1 the opening mark is due, 2 it is written
TICK_START: Final = 8  # where the text of inline code begins
BREAKS: Final = 9  # <br> since the last word
FULL: Final = 10  # 1 once the buffer was too small
NUM_SPLICES: Final = 11  # places left for Python to fill in
NUM_CELLS: Final = 12  # cells of the table that is being read
ROW: Final = 13  # its current row
IN_TABLE: Final = 14  # 1 within a table of data
TIGHT_AT: Final = 15  # bytes written when an item of a list began, else -1
TIGHT_GAP: Final = 16  # the gap before that item, whatever stands first in it
NUM_STATE: Final = 17

# Lines get no deeper than this many lists and quotations within each other, nor than this many
# bytes of prefix: 200,000 open lists would make a text of 28 times their page.
MAX_DEPTH: Final = 16
MAX_PREFIX: Final = 256
# Stands before and after the number of a splice; no byte of UTF-8 has this value.
SPLICE: Final = fixed(0xFF)
# U+FFFD in UTF-8.
_REPLACEMENT: Final = np.frombuffer(b"\xef\xbf\xbd", np.uint8)


class Sheet(NamedTuple):
    """What is written on."""

    out: NDArray[np.uint8]
    """uint8[capacity]; the first `state[LENGTH]` bytes are the text."""
    scratch: NDArray[np.uint8]
    """uint8[capacity]"""
    prefix: NDArray[np.uint8]
    """uint8[MAX_PREFIX]"""
    first: NDArray[np.uint8]
    """uint8[MAX_PREFIX]"""
    marks: NDArray[np.int64]
    """int64[MAX_PREFIX + 1]: how many marks the prefix has up to each of its marks' ends."""
    state: NDArray[np.int64]
    """int64[NUM_STATE]"""


def new_sheet(capacity: int) -> Sheet:
    """An empty sheet.

    Args:
        capacity: Bytes of the text, and of the scratch beside it.
    """
    state = np.zeros(NUM_STATE, np.int64)
    state[ORIGIN] = -1
    state[TIGHT_AT] = -1
    return Sheet(
        out=np.empty(capacity, np.uint8),
        scratch=np.empty(capacity, np.uint8),
        prefix=np.empty(MAX_PREFIX, np.uint8),
        first=np.empty(MAX_PREFIX, np.uint8),
        marks=np.zeros(MAX_PREFIX + 1, np.int64),
        state=state,
    )


@inlined_lean_kernel
def put(sheet: Sheet, byte: int) -> None:
    """Writes one byte."""
    n = sheet.state[LENGTH]
    if n >= sheet.out.size:
        sheet.state[FULL] = 1
        return
    sheet.out[n] = byte
    sheet.state[LENGTH] = n + 1


@inlined_lean_kernel
def widen(sheet: Sheet, gap: int) -> None:
    """Sees to it that at least this gap stands before the next word."""
    if sheet.state[GAP] < gap:
        sheet.state[GAP] = gap


@lean_kernel
def break_line(sheet: Sheet) -> None:
    """A <br>: a new line, and from the second on an empty one."""
    state = sheet.state
    state[BREAKS] += 1
    widen(sheet, LINE if state[BREAKS] < 2 else BLANK)


@lean_kernel
def new_line(sheet: Sheet) -> None:
    """Ends the line and writes the prefix of the next one."""
    state = sheet.state
    put(sheet, NEW_LINE)
    for i in range(state[PREFIX]):
        put(sheet, sheet.first[i])
        sheet.first[i] = sheet.prefix[i]


@lean_kernel
def empty_line(sheet: Sheet) -> None:
    """Ends the line and writes what an empty line keeps of the prefix: the marks of quotations."""
    put(sheet, NEW_LINE)
    n = sheet.state[LOW]
    while n > 0 and sheet.prefix[n - 1] == 32:
        n -= 1
    for i in range(n):
        put(sheet, sheet.prefix[i])


@lean_kernel
def begin_word(sheet: Sheet) -> None:
    """Writes what is due: the gap, the prefix, the marks of a heading or of inline code."""
    state = sheet.state
    gap = state[TIGHT_GAP] if state[LENGTH] == state[TIGHT_AT] else state[GAP]
    if state[FLAT] == 1 and state[HEADING] == 0:
        if gap > NOTHING and state[LENGTH] > state[ORIGIN]:
            put(sheet, BLANK_BYTE)
    elif state[LENGTH] == 0:
        new_line(sheet)
        # The line end before the first line is not wanted, its prefix is.
        for i in range(state[LENGTH] - 1):
            sheet.out[i] = sheet.out[i + 1]
        state[LENGTH] -= 1
    elif gap >= LINE:
        if gap == BLANK:
            empty_line(sheet)
        new_line(sheet)
    elif gap == SPACE:
        put(sheet, BLANK_BYTE)
    state[GAP] = NOTHING
    state[LOW] = state[PREFIX]
    state[BREAKS] = 0
    if state[HEADING] > 0:
        for _ in range(state[HEADING]):
            put(sheet, HASH)
        put(sheet, BLANK_BYTE)
        state[HEADING] = 0
    if state[TICK] == 1:
        put(sheet, BACKTICK)
        state[TICK] = 2
        state[TICK_START] = state[LENGTH]


@lean_kernel
def lengthen_prefix(sheet: Sheet, size: int) -> bool:
    """Makes the prefix longer by a mark that the caller then writes, where it may be longer.

    Args:
        sheet: Written on.
        size: Bytes of the mark.
    """
    n = sheet.state[PREFIX]
    if n + size > MAX_PREFIX or sheet.marks[n] >= MAX_DEPTH:
        return False
    sheet.marks[n + size] = sheet.marks[n] + 1
    sheet.state[PREFIX] = n + size
    return True


@lean_kernel
def push_prefix(sheet: Sheet, marker: NDArray[np.uint8], is_once: bool) -> None:
    """Lengthens the prefix by a marker.

    Args:
        sheet: Written on.
        marker: uint8[n].
        is_once: The marker stands on one line only, and blanks below it.
    """
    n = sheet.state[PREFIX]
    if not lengthen_prefix(sheet, marker.size):
        return
    for i in range(marker.size):
        sheet.first[n + i] = marker[i]
        sheet.prefix[n + i] = 32 if is_once else marker[i]


@inlined_lean_kernel
def pop_prefix(sheet: Sheet, length: int) -> None:
    """Shortens the prefix to a length that it had."""
    state = sheet.state
    state[PREFIX] = length
    if state[LOW] > length:
        state[LOW] = length


@inlined_lean_kernel
def _skipped(buffer: NDArray[np.uint8], at: int, stop: int) -> int:
    """Gives the bytes of an invisible character or a wide blank, negative for the blank; or 0."""
    c = buffer[at]
    if c == 0xC2 and at + 1 < stop:
        if buffer[at + 1] == 0xA0:
            return -2
        if buffer[at + 1] == 0xAD:
            return 2
    elif c == 0xEF and at + 2 < stop:
        if buffer[at + 1] == 0xBB and buffer[at + 2] == 0xBF:
            return 3
    elif c == 0xE2 and at + 2 < stop and buffer[at + 1] == 0x80 and buffer[at + 2] == 0x8B:
        beside_ascii = at + 3 >= stop or buffer[at + 3] < 128 or at == 0 or buffer[at - 1] < 128
        return 3 if beside_ascii else 0
    return 0


@lean_kernel
def write_text(sheet: Sheet, buffer: NDArray[np.uint8], start: int, stop: int) -> None:
    """Writes text whose blanks collapse.

    Args:
        sheet: Written on.
        buffer: uint8[n] that holds the text, its character references decoded.
        start: Its first byte.
        stop: The byte behind its last one.
    """
    state = sheet.state
    out = sheet.out
    at = start
    while at < stop:
        c = buffer[at]
        if c == 32 or (9 <= c <= 13):
            widen(sheet, SPACE)
            at += 1
            continue
        if c >= 0xC2:
            skipped = _skipped(buffer, at, stop)
            if skipped != 0:
                if skipped < 0:
                    widen(sheet, SPACE)
                at += abs(skipped)
                continue
        if state[GAP] != NOTHING or state[HEADING] > 0 or state[TICK] == 1 or state[LENGTH] == 0:
            begin_word(sheet)
        if c == 124 and state[ORIGIN] >= 0:
            put(sheet, BACKSLASH)
        elif c >= 0xF8:
            # No byte of UTF-8; the marks of splices are such.
            put(sheet, _REPLACEMENT[0])
            put(sheet, _REPLACEMENT[1])
            c = _REPLACEMENT[2]
        n = state[LENGTH]
        if n >= out.size:
            state[FULL] = 1
            return
        out[n] = c
        state[LENGTH] = n + 1
        at += 1


@lean_kernel
def write_line_text(sheet: Sheet, buffer: NDArray[np.uint8], start: int, stop: int) -> None:
    """Writes text each line end of which is one, as of a poem (`white-space: pre-line`)."""
    at = start
    while at < stop:
        end = at
        while end < stop and buffer[end] != 10:
            end += 1
        write_text(sheet, buffer, at, end)
        if end < stop:
            break_line(sheet)
        at = end + 1


@lean_kernel
def find_commented(buffer: NDArray[np.uint8], start: int, stop: int) -> tuple[int, int]:
    """Finds LaTeX between `$$` in which a comment ends with its line, so that lines must stay.

    Args:
        buffer: uint8[n] that holds the text.
        start: Its first byte.
        stop: The byte behind its last one.

    Returns:
        Its first byte and the one behind it; -1 and -1 where there is none.
    """
    at = start
    while at + 1 < stop:
        if buffer[at] != 36 or buffer[at + 1] != 36:
            at += 1
            continue
        first, in_comment, is_commented = at, False, False
        at += 2
        while at + 1 < stop and not (buffer[at] == 36 and buffer[at + 1] == 36):
            if buffer[at] == 10:
                is_commented |= in_comment
                in_comment = False
            elif buffer[at] == 37 and buffer[at - 1] != 92:
                in_comment = True
            at += 1
        if at + 1 >= stop:
            break
        at += 2
        if is_commented:
            return first, at
    return -1, -1


@lean_kernel
def write_byte(sheet: Sheet, byte: int) -> None:
    """Writes one character of ASCII as a word or the part of one."""
    state = sheet.state
    if state[GAP] != NOTHING or state[HEADING] > 0 or state[TICK] == 1 or state[LENGTH] == 0:
        begin_word(sheet)
    put(sheet, byte)


@lean_kernel
def write_splice(sheet: Sheet, is_display: bool) -> None:
    """Leaves a place for what Python writes: 0xFF, its number, 0xFF."""
    state = sheet.state
    if is_display:
        widen(sheet, BLANK)
    if state[GAP] != NOTHING or state[HEADING] > 0 or state[LENGTH] == 0:
        begin_word(sheet)
    put(sheet, SPLICE)
    number = state[NUM_SPLICES]
    unit = 1
    while unit * 10 <= number:
        unit *= 10
    while unit > 0:
        put(sheet, 48 + number // unit % 10)
        unit //= 10
    put(sheet, SPLICE)
    state[NUM_SPLICES] = number + 1
    if is_display:
        widen(sheet, BLANK)


@lean_kernel
def end_inline_code(sheet: Sheet) -> None:
    """Closes inline code; where it holds a backtick, both marks are two (CommonMark 0.31, 6.1)."""
    state = sheet.state
    is_written = state[TICK] == 2
    state[TICK] = 0
    if not is_written:
        return
    start, stop = state[TICK_START], state[LENGTH]
    has_tick = False
    for i in range(start, stop):
        has_tick |= sheet.out[i] == 96
    if has_tick:
        for _ in range(5):
            put(sheet, BACKTICK)
        if state[FULL] == 1:
            return
        for i in range(stop - 1, start - 1, -1):
            sheet.out[i + 2] = sheet.out[i]
        sheet.out[start] = 96
        sheet.out[start + 1] = 32
        sheet.out[stop + 2] = 32
        return
    put(sheet, BACKTICK)


@lean_kernel
def insert_byte(sheet: Sheet, at: int, byte: int) -> None:
    """Inserts a byte before one that is written."""
    n = sheet.state[LENGTH]
    put(sheet, byte)
    if sheet.state[FULL] == 1:
        return
    for i in range(n, at, -1):
        sheet.out[i] = sheet.out[i - 1]
    sheet.out[at] = byte
