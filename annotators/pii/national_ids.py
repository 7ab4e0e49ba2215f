"""National numbers of persons: finds the shapes of `national_rules` in a window.

A window of digits may hold several numbers with blanks between them, and a number may be a part of
a longer row (a telephone number behind it, a date before it). So the row is cut at its blanks and
slashes, and every stretch of up to seven pieces is looked up by its shape, longest first: a table
of digits costs time in proportion to its length.

A word counts within the 96 bytes before a number, or behind it in parentheses; a word for another
thing (`order`, `part`, `tracking`) directly before the number outweighs it.
"""

import re
from collections.abc import Iterator
from typing import Final

from annotators.pii.national_rules import LETTERED, NUMERIC, Rule
from annotators.pii.windows import BEFORE, Window

_ROW: Final = re.compile(
    r"(?<![A-Za-z0-9_])\d+(?:[ .-]\d+|/\d+)*(?:[ -]?[A-Za-z](?![A-Za-z0-9_]))?"
)
_PIECE: Final = re.compile(r"[^ /]+")
_DIGITS: Final = re.compile(r"\d+")
_DIVIDERS: Final = str.maketrans("", "", " .-/")
_MIN_DIGITS: Final = 8  # of a DNI, before its letter
_MAX_PIECES: Final = 7  # 1 85 05 78 006 084 36
_NOT_BEFORE: Final = re.compile(r"(?:[.,+$€£¥&#*]|\d[./-]|[./-])$")
_NOT_BEHIND: Final = re.compile(r"[A-Za-z0-9_%]|[.,/-][A-Za-z0-9]|-")
_REACH: Final = 32  # characters: two words and what may stand behind them
_OTHER_WORD: Final = re.compile(
    r"\b(?:order|part|item|model|ref|reference|invoice|article|serial|tracking|case|sku|p/n|"
    r"isbn|patent|product|catalog(?:ue)?|lot|ticket)s?\b[^\w\n]{0,3}"
    r"(?:no|nos|number|nr|num|id|code)?\b[^\w\n]{0,4}$",
    re.IGNORECASE,
)


def _by_shape() -> dict[str, tuple[tuple[Rule, bool], ...]]:
    """Rules of each shape, and whether they need a word."""
    shapes: dict[str, list[tuple[Rule, bool]]] = {}
    for rule in NUMERIC:
        for shape in rule.strong:
            shapes.setdefault(shape, []).append((rule, False))
        for shape in rule.weak:
            shapes.setdefault(shape, []).append((rule, True))
    return {shape: tuple(rules) for shape, rules in shapes.items()}


_SHAPES: Final = _by_shape()
_CODES: Final = tuple(
    (re.compile(pattern + r"(?![A-Za-z0-9_])", re.ASCII), needs_word, check, words)
    for pattern, needs_word, check, words in LETTERED
)
_SMALL_CODES: Final = tuple(code for code in _CODES if not code[1])


def find_national_ids(window: Window) -> list[tuple[int, int]]:
    """Finds the numbers of digits, and of digits with a letter behind, in a window of digits.

    Args:
        window: Digits and what stands around them.

    Returns:
        Characters [start, end) of `window.plain`, in order, not overlapping.
    """
    found: list[tuple[int, int]] = []
    if window.end - window.start < _MIN_DIGITS:
        return found
    for row in _ROW.finditer(window.plain, window.start):
        if row.start() >= window.end:
            break
        found += _of_row(window.plain, row)
    return found


def _of_row(plain: str, row: re.Match[str]) -> Iterator[tuple[int, int]]:
    shape = _DIGITS.sub(_size, row[0])
    if shape[-1].isalpha():
        shape = shape[:-1] + "L"
    rules = _SHAPES.get(shape)
    if rules and _counts(plain, *row.span(), rules):
        yield row.span()
        return
    # Pieces of the shape are those of the row: both are cut at the same signs.
    sizes = [piece.span() for piece in _PIECE.finditer(shape)]
    pieces = [piece.span() for piece in _PIECE.finditer(plain, *row.span())]
    first = 0
    while first < len(pieces):
        for last in range(min(len(pieces), first + _MAX_PIECES) - 1, first - 1, -1):
            rules = _SHAPES.get(shape[sizes[first][0] : sizes[last][1]])
            if rules and _counts(plain, pieces[first][0], pieces[last][1], rules):
                yield pieces[first][0], pieces[last][1]
                first = last
                break
        first += 1


def _size(digits: re.Match[str]) -> str:
    return str(digits.end() - digits.start())


def _counts(plain: str, start: int, end: int, rules: tuple[tuple[Rule, bool], ...]) -> bool:
    """Whether a number is one of the rules of its shape."""
    if _NOT_BEHIND.match(plain, end) and plain[end : end + 1] != "/":  # INN/KPP
        return False
    before = plain[max(0, start - BEFORE) : start]
    number = plain[start:end].translate(_DIVIDERS).upper()
    is_plain = not _NOT_BEFORE.search(plain, max(0, start - 2), start)
    return any(
        ((is_plain and not needs_word) or _has_word(rule.words, before, plain, end))
        and rule.check(number)
        for rule, needs_word in rules
    ) and not _is_other(before)


def _is_other(before: str) -> bool:
    return bool(_OTHER_WORD.search(before, max(0, len(before) - _REACH)))


def _has_word(words: re.Pattern[str], before: str, plain: str, end: int) -> bool:
    if words.search(before):
        return True
    return plain[end : end + 2] == " (" and bool(words.match(plain, end + 2))


def find_national_code(window: Window, *, small: bool = False) -> tuple[int, int] | None:
    """Finds the number with letters that begins a window.

    Args:
        window: Letters, digits and what stands around them.
        small: Whether it is written in small letters, which only those of 16 letters and digits
            without a gap may be.

    Returns:
        Characters [start, end) of `window.plain`, or None.
    """
    plain = window.plain[: window.start] + (
        window.plain[window.start :].upper() if small else window.plain[window.start :]
    )
    before = plain[max(0, window.start - BEFORE) : window.start]
    for pattern, needs_word, check, words in _SMALL_CODES if small else _CODES:
        found = pattern.match(plain, window.start)
        if not found or not check(found[0].translate(_DIVIDERS)):
            continue
        if _is_other(before):
            return None
        if not needs_word or _has_word(words, before, plain, found.end()):
            return found.span()
    return None
