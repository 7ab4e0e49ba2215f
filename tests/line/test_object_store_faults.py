"""Stores that are away, lose answers, refuse, or forget what they were asked: what Storage does."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_stores import SECRET, Store, gs_store, s3_store
from proxy import Action, Seen

from pipelines.workspace.lease import LeaseLost, Terms, WorkspaceHeld, hold, this_process
from pipelines.workspace.parts import publish_file
from pipelines.workspace.patience import StoreAway, StoreDenied, StoreError, say_waits
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

QUICK = Terms(beat_s=0.2, silent_s=60, poll_s=0.1)


@pytest.fixture(params=["s3", "gs"], scope="module")
def module_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with (
        pytest.MonkeyPatch.context() as patch,
        {"s3": s3_store, "gs": gs_store}[request.param](patch) as made,
    ):
        yield made


@pytest.fixture
def store(module_store: Store) -> Store:
    """The store, all faults of the last test forgotten."""
    module_store.proxy.forget()
    return module_store


@pytest.fixture
def storage(store: Store) -> Storage:
    opened = store.storage(uuid.uuid4().hex)
    assert opened.files("") == []  # connected: what a test counts is its own requests
    store.proxy.forget()
    return opened


def writes(seen: Seen) -> bool:
    return seen.method in ("PUT", "POST")


def is_upload_of_part(seen: Seen) -> bool:
    return writes(seen) and ("partNumber=" in seen.target or "upload_id=" in seen.target)


def ends_upload(seen: Seen) -> bool:
    return seen.method == "POST" and "uploadId=" in seen.target


def test_of_two_writers_the_second_loses(storage: Storage) -> None:
    assert storage.create("a/b.json", b"first")
    assert not storage.create("a/b.json", b"second")
    assert storage.read("a/b.json") == b"first"


def test_a_file_is_made_although_the_answer_is_lost(store: Store, storage: Storage) -> None:
    store.proxy.fail("lose answer", writes)
    assert storage.create("a.json", b"mine")
    assert len([seen for seen in store.proxy.seen if writes(seen)]) == 2
    assert storage.read("a.json") == b"mine"


def test_a_file_of_another_writer_is_never_taken_for_ours(store: Store, storage: Storage) -> None:
    storage.create("a.json", b"theirs")
    store.proxy.fail("reset", writes)
    assert not storage.create("a.json", b"mine")
    assert storage.read("a.json") == b"theirs"


@pytest.mark.parametrize("action", ["reset", "429", "503"])
def test_what_passes_is_repeated(store: Store, storage: Storage, action: Action) -> None:
    store.proxy.fail(action, times=3)
    storage.replace("a.json", b"one")
    store.proxy.fail(action, times=3)
    assert storage.read("a.json") == b"one"
    store.proxy.fail(action, times=3)
    assert storage.files("") == ["a.json"]
    assert len(store.proxy.seen) == 3 * 4


def test_a_read_whose_answer_ends_too_early_is_repeated(store: Store, storage: Storage) -> None:
    storage.replace("a.json", b"x" * 1000)
    store.proxy.fail("truncate answer", times=2)
    assert storage.read("a.json") == b"x" * 1000


def test_ranges_that_arrow_reads_are_repeated(
    store: Store, storage: Storage, tmp_path: Path
) -> None:
    data = bytes(range(256)) * (9 << 12)  # 9 MB: more than is read at once
    local = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([data])}), local, compression=None, use_dictionary=False)
    size = local.stat().st_size
    store.proxy.fail("reset", writes, times=2)
    ref = publish_file(storage, local, kind="documents", stem="documents/a", rows=1)
    assert not local.exists()
    store.proxy.forget()
    for action in ("reset", "truncate answer", "503"):
        store.proxy.fail(action, lambda seen: seen.method == "GET")
    with storage.open(ref.path, size=size) as file:
        assert pq.read_table(file).column("a")[0].as_py() == data
    assert storage.sha256(ref.path) == ref.sha256


@pytest.mark.parametrize("action", ["reset", "lose answer"])
def test_a_file_that_goes_up_in_parts_is_whole_or_not_there(
    store: Store,
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: Action,
) -> None:
    monkeypatch.setattr("pipelines.workspace.storage._UPLOAD_BYTES", 5 << 20)
    data = bytes(range(256)) * (11 << 12)  # 11 MB: three parts
    local = tmp_path / "a.bin"
    local.write_bytes(data)
    store.proxy.fail(action, is_upload_of_part, times=2)
    storage.publish(local, "a.bin")
    assert not local.exists()
    assert storage.sha256("a.bin") == hashlib.sha256(data).hexdigest()
    store.proxy.forget()
    local.write_bytes(data)
    store.proxy.fail("403", is_upload_of_part)
    with pytest.raises(StoreDenied):
        storage.publish(local, "b.bin")
    assert local.exists()
    assert storage.files("") == ["a.bin"]


def test_a_large_file_is_there_although_the_last_answer_is_lost(
    store: Store, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.scheme == "gs":
        pytest.skip("an upload to gs:// ends with its last part")
    monkeypatch.setattr("pipelines.workspace.storage._UPLOAD_BYTES", 5 << 20)
    data = bytes(range(256)) * (11 << 12)
    local = tmp_path / "a.bin"
    local.write_bytes(data)
    store.proxy.fail("lose answer", ends_upload)
    storage.publish(local, "a.bin")
    assert storage.sha256("a.bin") == hashlib.sha256(data).hexdigest()


def test_removing_twice_is_removing(store: Store, storage: Storage) -> None:
    storage.replace("a.json", b"one")
    store.proxy.fail("lose answer", lambda seen: seen.method == "DELETE")
    storage.remove("a.json")
    assert storage.files("") == []


def test_a_store_that_was_cut_off_is_waited_for(
    store: Store, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.workspace.patience._TELL_AFTER_S", 0.3)
    storage.replace("a.json", b"one")
    said: list[str] = []
    told = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        told.set()

    def heal() -> None:
        told.wait(10)
        store.proxy.heal()

    say_waits(say)
    store.proxy.cut()
    healer = threading.Thread(target=heal)
    healer.start()
    try:
        assert storage.read("a.json") == b"one"
    finally:
        healer.join()
        say_waits(print)
    assert len(said) == 2
    assert said[0].startswith(f"waiting for {store.url}, for up to 300 s (")
    assert said[1].startswith(f"{store.url} answers again, after ")


def test_patience_ends(store: Store, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_STORE_WAIT_S", "0.3")
    store.proxy.cut()
    try:
        with pytest.raises(StoreAway, match=rf"{store.url} did not answer for 0 s .*run the same"):
            storage.read("a.json")
        with pytest.raises(StoreAway):
            storage.create("a.json", b"one")
    finally:
        store.proxy.heal()


def test_a_store_that_refuses_is_asked_once_and_told_plainly(
    store: Store, storage: Storage
) -> None:
    variable = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}[store.scheme]
    calls = [
        lambda: storage.read("a.json"),
        lambda: storage.create("a.json", b"one"),
        lambda: storage.files(""),
    ]
    store.proxy.fail("403", times=len(calls))
    for call in calls:
        with pytest.raises(StoreDenied, match=variable) as refused:
            call()
        assert store.url in str(refused.value)
        assert SECRET not in str(refused.value)
    assert len(store.proxy.seen) == len(calls)


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    absent = f"{store.scheme}://mill-absent"
    storage = Storage(f"{absent}/w")
    store.proxy.forget()
    for call in (lambda: storage.create("a", b""), lambda: storage.files("")):
        with pytest.raises(StoreError, match=f"{absent}.* does not exist; make it"):
            call()
    assert sum("mill-absent" in one.target for one in store.proxy.seen) == 2


def test_what_others_write_is_seen_at_once(store: Store, storage: Storage) -> None:
    folder = storage.url.removeprefix(f"{store.url}/")
    assert storage.files("b") == []
    assert not storage.exists("b/1")
    store.put(f"{folder}/b/1", b"1")
    assert storage.files("b") == ["b/1"]
    store.put(f"{folder}/b/2", b"22")
    assert storage.files("b") == ["b/1", "b/2"]
    assert storage.size("b/2") == 2
    store.put(f"{folder}/b/2", b"333")
    assert storage.size("b/2") == 3
    assert storage.read_many(["b/2", "b/1"]) == [b"333", b"1"]


def test_small_files_cost_one_request(store: Store, storage: Storage) -> None:
    storage.create("a.json", b"one")
    storage.read("a.json")
    with storage.open("a.json", size=3) as file:
        assert file.read() == b"one"
    storage.files("")
    assert len(store.proxy.seen) == 4


def test_lease_on_a_store(storage: Storage) -> None:
    workspace = Workspace.create(storage.url)
    dead = replace(this_process(), started="1")
    with hold(workspace, what="tokenmill run", me=dead, terms=QUICK) as first:
        with hold(workspace, what="tokenmill crawl", say=lambda _: None, terms=QUICK) as second:
            with pytest.raises(LeaseLost, match="`tokenmill crawl`"):
                first.check()
            second.check()
            elsewhere = replace(this_process(), host="b", machine="b")
            with (
                pytest.raises(WorkspaceHeld, match="just given a sign of life"),
                hold(workspace, what="x", me=elsewhere, say=lambda _: None, terms=QUICK),
            ):
                pass
    assert storage.exists("leases/00002.released.json")
    assert not storage.exists("leases/00001.released.json")


def test_a_store_that_overwrites_what_it_should_create_is_refused(
    store: Store, storage: Storage
) -> None:
    if store.scheme == "gs":
        pytest.skip("only other makes of S3 are known to ignore the condition")
    workspace = Workspace.create(storage.url)
    store.proxy.drop_header = b"If-None-Match"
    with (
        pytest.raises(ValueError, match="commits would not be safe"),
        hold(workspace, what="tokenmill run", terms=QUICK),
    ):
        pass


def test_without_credentials_it_is_said_where_they_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(StoreDenied, match=r"there are no credentials.*AWS_ACCESS_KEY_ID"):
        Storage("s3://mill/w").read("a")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
