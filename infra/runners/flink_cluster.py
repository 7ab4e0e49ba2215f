"""A Flink cluster on loopback, with Beam's job server before it.

    python infra/runners/flink_cluster.py --jars JARS -- \\
        sh -c 'tokenmill run corpus.yaml $TOKENMILL_FLINK_OPTIONS'

starts one JobManager, two TaskManagers and the job server, runs the command with the Beam options
in its environment, and stops all of it. JARS comes from `flink/pom.xml`. The servers
are those of a distribution (`bin/start-cluster.sh` starts the same three classes), so tasks, blobs
and shuffles cross processes; only their memory is small. What a distribution's scripts reckon from
`taskmanager.memory.process.size` is written out here, because a TaskManager started by hand refuses
to guess it.

Tests use `flink_cluster` and kill what it lists.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from processes import ServerError, Servers, free_port

LOOPBACK: Final = "127.0.0.1"
OPTIONS: Final = "TOKENMILL_FLINK_OPTIONS"
_HEAP_MB: Final = 512
"""Of a TaskManager's tasks; the values of one key of a GroupByKey stand in it."""
_MANAGED_MB: Final = 256
"""For sorting; a record has to fit into one sorter's share."""
_NETWORK_MB: Final = 64
_SPARE_MB: Final = 128
"""Of a TaskManager's heap, for what is not a task."""
_OPENED: Final = (
    "java.lang java.lang.reflect java.io java.net java.nio java.text java.time java.util "
    "java.util.concurrent java.util.concurrent.atomic java.util.concurrent.locks sun.nio.ch "
    "sun.net.util"
).split()
"""Packages into which Flink, Kryo and Beam look by reflection; Java closes them from 17 on."""
_NOT_STAGED: Final = Path("gradle", "wrapper")
"""The job server uploads its class path with every job (152 MB, 16 s here), though the nodes have
all of it, and has no option against that. What it leaves out are paths that contain these names
(`PipelineResources.isStageable`), so its jars are linked into such a folder."""
_JOB_MANAGER: Final = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER: Final = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER: Final = "org.apache.beam.runners.flink.FlinkJobServerDriver"


@dataclass(slots=True)
class FlinkCluster:
    """A cluster that runs."""

    jars: Path
    folder: Path
    """Of configuration, logs and temporary files."""
    servers: Servers
    rest_port: int
    job_port: int
    slots: int
    """Of each TaskManager."""
    task_managers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def options(self) -> list[str]:
        """Beam's options for this cluster, all but the environment of its Python workers.

        Not LOOPBACK where there are two TaskManagers: each numbers its workers from 1 on, and the
        pool of the driver, which knows them by these names, stops those of the other (Beam 2.77).
        """
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={LOOPBACK}:{self.job_port}",
            f"--parallelism={len(self.task_managers) * self.slots}",
        ]

    def add_task_manager(self) -> "subprocess.Popen[bytes]":
        """Starts one more TaskManager."""
        name = f"taskmanager-{len(self.task_managers)}"
        heap = _HEAP_MB + _SPARE_MB
        flags = [f"-Xmx{heap}m", f"-XX:MaxDirectMemorySize={_NETWORK_MB + _SPARE_MB}m"]
        command = [_TASK_MANAGER, "--configDir", str(self.folder / "conf")]
        started = self.servers.start(name, self.java(*flags, *command))
        self.task_managers.append(started)
        return started

    def java(self, *words: str) -> list[str]:
        """The command of one of the classes."""
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
        # One collector thread: on few cores many of them only get into each other's way.
        logger = "-Dorg.slf4j.simpleLogger"
        flags = [
            "-XX:+UseSerialGC",
            f"{logger}.showDateTime=true",
            f"{logger}.dateTimeFormat=HH:mm:ss.SSS",
        ]
        return ["java", *opened, *flags, "-cp", f"{self.jars}/*", *words]


@contextmanager
def flink_cluster(
    jars: Path, folder: Path, *, task_managers: int = 2, slots: int = 1
) -> Iterator[FlinkCluster]:
    """Starts a cluster and its job server; stops them at the end.

    Args:
        jars: The folder of jars.
        folder: For configuration, logs and temporary files.
        task_managers: Processes that work.
        slots: Of each, which is how many tasks it works on at a time.

    Raises:
        ServerError: One of them did not start.
        ValueError: The folder holds no Flink.
    """
    if not any(jars.glob("flink-runtime-*.jar")):
        raise ValueError(
            f"found no flink-runtime in {jars}; gather the jars with "
            "`mvn -f infra/runners/flink/pom.xml dependency:copy-dependencies "
            "-DoutputDirectory=JARS`"
        )
    rest, job = free_port(), free_port()
    with Servers(folder / "logs") as servers:
        _configure(folder, rest, slots)
        linked = folder / _NOT_STAGED
        linked.mkdir(parents=True)
        for jar in jars.glob("*.jar"):
            link_or_copy(jar, linked / jar.name)
        cluster = FlinkCluster(
            jars=linked.resolve(),
            folder=folder,
            servers=servers,
            rest_port=rest,
            job_port=job,
            slots=slots,
        )
        conf = str(folder / "conf")
        manager = cluster.java("-Xmx384m", _JOB_MANAGER, "--configDir", conf)
        servers.start("jobmanager", manager, port=rest)
        for _ in range(task_managers):
            cluster.add_task_manager()
        server_options = {
            "flink-master": f"{LOOPBACK}:{rest}",
            "flink-conf-dir": conf,
            "job-host": LOOPBACK,
            "job-port": job,
            "artifact-port": 0,
            "expansion-port": 0,
            "artifacts-dir": folder / "artifacts",
        }
        words = [f"--{name}={value}" for name, value in server_options.items()]
        server = cluster.java("-Xmx512m", _JOB_SERVER, *words)
        servers.start("jobserver", server, port=job)
        wait_for_slots(cluster, task_managers * slots)
        yield cluster


def wait_for_slots(cluster: FlinkCluster, count: int, seconds: float = 60.0) -> None:
    """Waits until a number of slots is offered, and no more is.

    Raises:
        ServerError: The time is over, or the newest TaskManager has ended.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            with urlopen(f"http://{LOOPBACK}:{cluster.rest_port}/overview", timeout=5) as answer:
                found = json.load(answer)
            if found["slots-total"] == count:
                return
        except URLError:
            pass  # the port is open before the dispatcher answers
        if cluster.task_managers[-1].poll() is not None or time.monotonic() > until:
            log = cluster.servers.log(f"taskmanager-{len(cluster.task_managers) - 1}")
            raise ServerError(f"no {count} slots after {seconds:g} s:\n{log[-4000:]}")
        time.sleep(0.1)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a second file where the two are on different disks."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _configure(folder: Path, rest: int, slots: int) -> None:
    """Writes what all of the servers read."""
    (folder / "conf").mkdir(parents=True)
    (folder / "tmp").mkdir()
    settings = {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": free_port(),
        "jobmanager.bind-host": LOOPBACK,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": rest,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": slots,
        "io.tmp.dirs": folder / "tmp",
        "classloader.resolve-order": "parent-first",
        # Without it a lost TaskManager ends the job; Beam's option for it is for streams only.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "1 s",
        "taskmanager.cpu.cores": 1,
        "taskmanager.memory.framework.heap.size": f"{_SPARE_MB}m",
        "taskmanager.memory.framework.off-heap.size": f"{_SPARE_MB}m",
        "taskmanager.memory.task.heap.size": f"{_HEAP_MB}m",
        "taskmanager.memory.task.off-heap.size": "0m",
        "taskmanager.memory.jvm-metaspace.size": f"{_SPARE_MB}m",
        "taskmanager.memory.jvm-overhead.min": f"{_SPARE_MB}m",
        "taskmanager.memory.jvm-overhead.max": f"{_SPARE_MB}m",
        "taskmanager.memory.network.min": f"{_NETWORK_MB}m",
        "taskmanager.memory.network.max": f"{_NETWORK_MB}m",
        "taskmanager.memory.managed.size": f"{_MANAGED_MB}m",
    }
    lines = [f"{name}: {value}\n" for name, value in settings.items()]
    (folder / "conf" / "flink-conf.yaml").write_text("".join(lines))


def main() -> int:
    """Runs a command beside a cluster; gives its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jars", type=Path, required=True, help="folder made by mvn")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what is run, after --")
    args = parser.parse_args()
    with TemporaryDirectory() as folder, flink_cluster(args.jars, Path(folder)) as cluster:
        environment = {**os.environ, OPTIONS: " ".join(cluster.options())}
        return subprocess.run(args.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
