"""Storage on a local disk, and which file systems can hold a workspace."""

import os
import threading
from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from pipelines.workspace.patience import StoreAway, StoreDenied, patiently_now, say_waits
from pipelines.workspace.storage import Storage, locate


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "w"))


def test_create_is_all_or_nothing_and_only_once(storage: Storage) -> None:
    barrier, made = threading.Barrier(6), []

    def write(number: int) -> None:
        barrier.wait()
        if storage.create("a/b.json", b"%d" % number * 100):
            made.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert storage.read("a/b.json") == b"%d" % made[0] * 100
    assert storage.files("") == ["a/b.json"]  # no draft is left
    assert not storage.create("a/b.json", storage.read("a/b.json"))


def test_replace_shows_readers_the_old_or_the_new(storage: Storage) -> None:
    storage.replace("status.json", b"one")
    with storage.open("status.json") as before:
        storage.replace("status.json", b"second")
        assert before.read() == b"one"
    assert storage.read("status.json") == b"second"
    assert storage.files("") == ["status.json"]


def test_many_files_come_in_the_order_asked_for(storage: Storage) -> None:
    for name in "abc":
        storage.create(name, name.encode())
    assert storage.read_many(["c", "a", "b"]) == [b"c", b"a", b"b"]
    assert storage.read_many([]) == []
    with pytest.raises(FileNotFoundError):
        storage.read_many(["a", "d"])


def test_a_workspace_needs_a_store_that_can_create() -> None:
    storage = Storage("http://127.0.0.1:9/w")
    with pytest.raises(ValueError, match=r"cannot live on http/https: .* local disk, s3:// or gs"):
        storage.create("a", b"")


def test_a_disk_without_hard_links_is_refused_and_keeps_no_draft(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)  # as exFAT and some network disks do
    with pytest.raises(ValueError, match="file system without hard links"):
        storage.create("a.json", b"one")
    assert storage.files("") == []


def test_stores_of_all_spellings_are_ours() -> None:
    for scheme in ("s3", "s3a", "gs", "gcs"):
        known = known_implementations[scheme]["class"]
        assert known.startswith("pipelines.workspace.")
    assert locate("memory://a/b")[1] == "/a/b"


def test_what_passes_is_repeated_and_what_does_not_is_raised_at_once() -> None:
    tries: list[int] = []

    def fails() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionResetError
        return "made"

    def passes(error: BaseException) -> bool:
        return isinstance(error, ConnectionError)

    assert patiently_now(fails, place="s3://b", passes=passes) == "made"
    assert len(tries) == 3

    def refuses() -> None:
        tries.append(1)
        raise StoreDenied("no")

    with pytest.raises(StoreDenied, match="no"):
        patiently_now(refuses, place="s3://b", passes=passes)
    assert len(tries) == 4


def test_when_patience_ends_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    say_waits(said.append)
    monkeypatch.setenv("TOKENMILL_STORE_WAIT_S", "0")

    def away() -> None:
        raise ConnectionRefusedError("https://b/a?X-Amz-Signature=abc")

    with pytest.raises(StoreAway) as ended:
        patiently_now(away, place="s3://b", passes=lambda _: True)
    assert str(ended.value) == (
        "s3://b did not answer for 0 s (ConnectionRefusedError: https://b/a). What is committed "
        "stays: run the same command again when it is back; TOKENMILL_STORE_WAIT_S says how long "
        "to wait"
    )
    assert said == []
    monkeypatch.setenv("TOKENMILL_STORE_WAIT_S", "long")
    with pytest.raises(ValueError, match="'long'; give a number of seconds"):
        patiently_now(away, place="s3://b", passes=lambda _: True)
    say_waits(print)
