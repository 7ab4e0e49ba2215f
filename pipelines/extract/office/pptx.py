"""PPTX by python-pptx: each slide a section, its title a heading, then texts and tables by place.

Shapes of a slide are read from top to bottom and from left to right; notes of the speaker follow
the slide that they belong to. Charts and pictures are left out.
"""

from collections.abc import Iterable
from html import escape
from importlib.metadata import version
from io import BytesIO
from typing import Any, Final

from pptx import Presentation
from pptx.exc import PackageNotFoundError

from pipelines.extract.office.package import OfficeRefused, Package, facts_of
from pipelines.extract.pages.rendering import render_page

READER: Final = f"pptx/1+python-pptx/{version('python-pptx')}"
_CORE: Final = "docProps/core.xml"
_BAND: Final = (
    457_200  # EMU, half an inch: shapes whose tops differ by less stand beside each other
)


def read_pptx(package: Package) -> tuple[str, dict[str, str]]:
    """The text of slides as Markdown, and what the file says of itself.

    Raises:
        OfficeRefused: `broken_document`, `encrypted` or `unpacked_too_large`.
    """
    facts = facts_of(package.xml(_CORE)) if package.has(_CORE) else {}
    for info in package.archive.infolist():
        if info.filename.endswith((".xml", ".rels")):
            package.read(info.filename)  # python-pptx unpacks without a limit; this has one
    try:
        slides = Presentation(_payload(package)).slides
        html = "".join(_slide(slide) for slide in slides)
    except (PackageNotFoundError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise OfficeRefused("broken_document", f"{type(error).__name__}: {error}") from error
    return render_page(html.encode("utf-8")), facts


def _payload(package: Package) -> BytesIO:
    assert isinstance(package.archive.fp, BytesIO)
    return BytesIO(package.archive.fp.getvalue())


def _slide(slide: Any) -> str:  # noqa: ANN401 - python-pptx has no types
    title = slide.shapes.title
    pieces = []
    if title is not None and title.text_frame.text.strip():
        pieces.append(f"<h2>{_words(title.text_frame.text)}</h2>")
    for shape in _in_order(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            pieces.append(_shape(shape))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        pieces.append(_paragraphs(slide.notes_slide.notes_text_frame))
    return "".join(pieces)


def _in_order(shapes: Iterable[Any]) -> list[Any]:
    return sorted(shapes, key=lambda shape: ((shape.top or 0) // _BAND, shape.left or 0))


def _shape(shape: Any) -> str:  # noqa: ANN401
    if hasattr(shape, "shapes"):
        return "".join(_shape(one) for one in _in_order(shape.shapes))
    if getattr(shape, "has_table", False):
        return _table(shape.table)
    if shape.has_text_frame:
        return _paragraphs(shape.text_frame)
    return ""


def _table(table: Any) -> str:  # noqa: ANN401
    rows = []
    for row in table.rows:
        cells = "".join(
            f'<td colspan="{cell.span_width if cell.is_merge_origin else 1}">'
            f"{_words(cell.text_frame.text)}</td>"
            for cell in row.cells
            if not (cell.is_spanned and not cell.is_merge_origin)
        )
        rows.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _paragraphs(frame: Any) -> str:  # noqa: ANN401
    """Paragraphs; those of a deeper level are items of lists within each other."""
    pieces, open_lists = [], 0
    for paragraph in frame.paragraphs:
        text = _words(paragraph.text)
        if not text.strip():
            continue
        level = min(int(paragraph.level or 0), 8)
        pieces.append("<ul>" * (level - open_lists) + "</ul>" * (open_lists - level))
        open_lists = level
        pieces.append(f"<li>{text}</li>" if level else f"<p>{text}</p>")
    return "".join(pieces) + "</ul>" * open_lists


def _words(text: str) -> str:
    """Text in HTML; a vertical tab is a line break within a paragraph."""
    return escape(text, quote=False).replace("\v", "<br>").replace("\n", "<br>")
