r"""The kept nodes of a page as Markdown, for a model to read.

Markdown because models read and write it, and because its marks cost little where there is no
structure: headings (`#`), lists (`-`, `1.`, nested by indentation), fenced code, inline code,
tables as GitHub writes them, quotations (`>`), definitions (`: `), formulas as LaTeX between `$`
or `$$`. Left out is what only a browser uses: images, targets of links, emphasis, and the
backslashes that would protect characters from a Markdown renderer, since the text is not rendered.

What is decided here and why:

- Superscripts that are exponents get `^` and subscripts of letters `_` (10^23, x_i), since without
  a mark they would change numbers; H2O, 1st and references stay as they are.
- Readings of ruby text are left out, `<q>` has its quotation marks, a soft hyphen is nothing.
- A line end in a cell of a table is a space, and a cell over several rows or columns is repeated
  (`tables`).
- Code comes as its author wrote it, without numbers of lines and buttons (`code_blocks`).
- Every formula comes once, from the best source that the page has (`formulas`).

The walk is a kernel over the arrays of the page (`rendering_walk`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.pages.dom import Dom, parse
from pipelines.extract.pages.formulas import latex_of
from pipelines.extract.pages.rendering_page import new_page
from pipelines.extract.pages.rendering_stack import new_walk
from pipelines.extract.pages.rendering_text import (
    FULL,
    LENGTH,
    NUM_SPLICES,
    SPLICE,
    new_sheet,
)
from pipelines.extract.pages.rendering_visible import visible_nodes
from pipelines.extract.pages.rendering_walk import walk_page

# Prefixes of lines, fences and repeated cells can make a text longer than its page; no page that a
# person wrote comes near this many times.
_MAX_GROWTH: Final = 64
_MIN_CAPACITY: Final = 65_536


def render(dom: Dom, keep: NDArray[np.bool_]) -> str:
    """The Markdown of the nodes that are kept.

    Args:
        dom: The page.
        keep: bool[num_nodes]; a text is written where it is True. Of an element it matters only
            where that has no text of its own: an image or a script that is a formula is written
            where it is kept itself, or something in one of the three elements around it.

    Returns:
        The text, without white space at both ends.

    Raises:
        ValueError: The text would be more than 64 times as long as the page.
    """
    page = new_page(dom, keep)
    capacity = 2 * dom.data.size + _MIN_CAPACITY
    while True:
        sheet = new_sheet(capacity)
        walk = new_walk(len(dom))
        walk_page(page, sheet, walk)
        if not sheet.state[FULL]:
            break
        if capacity > _MAX_GROWTH * (dom.data.size + _MIN_CAPACITY):
            raise ValueError(
                f"the text of a page of {dom.data.size:,} bytes would have more than "
                f"{capacity:,}; its lists, quotations and tables are not a person's"
            )
        capacity *= 4
    text = sheet.out[: sheet.state[LENGTH]].tobytes()
    if sheet.state[NUM_SPLICES]:
        return _spliced(dom, text, walk.splices).strip()
    return text.decode("utf-8", "replace").strip()


def _spliced(dom: Dom, text: bytes, splices: NDArray[np.int64]) -> str:
    """The text with its formulas filled in."""
    pieces = text.split(bytes([int(SPLICE)]))
    # In a table a formula can stand again, in each place of a spanning cell.
    formulas: dict[bytes, str] = {}
    result: list[str] = []
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            result.append(piece.decode("utf-8", "replace"))
            continue
        if piece not in formulas:
            node, place = splices[int(piece)].tolist()
            formulas[piece] = _formula(latex_of(dom, node), place)
        if not formulas[piece]:
            # One of the two gaps around it goes too.
            result[-1] = result[-1].removesuffix("\n\n").removesuffix(" ")
        result.append(formulas[piece])
    return "".join(result)


def _formula(latex: str, place: int) -> str:
    """A formula between its delimiters; in one line, where lines have prefixes."""
    if not latex:
        return ""
    if place != 2:
        latex = " ".join(latex.split("\n"))
    if place == 0:
        return f"${latex}$"
    return f"$$\n{latex}\n$$" if "\n" in latex else f"$${latex}$$"


def render_page(data: bytes, *, is_xhtml: bool = False) -> str:
    """The Markdown of all that a reader would see of a page: of chapters of books, of documents.

    Args:
        data: HTML or XHTML in UTF-8.
        is_xhtml: Whether `<a/>` is an empty element, as in the chapters of an EPUB.
    """
    dom = parse(data, is_xhtml=is_xhtml)
    return render(dom, visible_nodes(dom))
