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

Pages in any turn: lines are found in every direction and cut out level (see `orientation`). Which
way is up is asked of the classifier of the wheel, for a few of the longest lines, and where it says
down, these are read both ways, as are those of a page that reads badly. Vertical Japanese or
Chinese counts as a page on its side, which gives its columns, from right to left, the order of
rows.

One thread: the processes side by side use the cores. Its results are those of the CPU and its
onnxruntime: the same everywhere but for the last digits of a confidence.
"""

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.extract.pdf.ocr import Reading
from pipelines.extract.pdf.ocr_lines import text_of_lines
from pipelines.extract.pdf.orientation import (
    Boxes,
    aligned,
    direction_of,
    levelled,
    sides,
    trimmed,
)

if TYPE_CHECKING:
    from pipelines.extract.pdf.opening import Image

_DETECT: Final = "PP-OCRv6_det_small.onnx"
_RECOGNISE: Final = "PP-OCRv6_rec_small.onnx"
_DIRECTION: Final = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
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
_SAMPLE: Final = 12
_MIN_GAIN: Final = 0.05
# Lines are found as well on a page 1,200 pixels long as at 2,400, at an eighth of the time, but for
# print below 6 points on A4, of which a line with its white is 12 pixels high there.
_DETECTED_PIXELS: Final = 1200
_SMALL_PRINT: Final = 12.0
# Of strips that are flatter or lower the detector finds nothing.
_MAX_ASPECT: Final = 8
_STRIP_ASPECT: Final = 5
_MIN_HEIGHT: Final = 32
# The classifier sees 48 x 192 pixels: of a longer line the beginning, for else it is squeezed.
_CLASSIFIED_WIDTH: Final = 4
_CLASSIFIED_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class _Page:
    """What was detected on a picture."""

    boxes: Boxes
    """Their first sides run in the direction of the page."""
    crops: "list[Image]"
    """The lines of the boxes, cut out level."""
    direction: float
    """In which lines run, degrees clockwise."""
    width: int
    height: int

    def turned(self) -> "_Page":
        """The page with its lines read from their other ends."""
        return _Page(
            boxes=np.roll(self.boxes, 2, axis=1),
            crops=[_upturned(crop) for crop in self.crops],
            direction=self.direction + 180,
            width=self.width,
            height=self.height,
        )


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    confidence: float
    unread: float
    """Share of its ink that no character accounts for, in [0, 1]."""
    length: float
    """In steps of the recogniser: in line heights, so that a headline weighs no more than print."""
    start: float
    """Where its ink begins, as a share of its width: the detector leaves white at both ends."""
    end: float


class RapidOcr:
    """RapidOCR with the models of its wheel."""

    @property
    def name(self) -> str:
        """Name and version, e.g. `rapidocr/3.10.0`."""
        return f"rapidocr/{version('rapidocr')}"

    def read(self, image: "Image") -> Reading:
        """Reads the text of a page.

        Args:
            image: uint8[height, width, 3], blue first, in whatever turn.

        Returns:
            The text, in reading order; or the reason `ocr_no_text` (no line of text was found),
            `ocr_unread_ink` (letters that the models do not know) or `ocr_low_confidence`.
        """
        page = _detected(image)
        if not page.crops:
            return _nothing("no line of text was found in the picture")
        if _seems_upside_down(page.crops) and _reads_better_turned(page):
            page = page.turned()
            return _reading(page, _recognised(page.crops))
        lines = _recognised(page.crops)
        reading = _reading(page, lines)
        if reading.reason is not None and _reads_better_turned(page, lines):
            page = page.turned()
            reading = _reading(page, _recognised(page.crops))
        return reading


def _nothing(message: str) -> Reading:
    return Reading(reason="ocr_no_text", message=message)


def _reading(page: _Page, lines: Sequence[_Line]) -> Reading:
    confidence, unread = _confidence(lines), _unread(lines)
    if unread > _MAX_UNREAD:
        message = f"{unread:.0%} of the ink belongs to no letter that the OCR models know"
        return Reading(reason="ocr_unread_ink", message=message, confidence=confidence)
    if confidence < _MIN_PAGE_CONFIDENCE:
        message = f"mean confidence {confidence:.2f}; at least {_MIN_PAGE_CONFIDENCE} is needed"
        return Reading(reason="ocr_low_confidence", message=message, confidence=confidence)
    good = [
        i
        for i, line in enumerate(lines)
        if line.confidence >= _MIN_LINE_CONFIDENCE
        and line.unread <= _MAX_LINE_UNREAD
        and line.text.strip()
    ]
    start = np.array([lines[i].start for i in good], np.float32)
    end = np.array([lines[i].end for i in good], np.float32)
    boxes, size = levelled(
        trimmed(page.boxes[good], start, end), page.direction, page.width, page.height
    )
    text = text_of_lines([lines[i].text for i in good], boxes, size)
    if not text.strip():
        return _nothing("no line of the picture could be read")
    return Reading(text=text, confidence=confidence)


def _confidence(lines: Sequence[_Line]) -> float:
    """Mean over characters."""
    num_chars = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / max(1, num_chars)


def _unread(lines: Sequence[_Line]) -> float:
    """Mean over the length of the lines."""
    length = sum(line.length for line in lines)
    return sum(line.unread * line.length for line in lines) / length if length else 1.0


def _seems_upside_down(crops: "Sequence[Image]") -> bool:
    """Whether the classifier says so of most of the longest lines."""
    ends = [crops[i][:, : _CLASSIFIED_WIDTH * crops[i].shape[0]] for i in _longest(crops)]
    _, found = _reader().cls_and_rotate(ends[:_CLASSIFIED_LINES])
    down = sum(score if label == "180" else -score for label, score in found.cls_res)
    return bool(down > 0)


def _reads_better_turned(page: _Page, lines: Sequence[_Line] | None = None) -> bool:
    """Whether the longest lines read better when they are turned by half a circle."""
    longest = _longest(page.crops)[:_SAMPLE]
    crops = [page.crops[i] for i in longest]
    before = [lines[i] for i in longest] if lines is not None else _recognised(crops)
    after = _recognised([_upturned(crop) for crop in crops])
    return _goodness(after) > _goodness(before) + _MIN_GAIN


def _goodness(lines: Sequence[_Line]) -> float:
    return _confidence(lines) - _unread(lines)


def _longest(crops: "Sequence[Image]") -> list[int]:
    return sorted(range(len(crops)), key=lambda i: -crops[i].shape[1])


def _upturned(crop: "Image") -> "Image":
    return np.ascontiguousarray(crop[::-1, ::-1])


def _detected(image: "Image") -> _Page:
    """The text lines of a picture, upright or upside down."""
    image = _padded(image)
    boxes = _boxes(image)
    direction = direction_of(boxes) if len(boxes) else 0.0
    boxes = aligned(boxes, direction)
    height, width, _ = image.shape
    # What is tall even so (a note in the margin) is turned counterclockwise as it is cut out.
    crops = _reader().crop_text_regions(image, boxes)
    return _Page(boxes, crops, direction, width, height)


def _padded(image: "Image") -> "Image":
    """The picture; a strip, such as a cut out line, on more paper, for its edges are cut close."""
    import cv2

    height, width, _ = image.shape
    if width < _STRIP_ASPECT * height and height >= _MIN_HEIGHT:
        return image
    wanted = max(2 * height, _MIN_HEIGHT, math.ceil((width + height) / _MAX_ASPECT))
    above, beside = (wanted - height + 1) // 2, (height + 1) // 2
    paper = np.median(image, axis=(0, 1)).tolist()
    padded = cv2.copyMakeBorder(
        image, above, above, beside, beside, cv2.BORDER_CONSTANT, value=paper
    )
    return np.asarray(padded, np.uint8)


def _boxes(image: "Image") -> Boxes:
    """Where lines of text are: looked for on a small picture, again larger for small print."""
    longest = max(image.shape[:2])
    scale = min(1.0, _DETECTED_PIXELS / longest)
    boxes = _detect_at(image, scale)
    if len(boxes) and float(np.median(np.minimum(*sides(boxes)))) * scale >= _SMALL_PRINT:
        return boxes
    larger = 1.0 if scale < 1 else min(2.0, _DETECTED_PIXELS / longest)
    return _detect_at(image, larger) if larger > scale else boxes


def _detect_at(image: "Image", scale: float) -> Boxes:
    """Boxes in pixels of a picture, found on one of another size."""
    import cv2

    if scale == 1:
        return _detect(image)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    other = cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
    return (_detect(np.asarray(other, np.uint8)) / np.float32(scale)).astype(np.float32)


def _detect(image: "Image") -> Boxes:
    """Boxes of text lines, see `orientation`, in pixels of the picture."""
    from rapidocr.main import RapidOCRError

    record: dict[str, Any] = {"preprocess": {"ratio_h": 1.0, "ratio_w": 1.0}}
    try:
        _, found = _reader().detect_and_crop(image, record)
    except RapidOCRError:  # none
        return np.zeros((0, 4, 2), np.float32)
    return np.asarray(found.boxes, np.float32)


def _recognised(crops: "Sequence[Image]") -> list[_Line]:
    if not crops:
        return []
    found = _reader().recognize_txt(list(crops))
    rows = zip(crops, found.txts, found.scores, found.word_results, strict=True)
    return [_line(*row) for row in rows]


def _line(
    crop: "Image",
    text: str,
    confidence: float,
    steps: Any,  # noqa: ANN401 - rapidocr's WordInfo
) -> _Line:
    ink = _ink(crop)
    middles = np.array([c + 0.5 for word in steps.word_cols for c in word], np.float32)
    is_wide = any(char >= _FIRST_WIDE for char in text)
    reach = _REACH_WIDE if is_wide else _REACH_LATIN
    inked = np.flatnonzero(ink)
    return _Line(
        text=text,
        confidence=float(confidence),
        unread=_unread_share(ink, middles, steps.line_txt_len, reach),
        length=_STEPS_A_HEIGHT * crop.shape[1] / crop.shape[0],
        start=float(inked[0] / ink.size) if inked.size else 0.0,
        end=float((inked[-1] + 1) / ink.size) if inked.size else 1.0,
    )


def _ink(crop: "Image") -> npt.NDArray[np.float64]:
    """Inked pixels of each column of a line, float64[width]; 0 where there is no stroke."""
    import cv2

    grey = crop.min(axis=2)
    _, dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    ink: npt.NDArray[np.float64] = dark.sum(axis=0, dtype=np.float64)
    if ink.sum() > 0.5 * dark.size:
        ink = dark.shape[0] - ink  # light on dark
    ink[ink < _MIN_STROKE * dark.shape[0]] = 0
    return ink


def _unread_share(
    ink: npt.NDArray[np.float64],
    middles: npt.NDArray[np.float32],
    num_steps: float,
    reach: float,
) -> float:
    """Share of the ink of a line that is farther than `reach` steps from every character."""
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
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",  # no other size than the one asked for
            "Det.limit_side_len": 1 << 15,
            "Det.model_path": str(models / _DETECT),
            "Rec.model_path": str(models / _RECOGNISE),
            "Cls.model_path": str(models / _DIRECTION),
            f"{engine}.intra_op_num_threads": 1,
            f"{engine}.inter_op_num_threads": 1,
        }
    )
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL + 1)
    return reader
