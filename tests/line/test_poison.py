"""Documents that kill whoever reads them: each costs itself, whatever way it kills.

The ways are real: a read at address 0, `abort`, a loop without end, and memory until there is none;
all of an annotator of one's own, and the first also of an engine that reads pictures.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from adversary import committed
from PIL import Image, ImageDraw
from poisons import DEADLY
from small_corpus import MIXTURE, TEXTS, write_corpus

from pipelines.config import load_corpus
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.extract.recount import recount_faults
from pipelines.progress import Progress
from pipelines.shards.check import shard_faults
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Limits
from pipelines.workspace.parts import read_table

SOURCES = ("poisoned", "stuck", "pictures")
POISON = {way: f"poison: {way} — {TEXTS['el']} {way}" for way in DEADLY}
REASONS = {
    "segfault": ("crashed", "its process ended with exit code -11"),
    "abort": ("crashed", "its process ended with exit code -6"),
    "hang": ("timed_out", "took longer than 12 s"),
    "memory": ("out_of_memory", f"needed more than {2 << 30} bytes"),
}
PARTS = ("extract", "annotate", "near", "duplicates", "validation")
SHARDS = ("bin", "idx")
# Time for a child to start on a busy machine; what hangs stands alone, so it is waited for twice.
LIMITS = Limits(processes=1, batch_timeout_s=12, record_timeout_s=0, memory_bytes=2 << 30)


def run(folder: Path, *, deadly: bool) -> RunResult:
    """A run over the same inputs, with an annotator that dies of poison, or does not."""
    corpus = load_corpus(folder / f"deadly-{deadly}.yaml")
    options = RunOptions(workspace=str(folder / f"w-{deadly}"), limits=LIMITS, beam_args=())
    return run_corpus(corpus, options, Progress())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, RunResult]:
    folder = tmp_path_factory.mktemp("poison")
    written = write_corpus(folder, part_bytes=1 << 20)
    lines = [POISON["segfault"], *TEXTS.values(), POISON["abort"], POISON["memory"]]
    for name, texts in {"poisoned": lines, "stuck": [POISON["hang"]]}.items():
        (folder / name).mkdir()
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / name / "texts.jsonl").write_text(rows)
    (folder / "pictures").mkdir()
    for name, colour in {"blue": (40, 40, 200), "red": (200, 40, 40), "white": (250,) * 3}.items():
        picture = Image.new("RGB", (400, 300), colour)
        for line in range(20, 280, 20):  # else it is blank, which no engine is asked about
            ImageDraw.Draw(picture).text((20, line), "A harbour and its clock " * 2, "black")
        picture.save(folder / "pictures" / f"{name}.png")
    corpus = yaml.safe_load(written.read_text())
    corpus["sources"] = [{"name": name, "path": name} for name in SOURCES]
    mixture = {**MIXTURE, "stages": MIXTURE["stages"][:1]}  # the other is of languages
    (folder / "small.yaml").write_text(yaml.safe_dump(mixture))
    corpus["extract"] = {"pdf": {"ocr": "poisons:RedKills"}}
    for deadly in (True, False):
        corpus["annotators"] = [{"poisons:letters": {"deadly": deadly}}]
        (folder / f"deadly-{deadly}.yaml").write_text(yaml.safe_dump(corpus))
    return {deadly: run(folder, deadly=deadly) for deadly in (True, False)}


def rows(result: RunResult, source: str, job: str, kind: str) -> list[dict[str, Any]]:
    """Rows of one kind of file of a job over a source."""
    ledger, storage = result.workspace.ledger, result.workspace.storage
    return [
        row
        for name in ledger.generations()
        if name.partition("@")[0] == job
        for entry in ledger.entries(name, source)
        for ref in entry.files
        if ref.kind == kind
        for row in read_table(storage, ref).to_pylist()
    ]


def test_poison_of_an_annotator_is_named_with_its_reason(runs: dict[bool, RunResult]) -> None:
    found = {}
    for source in ("poisoned", "stuck"):
        texts = {row["id"]: row["text"] for row in rows(runs[True], source, "extract", "documents")}
        for reject in rows(runs[True], source, "annotate.letters", "rejects"):
            found[texts[reject["id"]]] = (reject["reason"], reject["message"])
    assert found == {POISON[way]: REASONS[way] for way in DEADLY}
    assert not rows(runs[True], "pictures", "annotate.letters", "rejects")


def test_poison_loses_its_own_label_and_no_other(runs: dict[bool, RunResult]) -> None:
    for source in SOURCES:
        documents = rows(runs[True], source, "extract", "documents")
        given = rows(runs[True], source, "annotate.letters", "labels")
        wanted = [sum(map(str.isalpha, row["text"])) for row in documents]
        for number, row in enumerate(documents):
            if row["text"] in POISON.values():
                wanted[number] = None
        assert [row["id"] for row in given] == [row["id"] for row in documents]
        assert [row["num_letters"] for row in given] == wanted


def test_all_that_does_not_die_is_as_without_poison(runs: dict[bool, RunResult]) -> None:
    made = {
        deadly: {
            # A plan names the labels sets that it was made of, so its name differs, and its file.
            (name if job in PARTS else job, source, part, kind): sha256
            for (name, source, part), files in committed(result.workspace.url).items()
            for job in (name.partition("@")[0].partition(".")[0],)
            for kind, sha256 in files.items()
            if not name.startswith("annotate.letters@") and (job in PARTS or kind in SHARDS)
        }
        for deadly, result in runs.items()
    }
    assert made[True] == made[False]
    assert {kind for *_, kind in made[True]} >= {"documents", "labels", "rejects", *SHARDS}


def test_picture_that_kills_the_engine_is_rejected(runs: dict[bool, RunResult]) -> None:
    (reject,) = rows(runs[True], "pictures", "extract", "rejects")
    assert reject["locator"]["file"] == "red.png"
    (page,) = rows(runs[True], "pictures", "extract", "page_rejects")
    assert (page["id"], page["reason"]) == (reject["id"], "crashed")
    documents = rows(runs[True], "pictures", "extract", "documents")
    assert [row["locator"]["file"] for row in documents] == ["blue.png", "white.png"]


def test_ledger_balances_and_nothing_is_at_fault(runs: dict[bool, RunResult]) -> None:
    report = audit(
        runs[True].workspace,
        deep_checks={"extract": recount_faults, "shards": shard_faults},
    )
    assert report.faults == []
    assert report.totals["annotate.letters"]["failed"] == len(DEADLY)
    assert report.totals["annotate.letters"]["documents"] == report.totals["extract"]["documents"]
