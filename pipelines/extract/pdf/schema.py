"""Rows that travel between processes while a PDF is read: the file first, then scans page by page.

One PDF_PAGES row for each PDF; its pages that are pictures have the outcome SCAN and become
SCAN_TASK rows, one a page, so that a page that hangs costs a page and the pages of one large scan
use all children. Each gives one PAGE row, which takes the place of the SCAN.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import pyarrow as pa

Outcome = Literal["text", "ocr", "blank", "rejected", "scan"]

TEXT: Final = "text"  # of the text layer
OCR: Final = "ocr"
BLANK: Final = "blank"
REJECTED: Final = "rejected"
SCAN: Final = "scan"  # to be looked at as a picture; none is left in the end

# Why a text layer is not trusted, beside reasons that nothing depends on; words of pdf-inspector.
HIDDEN: Final = "invisible_text_layer"  # that of somebody's OCR, under a scan
SUSPECT: Final = "suspected_garbled_text"
PICTURE: Final = "picture"  # ours: a few words on a page that is a picture

PAGE: Final = pa.schema(
    [
        pa.field("page", pa.int32(), nullable=False),  # from 1
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # of a rejected page, or why the text layer is not used
        pa.field("message", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("reader", pa.string()),  # name and version of what gave the text
    ]
)

PDF_PAGES: Final = pa.schema(
    [
        pa.field("reason", pa.string()),  # why the whole file is refused, or null
        pa.field("message", pa.string()),
        pa.field("meta", pa.map_(pa.string(), pa.string())),
        pa.field("pages", pa.list_(pa.struct(list(PAGE)))),
    ]
)

SCAN_TASK: Final = pa.schema(
    [pa.field("payload", pa.large_binary()), pa.field("page", pa.int32(), nullable=False)]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One row of PAGE."""

    page: int
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    text: str | None = None
    reader: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfPages:
    """One row of PDF_PAGES."""

    reason: str | None = None
    message: str | None = None
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
            "meta": list(one.meta.items()),
            "pages": [asdict(page) for page in one.pages],
        }
        for one in found
    ]
    return pa.RecordBatch.from_pylist(rows, schema=PDF_PAGES)


def read_pages(batch: pa.RecordBatch) -> list[Page]:
    """The pages of PAGE rows."""
    return [Page(**row) for row in batch.to_pylist()]


def read_pdfs(batch: pa.RecordBatch) -> list[PdfPages]:
    """The files of PDF_PAGES rows."""
    return [
        PdfPages(
            reason=row["reason"],
            message=row["message"],
            meta=dict(row["meta"]),
            pages=tuple(Page(**page) for page in row["pages"]),
        )
        for row in batch.to_pylist()
    ]
