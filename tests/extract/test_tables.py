import bz2
import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipelines.extract.records import InputRange, ReadSettings, read_records
from pipelines.workspace.schema import payload_digest


def read(path: Path, format: str, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    asked = InputRange(url=str(path), file=path.name, format=format)
    batches = read_records(asked, ReadSettings(**settings))
    return [row for batch in batches for row in batch.to_pylist()]


def read_lines(folder: Path, data: bytes, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    path = folder / "a.jsonl"
    path.write_bytes(data)
    return read(path, "jsonl", **settings)


def as_is(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("pack", [as_is, gzip.compress, zstandard.compress, bz2.compress])
def test_jsonl_in_every_packing_gives_texts_and_offsets(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    lines = [json.dumps({"text": t}, ensure_ascii=False) for t in ("Привет", "你好 🦜", "שלום")]
    rows = read_lines(tmp_path, pack("\n".join(lines).encode()))
    assert [row["text"] for row in rows] == ["Привет", "你好 🦜", "שלום"]
    second = len(lines[0].encode()) + 1
    assert [row["ordinal"] for row in rows] == [0, second, second + len(lines[1].encode()) + 1]
    assert rows[1]["offset"] == second
    assert rows[0]["digest"] == payload_digest("Привет".encode())


def test_jsonl_columns_are_mapped_and_the_rest_is_meta(tmp_path: Path) -> None:
    row = {
        "text": "Grüße",
        "url": "http://a.example/",
        "lang": "de",
        "license": "CC0-1.0",
        "date": "2024-01-02T03:04:05+01:00",
        "score": 0.5,
        "ok": True,
        "name": "\ud800x",
        "tags": ["a"],
        "none": None,
    }
    _, found = read_lines(tmp_path, b'{"text": "a"}\n' + json.dumps(row).encode())
    assert found["uri"] == "http://a.example/"
    assert found["ordinal"] == 0
    assert found["declared_language"] == "de"
    assert found["license"] == "CC0-1.0"
    assert found["fetched_at"] == datetime(2024, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert dict(found["meta"]) == {"score": "0.5", "ok": "true", "name": "\ufffdx"}


def test_jsonl_time_that_cannot_be_read_stays_in_meta(tmp_path: Path) -> None:
    (row,) = read_lines(tmp_path, b'{"text": "a", "date": "last spring"}')
    assert row["fetched_at"] is None
    assert dict(row["meta"]) == {"date": "last spring"}


def test_jsonl_lone_surrogate_becomes_replacement_character(tmp_path: Path) -> None:
    (row,) = read_lines(tmp_path, b'{"text": "a\\ud83db \\ud83e\\udd9c"}')
    assert row["text"] == "a\ufffdb 🦜"
    assert row["digest"] == payload_digest("a\ufffdb 🦜".encode())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "invalid_json"),
        (b'["text"]', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"text": "\xff"}', "invalid_utf8"),
        (b'{"body": "a"}', "missing_text"),
        (b'{"text": 7}', "missing_text"),
        (b'{"text": " \\n"}', "empty_text"),
        (b'{"text": "' + b"a" * 2000 + b'"}', "too_large"),
    ],
)
def test_jsonl_bad_line_is_one_reject_between_good_ones(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    limit = 200_000 if line.startswith(b"[[") else 1000
    data = b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n'
    rows = read_lines(tmp_path, data, max_record_bytes=limit)
    assert [(row["text"], row["reason"]) for row in rows] == [
        ("a", None),
        (None, reason),
        ("b", None),
    ]
    assert rows[1]["offset"] == 14
    assert rows[2]["offset"] == 14 + len(line) + 1


def test_jsonl_very_long_line_is_passed_over(tmp_path: Path) -> None:
    data = b'{"text": "' + b"a" * 3_000_000 + b'"}\n{"text": "b"}'
    rows = read_lines(tmp_path, data, max_record_bytes=70_000)
    assert [(row["text"], row["reason"]) for row in rows] == [(None, "too_large"), ("b", None)]
    assert rows[0]["length"] == 3_000_013


def test_jsonl_blank_lines_and_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    rows = read_lines(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b"}\r\n')
    assert [row["text"] for row in rows] == ["a", "b"]


def test_jsonl_broken_member_is_one_reject_and_the_next_is_read(tmp_path: Path) -> None:
    parts = [gzip.compress(b'{"text": "%d", "more": "abcdefgh"}\n' % i) for i in range(3)]
    broken = parts[1][:-8] + bytes(8)
    rows = read_lines(tmp_path, parts[0] + broken + parts[2])
    assert [row["reason"] for row in rows if row["text"] is None] == ["broken_gzip"]
    assert [row["text"] for row in rows if row["text"]] == ["0", "1", "2"]


def test_jsonl_cut_member_gives_the_lines_before_the_cut(tmp_path: Path) -> None:
    lines = b"".join(b'{"text": "line %d"}\n' % i for i in range(2000))
    packed = gzip.compress(lines)
    rows = read_lines(tmp_path, packed[: len(packed) // 2])
    texts = [row["text"] for row in rows if row["outcome"] == "asked"]
    assert texts == [f"line {i}" for i in range(len(texts))]
    assert len(texts) > 100
    assert [row["reason"] for row in rows if row["outcome"] == "rejected"] == ["truncated_record"]


def test_parquet_columns_and_row_numbers_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "content": ["नमस्ते", None, "", "🦜"],
            "link": ["http://a.example/1", None, None, None],
            "timestamp": [date(2024, 1, 2)] * 4,
            "stars": [1, 2, 3, 4],
            "list": [[1]] * 4,
        }
    )
    pq.write_table(table, path)
    rows = read(path, "parquet", text_column="content", url_column="link")
    assert [(row["text"], row["reason"]) for row in rows] == [
        ("नमस्ते", None),
        (None, "missing_text"),
        (None, "empty_text"),
        ("🦜", None),
    ]
    assert [row["offset"] for row in rows] == [0, 1, 2, 3]
    assert [row["ordinal"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["uri"] == "http://a.example/1"
    assert rows[0]["fetched_at"] == datetime(2024, 1, 2, tzinfo=UTC)
    assert dict(rows[3]["meta"]) == {"stars": "4"}


def test_parquet_string_that_is_no_utf8_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    raw = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    pq.write_table(pa.table({"text": texts}), path)
    rows = read(path, "parquet")
    assert [(row["text"], row["reason"]) for row in rows] == [
        ("good", None),
        (None, "invalid_utf8"),
        ("fine", None),
    ]


def test_parquet_broken_row_group_is_rejected_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": [f"row {i} {i * 7919}" for i in range(30)]}), path, row_group_size=10
    )
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    rows = read(path, "parquet")
    assert [row["offset"] for row in rows] == list(range(30))
    assert [row["reason"] for row in rows] == [None] * 10 + ["broken_parquet"] * 10 + [None] * 10


def test_parquet_file_that_is_none_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1, they said")
    (row,) = read(path, "parquet")
    assert (row["outcome"], row["reason"]) == ("rejected", "unreadable_file")


def read_table(folder: Path, columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    path = folder / "times.parquet"
    pq.write_table(pa.table(columns), path)
    return read(path, "parquet")


def test_parquet_nanoseconds_are_spelled_and_dated(tmp_path: Path) -> None:
    moments = pa.array([1700000000123456789, None], pa.timestamp("ns", "Europe/Rome"))
    rows = read_table(
        tmp_path,
        {
            "text": pa.array(["你好 🦜", "שלום"]),
            "date": moments,
            "seen": moments.cast(pa.timestamp("ns")),
            "clock": pa.array([1, 3_600_000_000_002], pa.time64("ns")),
            "lasted": pa.array([5, None], pa.duration("ns")),
        },
    )
    assert [row["text"] for row in rows] == ["你好 🦜", "שלום"]
    dated = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert [row["fetched_at"] for row in rows] == [dated, None]
    assert [dict(row["meta"]) for row in rows] == [
        {"seen": "2023-11-14T22:13:20.123456789", "clock": "00:00:00.000000001", "lasted": "5 ns"},
        {"clock": "01:00:00.000000002"},
    ]


def test_parquet_times_no_calendar_has_are_null_and_far_ones_stay_in_meta(tmp_path: Path) -> None:
    rows = read_table(
        tmp_path,
        {
            "text": pa.array(["a", "б", "🦜"]),
            "date": pa.array([2**30, 3_700_000, 0], pa.int32()).view(pa.date32()),
            "timestamp": pa.array([2**62, 2**62, 0], pa.int64()).view(pa.timestamp("us")),
        },
    )
    assert [row["text"] for row in rows] == ["a", "б", "🦜"]
    assert [row["fetched_at"] for row in rows] == [None, None, datetime(1970, 1, 1, tzinfo=UTC)]
    assert [dict(row["meta"]) for row in rows] == [
        {},
        {"date": "12100-04-04"},
        {"timestamp": "1970-01-01T00:00:00.000000"},
    ]


def test_parquet_time_in_unknown_zone_is_no_fact(tmp_path: Path) -> None:
    moments = pa.array([17, 18], pa.timestamp("us", "No/Where"))
    rows = read_table(tmp_path, {"text": pa.array(["a", "नमस्ते"]), "date": moments, "at": moments})
    found = [(row["text"], row["fetched_at"], dict(row["meta"])) for row in rows]
    assert found == [("a", None, {}), ("नमस्ते", None, {})]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array([b"a", b"b"]), "of type binary, not a string; the columns are text, stars"),
        (pa.array([1, 2]), "of type int64, not a string; the columns are text, stars"),
        (
            pa.array([["a"], []], pa.list_(pa.field("item", pa.string()))),
            "of type list<element: string>, not a string; the columns are text, stars",
        ),
        (
            pa.array([1, 2], pa.timestamp("us")),
            "of type timestamp[us], not a string; the columns are text, stars",
        ),
        (pa.array([None, None], pa.string()), "null in this row"),
    ],
)
def test_parquet_text_column_of_another_type_is_named(
    tmp_path: Path, values: pa.Array, found: str
) -> None:
    rows = read_table(tmp_path, {"text": values, "stars": pa.array([1, 2])})
    assert [row["reason"] for row in rows] == ["missing_text"] * 2
    assert [row["message"] for row in rows] == [f"the text column 'text' is {found}"] * 2
    assert [dict(row["meta"]) for row in rows] == [{"stars": "1"}, {"stars": "2"}]


def test_parquet_without_a_readable_column_still_counts_its_rows(tmp_path: Path) -> None:
    rows = read_table(tmp_path, {"body": pa.array([b"a", b"b"])})
    message = "the text column 'text' is absent; the columns are body"
    assert [(row["offset"], row["message"]) for row in rows] == [(0, message), (1, message)]
