"""Markdown of whole small pages, to the byte."""

import numpy as np
import pytest

from pipelines.extract.pages.dom import TEXT, parse
from pipelines.extract.pages.rendering import render, render_page
from pipelines.extract.pages.rendering_visible import visible_nodes


def rendered(markup: str) -> str:
    return render_page(markup.encode())


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<h1>A <i>big</i><br> day</h1><p>one", "# A big day\n\none"),
        ("<h2>Погода<a class='headerlink'>¶</a></h2><h3></h3>x", "## Погода\n\nx"),
        ("<p>a\n  b<b>c</b> d</p><p>e</p>", "a bc d\n\ne"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<p>a<br></p><br><p>b", "a\n\nb"),
        ("snake_case *x* [1] &lt;b&gt; \\n", "snake_case *x* [1] <b> \\n"),
        ("10&nbsp;km so&shy;ft \ufeffa\u200bb", "10 km soft ab"),
        ("<p>ភាសា\u200bខ្មែរ", "ភាសា\u200bខ្មែរ"),
        ("<p dir=rtl>مرحبا <b>بالعالم</b></p>", "مرحبا بالعالم"),
        ("<q>Ja </q>, he said", '"Ja", he said'),
        ("<details><summary>More</summary><p>x</p></details>", "More\n\nx"),
        ("<figure><img src=a><figcaption>Cap</figcaption></figure>", "Cap"),
        ("a<hr>b", "a\n\nb"),
        ("<p>press <kbd>Ctrl</kbd> <abbr title=x>HTML</abbr></p>", "press Ctrl HTML"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>です", "漢字です"),
        ("<pre class=wp-block-verse>Roses\nare red</pre>", "Roses\nare red"),
        (
            "a <span style='color: red; display : block'>b</span> c <a style=display:block>d</a>e",
            "a\nb\nc\nd\ne",
        ),
        (
            "<h2>Use<a href='#use'>#</a></h2>x<h3><a href='/d#c'> &para; </a>C</h3>y",
            "## Use\n\nx\n\n### C\n\ny",
        ),
        (
            "<h2>Language C<a href='/sharp'>#</a></h2>see <a href='#a'>#</a>",
            "## Language C#\n\nsee #",
        ),
        ("a<amp-ad type=x><div>buy</div></amp-ad>b", "ab"),
        ("", ""),
    ],
)
def test_text_is_written_as_it_reads(markup: str, markdown: str) -> None:
    assert rendered(markup) == markdown


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<p>x<ul><li>a</li> <li><p>b</p></li></ul><p>y", "x\n\n- a\n- b\n\ny"),
        ("<ol start=9><li>a<li>b<p>c</ol>", "9. a\n10. b\n\n    c"),
        ("<ol><li value=4>a<li>b</ol>", "4. a\n5. b"),
        (
            "<ul><li>甲<ol><li>乙</li><li>丙<ul><li>丁</ul></ol></li><li>戊</ul>",
            "- 甲\n  1. 乙\n  2. 丙\n     - 丁\n- 戊",
        ),
        ("<ul><li><ul><li>a</ul></li><li>b</ul>", "- a\n- b"),
        ("<ul><li></li><li>b</ul>", "- b"),
        ("<blockquote><p>a</p><p>b</p></blockquote>c", "> a\n>\n> b\n\nc"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b"),
        ("<ul><li>a<blockquote>b</blockquote></ul>", "- a\n\n  > b"),
        ("<dl><dt>A</dt><dd>one</dd><dd>two</dd><dt>B</dt><dd>x", "A\n: one\n: two\n\nB\n: x"),
        ("<dl><dd>only indented</dd></dl>", "only indented"),
        (
            "<dl><div><dt>A</dt> <dd>one</dd></div> <div><dt>B</dt> <dt>C</dt><dd>x</div></dl>",
            "A\n: one\n\nB\nC\n: x",
        ),
    ],
)
def test_lists_and_quotations_are_indented(markup: str, markdown: str) -> None:
    assert rendered(markup) == markdown


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("10<sup>-3</sup> m/s<sup>2</sup>", "10^-3 m/s^2"),
        ("x<sub>i</sub> H<sub>2</sub>O NO<sub>x</sub>", "x_i H2O NO_x"),
        ("E<sup>x+1</sup> 2<sup>n</sup> x<sup>2n</sup>", "E^(x+1) 2^n x^(2n)"),
        ("2<sup>nd</sup> 1<sup>e</sup> XX<sup>e</sup>", "2nd 1e XXe"),
        ("flood<sup><a href=#n>1</a></sup> so<sup>[2]</sup>", "flood1 so[2]"),
    ],
)
def test_exponents_and_indices_are_marked_and_references_are_not(
    markup: str, markdown: str
) -> None:
    assert rendered(markup) == markdown


def test_only_kept_texts_are_written() -> None:
    dom = parse(b"<ul><li>one</li><li>two</li><li>three</li></ul><p>four</p>")
    texts = np.flatnonzero(dom.tag == TEXT)
    keep = np.zeros(len(dom), np.bool_)
    keep[texts[[0, 2]]] = True
    assert render(dom, keep) == "- one\n- three"


def test_what_is_hidden_is_not_visible() -> None:
    markup = (
        "<head><title>t</title></head><p>a<script>b</script><style>c</style>"
        "<span hidden>d</span><span style='color:red;Display : none'>e</span>"
        "<template>f</template><button>g</button></p>"
    )
    dom = parse(markup.encode())
    assert render(dom, visible_nodes(dom)) == "a"


def test_xhtml_has_empty_elements() -> None:
    chapter = b"<p><a id='x'/>One <i/>two</p>"
    assert render_page(chapter, is_xhtml=True) == "One two"


def test_bytes_that_are_not_utf8_stay_apart_from_formulas() -> None:
    markup = b"<p>a\xff0\xffb <math><mi>x</mi></math></p>"
    assert render_page(markup) == "a\ufffd0\ufffdb $x$"


def test_paragraphs_in_a_heading_are_prose() -> None:
    first, second = "The river rose during the night. " * 4, "Nobody remembers such a flood. " * 4
    assert rendered(f"<h1>Flood<p>{first}<p>{second}") == (
        f"Flood\n\n{first.strip()}\n\n{second.strip()}"
    )
    title = "昨日は天気がとても" * 20
    assert rendered(f"<h1><p>{title}</p></h1><p>x") == f"# {title}\n\nx"


def test_lists_and_quotations_are_indented_sixteen_times_at_most() -> None:
    lines = rendered("<ul><li>x" * 20_000).split("\n")
    assert lines[:17] == ["  " * i + "- x" for i in range(16)] + ["  " * 16 + "x"]
    assert len(lines) == 20_000
    assert max(map(len, lines)) == len(lines[16])
    numbered = rendered("<ol><li>x" * 40).split("\n")
    assert numbered[15:18] == [" " * 45 + "1. x", " " * 48 + "x", " " * 48 + "x"]
    assert rendered("<blockquote>" * 40 + "x") == "> " * 16 + "x"
    after = "<ul><li>x" * 40 + "</ul>" * 40 + "<ul><li>y<ul><li>z"
    assert rendered(after).split("\n")[-2:] == ["- y", "  - z"]


def test_text_longer_than_its_page_is_bounded() -> None:
    deep = "<blockquote>" * 200 + "a<p>" * 2_000
    text = rendered(deep)
    assert text.count("a") == 2_000
    wide = "<table>" + "<tr><td rowspan=65534>" * 300 + "x</table>"
    assert rendered(wide) == "x"


def test_any_cut_of_a_page_gives_a_text_twice_the_same() -> None:
    page = (
        b"<h1>T</h1><table><tr><th>a<th>b<tr><td colspan=2>c</table><pre>x\ny</pre>"
        b"<ul><li><code>q`</code><li><math><mfrac><mi>a</mi><mi>b</mi></mfrac></math></ul>"
    )
    for cut in range(len(page)):
        first = render_page(page[:cut])
        assert first == render_page(page[:cut])
        assert "\xff" not in first
