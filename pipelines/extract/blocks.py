"""JSONL and Parquet in blocks: what the worker reads and children turn into documents.

A block is cut where it costs nothing: at the last newline of some megabytes, or at a batch of rows.
A plain file is read in blocks as it lies on disk, a packed one by way of `frames`.
A line longer than a block is a block of its own. What cannot be cut so (a broken frame, a line
beyond the limit, a row group that cannot be decoded) is told record by record, by the readers of
`tables`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.frames import FrameStream
from pipelines.extract.inputs import InputRange, ReadSettings, open_input
from pipelines.extract.packing import Codec, codec_of
from pipelines.extract.rows import TRANSIENT, Record, unreadable
from pipelines.extract.tables import (
    BAD_DATA,
    BATCH_ROWS,
    Line,
    Lines,
    columns_read,
    lost_rows,
    read_parquet,
    record_of_line,
)

_BLOCK_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a JSONL file; the last line of a file may lack its newline."""

    offset: int
    """Byte at which the first begins, among the unpacked bytes."""
    data: pa.Buffer

    @property
    def end(self) -> int:
        """Byte behind the last."""
        return self.offset + int(self.data.size)

    @property
    def ends_with_newline(self) -> bool:
        """Whether all of its lines do."""
        last: bytes = self.data.slice(self.data.size - 1).to_pybytes()
        return last == b"\n"


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows of a Parquet file."""

    offset: int
    """Number of the first."""
    num_rows: int
    stream: pa.Buffer
    """The rows, an Arrow stream."""
    types: Mapping[str, str]
    """Column -> type, of all columns of the file."""

    @property
    def end(self) -> int:
        """Number behind the last."""
        return self.offset + self.num_rows


Block = LineBlock | RowBlock | Record


def read_blocks(input_range: InputRange, settings: ReadSettings) -> Iterator[Block]:
    """Reads a range of a JSONL or Parquet file.

    Yields:
        Blocks and single records, in the order of the file. A file that cannot be opened, or be
        read further, ends with a reject that says so.

    Raises:
        ValueError: The URL is wrong.
        ConnectionError, TimeoutError: The storage did not answer; the file may be whole.
    """
    blocks = _line_blocks if input_range.format == "jsonl" else _row_blocks
    offset = input_range.start
    try:
        for block in blocks(input_range, settings):
            offset = block.end if not isinstance(block, Record) else block.offset + block.length
            yield block
    except TRANSIENT:
        raise
    except OSError as error:
        yield unreadable(input_range.file, offset, error)


def _line_blocks(input_range: InputRange, settings: ReadSettings) -> Iterator[Block]:
    with open_input(input_range.url, settings) as file:
        codec = codec_of(file.read(8))
        if codec is not None:
            yield from _in_range(_packed_blocks(file, codec, input_range, settings), input_range)
            return
        stream = FrameStream(file, None, max(0, input_range.start - 1))
        if input_range.start > 0:
            Lines(stream, settings.max_record_bytes).pass_line()
        yield from _plain_blocks(file, stream.position, input_range, settings)


def _packed_blocks(
    file: IO[bytes], codec: Codec, input_range: InputRange, settings: ReadSettings
) -> Iterator[LineBlock | Record]:
    """The lines of a packed file, from its beginning to the end of a range at least."""
    end = input_range.end
    stream = FrameStream(file, codec, 0)
    rest = Lines(stream, settings.max_record_bytes).read(end)  # goes on where the stream is
    while end is None or stream.position < end:
        if block := _next_block(stream, None):
            yield block
        elif line := next(rest, None):
            if line.offset >= input_range.start:
                yield _block_of_line(line, input_range.file, settings)
        else:
            return


def _in_range(
    blocks: Iterator[LineBlock | Record], input_range: InputRange
) -> Iterator[LineBlock | Record]:
    """What begins in a range."""
    for block in blocks:
        if isinstance(block, Record):
            yield block
        elif lines := _lines_within(block, input_range.start, input_range.end):
            yield lines


def _lines_within(block: LineBlock, start: int, end: int | None) -> LineBlock | None:
    """The lines of a block that begin in a range, if any do."""
    if block.offset >= start and (end is None or block.end <= end):
        return block
    data = block.data.to_pybytes()
    first = _first_line(data, start - block.offset)
    last = len(data) if end is None else _first_line(data, end - block.offset)
    if first >= last:
        return None
    return LineBlock(block.offset + first, block.data.slice(first, last - first))


def _first_line(data: bytes, position: int) -> int:
    """Where the first line begins at or behind a position; the end where none does."""
    if position <= 0:
        return 0
    newline = data.find(b"\n", position - 1)
    return newline + 1 if newline >= 0 else len(data)


def _plain_blocks(
    file: IO[bytes], offset: int, input_range: InputRange, settings: ReadSettings
) -> Iterator[Block]:
    """The lines of a file that is not packed, from an offset on; a long one record by record."""
    end = input_range.end
    while True:
        wanted = _BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - offset)
        file.seek(offset)
        data = file.read(max(0, wanted))
        num_bytes = data.rfind(b"\n") + 1
        if num_bytes:
            yield LineBlock(offset, pa.py_buffer(data).slice(0, num_bytes))
            offset += num_bytes
            continue
        stream = FrameStream(file, None, offset)
        line = next(Lines(stream, settings.max_record_bytes).read(end), None)
        if line is None:
            return
        yield _block_of_line(line, input_range.file, settings)
        offset = stream.position


def _block_of_line(line: Line, file: str, settings: ReadSettings) -> LineBlock | Record:
    """A line that stands alone; what can be read of it is read where a long one does no harm."""
    if line.problem is not None:
        return record_of_line(line, file, settings)
    return LineBlock(line.offset, pa.py_buffer(line.data))


def _next_block(stream: FrameStream, end: int | None) -> LineBlock | None:
    """The lines that end within the next megabytes and before `end`, if any do.

    Where a broken frame is near, none: what stands before it is not known to be whole.
    """
    offset = stream.position
    wanted = stream.available(_BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - offset))
    if wanted <= 0 or stream.damage is not None:
        return None
    data = stream.peek(wanted)
    data = data[: data.rfind(b"\n") + 1]
    stream.skip(len(data))
    return LineBlock(offset, pa.py_buffer(data)) if data else None


def _row_blocks(input_range: InputRange, settings: ReadSettings) -> Iterator[Block]:
    with open_input(input_range.url, settings) as file:
        try:
            parquet = pq.ParquetFile(file)
            types = {field.name: field.type for field in parquet.schema_arrow}
        except BAD_DATA:
            yield from read_parquet(input_range, settings)  # which says why it cannot
            return
        row = 0
        for group in range(parquet.num_row_groups):
            num_rows = parquet.metadata.row_group(group).num_rows
            first, row = row, row + num_rows
            if row > input_range.start and (input_range.end is None or first < input_range.end):
                yield from _rows_of_group(parquet, group, types, first, input_range, settings)


def _rows_of_group(
    parquet: pq.ParquetFile,
    group: int,
    types: Mapping[str, pa.DataType],
    first: int,
    input_range: InputRange,
    settings: ReadSettings,
) -> Iterator[Block]:
    columns = columns_read(types, settings)
    last = first + parquet.metadata.row_group(group).num_rows
    end = last if input_range.end is None else min(last, input_range.end)
    waiting = _Rows({name: str(kind) for name, kind in types.items()})
    row = first
    try:
        for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
            skipped = min(batch.num_rows, max(0, input_range.start - row))
            waiting.add(row + skipped, batch.slice(skipped, max(0, end - row - skipped)))
            row += batch.num_rows
            if waiting.num_bytes >= _BLOCK_BYTES:
                yield waiting.take()
    except BAD_DATA as error:
        if waiting.batches:
            yield waiting.take()
        yield from lost_rows(input_range.file, max(row, input_range.start), end, error)
        return
    if waiting.batches:
        yield waiting.take()


class _Rows:
    """Batches of rows that follow each other."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self.batches: list[pa.RecordBatch] = []
        self.num_bytes = 0
        self._first = 0
        self._types = types

    def add(self, first: int, batch: pa.RecordBatch) -> None:
        """Appends rows, the first of which has a number."""
        if batch.num_rows:
            self._first = self._first if self.batches else first
            self.batches.append(batch)
            self.num_bytes += batch.nbytes

    def take(self) -> RowBlock:
        """All rows, which are gone then."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.batches[0].schema) as writer:
            for batch in self.batches:
                writer.write_batch(batch)
        num_rows = sum(batch.num_rows for batch in self.batches)
        self.batches, self.num_bytes = [], 0
        return RowBlock(self._first, num_rows, sink.getvalue(), self._types)
