"""One paged file, a PDF or a picture: its pages one by one, and what becomes of the whole.

pages = text + ocr + blank + rejected. The text layer decides where it can be trusted (`triage`);
the other pages, and all pages of a picture file, are drawn and looked at: an even picture is blank,
the rest goes to OCR. Work on pictures is a step of its own, one page at a time, because it takes
seconds and can be divided.

Why a page is rejected: `page_limit` beyond `max_pages`; `ocr_page_limit` beyond `max_ocr_pages`
pictures; `ocr_disabled`; `ocr_budget` other pages of its part needed OCR more; `broken_page` or
`broken_image` cannot be drawn; `page_too_large`, `image_too_large` for OCR or for memory;
`ocr_failed` the engine raised; what the engine says, of RapidOCR `ocr_no_text`, `ocr_unread_ink`,
`ocr_low_confidence` (see `ocr_rapidocr`), of a vision-language model `vl_truncated`,
`vl_repeating`, `vl_refused`, `vl_failed` (see `vl_ladder`); and what can end a child process
(`crashed`, `timed_out`, `out_of_memory`).

Why a file is: `encrypted`, `broken_pdf`, `broken_image`, `too_many_pages`; `no_text` where all its
pages are blank; `too_many_failed_pages` that a model could not read; `ocr_disabled` or `ocr_budget`
where that is the one reason of its rejected pages, and `no_good_page` where there are several.
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
from pipelines.extract.pdf.images import count_frames, each_frame, render_frame
from pipelines.extract.pdf.joining import joined, settle
from pipelines.extract.pdf.layers import Layer, read_layers
from pipelines.extract.pdf.ocr import Reading, ocr_engine
from pipelines.extract.pdf.opening import (
    Image,
    PdfFile,
    PdfRefused,
    ink_share,
    is_empty,
    open_pdf,
    read_metadata,
    render,
    render_to,
)
from pipelines.extract.pdf.schema import (
    BLANK,
    EMPTY_SHEET_INK,
    NO_LAYER,
    OCR,
    REJECTED,
    SCAN,
    TEXT,
    Drawing,
    Outcome,
    Page,
    PdfPages,
)
from pipelines.extract.pdf.vl_pictures import png_of

# No word of PDFium's: its error codes can be those of an earlier file.
_NOT_READ: Final = "PDFium cannot read or draw the page"
# 60 of 2 million pixels: less than one letter of 6 points.
_BLANK_INK: Final = 3e-5
# Letters of 12 points are 5 pixels high at this; below it a line of text looks like nothing.
_LEAST_DPI: Final = 30
# Where no font says what its codes mean, they are often numbers of glyphs in the order of TrueType
# fonts for Latin text (OpenType, `post` table, version 1), 29 below ASCII; `letters` needs more
# than a few words to find that out.
_ALL_GUESSED: Final = 0.9
_LEAST_LETTERS: Final = 12
_GLYPH_SHIFT: Final = 29
_FEW_LETTERS: Final = 160
_SURELY_SHIFTED: Final = 0.95
_VOWELS: Final = frozenset("aeiouyAEIOUY")
_FEWEST_VOWELS: Final = 0.26  # as in `letters`
_OUT_OF_MEMORY: Final = re.compile(r"bad_alloc|[Ff]ailed to allocate|[Ii]nsufficient memory")
# Pages smaller than 11 cm are drawn smaller than asked for: print is not made of more dots.
_MOST_DPI: Final = 300


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
    if num_read > settings.max_ocr_pages:
        pages = _chosen_frames(payload, num_read, settings)
    else:
        pages = [_frame(number, SCAN) for number in range(1, num_read + 1)]
    return PdfPages(meta={}, pages=(*pages, *_beyond(num_read, num_frames, settings)))


def _chosen_frames(payload: bytes, num_read: int, settings: PdfConfig) -> list[Page]:
    """Frames of which not all can go to OCR: those that need none take nobody's place."""
    pages: list[Page] = []
    num_scans = 0
    for number, frame in enumerate(each_frame(payload, num_read), start=1):
        if isinstance(frame, PdfRefused):
            pages.append(_rejected(number, frame.reason, str(frame)))
        elif ink_share(frame) < _BLANK_INK:
            pages.append(_frame(number, BLANK))
        elif num_scans < settings.max_ocr_pages:
            pages.append(_frame(number, SCAN))
            num_scans += 1
        else:
            pages.append(_beyond_ocr(number, settings))
    return pages


def _frame(number: int, outcome: Outcome) -> Page:
    return Page(page=number, outcome=outcome, score=1.0)


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
    if signs.unmapped >= _ALL_GUESSED and _is_shifted(layer.text):
        score = max(score, _SURELY_SHIFTED)
    page = Page(
        page=number, outcome=TEXT, text=layer.text, reader=layer.reader, score=score, signs=signs
    )
    if not layer.text.strip():
        # Blanks alone, or nothing but what the layout leaves out: only the picture can tell.
        return replace(page, outcome=SCAN, reason=NO_LAYER, score=1.0)
    if signs.num_chars and score < settings.ocr_threshold:
        return page
    return replace(page, outcome=SCAN, reason=triage.flaw(signs))


def _is_shifted(text: str) -> bool:
    """Whether a few words are glyph numbers: shifted back they are letters, with more vowels.

    No letter is 29 above A, B and C, which words in capitals seldom do without.

    >>> _is_shifted("&KDSWHU IRXU KRUVHV"), _is_shifted("KEY INVESTOR INFORMATION")
    (True, False)
    """
    shown = [char for char in text if "!" <= char <= "~"]
    if len(shown) >= _FEW_LETTERS or any(map(str.islower, shown)):
        return False
    shifted = [chr(ord(char) + _GLYPH_SHIFT) for char in shown]
    letters = [char for char in shifted if char.isascii() and char.isalpha()]
    if len(letters) < max(_LEAST_LETTERS, len(shown)):
        return False
    return _share_of_vowels(letters) >= max(_FEWEST_VOWELS, _share_of_vowels(shown))


def _share_of_vowels(chars: list[str]) -> float:
    return sum(char in _VOWELS for char in chars) / len(chars)


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
    ink = ink_share(image)
    found = _unread(number, ink, settings, may_ocr=may_ocr)
    return _seen(found or _transcribed(number, image, ink, settings.ocr), dpi)


def draw_scan(
    payload: bytes,
    number: int,
    settings: PdfConfig,
    media_type: str = PDF_TYPE,
    *,
    may_ocr: bool = True,
) -> Drawing:
    """Draws one page for a model that reads pictures; arguments are those of `read_scan`.

    Returns:
        The picture; without a file where the page needs no reading, or cannot be drawn.
    """
    try:
        image, dpi = _drawn(payload, number, media_type, settings.vl.longest_side)
    except _BrokenPage as broken:
        return Drawing(page=_rejected(number, broken.reason, str(broken)))
    ink = ink_share(image)
    found = _unread(number, ink, settings, may_ocr=may_ocr)
    if found is not None:
        return Drawing(page=_seen(found, dpi), ink=ink)
    png = png_of(image, settings.vl.longest_side)
    return Drawing(page=Page(page=number, outcome=SCAN), ink=ink, png=png)


def _seen(found: Page, dpi: float) -> Page:
    """A page as it was found; nothing is said to be blank of which too little was to be seen."""
    if found.outcome == BLANK and dpi < _LEAST_DPI:
        message = f"seen at {dpi:.0f} dpi, because it is so large, and nothing can be read on it"
        return _rejected(found.page, "page_too_large", message)
    return found


class _BrokenPage(Exception):
    """A page that cannot be drawn."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _drawn(
    payload: bytes, number: int, media_type: str, longest_side: int | None = None
) -> tuple[Image, float]:
    """(the picture of a page, its dots an inch: infinite where a page has no inches).

    Args:
        payload: The file.
        number: Of the page, from 1.
        media_type: One of `media.PAGED_TYPES`.
        longest_side: Of the picture of a page of a PDF, in pixels; None: as RapidOCR wants it.
    """
    if media_type in IMAGE_TYPES:
        try:
            return render_frame(payload, number), math.inf
        except PdfRefused as refused:
            raise _BrokenPage(refused.reason, str(refused)) from refused
    try:
        with open_pdf(payload) as pdf, pdf.page(number) as page:
            image = (
                render(page) if longest_side is None else render_to(page, longest_side, _MOST_DPI)
            )
            return image, image.shape[1] * 72 / page.get_width()
    except ValueError as error:
        raise _BrokenPage("broken_page", str(error)) from error
    except (pdfium.PdfiumError, PdfRefused) as error:
        raise _BrokenPage("broken_page", _NOT_READ) from error


def _unread(number: int, ink: float, settings: PdfConfig, *, may_ocr: bool) -> Page | None:
    """Blank, or why it is not read; None where it is to be read."""
    if ink < _BLANK_INK:
        return Page(page=number, outcome=BLANK)
    if settings.ocr == "none":
        return _rejected(number, "ocr_disabled", "a picture, and extract.pdf.ocr is none")
    if not may_ocr:
        message = "extract.pdf.ocr_budget went to pages of its part with higher scores"
        return _rejected(number, "ocr_budget", message)
    return None


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
    if found.text is not None and not found.text.strip():
        found = Reading(
            reason="ocr_no_text", message="OCR gives blanks alone", confidence=found.confidence
        )
    if found.text is not None:
        return Page(
            page=number,
            outcome=OCR,
            text=found.text,
            reader=engine.name,
            confidence=found.confidence,
        )
    if found.reason == "ocr_no_text" and ink < EMPTY_SHEET_INK:
        return Page(page=number, outcome=BLANK)
    rejected = _rejected(number, found.reason or "ocr_failed", found.message or "")
    return replace(rejected, confidence=found.confidence)


def _rejected(number: int, reason: str, message: str) -> Page:
    return Page(page=number, outcome=REJECTED, reason=reason, message=message[:500] or reason)
