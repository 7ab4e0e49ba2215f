"""Text layers: what the characters of a page say, and signs by which that can be trusted.

PDFium reads the runs of a page (`layer_pdfium`), or pymupdf where it is installed and asked for
(`layer_pymupdf`; AGPL-3.0); one layout makes Markdown of them (`layout`). Nothing is judged here:
that is the work of `triage`, by the signs.

Running heads and levels of headings are judged over the pages of one stretch of `_STRETCH`; a
longer document is read in several, so that memory stays bounded (a page needs about 0.2 MB).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pypdfium2 as pdfium

from pipelines.extract.pdf.layer_pdfium import LayerSigns, read_runs
from pipelines.extract.pdf.layer_pymupdf import open_document, with_runs
from pipelines.extract.pdf.layout import layout_pages
from pipelines.extract.pdf.layout_runs import PageRuns
from pipelines.extract.pdf.opening import PdfFile
from pipelines.extract.pdf.versions import engine_version

_STRETCH: Final = 128
_NO_SIGNS: Final = LayerSigns(
    width=0.0,
    height=0.0,
    num_chars=0,
    num_garbled=0,
    num_unmapped=0,
    num_invisible=0,
    num_covered=0,
    text_share=0.0,
    image_share=0.0,
    num_paths=0,
    num_small_paths=0,
)
_NO_RUNS: Final = PageRuns(
    width=0.0,
    height=0.0,
    texts=[],
    box=np.zeros((0, 4), np.float32),
    size=np.zeros(0, np.float32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The text layer of one page."""

    text: str
    """Markdown in reading order, as read even where it is garbled."""
    reader: str
    """Name and version of what read it."""
    signs: LayerSigns = _NO_SIGNS
    dropped: tuple[tuple[str, str], ...] = ()
    """(reason, text) of what is left out: running heads, page numbers, hidden text."""


def read_layers(pdf: PdfFile, num_pages: int, engine: str) -> list[Layer]:
    """Reads the text layers of the first pages of a file.

    Args:
        pdf: The open file.
        num_pages: Pages to read, from the first.
        engine: One of `versions.ENGINES`.

    Raises:
        ValueError: The engine is unknown, or not installed.
    """
    reader = engine_version(engine)
    document = open_document(pdf.payload) if engine == "pymupdf" else None
    try:
        layers: list[Layer] = []
        for first in range(0, num_pages, _STRETCH):
            numbers = range(first, min(first + _STRETCH, num_pages))
            found = list(_read(pdf, numbers, engine, document))
            texts = layout_pages([runs for runs, _ in found])
            layers += [
                Layer(text=page.text, reader=reader, signs=signs, dropped=page.dropped)
                for page, (_, signs) in zip(texts, found, strict=True)
            ]
        return layers
    finally:
        if document is not None:
            document.close()


def _read(
    pdf: PdfFile,
    numbers: range,
    engine: str,
    document: Any,  # noqa: ANN401
) -> Iterator[tuple[PageRuns, LayerSigns]]:
    """Runs and signs of pages, by their numbers from 0; none of pages that PDFium cannot read."""
    for number in numbers:
        try:
            with pdf.page(number + 1) as page:
                runs, signs = read_runs(page)
        except pdfium.PdfiumError:
            runs, signs = _NO_RUNS, _NO_SIGNS
        if engine == "pymupdf":
            runs = with_runs(runs, document, number)
        yield runs, signs
