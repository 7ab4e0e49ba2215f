"""Final answers of solutions, and which of them are the same mathematics."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthesize.mathematics.answers import Found, final_answer, is_readable, plain_form
from pipelines.synthesize.mathematics.equality import (
    agreeing,
    algebra_equal,
    algebra_equals,
    classes,
    pairs_to_ask,
    quick_equal,
)
from pipelines.synthesize.mathematics.numerals import chinese_numeral
from pipelines.synthesize.mathematics.quantities import quantity


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{3}, and finally" + "\n" + r"\boxed{\frac{1}{2}}", (r"\frac{1}{2}", "boxed")),
        (r"the roots are \boxed{1} and \boxed{2}.", ("1, 2", "boxed")),
        (r"\boxed{7} = \boxed{7}", ("7", "boxed")),
        (r"\fbox{4}", ("4", "boxed")),
        (r"\boxed 5", ("5", "boxed")),
        (r"\boxed{\{1, 2\}}", (r"\{1, 2\}", "boxed")),
        (r"\boxed{", None),
        (r"\boxed{ }", None),
        ("The answer is 5. Have a nice day.", ("5", "phrase")),
        ("The final answer is: **12.5 km**", ("12.5 km", "phrase")),
        ("所以答案是 42。谢谢", ("42", "phrase")),
        ("Ответ: 12", ("12", "phrase")),
        ("إذن الجواب هو ١٢", ("١٢", "phrase")),
        ("इसलिए उत्तर है 7।", ("7", "phrase")),
        ("Die Antwort lautet 3/4.", ("3/4", "phrase")),
        ("There are many ways to see it.", None),
        ("", None),
    ],
)
def test_final_answer(text: str, found: tuple[str, str] | None) -> None:
    assert final_answer(text) == (None if found is None else Found(*found))  # type: ignore[arg-type]


EQUAL = [
    (r"\frac12", "0.5"),
    (r"\dfrac{1}{2}", r"\tfrac{2}{4}"),
    ("½", "1/2"),
    ("3½", "3.5"),
    (r"3\frac{1}{2}", "7/2"),
    ("0.333333", r"\frac{1}{3}"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    ("1,000", "1000"),
    (r"1{,}000", "10^3"),
    ("1e3", "1000"),
    (r"12\text{ cm}", "12"),
    (r"120\,\text{cm}", r"1.2\ \mathrm{m}"),
    ("72 km/h", "20 m/s"),
    ("2 h", "120 min"),
    ("12 apples", "12"),
    (r"\$5.00", "5"),
    (r"90^\circ", "90 degrees"),
    ("１２", "12"),
    ("١٢٫٥", "12.5"),
    ("१२", "12"),
    ("๑๒", "12"),
    ("三十二", "32"),
    ("三十二元", "32"),
    ("二分之一", "0.5"),
    ("负五", "-5"),
    ("\N{MINUS SIGN}5", "-5"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1, 2", "2, 1"),
    (r"x=1 \text{ or } x=2", r"\{1,2\}"),
    ("1 和 2", "1, 2"),
    (r"\pm 3", r"\{-3,3\}"),
    (r"\varnothing", "no solution"),
    ("无解", "∅"),
    ("1<x<2", "(1,2)"),
    ("(1,2)", "1<x<2"),
    (r"[1,2]\cup(3,4)", r"(3,4)\cup[1,2]"),
    ("x=3", "3"),
    ("(x+1)^2", "x²+2x+1"),
    (r"\frac{\sqrt2}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"2\sqrt{3}", "√12"),
    (r"\left(\frac{1}{2},3\right)", "(0.5, 3)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    ("**42**.", "$42$"),
    (r"\(42\)", r"\[42\]"),
    (r"\text{Monday}", "monday"),
    ("(B)", "B"),
]

DIFFERENT = [
    ("1/2", "1/3"),
    ("0.33", "1/3"),
    (r"12\text{ cm}", r"12\text{ m}"),
    ("5 kg", "5 m"),
    ("(1,2)", r"\{1,2\}"),
    ("(1,2)", "(2,1)"),
    ("[1,2]", "(1,2)"),
    ("listen", "silent"),
    ("2x", "2"),
    ("2m", "3"),
    ("三", "四"),
    ("3.14", r"\pi"),
    ("99999999999999999999", "99999999999999999998"),
    (r"3^{100}", r"3^{100}+1"),
    ("5", "no solution"),
    ("Monday", "Tuesday"),
    (r"\$5", "5 €"),
]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [(*pair, True) for pair in EQUAL] + [(*pair, False) for pair in DIFFERENT],
)
def test_equal_answers(one: str, other: str, equal: bool) -> None:
    forms = plain_form(one), plain_form(other)
    for first, second in (forms, forms[::-1]):
        quick = quick_equal(first, second)
        assert (algebra_equal(first, second) if quick is None else quick) is equal


def test_numbers_need_no_algebra() -> None:
    plain = ["\\frac{1}{2}", "0.5", "50 %", "1/2", "-3", "12 cm", "1.2 m", "三", "Monday"]
    assert pairs_to_ask([plain_form(one) for one in plain]) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("十", "10"),
        ("十二", "12"),
        ("三十二", "32"),
        ("一百零五", "105"),
        ("一千零五十", "1050"),
        ("两万三千", "23000"),
        ("一亿二千万", "120000000"),
        ("二〇二六", "2026"),
        ("三点一四", "3.14"),
        ("负二分之一", r"-\frac{1}{2}"),
        ("五米", "5 米"),
        ("万", None),
        ("三角形的面积是多少", None),
        ("12", None),
        ("", None),
    ],
)
def test_chinese_numerals(text: str, number: str | None) -> None:
    assert chinese_numeral(text) == number


@given(st.integers(0, 9999))
def test_every_chinese_number_is_read_back(number: int) -> None:
    assert chinese_numeral(_in_chinese(number)) == str(number)


def _in_chinese(number: int) -> str:
    digits, units = "零一二三四五六七八九", ("千", "百", "十", "")
    if number == 0:
        return "零"
    written, gap = "", False
    for digit, unit in zip(f"{number:04d}", units, strict=True):
        if digit == "0":
            gap = bool(written)
        else:
            written += ("零" if gap else "") + digits[int(digit)] + unit
            gap = False
    return written


def test_products_are_no_quantities() -> None:
    assert quantity("2m") is None
    assert quantity("2 x") is None
    assert quantity(r"2\pi") is None
    assert quantity("3 sin x") is None
    assert quantity("1/0") is None
    assert quantity("2 cm") is not None


def test_answers_too_long_or_deep_are_not_read() -> None:
    assert not is_readable("")
    assert not is_readable("1" * 401)
    assert not is_readable("(" * 21 + "1" + ")" * 21)
    assert is_readable("(" * 20 + "1" + ")" * 20)


def test_a_number_without_unit_joins_one_unit_only() -> None:
    known = classes(["12", "12 cm", "12 m"], frozenset())
    assert len(set(known.values())) == 3
    known = classes(["12", "12.0", "12 cm", "120 mm"], frozenset())
    assert len(set(known.values())) == 1
    known = classes(["50 %", "50", "0.5"], frozenset())
    assert len(set(known.values())) == 3
    assert agreeing("12", ["12 cm", "12 m", "13"], frozenset()) == {"12 cm", "12 m"}


FORMS = ["1/2", "0.5", "(1,2)", "1<x<2", r"\{1,2\}", "2, 1", "x+1", "1+x", "7", "7 cm", "Monday"]


@given(st.permutations(FORMS), st.lists(st.sampled_from(FORMS), max_size=5))
def test_classes_do_not_depend_on_order_or_repetition(order: list[str], more: list[str]) -> None:
    equal = frozenset({("(1,2)", "1<x<2"), ("1+x", "x+1"), ("2, 1", r"\{1,2\}")})
    known = classes([*order, *more], equal)
    assert known == classes(FORMS, equal)
    groups = sorted(sorted(f for f in FORMS if known[f] == first) for first in {*known.values()})
    assert groups == sorted(
        sorted(group)
        for group in (
            ["1/2", "0.5"],
            ["(1,2)", "1<x<2"],
            [r"\{1,2\}", "2, 1"],
            ["x+1", "1+x"],
            ["7", "7 cm"],
            ["Monday"],
        )
    )


def test_algebra_gives_one_verdict_a_pair() -> None:
    forms = ["x+1", "1+x", "x-1", r"\frac{x^2-1}{x-1}"]
    random.Random(1).shuffle(forms)
    pairs = pairs_to_ask(forms)
    assert len(pairs) == 6
    verdicts = dict(zip(pairs, algebra_equals(pairs), strict=True))
    assert {pair for pair, equal in verdicts.items() if equal} == {
        ("1+x", "x+1"),
        ("1+x", r"\frac{x^2-1}{x-1}"),
        (r"\frac{x^2-1}{x-1}", "x+1"),
    }
