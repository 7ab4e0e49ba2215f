"""The tree of a page: its shape by example, its properties under mutation."""

import random

import numpy as np
import pytest

from pipelines.extract.pages.dom import DOCUMENT, TAG, TAGS, TEXT, UNKNOWN, Dom, name_of, parse

PAGE = (
    "<!DOCTYPE html><html lang=el><head><title>Τίτλος</title><meta charset=utf-8></head>"
    "<body class='a>b'><h1>Καλημέρα κόσμε</h1><!-- <p> --><p>one<br>two<p>three &amp; 四"
    "<table><thead><tr><th>a<th>b<tbody><tr><td><ul><li>x<li>y</ul><td>z</table>"
    "<pre>\n code\n</pre><script>if (a<b) { '</p>' }</script><a href=/x?a&b>link</a>"
    "<svg><title>t</title><path d='M0'/></svg><math><mi>x</mi><mo>&lt;</mo></math>"
    "<dl><dt>ok<dd>да</dl><select><option>1<option>2</select></body></html>"
)


def shape(data: str | bytes, *, is_xhtml: bool = False) -> str:
    """The tree in brackets, texts as they are written."""
    raw = data.encode() if isinstance(data, str) else data
    dom = parse(raw, is_xhtml=is_xhtml)
    check(dom)
    closing: list[int] = []
    written: list[str] = []
    for node in range(1, len(dom)):
        while closing and closing[-1] <= node:
            closing.pop()
            written.append(")")
        if written and written[-1] != "(":
            written.append(" ")
        if dom.tag[node] == TEXT:
            text = dom.data[dom.start[node] : dom.stop[node]].tobytes().decode("utf-8", "replace")
            written.append(text)
        else:
            written.append(name_of(dom, node))
            if dom.end[node] > node + 1:
                written.append("(")
                closing.append(int(dom.end[node]))
    return "".join(written) + ")" * len(closing)


def check(dom: Dom) -> None:
    """That the arrays are a tree in pre-order whose texts and tags are ranges of the page."""
    n = len(dom)
    assert dom.tag[0] == DOCUMENT
    assert dom.parent[0] == -1
    assert dom.end[0] == n
    nodes = np.arange(n)
    assert (dom.end > nodes).all()
    assert (dom.end <= n).all()
    parents = dom.parent[1:]
    assert (parents < nodes[1:]).all()
    assert (dom.end[1:] <= dom.end[parents]).all()
    # The parent of a node is the one before it, or one whose child the node before it ended.
    assert (dom.end[parents] > nodes[1:]).all()
    first = dom.parent[1:] == nodes[:-1]
    assert (first == (dom.end[:-1] > nodes[1:])).all()
    assert (dom.end[dom.tag == TEXT] == nodes[dom.tag == TEXT] + 1).all()
    assert (dom.start >= 0).all()
    assert (dom.stop >= dom.start).all()
    assert (dom.stop <= dom.data.size).all()
    assert (np.diff(dom.start) >= 0).all()
    texts = np.flatnonzero(dom.tag == TEXT)
    assert (dom.stop[texts] > dom.start[texts]).all()
    assert (dom.stop[texts][:-1] <= dom.start[texts][1:]).all()
    assert (dom.tag < len(TAGS)).all()


EXAMPLES = [
    ("", ""),
    ("text alone", "text alone"),
    ("<p>a<p>b", "p(a) p(b)"),
    ("<p>a<div>b</div>c", "p(a) div(b) c"),
    ("<p><span>a<p>b</span>", "p(span(a)) p(b)"),
    ("<ul><li>a<li>b<ul><li>c</ul></ul>", "ul(li(a) li(b ul(li(c))))"),
    ("<ul><li><div>a<li>b</ul>", "ul(li(div(a)) li(b))"),
    ("<dl><dt>a<dd>b<p>c<dt>d</dl>", "dl(dt(a) dd(b p(c)) dt(d))"),
    ("<h1>a<h2>b</h1>c", "h1(a) h2(b) c"),
    ("<br>a<img src=x>b<hr/>c", "br a img b hr c"),
    ("a</p>b</div>c</b>d", "a p b c d"),
    ("a</br>b", "a br b"),
    ("<div><span>a</div>b", "div(span(a)) b"),
    ("<span><div>a</span>b</div>", "span(div(a b))"),
    ("<a href=x>a<a href=y>b</a>c", "a(a) a(b) c"),
    ("<a>a<div>b</a>c</div>d", "a(a div(b c)) d"),
    ("<button>a<button>b", "button(a) button(b)"),
    ("<form>a<form>b</form>c", "form(a b) c"),
    ("<form><div></form>a</div>b", "form(div(a)) b"),
    ("<div/>a", "div(a)"),
    ("<DIV CLASS=x>a</Div>", "div(a)"),
    ("<my-tag>a<other>b</my-tag>c", "my-tag(a other(b)) c"),
    ("<ruby>漢<rt>kan<rt>ji</ruby>", "ruby(漢 rt(kan) rt(ji))"),
    ("<noscript><p>a</p></noscript>b", "noscript(p(a)) b"),
    ("<template><p>a</template>b", "template(p(a)) b"),
    ("<plaintext>a</plaintext><p>", "plaintext(a</plaintext><p>)"),
]
TABLES = [
    ("<table><td>a<td>b<tr><th>c</table>d", "table(tr(td(a) td(b)) tr(th(c))) d"),
    ("<table><tr><td>a<tbody><tr><td>b</table>", "table(tr(td(a)) tbody(tr(td(b))))"),
    ("<table><tr><td><table><tr><td>a</table>b<td>c</table>",
     "table(tr(td(table(tr(td(a))) b) td(c)))"),
    ("<table><tr><td><p>a</table>b", "table(tr(td(p(a)))) b"),
    ("<table><tr><td>a</div></td></tr></table>b", "table(tr(td(a))) b"),
    ("<table><caption>a<tr><td>b</table>", "table(caption(a) tr(td(b)))"),
    ("<table> <tr> <td> a </td> </tr> </table>", "table(tr(td( a )))"),
    ("<table><tr><td>a<table><tr><td>b</table></table>", "table(tr(td(a table(tr(td(b))))))"),
    ("<table><tr><table><tr><td>a</table>", "table(tr) table(tr(td(a)))"),
    ("<td>a<tr>b", "a b"),
    ("<!doctype html><p>a<table></table>", "p(a) table"),
    ("<p>a<table></table>", "p(a table)"),
    ("<table><tr><td>a<select><option>b<tr><td>c</table>",
     "table(tr(td(a select(option(b)))) tr(td(c)))"),
    ("<select><option>a<div>b</div><option>c</select>d", "select(option(a b) option(c)) d"),
]  # fmt: skip
RAW = [
    ("<script>a<b></b></script>c", "script(a<b></b>) c"),
    ("<script><!-- <script> </script> --></script>a", "script(<!-- <script> </script> -->) a"),
    ("<script><!-- </script>a", "script(<!-- ) a"),
    ("<style>a</styl></style >b", "style(a</styl>) b"),
    ("<title>a<b>&amp;</title>c", "title(a<b>&amp;) c"),
    ("<textarea>\n\na</textarea>", "textarea(\na)"),
    ("<pre>\n\na</pre><pre><b>\n</b></pre>", "pre(\na) pre(b(\n))"),
    ("<script>a", "script(a)"),
    ("a<!-- <p> -->b<!-->c<!--->d<!-- x --!>e", "a b c d e"),
    ("a<!-- b", "a"),
    ("a<?php echo '<p>' ?>b", "a ' ?>b"),
    ("a</ b>c</>d<!b>e", "a c d e"),
    ("a < b <3 <= c", "a < b <3 <= c"),
    ("a<p", "a"),
    ("a<p title='<b>", "a"),
    ("<a title='a>b' x=\"c>d\" y=e>f", "a(f)"),
    ("<a b='c'd=\"e>\">f", "a(f)"),
    ("<a '>b'>c", "a(b'>c)"),
    ("a<![CDATA[b]]>c", "a c"),
    ("<svg><![CDATA[a<b]]></svg>", "svg(a<b)"),
]
FOREIGN = [
    ("<svg><style>a</style><title>b</title><g/>c</svg>d", "svg(style(a) title(b) g c) d"),
    ("<svg><path d=a/>b</svg>", "svg(path(b))"),
    ("<svg><g><p>a</svg>b", "svg(g) p(a b)"),
    ("<svg><foreignObject><p>a<p>b</p></foreignObject></svg>c",
     "svg(foreignobject(p(a) p(b))) c"),
    ("<math><mi>x</mi><mo>=</mo></math>y", "math(mi(x) mo(=)) y"),
    ("<math><semantics><mi>x</mi><annotation encoding=t>a</annotation></semantics></math>b",
     "math(semantics(mi(x) annotation(a))) b"),
    ("<math/>a<svg/>b", "math a svg b"),
]  # fmt: skip
HEADS = [
    ("<html><head><meta></head> <meta><body>a", "html(head(meta meta) body(a))"),
    ("<head><title>a</title>b<meta>", "head(title(a)) b meta"),
    ("<head><div>a</div></head>b", "head div(a) b"),
    ("<body>a</body>b<body>c", "body(a b c)"),
    ("a<html lang=x>b", "a html b"),
    ("<meta><head><title>a</title></head>b", "meta title(a) b"),
]


@pytest.mark.parametrize(("page", "tree"), EXAMPLES + TABLES + RAW + FOREIGN + HEADS)
def test_page_has_the_tree_that_a_browser_makes(page: str, tree: str) -> None:
    assert shape(page) == tree


def test_closed_tags_are_empty_elements_in_xhtml_alone() -> None:
    page = "<p><a id='x'/>a<script src='y'/>b</p><title/>c"
    assert shape(page, is_xhtml=True) == "p(a a script b) title c"
    assert shape("<p><a id='x'/>b</p>") == "p(a(b))"


def test_nodes_name_the_ranges_of_the_page() -> None:
    dom = parse(PAGE.encode())
    body = int(np.flatnonzero(dom.tag == TAG["body"])[0])
    assert dom.data[dom.start[body] : dom.stop[body]].tobytes() == b" class='a>b'"
    texts = [
        dom.data[dom.start[i] : dom.stop[i]].tobytes().decode()
        for i in np.flatnonzero(dom.tag == TEXT)
    ]
    assert texts[:4] == ["Τίτλος", "Καλημέρα κόσμε", "one", "two"]
    assert "three &amp; 四" in texts
    assert "if (a<b) { '</p>' }" in texts
    assert not dom.tag.flags.writeable
    assert (dom.tag != UNKNOWN).sum() == len(dom) - 1  # path of SVG


def test_nul_is_taken_out_of_texts() -> None:
    assert shape(b"<p>a\0b</p>") == "p(ab)"
    array = np.frombuffer(b"<p>a\0b</p>", np.uint8)
    assert parse(array).data.tobytes() == b"<p>ab</p>"


def test_mutated_pages_have_valid_trees() -> None:
    choose = random.Random(7)
    names = "table td a p svg select form script tr li template !-- /table /a /p /form /script"
    pieces = [b"<%s>" % name.encode() for name in names.split()]
    pieces += [b"<", b">", b"</", b"'", b'"', b"<!--", b"-->", b"\0", b"=", b"\xff", b"&"]
    page = PAGE.encode()
    for _ in range(2000):
        mutated = bytearray(page)
        for _ in range(choose.randrange(1, 12)):
            at = choose.randrange(len(mutated))
            cut = choose.choice((0, 0, 1, 9))
            mutated[at : at + cut] = choose.choice(pieces)
        check(parse(bytes(mutated)))
    for _ in range(500):
        check(parse(choose.randbytes(choose.randrange(200))))
        check(parse(b"".join(choose.choices(pieces, k=choose.randrange(60)))))


@pytest.mark.parametrize(
    "pattern",
    [
        *("<div>", "<b><p>", "<", "</", "</script", "<a href='", "<table><tr><td>", "<!--", "<a>"),
        *("<svg><g>", "<x-y>", "<select>", "<span><div></span>", "<a><div>", "</p>", "<math><mi>"),
        *("<script><!--<script>", "<form><div></form>", "&", "<li>", "<![CDATA[", "<ruby><rt>"),
        *("<template><td>", "<button><p></button>", "<i><b></i></x>", "<x></y>", "<table><b>"),
    ],
)
def test_what_repeats_without_end_is_parsed_in_linear_time(pattern: str) -> None:
    # 0.05 s each; a walk up the stack, or to the end of the page, for every tag would be hours.
    check(parse(pattern.encode() * (2_000_000 // len(pattern))))
