"""The line on a workspace and on inputs at s3://, against moto's server on loopback."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import yaml
from adversary import committed
from moto.server import ThreadedMotoServer
from small_corpus import run_small, write_corpus

from pipelines.extract.recount import recount_faults
from pipelines.shards.check import shard_faults
from pipelines.workspace.audit import audit
from pipelines.workspace.ledger import Entry, Ledger
from pipelines.workspace.storage import Storage

# Children read objects themselves, with the credentials that were there when they were started: a
# number of processes that no other test has makes new ones.
NEW_CHILDREN = 3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    fs = fsspec.filesystem("s3")
    name = f"mill-{uuid.uuid4().hex}"  # moto keeps its buckets for as long as the process lives
    fs.mkdir(name)
    yield f"s3://{name}"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def test_create_on_s3_second_writer_loses(bucket: str) -> None:
    storage = Storage(f"{bucket}/w")
    assert storage.create("a/b.json", b"first")
    assert not storage.create("a/b.json", b"second")
    assert storage.read("a/b.json") == b"first"


def test_ledger_on_s3_keeps_the_first_entry(bucket: str) -> None:
    ledger = Ledger(Storage(f"{bucket}/w"))
    one = Entry(job="j", fp="0", source="s", part=0, files=(), counts={"n": 1})
    two = Entry(job="j", fp="0", source="s", part=0, files=(), counts={"n": 2})
    assert ledger.commit(one)
    assert not ledger.commit(two)
    assert ledger.entries("j@0") == [one]


def test_line_on_s3_gives_the_bytes_of_the_local_line(bucket: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in")
    local = run_small(corpus, str(tmp_path / "w"))
    fs = fsspec.filesystem("s3")
    for name in ("pages", "notes"):
        fs.put(str(corpus.parent / name), f"{bucket}/in/{name}", recursive=True)
    written = yaml.safe_load(corpus.read_text())
    for source in written["sources"]:
        source["path"] = f"{bucket}/in/{source['path']}"
    corpus.write_text(yaml.safe_dump(written))
    remote = run_small(corpus, f"{bucket}/w", processes=NEW_CHILDREN)
    assert committed(f"{bucket}/w") == committed(local.workspace.url)
    checks = {"extract": recount_faults, "shards": shard_faults}
    assert audit(remote.workspace, deep_checks=checks).faults == []
    assert run_small(corpus, f"{bucket}/w", processes=NEW_CHILDREN).parts_done == 0
