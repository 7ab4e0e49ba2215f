r"""Blocks of code, to the byte as their author wrote them.

In the simplest page a block is a `<pre>`. Programs that colour code make of it spans, a division or
a list item a line, or a table with the numbers of lines in its first column; others put buttons and
headings into it. `write_code` takes any of these: texts as they are, a line end where an element
that is a line ends and none stands yet, a `<br>` as a line end, and nothing of what only surrounds
the code. An empty line element is an empty line.

Numbers of lines are known by their class (`rendering_classes.GUTTER`), or where the first of two
cells holds nothing but numbers that count up.

Written is a fence of backticks, longer than any run of them within (CommonMark 0.31, 4.5), with the
language where the page names it; in a heading or a cell of a table, code between single marks.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.code_languages import code_language
from pipelines.extract.pages.rendering_classes import (
    CODE,
    CODE_LINE,
    GUTTER,
    NOISE,
    PREVIEW,
    class_bits,
)
from pipelines.extract.pages.rendering_constants import (
    BACKTICK,
    BLANK_BYTE,
    DASH,
    name_bytes,
)
from pipelines.extract.pages.rendering_page import (
    BLOCKS,
    Page,
    count_numbers,
    decode_text,
    find_bytes,
    holds_at,
    is_blank_text,
    is_wanted,
)
from pipelines.extract.pages.rendering_text import (
    BLANK,
    FLAT,
    FULL,
    SPACE,
    TICK,
    Sheet,
    begin_word,
    empty_line,
    end_inline_code,
    new_line,
    put,
    widen,
    write_byte,
)
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

_BR: Final = TAG["br"]
_DIV: Final = TAG["div"]
_AREA: Final = TAG["textarea"]
_PRE: Final = TAG["pre"]
_TD: Final = TAG["td"]
_TR: Final = TAG["tr"]
_TABLE: Final = TAG["table"]
_NOT_CODE: Final = tag_set("button script style textarea svg select template object iframe")
_CLASS: Final = name_bytes("class")
_CODE_NAME: Final = name_bytes("code")
_STYLE: Final = name_bytes("style")
_WHITE_SPACE: Final = name_bytes("white-space")
_PRE_NAME: Final = name_bytes("pre")
_MONOSPACE: Final = name_bytes("monospace")
_READ_ONLY: Final = name_bytes("readonly")
_CODE_TAGS: Final = tag_set("pre code")
_NOTHING: Final = -1


@inlined_lean_kernel
def _is_beside_block(page: Page, node: int, closed: int) -> bool:
    """Whether a text stands beside a block, before or behind it.

    Args:
        page: The page.
        node: The text.
        closed: The element that ended last.
    """
    after = page.end[node]
    if after < page.tag.size and page.parent[after] == page.parent[node]:
        if BLOCKS[page.tag[after]]:
            return True
    return closed > 0 and page.parent[closed] == page.parent[node] and BLOCKS[page.tag[closed]]


@lean_kernel
def _is_left_out(page: Page, node: int, bits: int) -> bool:
    """Whether an element within code is none of it."""
    tag = page.tag[node]
    if _NOT_CODE[tag] or bits & (NOISE | GUTTER | PREVIEW) != 0:
        return True
    if tag != _TD and tag != _PRE:
        return False
    # The first of the cells of a row, or what is in it, with others behind it.
    cell = node
    if tag == _PRE:
        cell = page.parent[node]
        if page.tag[cell] != _TD:
            return False
    row = page.parent[cell]
    return (
        page.tag[row] == _TR
        and row + 1 == cell
        and page.end[cell] < page.end[row]
        and count_numbers(page, node) > 0
    )


@lean_kernel
def _end_block(page: Page, node: int, scratch: NDArray[np.uint8], n: int) -> int:
    """Ends a line where a block ends; the place behind it."""
    begun = page.note[node]
    if begun == _NOTHING:
        # There are blocks in it, which ended their own lines.
        return n
    if n == begun or scratch[n - 1] != 10:
        scratch[n] = 10
        n += 1
    return n


@lean_kernel
def _begin_block(page: Page, root: int, node: int, scratch: NDArray[np.uint8], n: int) -> int:
    """Begins a line where a block begins; the place behind it."""
    if n > 0 and scratch[n - 1] != 10:
        scratch[n] = 10
        n += 1
    page.note[node] = n
    above = page.parent[node]
    while above > root and not BLOCKS[page.tag[above]]:
        above = page.parent[above]
    if above > root:
        page.note[above] = _NOTHING
    return n


@lean_kernel
def _is_collapsed(page: Page, root: int) -> bool:
    """Whether lines end only where a <br> stands: in code that is in no <pre>."""
    if page.tag[root] == _PRE or page.tag[root] == _AREA:
        return False
    num_breaks = 0
    for i in range(root + 1, page.end[root]):
        if page.tag[i] == _PRE or BLOCKS[page.tag[i]]:
            return False
        num_breaks += page.tag[i] == _BR
    return num_breaks > 0


@lean_kernel
def _collapse(scratch: NDArray[np.uint8], start: int, stop: int) -> int:
    """Makes one blank of each run of white space, none at the start of a line; the new end."""
    n = start
    for i in range(start, stop):
        c = scratch[i]
        if c > 32:
            scratch[n] = c
            n += 1
        elif n > 0 and scratch[n - 1] != 10 and scratch[n - 1] != 32:
            scratch[n] = 32
            n += 1
    return n


@lean_kernel
def _read_code(page: Page, root: int, scratch: NDArray[np.uint8]) -> int:
    """Writes the code of a block on the scratch; its length, or -1 where there is no room."""
    is_collapsed = _is_collapsed(page, root)
    n, i, current, closed, line_end = 0, root + 1, root, 0, -1
    end = page.end[root]
    while True:
        around = page.parent[i] if i < end else root
        while current != around:
            if BLOCKS[page.tag[current]]:
                n = _end_block(page, current, scratch, n)
            elif page.note[current] >= 0 and (n == page.note[current] or scratch[n - 1] != 10):
                line_end = n
            closed, current = current, page.parent[current]
        if i >= end or n + 64 > scratch.size:
            break
        if page.tag[i] == TEXT:
            if not (is_blank_text(page, i) and _is_beside_block(page, i, closed)):
                begun, n = n, decode_text(page, i, scratch, n)
                if n < 0:
                    return -1
                if is_collapsed:
                    n = _collapse(scratch, begun, n)
            closed = i
            i += 1
            continue
        bits = class_bits(page.data, page.start[i], page.stop[i])
        if _is_left_out(page, i, bits):
            i = page.end[i]
            continue
        page.note[i] = _NOTHING
        if page.tag[i] == _BR:
            scratch[n] = 10
            n += 1
        elif BLOCKS[page.tag[i]]:
            n = _begin_block(page, root, i, scratch, n)
        elif bits & CODE_LINE != 0 and page.tag[i] != _TD:
            if line_end == n and n > 0:
                scratch[n] = 10
                n += 1
            page.note[i] = n
        current = i
        i += 1
    return n if n + 64 <= scratch.size else -1


@lean_kernel
def _plain(scratch: NDArray[np.uint8], num: int) -> int:
    """Makes line ends LF and wide blanks blanks, drops what is invisible; the new length."""
    n, i = 0, 0
    while i < num:
        c = scratch[i]
        if c == 13:
            if i + 1 >= num or scratch[i + 1] != 10:
                scratch[n] = 10
                n += 1
        elif c == 0xC2 and i + 1 < num and scratch[i + 1] == 0xA0:
            scratch[n] = 32
            n += 1
            i += 1
        elif c == 0xE2 and i + 2 < num and scratch[i + 1] == 0x80 and scratch[i + 2] == 0x8B:
            i += 2
        elif c == 0xEF and i + 2 < num and scratch[i + 1] == 0xBB and scratch[i + 2] == 0xBF:
            i += 2
        else:
            scratch[n] = 63 if c >= 0xF8 else c
            n += 1
        i += 1
    return n


@lean_kernel
def _trimmed(scratch: NDArray[np.uint8], num: int) -> tuple[int, int]:
    """The range without empty lines at both ends."""
    start, i = 0, 0
    while i < num and scratch[i] <= 32:
        if scratch[i] == 10:
            start = i + 1
        i += 1
    if i == num:
        return num, num
    while scratch[num - 1] <= 32:
        num -= 1
    return start, num


@lean_kernel
def _longest_run(scratch: NDArray[np.uint8], start: int, stop: int) -> int:
    """The longest run of backticks."""
    longest, run = 0, 0
    for i in range(start, stop):
        run = run + 1 if scratch[i] == 96 else 0
        longest = max(longest, run)
    return longest


@lean_kernel
def _write_fenced(page: Page, root: int, sheet: Sheet, start: int, stop: int) -> None:
    """Writes code that is on the scratch as a block of its own."""
    num_ticks = max(3, _longest_run(sheet.scratch, start, stop) + 1)
    widen(sheet, BLANK)
    begin_word(sheet)
    for _ in range(num_ticks):
        put(sheet, BACKTICK)
    first, last = code_language(page, root)
    for i in range(first, last):
        c = page.data[i]
        put(sheet, c + 32 if 65 <= c <= 90 else c)
    at = start
    while at < stop:
        end = at
        is_empty = True
        while end < stop and sheet.scratch[end] != 10:
            is_empty &= sheet.scratch[end] <= 32
            end += 1
        if is_empty:
            empty_line(sheet)
        else:
            new_line(sheet)
            for i in range(at, end):
                put(sheet, sheet.scratch[i])
        at = end + 1
    new_line(sheet)
    for _ in range(num_ticks):
        put(sheet, BACKTICK)
    widen(sheet, BLANK)


@lean_kernel
def write_code(page: Page, root: int, sheet: Sheet) -> None:
    """Writes a block of code.

    Args:
        page: The page.
        root: The element that holds the block and nothing else.
        sheet: Written on.
    """
    num = _read_code(page, root, sheet.scratch)
    if num < 0:
        sheet.state[FULL] = 1
        return
    start, stop = _trimmed(sheet.scratch, _plain(sheet.scratch, num))
    if start >= stop:
        return
    if sheet.state[FLAT] == 0:
        _write_fenced(page, root, sheet, start, stop)
        return
    widen(sheet, SPACE)
    sheet.state[TICK] = 1
    is_gap = False
    for i in range(start, stop):
        c = sheet.scratch[i]
        if c <= 32:
            is_gap = True
            continue
        if is_gap and sheet.state[TICK] == 2:
            put(sheet, BLANK_BYTE)
        is_gap = False
        write_byte(sheet, c)
    end_inline_code(sheet)
    widen(sheet, SPACE)


@lean_kernel
def is_code_root(page: Page, node: int, bits: int) -> bool:
    """Whether an element that is no <pre> is a block of code as a whole.

    Args:
        page: The page.
        node: The element.
        bits: What its classes say.
    """
    if bits & CODE != 0:
        return bits & (GUTTER | NOISE) == 0 and _has_code_within(page, node)
    if page.tag[node] == _DIV:
        return _is_styled_code(page, node)
    return page.tag[node] == _TABLE and _is_numbered(page, node)


@lean_kernel
def _has_code_within(page: Page, node: int) -> bool:
    """Whether a block of code has lines or a <pre> in it: `fragment` can be anything."""
    if page.tag[node] == _TABLE:
        return True
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == TEXT:
            continue
        if _CODE_TAGS[page.tag[i]] or page.tag[i] == _BR:
            return True
        if class_bits(page.data, page.start[i], page.stop[i]) & (CODE | CODE_LINE) != 0:
            return True
    return False


@lean_kernel
def _is_numbered(page: Page, table: int) -> bool:
    """Whether a table is one row: numbers of lines, and text with fixed spaces beside them."""
    row = table + 1
    while row < page.end[table] and page.tag[row] != _TR:
        row += 1
    if row >= page.end[table] or page.end[row] == row + 1:
        return False
    if page.tag[row + 1] != _TD or page.end[row + 1] >= page.end[row]:
        return False
    cell = page.end[row + 1]
    if not is_wanted(page, cell):
        return False
    if page.end[row] < page.end[table] and page.tag[page.end[row]] == _TR:
        return False
    if count_numbers(page, row + 1) == 0:
        return False
    for i in range(cell + 1, page.end[cell]):
        if page.tag[i] == _PRE or (BLOCKS[page.tag[i]] and _has_fixed_spaces(page, i)):
            return True
    return False


@lean_kernel
def _has_fixed_spaces(page: Page, node: int) -> bool:
    """Whether the style of an element says `white-space: pre`, as an editor's clipboard does."""
    data = page.data
    first, last = find_attribute(data, page.start[node], page.stop[node], _STYLE)
    at = find_bytes(data, first, last, _WHITE_SPACE) if last > first else -1
    if at < 0:
        return False
    at += _WHITE_SPACE.size
    while at < last and (data[at] <= 32 or data[at] == 58):
        at += 1
    if at + 3 > last or not holds_at(data, at, _PRE_NAME):
        return False
    return at + 3 == last or data[at + 3] != DASH


@lean_kernel
def _is_styled_code(page: Page, node: int) -> bool:
    """Whether the style of an element is that of code: fixed spaces and a font of fixed width."""
    if not _has_fixed_spaces(page, node):
        return False
    first, last = find_attribute(page.data, page.start[node], page.stop[node], _STYLE)
    return find_bytes(page.data, first, last, _MONOSPACE) >= 0


@lean_kernel
def is_code_area(page: Page, node: int) -> bool:
    """Whether a text field shows code: its class says so, or nobody can write in it.

    Args:
        page: The page.
        node: A `<textarea>`.
    """
    data, start, stop = page.data, page.start[node], page.stop[node]
    first, last = find_attribute(data, start, stop, _CLASS)
    if find_bytes(data, first, last, _CODE_NAME) >= 0:
        return True
    first, last = find_attribute(data, start, stop, _READ_ONLY)
    return first >= 0


@lean_kernel
def has_lines(page: Page, node: int) -> bool:
    """Whether inline code, by its element, is a block: it has lines, or a language and line ends.

    Args:
        page: The page.
        node: A `<code>`.
    """
    has_end = False
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == TEXT:
            for j in range(page.start[i], page.stop[i]):
                has_end |= page.data[j] == 10
        elif page.tag[i] == _BR or BLOCKS[page.tag[i]]:
            return True
        elif class_bits(page.data, page.start[i], page.stop[i]) & CODE_LINE != 0:
            return True
    if not has_end:
        return False
    first, last = code_language(page, node)
    return last > first
