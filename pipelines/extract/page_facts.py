"""What a page says about itself: title, author, date, language, licence.

Read from the nodes of the page by one code for all engines, so that a change of the engine changes
texts only. trafilatura's own reader is not used: its dates (htmldate) are bounded by today, which
makes the result depend on the day of the run. A date is taken only where the page states one in a
field made for it, and is kept as it is written.

Author and date are looked for in the fields of the head, then in JSON-LD, then in the body: links
of rel=author, microdata. An author who is given by an address alone is none.

What a page says of its licence is kept by where it says so, for the annotator `license` to judge:
`license_link` (rel=license, else the one Creative Commons licence that it links to),
`license_meta` (a field of the head), `license_jsonld` (schema.org).

`outlinks` are the addresses of the links in what is kept, for a crawl or a graph of pages to go by.

Sources: HTML standard (lang, title, rel=license, time), Open Graph protocol, Dublin Core in HTML,
schema.org microdata and JSON-LD, Creative Commons REL.
"""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
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
_OF_A_SITE: Final = re.compile(r"WebSite$")  # whose author and date are not those of the page
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
_ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/\S*|www\.\S+", re.IGNORECASE)
_YEAR: Final = re.compile(r"\d{4}")  # without it the text is a time of day, or a number of days
_MAX_SHOWN: Final = 100  # characters of an author or a date in the body; more is a paragraph
_MAX_INSIDE: Final = 200  # nodes of such an element
_MAX_AROUND_ITEM: Final = 100  # elements around it, of which one says what it is of
_MAX_PLACES: Final = 2000  # of a word, looked at for an author or a date in the body
_MAX_MARKED: Final = 200  # elements with the word
_NO_TEXT: Final = (TAG["script"], TAG["style"])
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
    author, date = _first_name(fields), _first(fields, _DATE)
    blocks = _json_blocks(dom, kinds, has_author=author is not None, has_date=date is not None)
    meta = {
        "title": _clean(titles[0] if titles else None) or _first(fields, _TITLE),
        "author": author or _author_of_json(blocks) or _author_of_body(dom),
        "date": date or _date_of_json(blocks) or _date_of_body(dom, kinds),
        "license_link": link,
        "license_meta": _license_field(dom, kinds),
        "license_jsonld": _license_of_json(blocks),
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


def _first_name(fields: dict[str, str]) -> str | None:
    names = (_name(fields.get(name)) for name in _AUTHOR)
    return next((name for name in names if name), None)


def _name(value: str | None) -> str | None:
    """The name of an author, or None of an address."""
    name = _clean(value)
    return None if name is None or _ADDRESS.fullmatch(name) else name


def _author_of_body(dom: Dom) -> str | None:
    """Text of the first link of rel=author; else the first author in microdata."""
    nodes = _nodes_that_say(dom, b"author")
    for node in nodes:
        if "author" in _words(dom, node, "rel").lower().split():
            name = _name(_shown(dom, node))
            if name is not None:
                return name
    for node in nodes:
        if _is_property(dom, node, "author") and _is_in_page(dom, node):
            name = _name(_author_of_item(dom, node))
            if name is not None:
                return name
    return None


def _author_of_item(dom: Dom, node: int) -> str | None:
    """The name that microdata gives an author: its own value, or that of the person's name."""
    content = attribute(dom, node, "content")
    if content is not None or attribute(dom, node, "itemscope") is None:
        return content or _shown(dom, node)
    for inner in range(node + 1, min(int(dom.end[node]), node + _MAX_INSIDE)):
        if dom.tag[inner] != TEXT and _is_property(dom, inner, "name"):
            return attribute(dom, inner, "content") or _shown(dom, inner)
    return _shown(dom, node)


def _date_of_body(dom: Dom, kinds: dict[int, list[_Statement]]) -> str | None:
    """A time element that is marked as the date of publication; else the first in microdata."""
    if found.TIME in kinds:
        date = _clean(_value(dom, kinds[found.TIME][0]))
        if date is not None:
            return date
    for node in _nodes_that_say(dom, b"datePublished"):
        if _is_property(dom, node, "datePublished") and _is_in_page(dom, node):
            stated = attribute(dom, node, "content") or attribute(dom, node, "datetime")
            date = _clean(stated or _shown(dom, node))
            if date is not None and _YEAR.search(date):
                return date
    return None


def _nodes_that_say(dom: Dom, word: bytes) -> list[int]:
    """Elements in whose attributes a word stands, in the order of the page.

    Looking for the word in the bytes is much faster than looking at each element.
    """
    data = dom.data.tobytes()
    places: list[int] = []
    place = data.find(word)
    while place >= 0 and len(places) < _MAX_PLACES:
        places.append(place)
        place = data.find(word, place + len(word))
    if not places:
        return []
    # Nodes stand in the order of their starts: the last that starts before the word has it.
    nodes = np.searchsorted(dom.start, places, side="right") - 1
    is_inside = (dom.tag[nodes] != TEXT) & (nodes > 0) & (dom.stop[nodes] > np.array(places))
    return list(dict.fromkeys(nodes[is_inside].tolist()))[:_MAX_MARKED]


def _words(dom: Dom, node: int, name: str) -> str:
    return attribute(dom, node, name) or ""


def _is_property(dom: Dom, node: int, name: str) -> bool:
    """Whether an element is marked as a property of microdata; its names know small and large."""
    return name in _words(dom, node, "itemprop").split()


def _is_in_page(dom: Dom, node: int) -> bool:
    """Whether microdata speaks of the page or its article, and not of a comment on it, say."""
    for _ in range(_MAX_AROUND_ITEM):
        node = int(dom.parent[node])
        if node <= 0:
            return True
        if attribute(dom, node, "itemscope") is not None:
            kinds = _words(dom, node, "itemtype").split()
            return not kinds or any(_OF_A_PAGE.search(kind) for kind in kinds)
    return False


def _shown(dom: Dom, node: int) -> str | None:
    """The text of an element that is short."""
    text = ""
    if dom.end[node] - node > _MAX_INSIDE:
        return None
    for inner in range(node, int(dom.end[node])):
        if dom.tag[inner] == TEXT and dom.tag[dom.parent[inner]] not in _NO_TEXT:
            text += decoded(dom.data, int(dom.start[inner]), int(dom.stop[inner]))
            if len(text) > 4 * _MAX_SHOWN:
                return None  # blanks between its words are part of it
    shown = _clean(text)
    return shown if shown is not None and len(shown) <= _MAX_SHOWN else None


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


def _json_blocks(
    dom: Dom, kinds: dict[int, list[_Statement]], *, has_author: bool, has_date: bool
) -> list[list[dict[str, Any]]]:
    """The objects of each block of JSON-LD that may state what is not known yet."""
    wanted = [b'"license"']
    wanted += [] if has_author else [b'"author"']
    wanted += [] if has_date else [b'"datePublished"']
    blocks = []
    for row in kinds.get(found.JSON, ()):
        block = dom.data[row[3] : row[4]].tobytes()
        if not any(word in block for word in wanted):
            continue
        written = block.decode("utf-8", "replace")
        if len(written) > _MAX_JSON:
            continue
        try:
            blocks.append(list(_nodes(json.loads(written, strict=False))))
        except (ValueError, RecursionError):
            continue  # a page that writes broken JSON says nothing by it
    return blocks


def _is_of(node: dict[str, Any], kind: re.Pattern[str]) -> bool:
    """Whether a type of an object is of a kind."""
    types = node.get("@type")
    types = types if isinstance(types, list) else [types]
    return any(isinstance(one, str) and kind.search(one) for one in types)


def _license_of_json(blocks: list[list[dict[str, Any]]]) -> str | None:
    """`license` of the page or its article in JSON-LD, not that of a picture on it."""
    for node in chain.from_iterable(blocks):
        if not _is_of(node, _OF_A_PAGE):
            continue
        value = node.get("license")
        if isinstance(value, dict):
            value = value.get("@id") or value.get("url") or value.get("name")
        if isinstance(value, str) and _clean(value):
            return _clean(value)
    return None


def _date_of_json(blocks: list[list[dict[str, Any]]]) -> str | None:
    """`datePublished` of the page or its article in JSON-LD."""
    for node in chain.from_iterable(blocks):
        value = node.get("datePublished")
        if isinstance(value, str) and _clean(value) and _is_page(node):
            return _clean(value)
    return None


def _author_of_json(blocks: list[list[dict[str, Any]]]) -> str | None:
    """Names of the authors of the page or its article in JSON-LD, with semicolons between."""
    for nodes in blocks:
        named = {
            one["@id"]: one for one in nodes if isinstance(one.get("@id"), str) and one.get("name")
        }
        for node in nodes:
            if _is_page(node):
                names = dict.fromkeys(_names(node.get("author"), named))
                if names:
                    return _clean("; ".join(names))
    return None


def _is_page(node: dict[str, Any]) -> bool:
    return _is_of(node, _OF_A_PAGE) and not _is_of(node, _OF_A_SITE)


def _names(value: Any, named: dict[str, dict[str, Any]]) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """The names that an author has: a name, an object, one that stands elsewhere, or several."""
    for author in value if isinstance(value, list) else [value]:
        stated = author
        if isinstance(author, dict):
            stated = author.get("name")
            if stated is None and isinstance(author.get("@id"), str):
                stated = named.get(author["@id"], {}).get("name")
        for name in stated if isinstance(stated, list) else [stated]:
            written = _name(html.unescape(name)) if isinstance(name, str) else None
            if written is not None:
                yield written


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
