"""How a page lies on its picture, told from the boxes of its lines of text.

The detector finds lines in any direction, and gives each as a rectangle of any angle, so nothing
has to be measured on the picture itself, and the picture is never turned: lines are cut out along
their direction, and only their places are turned, to put them into the order of the page. An
upright page pays nothing for this. Quarter turns and skew are one angle, that of most of the text.
Which of its two ends is the beginning of the lines cannot be seen in boxes, and is asked of a
classifier of cut out lines (`ocr_rapidocr`).

Boxes are float32[n, 4, 2]: x and y in pixels, y downwards, the four corners of a line clockwise.
Angles are degrees, clockwise as seen on the picture, 0 for lines from left to right.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Boxes = Floats
"""float32[n, 4, 2]."""

# Of a line so many times as long as high, the angle of its box is good to half a degree; of one
# that is not square, it tells rows from columns.
_LONG: Final = 5.0
_NOT_SQUARE: Final = 1.5
# Within so many degrees of the median must be half of the text, by length; else, as in a picture
# with curved lettering, the page has no angle but a quarter turn.
_SAME_ANGLE: Final = 2.0
_QUARTER: Final = 90.0


def sides(boxes: Boxes) -> tuple[Floats, Floats]:
    """(float32[n] lengths of the first sides, float32[n] of the second ones), in pixels."""
    first = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    second = np.linalg.norm(boxes[:, 2] - boxes[:, 1], axis=1)
    return first, second


def direction_of(boxes: Boxes) -> float:
    """The angle in which the lines of a page run, up to half a turn: in [-45, 135) degrees.

    The median over the lines, each counted by its length, of the direction of their long sides.
    """
    first, second = sides(boxes)
    along = np.where(
        (first >= second)[:, None], boxes[:, 1] - boxes[:, 0], boxes[:, 2] - boxes[:, 1]
    )
    degrees = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    angles = ((degrees + 45.0) % 180.0 - 45.0).astype(np.float32)
    length, height = np.maximum(first, second), np.minimum(first, second)
    is_long = length >= _LONG * height
    if is_long.any():
        middle = _median(angles[is_long], length[is_long])
        same = np.abs(angles - middle) <= _SAME_ANGLE
        if length[same & is_long].sum() >= 0.5 * length[is_long].sum():
            return middle
        return _nearest_quarter(middle)
    is_line = length >= _NOT_SQUARE * height
    if is_line.any():
        return _nearest_quarter(_median(angles[is_line], length[is_line]))
    return 0.0


def _nearest_quarter(angle: float) -> float:
    return _QUARTER * round(angle / _QUARTER)


def _median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(reached, 0.5 * reached[-1])])


def aligned(boxes: Boxes, direction: float) -> Boxes:
    """The boxes with their corners counted so that the first side runs in a direction.

    Detectors count from whatever corner; that of a steep line can be any.
    """
    way = np.array([np.cos(np.radians(direction)), np.sin(np.radians(direction))], np.float32)
    first = np.roll(boxes, -1, axis=1) - boxes
    lengths = np.maximum(np.linalg.norm(first, axis=2), 1e-6)
    start = np.argmax((first @ way) / lengths, axis=1)
    corners = (start[:, None] + np.arange(4)[None, :]) % 4
    return np.take_along_axis(boxes, corners[:, :, None], axis=1)


def levelled(boxes: Boxes, direction: float, width: float, height: float) -> tuple[Boxes, Floats]:
    """The boxes on an upright page.

    Args:
        boxes: On a picture of a page whose lines run in `direction`.
        direction: Degrees.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        The boxes, and float32[2] the size of the upright page, turned by the nearest quarter;
        corners of a page that is askew lie outside of it.
    """
    turn = np.radians(direction)
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    is_on_its_side = round(direction / _QUARTER) % 2 == 1
    size = np.array([height, width] if is_on_its_side else [width, height], np.float32)
    x, y = boxes[:, :, 0] - np.float32(width / 2), boxes[:, :, 1] - np.float32(height / 2)
    turned = np.stack((x * cosine + y * sine, y * cosine - x * sine), axis=2)
    return (turned + size / 2).astype(np.float32), size


def trimmed(boxes: Boxes, start: Floats, end: Floats) -> Boxes:
    """The boxes without the white at their ends: from `start` to `end`, float32[n] shares."""
    start, end = start[:, None], end[:, None]
    upper, lower = boxes[:, 1] - boxes[:, 0], boxes[:, 2] - boxes[:, 3]
    corners = (
        boxes[:, 0] + start * upper,
        boxes[:, 0] + end * upper,
        boxes[:, 3] + end * lower,
        boxes[:, 3] + start * lower,
    )
    return np.stack(corners, axis=1).astype(np.float32)
