"""Repair, runs, `diff run`, prune and audit at s3:// and gs:// do what they do on a disk."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_erasures import state
from object_stores import Store
from planted import PLANTED, SECRET, found_in, run_planted, write_corpus
from stored import (
    LEAN,
    NEW_CHILDREN,
    contents,
    download,
    is_dated,
    opened_store,
    tell,
    told_alike,
    upload,
)

from pipelines.workspace.ledger import FileRef
from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = write_corpus(tmp_path_factory.mktemp("lean"), **LEAN)
    run_planted(corpus, str(corpus.parent / "w"))
    return corpus.parent / "w"


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_store(request.param) as opened:
        yield opened


def test_what_follows_an_erasure_is_what_follows_it_on_a_disk(
    store: Store, made: Path, tmp_path: Path
) -> None:
    corpus = made.with_name("corpus.yaml")
    disk, stored = str(tmp_path / "w"), upload(store, made, "w")
    shutil.copytree(made, disk)
    for workspace in (disk, stored):
        tell(workspace, ["forget", "--url", SECRET, "--workspace", "W"])
        tell(workspace, ["erase", "W", "--yes"])

    lost = labels_of(disk, "notes")
    erased = labels_of(disk, "site")
    whole = Workspace.open(disk).storage.read(erased.path)
    for workspace in (disk, stored):
        storage = Workspace.open(workspace).storage
        storage.remove(lost.path)
        storage.replace(erased.path, b"other bytes")
        assert lost.path in tell(workspace, ["audit", "W", "--sample", "0"], code=1)
    told = told_alike(disk, stored, ["audit", "W", "--repair"], code=1)
    assert f"{lost.path}: missing" in told
    assert f"REFUSED: {entry_of(disk, erased)}" in told
    for workspace in (disk, stored):
        Workspace.open(workspace).storage.replace(erased.path, whole)
        run_planted(corpus, workspace, NEW_CHILDREN[store.scheme])
    assert state(stored) == state(disk)

    (old, new) = plans(disk)
    told_alike(disk, stored, ["trace", "W", "notes.jsonl:0"])
    compared = [compared_runs(workspace, tmp_path / "diff.json") for workspace in (disk, stored)]
    assert compared[0] == compared[1]
    assert "taken_down" in compared[1]
    told_alike(disk, stored, ["prune", "W"])
    told_alike(disk, stored, ["prune", "W", "--drop", old, "--yes"])
    assert plans(stored) == [new]
    told = told_alike(disk, stored, ["audit", "W"])
    assert " 0 faults" in told

    expected = contents(Path(disk))
    found = contents(download(store, tmp_path / "left") / "w")
    assert sorted(found) == sorted(expected)
    assert all(found[path] == expected[path] for path in expected if not is_dated(path))
    for name in ("th", "ja", "pdf"):
        assert found_in(tmp_path / "left", PLANTED[name]) == set()


def labels_of(url: str, source: str) -> FileRef:
    """What the planted annotator says of a source."""
    ledger = Workspace.open(url).ledger
    names = [name for name in ledger.generations() if name.startswith("annotate.quoting@")]
    (entry,) = [entry for name in names for entry in ledger.entries(name, source)]
    return entry.file("labels")


def entry_of(url: str, ref: FileRef) -> str:
    """The path of the entry that names a file."""
    _, generation, source, file = ref.path.split("/")
    return f"ledger/annotate.{generation}/{source}/{file[:10]}.json"


def plans(url: str) -> list[str]:
    """The plans of a workspace, the oldest first."""
    runs = [path for path in Workspace.open(url).storage.files("runs")]
    records = [json.loads(Workspace.open(url).storage.read(path)) for path in runs]
    there = json.loads(tell(url, ["status", "W", "--json"]))["plans"]
    made = [record["mixtures"]["all"].removeprefix("mixtures/") for record in records]
    return [plan for plan in made if plan in there]


def compared_runs(url: str, file: Path) -> str:
    """What differs between the last two runs of a workspace, with exact numbers."""
    tell(url, ["diff", "run", "W", "--json", str(file)])
    return file.read_text("utf-8").replace(url, "W")
