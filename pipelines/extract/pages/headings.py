"""Headings that are none, and the marks in headings that are no part of them.

Where the end tag of a heading is missing, all paragraphs up to the next one stand in it, and a few
old pages set their text as a heading to have it large: what is longer than any heading is prose.
The permalink of a heading mostly has a class that names it (`rendering_classes`); where it has
none it is told by its text, which is one mark, and its target, which is a fragment.
"""

from typing import Final

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.rendering_constants import name_bytes
from pipelines.extract.pages.rendering_page import Page, find_bytes, holds_at
from pipelines.extract.pages.selection_measures import HEADINGS, MAX_HEADING
from pipelines.extract.pages.tags import TEXT

_MARKS: Final = (name_bytes("#"), name_bytes("¶"), name_bytes("&para;"), name_bytes("&#182;"))
_HREF: Final = name_bytes("href")
_FRAGMENT: Final = name_bytes("#")


@lean_kernel
def is_prose(page: Page, node: int) -> bool:
    """Whether a heading holds more than any heading does: its end tag is missing, or misused.

    Args:
        page: The page.
        node: An element from `h1` to `h6`.
    """
    num = 0
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == TEXT and page.keep[i]:
            for j in range(page.start[i], page.stop[i]):
                num += page.data[j] > 32 and page.data[j] & 0xC0 != 0x80
            if num > MAX_HEADING:
                return True
    return False


@lean_kernel
def is_permalink(page: Page, node: int) -> bool:
    """Whether a link is the mark by which a heading is linked to: `#` or a pilcrow alone.

    Args:
        page: The page.
        node: An `a`.
    """
    text, around = node + 1, page.parent[node]
    if page.end[node] != node + 2 or page.tag[text] != TEXT:
        return False
    if not HEADINGS[page.tag[around]] and not HEADINGS[page.tag[max(page.parent[around], 0)]]:
        return False
    start, stop = page.start[text], page.stop[text]
    while start < stop and page.data[start] <= 32:
        start += 1
    while stop > start and page.data[stop - 1] <= 32:
        stop -= 1
    for mark in _MARKS:
        if stop - start == mark.size and holds_at(page.data, start, mark):
            first, last = find_attribute(page.data, page.start[node], page.stop[node], _HREF)
            return bool(find_bytes(page.data, first, last, _FRAGMENT) >= 0)
    return False
