"""Rows that travel between processes while a paged file is read: the file first, then its scans.

One PDF_PAGES row for each PDF or picture; its pages that are to be looked at have the outcome SCAN
and become SCAN_TASK rows, one a page, so that a page that hangs costs a page and the pages of one
large scan use all children. Each gives one PAGE row, which takes the place of the SCAN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

import pyarrow as pa

from pipelines.extract.media import PDF_TYPE
from pipelines.workspace.schema import ID, PAGE_SIGNS, VL_PAGE

Outcome = Literal["text", "ocr", "blank", "rejected", "scan"]

TEXT: Final = "text"  # of the text layer
OCR: Final = "ocr"
BLANK: Final = "blank"
REJECTED: Final = "rejected"
SCAN: Final = "scan"  # to be looked at as a picture; none is left in the end

# Why a text layer is not trusted.
NO_LAYER: Final = "no_text_layer"
GARBLED: Final = "garbled_text"
HIDDEN: Final = "invisible_text_layer"  # that of somebody's OCR, under a scan
SUSPECT: Final = "suspected_garbled_text"  # no sign is proof; the text may be good
PICTURE: Final = "picture"  # a few words on a page that is a picture

PAGE: Final = pa.schema(
    [
        pa.field("page", pa.int32(), nullable=False),  # from 1
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # of a rejected page, or why the text layer is not used
        pa.field("message", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("reader", pa.string()),  # name and version of what gave the text
        pa.field("score", pa.float32()),  # of its text layer, see `triage`
        pa.field("confidence", pa.float32()),  # of OCR, mean over characters
        pa.field("signs", PAGE_SIGNS),  # null where there is nothing to measure: pictures
        pa.field("vl", VL_PAGE),  # null where no model was asked
        pa.field("tokens", pa.int64()),  # that the model wrote for the text
        pa.field("answer", ID),  # names that text
    ]
)

PDF_PAGES: Final = pa.schema(
    [
        pa.field("reason", pa.string()),  # why the whole file is refused, or null
        pa.field("message", pa.string()),
        pa.field("media_type", pa.string()),
        pa.field("meta", pa.map_(pa.string(), pa.string())),
        pa.field("pages", pa.list_(pa.struct(list(PAGE)))),
    ]
)

# Specks, folds and shadows of an empty sheet: OCR finds no line in so little ink.
EMPTY_SHEET_INK: Final = 5e-3

SCAN_TASK: Final = pa.schema(
    [
        pa.field("payload", pa.large_binary()),
        pa.field("media_type", pa.string()),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("may_ocr", pa.bool_(), nullable=False),  # false: only whether it is blank
    ]
)


DRAWING: Final = pa.schema(
    [
        pa.field("page", pa.int32(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # scan where it is to be read
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
        pa.field("ink", pa.float64(), nullable=False),  # share of the pixels
        pa.field("png", pa.large_binary()),  # of a page that is to be read
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSigns:
    """What can be seen of a page without drawing it; shares are in [0, 1]."""

    num_chars: int
    """Characters of its text layer that are no white space."""
    garbled: float
    """Share of them that are no characters."""
    strange: float
    """Share of its letters that stand in impossible company."""
    unmapped: float
    """Share of its characters whose font has no map to Unicode."""
    hidden: float
    """Share that nobody sees: invisible, or under a picture."""
    image_share: float
    """Share of the page that its largest picture covers."""
    text_share: float
    """Share of the page that the boxes of its characters cover."""
    num_small_paths: int
    """Drawn strokes of the size of letters."""


Verdict = Literal["ok", "rotated", "blank", "truncated", "repeating", "refused", "failed"]
OK: Final = "ok"
ROTATED: Final = "rotated"  # read, once it had been turned
READ: Final = (OK, ROTATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class VlPage:
    """What a vision-language model made of a page, and says of it."""

    verdict: Verdict
    """ok, rotated: read as it was, or turned; blank: nothing is written on it; else why the last
    of all tries was no good."""
    tries: int
    rotation: int = 0
    """Degrees clockwise by which the picture was turned for the last try."""
    language: str | None = None
    is_table: bool | None = None
    is_diagram: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One row of PAGE."""

    page: int
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    text: str | None = None
    reader: str | None = None
    score: float | None = None
    confidence: float | None = None
    signs: PageSigns | None = None
    vl: VlPage | None = None
    tokens: int | None = None
    answer: bytes | None = None
    """16 bytes that name what the model wrote: pages that look the same are paid for once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One row of DRAWING: the picture of a page, for a model that reads pictures."""

    page: Page
    """SCAN, or what is known without reading it."""
    ink: float = 0.0
    """Share of its pixels that are not paper."""
    png: bytes | None = field(default=None, repr=False)
    """The file; None where the page is not to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfPages:
    """One row of PDF_PAGES."""

    reason: str | None = None
    message: str | None = None
    media_type: str = PDF_TYPE
    """As its bytes show it."""
    meta: dict[str, str]
    pages: tuple[Page, ...] = ()


def pages_batch(pages: Sequence[Page]) -> pa.RecordBatch:
    """PAGE rows."""
    return pa.RecordBatch.from_pylist([asdict(page) for page in pages], schema=PAGE)


def pdf_batch(found: Sequence[PdfPages]) -> pa.RecordBatch:
    """PDF_PAGES rows."""
    rows: list[dict[str, Any]] = [
        {
            "reason": one.reason,
            "message": one.message,
            "media_type": one.media_type,
            "meta": list(one.meta.items()),
            "pages": [asdict(page) for page in one.pages],
        }
        for one in found
    ]
    return pa.RecordBatch.from_pylist(rows, schema=PDF_PAGES)


def read_pages(batch: pa.RecordBatch) -> list[Page]:
    """The pages of PAGE rows."""
    return [_page(row) for row in batch.to_pylist()]


def drawings_batch(drawings: Sequence[Drawing]) -> pa.RecordBatch:
    """DRAWING rows."""
    names = ("page", "outcome", "reason", "message")
    rows = [
        {**{name: getattr(one.page, name) for name in names}, "ink": one.ink, "png": one.png}
        for one in drawings
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DRAWING)


def read_drawings(batch: pa.RecordBatch) -> list[Drawing]:
    """The pictures of DRAWING rows."""
    rows = batch.to_pylist()
    files = [(row.pop("ink"), row.pop("png")) for row in rows]
    return [
        Drawing(page=Page(**row), ink=ink, png=png)
        for row, (ink, png) in zip(rows, files, strict=True)
    ]


def read_pdfs(batch: pa.RecordBatch) -> list[PdfPages]:
    """The files of PDF_PAGES rows."""
    return [
        PdfPages(
            reason=row["reason"],
            message=row["message"],
            media_type=row["media_type"],
            meta=dict(row["meta"]),
            pages=tuple(map(_page, row["pages"])),
        )
        for row in batch.to_pylist()
    ]


def _page(row: Mapping[str, Any]) -> Page:
    signs, vl = row["signs"], row["vl"]
    told = {
        "signs": PageSigns(**signs) if signs is not None else None,
        "vl": VlPage(**vl) if vl is not None else None,
    }
    return Page(**{**row, **told})


assert [one.name for one in PAGE_SIGNS] == [one.name for one in fields(PageSigns)]
assert [one.name for one in VL_PAGE] == [one.name for one in fields(VlPage)]
