"""Reading input files: every record met, good or bad, gives exactly one RECORD row.

The readers (`warc`, `tables`, `files`) yield `Record`s; here they are chosen, packed into batches,
and a file that cannot be opened, or whose disk fails on the way, becomes a row too. Only what
another attempt may cure (a lost connection, a time-out) and what is no fault of the data (a wrong
setting, a missing package) is raised.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from pipelines.extract.code_files import code_media_type
from pipelines.extract.files import empty_file, read_file
from pipelines.extract.inputs import InputRange, ReadSettings, input_size
from pipelines.extract.media import (
    IMAGE_TYPES,
    OFFICE_TYPES,
    OLE_TYPE,
    is_binary,
    looks_like_html,
    looks_like_pdf,
    sniff_media_type,
)
from pipelines.extract.packing import CODECS, codec_of, unpack_all
from pipelines.extract.rows import TRANSIENT, Record, to_batches, unreadable
from pipelines.extract.splits import split_points
from pipelines.extract.tables import read_jsonl, read_parquet
from pipelines.extract.warc import read_warc
from pipelines.extract.warc_header import is_record_start

__all__ = [
    "InputRange",
    "ReadSettings",
    "detect_code",
    "detect_format",
    "read_records",
    "split_points",
]


def _read_lines(input_range: InputRange, settings: ReadSettings) -> Iterator[Record]:
    """The records of JSON Lines, or that there are no bytes."""
    if input_range.start == 0 and not input_size(input_range.url, settings):
        yield empty_file(input_range.file)
        return
    yield from read_jsonl(input_range, settings)


_READERS: Final[dict[str, Callable[[InputRange, ReadSettings], Iterator[Record]]]] = {
    "warc": read_warc,
    "wet": read_warc,
    "jsonl": _read_lines,
    "parquet": read_parquet,
    "html": read_file,
    "text": read_file,
    "code": read_file,
    "pdf": read_file,
    "image": read_file,
    "office": read_file,
}
_ENDINGS: Final = {
    "warc": (".warc", ".arc", ".wat"),
    "wet": (".wet",),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines"),
    "parquet": (".parquet",),
    "html": (".html", ".htm", ".xhtml"),
    "text": (".txt", ".text", ".md", ".rst"),
    "pdf": (".pdf",),
    "image": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"),
    "office": (".epub", ".docx", ".docm", ".doc", ".odt", ".pptx", ".ppt", ".xps", ".oxps"),
}
_JSON_LINE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*(?:\"|\})")
_BINARY: Final = ("pdf", "image", "office")
_TABLES: Final = ("jsonl", "parquet")
_ZIP_TYPE: Final = "application/zip"
_LOOK_BYTES: Final = 64 << 10


def read_records(range: InputRange, settings: ReadSettings) -> Iterator[pa.RecordBatch]:
    """Reads the records that begin in a range.

    Returns:
        RECORD batches of at most 256 rows and about 8 MB of payload and text, in the order of the
        file.

    Raises:
        ValueError, ImportError: The URL has an unknown protocol, or one without its package.
        ConnectionError, TimeoutError: The storage did not answer; the file may be whole.
    """
    return to_batches(_guarded(_READERS[range.format](range, settings), range))


def _guarded(records: Iterator[Record], input_range: InputRange) -> Iterator[Record]:
    """The records, and a reject where the file cannot be read (further)."""
    offset = input_range.start
    try:
        for record in records:
            offset = record.offset + record.length
            yield record
    except TRANSIENT:
        raise
    except OSError as error:
        yield unreadable(input_range.file, offset, error)


def detect_format(name: str, head: bytes) -> str | None:
    """The input format of a file.

    The bytes decide where they are plain (WARC, Parquet, PDF, binary, markup); what is mere text is
    what its ending says. gzip, Zstandard, LZ4 and bzip2 are looked through.

    Args:
        name: File name or path.
        head: Its first bytes, 4 KiB or more; fewer where the file is shorter.

    Returns:
        One of `inputs.FORMATS`, or None where no reader takes it.
    """
    name = name.lower()
    by_name = _format_of_ending(name)
    if not head:
        return by_name
    if head.startswith(b"PAR1"):
        return "parquet"
    inner = _unpacked_head(head)
    if is_record_start(inner):
        return "wet" if by_name == "wet" else "warc"
    if not inner or by_name in ("warc", "wet", "parquet"):
        return by_name  # broken at its first byte: its reader says how
    if looks_like_pdf(inner):
        return "pdf"
    if is_binary(inner):
        return _binary_format(inner, by_name)
    if by_name in ("jsonl", "html", "text"):
        return by_name
    if _JSON_LINE.match(inner) and name.endswith(".json"):
        return "jsonl" if _is_one_object_a_line(inner) else None
    if looks_like_html(inner):
        return "html"
    return by_name if by_name in _BINARY else None


def detect_code(name: str, head: bytes) -> str | None:
    """Likewise of a file of a source of code: `code`, or what holds rows.

    Returns:
        None where its name is not that of code, or its bytes are binary.
    """
    found = detect_format(name, head)
    if found in _TABLES:
        return found
    is_text = not is_binary(head)
    return "code" if is_text and code_media_type(name) is not None else None


def _binary_format(head: bytes, by_name: str | None) -> str | None:
    """The format of a binary file: what its bytes say, else its ending, else none."""
    found = sniff_media_type(head)
    if found in IMAGE_TYPES:
        return "image"
    if found in OFFICE_TYPES:
        return "office"
    if found in (_ZIP_TYPE, OLE_TYPE):
        return "office" if by_name == "office" else None
    # What is damaged from its first byte on is a reject of the reader that its ending names.
    return by_name if found is None and by_name in _BINARY else None


def _format_of_ending(name: str) -> str | None:
    packed = tuple(itertools.chain.from_iterable(codec.endings for codec in CODECS.values()))
    while name.endswith(packed):
        name = name[: name.rindex(".")]
    for format, endings in _ENDINGS.items():
        if name.endswith(endings):
            return format
    return None


def _is_one_object_a_line(head: bytes) -> bool:
    return head.splitlines()[0].rstrip().endswith(b"}")


def _unpacked_head(head: bytes) -> bytes:
    """The first unpacked bytes of a packed file, none where it is broken; others as they are.

    An LZ4 frame is unpacked whole or not at all, so a longer one is told by its ending.
    """
    codec = codec_of(head)
    return head if codec is None else unpack_all(codec, head[:_LOOK_BYTES])
