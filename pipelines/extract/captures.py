"""What a whole record of a web archive is: asked for, rejected, or not asked for, and why.

Asked for are responses (status 200 or 203) and resources of the media types `ASKED_TYPES`, and the
text of `conversion` records (WET). Everything else is not asked for and says so in `reason`:
`warc_<type>`, `arc_filedesc`, `http_status_<n>`, `robots_txt`, `crawler_log`,
`media_type:<type>`. A media type that is absent, or says nothing (`application/octet-stream`), is
replaced by what the crawler identified or by a look at the bytes. PDF files and packages (EPUB,
DOCX, ODT, PPTX, XPS) are told by their bytes whatever they were sent as (`application/x-download`,
`application/zip`, even a page), and a page that was sent in place of one, as for an error, is one.

A payload that the crawler says it cut (WARC-Truncated: length, time, disconnect, unspecified) is
marked `truncated` in `meta`. A page or a text of which the end is missing is still one; a PDF or a
package keeps its directory at its end, so there it is a reject, `truncated_payload`.

Sources: WARC/1.1 (ISO 28500:2017); the WARC-Identified-* fields of Common Crawl; robots.txt
RFC 9309; `metadata://gnu.org/` resources are the log and the arguments of wget.
"""

from typing import Final
from urllib.parse import urlsplit

from pipelines.extract.http_message import (
    BrokenMessage,
    charset_of,
    decode_body,
    media_type_of,
    parse_response,
)
from pipelines.extract.media import (
    ASKED_TYPES,
    OFFICE_TYPES,
    PDF_TYPE,
    looks_like_html,
    looks_like_pdf,
    sniff_media_type,
)
from pipelines.extract.rows import Record, text_of_utf8
from pipelines.extract.warc_header import RecordHeader
from pipelines.workspace.schema import ASKED, NOT_ASKED, REJECTED

_ASKED_STATUS: Final = (200, 203)
_HEAD_BYTES: Final = 2048  # a PDF header, junk before it and the size of a first chunk
_VAGUE_TYPES: Final = (None, "application/octet-stream", "unknown/unknown", "no-type/no-type")
_TOLD_TYPES: Final = (PDF_TYPE, *OFFICE_TYPES)
_ZIP: Final = b"PK\x03\x04"
_CHUNK_HEAD_BYTES: Final = 32
_TRUNCATED: Final = "truncated"  # key of meta
_KNOWN_KINDS: Final = ("warcinfo", "request", "metadata", "revisit")


def record_of_capture(blank: Record, header: RecordHeader, body: bytes, max_bytes: int) -> Record:
    """Gives the row of a record whose bytes are whole.

    Args:
        blank: The row with place, URI and time filled in.
        header: Header of the record.
        body: Its block, as stored.
        max_bytes: Limit of the decoded payload.
    """
    try:
        return _sort(blank, header, body, max_bytes)
    except BrokenMessage as error:
        return _rejected(blank, error.reason, str(error))


def _sort(blank: Record, header: RecordHeader, body: bytes, max_bytes: int) -> Record:
    kind = header.kind
    if "warc-segment-number" in header.fields or kind == "continuation":
        return _rejected(blank, "segmented_record", "segments of a record are not joined")
    if kind in _KNOWN_KINDS or kind == "arc_filedesc":
        return _not_asked(blank, kind if kind.startswith("arc_") else f"warc_{kind}")
    if kind == "conversion":
        return _conversion(blank, header, body)
    if kind not in ("response", "resource", "arc"):
        return _not_asked(blank, "warc_other_type", f"WARC-Type {kind!r}")
    if kind != "resource" and _is_http(blank.uri, header):
        return _response(blank, header, body, max_bytes)
    meta = _meta_of_header(blank, header)
    return _page(blank.replace(meta=meta), header, body, header.content_type)


def _is_http(uri: str | None, header: RecordHeader) -> bool:
    if "application/http" in header.content_type.lower():
        return True
    return (uri or "").lower().startswith(("http:", "https:"))


def _response(blank: Record, header: RecordHeader, body: bytes, max_bytes: int) -> Record:
    response = parse_response(body)
    content_type = response.fields.get("content-type", "")
    blank = blank.replace(media_type=media_type_of(content_type))
    if response.status not in _ASKED_STATUS:
        return _not_asked(blank, f"http_status_{response.status}")
    declared = media_type_of(content_type)
    is_named = declared in _VAGUE_TYPES or declared in ASKED_TYPES
    if not is_named and not _may_be_told(header, response.body):
        return _not_asked(blank, f"media_type:{declared}")
    is_cut = "warc-truncated" in header.fields
    payload = decode_body(response, max_bytes=max_bytes, is_cut=is_cut)
    meta = _meta_of_header(blank, header) | response.notes
    if "content-language" in response.fields:
        blank = blank.replace(declared_language=response.fields["content-language"].lower())
    return _page(blank.replace(meta=meta), header, payload, content_type)


def _may_be_told(header: RecordHeader, body: bytes) -> bool:
    """Whether a body is worth decoding: its bytes tell what it is, unless they are packed."""
    identified = media_type_of(header.fields.get("warc-identified-payload-type"))
    if identified in _TOLD_TYPES or b"%PDF-" in body[:_HEAD_BYTES]:
        return True
    # A chunk size may stand before the package.
    start = body.find(_ZIP, 0, _CHUNK_HEAD_BYTES)
    return start >= 0 and sniff_media_type(body[start:]) in OFFICE_TYPES


def _told_type(payload: bytes) -> str | None:
    """PDF_TYPE or one of OFFICE_TYPES where the bytes say so."""
    if looks_like_pdf(payload):
        return PDF_TYPE
    found = sniff_media_type(payload) if payload.startswith(_ZIP) else None
    return found if found in OFFICE_TYPES else None


def _meta_of_header(blank: Record, header: RecordHeader) -> dict[str, str]:
    cut = header.fields.get("warc-truncated")
    return blank.meta | ({_TRUNCATED: cut.lower() or "unspecified"} if cut is not None else {})


def _page(blank: Record, header: RecordHeader, payload: bytes, content_type: str) -> Record:
    media_type = media_type_of(content_type)
    if media_type in _VAGUE_TYPES:
        identified = media_type_of(header.fields.get("warc-identified-payload-type"))
        media_type = identified if identified not in _VAGUE_TYPES else sniff_media_type(payload)
    told = _told_type(payload)
    if told is not None:
        media_type = told
    elif media_type in _TOLD_TYPES and looks_like_html(payload):
        media_type = "text/html"
    blank = blank.replace(media_type=media_type)
    reason = _uri_reason(blank.uri)
    if reason is None and media_type not in ASKED_TYPES:
        reason = f"media_type:{media_type or 'unknown'}"
    if reason is not None:
        return _not_asked(blank, reason)
    if not payload:
        return _rejected(blank, "empty_payload", "the record has no payload")
    if media_type in _TOLD_TYPES and _TRUNCATED in blank.meta:
        message = f"{len(payload)} bytes are there; WARC-Truncated: {blank.meta[_TRUNCATED]}"
        return _rejected(blank, "truncated_payload", message)
    return _asked(blank, payload=payload, charset=charset_of(content_type))


def _uri_reason(uri: str | None) -> str | None:
    """Why a record is not asked for, by its URI alone."""
    try:
        parts = urlsplit(uri or "")
    except ValueError:  # a bracket that closes nothing: such a URI still names the record
        return None
    if parts.scheme == "metadata":
        return "crawler_log"
    return "robots_txt" if parts.path == "/robots.txt" else None


def _conversion(blank: Record, header: RecordHeader, body: bytes) -> Record:
    media_type = media_type_of(header.content_type) or "text/plain"
    language = header.fields.get("warc-identified-content-language")
    blank = blank.replace(media_type=media_type, declared_language=language)
    if media_type != "text/plain":
        return _not_asked(blank, f"media_type:{media_type}")
    text = text_of_utf8(body)
    if text is None:
        return _rejected(blank, "invalid_utf8", "the text of the record is no UTF-8")
    if not text.strip():
        return _rejected(blank, "empty_text", "the text of the record is blank")
    return _asked(blank, text=text)


def _asked(blank: Record, **fields: object) -> Record:
    return blank.replace(outcome=ASKED, reason=None, message=None, **fields)


def _not_asked(blank: Record, reason: str, message: str | None = None) -> Record:
    return blank.replace(outcome=NOT_ASKED, reason=reason, message=message)


def _rejected(blank: Record, reason: str, message: str) -> Record:
    return blank.replace(outcome=REJECTED, reason=reason, message=message)
