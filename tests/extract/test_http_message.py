import gzip
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from pipelines.extract.http_message import (
    BrokenMessage,
    decode_body,
    parse_response,
)

BODY = "<p>Добрый день, 世界 🦜</p>".encode() * 20


def message(body: bytes, *fields: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode() + body


def chunks(body: bytes, size: int = 100) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def decode(block: bytes, *, is_cut: bool = False) -> bytes:
    return decode_body(parse_response(block), max_bytes=100_000, is_cut=is_cut)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY[:50], mtime=0) + gzip.compress(BODY[50:], mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstandard.compress(BODY)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY), mtime=0)),
        ("identity", BODY),
        ("gzip", BODY),
        ("br", BODY),
    ],
)
def test_body_in_every_encoding_is_decoded(encoding: str, body: bytes) -> None:
    assert decode(message(body, f"Content-Encoding: {encoding}")) == BODY
    chunked = message(chunks(body), f"Content-Encoding: {encoding}", "Transfer-Encoding: chunked")
    assert decode(chunked) == BODY


def test_body_that_is_not_chunked_though_declared_is_taken_and_noted() -> None:
    response = parse_response(message(BODY, "Transfer-Encoding: chunked"))
    assert decode_body(response, max_bytes=100_000) == BODY
    assert response.notes == {"http_decoding": "not chunked though declared"}


def test_body_shorter_than_its_content_length_is_noted() -> None:
    response = parse_response(message(b"<p>ab", "Content-Length: 9"))
    assert decode_body(response, max_bytes=100) == b"<p>ab"
    assert response.notes == {"http_short_body": "5/9"}


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (message(chunks(BODY)[:-200], "Transfer-Encoding: chunked"), "truncated_record"),
        (
            message(b"3\r\nabc\r\nzz\r\n" + b"x" * 9, "Transfer-Encoding: chunked"),
            "broken_chunks",
        ),
        (message(gzip.compress(BODY, mtime=0)[:-12], "Content-Encoding: gzip"), "truncated_record"),
        (
            message(gzip.compress(BODY, mtime=0)[:-8] + bytes(8), "Content-Encoding: gzip"),
            "broken_content_encoding",
        ),
        (message(b"\x01\x02\x03", "Content-Encoding: br"), "broken_content_encoding"),
        (message(BODY, "Content-Encoding: sdch"), "unknown_content_encoding"),
        (message(gzip.compress(bytes(200_000), mtime=0), "Content-Encoding: gzip"), "too_large"),
        (message(brotli.compress(bytes(200_000)), "Content-Encoding: br"), "too_large"),
    ],
)  # fmt: skip
def test_broken_body_is_an_error_with_its_reason(block: bytes, reason: str) -> None:
    with pytest.raises(BrokenMessage) as error:
        decode(block)
    assert error.value.reason == reason


def test_body_that_the_crawler_cut_is_kept_as_far_as_it_goes() -> None:
    cut = message(chunks(BODY)[:250], "Transfer-Encoding: chunked")
    assert BODY.startswith(decode(cut, is_cut=True))
    assert len(decode(cut, is_cut=True)) > 150
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packed.compress(BODY) + packed.flush(zlib.Z_SYNC_FLUSH)
    assert decode(message(data, "Content-Encoding: gzip"), is_cut=True) == BODY


def test_message_without_status_line_is_an_error() -> None:
    with pytest.raises(BrokenMessage) as error:
        parse_response(b"<html>")
    assert error.value.reason == "broken_http_header"


def test_status_line_without_reason_and_folded_fields_are_read() -> None:
    response = parse_response(b"HTTP/1.0 302 \nX-A: one\n  two\nX-a: three\nnonsense\n\nbody")
    assert (response.status, response.body) == (302, b"body")
    assert response.fields == {"x-a": "one two"}


def test_message_without_body_or_blank_line_is_empty() -> None:
    assert parse_response(b"HTTP/1.1 200 OK\r\nA: b").body == b""
    assert parse_response(b"HTTP/1.1 200 OK\r\n\r\n").body == b""
