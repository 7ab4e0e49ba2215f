"""Reading order of boxes: columns, bands between them, and grids of boxes side by side.

The page is cut at the two columns of running text with most lines between them: what stands above
them is read first, then the left column, the right one, and what is below; each piece is cut
again. A box that lies across the gutter (a title, a table over both columns) ends them, so columns
may differ from band to band. Cells are no running text, so tables stay whole. The idea is that of
the recursive XY cut (Nagy and Seth 1984), which asks for a gutter from top to bottom; most pages
with two columns begin with a title over both.

Columns whose parts begin side by side with a heading each (cards, a poster, slides on one sheet)
are read row by row: there the columns are cut where both have a gap above a heading on one level.

Compiled (numba), because every possible gutter is looked at: n boxes cost n^2 steps.
"""

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MIN_COLUMN_LINES = 3
# A line of running text is longer than a cell: at least so many line heights, and so much of the
# width of its side, on which there may be three columns.
_MIN_LINE_HEIGHTS = 5.0
_CELL_HEIGHTS = 10.0  # about 20 letters: no column of text is so narrow
_MIN_FILLING = 0.3
_LINE_GAP = 2.0  # line heights
_MIN_GUTTER = 0.4  # line heights
_GRID_GAP = 0.9  # line heights
_LEVEL = 0.5  # line heights


def reading_groups(box: Floats, strong: Bools, right_to_left: bool = False) -> list[list[int]]:
    """Groups of boxes without columns in them, in reading order; each box in exactly one.

    Args:
        box: float32[n, 4], x0, y0, x1, y1, y downwards.
        strong: bool[n], boxes that look like headings.
        right_to_left: Whether the right column is read first.
    """
    if not len(box):
        return []
    if right_to_left:
        box = np.stack((-box[:, 2], box[:, 1], -box[:, 0], box[:, 3]), axis=1)
    by_middle = np.argsort(box[:, 1] + box[:, 3], kind="stable")
    by_edge = np.argsort(box[:, 2], kind="stable")
    label = _groups(np.ascontiguousarray(box, np.float64), strong, by_middle, by_edge)
    order = np.argsort(label, kind="stable")
    edges = np.flatnonzero(np.diff(label[order])) + 1
    return [part.tolist() for part in np.split(order, edges)]


@kernel
def _groups(box: Doubles, strong: Bools, by_middle: Ints, by_edge: Ints) -> Ints:
    """int64[n]: number of the group of each box, in reading order.

    Boxes come in the order of their middles and in that of their right edges.
    """
    n = len(box)
    label = np.zeros(n, np.int64)
    # Groups still to be cut, as a stack of labels; a cut renumbers what comes after.
    todo = np.zeros(4 * n + 4, np.int64)
    num_todo = 1
    piece = np.zeros(n, np.int64)
    members = np.zeros(n, np.int64)
    edges = np.zeros(n, np.float64)
    while num_todo > 0:
        num_todo -= 1
        group = todo[num_todo]
        count = 0
        for k in range(n):
            if label[by_middle[k]] == group:
                members[count] = by_middle[k]
                count += 1
        num_edges = 0
        for k in range(n):
            if label[by_edge[k]] == group:
                edges[num_edges] = box[by_edge[k], 2]
                num_edges += 1
        num_pieces = _cut(box, strong, members, count, edges, piece)
        if num_pieces < 2:
            continue
        # Pieces take the labels group .. group + num_pieces - 1.
        for k in range(n):
            if label[k] > group:
                label[k] += num_pieces - 1
        for k in range(num_todo):
            if todo[k] > group:
                todo[k] += num_pieces - 1
        for k in range(count):
            label[members[k]] = group + piece[members[k]]
        for k in range(num_pieces):
            todo[num_todo] = group + k
            num_todo += 1
    return label


@kernel
def _cut(box: Doubles, strong: Bools, members: Ints, n: int, edges: Doubles, piece: Ints) -> int:
    """Cuts a group at its best pair of columns; the number of pieces, whose numbers go to piece."""
    if n < 2 * _MIN_COLUMN_LINES:
        return 1
    heights = np.zeros(n, np.float64)
    for k in range(n):
        heights[k] = box[members[k], 3] - box[members[k], 1]
    line = max(_median(heights, n), 1.0)
    side = np.zeros(n, np.int64)
    best, best_x, best_from, best_to = 0.0, 0.0, 0, 0
    last = -1e9
    for edge in edges[:n]:
        if edge - last < 0.25 * line:
            continue
        last = edge
        x = edge + 0.25 * line
        begin = 0
        for k in range(n + 1):
            is_across = k == n or (box[members[k], 0] < x and box[members[k], 2] > x)
            if not is_across:
                continue
            if k - begin >= 2 * _MIN_COLUMN_LINES:
                score = _score(box, members, begin, k, x, line, side)
                if score > best:
                    best, best_x, best_from, best_to = score, x, begin, k
            begin = k + 1
    if best <= 0:
        return 1
    return _divide(box, strong, members, n, piece, best_x, best_from, best_to, line)


@kernel
def _median(values: Doubles, n: int) -> float:
    """The upper median of the first n of float32[...], whose order changes (Hoare's selection)."""
    low, high, middle = 0, n - 1, n // 2
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break
    return float(values[middle])


@kernel
def _score(
    box: Doubles, members: Ints, begin: int, stop: int, x: float, line: float, side: Ints
) -> float:
    """Lines on both sides of a gutter, and a little for its width; 0 where it parts no columns."""
    edge, top, bottom, total = np.zeros(2), np.zeros(2), np.zeros(2), 0
    for right in range(2):
        count = 0
        low, high, near = np.inf, -np.inf, np.inf if right else -np.inf
        for k in range(begin, stop):
            item = members[k]
            if (box[item, 2] > x) != (right == 1):
                continue
            side[count] = item
            count += 1
            low, high = min(low, box[item, 1]), max(high, box[item, 3])
            near = min(near, box[item, 0]) if right else max(near, box[item, 2])
        if count < _MIN_COLUMN_LINES or not _is_running(box, side, count):
            return 0.0
        edge[right], top[right], bottom[right] = near, low, high
        total += count
    gutter = edge[1] - edge[0]
    shared = min(bottom[0], bottom[1]) - max(top[0], top[1])
    if gutter < _MIN_GUTTER * line or shared < _MIN_COLUMN_LINES * line:
        return 0.0
    if _are_cells(box, members, begin, stop, x, line):
        return 0.0
    return float(total + min(gutter / line, 5.0) / 10)


@kernel
def _are_cells(box: Doubles, members: Ints, begin: int, stop: int, x: float, line: float) -> bool:
    """Whether one side is short lines that stand on a level with lines of the other."""
    values = np.zeros(stop - begin, np.float64)
    for right in range(2):
        count, num_level = 0, 0
        for k in range(begin, stop):
            item = members[k]
            if (box[item, 2] > x) != (right == 1):
                continue
            values[count] = box[item, 2] - box[item, 0]
            count += 1
            level = box[item, 1] + box[item, 3]
            for j in range(begin, stop):
                other = members[j]
                is_beside = (box[other, 2] > x) != (right == 1)
                if is_beside and abs(box[other, 1] + box[other, 3] - level) < 0.5 * line:
                    num_level += 1
                    break
        if _median(values, count) < _CELL_HEIGHTS * line and num_level >= 0.8 * count:
            return True
    return False


@kernel
def _is_running(box: Doubles, side: Ints, n: int) -> bool:
    """Whether boxes are lines of text that fill their column, and not cells.

    Boxes on one level with little white between them (a bullet and its text, the pieces of a
    formula) are one line. The boxes come sorted by their middle.
    """
    values = np.zeros(n, np.float64)
    left, right = np.inf, -np.inf
    for k in range(n):
        values[k] = box[side[k], 3] - box[side[k], 1]
        left, right = min(left, box[side[k], 0]), max(right, box[side[k], 2])
    line = _median(values, n)
    num_lines, begin = 0, 0
    while begin < n:
        stop = begin + 1
        level = box[side[begin], 1] + box[side[begin], 3]
        while stop < n and box[side[stop], 1] + box[side[stop], 3] - level < 0.8 * line:
            stop += 1
        values[num_lines] = _widest(box, side, begin, stop, line)
        num_lines += 1
        begin = stop
    width = _median(values, num_lines)
    return width >= _MIN_LINE_HEIGHTS * line and width >= _MIN_FILLING * (right - left)


@kernel
def _widest(box: Doubles, side: Ints, begin: int, stop: int, line: float) -> float:
    """Width of the widest stretch of boxes on one level without much white in it."""
    widest = 0.0
    for k in range(begin, stop):
        # From each box to the right, as far as boxes follow.
        low, high = box[side[k], 0], box[side[k], 2]
        has_grown = True
        while has_grown:
            has_grown = False
            for j in range(begin, stop):
                item = side[j]
                near = box[item, 0] <= high + _LINE_GAP * line
                if near and box[item, 0] >= low and box[item, 2] > high:
                    high = box[item, 2]
                    has_grown = True
        widest = max(widest, high - low)
    return widest


@kernel
def _divide(
    box: Doubles,
    strong: Bools,
    members: Ints,
    n: int,
    piece: Ints,
    x: float,
    begin: int,
    stop: int,
    line: float,
) -> int:
    """Numbers the pieces: above, then left and right (of each row of a grid), below."""
    cuts = _grid_cuts(box, strong, members, x, begin, stop, line)
    number = 0
    seen = np.zeros(2 * len(cuts) + 4, np.int64)
    for k in range(n):
        item = members[k]
        if begin <= k < stop:
            row = 0
            for cut in cuts:
                if box[item, 1] + box[item, 3] > 2 * cut:
                    row += 1
            piece[item] = 1 + 2 * row + (0 if box[item, 2] <= x else 1)
        elif k < begin:
            piece[item] = 0
        else:
            piece[item] = 2 * len(cuts) + 3
        seen[piece[item]] += 1
    names = np.zeros(len(seen), np.int64)
    for k in range(len(seen)):
        names[k] = number
        if seen[k] > 0:
            number += 1
    for k in range(n):
        piece[members[k]] = names[piece[members[k]]]
    return number


@kernel
def _grid_cuts(
    box: Doubles, strong: Bools, members: Ints, x: float, begin: int, stop: int, line: float
) -> Doubles:
    """Heights at which both columns have a gap above headings on one level."""
    cuts = np.zeros(stop - begin, np.float64)
    num_cuts = 0
    for k in range(begin, stop):
        one = members[k]
        if not strong[one] or box[one, 2] > x:
            continue
        top = box[one, 1]
        has_level = False
        above = -1e9
        is_free = True
        for j in range(begin, stop):
            other = members[j]
            if box[other, 0] > x and strong[other] and abs(box[other, 1] - top) < _LEVEL * line:
                has_level = True
            if box[other, 3] <= top + 0.3 * line:
                above = max(above, box[other, 3])
            elif box[other, 1] < top - 0.3 * line:
                is_free = False
        if has_level and is_free and above > -1e8 and top - above >= _GRID_GAP * line:
            cuts[num_cuts] = (top + above) / 2
            num_cuts += 1
    return cuts[:num_cuts]
