"""Plain lines of JSONL, read a block at a time into Arrow columns.

Most JSONL holds the same few keys in every line, each with a string, a number or a truth value.
Such a block goes through Arrow's JSON reader (RapidJSON), which makes no Python object a
line; from there on there are columns, and a row costs its two hashes. Whatever is not so plain
(a key or a type that the first lines do not have, a list, a broken line, a text that is blank or
near the limit) sends the whole block to the reader of single lines.

What makes the two readers agree, found by comparing them (the tests do so at random):
- RapidJSON refuses what Python's `json` refuses or reads otherwise: lone surrogates, repeated keys,
  control characters in strings. It does not check UTF-8, so the bytes are checked here.
- It does not care for line ends between tokens. Without nested values a `}` outside a string ends
  an object, and no string holds a raw newline. So where all lines begin with `{` and end with `}`
  and there are as many objects as lines, each line is one object.
- Among floats it reads `1` as `1.0`, which Python spells otherwise, and `Inf`, which Python
  refuses: lines with a whole number are looked at again, and what is not finite is not plain.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from pipelines.extract.code_files import PATH, code_media_type
from pipelines.extract.inputs import ReadSettings
from pipelines.extract.tables import (
    PLAIN_TYPE,
    TIME_COLUMNS,
    language_columns,
    license_columns,
    renamed,
    spelled,
    time_of,
    url_columns,
)
from pipelines.extract.text import tidy
from pipelines.workspace.schema import DOCUMENT

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_TYPES: Final[Mapping[type, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    type(None): pa.null(),
}
# Of numbers that were spelled: strings that are no URI, license, language or time.
_SPELLED: Final = pa.large_string()
# Lines that name keys and types.
_NUM_FIRST: Final = 16
_BRACES: Final = (ord("{"), ord("}"))
_NEWLINE: Final = ord("\n")
_LAST_CONTROL: Final = ord("\r")
# The first two bytes, big-endian, of the characters beyond ASCII that `str.isspace` knows.
_WIDE_SPACES: Final = np.array([0xC285, 0xC2A0, 0xE19A, 0xE280, 0xE281, 0xE380], np.uint16)
# A character takes at most four bytes; a text that may exceed the limit is measured elsewhere.
_MAX_CHAR_BYTES: Final = 4


class PlainLines(NamedTuple):
    """Records of the lines of a block, all of which hold a text."""

    begins: Numbers
    """int64[n]: where each line begins in the block."""
    lengths: Numbers
    """int64[n]: its bytes, with the newline."""
    given: pa.StringArray
    """Texts as they were given, after which documents are named."""
    tidied: pa.LargeStringArray
    """The same as they are kept; none is blank."""
    uris: list[str | None] | None
    """As written; None where no line has one."""
    license: pa.StringArray
    language: pa.StringArray
    time: list[datetime | None] | None
    media_type: pa.StringArray
    meta: pa.MapArray
    """Facts of each row, sorted by name."""


def read_plain_lines(data: pa.Buffer, settings: ReadSettings) -> PlainLines | None:
    """Reads lines of JSONL, of which the last ends with a newline too.

    Returns:
        The records, or None where the lines must be read one by one.
    """
    lines = _lines_of(np.frombuffer(data, np.uint8))
    urls, licenses = url_columns(settings), license_columns(settings)
    languages = language_columns(settings)
    others = {*urls, *licenses, *languages, *TIME_COLUMNS}
    used = {settings.text_column, *(column for column, _ in renamed(settings.code))}
    if lines is None or used & others:
        return None
    begins, lengths = lines
    if int(lengths.max()) > settings.max_record_bytes:
        return None
    columns = _columns_of(data, begins, lengths)
    given = None if columns is None else columns.pop(settings.text_column, None)
    if columns is None or given is None or not _is_plain(given, settings.max_record_bytes):
        return None
    tidied = _tidy_all(given)
    if tidied is None or not _spell_floats(columns, data, begins, lengths):
        return None
    if not _rename(columns, settings):
        return None
    taken: dict[str, Mask] = {}
    uris = _take(columns, urls, taken)
    license_ = _take(columns, licenses, taken)
    language = _take(columns, languages, taken)
    time = _times(columns, taken)
    nothing = pa.nulls(len(begins), pa.string())
    return PlainLines(
        begins,
        lengths,
        given,
        tidied,
        None if uris is None else uris.to_pylist(),
        nothing if license_ is None else license_,
        nothing if language is None else language,
        time,
        _media_types(columns, settings, len(begins)),
        _meta(columns, taken, len(begins)),
    )


def _rename(columns: dict[str, pa.Array], settings: ReadSettings) -> bool:
    """Gives repository and path of code their names; False where rows differ in having them."""
    for column, name in renamed(settings.code):
        values = columns.get(column)
        if column == name or values is None or values.type != pa.string():
            continue
        if name in columns or pc.any(pc.equal(pc.binary_length(values), 0)).as_py():
            return False
        columns[name] = columns.pop(column)
    return True


def _media_types(
    columns: Mapping[str, pa.Array], settings: ReadSettings, num_rows: int
) -> pa.StringArray:
    paths = columns.get(PATH) if settings.code is not None else None
    if paths is None or paths.type != pa.string():
        return pa.repeat(PLAIN_TYPE, num_rows)
    found = [code_media_type(path or "") or PLAIN_TYPE for path in paths.to_pylist()]
    return pa.array(found, pa.string())


def _lines_of(data: Bytes) -> tuple[Numbers, Numbers] | None:
    """Begins and lengths of all lines but empty ones; None where one is no `{...}`."""
    ends = np.flatnonzero(data == _NEWLINE)
    begins = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    has_bytes = ends > begins
    begins, ends = begins[has_bytes], ends[has_bytes]
    if not len(begins):
        return None
    opening, closing = _BRACES
    if not ((data[begins] == opening).all() and (data[ends - 1] == closing).all()):
        return None
    return begins, ends + 1 - begins


def _columns_of(data: pa.Buffer, begins: Numbers, lengths: Numbers) -> dict[str, pa.Array] | None:
    """Columns with the keys and types of the first lines; None where a line does not fit."""
    schema = _schema_of(
        [_row_of(data, begins, lengths, i) for i in range(len(begins))[:_NUM_FIRST]]
    )
    if schema is None or not _is_utf8(data):
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=data.size + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema,
                newlines_in_values=False,
                unexpected_field_behavior="error",
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(begins):
        return None
    (batch,) = table.combine_chunks().to_batches()
    return dict(zip(schema.names, batch.columns, strict=True))


def _row_of(data: pa.Buffer, begins: Numbers, lengths: Numbers, line: int) -> dict[str, Any] | None:
    """The object of a line, or None where it is none that Python can read."""
    try:
        row = json.loads(data.slice(int(begins[line]), int(lengths[line])).to_pybytes())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _schema_of(rows: list[dict[str, Any] | None]) -> pa.Schema | None:
    """All keys, each with the type of its first value that is not null; or float behind int."""
    types: dict[str, type] = {}
    for row in rows:
        if row is None:
            return None
        for name, value in row.items():
            before = types.get(name, type(None))
            if before is type(None) or (before is int and type(value) is float):
                types[name] = type(value)
    try:
        fields = [pa.field(name, _TYPES[kind]) for name, kind in types.items()]
    except (KeyError, UnicodeEncodeError):  # another type, or a lone surrogate in a key
        return None
    return None if any("\x00" in name for name in types) else pa.schema(fields)


def _spell_floats(
    columns: dict[str, pa.Array], data: pa.Buffer, begins: Numbers, lengths: Numbers
) -> bool:
    """Puts strings in place of floats; False where one is not finite.

    A number that is whole may stand as an integer, so its line is asked.
    """
    for name, column in columns.items():
        if column.type != pa.float64():
            continue
        values = column.fill_null(0.5).to_numpy()
        if not np.isfinite(values).all():
            return False
        strings = [None if value is None else repr(value) for value in column.to_pylist()]
        for line in np.flatnonzero(values == np.floor(values)).tolist():
            row = _row_of(data, begins, lengths, line)
            assert row is not None
            strings[line] = spelled(row[name])
        columns[name] = pa.array(strings, _SPELLED)
    return True


def _is_utf8(data: pa.Buffer) -> bool:
    ends = pa.py_buffer(np.array([0, data.size], np.int64))
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, data])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_plain(texts: pa.Array, max_bytes: int) -> bool:
    """Whether all are texts, not empty and far from the limit."""
    if texts.type != pa.string() or texts.null_count:
        return False
    sizes = pc.min_max(pc.binary_length(texts)).as_py()
    return bool(sizes["min"] > 0 and _MAX_CHAR_BYTES * sizes["max"] <= max_bytes)


def bounds_of(texts: pa.StringArray) -> tuple[Numbers, pa.Buffer]:
    """Where strings, none of them null, begin and end in the buffer of their bytes.

    Returns:
        int64[n + 1], and the buffer.
    """
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bounds.astype(np.int64), data


def _tidy_all(texts: pa.StringArray) -> pa.LargeStringArray | None:
    """Texts as `tidy` leaves them; None where one is blank then. None is empty before."""
    suspects = np.flatnonzero(_may_change(texts))
    kept = texts.cast(pa.large_string())
    if not len(suspects):
        return kept
    found = [tidy(text) for text in texts.take(pa.array(suspects)).to_pylist()]
    if any(not text or text.isspace() for text in found):
        return None
    mask = np.zeros(len(texts), np.bool_)
    mask[suspects] = True
    return pc.replace_with_mask(kept, pa.array(mask), pa.array(found, pa.large_string()))


def _may_change(texts: pa.StringArray) -> Mask:
    """bool[n]: which texts `tidy` may change, or are blank; by their bytes.

    Such a text has a NUL, a carriage return, a newline at an end, or a blank before a newline or at
    the end; or it begins with white space.
    """
    bounds, buffer = bounds_of(texts)
    data = np.frombuffer(buffer, np.uint8)
    begins, ends = bounds[:-1], bounds[1:]
    controls = bounds[0] + np.flatnonzero(data[bounds[0] : bounds[-1]] <= _LAST_CONTROL)
    kinds = data[controls]
    newlines = controls[kinds == _NEWLINE]
    odd = controls[(kinds == 0) | (kinds == _LAST_CONTROL)]
    places = np.concatenate([odd, newlines[_is_behind_blank(data, newlines)]])
    mask: Mask = _is_behind_blank(data, ends) | (data[begins] <= ord(" "))
    mask |= data[ends - 1] == _NEWLINE
    heads = data[begins].astype(np.uint16) << 8 | data[np.minimum(begins + 1, len(data) - 1)]
    mask |= np.isin(heads, _WIDE_SPACES)
    mask[np.searchsorted(ends, places, side="right")] = True
    return mask


def _is_behind_blank(data: Bytes, places: Numbers) -> Mask:
    """Whether the byte before is the last of space, tab, U+00A0 or U+3000.

    Near the begin of the buffer it may be a yes in error.
    """
    last, middle, first = (data[np.maximum(places - back, 0)] for back in (1, 2, 3))
    is_blank: Mask = (last == ord(" ")) | (last == ord("\t"))
    is_blank |= (last == 0xA0) & (middle == 0xC2)
    is_blank |= (last == 0x80) & (middle == 0x80) & (first == 0xE3)
    return is_blank


def _take(
    columns: Mapping[str, pa.Array], names: Sequence[str], taken: dict[str, Mask]
) -> pa.StringArray | None:
    """In each row the first string of these columns that is not empty; notes in `taken` which."""
    found = None
    for name in names:
        column = columns.get(name)
        if column is None or column.type != pa.string():
            continue
        is_given = pc.fill_null(pc.greater(pc.binary_length(column), 0), False)
        column = pc.if_else(is_given, column, pa.scalar(None, pa.string()))
        is_new = is_given if found is None else pc.and_(is_given, pc.is_null(found))
        found = column if found is None else pc.coalesce(found, column)
        _note(taken, name, is_new.to_numpy(zero_copy_only=False))
    return found


def _note(taken: dict[str, Mask], name: str, rows: Mask) -> None:
    taken[name] = rows | taken[name] if name in taken else rows


def _times(columns: Mapping[str, pa.Array], taken: dict[str, Mask]) -> list[datetime | None] | None:
    names = [n for n in TIME_COLUMNS if n in columns and columns[n].type == pa.string()]
    if not names:
        return None
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    found = [time_of(dict(zip(names, row, strict=True))) for row in rows]
    for name in names:
        _note(taken, name, np.array([one == name for one, _ in found], np.bool_))
    return [time for _, time in found]


def _meta(columns: Mapping[str, Any], taken: Mapping[str, Mask], num_rows: int) -> pa.MapArray:
    """What no other column took, sorted by name; a null is no fact."""
    names = sorted(columns)
    is_fact = np.zeros((num_rows, len(names)), np.bool_)
    for i, name in enumerate(names):
        is_fact[:, i] = columns[name].is_valid().to_numpy(zero_copy_only=False)
        if name in taken:
            is_fact[:, i] &= ~taken[name]
    rows, which = np.nonzero(is_fact)
    ends = np.concatenate([[0], np.cumsum(is_fact.sum(axis=1))]).astype(np.int32)
    spelled = [columns[name].cast(pa.string()) for name in names]
    values = pa.concat_arrays(spelled) if names else pa.array([], pa.string())
    facts = pa.MapArray.from_arrays(
        pa.array(ends),
        pa.array(names, pa.string()).take(pa.array(which)),
        values.take(pa.array(which * num_rows + rows)),
    )
    return facts.cast(DOCUMENT.field("meta").type)
