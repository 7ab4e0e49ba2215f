"""EPUB: the pages of a book in the order of its spine.

container.xml names the package document, whose manifest lists files and whose spine their order
(EPUB 3.3, 5.6). Navigation is left out. Chapters that the spine names and the package lacks are
counted in `missing_chapters`; a book that lacks all of them is refused. So is one whose chapters
are encrypted (DRM); obfuscated fonts are no text and do not matter.
"""

from typing import Final

from lxml import etree

from pipelines.extract.charset import decode
from pipelines.extract.office.package import (
    OfficeRefused,
    Package,
    attribute,
    facts_of,
    local_name,
    resolved,
)
from pipelines.extract.pages.rendering import render_page

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_PAGES: Final = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


def read_epub(package: Package) -> tuple[str, dict[str, str]]:
    """The text of a book as Markdown, and what it says of itself.

    Raises:
        OfficeRefused: `broken_document`, `encrypted` or `unpacked_too_large`.
    """
    name = _package_document(package)
    root = package.xml(name)
    pages = [resolved(name, href) for href in _spine(root)]
    _check_readable(package, pages)
    there = [page for page in pages if package.has(page)]
    if pages and not there:
        message = f"none of its {len(pages)} chapters is in the package"
        raise OfficeRefused("broken_document", message)
    texts = [render_page(decode(package.read(page)).text.encode("utf-8")) for page in there]
    facts = facts_of(root)
    if len(there) < len(pages):
        facts["missing_chapters"] = str(len(pages) - len(there))
    return "\n\n".join(text.strip() for text in texts if text.strip()), facts


def _package_document(package: Package) -> str:
    for element in package.xml(_CONTAINER).iter():
        path = attribute(element, "full-path")
        if local_name(element) == "rootfile" and path:
            return path
    raise OfficeRefused("broken_document", f"{_CONTAINER} names no package document")


def _spine(root: etree._Element) -> list[str]:
    """Addresses of the pages, in order; those outside the order (linear="no") come last."""
    items: dict[str, etree._Element] = {}
    main: list[str] = []
    aside: list[str] = []
    for element in root.iter():
        if local_name(element) == "item":
            items.setdefault(attribute(element, "id") or "", element)
    for element in root.iter():
        if local_name(element) != "itemref":
            continue
        item = items.get(attribute(element, "idref") or "")
        if item is None or attribute(item, "media-type") not in _PAGES:
            continue
        if "nav" in (attribute(item, "properties") or "").split():
            continue
        is_aside = attribute(element, "linear") == "no"
        (aside if is_aside else main).append(attribute(item, "href") or "")
    return main + aside


def _check_readable(package: Package, pages: list[str]) -> None:
    if not package.has(_ENCRYPTION):
        return
    locked = {
        (attribute(element, "URI") or "").lower()
        for element in package.xml(_ENCRYPTION).iter()
        if local_name(element) == "CipherReference"
    }
    if any(page.lower() in locked for page in pages):
        raise OfficeRefused("encrypted", "the chapters of the book are encrypted")
