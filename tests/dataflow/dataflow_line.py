"""The pipelines of a run of the small corpus, and options that Dataflow takes."""

from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.internal.cloudpickle import cloudpickle

from pipelines.driver import RunResult

GOOD = (
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=us-central1",
    "--temp_location=gs://bucket/temp",
    "--job_name=small-corpus",
    "--sdk_container_image=us-docker.pkg.dev/my-project/images/tokenmill:1",
    "--machine_type=n2-highmem-8",
    "--disk_size_gb=50",
    "--max_num_workers=10",
    "--experiments=no_use_multiple_sdk_containers",
    "--number_of_worker_harness_threads=2",
)


@dataclass(frozen=True)
class Line:
    """What a run of the whole line was made of."""

    result: RunResult
    pickles: tuple[tuple[str, bytes], ...]
    """Class and pickle of each transform, in the order in which they ran."""
    folder: Path
    """Inputs and workspace stand below it."""

    def transforms(self) -> list[beam.PTransform]:
        """All of them, as they ran: over files of this machine."""
        return [cloudpickle.loads(data) for _, data in self.pickles]

    def moved(self) -> list[beam.PTransform]:
        """All of them, as if every file stood in a bucket."""
        return [cloudpickle.loads(self.to_bucket(data)) for _, data in self.pickles]

    def to_bucket(self, pickled: bytes) -> bytes:
        """A pickle in which the folder is a bucket of as many letters, so that lengths hold."""
        here = str(self.folder).encode()
        return pickled.replace(here, b"gs://bucket/".ljust(len(here), b"x"))
