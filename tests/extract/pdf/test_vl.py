"""Pages read by a model through the job: documents, rows of pages, ledger, faults, a kill."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pymupdf
import pytest
from pdf_files import PARAGRAPH, column, joined, pdf_of, picture, scan_of
from PIL import Image
from vl_runs import (
    KEY,
    one_child,
    prepared,
    read,
    reader_at,
    rows,
    saved,
    serving,
    sheet,
    texts,
    told,
)

from pipelines.config import ExtractConfig, PdfConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.pdf import vl_echo, vl_stream
from pipelines.extract.pdf.vl_answer import PROMPT_HASH
from pipelines.models.client import EndpointError
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.workspace.children import Children
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import PAGES, VL_PAGES
from pipelines.workspace.workspace import Workspace

BRIEF = {"temperatures": [0.1, 0.5], "fallback": "none", "max_failed": 1}
SIGNS = ("file", "page", "outcome", "reason", "verdict", "tries", "rotation", "language")


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = one_child()
    yield made
    made.close()


def ways(pages: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [tuple(page[name] for name in SIGNS) for page in pages]


TURNED = sheet(1, "red").transpose(Image.Transpose.ROTATE_90)
FILES = {
    "a.png": saved(sheet(0), kind="PNG"),
    "b.tiff": saved(sheet(1), TURNED, Image.new("L", (200, 300), 255), sheet(2, "lime")),
    "c.pdf": joined(pdf_of(column(PARAGRAPH * 2, 60, 100, 80)), scan_of(sheet(3)), pdf_of([])),
    "d.txt": b"A text between the papers, about the weather.",
}


def test_every_page_is_read_once_it_stands_upright(tmp_path: Path, children: Children) -> None:
    with serving() as (_, url):
        workspace, entry = read(prepared(tmp_path, FILES), children, reader_at(url))
    found = texts(workspace, entry)
    upright = sheet(1, "red")
    assert found["a.png"] == told(sheet(0))
    assert found["b.tiff"] == "\n\n".join(map(told, [sheet(1), upright, sheet(2, "lime")]))
    assert found["c.pdf"].startswith("The miller of the village kept two horses")
    assert found["c.pdf"].endswith("| width | 400 |\n| height | 600 |")
    assert found["d.txt"] == FILES["d.txt"].decode()
    table = read_table(workspace.storage, entry.file("pages"))
    assert table.schema.equals(VL_PAGES)
    assert ways(table.to_pylist()) == [
        ("a.png", 1, "ocr", None, "ok", 1, 0, "en"),
        ("b.tiff", 1, "ocr", None, "ok", 1, 0, "en"),
        ("b.tiff", 2, "ocr", None, "rotated", 2, 90, "en"),
        ("b.tiff", 3, "blank", None, None, None, None, None),
        ("b.tiff", 4, "ocr", None, "ok", 4, 0, "en"),
        ("c.pdf", 1, "text", None, None, None, None, None),
        ("c.pdf", 2, "ocr", None, "ok", 1, 0, "en"),
        ("c.pdf", 3, "blank", None, None, None, None, None),
    ]


def test_documents_and_ledger_say_who_read(tmp_path: Path, children: Children) -> None:
    price = {"completion": 2.0, "currency": "EUR"}
    with serving() as (server, url):
        model = reader_at(url, price=price)
        workspace, entry = read(prepared(tmp_path, FILES), children, model)
        asked = server.answered
    documents = {row["locator"]["file"]: row for row in rows(workspace, entry, "documents")}
    assert documents["d.txt"]["provenance"]["kind"] == "natural"
    scan, mixed = documents["b.tiff"], documents["c.pdf"]
    assert scan["locator"]["pages"] == [1, 2, 4]
    assert scan["extractor"].startswith("pillow/")
    assert [one["extractor"].split("+")[-1] for one in (scan, mixed)] == ["reader-1", "reader-1"]
    for one in (scan, mixed):
        provenance = one["provenance"]
        assert provenance["kind"] == "transcribed"
        assert provenance["model"] == "reader-1"
        assert provenance["prompt_hash"] == PROMPT_HASH
        assert '"temperatures":[0.1,0.1,0.2,0.3,0.5,0.8,0.9,1.0]' in provenance["sampling"]
        assert provenance["depth"] == 0
    assert dict(scan["meta"])["ocr_language"] == "en"
    assert {name: entry.counts[name] for name in entry.counts if name.startswith("pages")} == {
        "pages": 8,
        "pages_text": 1,
        "pages_ocr": 5,
        "pages_blank": 2,
        "pages_rejected": 0,
    }
    detail = entry.detail
    assert detail["vl"]["verdicts"] == {"ok": 4, "rotated": 1}
    assert detail["vl"]["tries"] == detail["usage"]["requests"] == asked == 9
    assert (detail["vl"]["accepted"], detail["vl"]["rejected"]) == (5, 0)
    assert 0 < detail["vl"]["accepted_tokens"] < detail["usage"]["completion_tokens"]
    assert detail["price"]["currency"] == "EUR"
    assert detail["model"] == "reader-1"


def wants(degrees: int, request: EchoRequest) -> EchoAnswer | None:
    """As the echo server, but for a model that wants one turn whatever is wrong."""
    answer = vl_echo.answer(request)
    assert answer is not None
    if "is_rotation_valid: true" in answer.text:
        return answer
    return EchoAnswer(f"is_rotation_valid: false\nrotation_correction: {degrees}\n\nUpside down")


@pytest.mark.parametrize(
    ("degrees", "verdict", "tries", "rotation", "pictures"),
    [(90, "rotated", 4, 270, 4), (180, "failed", 8, 180, 2)],
)
def test_turns_add_up_and_each_is_taken_once(
    tmp_path: Path,
    children: Children,
    degrees: int,
    verdict: str,
    tries: int,
    rotation: int,
    pictures: int,
) -> None:
    page = sheet(1, "red").transpose(Image.Transpose.ROTATE_270)
    seen = []

    def rule(request: EchoRequest) -> EchoAnswer | None:
        seen.append(request.images[0])
        return wants(degrees, request)

    prepared(tmp_path, {"a.png": saved(page, kind="PNG")})
    with serving(rules=[rule]) as (_, url):
        alone = {"fallback": "none", "max_failed": 1}
        workspace, entry = read(tmp_path, children, reader_at(url), vl=alone)
    (row,) = rows(workspace, entry, "pages")
    assert (row["verdict"], row["tries"], row["rotation"]) == (verdict, tries, rotation)
    assert (len(seen), len(set(seen))) == (tries, pictures)
    if verdict == "rotated":
        assert texts(workspace, entry) == {"a.png": told(sheet(1, "red"))}
    else:
        (reject,) = rows(workspace, entry, "page_rejects")
        assert reject["message"].endswith("the last: the model wants it turned by 180 degrees")


PRINT = ["The ferry left at seven", "and came back at noon."]


def printed(mark: str) -> Image.Image:
    """A page that RapidOCR can read, with a mark."""
    page = picture(PRINT).convert("RGB")
    page.paste(Image.new("RGB", (20, 20), mark), (8, 8))
    return page


def layered(mark: str) -> bytes:
    """A scan with the invisible text of somebody's OCR below it."""
    with pymupdf.open(stream=scan_of(sheet(5, mark)), filetype="pdf") as scan:
        for x, y, line in column(PARAGRAPH, 10, 20, 30):
            scan[0].insert_text((x, y), line, fontsize=6, render_mode=3)
        data: bytes = scan.tobytes()
    return data


def test_what_the_model_cannot_read_goes_to_the_fallback(
    tmp_path: Path, children: Children
) -> None:
    """Blue: it refuses. RapidOCR reads print; the layer of an old OCR is better than nothing."""
    files = {"a.png": saved(printed("blue"), kind="PNG"), "b.pdf": layered("blue")}
    with serving() as (_, url):
        model = reader_at(url)
        prepared(tmp_path, files)
        vl = {"max_failed": 1, "temperatures": [0.1, 0.5]}
        workspace, entry = read(tmp_path, children, model, vl=vl)
        found = texts(workspace, entry)
        assert found["a.png"] == " ".join(PRINT)
        assert " ".join(found["b.pdf"].split()).startswith("The miller of the village kept two")
        first, second = rows(workspace, entry, "pages")
        assert ways([first]) == [("a.png", 1, "ocr", "vl_refused", "refused", 2, 0, None)]
        assert first["reader"].startswith("rapidocr/")
        assert ways([second]) == [
            ("b.pdf", 1, "text", "invisible_text_layer", "refused", 2, 0, None)
        ]
        by_file = {row["locator"]["file"]: row for row in rows(workspace, entry, "documents")}
        assert by_file["a.png"]["provenance"]["model"].startswith("rapidocr/")
        assert by_file["a.png"]["provenance"]["prompt_hash"] is None

        vl["fallback"] = "text_layer"
        workspace, entry = read(tmp_path, children, model, vl=vl)
        assert list(texts(workspace, entry)) == ["b.pdf"]
        (reject,) = rows(workspace, entry, "rejects")
        assert (reject["locator"]["file"], reject["reason"]) == ("a.png", "no_good_page")

        vl["fallback"] = "none"
        workspace, entry = read(tmp_path, children, model, vl=vl)
        assert texts(workspace, entry) == {}
        assert entry.detail["rejects"] == {"no_good_page": 2}
        assert entry.detail["page_rejects"] == {"vl_refused": 2}
        # Every run after the first was answered by the journal.
        assert entry.detail["usage"]["from_journal"] == entry.detail["usage"]["requests"] == 4


def test_a_document_with_too_many_failed_pages_is_dropped(
    tmp_path: Path, children: Children
) -> None:
    good = [sheet(number) for number in range(3)]
    files = {
        "a.tiff": saved(*good, printed("blue")),
        "b.tiff": saved(*good),
        "c.tiff": saved(*good, Image.new("L", (200, 300), 255), sheet(1, "yellow")),
    }
    with serving() as (_, url):
        prepared(tmp_path, files)
        vl = {"temperatures": [0.1], "max_failed": "24%"}
        workspace, entry = read(tmp_path, children, reader_at(url), vl=vl)
        assert list(texts(workspace, entry)) == ["b.tiff"]
        assert entry.detail["rejects"] == {"too_many_failed_pages": 2}
        messages = [row["message"] for row in rows(workspace, entry, "rejects")]
        assert messages[0] == (
            "the model could not read 1 of 4 pages (refused 1); extract.pdf.vl.max_failed is 24.00%"
        )
        assert entry.counts["pages"] == 12
        assert entry.detail["vl"]["accepted"] == 9
        kept = entry.detail["vl"]["accepted_tokens"]

        vl["max_failed"] = "25%"
        workspace, entry = read(tmp_path, children, reader_at(url), vl=vl)
        assert list(texts(workspace, entry)) == ["a.tiff", "b.tiff", "c.tiff"]
        assert texts(workspace, entry)["a.tiff"].endswith(" ".join(PRINT))
        # The three good pages are the same in all three documents; they were written once.
        assert 0 < entry.detail["vl"]["accepted_tokens"] == kept


@pytest.mark.parametrize(
    ("fault", "verdict", "tries"),
    [
        ("endless", "truncated", 2),
        ("garbage", "failed", 2),
        ("half_json", "failed", 2),
        ("nothing", "failed", 2),
        ("refusal", "refused", 2),
        ("image_refused", "failed", 1),
        ("context_overflow", "failed", 1),
    ],
)
def test_a_model_that_fails_costs_its_pages_alone(
    tmp_path: Path, children: Children, fault: str, verdict: str, tries: int
) -> None:
    files = {"a.tiff": saved(sheet(1), sheet(2)), "b.txt": b"A text of its own, about the sea."}
    with serving(fault) as (_, url):
        prepared(tmp_path, files)
        workspace, entry = read(tmp_path, children, reader_at(url), vl=BRIEF)
    assert list(texts(workspace, entry)) == ["b.txt"]
    reason = f"vl_{verdict}"
    assert ways(rows(workspace, entry, "pages")) == [
        ("a.tiff", page, "rejected", reason, verdict, tries, 0, None) for page in (1, 2)
    ]
    assert entry.detail["rejects"] == {"no_good_page": 1}
    messages = [row["message"] for row in rows(workspace, entry, "page_rejects")]
    assert all(message.startswith(f"{tries} tries: {verdict} {tries}") for message in messages)


def test_a_server_that_fails_now_and_then_changes_nothing(
    tmp_path: Path, children: Children
) -> None:
    files = {"a.tiff": saved(*(sheet(number) for number in range(6)))}
    made = []
    for faults in ("", "http_500:0.3,closes:0.1"):
        with serving(faults) as (server, url):
            folder = prepared(tmp_path / f"with {faults}", files)
            workspace, entry = read(folder, children, reader_at(url))
            made.append([rows(workspace, entry, kind) for kind in ("documents", "pages")])
            asked = server.answered
    assert made[0] == made[1]
    assert asked > 6


def test_a_model_that_cannot_be_asked_ends_the_run(tmp_path: Path, children: Children) -> None:
    folder = prepared(tmp_path, {"a.tiff": saved(sheet(1), sheet(2))})
    with serving() as (_, url):
        with pytest.raises(EndpointError, match="404"):
            read(folder, children, reader_at(f"{url}/elsewhere"))
        assert not list((folder / "w").glob("ledger/*/papers/*"))
        assert not list((folder / "w").glob("documents/*/*"))
        workspace, entry = read(folder, children, reader_at(url))
    assert texts(workspace, entry) == {"a.tiff": "\n\n".join(map(told, [sheet(1), sheet(2)]))}


def test_a_killed_run_pays_for_no_page_twice(tmp_path: Path, children: Children) -> None:
    frames = [sheet(number) for number in range(5)]
    folder = prepared(tmp_path, {"a.tiff": saved(*frames)})
    reached, killed = threading.Event(), threading.Event()
    asked: list[int] = []

    def slow_third(request: EchoRequest) -> EchoAnswer | None:
        asked.append(len(asked))
        if len(asked) == 3:
            reached.set()
            killed.wait()
        return vl_echo.answer(request)

    with serving(rules=[slow_third]) as (_, url):
        script = str(Path(__file__).parents[1] / "vl_runs.py")
        paths = [str(Path(__file__).parents[3]), str(Path(__file__).parents[1])]
        process = subprocess.Popen(
            [sys.executable, script, str(folder), url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        assert reached.wait(120)
        os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.wait()
        killed.set()
        workspace, entry = read(folder, children, reader_at(url))
        assert texts(workspace, entry)["a.tiff"] == "\n\n".join(map(told, frames))
        usage = entry.detail["usage"]
        assert (usage["requests"], usage["from_journal"]) == (5, 2)
        assert len(asked) == 3 + 3
    with serving() as (_, url):
        fresh = prepared(tmp_path / "fresh", {"a.tiff": saved(*frames)})
        other, whole = read(fresh, children, reader_at(url))
        for kind in ("documents", "pages"):
            assert rows(workspace, entry, kind) == rows(other, whole, kind)


def test_files_are_read_in_groups_and_pages_drawn_together(
    tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pages a call draws, and however few files may wait, the order is kept."""
    files = {
        "a.tiff": saved(*(sheet(number) for number in range(9))),
        "b.txt": b"A text of its own, about the sea.",
        "c.tiff": saved(sheet(3), Image.new("L", (200, 300), 255), sheet(2)),
        "d.png": saved(sheet(8), kind="PNG"),
    }
    prepared(tmp_path, files)
    expected = {
        "a.tiff": "\n\n".join(told(sheet(number)) for number in range(9)),
        "b.txt": files["b.txt"].decode(),
        "c.tiff": f"{told(sheet(3))}\n\n{told(sheet(2))}",
        "d.png": told(sheet(8)),
    }
    with serving() as (_, url):
        for i, name in enumerate(["_WINDOW", "_PAGES_A_CALL", "_MAX_FILE_BYTES"]):
            monkeypatch.setattr(vl_stream, name, 1)
            other = {"fallback": "none", "max_failed": i / 10}  # another generation
            workspace, entry = read(tmp_path, children, reader_at(url, in_flight=2), vl=other)
            assert texts(workspace, entry) == expected
            assert list(texts(workspace, entry)) == list(expected)
    assert entry.detail["usage"]["from_journal"] == 12


def test_generations_know_the_model_and_not_where_it_runs() -> None:
    source = SourceConfig(name=KEY.source, path="x")

    def generation(model: str = "org/reader-1", **pdf: object) -> str:
        asked = {"ocr": "vl", "ocr_model": "reader", **pdf}
        settings = ExtractConfig(pdf=PdfConfig.model_validate(asked))
        return ExtractJob(source, settings, reader_at("http://x/v1", model=model)).generation.fp

    one = generation()
    assert generation(ocr_model="other name") == one
    others = [
        generation("org/reader-2"),
        generation(vl={"max_tokens": 4000}),
        generation(vl={"fallback": "none"}),
        ExtractJob(source, ExtractConfig()).generation.fp,
    ]
    assert len({one, *others}) == 5
    plain = ExtractJob(source, ExtractConfig()).generation.payload["settings"]["pdf"]
    assert not {"vl", "ocr_model"} & set(plain)


def test_a_job_without_its_model_is_refused() -> None:
    source = SourceConfig(name=KEY.source, path="x")
    settings = ExtractConfig(pdf=PdfConfig(ocr="vl", ocr_model="reader"))
    with pytest.raises(ValueError, match=r"ocr is vl and the model given is None"):
        ExtractJob(source, settings)
    with pytest.raises(ValueError, match=r"ocr is rapidocr and the model given is reader-1"):
        ExtractJob(source, ExtractConfig(), reader_at("http://x/v1"))
    with pytest.raises(ValueError, match=r"max_tokens: found 8000; the model takes 4096 tokens"):
        ExtractJob(source, settings, reader_at("http://x/v1", max_model_len=4096))
    with pytest.raises(ValueError, match="belong together"):
        PdfConfig(ocr="vl")


def test_other_engines_write_the_pages_that_they_always_wrote(
    tmp_path: Path, children: Children
) -> None:
    folder = prepared(tmp_path, {"a.png": saved(sheet(1), kind="PNG")})
    workspace = Workspace.create(str(folder / "w"))
    source = SourceConfig(name=KEY.source, path=str(folder / "inputs"))
    job = ExtractJob(source, ExtractConfig(pdf=PdfConfig(ocr="none")))
    workspace.ledger.declare(job.generation)
    job.run(workspace, KEY, children)
    entry = workspace.ledger.get(job.generation, KEY.source, KEY.part)
    assert read_table(workspace.storage, entry.file("pages")).schema.equals(PAGES)
    assert "vl" not in entry.detail
