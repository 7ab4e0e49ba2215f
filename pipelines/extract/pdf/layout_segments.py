"""Pieces of lines: runs that stand beside each other without a gap that means something.

A segment is what one would read without moving the eye: a line of a column, a cell of a table, a
bullet. Runs of a line that overlap or are a space apart are one segment, a wider gap parts two; in
justified lines such a gap is a wide space, so runs that follow each other in the file with a space
between them may stand up to `_FILE_GAP` apart. Later steps join segments of one line again where
no gutter of a column or table lies between them.

Raised and lowered runs (exponents, marks of notes) belong to the line that they touch, and are
marked with <sup> and <sub>: `10<sup>5</sup>` without its mark would be another number.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel
from pipelines.extract.pdf.layout_runs import Floats, PageRuns

_GAP: Final = 0.6  # of the size
_FILE_GAP: Final = 1.6
_SPACE: Final = 0.16  # a narrower gap is the distance of letters
_SAME_LINE = 0.5  # of the lower height
_SAME_BASELINE = 0.4  # of the size
_TOUCHING = 0.75  # of the larger size
_SHIFT: Final = 0.1  # of the size of the line
_SMALL: Final = 0.86
_MAX_RAISED_CHARS: Final = 24
# An overprinted run (bold by drawing twice, a shadow) lies within this of its double.
_DOUBLE: Final = 0.35
_TEXT_SHARE: Final = 0.22
_INITIAL: Final = 1.7  # of the usual size
# Written without spaces: CJK ideographs, kana, their punctuation. (Korean has spaces.)
SOLID: Final = re.compile("[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uffef]")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LETTER: Final = re.compile(r"[^\W\d_]")
# Anything but what is taken out of the text later, and private codes: pieces of tall brackets.
_PLAIN: Final = re.compile(r"[^\s\x00-\x1f\x7f\u00ad\ue000-\uf8ff\ufffd-\uffff]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line, in points from the top left."""

    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    text: str
    order: int
    """Place of its first run in the file."""
    is_bold: bool = False
    is_fixed: bool = False
    is_turned: bool = False
    end: int = -1
    """Place of its last run in the file."""
    parts: tuple["Segment", ...] = ()
    """What a wide space parts in it; none where there is none. In a table those are cells."""

    @property
    def middle(self) -> float:
        """Vertical middle."""
        return (self.y0 + self.y1) / 2

    @property
    def centre(self) -> float:
        """Horizontal middle."""
        return (self.x0 + self.x1) / 2

    @property
    def width(self) -> float:
        """Points."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Points."""
        return self.y1 - self.y0


def is_right_to_left(text: str) -> bool:
    """Whether most letters of a text are Arabic, Hebrew or of a related script.

    >>> is_right_to_left("\u05e9\u05dc\u05d5\u05dd ab"), is_right_to_left("12")
    (True, False)
    """
    if text.isascii() or not _RIGHT_TO_LEFT.search(text):
        return False
    return 2 * len(_RIGHT_TO_LEFT.findall(text)) > len(_LETTER.findall(text))


def segments(page: PageRuns) -> tuple[list[Segment], list[tuple[str, str]]]:
    """The segments of a page from top to bottom, and what is left out: (reason, text).

    `repeated` is overprinted text, `hidden` text that nobody sees on a page of which most is seen;
    where most is hidden, it is the text of a scan and stays. `off_page` stands outside the page.
    """
    inside, outside = _single_runs(page)
    runs, unseen = _without_hidden(inside, page)
    kept, doubles = _without_doubles(runs)
    dropped = [
        (reason, run.text.strip())
        for reason, some in (("off_page", outside), ("hidden", unseen), ("repeated", doubles))
        for run in some
    ]
    upright = _with_capitals([run for run in kept if not run.is_turned])
    found = [piece for row in rows(upright) for piece in _pieces(row)]
    turned = [run for run in kept if run.is_turned]
    return sorted([*found, *turned], key=lambda s: (s.middle, s.x0)), dropped


def _single_runs(page: PageRuns) -> tuple[list[Segment], list[Segment]]:
    """A segment of each run with text: on the page, and outside it."""
    none = np.zeros(len(page.texts), np.bool_)
    bold = none if page.bold is None else page.bold
    fixed = none if page.fixed is None else page.fixed
    turned = none if page.turn is None else np.isin(page.turn, (1, 2, 3))
    columns = zip(
        page.texts,
        page.box.tolist(),
        page.size.tolist(),
        bold.tolist(),
        fixed.tolist(),
        turned.tolist(),
        strict=True,
    )
    inside: list[Segment] = []
    outside: list[Segment] = []
    for order, (text, box, size, is_bold, is_fixed, is_turned) in enumerate(columns):
        if text.strip():
            x0, y0, x1, y1 = box
            run = Segment(x0, y0, x1, y1, size, text, order, is_bold, is_fixed, is_turned, order)
            is_on = -1 <= run.centre <= page.width + 1 and -1 <= run.middle <= page.height + 1
            (inside if is_on else outside).append(run)
    return inside, outside


def _without_hidden(runs: list[Segment], page: PageRuns) -> tuple[list[Segment], list[Segment]]:
    """Runs that are seen, and others; all are the first where most are not."""
    if page.hidden is None or not page.hidden.any():
        return runs, []
    hidden = [run for run in runs if page.hidden[run.order]]
    if 2 * sum(len(r.text) for r in hidden) > sum(len(r.text) for r in runs):
        return runs, []
    return [run for run in runs if not page.hidden[run.order]], hidden


def _with_capitals(runs: list[Segment]) -> list[Segment]:
    """The runs, with each initial that is set over several lines at the word that it begins."""
    usual = usual_size(runs)
    found = list(runs)
    for capital in [r for r in runs if r.size >= _INITIAL * usual]:
        if not (len(capital.text.strip()) <= 2 and capital.text.strip().isupper()):
            continue
        beside = [
            r
            for r in found
            if capital.y0 - 0.5 * usual <= r.middle <= capital.y1
            and -0.5 * usual <= r.x0 - capital.x1 <= 1.5 * usual
            and r.size < 0.6 * capital.size
            and r.text.strip()[:1].isalpha()
        ]
        lines = {round(r.y1 / usual) for r in beside}
        if len(lines) < 2:
            continue
        first = min(beside, key=lambda r: (r.y0, r.x0))
        whole = replace(first, text=capital.text.strip() + first.text.lstrip())
        found = [whole if r is first else r for r in found if r is not capital]
    return found


def _without_doubles(runs: list[Segment]) -> tuple[list[Segment], list[Segment]]:
    """Runs, and those that repeat one in the same place."""
    seen: dict[str, list[Segment]] = {}
    kept, doubles = [], []
    for run in runs:
        same = seen.setdefault(run.text.strip(), [])
        near = _DOUBLE * run.size
        if any(
            abs(run.x0 - s.x0) < near
            and abs(run.y0 - s.y0) < near
            and abs(run.x1 - s.x1) < max(near, 0.1 * run.width)
            for s in same
        ):
            doubles.append(run)
        else:
            same.append(run)
            kept.append(run)
    return kept, doubles


def rows(runs: Sequence[Segment]) -> list[list[Segment]]:
    """Runs that overlap vertically, line by line, each from left to right.

    A line of the page across all its columns; exponents belong to the line that they touch.
    """
    if not runs:
        return []
    places = np.array([(r.x0, r.y0, r.x1, r.y1, r.size) for r in runs], np.float32)
    oddity = np.abs(np.log(np.maximum(places[:, 4], 0.1) / usual_size(runs)))
    # Sizes in steps of a tenth, and from top to bottom within one.
    order = np.lexsort((places[:, 1], np.floor(oddity * 10)))
    number, top = _row_numbers(places, order)
    found: list[list[Segment]] = [[] for _ in range(len(top))]
    for run, row in zip(runs, number.tolist(), strict=True):
        found[row].append(run)
    for some in found:
        some.sort(key=lambda r: r.x0)
    return [found[i] for i in np.argsort(top, kind="stable").tolist()]


def usual_size(runs: Sequence[Segment]) -> float:
    """The size in which most characters are set; 10 where there are none."""
    seen: Counter[float] = Counter()
    for run in runs:
        seen[round(run.size * 2) / 2] += len(run.text)
    return max(seen.items(), key=lambda item: (item[1], item[0]))[0] if seen else 10.0


def text_size(runs: Sequence[Segment]) -> float:
    """The largest size in which a good part of the characters are set: that of the text.

    Notes and lists of references may have more characters than the text; headings have few.
    """
    seen: Counter[float] = Counter()
    for run in runs:
        seen[round(run.size * 2) / 2] += len(run.text)
    needed = _TEXT_SHARE * seen.total()
    near = {size: sum(seen[size + step] for step in (-0.5, 0.0, 0.5)) for size in seen}
    return max(
        (size for size in seen if near[size] >= needed and seen[size] >= needed / 3), default=10.0
    )


@kernel
def _row_numbers(
    places: Floats, order: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """int64[n]: the row of each of float32[n, 5] (x0, y0, x1, y1, size), and the rows' tops.

    Runs of the usual size open rows first, so that tall ones (signs of sums, brackets) join them.
    """
    n = len(places)
    number = np.zeros(n, np.int64)
    top = np.zeros(n, np.float32)
    bottom = np.zeros(n, np.float32)
    num_rows = 0
    for k in order:
        y0, y1, size = places[k, 1], places[k, 3], places[k, 4]
        best, most = -1, np.float32(0.0)
        for row in range(num_rows):
            shared = min(bottom[row], y1) - max(top[row], y0)
            share = shared / max(np.float32(0.1), min(y1 - y0, bottom[row] - top[row]))
            if share < _SAME_LINE or share <= most:
                continue
            fits = abs(y1 - bottom[row]) <= _SAME_BASELINE * size
            # Raised, lowered or large: of this line only where it touches it.
            for j in range(n):
                if fits:
                    break
                if number[j] == row + 1:
                    near = _TOUCHING * max(places[j, 4], size)
                    fits = (
                        places[j, 0] - near <= places[k, 2] and places[k, 0] <= places[j, 2] + near
                    )
            if fits:
                best, most = row, share
        if best < 0:
            best = num_rows
            top[best], bottom[best] = y0, y1
            num_rows += 1
        number[k] = best + 1
    return number - 1, top[:num_rows].copy()


def _pieces(row: list[Segment]) -> list[Segment]:
    """The runs of one line, joined where no wide gap parts them."""
    groups: list[list[Segment]] = []
    for run in row:
        if groups and _belongs(groups[-1][-1], run):
            groups[-1].append(run)
        else:
            groups.append([run])
    return [_joined(group) for group in groups]


def _belongs(last: Segment, run: Segment) -> bool:
    gap = run.x0 - last.x1
    size = max(last.size, run.size)
    if gap <= _GAP * min(last.size, run.size):
        return True
    follows = run.order == last.end + 1 or last.order == run.end + 1
    return follows and gap <= _FILE_GAP * size and not is_bullet(last.text)


def is_bullet(text: str) -> bool:
    """Whether a text is the mark of an item of a list.

    >>> is_bullet("\u2022"), is_bullet("(iv)"), is_bullet("12."), is_bullet("12")
    (True, True, True, False)
    """
    return _BULLET.fullmatch(text.strip()) is not None


BULLETS: Final = (
    "\u2022\u2023\u2043\u204c\u2219\u25aa\u25ab\u25cf\u25cb\u25e6\u25a0\u25a1\u25b6\u25b8\u25ba"
    "\u2726\u27a2\u27a4\u2713\u2714"
)
# Bullets of Symbol and Wingdings come as private codes.
BULLET: Final = rf"[{BULLETS}\uf020-\uf0ff]"
_BULLET: Final = re.compile(
    rf"{BULLET}|[*\-\u2013\u2014\u00b7]|\(?(?:\d{{1,3}}|[a-zA-Z]|[ivxlIVXL]+)[.)]"
)


def cells_of(row: Sequence[Segment]) -> list[Segment]:
    """The segments of a line, parted at wide spaces."""
    return [part for s in row for part in (s.parts or (s,))]


def _joined(group: list[Segment]) -> Segment:
    """One segment of several runs, in logical order."""
    first = group[0]
    if len(group) == 1:
        return replace(first, text=first.text.strip())
    wide = [
        i
        for i in range(1, len(group))
        if group[i].x0 - group[i - 1].x1 > _GAP * min(group[i].size, group[i - 1].size)
    ]
    if wide:
        edges = [0, *wide, len(group)]
        parts = [_joined(group[i:j]) for i, j in pairwise(edges)]
        return replace(_one_segment(group), parts=tuple(parts))
    return _one_segment(group)


def _one_segment(group: list[Segment]) -> Segment:
    main = max(group, key=lambda r: (r.size * len(r.text), r.size))
    letters = "".join(r.text for r in group)
    in_order = sorted(group, key=lambda r: -r.x1) if is_right_to_left(letters) else group
    text = ""
    last: Segment | None = None
    for run in in_order:
        piece = _marked(run, main)
        if last is not None and _has_space(last, run):
            text = text.rstrip() + " "
            piece = piece.lstrip()
        text += piece
        last = run
    num_letters = sum(len(r.text) for r in group)
    return Segment(
        min(r.x0 for r in group),
        main.y0,
        max(r.x1 for r in group),
        main.y1,
        main.size,
        text.strip(),
        min(r.order for r in group),
        2 * sum(len(r.text) for r in group if r.is_bold) > num_letters,
        2 * sum(len(r.text) for r in group if r.is_fixed) > num_letters,
        False,
        max(r.end for r in group),
    )


def _marked(run: Segment, main: Segment) -> str:
    """The text of a run, marked where it is raised or lowered."""
    text = run.text
    if run.size > _SMALL * main.size or len(text.strip()) > _MAX_RAISED_CHARS:
        return text
    # Baselines: all runs have their box around them.
    shift = main.y1 - run.y1 - 0.22 * (main.size - run.size)
    if abs(shift) < _SHIFT * main.size or run.middle > main.y1 or run.middle < main.y0 - main.size:
        return text
    if not _PLAIN.search(text):
        return text
    mark = "sup" if shift > 0 else "sub"
    before = " " if text[0] == " " else ""
    after = " " if text[-1] == " " else ""
    return f"{before}<{mark}>{text.strip()}</{mark}>{after}"


def _has_space(last: Segment, run: Segment) -> bool:
    """Whether a space stands between two runs."""
    if SOLID.match(last.text[-1]) and SOLID.match(run.text.lstrip()[:1]):
        return False
    gap = max(run.x0 - last.x1, last.x0 - run.x1)
    size = min(last.size, run.size)
    if last.text[-1] == " " or run.text[0] == " ":
        # A reader of the file saw one; but no gap at all is none.
        return gap > 0.05 * size
    return gap > _SPACE * size
