"""HTTP responses as crawlers store them: header fields, then a body to be decoded.

What is stored need not be what was sent: Common Crawl undoes chunking and compression and leaves
the fields under other names, other crawlers undo them and leave the fields as they were. So a body
that is plainly not what its field says (no chunk size where the first must stand, no gzip magic)
is taken as it is, and `notes` says so; a body that begins as declared and breaks later is an
error, because half a page must not pass for a page. Where the crawler itself declares that it cut
the record (WARC-Truncated), what can be decoded is kept.

Sources: RFC 9110, RFC 9112 section 7.1 (chunks); WARC/1.1 (ISO 28500:2017) section 6.3.2.
"""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import zstandard
from fastwarc.stream_io import BrotliReader

_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b[^\r\n]*\r?\n", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_PARAMETER: Final = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_READ_BYTES: Final = 64 << 10
_FEED_BYTES: Final = 4096  # a bomb is noticed after at most 4 KiB of input more: 4 MiB of deflate
# A block of 4 bytes stands for up to 128 KiB (RFC 8878 3.1.1.2), so this much for at most 8 MiB.
_ZSTD_FEED_BYTES: Final = 256


class BrokenMessage(Exception):
    """A message that cannot be decoded; `reason` is that of the reject."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Response:
    """A response as it is stored; `body` is not decoded yet."""

    status: int
    fields: dict[str, str]
    """Values by lower-case name; of a repeated field the first."""
    body: bytes
    notes: dict[str, str] = field(default_factory=dict)
    """What was odd, for `meta`."""


def parse_fields(block: bytes) -> dict[str, str]:
    """Header fields by lower-case name; of a repeated one the first; folded lines are joined."""
    fields: dict[str, str] = {}
    last = ""
    for line in block.splitlines():
        if line[:1] in (b" ", b"\t") and last:
            fields[last] += " " + _decode(line.strip())
            continue
        name, colon, value = line.partition(b":")
        last = _decode(name.strip().lower()) if colon else ""
        if last:
            fields.setdefault(last, _decode(value.strip()))
    return fields


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def media_type_of(content_type: str | None) -> str | None:
    """The type of a Content-Type without its parameters, in lower case; None where there is none.

    >>> media_type_of("Text/HTML; charset=utf-8")
    'text/html'
    """
    if not content_type:
        return None
    name = re.split(r"[;,\s]", content_type.strip(), maxsplit=1)[0].lower()
    return name if re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", name) else None


def charset_of(content_type: str | None) -> str | None:
    """The charset parameter of a Content-Type in lower case, or None.

    >>> charset_of('text/html; charset="UTF-8"')
    'utf-8'
    """
    found = _PARAMETER.search(content_type or "")
    return found[1].lower() if found else None


def parse_response(block: bytes) -> Response:
    """Takes a stored response apart, without decoding its body.

    Raises:
        BrokenMessage: There is no status line.
    """
    status = _STATUS.match(block)
    if status is None:
        raise BrokenMessage("broken_http_header", f"no HTTP status line but {block[:60]!r}")
    end = re.compile(rb"\r?\n\r?\n|\Z").search(block, status.end() - 2)
    assert end is not None  # \Z always matches
    fields = parse_fields(block[status.end() : end.start()])
    return Response(int(status[1]), fields, block[end.end() :])


def decode_body(response: Response, *, max_bytes: int, is_cut: bool = False) -> bytes:
    """Undoes chunking and content encodings.

    Args:
        response: The response; its `notes` gain what was odd.
        max_bytes: Limit of the decoded size, in bytes.
        is_cut: The crawler declares that it cut the record: a clean prefix is enough.

    Raises:
        BrokenMessage: The body is cut, broken, of an unknown encoding, or too large.
    """
    body = response.body
    if "chunked" in response.fields.get("transfer-encoding", "").lower():
        body = _unchunk(response, is_cut)
    encodings = response.fields.get("content-encoding", "").lower().replace(",", " ").split()
    for name in reversed(encodings):
        if name in ("identity", "none", "utf-8", "binary") or not body:
            continue
        decoder = _DECODERS.get(name.removeprefix("x-"))
        if decoder is None:
            raise BrokenMessage("unknown_content_encoding", f"Content-Encoding {name!r}")
        body = decoder(body, response, max_bytes, is_cut)
    _note_short_body(response)
    return body


def _note_short_body(response: Response) -> None:
    declared = response.fields.get("content-length", "")
    is_shorter = declared.isdigit() and len(response.body) < int(declared[:18] or 0)
    if is_shorter and "transfer-encoding" not in response.fields:
        response.notes["http_short_body"] = f"{len(response.body)}/{declared}"


def _unchunk(response: Response, is_cut: bool) -> bytes:
    body, position = response.body, 0
    parts: list[bytes] = []
    while True:
        size = _CHUNK.match(body, position)
        if size is None and position == 0:
            response.notes["http_decoding"] = "not chunked though declared"
            return body
        if size is None:
            return _cut(parts, body, position, is_cut)
        length, start = int(size[1], 16), size.end()
        if length == 0:
            return b"".join(parts)
        parts.append(body[start : start + length])
        position = start + length
        if position > len(body):
            return _cut(parts, body, position, is_cut)
        position += 2 if body[position : position + 2] == b"\r\n" else 0
        position += 1 if body[position : position + 1] == b"\n" else 0


def _cut(parts: list[bytes], body: bytes, position: int, is_cut: bool) -> bytes:
    if is_cut:
        return b"".join(parts)
    if position >= len(body):
        raise BrokenMessage("truncated_record", f"the chunked body ends after {len(body)} bytes")
    raise BrokenMessage("broken_chunks", f"no chunk size at byte {position} of the body")


_Decoder = Callable[[bytes, Response, int, bool], bytes]


def _gunzip(body: bytes, response: Response, max_bytes: int, is_cut: bool) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        response.notes["http_decoding"] = "not gzip though declared"
        return body
    return _unpack(lambda: zlib.decompressobj(wbits=31), body, max_bytes, is_cut)


def _inflate(body: bytes, response: Response, max_bytes: int, is_cut: bool) -> bytes:
    # "deflate" is the zlib format (RFC 9110 8.4.1.2), but raw deflate is as common.
    has_zlib_head = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    wbits = 15 if has_zlib_head else -15
    try:
        return _unpack(lambda: zlib.decompressobj(wbits=wbits), body, max_bytes, is_cut)
    except BrokenMessage as error:
        if error.reason != "broken_content_encoding":
            raise
        return _plain_text_or_raise(body, response, "deflate")


def _unbrotli(body: bytes, response: Response, max_bytes: int, is_cut: bool) -> bytes:
    reader, unpacked = BrotliReader(io.BytesIO(body)), bytearray()
    try:
        while piece := reader.read(_READ_BYTES):
            unpacked += piece
            _check_size(len(unpacked), max_bytes)
    except OSError as error:
        if not unpacked:
            return _plain_text_or_raise(body, response, "br")
        if not is_cut:
            raise BrokenMessage("broken_content_encoding", f"br: {error}") from error
    return bytes(unpacked)


def _unzstd(body: bytes, response: Response, max_bytes: int, is_cut: bool) -> bytes:
    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        response.notes["http_decoding"] = "not zstd though declared"
        return body
    new_unpacker = zstandard.ZstdDecompressor().decompressobj
    return _unpack(new_unpacker, body, max_bytes, is_cut, _ZSTD_FEED_BYTES)


def _plain_text_or_raise(body: bytes, response: Response, name: str) -> bytes:
    """Formats without a magic number: what begins like markup is not encoded at all."""
    if body.lstrip()[:1] == b"<":
        response.notes["http_decoding"] = f"not {name} though declared"
        return body
    raise BrokenMessage("broken_content_encoding", f"the body is no {name}")


_NewUnpacker = Callable[[], "zlib._Decompress | zstandard.ZstdDecompressionObj"]


def _unpack(
    new_unpacker: _NewUnpacker,
    body: bytes,
    max_bytes: int,
    is_cut: bool,
    feed_bytes: int = _FEED_BYTES,
) -> bytes:
    unpacked = bytearray()
    try:
        for piece in _unpack_pieces(new_unpacker, body, feed_bytes):
            unpacked += piece
            _check_size(len(unpacked), max_bytes)
    except (zlib.error, zstandard.ZstdError) as error:
        if not is_cut:
            raise BrokenMessage("broken_content_encoding", str(error)) from error
    except EOFError as error:
        if not is_cut:
            raise BrokenMessage("truncated_record", str(error)) from error
    return bytes(unpacked)


def _check_size(num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise BrokenMessage("too_large", f"the decoded body exceeds {max_bytes} bytes")


def _unpack_pieces(new_unpacker: _NewUnpacker, body: bytes, feed_bytes: int) -> Iterator[bytes]:
    unpacker, position = new_unpacker(), 0
    while position < len(body):
        piece = body[position : position + feed_bytes]
        yield unpacker.decompress(piece)
        position += len(piece)
        if unpacker.eof:
            position -= len(unpacker.unused_data)
            # A body may be a chain of members (RFC 1952 2.2); anything else behind it is padding.
            if not body.startswith((b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"), position):
                return
            unpacker = new_unpacker()
    raise EOFError(f"the encoded body ends too early, after {len(body)} bytes")


_DECODERS: Final[dict[str, _Decoder]] = {
    "gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
