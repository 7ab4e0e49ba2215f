"""Records leave an archive, and no other record moves."""

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.crawl.archive import record_id, write_record
from pipelines.erasure.archive import erase_records, replacement
from pipelines.extract.records import InputRange, ReadSettings, read_records

AT = "2026-01-02T03:04:05Z"
ID = record_id("a").encode()
SECRETS = ("The violet ferryman", "紫色の渡し船", "سر العبارة البنفسجية")


def archive() -> tuple[bytes, list[int]]:
    """Three answers with their requests, and where each of the six begins; the end last."""
    file, places = io.BytesIO(), []
    for number, secret in enumerate(SECRETS):
        for kind in ("response", "request"):
            places.append(file.tell())
            fields = {
                "WARC-Target-URI": f"http://a.example/{number}",
                "WARC-Date": datetime(2026, 1, 1, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            first = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
            head = (
                first
                if kind == "response"
                else f"GET /{number} HTTP/1.1\r\nHost: a.example\r\n\r\n"
            )
            body = f"<p>{secret}</p>" * 40 if kind == "response" else ""
            told = f"application/http; msgtype={kind}"
            block = io.BytesIO(body.encode())
            id_ = record_id(f"{number} {kind}")
            write_record(file, kind, id_, fields, told, head.encode(), block)
    return file.getvalue(), [*places, file.tell()]


# At powers of ten of the length no record has exactly that many bytes without a further block.
@pytest.mark.parametrize("sizes", [range(250, 450), (1290, 65835, 65840, 131500, 10**6)])
def test_a_member_can_have_any_length(sizes: Sequence[int]) -> None:
    for size in sizes:
        member = replacement(size, ID, AT)
        assert len(member) == size
        ids = []
        for record in ArchiveIterator(io.BytesIO(member), parse_http=False):
            assert record.verify_block_digest()
            assert record.headers["WARC-Type"] == "metadata"
            ids.append(record.headers["WARC-Record-ID"].encode())
        assert ids == [ID]
        assert gzip.decompress(member).startswith(b"WARC/1.1\r\n")


def test_a_record_that_is_too_small_is_named() -> None:
    with pytest.raises(ValueError, match="a record of 200 bytes in its archive is too small"):
        replacement(200, ID, AT)


def test_what_is_erased_is_gone_and_all_else_stands_where_it_stood(tmp_path: Path) -> None:
    data, places = archive()
    target = io.BytesIO()
    assert erase_records(io.BytesIO(data), target, [places[2]], AT) == 2
    found = target.getvalue()
    assert len(found) == len(data)
    assert found[: places[2]] == data[: places[2]]
    assert found[places[4] :] == data[places[4] :]
    text = gzip.decompress(found).decode()
    assert [secret in text for secret in SECRETS] == [True, False, True]
    assert "http://a.example/1" not in text
    path = tmp_path / "one.warc.gz"
    path.write_bytes(found)
    told = InputRange(url=str(path), file="one.warc.gz", format="warc", start=0, end=None)
    rows = [r for b in read_records(told, ReadSettings()) for r in b.to_pylist()]
    assert [row["offset"] for row in rows] == places[:-1]
    assert [row["outcome"] for row in rows] == ["asked", *["not_asked"] * 3, "asked", "not_asked"]
    with path.open("rb") as file:
        kinds = [record.rec_type for record in WarcioIterator(file)]
    assert kinds == ["response", "request", "metadata", "metadata", "response", "request"]


def test_a_place_where_no_record_begins_is_refused() -> None:
    data, places = archive()
    with pytest.raises(ValueError, match=f"no record begins at byte {places[2] + 1}"):
        erase_records(io.BytesIO(data), io.BytesIO(), [places[2] + 1], AT)
