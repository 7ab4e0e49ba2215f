"""Which tables hold data, and what their cells become."""

import pytest

from pipelines.extract.pages.rendering import render_page


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        (
            "<table><caption>Уровень</caption><tr><th>Год</th><th>м | см</th></tr>"
            "<tr><td>1999</td><td>4.5</td></tr></table>",
            "Уровень\n\n| Год | м \\| см |\n| --- | --- |\n| 1999 | 4.5 |",
        ),
        (
            "<table><tr><td>a<td>b<tr><td>c<br>d<td><p>e</p><p>f</p></table>",
            "| a | b |\n| --- | --- |\n| c d | e f |",
        ),
        (
            "<table><thead><tr><th rowspan=2>City</th><th colspan=2>People</th></tr><tr><th>2010"
            "</th><th>2020</th></tr></thead><tr><td colspan=3>North</td></tr><tr><td rowspan=2>"
            "Bergen</td><td>3</td><td>4</td></tr><tr><td>5</td><td>6</td></tr></table>",
            "| City | People | People |\n| --- | --- | --- |\n| City | 2010 | 2020 |\n"
            "| North |  |  |\n| Bergen | 3 | 4 |\n| Bergen | 5 | 6 |",
        ),
        (
            "<table class=dataframe><tr><th></th><th>a</th></tr><tr><th>0</th><td>x</td></tr>"
            "</table>",
            "|  | a |\n| --- | --- |\n| 0 | x |",
        ),
        (
            "<table><tr><th>a</th><td></td><th>b</th></tr><tr></tr><tr><td>1</td><td> </td>"
            "<td>2</td></tr></table>",
            "| a | b |\n| --- | --- |\n| 1 | 2 |",
        ),
        (
            "<table><tr><th>الاسم</th><th>العدد</th></tr><tr><td>علي</td><td>٣</td></tr></table>",
            "| الاسم | العدد |\n| --- | --- |\n| علي | ٣ |",
        ),
        (
            "<div role=table><div role=row><div role=columnheader>P</div><div role=columnheader>Q"
            "</div></div><div role=row><div role=cell><p>1</p></div><div role=cell></div></div>"
            "<div role=row><div role=cell>2</div><div role=cell>3</div></div></div>",
            "| P | Q |\n| --- | --- |\n| 1 |  |\n| 2 | 3 |",
        ),
        (
            "<table><tr><th>Cmd<th>Use<tr><td><code>a|b</code><td>$x$<table><tr><td>i<td>j</table>"
            "</table>",
            "| Cmd | Use |\n| --- | --- |\n| `a\\|b` | $x$ i j |",
        ),
        (
            "<table><tr><th>Call<th>Gives<tr><td><pre>f(1,\n  2)</pre><td><ul><li>one<li>two</ul>"
            "</table>",
            "| Call | Gives |\n| --- | --- |\n| `f(1, 2)` | one two |",
        ),
    ],
)
def test_data_is_a_table_of_markdown(markup: str, markdown: str) -> None:
    assert render_page(markup.encode()) == markdown


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<table role=presentation><tr><th>a<th>b<tr><td>c<td>d</table>", "a\nb\nc\nd"),
        ("<table><tr><td>only</td></tr><tr><td>one</td></tr></table>", "only\none"),
        ("<table><tr><td>menu</td><td><h1>T</h1><p>x</p></td></tr></table>", "menu\n\n# T\n\nx"),
        (
            "<table><tr><td>a<td><table><tr><th>p<th>q<tr><td>1<td>2</table></table>",
            "a\n\n| p | q |\n| --- | --- |\n| 1 | 2 |",
        ),
        (
            "<table><tr><td>a<td>b<tr><td><pre>x\n y</pre><td>c</table>",
            "a\nb\n\n```\nx\n y\n```\n\nc",
        ),
        (
            f"<table><tr><th>a<th>b<tr><td><pre>x\n{'y' * 200}</pre><td>c</table>",
            f"a\nb\n\n```\nx\n{'y' * 200}\n```\n\nc",
        ),
    ],
)
def test_layout_is_unrolled(markup: str, markdown: str) -> None:
    assert render_page(markup.encode()) == markdown


def test_spans_cannot_make_a_text_grow_without_bound() -> None:
    cell = "<td rowspan=65534 colspan=1000>" + "x" * 150
    table = "<table>" + ("<tr>" + cell + "<td>y") * 500 + "</table>"
    text = render_page(table.encode())
    assert text.count("y") == 500
    assert len(text) < 40 * len(table)


def test_table_within_a_list_is_indented() -> None:
    markup = b"<ul><li>a<table><tr><th>b<th>c<tr><td>1<td>2</table></ul>"
    assert render_page(markup) == "- a\n\n  | b | c |\n  | --- | --- |\n  | 1 | 2 |"
