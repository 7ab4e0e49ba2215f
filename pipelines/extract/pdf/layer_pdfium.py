"""Runs of text and ruling lines of a PDF page, read by PDFium through compiled calls.

Characters become runs: a run is a stretch along one baseline in one size and weight without a wide
gap, in logical order, with its inner spaces. The box of a run is not that of its glyphs: it lies
between 0.78 of the size above the baseline and 0.22 below, so runs of one line have one height
whatever their letters, and fonts that state absurd metrics do no harm. Where PDFium saw a space
before a run, its text begins with one.

Coordinates are those of the page as it is shown: points from the top left of the crop box, turned
by /Rotate. A page most of whose text is turned by quarters is turned back.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pypdfium2 as pdfium

from pipelines.extract.pdf.layer_characters import (
    COVERED,
    INVISIBLE,
    UNMAPPED,
    Bytes,
    Characters,
    Floats,
    Frame,
    read_characters,
    usual_turn,
)
from pipelines.extract.pdf.layer_fields import Field, read_fields, with_fields
from pipelines.extract.pdf.layer_objects import Drawn, read_drawn
from pipelines.extract.pdf.layer_runs import ACCENTS, MARKS, divide, with_accents
from pipelines.extract.pdf.layout_runs import PageRuns

# A letter with its marks, or a word or number of a script that is written from the left.
_CLUSTER: Final = re.compile(
    "[A-Za-z\u00c0-\u024f\u0370-\u058f0-9\u0660-\u0669\u06f0-\u06f9]"
    "(?:[A-Za-z\u00c0-\u024f\u0370-\u058f0-9\u0660-\u0669\u06f0-\u06f9.,:/%'-]*"
    "[A-Za-z\u00c0-\u024f\u0370-\u058f0-9\u0660-\u0669\u06f0-\u06f9])?"
    "|.[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670]*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSigns:
    """What can be seen of a page and its text layer without reading it; white space not counted."""

    width: float
    """Of the page as shown, in points."""
    height: float
    num_chars: int
    num_garbled: int
    """Control codes, U+FFFD, private use, noncharacters and halves of surrogate pairs."""
    num_unmapped: int
    """Whose font gives no Unicode for them, as PDFium sees it."""
    num_invisible: int
    """Of render mode 3: neither filled nor stroked."""
    num_covered: int
    """Visible ones that a picture drawn later hides."""
    text_share: float
    """Area of the characters' boxes, of the page."""
    image_share: float
    """Area of the largest picture, of the page."""
    num_paths: int
    num_small_paths: int
    """Not higher than a letter: text that is drawn as curves has many."""


def read_runs(page: pdfium.PdfPage) -> tuple[PageRuns, LayerSigns]:
    """The runs and rules of a page, and signs of its text layer.

    Raises:
        pdfium.PdfiumError: PDFium cannot read the page.
    """
    frame = Frame.of(page)
    drawn = read_drawn(page)
    layer = page.get_textpage()
    try:
        found = read_characters(layer, frame, drawn)
    finally:
        layer.close()
    signs = _signs(found, frame, drawn)
    fields = read_fields(page)
    boxes = frame.boxes(np.concatenate((drawn.rules, _boxes_of(fields))))
    turn = usual_turn(found)
    if turn:
        found, boxes, frame = frame.turned_back(found, boxes, turn)
    num_rules = len(drawn.rules)
    runs = _runs(found, boxes[:num_rules], frame)
    if not fields:
        return runs, signs
    num_letters = sum(len("".join(field.text.split())) for field in fields)
    signs = replace(signs, num_chars=signs.num_chars + num_letters)
    return with_fields(runs, [field.text for field in fields], boxes[num_rules:]), signs


def _boxes_of(fields: list[Field]) -> Floats:
    return np.array([field.box for field in fields], np.float32).reshape(-1, 4)


def _signs(found: Characters, frame: Frame, drawn: Drawn) -> LayerSigns:
    area = max(1.0, frame.width * frame.height)
    is_given = found.flags & 1 == 0
    code = found.code[is_given]
    is_control = (code < 32) | ((code >= 0x7F) & (code < 0xA0))
    is_control &= (code != 2) | (found.flags[is_given] & 32 > 0)
    is_private = ((code >= 0xE000) & (code < 0xF900)) | (code >= 0xF0000)
    is_none = (code == 0xFFFD) | (code & 0xFFFE == 0xFFFE) | ((code >= 0xFDD0) & (code < 0xFDF0))
    is_none |= (code >= 0xD800) & (code < 0xE000)
    is_char = is_given & (found.code > 32) & (found.code != 0xA0)
    flags, box = found.flags[is_char], found.box[is_char]
    letters = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    pictures = np.clip(frame.boxes(drawn.pictures), 0, [frame.width, frame.height] * 2)
    sizes = (pictures[:, 2] - pictures[:, 0]) * (pictures[:, 3] - pictures[:, 1])
    return LayerSigns(
        width=frame.width,
        height=frame.height,
        num_chars=int(flags.size),
        num_garbled=int(np.count_nonzero(is_control | is_private | is_none)),
        num_unmapped=int(np.count_nonzero(flags & UNMAPPED)),
        num_invisible=int(np.count_nonzero(flags & INVISIBLE)),
        num_covered=int(np.count_nonzero(flags & (COVERED | INVISIBLE) == COVERED)),
        text_share=min(1.0, float(letters.sum()) / area),
        image_share=min(1.0, float(sizes.max(initial=0.0)) / area),
        num_paths=drawn.num_paths,
        num_small_paths=drawn.num_small_paths,
    )


def _runs(found: Characters, rules: Floats, frame: Frame) -> PageRuns:
    code, marks = with_accents(
        found.code, found.box, found.origin, found.size, found.turn, ACCENTS, MARKS
    )
    codes, first, stop, box, size, turn, flags, rising, is_inner = divide(
        code,
        marks,
        found.box,
        found.origin,
        found.size,
        found.turn,
        found.flags,
        found.text_object,
    )
    text = codes.astype("<u4").tobytes().decode("utf-32-le", "replace")
    texts = [text[i:j] for i, j in zip(first.tolist(), stop.tolist(), strict=True)]
    for i in np.flatnonzero(rising > 0).tolist():
        texts[i] = _logical(texts[i], is_inner[first[i] : stop[i]])
    if marks.any():
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    return PageRuns(
        width=frame.width,
        height=frame.height,
        texts=texts,
        box=box,
        size=size,
        bold=(flags & 2) > 0,
        italic=(flags & 4) > 0,
        fixed=(flags & 8) > 0,
        hidden=(flags & (COVERED | INVISIBLE)) > 0,
        rules=rules,
        turn=turn,
    )


def _logical(text: str, is_inner: Bytes) -> str:
    """Text of a script written from the right, that stands from left to right, in logical order.

    Numbers and words of other scripts in it keep theirs; marks stay behind their letters.

    Args:
        text: Of one run.
        is_inner: uint8[characters], 1 where a character belongs to the glyph of the one before.
    """
    shown: list[str] = []
    for found in _CLUSTER.finditer(text):
        if shown and is_inner[found.start()]:
            shown[-1] += found[0]
        else:
            shown.append(found[0])
    return "".join(reversed(shown))
