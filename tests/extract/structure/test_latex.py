"""Which formulas are the same."""

import pytest

from pipelines.extract.structure.latex import canonical_latex

SAME = [
    (r"\frac12", r"\dfrac{1}{2}"),
    (r"x_i^2", r"x^{2}_{i}"),
    (r"{\displaystyle y=a}", "y = a"),
    (r"\left( \alpha \right)", "(α)"),
    (r"a\le b", r"{a}\leq{b}"),
    (r"\sin x", r"\operatorname{sin}{x}"),
    (r"\mathrm{softmax}(z)", r"\text{softmax}\,(z)"),
    (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", r"(\begin{matrix}a&b\\c&d\\\end{matrix})"),
    (r"\begin{array}{cc}a&b\end{array}", r"\begin{matrix} a & b \end{matrix}"),
    (r"e^{-x}", r"e^{{-}{x}}"),
    (r"\sum\limits_{i=1}^{n} i.", r"\sum_{i=1}^n i"),
    (r"\begin{displaymath}E = mc^2\end{displaymath}", "E=mc^2"),
    (r"a = b \tag{3}", "a=b"),
    (r"2 ⁢a−b", "2a-b"),  # an invisible times, a minus sign
    (r"\sqrt[3]{x}", r"\sqrt[3] x"),
    (r"\lvert x \rvert", "|x|"),
]
DIFFERENT = [
    ("x^2", "x_2"),
    ("ab", "ba"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"\frac{ab}{c}", r"\frac{a}{bc}"),
    ("x^{ab}", "x^a b"),
    ("{a+b}^2", "a+b^2"),
    (r"\sqrt{ab}", r"\sqrt{a}b"),
    (r"\alpha", "a"),
    (r"a \leq b", "a < b"),
    (r"\mathbb{R}", "R"),
    (r"\sin x", "s i n x"),
    ("(a)", "[a]"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_formulas_that_look_the_same_are_equal(one: str, other: str) -> None:
    assert canonical_latex(one) == canonical_latex(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_formulas_that_say_something_else_differ(one: str, other: str) -> None:
    assert canonical_latex(one) != canonical_latex(other)


@pytest.mark.parametrize(
    "broken", ["{", "}", r"\frac", "x^", "_", r"\sqrt[3", "a}b{c", "\\", "^^^", ""]
)
def test_broken_formulas_are_read_without_error(broken: str) -> None:
    assert canonical_latex(canonical_latex(broken)) == canonical_latex(broken)
