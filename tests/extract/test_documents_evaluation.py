import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from pdf_files import PARAGRAPH, column, pdf_of, picture

from pipelines.extract.documents_evaluation import evaluate_documents, render_documents
from pipelines.extract.page_tests import edits, edits_at_ends, passes

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
    scores = evaluate_documents(tmp_path, ["pdf-inspector", "pymupdf"], sample=1)
    assert [(s.pages_of, s.engine, s.num_pages, s.num_rejected) for s in scores] == [
        ("olmocr", "pdf-inspector", 1, 0),
        ("olmocr", "pymupdf", 1, 0),
        ("redrawn", "rapidocr", 1, 0),
        ("scans", "rapidocr", 1, 0),
    ]
    passed = {"present": (1, 1), "absent": (1, 1), "order": (0, 1), "table": (0, 0)}
    assert [s.passed for s in scores[:2]] == [passed, passed]
    assert [(s.word_f1, s.character_error_rate) for s in scores[2:]] == [(1.0, None), (1.0, 0.0)]
    assert len(render_documents(scores).split("\n")) == 5


def test_evaluation_without_data_or_with_a_wrong_engine_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the folder that holds documents/"):
        evaluate_documents(tmp_path, ["pdf-inspector"])
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/olmocr_bench_tests.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match="choose one of pdf-inspector, pymupdf"):
        evaluate_documents(tmp_path, ["marker"])
