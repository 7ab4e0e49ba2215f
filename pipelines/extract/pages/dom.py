"""A page as arrays: one row a node, in the order of the page, and no Python object for any.

The nodes are elements and texts in pre-order, so the subtree of node i is the range [i, end[i]) and
all questions about it (how much text, how much of it in links, which table) are one pass over a
slice. Nothing is copied out of the page: a text is a range of its bytes with the character
references still in it, an element is the range of its attributes. A page of 142 KB (the mean of
596 real ones) has 1,624 nodes, 41 KB in these arrays. `start` never falls from node to node, so the
node at a byte is found by bisection.

`parsing` makes the arrays, by the rules of the HTML standard as far as they matter for text.
Differences that a reader of the arrays should know:

- `html`, `head`, `body`, `tbody` are nodes only where the page writes them; a `tr` is added where
  cells stand in a table without one.
- Comments, doctypes and processing instructions are no nodes. A text around one is two nodes, side
  by side, with nothing between them.
- White space alone is no node where it can have no effect: in the document, html, head, parts of
  tables outside of cells, lists outside of items, select.
- Line ends are as the page has them, CRLF too. The line feed that follows `<pre>` and `<textarea>`
  is not part of their text.
- A template is an element like others; its content is no part of what a reader sees.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.pages.tags import DOCUMENT, TAG, TAGS, TEXT, UNKNOWN

__all__ = ["DOCUMENT", "TAG", "TAGS", "TEXT", "UNKNOWN", "Dom", "name_of", "parse"]


@dataclass(frozen=True, slots=True)
class Dom:
    """The nodes of a page; node 0 is the document. All arrays are read-only."""

    data: NDArray[np.uint8]
    """The page as UTF-8 without NUL: `uint8[num_bytes]`."""
    tag: NDArray[np.uint8]
    """TEXT, UNKNOWN, or the number of the element's name in TAGS: `uint8[num_nodes]`."""
    parent: NDArray[np.int32]
    """The node around each, -1 for node 0: `int32[num_nodes]`."""
    end: NDArray[np.int32]
    """The node behind the last of the subtree: `int32[num_nodes]`."""
    start: NDArray[np.int64]
    """First byte of a text, or of an element's attributes behind its name: `int64[num_nodes]`."""
    stop: NDArray[np.int64]
    """The byte behind the last of these; of an element with a tag, that is its `>`."""

    def __len__(self) -> int:
        return self.tag.size


def parse(data: bytes | NDArray[np.uint8], *, is_xhtml: bool = False) -> Dom:
    """Parses a page.

    Args:
        data: The page in UTF-8, without a byte order mark (`charset.decode_bytes` gives that). NUL
            is taken out, as browsers do in texts. Bytes that are not UTF-8 do no harm: they stay
            in texts and attributes as they are.
        is_xhtml: Whether `<a/>` is an empty element, as in XML; in HTML it is a start tag.

    Returns:
        Its nodes; a page without any has the document alone.
    """
    # Here, because numba loads for a second, and who reads a Dom that is given needs none of it.
    from pipelines.extract.pages.parsing import parse_nodes

    if isinstance(data, bytes):
        data = np.frombuffer(data.replace(b"\x00", b""), np.uint8)
    elif data.size and not data.all():
        data = np.frombuffer(data.tobytes().replace(b"\x00", b""), np.uint8)
    else:
        data = np.ascontiguousarray(data).view()
        data.flags.writeable = False
    return Dom(data, *parse_nodes(data, is_xhtml))


def name_of(dom: Dom, node: int) -> str:
    """The name of an element in lower case, of an unknown one as the page writes it."""
    tag = int(dom.tag[node])
    if tag != UNKNOWN:
        return TAGS[tag]
    start = int(dom.start[node])
    first = start
    while first > 0 and dom.data[first - 1] != 0x3C:
        first -= 1
    return dom.data[first:start].tobytes().decode("utf-8", "replace").lower()
