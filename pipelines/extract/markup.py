"""Extraction: from ASKED records to texts, one EXTRACTED row for each, in their order.

What a record is, is seen from its bytes and not only from its name: a page sent as text/plain is
extracted as a page, a text sent as text/html is kept as a text, and a picture sent as either is
rejected. PDF files go to `pdf`. (The module is not called `html`: that name belongs to the standard
library.)

Reasons of rejects: `no_text` the engine found nothing; `extract_error` the parser raised, with its
message; `not_text` binary under the name of a page; `not_a_page` a feed or a sitemap under that
name; `undecodable` a text in no charset we know.
"""

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config import ExtractConfig
from pipelines.extract.charset import decode_bytes
from pipelines.extract.code_files import CODE_TYPES
from pipelines.extract.engines import check_engine, engine_name, main_text
from pipelines.extract.extracted import NO_TEXT, Extracted, to_batch
from pipelines.extract.media import (
    OFFICE_TYPES,
    PAGED_TYPES,
    is_binary,
    looks_like_html,
    sniff_media_type,
)
from pipelines.extract.page_facts import PageFacts, outlinks, read_page_facts
from pipelines.extract.pages.dom import parse
from pipelines.extract.text import decode_text, tidy
from pipelines.extract.uris import canonical_uri, host_of
from pipelines.workspace.schema import EXTRACTED

__all__ = ["canonical_uri", "extract_records", "host_of"]

# Raise these numbers when the rules of `text` change, so that new rows can be told from old ones.
_PLAIN: Final = "plain-text/1"
_PLAIN_TYPE: Final = "text/plain"
_CODE_TYPES: Final = pa.array(sorted(CODE_TYPES))
AS_GIVEN: Final = "as-given/1"
_MAX_MESSAGE: Final = 500
_SNIFF_BYTES: Final = 2048
# The roots of RSS 2.0 and 1.0 (RDF), of Atom (RFC 4287) and of sitemaps (sitemaps.org, 0.9), behind
# a byte order mark, declarations and comments.
_FEED: Final = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?[^>]*\?>\s*|<!--.*?-->\s*)*"
    rb"<(rss|feed|urlset|sitemapindex|rdf:RDF)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
# A tag, a declaration or a comment, in an 8-bit charset or in UTF-16; `a < b` is none.
_TAG: Final = re.compile(rb"<\x00?[a-zA-Z!/?]")


def extract_records(records: pa.RecordBatch, *, settings: ExtractConfig) -> pa.RecordBatch:
    """Extracts the texts of records.

    Args:
        records: RECORD rows, all ASKED.
        settings: The HTML engine, and how PDF files are read.

    Returns:
        EXTRACTED rows aligned with the records; `meta` holds what was found here alone: charset,
        title, author, date, numbers of pages.

    Raises:
        ValueError: An engine is unknown, or not installed.
    """
    check_engine(settings.html_engine)
    if records.column("text").null_count == 0:
        types = records.column("media_type")
        types = pc.if_else(pc.is_in(types, _CODE_TYPES), types, _PLAIN_TYPE)
        return _given_texts(records.column("text").to_pylist(), types)
    names = ("payload", "text", "media_type", "charset", "uri")
    columns = [records.column(name).to_pylist() for name in names]
    return to_batch([_extract(*values, settings=settings) for values in zip(*columns, strict=True)])


def _given_texts(texts: list[str], media_types: pa.StringArray) -> pa.RecordBatch:
    """EXTRACTED rows of records that held the text itself, column by column."""
    n = len(texts)
    tidied = [tidy(text) for text in texts]
    blank = pa.array([not text.strip() for text in tidied], pa.bool_())
    columns = {
        "text": pa.array(tidied, pa.large_string(), mask=blank.to_numpy(zero_copy_only=False)),
        "reason": pc.if_else(blank, "no_text", None).cast(pa.string()),
        "message": pc.if_else(blank, NO_TEXT, None).cast(pa.string()),
        "extractor": pa.repeat(AS_GIVEN, n),
        "media_type": media_types,
        "meta": pa.array([[]] * n, EXTRACTED.field("meta").type),
    }
    arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in EXTRACTED]
    return pa.RecordBatch.from_arrays(arrays, schema=EXTRACTED)


def _extract(
    payload: bytes | None,
    text: str | None,
    media_type: str | None,
    charset: str | None,
    uri: str | None,
    *,
    settings: ExtractConfig,
) -> Extracted:
    if text is not None:
        kind = media_type if media_type in CODE_TYPES else _PLAIN_TYPE
        return _checked(Extracted(extractor=AS_GIVEN, text=tidy(text), media_type=kind))
    assert payload is not None
    if media_type in OFFICE_TYPES:
        # Here and below, because their libraries load for a second and few processes need them.
        from pipelines.extract.office.reading import read_office

        return read_office(payload, media_type)
    if media_type in PAGED_TYPES:
        from pipelines.extract.pdf.document import read_pdf

        return read_pdf(payload, settings.pdf)
    engine = settings.html_engine
    is_code = media_type in CODE_TYPES and media_type != _PLAIN_TYPE
    is_page = not is_code and media_type != _PLAIN_TYPE
    if is_binary(payload):
        found = sniff_media_type(payload)
        name = engine_name(engine) if is_page else _PLAIN
        message = f"the bytes are {found or 'binary'}, not {media_type}"
        return Extracted(extractor=name, reason="not_text", message=message, media_type=found)
    feed = _FEED.match(payload[:_SNIFF_BYTES].replace(b"\x00", b"")) if is_page else None
    if feed is not None:
        message = f"the bytes are a feed or a sitemap (<{feed[1].decode('ascii')}>), no page"
        return Extracted(extractor=engine_name(engine), reason="not_a_page", message=message)
    looks_so = not is_code and looks_like_html(payload)  # code may write pages
    if looks_so or (is_page and _TAG.search(payload)):
        return _extract_page(payload, media_type, charset, uri, settings)
    return _extract_text(payload, charset, (is_code and media_type) or _PLAIN_TYPE)


def _extract_text(payload: bytes, charset: str | None, media_type: str) -> Extracted:
    decoded = decode_text(payload, charset)
    if decoded is None:
        message = "the bytes are no text in any charset that was tried"
        return Extracted(extractor=_PLAIN, reason="undecodable", message=message)
    row = Extracted(
        extractor=_PLAIN,
        text=tidy(decoded.text),
        media_type=media_type,
        meta={"charset": decoded.charset},
    )
    return _checked(row)


def _extract_page(
    payload: bytes,
    media_type: str | None,
    charset: str | None,
    uri: str | None,
    settings: ExtractConfig,
) -> Extracted:
    is_xhtml = media_type == "application/xhtml+xml"
    decoded = decode_bytes(payload, http=charset)
    message, text, facts = None, "", PageFacts()
    extractor, links = engine_name(settings.html_engine), ""
    try:
        dom = parse(decoded.data, is_xhtml=is_xhtml)
        facts = read_page_facts(dom)
        found = main_text(dom, settings.html_engine)
        text, extractor = tidy(found.text), found.extractor
        if settings.outlinks == "main":
            links = "\n".join(outlinks(dom, found.keep, uri))
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        # Parsers fail in their own ways on odd trees (RecursionError, AssertionError, lxml errors,
        # SystemExit); one page is lost, with its reason.
        message = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE]
    row = Extracted(
        extractor=extractor,
        text=text,
        reason="extract_error" if message is not None else None,
        message=message,
        media_type="application/xhtml+xml" if is_xhtml else "text/html",
        license=facts.license,
        declared_language=facts.language,
        meta={"charset": decoded.charset, **facts.meta} | ({"outlinks": links} if links else {}),
    )
    return _checked(row)


def _checked(row: Extracted) -> Extracted:
    """The row, as a reject where it has no text."""
    is_blank = not (row.text and row.text.strip())
    if row.reason is None and not is_blank:
        return row
    return Extracted(
        extractor=row.extractor,
        reason=row.reason or "no_text",
        message=row.message or NO_TEXT,
        media_type=row.media_type,
        license=row.license,
        declared_language=row.declared_language,
        meta=row.meta,
    )
