"""Pictures as documents, the dataset of pages, and a budget for OCR."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from pdf_files import PARAGRAPH, column, joined, pdf_of, picture, scan_of
from PIL import Image

from pipelines.config import ExtractConfig, PdfConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.pdf.document import read_layered_pages, read_pdf
from pipelines.extract.recount import recount_faults
from pipelines.extract.sources import list_source
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import PAGES
from pipelines.workspace.workspace import Workspace

LONG = column(PARAGRAPH * 2, 60, 100, 80)
PRINT = ["The ferry left at seven", "and came back at noon."]
PRINTED = "The ferry left at seven and came back at noon."
SHEET, EMPTY = picture(PRINT), Image.new("L", (300, 300), 255)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1))
    yield made
    made.close()


def saved(*frames: Image.Image, kind: str) -> bytes:
    target = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if kind == "TIFF" else {}
    frames[0].save(target, kind, **more)
    return target.getvalue()


def run(
    folder: Path,
    files: dict[str, bytes],
    children: Children,
    **pdf: Any,  # noqa: ANN401
) -> tuple[Workspace, Entry]:
    (folder / "inputs").mkdir(parents=True)
    for name, data in files.items():
        (folder / "inputs" / name).write_bytes(data)
    workspace = Workspace.create(str(folder / "w"))
    source = SourceConfig(name="papers", path=str(folder / "inputs"))
    inventory = Inventory(workspace.storage, "papers")
    inventory.extend(list_source(source, 1 << 30), 1 << 30)
    job = ExtractJob(source, ExtractConfig(pdf=PdfConfig.model_validate(pdf)))
    workspace.ledger.declare(job.generation)
    job.run(workspace, PartKey("papers", 0), children)
    entry = workspace.ledger.get(job.generation, "papers", 0)
    assert audit(workspace, deep_checks={"extract": recount_faults}).faults == []
    return workspace, entry


def rows(workspace: Workspace, entry: Entry, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(workspace.storage, entry.file(kind)).to_pylist()
    return found


def ways(pages: list[dict[str, Any]]) -> list[tuple[str, int, str, str | None]]:
    return [(page["file"], page["page"], page["outcome"], page["reason"]) for page in pages]


PICTURES = {
    "a.png": saved(SHEET, kind="PNG"),
    "b.tiff": saved(SHEET, EMPTY, SHEET, kind="TIFF"),
    "c.webp": saved(EMPTY, kind="WEBP"),
    "d.pdf": saved(SHEET, kind="PNG"),  # a wrong extension
}


def test_pictures_are_documents_page_by_page(tmp_path: Path, children: Children) -> None:
    workspace, entry = run(tmp_path, PICTURES, children)
    documents = rows(workspace, entry, "documents")
    assert [(d["locator"]["file"], d["locator"]["pages"], d["text"]) for d in documents] == [
        ("a.png", [1], PRINTED),
        ("b.tiff", [1, 3], f"{PRINTED}\n\n{PRINTED}"),
        ("d.pdf", [1], PRINTED),
    ]
    assert [d["media_type"] for d in documents] == ["image/png", "image/tiff", "image/png"]
    assert all(d["extractor"].split("+")[0].startswith("pillow/") for d in documents)
    assert {d["provenance"]["kind"] for d in documents} == {"transcribed"}
    (reject,) = rows(workspace, entry, "rejects")
    assert (reject["locator"]["file"], reject["reason"]) == ("c.webp", "no_text")
    pages = rows(workspace, entry, "pages")
    assert ways(pages) == [
        ("a.png", 1, "ocr", None),
        ("b.tiff", 1, "ocr", None),
        ("b.tiff", 2, "blank", None),
        ("b.tiff", 3, "ocr", None),
        ("c.webp", 1, "blank", None),
        ("d.pdf", 1, "ocr", None),
    ]
    assert {page["score"] for page in pages} == {1.0}
    assert {page["num_chars"] for page in pages} == {None}
    sure = [page["confidence"] for page in pages if page["outcome"] == "ocr"]
    assert len(sure) == 4
    assert all(0.9 < confidence <= 1 for confidence in sure)


MIXED = {
    "a.pdf": joined(pdf_of(LONG), scan_of(SHEET), scan_of(EMPTY), pdf_of([])),
    "b.pdf": b"%PDF-1.7 and no more",
    "c.txt": b"A text between the papers, about the weather.",
    "d.pdf": scan_of(SHEET),
}


def test_every_page_has_a_row_with_its_signs(tmp_path: Path, children: Children) -> None:
    workspace, entry = run(tmp_path, MIXED, children, ocr="none")
    table = read_table(workspace.storage, entry.file("pages"))
    assert table.schema.equals(PAGES)
    pages = table.to_pylist()
    assert ways(pages) == [
        ("a.pdf", 1, "text", None),
        ("a.pdf", 2, "rejected", "ocr_disabled"),
        ("a.pdf", 3, "blank", None),
        ("a.pdf", 4, "blank", None),
        ("d.pdf", 1, "rejected", "ocr_disabled"),
    ]
    letters = "".join((PARAGRAPH * 2).split())
    assert [page["num_chars"] for page in pages] == [len(letters), 0, 0, 0, 0]
    assert pages[0]["score"] < 0.05
    assert {page["score"] for page in pages[1:]} == {1.0}
    assert [page["image_share"] for page in pages] == pytest.approx([0, 1, 1, 0, 1], abs=0.01)
    ids = {row["locator"]["file"]: row["id"] for row in rows(workspace, entry, "documents")}
    ids |= {row["locator"]["file"]: row["id"] for row in rows(workspace, entry, "rejects")}
    assert all(page["id"] == ids[page["file"]] for page in pages)
    assert entry.file("pages").path.startswith(f"pages/extract@{entry.fp}/papers/part-00000-")


def test_recount_finds_pages_counted_under_another_outcome(
    tmp_path: Path, children: Children
) -> None:
    workspace, entry = run(tmp_path, MIXED, children, ocr="none")
    path = tmp_path / "w" / f"ledger/{entry.job}@{entry.fp}/papers/part-00000.json"
    written = json.loads(path.read_text())
    written["counts"]["pages_text"] += 1
    written["counts"]["pages_blank"] -= 1
    path.write_text(json.dumps(written))
    faults = audit(workspace, deep_checks={"extract": recount_faults}).faults
    assert any("1 pages are text, and 2 were counted" in fault for fault in faults)
    assert any("2 pages are blank, and 1 were counted" in fault for fault in faults)


def test_letters_drawn_as_curves_are_looked_at() -> None:
    with pymupdf.open(stream=pdf_of(LONG), filetype="pdf") as document:
        curves = document[0].get_svg_image(text_as_path=True)
    with pymupdf.open(stream=curves.encode(), filetype="svg") as drawn:
        payload = drawn.convert_to_pdf()
    with pymupdf.open(stream=payload, filetype="pdf") as numbered:
        numbered[0].insert_text((290, 800), "Page 17", fontsize=11)
        payload = numbered.tobytes()
    (page,) = read_layered_pages(payload, PdfConfig()).pages
    assert (page.outcome, page.reason) == ("scan", "picture")
    assert page.signs is not None
    assert page.signs.num_small_paths > 200
    assert page.signs.num_chars == len("Page17")


def test_blank_frames_take_no_place_among_the_pages_for_ocr() -> None:
    payload = saved(*(s.copy() for s in (EMPTY, SHEET, EMPTY, SHEET, SHEET)), kind="TIFF")
    found = read_layered_pages(payload, PdfConfig(max_ocr_pages=2), "image/tiff")
    assert [(page.page, page.outcome, page.reason) for page in found.pages] == [
        (1, "blank", None),
        (2, "scan", None),
        (3, "blank", None),
        (4, "scan", None),
        (5, "rejected", "ocr_page_limit"),
    ]


def test_page_whose_layer_gives_no_text_is_looked_at() -> None:
    payload = pdf_of([(60, -400, "A line far above the page.")])
    (page,) = read_layered_pages(payload, PdfConfig()).pages
    assert (page.outcome, page.reason, page.score) == ("scan", "no_text_layer", 1.0)
    assert page.signs is not None
    assert page.signs.num_chars > 0
    row = read_pdf(payload, PdfConfig(ocr="none"))
    assert [(p.outcome, p.reason) for p in row.pages] == [("blank", None)]
    assert (row.reason, row.message) == ("no_text", "all 1 pages are blank")


def unmapped_page(text: str) -> bytes:
    """A square and a line in a font whose glyphs have numbers; PDFium finds the objects."""
    names = b" ".join(b"/g%d" % code for code in range(32, 127))
    font = (
        b"<</Type/Font/Subtype/Type1/BaseFont/ABCDEF+Own/FirstChar 32/LastChar 126/Widths[%s]"
        b"/Encoding<</Type/Encoding/Differences[32 %s]>>>>" % (b" 600" * 95, names)
    )
    shown = (
        b"60 100 300 200 re f BT /F 12 Tf 60 700 Td (%s) Tj ET"
        % text.replace("\\", "\\\\").encode()
    )
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 5 0 R"
        b"/Resources<</Font<</F 4 0 R>>>>>>",
        font,
        b"<</Length %d>>stream\n%s\nendstream" % (len(shown), shown),
    )
    numbered = (b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + b"".join(numbered) + b"trailer<</Root 1 0 R>>\n%%EOF"


SHIFTED = "7KH IHUU\\ OHIW DW VHYHQ"  # "The ferry left at seven", 29 codes lower


def test_few_words_of_codes_that_no_font_explains_are_no_text_without_ocr() -> None:
    settings = PdfConfig(ocr="none")
    row = read_pdf(unmapped_page(SHIFTED), settings)
    assert [(p.outcome, p.reason) for p in row.pages] == [("rejected", "ocr_disabled")]
    assert row.text is None
    (page,) = read_layered_pages(unmapped_page(SHIFTED), settings).pages
    assert page.signs is not None
    assert (page.text, page.signs.unmapped, page.score) == (SHIFTED, 1.0, 0.95)


@pytest.mark.parametrize("text", ["KEY INVESTOR INFORMATION", "Ferry at 7", "THAN N", "NDR"])
def test_few_words_that_a_font_does_not_explain_are_kept(text: str) -> None:
    (page,) = read_layered_pages(unmapped_page(text), PdfConfig(ocr="none")).pages
    assert page.signs is not None
    assert (page.outcome, page.text, page.signs.unmapped) == ("text", text, 1.0)


SCANS = {
    "a.pdf": joined(pdf_of(LONG), scan_of(SHEET)),
    "b.pdf": joined(pdf_of(LONG), pdf_of([]), scan_of(SHEET)),
    "c.png": PICTURES["a.png"],
    "d.pdf": joined(pdf_of(LONG), scan_of(SHEET), pdf_of(LONG), scan_of(SHEET)),
}


def test_budget_sends_so_many_pages_to_ocr_and_says_of_the_others_why_not(
    tmp_path: Path, children: Children
) -> None:
    workspace, entry = run(tmp_path / "one", SCANS, children, ocr_budget="20%")
    pages = rows(workspace, entry, "pages")
    # Ten pages, five of them scans: two may be read, and the empty page costs nothing.
    assert [p["outcome"] for p in pages if p["num_chars"]] == ["text"] * 4
    assert [p["outcome"] for p in pages if p["file"] == "b.pdf"][1] == "blank"
    scans = [p for p in pages if p["outcome"] in ("ocr", "rejected")]
    assert (
        sorted((p["outcome"], p["reason"]) for p in scans if p["outcome"] == "rejected")
        == [("rejected", "ocr_budget")] * 3
    )
    assert len(scans) == 5
    assert entry.detail["ocr_threshold"] == 1.0
    more = Children(Limits(processes=2))
    try:
        _, again = run(tmp_path / "two", SCANS, more, ocr_budget="20%")
    finally:
        more.close()
    assert [ref.sha256 for ref in again.files] == [ref.sha256 for ref in entry.files]
