"""Records of JSONL and Parquet: the text is given, the other columns describe it.

One line or row is one record. Columns are taken so: the text column; the URI column, or `url` or
`uri`; `language` or `lang`; `license`; `date` or `timestamp`, where it can be read as a time. All
other scalars go to `meta` as strings (JSON spelling of numbers and truth values); lists and objects
are left out, because a label of another system is not a fact of this one.

JSONL: UTF-8, one object a line (https://jsonlines.org), plain or packed. `offset` is the byte where
the line begins, in a packed file among the unpacked bytes, as ranges are; `ordinal` is the same (0
where there is a URI). A blank line is no record. Behind a broken packed frame reading goes on at
the next one.
Parquet: `offset` and `ordinal` are the row number. A broken row group is one reject of all its
rows' range; the next group is read. Dates, times and durations are spelled by Arrow (ISO 8601),
since Python's have neither nanoseconds nor years beyond 9999; one that Arrow cannot spell, such as
a time in an unknown zone, is null. A text column of another type than string is not read.
"""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.extract.code_files import PATH, REPOSITORY, CodeConfig, code_media_type
from pipelines.extract.frames import FrameStream
from pipelines.extract.inputs import InputRange, ReadSettings, open_input
from pipelines.extract.media import is_binary
from pipelines.extract.packing import codec_of
from pipelines.extract.rows import Record, parse_time, replace_surrogates, text_of_utf8
from pipelines.workspace.schema import ASKED, REJECTED

_NEWLINE: Final = re.compile(rb"\n")
_STEP: Final = 64 << 10
_MIN_FRAME: Final = 16
_BOM: Final = b"\xef\xbb\xbf"
URL_COLUMNS: Final = ("url", "uri")
LANGUAGE_COLUMNS: Final = ("language", "lang")
TIME_COLUMNS: Final = ("date", "timestamp")
LICENSE_COLUMNS: Final = ("license",)
PLAIN_TYPE: Final = "text/plain"
# What Arrow and Python raise for bad data; OverflowError and KeyError are no ValueError.
BAD_DATA: Final = (pa.ArrowException, OSError, ValueError, ArithmeticError, LookupError, TypeError)
# Rows that are turned into Python values at once.
BATCH_ROWS: Final = 256


def read_jsonl(input_range: InputRange, settings: ReadSettings) -> Iterator[Record]:
    """Yields one record for every line that begins in the range.

    A packed file is unpacked from its beginning: only so is it known where lines begin, and what is
    broken on the way.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with open_input(input_range.url, settings) as file:
        codec = codec_of(file.read(8))
        start, end = input_range.start, input_range.end
        stream = FrameStream(file, codec, max(0, start - 1) if codec is None else 0)
        lines = Lines(stream, settings.max_record_bytes)
        if start > 0 and codec is None:
            lines.pass_line()
        for line in lines.read(end):
            if line.offset >= start:
                yield record_of_line(line, input_range.file, settings)


class Line:
    """A line as it was met: its bytes, or why there are none."""

    __slots__ = ("data", "length", "offset", "problem")

    def __init__(
        self, offset: int, length: int, data: bytes, problem: tuple[str, str] | None
    ) -> None:
        self.offset = offset
        self.length = length
        self.data = data
        self.problem = problem


class Lines:
    """The lines of a stream, from its position on."""

    def __init__(self, stream: FrameStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    def pass_line(self) -> None:
        """Goes behind the next newline."""
        while (length := self._length_of_line(self._max_bytes)) is None:
            self._stream.skip(self._max_bytes)
        self._stream.skip(length)

    def read(self, end: int | None) -> Iterator[Line]:
        """Yields all lines that begin before `end` and are not blank."""
        while end is None or self._stream.position < end:
            begin = self._stream.position
            length = self._length_of_line(self._max_bytes)
            if length is None:
                self.pass_line()
                problem = ("too_large", f"a line of more than {self._max_bytes} bytes")
                yield Line(begin, self._stream.position - begin, b"", problem)
                continue
            data = self._stream.peek(length)
            self._stream.skip(length)
            damage = None if data.endswith(b"\n") else self._stream.damage
            if damage is not None:
                yield Line(begin, length, b"", (damage.reason, damage.message))
                if not self._stream.resync(_is_text):
                    return
            elif not data:
                return
            elif data.strip(b" \t\r\n" + (_BOM if begin == 0 else b"")):
                yield Line(begin, length, data, None)

    def _length_of_line(self, limit: int) -> int | None:
        """Bytes through the next newline, or to the end; None where they exceed the limit."""
        searched, there = 0, 0
        while searched <= limit:
            there = self._stream.available(searched + _STEP)
            found = self._stream.search(_NEWLINE, searched, there)
            if found >= 0:
                return found + 1 if found <= limit else None
            if there < searched + _STEP:
                return there if there <= limit else None
            searched = there
        return None


def _is_text(head: bytes) -> bool:
    """Whether a frame behind a broken one may hold lines: a magic number occurs by chance."""
    return len(head) >= _MIN_FRAME and not is_binary(head)


def record_of_line(line: Line, file: str, settings: ReadSettings) -> Record:
    """The record of a line; a reject where it is no JSON object with a text."""
    blank = Record(
        file=file,
        offset=line.offset,
        length=line.length,
        outcome=REJECTED,
        reason="invalid_json",
        message="unread",
        ordinal=line.offset,
    )
    if line.problem is not None:
        return blank.replace(reason=line.problem[0], message=line.problem[1])
    data = line.data.removeprefix(_BOM) if line.offset == 0 else line.data
    text = text_of_utf8(data)
    if text is None:
        return blank.replace(reason="invalid_utf8", message="the line is no UTF-8")
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return blank.replace(message=f"{type(error).__name__}: {error}")
    if not isinstance(row, dict):
        return blank.replace(message=f"the line is a {type(row).__name__}, not an object")
    return record_of_row(blank, row, settings)


def read_parquet(input_range: InputRange, settings: ReadSettings) -> Iterator[Record]:
    """Yields one record for every row of the range.

    Raises:
        OSError: The file cannot be opened.
    """
    with open_input(input_range.url, settings) as file:
        blank = Record(
            file=input_range.file,
            offset=input_range.start,
            length=1,
            outcome=REJECTED,
            reason="unreadable_file",
            message="unread",
        )
        try:
            parquet = pq.ParquetFile(file)
            types = {field.name: field.type for field in parquet.schema_arrow}
        except BAD_DATA as error:
            yield blank.replace(message=f"no Parquet file: {error}")
            return
        yield from _read_row_groups(parquet, types, input_range, blank, settings)


def _read_row_groups(
    parquet: pq.ParquetFile,
    types: Mapping[str, pa.DataType],
    input_range: InputRange,
    blank: Record,
    settings: ReadSettings,
) -> Iterator[Record]:
    end = input_range.end
    row = 0
    for group in range(parquet.num_row_groups):
        num_rows = parquet.metadata.row_group(group).num_rows
        first, row = row, row + num_rows
        if row <= input_range.start or (end is not None and first >= end):
            continue
        begin = blank.replace(offset=first)
        for record in _read_row_group(parquet, types, group, begin, settings):
            is_before_end = end is None or record.offset < end
            if is_before_end and record.offset + record.length > input_range.start:
                yield record


def _read_row_group(
    parquet: pq.ParquetFile,
    types: Mapping[str, pa.DataType],
    group: int,
    blank: Record,
    settings: ReadSettings,
) -> Iterator[Record]:
    """The rows of a group; `blank.offset` is the number of its first row."""
    num_rows = parquet.metadata.row_group(group).num_rows
    row = blank.offset
    end = row + num_rows
    names = {name: str(kind) for name, kind in types.items()}
    columns = columns_read(types, settings)
    try:
        for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
            for values in rows_of(batch):
                here = blank.replace(offset=row, ordinal=row)
                if isinstance(values, UnicodeDecodeError):
                    yield here.replace(reason="invalid_utf8", message=str(values))
                else:
                    yield record_of_row(here, values, settings, names)
                row += 1
    except BAD_DATA as error:
        yield from lost_rows(blank.file, row, end, error)


def lost_rows(file: str, first: int, end: int, error: Exception) -> Iterator[Record]:
    """Rejects for rows [first, end) of a Parquet file, which cannot be decoded."""
    message = f"rows {first} to {end - 1} cannot be read: {type(error).__name__}: {error}"
    for row in range(first, end):
        yield Record(
            file=file,
            offset=row,
            length=1,
            outcome=REJECTED,
            reason="broken_parquet",
            message=message,
            ordinal=row,
        )


def columns_read(types: Mapping[str, pa.DataType], settings: ReadSettings) -> list[str]:
    """The text where it is one, and what may describe it."""
    licenses = license_columns(settings) if settings.code is not None else ()
    return [
        name
        for name, kind in types.items()
        if (_is_string(kind) if name == settings.text_column else _is_scalar(kind))
        or (name in licenses and _is_list_of_strings(kind))
    ]


def _is_list_of_strings(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and _is_string(kind.value_type)


def url_columns(settings: ReadSettings) -> tuple[str, ...]:
    """Columns that may hold the URI, the best first."""
    return (settings.url_column,) if settings.url_column else URL_COLUMNS


def license_columns(settings: ReadSettings) -> tuple[str, ...]:
    """Likewise of the licence."""
    return LICENSE_COLUMNS if settings.code is None else (settings.code.license_column,)


def language_columns(settings: ReadSettings) -> tuple[str, ...]:
    """Likewise of the language of people; of code such a column says something else."""
    return LANGUAGE_COLUMNS if settings.code is None else ()


def joined_licenses(row: Mapping[str, object], settings: ReadSettings) -> Mapping[str, object]:
    """The row with one string in place of a list of licences, where the source is code."""
    if settings.code is None:
        return row
    name = settings.code.license_column
    given = row.get(name)
    if not isinstance(given, list):
        return row
    names = [one for one in given if isinstance(one, str) and one]
    return {**row, name: " AND ".join(dict.fromkeys(names)) or None}


def facts_of(
    row: Mapping[str, object], taken: Container[str | None], code: CodeConfig | None
) -> dict[str, str]:
    """What goes to `meta`: what no field took, and of code repository and path by those names."""
    facts = {name: spelled(row[name]) for name in row if name not in taken and is_fact(row[name])}
    for column, name in renamed(code):
        if column not in taken and isinstance(value := row.get(column), str) and value:
            facts.pop(column, None)
            facts[name] = value
    return facts


def renamed(code: CodeConfig | None) -> tuple[tuple[str, str], ...]:
    """Columns of code, and their names in `meta`."""
    if code is None:
        return ()
    return (code.repository_column, REPOSITORY), (code.path_column, PATH)


def media_type_of(facts: Mapping[str, str], code: CodeConfig | None) -> str:
    """The media type of a given text: of code, what its path says."""
    found = code_media_type(facts.get(PATH, "")) if code is not None else None
    return found or PLAIN_TYPE


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_string(kind: pa.DataType) -> bool:
    kind = _value_type(kind)
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _is_scalar(kind: pa.DataType) -> bool:
    kind = _value_type(kind)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    is_bytes = is_bytes or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind)
    return not (is_bytes or pa.types.is_nested(kind))


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, object] | UnicodeDecodeError]:
    """The rows of a batch; an error for each whose strings are no UTF-8, which Parquet allows."""
    if batch.num_columns:
        columns = [_spell_times(column) for column in batch.columns]
        batch = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for i in range(batch.num_rows):
            try:
                yield from batch.slice(i, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield error


def _spell_times(column: pa.Array) -> pa.Array:
    """ISO strings for dates and times, `5 ms` for durations; other columns as they are."""
    if not pa.types.is_temporal(_value_type(column.type)):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        strings = column.cast(pa.string())
    except pa.ArrowException:  # an unknown time zone, or a kind that has no spelling
        return pa.nulls(len(column), pa.string())
    if pa.types.is_duration(column.type):
        return pc.binary_join_element_wise(strings, column.type.unit, " ")
    strings = pc.replace_substring(strings, " ", "T", max_replacements=1)
    # Arrow spells a value without a date as "<value out of range: 1073741824>".
    is_lost = pc.starts_with(strings, "<")
    return pc.if_else(is_lost, pa.scalar(None, pa.string()), strings)


def record_of_row(
    blank: Record,
    row: Mapping[str, object],
    settings: ReadSettings,
    types: Mapping[str, str] | None = None,
) -> Record:
    """The record of a row.

    Args:
        blank: Says where it stands.
        row: Column -> value.
        settings: Which columns hold text and URI.
        types: Of all columns, also of those that `row` leaves out.
    """
    row = joined_licenses(row, settings)
    text = row.get(settings.text_column)
    uri = _name_of(row, url_columns(settings))
    licence = _name_of(row, license_columns(settings))
    language = _name_of(row, language_columns(settings))
    time_name, time = time_of(row)
    facts = facts_of(row, {settings.text_column, uri, licence, language, time_name}, settings.code)
    found_record = partial(
        Record,
        file=blank.file,
        offset=blank.offset,
        length=blank.length,
        uri=_string(row, uri),
        media_type=media_type_of(facts, settings.code),
        ordinal=0 if uri else blank.ordinal,
        license=_string(row, licence),
        declared_language=_string(row, language),
        fetched_at=time,
        meta=facts,
    )
    if not isinstance(text, str):
        types = types or {name: type(value).__name__ for name, value in row.items()}
        message = _no_text(settings.text_column, row, types)
        return found_record(outcome=REJECTED, reason="missing_text", message=message)
    if not text.strip():
        return found_record(outcome=REJECTED, reason="empty_text", message="the text is blank")
    # A character takes at most four bytes: only a text near the limit is measured.
    near = 4 * len(text) > settings.max_record_bytes
    num_bytes = len(replace_surrogates(text).encode()) if near else 0
    if num_bytes > settings.max_record_bytes:
        message = f"{num_bytes} bytes of text; the limit is {settings.max_record_bytes}"
        return found_record(outcome=REJECTED, reason="too_large", message=message)
    return found_record(outcome=ASKED, text=text)


def _no_text(name: str, row: Mapping[str, object], types: Mapping[str, str]) -> str:
    """Says why a row has no text; `types` are those of its columns, read or not."""
    if name in row and row[name] is None:
        return f"the text column {name!r} is null in this row"
    found = f"of type {types[name]}, not a string" if name in types else "absent"
    return f"the text column {name!r} is {found}; the columns are {', '.join(types) or 'none'}"


def _name_of(row: Mapping[str, object], names: Iterable[str]) -> str | None:
    """The first of the names under which the row has a string."""
    return next((name for name in names if isinstance(row.get(name), str) and row[name]), None)


def _string(row: Mapping[str, object], name: str | None) -> str | None:
    value = row[name] if name else None
    return value if isinstance(value, str) else None


def time_of(row: Mapping[str, object]) -> tuple[str | None, datetime | None]:
    """The first time column that can be read, and its value."""
    for name in TIME_COLUMNS:
        value = row.get(name)
        if isinstance(value, str) and (time := parse_time(value)) is not None:
            return name, time
    return None, None


def is_fact(value: object) -> bool:
    """Whether a value goes to `meta`."""
    return value is not None and not isinstance(value, list | dict)


def spelled(value: object) -> str:
    """How a value stands in `meta`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value)
