"""What a runner tells of our counters, on the in-process runner and on Prism."""

import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from counted_parts import COUNTED, KEYS, CountingJob

from pipelines.models.transform import MapChainAtOnce
from pipelines.run import IN_PROCESS, _cancel, counters_of, run_transform
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import METER, PartKey
from pipelines.workspace.transform import MapChain
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


@pytest.fixture
def prism() -> Iterator[list[str]]:
    binary = os.environ.get("TOKENMILL_PRISM") or shutil.which("prism")
    if binary is None:
        pytest.skip("no prism on PATH and no TOKENMILL_PRISM; docs/runners.md says how to get it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, f"-job_port={port}", "-serve_http=false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield [
        "--runner=PortableRunner",
        f"--job_endpoint=127.0.0.1:{port}",
        "--environment_type=LOOPBACK",
    ]
    server.terminate()
    server.wait()


def told_by(transform: beam.PTransform, options: list[str]) -> dict[str, int]:
    """The counters of one pipeline, as its runner tells them."""
    METER.elsewhere()  # forgets what other tests counted and no runner has told
    pipeline = beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(options))
    _ = pipeline | transform
    result = pipeline.run()
    result.wait_until_finish()
    return {k: v for k, v in counters_of(result).items() if not k.endswith(".bytes")}


@pytest.mark.parametrize("map_chain", [MapChain, MapChainAtOnce])
def test_counters_of_all_threads_arrive_in_process(
    workspace: Workspace, map_chain: type[MapChain]
) -> None:
    chain = map_chain(workspace, [{"web": CountingJob()}], KEYS, LIMITS)
    assert told_by(chain, [f"--runner={IN_PROCESS}"]) == COUNTED


@pytest.mark.parametrize("map_chain", [MapChain, MapChainAtOnce])
def test_counters_of_all_threads_arrive_on_prism(
    workspace: Workspace, map_chain: type[MapChain], prism: list[str]
) -> None:
    chain = map_chain(workspace, [{"web": CountingJob()}], KEYS, LIMITS)
    assert told_by(chain, prism) == COUNTED


def test_run_transform_on_prism_counts_what_is_done_in_this_process_once(
    workspace: Workspace, prism: list[str]
) -> None:
    before = Counter(METER.read_all())
    run_transform(MapChain(workspace, [{"web": CountingJob()}], KEYS, LIMITS), prism)
    after = Counter(METER.read_all())
    after.subtract(before)
    assert after["counting"] == 15
    assert after["counting.parts"] == 5
    assert after["counting.records"] == 15


def test_what_was_committed_before_is_not_counted_again(workspace: Workspace) -> None:
    job = CountingJob()
    for key in KEYS[:2]:
        job.run(workspace, key, None)  # type: ignore[arg-type]
    before = Counter(METER.read_all())
    job.run(workspace, KEYS[0], None)  # type: ignore[arg-type]  # a zombie that comes second
    run_transform(MapChain(workspace, [{"web": job}], KEYS, LIMITS), [])
    after = Counter(METER.read_all())
    after.subtract(before)
    assert after["counting.parts"] == 3
    assert after["counting.records"] == 3 + 4 + 5
    assert after["counting.rejects:odd"] == 3


def test_a_failed_pipeline_raises_on_prism(workspace: Workspace, prism: list[str]) -> None:
    chain = MapChain(workspace, [{"web": CountingJob()}], [PartKey("elsewhere", 0)], LIMITS)
    with pytest.raises(RuntimeError, match="elsewhere"):
        run_transform(chain, prism)


class _Stuck:
    """A job that its runner does not cancel."""

    _job_id = "job-7"

    def cancel(self) -> None:
        raise OSError("the job server is gone")


class DataflowResult(_Stuck):
    """Named as Beam names its own."""

    def job_id(self) -> str:
        return "2026-01-02_03_04_05-6"


@pytest.mark.parametrize(
    ("job", "name", "how"),
    [
        (_Stuck(), "job job-7", "the page of your cluster"),
        (DataflowResult(), "job 2026-01-02_03_04_05-6", "gcloud dataflow jobs cancel"),
    ],
)
def test_a_job_that_cannot_be_cancelled_is_said_to_go_on(job: _Stuck, name: str, how: str) -> None:
    said: list[str] = []
    _cancel(job, said.append)  # type: ignore[arg-type]
    assert said == [
        f"cancelling {name}; what is committed stays",
        f"{name} was not cancelled (OSError: the job server is gone) and may go on; stop it by "
        f"{how}",
    ]
