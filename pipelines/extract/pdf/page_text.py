"""From lines of a page to text, and from pages to the text of a document.

What typesetting did is undone, and nothing else: a word that was hyphenated at the end of a line is
joined, a line that reached the margin runs on in the next, the ligatures U+FB00 to U+FB06 (fi, ffl)
become letters (NFKC of that block only; other characters stay as they are), and lines that repeat
at the top or bottom of most pages (running heads, page numbers) are left out.

A hyphen is taken away only between two lower-case letters; `well-` + `known` so becomes
`wellknown` where the compound itself was broken there, which no rule without a dictionary can know.
"""

import re
from collections.abc import Sequence
from typing import Final

_LIGATURES: Final = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
# Codes that fonts without a mapping leave behind; a text layer has no other use for them.
_CONTROLS: Final = dict.fromkeys(
    [*(c for c in range(32) if c not in (9, 10)), 0x7F, 0xFFFE, 0xFFFF]
)
_SOFT_HYPHEN: Final = "\u00ad"
_SPELLING: Final[dict[int, str | None]] = {**_LIGATURES, **_CONTROLS, 0xAD: None}
# CJK ideographs, kana, and their punctuation: written without spaces, so lines join without one.
_SOLID: Final = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_HYPHENS: Final = ("-", "\u2010")
_FULL: Final = 0.8  # a line of this share of the longest around it reaches the margin
_AROUND: Final = 4  # lines before and after that it is compared with
_NUMBER: Final = re.compile(r"\d+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_EDGE_LINES: Final = 2  # lines at either end of a page that can be a running head or foot
_MIN_PAGES: Final = 3
_REPEATING: Final = 0.4  # share of the pages: left and right pages may have heads of their own
_MAX_HEAD_CHARS: Final = 120


def join_lines(lines: Sequence[str], widths: Sequence[float] | None = None) -> str:
    """Text of the lines of one block: those that reach the margin run on in the next.

    Args:
        lines: From top to bottom.
        widths: How far each reaches to the right, in any unit; by default its characters.

    >>> join_lines(["The quick brown fox is exten-", "ded over two lines of text", "here."])
    'The quick brown fox is extended over two lines of text here.'
    """
    lines = [line.strip() for line in lines]
    reach = list(widths) if widths is not None else [float(len(line)) for line in lines]
    pieces: list[str] = []  # lines and what stands between them
    for i, line in enumerate(lines):
        if pieces and line:
            margin = max(reach[max(0, i - 1 - _AROUND) : i + _AROUND])
            pieces += _seam(pieces, line, runs_on=reach[i - 1] >= _FULL * margin)
        if line:
            pieces.append(line)
    return "".join(pieces)


def _seam(pieces: list[str], line: str, *, runs_on: bool) -> list[str]:
    """What stands between the last piece, which may lose its hyphen, and the next line."""
    last = pieces[-1]
    is_broken_word = last.endswith(_HYPHENS) and last[-2:-1].islower() and line[0].islower()
    if is_broken_word or last.endswith(_SOFT_HYPHEN):
        pieces[-1] = last[:-1]
        return []
    if not runs_on:
        return ["\n"]
    return [] if _SOLID.match(last[-1]) and _SOLID.match(line[0]) else [" "]


def spell_out(text: str) -> str:
    """The text with letters for Latin ligatures, without soft hyphens and control characters."""
    return text.translate(_SPELLING)


def join_pages(pages: Sequence[str]) -> str:
    """Joins the texts of consecutive pages by an empty line, without running heads and feet.

    A line goes when it stands among the first or last two of its page and, numbers aside, at the
    same end of at least three pages and of 40 % of all. A line without letters goes only when its
    number counts up with the pages. So a title on one page alone, a year or a table row stays.
    """
    split = [page.split("\n") for page in pages]
    dropped = [_running_lines(split, first=first) for first in (True, False)]
    kept = [
        "\n".join(line for i, line in enumerate(lines) if i not in heads and i not in feet)
        for lines, heads, feet in zip(split, *dropped, strict=True)
    ]
    return "\n\n".join(text for text in (page.strip("\n") for page in kept) if text)


def _running_lines(pages: Sequence[Sequence[str]], *, first: bool) -> list[set[int]]:
    """For each page the positions of lines that repeat at one end of the pages."""
    found = [
        (page, i, pages[page][i]) for page in range(len(pages)) for i in _edge(pages[page], first)
    ]
    seen: dict[tuple[str, int | None], set[int]] = {}
    for page, _, line in found:
        seen.setdefault(_shape(line, page), set()).add(page)
    needed = max(_MIN_PAGES, _REPEATING * len(pages))
    dropped: list[set[int]] = [set() for _ in pages]
    for page, i, line in found:
        if len(seen[_shape(line, page)]) >= needed:
            dropped[page].add(i)
    return dropped


def _edge(lines: Sequence[str], first: bool) -> list[int]:
    """Positions of the lines with text that stand first or last on a page, if it has more."""
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if len(filled) <= _EDGE_LINES:
        return []
    edge = filled[:_EDGE_LINES] if first else filled[-_EDGE_LINES:]
    return [i for i in edge if len(lines[i]) <= _MAX_HEAD_CHARS]


def _shape(line: str, page: int) -> tuple[str, int | None]:
    """What is equal for lines that repeat: their text without numbers, or how they are counted."""
    line = line.strip().lower()
    numbers = _NUMBER.findall(line)
    if _LETTER.search(line):
        return _NUMBER.sub("#", line), None
    return _NUMBER.sub("#", line), int(numbers[0][:9]) - page if numbers else None
