"""EPUB, DOCX, ODT, PPTX and XPS: exact texts of small files, and what broken ones end as."""

import re
import struct
import zipfile
from collections import Counter
from io import BytesIO
from random import Random

import pytest

from pipelines.extract.media import OFFICE_TYPES, sniff_media_type
from pipelines.extract.office.reading import read_office
from tests.extract.office.office_files import (
    docx,
    epub,
    odt,
    paragraph,
    pptx,
    xhtml,
    xps,
    zipped,
)


def text_of(payload: bytes) -> str:
    found = read_office(payload, None)
    assert found.reason is None, (found.reason, found.message)
    assert found.text is not None
    return found.text


def test_a_book_is_read_in_the_order_of_its_spine_without_navigation() -> None:
    book = epub(
        {
            "b.xhtml": xhtml("<h1>第一章</h1><p>雪が<a id='x'/>降った。</p>"),
            "a.xhtml": xhtml("<h1>第二章</h1><ul><li>春</li><li>夏</li></ul>"),
        }
    )
    found = read_office(book, None)
    assert found.text == "# 第一章\n\n雪が降った。\n\n# 第二章\n\n- 春\n- 夏"
    assert (found.media_type, found.declared_language) == ("application/epub+zip", "ja-jp")
    assert found.meta == {"title": "雪国の話", "author": "A. Writer"}


def test_a_book_whose_chapters_are_encrypted_is_rejected_and_obfuscated_fonts_do_not_matter() -> (
    None
):
    encryption = (
        '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:CipherReference '
        'URI="{}"/></encryption>'
    )
    chapters = {"a.xhtml": xhtml("<p>One chapter.</p>")}
    locked = epub(chapters, {"META-INF/encryption.xml": encryption.format("OEBPS/a.xhtml")})
    assert read_office(locked, None).reason == "encrypted"
    fonts = epub(chapters, {"META-INF/encryption.xml": encryption.format("OEBPS/f.otf")})
    assert text_of(fonts) == "One chapter."


def test_a_book_with_a_missing_chapter_is_read_and_says_so() -> None:
    chapters = {"a.xhtml": xhtml("<p>First.</p>"), "b.xhtml": xhtml("<p>Third.</p>")}
    book = epub(chapters)
    spine = '<itemref idref="i0"/>'
    lost = '<item id="x" href="lost.xhtml" media-type="application/xhtml+xml"/></manifest>'
    members = members_of(book)
    written = str(members["OEBPS/content.opf"], "utf-8")
    members["OEBPS/content.opf"] = (
        written.replace("</manifest>", lost).replace(spine, f'{spine}<itemref idref="x"/>').encode()
    )
    found = read_office(zipped(members), None)
    assert (found.text, found.meta["missing_chapters"]) == ("First.\n\nThird.", "1")
    assert "missing_chapters" not in read_office(book, None).meta
    none = {name: data for name, data in members.items() if name[6:] not in chapters}
    refused = read_office(zipped(none), None)
    assert (refused.reason, refused.message) == (
        "broken_document",
        "none of its 3 chapters is in the package",
    )


def test_docx_keeps_headings_tables_code_and_formulas() -> None:
    fraction = (
        "<m:oMathPara><m:oMath><m:r><m:t>x</m:t></m:r><m:r><m:t>=</m:t></m:r><m:f>"
        "<m:num><m:r><m:t>a+1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"
        "</m:oMath></m:oMathPara>"
    )
    cell = "<w:tc>{}</w:tc>"
    rows = "".join(
        "<w:tr>" + "".join(cell.format(paragraph(text)) for text in row) + "</w:tr>"
        for row in (("Stadt", "Höhe"), ("Köln", "53 m"))
    )
    body = (
        paragraph("Überschrift", style="Heading1")
        + paragraph("Ein Satz.")
        + f"<w:p>{fraction}</w:p>"
        + paragraph("for i in range(3):", font="Consolas")
        + paragraph("    print(i)", font="Consolas")
        + paragraph("A memo in a typewriter face", font="Courier New")
        + f"<w:tbl>{rows}</w:tbl>"
    )
    assert text_of(docx(body)) == (
        "# Überschrift\n\nEin Satz.\n\n$$x = \\frac{a + 1}{2}$$\n\n"
        "```\nfor i in range(3):\n    print(i)\n```\n\n"
        "A memo in a typewriter face\n\n"
        "| Stadt | Höhe |\n| --- | --- |\n| Köln | 53 m |"
    )


def test_docx_leaves_out_deleted_text_and_pictures() -> None:
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>added</w:t></w:r></w:ins></w:p>"
    )
    assert text_of(docx(body, {"word/media/image1.png": b"\x89PNG no picture"})) == "kept added"


def test_odt_keeps_lists_tables_notes_and_left_out_comments() -> None:
    automatic = (
        '<style:style style:name="P1" style:parent-style-name="Title"/>'
        '<text:list-style xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
        'style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"/>'
        "</text:list-style>"
    )
    item = "<text:list-item><text:p>{}</text:p></text:list-item>"
    body = (
        '<text:p text:style-name="P1">Τίτλος</text:p>'
        '<text:h text:outline-level="2">Κεφάλαιο</text:h>'
        "<text:p>Μία<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>σημείωση</text:p></text:note-body></text:note> πρόταση."
        "<office:annotation><text:p>comment</text:p></office:annotation></text:p>"
        f'<text:list text:style-name="L1">{item.format("ένα")}{item.format("δύο")}</text:list>'
        f"<text:list>{item.format('α')}</text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>"
        "<table:table-row><table:table-cell><text:p>1</text:p></table:table-cell>"
        "<table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert text_of(odt(body, automatic)) == (
        "# Τίτλος\n\n## Κεφάλαιο\n\nΜία [σημείωση] πρόταση.\n\n1. ένα\n2. δύο\n\n- α\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |"
    )


def test_slides_give_titles_lists_notes_and_tables() -> None:
    assert text_of(pptx()) == (
        "## Зима\n\nСнег\n\n- глубокий\n\nСказать о погоде.\n\n"
        "| month | mm |\n| --- | --- |\n| May | 41 |"
    )


def test_xps_lines_are_joined_in_reading_order() -> None:
    glyph = (
        '<Glyphs UnicodeString="{}" OriginX="{}" OriginY="{}" FontRenderingEmSize="16" '
        'Fill="#000000"/>'
    )
    lower = glyph.format("and it was deep and white.", 80, 320)
    upper = glyph.format("Snow lay upon the hills all day", 80, 300)
    later = glyph.format("A later paragraph.", 80, 400)
    moved = f'<Canvas RenderTransform="1,0,0,1,0,100">{later}</Canvas>'
    text = text_of(xps(moved + lower + upper))
    assert text.split("\n\n") == [
        "Snow lay upon the hills all day and it was deep and white.",
        "A later paragraph.",
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "broken_document"),
        (b"PK\x03\x04 cut off", "broken_document"),
        (zipped({"a.txt": "hello"}), "broken_document"),
        (epub({"a.xhtml": xhtml("<p> </p>")}), "no_text"),
        (docx("<w:p/>"), "no_text"),
        (docx(paragraph("whole"))[:-30], "broken_document"),
        (zipped({"META-INF/container.xml": "<x/>"}), "broken_document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + 600 * b"\0", "broken_document"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
        ),
        (odt("<text:p>" * 400 + "deep" + "</text:p>" * 400), "broken_document"),
    ],
    ids=[
        "nothing",
        "cut zip",
        "another zip",
        "blank book",
        "blank document",
        "cut document",
        "book without pages",
        "old format",
        "locked",
        "too deep",
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(payload: bytes, reason: str) -> None:
    found = read_office(payload, None)
    assert (found.reason, found.text) == (reason, None)
    assert found.message


def members_of(payload: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(payload)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    ("payload", "name", "data", "raised"),
    [
        (docx(paragraph("x")), "_rels/.rels", b"<Relationships", "ExpatError"),
        (docx(paragraph("x")), "word/styles.xml", b"<w:styles", "ExpatError"),
        (pptx(), "ppt/_rels/presentation.xml.rels", b"<Relationships", "XMLSyntaxError"),
        (pptx(), "ppt/slides/slide1.xml", b"<p:sld", "XMLSyntaxError"),
    ],
    ids=["relations", "styles", "relations of slides", "slide"],
)
def test_what_a_library_raises_on_an_odd_document_is_the_reject_of_it(
    payload: bytes, name: str, data: bytes, raised: str
) -> None:
    found = read_office(zipped(members_of(payload) | {name: data}), None)
    assert (found.reason, found.text) == ("broken_document", None)
    assert found.message is not None
    assert found.message.startswith(raised)


GLYPHS = (
    '<Canvas RenderTransform="1,0,0,1,0,100"><Glyphs UnicodeString="Snow lay" OriginX="80" '
    'OriginY="300" FontRenderingEmSize="16" Indices="1,50;2;3,60"/></Canvas>'
    '<Glyphs UnicodeString="雪が降った" OriginX="80" OriginY="400" FontRenderingEmSize="16" '
    'BidiLevel="1" StyleSimulations="BoldSimulation"/>'
)


def mutated(members: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """One member cut, shortened, doubled in part, or with other bytes or numbers in it."""
    name = random.choice(sorted(members))
    data = bytearray(members[name])
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    numbers = [match.span() for match in re.finditer(rb"\d+", data)] or [(start, end)]
    first, last = random.choice(numbers)
    number = random.choice([b"-1", b"0", b"1e308", b"NaN", b"9" * 400, b""])
    changes = (
        (start, len(data), b""),
        (start, min(end, start + 20), b""),
        (start, start, bytes(data[start:end])),
        (start, start + 1, random.randbytes(1)),
        (first, last, number),
        (first, last, number),
    )
    low, high, change = random.choice(changes)
    data[low:high] = change
    return members | {name: bytes(data)}


def test_whatever_stands_in_an_xps_is_a_text_or_a_reject() -> None:
    whole = members_of(xps(GLYPHS))
    reasons: Counter[str | None] = Counter()
    for seed in range(500):
        random = Random(seed)
        members = whole
        for _ in range(random.randint(1, 3)):
            members = mutated(members, random)
        found = read_office(zipped(members), "application/vnd.ms-xpsdocument")
        assert (found.reason is None) == bool(found.text)
        assert not (found.message or "").startswith(("ValueError", "OverflowError", "TypeError"))
        reasons[found.reason] += 1
    assert reasons.keys() == {None, "no_text", "broken_document"}


def test_a_member_with_a_password_is_told() -> None:
    payload = bytearray(odt("<text:p>x</text:p>"))
    with zipfile.ZipFile(BytesIO(bytes(payload))) as archive:
        start = archive.start_dir
    at = payload.index(b"PK\x01\x02", payload.index(b"PK\x01\x02", start) + 4)
    struct.pack_into("<H", payload, at + 8, 1)  # flags of the second entry of the directory
    assert read_office(bytes(payload), None).reason == "encrypted"


def test_a_bomb_ends_at_the_limit() -> None:
    bomb = epub({"a.xhtml": xhtml("<p>" + 4_000_000 * "a" + "</p>")})
    assert len(bomb) < 10_000
    assert read_office(bomb, None, max_bytes=1 << 20).reason == "unpacked_too_large"


def test_entities_of_xml_are_not_expanded() -> None:
    content = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        '<document-content xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><body>'
        "<text:p>before &b; after</text:p></body></document-content>"
    )
    members = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content}
    assert "aaaa" not in text_of(zipped(members))


@pytest.mark.parametrize(
    ("payload", "kind"),
    [(epub({}), 0), (odt(""), 1), (docx(""), 2), (pptx(), 3), (xps(""), 4)],
    ids=["epub", "odt", "docx", "pptx", "xps"],
)
def test_the_kind_is_told_by_the_first_bytes(payload: bytes, kind: int) -> None:
    assert sniff_media_type(payload) == OFFICE_TYPES[kind]
