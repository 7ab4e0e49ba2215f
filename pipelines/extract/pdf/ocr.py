"""OCR of a picture of a page by RapidOCR, whose models lie in its wheel; nothing is downloaded.

What it reads: the shipped models (PP-OCRv6 small, 18,708 characters) know Chinese, Japanese,
Latin letters with their usual accents, and Greek without accents. They know no Cyrillic, Hangul,
Arabic, Hebrew or Indic letter, no Thai, and of Vietnamese not the letters with two marks. What they
do with those is the danger: unknown letters are *left out*, with high confidence in what remains (a
Russian page gives its full stops at 0.95, a Vietnamese one all its words without the vowels at
0.99). So confidence is not enough, and a second measure is taken: the share of the ink of a line
that lies farther from every recognised character than a character is wide. Measured on real and
rendered pages: Latin print, typewriting and mathematics 0.000-0.007, Chinese and Japanese 0.000;
Vietnamese 0.10, Greek with accents 0.13, half Korean 0.27, Cyrillic, Arabic, Hindi 0.9-1.0; Hebrew
and Thai fall by their confidence of 0.6-0.8. Such pages are rejected, not turned into junk.

A page whose lines are mostly upright boxes is turned by a quarter; one that reads badly is tried
upside down. A page of vertical Japanese or Chinese is turned too, which gives its columns, from
right to left, the order of rows.

One thread: the processes side by side use the cores. Its results are those of the CPU and its
onnxruntime: the same everywhere but for the last digits of a confidence.
"""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.extract.pdf.opening import Image
from pipelines.extract.pdf.page_text import join_lines, spell_out
from pipelines.extract.pdf.reading_order import Box, order_boxes

_DETECT: Final = "PP-OCRv6_det_small.onnx"
_RECOGNISE: Final = "PP-OCRv6_rec_small.onnx"
_MIN_PAGE_CONFIDENCE: Final = 0.85
_MAX_UNREAD: Final = 0.04
# A line below either is left out of a page that is good as a whole: marks in pictures, stamps.
_MIN_LINE_CONFIDENCE: Final = 0.5
_MAX_LINE_UNREAD: Final = 0.5
# Steps of the recogniser, of which a line has 6 a line height, from the middle of a character
# within which ink belongs to it: half a wide Latin letter, half an ideograph.
_STEPS_A_HEIGHT: Final = 6.0
_REACH_LATIN: Final = 2.0
_REACH_WIDE: Final = 3.25
_FIRST_WIDE: Final = "\u2e80"
_MIN_STROKE: Final = 0.12  # of the height; columns with less ink are rules and underscores
_TALL: Final = 1.5
_SAMPLE: Final = 12
_MIN_GAIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class OcrResult:
    """What was read on a page: a text, or the reason why there is none."""

    text: str | None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    box: Box
    text: str
    confidence: float
    unread: float
    """Share of its ink that no character accounts for, in [0, 1]."""
    length: float
    """In steps of the recogniser: in line heights, so that a headline weighs no more than print."""


def read_picture(image: Image) -> OcrResult:
    """Reads the text of a page.

    Args:
        image: uint8[height, width, 3], blue first, in whatever quarter turn.

    Returns:
        The text, in reading order; or the reason `ocr_no_text` (no line of text was found),
        `ocr_unread_ink` (letters that the models do not know) or `ocr_low_confidence`.
    """
    boxes, crops = _detect(image)
    if crops and _are_tall(boxes):
        image = np.ascontiguousarray(np.rot90(image))
        boxes, crops = _detect(image)
    if not crops:
        return OcrResult(None, "ocr_no_text", "no line of text was found in the picture")
    lines = _recognise(boxes, crops)
    result = _result(lines)
    if result.reason is not None and _is_upside_down(boxes, crops, lines):
        lines = _recognise(*_detect(np.ascontiguousarray(image[::-1, ::-1])))
        result = _result(lines)
    return result


def _result(lines: Sequence[_Line]) -> OcrResult:
    confidence, unread = _confidence(lines), _unread(lines)
    if unread > _MAX_UNREAD:
        message = f"{unread:.0%} of the ink belongs to no letter that the OCR models know"
        return OcrResult(None, "ocr_unread_ink", message)
    if confidence < _MIN_PAGE_CONFIDENCE:
        message = f"mean confidence {confidence:.2f}; at least {_MIN_PAGE_CONFIDENCE} is needed"
        return OcrResult(None, "ocr_low_confidence", message)
    good = [
        line
        for line in lines
        if line.confidence >= _MIN_LINE_CONFIDENCE and line.unread <= _MAX_LINE_UNREAD
    ]
    text = _text(good)
    if not text.strip():
        return OcrResult(None, "ocr_no_text", "no line of the picture could be read")
    return OcrResult(text)


def _text(lines: Sequence[_Line]) -> str:
    texts = {line.box.index: line.text for line in lines}
    blocks = []
    for block in order_boxes([line.box for line in lines]):
        rows = [" ".join(texts[box.index].strip() for box in row) for row in block]
        margin = min(row[0].x0 for row in block)
        blocks.append(join_lines(rows, [row[-1].x1 - margin for row in block]))
    return spell_out("\n\n".join(blocks))


def _confidence(lines: Sequence[_Line]) -> float:
    """Mean over characters."""
    num_chars = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / max(1, num_chars)


def _unread(lines: Sequence[_Line]) -> float:
    """Mean over the length of the lines."""
    length = sum(line.length for line in lines)
    return sum(line.unread * line.length for line in lines) / length if length else 1.0


def _are_tall(boxes: npt.NDArray[np.float32]) -> bool:
    """Whether most of the text, by length, runs upwards or downwards."""
    wide = np.linalg.norm(boxes[:, 0] - boxes[:, 1], axis=1)
    high = np.linalg.norm(boxes[:, 0] - boxes[:, 3], axis=1)
    length = np.maximum(wide, high)
    return bool(length[high > _TALL * wide].sum() > 0.5 * length.sum())


def _is_upside_down(
    boxes: npt.NDArray[np.float32], crops: Sequence[Image], lines: Sequence[_Line]
) -> bool:
    """Whether the longest lines read better when they are turned by half a circle."""
    longest = sorted(range(len(crops)), key=lambda i: -crops[i].shape[1])[:_SAMPLE]
    turned = [np.ascontiguousarray(crops[i][::-1, ::-1]) for i in longest]
    again = _recognise(boxes[longest], turned)
    before = [lines[i] for i in longest]
    return _confidence(again) - _unread(again) > _confidence(before) - _unread(before) + _MIN_GAIN


def _detect(image: Image) -> tuple[npt.NDArray[np.float32], list[Image]]:
    """Text lines of a picture.

    Returns:
        float32[num_lines, 4, 2], corners from the upper left one clockwise, in pixels; and the cut
        out lines, those that are tall turned by a quarter.
    """
    from rapidocr.main import RapidOCRError

    reader = _reader()
    record: dict[str, Any] = {"preprocess": {"ratio_h": 1.0, "ratio_w": 1.0}}
    try:
        crops, found = reader.detect_and_crop(image, record)
    except RapidOCRError:  # none
        return np.zeros((0, 4, 2), np.float32), []
    return np.asarray(found.boxes, np.float32), crops


def _recognise(boxes: npt.NDArray[np.float32], crops: Sequence[Image]) -> list[_Line]:
    if not crops:
        return []
    found = _reader().recognize_txt(list(crops))
    rows = zip(boxes, crops, found.txts, found.scores, found.word_results, strict=True)
    return [_line(i, *row) for i, row in enumerate(rows)]


def _line(
    index: int,
    corners: npt.NDArray[np.float32],
    crop: Image,
    text: str,
    confidence: float,
    steps: Any,  # noqa: ANN401 - rapidocr's WordInfo
) -> _Line:
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    middles = np.array([c + 0.5 for word in steps.word_cols for c in word], np.float32)
    is_wide = any(char >= _FIRST_WIDE for char in text)
    unread = _unread_share(
        crop, middles, steps.line_txt_len, _REACH_WIDE if is_wide else _REACH_LATIN
    )
    length = _STEPS_A_HEIGHT * crop.shape[1] / crop.shape[0]
    return _Line(Box(index, x0, y0, x1, y1), text, float(confidence), unread, length)


def _unread_share(
    crop: Image, middles: npt.NDArray[np.float32], num_steps: float, reach: float
) -> float:
    """Share of the ink of a line that is farther than `reach` steps from every character."""
    import cv2

    grey = crop.min(axis=2)
    _, dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    ink = dark.sum(axis=0, dtype=np.float64)
    if ink.sum() > 0.5 * dark.size:
        ink = dark.shape[0] - ink  # light on dark
    ink[ink < _MIN_STROKE * dark.shape[0]] = 0
    if not ink.any():
        return 0.0
    if not len(middles) or num_steps <= 0:
        return 1.0
    place = np.arange(ink.size, dtype=np.float32) * (num_steps / ink.size)
    distance = np.abs(place[:, None] - middles[None, :]).min(axis=1)
    return float(ink[distance > reach].sum() / ink.sum())


@functools.cache
def _reader() -> Any:  # noqa: ANN401 - RapidOCR, which is imported where it is needed
    """The models, loaded once a process (1 s, 0.3 GB)."""
    import cv2
    import rapidocr

    cv2.setNumThreads(1)
    models = Path(rapidocr.__file__).parent / "models"
    engine = "EngineConfig.onnxruntime"
    reader = rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.return_word_box": True,
            "Det.model_path": str(models / _DETECT),
            "Rec.model_path": str(models / _RECOGNISE),
            f"{engine}.intra_op_num_threads": 1,
            f"{engine}.inter_op_num_threads": 1,
        }
    )
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL + 1)
    return reader
