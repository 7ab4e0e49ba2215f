"""Tiny PDF files for tests, made by PyMuPDF and Pillow."""

import io
from collections.abc import Sequence

import pymupdf
from PIL import Image, ImageDraw, ImageFont

A4 = (595, 842)
PARAGRAPH = (
    "The miller of the village kept two horses, and in the long winter of that year he lent "
    "them to whoever asked, for grain was scarce and the roads were deep in snow."
)


def pdf_of(*pages: Sequence[tuple[float, float, str]], **save: object) -> bytes:
    """A PDF whose pages hold lines of text, each as (x, y of its baseline, text)."""
    with pymupdf.open() as document:
        for lines in pages:
            page = document.new_page(width=A4[0], height=A4[1])
            for x, y, text in lines:
                page.insert_text((x, y), text, fontsize=11)
        document.set_metadata({"title": "Two horses", "author": "A. Miller"})
        data: bytes = document.tobytes(**save)
    return data


def column(text: str, x: float, y: float, chars: int) -> list[tuple[float, float, str]]:
    """The lines of a paragraph, set 14 points apart."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) >= chars:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [(x, y + 14 * i, text) for i, text in enumerate([*lines, line])]


def picture(text: Sequence[str], size: int = 34, turn: int = 0) -> Image.Image:
    """A sheet with lines of print, turned counterclockwise by so many degrees."""
    sheet = Image.new("L", (900, 300), 255)
    font = ImageFont.load_default(size)
    for i, line in enumerate(text):
        ImageDraw.Draw(sheet).text((40, 40 + 60 * i), line, fill=0, font=font)
    return sheet.rotate(turn, expand=True)


def scan_of(*sheets: Image.Image) -> bytes:
    """A PDF of pictures."""
    target = io.BytesIO()
    sheets[0].save(target, "PDF", save_all=True, append_images=list(sheets[1:]), resolution=150)
    return target.getvalue()


def joined(*files: bytes) -> bytes:
    """The pages of several PDFs as one."""
    with pymupdf.open() as whole:
        for file in files:
            with pymupdf.open(stream=file, filetype="pdf") as part:
                whole.insert_pdf(part)
        data: bytes = whole.tobytes()
    return data
