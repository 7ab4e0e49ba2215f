"""From runs of text with places to the Markdown of pages, in reading order.

A pure function of arrays: nothing here knows what file they came from. The steps, each a module:
vertical lines are laid level (`layout_vertical`); runs become segments (`layout_segments`); tables
between lines are found (`layout_tables`); what stands around the text is taken out
(`layout_margins`); the rest is cut into columns (`layout_columns`) and those into blocks
(`layout_blocks`), aligned columns of cells into tables too. Then, here, blocks become Markdown.

Headings are judged over the whole document: what is set larger than the text, or all bold and
short. Sizes give their levels, largest first; numbers (`2.1.3`) go before sizes.

Notes at the foot of a page stay, as paragraphs after its text; where the text goes on on the next
page, before its last paragraph, so that this is not interrupted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from pipelines.extract.pdf.layout_blocks import (
    Block,
    blocks_of,
    grouped,
    is_capital,
    unspaced,
    without_bullet,
)
from pipelines.extract.pdf.layout_columns import reading_groups
from pipelines.extract.pdf.layout_margins import Sheet, without_margins
from pipelines.extract.pdf.layout_runs import PageRuns, PageText
from pipelines.extract.pdf.layout_segments import (
    SOLID,
    Segment,
    is_right_to_left,
    segments,
    text_size,
)
from pipelines.extract.pdf.layout_tables import Table, ruled_tables
from pipelines.extract.pdf.layout_vertical import with_level_lines
from pipelines.extract.pdf.page_text import Words, flow, spell_out

_LARGE: Final = 1.12  # of the size of the text
_MAX_HEADING_LINES: Final = 4
_MAX_HEADING_CHARS: Final = 200
_MAX_BOLD_LINES: Final = 2
_NUMBERED: Final = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")
_LETTERS: Final = re.compile(r"[^\W\d_].*[^\W\d_]", re.DOTALL)
_RAISED: Final = re.compile(r"</?su[bp]>")
_MAX_LEVEL: Final = 6
_SMALL: Final = 0.93  # of the size of the text: notes
_FIXED_SHARE: Final = 0.5  # a document set in a typewriter's font has no code by that alone
_ENDS: Final = re.compile(
    r"[.!?:;\u2026\u3002\uff01\uff1f\uff1a\uff1b\uff0e\u061f\u06d4\u0964\u0965|][\"'\u201d\u2019\u00bb)\]\u300d\u300f]*$"
)


@dataclass(frozen=True, slots=True)
class _Style:
    """What is usual in a document."""

    size: float
    levels: tuple[float, ...]
    """Sizes of headings, largest first."""
    words: Words
    has_code: bool


def layout_pages(pages: Sequence[PageRuns]) -> list[PageText]:
    """The texts of the pages of one document, in reading order.

    Args:
        pages: From the first to the last; running heads and levels of headings are judged over all.
    """
    pages = [with_level_lines(page) for page in pages]
    found = [segments(page) for page in pages]
    sheets = [
        Sheet(some, page.width, page.height, ruled_tables(some, page.rules))
        for (some, _), page in zip(found, pages, strict=True)
    ]
    margins = without_margins(sheets)
    blocks = [_blocks(one.kept, sheet.tables) for one, sheet in zip(margins, sheets, strict=True)]
    style = _style(blocks)
    return [
        PageText(
            text=_markdown(some, style),
            dropped=(*one.dropped, *dropped),
        )
        for some, one, (_, dropped) in zip(blocks, margins, found, strict=True)
    ]


def _blocks(kept: Sequence[Segment], tables: Sequence[Table]) -> list[Block]:
    """The blocks of a page in reading order."""
    taken = frozenset[int]().union(*(table.members for table in tables))
    free = [s for s in kept if s.order not in taken]
    upright = [s for s in free if not s.is_turned]
    usual = text_size(upright)
    boxes = [(s.x0, s.y0, s.x1, s.y1) for s in upright] + [(t.x0, t.y0, t.x1, t.y1) for t in tables]
    strong = [_is_strong(s, usual) for s in upright] + [False] * len(tables)
    groups = reading_groups(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(strong, np.bool_),
        is_right_to_left("".join(s.text for s in upright)),
    )
    blocks: list[Block] = []
    for number, group in enumerate(groups):
        some = [upright[i] for i in group if i < len(upright)]
        inside = [tables[i - len(upright)] for i in group if i >= len(upright)]
        blocks += blocks_of(some, inside, number)
    turned = [s for s in free if s.is_turned]
    return [*blocks, *(block for s in turned for block in blocks_of([s], [], len(groups)))]


def _is_strong(s: Segment, usual: float) -> bool:
    return s.is_bold or s.size > _LARGE * usual


def _style(pages: Sequence[Sequence[Block]]) -> _Style:
    blocks = [block for page in pages for block in page if block.table is None]
    lines = [line for block in blocks for line in block.lines]
    pieces = [s for line in lines for s in line.pieces]
    size = text_size(pieces)
    sizes = {round(b.size * 2) / 2 for b in blocks if _is_large(b, size)}
    levels: list[float] = []
    for one in sorted(sizes, reverse=True):
        if not levels or one < 0.94 * levels[-1]:
            levels.append(one)
    num_chars = sum(len(s.text) for s in pieces)
    num_fixed = sum(len(s.text) for s in pieces if s.is_fixed)
    return _Style(
        size=size,
        levels=tuple(levels),
        words=Words(line.text for line in lines),
        has_code=num_fixed < _FIXED_SHARE * num_chars,
    )


def _is_large(block: Block, usual: float) -> bool:
    """Whether a block is a heading by its size."""
    return (
        block.table is None
        and block.size >= _LARGE * usual
        and len(block.lines) <= _MAX_HEADING_LINES
        and block.num_chars <= _MAX_HEADING_CHARS
        and _has_letters(block)
    )


def _has_letters(block: Block) -> bool:
    """Whether the first line has letters other than those of the marks <sup> and <sub>."""
    return bool(_LETTERS.search(_RAISED.sub("", block.lines[0].text)))


def _level(block: Block, following: Block | None, style: _Style) -> int | None:
    """Level of a heading, from 1; None for any other block."""
    if block.table is not None:
        return None
    if _is_large(block, style.size):
        place = [one for one in style.levels if block.size < 0.97 * one]
        return _numbered_level(block) or min(_MAX_LEVEL, len(place) + 1)
    text = block.lines[-1].text
    is_heading = (
        (block.is_bold or all(is_capital(line.text) for line in block.lines))
        and len(block.lines) <= _MAX_BOLD_LINES
        and block.num_chars <= _MAX_HEADING_CHARS / 2
        and block.size >= _SMALL * style.size
        and not text.endswith((",", ";"))
        and _has_letters(block)
        and following is not None
        and (following.table is not None or not (block.is_bold and following.is_bold))
    )
    if not is_heading:
        return None
    return _numbered_level(block) or min(_MAX_LEVEL, len(style.levels) + 1)


def _numbered_level(block: Block) -> int | None:
    found = _NUMBERED.match(block.lines[0].text)
    if not found or "." not in found[1]:
        return None
    return min(_MAX_LEVEL, found[1].count(".") + 2)


def _markdown(blocks: Sequence[Block], style: _Style) -> str:
    ordered = _with_notes_placed(blocks, style)
    following = dict(zip(map(id, ordered), ordered[1:], strict=False))
    pieces: list[str] = []
    last: Block | None = None
    for run in grouped(ordered):
        first = run[0]
        if first.table is not None:
            pieces.append(first.table.markdown)
        elif len(run) == 1 and (level := _level(first, following.get(id(first)), style)):
            pieces.append("#" * level + " " + _text(first, style).replace("\n", " "))
        elif first.is_item:
            pieces.append(_list(run, style))
        elif style.has_code and first.is_fixed and len(first.lines) > 1:
            pieces.append(_code(first))
        else:
            text = _text(first, style)
            if last is not None and _goes_on(last, first, pieces[-1], text, style):
                pieces[-1] = flow([pieces[-1], text], [True], style.words)
            else:
                pieces.append(text)
        last = run[-1]
    return spell_out("\n\n".join(pieces)).strip()


def _text(block: Block, style: _Style) -> str:
    return unspaced(flow([line.text for line in block.lines], block.runs_on, style.words))


def _goes_on(last: Block, block: Block, before: str, text: str, style: _Style) -> bool:
    """Whether a paragraph goes on at the top of the next column, or below a picture."""
    if last.table is not None or abs(last.size - block.size) > 0.08 * style.size:
        return False
    if before.startswith("#") or _ENDS.search(before) or len(last.lines[-1].text) < 3:
        return False
    is_amid = text[:1].islower() or (SOLID.match(before[-1]) and SOLID.match(text[:1]))
    return bool(is_amid) and (last.group != block.group or not last.is_item)


def _list(run: Sequence[Block], style: _Style) -> str:
    """Items below each other, those further in one level down."""
    edges: list[float] = []
    for x0 in sorted(block.lines[0].x0 for block in run):
        if not edges or x0 - edges[-1] > 0.8 * style.size:
            edges.append(x0)
    items = []
    for block in run:
        depth = sum(x0 <= block.lines[0].x0 for x0 in edges) - 1
        mark, text = without_bullet(_text(block, style))
        indent = "  " * min(depth, 4)
        items.append(indent + mark + text.replace("\n", "\n" + indent + "  "))
    return "\n".join(items)


def _code(block: Block) -> str:
    """Lines as they are, indented as they stand."""
    left = min(line.x0 for line in block.lines)
    width = median((line.x1 - line.x0) / len(line.text) for line in block.lines)
    lines = [" " * round((line.x0 - left) / max(width, 0.1)) + line.text for line in block.lines]
    return "\n".join(["```", *lines, "```"])


def _with_notes_placed(blocks: Sequence[Block], style: _Style) -> list[Block]:
    """Blocks with the notes at the foot of columns after all else, or before what goes on."""
    body = list(blocks)
    notes: list[Block] = []
    for group in {block.group for block in blocks}:
        inside = [block for block in body if block.group == group]
        foot: list[Block] = []
        while inside and _is_note(inside[-1], style):
            foot.insert(0, inside.pop())
        if inside and foot:
            notes += foot
    if not notes:
        return body
    body = [block for block in body if not any(block is note for note in notes)]
    notes.sort(key=lambda block: block.group)
    if body[-1].table is None and not _ENDS.search(body[-1].lines[-1].text):
        return [*body[:-1], *notes, body[-1]]
    return [*body, *notes]


def _is_note(block: Block, style: _Style) -> bool:
    return (
        block.table is None
        and block.size < _SMALL * style.size
        and block.lines[0].text[:1] in "*\u2020\u2021\u00a70123456789<"
    )


__all__ = ["PageRuns", "PageText", "Table", "layout_pages"]
