"""One paged file, a PDF or a picture: its pages one by one, and what becomes of the whole.

pages = text + ocr + blank + rejected. The text layer decides where it can be trusted (`triage`);
the other pages, and all pages of a picture file, are drawn and looked at: an even picture is blank,
the rest goes to OCR. Work on pictures is a step of its own, one page at a time, because it takes
seconds and can be divided.

Why a page is rejected: `page_limit` beyond `max_pages`; `ocr_page_limit` beyond `max_ocr_pages`
pictures; `ocr_disabled`; `ocr_budget` other pages of its part needed OCR more; `broken_page` or
`broken_image` cannot be drawn; `page_too_large`, `image_too_large` for OCR or for memory;
`ocr_failed` the engine raised; what the engine says, of RapidOCR `ocr_no_text`, `ocr_unread_ink`,
`ocr_low_confidence` (see `ocr_rapidocr`); and what can end a child process (`crashed`, `timed_out`,
`out_of_memory`).

Why a file is: `encrypted`, `broken_pdf`, `broken_image`, `too_many_pages`; `no_text` where all its
pages are blank; `ocr_disabled` or `ocr_budget` where that is the one reason of its rejected pages,
and `no_good_page` where there are several.
"""

import math
import re
from dataclasses import replace
from typing import Final

import pypdfium2 as pdfium

from pipelines.config import PdfConfig
from pipelines.extract.extracted import Extracted
from pipelines.extract.media import IMAGE_TYPES, PAGED_TYPES, PDF_TYPE, sniff_media_type
from pipelines.extract.pdf import triage
from pipelines.extract.pdf.images import count_frames, render_frame
from pipelines.extract.pdf.joining import joined, settle
from pipelines.extract.pdf.layers import Layer, read_layers
from pipelines.extract.pdf.ocr import ocr_engine
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
    """Reads a paged file from the first page to the last, pictures included.

    Raises:
        ValueError: The engine is not installed.
    """
    found = read_layered_pages(payload, settings)
    scans = [page.page for page in found.pages if page.outcome == SCAN]
    seen = [read_scan(payload, number, settings, found.media_type) for number in scans]
    return joined(found, seen, settings)


def read_layered_pages(payload: bytes, settings: PdfConfig, media_type: str = PDF_TYPE) -> PdfPages:
    """The text layers of a paged file; pages to be looked at have the outcome SCAN.

    Args:
        payload: The file.
        settings: How it is read.
        media_type: As declared; what its bytes show comes first.

    Raises:
        ValueError: The engine is not installed.
    """
    media_type = paged_type(payload, media_type)
    read = _read_frames if media_type in IMAGE_TYPES else _read_layers
    try:
        found = read(payload, settings)
    except PdfRefused as refused:
        found = PdfPages(reason=refused.reason, message=str(refused), meta={})
    return replace(found, media_type=media_type)


def paged_type(payload: bytes, declared: str) -> str:
    """One of `media.PAGED_TYPES`: what the bytes of a paged file show, else what was declared."""
    found = sniff_media_type(payload)
    return found if found in PAGED_TYPES else declared


def _read_layers(payload: bytes, settings: PdfConfig) -> PdfPages:
    with open_pdf(payload) as pdf:
        num_read = min(pdf.num_pages, settings.max_pages)
        layers = read_layers(pdf, num_read, settings.engine)
        pages: list[Page] = []
        num_scans = 0
        for number, layer in enumerate(layers, start=1):
            page = _triaged(number, layer, settings)
            if page.outcome == SCAN:
                page = _picture(pdf, page, num_scans, settings)
                num_scans += page.outcome == SCAN
            pages.append(page)
        pages += _beyond(num_read, pdf.num_pages, settings)
        return PdfPages(meta=read_metadata(pdf), pages=tuple(pages))


def _read_frames(payload: bytes, settings: PdfConfig) -> PdfPages:
    """A picture file: every page is to be looked at."""
    num_frames = count_frames(payload)
    num_read = min(num_frames, settings.max_pages)
    num_scans = min(num_read, settings.max_ocr_pages)
    pages = [Page(page=number, outcome=SCAN, score=1.0) for number in range(1, num_scans + 1)]
    pages += [_beyond_ocr(number, settings) for number in range(num_scans + 1, num_read + 1)]
    return PdfPages(meta={}, pages=(*pages, *_beyond(num_read, num_frames, settings)))


def _triaged(number: int, layer: Layer, settings: PdfConfig) -> Page:
    """A page by its text layer: TEXT, or SCAN with the reason why it is looked at."""
    seen = layer.signs
    signs = triage.page_signs(
        layer.text,
        num_chars=seen.num_chars,
        num_garbled=seen.num_garbled,
        num_unmapped=seen.num_unmapped,
        num_invisible=seen.num_invisible,
        num_covered=seen.num_covered,
        image_share=seen.image_share,
        text_share=seen.text_share,
        num_small_paths=seen.num_small_paths,
    )
    score = triage.score(signs)
    page = Page(
        page=number, outcome=TEXT, text=layer.text, reader=layer.reader, score=score, signs=signs
    )
    if signs.num_chars and score < settings.ocr_threshold:
        return page
    return replace(page, outcome=SCAN, reason=triage.flaw(signs))


def _picture(pdf: PdfFile, page: Page, num_scans: int, settings: PdfConfig) -> Page:
    """A page whose text layer is of no use: blank, to be looked at, or beyond the limit."""
    try:
        with pdf.page(page.page) as opened:
            if is_empty(opened):
                return replace(page, outcome=BLANK, reason=None, text=None, reader=None)
    except pdfium.PdfiumError:
        return _told(page, _rejected(page.page, "broken_page", _NOT_READ))
    if num_scans < settings.max_ocr_pages:
        return page
    return settle(page, _beyond_ocr(page.page, settings))


def _told(layered: Page, seen: Page) -> Page:
    """What was seen, with what is known of the text layer."""
    return replace(seen, score=layered.score, signs=layered.signs)


def _beyond_ocr(number: int, settings: PdfConfig) -> Page:
    message = f"more than {settings.max_ocr_pages} pages of the file are pictures"
    return _rejected(number, "ocr_page_limit", message)


def _beyond(num_read: int, num_pages: int, settings: PdfConfig) -> list[Page]:
    message = f"beyond the first {settings.max_pages} pages of the file"
    numbers = range(num_read + 1, num_pages + 1)
    return [_rejected(number, "page_limit", message) for number in numbers]


def read_scan(
    payload: bytes,
    number: int,
    settings: PdfConfig,
    media_type: str = PDF_TYPE,
    *,
    may_ocr: bool = True,
) -> Page:
    """Draws one page and reads what is on the picture.

    Args:
        payload: The file.
        number: Of the page, from 1.
        settings: With `ocr: none`, blank pages are still told from others.
        media_type: One of `media.PAGED_TYPES`, as `PdfPages` has it.
        may_ocr: Whether the budget reaches the page; else only blank pages are told from others.
    """
    try:
        image, dpi = _drawn(payload, number, media_type)
    except _BrokenPage as broken:
        return _rejected(number, broken.reason, str(broken))
    found = _judged(number, image, settings, may_ocr=may_ocr)
    if found.outcome == BLANK and dpi < _LEAST_DPI:
        message = f"seen at {dpi:.0f} dpi, because it is so large, and nothing can be read on it"
        return _rejected(number, "page_too_large", message)
    return found


class _BrokenPage(Exception):
    """A page that cannot be drawn."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _drawn(payload: bytes, number: int, media_type: str) -> tuple[Image, float]:
    """(the picture of a page, its dots an inch: infinite where a page has no inches)."""
    if media_type in IMAGE_TYPES:
        try:
            return render_frame(payload, number), math.inf
        except PdfRefused as refused:
            raise _BrokenPage(refused.reason, str(refused)) from refused
    try:
        with open_pdf(payload) as pdf, pdf.page(number) as page:
            image = render(page)
            return image, image.shape[1] * 72 / page.get_width()
    except ValueError as error:
        raise _BrokenPage("broken_page", str(error)) from error
    except (pdfium.PdfiumError, PdfRefused) as error:
        raise _BrokenPage("broken_page", _NOT_READ) from error


def _judged(number: int, image: Image, settings: PdfConfig, *, may_ocr: bool) -> Page:
    """Blank, or what OCR reads."""
    ink = ink_share(image)
    if ink < _BLANK_INK:
        return Page(page=number, outcome=BLANK)
    if settings.ocr == "none":
        return _rejected(number, "ocr_disabled", "a picture, and extract.pdf.ocr is none")
    if not may_ocr:
        message = "extract.pdf.ocr_budget went to pages of its part with higher scores"
        return _rejected(number, "ocr_budget", message)
    return _transcribed(number, image, ink, settings.ocr)


def _transcribed(number: int, image: Image, ink: float, engine_name: str) -> Page:
    engine = ocr_engine(engine_name)
    try:
        found = engine.read(image)
    except MemoryError:
        raise
    except Exception as error:  # cv2 and onnxruntime raise classes of their own; a page is lost
        if _OUT_OF_MEMORY.search(str(error)):
            # The limit of this process, not the page: another try in a fresh one may read it.
            raise MemoryError(str(error)) from error
        return _rejected(number, "ocr_failed", f"{type(error).__name__}: {error}")
    if found.text is not None:
        return Page(
            page=number,
            outcome=OCR,
            text=found.text,
            reader=engine.name,
            confidence=found.confidence,
        )
    if found.reason == "ocr_no_text" and ink < _EMPTY_SHEET_INK:
        return Page(page=number, outcome=BLANK)
    rejected = _rejected(number, found.reason or "ocr_failed", found.message or "")
    return replace(rejected, confidence=found.confidence)


def _rejected(number: int, reason: str, message: str) -> Page:
    return Page(page=number, outcome=REJECTED, reason=reason, message=message[:500] or reason)
