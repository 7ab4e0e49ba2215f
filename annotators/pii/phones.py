"""Telephone numbers, international and national, by Google's libphonenumber.

The numbering plan of a country tells a number from a date, a price or an id better than any
pattern of ours, and `phonenumbers` (the port of libphonenumber to Python) knows them all. It takes
50 to 100 us for one string and one country, so shapes decide first what it is asked:

| shape | asked | strictness |
|---|---|---|
| `+` or `00`, then a country code | once | valid |
| `(555) 123-4567` | no: the shape of North America is enough | |
| `212-555-0123`, `212.555.0123` | no: its kind in the plan is enough | valid |
| begins with `0`, `(0..)`, `8 (` or `(..)`, in groups | countries that write it so | as above |
| other digits behind a word for telephone | countries of the script | valid, groups where divided |

No country is given with a text, so national shapes are tried with the countries of `_REGIONS`, the
likely ones first. Left out: numbers without area code and without a word for telephone, numbers of
fewer than 7 digits (emergency, short codes), letters for digits (1-800-FLOWERS).
"""

import bisect
import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    Leniency,
    PhoneMetadata,
    PhoneNumberMatcher,
    re_util,
)

from annotators.pii.windows import Window

# Plans have some 4,000 patterns and the cache of `re` holds 512: compiling took half the time.
re_util.enable_pattern_cache()

_Candidate = tuple[re.Match[str], Sequence[str], int]
"""A match, the countries to ask for it (none: its shape is enough), and how strictly."""

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

# What libphonenumber calls the types of numbers.
_KINDS: Final = (
    "fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail"
).split()

_SEP: Final = r"[ ./-]{0,2}"
_EDGE_BEFORE: Final = r"(?<![\w+=#&%$@/.,:-])(?<!\d )"
_EDGE_AFTER: Final = r"(?![\w%=]|[.,:/-]\d| \d)"
_ABROAD: Final = re.compile(
    rf"(?<![\w+=#&/.,-])(?:\+|00(?=[1-9])){_SEP}\(?\d(?:{_SEP}[()]?{_SEP}\d){{6,14}}"
)
_SIMPLE_ABROAD: Final = re.compile(r"\+\d+(?:[ .-]\d+)*")
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
_PHONE_WORDS: Final = frozenset(
    (
        "tel telphone telephone telephones phone phones ph telefon telefone telefoni telefono "
        "telefonos teléfono teléfonos telphones téléphone tél fax facsimile telefax mobile mobil "
        "mob cell cellulare celular móvil movil handy portable whatsapp sms call hotline helpline "
        "fono puh tlf telp gsm тел телефон телефоны телефону факс моб τηλ τηλέφωνο φαξ κιν"
    ).split()
)
_PHONE_WORD: Final = re.compile(
    rf"(?:\b(?:{'|'.join(sorted(_PHONE_WORDS, key=len, reverse=True))})\b"
    r"|هاتف|تليفون|تلفن|موبايل|فاكس|جوال|טל|טלפון|פקס|फ़ोन|फोन|मोबाइल|টেলিফোন|ফোন|মোবাইল|"
    r"โทร|điện thoại|电话|電話|手机|手機|传真|傳真|携帯|전화|팩스|휴대폰)"
    r"[^\d\n]{0,16}\n{0,2}[^\w\n]{0,4}$",
    re.IGNORECASE,
)
_REACH: Final = 48  # characters: the longest word, and what may stand behind it
_OTHER_WORDS: Final = frozenset(
    (
        "isbn issn doi ean upc sku isin iban vat invoice order item article patent serial case "
        "part model ref reference id pmid lot no nr coordinate coordinates lat latitude longitude"
    ).split()
)
_OTHER_WORD: Final = re.compile(
    rf"(?:\b(?:{'|'.join(sorted(_OTHER_WORDS))})\b|№)[^\w\n]{{0,4}}$", re.IGNORECASE
)
_WORD: Final = re.compile(r"\w+")
_DATE: Final = re.compile(
    r"(?:[0-3]?\d([./-])[0-3]?\d\1(?:19|20)\d\d|(?:19|20)\d\d([./-])[01]?\d\2[0-3]?\d)(?!\d)"
)


def find_phones(window: Window) -> list[tuple[int, int]]:
    """Finds telephone numbers.

    Args:
        window: Digits and what stands around them.

    Returns:
        Characters [start, end) of `window.plain`, in order, not overlapping.
    """
    found: list[tuple[int, int]] = []
    for match, regions, leniency in _candidates(window):
        start, end = match.span()
        # Shapes overlap, and a library takes long to say what is known already.
        if any(start < last and first < end for first, last in _near(found, start)):
            continue
        span = _confirmed(match, regions, leniency) if regions else match.span()
        if span:
            bisect.insort(found, span)
    return found


def _near(found: list[tuple[int, int]], start: int) -> list[tuple[int, int]]:
    """The spans on both sides of a place, of spans in order."""
    place = bisect.bisect(found, (start, start))
    return found[max(0, place - 1) : place + 1]


def _candidates(window: Window) -> Iterator[_Candidate]:
    plain = window.plain
    low = _with_opening(window)
    before = plain[max(0, low - _REACH) : low]
    words = frozenset(_WORD.findall(before.lower()))
    if _has(_OTHER_WORD, _OTHER_WORDS, before, words):
        return
    is_bracketed = "(" in plain[low : window.end]
    for match in _inside(_ABROAD, window, low):
        if not _DECIMAL.match(match[0]):
            region = _UNKNOWN if match[0][0] == "+" else _WITH_IDD_00
            yield match, (region,), Leniency.VALID
    if is_bracketed:
        for match in _inside(_SHAPE_NANP, window, low):
            yield match, (), Leniency.VALID
    for match in _inside(_PLAIN_NANP, window, low):
        if _may_belong(match[0].replace(match[1], ""), _NORTH_AMERICA):
            yield match, (), Leniency.VALID
    for match in _inside(_ZERO, window, low):
        yield match, _TRUNK_ZERO, Leniency.EXACT_GROUPING
    if is_bracketed:
        for match in _inside(_AREA, window, low):
            yield match, _PARENTHESES, Leniency.EXACT_GROUPING
    if _has(_PHONE_WORD, _PHONE_WORDS, before, words):
        for match in _inside(_ANY, window, low):
            grouped = not match[0].isdecimal()
            leniency = Leniency.EXACT_GROUPING if grouped else Leniency.VALID
            yield match, _AFTER_WORD, leniency


def _has(
    pattern: re.Pattern[str], known: frozenset[str], before: str, words: frozenset[str]
) -> bool:
    """Whether one of the known words ends a text; a pattern is searched in 5 us, words in 1."""
    return not (before.isascii() and known.isdisjoint(words)) and bool(pattern.search(before))


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
    """Pattern of the numbers under a region's country code, and of what may be dialled before them.

    None where the plan rewrites numbers before it reads them, or there is no region.
    """
    plan = PhoneMetadata.metadata_for_region(region)
    if plan is None or plan.country_code is None or plan.national_prefix_transform_rule:
        return None
    sharing = COUNTRY_CODE_TO_REGION_CODE[plan.country_code]
    kinds = sorted({one for shared in sharing for one in _kinds(shared)})
    prefix = plan.national_prefix_for_parsing or plan.national_prefix or "(?!)"
    dialled = rf"{plan.country_code}(?:{prefix})?|(?:{prefix})"
    return re.compile("|".join(f"(?:{one})" for one in kinds)), re.compile(dialled)


def _kinds(region: str) -> list[str]:
    """Patterns of the kinds of numbers of a region; a valid number is of one of them."""
    plan = PhoneMetadata.metadata_for_region(region)
    described = [getattr(plan, name, None) for name in _KINDS]
    return [one.national_number_pattern for one in described if one and one.national_number_pattern]


def _may_belong(digits: str, region: str) -> bool:
    """Whether a number is of a kind that a region has: 1 us instead of 80."""
    plan = _plan(region)
    if digits.startswith("00"):  # dialled abroad: of any country
        return region == _WITH_IDD_00
    if plan is None:
        return True
    numbers, prefix = plan
    dialled = prefix.match(digits)
    return bool(numbers.fullmatch(digits) or (dialled and numbers.fullmatch(digits, dialled.end())))


def _is_of_its_country(digits: str) -> bool:
    """Whether a number behind `+` is plainly one of its country; False leaves it to the library."""
    for size in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:size]))
        plan = _plan(regions[0]) if regions else None
        if plan:
            return bool(plan[0].fullmatch(digits, size))
    return False


def _confirmed(
    match: re.Match[str], regions: Sequence[str], leniency: int
) -> tuple[int, int] | None:
    """The match, where it as a whole is a number of one of the regions."""
    found = _within(match[0], tuple(regions), leniency)
    return (match.start() + found[0], match.start() + found[1]) if found else None


@functools.lru_cache(maxsize=65_536)  # pages of a site repeat the numbers of its owner
def _within(written: str, regions: tuple[str, ...], leniency: int) -> tuple[int, int] | None:
    """Characters [start, end) of the number that a candidate is."""
    digits = "".join(character for character in written if character.isdecimal())
    if _SIMPLE_ABROAD.fullmatch(written) and _is_of_its_country(digits):
        return 0, len(written)
    for region in regions:
        if not _may_belong(digits, region):
            continue
        for found in PhoneNumberMatcher(written, region, leniency=leniency, max_tries=1):
            # A rest of one or two characters is punctuation; digits must all be of the number.
            rest = written[: found.start] + written[found.end :]
            if not any(character.isdecimal() for character in rest):
                return int(found.start), int(found.end)
    return None
