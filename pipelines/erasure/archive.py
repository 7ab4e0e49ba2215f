"""Records taken out of a WARC file without moving any other.

A gzip member that held a response or a request is replaced by one of exactly as many bytes, so that
every offset that a ledger, a locator or an index knows goes on being true, also those of tools that
are not ours. What stands there then is a record of the type `metadata` with the old record id:
WARC/1.1 (ISO 28500:2017) has no type for what was taken away, `metadata` is "content created in
order to further describe" a record, and readers of pages pass it by. Its block is a line that says
when, and blanks up to the length.

A member of a given length is made by storing: blocks of DEFLATE without compression (RFC 1951
3.2.4) take 5 bytes each beside the data, and a gzip member 18 (RFC 1952 2.3), so length of the
record = length of the member - 18 - 5 * blocks. `Content-Length` takes a digit more at powers of
ten; where that leaves no solution an empty block is added, which moves the sum by 5. A member too
small for that is packed, and a comment in the header of gzip makes up its length.
"""

import base64
import hashlib
import re
import struct
import zlib
from collections.abc import Sequence
from typing import IO, Final

_GZIP: Final = 16 + zlib.MAX_WBITS
_MEMBER_BYTES: Final = 18  # header of 10, CRC-32, length
_BLOCK_BYTES: Final = 5
_MOST_STORED: Final = 65535
_SPARE_BLOCKS: Final = 3
_END: Final = b"\r\n\r\n"
_READ_BYTES: Final = 256 << 10
_HEAD_BYTES: Final = 64 << 10
_RECORD_ID: Final = re.compile(rb"^WARC-Record-ID:[ \t]*(<[^>\r\n]{1,200}>)", re.I | re.M)


def erase_records(source: IO[bytes], target: IO[bytes], places: Sequence[int], at: str) -> int:
    """Copies an archive without some of its answers, and without what was asked for them.

    Args:
        source: Gzip members of one record each, as `pipelines.crawl.archive` writes them.
        target: Written from where it stands.
        places: Bytes at which answers (responses, revisits) begin; each is followed by its request.
        at: When, ISO 8601 in UTC, as it is to stand in the records.

    Returns:
        Records replaced, two for each place.

    Raises:
        ValueError: No record begins at a place, or one is too small to be replaced.
    """
    copied = 0
    for start in sorted(set(places)):
        _copy(source, target, copied, start)
        answer, id_ = _member(source, start)
        request, asked_by = _member(source, start + answer)
        target.write(replacement(answer, id_, at) + replacement(request, asked_by, at))
        copied = start + answer + request
    _copy(source, target, copied, None)
    return 2 * len(set(places))


def replacement(size: int, record_id: bytes, at: str) -> bytes:
    """A gzip member of `size` bytes with a record that says that another was erased.

    Raises:
        ValueError: It does not fit.
    """
    told = f"erased: {at}\r\n".encode()
    bare = len(_head(record_id, at, b"")) - 1  # without the one digit of its length
    fewest = -(-max(1, size - _MEMBER_BYTES) // (_MOST_STORED + _BLOCK_BYTES))
    for blocks in range(fewest, fewest + _SPARE_BLOCKS):
        room = size - _MEMBER_BYTES - _BLOCK_BYTES * blocks - bare - len(_END)
        for digits in range(1, len(str(max(1, room))) + 1):
            length = room - digits
            if length >= 0 and len(str(length)) == digits:
                block = told[:length].ljust(length)
                return _stored(_head(record_id, at, block) + block + _END, blocks)
    packed = zlib.compress(_head(record_id, at, b"") + _END, 9, wbits=-zlib.MAX_WBITS)
    spare = size - _MEMBER_BYTES - len(packed) - 1
    if spare >= 0:
        return _commented(_head(record_id, at, b"") + _END, packed, spare)
    raise ValueError(
        f"a record of {size} bytes in its archive is too small to be replaced by one that says it "
        "was erased; remove that file by hand, with its ledger entries"
    )


def _commented(data: bytes, packed: bytes, spare: int) -> bytes:
    """A gzip member of packed data, as long as the comment in its header makes it."""
    head = b"\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\xff" + b" " * spare + b"\x00"
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


def _head(record_id: bytes, at: str, block: bytes) -> bytes:
    digest = base64.b32encode(hashlib.sha1(block, usedforsecurity=False).digest())
    lines = [
        b"WARC/1.1",
        b"WARC-Type: metadata",
        b"WARC-Record-ID: " + record_id,
        b"WARC-Date: " + at.encode(),
        b"WARC-Block-Digest: sha1:" + digest,
        b"Content-Type: application/warc-fields",
        b"Content-Length: " + str(len(block)).encode(),
        b"",
        b"",
    ]
    return b"\r\n".join(lines)


def _stored(data: bytes, blocks: int) -> bytes:
    """A gzip member of so many blocks that are stored, the last ones empty where there are more."""
    # Magic, DEFLATE, no flags, no time, no hint, unknown system.
    pieces = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for number in range(blocks):
        block = data[number * _MOST_STORED : (number + 1) * _MOST_STORED]
        is_last = number == blocks - 1
        pieces += [struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block]
    pieces.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(pieces)


def _member(source: IO[bytes], start: int) -> tuple[int, bytes]:
    """Bytes of the gzip member at a place, and the id of its record."""
    source.seek(start)
    unpacker = zlib.decompressobj(_GZIP)
    head, size = b"", 0
    while not unpacker.eof:
        data = source.read(_READ_BYTES)
        if not data:
            raise ValueError(f"no whole record begins at byte {start}; run `tokenmill audit`")
        try:
            piece = unpacker.decompress(data)
        except zlib.error as error:
            raise ValueError(f"no record begins at byte {start} ({error})") from error
        head += piece[: _HEAD_BYTES - len(head)]
        size += len(data) - len(unpacker.unused_data)
    found = _RECORD_ID.search(head)
    if not head.startswith(b"WARC/") or found is None:
        raise ValueError(f"what stands at byte {start} is no WARC record")
    return size, found[1]


def _copy(source: IO[bytes], target: IO[bytes], start: int, end: int | None) -> None:
    source.seek(start)
    left = None if end is None else end - start
    while left is None or left:
        piece = source.read(_READ_BYTES if left is None else min(left, _READ_BYTES))
        if not piece:
            return
        target.write(piece)
        left = None if left is None else left - len(piece)
