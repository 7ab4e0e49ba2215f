"""The archive of a part: WARC/1.1 (ISO 28500:2017), one gzip member a record.

Each host writes a draft of its own, in the order of its requests; the part's file is the drafts one
after the other, in the order of hosts. So its order does not depend on which server was faster, and
a record that is not to be kept in the end (noindex) is left out by leaving out its bytes.

Every response stands before its request, which names it in WARC-Concurrent-To. Header fields of
HTTP are written byte for byte. Transfer encodings are undone (see `exchange`), content encodings
are not. Nothing is ever cut, so there is no WARC-Truncated. Record ids are derived from the part,
the host, the number of the record and its date, so that equal runs write equal files.
"""

import base64
import hashlib
import io
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from warcio.recordloader import ArcWarcRecord  # type: ignore[import-untyped]
from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from pipelines.crawl.exchange import Exchange

WARC: Final = "WARC/1.1"
_COPY_BYTES: Final = 1 << 20
_READ_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a response and its request stand in a draft, in bytes."""

    start: int
    response_end: int
    end: int


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
        self._writer = WARCWriter(self._file, gzip=True, warc_version=WARC)
        self._number = 0

    def write(self, made: Exchange) -> Extent:
        """Writes a response and its request."""
        start = self._file.tell()
        response_id = self._id(made.date)
        common = {"WARC-Target-URI": made.url, "WARC-Date": date_field(made.date)}
        common["WARC-IP-Address"] = made.address
        fields = {**common, "WARC-Payload-Digest": _sha1(made.body)}
        body = _Joined(made.head, made.body)
        length = len(made.head) + made.num_bytes
        self._record("response", response_id, fields, body, length)
        response_end = self._file.tell()
        fields = {**common, "WARC-Concurrent-To": response_id}
        fields["WARC-Payload-Digest"] = _sha1(io.BytesIO())  # a GET has no payload
        request = io.BytesIO(made.request)
        self._record("request", self._id(made.date), fields, request, len(made.request))
        return Extent(start, response_end, self._file.tell())

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()

    def _id(self, date: datetime) -> str:
        self._number += 1
        return record_id(f"{self._name} {self._number} {date.isoformat()}")

    def _record(
        self, kind: str, id_: str, fields: dict[str, str], body: "IO[bytes] | _Joined", length: int
    ) -> None:
        content_type = f"application/http; msgtype={kind}"
        write_record(self._writer, kind, id_, fields, body, length, content_type)


def write_record(
    writer: WARCWriter,
    kind: str,
    id_: str,
    fields: dict[str, str],
    body: "IO[bytes] | _Joined",
    length: int,
    content_type: str,
) -> None:
    """Writes one record from the bytes of its block."""
    headers = StatusAndHeaders(
        "", [("WARC-Type", kind), ("WARC-Record-ID", id_), *fields.items()], protocol=WARC
    )
    # Without `http_headers`: warcio would parse and rewrite them, escaping what is not ASCII.
    record = ArcWarcRecord("warc", kind, headers, body, None, content_type, length)
    record.payload_length = length
    writer.write_record(record)


def write_warcinfo(file: IO[bytes], name: str, date: datetime, info: dict[str, str]) -> None:
    """Writes the record that says who made the file and how (WARC/1.1 6.1)."""
    block = "".join(f"{key}: {value}\r\n" for key, value in info.items()).encode()
    writer = WARCWriter(file, gzip=True, warc_version=WARC)
    fields = {"WARC-Date": date_field(date)}
    id_ = record_id(f"{name} warcinfo {date.isoformat()}")
    body = io.BytesIO(block)
    write_record(writer, "warcinfo", id_, fields, body, len(block), "application/warc-fields")


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


def _sha1(body: IO[bytes]) -> str:
    """The digest that WARC files customarily carry: Base32 of SHA-1."""
    state = hashlib.sha1(usedforsecurity=False)
    body.seek(0)
    while piece := body.read(_READ_BYTES):
        state.update(piece)
    return "sha1:" + base64.b32encode(state.digest()).decode()


class _Joined:
    """A head and a body read as one; warcio reads it twice, for the digest and to write."""

    def __init__(self, head: bytes, body: IO[bytes]) -> None:
        self._head, self._body = head, body
        self.seek(0)

    def seek(self, position: int) -> None:
        """Goes to a position; only the first is asked for."""
        assert position == 0
        self._position = 0
        self._body.seek(0)

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        if self._position < len(self._head):
            piece = self._head[self._position : self._position + size]
        else:
            piece = self._body.read(size)
        self._position += len(piece)
        return piece
