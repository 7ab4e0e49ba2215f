"""Tables of a page as Markdown: between ruling lines, and of aligned columns without any.

Ruled: level lines of one extent that stand below each other make bands (a table of books has three
lines, a grid one below each row). Consecutive bands whose rows are made of cells, and not of lines
of prose, are a table. Columns are parted by upright lines where there are some, else by stretches
that are white in nearly all rows; rows by the level lines of a grid, else by their baselines, where
a line that fills few cells and touches a fuller row belongs to it.

Unruled: three or more rows below each other with the same columns, each aligned left, right or in
the middle. Formulas and lists have gaps too, but none that align.

A cell over several columns stands in the first of them; Markdown has no other way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from pipelines.extract.pdf.layout_runs import Floats
from pipelines.extract.pdf.layout_segments import BULLETS, Segment, cells_of, is_bullet, rows
from pipelines.extract.pdf.page_text import join_lines

Span = tuple[float, float]

_EXTENT: Final = 4.0  # points by which the ends of lines of one table may differ
_MIN_GAP: Final = 0.35  # of the size: white between two columns
_CROSSED: Final = 0.12  # share of the rows that may cross the white between two columns
_PROSE_CHARS: Final = 32  # a cell of prose that fills its column
_PROSE_FILL: Final = 0.72
_LIST_WIDTH: Final = 10.0  # of the size: no column of text is narrower (see `layout_columns`)
_MAX_COLUMNS: Final = 40
_MIN_UNRULED_ROWS: Final = 3
_ALIGNED: Final = 0.75  # share of the cells of a column that align
_MAX_PITCH: Final = 2.6  # lines from a row of an unruled table to the next


@dataclass(frozen=True, slots=True)
class Table:
    """A table and where it stands."""

    x0: float
    y0: float
    x1: float
    y1: float
    cells: list[list[str]]
    """Rows from top to bottom, all of one length."""
    members: frozenset[int]
    """`order` of the segments in it."""

    @property
    def markdown(self) -> str:
        """A GitHub table; its first row is the heading."""
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.cells
        ]
        return "\n".join([lines[0], "|" + " --- |" * len(self.cells[0]), *lines[1:]])


def ruled_tables(segments: Sequence[Segment], rules: Floats) -> list[Table]:
    """Tables between ruling lines, from top to bottom; none overlaps another."""
    level = _merged(rules[(rules[:, 2] - rules[:, 0]) >= (rules[:, 3] - rules[:, 1])])
    upright = rules[(rules[:, 2] - rules[:, 0]) < (rules[:, 3] - rules[:, 1])]
    found: list[Table] = []
    for chain in _chains(level):
        for first, last in _tabular_stretches(segments, chain, upright):
            lines = chain[first : last + 1]
            table = _ruled_table(segments, lines, upright, level)
            if table and not any(table.members & other.members for other in found):
                found.append(table)
    return sorted(found, key=lambda t: t.y0)


def _merged(level: Floats) -> list[tuple[float, float, float]]:
    """(x0, x1, y) of level lines, pieces of one line joined, from top to bottom."""
    found: list[list[float]] = []
    middle = (level[:, 1] + level[:, 3]) / 2
    for i in np.lexsort((level[:, 0], np.round(middle / 1.5))).tolist():
        x0, x1, y = float(level[i, 0]), float(level[i, 2]), float(middle[i])
        last = found[-1] if found else None
        if last and abs(last[2] - y) <= 1.6 and x0 <= last[1] + 3:
            last[1] = max(last[1], x1)
        else:
            found.append([x0, x1, y])
    return sorted(((x0, x1, y) for x0, x1, y in found if x1 - x0 >= 20), key=lambda line: line[2])


def _chains(level: Sequence[tuple[float, float, float]]) -> list[list[tuple[float, float, float]]]:
    """Lines of one extent, those of the most lines first."""
    chains: list[list[tuple[float, float, float]]] = []
    for line in level:
        for chain in chains:
            if abs(chain[0][0] - line[0]) <= _EXTENT and abs(chain[0][1] - line[1]) <= _EXTENT:
                chain.append(line)
                break
        else:
            chains.append([line])
    return sorted((c for c in chains if len(c) >= 2), key=lambda c: (-len(c), c[0][2]))


def _tabular_stretches(
    segments: Sequence[Segment],
    chain: Sequence[tuple[float, float, float]],
    upright: Floats,
) -> list[tuple[int, int]]:
    """Runs of consecutive bands that hold cells: (first, last) line of each."""
    kinds = []
    for above, below in pairwise(chain):
        inside = _inside(segments, above[0], above[2], above[1], below[2])
        inner = _separators(upright, above[0], above[1], above[2], below[2])
        kinds.append(_kind_of_band(inside, above[1] - above[0], bool(inner)))
    stretches, begin = [], None
    for i, kind in enumerate([*kinds, "prose"]):
        if kind == "prose":
            if begin is not None and "cells" in kinds[begin:i]:
                stretches.append((begin, i))
            begin = None
        elif begin is None:
            begin = i
    return stretches


def _kind_of_band(inside: Sequence[Segment], width: float, has_separators: bool) -> str:
    """`cells`, `heading` (empty or one short line, which may be part of a table) or `prose`."""
    if not inside:
        return "heading"
    lines = rows(inside)
    if has_separators:
        return "cells"
    many = [line for line in lines if len(line) >= 2]
    if not many:
        is_short = len(lines) == 1 and lines[0][0].width < 0.8 * width
        return "heading" if is_short else "prose"
    if 2 * len(many) < len(lines):
        return "prose"
    spans = _columns(many)
    if len(spans) < 2:
        return "prose"
    return "prose" if _is_prose(many, spans) else "cells"


def _is_prose(lines: Sequence[Sequence[Segment]], spans: Sequence[Span]) -> bool:
    """Whether columns are filled with lines of text, as on a page of two columns."""
    if len(spans) > 4:
        return False
    if _are_lists(lines, spans):
        return True
    filled = 0
    for low, high in spans:
        cells = [s for line in lines for s in line if low <= s.centre <= high]
        if not cells:
            return False
        fill = median(s.width for s in cells) / max(1.0, high - low)
        filled += fill >= _PROSE_FILL and median(len(s.text) for s in cells) >= _PROSE_CHARS
    return filled >= max(1, len(spans) - 1) and len(lines) >= 4


def _are_lists(lines: Sequence[Sequence[Segment]], spans: Sequence[Span]) -> bool:
    """Whether two or more columns are lists, with two or more items whose bullets stand in line.

    Narrower ones stay a table, because they would not be read as columns either.
    """
    num_lists = 0
    for low, high in spans:
        inside = [s for line in lines for s in line if low <= s.centre <= high]
        marked = [s for s in inside if s.text[0] in BULLETS and len(s.text) > 1]
        if len(marked) < 2 or median(s.width / s.size for s in inside) < _LIST_WIDTH:
            continue
        num_lists += marked[-1].x0 - marked[0].x0 < 0.5 * marked[0].size
    return num_lists >= 2


def _inside(
    segments: Sequence[Segment], x0: float, y0: float, x1: float, y1: float
) -> list[Segment]:
    inside = [
        s
        for s in segments
        if y0 - 1 <= s.middle <= y1 + 1 and x0 - 3 <= s.centre <= x1 + 3 and not s.is_turned
    ]
    return cells_of(inside)


def _separators(upright: Floats, x0: float, x1: float, y0: float, y1: float) -> list[float]:
    """Where upright lines part a band, its sides left out."""
    high = y1 - y0
    shared = np.minimum(upright[:, 3], y1) - np.maximum(upright[:, 1], y0)
    middle = (upright[:, 0] + upright[:, 2]) / 2
    chosen = middle[(shared >= 0.7 * high) & (middle > x0 + 4) & (middle < x1 - 4)]
    found: list[float] = []
    for x in np.sort(chosen).tolist():
        if not found or x - found[-1] > 3:
            found.append(x)
    return found


def _columns(lines: Sequence[Sequence[Segment]]) -> list[Span]:
    """Extents of columns: what is white in nearly all rows with many cells parts two."""
    most = max(len(line) for line in lines)
    full = [line for line in lines if 2 * len(line) > most]
    # White counts only where rows do have cells on both sides.
    boxes = [s for line in full for s in line]
    low, high = min(s.x0 for s in boxes), max(s.x1 for s in boxes)
    step = 0.5
    cover = np.zeros(int((high - low) / step) + 2, np.int32)
    for s in boxes:
        cover[int((s.x0 - low) / step) : int((s.x1 - low) / step) + 1] += 1
    is_white = cover <= _CROSSED * len(full)
    size = median(s.size for s in boxes)
    spans: list[Span] = []
    begin = low
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_white.astype(np.int8), [0]))))
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        left, right = low + first * step, low + stop * step
        if right - left >= _MIN_GAP * size and left > low and right < high:
            spans.append((begin, left))
            begin = right
    spans.append((begin, high))
    return spans[:_MAX_COLUMNS]


def _ruled_table(
    segments: Sequence[Segment],
    lines: Sequence[tuple[float, float, float]],
    upright: Floats,
    level: Sequence[tuple[float, float, float]],
) -> Table | None:
    x0, x1, y0, y1 = lines[0][0], lines[0][1], lines[0][2], lines[-1][2]
    inside = _inside(segments, x0, y0, x1, y1)
    turned = [
        s for s in segments if s.is_turned and y0 <= s.middle <= y1 and x0 - 3 <= s.centre <= x1 + 3
    ]
    if len(inside) < 4:
        return None
    separators = _separators(upright, x0, x1, y0, y1)
    body = rows(inside)
    if separators:
        edges = [x0 - 3, *separators, x1 + 3]
        spans = list(pairwise(edges))
    else:
        many = [line for line in body if len(line) >= 2]
        if len(many) < 2:
            return None
        spans = _columns(many)
    if len(spans) < 2:
        return None
    is_grid = bool(separators) and len(lines) >= 4
    groups: list[list[Segment]] = []
    for above, below in pairwise(lines):
        band = _inside(inside, x0, above[2], x1, below[2])
        heads = [s for s in turned if above[2] <= s.middle <= below[2]]
        if heads:
            groups.append(heads)
        if band and (is_grid or (len(lines) >= 4 and _is_one_row(rows(band), spans))):
            groups.append(band)
        elif band:
            groups += _table_rows(rows(band), spans)
    inner = [line for line in level if line[1] - line[0] < 0.9 * (x1 - x0)]
    cells = [_cells(group, spans, inner) for group in groups]
    return _table(cells, [*inside, *turned], (x0, y0, x1, y1))


def _table(
    cells: list[list[str]], members: Sequence[Segment], box: tuple[float, float, float, float]
) -> Table | None:
    """A table without empty columns; None where less than two rows or columns are left."""
    filled = [i for i in range(len(cells[0])) if any(row[i] for row in cells)] if cells else []
    if len(filled) < 2 or len(cells) < 2:
        return None
    kept = [[row[i] for i in filled] for row in cells]
    return Table(*box, kept, frozenset(s.order for s in members))


def _is_one_row(lines: Sequence[list[Segment]], spans: Sequence[Span]) -> bool:
    """Whether the lines between two level lines are one row with cells of several lines.

    Then some cell has one line only, and no two cells have as many lines as each other.
    """
    counts = [0] * len(spans)
    for line in lines:
        for column in {_column_of(s, spans) for s in line}:
            counts[column] += 1
    many = [count for count in counts if count > 1]
    return 1 in counts and len(set(many)) == len(many)


def _table_rows(lines: Sequence[list[Segment]], spans: Sequence[Span]) -> list[list[Segment]]:
    """Rows of a table: a line that fills few cells and touches a fuller one belongs to it."""
    counts = [len({_column_of(s, spans) for s in line}) for line in lines]
    most = max(counts)
    groups: list[list[Segment]] = []
    owner: list[int] = []
    anchors = [i for i, count in enumerate(counts) if 2 * count > most]
    for i in range(len(lines)):
        target = i
        if i not in anchors:
            target = _nearest_anchor(i, lines, anchors)
        owner.append(target)
    for i in range(len(lines)):
        group = [s for k, line in enumerate(lines) if owner[k] == i for s in line]
        if group:
            groups.append(group)
    return groups


def _nearest_anchor(i: int, lines: Sequence[list[Segment]], anchors: Sequence[int]) -> int:
    """The fuller row to which a line belongs, or itself.

    One that it overlaps beside its cells; or the one above where that is much nearer than the line
    below (a cell of several lines).
    """
    line = lines[i]
    near = sorted((_distance(line, lines[k]), k) for k in anchors)
    for distance, k in near[:2]:
        if distance < 0 and _is_free(line, lines[k]):
            return k
    above = [k for k in anchors if k < i]
    if not above or i + 1 >= len(lines):
        return i
    last = above[-1]
    if any(len(lines[k]) > 1 for k in range(last + 1, i + 1)):
        return i
    size = median(s.size for s in line)
    gap = _distance(line, lines[i - 1])
    is_near = gap < 0.4 * size and gap < 0.5 * _distance(line, lines[i + 1])
    return last if is_near else i


def _distance(one: Sequence[Segment], two: Sequence[Segment]) -> float:
    """White between two lines, negative where they overlap."""
    top = max(min(s.y0 for s in one), min(s.y0 for s in two))
    bottom = min(max(s.y1 for s in one), max(s.y1 for s in two))
    return top - bottom


def _is_free(line: Sequence[Segment], anchor: Sequence[Segment]) -> bool:
    """Whether a line overlaps an anchor vertically without covering any of its cells."""
    return _distance(line, anchor) < 0 and not any(
        min(a.x1, s.x1) > max(a.x0, s.x0) and min(a.y1, s.y1) - max(a.y0, s.y0) > 0.4 * s.height
        for a in anchor
        for s in line
    )


def _column_of(s: Segment, spans: Sequence[Span]) -> int:
    """The first column that a segment reaches into, or the nearest."""
    for i, (low, high) in enumerate(spans):
        shared = min(s.x1, high) - max(s.x0, low)
        if shared > 0.3 * min(s.width, high - low):
            return i
    return min(range(len(spans)), key=lambda i: abs(sum(spans[i]) / 2 - s.centre))


def _cells(
    group: Sequence[Segment],
    spans: Sequence[Span],
    level: Sequence[tuple[float, float, float]] = (),
) -> list[str]:
    inside: list[list[Segment]] = [[] for _ in spans]
    for s in group:
        inside[_column_of(_spread(s, level), spans)].append(s)
    return [_cell_text(cell) for cell in inside]


def _spread(s: Segment, level: Sequence[tuple[float, float, float]]) -> Segment:
    """A segment as wide as the line right below it: a heading over several columns."""
    for x0, x1, y in level:
        is_below = -2 < y - s.y1 < 0.6 * s.size
        if is_below and x0 <= s.x0 + 2 and x1 >= s.x1 - 2:
            return Segment(x0, s.y0, x1, s.y1, s.size, s.text, s.order)
    return s


def _cell_text(cell: Sequence[Segment]) -> str:
    lines = [" ".join(s.text for s in line) for line in rows(cell)]
    return join_lines(lines, [1.0] * len(lines)).replace("\n", " ").strip()


def unruled_table(lines: Sequence[list[Segment]]) -> tuple[int, Table] | None:
    """The table with which lines begin, and how many of them it takes; None where there is none.

    Args:
        lines: Rows of one column of the page, from top to bottom.
    """
    lines = [cells_of(line) for line in lines]
    stop = _aligned_stop(lines)
    if stop < _MIN_UNRULED_ROWS:
        return None
    part = lines[:stop]
    spans = _columns(part)
    while len(spans) >= 2 and not _is_aligned(part, spans):
        stop -= 1
        if stop < _MIN_UNRULED_ROWS:
            return None
        part = lines[:stop]
        spans = _columns(part)
    if len(spans) < 2 or _is_prose(part, spans) or _is_list(part):
        return None
    cells = [_cells(line, spans) for line in part]
    members = [s for line in part for s in line]
    box = (
        min(s.x0 for s in members),
        min(s.y0 for s in members),
        max(s.x1 for s in members),
        max(s.y1 for s in members),
    )
    table = _table(cells, members, box)
    return (stop, table) if table else None


def _aligned_stop(lines: Sequence[list[Segment]]) -> int:
    """How many lines from the first have several cells and stand close to each other."""
    for i, line in enumerate(lines):
        if len(line) < 2 or any(s.is_turned for s in line):
            return i
        if i and line[0].y0 - lines[i - 1][0].y0 > _MAX_PITCH * line[0].size:
            return i
    return len(lines)


def _is_list(lines: Sequence[list[Segment]]) -> bool:
    """Whether the first column is the marks of a list."""
    return 2 * sum(is_bullet(line[0].text) for line in lines) > len(lines)


def _is_aligned(lines: Sequence[list[Segment]], spans: Sequence[Span]) -> bool:
    """Whether most rows fill most columns, and the cells of each column align."""
    by_column: list[list[Segment]] = [[] for _ in spans]
    for line in lines:
        for s in line:
            by_column[_column_of(s, spans)].append(s)
    if sum(map(len, by_column)) < 0.75 * len(lines) * len(spans):
        return False
    if len(spans) == 2 and len(lines) < _MIN_UNRULED_ROWS + 1:
        return False
    return all(_align(cells) for cells in by_column)


def _align(cells: Sequence[Segment]) -> bool:
    near = 0.3 * median(s.size for s in cells)
    for place in (lambda s: s.x0, lambda s: s.x1, lambda s: s.centre):
        usual = median(place(s) for s in cells)
        if sum(abs(place(s) - usual) <= near for s in cells) >= _ALIGNED * len(cells):
            return True
    return False
