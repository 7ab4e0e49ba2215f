"""Lines of one column of a page as paragraphs, headings, items of lists, code and tables.

A line runs on in the next unless something says that it does not: another size, more white than
between lines of the column, a mark of a list, an indent after a line that ends, or room that the
first word of the next line would have had. Where only that room speaks (verse, addresses), the line
ends and the paragraph does not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

from pipelines.extract.pdf.layout_segments import (
    BULLET,
    SOLID,
    Segment,
    is_bullet,
    is_right_to_left,
    rows,
)
from pipelines.extract.pdf.layout_tables import Table, unruled_table

_SIZE_CHANGE: Final = 0.12
_WIDE_PITCH: Final = 1.3
_INDENT: Final = 0.8  # of the size
_MAX_INDENT: Final = 6.0
_ROOM: Final = 0.6  # of the size: less room says nothing, lines are not set so exactly
_FEW_LINES: Final = 6
_SENTENCE_END: Final = re.compile(
    r"[.!?:;\u2026\u3002\uff01\uff1f\uff1a\uff1b\uff0e\u061f\u06d4\u0964\u0965][\"'\u201d\u2019\u00bb)\]\u300d\u300f]*$"
)
_ITEM: Final = re.compile(
    rf"(?:{BULLET}\s*|[*\-\u2013\u2014]\s+|\(?(?:\d{{1,3}}|[a-zA-Z]|[ivxlIVXL]{{1,5}})[.)]\s+)(?=\S)"
)
_BULLET_ITEM: Final = re.compile(rf"(?:{BULLET}|[*\-\u2013\u2014\u00b7])\s*")
_LEADERS: Final = re.compile(r"(?:\s?[.\u00b7\u2026_]){5,}\s?")
_DRAWN: Final = re.compile(r"[.\u00b7\u2026_\-\u2013\u2014=~\s]{3,}")  # a rule made of characters
_CAPITALS: Final = re.compile(r"[^\W\d_]")
_SPACED: Final = re.compile(r"(?<!\S)(?:[^\W\d_] ){3,}[^\W\d_](?!\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a column."""

    pieces: list[Segment]
    text: str
    x0: float
    """Where it begins; mirrored where it is read from the right, as x1."""
    x1: float
    y0: float
    y1: float
    size: float
    is_bold: bool
    is_fixed: bool
    is_item: bool


@dataclass(slots=True)
class Block:
    """A paragraph, a heading, an item of a list, or a table."""

    lines: list[Line] = field(default_factory=list)
    runs_on: list[bool] = field(default_factory=list)
    """bool[lines - 1]: whether a line goes on in the next."""
    table: Table | None = None
    group: int = 0
    """Column of the page, in reading order."""

    @property
    def size(self) -> float:
        """Of the longest line."""
        return max(self.lines, key=lambda line: len(line.text)).size

    @property
    def is_bold(self) -> bool:
        """All of it."""
        return all(line.is_bold for line in self.lines)

    @property
    def is_fixed(self) -> bool:
        """All of it, in a font of fixed pitch."""
        return all(line.is_fixed for line in self.lines)

    @property
    def is_item(self) -> bool:
        """Whether it begins with the mark of an item."""
        return self.lines[0].is_item

    @property
    def num_chars(self) -> int:
        """Characters."""
        return sum(len(line.text) for line in self.lines)


def blocks_of(segments: Sequence[Segment], tables: Sequence[Table], group: int) -> list[Block]:
    """The blocks of one column, from top to bottom."""
    found: list[Block] = []
    edges = sorted(tables, key=lambda t: t.y0)
    rest = list(rows(segments))
    for table in edges:
        above = [row for row in rest if row[0].middle < table.y0]
        rest = rest[len(above) :]
        found += _text_blocks(above, group)
        found.append(Block(table=table, group=group))
    return found + _text_blocks(rest, group)


def _text_blocks(lines: list[list[Segment]], group: int) -> list[Block]:
    """Blocks of rows of segments, aligned ones as tables."""
    found: list[Block] = []
    plain: list[list[Segment]] = []
    i = 0
    while i < len(lines):
        table = unruled_table(lines[i:]) if len(lines[i]) > 1 else None
        if table is None:
            plain.append(lines[i])
            i += 1
            continue
        found += _paragraphs(plain, group)
        plain = []
        found.append(Block(table=table[1], group=group))
        i += table[0]
    return found + _paragraphs(plain, group)


def _paragraphs(found: list[list[Segment]], group: int) -> list[Block]:
    found = [row for row in found if not all(_DRAWN.fullmatch(s.text) for s in row)]
    if not found:
        return []
    letters = "".join(s.text for row in found for s in row)
    lines = [_line(row, is_right_to_left(letters)) for row in found]
    right = _margin(lines)
    pitch = _pitch(lines)
    blocks = [Block(lines=[lines[0]], group=group)]
    for last, line in pairwise(lines):
        block = blocks[-1]
        seam = _seam(block, last, line, right, pitch)
        if seam is None:
            blocks.append(Block(lines=[line], group=group))
        else:
            block.lines.append(line)
            block.runs_on.append(seam)
    return blocks


def _line(row: list[Segment], right_to_left: bool) -> Line:
    pieces = sorted(row, key=lambda s: -s.x1) if right_to_left else row
    text = ""
    for last, piece in zip([None, *pieces], pieces, strict=False):
        if last and not (SOLID.match(last.text[-1]) and SOLID.match(piece.text[0])):
            text += " "
        text += piece.text
    main = max(row, key=lambda s: (len(s.text), s.size))
    num_chars = sum(len(s.text) for s in row)
    x0, x1 = min(s.x0 for s in row), max(s.x1 for s in row)
    return Line(
        pieces,
        _LEADERS.sub(" ... ", text),
        -x1 if right_to_left else x0,
        -x0 if right_to_left else x1,
        main.y0,
        main.y1,
        main.size,
        sum(len(s.text) for s in row if s.is_bold) > 0.9 * num_chars,
        sum(len(s.text) for s in row if s.is_fixed) > 0.9 * num_chars,
        bool(_ITEM.match(text)) or (len(pieces) > 1 and is_bullet(pieces[0].text)),
    )


def _margin(lines: Sequence[Line]) -> float:
    """Where lines that are full end: nearly the furthest."""
    ends = sorted(line.x1 for line in lines)
    return ends[-1] if len(ends) < _FEW_LINES else ends[int(0.9 * (len(ends) - 1))]


def _pitch(lines: Sequence[Line]) -> float:
    """The usual distance of lines, in sizes."""
    steps = [
        (b.y1 - a.y1) / max(a.size, b.size)
        for a, b in pairwise(lines)
        if abs(a.size - b.size) <= _SIZE_CHANGE * a.size and b.y1 > a.y1
    ]
    near = [step for step in steps if step < 2.2]
    return median(near) if near else 1.2


def _seam(block: Block, last: Line, line: Line, right: float, pitch: float) -> bool | None:
    """Whether a line runs on in the next; None where a new block begins."""
    size = max(last.size, line.size)
    if abs(last.size - line.size) > _SIZE_CHANGE * size:
        return None
    step = (line.y1 - last.y1) / size
    if step > max(_WIDE_PITCH * pitch, pitch + 0.3) or line.is_item:
        return None
    if last.is_fixed and line.is_fixed:
        return False
    has_ended = bool(_SENTENCE_END.search(last.text))
    room = right - last.x1 - _first_word(line)
    is_short = room > _ROOM * size
    if last.is_bold != line.is_bold and (is_short or has_ended or line.is_bold):
        return None
    if is_capital(last.text) and is_short and not is_capital(line.text):
        return None
    indent = (line.x0 - last.x0) / size
    starts = _starts(block, last, line, indent, has_ended or is_short)
    if starts and not _is_centred(last, line):
        return None
    is_amid = not has_ended and (line.text[:1].islower() or (last.is_bold and line.is_bold))
    if not is_short or is_amid:
        return True
    return None if has_ended else False


def _starts(block: Block, last: Line, line: Line, indent: float, may_end: bool) -> bool:
    """Whether the place where a line begins says that a paragraph does."""
    if not may_end or block.is_item:
        return False
    if _INDENT <= indent <= _MAX_INDENT:
        return True
    # Hanging: the lines before stood further in than their first one, as this does.
    hangs = len(block.lines) > 1 and last.x0 - block.lines[0].x0 > _INDENT * last.size
    return hangs and abs(line.x0 - block.lines[0].x0) < 0.5 * line.size


def _is_centred(one: Line, two: Line) -> bool:
    middle = abs((one.x0 + one.x1) - (two.x0 + two.x1)) / 2
    return middle < 0.4 * one.size and abs(one.x0 - two.x0) > 0.5 * one.size


def is_capital(text: str) -> bool:
    """Whether a line is set in capitals throughout, and has some.

    >>> is_capital("2 THE CONTEXT"), is_capital("TNCs"), is_capital("A")
    (True, False, False)
    """
    return text.isupper() and len(_CAPITALS.findall(text)) >= 4


def _first_word(line: Line) -> float:
    """Width of the first word of a line, with a space."""
    if SOLID.match(line.text[:1]):
        return line.size
    word = line.text.split(maxsplit=1)[0]
    return (line.x1 - line.x0) * (len(word) + 1) / max(1, len(line.text))


def unspaced(text: str) -> str:
    """A text with its letterspaced words closed up.

    >>> unspaced("R E F E R E N C E S and a b c"), unspaced("x y z")
    ('REFERENCES and a b c', 'x y z')
    """
    return _SPACED.sub(lambda found: found[0].replace(" ", ""), text)


def without_bullet(text: str) -> tuple[str, str]:
    """The Markdown mark of an item, and the rest.

    >>> without_bullet("\u2022 one"), without_bullet("3) two")
    (('- ', 'one'), ('', '3) two'))
    """
    found = _BULLET_ITEM.match(text)
    return ("- ", text[found.end() :]) if found else ("", text)


def grouped(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Runs of consecutive blocks that are items of one list, or one block that is none."""
    run: list[Block] = []
    for block in blocks:
        is_item = block.table is None and block.is_item
        if is_item and run and block.group == run[-1].group:
            run.append(block)
            continue
        if run:
            yield run
        run = [block] if is_item else []
        if not is_item:
            yield [block]
    if run:
        yield run
