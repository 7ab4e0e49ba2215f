"""The stack of open elements, so that every question the rules ask of it costs one look.

The HTML standard words its rules as walks up the stack ("has an element in button scope", "if node
is special, stop"). On a page of 100,000 elements nested into each other, walks take time that
grows with the square of its length; so each entry carries, from the one below it, the place of the
nearest boundary of every kind, and each name the place of its topmost element. "p in button scope"
then is `last[p] >= stack[top, BUTTON]`. What is popped was pushed once, so pops are linear too.

Numbers of places: 0 is the document, the boundary of everything and never an element, so 0 also
says "none open".

Tables, all int64 in row-major order, a row an entry: `nodes[num_nodes, 5]`, `stack[depth, 12]`,
`last[512]` (the topmost open element by tag number; of unknown names by 256 + 8 bits of their hash)
and `state`. One row a node keeps all writes in one cache line; the columns are split at the end.

Source: HTML standard, 13.2.4.2 (the stack of open elements: scopes and special elements).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.tags import TAG, UNKNOWN, tag_set

Table = NDArray[np.int64]

NODE_TAG, NODE_PARENT, NODE_END, NODE_START, NODE_STOP = range(5)
NODE_COLUMNS: Final = 5

ENTRY_NODE, ENTRY_TAG, ENTRY_NAME, ENTRY_PREVIOUS = 0, 1, 2, 3
SPECIAL: Final = 4
"""Nearest special element."""
ITEM_BAR: Final = 5
"""Nearest special element but address, div and p: where the search for an open li ends."""
SCOPE, BUTTON, LIST, TABLE = 6, 7, 8, 9
"""Nearest boundary of the scopes: (plain), button, list item, table."""
CONTEXT: Final = 10
"""What content here is: HTML, MATH or SVG."""
FOREIGN: Final = 11
"""Lowest of the unbroken run of MathML or SVG elements that ends here; 0 in HTML."""
CLOSING: Final = 12
"""Whether its end tag has come while a block stood open in it: it is popped once it is on top."""
ENTRY_COLUMNS: Final = 13
HTML, MATH, SVG = 0, 1, 2

COUNT: Final = 0
"""Number of nodes."""
TOP: Final = 1
"""Place of the top of the stack."""
HAS_HTML, HAS_HEAD, IN_BODY, HAS_FORM, NO_QUIRKS, IS_XHTML = 2, 3, 4, 5, 6, 7
STATE_SIZE: Final = 8
LAST_SIZE: Final = 512

_SPECIAL_SET: Final = tag_set(
    "address applet area article aside base basefont bgsound blockquote body br button caption "
    "center col colgroup dd details dir div dl dt embed fieldset figcaption figure footer form "
    "frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input keygen li link "
    "listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext pre "
    "script search section select source style summary table tbody td template textarea tfoot th "
    "thead title tr track ul wbr xmp"
)
_NO_BAR: Final = tag_set("address div p")
_SCOPE_SET: Final = tag_set("applet caption html table td th marquee object template")
_TABLE_SET: Final = tag_set("html table template")
_BUTTON: Final = TAG["button"]
_OL, _UL = TAG["ol"], TAG["ul"]
# HTML stands in these again: MathML text integration points, HTML integration points.
_INTEGRATION: Final = tag_set("mi mo mn ms mtext annotation-xml foreignobject desc title")


@inlined_lean_kernel
def key_of(tag: int, name: int) -> int:
    """The place of a name in `last`."""
    return 256 + (name & 255) if tag == UNKNOWN else tag


@lean_kernel
def add_node(nodes: Table, stack: Table, state: Table, tag: int, start: int, stop: int) -> int:
    """Adds a node without children below the top of the stack.

    Returns:
        Its number.
    """
    number = state[COUNT]
    state[COUNT] = number + 1
    nodes[number, NODE_TAG] = tag
    nodes[number, NODE_PARENT] = stack[state[TOP], ENTRY_NODE]
    nodes[number, NODE_END] = number + 1
    nodes[number, NODE_START] = start
    nodes[number, NODE_STOP] = stop
    return int(number)


@lean_kernel
def push(
    stack: Table, last: Table, state: Table, node: int, tag: int, name: int, context: int
) -> None:
    """Opens the element of a node.

    Args:
        stack: The entries.
        last: The topmost by name.
        state: Of the parse.
        node: Its number.
        tag: Its tag.
        name: Hash of its name.
        context: What its content is: HTML, MATH or SVG.
    """
    below = state[TOP]
    top = below + 1
    state[TOP] = top
    key = key_of(tag, name)
    stack[top, ENTRY_NODE] = node
    stack[top, ENTRY_TAG] = tag
    stack[top, ENTRY_NAME] = name
    stack[top, ENTRY_PREVIOUS] = last[key]
    last[key] = top
    is_foreign = context != HTML or (stack[below, CONTEXT] != HTML and _INTEGRATION[tag])
    is_boundary = is_foreign and context == HTML
    is_special = is_boundary or (not is_foreign and _SPECIAL_SET[tag])
    is_scope = is_boundary or (not is_foreign and _SCOPE_SET[tag])
    is_list = not is_foreign and (tag == _OL or tag == _UL)
    stack[top, SPECIAL] = top if is_special else stack[below, SPECIAL]
    stack[top, ITEM_BAR] = top if is_special and not _NO_BAR[tag] else stack[below, ITEM_BAR]
    stack[top, SCOPE] = top if is_scope else stack[below, SCOPE]
    is_button = not is_foreign and tag == _BUTTON
    stack[top, BUTTON] = top if is_scope or is_button else stack[below, BUTTON]
    stack[top, LIST] = top if is_scope or is_list else stack[below, LIST]
    is_table = not is_foreign and _TABLE_SET[tag]
    stack[top, TABLE] = top if is_table else stack[below, TABLE]
    stack[top, CONTEXT] = context
    stack[top, FOREIGN] = 0
    if is_foreign:
        stack[top, FOREIGN] = stack[below, FOREIGN] if stack[below, CONTEXT] != HTML else top
    stack[top, CLOSING] = 0


@lean_kernel
def pop_to(nodes: Table, stack: Table, last: Table, state: Table, place: int) -> None:
    """Closes all elements from the top down to the one at a place, and what then waits for it."""
    top = state[TOP]
    count = state[COUNT]
    while top >= place or (top > 0 and stack[top, CLOSING]):
        nodes[stack[top, ENTRY_NODE], NODE_END] = count
        last[key_of(stack[top, ENTRY_TAG], stack[top, ENTRY_NAME])] = stack[top, ENTRY_PREVIOUS]
        top -= 1
    state[TOP] = top


@inlined_lean_kernel
def is_within(last: Table, stack: Table, state: Table, tag: int, scope: int) -> bool:
    """Whether an element is open within a scope (a column of the stack)."""
    place = last[tag]
    return bool(place > 0 and place >= stack[state[TOP], scope])
