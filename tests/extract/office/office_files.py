"""Small EPUB, DOCX, ODT, PPTX and XPS files, made by hand so that tests know every byte of them."""

import zipfile
from collections.abc import Mapping
from io import BytesIO

from pptx import Presentation
from pptx.util import Inches

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(members: Mapping[str, str | bytes], stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """A ZIP file; `stored` members are not compressed."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, compress_type=kind)
    return target.getvalue()


def epub(chapters: dict[str, str], more: dict[str, str | bytes] | None = None) -> bytes:
    """A book whose spine has the chapters in their order, with a page of navigation."""
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'
        ),
        "OEBPS/content.opf": (
            '<package xmlns="http://www.idpf.org/2007/opf" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
            "<dc:title>雪国の話</dc:title><dc:creator>A. Writer</dc:creator>"
            "<dc:language>ja-JP</dc:language></metadata><manifest>"
            '<item id="nav" href="nav.xhtml" properties="nav" '
            f'media-type="application/xhtml+xml"/>{items}</manifest>'
            f'<spine><itemref idref="nav"/>{order}</spine></package>'
        ),
        "OEBPS/nav.xhtml": xhtml("<nav>Contents</nav>"),
    }
    members |= {f"OEBPS/{name}": page for name, page in chapters.items()}
    return zipped(members | (more or {}))


def xhtml(body: str) -> str:
    """A page of a book."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>no text</title></head><body>{body}</body></html>"
    )


def docx(body: str, more: dict[str, str | bytes] | None = None) -> bytes:
    """A document of WordprocessingML, `w:` and `m:` being bound."""
    main = f"{_OFFICE}/officeDocument"
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": (
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/>'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>'
        ),
        "_rels/.rels": (
            f'<Relationships xmlns="{_RELATIONS}">'
            f'<Relationship Id="r1" Type="{main}" Target="word/document.xml"/></Relationships>'
        ),
        "word/document.xml": (
            f'<w:document xmlns:w="{W}" xmlns:m="{M}"><w:body>{body}</w:body></w:document>'
        ),
        "word/styles.xml": (
            f'<w:styles xmlns:w="{W}"><w:style w:type="paragraph" w:styleId="Heading1">'
            '<w:name w:val="heading 1"/></w:style></w:styles>'
        ),
    }
    return zipped(members | (more or {}))


def paragraph(text: str, style: str = "", font: str = "") -> str:
    """A paragraph of one run."""
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    faced = f'<w:rPr><w:rFonts w:ascii="{font}"/></w:rPr>' if font else ""
    return f'<w:p>{styled}<w:r>{faced}<w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def odt(body: str, automatic: str = "", more: dict[str, str | bytes] | None = None) -> bytes:
    """A text document of OpenDocument."""
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text", "table", "style", "drawing")
    )
    content = (
        f'<office:document-content{spaces} xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"<office:automatic-styles>{automatic}</office:automatic-styles>"
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    members: dict[str, str | bytes] = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": content,
    }
    return zipped(members | (more or {}))


def pptx() -> bytes:
    """Two slides: a title with a list, a table."""
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Зима"
    frame = slide.placeholders[1].text_frame
    frame.text = "Снег"
    deeper = frame.add_paragraph()
    deeper.text, deeper.level = "глубокий", 1
    slide.notes_slide.notes_text_frame.text = "Сказать о погоде."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    shape = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1))
    for row, cells in enumerate((("month", "mm"), ("May", "41"))):
        for column, text in enumerate(cells):
            shape.table.cell(row, column).text = text
    target = BytesIO()
    deck.save(target)
    return target.getvalue()


def xps(glyphs: str) -> bytes:
    """One page of 600 by 800 pixels."""
    return zipped(
        {
            "_rels/.rels": (
                f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
                'Type="http://schemas.microsoft.com/xps/2005/06/fixedrepresentation" '
                'Target="/FixedDocSeq.fdseq"/></Relationships>'
            ),
            "FixedDocSeq.fdseq": (
                '<FixedDocumentSequence><DocumentReference Source="/Documents/1/FixedDoc.fdoc"/>'
                "</FixedDocumentSequence>"
            ),
            "Documents/1/FixedDoc.fdoc": (
                '<FixedDocument><PageContent Source="Pages/1.fpage"/></FixedDocument>'
            ),
            "Documents/1/Pages/1.fpage": (
                f'<FixedPage Width="600" Height="800">{glyphs}</FixedPage>'
            ),
        }
    )
