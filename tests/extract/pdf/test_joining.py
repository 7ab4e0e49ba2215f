"""What a page is after its text layer was doubted and its picture was looked at."""

import pytest

from pipelines.config import PdfConfig
from pipelines.extract.pdf.joining import joined, settle
from pipelines.extract.pdf.schema import (
    BLANK,
    GARBLED,
    HIDDEN,
    NO_LAYER,
    OCR,
    PICTURE,
    REJECTED,
    SCAN,
    SUSPECT,
    TEXT,
    Page,
    PdfPages,
)

TRUE = "The ferry left at seven and came back at noon, and nobody had seen the other shore. " * 2
JUNK = "Sgd edqqx kdes zs rdudm zmc bzld azbj zs mnnm, zmc mnancx gzc rddm sgd nsgdq rgnqd. " * 2


def layered(reason: str, text: str, score: float) -> Page:
    return Page(page=3, outcome=SCAN, reason=reason, text=text, reader="pdfium/1", score=score)


READ = Page(page=3, outcome=OCR, text=TRUE, reader="rapidocr/3")
UNREAD = Page(page=3, outcome=REJECTED, reason="ocr_unread_ink", message="unknown letters")
UNASKED = Page(page=3, outcome=REJECTED, reason="ocr_budget", message="spent")
EMPTY = Page(page=3, outcome=BLANK)


@pytest.mark.parametrize(
    ("reason", "text", "score", "seen", "outcome", "kept"),
    [
        (SUSPECT, TRUE.replace("noon", "n00n"), 0.6, READ, TEXT, "layer"),  # reads the same
        (SUSPECT, JUNK, 0.9, READ, OCR, "seen"),
        (SUSPECT, JUNK, 0.9, UNREAD, REJECTED, None),
        (SUSPECT, TRUE, 0.4, UNREAD, TEXT, "layer"),  # rather good, in letters OCR cannot read
        (GARBLED, TRUE, 0.4, READ, OCR, "seen"),  # OCR has all letters
        (GARBLED, TRUE, 0.4, UNREAD, TEXT, "layer"),
        (GARBLED, JUNK, 0.8, UNASKED, REJECTED, None),
        (HIDDEN, JUNK, 0.9, READ, OCR, "seen"),
        (HIDDEN, TRUE, 0.9, UNASKED, TEXT, "layer"),
        (HIDDEN, "a few words", 0.9, UNREAD, REJECTED, None),
        (PICTURE, "a few words", 0.6, READ, OCR, "seen"),  # OCR reads clearly more
        (PICTURE, TRUE, 0.6, READ, TEXT, "layer"),
        (PICTURE, "a few words", 0.6, EMPTY, TEXT, "layer"),
        (NO_LAYER, "", 1.0, READ, OCR, "seen"),
        (NO_LAYER, "", 1.0, EMPTY, BLANK, None),
    ],
)
def test_page_is_settled_by_the_better_reading(
    reason: str, text: str, score: float, seen: Page, outcome: str, kept: str | None
) -> None:
    page = layered(reason, text, score)
    found = settle(page, seen)
    assert (found.page, found.outcome, found.score) == (3, outcome, score)
    assert found.text == {"layer": text, "seen": TRUE, None: None}[kept]


def test_file_without_text_counts_what_it_says() -> None:
    refused = Page(page=1, outcome=REJECTED, reason="page_limit", message="beyond")
    blank = Page(page=2, outcome=BLANK)
    wordless = Page(page=3, outcome=TEXT, text=" \n", reader="pdfium/1")
    for pages, reason, message in (
        ((blank, blank), "no_text", "all 2 pages are blank"),
        ((blank, wordless), "no_text", "of 2 pages: blank 1, text 1"),
        ((refused, blank, wordless), "no_good_page", "of 3 pages: page_limit 1, blank 1, text 1"),
    ):
        row = joined(PdfPages(meta={}, pages=pages), [], PdfConfig())
        assert (row.text, row.reason, row.message) == (None, reason, message)
