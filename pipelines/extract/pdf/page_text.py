"""From lines of a page to text, and from pages to the text of a document.

What typesetting did is undone, and nothing else: a word that was hyphenated at the end of a line is
joined, a line that reached the margin runs on in the next, the ligatures U+FB00 to U+FB06 (fi, ffl)
become letters (NFKC of that block only; other characters stay as they are), and lines that repeat
at the top or bottom of most pages (running heads, page numbers) are left out.

A hyphen at the end of a line is taken away only between two lower-case letters, and stays where the
document itself shows that it belongs to the word (see `Words`): `well-` + `known` is `well-known`
where that stands within another line, or both halves do and `wellknown` does not.
"""

import re
from collections.abc import Iterable, Sequence
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
_KASHIDA: Final = re.compile("(?<=[\u0620-\u064a])\u0640+(?=[\u0620-\u064a])")
_COMPOUND: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST_WORD: Final = re.compile(r"([^\W\d_]+).$")
_FIRST_WORD: Final = re.compile(r"[^\W\d_]+")
_MIN_HALF: Final = (
    3  # letters; shorter words are found in every text, and so are their likes in words
)
_FULL: Final = 0.8  # a line of this share of the longest around it reaches the margin
_AROUND: Final = 4  # lines before and after that it is compared with
_MIN_PROSE: Final = 30  # characters; shorter last lines are headings, labels, signatures
# Headings, tables, lists, code, quotes and notes end where they end.
_BLOCK: Final = re.compile(r"#{1,6} |\||[-*+] |\d+[.)] |```|> |\[|\$\$|\s")
_OPEN_END: Final = re.compile(r"[^\W_][-\u2010]?$|[,;\u060c\u3001\uff0c]$")
_NUMBER: Final = re.compile(r"\d+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_EDGE_LINES: Final = 2  # lines at either end of a page that can be a running head or foot
_MIN_PAGES: Final = 3
_REPEATING: Final = 0.4  # share of the pages: left and right pages may have heads of their own
_MAX_HEAD_CHARS: Final = 120


class Words:
    """The words of a document, by which a hyphen at the end of a line is judged.

    Args:
        lines: Its lines. What a line begins or ends with next to a hyphen is no evidence.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._whole: set[str] = set()
        self._hyphened: set[str] = set()
        for line in lines:
            found = _COMPOUND.findall(line.lower())
            if line.rstrip().endswith(_HYPHENS):
                found = found[:-1]
            for word in found:
                (self._hyphened if "-" in word else self._whole).add(word)

    def keep_hyphen(self, first: str, second: str) -> bool:
        """Whether a word broken after its hyphen has one wherever it stands.

        It has where the document writes it so within a line, or knows both halves as words of some
        length and not the whole.
        """
        first, second = first.lower(), second.lower()
        if first + second in self._whole:
            return False
        if f"{first}-{second}" in self._hyphened:
            return True
        is_known = first in self._whole and second in self._whole
        return is_known and min(len(first), len(second)) >= _MIN_HALF


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
    filled = [i for i, line in enumerate(lines) if line]
    runs_on = [
        reach[i - 1] >= _FULL * max(reach[max(0, i - 1 - _AROUND) : i + _AROUND])
        for i in filled[1:]
    ]
    return flow([lines[i] for i in filled], runs_on)


def flow(lines: Sequence[str], runs_on: Sequence[bool], words: Words | None = None) -> str:
    """Joins lines, with hyphenated words made whole.

    Args:
        lines: None of them empty.
        runs_on: bool[lines - 1], whether each but the last goes on in the next.
        words: What is known of the words of the document.

    >>> flow(["a well-", "known exam-", "ple"], [True, True], Words(["well, known, well-known"]))
    'a well-known example'
    """
    pieces: list[str] = list(lines[:1])  # lines and what stands between them
    for line, goes_on in zip(lines[1:], runs_on, strict=True):
        pieces += _seam(pieces, line, goes_on, words)
        pieces.append(line)
    return "".join(pieces)


def _seam(pieces: list[str], line: str, runs_on: bool, words: Words | None) -> list[str]:
    """What stands between the last piece, which may lose its hyphen, and the next line."""
    last = pieces[-1]
    if last.endswith(_SOFT_HYPHEN):
        pieces[-1] = last[:-1]
        return []
    if last.endswith(_HYPHENS) and last[-2:-1].isalnum() and line[0].isalnum():
        first, second = _LAST_WORD.search(last), _FIRST_WORD.match(line)
        is_fragment = last[-2].islower() and line[0].islower()
        if is_fragment and words and first and second and words.keep_hyphen(first[1], second[0]):
            is_fragment = False
        if is_fragment:
            pieces[-1] = last[:-1]
            return []
        return [] if runs_on else ["\n"]
    if not runs_on:
        return ["\n"]
    return [] if _SOLID.match(last[-1]) and _SOLID.match(line[0]) else [" "]


def spell_out(text: str) -> str:
    """The text with letters for Latin ligatures, without soft hyphens and control characters.

    Arabic letters that are drawn out to fill a line (U+0640 between letters) stand close again, and
    quotation marks that are set as two single ones become one.

    >>> spell_out("\u2018\u2018e\ufb03cient\u2019\u2019")
    '“efficient”'
    """
    text = _KASHIDA.sub("", text.translate(_SPELLING))
    return text.replace("\u2018\u2018", "\u201c").replace("\u2019\u2019", "\u201d")


def join_pages(pages: Sequence[str], *, tables_stay: bool = False) -> str:
    """Joins the texts of consecutive pages, without running heads and feet.

    Args:
        pages: In their order.
        tables_stay: Whether rows of tables are never running heads: a model repeats the head of a
            table that goes on, as the page does, and without it the rows below are no table.

    A paragraph that a page breaks goes on, and so does its last word: it ends with neither a full
    stop nor the like, is longer than a heading, and what follows begins as no sentence does, with a
    small letter or a letter of a script that has none. Other pages are joined by an empty line.

    A line goes when it stands among the first or last two of its page and, numbers aside, at the
    same end of at least three pages and of 40 % of all. A line without letters goes only when its
    number counts up with the pages. So a title on one page alone, a year or a table row stays.
    """
    split = [page.split("\n") for page in pages]
    dropped = [
        _running_lines(split, first=first, tables_stay=tables_stay) for first in (True, False)
    ]
    kept = [
        "\n".join(line for i, line in enumerate(lines) if i not in heads and i not in feet)
        for lines, heads, feet in zip(split, *dropped, strict=True)
    ]
    return _joined([text for text in (page.strip("\n") for page in kept) if text])


def _joined(pages: list[str]) -> str:
    words = None
    pieces = pages[:1]
    for page in pages[1:]:
        before, _, last = pieces[-1].rpartition("\n")
        first, _, after = page.partition("\n")
        if not _goes_on(last, first):
            pieces += ["\n\n", page]
            continue
        if last.endswith(_HYPHENS) and words is None:
            words = Words(line for one in pages for line in one.split("\n"))
        seam = flow([last, first], [True], words)
        head = f"{before}\n" if before else ""
        pieces[-1] = head + seam + (f"\n{after}" if after else "")
    return "".join(pieces)


def _goes_on(last: str, first: str) -> bool:
    """Whether the first line of a page continues the last one of the page before."""
    if len(last) < _MIN_PROSE or _BLOCK.match(last) or _BLOCK.match(first):
        return False
    opens = first[:1]
    return bool(_OPEN_END.search(last)) and opens.isalpha() and not opens.isupper()


def _running_lines(
    pages: Sequence[Sequence[str]], *, first: bool, tables_stay: bool
) -> list[set[int]]:
    """For each page the positions of lines that repeat at one end of the pages."""
    found = [
        (page, i, pages[page][i])
        for page in range(len(pages))
        for i in _edge(pages[page], first)
        if not (tables_stay and pages[page][i].startswith("|"))
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
