import pytest

from pipelines.extract.pdf.page_text import join_lines, join_pages, spell_out


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["one line of it", "and another one", "end."], "one line of it and another one end."),
        (["the govern-", "ment of the day"], "the government of the day"),
        (["der Straßen-", "bahnhof war leer"], "der Straßenbahnhof war leer"),
        (["государствен-", "ный совет собрался"], "государственный совет собрался"),
        (["the old Anglo-", "Saxon kings"], "the old Anglo- Saxon kings"),
        (["on the pages 17-", "23 of the book"], "on the pages 17- 23 of the book"),
        (["co\u00ad", "operate with others"], "cooperate with others"),
        (["今天天气很好我们", "去公园散步。"], "今天天气很好我们去公园散步。"),
        (["short", "a line up to the margin", "next"], "short\na line up to the margin next"),
        ([], ""),
        (["", "x", ""], "x"),
    ],
)
def test_lines_of_a_block(lines: list[str], text: str) -> None:
    assert join_lines(lines) == text


def test_lines_that_stop_short_of_the_margin_stay_lines() -> None:
    poem = ["Tyger Tyger, burning bright,", "In the forests of the night;"]
    assert join_lines(poem, [100.0, 98.0]) == " ".join(poem)
    assert join_lines(poem, [70.0, 100.0]) == "\n".join(poem)


def test_ligatures_become_letters_and_nothing_else_changes() -> None:
    assert spell_out("e\ufb03cient \ufb01le \ufb05") == "efficient file st"
    assert spell_out("x² ½ Ａ é\t-\n") == "x² ½ Ａ é\t-\n"
    assert spell_out("co\u00adop\x10\x7f") == "coop"


def page(number: int, head: str, *body: str) -> str:
    return "\n".join([head, *body, f"- {number} -"])


def test_heads_and_numbers_that_repeat_are_dropped() -> None:
    bodies = [("Anna sang.", "Boris slept."), ("Clara ran.", "Dawn came."), ("Rain fell.", "Eve.")]
    pages = [page(7 + i, f"Chapter 2, page {7 + i}", *body) for i, body in enumerate(bodies)]
    assert join_pages(pages) == "\n\n".join("\n".join(body) for body in bodies)


def test_heads_of_left_and_right_pages_are_dropped() -> None:
    texts = [f"Line {chr(65 + i)} of the story.\nIt goes on, {chr(97 + i)}." for i in range(6)]
    pages = [f"{('A. Author', 'The Title')[i % 2]}\n\n{text}" for i, text in enumerate(texts)]
    assert join_pages(pages) == "\n\n".join(texts)


@pytest.mark.parametrize(
    "pages",
    [
        ["Title\nbody a\nbody b\nmore", "other\nbody c\nbody d\nmore text"],  # two pages only
        ["1914\na x\nb x\nc x", "1918\na y\nb y\nc y", "1919\na z\nb z\nc z"],  # years do not count
        ["Head\n7", "Head\n8", "Head\n9"],  # nothing else on the pages
        ["same\na 1\na 2\na 3", "x\nb 1\nb 2\nb 3", "y\nc 1\nc 2\nc 3"],  # on one page
    ],
)
def test_lines_that_only_look_like_heads_stay(pages: list[str]) -> None:
    assert join_pages(pages) == "\n\n".join(pages)
