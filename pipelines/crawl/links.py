"""Links of a page and of a sitemap; runs in child processes, for the pages are strangers'.

Followed are `a`, `area`, `iframe` and `frame`, and a `meta` refresh, resolved against the page's
address or its first `base`; not what is marked rel=nofollow. Addresses come out canonical, without
their fragment. Parsing is lxml's: resiliparse 2.0.1 takes time that grows with the square of the
number of elements whose attributes are read (1.3 s for 400 links, where lxml takes 0.8 ms).
"""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin

import pyarrow as pa
from lxml import etree  # type: ignore[import-untyped]

from pipelines.crawl.robots import PRODUCT, Directives
from pipelines.crawl.schema import SITEMAP
from pipelines.crawl.sitemaps import BrokenSitemap, parse_sitemap
from pipelines.extract.charset import decode
from pipelines.extract.uris import canonical_uri

# Real pages have hundreds; a page of more is a trap or a dump.
MAX_PAGE_LINKS: Final = 20_000
_TAGS: Final = ("base", "a", "area", "iframe", "frame", "meta")
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
        pa.field("noindex", pa.bool_(), nullable=False),
        pa.field("nofollow", pa.bool_(), nullable=False),
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
    rows = [
        _of_sitemap(row["payload"], row["url"])
        if row["kind"] == SITEMAP
        else _of_page(row["payload"], row["url"], row["charset"])
        for row in batch.to_pylist()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=FOUND)


def no_links(_: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
    """The FOUND row of a page whose parser died."""
    return pa.RecordBatch.from_pylist([_row([], reason=reason, message=message)], schema=FOUND)


def _of_sitemap(payload: bytes, url: str) -> dict[str, Any]:
    try:
        sitemap = parse_sitemap(payload)
    except BrokenSitemap as error:
        return _row([], reason=error.reason, message=str(error))
    links = _resolved(sitemap.entries, url)
    broken = {"reason": "broken_sitemap", "message": sitemap.broken} if sitemap.broken else {}
    return _row(links, is_index=sitemap.is_index, num_over=sitemap.num_over, **broken)


def _of_page(payload: bytes, url: str, charset: str | None) -> dict[str, Any]:
    text = decode(payload, http=charset).text
    links, directives = page_links(text, url)
    over = max(0, len(links) - MAX_PAGE_LINKS)
    return _row(
        links[:MAX_PAGE_LINKS],
        noindex=directives.noindex,
        nofollow=directives.nofollow,
        num_over=over,
    )


def _row(links: list[str], **values: object) -> dict[str, Any]:
    blank = {"noindex": False, "nofollow": False, "is_index": False, "num_over": 0}
    return {"links": links, **blank, **values}


def page_links(html: str, url: str) -> tuple[list[str], Directives]:
    """Links of a page, and what its robots meta tags say.

    Args:
        html: The page.
        url: Its address.

    Returns:
        Canonical addresses in the order of the page, each once; of those with rel=nofollow none.
        A page that says nofollow still gives its links: the caller decides.
    """
    base, hrefs, names = None, list[str](), list[str]()
    for element in _elements(html):
        tag = element.tag
        if tag == "base":
            base = _join(url, element.get("href") or "") if base is None else base
        elif tag == "meta":
            names += _directives(element)
            hrefs += _refresh(element)
        elif "nofollow" not in (element.get("rel") or "").lower().split():
            hrefs.append(element.get("href" if tag in ("a", "area") else "src") or "")
    return _resolved(hrefs, base or url), Directives.of(names)


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


def _resolved(hrefs: list[str] | tuple[str, ...], base: str) -> list[str]:
    joined = (_join(base, href) for href in dict.fromkeys(hrefs))
    return list(dict.fromkeys(canonical_uri(link) for link in joined if link))


def _join(base: str, href: str) -> str | None:
    """The absolute address of a link; blanks in it are dropped as the URL standard asks."""
    href = _BLANKS.sub("", href.strip("\x00\t\n\r\x0b\x0c "))
    try:
        return urljoin(base, href.encode("utf-8", "replace").decode("utf-8")) if href else None
    except ValueError:
        return None
