"""The flex template: a Dataflow job of one small machine that is the driver of a run.

A flex template's launcher must return as soon as its job is built (Google's page "Use Flex
Templates to package a pipeline": no `wait_until_finish`), and a run of tokenmill is a chain of jobs
with a ledger read between them. So the driver cannot be the launcher. What the template launches
instead is a job of one element, whose one worker runs `tokenmill run` and submits the chain from
there. When that machine is lost Dataflow gives the element to another, up to four times, and the
run goes on from its ledger; the lease of the workspace keeps two drivers apart.

Started by the launcher with the parameters of metadata.json and with Beam's own options. No
parameter asks for a GPU: the launcher and this driver are Python 3.11, workers of Dockerfile.gpu
are 3.12, and work travels between them as pickles.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    WorkerOptions,
)

LABEL = "tokenmill-driver"


class RunDriver(beam.DoFn):
    """A command line -> its exit code, 0; what it says goes to the worker's log."""

    def process(self, command: list[str]) -> Iterator[int]:
        """Runs the driver to its end.

        Raises:
            RuntimeError: It ended with another code: Dataflow tries again.
        """
        driver = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert driver.stdout is not None
        last = ""
        for line in driver.stdout:
            last = line.rstrip() or last
            logging.info("%s", line.rstrip())
        if driver.wait():
            raise RuntimeError(f"the driver ended with code {driver.returncode}: {last}")
        yield 0


def parser() -> argparse.ArgumentParser:
    """The parameters of metadata.json."""
    made = argparse.ArgumentParser(allow_abbrev=False)
    made.add_argument("--corpus", required=True)
    made.add_argument("--workspace", required=True)
    made.add_argument("--image", required=True)
    made.add_argument("--workers", type=int, default=20)
    made.add_argument("--worker_type", default="n2-highmem-8")
    made.add_argument("--worker_disk_gb", type=int, default=50)
    made.add_argument("--tokens", default="")
    return made


def command_of(asked: argparse.Namespace, options: PipelineOptions) -> list[str]:
    """The command line of the driver.

    Args:
        asked: The parameters.
        options: Those of the driver's own job; project, region, buckets and account are shared.
    """
    google, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    # Not temp_location: Beam has added the name of this job to it, and each job adds its own.
    shared = {
        "project": google.project,
        "region": google.region,
        "temp_location": f"{asked.workspace.rstrip('/')}-temp",
        "service_account_email": google.service_account_email,
        "subnetwork": worker.subnetwork,
    }
    command = [sys.executable, "-m", "pipelines.cli", "run", asked.corpus]
    command += [f"--workspace={asked.workspace}"]
    command += [f"--tokens={asked.tokens}"] if asked.tokens else []
    command += ["--runner=DataflowRunner"]
    command += [f"--{name}={value}" for name, value in shared.items() if value]
    command += [
        f"--sdk_container_image={asked.image}",
        f"--machine_type={asked.worker_type}",
        f"--max_num_workers={asked.workers}",
        f"--disk_size_gb={asked.worker_disk_gb}",
    ]
    if worker.use_public_ips is False:
        command.append("--no_use_public_ips")
    return command


def pipeline_of(argv: Sequence[str]) -> beam.Pipeline:
    """The job of the driver."""
    asked, rest = parser().parse_known_args(list(argv))
    options = PipelineOptions(rest)
    worker, debug = options.view_as(WorkerOptions), options.view_as(DebugOptions)
    worker.sdk_container_image = asked.image
    worker.num_workers = worker.max_num_workers = 1
    worker.machine_type = worker.machine_type or "e2-standard-4"
    worker.disk_size_gb = worker.disk_size_gb or 50
    debug.add_experiment("no_use_multiple_sdk_containers")
    google = options.view_as(GoogleCloudOptions)
    google.labels = [*(google.labels or []), f"{LABEL}=1"]
    pipeline = beam.Pipeline(options=options)
    command = command_of(asked, options)
    (
        pipeline
        | "Command" >> beam.Create([command], reshuffle=False)
        | "Run driver" >> beam.ParDo(RunDriver())
    )
    return pipeline


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.INFO)
    pipeline_of(sys.argv[1:]).run()  # and returns: the launcher must not wait
