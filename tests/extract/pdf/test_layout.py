"""Paragraphs, columns, headings, lists and scripts of whole pages."""

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from layout_sheets import HEIGHT, WIDTH, Sheet, text_of

from pipelines.extract.pdf.layout import layout_pages
from pipelines.extract.pdf.layout_runs import PageRuns

LEFT = [
    "The miller of the village kept two horses,",
    "and in the long winter of that year he lent",
    "them to whoever asked, for grain was scarce",
    "and the roads were deep in snow until the",
]
RIGHT = [
    "bells of Easter rang over the whole valley.",
    "Then the ice broke, and the wheel turned",
    "once more with a noise that even the deaf",
    "came out of their houses to listen to.",
]


def test_columns_are_read_in_turn_and_a_sentence_goes_on_in_the_next() -> None:
    page = Sheet().put(150, 100, "Two horses", 20).column(50, 140, LEFT).column(320, 140, RIGHT)
    assert text_of(page) == ["# Two horses\n\n" + " ".join([*LEFT, *RIGHT])]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_the_file_does_not_matter(seed: int) -> None:
    rows = [(50, 140 + 12 * i, line) for i, line in enumerate(LEFT)]
    rows += [(320, 140 + 12 * i, line) for i, line in enumerate(RIGHT)]
    random.Random(seed).shuffle(rows)
    page = Sheet()
    for x, y, line in rows:
        page.put(x, y, line, width=230.0)
    assert text_of(page) == [" ".join([*LEFT, *RIGHT])]


def test_three_columns_below_a_line_over_all() -> None:
    words = ["one river ran", "below a stone", "bridge to sea"]
    page = Sheet().column(50, 100, ["One line of text that lies across all three columns."], 500)
    for i in range(3):
        page.column(50 + 175 * i, 150, [f"{w} {i}" for w in words] * 2, 150)
    found = text_of(page)[0]
    places = [found.index(f"one river ran {i}") for i in range(3)]
    ends = [found.rindex(f"bridge to sea {i}") for i in range(3)]
    assert places[0] < ends[0] < places[1] < ends[1] < places[2] < ends[2]


def test_cards_side_by_side_are_read_row_by_row() -> None:
    page = Sheet()
    for i, name in enumerate(["First", "Second", "Third", "Fourth"]):
        x, y = 50 + 270 * (i % 2), 100 + 150 * (i // 2)
        page.put(x, y, f"{name} card of the set", bold=True)
        page.column(x, y + 24, [f"{line} {i}" for line in LEFT])
    found = text_of(page)[0]
    order = sorted(["First", "Second", "Third", "Fourth"], key=found.index)
    assert order == ["First", "Second", "Third", "Fourth"]


def test_indent_begins_a_paragraph_and_a_short_line_ends_one() -> None:
    page = Sheet()
    page.column(50, 100, ["He lent them to whoever asked for them then.", "Grain was dear."])
    page.put(62, 124, "The second paragraph of it begins further in", width=218)
    page.put(50, 136, "and goes on to the end.")
    assert text_of(page) == [
        "He lent them to whoever asked for them then. Grain was dear.\n\n"
        "The second paragraph of it begins further in and goes on to the end."
    ]


def test_indent_after_a_full_line_that_ends_a_sentence_begins_a_paragraph() -> None:
    page = Sheet().put(50, 100, "He lent them to whoever asked for it then.", width=230)
    page.put(62, 112, "Grain was dear in all of that long winter", width=218)
    page.put(50, 124, "and the roads were deep in snow.")
    assert text_of(page) == [
        "He lent them to whoever asked for it then.\n\n"
        "Grain was dear in all of that long winter and the roads were deep in snow."
    ]


def test_lines_of_verse_stay_lines() -> None:
    page = (
        Sheet().put(50, 100, "Tyger Tyger, burning bright,").put(50, 112, "In the forests of it;")
    )
    page.put(50, 136, "x" * 80)
    assert text_of(page)[0].startswith("Tyger Tyger, burning bright,\nIn the forests of it;")


def test_words_broken_at_the_end_of_a_line_are_whole_and_compounds_keep_their_hyphen() -> None:
    page = Sheet().column(
        50,
        100,
        [
            "The well-known miller lent out his hor-",
            "ses, and they were soon as well-",
            "known as he was, the old Anglo-",
            "Saxon mill and the state-of-the-",
            "art wheel of it.",
        ],
    )
    assert text_of(page) == [
        "The well-known miller lent out his horses, and they were soon as well-known as he was, "
        "the old Anglo-Saxon mill and the state-of-the-art wheel of it."
    ]


def test_levels_of_headings_are_those_of_their_numbers_and_sizes() -> None:
    page = Sheet().put(50, 100, "A mill and its horses", 20)
    page.put(50, 140, "Grain", 14).column(50, 160, LEFT)
    page.put(50, 230, "2.1.3 Roads in snow", 10, bold=True).column(50, 250, LEFT)
    page.put(50, 330, "Wheels", 14).column(50, 350, LEFT)
    headings = [line for line in text_of(page)[0].split("\n") if line.startswith("#")]
    assert headings == [
        "# A mill and its horses",
        "## Grain",
        "#### 2.1.3 Roads in snow",
        "## Wheels",
    ]


def test_items_of_lists_stand_below_each_other_with_their_lines_joined() -> None:
    page = Sheet().column(50, 100, LEFT)
    page.put(60, 160, "\u2022").put(70, 160, "a bag of grain that is as heavy as a man,", width=210)
    page.put(70, 172, "and one more")
    page.put(60, 184, "\uf0b7").put(70, 184, "two horses")
    page.put(60, 196, "3)").put(72, 196, "a cart")
    assert text_of(page)[0].split("\n\n")[1] == (
        "- a bag of grain that is as heavy as a man, and one more\n- two horses\n3) a cart"
    )


def test_exponents_are_marked_and_belong_to_their_line() -> None:
    page = Sheet().column(50, 100, LEFT).put(50, 200, "about 10", width=40)
    page.put(90, 197, "5", 6).put(93.5, 200, " letters in H", width=60)
    page.put(153.5, 205, "2", 6).put(157, 200, "O")
    assert text_of(page)[0].endswith("about 10<sup>5</sup> letters in H<sub>2</sub>O")


def test_initial_over_two_lines_belongs_to_the_first_word() -> None:
    page = Sheet().put(50, 100, "O", 26, width=18)
    page.put(70, 102, "ver the past three decades the pressure", width=210)
    page.put(70, 114, "of the ice has grown, and the mill with it", width=210)
    page.put(50, 126, "has sunk into the sand of the river, year by", width=230)
    assert text_of(page)[0].startswith("Over the past three decades the pressure of the ice")


def test_arabic_is_read_from_the_right_and_its_columns_too() -> None:
    right = ["كان الطحان في القرية يملك حصانين اثنين", "وأعارهما في الشتاء الطويل لمن طلبهما"] * 2
    left = ["لأن الحبوب كانت نادرة في تلك السنة كلها", "والطرق غارقة في الثلوج حتى عيد الربيع"] * 2
    page = Sheet()
    for i, (one, two) in enumerate(zip(right, left, strict=True)):
        page.put(50, 100 + 14 * i, two, width=230).put(320, 100 + 14 * i, one, width=230)
    assert " ".join(text_of(page)[0].split()) == " ".join([*right, *left])


def test_runs_of_a_line_of_hebrew_are_joined_from_the_right() -> None:
    page = Sheet().put(300, 100, "שלום לכם", width=40).put(262, 100, "ילדים", width=33)
    assert text_of(page) == ["שלום לכם ילדים"]


def test_vertical_lines_of_japanese_are_read_from_the_right() -> None:
    columns = ["吾輩は猫である。名前", "はまだ無い。どこで生", "れたかとんと見当がつ", "かぬ。"]
    page = Sheet()
    for i, column in enumerate(columns):
        for k, letter in enumerate(column):
            page.put(500 - 24 * i, 100 + 14 * k, letter, 14, width=14)
    assert text_of(page) == ["".join(columns)]


def test_lines_of_chinese_are_joined_without_a_space() -> None:
    page = (
        Sheet()
        .put(50, 100, "今天天气很好我们一起", width=230)
        .put(50, 114, "去公园散步。", width=138)
    )
    assert text_of(page) == ["今天天气很好我们一起去公园散步。"]


def test_what_is_drawn_twice_is_read_once() -> None:
    page = Sheet().put(50, 100, "BOLD BY SHADOW").put(50.4, 100.3, "BOLD BY SHADOW")
    found = layout_pages([page.runs])[0]
    assert found.text == "BOLD BY SHADOW"
    assert found.dropped == (("repeated", "BOLD BY SHADOW"),)


def test_hidden_text_goes_where_most_is_seen_and_stays_where_most_is_not() -> None:
    page = Sheet().column(50, 100, LEFT).put(50, 400, "Click to add text", hidden=True)
    found = layout_pages([page.runs])[0]
    assert found.text == " ".join(LEFT)
    assert found.dropped == (("hidden", "Click to add text"),)
    scan = Sheet().put(50, 100, "the text of a scan, by an OCR program", hidden=True)
    assert text_of(scan.put(50, 780, "7")) == ["the text of a scan, by an OCR program"]


def test_notes_stand_after_the_text_but_before_what_goes_on() -> None:
    note = "1 So it was told in the village."
    ended = Sheet().column(50, 100, [*LEFT, "end."]).put(50, 700, note, 8)
    assert text_of(ended)[0] == " ".join([*LEFT, "end."]) + "\n\n" + note
    open_end = Sheet().column(50, 100, ["A first paragraph of two lines stands here", "alone."])
    open_end.column(50, 160, LEFT, 230).put(50, 700, note, 8)
    assert text_of(open_end)[0].split("\n\n")[1:] == [note, " ".join(LEFT)]


def test_letterspaced_words_are_closed_up() -> None:
    assert text_of(Sheet().put(50, 100, "S U M M A R Y of a b c")) == ["SUMMARY of a b c"]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_whatever_the_page(seed: int) -> None:
    chance = random.Random(seed)
    page = Sheet()
    for i in range(60):
        page.put(
            chance.uniform(0, WIDTH - 100),
            chance.uniform(0, HEIGHT - 20),
            f"w{i}x",
            chance.choice([6, 9, 10, 10, 10, 14, 30]),
            bold=chance.random() < 0.2,
            turn=chance.choice([0, 0, 0, 0, 1, 3, 4]),
        )
    found = layout_pages([page.runs])[0]
    all_of_it = " ".join([found.text, *(text for _, text in found.dropped)])
    assert sorted(re.findall(r"w\d+x", all_of_it)) == sorted(f"w{i}x" for i in range(60))


def test_page_without_runs_is_empty() -> None:
    nothing = PageRuns(
        width=0.0,
        height=0.0,
        texts=[],
        box=np.zeros((0, 4), np.float32),
        size=np.zeros(0, np.float32),
    )
    assert layout_pages([nothing])[0].text == ""
    assert layout_pages([]) == []


def test_raised_piece_of_a_bracket_is_no_mark_and_no_heading() -> None:
    page = Sheet().column(50, 200, LEFT).put(50, 300, ")", 14).put(58, 296, "\uf8f9", 8)
    page.column(50, 340, RIGHT)
    found = text_of(page)[0]
    assert "<sup>" not in found
    assert "#" not in found


def test_marks_of_raised_signs_are_no_letters_of_a_heading() -> None:
    page = Sheet().column(50, 200, LEFT).put(50, 300, "(", 14).put(58, 296, "2", 8)
    page.column(50, 340, RIGHT)
    found = text_of(page)[0]
    assert "(<sup>2</sup>" in found
    assert "#" not in found
