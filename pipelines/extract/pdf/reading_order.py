"""Reading order: from boxes of text lines on an upright page to blocks of rows.

OCR finds lines in no order that one could read. The page is cut recursively at the two columns of
running text with most lines between them: what stands above them is read first, then the left
column, the right one, and what is below. A line that lies across the gutter (a title, a caption)
ends them, so columns may differ from band to band. Cells are no running text, so a table stays in
rows. The idea is that of the recursive XY cut (Nagy and Seth 1984), which asks for a gutter from
top to bottom; most pages with two columns begin with a title over both.

Boxes are axis-parallel, in pixels, y grows downwards; columns are taken from left to right, which
fits the scripts that the OCR engine here can read.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

_MIN_COLUMN_LINES: Final = 3
# A line of running text is longer than a cell: at least so many line heights, and so much of the
# width of its side, on which there may be three columns.
_MIN_LINE_HEIGHTS: Final = 6.0
_MIN_FILLING: Final = 0.3
_MAX_CUTS: Final = 12  # nested columns; deeper is no page
# Gap between two rows, in line heights, from which a new block begins.
_BLOCK_GAP: Final = 1.0


@dataclass(frozen=True, slots=True)
class Box:
    """Place of one text line; `index` names it."""

    index: int
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def height(self) -> float:
        """Pixels."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """Pixels."""
        return self.x1 - self.x0

    @property
    def middle(self) -> float:
        """Vertical middle."""
        return (self.y0 + self.y1) / 2


def order_boxes(boxes: Sequence[Box]) -> list[list[list[Box]]]:
    """Blocks in reading order; a block is rows from top to bottom, a row boxes from left to right.

    Every box occurs exactly once.
    """
    return [block for region in _regions(list(boxes), _MAX_CUTS) for block in _blocks(region)]


def _regions(boxes: list[Box], cuts: int) -> list[list[Box]]:
    """Groups of boxes without columns in them, in reading order."""
    found = _columns(boxes) if cuts else None
    if found is None:
        return [boxes] if boxes else []
    return [region for piece in found for region in _regions(piece, cuts - 1)]


def _columns(boxes: list[Box]) -> tuple[list[Box], ...] | None:
    """The pair of columns with most lines: what is above, left, right, below; None without one."""
    best, most = None, 0
    unit = max(1.0, median(b.height for b in boxes) / 4) if boxes else 1.0
    for x in sorted({math.ceil(b.x1 / unit) * unit for b in boxes}):
        for pieces in _bands(boxes, x):
            _, left, right, _ = pieces
            if len(left) + len(right) > most and _are_columns(left, right):
                best, most = pieces, len(left) + len(right)
    return best


def _bands(boxes: list[Box], x: float) -> Iterator[tuple[list[Box], ...]]:
    """Cuts boxes at x wherever no box lies across: (above, left, right, below) for each band."""
    across = sorted(b.middle for b in boxes if b.x0 < x < b.x1)
    edges = [-math.inf, *across, math.inf]
    rest = sorted((b for b in boxes if not b.x0 < x < b.x1), key=lambda b: b.middle)
    middles = [b.middle for b in rest]
    for top, bottom in pairwise(edges):
        band = rest[bisect_right(middles, top) : bisect_left(middles, bottom)]
        left, right = [b for b in band if b.x1 <= x], [b for b in band if b.x1 > x]
        if min(len(left), len(right)) < _MIN_COLUMN_LINES:
            continue
        inside = {b.index for b in band}
        above = [b for b in boxes if b.middle <= top and b.index not in inside]
        below = [b for b in boxes if b.middle > top and b.index not in inside]
        yield above, left, right, below


def _are_columns(left: list[Box], right: list[Box]) -> bool:
    return _is_running(left) and _is_running(right) and _side_by_side(left, right)


def _is_running(boxes: list[Box]) -> bool:
    """Whether boxes are lines of text that fill their column, and not cells."""
    column = max(b.x1 for b in boxes) - min(b.x0 for b in boxes)
    height = median(b.height for b in boxes)
    width = median(b.width for b in boxes)
    return width >= _MIN_LINE_HEIGHTS * height and width >= _MIN_FILLING * column


def _side_by_side(left: list[Box], right: list[Box]) -> bool:
    """Whether two columns stand beside each other for at least a few lines."""
    top = max(min(b.y0 for b in left), min(b.y0 for b in right))
    bottom = min(max(b.y1 for b in left), max(b.y1 for b in right))
    return bottom - top >= _MIN_COLUMN_LINES * median(b.height for b in [*left, *right])


def _blocks(boxes: list[Box]) -> list[list[list[Box]]]:
    """Rows of a region, cut where the gap between two of them is wide."""
    rows = _rows(boxes)
    blocks: list[list[list[Box]]] = []
    for row in rows:
        if blocks:
            above = blocks[-1][-1]
            gap = min(b.y0 for b in row) - max(b.y1 for b in above)
            height = median(b.height for b in [*above, *row])
            if gap <= _BLOCK_GAP * height:
                blocks[-1].append(row)
                continue
        blocks.append([row])
    return blocks


def _rows(boxes: list[Box]) -> list[list[Box]]:
    """Boxes that stand on one line of the page together, from left to right."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda b: (b.middle, b.x0)):
        if rows:
            first = rows[-1][0]
            shared = min(first.y1, box.y1) - max(first.y0, box.y0)
            free = all(box.x0 >= b.x1 or box.x1 <= b.x0 for b in rows[-1])
            if shared >= 0.5 * min(first.height, box.height) and free:
                rows[-1].append(box)
                continue
        rows.append([box])
    return [sorted(row, key=lambda b: b.x0) for row in rows]
