"""The walk over a page that writes its kept nodes as Markdown: one kernel, one pass, one buffer.

Nodes are visited in their order; a stack holds the open elements that have something to do when
they end. Subtrees without a kept node are skipped as a whole. What is rare and better said in
Python, the LaTeX of a formula, is left as a splice: a number in the text, and the node.
"""

from typing import Final

import numpy as np

from annotators.text.kernels import inlined_lean_kernel, kernel, lean_kernel
from pipelines.extract.pages.code_blocks import has_lines, is_code_area, is_code_root, write_code
from pipelines.extract.pages.formula_signs import is_display, is_formula, is_math_script, is_picture
from pipelines.extract.pages.headings import is_permalink, is_prose
from pipelines.extract.pages.lists import open_definition, open_item, open_list
from pipelines.extract.pages.rendering_classes import (
    CODE,
    FORMULA,
    GUTTER,
    LAYOUT,
    NOISE,
    PREVIEW,
    VERSE,
    class_bits,
)
from pipelines.extract.pages.rendering_constants import (
    CARET,
    LEFT_BRACKET,
    NO,
    NONE,
    ONE,
    QUOTE,
    RIGHT_BRACKET,
    UNDERSCORE,
    name_bytes,
)
from pipelines.extract.pages.rendering_page import (
    CELL_PART,
    HEADER_PART,
    ROW_PART,
    TABLE_PART,
    Page,
    count_numbers,
    decode_text,
    is_displayed_as,
    is_near_kept,
    is_wanted,
    number_attribute,
    table_part,
)
from pipelines.extract.pages.rendering_stack import (
    AREA_KIND,
    BASE,
    BR_KIND,
    CELL_KIND,
    CODE_KIND,
    DD_KIND,
    DIVISION_KIND,
    DL_KIND,
    DROPPED_KIND,
    DT_KIND,
    HEADING_KIND,
    HR_KIND,
    INLINE_KIND,
    ITEM_KIND,
    KIND_OF,
    KINDS,
    LIST_KIND,
    NODE_OF,
    PARAGRAPH_KIND,
    PICTURE_KIND,
    PRE_KIND,
    PREFIX_BEFORE,
    QUOTE_KIND,
    QUOTED_KIND,
    ROW_KIND,
    SCRIPT_KIND,
    SUBSCRIPT_KIND,
    SUPERSCRIPT_KIND,
    TABLE_KIND,
    VERSE_KIND,
    Walk,
    kind_below,
    push,
)
from pipelines.extract.pages.rendering_text import (
    BLANK,
    FLAT,
    FULL,
    GAP,
    HEADING,
    IN_TABLE,
    LENGTH,
    LINE,
    NOTHING,
    NUM_CELLS,
    NUM_SPLICES,
    ORIGIN,
    PREFIX,
    ROW,
    SPACE,
    TICK,
    TIGHT_AT,
    Sheet,
    break_line,
    end_inline_code,
    find_commented,
    insert_byte,
    pop_prefix,
    push_prefix,
    put,
    widen,
    write_byte,
    write_line_text,
    write_splice,
    write_text,
)
from pipelines.extract.pages.tables import (
    COLSPAN,
    ROW_OF,
    ROWSPAN,
    START,
    STOP,
    is_data_table,
    write_table,
)
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

# Looked at although nothing in them is kept: they have no text, or it is no text of the page.
_ALWAYS: Final = np.isin(KINDS, [BR_KIND, HR_KIND, SCRIPT_KIND, PICTURE_KIND, CELL_KIND, AREA_KIND])
# Shorter attributes cannot hold a class and a formula.
_MIN_DRAWN: Final = 20

# + - , . / and the signs of formulas in ASCII that an exponent has.
_SCRIPT_SIGNS: Final = (43, 44, 45, 46, 47)

_A: Final = TAG["a"]
_H1: Final = TAG["h1"]
_PHRASES: Final = tag_set("a abbr b bdi bdo big cite em font i label mark s small span strong u")
_BLOCK: Final = name_bytes("block")


_QUOTE_MARK: Final = name_bytes("> ")
_COLSPAN_NAME: Final = name_bytes("colspan")
_ROWSPAN_NAME: Final = name_bytes("rowspan")
# HTML standard, 4.9.11: a span is clamped to 1,000 columns and 65,534 rows.
_MAX_COLSPAN: Final = 1_000
_MAX_ROWSPAN: Final = 65_534


@lean_kernel
def _open_cell(page: Page, sheet: Sheet, walk: Walk, node: int) -> None:
    """Begins a cell of the table that is being read."""
    state = sheet.state
    k = state[NUM_CELLS]
    if state[ROW] < 0:
        state[ROW] = 0
    rowspan = number_attribute(page, node, _ROWSPAN_NAME, ONE)
    walk.cells[k, START] = state[LENGTH]
    walk.cells[k, ROW_OF] = state[ROW]
    walk.cells[k, COLSPAN] = max(
        1, min(_MAX_COLSPAN, number_attribute(page, node, _COLSPAN_NAME, ONE))
    )
    # A rowspan of 0 reaches to the end of the table.
    walk.cells[k, ROWSPAN] = min(rowspan if rowspan > 0 else _MAX_ROWSPAN, _MAX_ROWSPAN)
    state[NUM_CELLS] = k + 1
    state[ORIGIN] = state[LENGTH]
    state[GAP] = NOTHING
    state[FLAT] = 1
    push(sheet, walk, node, CELL_KIND)


@lean_kernel
def _open_table(page: Page, sheet: Sheet, walk: Walk, node: int, bits: int) -> None:
    state = sheet.state
    widen(sheet, BLANK)
    if state[FLAT] == 0 and state[IN_TABLE] == 0 and is_data_table(page, node, bits):
        state[IN_TABLE] = 1
        state[NUM_CELLS] = 0
        state[ROW] = -1
        push(sheet, walk, node, TABLE_KIND)
    else:
        push(sheet, walk, node, PARAGRAPH_KIND)


@lean_kernel
def _close_table(sheet: Sheet, walk: Walk, row: int) -> None:
    state = sheet.state
    state[IN_TABLE] = 0
    if state[NUM_CELLS] > 0:
        base = walk.cells[0, START]
        state[GAP] = BLANK
        write_table(sheet, walk.cells, base, state[ROW] + 1)
    widen(sheet, BLANK)


@lean_kernel
def _formula(page: Page, sheet: Sheet, walk: Walk, node: int, bits: int) -> int:
    """Leaves a place for a formula; the node behind it."""
    state = sheet.state
    end = int(page.end[node])
    if end < page.tag.size and page.parent[end] == page.parent[node] and is_math_script(page, end):
        # MathJax 2 leaves the source behind what it has drawn of it.
        return end
    display = state[FLAT] == 0 and is_display(page, node, bits)
    number = state[NUM_SPLICES]
    walk.splices[number, 0] = node
    walk.splices[number, 1] = (2 if state[PREFIX] == 0 else 1) if display else 0
    write_splice(sheet, display)
    return end


@lean_kernel
def _open_special(page: Page, sheet: Sheet, walk: Walk, node: int, bits: int) -> int:
    """Writes an element that is taken as a whole; the node behind it, or -1 where it is not one."""
    kind = int(KINDS[page.tag[node]])
    end = int(page.end[node])
    if kind == DROPPED_KIND or bits & (NOISE | PREVIEW) != 0:
        return end
    if page.tag[node] == _A and is_permalink(page, node):
        return end
    if kind == SCRIPT_KIND:
        if is_math_script(page, node) and is_near_kept(page, node):
            return _formula(page, sheet, walk, node, bits)
        return end
    if kind == PICTURE_KIND:
        if is_picture(page, node, bits) and is_near_kept(page, node):
            return _formula(page, sheet, walk, node, bits)
        return end
    if kind == AREA_KIND:
        if is_code_area(page, node) and is_near_kept(page, node):
            write_code(page, node, sheet)
        return end
    if is_formula(page, node, bits):
        return _formula(page, sheet, walk, node, bits)
    if bits & GUTTER != 0 and count_numbers(page, node) > 0:
        return end
    if (kind == PRE_KIND and bits & VERSE == 0) or is_code_root(page, node, bits):
        write_code(page, node, sheet)
        return end
    if kind == CODE_KIND and sheet.state[TICK] == 0 and has_lines(page, node):
        write_code(page, node, sheet)
        return end
    return -1


@inlined_lean_kernel
def _kind_of(page: Page, node: int) -> int:
    """The kind of an element, by its role where it is a part of a table."""
    part = table_part(page, node)
    if part == TABLE_PART:
        return TABLE_KIND
    if part == ROW_PART:
        return ROW_KIND
    if part == CELL_PART or part == HEADER_PART:
        return CELL_KIND
    return int(KINDS[page.tag[node]])


@lean_kernel
def _is_drawn_later(page: Page, node: int) -> bool:
    """Whether an element without content is a formula that a script would draw from attributes."""
    if page.end[node] != node + 1 or page.stop[node] - page.start[node] < _MIN_DRAWN:
        return False
    bits = class_bits(page.data, page.start[node], page.stop[node])
    return bits & FORMULA != 0 and is_near_kept(page, node)


@lean_kernel
def _is_empty_cell(page: Page, sheet: Sheet, node: int) -> bool:
    """Whether an element is a cell without text, which keeps its place in the table."""
    if sheet.state[IN_TABLE] == 0 or sheet.state[ORIGIN] >= 0:
        return False
    return table_part(page, node) >= CELL_PART


@lean_kernel
def _open(page: Page, sheet: Sheet, walk: Walk, node: int) -> int:
    """Opens an element; the node to go on with."""
    state = sheet.state
    kind = _kind_of(page, node)
    if kind == BR_KIND:
        break_line(sheet)
        return node + 1
    if kind == HR_KIND:
        widen(sheet, BLANK)
        return node + 1
    bits = class_bits(page.data, page.start[node], page.stop[node])
    behind = _open_special(page, sheet, walk, node, bits)
    if behind >= 0:
        return behind
    if kind == INLINE_KIND:
        if _PHRASES[page.tag[node]] and is_displayed_as(page, node, _BLOCK):
            widen(sheet, LINE)
            push(sheet, walk, node, DIVISION_KIND)
        return node + 1
    if kind == CELL_KIND:
        if state[IN_TABLE] == 1 and state[ORIGIN] < 0:
            _open_cell(page, sheet, walk, node)
        else:
            widen(sheet, LINE)
            push(sheet, walk, node, DIVISION_KIND)
        return node + 1
    if kind == ROW_KIND:
        if state[IN_TABLE] == 1 and state[ORIGIN] < 0:
            state[ROW] += 1
        else:
            widen(sheet, LINE)
            push(sheet, walk, node, DIVISION_KIND)
        return node + 1
    if kind == TABLE_KIND:
        _open_table(page, sheet, walk, node, bits)
    elif kind == LIST_KIND:
        open_list(page, sheet, walk, node)
    elif kind == ITEM_KIND:
        open_item(page, sheet, walk, node)
    elif kind == DT_KIND or kind == DD_KIND:
        open_definition(page, sheet, walk, node, kind)
    elif kind == HEADING_KIND:
        widen(sheet, BLANK)
        if state[FLAT] == 0 and not is_prose(page, node):
            state[FLAT] = 1
            state[HEADING] = np.int64(page.tag[node]) - _H1 + 1
            push(sheet, walk, node, HEADING_KIND)
        else:
            push(sheet, walk, node, PARAGRAPH_KIND)
    elif kind == CODE_KIND:
        if state[TICK] == 0:
            state[TICK] = 1
            push(sheet, walk, node, CODE_KIND)
    elif kind == SUPERSCRIPT_KIND or kind == SUBSCRIPT_KIND:
        push(sheet, walk, node, kind)
    elif kind == QUOTED_KIND:
        write_byte(sheet, QUOTE)
        push(sheet, walk, node, QUOTED_KIND)
    else:
        _open_block(sheet, walk, node, kind, bits)
    return node + 1


@lean_kernel
def _open_block(sheet: Sheet, walk: Walk, node: int, kind: int, bits: int) -> None:
    if kind == PRE_KIND:
        widen(sheet, BLANK)
        push(sheet, walk, node, VERSE_KIND)
        return
    widen(sheet, LINE if kind == DIVISION_KIND else BLANK)
    top = push(sheet, walk, node, kind)
    if kind == QUOTE_KIND:
        push_prefix(sheet, _QUOTE_MARK, NO)
    elif kind == DL_KIND and bits & (CODE | LAYOUT) != 0:
        walk.opened[top, KIND_OF] = PARAGRAPH_KIND


@lean_kernel
def _close_script(page: Page, sheet: Sheet, row: int, walk: Walk) -> None:
    """Marks a superscript or a subscript that is part of the word before it.

    An exponent gets `^` and an index of letters `_`, as in plain text of the sciences; figures
    below the line stay as they are (H2O), and so do ordinals (1st) and references: a number that
    is a link, in brackets, or behind a word of more than three letters.
    """
    state = sheet.state
    base, stop = walk.opened[row, BASE], state[LENGTH]
    size = stop - base
    node = walk.opened[row, NODE_OF]
    if size < 1 or size > 12 or base < 1 or state[TICK] == 2:
        return
    letters, digits, others = 0, 0, 0
    for i in range(base, stop):
        c = sheet.out[i]
        if 48 <= c <= 57:
            digits += 1
        elif 97 <= (c | 32) <= 122:
            letters += 1
        elif c in _SCRIPT_SIGNS or 128 <= c < 0xF8:
            others += 1
        else:
            return
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == _A:
            return
    word = 0
    while word < 5 and base - 1 - word >= 0 and 97 <= (sheet.out[base - 1 - word] | 32) <= 122:
        word += 1
    is_index = walk.opened[row, KIND_OF] == SUBSCRIPT_KIND
    if is_index:
        if letters == 0 or not 1 <= word <= 3:
            return
    else:
        before = sheet.out[base - 1]
        is_base = 1 <= word <= 3 or 48 <= before <= 57 or before == 41 or before == 93
        # A lone letter behind a number can be an ordinal (1e, 2o), but not n.
        is_letter = letters == 1 and (word == 1 or sheet.out[base] == 110)
        if not is_base or (digits == 0 and not is_letter):
            return
    if letters > 0 and digits + others > 0:
        insert_byte(sheet, base, LEFT_BRACKET)
        put(sheet, RIGHT_BRACKET)
    insert_byte(sheet, base, UNDERSCORE if is_index else CARET)


@lean_kernel
def _close(page: Page, sheet: Sheet, walk: Walk) -> None:
    """Closes the element that was opened last."""
    state = sheet.state
    walk.depth[0] -= 1
    row = walk.depth[0]
    kind = walk.opened[row, KIND_OF]
    if kind == SUPERSCRIPT_KIND or kind == SUBSCRIPT_KIND:
        _close_script(page, sheet, row, walk)
    elif kind == CODE_KIND:
        end_inline_code(sheet)
    elif kind == QUOTED_KIND:
        if state[GAP] == SPACE:
            state[GAP] = NOTHING
        write_byte(sheet, QUOTE)
    elif kind == CELL_KIND:
        walk.cells[state[NUM_CELLS] - 1, STOP] = state[LENGTH]
        state[GAP] = NOTHING
        state[FLAT] = 0
        state[ORIGIN] = -1
    elif kind == TABLE_KIND:
        _close_table(sheet, walk, row)
    elif kind == HEADING_KIND:
        state[FLAT] = 0
        state[HEADING] = 0
        widen(sheet, BLANK)
    elif kind == DIVISION_KIND or kind == ITEM_KIND or kind == DD_KIND:
        pop_prefix(sheet, walk.opened[row, PREFIX_BEFORE])
        widen(sheet, LINE)
    elif kind == LIST_KIND:
        state[TIGHT_AT] = -1
        pop_prefix(sheet, walk.opened[row, PREFIX_BEFORE])
        above = kind_below(walk, ONE)
        widen(sheet, LINE if above == ITEM_KIND or above == LIST_KIND else BLANK)
    else:
        pop_prefix(sheet, walk.opened[row, PREFIX_BEFORE])
        widen(sheet, BLANK)


@lean_kernel
def _write_node_text(page: Page, sheet: Sheet, walk: Walk, node: int) -> None:
    end = decode_text(page, node, sheet.scratch, NONE)
    if end < 0:
        sheet.state[FULL] = 1
    elif kind_below(walk, ONE) == VERSE_KIND:
        write_line_text(sheet, sheet.scratch, NONE, end)
    else:
        begin = NONE
        while sheet.state[FLAT] == 0:
            first, last = find_commented(sheet.scratch, begin, end)
            if first < 0:
                break
            write_text(sheet, sheet.scratch, begin, first)
            write_line_text(sheet, sheet.scratch, first, last)
            begin = last
        write_text(sheet, sheet.scratch, begin, end)


@kernel
def walk_page(page: Page, sheet: Sheet, walk: Walk) -> None:
    """Writes the kept nodes of a page.

    Args:
        page: The page.
        sheet: Empty; holds the text afterwards, or has state[FULL] set.
        walk: Empty; holds the splices afterwards.
    """
    node, num = ONE, page.tag.size
    while True:
        while walk.depth[0] > 0 and (
            page.end[walk.opened[walk.depth[0] - 1, NODE_OF]] <= node or node >= num
        ):
            _close(page, sheet, walk)
        if node >= num or sheet.state[FULL] == 1:
            return
        if page.tag[node] == TEXT:
            if page.keep[node]:
                _write_node_text(page, sheet, walk, node)
            node += 1
        elif (
            is_wanted(page, node)
            or _ALWAYS[page.tag[node]]
            or _is_empty_cell(page, sheet, node)
            or _is_drawn_later(page, node)
        ):
            node = _open(page, sheet, walk, node)
        else:
            if KINDS[page.tag[node]] != INLINE_KIND and KINDS[page.tag[node]] != DROPPED_KIND:
                widen(sheet, LINE)
            node = page.end[node]
