"""Whether the text that an engine gives of a page is in reading order, and a reading that is.

The two ways in which a text layer is silently wrong were found on real files. pdf-inspector 1.25
weaves the columns of some pages into each other, half a line of one and half a line of the other
(of 160 pages of the olmOCR and unstructured samples, about one in ten), and gives Arabic and Hebrew
in the order of the screen, each word backwards. Both read fluently to a program. They are told by
what every reader would do: go on from a line to the one that stands right below it, which sound
pages do at more than 9 of 10 such joints and woven ones at 0 to 7.

PDFium's text stands in the order in which the file draws it, and its Arabic and Hebrew is logical.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pypdfium2 as pdfium

from pipelines.extract.pdf.opening import PdfFile
from pipelines.extract.pdf.page_text import join_lines

_TAG: Final = re.compile(r"</?\w+>")
_WORD: Final = re.compile(r"\w+")
# Letters that stand at the end of a word only: Arabic teh marbuta and alef maksura, and the final
# forms of Hebrew. At the beginnings of words they show a text that runs backwards.
_FINAL_FIRST: Final = re.compile("(?<!\\w)[\u0629\u0649\u05da\u05dd\u05df\u05e3\u05e5]\\w")
_FINAL_LAST: Final = re.compile("\\w[\u0629\u0649\u05da\u05dd\u05df\u05e3\u05e5](?!\\w)")
_MIN_JOINTS: Final = 6
_MIN_FOUND: Final = 0.8
_RUN: Final = 4  # words: two at the end of a line and two at the beginning of the next
# Lines as PDFium divides them: by CR LF, or by U+FFFE in place of a hyphen at the end of a line.
_PIECE: Final = re.compile("[^\r\n\ufffe]+\ufffe?")
_HYPHENS: Final = ("-", "\u00ad", "\u2010")
_SENTENCE_ENDS: Final = tuple(".!?:;\u3002\uff01\uff1f\u061f\u0964")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLine:
    """A line and its place on the page, in points, y upwards."""

    text: str
    left: float
    right: float
    bottom: float
    top: float

    @property
    def height(self) -> float:
        """At least one point."""
        return max(self.top - self.bottom, 1.0)

    def is_above(self, other: "PlacedLine") -> bool:
        """Whether another line stands right below this one and begins about where it does."""
        tall = max(self.height, other.height)
        gap = self.bottom - other.top
        return abs(self.left - other.left) < 3 * tall and -tall < gap < 2 * tall


def runs_backwards(text: str) -> bool:
    """Whether the letters of Arabic or Hebrew words stand in the order of the screen.

    >>> runs_backwards("\u0629\u064a\u0628\u0631\u0639\u0644\u0627 \u0629\u063a\u0644\u0644\u0627")
    True
    """
    return len(_FINAL_FIRST.findall(text)) > len(_FINAL_LAST.findall(text))


def are_woven(text: str, lines: Sequence[PlacedLine]) -> bool:
    """Whether a text too seldom goes on from a line to the line that stands below it.

    Args:
        text: Of the whole page, perhaps with Markdown in it.
        lines: Its lines in the order of the file. Pairs count where the second stands right below
            the first, both have four words or more, and the first is no row of a Markdown table
            in the text.
    """
    words = _words(text)
    runs = _runs(words, _RUN)
    table = [_words(line) for line in text.split("\n") if line.startswith("|")]
    in_tables = {run for row in table for run in _runs(row, _RUN - 1)}
    num_joints = num_found = 0
    for above, below in pairwise(lines):
        before, after = _words(above.text), _words(below.text)
        if not above.is_above(below) or min(len(before), len(after)) < _RUN:
            continue
        if above.text.rstrip().endswith(_HYPHENS) or _runs(before, _RUN - 1) & in_tables:
            continue
        num_joints += 1
        num_found += (*before[-2:], *after[:2]) in runs
    return num_joints >= _MIN_JOINTS and num_found < _MIN_FOUND * num_joints


def _words(text: str) -> list[str]:
    return _WORD.findall(_TAG.sub("", text).lower())


def _runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def flowing_text(lines: Sequence[PlacedLine]) -> str:
    """Text of lines in their order, in paragraphs.

    A paragraph ends where the next line does not stand right below, or has another height; not
    where a sentence goes on, as it does from one column to the next.
    """
    groups: list[list[PlacedLine]] = []
    for line in lines:
        if groups and _goes_on(groups[-1][-1], line):
            groups[-1].append(line)
        else:
            groups.append([line])
    paragraphs: list[str] = []
    last: PlacedLine | None = None
    for group in groups:
        margin = min(line.left for line in group)
        reach = [line.right - margin for line in group]
        paragraph = join_lines([line.text for line in group], reach)
        if last and _are_alike(last, group[0]) and _is_amid(paragraphs[-1], paragraph):
            paragraphs[-1] = join_lines([paragraphs[-1], paragraph], [1.0, 1.0])
        else:
            paragraphs.append(paragraph)
        last = group[-1]
    return "\n\n".join(paragraphs)


def _goes_on(above: PlacedLine, below: PlacedLine) -> bool:
    gap = above.bottom - below.top
    is_near = gap < max(above.height, below.height)
    return above.is_above(below) and is_near and _are_alike(above, below)


def _are_alike(one: PlacedLine, two: PlacedLine) -> bool:
    """Whether two lines are set in about the same size."""
    return max(one.height, two.height) < 1.6 * min(one.height, two.height)


def _is_amid(text: str, following: str) -> bool:
    """Whether a sentence goes on."""
    return following[:1].islower() and not text.endswith(_SENTENCE_ENDS)


def placed_lines(pdf: PdfFile, number: int) -> list[PlacedLine]:
    """The lines of a page in the order of the file; none where PDFium cannot place them."""
    try:
        with pdf.page(number) as page:
            layer = page.get_textpage()
            try:
                return _placed_lines(layer)
            finally:
                layer.close()
    except pdfium.PdfiumError:
        return []


def _placed_lines(layer: pdfium.PdfTextPage) -> list[PlacedLine]:
    text = layer.get_text_range()
    if not text.isascii():
        # PDFium counts UTF-16 units; a letter beyond the first plane would shift all places.
        text = "".join(c if c <= "\uffff" else "\ufffd\ufffd" for c in text)
    lines = []
    for piece in _PIECE.finditer(text):
        shown = piece[0].strip()
        if shown:
            first = piece.start() + len(piece[0]) - len(piece[0].lstrip())
            lines.append(_placed(layer, shown, first, first + len(shown) - 1))
    return lines


def _placed(layer: pdfium.PdfTextPage, text: str, first: int, last: int) -> PlacedLine:
    begin, end = layer.get_charbox(first, loose=True), layer.get_charbox(last, loose=True)
    return PlacedLine(
        text=text.replace("\ufffe", "-"),
        left=min(begin[0], end[0]),
        right=max(begin[2], end[2]),
        bottom=begin[1],
        top=begin[3],
    )
