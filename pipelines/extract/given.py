"""Texts that are given as such, of JSONL and Parquet: documents made of blocks, in children.

Turning a line into a document is Python work (JSON, tidying, two hashes), so it is done where all
cores are. A child takes a block of `blocks` and gives back its documents, and what was rejected.
What comes out is what `ExtractJob` makes of the same records one by one, which a test compares;
here a row goes from JSON to Arrow without a record object in between.
"""

import hashlib
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.config import SourceConfig
from pipelines.extract.blocks import Block, LineBlock, RowBlock, read_blocks
from pipelines.extract.extracted import NO_TEXT
from pipelines.extract.inputs import InputRange, ReadSettings
from pipelines.extract.markup import AS_GIVEN
from pipelines.extract.rows import Record, replace_surrogates
from pipelines.extract.tables import (
    BAD_DATA,
    LANGUAGE_COLUMNS,
    TIME_COLUMNS,
    URL_COLUMNS,
    Line,
    is_fact,
    lost_rows,
    record_of_line,
    record_of_row,
    rows_of,
    spelled,
    time_of,
)
from pipelines.extract.text import tidy
from pipelines.extract.uris import canonical_uri, host_of
from pipelines.workspace.schema import ASKED, DOCUMENT, ID, ID_BYTES, LOCATOR

_BOM: Final = b"\xef\xbb\xbf"
_TASK: Final = "task"
# Single records that travel together; one of more characters ends its company.
_MAX_RECORDS: Final = 64
_MAX_CHARS: Final = 1 << 20
_PLAIN_TEXT: Final = "text/plain"
_WORD: Final = 8  # bytes of a length in a document id


class Reject(NamedTuple):
    """A record that became no document."""

    record: dict[str, Any]
    """`uri`, `offset` and `length`."""
    reason: str
    message: str
    id: bytes | None


@dataclass(frozen=True, slots=True)
class Made:
    """What a block gave."""

    file: str
    documents: pa.RecordBatch
    """DOCUMENT rows, in order, without `provenance`."""
    num_records: int
    num_asked: int
    """Records that held a text; those of them that gave no document are rejects too."""
    rejects: list[Reject]
    extent: tuple[int, int]
    """Where the first record begins, and the last one ends."""


class _Given(NamedTuple):
    """A record that holds a text."""

    offset: int
    length: int
    ordinal: int
    text: str
    uri: str | None
    license: str | None
    language: str | None
    time: datetime | None
    meta: list[tuple[str, str]]


def tasks_of(input_range: InputRange, settings: ReadSettings) -> Iterator[pa.RecordBatch]:
    """A range of a JSONL or Parquet file as what children are given: batches of one row."""
    records: list[Record] = []
    for block in read_blocks(input_range, settings):
        if isinstance(block, Record):
            records.append(block)
            if len(records) < _MAX_RECORDS and len(block.text or "") < _MAX_CHARS:
                continue
        if records:
            yield _task_of(input_range.file, records)
            records = []
        if not isinstance(block, Record):
            yield _task_of(input_range.file, block)
    if records:
        yield _task_of(input_range.file, records)


def _task_of(file: str, block: Block | list[Record]) -> pa.RecordBatch:
    data = pa.array([pickle.dumps((file, block))], pa.large_binary())
    return pa.RecordBatch.from_pydict({_TASK: data})


def made_of(result: pa.RecordBatch) -> Made:
    """What a child gave back for a task."""
    found: Made = pickle.loads(result.column(_TASK)[0].as_buffer())
    return found


def make_documents(
    task: pa.RecordBatch, *, source: SourceConfig, settings: ReadSettings
) -> pa.RecordBatch:
    """Makes the documents of a task, in a child; see `made_of`."""
    if not task.num_rows:
        return task
    file, block = pickle.loads(task.column(_TASK)[0].as_buffer())
    made = _make(list(_records(file, block, settings)), file, source)
    return pa.RecordBatch.from_pydict({_TASK: pa.array([pickle.dumps(made)], pa.large_binary())})


def _records(
    file: str, block: Block | list[Record], settings: ReadSettings
) -> Iterator[_Given | Record]:
    """The records of a block: those that hold a text, and rejects."""
    if isinstance(block, list):
        return map(_given_of_record, block)
    if isinstance(block, LineBlock):
        return _records_of_lines(file, block, settings)
    assert isinstance(block, RowBlock)
    return _records_of_rows(file, block, settings)


def _records_of_lines(
    file: str, block: LineBlock, settings: ReadSettings
) -> Iterator[_Given | Record]:
    offset = block.offset
    for data in block.data.split(b"\n")[:-1]:
        begin, length = offset, len(data) + 1
        offset += length
        if not data.strip(b" \t\r\n" + (_BOM if begin == 0 else b"")):
            continue
        given = None
        if length <= settings.max_record_bytes:
            try:
                row = json.loads(data.decode()) if begin else None
            except (ValueError, RecursionError):
                row = None
            given = _given_of_row(row, begin, length, begin, settings)
        if given is None:
            line = Line(begin, length, data + b"\n", None)
            if length > settings.max_record_bytes:
                problem = ("too_large", f"a line of more than {settings.max_record_bytes} bytes")
                line = Line(begin, length, b"", problem)
            yield _given_of_record(record_of_line(line, file, settings))
        else:
            yield given


def _records_of_rows(
    file: str, block: RowBlock, settings: ReadSettings
) -> Iterator[_Given | Record]:
    number = block.offset
    blank = Record(
        file=file, offset=0, length=1, outcome="rejected", reason="unread", message="unread"
    )
    with pa.ipc.open_stream(block.stream) as stream:
        batches = list(stream)
    end = number + sum(batch.num_rows for batch in batches)
    try:
        for batch in batches:
            for values in rows_of(batch):
                here = replace(blank, offset=number, ordinal=number)
                if isinstance(values, UnicodeDecodeError):
                    yield here.replace(reason="invalid_utf8", message=str(values))
                else:
                    given = _given_of_row(values, number, 1, number, settings)
                    yield given or _given_of_record(
                        record_of_row(here, values, settings, block.types)
                    )
                number += 1
    except BAD_DATA as error:
        yield from lost_rows(file, number, end, error)


def _given_of_record(record: Record) -> _Given | Record:
    if record.outcome != ASKED:
        return record
    assert record.text is not None
    return _Given(
        record.offset,
        record.length,
        record.ordinal,
        record.text,
        record.uri,
        record.license,
        record.declared_language,
        record.fetched_at,
        list(record.meta.items()),
    )


def _given_of_row(
    row: Any,  # noqa: ANN401 - any JSON
    offset: int,
    length: int,
    ordinal: int,
    settings: ReadSettings,
) -> _Given | None:
    """The record of a row with an ordinary text; None where `tables` must look closer."""
    if not isinstance(row, dict):
        return None
    text = row.get(settings.text_column)
    if not isinstance(text, str) or 4 * len(text) > settings.max_record_bytes or text.isspace():
        return None
    if not text:
        return None
    url = _name_of(row, (settings.url_column,) if settings.url_column else URL_COLUMNS)
    license_, language = _name_of(row, ("license",)), _name_of(row, LANGUAGE_COLUMNS)
    time_name, time = None, None
    if any(name in row for name in TIME_COLUMNS):
        time_name, time = time_of(row)
    taken = (settings.text_column, url, license_, language, time_name)
    return _Given(
        offset,
        length,
        0 if url else ordinal,
        text,
        row[url] if url else None,
        row[license_] if license_ else None,
        row[language] if language else None,
        time,
        [(n, spelled(v)) for n, v in row.items() if n not in taken and is_fact(v)],
    )


def _name_of(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The first of the names under which the row has a string."""
    for name in names:
        if name in row and isinstance(row[name], str) and row[name]:
            return name
    return None


def _make(records: list[_Given | Record], file: str, source: SourceConfig) -> Made:
    rejects: list[Reject] = []
    rows: list[tuple[Any, ...]] = []
    id_of = _Ids(source.name, file)
    num_asked = 0
    for record in records:
        if isinstance(record, Record):
            rejects.append(_reject(record, record.reason or "", record.message or "", None))
            continue
        num_asked += 1
        text, data = _utf8(record.text)
        uri = canonical_uri(replace_surrogates(record.uri)) if record.uri else None
        id_ = id_of(uri, data, record.ordinal)
        tidied = tidy(text)
        if not tidied.strip():
            rejects.append(_reject(record, "no_text", NO_TEXT, id_))
            continue
        rows.append((id_, tidied, uri, record))
    extent = (
        min((record.offset for record in records), default=0),
        max((record.offset + record.length for record in records), default=0),
    )
    return Made(file, _to_batch(rows, file, source), len(records), num_asked, rejects, extent)


def _utf8(text: str) -> tuple[str, bytes]:
    """The text without lone surrogates, and its UTF-8."""
    try:
        return text, text.encode()
    except UnicodeEncodeError:
        text = replace_surrogates(text)
        return text, text.encode()


def _reject(record: _Given | Record, reason: str, message: str, id_: bytes | None) -> Reject:
    uri = replace_surrogates(record.uri) if record.uri else None
    place = {"uri": uri, "offset": record.offset, "length": record.length}
    return Reject(place, replace_surrogates(reason), replace_surrogates(message), id_)


class _Ids:
    """Document ids of one file; what `document_id` gives, at a third of its price."""

    def __init__(self, source: str, file: str) -> None:
        name = source.encode()
        self._begun = hashlib.blake2b(_length(name) + name, digest_size=ID_BYTES)
        self._file = file

    def __call__(self, uri: str | None, text: bytes, ordinal: int) -> bytes:
        digest = hashlib.blake2b(text, digest_size=ID_BYTES).digest()
        name = (uri or self._file).encode()
        state = self._begun.copy()
        state.update(
            b"".join(
                (
                    _length(name),
                    name,
                    _length(digest),
                    digest,
                    _WORD.to_bytes(_WORD, "little"),
                    ordinal.to_bytes(_WORD, "little"),
                )
            )
        )
        return state.digest()


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(_WORD, "little")


def _to_batch(
    rows: list[tuple[bytes, str, str | None, _Given]], file: str, source: SourceConfig
) -> pa.RecordBatch:
    n = len(rows)
    given = [row[3] for row in rows]
    uris = [row[2] for row in rows]
    has_uri = any(uris)
    license_ = [_clean(one.license) or source.license for one in given]
    place = [
        pa.repeat(replace_surrogates(file), n),
        pa.array([one.offset for one in given], pa.int64()),
        pa.array([one.length for one in given], pa.int64()),
        pa.nulls(n, LOCATOR.field("pages").type),
    ]
    hosts = [host_of(uri) if uri else None for uri in uris] if has_uri else None
    columns = {
        "id": pa.array([row[0] for row in rows], ID),
        "text": pa.array([row[1] for row in rows], pa.large_string()),
        "uri": pa.array(uris, pa.string()),
        "host": pa.array(hosts, pa.string()) if hosts else pa.nulls(n, pa.string()),
        "source": pa.repeat(source.name, n),
        "media_type": pa.repeat(_PLAIN_TEXT, n),
        "fetched_at": pa.array([one.time for one in given], DOCUMENT.field("fetched_at").type),
        "license": pa.array(license_, pa.string()),
        "declared_language": pa.array([_clean(one.language) for one in given], pa.string()),
        "locator": pa.StructArray.from_arrays(place, fields=list(LOCATOR)),
        "extractor": pa.repeat(AS_GIVEN, n),
        "meta": _meta(given),
    }
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in columns], schema=pa.schema([DOCUMENT.field(n) for n in columns])
    )


def _clean(text: str | None) -> str | None:
    return None if text is None else replace_surrogates(text)


def _meta(given: list[_Given]) -> pa.MapArray:
    """Facts of each row, sorted by name."""
    facts = [
        sorted({replace_surrogates(k): replace_surrogates(v) for k, v in one.meta}.items())
        for one in given
    ]
    sizes = np.array([len(some) for some in facts], np.int32)
    pairs = [pair for some in facts for pair in some]
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    names = pa.array([name for name, _ in pairs], pa.string())
    values = pa.array([value for _, value in pairs], pa.string())
    return pa.MapArray.from_arrays(offsets, names, values).cast(DOCUMENT.field("meta").type)
