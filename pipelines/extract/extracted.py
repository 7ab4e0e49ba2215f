"""One row of EXTRACTED, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines.extract.rows import replace_surrogates
from pipelines.workspace.schema import EXTRACTED

NO_TEXT = "no text was found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedPage:
    """What became of one page of a PDF or picture: text, ocr, blank or rejected."""

    page: int
    outcome: str
    reason: str | None = None
    message: str | None = None
    reader: str | None = None
    score: float | None = None
    confidence: float | None = None
    signs: dict[str, float] | None = None
    """Those of `pdf.schema.PageSigns`."""
    vl: dict[str, Any] | None = None
    """Those of `pdf.schema.VlPage`."""
    tokens: int | None = None
    """That a model wrote for its text."""
    answer: bytes | None = None
    """Names that text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """One row of EXTRACTED; the fields are those of the schema."""

    extractor: str | None
    text: str | None = None
    reason: str | None = None
    message: str | None = None
    media_type: str | None = None
    license: str | None = None
    declared_language: str | None = None
    meta: dict[str, str] = field(default_factory=dict)
    kind: str | None = None
    model: str | None = None
    pages: Sequence[ExtractedPage] = ()


def to_batch(rows: Sequence[Extracted]) -> pa.RecordBatch:
    """EXTRACTED rows; lone surrogates become U+FFFD, which UTF-8 can hold."""
    arrays = [pa.array([_cell(row, f.name) for row in rows], f.type) for f in EXTRACTED]
    return pa.RecordBatch.from_arrays(arrays, schema=EXTRACTED)


def _cell(row: Extracted, name: str) -> Any:  # noqa: ANN401 - a value of whatever column
    value = getattr(row, name)
    if name == "pages":
        return [
            {
                "page": page.page,
                "outcome": page.outcome,
                "reason": page.reason,
                "message": replace_surrogates(page.message) if page.message else None,
                "reader": page.reader,
                "score": page.score,
                "confidence": page.confidence,
                "signs": page.signs,
                "vl": page.vl,
                "tokens": page.tokens,
                "answer": page.answer,
            }
            for page in value
        ] or None
    if isinstance(value, dict):
        return [(replace_surrogates(key), replace_surrogates(each)) for key, each in value.items()]
    return replace_surrogates(value) if isinstance(value, str) else value
