"""Opening PDF files with PDFium (through pypdfium2): pages, metadata, pictures of pages.

PDFium rebuilds broken cross-reference tables and reads files with an empty user password, as
viewers do, so it decides which files can be read at all. Everything that it hands out is closed
here, because its memory is not Python's.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_raw

Image = npt.NDArray[np.uint8]
"""A picture of a page, uint8[height, width, 3], blue first."""

_META: Final = {"Title": "title", "Author": "author"}
_DATE: Final = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
# A4 at 1,600 pixels (137 dpi): RapidOCR reads print of 6 points there, and larger pictures cost
# detection time without a better text. Large sheets get 100 dpi, within 3 megapixels, because
# detection needs about 0.5 GB a megapixel.
_LONGEST_PIXELS: Final = 1600
_MIN_DPI: Final = 100
_MAX_PIXELS: Final = 3e6
# The number of pages is what a file says, up to a million in a few bytes; each page is a row.
_MAX_CLAIMED_PAGES: Final = 50_000
_POINTS_PER_INCH: Final = 72


class PdfRefused(Exception):
    """A file that cannot be read; `reason` is that of the reject."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PdfFile:
    """An open PDF."""

    document: pdfium.PdfDocument
    payload: bytes

    @property
    def num_pages(self) -> int:
        """Pages, as the file says."""
        return len(self.document)

    @contextmanager
    def page(self, number: int) -> Iterator[pdfium.PdfPage]:
        """One page, by its number from 1.

        Raises:
            pdfium.PdfiumError: It cannot be read.
        """
        page = self.document[number - 1]
        try:
            yield page
        finally:
            page.close()


@contextmanager
def open_pdf(payload: bytes) -> Iterator[PdfFile]:
    """Opens a PDF, with the empty user password where it has one.

    Raises:
        PdfRefused: `encrypted` (it asks for a password), `broken_pdf`, or `too_many_pages`.
    """
    try:
        document = pdfium.PdfDocument(payload)
    except pdfium.PdfiumError as error:
        # PDFium's own error code is that of an earlier file where it sets none, so it says nothing.
        if b"/Encrypt" in payload:
            raise PdfRefused(
                "encrypted", "the file is encrypted and asks for a password"
            ) from error
        raise PdfRefused("broken_pdf", "PDFium finds no pages in the file") from error
    try:
        _open_forms(document)
        if not len(document):
            raise PdfRefused("broken_pdf", "the file has no page")
        if len(document) > _MAX_CLAIMED_PAGES:
            message = (
                f"the file claims {len(document)} pages; at most {_MAX_CLAIMED_PAGES} are counted"
            )
            raise PdfRefused("too_many_pages", message)
        yield PdfFile(document, payload)
    finally:
        document.close()


def _open_forms(document: pdfium.PdfDocument) -> None:
    """Opens the forms of a document, so that fields are read and drawn as a viewer draws them.

    Not by `init_forms` of pypdfium2, which logs advice to rebuild it wherever a form is XFA too.
    """
    if document.get_formtype() == pdfium_raw.FORMTYPE_NONE:
        return
    config = pdfium_raw.FPDF_FORMFILLINFO(version=2)
    form = pdfium_raw.FPDFDOC_InitFormFillEnvironment(document, config)
    if form:
        document.formenv = pdfium.PdfFormEnv(form, config)


def read_metadata(pdf: PdfFile) -> dict[str, str]:
    """Title, author and date (of creation, ISO 8601, as far as it is given) of a PDF.

    A value that is no UTF-16 is left out.
    """
    found = {ours: _metadata(pdf, theirs).strip() for theirs, ours in _META.items()}
    date = _DATE.match(_metadata(pdf, "CreationDate"))
    if date is not None:
        found["date"] = "-".join(piece for piece in date.groups() if piece)
    return {key: value.replace("\x00", "") for key, value in found.items() if value}


def _metadata(pdf: PdfFile, key: str) -> str:
    try:
        value: str = pdf.document.get_metadata_value(key)
    except UnicodeDecodeError:
        return ""
    return value


def rewritten(pdf: PdfFile) -> bytes:
    """The file as PDFium understands it: tables repaired, encryption with no password undone."""
    target = BytesIO()
    pdf.document.save(target, flags=pdfium_raw.FPDF_REMOVE_SECURITY)
    return target.getvalue()


def image_share(page: pdfium.PdfPage) -> float:
    """Share of a page that its largest picture covers, in [0, 1]."""
    width, height = page.get_size()
    largest = 0.0
    for item in page.get_objects(filter=(pdfium_raw.FPDF_PAGEOBJ_IMAGE,)):
        left, bottom, right, top = item.get_bounds()
        wide = min(right, width) - max(left, 0.0)
        high = min(top, height) - max(bottom, 0.0)
        largest = max(largest, max(wide, 0.0) * max(high, 0.0))
    return min(1.0, largest / (width * height)) if width * height > 0 else 0.0


def is_empty(page: pdfium.PdfPage) -> bool:
    """Whether nothing at all is drawn on a page: no object, no annotation."""
    has_objects = pdfium_raw.FPDFPage_CountObjects(page) > 0
    return not has_objects and pdfium_raw.FPDFPage_GetAnnotCount(page) == 0


def render(page: pdfium.PdfPage) -> Image:
    """A picture of a page, annotations and form fields included, as RapidOCR wants it.

    Raises:
        pdfium.PdfiumError: PDFium cannot draw it.
        ValueError: The page has no size, or is too thin a strip for a picture.
    """
    width, height = _size(page)
    scale = max(_LONGEST_PIXELS / max(width, height), _MIN_DPI / _POINTS_PER_INCH)
    scale = min(scale, math.sqrt(_MAX_PIXELS / (width * height)))
    # A strip of a page would become thinner than a pixel.
    scale = max(scale, 1 / min(width, height))
    if scale * scale * width * height > _MAX_PIXELS + 1:
        raise ValueError(
            f"the page measures {width:g} x {height:g} points; one pixel of its short side makes "
            f"the long one too long for a picture of {_MAX_PIXELS:.0f} pixels"
        )
    return _picture(page, scale)


def render_to(page: pdfium.PdfPage, longest_side: int, max_dpi: float) -> Image:
    """A picture of a page whose longer side has so many pixels, fewer where the dpi end sooner.

    Raises:
        pdfium.PdfiumError: PDFium cannot draw it.
        ValueError: The page has no size, or is too thin a strip for a picture.
    """
    width, height = _size(page)
    # PDFium's sides are rounded up: a hair less, or the last digit makes a pixel more.
    scale = min((longest_side - 1e-3) / max(width, height), max_dpi / _POINTS_PER_INCH)
    if scale * min(width, height) < 1:
        raise ValueError(
            f"the page measures {width:g} x {height:g} points; its short side would be thinner "
            f"than a pixel where the long one has {longest_side}"
        )
    return _picture(page, scale)


def _size(page: pdfium.PdfPage) -> tuple[float, float]:
    """(width, height) in points."""
    width, height = page.get_size()
    if not (width > 0 and height > 0 and math.isfinite(width * height)):
        raise ValueError(f"the page measures {width:g} x {height:g} points")
    return width, height


def _picture(page: pdfium.PdfPage, scale: float) -> Image:
    bitmap = page.render(scale=scale, rev_byteorder=False)
    try:
        pixels: Any = bitmap.to_numpy()
        return np.ascontiguousarray(pixels[:, :, :3])
    finally:
        bitmap.close()


def ink_share(image: Image) -> float:
    """Share of the pixels that differ clearly from the most usual brightness of a picture."""
    grey = image.mean(axis=2, dtype=np.float32)
    usual = float(np.median(grey[::4, ::4]))
    return float(np.mean(np.abs(grey - usual) > 48))
