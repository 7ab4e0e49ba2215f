import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from pdf_files import PARAGRAPH, column, pdf_of, picture, scan_of

from pipelines.config import PdfConfig
from pipelines.extract.document_peers import PEERS, Peer, missing
from pipelines.extract.documents_evaluation import (
    DocumentsEvaluation,
    evaluate_documents,
    render_documents,
)
from pipelines.extract.page_tests import edits, edits_at_ends, passes
from pipelines.extract.router_evaluation import read_key, render_router, score_router

PAGE = """# The **Title** of it

“Quoted” text runs on
over lines – here.

|Name|Size|Share|
|---|---|---|
|alpha|12|0.5|
|beta|7|0.25|

Last line 42"""


@pytest.mark.parametrize(
    ("test", "is_passed"),
    [
        ({"type": "present", "text": 'The Title of it "Quoted" text'}, True),
        ({"type": "present", "text": "runs on over lines - here."}, True),
        ({"type": "present", "text": "the title"}, False),
        ({"type": "present", "text": "the title", "case_sensitive": False}, True),
        ({"type": "present", "text": "Qoted text ran on", "max_diffs": 4}, True),
        ({"type": "present", "text": "Qoted text ran on", "max_diffs": 3}, False),
        ({"type": "absent", "text": "42"}, False),
        ({"type": "absent", "text": "42", "first_n": 20}, True),
        ({"type": "absent", "text": "42", "last_n": 5}, False),
        ({"type": "absent", "text": "43"}, True),
        ({"type": "order", "before": "Quoted", "after": "Last line"}, True),
        ({"type": "order", "before": "Last line", "after": "Quoted"}, False),
        ({"type": "order", "before": "Quoted", "after": "absent"}, False),
        ({"type": "table", "cell": "7", "up": "12", "left": "beta", "right": "0.25"}, True),
        ({"type": "table", "cell": "7", "down": "12"}, False),
        ({"type": "table", "cell": "7", "top_heading": "Size", "left_heading": "beta"}, True),
        ({"type": "table", "cell": "7", "top_heading": "Share"}, False),
        ({"type": "table", "cell": "gamma"}, False),
    ],
)
def test_page_tests_follow_the_rules_of_the_bench(test: dict[str, object], is_passed: bool) -> None:
    assert passes(test, PAGE) == is_passed


def slow_edits(one: str, two: str) -> int:
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, start=1):
        before, row = row, [i]
        for j, b in enumerate(two, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def test_edits_are_those_of_the_textbook() -> None:
    chance = np.random.default_rng(0)
    for _ in range(50):
        one, two = ("".join(chance.choice(list("abc"), chance.integers(0, 9))) for _ in range(2))
        assert edits(one, two) == slow_edits(one, two)
        best = [min(slow_edits(one, two[i:j]) for i in range(j + 1)) for j in range(len(two) + 1)]
        assert edits_at_ends(one, two).tolist() == best


def test_evaluation_of_pages_whose_text_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    pdfs, scans = folder / "olmocr/bench/sample_data/pdfs", folder / "tesseract-test"
    pdfs.mkdir(parents=True)
    scans.mkdir()
    (pdfs / "a.pdf").write_bytes(pdf_of(column(PARAGRAPH, 60, 100, 80)))
    tests = [
        {"pdf": "a.pdf", "page": 1, "type": "present", "text": "two horses"},
        {"pdf": "a.pdf", "page": 1, "type": "absent", "text": "three horses"},
        {"pdf": "a.pdf", "page": 1, "type": "order", "before": "snow", "after": "miller"},
        {"pdf": "a.pdf", "page": 1, "type": "math", "math": "x^2"},
    ]
    lines = "\n".join(json.dumps(test) for test in tests)
    (folder / "olmocr_bench_tests.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    sheet = picture(["This is a lot of text."])
    for name in ("phototest.tif", "phototest-rotated-180.png", "phototest-rotated-L.png"):
        sheet.save(scans / name)
    sheet.save(scans / "eurotext.tif")
    sheet.save(scans / "8087_054.3B.tif")
    for name in ("phototest.gold.txt", "eurotext.txt", "8087_054.3B.txt"):
        (scans / name).write_text("This is a lot of text.\n")
    inspector = [peer for peer in PEERS if peer.name == "pdf-inspector"]
    found = evaluate_documents(tmp_path, ["pdfium", "pymupdf"], sample=1, peers=inspector)
    assert [(s.pages_of, s.engine, s.num_pages, s.num_rejected) for s in found.scores] == [
        ("olmocr", "tokenmill (pdfium), no OCR", 1, 0),
        ("olmocr", "tokenmill (pdfium)", 1, 0),
        ("olmocr", "tokenmill (pymupdf), no OCR", 1, 0),
        ("olmocr", "tokenmill (pymupdf)", 1, 0),
        ("olmocr", "pdf-inspector", 1, 0),
        ("redrawn", "rapidocr", 1, 0),
        ("scans", "rapidocr", 1, 0),
    ]
    passed = {"present": (1, 1), "absent": (1, 1), "order": (0, 1), "table": (0, 0)}
    assert [s.passed for s in found.scores[:5]] == [passed] * 5
    errors = [(s.word_f1, s.character_error_rate) for s in found.scores[5:]]
    assert errors == [(1.0, None), (1.0, 0.0)]
    assert found.router == []
    table = render_documents(found).split("\n")
    assert [line.split()[-6:-2] for line in table[1:3]] == [["0/0", "2/3", "-", "-"]] * 2


def test_reader_that_is_not_installed_is_named() -> None:
    absent = Peer(name="no-such-reader", read=lambda payload, number: "")
    assert absent.version is None
    found = DocumentsEvaluation(scores=[], router=[], not_installed=dict(missing([absent])))
    assert "no-such-reader is not installed and not measured: pip install no-such-reader" in (
        render_documents(found)
    )


def test_router_is_scored_against_the_key(tmp_path: Path) -> None:
    key = {one.key: one for one in read_key() if one.page == 1}
    payloads = {
        "text": pdf_of(column(PARAGRAPH, 60, 100, 80)),
        "ocr": scan_of(picture(["This is a lot of text."])),
        "blank": pdf_of([]),
    }
    for name, payload in payloads.items():
        path = tmp_path / key[name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    whole = score_router(tmp_path, PdfConfig())[-1]
    assert whole.decided == {("text", "text"): 1, ("ocr", "picture"): 1, ("blank", "blank"): 1}
    assert whole.ended == {("text", "text"): 1, ("ocr", "ocr"): 1, ("blank", "blank"): 1}
    assert (whole.num_right, whole.num_pages, whole.by_inspector) == (3, 3, (1, 0, 0, 1))
    wrong = tmp_path / key["blank"].file
    wrong.write_bytes(payloads["text"])
    again = score_router(tmp_path, PdfConfig(ocr="none"))[-1]
    assert again.decided["blank", "text"] == 1
    assert again.ended == {}
    assert "key: blank" in render_router([whole, again])


def test_evaluation_without_data_or_with_a_wrong_engine_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the folder that holds documents/"):
        evaluate_documents(tmp_path, ["pdfium"])
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/olmocr_bench_tests.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match="choose one of pdfium, pymupdf"):
        evaluate_documents(tmp_path, ["marker"])
