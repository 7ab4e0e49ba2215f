"""What a page says about itself: title, author, date, language, licence.

Read from the nodes of the page by one code for all engines, so that a change of the engine changes
texts only. trafilatura's own reader is not used: its dates (htmldate) are bounded by today, which
makes the result depend on the day of the run. A date is taken only where the page states one in a
field made for it, and is kept as it is written.

What a page says of its licence is kept by where it says so, for the annotator `license` to judge:
`license_link` (rel=license, else the one Creative Commons licence that it links to),
`license_meta` (a field of the head), `license_jsonld` (schema.org).

`outlinks` are the addresses of the links in what is kept, for a crawl or a graph of pages to go by.

Sources: HTML standard (lang, title, rel=license, time), Open Graph protocol, Dublin Core in HTML,
schema.org microdata and JSON-LD, Creative Commons REL.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import numpy as np
from numpy.typing import NDArray

from annotators.license.sentences import speaks_of_a_part
from pipelines.extract.pages import statements as found
from pipelines.extract.pages.attributes import attribute
from pipelines.extract.pages.dom import TAG, TEXT, Dom
from pipelines.extract.pages.entities import decoded
from pipelines.extract.uris import canonical_uri

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
_ROOTS: Final = (TAG["body"], TAG["html"], TAG["#document"])
_MAX_AROUND: Final = 300  # characters; more is another paragraph
_CREATIVE_COMMONS: Final = re.compile(
    r"^(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[a-z]", re.IGNORECASE
)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
# What canonical_uri leaves as it is and urljoin takes for absolute; most links are such.
_PATH: Final = r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?(?:\?[A-Za-z0-9._~=&+-]+)?"
_PLAIN_URL: Final = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?=/)" + _PATH)
_PLAIN_PATH: Final = re.compile(r"(?=/)" + _PATH)
_ORIGIN: Final = re.compile(r"(https?://[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?:[/?#]|$)")
_BLANKS: Final = re.compile(r"[\t\n\r]")
_MAX_OUTLINKS: Final = 1000  # real pages keep some 20; a page of more is a list of links
_MAX_HREFS: Final = 20_000  # looked at, of which many may be of one address
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


_FIELDS: Final = (*_AUTHOR, *_DATE, *_TITLE, "content-language")
_FIELD_HASHES: Final = found.hashes_of(_FIELDS)
_LICENSE_HASHES: Final = found.hashes_of(_LICENSE)
_Statement = tuple[int, int, int, int, int]


def read_page_facts(dom: Dom) -> PageFacts:
    """Reads what a parsed page says about itself."""
    kinds: dict[int, list[_Statement]] = {}
    for row in found.find_statements(dom, _FIELD_HASHES, _LICENSE_HASHES):
        kinds.setdefault(row[1], []).append(row)
    fields: dict[str, str] = {}
    for row in kinds.get(found.FIELD, ()):
        fields.setdefault(_FIELDS[row[2]], _value(dom, row))
    titles = [_value(dom, row, in_attribute=False) for row in kinds.get(found.TITLE, ())]
    link = _license(dom, kinds)
    meta = {
        "title": _clean(titles[0] if titles else None) or _first(fields, _TITLE),
        "author": _first(fields, _AUTHOR),
        "date": _date(dom, kinds, fields),
        "license_link": link,
        "license_meta": _license_field(dom, kinds),
        "license_jsonld": _license_of_json(dom, kinds),
    }
    return PageFacts(
        language=_language(dom, kinds, fields),
        license=link,
        meta={name: value for name, value in meta.items() if value},
    )


def outlinks(dom: Dom, keep: NDArray[np.bool_], base_url: str | None) -> list[str]:
    """Addresses of the links in the kept nodes.

    Args:
        dom: The page.
        keep: Which of its nodes are kept: `bool[num_nodes]`. A link counts where it is kept or
            anything in it is.
        base_url: The page's address, against which links are resolved, or its first `base`.

    Returns:
        Absolute addresses by http and https, canonical (`uris.canonical_uri`), each once, in the
        order of the page; at most 1,000.
    """
    num_kept = np.zeros(len(dom) + 1, np.int64)
    np.cumsum(keep, out=num_kept[1:])
    ranges = np.empty((min(len(dom), _MAX_HREFS), 2), np.int64)
    count = found.find_kept_links(dom.data, dom.tag, dom.end, dom.start, dom.stop, num_kept, ranges)
    base = _base(dom, base_url)
    origin = _ORIGIN.match(base)
    links: dict[str, None] = {}
    for start, stop in dict.fromkeys(map(tuple, ranges[:count].tolist())):
        href = decoded(dom.data, start, stop, in_attribute=True)
        link = _resolved(href, base, origin[1] if origin else None)
        if link is not None:
            links[link] = None
            if len(links) == _MAX_OUTLINKS:
                break
    return list(links)


def _base(dom: Dom, base_url: str | None) -> str:
    """The address against which the links of a page are resolved."""
    for node in np.flatnonzero(dom.tag == TAG["base"]).tolist():
        href = attribute(dom, node, "href")
        if href is not None:
            return _join(base_url or "", href) or base_url or ""
    return base_url or ""


def _resolved(href: str, base: str, origin: str | None) -> str | None:
    """The canonical address of a link by http or https, or None of any other."""
    if _PLAIN_URL.fullmatch(href):
        return href
    if origin is not None and _PLAIN_PATH.fullmatch(href):
        return origin + href
    if href.lstrip()[:1] in ("#", ""):
        return None  # a place on this page
    link = _join(base, href)
    if link is None or not link.lower().startswith(("http://", "https://")):
        return None
    return canonical_uri(link)


def _join(base: str, href: str) -> str | None:
    """The absolute address of a link; blanks around and line ends within go (URL standard, 4.4)."""
    href = _BLANKS.sub("", href.strip("\x00\t\n\r\x0b\x0c "))
    try:
        return urljoin(base, href)
    except ValueError:
        return None


def _value(dom: Dom, row: _Statement, *, in_attribute: bool = True) -> str:
    return decoded(dom.data, row[3], row[4], in_attribute=in_attribute)


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    values = (_clean(fields.get(name)) for name in names)
    return next((value for value in values if value), None)


def _date(dom: Dom, kinds: dict[int, list[_Statement]], fields: dict[str, str]) -> str | None:
    stated = _first(fields, _DATE)
    if stated is None and found.TIME in kinds:
        stated = _clean(_value(dom, kinds[found.TIME][0]))
    return stated


def _language(dom: Dom, kinds: dict[int, list[_Statement]], fields: dict[str, str]) -> str | None:
    rows = sorted(kinds.get(found.LANGUAGE, ()), key=lambda row: row[2])
    for value in (*(_value(dom, row) for row in rows), fields.get("content-language", "")):
        tag = _LANGUAGE.match(value.strip())
        if tag is not None:
            return tag[0].lower().replace("_", "-")
    return None


def _license(dom: Dom, kinds: dict[int, list[_Statement]]) -> str | None:
    """The link marked as licence; else the one Creative Commons licence that the page links to.

    Of several unmarked ones each may speak of one picture only, and so may one beside such words:
    of 25 pages with one unmarked link 9 gave it with a picture or a piece of music.
    """
    for row in kinds.get(found.LICENSE_LINK, ()):
        marked = _value(dom, row).strip()
        if marked:
            return marked[:_MAX_VALUE]
    urls = set()
    for row in kinds.get(found.COMMONS_LINK, ()):
        url = _value(dom, row).strip()
        if _CREATIVE_COMMONS.match(url):
            urls.add(url)
            if speaks_of_a_part(_words_around(dom, row[0])):
                return None
    return urls.pop()[:_MAX_VALUE] if len(urls) == 1 else None


def _words_around(dom: Dom, node: int) -> str:
    """Text of the elements around a link within the body, up to some 300 characters."""
    text = ""
    while dom.tag[node] not in _ROOTS:
        end = int(dom.end[node])
        words = ""
        for inner in range(node, end):
            if dom.tag[inner] == TEXT:
                words += decoded(dom.data, int(dom.start[inner]), int(dom.stop[inner]))
                if len(words) > _MAX_AROUND:
                    return text
        text = words
        node = int(dom.parent[node])
    return text


def _license_field(dom: Dom, kinds: dict[int, list[_Statement]]) -> str | None:
    """The first field of the head that names a licence; "all rights reserved" names none."""
    stated: dict[str, str] = {}
    for row in kinds.get(found.LICENSE_FIELD, ()):
        content = _clean(_value(dom, row))
        if content and _NAMES_LICENSE.search(content):
            stated.setdefault(_LICENSE[row[2]], content)
    return next((stated[name] for name in _LICENSE if name in stated), None)


def _license_of_json(dom: Dom, kinds: dict[int, list[_Statement]]) -> str | None:
    """`license` of the page or its article in JSON-LD, not that of a picture on it."""
    for row in kinds.get(found.JSON, ()):
        block = dom.data[row[3] : row[4]].tobytes()
        if b'"license"' not in block:
            continue
        written = block.decode("utf-8", "replace")
        if len(written) > _MAX_JSON:
            continue
        try:
            nodes = list(_nodes(json.loads(written, strict=False)))
        except (ValueError, RecursionError):
            continue  # a page that writes broken JSON says nothing by it
        for node in nodes:
            value = node.get("license")
            types = node.get("@type")
            types = types if isinstance(types, list) else [types]
            if not any(isinstance(one, str) and _OF_A_PAGE.search(one) for one in types):
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
