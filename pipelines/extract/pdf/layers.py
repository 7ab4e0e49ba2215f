"""Text layers: what the characters of a page say, and whether that can be trusted.

Two engines read them. `pdf-inspector` gives Markdown (headings, tables, emphasis) and says where a
page is a scan or its fonts map to nothing. `pymupdf` gives plain blocks in the order of the file;
it is AGPL-3.0 and so only used where it is installed and asked for.

Their texts are judged here, page by page, by signs that any reader could see:

- `no_text_layer`, `scanned`, `invisible_text_layer` (the invisible text of somebody's OCR under a
  scan), `suspected_garbled_text`: said by pdf-inspector;
- `garbled_text`: more than 2 % of the characters are U+FFFD, private use, controls, `(cid:12)` or
  letters with their bytes swapped;
- `picture`: fewer than 100 characters on a page of which a picture covers half.

Such a page is looked at as a picture; what PDFium reads there is kept for comparison, and is the
text where only the engine saw none. Two faults of order are put right at once: where lines that
stand below each other are not read after each other (columns woven into each other), or Arabic and
Hebrew are in the order of the screen and not of speech, the page is read by PDFium, whose order
is that of the file and whose bidirectional text is logical.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pypdfium2 as pdfium

from pipelines.extract.pdf.opening import PdfFile, image_share, rewritten
from pipelines.extract.pdf.order import (
    PlacedLine,
    are_woven,
    flowing_text,
    placed_lines,
    runs_backwards,
)
from pipelines.extract.pdf.page_text import join_lines, spell_out
from pipelines.extract.pdf.schema import PICTURE
from pipelines.extract.pdf.versions import engine_version, pdfium_version

_FEW_CHARS: Final = 100
_PICTURE_SHARE: Final = 0.5
_MAX_GARBLED: Final = 0.02
_GARBLED: Final = re.compile(
    "\\(cid:\\d+\\)|[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]"
)
# ASCII letters as UTF-16 with its bytes swapped; real ideographs of that form are one in 256.
_SWAPPED: Final = re.compile("[" + "".join(chr(c << 8) for c in range(0x41, 0x7B)) + "]")
_LINK: Final = re.compile(
    r"\[([^\[\]]*)\]\((?:https?|ftp|mailto):[^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)"
)
_UNDERLINE: Final = re.compile(r"</?u>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The text layer of one page."""

    text: str
    reader: str
    """Name and version of what read it."""
    flaw: str | None = None
    """Why the page should be looked at as a picture."""


def read_layers(pdf: PdfFile, num_pages: int, engine: str) -> list[Layer]:
    """Reads and judges the text layers of the first pages of a file.

    Args:
        pdf: The open file.
        num_pages: Pages to read, from the first.
        engine: One of `versions.ENGINES`.
    """
    read = _read_pymupdf if engine == "pymupdf" else _read_inspector
    layers = read(pdf, num_pages)
    assert len(layers) == num_pages
    return [_judged(pdf, number, layer) for number, layer in enumerate(layers, start=1)]


def _read_inspector(pdf: PdfFile, num_pages: int) -> list[Layer]:
    from pdf_inspector import extract_pages_markdown_bytes

    reader, numbers = engine_version("pdf-inspector"), list(range(num_pages))
    try:
        pages = extract_pages_markdown_bytes(pdf.payload, pages=numbers).pages
    except ValueError:
        try:
            # It refuses files that viewers repair: broken tables, encryption with no password.
            pages = extract_pages_markdown_bytes(rewritten(pdf), pages=numbers).pages
        except (ValueError, pdfium.PdfiumError):
            return [Layer(text="", reader=reader, flaw="no_text_layer")] * num_pages
    return [
        Layer(
            text=_LINK.sub(r"\1", _UNDERLINE.sub("", page.markdown)).strip(),
            reader=reader,
            flaw=(page.ocr_reason or "no_text_layer") if page.needs_ocr else None,
        )
        for page in pages
    ]


def _read_pymupdf(pdf: PdfFile, num_pages: int) -> list[Layer]:
    import pymupdf

    # Every odd file is reported on stderr otherwise; here it becomes the reason of a page.
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    reader = engine_version("pymupdf")
    layers = []
    try:
        document = pymupdf.open(stream=pdf.payload, filetype="pdf")
    except (RuntimeError, ValueError):
        return [Layer(text="", reader=reader, flaw="no_text_layer")] * num_pages
    with document:
        for number in range(num_pages):
            try:
                blocks = document[number].get_text("blocks")
            except (RuntimeError, ValueError, IndexError):
                blocks = []
            found = [join_lines(block[4].split("\n")) for block in blocks if block[6] == 0]
            layers.append(Layer(text="\n\n".join(filter(None, found)), reader=reader))
    return layers


def _judged(pdf: PdfFile, number: int, layer: Layer) -> Layer:
    if layer.flaw is not None:
        # PDFium knows more encodings, and reads what another left out.
        text = _sound_text(placed_lines(pdf, number))
        layer = replace(layer, text=text, reader=pdfium_version())
        if layer.flaw != "no_text_layer" or not text:
            return layer
    if is_garbled(layer.text):
        return replace(layer, text="", flaw="garbled_text")
    layer = replace(layer, text=spell_out(layer.text), flaw=None)
    num_chars = len("".join(layer.text.split()))
    if num_chars == 0:
        return replace(layer, text="", flaw="no_text_layer")
    if num_chars < _FEW_CHARS and _picture_share(pdf, number) >= _PICTURE_SHARE:
        return replace(layer, flaw=PICTURE)
    return _in_order(pdf, number, layer)


def is_garbled(text: str) -> bool:
    """Whether too much of a text is no text: fonts without a usable mapping give such.

    >>> is_garbled("(cid:40)(cid:72)(cid:79)"), is_garbled("\u4d00\u7500\u6c00\u7400\u6900")
    (True, True)
    """
    num_bad = sum(map(len, _GARBLED.findall(text))) + len(_SWAPPED.findall(text))
    return num_bad > _MAX_GARBLED * len(text)


def _picture_share(pdf: PdfFile, number: int) -> float:
    try:
        with pdf.page(number) as page:
            return image_share(page)
    except pdfium.PdfiumError:
        return 0.0


def _in_order(pdf: PdfFile, number: int, layer: Layer) -> Layer:
    """The layer, read again where its lines or letters are out of order."""
    backwards = runs_backwards(layer.text)
    lines = placed_lines(pdf, number)
    if not backwards and not are_woven(layer.text, lines):
        return layer
    text = _sound_text(lines)
    if not text:
        return replace(layer, text="", flaw="reversed_text") if backwards else layer
    return replace(layer, text=text, reader=pdfium_version())


def _sound_text(lines: Sequence[PlacedLine]) -> str:
    """Text of lines as PDFium gives them; empty where that is garbled, backwards or blank."""
    text = flowing_text(lines)
    is_sound = text.strip() and not is_garbled(text) and not runs_backwards(text)
    return spell_out(text) if is_sound else ""
