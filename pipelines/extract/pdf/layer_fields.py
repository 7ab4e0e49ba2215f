"""What is typed into a PDF page and drawn over it: values of form fields, and notes as free text.

Viewers draw them from annotations, so they are no characters of the page. Their texts come from
the fields themselves (text fields; chosen options, by the labels that are shown) and from /Contents
of FreeText annotations (ISO 32000-1, 12.5.6.6 and 12.7.4). Where their letters stand only the
drawing says: a value becomes runs at the left of its /Rect, no larger than the text of the page.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_raw

from pipelines.extract.pdf.layer_characters import Floats
from pipelines.extract.pdf.layout_runs import PageRuns

_UNSEEN: Final = pdfium_raw.FPDF_ANNOT_FLAG_HIDDEN | pdfium_raw.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD: Final = 1 << 13  # shown as dots (ISO 32000-1, table 228)
_CHOICES: Final = (pdfium_raw.FPDF_FORMFIELD_COMBOBOX, pdfium_raw.FPDF_FORMFIELD_LISTBOX)
_SIZE: Final = 10.0  # of the letters on a page without others
_PITCH: Final = 1.2  # of the size, from line to line
_WIDTH: Final = 0.5  # of the size, of a letter
_ONE_LINE: Final = 2.5  # of the size: in a field up to this height the line stands in the middle


@dataclass(frozen=True, slots=True)
class Field:
    """A text that is drawn over a page."""

    text: str
    box: tuple[float, float, float, float]
    """Two corners, in user space."""


def read_fields(page: pdfium.PdfPage) -> list[Field]:
    """The texts that a viewer draws over a page, in the order of the file.

    Values of fields are found where the document has been opened with its forms.
    """
    found: list[Field] = []
    for i in range(pdfium_raw.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium_raw.FPDFPage_GetAnnot(page, i)
        if not annotation:
            continue
        try:
            text = _text_of(annotation, page.formenv)
            box = pdfium_raw.FS_RECTF()
            if text.strip() and pdfium_raw.FPDFAnnot_GetRect(annotation, box):
                found.append(Field(text, (box.left, box.bottom, box.right, box.top)))
        finally:
            pdfium_raw.FPDFPage_CloseAnnot(annotation)
    return found


def _text_of(annotation: Any, form: Any) -> str:  # noqa: ANN401
    kind = pdfium_raw.FPDFAnnot_GetSubtype(annotation)
    is_field = kind == pdfium_raw.FPDF_ANNOT_WIDGET and form is not None
    is_note = kind == pdfium_raw.FPDF_ANNOT_FREETEXT
    if not (is_field or is_note) or pdfium_raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
        return ""
    if is_note:
        return _string(pdfium_raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
    kind = pdfium_raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _CHOICES:
        labels = "\n".join(_chosen(annotation, form))
        return labels or _string(pdfium_raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    is_secret = pdfium_raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD
    if kind != pdfium_raw.FPDF_FORMFIELD_TEXTFIELD or is_secret:
        return ""
    return _string(pdfium_raw.FPDFAnnot_GetFormFieldValue, form, annotation)


def _chosen(annotation: Any, form: Any) -> Iterator[str]:  # noqa: ANN401
    """Labels of the options that are chosen in a field."""
    for i in range(pdfium_raw.FPDFAnnot_GetOptionCount(form, annotation)):
        if pdfium_raw.FPDFAnnot_IsOptionSelected(form, annotation, i):
            yield _string(pdfium_raw.FPDFAnnot_GetOptionLabel, form, annotation, i)


def _string(function: Callable[..., int], *arguments: Any) -> str:  # noqa: ANN401
    """What a function of PDFium writes as UTF-16 into a buffer; bad units become U+FFFD."""
    num_bytes = function(*arguments, None, 0)
    buffer = (ctypes.c_ushort * (num_bytes // 2 + 1))()
    function(*arguments, buffer, num_bytes)
    return bytes(buffer)[:num_bytes].decode("utf-16-le", "replace").rstrip("\0")


def with_fields(page: PageRuns, texts: Sequence[str], boxes: Floats) -> PageRuns:
    """A page with the texts drawn over it, as runs after its own.

    Args:
        page: As its characters say.
        texts: None of them empty; they may have several lines.
        boxes: float32[texts, 4], as shown.
    """
    usual = float(np.median(page.size)) if len(page.size) else _SIZE
    lines: list[str] = []
    places: list[tuple[float, float, float, float]] = []
    for text, (x0, y0, x1, y1) in zip(texts, boxes.tolist(), strict=True):
        own = [line.strip() for line in text.splitlines() if line.strip()]
        size = max(1.0, min(usual, (y1 - y0) / len(own)))
        is_level = len(own) == 1 and y1 - y0 <= _ONE_LINE * size
        top = (y0 + y1 - size) / 2 if is_level else y0
        for i, line in enumerate(own):
            y = top + i * min(_PITCH * size, (y1 - y0) / len(own))
            lines.append(line)
            places.append((x0, y, max(x0 + 1, min(x1, x0 + _WIDTH * size * len(line))), y + size))
    box = np.array(places, np.float32).reshape(-1, 4)
    plain = np.zeros(len(lines), np.uint8)

    def longer(flags: Any) -> Any:  # noqa: ANN401
        return None if flags is None else np.concatenate((flags, plain.astype(flags.dtype)))

    return replace(
        page,
        texts=[*page.texts, *lines],
        box=np.concatenate((page.box, box)),
        size=np.concatenate((page.size, box[:, 3] - box[:, 1])),
        bold=longer(page.bold),
        italic=longer(page.italic),
        fixed=longer(page.fixed),
        hidden=longer(page.hidden),
        turn=longer(page.turn),
    )
