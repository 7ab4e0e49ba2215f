import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from pipelines.extract.records import InputRange, ReadSettings, detect_format, read_records
from pipelines.workspace.schema import payload_digest

PAGE = "<html><p>Καλημέρα 🦜</p></html>".encode()


def read(folder: Path, data: bytes, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    path = folder / "page"
    path.write_bytes(data)
    asked = InputRange(url=str(path), file="a/page.html", format="html")
    batches = read_records(asked, ReadSettings(**settings))
    return [row for batch in batches for row in batch.to_pylist()]


def as_is(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("pack", [as_is, gzip.compress, zstandard.compress, bz2.compress])
def test_file_in_every_packing_is_one_record(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (row,) = read(tmp_path, pack(PAGE))
    assert row["payload"] == PAGE
    assert row["digest"] == payload_digest(PAGE)
    assert (row["file"], row["uri"], row["ordinal"]) == ("a/page.html", None, 0)
    assert (row["offset"], row["length"]) == (0, len(pack(PAGE)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (gzip.compress(b"", mtime=0), "empty_file"),
        (gzip.compress(PAGE, mtime=0)[:-9], "truncated_record"),
        (gzip.compress(PAGE, mtime=0)[:-8] + bytes(8), "broken_gzip"),
        (gzip.compress(bytes(3_000_000), mtime=0), "too_large"),
        (bytes(3_000_000), "too_large"),
    ],
)
def test_file_that_is_no_record_is_one_reject(tmp_path: Path, data: bytes, reason: str) -> None:
    (row,) = read(tmp_path, data, max_record_bytes=2_000_000)
    assert (row["outcome"], row["reason"]) == ("rejected", reason)


def test_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    (row,) = read(tmp_path, b"a" * 1000, max_record_bytes=1000)
    assert row["payload"] == b"a" * 1000


WARC = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "head", "format"),
    [
        ("x.warc.gz", gzip.compress(WARC, mtime=0), "warc"),
        ("x.bin", WARC, "warc"),
        ("x", b"http://a.example/ 1.2.3.4 20010203040506 text/html 10\n", "warc"),
        ("CC-MAIN.warc.wet.gz", gzip.compress(WARC, mtime=0), "wet"),
        ("x.jsonl", b'{"text": 1}\n', "jsonl"),
        ("x.jsonl.zst", zstandard.compress(b'{"text": 1}\n'), "jsonl"),
        ("x.json", b'{"text": 1}\n{"text": 2}\n', "jsonl"),
        ("x.json", b'{\n "text": 1}', None),
        ("part-0", b"PAR1....", "parquet"),
        ("x.htm", b"hello", "html"),
        ("page", b"<!DOCTYPE html><p>", "html"),
        ("page.bz2", bz2.compress(b"<html>"), "html"),
        ("README.TXT", b"hello", "text"),
        ("x.txt", b"%PDF-1.7", "pdf"),
        ("x.html", b"\x89PNG\r\n\x1a\n", "image"),
        ("x.pdf", b"", "pdf"),
        ("scan", b"junk\r\n%PDF-1.4\n1 0 obj\n<<>>", "pdf"),
        ("scan.pdf.gz", gzip.compress(b"%PDF-1.7\n", mtime=0), "pdf"),
        ("x.pdf", b"\x00\x01\x02\x03 damaged", "pdf"),
        ("x.pdf", b"damaged, and readable", "pdf"),
        ("x.pdf", b"\x89PNG\r\n\x1a\n", "image"),
        ("x.pdf", b"<!DOCTYPE html><p>gone", "html"),
        ("x.docx", b"PK\x03\x04....", "office"),
        ("x.zip", b"PK\x03\x04....", None),
        ("book", b"PK\x03\x04" + 26 * b"\0" + b"mimetypeapplication/epub+zipPK", "office"),
        ("x.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"),
        ("x.tif", b"II*\x00", "image"),
        ("x.png", b"", "image"),
        ("x.png", b"\x00\x01\x02\x03 damaged", "image"),
        ("x.gif", b"GIF89a", None),
        ("x.txt", b"A text on the header %PDF-1.4", "text"),
        ("x.warc.gz", b"\x1f\x8b\x08\x00broken", "warc"),
        ("x.html", b"", "html"),
        ("unknown", b"hello", None),
    ],
)
def test_format_is_detected_by_bytes_and_ending(name: str, head: bytes, format: str | None) -> None:
    assert detect_format(name, head) == format


def test_unknown_format_of_a_range_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="choose one of html, text, pdf, image, office, warc"):
        InputRange(url="x", file="x", format="docx")


def test_range_of_a_single_page_is_refused() -> None:
    with pytest.raises(ValueError, match="has no ranges"):
        InputRange(url="x", file="x", format="html", start=3)


def test_unknown_protocol_is_raised_and_no_reject() -> None:
    asked = InputRange(url="nosuch://x", file="x", format="html")
    with pytest.raises(ValueError, match="nosuch"):
        list(read_records(asked, ReadSettings()))
