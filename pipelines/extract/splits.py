"""Where a large input file may be cut into ranges, and where a range begins and stops.

The rule of all formats: a record belongs to the range in which it begins. To make the union of the
ranges of any cutting the same as the uncut file, where a range stops and where the next begins is
one function of the file and one number.

- WARC and ARC in gzip, one member a record: the first member at or after the number that is surely
  one. A crawled gzip file may stand, stored, within a member of the archive, with record headers of
  its own; so a candidate must begin with a record header *and* head a chain of good members of more
  than 64 KiB, or one that reaches the end of the file. Deflate stores at most 65,535 bytes at a
  stretch (RFC 1951 3.2.4), and a gzip extra field has no more, so nothing quoted passes.
- plain WARC and ARC: every range walks from the beginning of the file, because only so is it known
  where records begin; what it does not ask for it only passes over.
- JSONL: the first line that begins at or after the number.
- Parquet: row groups, as row numbers.
- JSONL in gzip, Zstandard, LZ4 or bzip2: the first line that begins at or after the number, among
  the unpacked bytes. Every range unpacks the file from its beginning, a fraction of what extraction
  takes; how far a file unpacks is guessed from its beginning, so the last range is open.
- All else (WARC in other compressions): one range.
"""

from itertools import pairwise
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.frames import FrameStream, find_frame
from pipelines.extract.inputs import FORMATS, ReadSettings, open_input
from pipelines.extract.packing import Codec, codec_of
from pipelines.extract.warc_header import is_record_start

_PROOF_BYTES: Final = (64 << 10) + 64
_STEP: Final = 16 << 10
_SAMPLE_BYTES: Final = 8 << 20  # unpacked, of a packed file


def split_points(
    url: str,
    format: str,
    size: int,
    target_bytes: int,
    settings: ReadSettings | None = None,
) -> list[tuple[int, int | None]]:
    """Cuts a file into ranges of about `target_bytes` bytes on disk.

    Args:
        url: fsspec URL or local path.
        format: One of `inputs.FORMATS`.
        size: Bytes of the file.
        target_bytes: Bytes wanted of a range, at least 1.
        settings: Storage options to open it with.

    Returns:
        Ranges [start, end) in order that cover the file: bytes, unpacked ones of packed JSONL, or
        for Parquet rows; the end is None where it is that of the file, however far that is. A file
        that cannot be cut exactly is one range.

    Raises:
        ValueError: `format` is unknown or `target_bytes` is not positive.
        OSError: The file cannot be opened.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown input format {format!r}; choose one of {', '.join(FORMATS)}")
    if target_bytes < 1:
        raise ValueError(f"target_bytes is {target_bytes}; a range needs at least 1 byte")
    with open_input(url, settings or ReadSettings()) as file:
        if format == "parquet":
            try:
                return [*_row_groups(file, target_bytes)]
            except (pa.ArrowException, OSError):
                return [(0, size)]  # whoever reads it says what is broken
        codec = codec_of(file.read(8))
        if codec is None and format in ("jsonl", "warc", "wet"):
            return [*_even(size, target_bytes)]
        if codec is not None and format == "jsonl":
            return _unpacked(file, codec, size, target_bytes)
        if codec is not None and codec.name == "gzip" and format in ("warc", "wet"):
            return [*_members(file, codec, size, target_bytes)]
    return [(0, size)]


def _unpacked(
    file: IO[bytes], codec: Codec, size: int, target_bytes: int
) -> list[tuple[int, int | None]]:
    """Ranges of unpacked bytes, as if the whole file unpacked like its beginning."""
    stream = FrameStream(file, codec)
    unpacked = stream.available(_SAMPLE_BYTES)
    packed = stream.raw_position()
    num_ranges = max(1, round(size / target_bytes))
    step = round(unpacked / packed * size / num_ranges) if packed else 0
    if num_ranges == 1 or step < 1:
        return [(0, None)]  # not `size`, which counts packed bytes
    return [*((step * i, step * (i + 1)) for i in range(num_ranges - 1)), _open(step, num_ranges)]


def _open(step: int, num_ranges: int) -> tuple[int, None]:
    return step * (num_ranges - 1), None


def _even(size: int, target_bytes: int) -> list[tuple[int, int]]:
    num_ranges = max(1, round(size / target_bytes))
    points = [size * i // num_ranges for i in range(num_ranges + 1)]
    return list(pairwise(points))


def _members(file: IO[bytes], codec: Codec, size: int, target_bytes: int) -> list[tuple[int, int]]:
    """Ranges whose starts are members, so that none of them turns out to be empty."""
    points = [0]
    for start, _ in _even(size, target_bytes)[1:]:
        if start <= points[-1]:
            continue
        member = sync_member(file, codec, start)
        if member is None:
            break
        points.append(member)
    return list(pairwise([*points, size]))


def _row_groups(file: IO[bytes], target_bytes: int) -> list[tuple[int, int]]:
    metadata = pq.ParquetFile(file).metadata
    ranges, start, end, num_bytes = [], 0, 0, 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        end += row_group.num_rows
        num_bytes += sum(
            row_group.column(i).total_compressed_size for i in range(row_group.num_columns)
        )
        if num_bytes >= target_bytes:
            ranges.append((start, end))
            start, num_bytes = end, 0
    if start < end or not ranges:
        ranges.append((start, end))
    return ranges


def range_frames(
    file: IO[bytes], codec: Codec | None, start: int, end: int | None
) -> tuple[int | None, int | None]:
    """Where the reading of a range of a WARC or ARC file begins and stops on disk.

    Returns:
        (start, end) in bytes; start is None where nothing begins in the range, end is None where
        it reaches to the end of the file.
    """
    if codec is None:
        return start, end
    if codec.name != "gzip":
        return (0, None) if start == 0 else (None, None)
    first = 0 if start == 0 else sync_member(file, codec, start)
    return first, None if end is None else sync_member(file, codec, end)


def sync_member(file: IO[bytes], codec: Codec, offset: int) -> int | None:
    """Offset of the first gzip member at or after `offset` that surely begins a record, or None."""
    while (candidate := find_frame(file, codec, offset, is_record_start)) is not None:
        if _is_chain(file, codec, candidate):
            return candidate
        offset = candidate + 1
    return None


def _is_chain(file: IO[bytes], codec: Codec, offset: int) -> bool:
    stream = FrameStream(file, codec, offset)
    while stream.raw_position() - offset < _PROOF_BYTES:
        if stream.skip(_STEP) < _STEP and not stream.available(1):
            return stream.damage is None
    return True
