import gzip
import io
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from pipelines.extract.records import InputRange, ReadSettings, detect_format, read_records
from pipelines.workspace.schema import RECORD, payload_digest

PAGES = {
    "http://a.example/ru": "<html><p>Привет, мир</p></html>",
    "http://a.example/zh": "<html><p>你好，世界 🦜</p></html>",
    "http://a.example/ar": "<html><p>مرحبا بالعالم</p></html>",
    "http://a.example/en": "<html><p>Good morning</p></html>",
}


def response(uri: str, page: str | bytes, **fields: str) -> bytes:
    """One gzip member, written by warcio."""
    status = fields.pop("status", "200 OK")
    content_type = fields.pop("content_type", "text/html; charset=UTF-8")
    http = StatusAndHeaders(
        status,
        [("Content-Type", content_type), *((k.replace("_", "-"), v) for k, v in fields.items())],
        protocol="HTTP/1.1",
    )
    return record("response", uri, page, http_headers=http)


def record(kind: str, uri: str | None, body: str | bytes, **arguments: Any) -> bytes:  # noqa: ANN401
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    payload = io.BytesIO(body.encode() if isinstance(body, str) else body)
    warc_fields = {"WARC-Date": "2024-05-06T07:08:09Z", **arguments.pop("fields", {})}
    writer.write_record(
        writer.create_warc_record(
            uri or "", kind, payload=payload, warc_headers_dict=warc_fields, **arguments
        )
    )
    return out.getvalue()


def read(folder: Path, data: bytes, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    path = folder / "archive"
    path.write_bytes(data)
    batches = list(
        read_records(
            InputRange(url=str(path), file="sub/archive", format="warc"), ReadSettings(**settings)
        )
    )
    assert all(batch.schema == RECORD for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def outcomes(rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    return [(row["uri"], row["reason"]) for row in rows]


def plain(data: bytes) -> bytes:
    return gzip.decompress(data)


def zstd_frames(members: list[bytes]) -> bytes:
    return b"".join(zstandard.compress(plain(member)) for member in members)


def lz4_frames(members: list[bytes]) -> bytes:
    frames = []
    for member in members:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "lz4") as packer:
            packer.write(plain(member))
        frames.append(sink.getvalue().to_pybytes())
    return b"".join(frames)


MEMBERS = [response(uri, page) for uri, page in PAGES.items()]


def gzip_members(members: list[bytes]) -> bytes:
    return b"".join(members)


def plain_records(members: list[bytes]) -> bytes:
    return plain(b"".join(members))


def single_member(members: list[bytes]) -> bytes:
    return gzip.compress(plain(b"".join(members)), mtime=0)


@pytest.mark.parametrize(
    "pack", [gzip_members, plain_records, single_member, zstd_frames, lz4_frames]
)
def test_pages_in_every_packing_are_read_whole(
    tmp_path: Path, pack: Callable[[list[bytes]], bytes]
) -> None:
    rows = read(tmp_path, pack(MEMBERS))
    assert {row["uri"]: row["payload"].decode() for row in rows} == PAGES
    first = rows[0]
    assert first["outcome"] == "asked"
    assert first["file"] == "sub/archive"
    assert first["media_type"] == "text/html"
    assert first["charset"] == "utf-8"
    assert first["ordinal"] == 0
    assert first["fetched_at"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert first["digest"] == payload_digest(PAGES["http://a.example/ru"].encode())


# A WARC record in a frame with checksums of blocks and content and with its size, by lz4 4.4.
LZ4_WITH_CHECKSUMS = bytes.fromhex(
    "04224d187c403a00000000000000243a000080574152432f312e300d0a574152432d547970653a2077617263696e66"
    "6f0d0a436f6e74656e742d4c656e6774683a20320d0a0d0a68690d0a0d0a1dc1e9ad000000001dc1e9ad"
)


def test_lz4_frames_with_checksums_are_read_and_checked(tmp_path: Path) -> None:
    rows = read(tmp_path, LZ4_WITH_CHECKSUMS * 2)
    assert [row["reason"] for row in rows] == ["warc_warcinfo", "warc_warcinfo"]
    assert [row["offset"] for row in rows] == [0, len(LZ4_WITH_CHECKSUMS)]
    broken = LZ4_WITH_CHECKSUMS[:-1] + b"\x00"
    rows = read(tmp_path, broken + LZ4_WITH_CHECKSUMS)
    assert [row["reason"] for row in rows] == ["broken_lz4", "warc_warcinfo"]


@pytest.mark.parametrize("pack", [gzip_members, plain_records])
def test_offset_and_length_cut_the_record_out_of_the_file(
    tmp_path: Path, pack: Callable[[list[bytes]], bytes]
) -> None:
    data = pack(MEMBERS)
    for row in read(tmp_path, data):
        piece = data[row["offset"] : row["offset"] + row["length"]]
        (again,) = read(tmp_path, piece)
        assert again["payload"] == row["payload"]


def test_records_that_share_a_member_are_told_apart(tmp_path: Path) -> None:
    infos = [record("resource", "", f"text {i}", warc_content_type="text/plain") for i in range(3)]
    rows = read(tmp_path, single_member(infos))
    assert [row["payload"] for row in rows] == [b"text 0", b"text 1", b"text 2"]
    assert len({row["ordinal"] for row in rows}) == 3
    places = [int(dict(row["meta"])["frame_position"]) for row in rows]
    assert places == [i * len(plain(infos[0])) for i in range(3)]


def test_what_is_not_asked_for_says_why(tmp_path: Path) -> None:
    members = [
        record("warcinfo", None, "software: x\r\n"),
        record("metadata", "http://a.example/", "via: y\r\n"),
        response("http://a.example/gone", "<p>404</p>", status="404 Not Found"),
        response("http://a.example/p", b"\x89PNG\r\n\x1a\n", content_type="image/png"),
        response("http://a.example/robots.txt", "User-agent: *", content_type="text/plain"),
        record("resource", "metadata://gnu.org/log", "wget", warc_content_type="text/plain"),
    ]
    assert outcomes(read(tmp_path, b"".join(members))) == [
        (None, "warc_warcinfo"),
        ("http://a.example/", "warc_metadata"),
        ("http://a.example/gone", "http_status_404"),
        ("http://a.example/p", "media_type:image/png"),
        ("http://a.example/robots.txt", "robots_txt"),
        ("metadata://gnu.org/log", "crawler_log"),
    ]


PDF = b"%PDF-1.4\n1 0 obj <</Type/Catalog>> endobj\n"


@pytest.mark.parametrize(
    ("content_type", "body", "media_type"),
    [
        ("application/pdf", PDF, "application/pdf"),
        ("application/x-download", PDF, "application/pdf"),
        ("image/png", b"\r\n junk " + PDF, "application/pdf"),
        ("text/html", PDF, "application/pdf"),
        ("application/octet-stream", PDF, "application/pdf"),
        ("application/pdf", b"\x00\x01 damaged", "application/pdf"),
        ("application/pdf", b"<html><p>Not found: x.pdf</p></html>", "text/html"),
        ("text/html", b"<html><p>%PDF-1.4 begins a PDF, then 1 0 obj</p></html>", "text/html"),
        ("text/plain", b"A text on %PDF-1.4 headers", "text/plain"),
    ],
)
def test_pdf_is_told_by_its_bytes(
    tmp_path: Path, content_type: str, body: bytes, media_type: str
) -> None:
    (row,) = read(tmp_path, response("http://a.example/x", body, content_type=content_type))
    assert (row["outcome"], row["media_type"], row["payload"]) == ("asked", media_type, body)


def test_text_that_quotes_a_pdf_header_under_another_type_is_not_asked_for(tmp_path: Path) -> None:
    member = response("http://a.example/x", b"body { x: '%PDF-1.4' }", content_type="text/css")
    assert outcomes(read(tmp_path, member)) == [("http://a.example/x", "media_type:text/css")]


def test_wet_conversion_gives_text_language_and_digest(tmp_path: Path) -> None:
    member = record(
        "conversion",
        "http://a.example/",
        "Γειά σου Κόσμε",
        warc_content_type="text/plain",
        fields={"WARC-Identified-Content-Language": "ell"},
    )
    (row,) = read(tmp_path, member)
    assert (row["text"], row["payload"]) == ("Γειά σου Κόσμε", None)
    assert row["declared_language"] == "ell"
    assert row["digest"] == payload_digest("Γειά σου Κόσμε".encode())


def test_wet_text_with_lone_surrogate_gets_replacement_and_broken_one_is_rejected(
    tmp_path: Path,
) -> None:
    members = [
        record("conversion", f"http://a.example/{i}", body, warc_content_type="text/plain")
        for i, body in enumerate([b"a\xed\xa0\x80b", b"a\xffb", b" \n"])
    ]
    rows = read(tmp_path, b"".join(members))
    assert rows[0]["text"] == "a\ufffdb"
    assert [row["reason"] for row in rows] == [None, "invalid_utf8", "empty_text"]


def test_payload_digest_is_of_the_decoded_body(tmp_path: Path) -> None:
    body = gzip.compress("<p>Привет</p>".encode(), mtime=0)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    member = response(
        "http://a.example/", chunked, Content_Encoding="gzip", Transfer_Encoding="chunked"
    )
    (row,) = read(tmp_path, member)
    assert row["payload"].decode() == "<p>Привет</p>"
    assert row["digest"] == payload_digest("<p>Привет</p>".encode())


def test_broken_member_is_one_reject_and_the_others_are_read(tmp_path: Path) -> None:
    broken = bytearray(MEMBERS[1])
    broken[-8] ^= 0xFF  # its checksum
    data = b"".join([MEMBERS[0], bytes(broken), *MEMBERS[2:]])
    rows = read(tmp_path, data)
    uris = list(PAGES)
    assert outcomes(rows) == [
        (uris[0], None),
        (uris[1], "broken_gzip"),
        (uris[2], None),
        (uris[3], None),
    ]
    assert rows[1]["offset"] == len(MEMBERS[0])


def test_two_broken_members_in_a_row_are_two_rejects(tmp_path: Path) -> None:
    broken = [member[:-8] + bytes(8) for member in MEMBERS[1:3]]
    rows = read(tmp_path, b"".join([MEMBERS[0], *broken, MEMBERS[3]]))
    assert [row["reason"] for row in rows] == [None, "broken_gzip", "broken_gzip", None]
    assert [row["uri"] for row in rows] == list(PAGES)


@pytest.mark.parametrize("lost", [1, 8, 60])
def test_file_cut_in_its_last_member_rejects_that_record_alone(tmp_path: Path, lost: int) -> None:
    rows = read(tmp_path, b"".join(MEMBERS)[:-lost])
    assert [row["reason"] for row in rows] == [None, None, None, "truncated_record"]


def test_garbage_between_members_is_one_reject(tmp_path: Path) -> None:
    rows = read(tmp_path, MEMBERS[0] + b"no gzip here" + MEMBERS[1])
    assert [row["reason"] for row in rows] == [None, "broken_gzip", None]
    assert rows[1]["offset"] == len(MEMBERS[0])


def test_plain_record_that_is_cut_does_not_swallow_the_next(tmp_path: Path) -> None:
    cut = plain(MEMBERS[0])[:-30]
    rows = read(tmp_path, cut + b"\r\n" + plain(MEMBERS[1]) + plain(MEMBERS[2]))
    assert outcomes(rows) == [
        ("http://a.example/ru", "truncated_record"),
        ("http://a.example/zh", None),
        ("http://a.example/ar", None),
    ]


def test_content_length_that_is_too_small_is_rejected(tmp_path: Path) -> None:
    wrong = plain(MEMBERS[0]).replace(b"Content-Length: ", b"Content-Length: 1\r\nX-Was: ", 1)
    rows = read(tmp_path, wrong + plain(MEMBERS[1]))
    assert [row["reason"] for row in rows] == ["wrong_length", None]


@pytest.mark.parametrize("length", [b"", b"abc", b"-1"])
def test_header_without_length_is_rejected_and_the_next_record_read(
    tmp_path: Path, length: bytes
) -> None:
    broken = (
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: " + length + b"\r\n\r\nxyz\r\n\r\n"
    )
    rows = read(tmp_path, broken + plain(MEMBERS[1]))
    assert [row["reason"] for row in rows] == ["broken_header", None]


def test_bytes_that_are_no_archive_are_one_reject(tmp_path: Path) -> None:
    (row,) = read(tmp_path, b"This is a letter, not an archive.\n" * 5)
    assert (row["outcome"], row["reason"], row["length"]) == ("rejected", "broken_header", 170)


@pytest.mark.parametrize("pack", [gzip_members, plain_records])
def test_too_large_record_is_passed_over(
    tmp_path: Path, pack: Callable[[list[bytes]], bytes]
) -> None:
    large = response("http://a.example/large", "<p>" + "a" * 5000)
    rows = read(tmp_path, pack([MEMBERS[0], large, MEMBERS[1]]), max_record_bytes=4000)
    assert [row["reason"] for row in rows] == [None, "too_large", None]
    assert rows[1]["payload"] is None


def test_body_that_unpacks_to_too_much_is_too_large(tmp_path: Path) -> None:
    bomb = response("http://a.example/", zlib.compress(bytes(1 << 20)), Content_Encoding="deflate")
    (row,) = read(tmp_path, bomb, max_record_bytes=100_000)
    assert row["reason"] == "too_large"


def test_arc_records_of_both_versions_are_read(tmp_path: Path) -> None:
    http = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>hola</p>"
    info = b"1 0 x\nURL IP-address Archive-date Content-type Archive-length\n"
    data = b"filedesc://x.arc 0.0.0.0 20010203040506 text/plain %d\n%s\n" % (len(info), info)
    data += b"http://b.example/a b 1.2.3.4 20010203040506 text/html %d\n%s\n" % (len(http), http)
    data += b"http://b.example/2 1.2.3.4 20010203040506 text/html 200 - - 0 x.arc %d\n%s\n" % (
        len(http),
        http,
    )
    rows = read(tmp_path, data)
    assert outcomes(rows) == [
        ("filedesc://x.arc", "arc_filedesc"),
        ("http://b.example/a b", None),
        ("http://b.example/2", None),
    ]
    assert rows[1]["payload"] == b"<p>hola</p>"
    assert rows[1]["fetched_at"] == datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_segmented_record_is_rejected(tmp_path: Path) -> None:
    member = record("resource", "http://a.example/", "x", fields={"WARC-Segment-Number": "1"})
    (row,) = read(tmp_path, member)
    assert (row["outcome"], row["reason"]) == ("rejected", "segmented_record")


def test_absent_file_is_one_reject(tmp_path: Path) -> None:
    asked = InputRange(url=str(tmp_path / "none"), file="none", format="warc")
    (batch,) = read_records(asked, ReadSettings())
    (row,) = batch.to_pylist()
    assert (row["outcome"], row["reason"]) == ("rejected", "unreadable_file")


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.wet", "a.jsonl"])
def test_empty_file_is_one_reject(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    format = detect_format(name, b"")
    assert format is not None
    asked = InputRange(url=str(tmp_path / name), file=name, format=format)
    (batch,) = read_records(asked, ReadSettings())
    (row,) = batch.to_pylist()
    assert (row["file"], row["outcome"], row["reason"]) == (name, "rejected", "empty_file")
    assert (row["offset"], row["length"], row["ordinal"]) == (0, 0, 0)


def test_batches_hold_at_most_256_rows(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(MEMBERS[3] * 600)
    asked = InputRange(url=str(path), file="many", format="warc")
    sizes = [batch.num_rows for batch in read_records(asked, ReadSettings())]
    assert sizes == [256, 256, 88]


def test_batches_hold_about_8_mb(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(response("http://a.example/", "<p>" + "a" * (3 << 20)) * 5)
    asked = InputRange(url=str(path), file="large", format="warc")
    batches: list[pa.RecordBatch] = list(read_records(asked, ReadSettings()))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
