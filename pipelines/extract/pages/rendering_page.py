"""A page as kernels of rendering take it, and the questions about a node that several ask."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.dom import Dom
from pipelines.extract.pages.entities import MAX_GROWTH, put_decoded
from pipelines.extract.pages.rendering_constants import fixed, name_bytes
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

# Their text has no character references (HTML standard, 13.2.5: raw text).
RAW_TEXT: Final = tag_set("script style xmp iframe noembed noframes plaintext")
BLOCKS: Final = tag_set(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav ol p "
    "pre search section summary table tbody tfoot thead tr ul xmp"
)


class Page(NamedTuple):
    """The arrays of a Dom and which of its nodes are wanted.

    All numbers of nodes are int64 here: a kernel is compiled once for each width that it meets.
    """

    data: NDArray[np.uint8]
    tag: NDArray[np.uint8]
    parent: NDArray[np.int64]
    end: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    keep: NDArray[np.bool_]
    """bool[num_nodes]"""
    kept: NDArray[np.int64]
    """int64[num_nodes + 1]: how many nodes before each are kept."""
    note: NDArray[np.int64]
    """int64[num_nodes], for kernels to write on."""


def new_page(dom: Dom, keep: NDArray[np.bool_]) -> Page:
    """The page with the texts and elements that are kept.

    Args:
        dom: The page.
        keep: bool[num_nodes].
    """
    num = len(dom)
    kept = np.zeros(num + 1, np.int64)
    np.cumsum(keep, out=kept[1:])
    return Page(
        data=dom.data,
        tag=dom.tag,
        parent=dom.parent.astype(np.int64),
        end=dom.end.astype(np.int64),
        start=dom.start,
        stop=dom.stop,
        keep=keep,
        kept=kept,
        note=np.empty(num, np.int64),
    )


@inlined_lean_kernel
def is_wanted(page: Page, node: int) -> bool:
    """Whether anything in a subtree is kept."""
    return bool(page.kept[page.end[node]] > page.kept[node])


@lean_kernel
def is_near_kept(page: Page, node: int) -> bool:
    """Whether an element without text stands among text that is kept.

    Args:
        page: The page.
        node: An element.
    """
    if page.keep[node]:
        return True
    around = page.parent[node]
    for _ in range(3):
        if around <= 0:
            return False
        if is_wanted(page, around):
            return True
        around = page.parent[around]
    return False


@lean_kernel
def is_blank_text(page: Page, node: int) -> bool:
    """Whether a text is white space alone."""
    for i in range(page.start[node], page.stop[node]):
        c = page.data[i]
        if c > 32:
            return False
    return True


@lean_kernel
def number_attribute(page: Page, node: int, name: NDArray[np.uint8], otherwise: int) -> int:
    """The number in an attribute, of at most 9 digits.

    Args:
        page: The page.
        node: An element.
        name: uint8[k], the attribute.
        otherwise: Given where there is none.
    """
    first, last = find_attribute(page.data, page.start[node], page.stop[node], name)
    while first < last and page.data[first] <= 32:
        first += 1
    value, num = 0, 0
    while first < last and num < 9 and 48 <= page.data[first] <= 57:
        value = value * 10 + int(page.data[first]) - 48
        first += 1
        num += 1
    return value if num > 0 else otherwise


@lean_kernel
def begins_with(page: Page, node: int, name: NDArray[np.uint8], value: NDArray[np.uint8]) -> bool:
    """Whether the value of an attribute begins so, without regard to case and leading blanks.

    Args:
        page: The page.
        node: An element.
        name: uint8[k], the attribute.
        value: uint8[n], in lower case.
    """
    first, last = find_attribute(page.data, page.start[node], page.stop[node], name)
    while first < last and page.data[first] <= 32:
        first += 1
    return last - first >= value.size and holds_at(page.data, first, value)


@lean_kernel
def holds_at(data: NDArray[np.uint8], at: int, value: NDArray[np.uint8]) -> bool:
    """Whether these bytes stand there, without regard to the case of ASCII letters."""
    for i in range(value.size):
        c = data[at + i]
        if 65 <= c <= 90:
            c += 32
        if c != value[i]:
            return False
    return True


@lean_kernel
def find_bytes(data: NDArray[np.uint8], start: int, stop: int, value: NDArray[np.uint8]) -> int:
    """Where these bytes first stand in a range, without regard to case; -1 where they do not."""
    for at in range(start, stop - value.size + 1):
        c = data[at]
        if 65 <= c <= 90:
            c += 32
        if c == value[0] and holds_at(data, at, value):
            return at
    return -1


_STYLE: Final = name_bytes("style")
_DISPLAY: Final = name_bytes("display")


@lean_kernel
def is_displayed_as(page: Page, node: int, value: NDArray[np.uint8]) -> bool:
    """Whether an element's own style gives its `display` this value.

    Args:
        page: The page.
        node: An element.
        value: uint8[n], in lower case.
    """
    data = page.data
    first, last = find_attribute(data, page.start[node], page.stop[node], _STYLE)
    at = find_bytes(data, first, last, _DISPLAY) if last > first else -1
    if at < 0:
        return False
    at += _DISPLAY.size
    while at < last and (data[at] <= 32 or data[at] == 58):
        at += 1
    return bool(at + value.size <= last and holds_at(data, at, value))


@lean_kernel
def decode_text(page: Page, node: int, out: NDArray[np.uint8], at: int) -> int:
    """Writes a text with its character references decoded.

    Args:
        page: The page.
        node: A text.
        out: uint8[capacity], written on from `at`.
        at: Where its first byte goes.

    Returns:
        The place behind its last byte, or -1 where there may be no room for it.
    """
    start, stop = page.start[node], page.stop[node]
    if at + MAX_GROWTH * (stop - start) > out.size:
        return -1
    if RAW_TEXT[page.tag[page.parent[node]]]:
        for i in range(start, stop):
            out[at] = page.data[i]
            at += 1
        return at
    return put_decoded(page.data, start, stop, out, at, False)


@lean_kernel
def count_numbers(page: Page, node: int) -> int:
    """How many numbers the texts of an element are, if they count up by one; 0 if anything else."""
    last, num = -1, 0
    for i in range(node + 1, page.end[node]):
        if page.tag[i] != TEXT:
            continue
        value = -1
        for j in range(page.start[i], page.stop[i] + 1):
            c = int(page.data[j]) if j < page.stop[i] else 32
            if 48 <= c <= 57:
                value = min(max(value, 0) * 10 + c - 48, 1_000_000_000)
            elif c > 32:
                return 0
            elif value >= 0:
                if num > 0 and value != last + 1:
                    return 0
                last, value, num = value, -1, num + 1
    return num


# Parts of tables, by their elements or by the roles of WAI-ARIA 1.2 (5.3, table and grid).
NO_PART: Final = fixed(0)
TABLE_PART: Final = fixed(1)
ROW_PART: Final = fixed(2)
CELL_PART: Final = fixed(3)
HEADER_PART: Final = fixed(4)
_PART_OF_TAG: Final = np.zeros(256, np.int64)
for _name, _part in (("table", 1), ("tr", 2), ("td", 3), ("th", 4)):
    _PART_OF_TAG[TAG[_name]] = _part
_CAN_HAVE_ROLE: Final = tag_set("div span section")
_ROLE: Final = name_bytes("role")
_ROLES_TABLE: Final = (name_bytes("table"), name_bytes("grid"), name_bytes("treegrid"))
_ROLE_ROW: Final = name_bytes("row")
_ROLES_CELL: Final = (name_bytes("cell"), name_bytes("gridcell"))
_ROLES_HEADER: Final = (name_bytes("columnheader"), name_bytes("rowheader"))


@lean_kernel
def _is_value(data: NDArray[np.uint8], first: int, last: int, value: NDArray[np.uint8]) -> bool:
    return last - first == value.size and holds_at(data, first, value)


@lean_kernel
def table_part(page: Page, node: int) -> int:
    """Which part of a table an element is, or NO_PART."""
    part = int(_PART_OF_TAG[page.tag[node]])
    if part != 0 or not _CAN_HAVE_ROLE[page.tag[node]]:
        return part
    data = page.data
    first, last = find_attribute(data, page.start[node], page.stop[node], _ROLE)
    if last <= first:
        return NO_PART
    if _is_value(data, first, last, _ROLE_ROW):
        return ROW_PART
    for role in _ROLES_TABLE:
        if _is_value(data, first, last, role):
            return TABLE_PART
    for role in _ROLES_CELL:
        if _is_value(data, first, last, role):
            return CELL_PART
    for role in _ROLES_HEADER:
        if _is_value(data, first, last, role):
            return HEADER_PART
    return NO_PART
