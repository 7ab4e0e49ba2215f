"""PDF files, from bytes to texts, page by page."""

from typing import Any

import pymupdf
import pytest
from pdf_files import PARAGRAPH, column, joined, pdf_of, picture, scan_of
from PIL import Image

from pipelines.config import ExtractConfig, PdfConfig
from pipelines.extract.markup import extract_records
from pipelines.extract.pdf.document import read_scan
from pipelines.extract.rows import Record, to_batches
from pipelines.workspace.schema import ASKED

PRINT = ["The ferry left at seven", "and came back at noon."]
PRINTED = "The ferry left at seven and came back at noon."
SEQUEL = (
    "When spring came at last a stranger stood at the gate, asking for nothing but water, and "
    "the miller, who was no fool, gave him bread and asked him where the river had broken its bank."
)
LONG = column(PARAGRAPH * 2, 60, 100, 80)


def extract(payload: bytes, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    record = Record(
        file="a.pdf",
        offset=0,
        length=len(payload),
        outcome=ASKED,
        media_type="application/pdf",
        payload=payload,
    )
    (batch,) = to_batches([record])
    config = ExtractConfig(pdf=PdfConfig.model_validate(settings))
    (row,) = extract_records(batch, settings=config).to_pylist()
    return row


def outcomes(row: dict[str, Any]) -> list[tuple[int, str, str | None]]:
    return [(page["page"], page["outcome"], page["reason"]) for page in row["pages"]]


@pytest.mark.parametrize("engine", ["pdfium", "pymupdf"])
def test_text_layer_gives_its_paragraph_and_metadata(engine: str) -> None:
    row = extract(pdf_of(LONG), engine=engine)
    assert " ".join(row["text"].split()) == " ".join((PARAGRAPH * 2).split())
    assert row["extractor"].split("/")[0] == {"pdfium": "pypdfium2"}.get(engine, engine)
    assert (row["kind"], row["model"], row["media_type"]) == (None, None, "application/pdf")
    assert outcomes(row) == [(1, "text", None)]
    assert {"title": "Two horses", "author": "A. Miller", "pages": "1"}.items() <= dict(
        row["meta"]
    ).items()


@pytest.mark.parametrize("engine", ["pdfium", "pymupdf"])
def test_two_columns_are_read_one_after_the_other(engine: str) -> None:
    left, right = column(PARAGRAPH, 50, 100, 36), column(SEQUEL, 320, 100, 36)
    text = " ".join(extract(pdf_of([*left, *right]), engine=engine)["text"].split())
    assert text == f"{PARAGRAPH} {SEQUEL}"


@pytest.mark.parametrize("turn", [90, 180])
def test_turned_scan_is_read(turn: int) -> None:
    row = extract(scan_of(picture(PRINT, turn=turn)))
    assert row["text"] == PRINTED
    assert outcomes(row) == [(1, "ocr", None)]
    assert (row["kind"], row["model"]) == ("transcribed", row["extractor"].split("+")[-1])
    assert row["extractor"].startswith("pypdfium2/")
    assert row["model"].startswith("rapidocr/")


def test_mixed_file_gives_good_pages_and_counts_all() -> None:
    blank = scan_of(Image.new("L", (400, 600), 250))
    payload = joined(pdf_of(LONG), blank, scan_of(picture(PRINT)))
    row = extract(payload)
    assert outcomes(row) == [(1, "text", None), (2, "blank", None), (3, "ocr", None)]
    assert row["text"].split("\n\n")[-1] == PRINTED
    assert row["text"].startswith("The miller of the village")
    meta = dict(row["meta"])
    assert (meta["pages"], meta["ocr_pages"], meta["blank_pages"]) == ("3", "1", "1")


def test_letters_that_the_models_do_not_know_are_rejected_and_not_left_out() -> None:
    with pymupdf.open() as document:
        page = document.new_page(width=400, height=150)
        page.insert_htmlbox(
            (20, 20, 380, 130), '<p style="font-size:20px">Все люди рождаются свободными.</p>'
        )
        sheet = page.get_pixmap(dpi=150, colorspace="GRAY")
        scan = scan_of(Image.frombytes("L", (sheet.width, sheet.height), sheet.samples))
    row = extract(scan)
    assert outcomes(row) == [(1, "rejected", "ocr_unread_ink")]
    assert (row["text"], row["reason"]) == (None, "no_good_page")


def test_scans_without_ocr_are_rejected_and_blank_pages_are_blank() -> None:
    scan = scan_of(picture(PRINT), Image.new("L", (400, 600), 255))
    row = extract(scan, ocr="none")
    assert outcomes(row) == [(1, "rejected", "ocr_disabled"), (2, "blank", None)]
    assert (row["reason"], row["message"]) == (
        "ocr_disabled",
        "of 2 pages: ocr_disabled 1, blank 1",
    )


def test_page_limits_reject_what_is_beyond_them() -> None:
    scans = scan_of(picture(PRINT), picture(PRINT), picture(PRINT))
    row = extract(joined(pdf_of(LONG), scans), max_ocr_pages=0, max_pages=3)
    assert outcomes(row) == [
        (1, "text", None),
        (2, "rejected", "ocr_page_limit"),
        (3, "rejected", "ocr_page_limit"),
        (4, "rejected", "page_limit"),
    ]
    assert dict(row["meta"])["rejected_pages"] == "3"


def test_file_of_blank_pages_is_a_reject() -> None:
    row = extract(pdf_of([], []))
    assert (row["reason"], row["message"]) == ("no_text", "all 2 pages are blank")
    assert outcomes(row) == [(1, "blank", None), (2, "blank", None)]


AES = pymupdf.PDF_ENCRYPT_AES_256


@pytest.mark.parametrize("engine", ["pdfium", "pymupdf"])
def test_encryption_without_a_user_password_is_read(engine: str) -> None:
    row = extract(pdf_of(LONG, encryption=AES, owner_pw="secret", user_pw=""), engine=engine)
    assert row["text"].startswith("The miller of the village")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (pdf_of(LONG, encryption=AES, owner_pw="o", user_pw="u"), "encrypted"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 8, "broken_pdf"),
        (b"%PDF-1.4\n", "broken_pdf"),
        (b"no PDF at all", "broken_pdf"),
        (pdf_of(LONG).replace(b"/Count 1", b"/Count 900000"), "too_many_pages"),
    ],
)
def test_file_that_cannot_be_opened_is_a_reject_without_pages(payload: bytes, reason: str) -> None:
    row = extract(payload)
    assert (row["text"], row["reason"], row["pages"]) == (None, reason, None)
    assert row["message"]


def test_truncated_file_gives_the_pages_that_are_left() -> None:
    whole = pdf_of(LONG, column("A second page, which is cut off. " * 9, 60, 100, 80), deflate=0)
    at = whole.index(b"startxref")
    row = extract(whole[:at])
    assert outcomes(row) == [(1, "text", None), (2, "text", None)]
    assert row["text"].startswith("The miller of the village")


def test_junk_before_the_header_is_skipped() -> None:
    row = extract(b"HTTP/1.1 200 OK\r\n\r\n" + pdf_of(LONG))
    assert row["text"].startswith("The miller of the village")


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            (60, 60, "The Journal of Snow"),
            *column(f"{name} {PARAGRAPH}", 60, 100, 80),
            *column(f"And then {name} rested. " * 4, 60, 300, 80),
            (290, 800, str(number)),
        ]
        for number, name in enumerate(["Anna", "Boris", "Clara", "David"], start=17)
    ]
    text = extract(pdf_of(*pages))["text"]
    assert "Journal" not in text
    assert not any(str(number) in text for number in range(17, 21))
    assert [text.count(f"And then {name} rested.") for name in ("Anna", "David")] == [4, 4]


def test_hidden_text_of_another_ocr_is_kept_where_ours_is_off() -> None:
    with pymupdf.open(stream=scan_of(picture(PRINT)), filetype="pdf") as document:
        for x, y, text in column(PARAGRAPH, 20, 20, 60):
            document[0].insert_text((x, y), text, fontsize=8, render_mode=3)
        payload = document.tobytes()
    row = extract(payload, ocr="none")
    assert " ".join(row["text"].split()) == PARAGRAPH
    assert (row["kind"], row["model"]) == ("transcribed", None)
    assert outcomes(row) == [(1, "text", "invisible_text_layer")]


def test_unknown_engine_is_refused_before_work() -> None:
    settings = ExtractConfig(pdf=PdfConfig.model_construct(engine="ghostscript"))  # type: ignore[arg-type]
    record = Record(
        file="a", offset=0, length=1, outcome=ASKED, media_type="application/pdf", payload=b"%PDF-"
    )
    (batch,) = to_batches([record])
    with pytest.raises(ValueError, match="choose one of pdfium, pymupdf"):
        extract_records(batch, settings=settings)


def test_a_sheet_too_large_to_be_read_is_not_called_blank() -> None:
    pdf = pymupdf.open()
    page = pdf.new_page(width=8000, height=8000)
    page.draw_line((100, 100), (400, 100), width=4)
    found = read_scan(pdf.tobytes(), 1, PdfConfig())
    assert (found.outcome, found.reason) == ("rejected", "page_too_large")
