"""XPS and OpenXPS: runs of glyphs with their places, read by the layout code of PDF pages.

A package names its document sequence, that its documents, those their pages (ECMA-388, 9 and 10).
A page is `Glyphs` with the text (`UnicodeString`), origin and size of its letters, in 1/96 inch,
under transforms of `Canvas` elements. The width of a run is not written down: it is that of its
`Indices`, where they give advances, and half the size for every other letter.
"""

import re
from typing import Final

import numpy as np
import numpy.typing as npt
from lxml import etree

from pipelines.extract.office.package import (
    MAX_DEPTH,
    OfficeRefused,
    Package,
    attribute,
    facts_of,
    local_name,
    resolved,
)
from pipelines.extract.pdf.layout import PageRuns, layout_pages

_SEQUENCE_TYPE: Final = "fixedrepresentation"
_CORE: Final = "docProps/core.xml"
_POINTS: Final = 72 / 96
_ADVANCE: Final = 0.5  # of the size, where a run does not say
_ADVANCE_CJK: Final = 1.0
_FIRST_WIDE: Final = "\u2e80"
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_MAX_PAGES: Final = 10_000

Matrix = npt.NDArray[np.float64]


def read_xps(package: Package) -> tuple[str, dict[str, str]]:
    """The text of a document as Markdown, and what it says of itself.

    Raises:
        OfficeRefused: `broken_document`, `encrypted`, `unpacked_too_large` or `too_many_pages`.
    """
    names = _pages(package)
    if len(names) > _MAX_PAGES:
        message = f"{len(names)} pages; at most {_MAX_PAGES} are read"
        raise OfficeRefused("too_many_pages", message)
    facts = facts_of(package.xml(_CORE)) if package.has(_CORE) else {}
    found = layout_pages([_runs(package.xml(name)) for name in names])
    return "\n\n".join(page.text for page in found if page.text.strip()), facts


def _pages(package: Package) -> list[str]:
    """Names of the pages, in order."""
    start = ""
    for element in package.xml("_rels/.rels").iter():
        if (attribute(element, "Type") or "").endswith(_SEQUENCE_TYPE):
            start = resolved("", attribute(element, "Target") or "")
    if not start:
        raise OfficeRefused("broken_document", "the package names no sequence of documents")
    return [
        page
        for document in _sources(package, start, "DocumentReference")
        for page in _sources(package, document, "PageContent")
    ]


def _sources(package: Package, name: str, tag: str) -> list[str]:
    found = (e for e in package.xml(name).iter() if local_name(e) == tag)
    return [resolved(name, attribute(element, "Source") or "") for element in found]


def _runs(page: etree._Element) -> PageRuns:
    found: list[tuple[str, tuple[float, float, float, float], float, bool, bool]] = []
    _walk(page, np.eye(3), found, 0)
    texts, boxes, sizes, bold, italic = zip(*found, strict=True) if found else ((),) * 5
    return PageRuns(
        width=_length(page, "Width") * _POINTS,
        height=_length(page, "Height") * _POINTS,
        texts=list(texts),
        box=np.array(boxes, np.float32).reshape(-1, 4),
        size=np.array(sizes, np.float32),
        bold=np.array(bold, np.bool_),
        italic=np.array(italic, np.bool_),
    )


def _walk(
    element: etree._Element,
    matrix: Matrix,
    found: list[tuple[str, tuple[float, float, float, float], float, bool, bool]],
    depth: int,
) -> None:
    if depth > MAX_DEPTH:
        raise OfficeRefused("broken_document", f"elements nest more than {MAX_DEPTH} deep")
    matrix = _transform(element) @ matrix
    if local_name(element) == "Glyphs":
        _take(element, matrix, found)
    for child in element:
        name = local_name(child)
        if name and not name.endswith((".Resources", ".Clip", ".RenderTransform")):
            _walk(child, matrix, found, depth + 1)


def _transform(element: etree._Element) -> Matrix:
    written = attribute(element, "RenderTransform")
    if written is None:
        for child in element:
            if local_name(child).endswith(".RenderTransform"):
                written = next((attribute(e, "Matrix") for e in child.iter() if e is not child), "")
    numbers = [float(value) for value in _NUMBER.findall(written or "")]
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        return np.eye(3)
    a, b, c, d, x, y = numbers
    return np.array([[a, b, 0.0], [c, d, 0.0], [x, y, 1.0]])


def _take(
    element: etree._Element,
    matrix: Matrix,
    found: list[tuple[str, tuple[float, float, float, float], float, bool, bool]],
) -> None:
    text = (attribute(element, "UnicodeString") or "").removeprefix("{}")
    size = _length(element, "FontRenderingEmSize")
    if not text.strip() or size <= 0:
        return
    x, y = _length(element, "OriginX"), _length(element, "OriginY")
    width = _width(text, attribute(element, "Indices") or "", size)
    is_rtl = int(_length(element, "BidiLevel")) % 2 == 1
    x0, x1 = (x - width, x) if is_rtl else (x, x + width)
    corners = np.array([[x0, y - size, 1.0], [x1, y + 0.2 * size, 1.0]]) @ matrix
    low, high = corners[:, :2].min(axis=0) * _POINTS, corners[:, :2].max(axis=0) * _POINTS
    scale = float(np.hypot(matrix[1, 0], matrix[1, 1]))
    style = attribute(element, "StyleSimulations") or ""
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    found.append((text, box, size * scale * _POINTS, "Bold" in style, "Italic" in style))


def _width(text: str, indices: str, size: float) -> float:
    """Advances of a run: hundredths of the size, written behind a comma (ECMA-388, 12.1.3)."""
    advances = [(_ADVANCE_CJK if letter >= _FIRST_WIDE else _ADVANCE) * size for letter in text]
    for number, entry in enumerate(indices.split(";")[: len(advances)]):
        fields = entry.split(",")
        written = _NUMBER.match(fields[1]) if len(fields) > 1 else None
        if written:
            advances[number] = float(written[0]) * size / 100
    return sum(advances)


def _length(element: etree._Element, name: str) -> float:
    written = _NUMBER.match((attribute(element, name) or "").strip())
    value = float(written[0]) if written else 0.0
    return value if abs(value) < 1e6 else 0.0
