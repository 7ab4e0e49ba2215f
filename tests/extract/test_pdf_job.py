"""The extract job over PDF files, pages and texts together: its equations, files and audit."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pypdfium2
import pytest
from pdf_files import PARAGRAPH, column, joined, pdf_of, picture, scan_of
from PIL import Image
from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from pipelines.config import ExtractConfig, PdfConfig, ProvenanceConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.media import PDF_TYPE
from pipelines.extract.pdf.schema import SCAN_TASK, read_pages, read_pdfs
from pipelines.extract.recount import recount_faults
from pipelines.extract.sources import list_source
from pipelines.extract.stream import most_pages, read_chunk, read_scans
from pipelines.workspace.audit import audit
from pipelines.workspace.audit_equations import equation_of, equations_of
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import batch_of, read_table
from pipelines.workspace.schema import RECORD
from pipelines.workspace.workspace import Workspace

NO_OCR = ExtractConfig(html_engine="resiliparse", pdf=PdfConfig(ocr="none", max_pages=3))
LONG = column(PARAGRAPH * 2, 60, 100, 80)
SCAN = scan_of(picture(["A scan."]))
BLANK = scan_of(Image.new("L", (300, 300), 255))


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=2))
    yield made
    made.close()


def run(
    folder: Path,
    files: dict[str, bytes],
    children: Children,
    provenance: ProvenanceConfig | None = None,
) -> tuple[Workspace, Entry]:
    inputs = folder / "inputs"
    inputs.mkdir()
    for name, data in files.items():
        (inputs / name).write_bytes(data)
    workspace = Workspace.create(str(folder / "w"))
    settings = SourceConfig(name="papers", path=str(inputs), provenance=provenance)
    inventory = Inventory(workspace.storage, "papers")
    inventory.extend(list_source(settings, 1 << 30), 1 << 30)
    job = ExtractJob(settings, NO_OCR)
    workspace.ledger.declare(job.generation)
    job.run(workspace, PartKey("papers", 0), children)
    return workspace, workspace.ledger.get(job.generation, "papers", 0)


def rows(workspace: Workspace, entry: Entry, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(workspace.storage, entry.file(kind)).to_pylist()
    return found


FILES = {
    "a.html": b"<html><body><p>A page between the papers, about the weather.</p></body></html>",
    "b.pdf": joined(pdf_of(LONG), SCAN, BLANK),
    "c.pdf": b"",
    "d.pdf": joined(SCAN, BLANK, pdf_of(LONG), pdf_of(LONG), pdf_of(LONG)),
    "e.pdf": SCAN,
    "f.pdf": b"%PDF-1.7 and no more",
    "g.png": b"\x89PNG\r\n\x1a\n",
    "h.txt": "Ein Text, nach den Papieren: Übung.".encode(),
}


def test_papers_among_other_files_are_counted_page_by_page(
    tmp_path: Path, children: Children
) -> None:
    workspace, entry = run(tmp_path, FILES, children)
    assert entry.counts == {
        **{"records": 8, "documents": 4, "rejects": 4, "not_asked": 0},
        **{"pages": 9, "pages_text": 2, "pages_ocr": 0, "pages_blank": 2, "pages_rejected": 5},
    }
    documents = rows(workspace, entry, "documents")
    assert [(d["locator"]["file"], d["locator"]["pages"]) for d in documents] == [
        ("a.html", None),
        ("b.pdf", [1]),
        ("d.pdf", [3]),
        ("h.txt", None),
    ]
    assert [d["media_type"] for d in documents][1:3] == ["application/pdf"] * 2
    assert {d["provenance"]["kind"] for d in documents} == {"natural"}
    rejects = [(r["locator"]["file"], r["reason"]) for r in rows(workspace, entry, "rejects")]
    assert rejects == [
        ("c.pdf", "empty_file"),
        ("e.pdf", "ocr_disabled"),
        ("f.pdf", "broken_pdf"),
        ("g.png", "broken_image"),
    ]
    pages = rows(workspace, entry, "page_rejects")
    assert [(p["locator"]["file"], p["locator"]["pages"], p["reason"]) for p in pages] == [
        ("b.pdf", [2], "ocr_disabled"),
        ("d.pdf", [1], "ocr_disabled"),
        ("d.pdf", [4], "page_limit"),
        ("d.pdf", [5], "page_limit"),
        ("e.pdf", [1], "ocr_disabled"),
    ]
    assert pages[0]["id"] == documents[1]["id"]
    assert entry.file("page_rejects").path.startswith(f"rejects/extract.pages@{entry.fp}/papers/")
    report = audit(workspace, deep_checks={"extract": recount_faults})
    assert (report.faults, report.recounted) == ([], 1)


def test_part_without_papers_has_no_file_of_pages(tmp_path: Path, children: Children) -> None:
    workspace, entry = run(tmp_path, {"a.html": FILES["a.html"]}, children)
    assert [ref.kind for ref in entry.files] == ["documents", "rejects"]
    assert entry.counts["pages"] == entry.counts["pages_rejected"] == 0
    assert audit(workspace).faults == []


@pytest.mark.parametrize(
    ("name", "by", "fault"),
    [
        ("pages_text", 1, "pages 1 is not pages_text 1 + pages_ocr 0 + pages_blank 0"),
        ("pages", 1, "pages 2 is not pages_text 0"),
        ("pages_rejected", -1, "pages_rejected 0, and rejects/extract.pages"),
    ],
)
def test_audit_finds_a_page_too_many_or_too_few(
    tmp_path: Path, children: Children, name: str, by: int, fault: str
) -> None:
    workspace, entry = run(tmp_path, {"e.pdf": SCAN}, children)
    assert audit(workspace).faults == []
    path = tmp_path / "w" / f"ledger/{entry.job}@{entry.fp}/papers/part-00000.json"
    written = json.loads(path.read_text())
    written["counts"][name] += by
    path.write_text(json.dumps(written))
    assert any(fault in found for found in audit(workspace).faults)


def test_audit_finds_that_counted_page_rejects_are_in_no_file(
    tmp_path: Path, children: Children
) -> None:
    workspace, entry = run(tmp_path, {"e.pdf": SCAN}, children)
    path = tmp_path / "w" / f"ledger/{entry.job}@{entry.fp}/papers/part-00000.json"
    written = json.loads(path.read_text())
    written["files"] = [ref for ref in written["files"] if ref["kind"] != "page_rejects"]
    path.write_text(json.dumps(written))
    (fault,) = audit(workspace).faults
    assert fault.endswith("pages_rejected 1, and it names no page_rejects file")


def test_equations_of_a_job() -> None:
    assert [terms[0] for terms in equations_of("extract")] == ["records", "pages"]
    assert equation_of("annotate.language") == ("documents", "rows")
    assert equation_of("deduplicate.clusters")[0] == "members"
    assert equation_of("near_duplicates.candidates") == ()


def test_papers_in_an_archive_keep_the_order_of_its_records(
    tmp_path: Path, children: Children
) -> None:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    page = b"<html><body><p>Page number %d of the archive, in full.</p></body></html>"
    for i in range(60):
        is_paper = i % 9 == 4
        http = StatusAndHeaders(
            "200 OK",
            [("Content-Type", "application/octet-stream" if is_paper else "text/html")],
            protocol="HTTP/1.1",
        )
        body = pdf_of([(60, 100, f"Paper number {i}, of one line.")]) if is_paper else page % i
        writer.write_record(
            writer.create_warc_record(
                f"http://a.example/{i:02}", "response", io.BytesIO(body), http_headers=http
            )
        )
    workspace, entry = run(tmp_path, {"a.warc.gz": out.getvalue()}, children)
    documents = rows(workspace, entry, "documents")
    assert [d["uri"] for d in documents] == [f"http://a.example/{i:02}" for i in range(60)]
    assert all(f"number {i}" in d["text"] for i, d in enumerate(documents))
    assert entry.counts["pages_text"] == 7


@pytest.mark.parametrize(
    ("kind", "depth"), [("synthetic", 1), ("rewritten", 1), ("refined", 0), ("transcribed", 0)]
)
def test_provenance_of_a_source_is_that_of_its_documents(
    tmp_path: Path, children: Children, kind: str, depth: int
) -> None:
    told = ProvenanceConfig.model_validate({"kind": kind, "model": "qwen3", "recipe": "textbook"})
    workspace, entry = run(tmp_path, {"h.txt": FILES["h.txt"]}, children, provenance=told)
    (document,) = rows(workspace, entry, "documents")
    found = {key: document["provenance"][key] for key in ("kind", "model", "recipe", "depth")}
    assert found == {"kind": kind, "model": "qwen3", "recipe": "textbook", "depth": depth}
    assert audit(workspace, deep_checks={"extract": recount_faults}).faults == []


def test_generation_knows_provenance_settings_and_releases(tmp_path: Path) -> None:
    source = SourceConfig(name="papers", path=str(tmp_path))
    told = source.model_copy(update={"provenance": ProvenanceConfig(kind="synthetic")})
    jobs = [
        ExtractJob(source, NO_OCR),
        ExtractJob(told, NO_OCR),
        ExtractJob(source, ExtractConfig(pdf=PdfConfig(engine="pymupdf"))),
        ExtractJob(source, ExtractConfig()),
    ]
    assert len({job.generation.fp for job in jobs}) == 4
    assert sorted(jobs[3].generation.payload["pdf"]) == ["engine", "ocr", "pictures", "renderer"]
    assert jobs[2].generation.payload["pdf"]["engine"].startswith("pymupdf/")


def test_importing_the_job_loads_no_engine() -> None:
    heavy = ["onnxruntime", "rapidocr", "cv2", "pymupdf", "pdf_inspector", "pypdfium2"]
    code = f"import sys, pipelines.extract.job; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def records_of(*payloads: tuple[bytes | None, str]) -> pa.RecordBatch:
    rows = [
        {
            "file": f"{number}",
            "offset": 0,
            "length": len(payload or b""),
            "outcome": "asked",
            "media_type": media_type,
            "payload": payload,
            "ordinal": 0,
        }
        for number, (payload, media_type) in enumerate(payloads)
    ]
    return batch_of(rows, RECORD)


def test_what_a_library_raises_costs_its_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(_: object) -> int:
        raise RuntimeError("no such table")

    monkeypatch.setattr(pypdfium2.PdfDocument, "__len__", raising)
    (found,) = read_pdfs(read_chunk(records_of((pdf_of(LONG), PDF_TYPE)), settings=NO_OCR))
    told = ("extract_error", "RuntimeError: no such table")
    assert (found.reason, found.message, found.pages) == (*told, ())
    task = {"payload": SCAN, "media_type": PDF_TYPE, "page": 1, "may_ocr": True}
    batch = pa.RecordBatch.from_pylist([task], schema=SCAN_TASK)
    (page,) = read_pages(read_scans(batch, settings=NO_OCR))
    assert (page.page, page.outcome, page.reason, page.message) == (1, "rejected", *told)


def test_record_that_a_reader_cannot_take_costs_itself_alone() -> None:
    page = FILES["a.html"], "text/html"
    records = records_of(page, (None, "text/html"), page)
    reasons = read_chunk(records, settings=NO_OCR).column("reason").to_pylist()
    assert reasons == [None, "extract_error", None]


def test_settings_that_no_record_can_cure_end_the_work() -> None:
    wrong = ExtractConfig(html_engine="resiliparse", pdf=PdfConfig(ocr="no_such_module:Engine"))
    task = {"payload": SCAN, "media_type": PDF_TYPE, "page": 1, "may_ocr": True}
    with pytest.raises(ValueError, match="cannot be imported here"):
        read_scans(pa.RecordBatch.from_pylist([task], schema=SCAN_TASK), settings=wrong)


@pytest.mark.parametrize(
    ("payload", "media_type", "expected"),
    [
        (pdf_of(LONG, LONG, LONG), PDF_TYPE, 3),
        (pdf_of(LONG, LONG, LONG, use_objstms=1), PDF_TYPE, "bytes"),
        (b"%PDF-1.7" + bytes(10_240), PDF_TYPE, 20),
        (bytes(51_200), "image/tiff", 100),
        (bytes(51_200), "text/html", 0),
    ],
)
def test_time_of_a_file_goes_by_the_pages_that_it_can_have(
    payload: bytes, media_type: str, expected: int | str
) -> None:
    num_pages = len(payload) // 512 if expected == "bytes" else expected
    assert most_pages(records_of((payload, media_type))) == num_pages


def test_empty_files_of_every_format_are_rejects(tmp_path: Path, children: Children) -> None:
    names = ["a.jsonl", "b.warc", "c.warc.gz", "d.wet", "e.html", "f.jsonl"]
    files = dict.fromkeys(names, b"") | {"f.jsonl": b'{"text": "One line of text."}\n'}
    workspace, entry = run(tmp_path, files, children)
    assert (entry.counts["records"], entry.counts["documents"]) == (6, 1)
    rejects = [(r["locator"]["file"], r["reason"]) for r in rows(workspace, entry, "rejects")]
    assert rejects == [(name, "empty_file") for name in names[:5]]
    assert audit(workspace, deep_checks={"extract": recount_faults}).faults == []
