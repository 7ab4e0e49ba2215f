"""The first look: where in the bytes of a batch a rule has anything to read.

Two passes go over the Arrow buffer and give windows; the rules (plain Python, regular
expressions and libraries) read nothing else. Text gives few windows: measured 0.8 a web page
of 3.2 KB, 0.6 in 4 KB of novels, software and mathematics.

| window | what it is |
|---|---|
| MAIL | bytes that an address may have, around one `@` |
| NUMBER | up to 1,024 bytes of digits, three separators or less between two: 7 digits or 3 dots |
| COLONS | hexadecimal digits and colons: `::`, or 7 colons |
| TOKEN | ASCII letters, digits, `_` and `-` without a gap: 16 bytes with a digit or 4 capitals |
| CODE | capitals, then digits, in a form of `_code_around`: IBANs, national ids with letters |

Digits are those of ASCII, the Arabic-Indic and Persian sets, Devanagari, Bengali and fullwidth
forms; numbers in other digits are not found.

The first pass stops at `@`, `:`, `-` and digits; the second looks at every 16th byte only, for a
token of 16 bytes covers one of them.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.utf8 import Utf8Texts

MAIL: Final = 0
NUMBER: Final = 1
COLONS: Final = 2
TOKEN: Final = 3
CODE: Final = 4

MIN_DIGITS: Final = 7
"""The shortest telephone number that is looked for; a card has 13 digits."""
_IPV4_DOTS: Final = 3
_IPV6_COLONS: Final = 7
_MAX_GAP: Final = 3  # ") - "
_MAX_ROW: Final = 1024  # bytes of one line of numbers; longer ones are tables
MIN_TOKEN: Final = 16
"""The shortest value that is taken for a secret; the shortest pattern of a vendor has 20."""
_MIN_CAPITALS: Final = 4  # AKIA and a rest without a digit
_PEM_BEGIN: Final = 10  # bytes of -----BEGIN, which is a TOKEN too (RFC 7468)
_MAX_LOCAL: Final = 64  # RFC 5321, 4.5.3.1.1
_MAX_DOMAIN: Final = 255  # RFC 5321, 4.5.3.1.2

_MAX_IBAN: Final = 34  # ISO 13616-1
_MIN_TWO_LETTERS: Final = 9  # QQ 12 34 56 C, shorter than any IBAN

_WORD, _LOCAL, _DOMAIN, _HEX, _SEPARATOR, _SIGN = 1, 2, 4, 8, 16, 32


def _byte_classes() -> NDArray[np.uint8]:
    """What each ASCII byte may be part of: uint8[256] of flags."""
    classes = np.zeros(256, np.uint8)
    for byte in range(0x80):
        character = chr(byte)
        if character.isalnum():
            classes[byte] |= _WORD | _LOCAL | _DOMAIN
        if character in "0123456789abcdefABCDEF:":
            classes[byte] |= _HEX
    for flag, members in (
        (_WORD, "_-"),
        (_LOCAL, "._%+-'"),
        (_DOMAIN, ".-"),
        (_SEPARATOR, " -./()"),
    ):
        for character in members:
            classes[ord(character)] |= flag
    for byte in b"@:-0123456789\xd9\xdb\xe0\xef":  # or the lead of a digit
        classes[byte] |= _SIGN
    classes.flags.writeable = False
    return classes


_CLASSES: Final = _byte_classes()


class Windows(NamedTuple):
    """Windows of all texts, in the order of texts; int64[num_windows] each."""

    rows: NDArray[np.int64]
    """Which text."""
    kinds: NDArray[np.int64]
    """MAIL, NUMBER, COLONS, TOKEN or CODE."""
    starts: NDArray[np.int64]
    """First byte, counted in the whole buffer."""
    ends: NDArray[np.int64]
    """The byte after the last."""


def find_windows(texts: Utf8Texts) -> Windows:
    """Finds every window of a batch.

    Args:
        texts: UTF-8 texts, as `utf8_texts` gives them.
    """
    num_bytes = int(texts.offsets[-1] - texts.offsets[0])
    capacity = 1024 + num_bytes // 64
    while True:
        found = np.empty((4, capacity), np.int64)
        count = _scan(texts.data, texts.offsets, _CLASSES, found)
        if count <= capacity:
            return Windows(*found[:, :count])
        capacity = count


@kernel
def _scan(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    found: NDArray[np.int64],
) -> int:
    """Writes windows until `found` is full, and counts them all."""
    count = 0
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        count = _signs(data, row, start, end, classes, found, count)
        count = _tokens(data, row, start, end, classes, found, count)
    return count


@inlined_kernel
def _keep(
    found: NDArray[np.int64],
    count: int,
    row: int,
    kind: int,
    start: int | np.int64,
    end: int | np.int64,
) -> int:
    if count < found.shape[1]:
        found[0, count] = row
        found[1, count] = kind
        found[2, count] = start
        found[3, count] = end
    return count + 1


@kernel
def _signs(
    data: NDArray[np.uint8],
    row: int,
    start: int,
    end: int,
    classes: NDArray[np.uint8],
    found: NDArray[np.int64],
    count: int,
) -> int:
    """Finds MAIL, NUMBER, COLONS and CODE; one of a kind begins where the last of it ended.

    But a CODE may begin within another: groups do not show where one number ends and the next does.
    """
    after_number = after_colons = after_code = start
    for at in range(start, end):
        byte = data[at]
        if not classes[byte] & _SIGN:
            continue
        if byte == 0x40:
            low, high = _mail_around(data, at, start, end, classes)
            if low < at and high > at + 1:
                count = _keep(found, count, row, MAIL, low, high)
        elif byte == 0x3A:
            if at >= after_colons:
                low, high, is_address = _colons_around(data, at, start, end, classes)
                if is_address:
                    count = _keep(found, count, row, COLONS, low, high)
                after_colons = high
        elif byte == 0x2D:
            if _begins_pem(data, at, end):
                count = _keep(found, count, row, TOKEN, at, at + _PEM_BEGIN)
        else:
            if (at >= after_code and at > start and _follows_capital(data, at, start)) or (
                at < after_code and _follows_country(data, at, start)
            ):
                low, high = _code_around(data, at, start, end)
                if high:
                    count = _keep(found, count, row, CODE, low, high)
                    after_code = high
            if at < after_number or not _digit_width(data, at, end):
                continue
            after_number, is_number = _number_from(data, at, end, classes)
            if is_number:
                count = _keep(found, count, row, NUMBER, at, after_number)
    return count


@inlined_kernel
def _is_pair_lead(byte: int | np.uint8) -> bool:
    """Leads of U+00C0 to U+053F: letters of Latin, Greek and Cyrillic addresses (RFC 6531)."""
    return bool(0xC3 <= byte <= 0xD4)


@kernel
def _mail_around(
    data: NDArray[np.uint8], at: int, start: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int]:
    """Reaches out from an `@` over the bytes of a local part and of a domain."""
    low = at
    while low > start and at - low <= _MAX_LOCAL:
        if classes[data[low - 1]] & _LOCAL:
            low -= 1
        elif low - 1 > start and data[low - 1] & 0xC0 == 0x80 and _is_pair_lead(data[low - 2]):
            low -= 2
        else:
            break
    high = at + 1
    while high < end and high - at <= _MAX_DOMAIN:
        if classes[data[high]] & _DOMAIN:
            high += 1
        elif _is_pair_lead(data[high]) and high + 1 < end:
            high += 2
        else:
            break
    return low, high


@kernel
def _colons_around(
    data: NDArray[np.uint8], at: int, start: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int, bool]:
    """Reaches out from a `:`; says whether the run can be a global IPv6 address."""
    low = at
    while low > start and classes[data[low - 1]] & _HEX:
        low -= 1
    high, colons, is_short = at, 0, False
    while high < end and classes[data[high]] & _HEX:
        if data[high] == 0x3A:
            colons += 1
            is_short = is_short or (high > at and data[high - 1] == 0x3A)
        high += 1
    # Global addresses begin with the bits 001 (RFC 4291, 2.4), and here with all four digits.
    is_global = (data[low] == 0x32 or data[low] == 0x33) and at - low == 4
    return low, high, bool(is_global and (is_short or colons == _IPV6_COLONS))


@inlined_kernel
def _digit_width(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the decimal digit that begins here; 0 where none does."""
    byte = data[at]
    if byte < 0x80:
        return 1 if 0x30 <= byte <= 0x39 else 0
    if at + 1 < end:
        second = data[at + 1]
        if byte == 0xD9 and 0xA0 <= second <= 0xA9:  # U+0660 Arabic-Indic
            return 2
        if byte == 0xDB and 0xB0 <= second <= 0xB9:  # U+06F0 Persian, Urdu
            return 2
        if at + 2 < end:
            third = data[at + 2]
            if byte == 0xE0 and (second == 0xA5 or second == 0xA7) and 0xA6 <= third <= 0xAF:
                return 3  # U+0966 Devanagari, U+09E6 Bengali
            if byte == 0xEF and second == 0xBC and 0x90 <= third <= 0x99:  # U+FF10 fullwidth
                return 3
    return 0


@inlined_kernel
def _separator_width(data: NDArray[np.uint8], at: int, end: int, classes: NDArray[np.uint8]) -> int:
    """Bytes of the separator that begins here; 0 where none does."""
    byte = data[at]
    if byte < 0x80:
        return 1 if classes[byte] & _SEPARATOR else 0
    if byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:  # no-break space
        return 2
    if at + 2 < end:
        second, third = data[at + 1], data[at + 2]
        if byte == 0xE2 and second == 0x80 and (0x89 <= third <= 0x93 or third == 0xAF):
            return 3  # U+2009 thin space to U+2013 en dash, U+202F narrow no-break space
        if byte == 0xEF and second == 0xBC and (third == 0x88 or third == 0x89 or third == 0x8D):
            return 3  # fullwidth parentheses and hyphen
    return 0


@inlined_kernel
def _begins_pem(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """Whether `-----BEGIN` stands here."""
    if at + _PEM_BEGIN > end or data[at + 4] != 0x2D or data[at + 5] != 0x42:
        return False
    is_begin = data[at + 6] == 0x45 and data[at + 7] == 0x47 and data[at + 8] == 0x49
    dashes = data[at + 1] == 0x2D and data[at + 2] == 0x2D and data[at + 3] == 0x2D
    return bool(is_begin and dashes and data[at + 9] == 0x4E)


@inlined_kernel
def _is_capital(byte: int | np.uint8) -> bool:
    return bool(0x41 <= byte <= 0x5A)


@inlined_kernel
def _follows_capital(data: NDArray[np.uint8], at: int, start: int) -> bool:
    """Whether a capital stands before, or before one blank or hyphen."""
    byte = data[at - 1]
    if byte == 0x20 or byte == 0x2D:
        return bool(at - 2 >= start and _is_capital(data[at - 2]))
    return _is_capital(byte)


@inlined_kernel
def _follows_country(data: NDArray[np.uint8], at: int, start: int) -> bool:
    """Whether two capitals stand before, and behind a blank or hyphen as a word begins."""
    if at - 3 < start or not _is_capital(data[at - 1]) or not _is_capital(data[at - 2]):
        return False
    return not _is_word(data[at - 3])


@kernel
def _code_around(data: NDArray[np.uint8], at: int, start: int, end: int) -> tuple[int, int]:
    """Reaches out from the first digit behind capitals; gives (0, 0) for what is no code.

    | capitals | then | of |
    |---|---|---|
    | 1, which is X, Y or Z | 7 digits | Spanish NIE |
    | 2 | letters and digits, 7 at least with 6 digits, in groups | IBAN, British NINO |
    | 3 or 6 | 2 digits and a capital | Italian codice fiscale, in groups or not |
    | 4 | 6 digits or more | Mexican RFC and CURP |
    | 5 | 4 digits and a capital | Indian PAN |
    """
    gap = int(not _is_capital(data[at - 1]))
    low = at - gap
    while low > start and at - gap - low < 7 and _is_capital(data[low - 1]):
        low -= 1
    letters = at - gap - low
    if letters > 6 or (low > start and _is_word(data[low - 1])):
        return 0, 0
    if letters == 2:
        high, characters, digits = _groups_from(data, at, end)
        is_code = characters + 2 >= _MIN_TWO_LETTERS and digits >= 6
        return (low, high) if is_code else (0, 0)
    digits = 0
    while at + digits < end and digits < 8 and 0x30 <= data[at + digits] <= 0x39:
        digits += 1
    high = at + digits
    is_followed = high < end and _is_capital(data[high])
    is_code = letters == 1 and data[low] >= 0x58 and digits == 7
    is_code = is_code or (letters == 5 and gap == 0 and digits == 4 and is_followed)
    is_code = is_code or (letters == 4 and digits >= 6)
    if digits == 2 and is_followed and (letters == 6 or (letters == 3 and gap == 1)):
        # The letters of the last name stand before those of the first, with a blank.
        low -= 4 * int(letters == 3)
        is_code = low >= start
        for place in range(low, low + 3):
            is_code = is_code and _is_capital(data[place])
    return (low, high) if is_code else (0, 0)


@inlined_kernel
def _is_word(byte: int | np.uint8) -> bool:
    """A letter or digit of ASCII, or an underscore."""
    is_small = 0x61 <= byte <= 0x7A
    return bool(is_small or 0x30 <= byte <= 0x39 or _is_capital(byte) or byte == 0x5F)


@kernel
def _groups_from(data: NDArray[np.uint8], first: int, end: int) -> tuple[int, int, int]:
    """Goes over capitals and digits with single separators: (end, characters, digits)."""
    at = last = first
    characters = digits = gap = 0
    while at < end and characters < _MAX_IBAN and gap < 2:
        width = _digit_width(data, at, end)
        if width or _is_capital(data[at]):
            digits += int(width > 0)
            characters, gap = characters + 1, 0
            at += max(width, 1)
            last = at
            continue
        gap += 1
        if data[at] == 0x20 or data[at] == 0x2D:
            at += 1
        elif data[at] == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
            at += 2
        elif data[at] == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and data[at + 2] == 0xAF:
            at += 3
        else:
            break
    return last, characters, digits


@kernel
def _number_from(
    data: NDArray[np.uint8], first: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, bool]:
    """Goes from a digit to the last that belongs to it; says whether a rule should read them."""
    at = last = first
    digits = dots = gap = 0
    while at < end and gap <= _MAX_GAP:
        width = _digit_width(data, at, end)
        if width:
            dots += int(gap == 1 and data[at - 1] == 0x2E)
            digits, gap = digits + 1, 0
            at += width
            last = at
            continue
        width = _separator_width(data, at, end, classes)
        if width == 0:
            break
        at, gap = at + width, gap + 1
    is_table = last - first > _MAX_ROW
    return last, bool((digits >= MIN_DIGITS or dots >= _IPV4_DOTS) and not is_table)


@kernel
def _tokens(
    data: NDArray[np.uint8],
    row: int,
    start: int,
    end: int,
    classes: NDArray[np.uint8],
    found: NDArray[np.int64],
    count: int,
) -> int:
    """Finds TOKEN: reaches out from every 16th byte."""
    at = start + MIN_TOKEN - 1
    while at < end:
        if not classes[data[at]] & _WORD:
            at += MIN_TOKEN
            continue
        low, high = at, at
        while low > start and classes[data[low - 1]] & _WORD:
            low -= 1
        while high < end and classes[data[high]] & _WORD:
            high += 1
        if high - low >= MIN_TOKEN and _is_dense(data, low, high):
            count = _keep(found, count, row, TOKEN, low, high)
        at = high + MIN_TOKEN
    return count


@inlined_kernel
def _is_dense(data: NDArray[np.uint8], low: int, high: int) -> bool:
    """Whether a run has a digit or many capitals, which words and slugs have not."""
    digits = capitals = 0
    for at in range(low, high):
        digits += int(0x30 <= data[at] <= 0x39)
        capitals += int(0x41 <= data[at] <= 0x5A)
    return bool(digits > 0 or capitals >= _MIN_CAPITALS)
