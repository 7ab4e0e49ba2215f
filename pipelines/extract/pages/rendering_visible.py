"""What of a page a reader would see: everything that is not hidden, in the head, or a control."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel, lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.dom import Dom
from pipelines.extract.pages.formula_signs import is_math_script
from pipelines.extract.pages.rendering_page import Page, is_displayed_as, new_page
from pipelines.extract.pages.tags import TAG, TEXT, tag_set

_NOT_SHOWN: Final = tag_set(
    "head style template iframe object select datalist noembed noframes button title map amp-ad "
    "amp-embed amp-sticky-ad"
)
_SCRIPT: Final = TAG["script"]
_HIDDEN: Final = np.frombuffer(b"hidden", np.uint8)
_NONE: Final = np.frombuffer(b"none", np.uint8)


@lean_kernel
def _is_hidden(page: Page, node: int) -> bool:
    """Whether an element is hidden by its own attributes."""
    data, start, stop = page.data, page.start[node], page.stop[node]
    first, _ = find_attribute(data, start, stop, _HIDDEN)
    return bool(first >= 0 or is_displayed_as(page, node, _NONE))


@kernel
def _mark_visible(page: Page, keep: NDArray[np.bool_]) -> None:
    """Sets True for the nodes that are shown."""
    node = 1
    while node < page.tag.size:
        tag = page.tag[node]
        if tag == TEXT:
            keep[node] = True
        elif (
            _NOT_SHOWN[tag]
            or (tag == _SCRIPT and not is_math_script(page, node))
            or _is_hidden(page, node)
        ):
            node = page.end[node]
            continue
        else:
            keep[node] = True
        node += 1


def visible_nodes(dom: Dom) -> NDArray[np.bool_]:
    """The nodes that are shown: bool[num_nodes].

    Args:
        dom: The page.
    """
    keep = np.zeros(len(dom), np.bool_)
    _mark_visible(new_page(dom, keep), keep)
    return keep
