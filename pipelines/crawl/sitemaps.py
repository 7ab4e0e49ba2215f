"""Sitemaps: addresses that a site lists itself (sitemaps.org protocol 0.9).

XML (`urlset`, or a `sitemapindex` of further sitemaps) or plain text with one address a line, each
also in gzip. The protocol's own limits hold: 50 MB unpacked and 50,000 entries a file. The XML
parser expands no entities and opens no files. An ampersand that should have been escaped, the most
common mistake, is; a parser that repairs markup would drop it and give addresses that never were.
Prefixes that no `xmlns` declares are read as if one did, and blanks before the declaration are
skipped. At any other mistake reading ends, and what stands before it counts.
"""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from pipelines.extract.media import utf16_of_nuls

MAX_SITEMAP_BYTES: Final = 50 << 20
MAX_SITEMAP_ENTRIES: Final = 50_000
_GZIP: Final = b"\x1f\x8b"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_FEED_BYTES: Final = 64 << 10
_BOM: Final = b"\xef\xbb\xbf"
_BEFORE_XML: Final = _BOM + b" \t\r\n"
# A stray ampersand; or what is to be passed over whole, because an ampersand stands for itself in
# CDATA and comments. What is not closed reaches to the end, so that it is looked through once.
_AMPERSAND: Final = re.compile(
    rb"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)"
    rb"|<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)",
    re.DOTALL,
)


class BrokenSitemap(ValueError):
    """Bytes that are no sitemap; `reason` is that of the fetch."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap lists."""

    entries: tuple[str, ...]
    """Addresses as written."""
    is_index: bool
    """They are sitemaps themselves."""
    num_over: int
    """Entries beyond the limit."""
    broken: str | None = None
    """The mistake at which reading ended."""


def parse_sitemap(body: bytes) -> Sitemap:
    """Reads a sitemap in any of its forms.

    Raises:
        BrokenSitemap: It is too large, its gzip is broken, or it holds no entry at all.
    """
    if body.startswith(_GZIP):
        body = _gunzip(body)
    if len(body) > MAX_SITEMAP_BYTES:
        raise BrokenSitemap("unpacked_too_large", f"more than {MAX_SITEMAP_BYTES} bytes")
    if not body.strip():
        raise BrokenSitemap("broken_sitemap", "no bytes")
    utf16 = "utf-16" if body.startswith(_UTF16_MARKS) else utf16_of_nuls(body)
    if utf16 is not None:
        body = body.decode(utf16, "replace").encode()
    xml = body.lstrip(_BEFORE_XML)
    if not xml.startswith(b"<"):
        return _limited([(line.strip(), False) for line in _lines(body) if line.strip()])
    found: list[tuple[str, bool]] = []
    try:
        is_utf8 = utf16 is not None or body.startswith(_BOM)
        found.extend(_xml_entries(_AMPERSAND.sub(_escaped, xml), "utf-8" if is_utf8 else None))
    except etree.LxmlError as error:
        if not found:
            raise BrokenSitemap("broken_sitemap", str(error)) from error
        return _limited(found, str(error))
    return _limited(found)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"&amp;" if found[0] == b"&" else found[0]


def _local_name(tag: object) -> str:
    """The name of an element without namespace or prefix; of comments none.

    >>> _local_name("{http://www.sitemaps.org/schemas/sitemap/0.9}loc"), _local_name("xhtml:link")
    ('loc', 'link')
    """
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def _limited(found: list[tuple[str, bool]], broken: str | None = None) -> Sitemap:
    kept = found[:MAX_SITEMAP_ENTRIES]
    is_index = bool(kept) and kept[0][1]
    entries = tuple(url for url, of_index in kept if of_index == is_index)
    return Sitemap(entries, is_index, len(found) - len(kept), broken)


def _lines(body: bytes) -> list[str]:
    lines = body.decode("utf-8-sig", "replace").splitlines()
    if any(line.strip() and "://" not in line for line in lines[:10]):
        raise BrokenSitemap("broken_sitemap", "neither XML nor one address a line")
    return lines


def _xml_entries(body: bytes, encoding: str | None) -> Iterator[tuple[str, bool]]:
    """(address, whether it stands in an index) of each <loc>, in any namespace."""
    is_sitemap = False
    for element in _elements(body, encoding):
        name, parent = _local_name(element.tag), element.getparent()
        above = _local_name(parent.tag) if parent is not None else ""
        is_sitemap = is_sitemap or name in ("urlset", "sitemapindex", "url", "sitemap")
        if name == "loc" and above in ("url", "sitemap") and element.text:
            yield element.text.strip(), above == "sitemap"
        if name in ("url", "sitemap"):
            element.clear()
            while element.getprevious() is not None:
                del parent[0]
    if not is_sitemap:
        raise BrokenSitemap("broken_sitemap", "XML without a urlset or sitemapindex")


def _elements(body: bytes, encoding: str | None) -> Iterator[Any]:
    """Elements in the order of their ends.

    Raises:
        etree.LxmlError: At a mistake other than a prefix that no `xmlns` declares; of those the
            parser complains too, but when it has read to the end.
    """
    events = etree.iterparse(
        io.BytesIO(body),
        events=("end",),
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    try:
        for _, element in events:
            yield element
    except etree.XMLSyntaxError as error:
        undeclared = etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE
        found = next((one for one in events.error_log if one.type != undeclared), None)
        if found is not None:
            raise etree.LxmlError(f"{found.message}, line {found.line}") from error


def _gunzip(body: bytes) -> bytes:
    """Unpacks a gzip file, of one member or several, up to the limit."""
    unpacked, unpacker, position = bytearray(), zlib.decompressobj(wbits=31), 0
    try:
        while position < len(body):
            piece = body[position : position + _FEED_BYTES]
            room = MAX_SITEMAP_BYTES + 1 - len(unpacked)
            unpacked += unpacker.decompress(piece, room)
            if len(unpacked) > MAX_SITEMAP_BYTES:
                message = f"unpacks to more than {MAX_SITEMAP_BYTES} bytes"
                raise BrokenSitemap("unpacked_too_large", message)
            position += len(piece) - len(unpacker.unused_data)
            if unpacker.eof:
                if not body.startswith(_GZIP, position):
                    break
                unpacker = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise BrokenSitemap("bad_encoding", f"broken gzip: {error}") from error
    if not unpacker.eof:
        raise BrokenSitemap("truncated_body", "the gzip ends too early")
    return bytes(unpacked)
