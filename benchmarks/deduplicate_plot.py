"""The picture of `deduplicate.py --scale`: time and memory over the number of documents, as SVG.

Two panels with straight axes from zero, so that a line that bends is seen to bend. Every point
bears its number, for the picture stands where the table does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 460
_HEIGHT: Final = 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 28, 52, 48
_LABEL: Final = 40  # what the number at a point is wide
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_COLOURS: Final = ("#1f6feb", "#bf5700", "#57606a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured quantity."""

    name: str
    values: Sequence[float]
    """As many as there are sizes."""
    limit: bool = False
    """A limit, drawn dashed and without points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture beside the others."""

    title: str
    lines: Sequence[Line]
    """The lowest first."""


def picture(sizes: Sequence[int], panels: Sequence[Panel], caption: str) -> str:
    """An SVG of panels side by side.

    Args:
        sizes: Documents, ascending.
        panels: Over the same sizes.
        caption: One line below them.
    """
    width, height = _WIDTH * len(panels), _HEIGHT + 24
    drawn = "".join(_panel(sizes, panel, _WIDTH * i) for i, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{drawn}'
        f'<text x="12" y="{height - 10}" fill="#57606a">{_escaped(caption)}</text>\n</svg>\n'
    )


def ticks(largest: float, most: int = 6) -> list[float]:
    """Round numbers from 0 to the first that is not below `largest`, at most so many steps."""
    rough = max(largest, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * s for s in _STEPS if power * s >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(largest / step * (1 - 1e-9)) + 1)]


def _panel(sizes: Sequence[int], panel: Panel, left: float) -> str:
    across = ticks(max(sizes))
    up = ticks(max(value for line in panel.lines for value in line.values))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(size: float) -> float:
        return round(left + _LEFT + wide * size / across[-1], 1)

    def y(value: float) -> float:
        return round(_TOP + high * (1 - value / up[-1]), 1)

    parts = [_text(left + _LEFT, 22, panel.title, weight="bold")]
    for value in up:
        parts.append(
            f'<line x1="{x(0)}" y1="{y(value)}" x2="{x(across[-1])}" y2="{y(value)}" '
            'stroke="#d0d7de"/>\n'
        )
        parts.append(_text(x(0) - 6, y(value) + 4, f"{value:,g}", anchor="end"))
    for size in across:
        parts.append(_text(x(size), y(0) + 18, _short(size), anchor="middle"))
    parts.append(_text(x(across[-1]), y(0) + 36, "documents", anchor="end"))
    for number, line in enumerate(panel.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(x(s), y(v)) for s, v in zip(sizes, line.values, strict=True)]
        if line.limit:
            points = [(x(0), points[0][1]), (x(across[-1]), points[-1][1])]
        path = " ".join(f"{a},{b}" for a, b in points)
        dash = ' stroke-dasharray="5 4"' if line.limit else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>\n'
        )
        at = left + _LEFT + number * wide / len(panel.lines)
        parts.append(_text(at, 40, line.name, fill=colour))
        # Numbers of the first of several lines stand below it, so that they keep off the others.
        is_below = number == 0 and len(panel.lines) > 1
        if not line.limit:
            for (a, b), value in zip(points, line.values, strict=True):
                parts.append(f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>\n')
                is_right = is_below or a - x(0) < _LABEL  # where it would cover the axis
                across_by, up_by, side = (5, 16, "start") if is_right else (-5, -7, "end")
                label = _text(a + across_by, b + up_by, _rounded(value), anchor=side, fill=colour)
                parts.append(label)
    return "".join(parts)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#24292f", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"{bold}>'
        f"{_escaped(text)}</text>\n"
    )


def _rounded(value: float) -> str:
    """Three digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(size: float) -> str:
    return f"{size / 1e6:g}M" if size >= 1e6 else f"{size / 1e3:g}k" if size else "0"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
