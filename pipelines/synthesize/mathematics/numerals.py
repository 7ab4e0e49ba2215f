# ruff: noqa: RUF001 - signs and words of many scripts
"""Chinese numerals, the one common way of writing numbers that is not by digits of a script.

Read are whole numbers (三十二, 一千零五, 两万), decimals (三点一四), negative numbers (负五) and
fractions (二分之一), as they stand in answers; with a unit behind them the number alone is turned.
"""

import re
from typing import Final

_DIGITS: Final = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_SMALL: Final = {"十": 10, "百": 100, "千": 1000}
_LARGE: Final = {"亿": 10**8, "億": 10**8, "万": 10**4, "萬": 10**4}
"""The larger first, for they are read from it down."""
_NUMERAL: Final = "[" + "".join([*_DIGITS, *_SMALL, *_LARGE]) + "]+"
_ANSWER: Final = re.compile(
    rf"(?P<minus>[负負]?)(?:(?P<below>{_NUMERAL})分之(?P<above>{_NUMERAL})"
    rf"|(?P<whole>{_NUMERAL})(?:[点點](?P<decimals>[{''.join(_DIGITS)}]+))?)(?P<unit>\D{{0,4}})"
)


def chinese_numeral(text: str) -> str | None:
    """A number in Chinese characters, by digits.

    Args:
        text: A whole answer, maybe with a unit of up to four characters behind the number.

    Returns:
        Plain form with the unit behind a space; None where the text is no such number.
    """
    match = _ANSWER.fullmatch(text)
    if match is None:
        return None
    if match["below"]:
        above, below = _whole(match["above"]), _whole(match["below"])
        number = None if above is None or below is None else rf"\frac{{{above}}}{{{below}}}"
    else:
        whole = _whole(match["whole"])
        decimals = "".join(str(_DIGITS[c]) for c in match["decimals"] or "")
        number = None if whole is None else str(whole) + ("." + decimals if decimals else "")
    if number is None:
        return None
    return ("-" if match["minus"] else "") + number + (" " + match["unit"] if match["unit"] else "")


def _whole(numeral: str) -> int | None:
    """A whole number; None where a large unit has nothing before it."""
    if all(c in _DIGITS for c in numeral):  # 二〇二六: by place
        return int("".join(str(_DIGITS[c]) for c in numeral))
    for unit, value in _LARGE.items():
        if unit in numeral:
            # The last one: 一万亿 is ten thousand times a hundred million.
            before, _, behind = numeral.rpartition(unit)
            above, rest = _whole(before) if before else None, _whole(behind) if behind else 0
            return None if above is None or rest is None else above * value + rest
    total = digit = 0
    for character in numeral:
        if character in _DIGITS:
            digit = _DIGITS[character]
        else:
            # 十二: ten stands without a one before it
            total += (digit or 1) * _SMALL[character]
            digit = 0
    return total + digit
