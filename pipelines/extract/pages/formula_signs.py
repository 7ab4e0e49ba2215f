"""Which elements are formulas, and whether in a line of their own: the questions of the walk.

What the formula says is told by `formulas`, in Python; here only how it is marked: by MathML, by
the classes of KaTeX, MathJax and MediaWiki, by a picture made from LaTeX, by a script that holds
it, or by an element whose text is its source (pandoc, Sphinx, MkDocs, GitLab, Stack Exchange).
"""

from typing import Final

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.rendering_classes import DISPLAY, FORMULA, SURE_TEX, TEX
from pipelines.extract.pages.rendering_constants import name_bytes
from pipelines.extract.pages.rendering_page import Page, begins_with, find_bytes
from pipelines.extract.pages.tags import TAG, TEXT

_TYPE: Final = name_bytes("type")
_MATH_TYPE: Final = name_bytes("math/")
_MODE_DISPLAY: Final = name_bytes("mode=display")
_DISPLAY_NAME: Final = name_bytes("display")
_STYLE_NAME: Final = name_bytes("data-math-style")
_TRUE: Final = name_bytes("true")
_BLOCK: Final = name_bytes("block")
_SRC: Final = name_bytes("src")
_ALT: Final = name_bytes("alt")
# Services that draw LaTeX given in the address: WordPress.com, CodeCogs, Zhihu, Wikimedia, Google
# Chart, MathTeX and mimeTeX.
_LATEX: Final = name_bytes("latex")
_TEX_QUERY: Final = name_bytes("tex=")
_RENDER: Final = name_bytes("/math/render/")
_CHART: Final = name_bytes("cht=tx")
_MATHTEX: Final = name_bytes("mathtex")
_MIMETEX: Final = name_bytes("mimetex")
_MATH: Final = TAG["math"]
_CODE: Final = TAG["code"]
_DIV: Final = TAG["div"]
_PRE: Final = TAG["pre"]
_P: Final = TAG["p"]
# The source of a formula; longer texts under such a name are chapters about mathematics.
_MAX_SOURCE: Final = 8_000
_MAX_DRAWN: Final = 20_000


@lean_kernel
def is_math_script(page: Page, node: int) -> bool:
    """Whether an element is a script that holds a formula: `<script type="math/tex">`."""
    return begins_with(page, node, _TYPE, _MATH_TYPE)


@lean_kernel
def is_picture(page: Page, node: int, bits: int) -> bool:
    """Whether an image is a formula that was LaTeX once.

    Args:
        page: The page.
        node: An `img`.
        bits: What its classes say.
    """
    data, start, stop = page.data, page.start[node], page.stop[node]
    first, last = find_attribute(data, start, stop, _ALT)
    has_alt = last > first
    if has_alt and bits & (FORMULA | TEX) != 0:
        return True
    if has_alt and (data[first] == 36 or data[first] == 92):
        return True
    first, last = find_attribute(data, start, stop, _SRC)
    for sign in (_TEX_QUERY, _CHART, _MATHTEX, _MIMETEX, _RENDER, _LATEX):
        if find_bytes(data, first, last, sign) >= 0:
            return True
    return False


@lean_kernel
def is_formula(page: Page, node: int, bits: int) -> bool:
    """Whether an element is a formula as a whole.

    Args:
        page: The page.
        node: An element, no script and no image.
        bits: What its classes say.
    """
    if page.tag[node] == _MATH:
        return True
    if bits & FORMULA != 0:
        return bool(page.end[node] - node < _MAX_DRAWN)
    return bits & TEX != 0 and _is_source(page, node, bits)


@lean_kernel
def _is_source(page: Page, node: int, bits: int) -> bool:
    """Whether the text of an element is LaTeX, and there is nothing else in it."""
    size, is_tex = 0, bits & SURE_TEX != 0
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == _CODE:
            continue
        if page.tag[i] != TEXT:
            return False
        size += page.stop[i] - page.start[i]
        for j in range(page.start[i], page.stop[i]):
            c = page.data[j]
            # \ ^ _ {
            is_tex |= c == 92 or c == 94 or c == 95 or c == 123
    return bool(is_tex and 0 < size <= _MAX_SOURCE)


@lean_kernel
def _begins_display(page: Page, node: int) -> bool:
    r"""Whether the text of an element begins with `$$`, `\[` or `\begin`."""
    for i in range(node + 1, page.end[node]):
        if page.tag[i] != TEXT:
            continue
        at, stop = page.start[i], page.stop[i]
        while at < stop and page.data[at] <= 32:
            at += 1
        if at + 1 >= stop:
            continue
        first, second = page.data[at], page.data[at + 1]
        is_dollars = first == 36 and second == 36
        return bool(is_dollars or (first == 92 and (second == 91 or second == 98)))
    return False


@lean_kernel
def is_display(page: Page, node: int, bits: int) -> bool:
    """Whether a formula stands in a line of its own.

    Args:
        page: The page.
        node: Its root.
        bits: What the classes of the root say.
    """
    if bits & DISPLAY != 0:
        return True
    if begins_with(page, node, _TYPE, _MATH_TYPE):
        first, last = find_attribute(page.data, page.start[node], page.stop[node], _TYPE)
        return find_bytes(page.data, first, last, _MODE_DISPLAY) >= 0
    if (
        begins_with(page, node, _DISPLAY_NAME, _TRUE)
        or begins_with(page, node, _DISPLAY_NAME, _BLOCK)
        or begins_with(page, node, _STYLE_NAME, _DISPLAY_NAME)
    ):
        return True
    if bits & TEX != 0:
        tag = page.tag[node]
        return tag == _DIV or tag == _PRE or tag == _P or _begins_display(page, node)
    for i in range(node + 1, page.end[node]):
        if page.tag[i] == _MATH:
            return begins_with(page, i, _DISPLAY_NAME, _BLOCK)
    return False
