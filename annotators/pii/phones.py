"""Telephone numbers, international and national, by Google's libphonenumber.

The numbering plan of a country tells a number from a date, a price or an id better than any
pattern of ours, and `phonenumbers` (the port of libphonenumber to Python) knows them all. It takes
50 to 100 us for one string and one country, so shapes decide first what it is asked:

| shape | asked | strictness |
|---|---|---|
| `+` or `00`, then a country code | once | valid |
| `(555) 123-4567` | no: the shape of North America is enough | |
| `212-555-0123`, `212.555.0123` | United States | valid, groups of the plan |
| begins with `0`, `(0..)`, `8 (` or `(..)`, in groups | countries that write it so | as above |
| other digits behind a word for telephone | countries of the script | valid, groups where divided |

No country is given with a text, so national shapes are tried with the countries of `_REGIONS`, the
likely ones first. Left out: numbers without area code and without a word for telephone, numbers of
fewer than 7 digits (emergency, short codes), letters for digits (1-800-FLOWERS).
"""

import functools
import re
from collections.abc import Iterator
from typing import Final

from phonenumbers import Leniency, PhoneMetadata, PhoneNumberMatcher

from annotators.pii.windows import Window

_UNKNOWN: Final = "ZZ"  # the region code of libphonenumber for none
_NORTH_AMERICA: Final = "US"
_WITH_IDD_00: Final = "DE"  # any country that dials 00 for abroad (ITU-T E.164, E.123)

# ISO 3166. With a trunk 0 before the area code, then without (parentheses, or 8 and a blank).
_TRUNK_ZERO: Final = (
    "GB FR DE JP AU IN NL BE CH AT SE FI CN KR TW IR EG TR UA ID TH VN NZ ZA IL SA AE BD PK PH MY "
    "RO RS HR BG KE NG MA DZ"
).split()
_PARENTHESES: Final = "US BR RU MX AR AU GB DE IN ES UA TR CN".split()
_AFTER_WORD: Final = (
    "US GB FR DE ES IT IN BR CN RU JP AU NL PL BE CH AT SE NO DK FI PT CZ HU RO GR MX AR CL CO TR "
    "UA KR TW HK SG ID TH VN PH MY NZ ZA IL SA AE EG IR PK BD KE NG IE"
).split()

_SEP: Final = r"[ ./-]{0,2}"
_EDGE_BEFORE: Final = r"(?<![\w+=#&%$@/.,:-])(?<!\d )"
_EDGE_AFTER: Final = r"(?![\w%=]|[.,:/-]\d| \d)"
_ABROAD: Final = re.compile(
    rf"(?<![\w+=#&/.,-])(?:\+|00(?=[1-9])){_SEP}\(?\d(?:{_SEP}[()]?{_SEP}\d){{6,14}}"
)
_DECIMAL: Final = re.compile(r"\+\d{1,3}\.\d+$")  # a coordinate or a number with a sign
_SHAPE_NANP: Final = re.compile(
    rf"{_EDGE_BEFORE}(?:1[ .-]?)?\([2-9]\d\d\)[ -]?[2-9]?\d\d?\d[ .-]\d{{4}}{_EDGE_AFTER}"
)
_PLAIN_NANP: Final = re.compile(
    rf"{_EDGE_BEFORE}(?:1[.-])?[2-9]\d\d([.-])[2-9]\d\d\1\d{{4}}{_EDGE_AFTER}"
)
_ZERO: Final = re.compile(
    rf"{_EDGE_BEFORE}(?:\(0\d{{1,5}}\)|0\d{{1,4}}(?=[ /.-])){_SEP}\d(?:[ ./-]?\d){{4,9}}"
    rf"{_EDGE_AFTER}"
)
_AREA: Final = re.compile(
    rf"{_EDGE_BEFORE}(?:8[ -]?)?\([1-9]\d{{1,4}}\) ?\d(?:[ -]?\d){{5,8}}{_EDGE_AFTER}"
)
_ANY: Final = re.compile(rf"(?<![\w.,/-])\(?\d(?:{_SEP}[()]?{_SEP}\d){{6,14}}{_EDGE_AFTER}")
_PHONE_WORD: Final = re.compile(
    r"(?:\b(?:tel|tele?phones?|phones?|ph|telefon[eoi]?|teléfonos?|téléphone|tél|fax|facsimile|"
    r"telefax|mobile?|mob|cell|cellulare|celular|móvil|movil|handy|portable|whatsapp|sms|call|"
    r"hotline|helpline|fono|puh|tlf|gsm|тел|телефон[ыу]?|факс|моб|τηλ|τηλέφωνο|φαξ|κιν)\b"
    r"|هاتف|تليفون|تلفن|موبايل|فاكس|جوال|טל|טלפון|פקס|फ़ोन|फोन|मोबाइल|টেলিফোন|ফোন|মোবাইল|"
    r"โทร|điện thoại|电话|電話|手机|手機|传真|傳真|携帯|전화|팩스|휴대폰)"
    r"[^\d\n]{0,16}\n{0,2}[^\w\n]{0,4}$",
    re.IGNORECASE,
)
_OTHER_WORD: Final = re.compile(
    r"\b(?:isbn|issn|doi|ean|upc|sku|isin|iban|vat|invoice|order|item|article|patent|serial|case|"
    r"part|model|ref|reference|id|pmid|lot|no|nr|№|coordinates?|lat|latitude|longitude)"
    r"\b[^\w\n]{0,4}$",
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"(?:[0-3]?\d([./-])[01]?\d\1(?:19|20)\d\d|(?:19|20)\d\d([./-])[01]?\d\2[0-3]?\d)(?!\d)"
)


def find_phones(window: Window) -> list[tuple[int, int]]:
    """Finds telephone numbers.

    Args:
        window: Digits and what stands around them.

    Returns:
        Characters [start, end) of `window.plain`, in order, not overlapping.
    """
    found: list[tuple[int, int]] = []
    for span in _candidates(window):
        if all(span[0] >= end or span[1] <= start for start, end in found):
            found.append(span)
    return sorted(found)


def _candidates(window: Window) -> Iterator[tuple[int, int]]:
    plain = window.plain
    low = _with_opening(window)
    before = plain[:low]
    if _OTHER_WORD.search(before):
        return
    for match in _inside(_ABROAD, window, low):
        if not _DECIMAL.match(match[0]):
            region = _UNKNOWN if match[0][0] == "+" else _WITH_IDD_00
            yield from _confirmed(match, [region], Leniency.VALID)
    yield from (match.span() for match in _inside(_SHAPE_NANP, window, low))
    for match in _inside(_PLAIN_NANP, window, low):
        yield from _confirmed(match, [_NORTH_AMERICA], Leniency.VALID)
    for pattern, regions in ((_ZERO, _TRUNK_ZERO), (_AREA, _PARENTHESES)):
        for match in _inside(pattern, window, low):
            yield from _confirmed(match, regions, Leniency.EXACT_GROUPING)
    if _PHONE_WORD.search(before):
        for match in _inside(_ANY, window, low):
            grouped = not match[0].isdecimal()
            leniency = Leniency.EXACT_GROUPING if grouped else Leniency.VALID
            yield from _confirmed(match, _AFTER_WORD, leniency)


def _with_opening(window: Window) -> int:
    """Start of the window, with the `+` and parentheses before it that are no digits."""
    low = window.start
    while low > 0 and window.start - low < 3 and window.plain[low - 1] in "+(":
        low -= 1
    return low


def _inside(pattern: re.Pattern[str], window: Window, low: int) -> Iterator[re.Match[str]]:
    for match in pattern.finditer(window.plain, low):
        if match.end() <= window.end and not _DATE.match(match[0]):
            yield match


@functools.cache
def _plan(region: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """Pattern of a region's numbers, and of what may be dialled before them.

    None where the plan rewrites numbers before it reads them, or there is no region.
    """
    plan = PhoneMetadata.metadata_for_region(region)
    numbers = plan.general_desc.national_number_pattern if plan and plan.general_desc else None
    if plan is None or numbers is None or plan.national_prefix_transform_rule:
        return None
    prefix = plan.national_prefix_for_parsing or plan.national_prefix or "(?!)"
    dialled = rf"{plan.country_code}(?:{prefix})?|(?:{prefix})"
    return re.compile(numbers), re.compile(dialled)


def _may_belong(digits: str, region: str) -> bool:
    """Whether a number has the first digits and the length of a region: 1 us instead of 80."""
    plan = _plan(region)
    if plan is None or digits.startswith("00"):  # dialled abroad: of any country
        return True
    numbers, prefix = plan
    dialled = prefix.match(digits)
    return bool(numbers.fullmatch(digits) or (dialled and numbers.fullmatch(digits, dialled.end())))


def _confirmed(
    match: re.Match[str], regions: list[str], leniency: int
) -> Iterator[tuple[int, int]]:
    """The match, where it as a whole is a number of one of the regions."""
    written = match[0]
    digits = "".join(character for character in written if character.isdecimal())
    for region in regions:
        if not _may_belong(digits, region):
            continue
        for found in PhoneNumberMatcher(written, region, leniency=leniency, max_tries=1):
            # A rest of one or two characters is punctuation; digits must all be of the number.
            rest = written[: found.start] + written[found.end :]
            if not any(character.isdecimal() for character in rest):
                yield match.start() + found.start, match.start() + found.end
                return
