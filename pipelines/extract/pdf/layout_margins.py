"""What stands around the text of a page: running heads, page numbers, stamps, line numbers.

Over several pages it repeats: a line in the outer fifth of a page whose text, numbers aside, stands
at about the same height on three pages and a third of all. On one page it is told by its place and
its looks. In the outer band of a page lines are taken from the edge inwards, as long as each is
parted from what follows by more than the distance of lines of text, and looks like no text: a page
number, small print, pieces at both ends of the line, an address of the web, a date, a volume.

Turned text beside the text (the stamp of a preprint server) and columns of numbers that count up by
a step in the margin (the lines of a manuscript, of a patent, of a law) go too.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from pipelines.extract.pdf.layout_segments import Segment, rows, text_size
from pipelines.extract.pdf.layout_tables import Table

_OUTER: Final = 0.2  # of the height, for lines that repeat
_BAND: Final = 0.1  # of the height, for those of a single page
_WIDER_BAND: Final = 0.13  # with one sign more
_NUMBER_BAND: Final = 0.14  # a page number alone
_MAX_LINES: Final = 3
_REPEATING: Final = 1 / 3
_MIN_PAGES: Final = 3
_MIN_GAP: Final = 0.55  # of the size: white between a head and the text
_WIDE_GAP: Final = 1.6
_SMALL: Final = 0.93  # of the size of the text
_LARGE: Final = 1.12
_LARGE_NUMBER: Final = 1.6
_MAX_HEAD_CHARS: Final = 160
_MAX_REPEATED_CHARS: Final = 400  # a disclaimer in small print, on all pages
_MIN_LINE_NUMBERS: Final = 5
_DIGITS: Final = re.compile(r"\d+")
_ROMAN: Final = r"[ivxlc]{1,7}|[IVXLC]{1,7}"
_PAGE_NUMBER: Final = re.compile(
    rf"\W{{0,3}}(?:\d{{1,4}}|{_ROMAN}|[A-Z]{{1,2}}-?\d{{1,4}}|\d{{1,4}} ?/ ?\d{{1,4}})\W{{0,3}}"
)
# A word and a number, perhaps of how many: in any language, and so also the name of a chapter.
_NAMED_NUMBER: Final = re.compile(
    r"\w{1,8}\.? ?\d{1,4}(?: ?(?:\W|\w{1,3}) ?\d{1,4})?|\w{0,2} ?\d{1,4} ?[^\W\d_]{1,3}"
)
_NOTE: Final = re.compile(r"(?:<sup>)?[\d*\u2020\u2021\u00a7]{1,3}(?:</sup>)?\s?[^\W\d_]{2}.{12}")
_MARKS: Final = re.compile(
    r"https?:|www\.|doi\b|\bISSN\b|\bISBN\b|@|\u00a9|\(c\)|copyright|all rights reserved"
    r"|\bvol(?:ume)?\b|\bno\.|\b(?:19|20)\d\d\b|\|",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Margins:
    """What is left of a page, and what is not."""

    kept: list[Segment]
    dropped: list[tuple[str, str]]
    """(reason, text)."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The segments of one page and its size."""

    segments: list[Segment]
    width: float
    height: float
    tables: Sequence[Table] = ()


def without_margins(sheets: Sequence[Sheet]) -> list[Margins]:
    """Parts the text of pages from what stands around it."""
    repeated = _repeated(sheets)
    return [_page_margins(sheet, some) for sheet, some in zip(sheets, repeated, strict=True)]


def _shape(text: str) -> str:
    return " ".join(_DIGITS.sub("#", text.lower()).split())


def _repeated(sheets: Sequence[Sheet]) -> list[set[int]]:
    """For each page the `order` of segments that stand on many pages at one height."""
    found: list[list[tuple[str, int, Segment]]] = []
    pages: dict[tuple[str, int], set[int]] = {}
    for number, sheet in enumerate(sheets):
        outer = [
            (_shape(s.text), round(s.middle / 6), s)
            for s in sheet.segments
            if not _OUTER * sheet.height < s.middle < (1 - _OUTER) * sheet.height
            and len(s.text) <= _MAX_REPEATED_CHARS
        ]
        found.append(outer)
        for shape, level, _ in outer:
            for near in (level - 1, level, level + 1):
                pages.setdefault((shape, near), set()).add(number)
    needed = max(_MIN_PAGES, _REPEATING * len(sheets))
    return [
        {s.order for shape, level, s in outer if len(pages[shape, level]) >= needed}
        for outer in found
    ]


def _page_margins(sheet: Sheet, repeated: set[int]) -> Margins:
    size = text_size(sheet.segments)
    dropped: dict[int, str] = {}
    in_tables = frozenset[int]().union(*(table.members for table in sheet.tables))
    for s in sheet.segments:
        if s.order in in_tables:
            continue
        if s.order in repeated and not s.is_turned:
            is_head = s.middle < sheet.height / 2
            dropped[s.order] = "running_head" if is_head else "running_foot"
        elif s.is_turned and _is_beside(s, sheet):
            dropped[s.order] = "margin_note"
    dropped |= dict.fromkeys(_line_numbers(sheet), "line_number")
    for is_head in (True, False):
        rest = [
            s
            for s in sheet.segments
            if s.order not in dropped and s.order not in in_tables and not s.is_turned
        ]
        dropped |= _edge(rest, sheet, size, is_head)
    kept = [s for s in sheet.segments if s.order not in dropped]
    if not kept:
        # A page of heads only: what it says is all that it has.
        return Margins(list(sheet.segments), [])
    return Margins(kept, [(dropped[s.order], s.text) for s in sheet.segments if s.order in dropped])


def _is_beside(s: Segment, sheet: Sheet) -> bool:
    """Whether turned text stands in the margin at a side."""
    return s.x1 < 0.12 * sheet.width or s.x0 > 0.88 * sheet.width


def _line_numbers(sheet: Sheet) -> set[int]:
    """`order` of numbers in one column at a side that count the lines."""
    numbers = [s for s in sheet.segments if s.text.isdigit() and len(s.text) <= 4]
    found: set[int] = set()
    sides = {False: 0.2 * sheet.width, True: 0.8 * sheet.width}
    for is_right, limit in sides.items():
        side = [s for s in numbers if (s.x0 > limit if is_right else s.x1 < limit)]
        side.sort(key=lambda s: s.middle)
        steps = Counter(int(b.text) - int(a.text) for a, b in pairwise(side))
        if len(side) < _MIN_LINE_NUMBERS or not steps:
            continue
        step, count = steps.most_common(1)[0]
        if step not in (1, 2, 5, 10) or count < 0.8 * (len(side) - 1):
            continue
        edge = median(s.x0 if is_right else s.x1 for s in side)
        reach = [
            s
            for s in sheet.segments
            if s not in side and (s.x1 > edge if is_right else s.x0 < edge)
        ]
        if len(reach) <= 0.1 * len(sheet.segments):
            found |= {s.order for s in side}
    return found


def _edge(segments: Sequence[Segment], sheet: Sheet, size: float, is_head: bool) -> dict[int, str]:
    """Lines at one edge of a page that are no text: `order` -> reason.

    The most lines from the edge inwards that are all no text, with white behind them.
    """
    lines = rows(segments)
    if not is_head:
        lines.reverse()
    for count in range(min(_MAX_LINES, len(lines) - 1), 0, -1):
        gap = _white(lines, count, sheet, is_head)
        reasons = [_reason(line, gap, sheet, size, is_head) for line in lines[:count]]
        if None not in reasons:
            pairs = zip(lines, reasons, strict=False)
            return {s.order: reason for line, reason in pairs if reason for s in line}
    # A page number may stand beside a line that is text.
    return _numbers_at_ends(lines[0], sheet, size, is_head) if lines else {}


def _white(lines: Sequence[Sequence[Segment]], count: int, sheet: Sheet, is_head: bool) -> float:
    """White between the outer lines and what follows inwards, a line or a table."""
    outer = [s for line in lines[:count] for s in line]
    inner = [(s.y0, s.y1) for s in lines[count]]
    inner += [(table.y0, table.y1) for table in sheet.tables]
    if is_head:
        return min(y0 for y0, _ in inner) - max(s.y1 for s in outer)
    return min(s.y0 for s in outer) - max(y1 for _, y1 in inner)


def _is_outer(line: Sequence[Segment], sheet: Sheet, band: float, is_head: bool) -> bool:
    if is_head:
        return max(s.y1 for s in line) <= band * sheet.height
    return min(s.y0 for s in line) >= (1 - band) * sheet.height


def _reason(
    line: Sequence[Segment], gap: float, sheet: Sheet, size: float, is_head: bool
) -> str | None:
    """Why a line at the edge is no text, or None."""
    text = " ".join(s.text for s in line)
    if (
        _is_outer(line, sheet, _NUMBER_BAND, is_head)
        and _PAGE_NUMBER.fullmatch(text)
        and max(s.size for s in line) <= _LARGE_NUMBER * size
    ):
        return "page_number"
    if not _is_outer(line, sheet, _WIDER_BAND, is_head) or len(text) > _MAX_HEAD_CHARS:
        return None
    largest = max(s.size for s in line)
    if largest > _LARGE * size or gap < _MIN_GAP * largest:
        return None
    is_far = gap >= _WIDE_GAP * largest
    signs = (
        2 * (largest < _SMALL * size)
        + 2 * (len(line) >= 2 and _has_wide_gap(line, sheet))
        + 2 * any(_PAGE_NUMBER.fullmatch(s.text) for s in (line[0], line[-1]) if len(line) >= 2)
        + bool(_MARKS.search(text))
        + bool(_NAMED_NUMBER.fullmatch(text))
        + is_far
        + (gap >= 3 * largest)
        - 3 * (len(line) == 1 and bool(_NOTE.match(text)))
        - 2 * (text[-1:] in ".!?;:," and len(text) > 60)
    )
    needed = 2 if _is_outer(line, sheet, _BAND, is_head) else 3
    return ("running_head" if is_head else "running_foot") if signs >= needed else None


def _has_wide_gap(line: Sequence[Segment], sheet: Sheet) -> bool:
    """Whether pieces of a line stand at its two ends."""
    return any(b.x0 - a.x1 > 0.12 * sheet.width for a, b in pairwise(line))


def _numbers_at_ends(
    line: Sequence[Segment], sheet: Sheet, size: float, is_head: bool
) -> dict[int, str]:
    if len(line) < 2 or not _is_outer(line, sheet, _NUMBER_BAND, is_head):
        return {}
    ends = [s for s in (line[0], line[-1]) if s.text.isdigit() and s.size <= _LARGE * size]
    wide = _has_wide_gap(line, sheet)
    return {s.order: "page_number" for s in ends} if wide else {}
