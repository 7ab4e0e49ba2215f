"""Tables between lines and without, and what only looks like one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from layout_sheets import Sheet, text_of

STORY = [
    "The miller of the village kept two horses,",
    "and in the long winter of that year he lent",
    "them to whoever asked, for grain was scarce",
    "and the roads were deep in snow for months.",
]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of the Markdown tables of a text, without the line below the heading."""
    found = []
    for block in text.split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            rows = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
            assert set(rows[1]) == {"---"}
            found.append([rows[0], *rows[2:]])
    return found


ROWS = [
    ["Animal", "Legs", "Weight"],
    ["Horse", "4", "512.5 kg"],
    ["Goose", "2", "3.9 kg"],
    ["Bee", "6", "0.1 g"],
]


def grid(page: Sheet, x: float, y: float, widths: list[float], rows: list[list[str]]) -> Sheet:
    for i, row in enumerate(rows):
        left = x
        for cell, width in zip(row, widths, strict=True):
            if cell:
                page.put(left, y + 16 * i, cell)
            left += width
    return page


def test_table_of_three_lines_as_books_have_it() -> None:
    page = grid(Sheet(), 100, 100, [120, 80, 80], ROWS)
    page.rules += [(90, y, 400, y + 0.5) for y in (96, 113, 164)]
    page.put(100, 80, "Table 1. Animals of the mill").column(100, 200, STORY)
    found = text_of(page)[0]
    assert tables(found) == [ROWS]
    assert found.startswith("Table 1. Animals of the mill\n\n|")
    assert found.endswith(" ".join(STORY))


def test_grid_with_cells_of_several_lines() -> None:
    page = Sheet()
    for i in range(4):
        page.rules.append((100, 100 + 40 * i, 460, 100 + 40 * i))
    for x in (100, 220, 460):
        page.rules.append((x, 100, x, 220))
    page.put(105, 110, "Animal").put(225, 110, "What it does")
    page.put(105, 150, "Horse").put(225, 145, "carries the grain to the mill and", width=230)
    page.put(225, 157, "the flour to the village")
    page.put(105, 190, "Goose").put(225, 185, "guards the house | the yard")
    assert tables(text_of(page)[0]) == [
        [
            ["Animal", "What it does"],
            ["Horse", "carries the grain to the mill and the flour to the village"],
            ["Goose", "guards the house \\| the yard"],
        ]
    ]


def test_heading_over_several_columns_stands_in_the_first_of_them() -> None:
    page = grid(Sheet(), 100, 120, [120, 80, 80], [["", "1914", "1915"], *ROWS[1:]])
    page.put(290, 104, "Years of war")
    page.rules += [(90, y, 400, y + 0.5) for y in (100, 136, 184)]
    page.rules.append((215, 117, 380, 117.5))
    assert tables(text_of(page)[0])[0][:2] == [["", "Years of war", ""], ["", "1914", "1915"]]


def test_slanted_headings_stand_where_they_begin() -> None:
    page = grid(Sheet(), 100, 140, [120, 80, 80], ROWS[1:])
    for i, name in enumerate(["Animal", "Legs", "Weight"]):
        page.put([100, 220, 300][i], 120, name, width=5, turn=4)
    page.rules += [(90, y, 400, y + 0.5) for y in (90, 136, 190)]
    assert tables(text_of(page)[0]) == [ROWS]


def test_columns_that_align_are_a_table_without_any_line() -> None:
    rows = [
        ["Horse", "4", "512.5"],
        ["Goose", "2", "3.9"],
        ["Bee", "6", "0.1"],
        ["Cow", "4", "650"],
    ]
    page = grid(Sheet().column(100, 60, STORY), 100, 130, [120, 80, 80], rows)
    assert tables(text_of(page)[0]) == [rows]


def test_columns_of_prose_between_lines_are_no_table() -> None:
    page = Sheet().column(50, 110, STORY).column(320, 110, STORY)
    page.rules += [(40, 100, 560, 100.5), (40, 170, 560, 170.5)]
    assert text_of(page)[0] == " ".join(STORY) + "\n\n" + " ".join(STORY)


def test_frame_around_a_paragraph_is_no_table() -> None:
    page = Sheet().column(100, 110, STORY)
    page.rules += [
        (90, 100, 340, 100),
        (90, 170, 340, 170),
        (90, 100, 90, 170),
        (340, 100, 340, 170),
    ]
    assert text_of(page)[0] == " ".join(STORY)


def test_items_of_a_list_are_no_table() -> None:
    page = Sheet()
    for i, line in enumerate(STORY):
        page.put(60, 100 + 14 * i, f"{i + 1}.").put(90, 100 + 14 * i, line, width=230)
    assert text_of(page)[0] == "\n".join(f"{i + 1}. {line}" for i, line in enumerate(STORY))


def test_two_columns_of_items_in_a_box_are_lists() -> None:
    page = Sheet().put(100, 100, "Key points", bold=True)
    left = ["The wheel of the mill turns,", "and so the stones have to grind."]
    right = ["The miller sleeps and snores", "through the day and the night."]
    for i in range(6):
        page.put(100, 120 + 24 * i, "\u2022 " + left[0]).put(100, 132 + 24 * i, left[1])
        page.put(300, 120 + 24 * i, "\u2022 " + right[0]).put(300, 132 + 24 * i, right[1])
    page.rules += [(90, y, 490, y + 0.5) for y in (96, 113, 268)]
    found = text_of(page)[0]
    items = ["- " + " ".join(left)] * 6 + ["- " + " ".join(right)] * 6
    assert [line for line in found.split("\n") if line] == ["# Key points", *items]


def test_narrow_columns_of_items_stay_a_table() -> None:
    page = grid(Sheet(), 100, 100, [120, 80], [["Has", "Lacks"]])
    for i in range(4):
        page.put(100, 120 + 12 * i, "\u2022 four legs").put(220, 120 + 12 * i, "\u2022 wings")
    page.rules += [(90, y, 320, y + 0.5) for y in (96, 113, 172)]
    cells = tables(text_of(page)[0])
    assert cells == [[["Has", "Lacks"], *[["\u2022 four legs", "\u2022 wings"]] * 4]]
