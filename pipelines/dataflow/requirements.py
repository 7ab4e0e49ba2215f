"""What Dataflow and its workers ask of the options of a job, checked before anything is submitted.

A job that lacks an option is refused by the service within seconds; one whose workers lack memory
or a disk fails after an hour, on the largest part. Both are told here. The limits are Google's, and
the page that states each is named beside it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.dataflow.machines import (
    GIB,
    Accelerator,
    Machine,
    accelerator_of,
    is_arm,
    is_type_name,
    misfit,
)

GRAPH_BYTES: Final = 10_000_000
"""Largest job graph ("Request quotas" of the Dataflow documentation)."""
REQUEST_BYTES: Final = 20_000_000
"""Largest job request as JSON (the same page)."""
MACHINES: Final = 4000
"""Most machines of a batch job with Dataflow Shuffle; 2,000 where a zone is named ("Quotas and
limits")."""
MACHINES_IN_A_ZONE: Final = 2000
DISK_GB: Final = 25
"""Boot disk of a batch worker where none is named ("Dataflow Shuffle for batch jobs")."""
LEAST_DISK_GB: Final = 30
"""Least that may be named ("Pipeline options", disk_size_gb): boot image and local logs."""
GPU_DISK_GB: Final = 100
"""An image with CUDA and vLLM unpacks to some 20 GB, and the weights of an 8B model are 16 more."""
SYSTEM_BYTES: Final = GIB
"""What the system of a worker takes at most ("Troubleshoot Dataflow out of memory errors")."""
SINGLE: Final = "no_use_multiple_sdk_containers"
MULTIPLE: Final = "use_multiple_sdk_containers"

_JOB_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PROJECT: Final = re.compile(r"[a-z][-a-z0-9:.]{4,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z]+-[a-z]+\d+")
_BUCKET: Final = re.compile(r"gs://[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9](/.*)?")
_BEAM_IMAGES: Final = re.compile(
    r"((docker\.io/)?apache/beam_|gcr\.io/cloud-dataflow/|gcr\.io/apache-beam)"
)
_DOCS: Final = "docs/dataflow.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of a job that are looked at; what was not given is None or empty."""

    project: str | None = None
    region: str | None = None
    temp_location: str | None = None
    staging_location: str | None = None
    job_name: str | None = None
    image: str | None = None
    machine_type: str | None = None
    disk_size_gb: int | None = None
    zone: str | None = None
    max_workers: int | None = None
    harness_threads: int | None = None
    experiments: tuple[str, ...] = ()
    service_options: tuple[str, ...] = ()
    installs: tuple[str, ...] = ()
    """Options that install packages on a worker when it starts."""

    @property
    def accelerators(self) -> list[str]:
        """What stands behind each `worker_accelerator=`."""
        prefix = "worker_accelerator="
        return [one[len(prefix) :] for one in self.service_options if one.startswith(prefix)]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_options(asked: Asked, known: Machine | None, processes: int, child_bytes: int) -> Checked:
    """Checks the options of a job.

    Args:
        asked: The options.
        known: The machine type that they name, where its size is known.
        processes: Child processes of a worker; 0 where no step has any.
        child_bytes: What each of them may allocate.
    """
    problems = [*_places(asked), *_image(asked), *_machine(asked), *_accelerator(asked)]
    notes: list[str] = []
    if asked.machine_type is not None and is_arm(asked.machine_type):
        notes.append(
            f"--machine_type: {asked.machine_type} has Arm processors; an image that was built on "
            "x86 does not start there: build it on Arm with --build-arg PROCESSOR=generic, or "
            f"give an x86 type such as n2-highmem-8 ({_DOCS})"
        )
    _memory(asked, known, processes, child_bytes, problems, notes)
    _processes(asked, known, processes, notes)
    if asked.disk_size_gb is None and not asked.accelerators:
        notes.append(
            f"no --disk_size_gb: a worker gets {DISK_GB} GB, which image, logs and the files of "
            "the parts under way share; 50 is a safe start"
        )
    limit = MACHINES_IN_A_ZONE if asked.zone else MACHINES
    if asked.max_workers is None:
        notes.append(
            f"no --max_num_workers: Dataflow may start up to {limit:,} machines; give a number "
            "that you can pay"
        )
    elif asked.max_workers > limit:
        problems.append(
            f"--max_num_workers: found {asked.max_workers}; allowed are {limit:,} machines a job"
            f"{' in one zone' if asked.zone else ''}; give fewer"
        )
    return Checked(tuple(problems), tuple(notes))


def check_size(graph_bytes: int, request_bytes: int, largest: Sequence[str]) -> list[str]:
    """Checks the size of a job against the limits of the service.

    Args:
        graph_bytes: The staged pipeline.
        request_bytes: The request as JSON.
        largest: The largest steps, described.
    """
    advice = (
        f"largest: {', '.join(largest)}; parts are named in the job, so raise part_bytes of "
        "corpus.yaml before the first run, or run the sources as several corpora"
    )
    problems = []
    if graph_bytes > GRAPH_BYTES:
        problems.append(
            f"job graph: found {graph_bytes / 1e6:.1f} MB; allowed are {GRAPH_BYTES / 1e6:.0f} MB "
            f"(Dataflow, Request quotas); {advice}"
        )
    if request_bytes > REQUEST_BYTES:
        problems.append(
            f"job request: found {request_bytes / 1e6:.1f} MB; allowed are "
            f"{REQUEST_BYTES / 1e6:.0f} MB (Dataflow, Request quotas); {advice}"
        )
    return problems


def busy_machines(asked: Asked, elements: int) -> int | None:
    """Most machines that can have work at a time."""
    if not elements:
        return None
    limit = MACHINES_IN_A_ZONE if asked.zone else MACHINES
    at_once = asked.harness_threads or 1
    return min(math.ceil(elements / at_once), asked.max_workers or limit)


def _places(asked: Asked) -> list[str]:
    """Project, region, bucket and name."""
    rules: list[tuple[str, str | None, re.Pattern[str], str, bool]] = [
        ("project", asked.project, _PROJECT, "the ID of a project, such as my-project", True),
        ("region", asked.region, _REGION, "a region, such as us-central1", True),
        ("temp_location", asked.temp_location, _BUCKET, "gs://BUCKET/FOLDER", True),
        ("staging_location", asked.staging_location, _BUCKET, "gs://BUCKET/FOLDER", False),
        (
            "job_name",
            asked.job_name,
            _JOB_NAME,
            "a-z, 0-9 and -, at most 63, a letter first",
            False,
        ),
    ]
    problems = []
    for option, value, form, allowed, is_needed in rules:
        if value is None and is_needed:
            problems.append(f"--{option}: found none; allowed is {allowed}; add --{option}=...")
        elif value is not None and not form.fullmatch(value):
            problems.append(f"--{option}: found {value}; allowed is {allowed}; give such a one")
    return problems


def _image(asked: Asked) -> list[str]:
    build = f"build infra/dataflow/Dockerfile and give --sdk_container_image=IMAGE:TAG ({_DOCS})"
    problems = []
    if asked.image is None:
        problems.append(f"--sdk_container_image: found none, so workers lack tokenmill; {build}")
    elif _BEAM_IMAGES.match(asked.image):
        problems.append(
            f"--sdk_container_image: found Beam's own {asked.image}, which lacks tokenmill; {build}"
        )
    if asked.installs:
        problems.append(
            f"found {', '.join(asked.installs)}: each worker would install packages whenever it "
            "starts, from an index, unlocked; allowed is an image that has them; " + build
        )
    return problems


def _machine(asked: Asked) -> list[str]:
    """Spelling of the machine type, and the size of the disk."""
    problems = []
    if asked.machine_type is not None and not is_type_name(asked.machine_type):
        problems.append(
            f"--machine_type: found {asked.machine_type}; allowed are names of Compute Engine, "
            "such as n2-highmem-8; see `gcloud compute machine-types list`"
        )
    disk = asked.disk_size_gb
    if disk and disk < LEAST_DISK_GB and not asked.accelerators:
        problems.append(
            f"--disk_size_gb: found {disk}; allowed are {LEAST_DISK_GB} GB and more, for boot "
            "image and logs; 50 is a safe start"
        )
    return problems


def _accelerator(asked: Asked) -> list[str]:
    problems = []
    for value in asked.accelerators:
        try:
            wanted = accelerator_of(value)
        except ValueError as error:
            problems.append(str(error))
            continue
        problems += _gpu(asked, wanted)
    return problems


def _gpu(asked: Asked, wanted: Accelerator) -> list[str]:
    problems = [found for found in [misfit(wanted, asked.machine_type)] if found is not None]
    if not wanted.installs_driver:
        problems.append(
            "worker_accelerator: found no install-nvidia-driver, so workers have a GPU and no "
            "driver; add ;install-nvidia-driver"
        )
    if SINGLE not in asked.experiments:
        problems.append(
            f"--experiments: found no {SINGLE}; else Dataflow starts a Python process a core, and "
            f"they would share one GPU; add --experiments={SINGLE}"
        )
    if (asked.disk_size_gb or DISK_GB) < GPU_DISK_GB:
        problems.append(
            f"--disk_size_gb: found {asked.disk_size_gb or f'none, which is {DISK_GB}'}; an image "
            f"with CUDA and a model's weights need {GPU_DISK_GB} or more; give --disk_size_gb="
            f"{GPU_DISK_GB}"
        )
    return problems


def _memory(
    asked: Asked,
    known: Machine | None,
    processes: int,
    child_bytes: int,
    problems: list[str],
    notes: list[str],
) -> None:
    """Whether a worker has room for its children."""
    if asked.machine_type is None:
        notes.append(
            "no --machine_type: Dataflow chooses one, with a core or two; "
            f"{_DOCS} names types by stage"
        )
        return
    if known is None or not processes:
        return
    pools = 1 if SINGLE in asked.experiments else known.cores
    children = processes * pools
    worst = children * child_bytes + SYSTEM_BYTES
    found = f"{known.name} with {known.memory_bytes / GIB:.0f} GiB"
    if pools > 1 and processes > 1:
        problems.append(
            f"memory: found {children} children on {known.name}, {processes} for each of its "
            f"{pools} Python processes; give --experiments={SINGLE}, so that a machine has one "
            "process and its children use the cores"
        )
    elif known.memory_bytes < children * GIB + SYSTEM_BYTES:
        problems.append(
            f"memory: found {children} child processes on {found}; 1 GiB a child and 1 GiB for the "
            f"system is the least; give fewer with --processes, or a -highmem type"
        )
    elif known.memory_bytes < worst:
        fit = int((known.memory_bytes - SYSTEM_BYTES) // child_bytes)
        notes.append(
            f"memory: {children} children may take {child_bytes / GIB:.0f} GiB each before they "
            f"are ended; {found} holds {fit} at that limit; a PDF-heavy corpus wants -highmem"
        )


def _processes(asked: Asked, known: Machine | None, processes: int, notes: list[str]) -> None:
    """Whether the children use the cores of a worker."""
    if known is not None and processes and SINGLE in asked.experiments:
        if processes != known.cores:
            notes.append(
                f"{processes} child processes on the {known.cores} cores of {known.name}; leave "
                f"--processes out, and each worker has as many as cores"
            )
    elif SINGLE not in asked.experiments:
        notes.append(
            f"no --experiments={SINGLE}: Dataflow starts a Python process a core, each with its "
            "own children and models"
        )
