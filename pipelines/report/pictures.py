"""Geometry of the pictures: pure functions from numbers to rectangles and positions.

A picture here is never the only place of a number: every bar stands in the row of a table that
prints it, and every histogram has its table. So a picture may be coarse (a column of 0.3 pixels is
drawn as 1), as long as what is not zero is seen and what is zero is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SIGMAS: Final = 3.0
"""Half the width of the scale on which a result is shown beside its plan, in sigmas at least."""

_LEAST_SHARE: Final = 0.4  # per cent of a bar: about one pixel of a column on a phone
_LEAST_HEIGHT: Final = 1.5


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of an SVG, in its own units, y from the top."""

    x: float
    y: float
    width: float
    height: float


def share(value: float, largest: float) -> float:
    """Length of a bar in per cent of the longest; 0 only where the value is 0."""
    if value <= 0 or largest <= 0:
        return 0.0
    return round(max(_LEAST_SHARE, min(100.0, 100.0 * value / largest)), 2)


def columns(values: Sequence[float], *, width: float, height: float, gap: float) -> list[Rect]:
    """Columns of a histogram that stand side by side on the bottom.

    Args:
        values: One a column, none negative.
        width: Of the whole picture.
        height: Of the highest column.
        gap: Between two columns.
    """
    largest = max(values, default=0)
    if not largest:
        return []
    step = width / len(values)
    rects = []
    for number, value in enumerate(values):
        if value:
            tall = round(max(_LEAST_HEIGHT, height * value / largest), 2)
            x = round(number * step + gap / 2, 2)
            rects.append(Rect(x, round(height - tall, 2), round(step - gap, 2), tall))
    return rects


@dataclass(frozen=True, slots=True)
class Range:
    """A result on a scale around its plan; all in per cent from the left."""

    low: float
    """Plan minus one sigma."""
    high: float
    plan: float
    result: float


def around_plan(planned: float, sigma: float, result: float) -> Range:
    """Places a result beside its plan on a scale of at least 3 sigma either way.

    Args:
        planned: Expected tokens.
        sigma: Standard deviation over seeds, not negative; 0 where nothing is left to chance.
        result: Tokens that came out.
    """
    reach = max(SIGMAS * sigma, abs(result - planned) * 1.1, 1e-9)
    low, high, at = (50 + 50 * d / reach for d in (-sigma, sigma, result - planned))
    return Range(round(low, 2), round(high, 2), 50.0, round(at, 2))
