"""DOCX by mammoth: its HTML is written as Markdown by the renderer of web pages.

mammoth knows styles, lists, footnotes and text boxes, and leaves out what it has no HTML for. Two
such things are put into words before it reads: formulas (OMML) become LaTeX, and paragraphs in a
typewriter face become lines of a code block, as they are meant. Pictures stay outside: they may be
megabytes, or lie on a server. Comments and deleted text are left out, inserted text is kept.
"""

import re
import zipfile
from importlib.metadata import version
from io import BytesIO
from typing import Any, Final

import mammoth
from lxml import etree

from pipelines.extract.office.omml import mathml_of
from pipelines.extract.office.package import Package, facts_of, local_name
from pipelines.extract.pages.rendering import render_page

READER: Final = f"docx/1+mammoth/{version('mammoth')}"
_W: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT_W: Final = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_PARTS: Final = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_CORE: Final = "docProps/core.xml"
_CODE_STYLE: Final = "TokenmillCode"
_STYLE_MAP: Final = f"""
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
p[style-name='{_CODE_STYLE}'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='Quote'] => blockquote:fresh
p[style-name='Intense Quote'] => blockquote:fresh
r[style-name='HTML Code'] => code
r[style-name='Verbatim Char'] => code
"""
# A memo set in a typewriter face is no code; what is written in code is seldom without these.
_SIGNS_OF_CODE: Final = re.compile(r"[;{}=<>\[\]|&]|\w\(|^\s*[#$>]|^ {2,}|^\t|/\w|--?\w|\.\w+\(")
_MONOSPACED: Final = ("mono", "courier", "consolas", "menlo", "lucida console", "source code")


def read_docx(package: Package) -> tuple[str, dict[str, str]]:
    """The text of a document as Markdown, and what it says of itself.

    Raises:
        OfficeRefused: `broken_document`, `encrypted` or `unpacked_too_large`.
    """
    facts = facts_of(package.xml(_CORE)) if package.has(_CORE) else {}
    html = mammoth.convert_to_html(
        _prepared(package),
        style_map=_STYLE_MAP,
        convert_image=_no_picture,
    ).value
    return render_page(html.encode("utf-8")), facts


def _no_picture(image: Any) -> list[Any]:  # noqa: ANN401 - mammoth has no types
    return []


def _prepared(package: Package) -> BytesIO:
    """The document without pictures, with formulas and code in words."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in package.archive.namelist():
            if "/media/" in name or "/embeddings/" in name or name.endswith("/"):
                continue
            if name in _PARTS:
                root = package.xml(name)
                _put_formulas_into_words(root)
                _mark_code(root)
                archive.writestr(name, etree.tostring(root, encoding="UTF-8"))
            elif name.endswith((".xml", ".rels")):
                archive.writestr(name, _with_code_style(name, package.read(name)))
    target.seek(0)
    return target


def _put_formulas_into_words(root: etree._Element) -> None:
    for formula in [e for e in root.iter() if local_name(e) == "oMath"]:
        parent = formula.getparent()
        if parent is None:
            continue
        latex = render_page(mathml_of(formula).encode("utf-8")).strip()
        run = _run(latex, _namespace(root))
        parent.replace(formula, run)
    for paragraph in [e for e in root.iter() if local_name(e) == "oMathPara"]:
        parent = paragraph.getparent()
        runs = [e for e in paragraph if local_name(e) == "r"]
        if parent is not None:
            at = parent.index(paragraph)
            parent[at : at + 1] = runs


def _namespace(root: etree._Element) -> str:
    return _STRICT_W if _STRICT_W in root.nsmap.values() else _W


def _run(text: str, namespace: str) -> etree._Element:
    run = etree.Element(f"{{{namespace}}}r")
    etree.SubElement(run, f"{{{namespace}}}t").text = text
    return run


def _mark_code(root: etree._Element) -> None:
    """Paragraphs of typewriter letters alone get a style of code."""
    namespace = _namespace(root)
    for paragraph in root.iter(f"{{{namespace}}}p"):
        runs = [r for r in paragraph.iter(f"{{{namespace}}}r") if _text(r).strip()]
        in_table = any(local_name(a) == "tbl" for a in paragraph.iterancestors())
        written = "".join(map(_text, paragraph.iter(f"{{{namespace}}}r")))
        is_code = all(map(_is_monospaced, runs)) and _SIGNS_OF_CODE.search(written)
        if not runs or in_table or not is_code:
            continue
        properties = paragraph.find(f"{{{namespace}}}pPr")
        if properties is None:
            properties = etree.Element(f"{{{namespace}}}pPr")
            paragraph.insert(0, properties)
        for old in properties.findall(f"{{{namespace}}}pStyle"):
            properties.remove(old)
        style = etree.Element(f"{{{namespace}}}pStyle")
        style.set(f"{{{namespace}}}val", _CODE_STYLE)
        properties.insert(0, style)


def _text(run: etree._Element) -> str:
    return "".join(e.text or "" for e in run.iter() if local_name(e) == "t")


def _is_monospaced(run: etree._Element) -> bool:
    fonts = [e for e in run.iter() if local_name(e) == "rFonts"]
    names = [str(value).lower() for font in fonts for value in font.attrib.values()]
    return any(word in name for name in names for word in _MONOSPACED)


def _with_code_style(name: str, data: bytes) -> bytes:
    """The list of styles with that of code, which mammoth looks up by its name."""
    if name != "word/styles.xml":
        return data
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return data  # mammoth says what is wrong with it
    namespace = _namespace(root)
    style = etree.SubElement(root, f"{{{namespace}}}style")
    style.set(f"{{{namespace}}}type", "paragraph")
    style.set(f"{{{namespace}}}styleId", _CODE_STYLE)
    etree.SubElement(style, f"{{{namespace}}}name").set(f"{{{namespace}}}val", _CODE_STYLE)
    return bytes(etree.tostring(root, encoding="UTF-8"))
