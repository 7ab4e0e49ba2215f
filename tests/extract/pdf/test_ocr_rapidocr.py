"""Drawn pages, upright, turned and askew, read by RapidOCR: one text whatever their turn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pipelines.extract.pdf.ocr import Reading
from pipelines.extract.pdf.ocr_lines import text_of_lines
from pipelines.extract.pdf.ocr_rapidocr import RapidOcr

HEADLINE = "Horses and mules"
LEFT = [
    "The miller of the village kept two",
    "horses, and in the long winter of",
    "that year he lent them to whoever",
    "asked, for grain was scarce and all",
    "the roads were deep in snow. Those",
    "who had none of their own came with",
    "a sledge, and he gave them what he",
    "had, and wrote down nothing of it.",
]
RIGHT = [
    "When spring came the elder of both",
    "was lame, and nobody would say on",
    "whose errand it had happened. So he",
    "sold the cart, bought a mule from a",
    "cousin in the valley, and swore that",
    "he would lend nothing more, be it a",
    "mule or a rope, to anybody who had",
    "not paid him for it long before.",
]
TEXT = f"# {HEADLINE}\n\n{' '.join(LEFT)}\n\n{' '.join(RIGHT)}"


def sheet() -> Image.Image:
    """A headline over two columns of eight lines."""
    page = Image.new("RGB", (900, 520), "white")
    draw = ImageDraw.Draw(page)
    draw.text((230, 40), HEADLINE, fill=0, font=ImageFont.load_default(56))
    for x, column in ((40, LEFT), (480, RIGHT)):
        for i, line in enumerate(column):
            draw.text((x, 150 + 38 * i), line, fill=0, font=ImageFont.load_default(22))
    return page


def pixels(page: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(page)[:, :, ::-1])


@pytest.mark.parametrize("turn", [0, 97, 180, 263, -12])
def test_pages_are_read_alike_in_any_turn(turn: int) -> None:
    askew = sheet().rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    found = RapidOcr().read(pixels(askew))
    assert found.text == TEXT
    assert found.confidence is not None
    assert found.confidence > 0.95


def test_a_strip_of_one_line_is_read() -> None:
    strip = Image.new("RGB", (800, 40), "white")
    text = "The miller of the village kept two horses."
    ImageDraw.Draw(strip).text((10, 4), text, fill=0, font=ImageFont.load_default(26))
    assert RapidOcr().read(pixels(strip)).text == text


def test_a_page_without_lines_has_no_text() -> None:
    found = RapidOcr().read(np.full((200, 300, 3), 255, np.uint8))
    assert (found.text, found.reason) == (None, "ocr_no_text")


def test_lines_are_put_in_order_and_broken_words_joined() -> None:
    rows = [(40, "This page has two col-"), (70, "umns of a few lines, and"), (100, "no table.")]
    boxes = [[(50, y), (450, y), (450, y + 24), (50, y + 24)] for y, _ in rows]
    texts = [text for _, text in rows]
    places = np.array(boxes, np.float32)[[2, 0, 1]]
    found = text_of_lines([texts[i] for i in (2, 0, 1)], places, np.array([600, 800], np.float32))
    assert found == "This page has two columns of a few lines, and no table."


def test_low_lines_are_no_other_size_and_tall_ones_are_headlines() -> None:
    rows = [
        (40, 60, "Of mules"),
        (140, 30, "Play begins with a tall letter and goes on"),
        (173, 22, "as we see some are so even as"),
        (205, 30, "Billy did, who had a longer stick than others."),
    ]
    boxes = [[(50, y), (650, y), (650, y + h), (50, y + h)] for y, h, _ in rows]
    size = np.array([800, 1000], np.float32)
    found = text_of_lines([text for *_, text in rows], np.array(boxes, np.float32), size)
    assert found == "# Of mules\n\n" + " ".join(text for *_, text in rows[1:])


def test_no_lines_are_no_text() -> None:
    none = np.zeros((0, 4, 2), np.float32)
    assert text_of_lines([], none, np.array([1, 1], np.float32)) == ""
    assert Reading(text="a").confidence is None
