"""Text layers of real PDF bytes, through both engines."""

import sys
from pathlib import Path

import pymupdf
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from pdf_files import A4, PARAGRAPH, column, pdf_of, picture, scan_of

from pipelines.extract.pdf.layers import Layer, read_layers
from pipelines.extract.pdf.opening import open_pdf


def layers(payload: bytes, engine: str = "pdfium") -> list[Layer]:
    with open_pdf(payload) as pdf:
        return read_layers(pdf, pdf.num_pages, engine)


@pytest.mark.parametrize("engine", ["pdfium", "pymupdf"])
def test_engines_give_one_text(engine: str) -> None:
    payload = pdf_of(
        [*column(PARAGRAPH, 60, 200, 40), *column("Anna sang. " * 12, 320, 200, 40)],
        [(60, 100, "A second page."), (290, 810, "2")],
    )
    one, two = layers(payload, engine)
    assert one.text == f"{PARAGRAPH}\n\n" + " ".join(["Anna sang."] * 12)
    assert two.text == "A second page."
    assert two.dropped == (("page_number", "2"),)
    assert one.reader.endswith("tokenmill-layout/1")


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_page_reads_as_it_is_shown(turn: int) -> None:
    with pymupdf.open() as document:
        page = document.new_page(width=A4[0], height=A4[1])
        for x, y, text in column(PARAGRAPH, 100, 100, 60):
            page.insert_text((x, y), text, fontsize=11)
        page.set_rotation(turn)
        payload = document.tobytes()
    # Text that is turned on the page as it is shown is turned back.
    assert layers(payload)[0].text == PARAGRAPH


def test_rules_of_a_drawn_table_are_read() -> None:
    with pymupdf.open() as document:
        page = document.new_page(width=A4[0], height=A4[1])
        for i, row in enumerate([("Horse", "4"), ("Goose", "2"), ("Bee", "6")]):
            page.draw_rect((100, 100 + 20 * i, 200, 120 + 20 * i))
            page.draw_rect((200, 100 + 20 * i, 300, 120 + 20 * i))
            page.insert_text((105, 115 + 20 * i), row[0])
            page.insert_text((205, 115 + 20 * i), row[1])
        payload = document.tobytes()
    assert layers(payload)[0].text == "| Horse | 4 |\n| --- | --- |\n| Goose | 2 |\n| Bee | 6 |"


def test_text_under_a_picture_and_text_that_is_not_drawn_are_told() -> None:
    with pymupdf.open() as document:
        page = document.new_page(width=A4[0], height=A4[1])
        page.insert_text((60, 100), "under the picture")
        page.insert_text((60, 700), "never drawn", render_mode=3)
        page.insert_image((40, 40, 500, 400), stream=_png(), keep_proportion=False)
        page.insert_text((60, 600), "and this is seen by all who look at the page")
        payload = document.tobytes()
    layer = layers(payload)[0]
    assert layer.text == "and this is seen by all who look at the page"
    assert set(layer.dropped) == {("hidden", "under the picture"), ("hidden", "never drawn")}
    signs = layer.signs
    assert (signs.num_covered, signs.num_invisible, signs.num_garbled) == (15, 10, 0)
    assert signs.num_chars == 15 + 10 + 34
    assert signs.image_share == pytest.approx(460 * 360 / (A4[0] * A4[1]), rel=0.05)


def _png() -> bytes:
    import io

    target = io.BytesIO()
    picture(["A sheet"]).save(target, "PNG")
    return target.getvalue()


def test_scan_has_no_text_and_says_so_in_its_signs() -> None:
    layer = layers(scan_of(picture(["Some print"])))[0]
    assert (layer.text, layer.signs.num_chars) == ("", 0)
    assert layer.signs.image_share > 0.9


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of pdfium, pymupdf"):
        layers(pdf_of([(60, 100, "x")]), "mupdf")


def test_kernels_are_compiled_by_reading_a_page() -> None:
    from pipelines.extract.pdf.warm import warm

    assert warm() == ["A mill in the village and two horses."]
