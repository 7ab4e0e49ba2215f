"""Texts that are given as such, of JSONL and Parquet: documents made of blocks, in children.

Turning a line into a document is Python work (JSON, tidying, two hashes), so it is done where all
cores are. A child takes a block of `blocks` and gives back its documents, and what was rejected.
What comes out is what `ExtractJob` makes of the same records one by one, which a test compares;
here a row goes from JSON to Arrow without a record object in between, and lines that are plain go
as columns (`plain_lines`).

A task and a result are a batch of one row: a pickled head, and the bytes or documents as an Arrow
column, so that what is large is copied only into and out of the pipe.
"""

import hashlib
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.config import SourceConfig
from pipelines.extract.blocks import Block, LineBlock, RowBlock, read_blocks
from pipelines.extract.extracted import NO_TEXT
from pipelines.extract.inputs import InputRange, ReadSettings
from pipelines.extract.markup import AS_GIVEN
from pipelines.extract.plain_lines import PlainLines, bounds_of, read_plain_lines
from pipelines.extract.rows import Record, replace_surrogates
from pipelines.extract.tables import (
    BAD_DATA,
    PLAIN_TYPE,
    TIME_COLUMNS,
    Line,
    facts_of,
    joined_licenses,
    language_columns,
    license_columns,
    lost_rows,
    media_type_of,
    record_of_line,
    record_of_row,
    rows_of,
    time_of,
    url_columns,
)
from pipelines.extract.text import tidy
from pipelines.extract.uris import canonical_uri, host_of
from pipelines.workspace.schema import ASKED, DOCUMENT, ID, ID_BYTES, LOCATOR

_BOM: Final = b"\xef\xbb\xbf"
# Columns of tasks and results: the head, and what is large.
_HEAD: Final = "head"
_DATA: Final = "data"
# Single records that travel together; one of more characters ends its company.
_MAX_RECORDS: Final = 64
_MAX_CHARS: Final = 1 << 20
_NO_BYTES: Final = pa.py_buffer(b"")
_Numbers = list[int] | npt.NDArray[np.int64]
_WORD: Final = 8  # bytes of a length in a document id
_WORD_LENGTH: Final = _WORD.to_bytes(_WORD, "little")
_DIGEST_LENGTH: Final = ID_BYTES.to_bytes(_WORD, "little")


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
    meta: Mapping[str, str]
    media_type: str


def tasks_of(input_range: InputRange, settings: ReadSettings) -> Iterator[pa.RecordBatch]:
    """A range of a JSONL or Parquet file as what children are given: batches of one row."""
    records: list[Record] = []
    for block in read_blocks(input_range, settings):
        if isinstance(block, Record):
            records.append(block)
            if len(records) < _MAX_RECORDS and len(block.text or "") < _MAX_CHARS:
                continue
        if records:
            yield task_of(input_range.file, records)
            records = []
        if not isinstance(block, Record):
            yield task_of(input_range.file, block)
    if records:
        yield task_of(input_range.file, records)


def task_of(file: str, block: Block | list[Record]) -> pa.RecordBatch:
    """The task of a block, or of single records."""
    if isinstance(block, LineBlock):
        return _packed((file, replace(block, data=_NO_BYTES)), _one_value(block.data))
    if isinstance(block, RowBlock):
        return _packed((file, replace(block, stream=_NO_BYTES)), _one_value(block.stream))
    return _packed((file, block), _one_value(_NO_BYTES))


def block_of(task: pa.RecordBatch) -> tuple[str, Block | list[Record]]:
    """What `task_of` was given."""
    file, block = pickle.loads(task.column(_HEAD)[0].as_buffer())
    if isinstance(block, LineBlock):
        block = replace(block, data=task.column(_DATA)[0].as_buffer())
    elif isinstance(block, RowBlock):
        block = replace(block, stream=task.column(_DATA)[0].as_buffer())
    return file, block


def _packed(head: object, data: pa.Array) -> pa.RecordBatch:
    """A batch of one row."""
    pickled = pa.array([pickle.dumps(head)], pa.large_binary())
    return pa.RecordBatch.from_arrays([pickled, data], [_HEAD, _DATA])


def _one_value(data: pa.Buffer) -> pa.LargeBinaryArray:
    """An array of one value, which is not copied."""
    bounds = pa.py_buffer(np.array([0, data.size], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, bounds, data])


def _result_of(made: Made) -> pa.RecordBatch:
    rows = made.documents
    bounds = pa.array([0, rows.num_rows], pa.int64())
    data = pa.LargeListArray.from_arrays(bounds, rows.to_struct_array())
    return _packed(replace(made, documents=None), data)


def made_of(result: pa.RecordBatch) -> Made:
    """What a child gave back for a task."""
    found: Made = pickle.loads(result.column(_HEAD)[0].as_buffer())
    documents = pa.RecordBatch.from_struct_array(result.column(_DATA).flatten())
    return replace(found, documents=documents)


def make_documents(
    tasks: pa.RecordBatch, *, source: SourceConfig, settings: ReadSettings
) -> pa.RecordBatch:
    """Makes the documents of each task, in a child; see `made_of`."""
    if not tasks.num_rows:
        return tasks
    made = [_made(tasks.slice(row, 1), source, settings) for row in range(tasks.num_rows)]
    return made[0] if len(made) == 1 else pa.concat_batches(made)


def _made(task: pa.RecordBatch, source: SourceConfig, settings: ReadSettings) -> pa.RecordBatch:
    file, block = block_of(task)
    if isinstance(block, LineBlock) and block.ends_with_newline:
        plain = read_plain_lines(block.data, settings)
        if plain is not None:
            return _result_of(_make_plain(plain, block.offset, file, source))
    return _result_of(_make(list(_records(file, block, settings)), file, source))


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
    for data in block.data.to_pybytes().split(b"\n"):
        # Behind the last newline there is nothing, or a last line without one.
        begin, length = offset, min(len(data) + 1, block.end - offset)
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
            line = Line(begin, length, data + b"\n"[: length - len(data)], None)
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
        record.meta,
        record.media_type or PLAIN_TYPE,
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
    row = joined_licenses(row, settings)
    url = _name_of(row, url_columns(settings))
    license_ = _name_of(row, license_columns(settings))
    language = _name_of(row, language_columns(settings))
    time_name, time = None, None
    if any(name in row for name in TIME_COLUMNS):
        time_name, time = time_of(row)
    taken = (settings.text_column, url, license_, language, time_name)
    facts = facts_of(row, taken, settings.code)
    return _Given(
        offset,
        length,
        0 if url else ordinal,
        text,
        row[url] if url else None,
        row[license_] if license_ else None,
        row[language] if language else None,
        time,
        facts,
        media_type_of(facts, settings.code),
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
    return Made(file, _batch_of(rows, file, source), len(records), num_asked, rejects, extent)


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
        self._of_file = self._named(file)

    def __call__(self, uri: str | None, text: bytes | memoryview, ordinal: int) -> bytes:
        digest = hashlib.blake2b(text, digest_size=ID_BYTES).digest()
        state = self._named(uri) if uri else self._of_file.copy()
        state.update(digest + _WORD_LENGTH + ordinal.to_bytes(_WORD, "little"))
        return state.digest()

    def _named(self, name: str) -> "hashlib.blake2b":
        """What goes before the digest of a text, with the length of that."""
        data = name.encode()
        state = self._begun.copy()
        state.update(_length(data) + data + _DIGEST_LENGTH)
        return state


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(_WORD, "little")


def _make_plain(plain: PlainLines, offset: int, file: str, source: SourceConfig) -> Made:
    """What `_make` gives for the same lines, of which the first begins at a byte of the file."""
    begins = (plain.begins + offset).tolist()
    n = len(begins)
    uris: list[str | None] = [None] * n
    if plain.uris is not None:
        uris = [canonical_uri(uri) if uri else None for uri in plain.uris]
    ordinals = begins
    if plain.uris is not None:
        ordinals = [0 if u else b for u, b in zip(plain.uris, begins, strict=True)]
    bounds, buffer = bounds_of(plain.given)
    ends, data, id_of = bounds.tolist(), memoryview(buffer), _Ids(source.name, file)
    ids = [id_of(uris[i], data[ends[i] : ends[i + 1]], ordinals[i]) for i in range(n)]
    license_ = plain.license
    if source.license is not None:
        license_ = license_.fill_null(source.license)
    columns = {
        "id": pa.array(ids, ID),
        "text": plain.tidied,
        "fetched_at": pa.array(plain.time or [None] * n, DOCUMENT.field("fetched_at").type),
        "license": license_,
        "declared_language": plain.language,
        "locator": _places(file, plain.begins + offset, plain.lengths),
        "media_type": plain.media_type,
        "meta": plain.meta,
    }
    extent = (begins[0], begins[-1] + int(plain.lengths[-1]))
    return Made(file, _to_batch(columns, uris, source), n, n, [], extent)


def _batch_of(
    rows: list[tuple[bytes, str, str | None, _Given]], file: str, source: SourceConfig
) -> pa.RecordBatch:
    given = [row[3] for row in rows]
    license_ = [_clean(one.license) or source.license for one in given]
    offsets, lengths = [one.offset for one in given], [one.length for one in given]
    columns = {
        "id": pa.array([row[0] for row in rows], ID),
        "text": pa.array([row[1] for row in rows], pa.large_string()),
        "fetched_at": pa.array([one.time for one in given], DOCUMENT.field("fetched_at").type),
        "license": pa.array(license_, pa.string()),
        "declared_language": pa.array([_clean(one.language) for one in given], pa.string()),
        "locator": _places(file, offsets, lengths),
        "media_type": pa.array([_clean(one.media_type) for one in given], pa.string()),
        "meta": _meta(given),
    }
    return _to_batch(columns, [row[2] for row in rows], source)


def _to_batch(
    columns: Mapping[str, pa.Array], uris: list[str | None], source: SourceConfig
) -> pa.RecordBatch:
    """DOCUMENT rows without `provenance`, of the columns that differ from row to row."""
    n = len(uris)
    hosts = [host_of(uri) if uri else None for uri in uris] if any(uris) else None
    columns = {
        **columns,
        "uri": pa.array(uris, pa.string()),
        "host": pa.array(hosts, pa.string()) if hosts else pa.nulls(n, pa.string()),
        "source": pa.repeat(source.name, n),
        "extractor": pa.repeat(AS_GIVEN, n),
    }
    schema = pa.schema([field for field in DOCUMENT if field.name in columns])
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _places(file: str, offsets: _Numbers, lengths: _Numbers) -> pa.StructArray:
    """LOCATOR[n]"""
    n = len(offsets)
    place = [
        pa.repeat(replace_surrogates(file), n),
        pa.array(offsets, pa.int64()),
        pa.array(lengths, pa.int64()),
        pa.nulls(n, LOCATOR.field("pages").type),
    ]
    return pa.StructArray.from_arrays(place, fields=list(LOCATOR))


def _clean(text: str | None) -> str | None:
    return None if text is None else replace_surrogates(text)


def _meta(given: list[_Given]) -> pa.MapArray:
    """Facts of each row, sorted by name."""
    facts = [
        sorted({replace_surrogates(k): replace_surrogates(v) for k, v in one.meta.items()}.items())
        for one in given
    ]
    sizes = np.array([len(some) for some in facts], np.int32)
    pairs = [pair for some in facts for pair in some]
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    names = pa.array([name for name, _ in pairs], pa.string())
    values = pa.array([value for _, value in pairs], pa.string())
    return pa.MapArray.from_arrays(offsets, names, values).cast(DOCUMENT.field("meta").type)
