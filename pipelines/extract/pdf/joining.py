"""What a page is in the end, and what the pages of a PDF are together.

Without any library for PDFs: this runs in the process that owns the children.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pipelines.config import PdfConfig
from pipelines.extract.extracted import Extracted, ExtractedPage
from pipelines.extract.media import PDF_TYPE
from pipelines.extract.pdf.page_text import join_pages
from pipelines.extract.pdf.schema import (
    BLANK,
    HIDDEN,
    OCR,
    PICTURE,
    REJECTED,
    SCAN,
    SUSPECT,
    TEXT,
    Page,
    PdfPages,
)
from pipelines.extract.pdf.versions import engine_version, ocr_version
from pipelines.extract.text import tidy

# OCR of a page with a few characters in its text layer must find clearly more to be preferred.
_CLEARLY_MORE: Final = 1.5
# Two readings of one text: OCR of clean print and its text layer share 0.9, others 0.0-0.2.
_SAME_TEXT: Final = 0.7
_MIN_HIDDEN_CHARS: Final = 100


def settle(layered: Page, seen: Page) -> Page:
    """What a page is, after what its text layer gave and what was seen on its picture.

    A text under suspicion is kept where OCR reads the same, for it has no reading errors; the few
    words of a page that is a picture where OCR does not read clearly more; and the invisible text
    of somebody else's OCR where ours gives none and it is more than a few words.
    """
    ours, theirs = _solid(seen.text), _solid(layered.text)
    is_read = seen.outcome == OCR
    keeps_layer = {
        SUSPECT: is_read and _agreement(ours, theirs) >= _SAME_TEXT,
        PICTURE: not is_read or len(ours) <= _CLEARLY_MORE * len(theirs),
        HIDDEN: not is_read and len(theirs) >= _MIN_HIDDEN_CHARS,
    }
    if theirs and keeps_layer.get(layered.reason or "", False):
        return replace(layered, outcome=TEXT)
    return seen


def _solid(text: str | None) -> str:
    """A text without white space."""
    return "".join((text or "").split())


def _agreement(one: str, two: str) -> float:
    """Share of the runs of three characters that two texts have in common (Dice), in [0, 1]."""
    runs = [Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in (one, two)]
    total = runs[0].total() + runs[1].total()
    return 2 * (runs[0] & runs[1]).total() / total if total else float(one == two)


def joined(found: PdfPages, seen: Sequence[Page], settings: PdfConfig) -> Extracted:
    """The EXTRACTED row of a PDF.

    Args:
        found: What its text layers gave.
        seen: What was seen on its pages with the outcome SCAN, in their order.
        settings: How it was read.
    """
    looked_at = iter(seen)
    pages = [
        settle(page, next(looked_at)) if page.outcome == SCAN else page for page in found.pages
    ]
    assert next(looked_at, None) is None, "one picture for each SCAN"
    good = [page for page in pages if page.outcome in (TEXT, OCR)]
    text = tidy(join_pages([page.text or "" for page in good]))
    reason, message = found.reason, found.message
    if reason is None and not text.strip():
        reason, message = _why_nothing(pages)
    is_ours = any(page.outcome == OCR for page in good)
    is_transcribed = is_ours or any(page.reason == HIDDEN for page in good)
    first = engine_version(settings.engine)
    readers = {page.reader for page in good if page.reader}
    return Extracted(
        extractor="+".join([first, *sorted(readers - {first})]),
        text=text if reason is None else None,
        reason=reason,
        message=message,
        media_type=PDF_TYPE,
        meta={**found.meta, **(_page_counts(pages) if pages else {})},
        kind="transcribed" if is_transcribed and reason is None else None,
        model=ocr_version() if is_ours and reason is None else None,
        pages=[
            ExtractedPage(page=p.page, outcome=p.outcome, reason=p.reason, message=p.message)
            for p in pages
        ],
    )


def _page_counts(pages: Sequence[Page]) -> dict[str, str]:
    counts: Counter[str] = Counter(page.outcome for page in pages)
    named = {"ocr_pages": OCR, "rejected_pages": REJECTED, "blank_pages": BLANK}
    some = {key: str(counts[outcome]) for key, outcome in named.items() if counts[outcome]}
    return {"pages": str(len(pages)), **some}


def _why_nothing(pages: Sequence[Page]) -> tuple[str, str]:
    reasons = Counter(page.reason or "" for page in pages if page.outcome == REJECTED)
    num_blank = sum(page.outcome == BLANK for page in pages)
    if not reasons:
        return "no_text", f"all {len(pages)} pages are blank"
    parts = [f"{reason} {count}" for reason, count in sorted(reasons.items())]
    parts += [f"blank {num_blank}"] if num_blank else []
    reason = "ocr_disabled" if set(reasons) == {"ocr_disabled"} else "no_good_page"
    return reason, f"of {len(pages)} pages: {', '.join(parts)}"
