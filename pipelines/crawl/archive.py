"""The archive of a part: WARC/1.1 (ISO 28500:2017), one gzip member a record.

Each host writes a draft of its own, in the order of its requests; the part's file is the drafts one
after the other, in the order of hosts. So its order does not depend on which server was faster, and
a record that is not to be kept in the end (noindex) is left out by leaving out its bytes.

Every response stands before its request, which names it in WARC-Concurrent-To. Header fields of
HTTP are written byte for byte. Transfer encodings are undone (see `exchange`), content encodings
are not. Nothing is ever cut, so there is no WARC-Truncated. Record ids are derived from the part,
the host, the number of the record and its date, so that equal runs write equal files.

What a further pass finds unchanged is a revisit record (6.7): of the profile `server-not-modified`
where the server says so (304), `identical-payload-digest` where it sent the same bytes again. Its
block is the header of HTTP alone; WARC-Refers-To, -Target-URI and -Date name the response that
holds the payload, always that response and never another revisit. Equal payloads at two addresses
are two responses: the standard would allow a revisit there too, but the second address would have
no document, and how often a text occurs is for the duplicates stage to find.

Records are written here and not by warcio, which reads a body three times, packs at level 9 of zlib
(see LEVEL) and leaves the block of a revisit away. warcio and FastWARC read them in the tests.
"""

import base64
import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from isal import isal_zlib

from pipelines.crawl.exchange import Exchange

WARC: Final = "WARC/1.1"
NOT_MODIFIED: Final = "server-not-modified"
SAME_PAYLOAD: Final = "identical-payload-digest"
_PROFILES: Final = "http://netpreserve.org/warc/1.1/revisit/"  # 6.7.2, 6.7.3
_VALIDATING: Final = ("etag", "last-modified")
_MAX_VALIDATOR_CHARS: Final = 1000
_GZIP: Final = 16 + isal_zlib.MAX_WBITS
LEVEL: Final = 3
"""Of ISA-L. 150 web pages: 0.4 ms a page and 36 KB, where zlib's level 6 takes 2.4 ms and 32.5 KB.
Of pages that were sent packed, as most are: 0.1 ms and 0.5 ms for the same size."""
_COPY_BYTES: Final = 1 << 20
_READ_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a response and its request stand in a draft, in bytes."""

    start: int
    response_end: int
    end: int


@dataclass(frozen=True, slots=True)
class Validators:
    """What is held of an address: by what it is asked for again, and where its payload stands."""

    etag: str | None
    """ETag of the last answer, as sent."""
    last_modified: str | None
    """Last-Modified, likewise."""
    digest: bytes
    """16 bytes of blake2b: of the payload, its content encoding undone."""
    sent_digest: str
    """WARC-Payload-Digest of the record: of the body as sent."""
    record_id: str
    """WARC-Record-ID of the response that holds the payload."""
    record_date: datetime
    """Its WARC-Date: UTC, in microseconds."""
    record_uri: str
    """Its WARC-Target-URI."""

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """Request fields that ask for the payload only if it is another one (RFC 9110 13.1)."""
        told = (("If-None-Match", self.etag), ("If-Modified-Since", self.last_modified))
        return tuple((name, value) for name, value in told if value is not None)


class Draft:
    """The records of one host in the making.

    Args:
        path: A fresh local file.
        name: Of the part and the host; record ids are derived from it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._name = name
        self._file = path.open("wb")
        self._number = 0

    def write(self, made: Exchange, digest: bytes) -> tuple[Extent, Validators]:
        """Writes a response and its request.

        Args:
            made: With its whole body.
            digest: Of the payload.
        """
        id_, sent = self._id(made.date), sent_digest(made.body)
        fields = {**_common(made), "WARC-Payload-Digest": sent}
        extent = self._pair("response", id_, made, fields, made.body)
        etag, last_modified = (_repeatable(made.field(name)) for name in _VALIDATING)
        held = Validators(etag, last_modified, digest, sent, id_, made.date, made.url)
        return extent, held

    def write_revisit(self, made: Exchange, held: Validators, profile: str) -> Extent:
        """Writes a revisit and its request.

        Args:
            made: The answer; its body is not written.
            held: What it repeats.
            profile: NOT_MODIFIED or SAME_PAYLOAD.
        """
        fields = {
            **_common(made),
            "WARC-Profile": _PROFILES + profile,
            "WARC-Refers-To": held.record_id,
            "WARC-Refers-To-Target-URI": held.record_uri,
            "WARC-Refers-To-Date": date_field(held.record_date),
            "WARC-Payload-Digest": held.sent_digest,
        }
        return self._pair("revisit", self._id(made.date), made, fields, io.BytesIO())

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()

    def _id(self, date: datetime) -> str:
        self._number += 1
        return record_id(f"{self._name} {self._number} {date.isoformat()}")

    def _pair(
        self, kind: str, id_: str, made: Exchange, fields: dict[str, str], body: IO[bytes]
    ) -> Extent:
        """Writes an answer and, behind it, what was asked."""
        start = self._file.tell()
        media_type = "application/http; msgtype=response"
        write_record(self._file, kind, id_, fields, media_type, made.head, body)
        response_end = self._file.tell()
        nothing = io.BytesIO()  # a GET has no payload
        fields = {
            **_common(made),
            "WARC-Concurrent-To": id_,
            "WARC-Payload-Digest": sent_digest(nothing),
        }
        media_type, id_ = "application/http; msgtype=request", self._id(made.date)
        write_record(self._file, "request", id_, fields, media_type, made.request, nothing)
        return Extent(start, response_end, self._file.tell())


def renewed(held: Validators, made: Exchange) -> Validators:
    """What is held, with what a later answer says to ask for it by."""
    etag, last_modified = (_repeatable(made.field(name)) for name in _VALIDATING)
    return replace(held, etag=etag or held.etag, last_modified=last_modified or held.last_modified)


def _repeatable(value: str | None) -> str | None:
    """A field that can be sent back as it came; servers send the strangest ones."""
    is_plain = value is not None and value.isascii() and value.isprintable()
    return value if is_plain and value and len(value) <= _MAX_VALIDATOR_CHARS else None


def _common(made: Exchange) -> dict[str, str]:
    fields = {"WARC-Target-URI": made.url, "WARC-Date": date_field(made.date)}
    return fields | {"WARC-IP-Address": made.address}


def write_record(
    file: IO[bytes],
    kind: str,
    id_: str,
    fields: Mapping[str, str],
    content_type: str,
    head: bytes,
    body: IO[bytes],
) -> None:
    """Appends one record as a gzip member; its block is `head` and then `body`, from its start."""
    state, length = hashlib.sha1(head, usedforsecurity=False), len(head)
    for piece in _pieces(body):
        state.update(piece)
        length += len(piece)
    named = {
        "WARC-Type": kind,
        "WARC-Record-ID": id_,
        **fields,
        "WARC-Block-Digest": _labelled(state.digest()),
        "Content-Type": content_type,
        "Content-Length": str(length),
    }
    lines = [f"{name}: {value}\r\n" for name, value in named.items()]
    assert not any("\n" in line[:-2] or "\r" in line[:-2] for line in lines), named
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _GZIP)
    file.write(packer.compress(f"{WARC}\r\n{''.join(lines)}\r\n".encode() + head))
    for piece in _pieces(body):
        file.write(packer.compress(piece))
    file.write(packer.compress(b"\r\n\r\n") + packer.flush())


def write_warcinfo(file: IO[bytes], name: str, date: datetime, info: dict[str, str]) -> None:
    """Writes the record that says who made the file and how (WARC/1.1 6.1)."""
    block = "".join(f"{key}: {value}\r\n" for key, value in info.items()).encode()
    fields = {"WARC-Date": date_field(date)}
    id_ = record_id(f"{name} warcinfo {date.isoformat()}")
    write_record(file, "warcinfo", id_, fields, "application/warc-fields", block, io.BytesIO())


def copy_extents(target: IO[bytes], draft: Path, extents: Iterable[Extent]) -> list[int]:
    """Appends records of a draft to a file.

    Returns:
        Where each begins in the file.
    """
    starts = []
    with draft.open("rb") as source:
        for extent in extents:
            starts.append(target.tell())
            source.seek(extent.start)
            left = extent.end - extent.start
            while left:
                piece = source.read(min(left, _COPY_BYTES))
                assert piece, f"{draft} is shorter than it was"
                target.write(piece)
                left -= len(piece)
    return starts


def record_id(name: str) -> str:
    """A record id that only depends on a name."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, name)}>"


def date_field(date: datetime) -> str:
    """A WARC-Date in microseconds, which WARC/1.1 allows."""
    return date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sent_digest(body: IO[bytes]) -> str:
    """The digest that WARC files customarily carry: Base32 of SHA-1."""
    state = hashlib.sha1(usedforsecurity=False)
    for piece in _pieces(body):
        state.update(piece)
    return _labelled(state.digest())


def _labelled(digest: bytes) -> str:
    return "sha1:" + base64.b32encode(digest).decode()


def _pieces(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while piece := body.read(_READ_BYTES):
        yield piece
