"""`tokenmill-worker` under a runner that starts it: Beam's own, in Python, with its worker pool."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms.environments import ExternalEnvironment, python_sdk_capabilities

from pipelines.runners import DRIVER_VERSIONS, versions
from pipelines.worker_boot import REFUSED, command, what_differs

ROOT = Path(__file__).parents[2]
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Writes the process ids of the workers that did the elements into a file."""
    servers = []

    def pipeline(out: Path, driver: str) -> None:
        script = tmp_path / "worker.sh"
        path = f"{ROOT}{os.pathsep}{ROOT / 'tokenize'}"
        script.write_text(
            f'#!/bin/sh\nexport PYTHONPATH="{path}" {DRIVER_VERSIONS}="{driver}"\n'
            f'exec "{sys.executable}" -m pipelines.worker_boot "$@"\n'
        )
        script.chmod(0o755)
        pool = BeamFnExternalWorkerPoolServicer
        address, server = pool.start(use_process=True, container_executable=str(script))
        servers.append(server)
        worker = ExternalEnvironment(address, capabilities=python_sdk_capabilities())
        with beam.Pipeline(runner=FnApiRunner(default_environment=worker)) as steps:
            numbers = steps | beam.Create([1, 2, 3])
            _ = numbers | beam.Map(note_process, str(out))

    yield pipeline
    for server in servers:
        server.stop(None)


def note_process(number: int, out: str) -> None:
    import os

    with open(out, "a") as file:
        file.write(f"{number} {os.getpid()}\n")


def test_worker_serves_a_pipeline_in_a_process_of_its_own(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "out", versions())
    lines = [line.split() for line in (tmp_path / "out").read_text().splitlines()]
    assert sorted(number for number, _ in lines) == ["1", "2", "3"]
    (process,) = {process for _, process in lines}
    assert int(process) != os.getpid()


def test_worker_of_other_versions_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(Provision(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setattr(os, "environ", {**os.environ, DRIVER_VERSIONS: "python 2.7"})
    # Quoted as Prism does.
    with pytest.raises(SystemExit) as end:
        command(["--id='one'", f"--provision_endpoint=127.0.0.1:{port}"])
    server.stop(None)
    assert end.value.code == REFUSED == 78
    assert "the driver has python 2.7; what one pickles" in capsys.readouterr().err
    assert os.environ["WORKER_ID"] == "one"


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    def GetProvisionInfo(self, request: object, context: object) -> object:
        control = endpoints_pb2.ApiServiceDescriptor(url="127.0.0.1:1")
        info = beam_provision_api_pb2.ProvisionInfo(control_endpoint=control)
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)


def test_versions_are_compared_where_the_driver_told_them() -> None:
    assert what_differs(None, "python 3.11") is None
    assert what_differs("python 3.11", "python 3.11") is None
    assert "install the driver's versions" in str(what_differs("python 3.11", "python 3.12"))


def test_worker_started_by_hand_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.worker_boot", "--id=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "found no --provision_endpoint; a runner starts this program" in done.stderr
