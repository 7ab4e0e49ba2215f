"""Tables: which hold data, and their cells as the grid that a Markdown table is.

Whether a table holds data is asked as browsers' reading modes do (cells of header, captions, known
classes, no blocks of text, more than one row and column; WHATWG HTML 4.9.1 lists such signs): one
that lays out is unrolled, its cells are blocks of text.

GitHub's Markdown has no spanning cells. A cell that spans rows or columns is repeated in each, so
that every line can be read alone and numbers keep their heading; one that spans the whole width (a
title within a table) is written once. What is repeated is bounded, since `rowspan` costs a page
nothing: texts up to 200 bytes, and 64 KB or twice the cells' own bytes in all. Columns in which no
cell has text, and rows without any, are spacers and left out. The first row that is left is the
heading, as Markdown wants one.

A line end within a cell is a space: it wraps words far more often than it parts values, and
`<br>` would be the only HTML in the text.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel, lean_kernel
from pipelines.extract.pages.rendering_classes import DATA, EQUATION, LAYOUT
from pipelines.extract.pages.rendering_constants import (
    NONE,
)
from pipelines.extract.pages.rendering_page import (
    CELL_PART,
    HEADER_PART,
    NO_PART,
    ROW_PART,
    TABLE_PART,
    Page,
    begins_with,
    is_blank_text,
    is_wanted,
    table_part,
)
from pipelines.extract.pages.rendering_text import (
    BLANK,
    FULL,
    LENGTH,
    NUM_CELLS,
    Sheet,
    begin_word,
    new_line,
    put,
    widen,
)
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

# Columns of the array of cells.
START: Final = 0
STOP: Final = 1
ROW_OF: Final = 2
COLSPAN: Final = 3
ROWSPAN: Final = 4
COLUMN: Final = 5
NUM_FIELDS: Final = 6

_PRE: Final = TAG["pre"]
_HEADINGS: Final = tag_set("h1 h2 h3 h4 h5 h6")
_TITLES: Final = tag_set("caption thead")
_PARAGRAPHS: Final = tag_set("p blockquote ul ol dl article section form")
_ROLE: Final = np.frombuffer(b"role", np.uint8)
_PRESENTATION: Final = np.frombuffer(b"presentation", np.uint8)
_NONE: Final = np.frombuffer(b"none", np.uint8)

# A cell of data is a value or a sentence or two; with headers or a caption, also a paragraph.
_LONG_CELL: Final = 1_000
_LONG_MEAN: Final = 200
# Code of several lines stays in a cell, as one line, where all cells are as short as this; longer
# code must keep its lines.
_LONG_CODE: Final = 200
_LONG_TITLED_MEAN: Final = 800

_MAX_PLACES: Final = 4_000_000
_MAX_COLUMNS: Final = 10_000
_MAX_REPEATED: Final = 200
_MAX_REPEATS: Final = 65_536


@lean_kernel
def _has_line_end(page: Page, node: int) -> bool:
    """Whether a <pre> has more than one line."""
    for i in range(node + 1, page.end[node]):
        if page.tag[i] != TEXT:
            continue
        stop = page.stop[i]
        while stop > page.start[i] and page.data[stop - 1] <= 32:
            stop -= 1
        for j in range(page.start[i], stop):
            if page.data[j] == 10:
                return True
    return False


@lean_kernel
def is_data_table(page: Page, table: int, bits: int) -> bool:
    """Whether a table holds data, and does not only lay out.

    Args:
        page: The page.
        table: The element.
        bits: What its classes say.
    """
    if bits & (EQUATION | LAYOUT) != 0:
        return False
    if begins_with(page, table, _ROLE, _PRESENTATION) or begins_with(page, table, _ROLE, _NONE):
        return False
    rows, full_rows, cells, nested, num_blocks, titles, headers = 0, 0, 0, 0, 0, 0, 0
    in_row, longest, in_cell, total = 0, 0, 0, 0
    cell_end, caption_end, has_lines = 0, 0, False
    i, end = table + 1, page.end[table]
    while i < end:
        tag = page.tag[i]
        part = NO_PART if tag == TEXT else table_part(page, i)
        if tag == TEXT:
            if page.keep[i] and not is_blank_text(page, i):
                if i >= cell_end and i >= caption_end:
                    return False
                size = page.stop[i] - page.start[i]
                in_cell += size
                total += size
                longest = max(longest, in_cell)
        elif not is_wanted(page, i):
            i = page.end[i]
            continue
        elif part == TABLE_PART:
            nested += page.end[i] - i
            i = page.end[i]
            continue
        elif part == ROW_PART:
            rows += 1
            full_rows += in_row > 1
            in_row = 0
        elif part >= CELL_PART:
            cells += 1
            in_row += 1
            in_cell = 0
            cell_end = page.end[i]
            titles += part == HEADER_PART
            headers += part == HEADER_PART
        elif _TITLES[tag]:
            titles += 1
            if tag != TAG_THEAD:
                caption_end = page.end[i]
        elif tag == _PRE:
            has_lines |= _has_line_end(page, i)
        elif _HEADINGS[tag]:
            num_blocks += 3
        elif _PARAGRAPHS[tag]:
            num_blocks += 1
        i += 1
    full_rows += in_row > 1
    if cells == 0 or full_rows == 0 or nested * 2 > end - table:
        return False
    if has_lines and (headers == 0 or longest > _LONG_CODE):
        return False
    mean = total // cells
    if titles > 0 or bits & DATA != 0:
        return mean <= _LONG_TITLED_MEAN
    if nested > 0 or rows < 2 or full_rows * 2 < rows:
        return False
    return longest <= _LONG_CELL and mean <= _LONG_MEAN and num_blocks <= cells + 2


TAG_THEAD: Final = TAG["thead"]


@kernel
def _place_cells(
    cells: NDArray[np.int64], num_cells: int, num_rows: int, width: int
) -> tuple[NDArray[np.int32], int]:
    """Gives each place of the grid its cell (HTML standard, 4.9.12: forming a table).

    Args:
        cells: int64[n, NUM_FIELDS]; COLUMN is written.
        num_cells: How many there are.
        num_rows: Rows of the grid.
        width: Columns of the grid; 0 to find out how many there are, alone in a row for one.

    Returns:
        int32[num_rows, width] cells, -1 where there is none (of no rows while the width is
        sought), and the width that is used; -1 where a cell found no place.
    """
    limit = width if width > 0 else max(1, min(_MAX_COLUMNS, _MAX_PLACES // num_rows))
    grid = np.full((num_rows if width > 0 else 0, width), -1, np.int32)
    owner = np.full(limit, -1, np.int32)
    left = np.zeros(limit, np.int64)
    used, k = 0, 0
    for row in range(num_rows):
        column = 0
        is_alone = k + 1 >= num_cells or cells[min(k + 1, num_cells - 1), ROW_OF] != row
        while k < num_cells and cells[k, ROW_OF] == row:
            while column < limit and left[column] > 0:
                column += 1
            is_narrow = is_alone and (width == 0 or cells[k, ROWSPAN] > 1)
            if column >= limit:
                return grid, -1
            cells[k, COLUMN] = column
            span = 1 if is_narrow else cells[k, COLSPAN]
            for _ in range(span):
                if column >= limit or left[column] > 0:
                    break
                left[column] = max(1, cells[k, ROWSPAN])
                owner[column] = k
                column += 1
            used = max(used, column)
            k += 1
        for c in range(limit if width > 0 else used):
            if left[c] > 0:
                if width > 0:
                    grid[row, c] = owner[c]
                left[c] -= 1
    return grid, used


@lean_kernel
def _without_spans(cells: NDArray[np.int64], num_cells: int) -> int:
    """Takes all spans away; the width of the widest row."""
    widest, in_row = 0, 0
    for k in range(num_cells):
        in_row = in_row + 1 if k > 0 and cells[k, ROW_OF] == cells[k - 1, ROW_OF] else 1
        widest = max(widest, in_row)
        cells[k, COLSPAN] = 1
        cells[k, ROWSPAN] = 1
    return widest


@kernel
def _write_grid(
    out: NDArray[np.uint8],
    cells: NDArray[np.int64],
    grid: NDArray[np.int32],
    scratch: NDArray[np.uint8],
) -> int:
    """Writes the rows on the scratch.

    Args:
        out: uint8[n] with the texts of the cells.
        cells: int64[n, NUM_FIELDS].
        grid: int32[num_rows, width].
        scratch: uint8[capacity].

    Returns:
        The bytes written, lines ended by LF but the last; -1 where there is no room.
    """
    num_rows, width = grid.shape
    is_used = np.zeros(width, np.bool_)
    own = 0
    for row in range(num_rows):
        for c in range(width):
            k = grid[row, c]
            if k >= 0 and cells[k, STOP] > cells[k, START] and cells[k, COLUMN] == c:
                is_used[c] = True
                own += cells[k, STOP] - cells[k, START]
    num_columns = is_used.sum()
    budget = max(_MAX_REPEATS, 2 * own)
    n, lines = 0, 0
    for row in range(num_rows):
        first, is_filled = -1, False
        for c in range(width):
            k = grid[row, c]
            if k >= 0 and cells[k, STOP] > cells[k, START]:
                is_filled = True
            if first < 0 and is_used[c]:
                first = c
        if not is_filled:
            continue
        if n + 6 * num_columns + 8 > scratch.size:
            return -1
        if lines > 0:
            scratch[n] = 10
            n += 1
        if lines == 1 and num_columns > 1:
            for _ in range(num_columns):
                for byte in (124, 32, 45, 45, 45, 32):
                    scratch[n] = byte
                    n += 1
            scratch[n] = 124
            scratch[n + 1] = 10
            n += 2
        lines += 1
        for c in range(width):
            if not is_used[c]:
                continue
            k = grid[row, c]
            size = cells[k, STOP] - cells[k, START] if k >= 0 else 0
            # Where a spanning cell is written again; its own place may be a column left out.
            is_again = k >= 0 and (cells[k, ROW_OF] != row or cells[k, COLUMN] != c)
            if is_again and c != first and grid[row, first] == k and _is_whole(grid, row, is_used):
                size = 0
            if is_again and size > 0:
                if size > _MAX_REPEATED or size > budget:
                    size = 0
                budget -= size
            if n + size + 8 + 6 * num_columns > scratch.size:
                return -1
            if num_columns > 1:
                scratch[n] = 124
                scratch[n + 1] = 32
                n += 2
            for i in range(size):
                scratch[n] = out[cells[k, START] + i]
                n += 1
            if num_columns > 1:
                scratch[n] = 32
                n += 1
        if num_columns > 1:
            scratch[n] = 124
            n += 1
    if lines == 1 and num_columns > 1:
        scratch[n] = 10
        n += 1
        for _ in range(num_columns):
            for byte in (124, 32, 45, 45, 45, 32):
                scratch[n] = byte
                n += 1
        scratch[n] = 124
        n += 1
    return n


@lean_kernel
def _is_whole(grid: NDArray[np.int32], row: int, is_used: NDArray[np.bool_]) -> bool:
    """Whether one cell fills the row."""
    cell = -1
    for c in range(grid.shape[1]):
        if is_used[c]:
            if cell >= 0 and grid[row, c] != cell:
                return False
            cell = grid[row, c]
    return True


@kernel
def write_table(sheet: Sheet, cells: NDArray[np.int64], base: int, num_rows: int) -> None:
    """Writes the table whose cells were written one behind the other.

    Args:
        sheet: Written on; the cells' texts stand from `base` on and give place to the table.
        cells: int64[n, NUM_FIELDS], of which state[NUM_CELLS] are the table's.
        base: Where the first cell's text begins.
        num_rows: Rows of the table.
    """
    state = sheet.state
    num_cells = state[NUM_CELLS]
    if num_cells == 0 or num_rows == 0:
        return
    _, width = _place_cells(cells, num_cells, num_rows, NONE)
    if width < 0:
        # Spans that no browser would show: every cell is one place.
        width = _without_spans(cells, num_cells)
    grid, width = _place_cells(cells, num_cells, num_rows, width)
    assert width > 0
    size = _write_grid(sheet.out, cells, grid, sheet.scratch)
    if size < 0:
        state[FULL] = 1
        return
    state[LENGTH] = base
    if size == 0:
        return
    widen(sheet, BLANK)
    begin_word(sheet)
    for i in range(size):
        if sheet.scratch[i] == 10:
            new_line(sheet)
        else:
            put(sheet, sheet.scratch[i])
    widen(sheet, BLANK)
