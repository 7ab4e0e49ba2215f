"""The set of pages: large and various enough, and its answers are right about its pages."""

from collections import Counter

from lxml import html

from pipelines.extract.structure.fixtures import Answers, read_answers, read_page
from pipelines.extract.structure.scoring import score_structure
from pipelines.extract.structure.spans import distance, span_distance

ANSWERS = read_answers()


def perfect(answers: Answers) -> str:
    """What an engine without a mistake would give."""
    parts = [f"```{one.language or ''}\n{one.text}\n```" for one in answers.code]
    for rows in answers.tables:
        lines = [
            "| " + " | ".join((c or "").replace("|", "\\|") for c in row) + " |" for row in rows
        ]
        parts.append("\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]))
    parts += [f"$$\n{f.latex}\n$$" if f.is_display else f"a ${f.latex}$" for f in answers.formulas]
    return "\n\n".join([*parts, *answers.must])


def seen(page: bytes) -> str:
    """All text of a page, white space as one space."""
    tree = html.document_fromstring(page, parser=html.HTMLParser(encoding="utf-8"))
    return " ".join(" ".join(tree.itertext()).split())


def test_the_set_is_as_large_as_it_says() -> None:
    assert len(ANSWERS) >= 75
    assert len({one.page for one in ANSWERS}) == len(ANSWERS)
    assert len({one.generator for one in ANSWERS}) >= 70
    num = Counter[str]()
    for one in ANSWERS:
        num.update(code=bool(one.code), tables=bool(one.tables), formulas=bool(one.formulas))
        assert one.code or one.tables or one.formulas
        assert one.must
        assert one.must_not
    assert min(num.values()) >= 25


def test_a_perfect_engine_scores_one() -> None:
    score = score_structure([perfect(one) for one in ANSWERS], ANSWERS)
    assert (score.code, score.code_marked, score.code_language) == (1, 1, 1)
    assert (score.tables, score.formulas, score.formulas_marked, score.must) == (1, 1, 1, 1)


def test_an_engine_that_gives_nothing_scores_nothing() -> None:
    score = score_structure([""] * len(ANSWERS), ANSWERS)
    assert (score.code, score.tables, score.formulas) == (0, 0, 0)


def test_sentences_and_cells_stand_on_their_pages() -> None:
    for one in ANSWERS:
        page = read_page(one.page)
        squeezed = seen(page).replace(" ", "").replace("\u200b", "")
        cells = [cell for rows in one.tables for row in rows for cell in row if cell]
        missing = [
            text
            for text in [*one.must, *cells]
            if "".join(text.split()).replace("\xa0", "") not in squeezed.replace("\xa0", "")
        ]
        assert missing == [], one.page
        raw = page.decode("utf-8").replace("&amp;", "&")
        assert [text for text in one.must_not if text not in raw] == [], one.page


def test_edits_are_counted_by_code_point() -> None:
    assert distance("", "añb") == 3
    assert distance("añb", "anb") == 1
    assert span_distance("código", "el código es") == 0
    assert span_distance("código", "el codigo es") == 1
