"""Documents that children make of blocks are those that the readers give record by record."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import ExtractConfig, ProvenanceConfig, SourceConfig
from pipelines.extract import blocks
from pipelines.extract.given import made_of, make_documents, tasks_of
from pipelines.extract.inputs import InputRange
from pipelines.extract.job import ExtractJob, read_settings
from pipelines.extract.markup import extract_records
from pipelines.extract.records import read_records
from pipelines.workspace.schema import ASKED

HOSTILE = [
    b'{"text": "A plain text.", "url": "HTTP://Example.com:80/a/../b", "lang": "en"}',
    b"",
    b'{"text": "  ends with blanks  \\r\\nand \\u0000 a NUL\\n\\n", "date": "2024-02-30"}',
    b'{"text": "caf\\u00e9 \\ud800 lone", "n": 1.50, "flag": true, "none": null, "z": [1]}',
    b'{"text": "\\u0000"}',
    b'{"text": "   "}',
    b'{"text": ""}',
    b'{"text": 5}',
    b'{"no": "text"}',
    b"[1, 2]",
    b"not json",
    b'{"text": "bad utf-8 \xff"}',
    b'{"text": "surrogate in bytes \xed\xa0\x80 here"}',
    '{"text": "中文没有空格。", "license": "CC0", "date": "2024-05-06T07:08:09Z"}'.encode(),
    '{"text": "สวัสดีชาวโลก", "uri": "urn:x#frag", "k\ud83d": 1}'.encode("utf-8", "replace"),
    b'{"text": "twice", "a": 1, "a": 2}\r',
    b'{"text": "' + b"long " * 400 + b'"}',
    b'{"text": "too long for the limit ' + b"x" * 5000 + b'"}',
    b'{"text": "deep", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"text": "the last line has no newline"}',
]
SETTINGS = ExtractConfig(max_record_bytes=4000)


def one_by_one(
    source: SourceConfig, place: InputRange
) -> tuple[pa.Table, list[tuple[object, ...]]]:
    """Documents and rejects as the readers and `extract_records` give them."""
    from pipelines.extract.job import _Tally

    job, tally, made = ExtractJob(source, SETTINGS), _Tally(), []
    for batch in read_records(place, read_settings(source, SETTINGS)):
        asked = tally.sort_out(batch)
        if asked.num_rows:
            assert set(asked.column("outcome").to_pylist()) == {ASKED}
            made.append(job._join(asked, extract_records(asked, settings=SETTINGS), tally))
    rejects = sorted(
        (r["locator"]["offset"], r["locator"]["length"], r["reason"], r["message"], r["id"])
        for r in tally.rejects
    )
    return pa.Table.from_batches(made), [(tally.records, tally.extents), *rejects]


def in_blocks(source: SourceConfig, place: InputRange) -> tuple[pa.Table, list[tuple[object, ...]]]:
    """The same by way of tasks."""
    from pipelines.extract.job import _given_provenance, _Tally

    settings = read_settings(source, SETTINGS)
    tally, made = _Tally(), []
    for task in tasks_of(place, settings):
        found = made_of(make_documents(task, source=source, settings=settings))
        tally.add(found)
        if found.documents.num_rows:
            provenance = _given_provenance(source, found.documents.num_rows)
            made.append(found.documents.append_column("provenance", provenance))
    rejects = sorted(
        (r["locator"]["offset"], r["locator"]["length"], r["reason"], r["message"], r["id"])
        for r in tally.rejects
    )
    return pa.Table.from_batches(made), [(tally.records, tally.extents), *rejects]


def assert_same(source: SourceConfig, place: InputRange, least: int) -> None:
    expected, expected_rejects = one_by_one(source, place)
    found, rejects = in_blocks(source, place)
    assert found.to_pylist() == expected.to_pylist()
    assert rejects == expected_rejects
    assert found.num_rows >= least


@pytest.fixture(params=[60, 300, 2 << 20], ids=["tiny", "small", "one"])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_lines_give_the_same_documents(tmp_path: Path, packed: bool, bom: bytes) -> None:
    data = bom + b"\n".join(HOSTILE)
    path = tmp_path / ("in.jsonl.gz" if packed else "in.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    place = InputRange(url=str(path), file=path.name, format="jsonl")
    assert_same(SourceConfig(name="s", path=str(path), license="MIT"), place, 9)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("cut", [1, 77, 80, 81, 500, 3000])
def test_ranges_of_lines_give_the_same_documents(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(HOSTILE) + b"\n")
    source = SourceConfig(name="s", path=str(path))
    first = InputRange(url=str(path), file="in.jsonl", format="jsonl", end=cut)
    second = InputRange(url=str(path), file="in.jsonl", format="jsonl", start=cut)
    assert_same(source, first, 1)
    assert_same(source, second, 1)
    whole = InputRange(url=str(path), file="in.jsonl", format="jsonl")
    both = [*in_blocks(source, first)[0].to_pylist(), *in_blocks(source, second)[0].to_pylist()]
    assert both == in_blocks(source, whole)[0].to_pylist()


@pytest.mark.usefixtures("block_bytes")
def test_a_broken_packed_file_gives_the_same_documents_and_rejects(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"line {n} of many"}).encode() for n in range(300)]
    good = gzip.compress(b"\n".join(lines[:200]) + b"\n")
    other = gzip.compress(b"\n".join(lines[200:]) + b"\n")
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(good[: len(good) // 2] + b"\x00" * 40 + good[len(good) // 2 + 40 :] + other)
    place = InputRange(url=str(path), file=path.name, format="jsonl")
    assert_same(SourceConfig(name="s", path=str(path)), place, 100)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize(("start", "end"), [(0, None), (1, 5), (3, 4), (2, None)])
def test_rows_give_the_same_documents(tmp_path: Path, start: int, end: int | None) -> None:
    texts = ["One text.", None, "  ", "中文 text\r\n", "Ein Text mit \x00.", "x" * 5000, "last"]
    table = pa.table(
        {
            "text": pa.array(texts),
            "url": [
                "http://a.example/1",
                None,
                "",
                "b.example",
                "urn:5",
                "x",
                "http://a.example/1",
            ],
            "score": [0.5, 1.0, None, 2.25, 1e300, 0.0, -1.0],
            "timestamp": pa.array([0, 1, None, 3, 4, 5, 6], pa.timestamp("ms")),
            "nested": [[1], [], None, [2], [3], [4], [5]],
        }
    )
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, row_group_size=3)
    place = InputRange(url=str(path), file="in.parquet", format="parquet", start=start, end=end)
    source = SourceConfig(
        name="s", path="", provenance=ProvenanceConfig(kind="synthetic", model="m")
    )
    assert_same(source, place, 1)


@pytest.mark.parametrize("name", ["in.parquet", "in.jsonl"])
def test_a_file_that_is_gone_is_the_same_reject(tmp_path: Path, name: str) -> None:
    place = InputRange(url=str(tmp_path / name), file=name, format=name.partition(".")[2])
    source = SourceConfig(name="s", path="")
    tasks = list(tasks_of(place, read_settings(source, SETTINGS)))
    (made,) = [
        made_of(make_documents(t, source=source, settings=read_settings(source, SETTINGS)))
        for t in tasks
    ]
    (reject,) = made.rejects
    (record,) = [
        r for b in read_records(place, read_settings(source, SETTINGS)) for r in b.to_pylist()
    ]
    assert (reject.reason, reject.message) == (record["reason"], record["message"])
    assert made.num_records == 1


def test_a_text_column_that_is_no_text_is_named_with_its_type(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [1, 2], "b": ["x", "y"]}), path)
    place = InputRange(url=str(path), file="in.parquet", format="parquet")
    source = SourceConfig(name="s", path="")
    (task,) = tasks_of(place, read_settings(source, SETTINGS))
    made = made_of(make_documents(task, source=source, settings=read_settings(source, SETTINGS)))
    assert [r.reason for r in made.rejects] == ["missing_text"] * 2
    assert "int64" in made.rejects[0].message
    assert made.num_asked == made.documents.num_rows == 0
