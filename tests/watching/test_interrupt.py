"""SIGTERM ends a run on the path of Ctrl-C, be its work here or at a job server."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.cli import _Sigterm
from pipelines.watching.beats import read_records
from pipelines.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0

STUCK = """
import os
from pathlib import Path

from annotators.annotator import annotator


@annotator(columns={"stuck": "bool"})
def stuck(texts):
    folder = Path(__file__).parent
    (folder / "begun").write_text("begun")
    (folder / "held").read_text()
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus whose annotator says that it has begun, and ends when nobody holds it any more."""
    (tmp_path / "notes.jsonl").write_text('{"text": "Часы у причала спешат."}\n', "utf-8")
    (tmp_path / "stuck_annotator.py").write_text(STUCK)
    for name in ("begun", "held"):
        os.mkfifo(tmp_path / name)
    corpus = {
        "name": "stuck",
        "sources": [{"name": "notes", "path": "notes.jsonl"}],
        "tokenizer": str(ROOT / "examples" / "tokenizer"),
        "annotators": ["stuck_annotator:stuck"],
        "mixtures": [],
    }
    path = tmp_path / "corpus.yaml"
    path.write_text(json.dumps(corpus))
    return path


def is_first(file: int, process: subprocess.Popen[str]) -> bool:
    """Whether a pipe has something to read before a process ends; waits for either."""
    ended = os.pidfd_open(process.pid)
    try:
        found, _, _ = select.select([file, ended], [], [], PATIENCE_S)
    finally:
        os.close(ended)
    return found == [file]


@contextmanager
def running(corpus: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run that has come to its annotator."""
    command = [sys.executable, "-m", "pipelines.cli", "run", str(corpus), "--processes", "1"]
    begun = os.open(corpus.parent / "begun", os.O_RDONLY | os.O_NONBLOCK)
    held = os.open(corpus.parent / "held", os.O_RDWR)
    run = subprocess.Popen(
        [*command, "--workspace", str(corpus.parent / "w"), *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert is_first(begun, run), ended(run)
        yield run
    finally:
        run.kill()
        os.close(begun)
        os.close(held)
        run.communicate()


def ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code of a run, and what it said that was not read yet."""
    code = run.wait(PATIENCE_S)
    assert run.stderr is not None
    return code, run.stderr.read()


@pytest.fixture
def job_server() -> Iterator[int]:
    """The job server that comes with Beam; the port that it listens at."""
    module = "apache_beam.runners.portability.local_job_service_main"
    server = subprocess.Popen([sys.executable, "-m", module], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        line = next(line for line in server.stderr if "Listening for beam jobs on port " in line)
        yield int(line.rpartition(" ")[2].strip(".\n"))
    finally:
        server.kill()
        server.communicate()


def states_of(port: int) -> list[str]:
    """States of all jobs of a job server."""
    asked = beam_job_api_pb2.GetJobsRequest()
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        jobs = beam_job_api_pb2_grpc.JobServiceStub(channel).GetJobs(asked).job_info
    return [beam_job_api_pb2.JobState.Enum.Name(job.state) for job in jobs]


def assert_terminated(run: subprocess.Popen[str], workspace: Path) -> None:
    """The run says how it ended, leaves its lease, and has nothing more to say."""
    code, words = ended(run)
    assert code == 143
    assert words.endswith("interrupted; give the same command again, and it goes on\n")
    assert "Traceback" not in words
    assert "resource_tracker" not in words
    opened = Workspace.open(str(workspace))
    assert opened.storage.exists("leases/00001.released.json"), opened.storage.files("leases")
    (record,) = read_records(opened.storage)
    assert (record.state, record.error) == ("failed", "interrupted by SIGTERM")


def test_sigterm_that_is_sent_twice_is_one_request() -> None:
    before = signal.signal(signal.SIGTERM, _Sigterm())
    try:
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # what the first began goes on
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_a_run_in_this_process_and_lets_others_in(corpus: Path) -> None:
    with running(corpus) as run:
        run.send_signal(signal.SIGTERM)
        assert_terminated(run, corpus.parent / "w")


def test_sigterm_cancels_the_job_of_a_job_server(corpus: Path, job_server: int) -> None:
    options = [f"--job_endpoint=localhost:{job_server}", "--environment_type=LOOPBACK"]
    with running(corpus, "--runner=PortableRunner", *options) as run:
        assert states_of(job_server) == ["RUNNING"]
        run.send_signal(signal.SIGTERM)
        assert_terminated(run, corpus.parent / "w")
    assert states_of(job_server) == ["CANCELLED"]
