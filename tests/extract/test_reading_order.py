import random

import pytest

from pipelines.extract.pdf.order import PlacedLine, are_woven, flowing_text, runs_backwards
from pipelines.extract.pdf.reading_order import Box, order_boxes


def lines(x0: float, x1: float, y: float, number: int, first: int) -> list[Box]:
    return [Box(first + i, x0, y + 30 * i, x1, y + 30 * i + 20) for i in range(number)]


def order(boxes: list[Box]) -> list[int]:
    return [box.index for block in order_boxes(boxes) for row in block for box in row]


TITLE = [Box(0, 100, 20, 900, 60)]
LEFT = lines(50, 480, 100, 10, first=1)
RIGHT = lines(520, 950, 100, 10, first=11)
FOOT = lines(50, 950, 420, 2, first=21)
TOP = [*TITLE, *LEFT, *RIGHT, *FOOT]


@pytest.mark.parametrize("seed", range(3))
def test_columns_between_lines_over_both_are_read_in_turn(seed: int) -> None:
    boxes = list(TOP)
    random.Random(seed).shuffle(boxes)
    assert order(boxes) == list(range(23))


def test_columns_that_differ_from_band_to_band_are_each_read_in_turn() -> None:
    three = [
        box
        for i in range(3)
        for box in lines(50 + 310 * i, 330 + 310 * i, 500, 5, first=23 + 5 * i)
    ]
    assert order([*three, *TOP]) == list(range(38))


def test_table_stays_in_rows() -> None:
    cells = [
        Box(4 * y + x, 50 + 200 * x, 30 * y, 110 + 200 * x, 30 * y + 20)
        for y in range(6)
        for x in range(4)
    ]
    assert order(cells) == list(range(24))
    assert [len(row) for row in order_boxes(cells)[0]] == [4] * 6


def test_wide_gap_begins_a_block_and_every_box_stays() -> None:
    boxes = [*lines(50, 900, 0, 3, first=0), *lines(50, 900, 200, 2, first=3)]
    assert [[row[0].index for row in block] for block in order_boxes(boxes)] == [[0, 1, 2], [3, 4]]
    assert order_boxes([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_every_box_occurs_once_whatever_the_page(seed: int) -> None:
    chance = random.Random(seed)
    boxes = []
    for i in range(60):
        x, y = chance.uniform(0, 900), chance.uniform(0, 1200)
        boxes.append(Box(i, x, y, x + chance.uniform(5, 500), y + chance.uniform(5, 40)))
    assert sorted(order(boxes)) == list(range(60))


def placed(text: str, left: float, top: float) -> PlacedLine:
    return PlacedLine(text=text, left=left, right=left + 5 * len(text), bottom=top - 10, top=top)


STORY = [
    "the old miller of the village kept",
    "two horses in a stable by the river",
    "and lent them to all who asked for",
    "grain was dear in that long winter and",
    "roads lay deep in snow until the bells",
    "of easter rang over the whole valley so",
    "that even the deaf came out to listen",
]
COLUMN = [placed(text, 50, 700 - 14 * i) for i, text in enumerate(STORY)]


def test_text_that_follows_its_lines_is_not_woven() -> None:
    assert not are_woven(" ".join(STORY), COLUMN)
    assert not are_woven("**" + "**\n\n<u>".join(STORY) + "</u>", COLUMN)


def test_text_whose_columns_are_mixed_is_woven() -> None:
    other = [f"left {i} stands beside it" for i in range(len(STORY))]
    mixed = " ".join(f"{one} {two}" for one, two in zip(STORY, other, strict=True))
    assert are_woven(mixed, COLUMN)


def test_lines_that_are_rows_of_a_table_prove_nothing() -> None:
    table = "\n".join(f"|{'|'.join(line.split())}|x|" for line in STORY)
    assert not are_woven(table, COLUMN)


def test_flowing_text_goes_on_in_the_next_column_and_stops_at_a_heading() -> None:
    heading = PlacedLine(text="Spring", left=50, right=150, bottom=715, top=745)
    second = [placed(text, 320, 700 - 14 * i) for i, text in enumerate(["to the", "sound."])]
    assert flowing_text([heading, *COLUMN, *second]) == (
        "Spring\n\n" + " ".join(STORY) + " to the sound."
    )


@pytest.mark.parametrize(
    "text",
    ["اللغة العربية جميلة في المدرسة الكبيرة", "שלום לכם ילדים טובים", "the cat sat", ""],
)
def test_text_in_the_order_of_speech_does_not_run_backwards(text: str) -> None:
    assert not runs_backwards(text)


@pytest.mark.parametrize("text", ["اللغة العربية جميلة في المدرسة", "שלום לכם ילדים טובים"])
def test_text_in_the_order_of_the_screen_runs_backwards(text: str) -> None:
    assert runs_backwards(text[::-1])
