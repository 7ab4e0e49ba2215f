"""Unit tests of pages: is a sentence there, is it absent, is it before another, is a cell in place?

The rules are those of olmOCR-Bench (arXiv:2502.18443, section 4; code of allenai/olmocr, olmocr/
bench/tests.py), written anew from their description:

- texts are compared with runs of white space as one space, without Markdown emphasis, with plain
  quotes and hyphens, in NFC; case counts unless a test says otherwise;
- `present`, `absent`: the text occurs, or not, with at most `max_diffs` edits (0 by default),
  within the first or last n characters where the test says so;
- `order`: some occurrence of `before` begins before some occurrence of `after`;
- `table`: a cell of a Markdown table with that text has the neighbours (`up`, `down`, `left`,
  `right`) and headings (any cell above it, or left of it) that the test names.

`math` is not run: it compares pictures of formulas that KaTeX has drawn.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

RUN: Final = ("present", "absent", "order", "table")
_EMPHASIS: Final = re.compile(r"\*\*?|__|</?(?:b|i|em|strong|u|sub|sup)>|^#{1,6} ", re.MULTILINE)
_PLAIN: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u02bc`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    }
)
Table = list[list[str]]


def passes(test: Mapping[str, Any], text: str) -> bool:
    """Whether the text of a page passes a test of a type in `RUN`."""
    if test["type"] == "table":
        return any(_has_cell(test, table) for table in _tables(text))
    page = plain(text)
    if test["type"] == "order":
        befores = list(_begins(plain(test["before"]), page, test.get("max_diffs", 0)))
        afters = list(_begins(plain(test["after"]), page, test.get("max_diffs", 0)))
        return bool(befores and afters) and min(befores) < max(afters)
    is_there = _occurs(test, page)
    return is_there if test["type"] == "present" else not is_there


def plain(text: str) -> str:
    """A text as it is compared."""
    text = unicodedata.normalize("NFC", _EMPHASIS.sub("", text)).translate(_PLAIN)
    return " ".join(text.split())


def _occurs(test: Mapping[str, Any], page: str) -> bool:
    text = plain(test["text"])
    if not test.get("case_sensitive", True):
        text, page = text.lower(), page.lower()
    if "first_n" in test or "last_n" in test:
        first, last = test.get("first_n") or 0, test.get("last_n") or 0
        page = page[:first] + " " + (page[-last:] if last else "")
    return any(True for _ in _begins(text, page, test.get("max_diffs", 0)))


def _begins(text: str, page: str, max_diffs: int) -> Iterator[int]:
    """Where a text occurs with at most so many edits; approximate within that many characters."""
    if max_diffs == 0:
        at = page.find(text)
        while at >= 0:
            yield at
            at = page.find(text, at + 1)
        return
    for end in np.flatnonzero(edits_at_ends(text, page) <= max_diffs).tolist():
        yield max(0, end - len(text))


def edits_at_ends(text: str, page: str) -> npt.NDArray[np.int64]:
    """Edits to make a text of some stretch of a page, for each place where the stretch ends.

    Returns:
        int64[len(page) + 1] (Sellers 1980).

    >>> edits_at_ends("abd", "xabcdx").tolist()
    [3, 3, 2, 1, 1, 1, 2]
    """
    letters = np.array([ord(char) for char in page], np.int64)
    places = np.arange(letters.size + 1)
    row = np.zeros(letters.size + 1, np.int64)
    for i, char in enumerate(text, start=1):
        step = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(char)))
        # A letter of the page that the text lacks costs one more than its left neighbour.
        row = np.minimum.accumulate(np.concatenate(([i], step)) - places) + places
    return row


def edits(one: str, two: str) -> int:
    """The Levenshtein distance of two texts."""
    letters = np.array([ord(char) for char in two], np.int64)
    places = np.arange(letters.size + 1)
    row = places.copy()
    for i, char in enumerate(one, start=1):
        step = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(char)))
        row = np.minimum.accumulate(np.concatenate(([i], step)) - places) + places
    return int(row[-1])


def _tables(text: str) -> list[Table]:
    """The Markdown tables of a text."""
    tables: list[Table] = [[]]
    for line in text.split("\n"):
        if not line.startswith("|"):
            tables.append([])
        elif not re.fullmatch(r"[|\s:-]+", line):
            tables[-1].append([plain(cell) for cell in line.strip().strip("|").split("|")])
    return [table for table in tables if table]


def _has_cell(test: Mapping[str, Any], table: Table) -> bool:
    """Whether some cell with the text of a test has the neighbours that it asks for."""
    wanted = plain(test["cell"])
    return any(
        cell == wanted and all(_stands(test, name, table, y, x) for name in _NEIGHBOURS)
        for y, row in enumerate(table)
        for x, cell in enumerate(row)
    )


def _stands(test: Mapping[str, Any], name: str, table: Table, y: int, x: int) -> bool:
    wanted = test.get(name)
    if not wanted:
        return True
    return plain(wanted) in [_cell(table, *place) for place in _NEIGHBOURS[name](y, x)]


def _cell(table: Table, y: int, x: int) -> str | None:
    is_inside = 0 <= y < len(table) and 0 <= x < len(table[y])
    return table[y][x] if is_inside else None


_Places = Callable[[int, int], list[tuple[int, int]]]
_NEIGHBOURS: Final[dict[str, _Places]] = {
    "up": lambda y, x: [(y - 1, x)],
    "down": lambda y, x: [(y + 1, x)],
    "left": lambda y, x: [(y, x - 1)],
    "right": lambda y, x: [(y, x + 1)],
    "top_heading": lambda y, x: [(above, x) for above in range(y)],
    "left_heading": lambda y, x: [(y, before) for before in range(x)],
}
