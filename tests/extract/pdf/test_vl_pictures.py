"""Pictures of pages as a model gets them: their size, colour, turn; what needs no picture."""

import io

import numpy as np
import pymupdf
import pytest
from pdf_files import pdf_of, scan_of
from PIL import Image
from vl_runs import saved, sheet

from pipelines.config import PdfConfig
from pipelines.extract.pdf.document import draw_scan
from pipelines.extract.pdf.schema import Drawing
from pipelines.extract.pdf.vl_pictures import png_of, turned

VL = PdfConfig(ocr="vl", ocr_model="reader")


def decoded(png: bytes | None) -> Image.Image:
    assert png is not None
    return Image.open(io.BytesIO(png))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def drawn(payload: bytes, media_type: str = "application/pdf", **more: bool) -> Drawing:
    return draw_scan(payload, 1, VL, media_type, **more)


def page_of(width: float, height: float) -> bytes:
    with pymupdf.open() as document:
        page = document.new_page(width=width, height=height)
        page.draw_rect(pymupdf.Rect(0, 0, width / 2, height / 2), fill=(0, 0, 0))
        data: bytes = document.tobytes()
    return data


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ((595, 842), (911, 1288)),  # A4
        ((842, 595), (1288, 911)),
        ((2384, 3370), (912, 1288)),  # A0
        ((144, 72), (600, 300)),  # a card: no more than 300 dpi
        ((2000, 4), (1288, 28)),  # a strip, on paper that is as high as models want it
    ],
)
def test_a_page_is_1288_pixels_long_and_never_blown_up(
    points: tuple[float, float], size: tuple[int, int]
) -> None:
    assert decoded(drawn(page_of(*points)).png).size == size


def test_a_picture_is_shrunk_and_not_enlarged() -> None:
    small, large = sheet(1, "red"), sheet(1, "red").resize((2000, 3000))
    same = decoded(drawn(saved(small, kind="PNG"), "image/png").png)
    assert np.array_equal(pixels(same), pixels(small))
    assert decoded(drawn(saved(large, kind="PNG"), "image/png").png).size == (859, 1288)


def test_grey_pages_are_sent_in_grey_and_colours_are_kept() -> None:
    grey = decoded(drawn(scan_of(sheet(1).convert("L"))).png)
    assert grey.mode == "L"
    red = np.zeros((30, 40, 3), np.uint8)
    red[:, :, 2] = 255  # blue first
    assert decoded(png_of(red, 1288)).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turns_are_clockwise(degrees: int) -> None:
    page = sheet(2, "red")
    expected = np.rot90(pixels(page), -degrees // 90)
    assert np.array_equal(pixels(decoded(turned(saved(page, kind="PNG"), degrees))), expected)


def test_the_bytes_are_the_same_each_time() -> None:
    assert drawn(page_of(300, 400)).png == drawn(page_of(300, 400)).png


def test_what_needs_no_reading_has_no_picture() -> None:
    assert [
        (found.page.outcome, found.page.reason, found.png)
        for found in (
            drawn(saved(Image.new("L", (300, 300), 255), kind="PNG"), "image/png"),
            drawn(scan_of(sheet(1)), may_ocr=False),
            drawn(pdf_of([(60, 100, "A word")])[:400]),
            drawn(page_of(40000, 1)),
        )
    ] == [
        ("blank", None, None),
        ("rejected", "ocr_budget", None),
        ("rejected", "broken_page", None),
        ("rejected", "broken_page", None),
    ]
