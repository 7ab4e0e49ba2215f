import bz2
import gzip
import io
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from pipelines.extract.blocks import LineBlock, read_blocks
from pipelines.extract.records import InputRange, ReadSettings, read_records, split_points
from pipelines.extract.rows import Record

SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def noise(num_bytes: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(num_bytes)


def member(uri: str, body: bytes, *, is_packed: bool = True) -> bytes:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=is_packed)
    writer.write_record(
        writer.create_warc_record(
            uri, "resource", payload=io.BytesIO(body), warc_content_type="text/plain"
        )
    )
    return out.getvalue()


def rows_of(path: Path, format: str, points: list[tuple[int, int | None]]) -> list[dict[str, Any]]:
    rows = []
    for start, end in points:
        asked = InputRange(url=str(path), file="f", format=format, start=start, end=end)
        for batch in read_records(asked, ReadSettings()):
            rows += batch.to_pylist()
    return rows


def lines_of(path: Path, points: list[tuple[int, int | None]]) -> list[tuple[int, bytes]]:
    """(offset, line or reason) of what the job reads in blocks."""
    found: list[tuple[int, bytes]] = []
    for start, end in points:
        asked = InputRange(url=str(path), file="f", format="jsonl", start=start, end=end)
        for block in read_blocks(asked, ReadSettings()):
            offset = block.offset
            if isinstance(block, LineBlock):
                for line in block.data.to_pybytes().splitlines(keepends=True):
                    found.append((offset, line))
                    offset += len(line)
            else:
                assert isinstance(block, Record)
                found.append((offset, (block.reason or block.text or "").encode()))
    return found


def assert_split_is_exact(path: Path, format: str, cuts: list[int]) -> None:
    """The union of the ranges between any cuts is the whole, in order."""
    points = sorted({0, *cuts})
    ranges = list(zip(points, [*points[1:], None], strict=True))
    assert rows_of(path, format, ranges) == rows_of(path, format, [(0, None)])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 members, of which one quotes a whole archive, with headers of its own, in its body."""
    quoted = b"".join(member(f"http://in.example/{i}", noise(3000, i)) for i in range(40))
    members = [member(f"http://out.example/{i}", noise(4000, 99 + i)) for i in range(60)]
    holder = member("http://out.example/x.warc.gz", quoted, is_packed=False)
    packer = zlib.compressobj(0, wbits=31)  # stored, as a packer does with what is packed already
    members.insert(20, packer.compress(holder) + packer.flush())
    path = tmp_path_factory.mktemp("splits") / "a.warc.gz"
    path.write_bytes(b"".join(members))
    return path


def test_quoted_archive_stands_unchanged_in_the_member(archive: Path) -> None:
    """What makes the next test a test: the magic of the quoted members is seen on disk."""
    data = archive.read_bytes()
    assert sum(data.count(b"\x1f\x8b\x08" + bytes([flag])) for flag in range(4)) > 95


@SETTINGS
@given(cuts=st.lists(st.integers(0, 500_000), max_size=6))
def test_packed_warc_split_anywhere_gives_the_whole(archive: Path, cuts: list[int]) -> None:
    size = archive.stat().st_size
    assert_split_is_exact(archive, "warc", [cut % size for cut in cuts])


def test_packed_warc_cut_within_the_quoted_archive_gives_the_whole(archive: Path) -> None:
    rows = rows_of(archive, "warc", [(0, None)])
    begin, end = rows[20]["offset"], rows[21]["offset"]
    assert_split_is_exact(archive, "warc", list(range(begin, end, 7001)))
    assert len(rows) == 61


@SETTINGS
@given(
    cuts=st.lists(st.integers(0, 500_000), max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 500_000), st.integers(1, 255)), max_size=4),
)
def test_damaged_packed_warc_split_anywhere_gives_the_whole(
    archive: Path, tmp_path: Path, cuts: list[int], damage: list[tuple[int, int]]
) -> None:
    data = bytearray(archive.read_bytes())
    for position, change in damage:
        data[position % len(data)] ^= change
    path = tmp_path / "damaged.warc.gz"
    path.write_bytes(data)
    assert_split_is_exact(path, "warc", [cut % len(data) for cut in cuts])


@SETTINGS
@given(cuts=st.lists(st.integers(0, 100_000), max_size=6))
def test_plain_warc_split_anywhere_gives_the_whole(tmp_path: Path, cuts: list[int]) -> None:
    inner = member("http://in.example/", b"text", is_packed=False)
    records = [member(f"http://o.example/{i}", inner * 3, is_packed=False) for i in range(10)]
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(records))
    assert_split_is_exact(path, "warc", [cut % path.stat().st_size for cut in cuts])
    assert len(rows_of(path, "warc", [(0, None)])) == 10


@SETTINGS
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=5),
    end=st.sampled_from(["", "\n"]),
)
def test_jsonl_split_anywhere_gives_the_whole(
    tmp_path: Path, texts: list[str], cuts: list[int], end: str
) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    path = tmp_path / "a.jsonl"
    path.write_bytes(("\n".join(lines) + end).encode())
    assert_split_is_exact(path, "jsonl", cuts)
    is_empty = not texts and not end  # no byte at all, which is one reject
    assert len(rows_of(path, "jsonl", [(0, None)])) == len(texts) + is_empty


@SETTINGS
@given(cuts=st.lists(st.integers(0, 25), max_size=5))
def test_parquet_split_anywhere_gives_the_whole(tmp_path: Path, cuts: list[int]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"строка {i}" for i in range(25)]}), path, row_group_size=10)
    assert_split_is_exact(path, "parquet", cuts)


def test_split_points_of_parquet_are_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(25)]}), path, row_group_size=10)
    assert split_points(str(path), "parquet", path.stat().st_size, 1) == [
        (0, 10),
        (10, 20),
        (20, 25),
    ]


def test_split_points_of_packed_warc_begin_members(archive: Path) -> None:
    size = archive.stat().st_size
    points = split_points(str(archive), "warc", size, size // 5)
    offsets = {row["offset"] for row in rows_of(archive, "warc", [(0, None)])}
    assert [start in offsets for start, _ in points] == [True] * len(points)
    assert len(points) == 5
    assert points[-1][1] == size
    assert rows_of(archive, "warc", list(points)) == rows_of(archive, "warc", [(0, None)])


def test_split_points_of_what_cannot_be_cut_are_one_range(tmp_path: Path) -> None:
    path = tmp_path / "one.warc.gz"
    path.write_bytes(gzip.compress(member("http://a.example/", b"x" * 100_000, is_packed=False)))
    size = path.stat().st_size
    assert split_points(str(path), "warc", size, max(1, size // 4)) == [(0, size)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_split_points_of_packed_lines_are_among_the_unpacked_bytes(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.jsonl.packed"
    path.write_bytes(pack(b"".join(b'{"text": "line %d"}\n' % i for i in range(9999))))
    size = path.stat().st_size
    points = split_points(str(path), "jsonl", size, size // 4)
    assert [start for start, _ in points] == [points[1][0] * i for i in range(4)]
    assert points[-1][1] is None
    shares = [len(rows_of(path, "jsonl", [point])) for point in points]
    assert sum(shares) == 9999
    assert max(shares) < 1.1 * 9999 / 4
    assert rows_of(path, "jsonl", list(points)) == rows_of(path, "jsonl", [(0, None)])


@SETTINGS
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=5),
    members=st.integers(1, 3),
    flip=st.none() | st.integers(0, 300),
)
def test_packed_jsonl_split_anywhere_gives_the_whole_also_where_it_is_broken(
    tmp_path: Path, texts: list[str], cuts: list[int], members: int, flip: int | None
) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    data = b"".join(gzip.compress("".join(lines[i::members]).encode()) for i in range(members))
    if flip is not None:
        place = flip % len(data)
        data = data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    if data[:3] == b"\x1f\x8b\x08":  # else it is no packed file, and read as lines
        assert_split_is_exact(path, "jsonl", cuts)
        points = sorted({0, *cuts})
        ranges = list(zip(points, [*points[1:], None], strict=True))
        assert lines_of(path, ranges) == lines_of(path, [(0, None)])


def test_split_points_of_a_broken_parquet_file_are_one_range(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    assert split_points(str(path), "parquet", 21, 5) == [(0, 21)]


def test_split_points_with_a_wrong_target_says_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 byte"):
        split_points(str(tmp_path), "jsonl", 10, 0)


def test_split_points_of_packed_lines_in_one_range_reach_the_end(tmp_path: Path) -> None:
    """Bytes of the file and bytes of its lines are not the same: a range of the first would cut."""
    lines = b"".join(
        json.dumps({"text": "much the same " * 40}).encode() + b"\n" for _ in range(99)
    )
    whole = tmp_path / "a.jsonl.gz"
    whole.write_bytes(gzip.compress(lines))
    damaged = tmp_path / "b.jsonl.gz"
    damaged.write_bytes(gzip.compress(b"x")[:10] + b"\xff" * 64 + gzip.compress(lines))
    for path, target in ((whole, 10**6), (damaged, 10)):
        size = path.stat().st_size
        (only,) = split_points(str(path), "jsonl", size, target)
        rows = rows_of(path, "jsonl", [only])
        assert rows == rows_of(path, "jsonl", [(0, None)])
        assert len(rows) >= 99
