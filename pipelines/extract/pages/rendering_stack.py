"""The stack of open elements, and what each element does to the text around it."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel
from pipelines.extract.pages.rendering_constants import fixed
from pipelines.extract.pages.rendering_text import LENGTH, PREFIX, Sheet
from pipelines.extract.pages.tables import NUM_FIELDS
from pipelines.extract.pages.tags import TAG

# What an element does to the text around it.
INLINE_KIND: Final = fixed(0)
DIVISION_KIND: Final = fixed(1)  # begins and ends a line
PARAGRAPH_KIND: Final = fixed(2)  # has empty lines around it
HEADING_KIND: Final = fixed(3)
LIST_KIND: Final = fixed(4)
ITEM_KIND: Final = fixed(5)
QUOTE_KIND: Final = fixed(6)
PRE_KIND: Final = fixed(7)
CODE_KIND: Final = fixed(8)
TABLE_KIND: Final = fixed(9)
ROW_KIND: Final = fixed(10)
CELL_KIND: Final = fixed(11)
BR_KIND: Final = fixed(12)
HR_KIND: Final = fixed(13)
DROPPED_KIND: Final = fixed(14)
DL_KIND: Final = fixed(15)
DT_KIND: Final = fixed(16)
DD_KIND: Final = fixed(17)
SUPERSCRIPT_KIND: Final = fixed(18)
SUBSCRIPT_KIND: Final = fixed(19)
SCRIPT_KIND: Final = fixed(20)
PICTURE_KIND: Final = fixed(21)
QUOTED_KIND: Final = fixed(22)
VERSE_KIND: Final = fixed(23)
AREA_KIND: Final = fixed(24)

_KINDS: Final = {
    DIVISION_KIND: "address center div fieldset form legend option summary optgroup search",
    PARAGRAPH_KIND: "article aside blockquote caption details dialog dir figcaption figure footer "
    "header hgroup main nav p section body",
    HEADING_KIND: "h1 h2 h3 h4 h5 h6",
    LIST_KIND: "ul ol menu dir",
    ITEM_KIND: "li",
    QUOTE_KIND: "blockquote",
    PRE_KIND: "pre listing xmp plaintext",
    CODE_KIND: "code tt samp",
    TABLE_KIND: "table",
    ROW_KIND: "tr",
    CELL_KIND: "td th",
    BR_KIND: "br",
    HR_KIND: "hr",
    # Readings of ruby text are left out: the sentence is its base.
    DROPPED_KIND: "style template svg rt rp rtc head object iframe audio video canvas noembed "
    "noframes select datalist colgroup annotation annotation-xml map amp-ad amp-embed "
    "amp-sticky-ad",
    DL_KIND: "dl",
    DT_KIND: "dt",
    DD_KIND: "dd",
    SUPERSCRIPT_KIND: "sup",
    SUBSCRIPT_KIND: "sub",
    SCRIPT_KIND: "script",
    PICTURE_KIND: "img",
    QUOTED_KIND: "q",
    AREA_KIND: "textarea",
}


def _kinds() -> NDArray[np.uint8]:
    """The kind of each tag: uint8[256]."""
    kinds = np.zeros(256, np.uint8)
    for kind, names in _KINDS.items():
        kinds[[TAG[name] for name in names.split()]] = kind
    return kinds


KINDS: Final = _kinds()


# Columns of the stack of open elements.
NODE_OF: Final = 0
KIND_OF: Final = 1
PREFIX_BEFORE: Final = 2  # length of the prefix before it
COUNT: Final = 3  # of a list: its items so far; of an item: bytes written when it began
BASE: Final = 4  # where its text begins
NUM_OPEN_FIELDS: Final = 5


class Walk(NamedTuple):
    """What the walk keeps beside the text."""

    opened: NDArray[np.int64]
    """int64[depth, 5]: the open elements that have something to do when they end."""
    cells: NDArray[np.int64]
    """int64[num_nodes, NUM_FIELDS]: the cells of the table that is being read."""
    splices: NDArray[np.int64]
    """int64[num_splices, 2]: the node of each splice, and 1 where it is a line of its own, 2
    where that line has no prefix."""
    depth: NDArray[np.int64]
    """int64[1]: how many elements are on the stack."""


def new_walk(num_nodes: int) -> Walk:
    """An empty stack.

    Args:
        num_nodes: Nodes of the page.
    """
    return Walk(
        np.empty((num_nodes, NUM_OPEN_FIELDS), np.int64),
        np.empty((num_nodes, NUM_FIELDS), np.int64),
        np.empty((num_nodes, 2), np.int64),
        np.zeros(1, np.int64),
    )


@inlined_lean_kernel
def push(sheet: Sheet, walk: Walk, node: int, kind: int) -> int:
    """Opens an element; its row of the stack."""
    top = walk.depth[0]
    walk.opened[top, NODE_OF] = node
    walk.opened[top, KIND_OF] = kind
    walk.opened[top, PREFIX_BEFORE] = sheet.state[PREFIX]
    walk.opened[top, COUNT] = 0
    walk.opened[top, BASE] = sheet.state[LENGTH]
    walk.depth[0] = top + 1
    return int(top)


@inlined_lean_kernel
def kind_below(walk: Walk, below: int) -> int:
    """The kind of the element that was opened last (1), or before that; 0 where there is none."""
    row = walk.depth[0] - below
    return int(walk.opened[row, KIND_OF]) if row >= 0 else 0
