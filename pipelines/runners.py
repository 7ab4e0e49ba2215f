"""What a runner needs to be told, chosen for the user or explained in one line.

`--runner=SparkRunner --spark_master_url=spark://host:7077` says where the cluster is. What it does
not say is how a node gets a Python worker, and there Beam's own default (a Docker image that lacks
this package) fails late and far away. `choose` looks at what was typed and adds what follows from
it, each addition as one line for the user; what can only fail is refused before any work:

- a runner inside one process of this machine (Prism, a job server's `local[*]` or `[local]`):
  LOOPBACK, the worker is a thread of this process. Its address is given out as `localhost`, so it
  can serve no other machine; and it knows its clients by names that each executor or task manager
  numbers for itself, so that two of them end each other's workers;
- a cluster: PROCESS, each node starts `tokenmill-worker` (`pipelines.worker_boot`), or what the
  user names: DOCKER with an image, EXTERNAL with the address of a worker pool.

The names of options are Beam's (`apache_beam.options.pipeline_options`, 2.77). Beam is not
imported: it takes seconds, and options are looked at before there is anything to run.
"""

import json
import os
import re
import shutil
import socket
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from pipelines.beam_options import (
    IN_PROCESS,
    KINDS,
    command_of,
    config_of,
    host_of,
    image_of,
    is_local_path,
    kind_of,
    parse,
)
from pipelines.workspace.cores import available_cores

WORKER: Final = "tokenmill-worker"
"""The command that boots a Python worker on a node, see `pipelines.worker_boot`."""

DRIVER_VERSIONS: Final = "TOKENMILL_DRIVER_VERSIONS"
"""Environment variable by which a worker learns the versions of what was pickled for it."""

_ENVIRONMENTS: Final = ("LOOPBACK", "PROCESS", "DOCKER", "EXTERNAL")
_LOCAL_MASTER: Final = re.compile(r"local(\[.*\])?|\[(local|auto)\]")
_JAVA: Final = {
    "spark": "Java 11 or 17 (Spark 3.5 runs on both)",
    "flink": "Java 11 or 17 (Flink 1.19 and later run on both)",
}
_JARS: Final = {"spark": "TOKENMILL_SPARK_JOB_SERVER", "flink": "TOKENMILL_FLINK_JOB_SERVER"}
_PRISM: Final = "TOKENMILL_PRISM"
_CONNECT_S: Final = 1.0  # on loopback an answer takes far less than a millisecond
# Beam's Java runners end a worker when the last bundle that uses it ends, unless told to wait. Then
# a new one starts for each wave of tasks, and a task just given to the old one is lost and done
# again. Workers serve one pipeline only, so those of the last ones pile up for as long.
_KEEP_WORKERS_MS: Final = 10_000
# By default Beam's job server makes a Spark application of each pipeline. A run is a dozen of them:
# executors would start a dozen times. (org.apache.beam.runners.spark.translation
# .SparkContextFactory; one job server serves one run here, which is what the property wants.)
_ONE_APPLICATION: Final = "-Dbeam.spark.test.reuseSparkContext=true"


@dataclass(frozen=True, slots=True)
class Choice:
    """Options for Beam, and what was decided for the user."""

    args: tuple[str, ...]
    says: tuple[str, ...] = ()
    """One line a decision."""


def _is_refused(host: str, port: int) -> bool:
    """Whether this machine says that nothing listens; silence says nothing."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is looked up on this machine; tests give their own."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    which: Callable[[str], str | None] = shutil.which
    host: str = field(default_factory=socket.gethostname)
    cores: int = field(default_factory=available_cores)
    scripts: Path = field(default_factory=lambda: Path(sys.executable).parent)
    """Folder of the commands that were installed with this package."""
    is_refused: Callable[[str, int], bool] = _is_refused
    """Whether a connection to a port is refused; asked of ports of this machine only."""


def choose(
    beam_args: Sequence[str], *, workspace: str = "", machine: Machine | None = None
) -> Choice:
    """Completes the options of a run.

    Args:
        beam_args: What the user typed; kept, and what is added comes after it.
        workspace: Its URL, where known: one on a local disk cannot be seen by other machines.
        machine: Where this runs; this machine, if not given.

    Raises:
        ValueError: The options can only fail.
    """
    asked = parse(beam_args)
    kind = kind_of(asked.runner)
    if kind in IN_PROCESS or kind is None:
        return Choice(tuple(beam_args))
    run = _Run(asked, kind, workspace, machine or Machine())
    if kind == "dataflow":
        run.dataflow()
    elif kind == "prism":
        run.prism()
    elif kind == "portable":
        run.portable()
    else:
        run.cluster()
    return Choice((*beam_args, *run.added), tuple(run.says))


def is_in_process(beam_args: Sequence[str]) -> bool:
    """Whether the run stays in this process, by the name of its runner."""
    asked = parse(beam_args)
    return kind_of(asked.runner) in IN_PROCESS


@dataclass(slots=True)
class _Run:
    """One run's options while they are completed."""

    asked: Namespace
    kind: str
    workspace: str
    machine: Machine
    added: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return KINDS[self.kind]

    def add(self, *options: str) -> None:
        self.added += options

    def cluster(self) -> None:
        """Spark and Flink: a master, and a job server in front of it."""
        asked = self.asked
        given = asked.spark_master_url if self.kind == "spark" else asked.flink_master
        if self.kind == "flink" and asked.parallelism is None and given not in (None, "[local]"):
            self.says.append(
                "Flink runs with the parallelism.default of its cluster, which is 1 where nobody "
                "set it; give --parallelism=<task slots of the cluster> to use more"
            )
        if asked.job_endpoint is not None:
            self._refuse_bad_endpoint(asked.job_endpoint)
            where = given if given and not _LOCAL_MASTER.fullmatch(given) else asked.job_endpoint
            return self.workers(is_here=self._is_here(where))
        self._job_server()
        if self.kind == "spark" and not any("reuseSpark" in one for one in asked.jvm_properties):
            self.add(f"--job_server_jvm_properties={_ONE_APPLICATION}")
        if given is None or _LOCAL_MASTER.fullmatch(given):
            self._embedded_cluster(given)
            return self.workers(is_here=True, is_one=True)
        self._refuse_bad_master(given)
        return self.workers(is_here=self._is_here(given))

    def portable(self) -> None:
        """A job server that the user started."""
        endpoint = self.asked.job_endpoint
        if endpoint is None:
            raise ValueError(
                "--runner=PortableRunner: found no --job_endpoint; allowed is host:port of a Beam "
                "job server; start one (docs/runners.md), or name --runner=SparkRunner, "
                "FlinkRunner or PrismRunner, for which Beam starts one"
            )
        if endpoint == "embed":
            return
        self._refuse_bad_endpoint(endpoint)
        self.workers(is_here=self._is_here(endpoint))

    def prism(self) -> None:
        """Prism: one binary on this machine."""
        if self.asked.job_endpoint is not None:
            return self.portable()
        self.workers(is_here=True, is_one=True)
        if self.asked.prism_location is not None:
            return None
        named = self.machine.environ.get(_PRISM)
        if named and not (Path(named).is_file() and os.access(named, os.X_OK)):
            what = "a file that cannot be executed" if Path(named).is_file() else "no file"
            raise ValueError(
                f"{_PRISM}: found {what} at {named}; allowed is the path of the Prism binary; "
                "correct the environment variable, chmod +x the file, or unset it"
            )
        binary = named or self.machine.which("prism")
        if binary:
            self.add(f"--prism_location={binary}")
            self.says.append(f"Prism is {binary}")
        else:
            self.says.append(
                "Beam fetches Prism of its own version from github.com/apache/beam/releases; "
                f"without network install it with go (docs/runners.md) and set {_PRISM}"
            )
        return None

    def dataflow(self) -> None:
        """Dataflow: workers are Google's, files are in a bucket."""
        if self.asked.environment_type is not None:
            raise ValueError(
                f"--runner=DataflowRunner: found --environment_type={self.asked.environment_type}; "
                "Dataflow always runs workers from a container image; give "
                "--sdk_container_image=IMAGE instead (docs/dataflow.md)"
            )
        if self.workspace and is_local_path(self.workspace):
            raise ValueError(
                f"--runner=DataflowRunner: found the workspace {self.workspace} on this machine's "
                "disk, which no worker of Dataflow can see; give --workspace gs://BUCKET/FOLDER"
            )
        if not any("use_multiple_sdk_containers" in one for one in self.asked.experiments):
            self.add("--experiments=no_use_multiple_sdk_containers")
            self.says.append(
                "one Python process a machine: its child processes use all cores, and they share "
                "one model server"
            )
        if self.asked.number_of_worker_harness_threads is None:
            self.add("--number_of_worker_harness_threads=2")
            self.says.append(
                "two parts at a time a machine: one is read and committed while the other keeps "
                "the children busy"
            )
        if self.asked.sdk_container_image is None:
            self.says.append(
                "workers get Beam's own image, which has no tokenmill in it, unless a setup file "
                "brings it; give --sdk_container_image=IMAGE (docs/dataflow.md)"
            )

    def workers(self, *, is_here: bool, is_one: bool = False) -> None:
        """How a node gets a Python worker.

        Args:
            is_here: No other machine takes part.
            is_one: All tasks run in one process of this machine.
        """
        wanted = self.asked.environment_type
        if wanted is None:
            wanted = self._default_environment(is_one=is_one)
            self.add(f"--environment_type={wanted}")
        wanted = wanted.upper()
        if wanted == "LOOPBACK":
            self._loopback(is_here=is_here, is_one=is_one)
        elif wanted == "PROCESS":
            self._process(is_here=is_here)
        elif wanted == "DOCKER":
            self._docker()
        elif wanted == "EXTERNAL":
            self._external()
        elif not wanted.startswith("BEAM:ENV:"):  # a URN: for those who know
            raise ValueError(
                f"--environment_type: found {self.asked.environment_type}; allowed are "
                f"{', '.join(_ENVIRONMENTS)}; docs/runners.md says which one when"
            )
        if not is_here and self.workspace and is_local_path(self.workspace):
            self.says.append(
                f"every node must see the workspace {self.workspace} under the same path (NFS, "
                "Lustre); else give --workspace s3://... or gs://..."
            )

    def _default_environment(self, *, is_one: bool) -> str:
        if image_of(self.asked) is not None:
            return "DOCKER"
        if self._option("external_service_address") is not None:
            return "EXTERNAL"
        if self._option("process_command") is not None or command_of(self.asked) is not None:
            return "PROCESS"
        return "LOOPBACK" if is_one else "PROCESS"

    def _loopback(self, *, is_here: bool, is_one: bool) -> None:
        if not is_here and not self._is_this_host():
            raise ValueError(
                f"--environment_type=LOOPBACK: found a {self._where()} on another machine; its "
                "workers would look for this process at their own localhost; allowed is LOOPBACK "
                "only where cluster and driver are one machine; leave the option out (PROCESS), "
                "or give --environment_type=DOCKER --environment_config=IMAGE"
            )
        if not is_one:
            self.says.append(
                "Python workers: LOOPBACK, in this process, is for one executor or task manager; "
                "with several of them they end each other's workers now and then: leave the option "
                "out (PROCESS)"
            )
        if self.kind != "prism":
            self._keep_workers()

    def _process(self, *, is_here: bool) -> None:
        config = config_of(self.asked) or {}
        command = config.get("command") or self._option("process_command")
        if command is None:
            command = self._worker_command(is_here=is_here)
            self.says.append(
                f"Python workers: PROCESS, each node starts {command}; tokenmill of this version "
                "must be installed there; --environment_type=DOCKER --environment_config=IMAGE "
                "takes it from an image instead"
            )
        if self._option("process_command") is None:
            variables = {DRIVER_VERSIONS: versions(), **(config.get("env") or {})}
            whole = {**config, "command": command, "env": variables}
            self.add(f"--environment_config={json.dumps(whole, sort_keys=True)}")
        self._keep_workers()

    def _docker(self) -> None:
        if image_of(self.asked) is None:
            raise ValueError(
                "--environment_type=DOCKER: found no image, and Beam's own has no tokenmill in it; "
                "give --environment_config=IMAGE (infra/dataflow/Dockerfile builds one), or "
                "--environment_type=PROCESS where tokenmill is installed on the nodes"
            )
        self._keep_workers()

    def _external(self) -> None:
        if self.asked.environment_config is None and not self._option("external_service_address"):
            raise ValueError(
                "--environment_type=EXTERNAL: found no address of a worker pool; give "
                "--environment_config=host:port, as of a sidecar (infra/kubernetes)"
            )

    def _keep_workers(self) -> None:
        if self.asked.environment_cache_millis is None:
            self.add(f"--environment_cache_millis={_KEEP_WORKERS_MS}")

    def _worker_command(self, *, is_here: bool) -> str:
        installed = self.machine.scripts / WORKER
        if is_here and installed.is_file():
            return str(installed)  # the cluster's PATH need not have it
        return WORKER

    def _job_server(self) -> None:
        """What starts the job server where Beam is to start it."""
        asked = self.asked
        jar = getattr(asked, f"{self.kind}_job_server_jar")
        if getattr(asked, f"{self.kind}_submit_uber_jar"):
            return
        launcher = asked.job_server_java_launcher or "java"
        if self.machine.which(launcher) is None:
            raise ValueError(
                f"--runner={self.name}: found no {launcher} on this machine; Beam's job server "
                f"needs {_JAVA[self.kind]}; install a JRE (apt install openjdk-17-jre-headless), "
                "or give --job_server_java_launcher=PATH, or --job_endpoint=host:port of a job "
                "server that runs elsewhere"
            )
        if jar is None:
            variable = _JARS[self.kind]
            jar = self.machine.environ.get(variable)
            if jar and "://" not in jar and not Path(jar).is_file():
                raise ValueError(
                    f"{variable}: found no file {jar}; allowed is the path or URL of a jar; "
                    "correct the environment variable or unset it"
                )
            if jar:
                self.add(f"--{self.kind}_job_server_jar={jar}")
                self.says.append(f"the job server is {jar}")
            else:
                self.says.append(
                    f"Beam fetches its {self.kind} job server from Maven Central; without network "
                    f"build it (infra/runners) and set {variable}"
                )
        elif "://" not in jar and not Path(jar).is_file():
            raise ValueError(
                f"--{self.kind}_job_server_jar: found no file {jar}; give the path or URL of a jar"
            )

    def _embedded_cluster(self, given: str | None) -> None:
        """Spark and Flink can run inside their job server, on the cores of this machine."""
        if self.kind == "spark" and given is None:
            self.add("--spark_master_url=local[*]")
            self.says.append(
                "Spark runs inside its job server on all cores of this machine; give "
                "--spark_master_url=spark://host:7077 for a cluster"
            )
        if self.kind == "flink":
            if given is None:
                self.add("--flink_master=[local]")
                self.says.append(
                    "Flink runs inside its job server on all cores of this machine; give "
                    "--flink_master=host:8081 for a cluster"
                )
            if self.asked.parallelism is None:
                self.add(f"--parallelism={self.machine.cores}")

    def _refuse_bad_master(self, master: str) -> None:
        if self.kind == "spark" and not re.match(r"(spark|k8s|mesos)://.|yarn", master):
            raise ValueError(
                f"--spark_master_url: found {master}; allowed are spark://host:7077, local[*] and "
                "what else Spark takes as a master; correct it"
            )

    def _refuse_bad_endpoint(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(
                f"--job_endpoint: found {endpoint}; allowed is host:port of a Beam job server, "
                "such as localhost:8099; correct it"
            )
        if self._is_here(endpoint) and self.machine.is_refused(host.strip("[]"), int(port)):
            raise ValueError(
                f"--job_endpoint: found {endpoint}, where nothing listens on this machine; "
                "allowed is host:port of a Beam job server that runs; start it "
                "(docs/runners.md), or correct the port"
            )

    def _is_here(self, where: str) -> bool:
        """Whether an address is one of this machine that no other machine can use."""
        host = host_of(where)
        return host in ("localhost", "::1") or host.startswith("127.")

    def _is_this_host(self) -> bool:
        """Whether the master or job server is named by this machine's own name."""
        asked = self.asked
        where = asked.spark_master_url or asked.flink_master or asked.job_endpoint or ""
        return host_of(where) == self.machine.host.lower()

    def _where(self) -> str:
        return "job server" if self.asked.job_endpoint else "master"

    def _option(self, name: str) -> str | None:
        """One of `--environment_options=NAME=VALUE`."""
        for option in self.asked.environment_options:
            key, found, value = option.partition("=")
            if key == name and found:
                return str(value)
        return None


def versions() -> str:
    """What must be the same where work is pickled and where it is done.

    Returns:
        Such as `python 3.11, apache-beam 2.77.0, tokenmill 0.1.0`.
    """
    python = f"python {sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join((python, _installed("apache-beam"), _installed("tokenmill")))


def _installed(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} of a checkout"
