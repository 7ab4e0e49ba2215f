"""What the tests of runners share: two corpora, and what makes two runs of one the same.

The demo goes from crawl to shards. Its crawl has dates: WARC headers and `fetched_at` are those of
the moment, so two crawls of one site never have the same bytes. What is equal of them is the set of
(address, kind, outcome, payload digest). From the archives onwards everything is a function of its
inputs, so the reference of a run is made in this process from the archives of that very run:

    demo = demo_inputs(folder)
    run_demo(demo, cluster, beam_args)          # crawl to shards on the cluster
    run_demo(demo, crawl_of(cluster, local))    # its archives to shards in this process
    same(cluster, local)                        # nothing but names and bytes
    assert pages_of(cluster) == pages_of(another crawl)

The other corpus is that of the deduplication benchmark: copies, edited copies and near misses whose
clusters are wide, so the shuffles carry something.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.config import load_corpus
from pipelines.crawl.site_server import serve_site
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.progress import Progress
from pipelines.workspace.children import Limits
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))
HOST = "site.example"
CRAWLED = ("raw", "fetches", "links", "frontier")
"""Folders of a crawl, beside its ledgers `crawl@...` and `crawl.frontier@...`."""
_SHOWN = 12
_POLL_S = 0.02
_RUN_S = 300.0

HANGS_UP = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
"""For modules with LOOPBACK workers: their threads end with an error when the cluster stops, which
is after the results were compared, or while the next test runs."""

Page = tuple[str, str, str, bytes | None]
"""(address, kind, outcome, digest of the payload)."""
Content = dict[tuple[str, str, int], dict[str, object]]
"""(generation, source, part) -> kind of file or name of a count -> sha256 or the count."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The inputs of `tokenmill demo`."""

    corpus: Path
    site: Path


def demo_inputs(folder: Path) -> Demo:
    """Copies examples/ into a folder, so that nothing can be written beside the originals."""
    examples = Path(shutil.copytree(ROOT / "examples", folder / "examples"))
    return Demo(corpus=examples / "corpus.yaml", site=examples / "site")


def run_demo(
    demo: Demo, workspace: Path, beam_args: Sequence[str] = (), *, processes: int = 2
) -> RunResult:
    """Runs the demo as `tokenmill demo` does: its site is served on loopback meanwhile."""
    with serve_site(demo.site, HOST) as port:
        connect = {HOST: f"127.0.0.1:{port}"}
        return run(demo.corpus, workspace, beam_args, processes=processes, connect=connect)


def run(
    corpus: Path,
    workspace: Path,
    beam_args: Sequence[str] = (),
    *,
    processes: int = 2,
    connect: dict[str, str] | None = None,
) -> RunResult:
    """Runs a corpus as `tokenmill run` does; in this process where no runner is named."""
    options = RunOptions(
        workspace=str(workspace),
        limits=Limits(processes=processes),
        beam_args=tuple(beam_args),
        connect=connect or {},
    )
    return run_corpus(load_corpus(corpus), options, Progress())


def duplicates_inputs(folder: Path, num_documents: int = 10_000) -> Path:
    """Writes the corpus of the deduplication benchmark; gives the path of its corpus.yaml.

    All levels are looked for, so all shuffles of deduplication run: exact clusters, addresses (none
    here), bands, pairs, stars, decisions, lines and passages that repeat.
    """
    sys.path.append(str(ROOT / "benchmarks"))
    try:
        from deduplicate_inputs import write_documents

        write_documents(DATA, num_documents, folder / "texts", num_files=4, processes=2)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    corpus = {
        "name": "copies",
        "sources": [{"name": "texts", "path": "texts"}],
        "tokenizer": str(ROOT / "examples" / "tokenizer"),
        "annotators": [],
        "mixtures": [],
        "duplicates": {"levels": ["bytes", "text", "url", "near", "boilerplate", "repeats"]},
        "part_bytes": 4_000_000,
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


def crawl_of(crawled: Path, workspace: Path) -> Path:
    """Makes a workspace that holds the crawl of another and nothing else; gives its path."""
    Workspace.create(str(workspace))
    ledgers = [path.relative_to(crawled) for path in crawled.glob("ledger/crawl[.@]*")]
    for name in (*map(Path, CRAWLED), *ledgers):
        if (crawled / name).exists():
            shutil.copytree(crawled / name, workspace / name)
    return workspace


def pages_of(workspace: Path) -> set[Page]:
    """What was asked for and what came, over all crawls of a workspace."""
    opened = Workspace.open(str(workspace))
    pages: set[Page] = set()
    for generation, entry in _entries(opened):
        if generation.startswith("crawl@"):
            path = workspace / entry.file("fetches").path
            table = pq.read_table(path, columns=["url", "kind", "outcome", "digest"])
            pages |= {tuple(row.values()) for row in table.to_pylist()}  # type: ignore[misc]
    return pages


class NamedWorkers:
    """Python workers that a runner starts by a command (environment PROCESS), and their ids."""

    def __init__(self, folder: Path) -> None:
        """Writes the command: `tokenmill-worker` of this checkout, which notes its process id."""
        self._ids = folder / "workers"
        self._ids.mkdir(parents=True)
        self._command = folder / "worker.sh"
        path = os.pathsep.join([str(ROOT), str(ROOT / "tokenize"), str(ROOT / "tests" / "line")])
        self._command.write_text(
            f'#!/bin/sh\n: > "{self._ids}/$$"\n'
            f'PYTHONPATH="{path}" exec "{sys.executable}" -m pipelines.worker_boot "$@"\n'
        )
        self._command.chmod(0o755)

    @property
    def options(self) -> list[str]:
        """Beam's options for them."""
        config = json.dumps({"command": str(self._command)})
        return ["--environment_type=PROCESS", f"--environment_config={config}"]

    def kill(self) -> int:
        """Kills all that there are by SIGKILL; gives how many there were."""
        killed = 0
        for noted in self._ids.iterdir():
            try:
                os.kill(int(noted.name), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass  # its pipeline was over
            noted.unlink()
        return killed


def run_and_kill(
    corpus: Path, workspace: Path, beam_args: Sequence[str], job: str, kill: Callable[[], int]
) -> int:
    """Runs a corpus in a process of its own, and kills something when a job has its first part.

    Args:
        corpus: Path of corpus.yaml.
        workspace: Of the run.
        beam_args: Its options.
        job: Beginning of the name of a generation, such as `extract@`.
        kill: What kills; gives how many processes it hit.

    Returns:
        The exit code of the run, 1 where it failed.
    """
    command = [sys.executable, __file__, str(corpus), str(workspace), *beam_args]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tokenize")])
    told = workspace.with_suffix(".log")
    with told.open("wb") as log:
        driver = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        while not any(workspace.glob(f"ledger/{job}*/*/part-*.json")):
            try:
                driver.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the run ended before {job} began:\n{told.read_text()[-2000:]}")
        hit = kill()
        assert hit, "nothing was there to be killed"
        return driver.wait(_RUN_S)
    finally:
        driver.kill()
        driver.wait()


def content_of(workspace: Path) -> Content:
    """What the ledger names, by content: the hash of each file, and each count."""
    opened = Workspace.open(str(workspace))
    return {
        (generation, entry.source, entry.part): {ref.kind: ref.sha256 for ref in entry.files}
        | {f"count of {name}": count for name, count in entry.counts.items()}
        for generation, entry in _entries(opened)
    }


def same(one: Path, other: Path) -> None:
    """Fails with what differs, unless the ledgers of two workspaces name the same bytes."""
    found = differences(content_of(one), content_of(other), (one.name, other.name))
    assert not found, "\n".join(found)


def differences(one: Content, other: Content, names: tuple[str, str]) -> list[str]:
    """One line for each entry that only one has, and each file or count that differs."""
    lines = []
    for place in sorted({*one, *other}):
        here, there = one.get(place), other.get(place)
        what = "{} {} part {}".format(*place)
        if here is None or there is None:
            lines.append(f"{what}: only in {names[here is None]}")
            continue
        for kind in sorted({*here, *there}):
            if (a := here.get(kind)) != (b := there.get(kind)):
                lines.append(f"{what}: {kind} is {a} in {names[0]} and {b} in {names[1]}")
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _entries(workspace: Workspace) -> list[tuple[str, Entry]]:
    ledger = workspace.ledger
    return [(name, entry) for name in ledger.generations() for entry in ledger.entries(name)]


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
