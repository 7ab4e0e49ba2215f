"""Erasing, end to end: nothing of what was forgotten is left, and nothing else has changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
import typer
from planted import HOST, PATH_WORD, PLANTED, SECRET, found_in, run_planted, write_corpus
from typer.testing import CliRunner

from pipelines.commands import audit, erase, forget, tracing
from pipelines.driver import RunResult
from pipelines.erasure.rows import EXTRACTOR
from pipelines.erasure.swap import PLAN
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

KILLER = Path(__file__).with_name("killed_erasures.py")


def invoke(*words: str) -> str:
    app = typer.Typer()
    for module in (audit, erase, forget, tracing):
        module.register(app)
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def made(corpus: Path) -> RunResult:
    return run_planted(corpus, str(corpus.parent / "w"))


@pytest.fixture(scope="module")
def forgotten(made: RunResult, corpus: Path) -> Path:
    """A copy of the workspace in which all that was planted is forgotten."""
    copy = corpus.parent / "forgotten"
    shutil.copytree(corpus.parent / "w", copy)
    id_ = id_of(made.workspace, "notes", PLANTED["ar"])
    told = invoke(
        "forget", "--url", SECRET, "--url", f"https://other.example/{PATH_WORD}", "--id", id_,
        "--with-copies", "--workspace", str(copy), "--reason", "a letter", "--json",
    )  # fmt: skip
    # The page under another address that says the same, and nothing else, is a copy.
    assert json.loads(told)["copies"] == []
    mirror = id_of(made.workspace, "site", PLANTED["en"], f"http://{HOST}/mirror.html")
    assert {id_, mirror} <= {*json.loads(told)["added"]["ids"]}
    assert sum(held["tokens"] for held in json.loads(told)["shards"]) > 100
    return copy


def entries(workspace: Workspace) -> dict[tuple[str, str, int], Entry]:
    ledger = workspace.ledger
    names = ledger.generations()
    return {(name, e.source, e.part): e for name in names for e in ledger.entries(name)}


def id_of(workspace: Workspace, source: str, text: str, uri: str | None = None) -> str:
    """The document that holds a text, by the ledger."""
    for entry in entries(workspace).values():
        if entry.job == "extract" and entry.source == source:
            table = read_table(workspace.storage, entry.file("documents"))
            for row in table.to_pylist():
                if text in row["text"] and uri in (None, row["uri"]):
                    return str(row["id"].hex())
    raise AssertionError(f"no document holds {text}")


def test_what_is_planted_stands_in_all_that_is_searched(made: RunResult, corpus: Path) -> None:
    found = {name: found_in(corpus.parent / "w", text) for name, text in PLANTED.items()}
    for name, files in found.items():
        assert {"documents", "shards"} <= {path.split("/")[0] for path in files}, name
    folders = {path.split("/")[0] for files in found.values() for path in files}
    assert folders == {"answers", "documents", "labels", "raw", "shards", "validation"}
    named = {path.split("/")[0] for path in found_in(corpus.parent / "w", PATH_WORD)}
    assert {"documents", "fetches", "frontier", "links", "raw"} <= named


def test_nothing_that_was_forgotten_is_left_and_nothing_comes_back(
    forgotten: Path, corpus: Path
) -> None:
    folder = corpus.parent / "erased"
    shutil.copytree(forgotten, folder)
    workspace = Workspace.open(str(folder))
    before = entries(workspace)
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text(PLANTED["th"], "utf-8")
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "tmp" / "draft.txt").write_text(PLANTED["ja"], "utf-8")
    orphan = folder / "documents" / "site@00000000"
    orphan.mkdir()
    (orphan / "part-00000-11111111.txt").write_text(PLANTED["hi"], "utf-8")
    told = invoke("erase", str(folder))
    assert "would be erased" in told
    assert found_in(folder, PLANTED["th"])
    told = invoke("erase", str(folder), "--yes", "--reason", "a letter")
    assert "still in your input: notes notes.jsonl at 0" in told
    for text in PLANTED.values():
        assert found_in(folder, text) == set()
    assert {path.split("/")[0] for path in found_in(folder, PATH_WORD)} <= {
        "takedowns",  # what crawls compare
        "documents",  # and the page that links there
        "raw",
    }
    assert "0 faults" in invoke("audit", str(folder))
    assert_only_erased(workspace, before)
    assert "nothing is to be erased" in invoke("erase", str(folder), "--yes")
    result = run_planted(corpus, str(folder))  # plans anew, without what was forgotten
    for text in PLANTED.values():
        assert found_in(folder, text) == set()
    assert "0 faults" in invoke("audit", str(folder))
    made_now = {key[0].split("@")[0].split(".")[0] for key in {*entries(workspace)} - {*before}}
    plans = {"takedown", "tally", "histogram", "preview", "mix", "shards", "sealed"}
    assert made_now == {"erase", *plans}
    (job,) = result.shards
    drawn = {
        id_
        for entry in workspace.ledger.entries(job.generation)
        for id_ in read_table(workspace.storage, entry.file("map")).column("id").to_pylist()
    }
    (record,) = workspace.ledger.entries("erase@" + record_fp(workspace))
    ids = read_table(workspace.storage, record.file("erased")).column("id").to_pylist()
    assert len(ids) == record.counts["documents"]
    assert not drawn & {*ids}
    assert "  erased" in invoke("trace", str(folder), ids[0].hex())


def record_fp(workspace: Workspace) -> str:
    (name,) = [n for n in workspace.ledger.generations() if n.startswith("erase@")]
    return name.partition("@")[2]


def assert_only_erased(workspace: Workspace, before: dict[tuple[str, str, int], Entry]) -> None:
    """Every other file is the same, every count too, and no plan sees another input."""
    after = entries(workspace)
    (record,) = [entry for key, entry in after.items() if key not in before]
    told = record.detail["files"]
    replaced = {one["before"]: (one["after"], one["after_sha256"]) for one in told}
    for key, old in before.items():
        new = after[key]
        assert new.content == old.content, key
        if old.job != "validation.texts":
            assert new.counts == old.counts, key
        files = [replaced.get(ref.path, (ref.path, ref.sha256)) for ref in old.files]
        assert [(ref.path, ref.sha256) for ref in new.files] == files, key
        assert [ref.rows for ref in new.files] == [ref.rows for ref in old.files], key
        assert not any(workspace.storage.exists(path) for path in replaced)
    told_of = json.dumps(record.detail, ensure_ascii=False)
    assert PATH_WORD not in told_of
    assert HOST not in told_of
    rows = [
        read_table(workspace.storage, entry.file("documents"))
        for entry in after.values()
        if entry.job in ("extract", "synthesize")
    ]
    erased = [table.filter(pc.equal(table.column("extractor"), EXTRACTOR)) for table in rows]
    assert sum(table.num_rows for table in erased) == record.counts["documents"]
    assert {text for table in erased for text in table.column("text").to_pylist()} == {""}


def test_a_killed_erasure_goes_on_to_the_same_bytes(forgotten: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(forgotten, workspace)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = [sys.executable, str(KILLER), str(workspace), str(scratch), "12", "60"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    whole, early, late = map(json.loads, done.stdout.splitlines())
    assert [early[1], late[1]] == [False, True]
    assert early[2] == late[2] == whole[2]
    assert not (workspace / PLAN).exists()
    assert found_in(workspace, PLANTED["ar"]) == set()
