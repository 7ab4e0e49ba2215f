"""Forgetting and erasing at s3:// and gs:// leave the bytes that they leave on a disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_erasures import state
from object_stores import Store
from planted import PATH_WORD, PLANTED, SECRET, found_in, run_planted, write_corpus
from stored import (
    contents,
    download,
    fields_alike,
    is_dated,
    opened_store,
    tell,
    told_alike,
    upload,
)

from pipelines.workspace.parts import read_table
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

FORGET = (
    "forget", "--url", SECRET, "--url", f"https://other.example/{PATH_WORD}", "--with-copies",
    "--reason", "a letter", "--workspace", "W", "--json",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every kind of file holds something that will be forgotten."""
    corpus = write_corpus(tmp_path_factory.mktemp("planted"))
    run_planted(corpus, str(corpus.parent / "w"))
    return corpus.parent / "w"


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_store(request.param) as opened:
        yield opened


def test_erasing_in_a_store_is_erasing_on_a_disk(
    store: Store, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "drafts"))
    (tmp_path / "drafts").mkdir()
    disk, stored = str(tmp_path / "w"), upload(store, made, "w")
    shutil.copytree(made, disk)
    storage = Workspace.open(stored).storage
    for workspace in (disk, stored):
        leave_rests(Workspace.open(workspace).storage)
    rests = [storage.scratch(".parquet"), storage.scratch(".crawl") / "part.warc.gz"]
    others = Workspace(f"{store.url}/another").storage.scratch(".parquet")
    rests[1].parent.mkdir()
    for draft in (*rests, others):
        draft.write_text(PLANTED["hi"], "utf-8")

    fields_alike(disk, stored, ["status", "W", "--json"], ["generations", "plans"])
    note = told_alike(disk, stored, ["trace", "W", "notes.jsonl:0"]).split()[1]
    named = [*FORGET, "--id", note]
    _, shards = fields_alike(disk, stored, named, ["documents", "shards"])
    assert sum(held["tokens"] for held in shards) > 100
    told_alike(disk, stored, ["forget", "--list", "--workspace", "W"])
    alike = ["documents", "parts", "records", "answers", "reports", "inputs"]
    fields_alike(disk, stored, ["erase", "W", "--json"], alike)
    assert found_in(download(store, tmp_path / "before"), PLANTED["ar"])
    erased = ["erase", "W", "--yes", "--reason", "a letter", "--json"]
    fields_alike(disk, stored, erased, [*alike, "files", "counts"])

    assert state(stored) == state(disk)
    left = download(store, tmp_path / "left")
    expected, found = contents(Path(disk)), contents(left / "w")
    assert sorted(found) == sorted(expected)
    assert all(found[path] == expected[path] for path in expected if not is_dated(path))
    assert [path.name for path in left.iterdir()] == ["w"]
    for text in PLANTED.values():
        assert found_in(left, text) == set()
    assert list((tmp_path / "drafts").iterdir()) == [others]

    (id_, *_) = erased_ids(stored)
    told = told_alike(disk, stored, ["trace", "W", id_])
    assert "erased: on T; its rows stay, blanked" in told
    assert "nothing is to be erased" in tell(stored, ["erase", "W", "--yes"])


def leave_rests(storage: Storage) -> None:
    """What no ledger names: a report, a draft, an orphan."""
    storage.replace("report/index.html", PLANTED["th"].encode())
    storage.replace("tmp/draft.txt", PLANTED["ja"].encode())
    storage.replace("documents/site@00000000/part-00000-11111111.txt", PLANTED["hi"].encode())


def erased_ids(url: str) -> list[str]:
    ledger = Workspace.open(url).ledger
    (name,) = [name for name in ledger.generations() if name.startswith("erase@")]
    (record,) = ledger.entries(name)
    table = read_table(ledger.storage, record.file("erased"), ["id"])
    return [id_.hex() for id_ in table.column("id").to_pylist()]
