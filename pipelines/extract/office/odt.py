"""ODT: an OpenDocument text as HTML, which the renderer of web pages writes as Markdown.

Element names: OpenDocument 1.3 part 3. Kept: headings, paragraphs, lists (numbered where the style
of their level says so), tables with spans, frames with text, footnotes at their place in brackets,
formulas (each an embedded MathML file). Left out: comments, deleted text, tables of contents and
indexes, which repeat the headings, and what fields of a running head say.
"""

from collections.abc import Callable
from html import escape
from typing import Final

from lxml import etree

from pipelines.extract.office.package import (
    MAX_DEPTH,
    OfficeRefused,
    Package,
    attribute,
    facts_of,
    local_name,
    resolved,
)
from pipelines.extract.pages.rendering import render_page

_CONTENT: Final = "content.xml"
_META: Final = "meta.xml"
_STYLES: Final = "styles.xml"
_LEFT_OUT: Final = frozenset(
    "annotation annotation-end tracked-changes table-of-content illustration-index table-index "
    "object-index user-index alphabetical-index bibliography sequence-decls forms "
    "variable-decls title desc event-listeners soft-page-break bookmark".split()
)
_TAGS: Final = {
    "Title": "h1",
    "Subtitle": "h2",
    "Quotations": "blockquote",
    "Preformatted_20_Text": "pre",
    "Source_20_Code": "pre",
}
"""Named style of a paragraph -> its element."""
# A repeated empty cell fills a sheet to its edge: 16,384 of them say nothing.
_MAX_REPEATED: Final = 64


def read_odt(package: Package) -> tuple[str, dict[str, str]]:
    """The text of a document as Markdown, and what it says of itself.

    Raises:
        OfficeRefused: `broken_document`, `encrypted` or `unpacked_too_large`.
    """
    if package.has("META-INF/manifest.xml") and b"encryption-data" in package.read(
        "META-INF/manifest.xml"
    ):
        raise OfficeRefused("encrypted", "the document is encrypted with a password")
    root = package.xml(_CONTENT)
    body = next((e for e in root.iter() if local_name(e) == "body"), None)
    if body is None:
        raise OfficeRefused("broken_document", f"{_CONTENT} has no body")
    facts = facts_of(package.xml(_META)) if package.has(_META) else {}
    writer = _Writer(package, _numbered_styles(package, root), _parents(root))
    html = writer.children(body, 0)
    return render_page(f"<body>{html}</body>".encode()), facts


def _numbered_styles(package: Package, root: etree._Element) -> set[tuple[str, int]]:
    """(style of a list, level) of all levels that are numbered."""
    roots = [root, *([package.xml(_STYLES)] if package.has(_STYLES) else [])]
    found = set()
    for style in (e for r in roots for e in r.iter() if local_name(e) == "list-style"):
        for level in style:
            if local_name(level) == "list-level-style-number":
                number = attribute(level, "level") or ""
                if number.isdecimal() and attribute(level, "num-format"):
                    found.add((attribute(style, "name") or "", int(number)))
    return found


def _parents(root: etree._Element) -> dict[str, str]:
    """Automatic style -> the named style that it is a variant of."""
    return {
        attribute(style, "name") or "": attribute(style, "parent-style-name") or ""
        for style in root.iter()
        if local_name(style) == "style" and attribute(style, "parent-style-name")
    }


class _Writer:
    """Writes one document as HTML."""

    def __init__(
        self, package: Package, numbered: set[tuple[str, int]], parents: dict[str, str]
    ) -> None:
        self._package = package
        self._numbered = numbered
        self._parents = parents
        self._lists: list[str] = []
        """Styles of the lists that are open."""
        self._writers: dict[str, Callable[[etree._Element, int], str]] = {
            "h": self._heading,
            "p": self._paragraph,
            "list": self._list,
            "list-item": self._tagged("li"),
            "list-header": self._tagged("li"),
            "table": self._table,
            "table-header-rows": self._tagged("thead"),
            "table-row": self._row,
            "table-cell": self._cell,
            "line-break": lambda *_: "<br>",
            "tab": lambda *_: "\t",
            "s": lambda e, _: " " * min(_number(e, "c"), _MAX_REPEATED),
            "note": self._note,
            "object": self._object,
            "text-box": self._tagged("div"),
        }

    def children(self, element: etree._Element, depth: int) -> str:
        """What stands in an element, its own text included."""
        if depth > MAX_DEPTH:
            raise OfficeRefused("broken_document", f"elements nest more than {MAX_DEPTH} deep")
        pieces = [escape(element.text or "", quote=False)]
        for child in element:
            pieces += [self._one(child, depth + 1), escape(child.tail or "", quote=False)]
        return "".join(pieces)

    def _one(self, element: etree._Element, depth: int) -> str:
        name = local_name(element)
        if not name or name in _LEFT_OUT:
            return ""
        writer = self._writers.get(name)
        return writer(element, depth) if writer else self.children(element, depth)

    def _tagged(self, tag: str) -> Callable[[etree._Element, int], str]:
        return lambda element, depth: f"<{tag}>{self.children(element, depth)}</{tag}>"

    def _heading(self, element: etree._Element, depth: int) -> str:
        level = min(max(_number(element, "outline-level"), 1), 6)
        return f"<h{level}>{self.children(element, depth)}</h{level}>"

    def _paragraph(self, element: etree._Element, depth: int) -> str:
        style = attribute(element, "style-name") or ""
        tag = _TAGS.get(self._parents.get(style, style), "div" if self._lists else "p")
        return f"<{tag}>{self.children(element, depth)}</{tag}>"

    def _list(self, element: etree._Element, depth: int) -> str:
        style = attribute(element, "style-name") or (self._lists[-1] if self._lists else "")
        self._lists.append(style)
        tag = "ol" if (style, len(self._lists)) in self._numbered else "ul"
        html = f"<{tag}>{self.children(element, depth)}</{tag}>"
        self._lists.pop()
        return html

    def _table(self, element: etree._Element, depth: int) -> str:
        lists, self._lists = self._lists, []
        html = f"<table>{self.children(element, depth)}</table>"
        self._lists = lists
        return html

    def _row(self, element: etree._Element, depth: int) -> str:
        html = f"<tr>{self.children(element, depth)}</tr>"
        is_empty = not "".join(element.itertext()).strip()
        return html * (1 if is_empty else min(_number(element, "number-rows-repeated"), 64))

    def _cell(self, element: etree._Element, depth: int) -> str:
        spans = "".join(
            f' {ours}="{_number(element, theirs)}"'
            for ours, theirs in (
                ("colspan", "number-columns-spanned"),
                ("rowspan", "number-rows-spanned"),
            )
            if _number(element, theirs) > 1
        )
        times = min(_number(element, "number-columns-repeated"), _MAX_REPEATED)
        return f"<td{spans}>{self.children(element, depth)}</td>" * times

    def _note(self, element: etree._Element, depth: int) -> str:
        body = next((e for e in element if local_name(e) == "note-body"), None)
        text = " ".join("".join(body.itertext()).split()) if body is not None else ""
        return f" [{escape(text)}]" if text else ""

    def _object(self, element: etree._Element, depth: int) -> str:
        name = resolved("content.xml", attribute(element, "href") or "") + "/content.xml"
        inline = next((e for e in element.iter() if local_name(e) == "math"), None)
        if inline is None and self._package.has(name):
            inline = next((e for e in self._package.xml(name).iter() if _is_math(e)), None)
        return _plain_mathml(inline, 0) if inline is not None else ""


def _is_math(element: etree._Element) -> bool:
    return local_name(element) == "math"


def _plain_mathml(element: etree._Element, depth: int) -> str:
    """MathML without prefixes, as it stands in HTML."""
    name = local_name(element)
    if not name or depth > MAX_DEPTH:
        return ""
    given = {local: attribute(element, local) for local in ("encoding", "linethickness", "display")}
    written = "".join(f' {key}="{escape(value)}"' for key, value in given.items() if value)
    if name == "annotation" and given["encoding"] not in ("application/x-tex", "TeX"):
        return ""
    inside = escape(element.text or "", quote=False) + "".join(
        _plain_mathml(child, depth + 1) + escape(child.tail or "", quote=False) for child in element
    )
    return f"<{name}{written}>{inside}</{name}>"


def _number(element: etree._Element, name: str) -> int:
    """A whole number of at least 1, which is also what an absent or odd one counts as."""
    value = attribute(element, name) or ""
    return max(1, int(value)) if value.isdecimal() and len(value) < 7 else 1
