"""Documents that children make of blocks are those that the readers give record by record."""

import gzip
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.config import ExtractConfig, ProvenanceConfig, SourceConfig
from pipelines.extract import blocks
from pipelines.extract.given import made_of, make_documents, tasks_of
from pipelines.extract.inputs import InputRange, ReadSettings, read_settings
from pipelines.extract.job import ExtractJob
from pipelines.extract.markup import extract_records
from pipelines.extract.plain_lines import read_plain_lines
from pipelines.extract.records import read_records
from pipelines.workspace.schema import ASKED, DOCUMENT

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
    from pipelines.extract.tally import Tally

    job, tally, made = ExtractJob(source, SETTINGS), Tally(), []
    for batch in read_records(place, read_settings(source, SETTINGS)):
        asked = tally.sort_out(batch)
        if asked.num_rows:
            assert set(asked.column("outcome").to_pylist()) == {ASKED}
            made.append(job._join(asked, extract_records(asked, settings=SETTINGS), tally))
    rejects = sorted(
        (r["locator"]["offset"], r["locator"]["length"], r["reason"], r["message"], r["id"])
        for r in tally.rejects
    )
    return pa.Table.from_batches([one.cast(DOCUMENT) for one in made], DOCUMENT), [
        (tally.records, tally.extents),
        *rejects,
    ]


def in_blocks(source: SourceConfig, place: InputRange) -> tuple[pa.Table, list[tuple[object, ...]]]:
    """The same by way of tasks."""
    from pipelines.extract.job import _given_provenance
    from pipelines.extract.tally import Tally

    settings = read_settings(source, SETTINGS)
    tally, made = Tally(), []
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
    return pa.Table.from_batches([one.cast(DOCUMENT) for one in made], DOCUMENT), [
        (tally.records, tally.extents),
        *rejects,
    ]


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


# What `tidy` looks for, all that counts as white space, and characters whose bytes look like it.
PIECES = [
    *"a \t\n\r\x00\x0b\x1c\x85\u00a0\u1680\u2003\u2028\u202f\u205f\u3000\u3001\u201c",
    *'\u00e0\ua000\U0001f600\ufeff"\\\u007f',
    "word ",
    "\u4e2d\u6587",
    "\n\n",
    "\u3000\n",
    " \n",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
WORDS = st.sampled_from(["", "x", "en", "#part", "HTTP://Example.com:80/a", "2024-05-06T07:08:09Z"])
NUMBERS = st.integers(-3, 3) | st.integers(-(2**64), 2**64)
FLOATS = st.floats() | st.sampled_from([1.0, -0.0, 0.1, 1e22, 5e-324]) | st.integers(-1, 1)
VALUES = {
    **dict.fromkeys(["url", "uri", "license", "lang", "language", "date", "timestamp"], WORDS),
    **dict.fromkeys(["a", "\u00e9", "\U0001f600"], TEXTS),
    "n": NUMBERS,
    "flag": st.booleans(),
    "score": FLOATS,
}
ODD = st.sampled_from([None, [1], {"text": "inner"}, 0.5, 7, True, "s", "\ud800", "\udc00x"])


@st.composite
def lines_of_like_objects(draw: st.DrawFn) -> list[bytes]:
    """Objects of one kind, as most files hold; in some files a value is of another type."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=4))
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        row = {"text": draw(st.just("Some text.") | TEXTS)} | {n: draw(VALUES[n]) for n in names}
        for name in draw(st.lists(st.sampled_from(["text", *names]), max_size=1)):
            change = draw(st.sampled_from(["none"] * 6 + ["null", "absent", "odd"]))
            if change == "absent":
                del row[name]
            elif change != "none":
                row[name] = None if change == "null" else draw(ODD)
        order = draw(st.permutations(sorted(row)))
        ascii_only = draw(st.booleans()) or "\\ud" in json.dumps(row)
        line = json.dumps({n: row[n] for n in order}, ensure_ascii=ascii_only)
        lines.append(line.encode())
        lines += draw(st.lists(st.sampled_from([b"", b"", b" ", b"\t\r"]), max_size=1))
    return lines


STRANGE = [
    b'{"text": "a"} {"text": "b"}',
    b'{"text": "a"',
    b', "n": 1}',
    b'{"text":',
    b'"b"}',
    b'{"text": "}',
    b'{"text": "a"},',
    b'{"text": "a",}',
    b'{"text": "a", "text": "b"}',
    b'{"text": null, "text": "b"}',
    b'{"te\\u0078t": "a"}',
    b'{"text\\u0000": "a"}',
    b'{"text": "a\\/\\b\\f\\u00e9\\ud83d\\ude00"}',
    b'{"text": "\\ud83d"}',
    b'{"text": "\\ude00"}',
    b'{"text": "a\\u00Eg"}',
    b'{"text": "raw\ttab"}',
    b'{"text": "raw\x00NUL"}',
    b'{"text": "\xff"}',
    b'{"text": "\xed\xa0\x80"}',
    b'{"text": "\xf4\x90\x80\x80"}',
    b'{"text": "\xc0\x80"}',
    b'{"text": "a", "n": 1}',
    b'{"text": "a", "n": -0}',
    b'{"text": "a", "n": 1.0}',
    b'{"text": "a", "n": 1e3}',
    b'{"text": "a", "n": 0.25}',
    b'{"text": "a", "n": 1e999}',
    b'{"text": "a", "n": 012}',
    b'{"text": "a", "n": NaN}',
    b'{"text": "a", "n": Inf}',
    b'{"text": "a", "n": -Infinity}',
    b'{"text": "a", "n": "1"}',
    b'{"text": "a", "n": true}',
    b'{"text": "a", "n": null}',
    b'{"text": "a", "n": 99999999999999999999}',
    b'{"text": "a" /* c */}',
    b"{'text': 'a'}",
    b"{}",
    b"{}}",
    b"\xef\xbb\xbf" + b'{"text": "a"}',
    b'{"text": "a"}\x0c',
    b'{"text": "a"}\r',
    b'{"text": "' + b"l" * 1001 + b'"}',
    b'{"text": "' + b"l" * 4001 + b'"}',
    b"",
]
FEW = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_lines_same(folder: Path, lines: list[bytes], source: SourceConfig) -> None:
    (folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    place = InputRange(url=str(folder / "in.jsonl"), file="in.jsonl", format="jsonl")
    expected, expected_rejects = one_by_one(source, place)
    found, rejects = in_blocks(source, place)
    assert found.combine_chunks().equals(expected.combine_chunks())
    assert rejects == expected_rejects


def plain(lines: list[bytes]) -> bool:
    data = pa.py_buffer(b"\n".join(lines) + b"\n")
    return read_plain_lines(data, ReadSettings(max_record_bytes=4000)) is not None


@FEW
@given(lines=lines_of_like_objects(), license_=st.sampled_from([None, "MIT"]))
def test_like_objects_give_the_same_documents(
    tmp_path: Path, lines: list[bytes], license_: str | None
) -> None:
    assert_lines_same(tmp_path, lines, SourceConfig(name="s", path="", license=license_))


@FEW
@given(lines=st.lists(st.sampled_from(STRANGE), max_size=4))
@example(lines=[b'{"text": "a"} {"text": "b"}', b'{"text":', b'"b"}'])
def test_strange_lines_give_the_same_documents_and_rejects(
    tmp_path: Path, lines: list[bytes]
) -> None:
    plain_lines = [b'{"text": "plain"}'] * 17  # more than are looked at for the types
    assert_lines_same(tmp_path, [*plain_lines, *lines], SourceConfig(name="s", path=""))


@pytest.mark.parametrize("line", STRANGE)
def test_a_strange_line_among_plain_ones(tmp_path: Path, line: bytes) -> None:
    for before in (b'{"text": "plain"}', b'{"text": "plain", "n": 5}', b""):
        for times in (1, 17):
            lines = [*[before] * times, line, b'{"text": "last"}']
            assert_lines_same(tmp_path, lines, SourceConfig(name="s", path=""))


@pytest.mark.parametrize(
    ("text", "url"), [("url", None), ("license", None), ("a", "license"), ("a", "lang")]
)
def test_a_column_may_be_asked_for_twice(tmp_path: Path, text: str, url: str | None) -> None:
    row = {"url": "http://a.example/", "license": "CC0", "a": "some", "language": "en"}
    row |= {"lang": "de", "date": "1999-01-01"}
    source = SourceConfig(name="s", path="", text_column=text, url_column=url)
    assert_lines_same(tmp_path, [json.dumps(row).encode()] * 2, source)


def test_every_pair_of_pieces_is_tidied_the_same(tmp_path: Path) -> None:
    pairs = ["".join(pair) for pair in itertools.product(PIECES, repeat=2)]
    texts = [text for pair in pairs for text in (f"x{pair}x", f"{pair}x", f"x{pair}", f"x{pair}\n")]
    lines = [json.dumps({"text": text}).encode() for text in texts]
    assert plain(lines)
    assert_lines_same(tmp_path, lines, SourceConfig(name="s", path=""))


@pytest.mark.parametrize("text", [*PIECES, "\x00 ", " \u3000", "\u2003\x1c"])
def test_a_text_of_one_piece_is_blank_or_not_as_before(tmp_path: Path, text: str) -> None:
    lines = [json.dumps({"text": one}).encode() for one in ("plain", text, "plain")]
    assert_lines_same(tmp_path, lines, SourceConfig(name="s", path=""))


def test_in_each_row_the_first_column_that_is_given_is_taken(tmp_path: Path) -> None:
    names = ["url", "uri", "language", "lang", "date", "timestamp"]
    rows = itertools.product(["2024-05-06", "", None], repeat=len(names))
    lines = [json.dumps({"text": "t"} | dict(zip(names, r, strict=True))).encode() for r in rows]
    assert plain(lines)
    assert_lines_same(tmp_path, lines, SourceConfig(name="s", path=""))


def test_ordinary_lines_are_plain() -> None:
    rows = [
        {"text": "caf\u00e9 \U0001f600 \r\n", "url": "u", "date": "2024", "n": 1, "b": True},
        {"text": "two\x00", "n": None, "extra": None},
        {"text": "three", "n": -5, "b": False, "score": 0.5, "late": "x"},
        {"text": "four", "score": 1.0},
        {"text": "five", "score": 7},
    ]
    assert plain([json.dumps(row).encode() for row in rows])
    assert plain([json.dumps(row, ensure_ascii=False).encode() for row in rows])
    for other in ([1], {"a": 1}, 2**63, float("nan")):
        assert not plain([json.dumps(row | {"n": other}).encode() for row in rows])
    assert not plain([b'{"text": "x"}', b'{"text": "x"} '])
