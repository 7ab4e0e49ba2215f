"""What a whole record of an archive is: cut payloads, and packages whatever they were sent as."""

import io
import zipfile
from typing import Any

import pytest

from pipelines.extract.captures import record_of_capture
from pipelines.extract.rows import Record
from pipelines.extract.warc_header import RecordHeader
from pipelines.workspace.schema import ASKED, NOT_ASKED, REJECTED

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"
DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EPUB_TYPE = "application/epub+zip"


def package(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, text in members.items():
            file.writestr(name.replace("__", "/").replace("_xml", ".xml"), text)
    return out.getvalue()


DOCX = package(word__document_xml="<w:document/>")
EPUB = package(mimetype=EPUB_TYPE, META_INF="x")
ZIP = package(readme="nothing to see")


BLANK = Record(
    file="a",
    offset=0,
    length=1,
    outcome=REJECTED,
    reason="broken_header",
    message="not read yet",
    uri="http://a.example/x",
)


def capture(content_type: str, body: bytes, **fields: str) -> Record:
    header = RecordHeader(
        kind="response",
        length=len(body),
        uri=BLANK.uri,
        date="",
        content_type="application/http; msgtype=response",
        fields={name.replace("_", "-"): value for name, value in fields.items()},
    )
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return record_of_capture(BLANK, header, http + body, 1 << 20)


def test_cut_page_is_kept_and_marked() -> None:
    page = "<p>Привет, мир".encode()
    row = capture("text/html", page, warc_truncated="length")
    assert (row.outcome, row.payload, row.meta) == (ASKED, page, {"truncated": "length"})
    assert capture("text/html", page).meta == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("time", "time"), ("Disconnect", "disconnect"), ("", "unspecified")],
)
def test_kind_of_cut_is_what_the_crawler_says(written: str, meant: str) -> None:
    assert capture("text/plain", b"abc", warc_truncated=written).meta == {"truncated": meant}


@pytest.mark.parametrize(
    ("content_type", "body", "media_type"),
    [
        ("application/pdf", PDF, "application/pdf"),
        ("application/octet-stream", PDF, "application/pdf"),
        (DOCX_TYPE, DOCX[:40], DOCX_TYPE),
        ("application/zip", EPUB[:80], EPUB_TYPE),
    ],
    ids=["pdf", "unnamed pdf", "docx", "epub"],
)
def test_cut_pdf_or_package_is_a_reject(content_type: str, body: bytes, media_type: str) -> None:
    row = capture(content_type, body, warc_truncated="length")
    assert (row.outcome, row.reason, row.media_type) == (
        REJECTED,
        "truncated_payload",
        media_type,
    )
    assert row.message == f"{len(body)} bytes are there; WARC-Truncated: length"
    assert row.meta == {"truncated": "length"}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/zip",
        "application/x-zip-compressed",
        "application/octet-stream",
        "application/x-download",
        "text/html",
        DOCX_TYPE,
    ],
)
def test_package_is_told_by_its_bytes(content_type: str) -> None:
    row = capture(content_type, DOCX)
    assert (row.outcome, row.media_type, row.payload) == (ASKED, DOCX_TYPE, DOCX)
    assert capture(content_type, EPUB).media_type == EPUB_TYPE


def test_other_archives_are_not_asked_for() -> None:
    for content_type in ("application/zip", "application/octet-stream"):
        row = capture(content_type, ZIP)
        assert (row.outcome, row.reason) == (NOT_ASKED, "media_type:application/zip")


def test_page_in_place_of_a_document_is_a_page() -> None:
    row: Any = capture(DOCX_TYPE, b"<!DOCTYPE html><html><p>Not found</p></html>")
    assert (row.outcome, row.media_type) == (ASKED, "text/html")


def test_chunked_package_is_seen_behind_its_first_chunk_size() -> None:
    header = RecordHeader(
        kind="response", length=1, uri=BLANK.uri, date="", content_type="application/http"
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DOCX), DOCX)
    row = record_of_capture(BLANK, header, head + body, 1 << 20)
    assert (row.outcome, row.media_type, row.payload) == (ASKED, DOCX_TYPE, DOCX)
