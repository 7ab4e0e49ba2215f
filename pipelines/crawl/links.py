"""Links of a page and of a sitemap; runs in child processes, for the pages are strangers'.

Followed are `a`, `area`, `iframe` and `frame`, and a `meta` refresh, resolved against the page's
address or its first `base`; not what is marked rel=nofollow. Addresses come out canonical, without
their fragment. Parsing is lxml's: resiliparse 2.0.1 takes time that grows with the square of the
number of elements whose attributes are read (1.3 s for 400 links, where lxml takes 0.8 ms).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

import pyarrow as pa
from lxml import etree

from pipelines.crawl.ai_policy import is_reserved
from pipelines.crawl.robots import PRODUCT, Directives
from pipelines.crawl.schema import SITEMAP
from pipelines.crawl.sitemaps import BrokenSitemap, parse_sitemap
from pipelines.extract.charset import decode
from pipelines.extract.uris import canonical_uri

# Real pages have hundreds; a page of more is a trap or a dump.
MAX_PAGE_LINKS: Final = 20_000
_TAGS: Final = ("html", "base", "a", "area", "link", "iframe", "frame", "meta")
_HREFS: Final = ("a", "area", "link")
_MAX_LANGUAGE_CHARS: Final = 100
_MAX_TOLD_CHARS: Final = 300
_ORIGIN: Final = re.compile(r"https?://[^/?#@]+(?=/)")
# An address of http without a port, or the absolute path of one, that is canonical but for its
# fragment: no escapes, no segment that begins with a dot, nothing that would have to be escaped, no
# `;`, of which urljoin drops the last one.
_PLAIN: Final = re.compile(
    r"(https?://(?:[a-z0-9][a-z0-9-]*\.)*[a-z0-9][a-z0-9-]*)?"
    r"((?:/[\w~!$&'()*+,=:@-][\w.~!$&'()*+,=:@-]*)*/?)"
    r"(\?[\w.~!$&'()*+,;=:@/?-]+)?(?:#.*)?",
    re.ASCII,
)
_BLANKS: Final = re.compile(r"[\t\n\r]")
_REFRESH: Final = re.compile(r"\s*[\d.]*\s*[;,]?\s*url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)

FOUND_IN: Final = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("charset", pa.string()),  # as declared by HTTP
        pa.field("payload", pa.large_binary(), nullable=False),
    ]
)
FOUND: Final = pa.schema(
    [
        pa.field("links", pa.list_(pa.string()), nullable=False),  # canonical, in order, each once
        pa.field("hreflangs", pa.list_(pa.string()), nullable=False),  # of each; null: not said
        pa.field("language", pa.string()),  # that the page declares, as written
        pa.field("noindex", pa.bool_(), nullable=False),
        pa.field("nofollow", pa.bool_(), nullable=False),
        pa.field("noai", pa.bool_(), nullable=False),
        pa.field("tdm_reserved", pa.bool_()),  # null: not said
        pa.field("is_index", pa.bool_(), nullable=False),  # the links are sitemaps
        pa.field("num_over", pa.int64(), nullable=False),  # links beyond the limit
        pa.field("reason", pa.string()),  # why there are none, or not all
        pa.field("message", pa.string()),
    ]
)


def find_links(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Links of pages and sitemaps.

    Args:
        batch: FOUND_IN rows.

    Returns:
        FOUND rows, aligned.
    """
    rows = [_of_row(row) for row in batch.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, schema=FOUND)


def _of_row(row: dict[str, Any]) -> dict[str, Any]:
    is_sitemap = row["kind"] == SITEMAP
    try:
        if is_sitemap:
            return _of_sitemap(row["payload"], row["url"])
        return _of_page(row["payload"], row["url"], row["charset"])
    except MemoryError:
        raise  # of the machine, perhaps; the caller tries each page alone
    except Exception as error:
        # A stranger's bytes must never end a part: what no rule foresaw costs one page its links.
        told = f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode()
        reason = "broken_sitemap" if is_sitemap else "unparsed"
        return _row([], reason=reason, message=told[:_MAX_TOLD_CHARS])


def no_links(_: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """The FOUND row of a page whose parser died."""
    return pa.RecordBatch.from_pylist([_row([], reason=reason, message=message)], schema=FOUND)


def _of_sitemap(payload: bytes, url: str) -> dict[str, Any]:
    try:
        sitemap = parse_sitemap(payload)
    except BrokenSitemap as error:
        return _row([], reason=error.reason, message=str(error))
    links = list(_resolved(dict.fromkeys(sitemap.entries), url))
    broken = {"reason": "broken_sitemap", "message": sitemap.broken} if sitemap.broken else {}
    return _row(links, is_index=sitemap.is_index, num_over=sitemap.num_over, **broken)


def _of_page(payload: bytes, url: str, charset: str | None) -> dict[str, Any]:
    text = decode(payload, http=charset).text
    found = read_page(text, url)
    links = dict(list(found.links.items())[:MAX_PAGE_LINKS])
    return _row(
        list(links),
        hreflangs=list(links.values()),
        language=found.language,
        noindex=found.directives.noindex,
        nofollow=found.directives.nofollow,
        noai=found.directives.noai,
        tdm_reserved=found.tdm_reserved,
        num_over=max(0, len(found.links) - MAX_PAGE_LINKS),
    )


def _row(links: list[str], **values: object) -> dict[str, Any]:
    blank = dict.fromkeys(("noindex", "nofollow", "noai", "is_index"), False)
    return {"links": links, "hreflangs": [None] * len(links), **blank, "num_over": 0, **values}


@dataclass(slots=True)
class PageLinks:
    """What a page says to crawlers."""

    links: dict[str, str | None] = field(default_factory=dict)
    """Canonical addresses in the order of the page, those with rel=nofollow left out -> the
    language that is announced, None where one of its links announces none."""
    directives: Directives = field(default_factory=Directives)
    """Of its robots meta tags. A page that says nofollow still gives its links."""
    language: str | None = None
    """`lang` of html, else of a meta tag."""
    tdm_reserved: bool | None = None


def read_page(html: str, url: str) -> PageLinks:
    """Links of a page, and what its tags say.

    Args:
        html: The page.
        url: Its address.
    """
    page, base, names = PageLinks(), None, list[str]()
    hrefs: dict[str, str | None] = {}
    for element in _elements(html):
        tag = element.tag
        if tag == "html":
            page.language = page.language or _language(element.get("lang"))
        elif tag == "base":
            base = _join(url, element.get("href") or "") if base is None else base
        elif tag == "meta":
            names += _directives(element)
            for href in _refresh(element):
                hrefs[href] = None
            _note_meta(page, element)
        elif _is_followed(element):
            href = element.get("href" if tag in _HREFS else "src") or ""
            hrefs[href] = hrefs.get(href, "x") and _language(element.get("hreflang"))
    page.links = _resolved(hrefs, base or url)
    page.directives = Directives.of(names)
    return page


def _is_followed(element: Any) -> bool:  # noqa: ANN401 - lxml has no types
    rel = (element.get("rel") or "").lower().split()
    if element.tag == "link":
        return "alternate" in rel and bool(element.get("hreflang"))
    return "nofollow" not in rel


def _language(written: str | None) -> str | None:
    return (written or "").strip()[:_MAX_LANGUAGE_CHARS] or None


def _note_meta(page: PageLinks, meta: Any) -> None:  # noqa: ANN401 - lxml has no types
    name = (meta.get("name") or meta.get("http-equiv") or "").strip().lower()
    if name == "content-language" and page.language is None:
        page.language = _language(meta.get("content"))
    elif name == "tdm-reservation" and page.tdm_reserved is not True:
        page.tdm_reserved = is_reserved(meta.get("content"))


def _elements(html: str) -> Iterator[Any]:
    """Elements that may link, in the order of the page; none of a page without markup."""
    # Deep pages are whole pages too: without huge_tree parsing ends at 256 levels.
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=True)
    data = html.encode("utf-8", "replace")
    try:
        root = etree.fromstring(data, parser) if data.strip() else None
    except etree.ParserError:
        return
    if root is not None:
        yield from root.iter(*_TAGS)


def _directives(meta: Any) -> list[str]:  # noqa: ANN401 - lxml has no types
    name = (meta.get("name") or "").strip().lower()
    return (meta.get("content") or "").split(",") if name in ("robots", PRODUCT) else []


def _refresh(meta: Any) -> Iterator[str]:  # noqa: ANN401 - lxml has no types
    if (meta.get("http-equiv") or "").strip().lower() == "refresh":
        found = _REFRESH.match(meta.get("content") or "")
        if found:
            yield found[1]


def _resolved(hrefs: dict[str, str | None], base: str) -> dict[str, str | None]:
    links: dict[str, str | None] = {}
    origin = _ORIGIN.match(canonical_uri(base))
    for href, language in hrefs.items():
        link = _canonical(href, base, origin[0] if origin else None)
        if link:
            links[link] = links.get(link, "x") and language
    return links


def _canonical(href: str, base: str, origin: str | None) -> str | None:
    """The canonical address of a link; most links are written so that little is to be done."""
    plain = _PLAIN.fullmatch(href)
    if plain is not None and (plain[1] or (origin and plain[2])):
        return f"{plain[1] or origin}{plain[2] or '/'}{plain[3] or ''}"
    link = _join(base, href)
    return canonical_uri(link) if link else None


def _join(base: str, href: str) -> str | None:
    """The absolute address of a link; blanks in it are dropped as the URL standard asks."""
    href = _BLANKS.sub("", href.strip("\x00\t\n\r\x0b\x0c "))
    try:
        return urljoin(base, href.encode("utf-8", "replace").decode("utf-8")) if href else None
    except ValueError:
        return None
