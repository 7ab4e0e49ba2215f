"""Presentation MathML as the LaTeX that a person would write."""

import pytest

from pipelines.extract.pages.dom import parse
from pipelines.extract.pages.mathml import to_latex


def latex(inner: str) -> str:
    dom = parse(f"<math>{inner}</math>".encode())
    return to_latex(dom, 1)


SUM = "<mo>∑</mo><mrow><mi>n</mi><mo>=</mo><mn>0</mn></mrow><mi>∞</mi>"
ROWS = "<mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mi>a</mi></mtd></mtr>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<mi>a</mi><mo>+</mo><mi>b</mi>", "a + b"),
        ("<mo>-</mo><mi>b</mi>", "-b"),
        ("<mi>α</mi><mi>x</mi>", r"\alpha x"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>θ</mi>", r"\sin\theta"),
        ("<mi>ℝ</mi><mi>𝔤</mi><mi>𝒜</mi>", r"\mathbb{R}\mathfrak{g}\mathcal{A}"),
        ("<mi mathvariant='bold'>v</mi><mi mathvariant='normal'>d</mi>", r"\mathbf{v}\mathrm{d}"),
        ("<mi>rank</mi><mtext> if 5% </mtext>", r"\mathrm{rank}\text{ if 5\% }"),
        (
            "<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>",
            r"\frac{a}{b + 1}",
        ),
        (
            "<mo>(</mo><mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac><mo>)</mo>",
            r"\binom{n}{k}",
        ),
        ("<msqrt><mi>x</mi><mn>2</mn></msqrt>", r"\sqrt{x2}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>10</mn></msubsup>", "x_i^{10}"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<msup><mrow><mi>a</mi><mi>b</mi></mrow><mn>2</mn></msup>", "{ab}^2"),
        (f"<munderover>{SUM}</munderover><mi>a</mi>", r"\sum_{n = 0}^{\infty}a"),
        ("<munder><mi>lim</mi><mi>x</mi></munder>", r"\lim_x"),
        ("<mover accent='true'><mi>x</mi><mo>^</mo></mover>", r"\hat{x}"),
        ("<mover><mrow><mi>A</mi><mi>B</mi></mrow><mo>¯</mo></mover>", r"\overline{AB}"),
        ("<mover><mo>→</mo><mi>f</mi></mover>", r"\xrightarrow{f}"),
        ("<mover><mi>x</mi><mi>d</mi></mover>", r"\overset{d}{x}"),
        (
            f"<mo>(</mo><mtable>{ROWS}</mtable><mo>)</mo>",
            r"\begin{pmatrix} 1 & 0 \\ a \end{pmatrix}",
        ),
        (f"<mo>{{</mo><mtable>{ROWS}</mtable>", r"\begin{cases} 1 & 0 \\ a \end{cases}"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<mfenced open='[' close=']' separators=''><mi>a</mi></mfenced>", "[a]"),
        ("<menclose notation='box'><mi>x</mi></menclose>", r"\boxed{x}"),
        (
            "<mmultiscripts><mi>C</mi><none/><none/><mprescripts/><mn>6</mn><mn>14</mn>"
            "</mmultiscripts>",
            "{}_6^{14}C",
        ),
        ("<mspace width='1em'/><mi>x</mi>", r"\quad x"),
        ("<mphantom><mi>x</mi></mphantom>", r"\phantom{x}"),
        ("<mi>x</mi><mo>≤</mo><mn>3.5</mn>", r"x \leq 3.5"),
        ("<mrow><mi>x</mi><mspace", "x"),
    ],
)
def test_mathml_is_latex(inner: str, expected: str) -> None:
    assert latex(inner) == expected


def test_deep_formula_is_a_row_of_its_tokens() -> None:
    text = latex("<msqrt>" * 3_000 + "<mi>x</mi><mi>y</mi>")
    assert text.strip("}").endswith("xy")
    assert text.count("\\sqrt") == text.count("}") <= 101
