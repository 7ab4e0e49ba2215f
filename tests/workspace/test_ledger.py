"""Commit, resume and audit rest on these few properties."""

import json
import threading
from pathlib import Path

import pytest

from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.ledger import Entry, FileRef, Ledger, entry_path
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace, WorkspaceError

GENERATION = Generation(job="extract", payload={"version": "1"})


def entry(part: int, sha: str = "a" * 64, source: str = "pages") -> Entry:
    ref = FileRef(kind="documents", path=f"d/part-{part}", sha256=sha, bytes=1, rows=1)
    return Entry(
        job="extract",
        fp=GENERATION.fp,
        source=source,
        part=part,
        files=(ref,),
        counts={"documents": 1},
        detail={"text": "日本語 🙂"},
    )


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(str(tmp_path) if request.param == "local" else f"memory://{tmp_path}")


def test_commit_twice_the_first_entry_stays(storage: Storage) -> None:
    ledger = Ledger(storage)
    assert ledger.commit(entry(0, "a" * 64))
    assert not ledger.commit(entry(0, "b" * 64))
    assert ledger.get(GENERATION, "pages", 0) == entry(0, "a" * 64)


def test_commit_from_many_threads_exactly_one_wins(storage: Storage) -> None:
    ledger, start, won = Ledger(storage), threading.Barrier(8), []

    def race(number: int) -> None:
        start.wait()
        if ledger.commit(entry(0, str(number) * 64)):
            won.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert ledger.get(GENERATION, "pages", 0).files[0].sha256 == str(won[0]) * 64


def test_entries_folded_and_not_are_all_read_once(storage: Storage) -> None:
    ledger = Ledger(storage)
    for part in (1, 0):
        ledger.commit(entry(part))
    ledger.commit(entry(0, source="texts"))
    ledger.fold(GENERATION)
    ledger.commit(entry(2))
    assert [(e.source, e.part) for e in ledger.entries(GENERATION)] == [
        ("pages", 0),
        ("pages", 1),
        ("pages", 2),
        ("texts", 0),
    ]
    assert ledger.entries(GENERATION, "texts") == [entry(0, source="texts")]
    assert ledger.generations() == [GENERATION.name]


def test_an_entry_that_is_taken_back_is_not_read_from_the_fold(storage: Storage) -> None:
    ledger = Ledger(storage)
    for part in (0, 1):
        ledger.commit(entry(part))
    ledger.fold(GENERATION)
    storage.remove(entry_path(GENERATION.name, "pages", 1))
    assert ledger.entries(GENERATION) == [entry(0)]
    ledger.commit(entry(1, sha="b" * 64))
    ledger.fold(GENERATION)
    assert list(ledger.folded(GENERATION.name)) == [entry(0), entry(1, sha="b" * 64)]


def test_find_absent_part_is_none_and_get_says_what_lacks(storage: Storage) -> None:
    ledger = Ledger(storage)
    assert ledger.find(GENERATION, "pages", 7) is None
    with pytest.raises(LookupError, match=f"{GENERATION.name}.*part 7 of pages"):
        ledger.get(GENERATION, "pages", 7)


def test_declare_other_payload_under_the_same_name_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path)))
    ledger.declare(GENERATION)
    ledger.declare(GENERATION)
    path = tmp_path / "ledger" / GENERATION.name / "generation.json"
    path.write_text(json.dumps({"job": "extract", "version": "2"}))
    with pytest.raises(ValueError, match="same eight digits"):
        ledger.declare(GENERATION)


def test_entry_content_depends_on_files_alone() -> None:
    assert entry(0).content == entry(5).content
    assert entry(0, "a" * 64).content != entry(0, "b" * 64).content


def test_fingerprint_key_order_does_not_matter_values_do() -> None:
    one = Generation(job="extract", payload={"a": 1, "b": [True, "ü"]})
    two = Generation(job="extract", payload={"b": [True, "ü"], "a": 1})
    assert one.full == two.full
    assert one.full != Generation(job="extract", payload={"a": 1, "b": [False, "ü"]}).full
    assert one.full != Generation(job="annotate", payload=one.payload).full


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, b"x"])
def test_fingerprint_of_a_value_without_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="cannot fingerprint"):
        canonical_json({"key": value})


def test_workspace_in_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(WorkspaceError, match=r"thesis\.tex"):
        Workspace.create(str(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.tex"]


def test_workspace_of_another_version_is_refused(tmp_path: Path) -> None:
    Workspace.create(str(tmp_path / "w"))
    mark = tmp_path / "w" / "workspace.json"
    mark.write_text('{"format": "tokenmill-workspace", "version": 99}')
    with pytest.raises(WorkspaceError, match="version 99"):
        Workspace.open(str(tmp_path / "w"))


def test_workspace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is not a workspace"):
        Workspace.open(str(tmp_path / "nowhere"))
