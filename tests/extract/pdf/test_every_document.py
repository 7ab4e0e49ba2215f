"""Strange, broken and huge files: none crashes or hangs, each is a document or a reject.

All real files run where TOKENMILL_SLOW is set, which takes minutes; else a few of them.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from pdf_files import PARAGRAPH, column, pdf_of, picture, scan_of
from PIL import Image

from pipelines.config import ExtractConfig, PdfConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.recount import recount_faults
from pipelines.extract.sources import list_source
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")) / "documents"
IS_SLOW = bool(os.environ.get("TOKENMILL_SLOW"))
LONG = column(PARAGRAPH * 2, 60, 100, 80)
NO_OCR = PdfConfig(ocr="none", max_pages=50)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=2))
    yield made
    made.close()


def extract(
    source: SourceConfig, workspace: Workspace, children: Children, pdf: PdfConfig = NO_OCR
) -> Entry:
    inventory = Inventory(workspace.storage, source.name)
    inventory.extend(list_source(source, 1 << 30), 1 << 30)
    job = ExtractJob(source, ExtractConfig(pdf=pdf))
    workspace.ledger.declare(job.generation)
    job.run(workspace, PartKey(source.name, 0), children)
    return workspace.ledger.get(job.generation, source.name, 0)


def rows(workspace: Workspace, entry: Entry, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(workspace.storage, entry.file(kind)).to_pylist()
    return found


def assert_nothing_is_lost(workspace: Workspace, entry: Entry, num_files: int) -> None:
    counts = entry.counts
    assert counts["records"] == num_files
    assert counts["records"] == counts["documents"] + counts["rejects"] + counts["not_asked"]
    parts = [counts[f"pages_{name}"] for name in ("text", "ocr", "blank", "rejected")]
    assert counts["pages"] == sum(parts)
    assert audit(workspace, deep_checks={"extract": recount_faults}).faults == []


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}; set TOKENMILL_DATA")
@pytest.mark.parametrize("folder", ["pdfjs", "olmocr/gnarly_pdfs"])
def test_real_files_give_documents_and_rejects_and_end_no_child(
    tmp_path: Path, children: Children, folder: str
) -> None:
    files = sorted(path for path in (DATA / folder).rglob("*.pdf"))
    if not IS_SLOW:
        files = files[::40]
    for path in files:
        (tmp_path / "inputs").mkdir(exist_ok=True)
        (tmp_path / "inputs" / path.name).write_bytes(path.read_bytes())
    workspace = Workspace.create(str(tmp_path / "w"))
    source = SourceConfig(name="real", path=str(tmp_path / "inputs"))
    entry = extract(source, workspace, children)
    assert_nothing_is_lost(workspace, entry, len(files))
    reasons = set(entry.detail["rejects"]) | set(entry.detail["page_rejects"])
    assert not reasons & {"crashed", "timed_out", "out_of_memory", "extract_error"}
    assert {row["locator"]["file"] for row in rows(workspace, entry, "documents")} | {
        row["locator"]["file"] for row in rows(workspace, entry, "rejects")
    } == {path.name for path in files}


def _pages_of(count: int) -> bytes:
    """A PDF of so many pages of one line, sharing one content stream."""
    kids = b" ".join(b"%d 0 R" % (5 + i) for i in range(count))
    text = b"BT /F 12 Tf 60 700 Td (One line on each of many pages.) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        *(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
            b"/Resources<</Font<</F 3 0 R>>>>>>"
            for _ in range(count)
        ),
    ]
    return _pdf(objects)


def _pdf(objects: list[bytes]) -> bytes:
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def _page_with(box: bytes, content: bytes, resources: bytes = b"", *more: bytes) -> bytes:
    return _pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<<%s>>>>"
            % (box, resources),
            b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
            *more,
        ]
    )


def _scan_of_megapixels(side: int) -> bytes:
    """A page that is one picture of `side` x `side` pixels of one bit, all black on top."""
    data = zlib.compress(b"\x00" * (side // 8 * side // 2) + b"\xff" * (side // 8 * side // 2), 9)
    image = (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 1/ColorSpace/DeviceGray"
        b"/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (side, side, len(data), data)
    )
    place = b"<</XObject<</I 5 0 R>>>>"[2:-2]
    return _page_with(b"0 0 612 792", b"q 612 0 0 792 0 0 cm /I Do Q", place, image)


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that nobody can decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def _png(sheet: Image.Image) -> bytes:
    target = io.BytesIO()
    sheet.save(target, "PNG")
    return target.getvalue()


HELVETICA = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
LINE = b"BT /F 12 Tf 60 700 Td (A line on a strange page, and so on.) Tj ET"
AES = pymupdf.PDF_ENCRYPT_AES_256
BAD = {
    "zero.pdf": b"",
    "zero.png": b"",
    "locked.pdf": pdf_of(LONG, encryption=AES, owner_pw="o", user_pw="u"),
    "cut.pdf": scan_of(picture(["A scan."]))[:900],
    "cut.png": _png(picture(["A scan."]))[:400],
    "many.pdf": _pages_of(120),
    "large.pdf": _scan_of_megapixels(14_400),  # 207 megapixels
    "bomb.png": _png_of(60_000, 60_000),
    "wide.pdf": _page_with(b"0 0 2000000000 2000000000", LINE, HELVETICA),
    "flat.pdf": _page_with(b"0 0 612 0", LINE, HELVETICA),
    "nan.pdf": _page_with(b"0 0 1e999 792", LINE, HELVETICA),
    "far.pdf": _page_with(b"0 0 612 792", LINE.replace(b"60 700", b"6e12 -7e12"), HELVETICA),
    "picture.pdf": _png(picture(["A scan."])),  # a wrong extension
    "paper.png": pdf_of(LONG),
    "loop.pdf": _pdf(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 3/Kids[2 0 R 2 0 R 2 0 R]>>"]
    ),
}
FATES = {
    "zero.pdf": "empty_file",
    "zero.png": "empty_file",
    "locked.pdf": "encrypted",
    "cut.png": "no_good_page",
    "many.pdf": "document",
    "large.pdf": "ocr_disabled",
    "bomb.png": "no_good_page",
    "picture.pdf": "ocr_disabled",
    "paper.png": "document",
}


def test_bad_files_have_a_fate_with_a_reason(tmp_path: Path, children: Children) -> None:
    (tmp_path / "inputs").mkdir()
    for name, payload in BAD.items():
        (tmp_path / "inputs" / name).write_bytes(payload)
    workspace = Workspace.create(str(tmp_path / "w"))
    source = SourceConfig(name="bad", path=str(tmp_path / "inputs"))
    entry = extract(source, workspace, children)
    assert_nothing_is_lost(workspace, entry, len(BAD))
    fates = {row["locator"]["file"]: "document" for row in rows(workspace, entry, "documents")}
    fates |= {row["locator"]["file"]: row["reason"] for row in rows(workspace, entry, "rejects")}
    assert set(fates) == set(BAD)
    assert {name: fates[name] for name in FATES} == FATES
    reasons = set(fates.values()) | set(entry.detail["page_rejects"])
    assert not reasons & {"crashed", "timed_out", "out_of_memory", "extract_error"}
    pages = rows(workspace, entry, "pages")
    limits = {row["page"] for row in pages if row["reason"] == "page_limit"}
    assert limits == set(range(51, 121))


@pytest.mark.skipif(not IS_SLOW, reason="slow: set TOKENMILL_SLOW=1")
def test_ten_thousand_pages_are_read_or_counted(tmp_path: Path, children: Children) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "many.pdf").write_bytes(_pages_of(10_000))
    workspace = Workspace.create(str(tmp_path / "w"))
    source = SourceConfig(name="many", path=str(tmp_path / "inputs"))
    entry = extract(source, workspace, children, PdfConfig())
    assert_nothing_is_lost(workspace, entry, 1)
    assert (entry.counts["pages_text"], entry.counts["pages_rejected"]) == (2000, 8000)
