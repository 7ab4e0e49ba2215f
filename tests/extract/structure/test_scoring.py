"""Scores of structure: what counts as kept, and by how much what is damaged loses."""

import pytest

from pipelines.extract.structure.fixtures import Answers, CodeBlock, Formula, Rows
from pipelines.extract.structure.marked import read_marked
from pipelines.extract.structure.scoring import PageScore, score_page, summed

CODE = "for число in range(3):\n    print(число)"
ROWS: Rows = (("Город", "Year", None), (None, "2022", "2023"), ("Омск", "1 | 2", "3"))
TABLE = "| Город | Year | |\n|---|---|---|\n| | 2022 | 2023 |\n| Омск | 1 \\| 2 | **3** |"


def answers(
    *,
    code: tuple[CodeBlock, ...] = (),
    tables: tuple[Rows, ...] = (),
    formulas: tuple[str, ...] = (),
    must: tuple[str, ...] = (),
    must_not: tuple[str, ...] = (),
) -> Answers:
    return Answers(
        page="p",
        generator="none",
        language="en",
        code=code,
        tables=tables,
        formulas=tuple(Formula(one, False) for one in formulas),
        must=must,
        must_not=must_not,
    )


def code_scores(
    text: str, language: str | None = "python"
) -> tuple[float, float, tuple[bool, ...]]:
    score = score_page(text, answers(code=(CodeBlock(CODE, language),)))
    return score.code[0], score.code_marked[0], score.code_language


def test_code_verbatim_in_a_fence_is_perfect() -> None:
    assert code_scores(f"Text\n\n```py\n{CODE}\n```\n\nMore") == (1.0, 1.0, (True,))
    indented = "\n".join(f"    {line}" for line in CODE.split("\n"))
    assert code_scores(f"Text\n\n{indented}\n\nMore") == (1.0, 1.0, (False,))
    listed = "\n".join(f"   {line}" for line in f"```\n{CODE}\n```".split("\n"))
    assert code_scores(f"1. Item\n\n{listed}", None) == (1.0, 1.0, ())


def test_code_without_marks_counts_as_code_but_not_as_marked() -> None:
    assert code_scores(f"Text\n\n{CODE}\n\nMore") == (1.0, 0.0, (False,))


def test_every_lost_or_added_character_costs_the_same() -> None:
    flat = CODE.replace("\n    ", "\n")
    assert code_scores(f"```\n{flat}\n```", None)[:2] == (1 - 4 / len(CODE), 1 - 4 / len(CODE))
    numbered = CODE.replace("for", "1for").replace("    p", "2    p")
    anywhere, marked, _ = code_scores(f"```\n{numbered}\n```", None)
    assert marked == 1 - 2 / len(numbered)
    assert anywhere == 1 - 1 / len(CODE)  # the span need not begin at the first number
    assert code_scores("")[0] == 0.0


def table_score(text: str, rows: Rows = ROWS) -> float:
    return score_page(text, answers(tables=(rows,))).tables[0]


def test_table_with_its_cells_in_their_rows_is_perfect() -> None:
    assert table_score(f"Before\n\n{TABLE}\n\nAfter") == 1.0
    assert table_score(TABLE.replace("| Year | |", "| Year | Year |")) == 1.0
    assert table_score(TABLE.replace("|---|---|---|\n", "")) == 1.0
    assert table_score("Город\tYear\n\t2022\t2023\nОмск\t1 | 2\t3".replace("1 | 2", "12")) < 1.0


def test_cells_are_counted_by_precision_and_recall() -> None:
    assert table_score("| Город | Year |\n|---|---|") == 2 * 2 / (7 + 2)
    assert table_score("no table at all") == 0.0
    extra = f"{TABLE}\n| a | b | c |"
    assert table_score(extra) == 2 * 7 / (7 + 10)
    transposed = "| a | c |\n|---|---|\n| b | d |"
    assert table_score(transposed, (("a", "b"), ("c", "d"))) == 2 * 2 / (4 + 4)
    swapped = "| c | d |\n|---|---|\n| a | b |"
    assert table_score(swapped, (("a", "b"), ("c", "d"))) == 0.5


def test_the_best_of_several_tables_counts() -> None:
    assert table_score(f"| x |\n|---|\n| y |\n\n{TABLE}") == 1.0


def formula_scores(text: str, *formulas: str) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    score = score_page(text, answers(formulas=formulas))
    return score.formulas, score.formulas_marked


@pytest.mark.parametrize("text", ["$x^2$", r"\(x^{2}\)", "$$\nx^2\n$$", r"\[ x ^ 2 \]", "a $x^2$."])
def test_formula_between_any_delimiters_counts(text: str) -> None:
    assert formula_scores(text, "x^2") == ((True,), (True,))


def test_formulas_count_as_often_as_they_stand() -> None:
    assert formula_scores("$n$ and $m$", "n", "n", "m")[0] == (True, False, True)
    assert formula_scores("It costs 5 $ or n $ more", "n")[0] == (False,)
    assert formula_scores("```\n$n$\n```\nand `$n$`", "n")[0] == (False,)


def test_bare_formula_counts_where_chance_is_excluded() -> None:
    long = r"\frac{a^2 + b^2}{2}"
    assert formula_scores(f"so {long} holds", long) == ((True,), (False,))
    assert formula_scores("so n holds", "n")[0] == (False,)
    assert formula_scores("so x^2 holds", "x^2")[0] == (False,)


def test_sentences_are_right_where_wanted_and_where_not() -> None:
    expected = answers(must=("Ein Satz.", "Noch\neiner."), must_not=("Menü", "Werbung"))
    score = score_page("**Ein** Satz. Noch einer. | Werbung", expected)
    assert score.must == (True, True, True, False)


def test_means_are_over_blocks_and_not_over_pages() -> None:
    two = PageScore(
        page="a",
        code=(1.0, 0.5),
        code_marked=(0.0, 0.5),
        code_language=(True,),
        tables=(),
        formulas=(True, False),
        formulas_marked=(False, False),
        must=(True,),
    )
    one = PageScore(
        page="b",
        code=(0.0,),
        code_marked=(1.0,),
        code_language=(),
        tables=(1.0,),
        formulas=(),
        formulas_marked=(),
        must=(False,),
    )
    score = summed([two, one])
    assert (score.code, score.code_exact, score.code_marked) == (0.5, 1 / 3, 0.5)
    assert (score.tables, score.formulas, score.must) == (1.0, 0.5, 0.5)


def test_marks_are_read_in_the_usual_dialects() -> None:
    text = (
        "~~~ Python\na\n~~~\n\n> ```\n> b\n> ```\n\n|a|b|\n|:-|-:|\n|c|`d`|\n\nx $a$ \\(b\\) \\$5"
    )
    marked = read_marked(text)
    assert marked.code == [("a", "python"), ("b", "")]
    assert marked.tables == [[["a", "b"], ["c", "d"]]]
    assert marked.formulas == [("a", False), ("b", False)]
