"""Text layers of real PDF bytes, through both engines."""

import sys
from pathlib import Path

import pymupdf
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from pdf_files import A4, PARAGRAPH, column, pdf_of, picture, scan_of

from pipelines.extract.pdf.layers import Layer, read_layers
from pipelines.extract.pdf.opening import open_pdf, read_metadata, render


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


def raw_pdf(
    content: str,
    letters: dict[int, str] | None = None,
    font: str = "Helvetica",
    page: str = "0 0 595 842",
    title: str = "()",
) -> bytes:
    """A PDF of one page, object by object; `letters` is what the font says its codes are."""
    maps = "".join(
        f"<{code:02x}> <{text.encode('utf-16-be').hex()}>\n"
        for code, text in (letters or {}).items()
    )
    codes = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(letters or {})} beginbfchar\n{maps}endbfchar endcmap end end"
    )
    to_unicode = "/ToUnicode 6 0 R" if letters else ""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [{page}] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} {to_unicode} >>",
        f"<< /Length {len(codes)} >>\nstream\n{codes}\nendstream",
        f"<< /Title {title} /Author (A. Miller) >>",
    ]
    body, places = "%PDF-1.7\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        f"{body}xref\n0 8\n0000000000 65535 f \n{table}"
        f"trailer << /Size 8 /Root 1 0 R /Info 7 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    ).encode("latin-1")


def line(shown: str) -> str:
    """The content of a page with one line."""
    return f"BT /F1 11 Tf 100 700 Td {shown} ET"


def test_ligature_of_two_equal_letters_is_both() -> None:
    letters = {1: "ff", 2: "ffi"}
    payload = raw_pdf(line(r"(a di\001erent o\002ce) Tj"), letters)
    assert layers(payload)[0].text == "a different office"


def test_letter_that_is_drawn_twice_to_be_bold_is_one() -> None:
    payload = raw_pdf("BT /F1 11 Tf 100 700 Td (o) Tj ET BT /F1 11 Tf 100.2 700 Td (o) Tj ET")
    assert layers(payload)[0].text == "o"


def test_letters_beyond_the_basic_plane_are_read() -> None:
    letters = {1: "\U0001d70b", 2: "\U0001f99c"}
    layer = layers(raw_pdf(line(r"(a \001 or \002\002) Tj"), letters))[0]
    assert layer.text == "a \U0001d70b or \U0001f99c\U0001f99c"
    assert (layer.signs.num_chars, layer.signs.num_garbled) == (6, 0)


def test_half_a_surrogate_pair_is_garbled() -> None:
    payload = raw_pdf(line(r"(a\001b) Tj"), {1: "XX"}).replace(b"<00580058>", b"<d83d>")
    layer = layers(payload)[0]
    assert layer.text == "a\ufffdb"
    assert (layer.signs.num_chars, layer.signs.num_garbled) == (3, 1)


# Alef, lam-alef, noon, seen.
ARABIC = {97: "\u0627", 98: "\u0644\u0625", 99: "\u0646", 100: "\u0633"}


@pytest.mark.parametrize(
    "shown",
    [
        "(cadcba) Tj",
        "(c) Tj (a) Tj (d) Tj (c) Tj (b) Tj (a) Tj",
        "[(a) 1200 (b) 1200 (c) 1200 (d) 1200 (a) 1200 (c)] TJ",  # from right to left
    ],
)
def test_letters_of_an_arabic_ligature_keep_their_order(shown: str) -> None:
    layer = layers(raw_pdf(line(shown), ARABIC, font="Courier"))[0]
    assert layer.text == "\u0627\u0644\u0625\u0646\u0633\u0627\u0646"


def test_space_after_a_letter_that_hangs_over_stays() -> None:
    payload = raw_pdf(line("[(out of) -180 (the mill)] TJ"), font="Times-Italic")
    assert layers(payload)[0].text == "out of the mill"


def test_values_of_fields_and_free_text_are_read_where_they_stand() -> None:
    with pymupdf.open() as document:
        page = document.new_page(width=A4[0], height=A4[1])
        for y, label in ((300, "Name:"), (330, "Country:"), (360, "Secret:"), (390, "Signed:")):
            page.insert_text((100, y), label, fontsize=11)
        add_field(page, 300, "name", "Anna Müller")
        add_field(page, 330, "country", "Norway", choices=["Chad", "Norway"])
        add_field(page, 360, "secret", "hidden word", flags=pymupdf.PDF_TX_FIELD_IS_PASSWORD)
        page.add_freetext_annot((200, 379, 300, 393), "by hand")
        payload = document.tobytes()
    layer = layers(payload)[0]
    assert layer.text.split() == [
        *("Name:", "Anna", "Müller", "Country:", "Norway"),
        *("Secret:", "Signed:", "by", "hand"),
    ]
    assert layer.signs.num_chars == sum(map(len, layer.text.split()))


def test_page_of_nothing_but_a_field_is_not_empty() -> None:
    with pymupdf.open() as document:
        add_field(document.new_page(width=A4[0], height=A4[1]), 300, "n", "one\ntwo", flags=1 << 12)
        payload = document.tobytes()
    layer = layers(payload)[0]
    assert layer.text.split() == ["one", "two"]
    assert layer.signs.num_chars == 6
    with open_pdf(payload) as pdf, pdf.page(1) as page:
        assert (render(page) < 128).any()


def add_field(
    page: pymupdf.Page,
    y: float,
    name: str,
    value: str,
    choices: list[str] | None = None,
    flags: int = 0,
) -> None:
    """Adds a field whose text stands at the height of a baseline."""
    field = pymupdf.Widget()
    field.rect = pymupdf.Rect(200, y - 12, 400, y + 4)
    field.field_type = pymupdf.PDF_WIDGET_TYPE_COMBOBOX if choices else pymupdf.PDF_WIDGET_TYPE_TEXT
    field.field_name, field.field_value, field.field_flags = name, value, flags
    field.choice_values = choices
    page.add_widget(field)


def test_title_that_is_no_utf_16_is_left_out() -> None:
    with open_pdf(raw_pdf("", title="<FEFF0041D83D>")) as pdf:
        assert read_metadata(pdf) == {"author": "A. Miller"}


def test_strip_of_a_page_is_drawn_or_refused_by_its_size() -> None:
    with open_pdf(raw_pdf("", page="0 0 1 14400")) as pdf, pdf.page(1) as page:
        height, width, _ = render(page).shape
        assert (width, height > 14400) == (2, True)
    with open_pdf(raw_pdf("", page="0 0 0.0001 1000000")) as pdf, pdf.page(1) as page:
        with pytest.raises(ValueError, match=r"measures 0.0001 x 1e\+06 points"):
            render(page)


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of pdfium, pymupdf"):
        layers(pdf_of([(60, 100, "x")]), "mupdf")


def test_kernels_are_compiled_by_reading_a_page() -> None:
    from pipelines.extract.pdf.warm import warm

    assert warm() == ["A mill in the village and two horses."]
