"""Pages, PDFs, office documents and texts that kill the library which reads them, in a whole run.

The libraries are real but for one function each, which dies of inputs that say so
(`deadly_libraries`): of a read at address 0, of `abort`, of a loop without end, and of memory until
there is none. They are so in all processes of the run, the worker included: were a record read
there, the run would end.
"""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pymupdf
import pytest
import yaml
from adversary import committed
from deadly_run import LIMITS
from poisons import DEADLY
from small_corpus import MIXTURE, TEXTS, write_corpus

from pipelines.extract.recount import recount_faults
from pipelines.shards.check import shard_faults
from pipelines.workspace.audit import audit
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.tracing import find_documents, find_rejects, ranges_of
from pipelines.workspace.workspace import Workspace

KINDS = ("html", "odt", "pdf")
# The PDF between the two others, which so are no chunk that hangs as a whole.
STUCK = {"html": "1.html", "pdf": "2.pdf", "odt": "3.odt"}
LONG = "So said the keeper of the harbour, who had wound the clock for thirty years and a day."
REASONS = {
    "segfault": ("crashed", "its process ended with exit code -11"),
    "abort": ("crashed", "its process ended with exit code -6"),
    "hang": ("timed_out", f"took longer than {LIMITS.batch_timeout_s:g}"),
    "memory": ("out_of_memory", f"needed more than {LIMITS.memory_bytes} bytes"),
}
# Like no other text: as the longer of two near copies it would stand for the other.
UNTOKENIZABLE = "poison: segfault — 부두의 시계는 십오 분 빠르지만 아무도 신경 쓰지 않는다."
# Jobs of a part, whose files tell whether anything else became of other records.
PARTS = ("extract", "annotate", "near", "duplicates")
SHARDS = ("bin", "idx", "map")


def page(text: str) -> bytes:
    return f"<html><body><article><p>{text}</p><p>{LONG}</p></article></body></html>".encode()


def office(text: str) -> bytes:
    content = (
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
        f"<text:p>{text}</text:p><text:p>{LONG}</text:p>"
        "</office:text></office:body></office:document-content>"
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/vnd.oasis.opendocument.text")
        archive.writestr(zipfile.ZipInfo("content.xml"), content)
    return target.getvalue()


def pdf(text: str) -> bytes:
    """A PDF, behind whose end a comment says the same."""
    with pymupdf.open() as document:
        sheet = document.new_page()
        sheet.insert_text((60, 80), text)
        sheet.insert_text((60, 100), LONG)
        data: bytes = document.tobytes(no_new_id=True)
    return data + b"\n% " + text.encode("ascii", "replace")


MAKERS = {"html": page, "odt": office, "pdf": pdf}


def write_inputs(folder: Path, *, is_deadly: bool) -> Path:
    """A corpus with good records of each kind, and the deadly ones or not; gives corpus.yaml."""
    written = write_corpus(folder, part_bytes=1 << 20)
    files, stuck = folder / "files", folder / "stuck"
    files.mkdir()
    stuck.mkdir()
    for kind, make in MAKERS.items():
        for name in ("en", "el", "ja") if kind != "pdf" else ("en",):
            (files / f"good-{name}.{kind}").write_bytes(make(f"{kind}: {TEXTS[name]}"))
        for way in DEADLY if is_deadly else ():
            place = stuck / STUCK[kind] if way == "hang" else files / f"poison-{way}.{kind}"
            place.write_bytes(make(f"poison: {way}"))
    (stuck / "good.pdf").write_bytes(pdf(TEXTS["en"]))
    lines = [*TEXTS.values(), *([UNTOKENIZABLE] if is_deadly else [])]
    (folder / "texts").mkdir()
    rows = "".join(json.dumps({"text": text}) + "\n" for text in lines)
    (folder / "texts" / "texts.jsonl").write_text(rows)
    corpus = yaml.safe_load(written.read_text())
    corpus["sources"] = [{"name": name, "path": name} for name in ("files", "stuck", "texts")]
    corpus["extract"] = {"html_engine": "trafilatura", "pdf": {"ocr": "none"}}
    mixture = {**MIXTURE, "stages": MIXTURE["stages"][:1]}
    (folder / "small.yaml").write_text(yaml.safe_dump(mixture))
    written.write_text(yaml.safe_dump(corpus))
    return written


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Workspace]:
    """Runs whose libraries die of poison: over deadly records as well, and without them."""
    here = Path(__file__).parent
    paths = [here / "deadly_libraries", here, *(here.parents[1] / n for n in (".", "tokenize"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = {}
    for is_deadly in (True, False):
        corpus = write_inputs(tmp_path_factory.mktemp("inputs"), is_deadly=is_deadly)
        url = str(corpus.parent / "w")
        command = [sys.executable, str(here / "deadly_run.py"), str(corpus), url]
        subprocess.run(command, env=environment, check=True)
        done[is_deadly] = Workspace.open(url)
    return done


def entries(workspace: Workspace, job: str, source: str | None = None) -> list[Entry]:
    names = [n for n in workspace.ledger.generations() if n.partition("@")[0] == job]
    return [entry for name in names for entry in workspace.ledger.entries(name, source)]


def rows(workspace: Workspace, job: str, kind: str) -> list[dict[str, Any]]:
    return [
        row
        for entry in entries(workspace, job)
        for ref in entry.files
        if ref.kind == kind
        for row in read_table(workspace.storage, ref).to_pylist()
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_deadly_record_is_rejected_with_its_reason(
    runs: dict[bool, Workspace], kind: str
) -> None:
    found = {
        row["locator"]["file"]: (row["reason"], row["message"])
        for row in rows(runs[True], "extract", "rejects")
    }
    for way, (reason, message) in REASONS.items():
        told = found[STUCK[kind] if way == "hang" else f"poison-{way}.{kind}"]
        assert told[0] == reason
        assert told[1].startswith(message)
    assert len(found) == len(KINDS) * len(DEADLY)
    assert rows(runs[False], "extract", "rejects") == []


def test_all_other_records_became_documents(runs: dict[bool, Workspace]) -> None:
    for is_deadly, workspace in runs.items():
        files = [row["locator"]["file"] for row in rows(workspace, "extract", "documents")]
        pages = [f"good-{name}.{kind}" for kind in ("html", "odt") for name in ("el", "en", "ja")]
        texts = ["texts.jsonl"] * (len(TEXTS) + is_deadly)
        assert sorted(files) == sorted([*pages, "good-en.pdf", "good.pdf", *texts])
        (entry,) = entries(workspace, "extract", "files")
        assert entry.counts["records"] == entry.counts["documents"] + entry.counts["rejects"]


def test_everything_else_is_byte_for_byte_as_without_the_records(
    runs: dict[bool, Workspace],
) -> None:
    made: dict[bool, dict[tuple[str, str, int, str], str]] = {}
    for is_deadly, workspace in runs.items():
        found = made.setdefault(is_deadly, {})
        for (name, source, part), files in committed(workspace.url).items():
            # A plan names what it was made of, so its name differs, and those of its shards.
            job = name.partition("@")[0]
            for kind, sha256 in files.items():
                of_part = job.partition(".")[0] in PARTS and source != "texts" and kind != "rejects"
                if of_part or kind in SHARDS:
                    found[job, source, part, kind] = sha256
    assert made[True] == made[False]
    assert {kind for *_, kind in made[True]} == {"documents", "labels", "pages", *SHARDS}
    assert {source for _, source, *_ in made[True]} == {"files", "stuck", "first"}


def test_text_that_kills_the_tokenizer_has_no_length_and_is_never_drawn(
    runs: dict[bool, Workspace],
) -> None:
    workspace = runs[True]
    (document,) = (
        row for row in rows(workspace, "extract", "documents") if row["text"] == UNTOKENIZABLE
    )
    (reject,) = rows(workspace, "annotate.length", "rejects")
    assert (reject["id"], reject["reason"], reject["message"]) == (
        document["id"],
        *REASONS["segfault"],
    )
    lengths = {row["id"]: row["num_tokens"] for row in rows(workspace, "annotate.length", "labels")}
    assert [id_ for id_, tokens in lengths.items() if tokens is None] == [document["id"]]
    assert list(ranges_of(workspace, document["id"])) == []
    tallied = [entry for entry in entries(workspace, "tally.small", "texts")]
    assert sum(entry.counts["judged"] - entry.counts["tallied"] for entry in tallied) == 1


def test_trace_knows_deadly_records_and_documents(runs: dict[bool, Workspace]) -> None:
    for kind in KINDS:
        ((_, row),) = find_rejects(runs[True], f"poison-abort.{kind}")
        assert (row["reason"], row["message"]) == REASONS["abort"]
    assert len(find_documents(runs[True], "good-ja.odt")) == 1


def test_ledger_balances_and_nothing_is_at_fault(runs: dict[bool, Workspace]) -> None:
    report = audit(runs[True], deep_checks={"extract": recount_faults, "shards": shard_faults})
    assert report.faults == []
    assert report.totals["extract"]["rejects"] == len(KINDS) * len(DEADLY)
    assert report.totals["annotate.length"]["failed"] == 1
