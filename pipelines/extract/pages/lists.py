"""Lists, their items, and definitions: what stands before a line and how far it is indented.

An item begins with its mark (`- `, `12. `), further lines of it with as many blanks, as CommonMark
0.31 (5.2) wants. An item that only holds another list has no mark: two in one line say nothing to a
reader. Items have a line end between them and no empty line, whatever is in them. A definition is
`: ` below its term, as in PHP Markdown Extra and Pandoc; without a term, where wikis use `<dd>` for
an indented line, it is a line.
"""

from typing import Final

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.rendering_constants import NO, ONE, YES, name_bytes
from pipelines.extract.pages.rendering_page import Page, is_blank_text, number_attribute
from pipelines.extract.pages.rendering_stack import (
    BASE,
    COUNT,
    DD_KIND,
    DIVISION_KIND,
    DL_KIND,
    DT_KIND,
    ITEM_KIND,
    KIND_OF,
    LIST_KIND,
    PREFIX_BEFORE,
    Walk,
    kind_below,
    push,
)
from pipelines.extract.pages.rendering_text import (
    BLANK,
    GAP,
    LENGTH,
    LINE,
    PREFIX,
    TIGHT_AT,
    TIGHT_GAP,
    Sheet,
    lengthen_prefix,
    pop_prefix,
    push_prefix,
    widen,
)
from pipelines.extract.pages.tags import TAG, TEXT

_OL: Final = TAG["ol"]
_DT_TAG: Final = TAG["dt"]
_BULLET: Final = name_bytes("- ")
_INDENT: Final = name_bytes("  ")
_DEFINITION: Final = name_bytes(": ")
_START_NAME: Final = name_bytes("start")
_VALUE_NAME: Final = name_bytes("value")


@lean_kernel
def open_list(page: Page, sheet: Sheet, walk: Walk, node: int) -> None:
    """Opens a list; within an item it begins in the next line."""
    state = sheet.state
    above = kind_below(walk, ONE)
    widen(sheet, LINE if above == ITEM_KIND or above == LIST_KIND else BLANK)
    if above == ITEM_KIND:
        item = walk.depth[0] - 1
        if state[LENGTH] == walk.opened[item, COUNT]:
            # The item has no text of its own: only the inner list has a mark.
            pop_prefix(sheet, walk.opened[item, PREFIX_BEFORE])
    top = push(sheet, walk, node, LIST_KIND)
    if above == LIST_KIND:
        push_prefix(sheet, _INDENT, NO)
    if page.tag[node] == _OL:
        walk.opened[top, COUNT] = number_attribute(page, node, _START_NAME, ONE)
    else:
        walk.opened[top, COUNT] = -1


@lean_kernel
def _push_number(sheet: Sheet, number: int) -> None:
    """Lengthens the prefix by the number of an item, `12. `."""
    state = sheet.state
    digits, rest = 1, number // 10
    while rest > 0:
        digits, rest = digits + 1, rest // 10
    at = state[PREFIX]
    if not lengthen_prefix(sheet, digits + 2):
        return
    for i in range(digits - 1, -1, -1):
        sheet.first[at + i] = 48 + number % 10
        number //= 10
    sheet.first[at + digits] = 46
    sheet.first[at + digits + 1] = 32
    for i in range(digits + 2):
        sheet.prefix[at + i] = 32


@lean_kernel
def open_item(page: Page, sheet: Sheet, walk: Walk, node: int) -> None:
    """Opens an item with its mark, the number of an ordered list counted on."""
    state = sheet.state
    number = -1
    if kind_below(walk, ONE) == LIST_KIND:
        row = walk.depth[0] - 1
        if state[LENGTH] > walk.opened[row, BASE]:
            # Between the items of a list there is a line end, whatever stood in the last one.
            state[GAP] = LINE
        if walk.opened[row, COUNT] >= 0:
            number = number_attribute(page, node, _VALUE_NAME, walk.opened[row, COUNT])
            walk.opened[row, COUNT] = number + 1
    widen(sheet, LINE)
    top = push(sheet, walk, node, ITEM_KIND)
    walk.opened[top, COUNT] = state[LENGTH]
    state[TIGHT_AT] = state[LENGTH]
    state[TIGHT_GAP] = state[GAP]
    if number >= 0:
        _push_number(sheet, number)
    else:
        push_prefix(sheet, _BULLET, YES)


@lean_kernel
def _definitions_row(walk: Walk) -> int:
    """Where on the stack the list of definitions is, perhaps around a group; or -1."""
    row = walk.depth[0] - 1
    if row > 0 and walk.opened[row, KIND_OF] == DIVISION_KIND:
        # HTML standard, 4.4.9: a `<div>` may stand around each group.
        row -= 1
    return int(row) if row >= 0 and walk.opened[row, KIND_OF] == DL_KIND else -1


@lean_kernel
def open_definition(page: Page, sheet: Sheet, walk: Walk, node: int, kind: int) -> None:
    """Opens a term or a definition; what is defined without a term is only indented text."""
    row = _definitions_row(walk)
    if kind == DT_KIND:
        before = node - 1
        while page.tag[before] == TEXT and is_blank_text(page, before):
            before -= 1
        while before > 0 and page.parent[before] > page.parent[node]:
            before = page.parent[before]
        is_next = page.tag[before] == _DT_TAG and page.parent[before] == page.parent[node]
        widen(sheet, LINE if is_next else BLANK)
        if row >= 0:
            walk.opened[row, COUNT] = 1
        push(sheet, walk, node, DIVISION_KIND)
        return
    widen(sheet, LINE)
    has_term = row >= 0 and walk.opened[row, COUNT] == 1
    push(sheet, walk, node, DD_KIND)
    if has_term:
        push_prefix(sheet, _DEFINITION, YES)
