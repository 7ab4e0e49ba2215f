"""Numerals of a text in all digit systems, as a multiset that can be compared.

A numeral is a run of decimal digits (category Nd), written in ASCII. Superscripts, subscripts and
fractions are numerals of their own, so `10²` is 10 and 2, as `10^2` is. In a word of digits and of
letters that are read for digits (`I9I4`, `2O`), letters count as the digits; in a Latin word of at
least three letters, one 0, 1 or 5 counts as the letter that it was read for (`re1ation`).
"""

import functools
import re
import unicodedata
from collections import Counter
from typing import Final

_WITH_DIGIT: Final = re.compile(r"\w*\d\w*")
_DIGITS: Final = re.compile(r"\d+")
_LOOKALIKES: Final = str.maketrans("OoQIlSsBZz", "0001155822")
_ONLY_LOOKALIKES: Final = re.compile(r"[\dOoQIlSsBZz]*\d[\dOoQIlSsBZz]*")
_WITH_MISREAD: Final = re.compile(r"(?=(?:.?[A-Za-z\u00c0-\u024f]){3})\D*[015]\D*")


def numerals(text: str) -> Counter[str]:
    """Counts the numerals of a text.

    Args:
        text: In any script.

    Returns:
        ASCII digits -> how often; leading zeros are kept.
    """
    found: Counter[str] = Counter()
    for word in _WITH_DIGIT.findall(_apart(text)):
        if _WITH_MISREAD.fullmatch(word):
            continue
        digits = word.translate(_LOOKALIKES) if _ONLY_LOOKALIKES.fullmatch(word) else word
        found.update(map(_ascii, _DIGITS.findall(digits)))
    return found


def _apart(text: str) -> str:
    """Sets off what NFKC makes digits of and is no decimal digit."""
    if text.isascii():
        return text
    return _other_digits().sub(lambda one: f" {unicodedata.normalize('NFKC', one[0])} ", text)


@functools.cache
def _other_digits() -> re.Pattern[str]:
    """Superscripts, fractions, circled digits and their like (category No)."""
    found = (c for c in map(chr, range(0x20000)) if unicodedata.category(c) == "No")
    return re.compile(f"[{''.join(found)}]")


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(c)) for c in digits)
