"""`tokenmill-worker`: what a Spark executor or a Flink task manager starts as its Python worker.

Beam's environment PROCESS names a command; the runner starts it on the node with the worker's id
and the address of a provision service, and expects a process that asks that service for the
options of the pipeline and then serves the runner. Beam has such a program, a Go binary named
`boot`, but ships it in its container images only; where the nodes have this package installed
(by whatever installs Python packages there) it would be the one thing missing. This is that
program, for this package: it stages no files and installs nothing, because the node has all that
is needed. It checks that: pickles of another Python, Beam or tokenmill would fail somewhere else
and later, so a worker with other versions ends with exit code 78 and a line on standard error.

The protocol: `beam_provision_api.proto` and `sdks/python/container/boot.go` of Apache Beam.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Final

from pipelines.runners import DRIVER_VERSIONS, WORKER, versions

if TYPE_CHECKING:
    from apache_beam.portability.api.beam_provision_api_pb2 import ProvisionInfo

REFUSED: Final = os.EX_CONFIG
"""Exit code (78) of a worker that cannot do the driver's work; runners show it, not its reason."""

_ENDPOINTS: Final = ("control", "logging", "artifact", "status", "provision")
_LOOK_S: Final = 2.0
_PROVISION_TIMEOUT_S: Final = 60.0
# A listing that Beam's driver always stages, for reading by people.
_HARMLESS: Final = frozenset({"submission_environment_dependencies.txt"})


def command(args: Sequence[str] | None = None) -> None:
    """Boots a worker and serves until the runner ends it.

    Args:
        args: As the runner gives them; those of this process, if not given.

    Raises:
        SystemExit: REFUSED, where it lacks what the driver has.
    """
    given_args = sys.argv[1:] if args is None else args
    # Prism quotes as for a shell, and then starts the command without one.
    asked = _parser().parse_args([re.sub(r"^(--\w+=)'(.*)'$", r"\1\2", one) for one in given_args])
    if asked.provision_endpoint is None:
        raise SystemExit(
            f"{WORKER}: found no --provision_endpoint; a runner starts this program on its nodes "
            "(--environment_type=PROCESS); there is nothing in it to start by hand"
        )
    info = provision_info(asked.provision_endpoint, asked.id)
    given = {name: getattr(asked, f"{name}_endpoint") for name in _ENDPOINTS}
    os.environ.update(worker_environment(asked.id, info, given))
    wrong = what_differs(os.environ.get(DRIVER_VERSIONS), versions()) or what_is_staged(info)
    if wrong is not None:
        # Not over the control channel: Java runners wait three minutes for a worker's data channel
        # before they look at an answer. The end of the process they see within seconds.
        sys.stderr.write(f"{WORKER}: {wrong}\n")
        raise SystemExit(REFUSED)
    from apache_beam.runners.worker import sdk_worker_main

    Thread(target=_end_with_executor, args=(os.getppid(),), daemon=True).start()
    sdk_worker_main.main([])


def provision_info(endpoint: str, worker_id: str) -> "ProvisionInfo":
    """Asks the runner what this worker is to be.

    Raises:
        grpc.RpcError: It does not answer.
    """
    import apache_beam  # noqa: F401 - before its protocol modules, which import each other
    import grpc  # type: ignore[import-untyped]
    from apache_beam.portability.api import beam_provision_api_pb2 as api
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services

    with grpc.insecure_channel(endpoint) as channel:
        reply = services.ProvisionServiceStub(channel).GetProvisionInfo(
            api.GetProvisionInfoRequest(),
            timeout=_PROVISION_TIMEOUT_S,
            wait_for_ready=True,
            metadata=[("worker_id", worker_id)],
        )
    return reply.info


def worker_environment(
    worker_id: str, info: "ProvisionInfo", given: dict[str, str | None]
) -> dict[str, str]:
    """The environment variables that Beam's Python worker reads.

    Args:
        worker_id: By which the runner knows it.
        info: The runner's answer.
        given: Name of an endpoint -> address on the command line; it goes before the answer's.

    Raises:
        ValueError: There is no control endpoint.
    """
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

    found = {"WORKER_ID": worker_id}
    for name in ("control", "logging", "status"):
        url = given.get(name) or getattr(info, f"{name}_endpoint").url
        if url:
            described = endpoints_pb2.ApiServiceDescriptor(url=url)
            found[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(described)
    if "CONTROL_API_SERVICE_DESCRIPTOR" not in found:
        raise ValueError(
            f"{WORKER}: the runner named no control endpoint, neither on the command line nor in "
            "its provision info; its Beam is older than 2.26"
        )
    found["PIPELINE_OPTIONS"] = json_format.MessageToJson(info.pipeline_options)
    found["RUNNER_CAPABILITIES"] = " ".join(info.runner_capabilities)
    return found


def what_differs(driver: str | None, worker: str) -> str | None:
    """Why this worker cannot read what the driver pickled; None where it can.

    Args:
        driver: Versions of the driver, as `pipelines.runners.versions` gives them; None where the
            user wrote the environment without them.
        worker: Those of this worker.
    """
    if driver is None or driver == worker:
        return None
    return (
        f"this worker ({sys.executable}) has {worker}, and the driver has {driver}; what one "
        "pickles the other cannot be trusted to read; install the driver's versions on the nodes"
    )


def what_is_staged(info: "ProvisionInfo") -> str | None:
    """Why this worker lacks something that the driver sent along; None where it lacks nothing."""
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    names = {
        api.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name
        for one in info.dependencies
    }
    more = sorted(name for name in names - _HARMLESS if not name.endswith(".jar"))  # of Java
    if not more:
        return None
    return (
        f"the driver sent {', '.join(more)} along (--setup_file, --extra_package, "
        f"--requirements_file or --save_main_session), and {WORKER} installs nothing; install it "
        "on the nodes, or run them from an image (--environment_type=DOCKER)"
    )


def _end_with_executor(executor: int) -> None:
    """Ends this process when its executor was killed, which else it may not notice for minutes."""
    while os.getppid() == executor:
        time.sleep(_LOOK_S)
    os._exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=WORKER,
        description="Serves a Beam runner as a Python worker; started by the runner on its nodes.",
    )
    parser.add_argument("--id", required=True, help="by which the runner knows the worker")
    for name in _ENDPOINTS:
        parser.add_argument(f"--{name}_endpoint", metavar="HOST:PORT")
    parser.add_argument("--semi_persist_dir", help="unused: nothing is staged")
    return parser


if __name__ == "__main__":
    command()
