"""Runs of text of a PDF page, read by pymupdf, where it is installed and asked for (AGPL-3.0).

Only the spans are its own; ruling lines and the signs of a page come from PDFium, and the layout is
one for both.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from pipelines.extract.pdf.layout_runs import PageRuns

# Flags of a span (pymupdf, `TEXT_FONT_*`).
_ITALIC: Final = 2
_FIXED_PITCH: Final = 8
_BOLD: Final = 16
_ASCENT: Final = 0.78
_DESCENT: Final = 0.22


def open_document(payload: bytes) -> Any:  # noqa: ANN401
    """The document, or None where pymupdf cannot open it.

    Raises:
        ImportError: It is not installed.
    """
    import pymupdf

    # Every odd file is reported on stderr otherwise; here it becomes the reason of a page.
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        return pymupdf.open(stream=payload, filetype="pdf")
    except (RuntimeError, ValueError):
        return None


def with_runs(page: PageRuns, document: Any, number: int) -> PageRuns:  # noqa: ANN401
    """A page with the runs that pymupdf reads in the place of PDFium's; none where it cannot.

    Args:
        page: As PDFium reads it.
        document: Of `open_document`.
        number: Of the page, from 0.
    """
    spans: list[dict[str, Any]] = []
    turns: list[int] = []
    try:
        blocks = document[number].get_text("dict", sort=False)["blocks"] if document else []
    except (RuntimeError, ValueError, IndexError):
        blocks = []
    for block in blocks:
        for line in block.get("lines", ()):
            found = [span for span in line["spans"] if span["text"].strip()]
            spans += found
            turns += [_turn(line["dir"])] * len(found)
    box = np.array([_box(s, t) for s, t in zip(spans, turns, strict=True)], np.float32)
    flags = np.array([span["flags"] for span in spans], np.int64)
    return replace(
        page,
        texts=[span["text"] for span in spans],
        box=box.reshape(-1, 4),
        size=np.array([span["size"] for span in spans], np.float32),
        bold=(flags & _BOLD) > 0,
        italic=(flags & _ITALIC) > 0,
        fixed=(flags & _FIXED_PITCH) > 0,
        hidden=np.array([span.get("alpha", 255) == 0 for span in spans], np.bool_),
        turn=np.array(turns, np.uint8),
    )


def _turn(direction: tuple[float, float]) -> int:
    """Quarter turns, clockwise; 4 for a direction between (cosine and sine, y downwards)."""
    cosine, sine = direction
    if min(abs(cosine), abs(sine)) > 0.15 * max(abs(cosine), abs(sine)):
        return 4
    if abs(cosine) >= abs(sine):
        return 0 if cosine >= 0 else 2
    return 1 if sine > 0 else 3


def _box(span: dict[str, Any], turn: int) -> tuple[float, float, float, float]:
    """The box of a span around its baseline, as `layer_pdfium` makes it."""
    x0, y0, x1, y1 = span["bbox"]
    size, (x, y) = span["size"], span["origin"]
    if turn == 4:
        return x, y - _ASCENT * size, x + 0.5 * size, y + _DESCENT * size
    if turn % 2:
        return x0, y0, x1, y1
    ascent = _ASCENT * size if turn == 0 else _DESCENT * size
    return x0, y - ascent, x1, y + size - ascent
