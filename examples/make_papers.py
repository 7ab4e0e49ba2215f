"""Makes `site/papers/*.pdf` from `manuscripts/*.html`: text, scans and files that are broken.

    python examples/make_papers.py [folder]

Text is set by MuPDF's Story in the fonts that PyMuPDF carries: Charis SIL (SIL Open Font License)
and, for Chinese, Droid Sans Fallback (Apache License 2.0). No font lies in this folder; each PDF
holds only the glyphs that it uses. A scan is a page set in the same way, drawn as an image at
150 or 200 dots an inch, turned a little, blurred and strewn with noise, so that its words stand in
pixels only. Dates, noise and identifiers are fixed: the same releases of PyMuPDF and Pillow give
the same bytes, but for `encrypted.pdf`, whose keys MuPDF draws at random
(`tests/test_examples.py` asks for the same words, whatever the release).

PyMuPDF is AGPL-3.0 or commercial. It is needed to make the PDFs, and not to read them.
"""

import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pymupdf
from PIL import Image

MANUSCRIPTS: Final = Path(__file__).parent / "manuscripts"
PAPERS: Final = Path(__file__).parent / "site" / "papers"

A4: Final = (595.0, 842.0)
A5: Final = (420.0, 595.0)
PASSWORD: Final = "saltmere"

_DATE: Final = "D:20240501090000Z"
_MARGIN: Final = 48.0
_GUTTER: Final = 22.0
_NOTES: Final = 62.0  # points kept at the foot of a page whose manuscript has footnotes
_PAPER_GREY: Final = 236
_STYLE: Final = """
body { margin: 0; font-family: serif; font-size: 10.5pt; line-height: 1.35; text-align: justify }
h1 { font-size: 16pt; line-height: 1.2; text-align: left; margin: 0 0 4pt 0 }
h2 { font-size: 11.5pt; text-align: left; margin: 9pt 0 3pt 0 }
p { margin: 0 0 5pt 0; hyphens: auto }
sup, sub { font-size: 6.5pt }
table { font-size: 9pt; margin: 4pt 0 4pt 0 }
th, td { padding: 2pt 5pt 2pt 0; text-align: left }
.by { font-style: italic; hyphens: manual; text-align: left; margin-bottom: 9pt }
.abstract { margin: 0 0 8pt 0 }
.formula { text-align: center; margin: 4pt 0 6pt 0 }
.caption { font-size: 8.5pt; text-align: left }
.head, .foot { font-size: 8pt; text-align: center; margin: 0 }
.note { font-size: 8pt; line-height: 1.2; margin: 0 0 2pt 0; text-align: left }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a manuscript is set; lengths in points (1/72 inch)."""

    size: tuple[float, float] = A5
    num_columns: int = 1
    running_header: str = ""
    has_page_numbers: bool = True
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How a set page becomes an image."""

    dots_per_inch: int = 150
    skew_degrees: float = 0.6
    """Counter-clockwise, as the page lay on the glass; under 1."""

    quarter_turns: int = 0
    """Counter-clockwise turns by 90 degrees of the pixels."""

    is_bilevel: bool = False
    """CCITT group 4 (ITU-T T.6), one bit a pixel, in place of grey JPEG."""

    seed: int = 1


def manuscript(name: str) -> tuple[str, str, list[str]]:
    """Reads a manuscript.

    Args:
        name: File in `manuscripts/` without its ending.

    Returns:
        Its title, its body in HTML, and its footnotes in the order of their numbers.
    """
    html = (MANUSCRIPTS / f"{name}.html").read_text(encoding="utf-8")
    title = re.findall(r"<h1>(.*?)</h1>", html)[0]
    notes = re.findall(r"<aside>(.*?)</aside>", html, re.DOTALL)
    body = re.sub(r"<aside>.*?</aside>\s*", "", html, flags=re.DOTALL)
    return title, re.sub(r"<sup>(\d)</sup>", r'<sup id="note\1">\1</sup>', body), notes


def set_pages(name: str, layout: Layout) -> pymupdf.Document:
    """Sets a manuscript: its body column after column, footnotes on the page that names them."""
    title, body, notes = manuscript(name)
    story = pymupdf.Story(body, user_css=_STYLE + layout.style)
    output = io.BytesIO()
    writer = pymupdf.DocumentWriter(output)
    width, height = layout.size
    foot = height - _MARGIN - (_NOTES if notes else 0)
    column = (width - 2 * _MARGIN - (layout.num_columns - 1) * _GUTTER) / layout.num_columns
    page, is_unfinished = 0, True
    while is_unfinished:
        page += 1
        device = writer.begin_page(pymupdf.Rect(0, 0, width, height))
        named: list[int] = []
        for i in range(layout.num_columns):
            left = _MARGIN + i * (column + _GUTTER)
            if is_unfinished:
                more, _ = story.place(pymupdf.Rect(left, _MARGIN, left + column, foot))
                story.element_positions(_note_collector(named))
                story.draw(device)
                is_unfinished = bool(more)
        lines = "".join(f'<p class="note">{notes[k - 1]}</p>' for k in named)
        _draw(device, lines, (_MARGIN, foot + 6, width - _MARGIN, height - _MARGIN))
        if layout.running_header:
            head = f'<p class="head">{layout.running_header}</p>'
            _draw(device, head, (_MARGIN, 24, width - _MARGIN, _MARGIN - 4))
        if layout.has_page_numbers:
            number = f'<p class="foot">{page}</p>'
            _draw(device, number, (_MARGIN, height - 36, width - _MARGIN, height - 14))
        writer.end_page()
    writer.close()
    document = pymupdf.open("pdf", output.getvalue())
    document.subset_fonts()
    _set_metadata(document, title)
    return document


def _note_collector(named: list[int]) -> Callable[[Any], None]:
    def collect(position: Any) -> None:  # noqa: ANN401
        # An element is reported more than once: where it begins and where it ends.
        if (position.id or "").startswith("note"):
            number = int(position.id.removeprefix("note"))
            if number not in named:
                named.append(number)

    return collect


def _draw(device: Any, html: str, box: tuple[float, float, float, float]) -> None:  # noqa: ANN401
    if not html:
        return
    story = pymupdf.Story(html, user_css=_STYLE)
    more, _ = story.place(pymupdf.Rect(box))
    assert not more, f"does not fit into its box: {html}"
    story.draw(device)


def _set_metadata(document: pymupdf.Document, title: str) -> None:
    document.set_metadata(
        {"title": title, "creationDate": _DATE, "modDate": _DATE, "producer": "make_papers"}
    )


def scan_pages(document: pymupdf.Document, scan: Scan) -> bytes:
    """Draws the pages of a document as images without a text layer.

    Args:
        document: A document with a text layer.
        scan: How to draw it.

    Returns:
        A PDF with one image a page, in the size of the page.
    """
    noise = np.random.default_rng(scan.seed)
    images = [_scan_page(page, scan, noise) for page in document]
    output = io.BytesIO()
    images[0].save(
        output,
        format="PDF",
        save_all=True,
        append_images=images[1:],
        resolution=scan.dots_per_inch,
        **({} if scan.is_bilevel else {"quality": 45}),
        creationDate=None,
        modDate=None,
    )
    return output.getvalue()


def _scan_page(page: pymupdf.Page, scan: Scan, noise: np.random.Generator) -> Image.Image:
    drawn = page.get_pixmap(dpi=scan.dots_per_inch, colorspace=pymupdf.csGRAY)
    image = Image.frombytes("L", (drawn.width, drawn.height), drawn.samples)
    image = image.point(lambda value: value * _PAPER_GREY // 255)
    image = image.rotate(scan.skew_degrees, Image.Resampling.BICUBIC, fillcolor=_PAPER_GREY)
    # uint8[height, width]
    pixels = np.asarray(image, np.float32) + noise.normal(0, 4, (image.height, image.width))
    pixels = np.rot90(pixels.clip(0, 255), scan.quarter_turns)
    image = Image.fromarray(pixels.astype(np.uint8))
    if scan.is_bilevel:
        return image.point(lambda value: 255 * (value > 140)).convert("1", dither=Image.Dither.NONE)
    return image


def _bytes(document: pymupdf.Document, **options: Any) -> bytes:  # noqa: ANN401
    # no_new_id: otherwise MuPDF draws a random identifier for each save.
    content: bytes = document.tobytes(garbage=3, deflate=True, no_new_id=True, **options)
    return content


def _scanned(name: str, scan: Scan, layout: Layout) -> bytes:
    document = pymupdf.open("pdf", scan_pages(set_pages(name, layout), scan))
    _set_metadata(document, f"Scan {name}")
    return _bytes(document)


def _mixed() -> bytes:
    """Text, an empty page, and a scan whose pixels lie on their side under /Rotate 90."""
    document = set_pages("flood-marks", Layout())
    width, height = A5
    document.new_page(width=width, height=height)
    old = set_pages("flood-marks-old", Layout(has_page_numbers=False))
    document.insert_pdf(pymupdf.open("pdf", scan_pages(old, Scan(quarter_turns=1, seed=4))))
    document[-1].set_rotation(90)
    _set_metadata(document, "Flood Marks of the Lower Town")
    return _bytes(document)


def _truncated() -> bytes:
    """The first half of a file whose pages are listed in an object stream in the second half."""
    whole = _bytes(set_pages("lending-tools", Layout()), use_objstms=1)
    return whole[: len(whole) // 2]


def _encrypted() -> bytes:
    document = set_pages("members-list", Layout())
    return _bytes(
        document, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw=PASSWORD, owner_pw=PASSWORD
    )


def papers() -> dict[str, bytes]:
    """Makes all PDFs.

    Returns:
        The bytes of each file by its name.
    """
    almanac = Layout(running_header="Saltmere Almanac")
    plain = Layout(has_page_numbers=False)
    columns = Layout(
        size=A4,
        num_columns=2,
        running_header="Proceedings of the Saltmere Orchard Group",
        style="body { font-size: 11pt } h1 { font-size: 15pt }",
    )
    return {
        "keepers-log.pdf": _bytes(set_pages("keepers-log", almanac)),
        "storing-apples.pdf": _bytes(set_pages("storing-apples", columns)),
        "wasserzeichen.pdf": _bytes(set_pages("wasserzeichen", Layout())),
        "shuiche.pdf": _bytes(set_pages("shuiche", Layout())),
        "kolokolchik.pdf": _bytes(set_pages("kolokolchik", Layout())),
        "scan-ferry.pdf": _scanned("row-ferry", Scan(), almanac),
        "scan-sideways.pdf": _scanned(
            "chimney-swifts", Scan(quarter_turns=1, skew_degrees=-0.4, seed=2), plain
        ),
        "scan-upside-down.pdf": _scanned(
            "lending-tools",
            Scan(quarter_turns=2, is_bilevel=True, dots_per_inch=200, seed=3),
            plain,
        ),
        "mixed.pdf": _mixed(),
        "broken.pdf": _truncated(),
        "encrypted.pdf": _encrypted(),
        "empty.pdf": b"",
    }


def main(arguments: Sequence[str]) -> None:
    """Writes all PDFs into a folder, `site/papers` unless another is given."""
    folder = Path(arguments[0]) if arguments else PAPERS
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in papers().items():
        (folder / name).write_bytes(content)
        print(f"{len(content):>8,} bytes  {folder / name}")


if __name__ == "__main__":
    main(sys.argv[1:])
