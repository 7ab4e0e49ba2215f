"""Each formula once, as LaTeX, from whatever its page keeps of it."""

import pytest

from pipelines.extract.pages.rendering import render_page

KATEX = (
    '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>x</mi></mrow>'
    '<annotation encoding="application/x-tex">x_1 &lt; y</annotation></semantics></math></span>'
    '<span class="katex-html" aria-hidden="true">x1</span></span>'
)
MATHJAX_2 = (
    '<span class="MathJax_Preview">x</span><span class="MathJax" data-mathml="&lt;math&gt;&lt;'
    'mi&gt;z&lt;/mi&gt;&lt;/math&gt;"><span>x</span></span>'
)
MATHJAX_3 = (
    '<mjx-container class="MathJax" display="true"><mjx-math>x</mjx-math><mjx-assistive-mml><math>'
    "<msup><mi>x</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container>"
)
WIKIPEDIA = (
    '<span class="mwe-math-element"><span style="display: none;"><math alttext="{\\displaystyle '
    'E=mc^{2}}"><semantics><mi>E</mi><annotation encoding="application/x-tex">{\\displaystyle '
    'E=mc^{2}}</annotation></semantics></math></span><img class="mwe-math-fallback-image-inline" '
    'alt="{\\displaystyle E=mc^{2}}"></span>'
)
LATEXML = (
    '<table class="ltx_equation ltx_eqn_table"><tr><td></td><td><math alttext="\\displaystyle x=1" '
    'display="block"><mi>x</mi></math></td><td>(1)</td></tr></table>'
)
CODECOGS = "https://latex.codecogs.com/svg.latex"


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        (f"a {KATEX} b", "a $x_1 < y$ b"),
        (f"a<span class=katex-display>{KATEX}</span>b", "a\n\n$$x_1 < y$$\n\nb"),
        (f"a {MATHJAX_2}<script type='math/tex'>x < y</script> b", "a $x < y$ b"),
        (f"a {MATHJAX_2} b", "a $z$ b"),
        ("a<script type='math/tex; mode=display'>\nx\ny\n</script>", "a\n\n$$\nx\ny\n$$"),
        (f"a{MATHJAX_3}b", "a\n\n$$x^2$$\n\nb"),
        (f"<dl><dd>{WIKIPEDIA}</dd></dl>", "$E=mc^{2}$"),
        (LATEXML, "$$x=1$$\n\n(1)"),
        ("so <img class=latex alt='x^2' src=y> is", "so $x^2$ is"),
        (
            "so <img src='https://latex.codecogs.com/gif.latex?%5Cfrac%7Ba%7D%7Bb%7D'> is",
            "so $\\frac{a}{b}$ is",
        ),
        ("so <img src='https://www.zhihu.com/equation?tex=x%2By' alt='x+y'> is", "so $x+y$ is"),
        ("a <img src=latex-gloves.jpg alt='a pair of gloves'> b", "a b"),
        (
            "<span class='math inline'>\\(a\\)</span>, <span class='math display'>\\[b\\]</span>",
            "$a$,\n\n$$b$$",
        ),
        ("<span class='math inline'><em>x</em><sup>2</sup></span>", "x^2"),
        ("<span class=math-container>$$x$$</span>", "$$x$$"),
        ("<div class=arithmatex>\\[ \\alpha \\]</div>", "$$\\alpha$$"),
        ("<pre class='js-render-math' data-math-style=display><code>b^2</code></pre>", "$$b^2$$"),
        ("we have $a_1$ and \\[ x \\]", "we have $a_1$ and \\[ x \\]"),
        ("<div class=math>A chapter of plain words</div><p>x", "$$A chapter of plain words$$\n\nx"),
        ("<div class=tex>A chapter of plain words</div><p>x", "A chapter of plain words\n\nx"),
        (
            "a<div class=latex-rendered data-attrs='"
            '{"persistentExpression":"\\\\hat{p}"}\'></div>',
            "a\n\n$$\\hat{p}$$",
        ),
        ("<ul><li>a<math display=block><mi>x</mi></math></ul>", "- a\n\n  $$x$$"),
        (
            "so <m:math><m:mfrac><m:mi>a</m:mi><m:mi>b</m:mi></m:mfrac></m:math> is",
            "so $\\frac{a}{b}$ is",
        ),
        (
            "<p>a <mml:math display='block'><mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn>"
            "</mml:msup></mml:math></p>b",
            "a\n\n$$x^2$$\n\nb",
        ),
        (f"<img src='{CODECOGS}?x' title='a_1 + b'>", "$a_1 + b$"),
        (f"<img src='{CODECOGS}?x&space;=&space;y&space;&plus;&space;1'>", "$x = y + 1$"),
        (
            f"<img src='{CODECOGS}?\\dpi{{120}}&space;\\bg{{white}}&space;\\large&space;"
            "\\frac{a}{b}' alt='a fraction'>",
            "$\\frac{a}{b}$",
        ),
        (
            f"<img src='{CODECOGS}?%5Cinline%20%5Cfn_phv%20%5Clargex%20a&amp;space;b'>",
            "$\\largex a b$",
        ),
        ("we see $$\na % first\n+ b\n$$ here\nand", "we see $$\na % first\n+ b\n$$ here and"),
        ("we see $$\na \\% b\n$$ and\n10 % of $$5", "we see $$ a \\% b $$ and 10 % of $$5"),
        (
            "<table><tr><th>a<th>b<tr><td><math><mi>x</mi></math><td>c</table>",
            "| a | b |\n| --- | --- |\n| $x$ | c |",
        ),
    ],
)
def test_formula_is_written_once(markup: str, markdown: str) -> None:
    assert render_page(markup.encode()) == markdown
