"""Directions of lines from boxes made by exact turns, whatever corner a detector begins with."""

import numpy as np
import pytest

from pipelines.extract.pdf.orientation import aligned, direction_of, levelled, sides, trimmed

WIDTH, HEIGHT = 1000.0, 1400.0
# Left edge, upper edge, right edge, lower edge of the lines of an upright page.
LINES = [(100, 100 + 40 * i, 900 - 30 * (i % 3), 128 + 40 * i) for i in range(20)]


def upright() -> np.ndarray:
    """float32[20, 4, 2]."""
    return np.array(
        [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in LINES], np.float32
    )


def turned(boxes: np.ndarray, degrees: float) -> np.ndarray:
    """The boxes of the page turned clockwise around its middle."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    return ((boxes - middle) @ matrix + middle).astype(np.float32)


def begun_anywhere(boxes: np.ndarray) -> np.ndarray:
    """The same boxes; each begins with another corner than the one before."""
    return np.stack([np.roll(box, i, axis=0) for i, box in enumerate(boxes)])


@pytest.mark.parametrize("degrees", [0, 0.7, -0.7, 12, -15, 44, 83, 90, 97, 130])
def test_direction_is_that_of_the_lines_whatever_corner_comes_first(degrees: float) -> None:
    boxes = begun_anywhere(turned(upright(), degrees))
    assert direction_of(boxes) == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize(("degrees", "found"), [(180, 0), (185, 5), (263, 83), (-90, 90)])
def test_direction_does_not_tell_which_end_is_the_beginning(degrees: float, found: float) -> None:
    assert direction_of(turned(upright(), degrees)) == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize("degrees", [0, 5, -15, 83, 97, 180, 263])
def test_boxes_are_levelled_to_where_they_stand_on_the_upright_page(degrees: float) -> None:
    boxes = aligned(begun_anywhere(turned(upright(), degrees)), degrees)
    level, _ = levelled(boxes, degrees, WIDTH, HEIGHT)
    # A page on its side has the other size, around the same middle.
    is_on_its_side = degrees in (83, 97, 263)
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    middle = middle[::-1] if is_on_its_side else middle
    wanted = upright() - np.array([WIDTH / 2, HEIGHT / 2]) + middle
    np.testing.assert_allclose(level, wanted, atol=0.01)


def test_size_of_a_page_on_its_side_is_exchanged() -> None:
    sizes = {
        degrees: tuple(levelled(upright(), degrees, WIDTH, HEIGHT)[1].tolist())
        for degrees in (0, 15, 90, 97, 180, 270)
    }
    high, wide = (WIDTH, HEIGHT), (HEIGHT, WIDTH)
    assert sizes == {0: high, 15: high, 90: wide, 97: wide, 180: high, 270: wide}


def test_lettering_without_a_common_angle_counts_as_level() -> None:
    fan = np.concatenate([turned(upright()[:1], degrees) for degrees in range(-30, 31, 6)])
    assert direction_of(fan) == 0


def test_short_words_tell_rows_from_columns_and_squares_tell_nothing() -> None:
    word = np.array([[(0, 0), (60, 3), (60, 28), (0, 25)]], np.float32)
    square = np.array([[(0, 0), (0, 20), (-20, 20), (-20, 0)]], np.float32)
    assert direction_of(word) == 0
    assert direction_of(turned(word, 90)) == 90
    assert direction_of(square) == 0


def test_long_lines_outweigh_many_short_ones() -> None:
    long, short = upright()[:2], turned(upright()[:6], 90)
    short = aligned(short, 90)
    short[:, 1:3] = short[:, [0, 3]] + 0.2 * (short[:, 1:3] - short[:, [0, 3]])
    assert direction_of(np.concatenate([short, long])) == 0


def test_first_side_of_aligned_boxes_is_their_length() -> None:
    first, second = sides(aligned(begun_anywhere(turned(upright(), 97)), 97))
    np.testing.assert_allclose(first, [x1 - x0 for x0, _, x1, _ in LINES], rtol=1e-4)
    np.testing.assert_allclose(second, 28, rtol=1e-4)


def test_white_is_cut_from_both_ends_along_the_line() -> None:
    box = np.array([[(0, 0), (100, 10), (99, 20), (-1, 10)]], np.float32)
    cut = trimmed(box, np.array([0.1], np.float32), np.array([0.9], np.float32))
    np.testing.assert_allclose(cut, [[(10, 1), (90, 9), (89, 19), (9, 11)]], atol=1e-4)
