# ruff: noqa: RUF001 - signs and words of many scripts
r"""Numbers with units, compared without a computer algebra system.

Most answers are a number, maybe with a unit; comparing them as fractions takes microseconds and
needs no child process. It also puts right what math-verify leaves to others: that drops units, so
that 12 cm would equal 12 m.

Rules: units of one dimension are converted; units of different dimensions differ; a number without
a unit, or with a word that is no known unit (12 apples), equals the number with one, because
problems usually fix the unit. A percentage equals the number and a hundredth of it. Where a decimal
is involved, numbers are equal to six decimals (the default of math-verify); fractions and whole
numbers are equal exactly.
"""

import re
from fractions import Fraction
from typing import Final, NamedTuple

_TOLERANCE: Final = Fraction(1, 10**6)


class Unit(NamedTuple):
    """A known unit."""

    dimension: str
    factor: Fraction
    """To the unit of its dimension that has 1."""


class Quantity(NamedTuple):
    """A number and what it counts."""

    value: Fraction
    is_decimal: bool
    unit: Unit | None


def _units() -> dict[str, Unit]:
    # International System of Units, 9th edition; minutes, hours, litres and tonnes of its table 8.
    lines = (
        ("length", "1/1000", "mm millimeter millimeters millimetre millimetres 毫米 мм"),
        ("length", "1/100", "cm centimeter centimeters centimetre centimetres 厘米 公分 см سم सेमी"),
        ("length", "1/10", "dm 分米 дм"),
        ("length", "1", "m meter meters metre metres 米 м متر मीटर เมตร"),
        ("length", "1000", "km kilometer kilometers kilometre kilometres 千米 公里 км كم किमी"),
        ("area", "1/10000", "cm^2 cm^{2} 平方厘米 см^2 см^{2}"),
        ("area", "1", "m^2 m^{2} 平方米 м^2 м^{2}"),
        ("area", "10000", "ha 公顷 га"),
        ("area", "1000000", "km^2 km^{2} 平方千米 км^2 км^{2}"),
        ("volume", "1/1000000", "cm^3 cm^{3} ml mL 毫升 立方厘米 мл"),
        ("volume", "1/1000", "l L liter liters litre litres dm^3 dm^{3} 升 л لتر लीटर"),
        ("volume", "1", "m^3 m^{3} 立方米 м^3 м^{3}"),
        ("mass", "1/1000000", "mg 毫克 мг"),
        ("mass", "1/1000", "g gram grams 克 г جرام ग्राम"),
        ("mass", "1", "kg kilogram kilograms 千克 公斤 кг كجم किलोग्राम"),
        ("mass", "1000", "t tonne tonnes 吨 т"),
        ("time", "1/1000", "ms"),
        ("time", "1", "s sec second seconds 秒 с сек ثانية सेकंड"),
        ("time", "60", "min minute minutes 分钟 мин دقيقة मिनट"),
        ("time", "3600", "h hr hour hours 小时 ч час часов ساعة घंटे"),
        ("time", "86400", "day days 天 дней يوم दिन"),
        ("speed", "1", "m/s 米/秒 м/с"),
        ("speed", "5/18", "km/h 千米/时 公里/小时 км/ч"),
        ("share", "1", "% percent 百分之"),
        ("angle", "1", "° degree degrees 度"),
        ("dollar", "1", "$ dollar dollars usd USD"),
        ("dollar", "1/100", "cent cents"),
        ("euro", "1", "€ euro euros EUR"),
        ("yuan", "1", "元 人民币 RMB CNY"),
    )
    return {
        name: Unit(dimension, Fraction(factor))
        for dimension, factor, names in lines
        for name in names.split()
    }


_UNITS: Final = _units()
_NUMBER: Final = (
    r"(?:(?P<sign>[-+]?)\s*(?:"
    r"(?P<mixed>\d+)?\s*\\frac\s*\{\s*(?P<above>-?\d+)\s*\}\s*\{\s*(?P<below>\d+)\s*\}"
    r"|(?P<over>\d+)\s*/\s*(?P<under>\d+)"
    r"|(?P<decimal>\d*\.\d+)|(?P<whole>\d+)\.?))"
)
_QUANTITY: Final = re.compile(
    rf"(?P<before>[$€¥£]?)\s*{_NUMBER}(?P<gap>\s*)(?P<unit>[^\d\\\s(){{}}\[\],;=<>+*-][^\\()\[\],;=<>+*]*)?"
)
_FUNCTIONS: Final = {"sin", "cos", "tan", "log", "exp", "sqrt", "mod"}
_SHORT_FRACTION: Final = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_DIGITS_MOST: Final = 60


def quantity(form: str) -> Quantity | None:
    """A plain form as a number with a unit; None where it is anything else.

    Args:
        form: See `answers.plain_form`.
    """
    match = _QUANTITY.fullmatch(_SHORT_FRACTION.sub(r"\\frac{\1}{\2}", form))
    if match is None or len(form) > _DIGITS_MOST:
        return None
    value = _value(match)
    name = (match["unit"] or match["before"] or "").strip()
    if value is None or not _is_unit(name, is_apart=bool(match["gap"])):
        return None
    return Quantity(
        -value if match["sign"] == "-" else value, match["decimal"] is not None, _UNITS.get(name)
    )


def _value(match: re.Match[str]) -> Fraction | None:
    if match["decimal"]:
        return Fraction(match["decimal"])
    if match["whole"]:
        return Fraction(match["whole"])
    above, below = match["above"] or match["over"], match["below"] or match["under"]
    if not int(below):
        return None
    return Fraction(int(match["mixed"] or 0)) + Fraction(int(above), int(below))


def _is_unit(name: str, *, is_apart: bool) -> bool:
    """Whether what stands behind a number may be a unit; `2m` and `2 x` are products."""
    if not name:
        return True
    if name in _UNITS:
        return is_apart or not name.isascii() or len(name) > 1 or not name.isalpha()
    words = name.split()
    return is_apart and len(words[0]) > 2 and not _FUNCTIONS & set(words) and "^" not in name


def same_quantity(one: Quantity, other: Quantity) -> bool:
    """Whether two quantities are equal, by the rules of this module."""
    if one.unit is not None and other.unit is not None:
        if one.unit.dimension != other.unit.dimension:
            return False
        scaled = (one.value * one.unit.factor, other.value * other.unit.factor)
        return _same(*scaled, is_exact=not (one.is_decimal or other.is_decimal))
    is_exact = not (one.is_decimal or other.is_decimal)
    if _same(one.value, other.value, is_exact=is_exact):
        return True
    for share, plain in ((one, other), (other, one)):
        if share.unit is not None and share.unit.dimension == "share" and plain.unit is None:
            return _same(share.value / 100, plain.value, is_exact=is_exact)
    return False


def _same(one: Fraction, other: Fraction, *, is_exact: bool) -> bool:
    return one == other if is_exact else abs(one - other) < _TOLERANCE
