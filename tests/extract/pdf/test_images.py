"""Pictures in every form that their formats have: exact pixels, frames, limits and damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PdfConfig
from pipelines.extract.pdf.document import read_pdf
from pipelines.extract.pdf.images import count_frames, render_frame
from pipelines.extract.pdf.opening import PdfRefused

WHITE, BLACK = 255, 0


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


Colour = float | tuple[int, ...]


def corner(mode: str = "L", white: Colour = WHITE, black: Colour = BLACK) -> Image.Image:
    """40 x 24 pixels of white with a dark block of 8 x 8 at the upper left."""
    sheet = Image.new(mode, (40, 24), white)
    sheet.paste(black, (0, 0, 8, 8))
    return sheet


def png_of(width: int, height: int) -> bytes:
    """A PNG of that size, as its header says, with hardly a byte in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def reason_of(payload: bytes, number: int = 1) -> str:
    with pytest.raises(PdfRefused) as refused:
        render_frame(payload, number)
    return refused.value.reason


def test_colours_come_blue_first() -> None:
    sheet = Image.new("RGB", (3, 2), (10, 20, 30))
    found = render_frame(saved(sheet, "PNG"), 1)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((2, 3, 3), np.uint8, True)
    assert found[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize(
    ("form", "image"),
    [
        ("PNG", corner("L")),
        ("PNG", corner("1", 1, 0)),
        ("PNG", corner("L").convert("P")),
        ("PNG", corner("RGBA", (255, 255, 255, 255), (0, 0, 0, 255))),
        ("PNG", corner("LA", (255, 255), (0, 255))),
        ("PNG", corner("I;16", 65535, 0)),
        ("TIFF", corner("1", 1, 0)),
        ("TIFF", corner("CMYK", (0, 0, 0, 0), (0, 0, 0, 255))),
        ("TIFF", corner("I;16", 65535, 0)),
        ("TIFF", corner("F", 1.0, 0.0)),
        ("TIFF", corner("RGBA", (255, 255, 255, 255), (0, 0, 0, 255))),
        ("WEBP", corner("RGB", (255, 255, 255), (0, 0, 0))),
        ("JPEG", corner("L")),
        ("JPEG", corner("CMYK", (0, 0, 0, 0), (0, 0, 0, 255))),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_every_depth_of_colour_gives_black_on_white(form: str, image: Image.Image) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "JPEG" else {}
    found = render_frame(saved(image, form, **options), 1).astype(int)
    slack = 3 if form == "JPEG" else 0
    assert np.abs(found[:8, :8] - BLACK).max() <= slack
    assert np.abs(found[8:] - WHITE).max() <= slack
    assert np.abs(found[:, 8:] - WHITE).max() <= slack


def test_what_is_transparent_is_paper() -> None:
    sheet = corner("RGBA", (0, 0, 0, 0), (200, 0, 0, 255))
    found = render_frame(saved(sheet, "PNG"), 1)
    assert found[20, 20].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == [0, 0, 200]
    palette = corner("P", 1, 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    found = render_frame(saved(palette, "PNG", transparency=1), 1)
    assert (found[0, 0].tolist(), found[20, 20].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_deep_grey_is_scaled_and_not_cut_off() -> None:
    values = np.array([[1000, 2000, 3000]] * 2, np.uint16)
    found = render_frame(saved(Image.fromarray(values), "PNG"), 1)
    assert found[0, :, 0].tolist() == [0, 127, 255]


def test_an_even_deep_picture_is_white_and_values_that_are_no_numbers_are_damage() -> None:
    even = Image.fromarray(np.full((4, 4), 500, np.uint16))
    assert render_frame(saved(even, "PNG"), 1).min() == 255
    odd = Image.fromarray(np.array([[0.0, np.nan], [1.0, 2.0]], np.float32))
    assert reason_of(saved(odd, "TIFF")) == "broken_image"


@pytest.mark.parametrize(
    ("orientation", "row", "column"), [(1, 0, 0), (3, -1, -1), (6, 0, -1), (8, -1, 0), (2, 0, -1)]
)
def test_orientation_of_a_camera_is_obeyed(orientation: int, row: int, column: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = render_frame(saved(corner(), "PNG", exif=exif), 1)
    assert found.shape[:2] == ((40, 24) if orientation in (6, 8) else (24, 40))
    assert [found[y, x, 0] == 0 for y in (0, -1) for x in (0, -1)] == [
        (y, x) == (row, column) for y in (0, -1) for x in (0, -1)
    ]


def test_every_frame_of_a_tiff_is_a_page_of_its_own_size() -> None:
    frames = [Image.new("L", (10 + i, 20), 40 * i) for i in range(3)]
    payload = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert count_frames(payload) == 3
    found = [render_frame(payload, number) for number in (3, 1, 2)]
    assert [(f.shape[1], int(f[0, 0, 0])) for f in found] == [(12, 80), (10, 0), (11, 40)]
    assert reason_of(payload, 4) == "broken_image"


def test_a_moving_picture_is_one_page() -> None:
    frames = [Image.new("RGB", (10, 20), (0, 0, 90 * i)) for i in range(3)]
    for form in ("WEBP", "PNG"):
        payload = saved(frames[0], form, save_all=True, append_images=frames[1:], duration=40)
        assert count_frames(payload) == 1


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_large_pictures_are_made_as_small_as_ocr_wants_them(form: str) -> None:
    found = render_frame(saved(Image.new("L", (4800, 1200), 200), form), 1)
    assert found.shape == (600, 2400, 3)
    assert abs(int(found[300, 1200, 0]) - 200) <= 2


def test_small_pictures_keep_their_pixels() -> None:
    assert render_frame(saved(Image.new("L", (1, 1), 7), "PNG"), 1).tolist() == [[[7, 7, 7]]]
    assert render_frame(saved(Image.new("L", (3000, 1), 7), "PNG"), 1).shape == (1, 2400, 3)


def test_a_bomb_is_refused_by_its_header_and_the_limit_of_pillow_stays() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    bomb = png_of(60_000, 60_000)
    assert count_frames(bomb) == 1
    with pytest.raises(PdfRefused, match="60000 x 60000 pixels; 250 megapixels"):
        render_frame(bomb, 1)
    assert reason_of(bomb) == "image_too_large"
    assert Image.MAX_IMAGE_PIXELS == limit


def test_a_jpeg_of_200_megapixels_is_shrunk_while_it_is_decoded() -> None:
    payload = saved(Image.new("L", (20_000, 10_000), 90), "JPEG", quality=10)
    found = render_frame(payload, 1)
    assert found.shape == (1200, 2400, 3)
    assert abs(int(found[600, 1200, 0]) - 90) <= 4


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_damage_is_a_stated_reject(form: str) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (64, 64), np.uint8)
    payload = saved(Image.fromarray(noise), form)
    for cut in (payload[: len(payload) // 2], payload[:12]):
        assert reason_of(cut) == "broken_image"
    row = read_pdf(payload[:12], PdfConfig(ocr="none"))
    assert (row.text, row.reason) in [(None, "broken_image"), (None, "broken_pdf")]


@pytest.mark.parametrize("payload", [b"", b"GIF89a" + bytes(40), b"just a text", b"BM" + bytes(60)])
def test_what_is_no_such_picture_says_which_are_read(payload: bytes) -> None:
    with pytest.raises(PdfRefused, match="none of png, jpeg, tiff, webp"):
        count_frames(payload)
