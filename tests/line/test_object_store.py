"""The line on a workspace and on inputs at s3:// and gs://, against servers on loopback."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import yaml
from adversary import committed
from object_stores import Store, gs_store, s3_store
from small_corpus import run_small, write_corpus

from pipelines.config import load_corpus
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.extract.recount import recount_faults
from pipelines.progress import Progress
from pipelines.shards.check import shard_faults
from pipelines.workspace.audit import audit
from pipelines.workspace.children import Limits
from pipelines.workspace.ledger import Entry, Ledger
from pipelines.workspace.workspace import Workspace

# Children read objects themselves, with the credentials that were there when they were started:
# limits that no other test has make new ones.
NEW_CHILDREN = {
    "s3": Limits(processes=1, batch_timeout_s=61.0),
    "gs": Limits(processes=1, batch_timeout_s=62.0),
}


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with {"s3": s3_store, "gs": gs_store}[request.param](monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def few_parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    corpus = write_corpus(tmp_path_factory.mktemp("few") / "in", part_bytes=10_000)
    return corpus, run_small(corpus, str(corpus.parent.with_name("w")))


def test_ledger_keeps_the_first_entry(store: Store) -> None:
    ledger = Ledger(store.storage())
    one = Entry(job="j", fp="0", source="s", part=0, files=(), counts={"n": 1})
    two = Entry(job="j", fp="0", source="s", part=0, files=(), counts={"n": 2})
    assert ledger.commit(one)
    assert not ledger.commit(two)
    assert ledger.entries("j@0") == [one]


def test_line_gives_the_bytes_of_the_local_line(
    store: Store, few_parts: tuple[Path, RunResult], tmp_path: Path
) -> None:
    corpus, local = few_parts
    written = yaml.safe_load(corpus.read_text())
    for source in written["sources"]:
        folder = corpus.parent / source["path"]
        for file in folder.iterdir():
            store.put(f"in/{source['path']}/{file.name}", file.read_bytes())
        source["path"] = f"{store.url}/in/{source['path']}"
    written["tokenizer"] = str(corpus.parent / written["tokenizer"])
    written["mixtures"] = [str(corpus.parent / name) for name in written["mixtures"]]
    moved = tmp_path / "corpus.yaml"
    moved.write_text(yaml.safe_dump(written))
    workspace = Workspace.create(f"{store.url}/w")
    leave_orphan(store, workspace, local)

    options = RunOptions(workspace=workspace.url, limits=NEW_CHILDREN[store.scheme])
    remote = run_corpus(load_corpus(moved), options, Progress())
    assert committed(f"{store.url}/w") == committed(local.workspace.url)
    checks = {"extract": recount_faults, "shards": shard_faults}
    assert audit(remote.workspace, deep_checks=checks).faults == []
    assert run_corpus(load_corpus(moved), options, Progress()).parts_done == 0


def leave_orphan(store: Store, workspace: Workspace, local: RunResult) -> None:
    """What a worker leaves that was killed between its data and its entry."""
    folder = f"documents/notes@{local.documents['notes'].fp}"
    orphan = f"{folder}/part-00000-00000000.parquet"
    store.put(f"w/{orphan}", b"half a file")
    assert workspace.storage.files(folder) == [orphan]


def test_file_systems_are_ours(store: Store) -> None:
    kind = fsspec.get_filesystem_class(store.scheme)
    assert kind.__module__.startswith("pipelines.workspace.")
    assert type(store.storage().fs) is kind
