"""One PDF: its pages one by one, and what becomes of the whole.

pages = text + ocr + blank + rejected. The text layer decides where it can be trusted (`layers`);
the other pages are drawn and looked at: an even picture is blank, the rest goes to OCR. Work on
pictures is a step of its own, one page at a time, because it takes seconds and can be divided.

Why a page is rejected: `page_limit` beyond `max_pages`; `ocr_page_limit` beyond `max_ocr_pages`
pictures; `ocr_disabled`; `broken_page` cannot be drawn; `ocr_failed` the engine raised;
`ocr_no_text`, `ocr_unread_ink`, `ocr_low_confidence` (see `ocr`); and what can end a child process
(`crashed`, `timed_out`, `out_of_memory`).

Why a file is: `encrypted`, `broken_pdf`, `too_many_pages`; `no_text` where all its pages are blank;
`ocr_disabled` where that is the one reason of its rejected pages, and `no_good_page` where there
are several.
"""

import re
from dataclasses import replace
from typing import Final

import pypdfium2 as pdfium

from pipelines.config import PdfConfig
from pipelines.extract.extracted import Extracted
from pipelines.extract.pdf.joining import joined, settle
from pipelines.extract.pdf.layers import read_layers
from pipelines.extract.pdf.ocr import read_picture
from pipelines.extract.pdf.opening import (
    Image,
    PdfFile,
    PdfRefused,
    ink_share,
    is_empty,
    open_pdf,
    read_metadata,
    render,
)
from pipelines.extract.pdf.schema import BLANK, OCR, REJECTED, SCAN, TEXT, Page, PdfPages
from pipelines.extract.pdf.versions import ocr_version

# No word of PDFium's: its error codes can be those of an earlier file.
_NOT_READ: Final = "PDFium cannot read or draw the page"
# 60 of 2 million pixels: less than one letter of 6 points.
_BLANK_INK: Final = 3e-5
# Letters of 12 points are 5 pixels high at this; below it a line of text looks like nothing.
_LEAST_DPI: Final = 30
_OUT_OF_MEMORY: Final = re.compile(r"bad_alloc|[Ff]ailed to allocate|[Ii]nsufficient memory")
# Specks, folds and shadows of an empty sheet: OCR finds no line in so little ink.
_EMPTY_SHEET_INK: Final = 5e-3


def read_pdf(payload: bytes, settings: PdfConfig) -> Extracted:
    """Reads a PDF from the first page to the last, pictures included.

    Raises:
        ValueError: The engine is not installed.
    """
    found = read_layered_pages(payload, settings)
    scans = [page.page for page in found.pages if page.outcome == SCAN]
    return joined(found, [read_scan(payload, number, settings) for number in scans], settings)


def read_layered_pages(payload: bytes, settings: PdfConfig) -> PdfPages:
    """The text layers of a PDF; pages to be looked at have the outcome SCAN.

    Raises:
        ValueError: The engine is not installed.
    """
    try:
        with open_pdf(payload) as pdf:
            num_read = min(pdf.num_pages, settings.max_pages)
            layers = read_layers(pdf, num_read, settings.engine)
            pages: list[Page] = []
            num_scans = 0
            for number, layer in enumerate(layers, start=1):
                page = Page(page=number, outcome=TEXT, text=layer.text, reader=layer.reader)
                if layer.flaw is not None:
                    page = _picture(pdf, replace(page, reason=layer.flaw), num_scans, settings)
                    num_scans += page.outcome == SCAN
                pages.append(page)
            pages += _beyond(num_read, pdf.num_pages, settings)
            return PdfPages(meta=read_metadata(pdf), pages=tuple(pages))
    except PdfRefused as refused:
        return PdfPages(reason=refused.reason, message=str(refused), meta={})


def _picture(pdf: PdfFile, page: Page, num_scans: int, settings: PdfConfig) -> Page:
    """A page whose text layer is of no use: blank, to be looked at, or beyond the limit."""
    try:
        with pdf.page(page.page) as opened:
            if is_empty(opened):
                return Page(page=page.page, outcome=BLANK)
    except pdfium.PdfiumError:
        return _rejected(page.page, "broken_page", _NOT_READ)
    if num_scans < settings.max_ocr_pages:
        return replace(page, outcome=SCAN)
    message = f"more than {settings.max_ocr_pages} pages of the file are pictures"
    return settle(page, _rejected(page.page, "ocr_page_limit", message))


def _beyond(num_read: int, num_pages: int, settings: PdfConfig) -> list[Page]:
    message = f"beyond the first {settings.max_pages} pages of the file"
    numbers = range(num_read + 1, num_pages + 1)
    return [_rejected(number, "page_limit", message) for number in numbers]


def read_scan(payload: bytes, number: int, settings: PdfConfig) -> Page:
    """Draws one page and reads what is on the picture.

    Args:
        payload: The PDF.
        number: Of the page, from 1.
        settings: With `ocr: none`, blank pages are still told from others.
    """
    try:
        with open_pdf(payload) as pdf, pdf.page(number) as page:
            image = render(page)
            dpi = image.shape[1] * 72 / page.get_width()
    except ValueError as error:
        return _rejected(number, "broken_page", str(error))
    except (pdfium.PdfiumError, PdfRefused):
        return _rejected(number, "broken_page", _NOT_READ)
    found = _judged(number, image, settings)
    if found.outcome == BLANK and dpi < _LEAST_DPI:
        message = f"seen at {dpi:.0f} dpi, because it is so large, and nothing can be read on it"
        return _rejected(number, "page_too_large", message)
    return found


def _judged(number: int, image: Image, settings: PdfConfig) -> Page:
    """Blank, or what OCR reads."""
    ink = ink_share(image)
    if ink < _BLANK_INK:
        return Page(page=number, outcome=BLANK)
    if settings.ocr == "none":
        return _rejected(number, "ocr_disabled", "a picture, and extract.pdf.ocr is none")
    return _transcribed(number, image, ink)


def _transcribed(number: int, image: Image, ink: float) -> Page:
    try:
        found = read_picture(image)
    except MemoryError:
        raise
    except Exception as error:  # cv2 and onnxruntime raise classes of their own; a page is lost
        if _OUT_OF_MEMORY.search(str(error)):
            # The limit of this process, not the page: another try in a fresh one may read it.
            raise MemoryError(str(error)) from error
        return _rejected(number, "ocr_failed", f"{type(error).__name__}: {error}")
    if found.text is not None:
        return Page(page=number, outcome=OCR, text=found.text, reader=ocr_version())
    if found.reason == "ocr_no_text" and ink < _EMPTY_SHEET_INK:
        return Page(page=number, outcome=BLANK)
    return _rejected(number, found.reason or "ocr_failed", found.message or "")


def _rejected(number: int, reason: str, message: str) -> Page:
    return Page(page=number, outcome=REJECTED, reason=reason, message=message[:500] or reason)
