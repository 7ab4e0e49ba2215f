"""A Spark standalone cluster on loopback, with Beam's job server in front of it.

    mvn -q -f infra/runners/spark/pom.xml dependency:copy-dependencies -DoutputDirectory=JARS
    pip install --target SPARK pyspark==3.5.9
    python infra/runners/spark_cluster.py --spark SPARK/pyspark --jars JARS -- \\
        sh -c 'tokenmill run corpus.yaml $TOKENMILL_SPARK_OPTIONS'

starts one master, two workers and the job server, runs the command with the Beam options in its
environment, and stops all of it. pyspark brings the whole of Spark. Its start scripts make daemons;
here each server is a plain `java` process, which ends with this program.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from processes import Servers, free_port

OPTIONS: Final = "TOKENMILL_SPARK_OPTIONS"
MAIN: Final = "org.apache.beam.runners.spark.SparkJobServerDriver"
# What Spark 3.5 opens on Java 17 (org.apache.spark.launcher.JavaModuleOptions).
JAVA_17: Final = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang",
            "java.lang.invoke",
            "java.lang.reflect",
            "java.io",
            "java.net",
            "java.nio",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "sun.nio.ch",
            "sun.nio.cs",
            "sun.security.action",
            "sun.util.calendar",
        )
    ),
    "-Djdk.reflect.useDirectMethodHandle=false",
)


@dataclass(frozen=True, slots=True)
class Spark:
    """A running cluster."""

    master: str
    """spark://host:port"""
    job_endpoint: str
    """host:port of the job server."""
    nothing: Path
    """An empty jar."""
    event_logs: Path
    """Folder of Spark's event logs, one file an application."""
    servers: Servers

    @property
    def options(self) -> tuple[str, ...]:
        """For `tokenmill run`, without a word about workers."""
        # The executors have the classes; else each job stages all jars of the job server.
        stage = f"--files_to_stage={self.nothing}"
        return ("--runner=SparkRunner", f"--job_endpoint={self.job_endpoint}", stage)


@contextmanager
def spark_cluster(home: Path, beam: Path, folder: Path, *, workers: int = 2) -> Iterator[Spark]:
    """Starts master, workers and job server; stops them at the end of the block.

    Args:
        home: Spark: a folder with `jars/`, such as that of pyspark.
        beam: Folder of the jars that infra/runners/spark/pom.xml gathers.
        folder: For logs and what executors write.
        workers: Each has one core, and executors of 1 GB.

    Raises:
        ServerError: One of them did not start.
        ValueError: A folder holds no Spark, or no runner for it.
    """
    for place, name in ((home / "jars", "spark-core_*.jar"), (beam, "beam-runners-spark-3-*.jar")):
        if not any(place.glob(name)):
            raise ValueError(f"found no {name} in {place}; see the docstring of {__file__}")
    port, job_port = free_port(), free_port()
    master = f"spark://127.0.0.1:{port}"
    events = folder / "events"
    events.mkdir(parents=True, exist_ok=True)
    # Beam's first: it wants a newer Guava than Spark has; so also on executors, see `settings`.
    both = f"{beam}/*:{home / 'jars'}/*"
    nothing = folder / "nothing.jar"
    nothing.write_bytes(b"PK\x05\x06" + bytes(18))  # an empty zip
    # Without the last a worker looks for a source tree to learn the version of Scala.
    env = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_HOME": str(home),
        "SPARK_SCALA_VERSION": "2.12",
    }
    with Servers(folder / "logs") as servers:
        java = ("java", *JAVA_17, "-Xmx384m", "-cp", f"{home / 'jars'}/*")
        where = ("--host", "127.0.0.1", "--webui-port", "0")
        run = (*java, "org.apache.spark.deploy.master.Master", *where, "--port", str(port))
        servers.start("master", run, env=env, port=port)
        for number in range(workers):
            mine = free_port()
            size = ("--cores", "1", "--memory", "1g", "--work-dir", str(folder / "executors"))
            run = (*java, "org.apache.spark.deploy.worker.Worker", *where, "--port", str(mine))
            servers.start(f"worker-{number}", (*run, *size, master), env=env, port=mine)
        settings = {
            # One Spark application for all pipelines of a run, as `pipelines.runners` asks for.
            "beam.spark.test.reuseSparkContext": "true",
            "spark.executor.memory": "1g",
            "spark.executor.extraClassPath": f"{beam}/*",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": events.as_uri(),
            "spark.ui.enabled": "false",
            "spark.local.dir": str(folder),
        }
        run = (
            *("java", *JAVA_17, "-Xmx1g", *(f"-D{key}={value}" for key, value in settings.items())),
            *("-cp", both, MAIN, "--spark-master-url", master),
            *("--job-host", "127.0.0.1", "--job-port", str(job_port)),
            *("--artifact-port", "0", "--expansion-port", "0"),
            *("--artifacts-dir", str(folder / "artifacts")),
        )
        servers.start("job-server", run, env=env, port=job_port)
        yield Spark(master, f"127.0.0.1:{job_port}", nothing, events, servers)


def main() -> int:
    """Runs a command beside a cluster; gives its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spark", type=Path, required=True, help="folder with Spark's jars/")
    parser.add_argument("--jars", type=Path, required=True, help="folder made by mvn")
    parser.add_argument("--workers", type=int, default=2, help="of one core each")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what is run, after --")
    asked = parser.parse_args()
    home, jars = asked.spark.resolve(), asked.jars.resolve()
    with (
        TemporaryDirectory() as folder,
        spark_cluster(home, jars, Path(folder), workers=asked.workers) as spark,
    ):
        environment = {**os.environ, OPTIONS: " ".join(spark.options)}
        return subprocess.run(asked.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
