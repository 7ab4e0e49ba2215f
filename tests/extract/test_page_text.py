import pytest

from pipelines.extract.pdf.page_text import Words, flow, join_lines, join_pages, spell_out


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["one line of it", "and another one", "end."], "one line of it and another one end."),
        (["the govern-", "ment of the day"], "the government of the day"),
        (["der Straßen-", "bahnhof war leer"], "der Straßenbahnhof war leer"),
        (["государствен-", "ный совет собрался"], "государственный совет собрался"),
        (["the old Anglo-", "Saxon kings"], "the old Anglo-Saxon kings"),
        (["on the pages 17-", "23 of the book"], "on the pages 17-23 of the book"),
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


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ([], "a wellknown mill"),
        (["It is well-known here."], "a well-known mill"),
        (["He is well and known."], "a well-known mill"),
        (["well and known, wellknown"], "a wellknown mill"),
        (["It is well.", "a word known-"], "a wellknown mill"),  # cut off: no evidence
    ],
)
def test_hyphen_stays_where_the_document_shows_that_it_belongs_to_the_word(
    known: list[str], text: str
) -> None:
    assert flow(["a well-", "known mill"], [True], Words(known)) == text


def test_quotes_of_two_marks_become_one_and_drawn_out_arabic_closes_up() -> None:
    assert spell_out("\u2018\u2018a\u2019\u2019 b\u2019s") == "\u201ca\u201d b\u2019s"
    assert spell_out("بنـــاء الإنسـان") == "بناء الإنسان"


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


@pytest.mark.parametrize(
    ("last", "first", "joined"),
    [
        (
            "The miller lent out his horses in the win-",
            "ter, and in the spring too.",
            "The miller lent out his horses in the winter, and in the spring too.",
        ),
        (
            "Зимой мельник одалживал своих лошадей",
            "всей деревне, и весной тоже.",
            "Зимой мельник одалживал своих лошадей всей деревне, и весной тоже.",
        ),
        (
            "冬になると粉屋は村のみんなに馬を貸し出したので、誰もが喜んで畑へ向かい",
            "春にもまた貸した。",
            "冬になると粉屋は村のみんなに馬を貸し出したので、誰もが喜んで畑へ向かい春にもまた貸した。",
        ),
        ("The miller lent out all of his horses.", "then he slept.", None),
        ("The miller lent out all of his horses", "Then he slept.", None),
        ("## The miller and all of his many horses", "then he slept.", None),
        ("| the miller | lent out | his horses |", "then he slept.", None),
        ("The miller lent out all of his horses", "- then he slept", None),
        ("A short line", "then he slept.", None),
    ],
)
def test_a_paragraph_goes_on_over_the_page(last: str, first: str, joined: str | None) -> None:
    pages = [f"A title.\n\n{last}", f"{first}\n\nAnother one."]
    middle = joined if joined is not None else f"{last}\n\n{first}"
    assert join_pages(pages) == f"A title.\n\n{middle}\n\nAnother one."
