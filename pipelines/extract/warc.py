"""Records of WARC and ARC files, plain or in gzip, Zstandard, LZ4 or bzip2 frames: none is lost.

Framing is done here and not by FastWARC (2.0.1), because of what that does to real files of web
archives: it reads no ARC at all, gives what is left of a clipped record as if it were whole, stops
at the first bad header and at the first broken gzip member, and does not tell the place of a
record that shares its member with others. It and warcio are the independent readers of the tests.

Every record met becomes one row. A record is believed only if its Content-Length leads to a blank
line, to another header, to the end of its frame or of the file, and its frame ends well. If not:
- a record header found inside the body ends it (`truncated_record`); reading goes on there;
- otherwise it is `wrong_length`; reading goes on at the next line that is a record header;
- a broken frame gives one row; reading goes on at the next frame that begins with a header.
A stretch of bytes between records that is no record gives one row `broken_header`.

`offset` and `length` are bytes on disk: of the frame, where the record is alone in it (the usual
one record a member), or of the record in a plain file. In a frame that holds several, `offset` is
that of the frame, `length` counts unpacked bytes, and `meta.frame_position` says where among them
the record begins. `ordinal` (0 where there is a URI) is offset * 2**20 + index in the frame, so
that no two records of a file share it; in a plain file it is the offset.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from pipelines.extract.captures import record_of_capture
from pipelines.extract.files import empty_file
from pipelines.extract.frames import Damage, FrameStream
from pipelines.extract.inputs import InputRange, ReadSettings, open_input
from pipelines.extract.packing import Codec, codec_of
from pipelines.extract.rows import Record, parse_time
from pipelines.extract.splits import range_frames
from pipelines.extract.warc_header import (
    LINE_START,
    START_WITHIN,
    RecordHeader,
    is_record_start,
    parse_record_header,
)
from pipelines.workspace.schema import REJECTED

_HEADER_STEP: Final = 4 << 10
# Longest header block that is believed; a block without an end must not be searched for ever.
_MAX_HEADER: Final = 256 << 10
_SCAN_STEP: Final = 1 << 20
_SCAN_OVERLAP: Final = 16 << 10  # longer than any ARC line


def read_warc(input_range: InputRange, settings: ReadSettings) -> Iterator[Record]:
    """Yields one record for every WARC or ARC record that begins in the range.

    A file without bytes gives one reject `empty_file`.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with open_input(input_range.url, settings) as file:
        head = file.read(8)
        if not head and not input_range.start:
            yield empty_file(input_range.file)
            return
        codec = codec_of(head)
        start, end = range_frames(file, codec, input_range.start, input_range.end)
        if start is None:
            return
        framing = _Framing(file, codec, start, settings.max_record_bytes)
        for framed in framing.read(end):
            if codec is not None or framed.place.within >= start:
                yield _record(framed, input_range.file, settings, is_plain=codec is None)


@dataclass(frozen=True, slots=True)
class _Place:
    frame: int  # offset of the frame on disk
    within: int  # unpacked bytes before the record in its frame
    index: int  # records before it in its frame


@dataclass(frozen=True, slots=True)
class _Framed:
    """A record as far as its frame goes; either whole, with a body, or with a problem."""

    place: _Place
    length: int
    is_alone: bool  # in its frame
    header: RecordHeader | None = None
    body: bytes = b""
    problem: tuple[str, str] | None = None  # (reason, message)


def _record(framed: _Framed, file: str, settings: ReadSettings, *, is_plain: bool) -> Record:
    place, header = framed.place, framed.header
    offset = place.within if is_plain else place.frame
    ordinal = offset if is_plain else (place.frame << 20) + place.index
    meta = {} if is_plain or framed.is_alone else {"frame_position": str(place.within)}
    uri = header.uri if header else None
    blank = Record(
        file=file,
        offset=offset,
        length=framed.length,
        outcome=REJECTED,
        reason="broken_header",
        message="bytes that are no record" if framed.problem is None else framed.problem[1],
        uri=uri,
        ordinal=0 if uri else ordinal,
        fetched_at=parse_time(header.date) if header else None,
        meta=meta,
    )
    if framed.problem is not None or header is None:
        return blank.replace(reason=framed.problem[0] if framed.problem else "broken_header")
    return record_of_capture(blank, header, framed.body, settings.max_record_bytes)


class _Framing:
    """Finds records in a stream of frames."""

    def __init__(self, file: IO[bytes], codec: Codec | None, start: int, max_bytes: int) -> None:
        # A plain file is walked from its beginning: only so is it known where records begin.
        self._stream = FrameStream(file, codec, start if codec else 0)
        self._is_plain = codec is None
        self._max_bytes = max_bytes
        self._last = _Place(-1, 0, -1)
        self._told: Damage | None = None  # the damage that a record's row already tells of

    def read(self, end: int | None) -> Iterator[_Framed]:
        """Yields everything that begins on disk before `end`, or to the end of the file."""
        while True:
            self._skip_blank()
            if self._stream.available(1):
                place = self._next_place()
                if end is not None and (place.within if self._is_plain else place.frame) >= end:
                    return
                yield self._read_record(place)
                continue
            damage = self._stream.damage
            if damage is None or (end is not None and damage.frame >= end):
                return
            if damage is not self._told:
                length = self._stream.raw_position() - damage.frame
                place = _Place(damage.frame, 0, 0)
                problem = (damage.reason, damage.message)
                yield _Framed(place, length, is_alone=True, problem=problem)
            if not self._stream.resync(is_record_start):
                return

    def _skip_blank(self) -> None:
        while blank := self._stream.peek(64):
            num_blank = len(blank) - len(blank.lstrip(b"\r\n"))
            self._stream.skip(num_blank)
            if num_blank < len(blank):
                return

    def _next_place(self) -> _Place:
        frame, within = self._stream.place()
        index = self._last.index + 1 if self._last.frame == frame else 0
        self._last = _Place(frame, within, index)
        return self._last

    def _read_record(self, place: _Place) -> _Framed:
        found = self._read_header()
        begin = self._stream.position
        if found is None:
            is_endless = is_record_start(self._stream.peek(_HEADER_STEP))
            message = "a record header without an end" if is_endless else "bytes that are no record"
            self._scan()
            return self._finish(place, begin, None, ("broken_header", message))
        size, header = found
        if header.length is None:
            self._scan()
            message = "the record header has no valid Content-Length"
            return self._finish(place, begin, header, ("broken_header", message))
        if header.length > self._max_bytes:
            return self._pass_over(place, size, header, header.length)
        return self._read_body(place, size, header, header.length)

    def _read_header(self) -> tuple[int, RecordHeader] | None:
        ahead = _HEADER_STEP
        head = self._stream.peek(ahead)
        if not is_record_start(head):
            return None
        while (found := parse_record_header(head)) is None and len(head) == ahead < _MAX_HEADER:
            ahead *= 2
            head = self._stream.peek(ahead)
        return found

    def _pass_over(self, place: _Place, size: int, header: RecordHeader, length: int) -> _Framed:
        begin = self._stream.position
        passed = self._stream.skip(size + length) - size
        problem = ("too_large", f"{length} bytes; the limit is {self._max_bytes}")
        if passed < length:
            problem = ("truncated_record", f"{passed} of {length} bytes are there")
        return self._finish(place, begin, header, problem)

    def _read_body(self, place: _Place, size: int, header: RecordHeader, length: int) -> _Framed:
        begin = self._stream.position
        there = self._stream.available(size + length) - size
        if there == length and self._ends_well(size + length):
            body = self._stream.peek(length, ahead=size)
            self._stream.skip(size + length)
            return self._finish(place, begin, header, None, body)
        inside = self._header_inside(size, size + there)
        if inside is not None:
            self._stream.skip(inside)
            message = f"another record begins after {inside - size} of {length} bytes"
            return self._finish(place, begin, header, ("truncated_record", message))
        self._stream.skip(size + there)
        if there < length:
            message = f"{there} of {length} bytes are there"
            return self._finish(place, begin, header, ("truncated_record", message))
        self._scan()
        passed = self._stream.position - begin - size
        message = f"no record ends after {length} bytes; the next begins after {passed}"
        return self._finish(place, begin, header, ("wrong_length", message))

    def _ends_well(self, size: int) -> bool:
        tail = self._stream.peek(_HEADER_STEP, ahead=size)
        if not tail or tail.startswith((b"\r", b"\n")) or is_record_start(tail):
            return True
        return size in self._stream.frames_ahead(size + 1)

    def _header_inside(self, start: int, end: int) -> int | None:
        """Distance to the first record header within the bytes [start, end) ahead."""
        found = self._stream.search(START_WITHIN, start, end)
        inside = [found] if found >= 0 else []
        for distance in self._stream.frames_ahead(end):
            if distance >= start and is_record_start(self._stream.peek(_HEADER_STEP, distance)):
                inside.append(distance)
        return min(inside, default=None)

    def _scan(self) -> None:
        """Goes forward, at least one byte, to the next record header or to the end."""
        self._stream.skip(1)
        while there := self._stream.available(_SCAN_STEP):
            if self._stream.place()[1] == 0 and is_record_start(self._stream.peek(_HEADER_STEP)):
                return
            found = self._stream.search(LINE_START, 0, there)
            starts = [found] if found >= 0 else []
            for distance in self._stream.frames_ahead(there):
                if is_record_start(self._stream.peek(_HEADER_STEP, distance)):
                    starts.append(distance)
            if starts:
                self._stream.skip(min(starts))
                return
            self._stream.skip(there - _SCAN_OVERLAP if there == _SCAN_STEP else there)

    def _finish(
        self,
        place: _Place,
        begin: int,
        header: RecordHeader | None,
        problem: tuple[str, str] | None,
        body: bytes = b"",
    ) -> _Framed:
        """Measures a record that was just passed, and looks whether its frame ended well."""
        unpacked = self._stream.position - begin
        self._skip_blank()
        is_at_end = not self._stream.available(1)
        damage = self._stream.damage if is_at_end else None
        if damage is not None and damage.frame == place.frame:
            self._told = damage
            reason = problem[0] if problem and problem[0] != "broken_header" else damage.reason
            problem = (reason, f"{problem[1]}; {damage.message}" if problem else damage.message)
        behind = self._stream.raw_position() if is_at_end else self._stream.place()[0]
        is_alone = place.index == 0 and place.within == 0 and behind > place.frame
        length = behind - place.frame if is_alone and not self._is_plain else unpacked
        return _Framed(place, length, is_alone, header, body, problem)
