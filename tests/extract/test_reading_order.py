import random

import pytest

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
