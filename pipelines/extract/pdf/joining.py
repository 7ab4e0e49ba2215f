"""What a page is in the end, and what the pages of a PDF or a picture are together.

Where a vision-language model reads, a document is dropped as `too_many_failed_pages` when the share
of pages that it could not read is above `vl.max_failed`, whatever a fallback made of them. The
share is of the pages that should give a text: those that did, by layer or OCR, and the failed ones;
blank pages, and those beyond a limit, are neither.

Without any library for PDFs: this runs in the process that owns the children.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

from pipelines.config import PdfConfig
from pipelines.extract.extracted import Extracted, ExtractedPage
from pipelines.extract.media import PDF_TYPE
from pipelines.extract.pdf.page_text import join_pages
from pipelines.extract.pdf.schema import (
    BLANK,
    GARBLED,
    HIDDEN,
    OCR,
    PICTURE,
    READ,
    REJECTED,
    SCAN,
    SUSPECT,
    TEXT,
    Page,
    PdfPages,
)
from pipelines.extract.pdf.versions import engine_version, picture_version
from pipelines.extract.text import tidy

# OCR of a page with a few characters in its text layer must find clearly more to be preferred.
_CLEARLY_MORE: Final = 1.5
# Two readings of one text: OCR of clean print and its text layer share 0.9, others 0.0-0.2.
_SAME_TEXT: Final = 0.7
_MIN_HIDDEN_CHARS: Final = 100
_RATHER_BAD: Final = 0.5


def settle(layered: Page, seen: Page) -> Page:
    """What a page is, after what its text layer gave and what was seen on its picture.

    A text under suspicion is kept where OCR reads the same, for it has no reading errors; the few
    words of a page that is a picture where OCR does not read clearly more; and the invisible text
    of somebody else's OCR where ours gives none and it is more than a few words. Where OCR reads
    nothing, a text that is rather good than bad is kept too: it may be in letters that OCR cannot
    read.
    """
    ours, theirs = _solid(seen.text), _solid(layered.text)
    is_read = seen.outcome == OCR
    is_rather_good = not is_read and (layered.score or 0.0) < _RATHER_BAD
    keeps_layer = {
        SUSPECT: is_rather_good or (is_read and _agreement(ours, theirs) >= _SAME_TEXT),
        GARBLED: is_rather_good,
        PICTURE: not is_read or len(ours) <= _CLEARLY_MORE * len(theirs),
        HIDDEN: not is_read and len(theirs) >= _MIN_HIDDEN_CHARS,
    }
    if theirs and keeps_layer.get(layered.reason or "", False):
        return replace(layered, outcome=TEXT)
    return replace(seen, score=layered.score, signs=layered.signs)


def _solid(text: str | None) -> str:
    """A text without white space."""
    return "".join((text or "").split())


def _agreement(one: str, two: str) -> float:
    """Share of the runs of three characters that two texts have in common (Dice), in [0, 1]."""
    runs = [Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in (one, two)]
    total = runs[0].total() + runs[1].total()
    return 2 * (runs[0] & runs[1]).total() / total if total else float(one == two)


def joined(found: PdfPages, seen: Sequence[Page], settings: PdfConfig) -> Extracted:
    """The EXTRACTED row of a paged file.

    Args:
        found: What its text layers gave.
        seen: What was seen on its pages with the outcome SCAN, in their order.
        settings: How it was read.
    """
    looked_at = iter(seen)
    pages = [
        _settled(page, next(looked_at), settings) if page.outcome == SCAN else page
        for page in found.pages
    ]
    assert next(looked_at, None) is None, "one picture for each SCAN"
    good = [page for page in pages if page.outcome in (TEXT, OCR)]
    is_by_model = any(page.vl is not None for page in good)
    text = tidy(join_pages([page.text or "" for page in good], tables_stay=is_by_model))
    reason, message = found.reason, found.message
    if reason is None:
        reason, message = _too_many_failed(pages, settings.vl.max_failed)
    if reason is None and not text.strip():
        reason, message = _why_nothing(pages)
    model = _model_of(good)
    is_transcribed = model is not None or any(page.reason == HIDDEN for page in good)
    is_pdf = found.media_type == PDF_TYPE
    first = engine_version(settings.engine) if is_pdf else picture_version()
    readers = {page.reader for page in good if page.reader}
    return Extracted(
        extractor="+".join([first, *sorted(readers - {first})]),
        text=text if reason is None else None,
        reason=reason,
        message=message,
        media_type=found.media_type,
        meta={**found.meta, **(_page_counts(pages) if pages else {}), **_language_of(good)},
        kind="transcribed" if is_transcribed and reason is None else None,
        model=model if reason is None else None,
        pages=[
            ExtractedPage(
                page=page.page,
                outcome=page.outcome,
                reason=page.reason,
                message=page.message,
                reader=page.reader,
                score=page.score,
                confidence=page.confidence,
                signs=asdict(page.signs) if page.signs is not None else None,
                vl=asdict(page.vl) if page.vl is not None else None,
                tokens=page.tokens,
                answer=page.answer,
            )
            for page in pages
        ],
    )


def _settled(layered: Page, seen: Page, settings: PdfConfig) -> Page:
    """What a page is, with what a model said of it."""
    if _is_failed(seen) and settings.vl.fallback == "none":
        return replace(seen, score=layered.score, signs=layered.signs)
    page = settle(layered, seen)
    is_used = page.outcome == OCR
    return replace(
        page,
        vl=seen.vl,
        tokens=seen.tokens if is_used else None,
        answer=seen.answer if is_used else None,
    )


def _is_failed(page: Page) -> bool:
    """Whether a model could not read what is written on a page."""
    return page.vl is not None and page.vl.verdict not in READ and page.outcome != BLANK


def _too_many_failed(
    pages: Sequence[Page], max_failed: float
) -> tuple[str, str] | tuple[None, None]:
    """Why a document is dropped, where a model failed on too many of its pages."""
    failed = Counter(page.vl.verdict for page in pages if page.vl and _is_failed(page))
    num_read = sum(page.outcome in (TEXT, OCR) or _is_failed(page) for page in pages)
    if failed.total() <= max_failed * num_read:
        return None, None
    told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(failed.items()))
    return "too_many_failed_pages", (
        f"the model could not read {failed.total()} of {num_read} pages ({told}); "
        f"extract.pdf.vl.max_failed is {max_failed:.2%}"
    )


def _model_of(good: Sequence[Page]) -> str | None:
    """What transcribed a document: the model where it read a page, else the engine of OCR."""
    readers = [page for page in good if page.outcome == OCR]
    readers.sort(key=lambda page: page.vl is None or page.vl.verdict not in READ)
    return readers[0].reader if readers else None


def _language_of(good: Sequence[Page]) -> dict[str, str]:
    """The language that a model saw on most pages: a fact of meta, by which nothing is filtered."""
    seen = Counter(page.vl.language for page in good if page.vl and page.vl.language)
    return {"ocr_language": seen.most_common(1)[0][0]} if seen else {}


def _page_counts(pages: Sequence[Page]) -> dict[str, str]:
    counts: Counter[str] = Counter(page.outcome for page in pages)
    named = {"ocr_pages": OCR, "rejected_pages": REJECTED, "blank_pages": BLANK}
    some = {key: str(counts[outcome]) for key, outcome in named.items() if counts[outcome]}
    return {"pages": str(len(pages)), **some}


def _why_nothing(pages: Sequence[Page]) -> tuple[str, str]:
    reasons = Counter(page.reason or "" for page in pages if page.outcome == REJECTED)
    others = Counter[str](page.outcome for page in pages if page.outcome != REJECTED)
    if others[BLANK] == len(pages):
        return "no_text", f"all {len(pages)} pages are blank"
    parts = [f"{name} {count}" for few in (reasons, others) for name, count in sorted(few.items())]
    if not reasons:
        return "no_text", f"of {len(pages)} pages: {', '.join(parts)}"
    only = next(iter(reasons)) if len(reasons) == 1 else ""
    reason = only if only in ("ocr_disabled", "ocr_budget") else "no_good_page"
    return reason, f"of {len(pages)} pages: {', '.join(parts)}"
