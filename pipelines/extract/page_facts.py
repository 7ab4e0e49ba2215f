"""What a page says about itself: title, author, date, language, licence.

Read from the parsed page by one code for all engines, so that a change of the engine changes texts
only. trafilatura's own reader is not used: its dates (htmldate) are bounded by today, which makes
the result depend on the day of the run. A date is taken only where the page states one in a field
made for it, and is kept as it is written.

What a page says of its licence is kept by where it says so, for the annotator `license` to judge:
`license_link` (rel=license, else the one Creative Commons licence that it links to),
`license_meta` (a field of the head), `license_jsonld` (schema.org).

Sources: HTML standard (lang, title, rel=license, time), Open Graph protocol, Dublin Core in HTML,
schema.org microdata and JSON-LD, Creative Commons REL.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from resiliparse.parse.html import DOMNode, HTMLTree, NodeType

from annotators.license.sentences import speaks_of_a_part

_AUTHOR: Final = ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author")
_DATE: Final = (
    "article:published_time",
    "datepublished",
    "date",
    "dc.date",
    "dcterms.date",
    "dc.date.issued",
    "dcterms.created",
    "citation_publication_date",
    "pubdate",
)
_TITLE: Final = ("og:title", "dc.title", "citation_title")
_LICENSE: Final = (
    "license",
    "dc.license",
    "dcterms.license",
    "dc.rights.license",
    "dcterms.rights",
    "dc.rights",
    "rights",
    "copyright",
)
_NAMES_LICENSE: Final = re.compile(
    r"creative\s?commons|\bCC[ -]?(?:BY|0)|licen[sc]e", re.IGNORECASE
)
_OF_A_PAGE: Final = re.compile(
    r"(?:Web(?:Page|Site)|Article|Posting|CreativeWork|Report|Book|Course|LearningResource|"
    r"Dataset|TechArticle|Recipe|FAQPage|QAPage)$"
)
_MAX_JSON: Final = 200_000  # characters; a longer block is a catalogue, not a statement
_ROOTS: Final = ("body", "html")
_MAX_AROUND: Final = 300  # characters; more is another paragraph
_CREATIVE_COMMONS: Final = re.compile(
    r"^(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[a-z]", re.IGNORECASE
)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_MAX_VALUE: Final = 1000  # characters; more is a page that put its text into a field


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page states of itself."""

    language: str | None = None
    """BCP 47 tag as written, in lower case with hyphens."""
    license: str | None = None
    """URL of the licence."""
    meta: dict[str, str] = field(default_factory=dict)
    """title, author, date, license_link, license_meta, license_jsonld; those that there are."""


def read_page_facts(tree: HTMLTree) -> PageFacts:
    """Reads what a parsed page says about itself."""
    document = tree.document
    if document is None:
        return PageFacts()
    fields = _fields(tree)
    # A <title> of an inline SVG is not that of the page, so it is looked for in the head.
    title = _clean(tree.title) or _first(fields, _TITLE)
    link = _license(tree)
    meta = {
        "title": title,
        "author": _first(fields, _AUTHOR),
        "date": _date(tree, fields),
        "license_link": link,
        "license_meta": _license_field(tree),
        "license_jsonld": _license_of_json(tree),
    }
    return PageFacts(
        language=_language(tree, fields),
        license=link,
        meta={name: value for name, value in meta.items() if value},
    )


def _select(tree: HTMLTree, selector: str, name: str) -> list[str]:
    """Values of an attribute over the elements that a CSS selector matches, in their order."""
    assert tree.document is not None
    found = tree.document.query_selector_all(selector)
    return [element.getattr(name) or "" for element in found]


def _fields(tree: HTMLTree) -> dict[str, str]:
    """Content of the meta elements of the head by name, property or itemprop, the first of each.

    The children are walked one by one: every step of an iteration over a collection of resiliparse
    2.0 makes all its nodes anew, which took 1.9 ms a page.
    """
    fields: dict[str, str] = {}
    element = tree.head.first_element_child if tree.head is not None else None
    while element is not None:
        if element.tag == "meta":
            for attribute in ("name", "property", "itemprop", "http-equiv"):
                name = (element.getattr(attribute) or "").strip().lower()
                if name:
                    fields.setdefault(name, element.getattr("content") or "")
        element = element.next_element_sibling
    return fields


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    values = (_clean(fields.get(name)) for name in names)
    return next((value for value in values if value), None)


def _date(tree: HTMLTree, fields: dict[str, str]) -> str | None:
    stated = _first(fields, _DATE)
    if stated is None:
        selector = 'time[datetime][pubdate], time[datetime][itemprop="datePublished"]'
        stated = _clean(next(iter(_select(tree, selector, "datetime")), None))
    return stated


def _language(tree: HTMLTree, fields: dict[str, str]) -> str | None:
    declared = _select(tree, "html[lang]", "lang") + _select(tree, "html", "xml:lang")
    declared += [*_select(tree, "body[lang]", "lang"), fields.get("content-language", "")]
    for value in declared:
        tag = _LANGUAGE.match(value.strip())
        if tag is not None:
            return tag[0].lower().replace("_", "-")
    return None


def _license(tree: HTMLTree) -> str | None:
    """The link marked as licence; else the one Creative Commons licence that the page links to.

    Of several unmarked ones each may speak of one picture only, and so may one beside such words:
    of 25 pages with one unmarked link 9 gave it with a picture or a piece of music.
    """
    marked = [url for url in _select(tree, '[rel~="license"][href]', "href") if url.strip()]
    if marked:
        return marked[0].strip()[:_MAX_VALUE]
    assert tree.document is not None
    urls = set()
    for element in tree.document.query_selector_all('a[href*="creativecommons.org/"]'):
        url = (element.getattr("href") or "").strip()
        if _CREATIVE_COMMONS.match(url):
            urls.add(url)
            if speaks_of_a_part(_words_around(element)):
                return None
    return urls.pop()[:_MAX_VALUE] if len(urls) == 1 else None


def _words_around(element: DOMNode) -> str:
    """Text of the elements around a link, up to some 300 characters.

    It ends below the body: resiliparse 2.0 crashes where it is asked for the text of a document.
    """
    text = ""
    around: DOMNode | None = element
    while around is not None and around.type == NodeType.ELEMENT and around.tag not in _ROOTS:
        words = around.text or ""
        if len(words) > _MAX_AROUND:
            break
        text = words
        around = around.parent
    return text


def _license_field(tree: HTMLTree) -> str | None:
    """The first field of the head that names a licence; "all rights reserved" names none.

    Several fields of one name may stand there, so they are read once more, all of them.
    """
    found: dict[str, str] = {}
    element = tree.head.first_element_child if tree.head is not None else None
    while element is not None:
        if element.tag == "meta":
            content = _clean(element.getattr("content"))
            for attribute in ("name", "property", "itemprop"):
                name = (element.getattr(attribute) or "").strip().lower().replace(":", ".")
                if name in _LICENSE and content and _NAMES_LICENSE.search(content):
                    found.setdefault(name, content)
        element = element.next_element_sibling
    return next((found[name] for name in _LICENSE if name in found), None)


def _license_of_json(tree: HTMLTree) -> str | None:
    """`license` of the page or its article in JSON-LD, not that of a picture on it."""
    assert tree.document is not None
    for element in tree.document.query_selector_all('script[type="application/ld+json"]'):
        written = element.text or ""
        if '"license"' not in written or len(written) > _MAX_JSON:
            continue
        try:
            nodes = list(_nodes(json.loads(written, strict=False)))
        except (ValueError, RecursionError):
            continue  # a page that writes broken JSON says nothing by it
        for node in nodes:
            value = node.get("license")
            kinds = node.get("@type")
            kinds = kinds if isinstance(kinds, list) else [kinds]
            if not any(isinstance(kind, str) and _OF_A_PAGE.search(kind) for kind in kinds):
                continue
            if isinstance(value, dict):
                value = value.get("@id") or value.get("url") or value.get("name")
            if isinstance(value, str) and _clean(value):
                return _clean(value)
    return None


def _nodes(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """The objects of a JSON-LD block: the block, those of a list, those of @graph."""
    if isinstance(value, dict):
        yield value
        yield from _nodes(value.get("@graph"))
        yield from _nodes(value.get("mainEntity"))
    elif isinstance(value, list):
        for one in value:
            yield from _nodes(one)


def _clean(value: str | None) -> str | None:
    return " ".join((value or "").split())[:_MAX_VALUE] or None
