"""What stands around the text: heads, feet, numbers of pages and lines, stamps."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from layout_sheets import Sheet, text_of

from pipelines.extract.pdf.layout import layout_pages

STORY = [
    "The miller of the village kept two horses, and in the long winter of that year he lent them",
    "to whoever asked, for grain was scarce and the roads were deep in snow until the bells of",
    "Easter rang over the whole valley, so that even the deaf came out of their houses to listen",
    "to them, and the wheel turned once more with a noise that nobody in the village had heard",
]


def story(first: int = 0) -> Sheet:
    page = Sheet()
    for i in range(12):
        page.put(50, 120 + 12 * i, STORY[(first + i) % 4], width=500)
    return page


def dropped(page: Sheet) -> dict[str, str]:
    return {text: reason for reason, text in layout_pages([page.runs])[0].dropped}


@pytest.mark.parametrize(
    ("x", "y", "text", "size", "reason"),
    [
        (295, 770, "17", 10, "page_number"),
        (295, 40, "- 17 -", 10, "page_number"),
        (295, 770, "xiv", 10, "page_number"),
        (50, 770, "Downloaded from http://example.org on July 12, 2017", 8, "running_foot"),
        (50, 30, "Journal of Mills, Vol. 3, No. 2, 1914", 8, "running_head"),
        (50, 770, "Загружено: 28 декабря 2018", 8, "running_foot"),
    ],
)
def test_line_at_the_edge_of_a_single_page_that_is_no_text(
    x: float, y: float, text: str, size: float, reason: str
) -> None:
    page = story().put(x, y, text, size)
    assert dropped(page) == {text: reason}
    assert text not in text_of(page)[0]


def test_pieces_at_both_ends_of_a_line_are_a_head() -> None:
    page = story().put(50, 40, "Chapter 3").put(510, 40, "273")
    assert dropped(page) == {"Chapter 3": "running_head", "273": "running_head"}


def test_foot_of_two_lines_goes_wholly() -> None:
    page = story().put(50, 760, "P/N 119-036", 8).put(500, 760, "10 June 2019", 8)
    page.put(50, 772, "www.example.org/mills", 8)
    assert set(dropped(page)) == {"P/N 119-036", "10 June 2019", "www.example.org/mills"}


@pytest.mark.parametrize(
    ("x", "y", "text", "size"),
    [
        (50, 60, "On mills and horses", 20),  # a title
        (50, 770, "1 So it was told in the village by the old.", 8),  # a note
        (50, 400, "www.example.org", 8),  # amid the page
        (50, 266, "17", 10),  # a line of text
    ],
)
def test_what_is_text_stays(x: float, y: float, text: str, size: float) -> None:
    page = story().put(x, y, text, size)
    assert dropped(page) == {}
    assert text in text_of(page)[0]


def test_last_line_of_a_full_page_stays() -> None:
    page = Sheet()
    for i in range(60):
        page.put(50, 50 + 12 * i, STORY[i % 4], width=500)
    assert dropped(page) == {}
    assert text_of(page)[0].count("miller") == 15


def test_lines_that_repeat_at_one_height_go_with_their_numbers() -> None:
    pages = [story(i).put(200, 90, f"The horses of the village, part {i}", 10) for i in range(1, 5)]
    found = layout_pages([page.runs for page in pages])
    for number, page in enumerate(found, start=1):
        assert page.dropped == (("running_head", f"The horses of the village, part {number}"),)
        assert "part" not in page.text
    assert "part 1" in text_of(pages[0])[0]  # on one page it is no head


def test_page_of_nothing_but_a_head_keeps_it() -> None:
    pages = [Sheet().put(50, 40, "Annual report 2018", 8) for _ in range(3)]
    assert text_of(*pages) == ["Annual report 2018"] * 3


def test_stamp_beside_the_text_goes_and_turned_text_within_it_stays() -> None:
    page = story().put(15, 250, "arXiv:2103.15348v2 [cs.CV] 21 Jun 2021", 20, turn=3)
    page.put(300, 400, "Number of horses", 8, turn=3)
    assert dropped(page) == {"arXiv:2103.15348v2 [cs.CV] 21 Jun 2021": "margin_note"}
    assert "Number of horses" in text_of(page)[0]


def test_numbers_of_lines_go_and_a_column_of_figures_stays() -> None:
    page, table = story(), story()
    for i in range(12):
        page.put(30, 120 + 12 * i, str(i + 1), 8)
        table.put(30, 120 + 12 * i, str(7 * i * i % 31), 8)
    assert dropped(page) == {str(i + 1): "line_number" for i in range(12)}
    assert dropped(table) == {}


def test_foot_of_several_long_lines_that_repeats_goes_wholly() -> None:
    lines = [
        "This is given in good faith and without any warranty by the mill and its heirs, who " * 2,
        "are not liable for what the horses did, nor for what they were told to do by others " * 2,
        "and reserve the right to change these words wherever they stand, at any time at all " * 2,
    ]
    pages = [story(i) for i in range(3)]
    for page in pages:
        for i, text in enumerate(lines):
            page.put(50, 740 + 8 * i, text.strip(), 6, width=500)
    for found in layout_pages([page.runs for page in pages]):
        assert found.dropped == tuple(("running_foot", text.strip()) for text in lines)
        assert "warranty" not in found.text
