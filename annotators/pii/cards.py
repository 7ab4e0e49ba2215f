"""Payment card numbers: 13 to 19 digits, an issuer's prefix, Luhn's check digit.

Numbers of this length are common (ids, tracking numbers, ISBN-13, times in milliseconds), and of
random digits one in ten passes the check, one in forty also the prefix. So a number counts when it
is printed in the groups of a card, or when it is undivided and a word for a card stands before it.
Of undivided numbers with one blank between them all must be cards, or they are columns of a table.

Sources: ISO/IEC 7812-1 (numbering, check digit in annex B); prefixes and lengths as the networks
publish them in their BIN rules: Visa 4; Mastercard 51-55 and 2221-2720; American Express 34, 37;
Discover 6011, 644-649, 65; Diners Club 300-305, 36, 38, 39; JCB 3528-3589; UnionPay 62; Maestro
5018, 5020, 5038, 6304, 6759, 6761-6763; Mir 2200-2204.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from annotators.pii.windows import Window


class _Network(NamedTuple):
    first: int
    """Lowest prefix."""
    last: int
    """Highest prefix, with as many digits."""
    lengths: frozenset[int]


def _network(first: int, last: int, *lengths: int) -> _Network:
    return _Network(first, last, frozenset(lengths))


_NETWORKS: Final = (
    _network(4, 4, 13, 16, 19),
    _network(51, 55, 16),
    _network(2221, 2720, 16),
    _network(34, 34, 15),
    _network(37, 37, 15),
    _network(6011, 6011, 16, 19),
    _network(644, 649, 16, 19),
    _network(65, 65, 16, 19),
    _network(300, 305, 14, 16),
    _network(36, 36, 14, 16),
    _network(38, 39, 14, 16),
    _network(3528, 3589, 16, 19),
    _network(62, 62, 16, 17, 18, 19),
    *(_network(one, one, *range(13, 20)) for one in (5018, 5020, 5038, 6304, 6759)),
    _network(6761, 6763, *range(13, 20)),
    _network(2200, 2204, 16, 17, 18, 19),
)
_MIN_DIGITS: Final = 13
_EDGE_BEFORE: Final = r"(?<![\w.,=/#&+-])(?<!\d[ -])"
_EDGE_AFTER: Final = r"(?![\w=/]|[ .,-]\d|-\w)"
_GROUPED: Final = re.compile(
    rf"{_EDGE_BEFORE}\d{{4}}([ -])(?:\d{{4}}\1\d{{4}}\1\d{{4}}(?:\1\d{{3}})?|\d{{6}}\1\d{{4,5}})"
    rf"{_EDGE_AFTER}"
)
_UNDIVIDED: Final = re.compile(rf"{_EDGE_BEFORE}\d{{13,19}}(?: \d{{13,19}})*{_EDGE_AFTER}")
_REACH: Final = 64  # characters before a number in which a word for a card counts
_CARD_WORD: Final = re.compile(
    r"\b(?:cards?|visa|master ?card|maestro|amex|american express|discover|diners|jcb|credit|debit|"
    r"kreditkarten?(?:nummer|nr)?|karte|carte|tarjeta|cart[ãa]o|carta|kart|карт[аыуе])\b"
    r"|カード|卡|카드|بطاقة|کارت|कार्ड|บัตร|thẻ",
    re.IGNORECASE,
)


def find_cards(window: Window) -> list[tuple[int, int]]:
    """Finds card numbers.

    Args:
        window: Digits and what stands around them.

    Returns:
        Characters [start, end) of `window.plain`, in order.
    """
    if window.end - window.start < _MIN_DIGITS:
        return []
    grouped = [match.span() for match in _matches(_GROUPED, window) if _is_card(match[0])]
    undivided = [
        match for match in _matches(_UNDIVIDED, window) if all(map(_is_card, match[0].split(" ")))
    ]
    low = max(0, window.start - _REACH)
    if not undivided or not _CARD_WORD.search(window.plain, low, window.start):
        return grouped
    return sorted(grouped + [span for match in undivided for span in _numbers_of(match)])


def _numbers_of(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The bounds of each of the numbers with a blank between two."""
    start = match.start()
    for number in match[0].split(" "):
        yield start, start + len(number)
        start += len(number) + 1


def _matches(pattern: re.Pattern[str], window: Window) -> list[re.Match[str]]:
    found = pattern.finditer(window.plain, window.start)
    return [match for match in found if match.end() <= window.end]


def _is_card(written: str) -> bool:
    digits = [int(character) for character in written if character.isdecimal()]
    number = "".join(map(str, digits))
    issued = any(
        len(number) in one.lengths and one.first <= int(number[: len(str(one.first))]) <= one.last
        for one in _NETWORKS
    )
    return issued and len(set(digits)) > 1 and _luhn(digits) == 0


def _luhn(digits: list[int]) -> int:
    """The check sum modulo 10, which is 0 for a valid number."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10
