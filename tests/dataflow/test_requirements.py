"""What Dataflow asks of options: found, allowed, what to do."""

from dataclasses import replace

import pytest

from pipelines.dataflow.machines import GIB, Machine, accelerator_of, machine_of, misfit
from pipelines.dataflow.requirements import Asked, busy_machines, check_options, check_size

SINGLE = ("no_use_multiple_sdk_containers",)
GOOD = Asked(
    project="my-project",
    region="europe-west4",
    temp_location="gs://bucket/temp",
    image="europe-docker.pkg.dev/my-project/images/tokenmill:1",
    machine_type="n2-highmem-8",
    disk_size_gb=50,
    max_workers=100,
    harness_threads=2,
    experiments=SINGLE,
)
L4 = "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"


def problems(asked: Asked, processes: int = 0) -> tuple[str, ...]:
    known = machine_of(asked.machine_type or "")
    return check_options(asked, known, processes, 4 * GIB).problems


@pytest.mark.parametrize(
    ("name", "cores", "gib", "gpus"),
    [
        ("n1-standard-4", 4, 15, 0),
        ("n2-highmem-16", 16, 128, 0),
        ("e2-highcpu-8", 8, 8, 0),
        ("n2-custom-6-20480", 6, 20, 0),
        ("custom-2-5120", 2, 5, 0),
        ("g2-standard-24", 24, 96, 2),
        ("a2-highgpu-4g", 48, 340, 4),
        ("a2-ultragpu-1g", 12, 170, 1),
        ("a3-highgpu-8g", 208, 1872, 8),
    ],
)
def test_cores_and_memory_follow_from_the_name(name: str, cores: int, gib: int, gpus: int) -> None:
    assert machine_of(name) == Machine(name, cores, gib * GIB, gpus)


@pytest.mark.parametrize("name", ["z9-standard-4", "a3-highgpu-3g", "g2-standard-5", "large", ""])
def test_an_unknown_type_is_not_judged(name: str) -> None:
    assert machine_of(name) is None


def test_good_options_have_no_problem() -> None:
    found = check_options(GOOD, machine_of("n2-highmem-8"), 8, 4 * GIB)
    assert found.problems == ()
    assert found.notes == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"project": "My Project"}, "--project: found My Project; allowed is the ID"),
        ({"project": "1234567"}, "--project: found 1234567"),
        ({"region": "europe"}, "--region: found europe; allowed is a region"),
        ({"temp_location": "/tmp/beam"}, "--temp_location: found /tmp/beam; allowed is gs://"),
        ({"temp_location": "gs://A/b"}, "--temp_location: found gs://A/b"),
        ({"staging_location": "s3://b/c"}, "--staging_location: found s3://b/c"),
        ({"job_name": "a" * 64}, "--job_name: found aaa"),
        ({"job_name": "ends-with-"}, "--job_name: found ends-with-"),
        ({"image": None}, "--sdk_container_image: found none"),
        ({"image": "gcr.io/cloud-dataflow/v1beta3/beam_python3.11_sdk:2.77.0"}, "Beam's own"),
        ({"installs": ("--setup_file",)}, "found --setup_file: each worker would install"),
        ({"max_workers": 4001}, "--max_num_workers: found 4001; allowed are 4,000 machines a job"),
        ({"max_workers": 2001, "zone": "europe-west4-a"}, "2,000 machines a job in one zone"),
    ],
)
def test_what_would_be_refused_is_told(change: dict[str, object], told: str) -> None:
    (problem,) = problems(replace(GOOD, **change))  # type: ignore[arg-type]
    assert told in problem


@pytest.mark.parametrize("name", ["", "n2", "N2-highmem-8", "n2 highmem 8", "n2-highmem-", "8"])
def test_a_misspelt_machine_type_is_refused(name: str) -> None:
    (problem,) = problems(replace(GOOD, machine_type=name))
    assert problem.startswith(f"--machine_type: found {name}; allowed are names of Compute Engine")


def test_a_disk_without_room_for_the_boot_image_is_refused() -> None:
    (problem,) = problems(replace(GOOD, disk_size_gb=29))
    assert "--disk_size_gb: found 29; allowed are 30 GB and more" in problem
    for size in (None, 0, 30):  # 0 is Beam's word for the default
        assert problems(replace(GOOD, disk_size_gb=size)) == ()


def test_arm_machines_are_noticed() -> None:
    for name in ("t2a-standard-8", "c4a-highmem-8", "n4a-standard-2"):
        found = check_options(replace(GOOD, machine_type=name), machine_of(name), 0, 0)
        assert found.problems == ()
        assert f"{name} has Arm processors" in "".join(found.notes)
    for name in ("t2d-standard-8", "c4-highmem-8", "n4-standard-2"):
        found = check_options(replace(GOOD, machine_type=name), machine_of(name), 0, 0)
        assert "Arm" not in "".join(found.notes)


def test_names_at_the_limit_are_taken() -> None:
    assert problems(replace(GOOD, job_name="a" * 63, staging_location="gs://bucket")) == ()


def test_children_must_fit_into_memory() -> None:
    (problem,) = problems(replace(GOOD, machine_type="e2-highcpu-8"), processes=8)
    assert "memory: found 8 child processes on e2-highcpu-8 with 8 GiB" in problem
    found = check_options(
        replace(GOOD, machine_type="n2-standard-8"), machine_of("n2-standard-8"), 8, 4 * GIB
    )
    (note,) = found.notes
    assert "n2-standard-8 with 32 GiB holds 7 at that limit" in note
    assert found.problems == ()


def test_a_process_a_core_with_children_each_is_refused() -> None:
    (problem,) = problems(replace(GOOD, experiments=()), processes=8)
    assert "found 64 children on n2-highmem-8, 8 for each of its 8 Python processes" in problem


def test_another_number_of_children_than_cores_is_noticed() -> None:
    (note,) = check_options(GOOD, machine_of("n2-highmem-8"), 2, 4 * GIB).notes
    assert note.startswith(
        "2 child processes on the 8 cores of n2-highmem-8; leave --processes out"
    )


@pytest.mark.parametrize(
    "value",
    ["nvidia-l4", "type:nvidia-l4", "type:nvidia-l4;count:0", "type:nvidia-l4,count:1", "count:1"],
)
def test_a_malformed_accelerator_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="allowed is type:TYPE;count:NUMBER"):
        accelerator_of(value)


def test_accelerators_go_with_their_machines() -> None:
    l4 = accelerator_of("type:nvidia-l4;count:1;install-nvidia-driver:5xx")
    assert (l4.kind, l4.count, l4.installs_driver) == ("nvidia-l4", 1, True)
    assert misfit(l4, "g2-standard-8") is None
    assert "it is only in g2-standard-...; give" in str(misfit(l4, "n1-standard-8"))
    assert "which has 2; give count:2" in str(misfit(l4, "g2-standard-24"))
    assert misfit(accelerator_of("type:nvidia-tesla-t4;count:2"), "n1-highmem-8") is None
    assert "found the type nvidia-l5" in str(misfit(accelerator_of("type:nvidia-l5;count:1"), "x"))


def test_a_worker_with_a_gpu_needs_driver_disk_and_one_process() -> None:
    gpu = replace(GOOD, machine_type="g2-standard-8", service_options=(L4,))
    (disk,) = problems(gpu)
    assert "--disk_size_gb: found 50; an image with CUDA" in disk
    assert problems(replace(gpu, disk_size_gb=200)) == ()
    (driver,) = problems(
        replace(gpu, disk_size_gb=200, service_options=(L4.removesuffix(";install-nvidia-driver"),))
    )
    assert "found no install-nvidia-driver" in driver
    (single,) = problems(replace(gpu, disk_size_gb=200, experiments=()))
    assert "they would share one GPU" in single


def test_sizes_are_held_against_googles_limits() -> None:
    assert check_size(10_000_000, 20_000_000, []) == []
    graph, request = check_size(10_000_001, 20_000_001, ["Step 11 MB"])
    assert graph.startswith("job graph: found 10.0 MB; allowed are 10 MB")
    assert request.startswith("job request: found 20.0 MB; allowed are 20 MB")
    assert "largest: Step 11 MB; parts are named in the job" in graph


def test_no_more_machines_are_busy_than_there_are_parts() -> None:
    assert busy_machines(GOOD, 0) is None
    assert busy_machines(GOOD, 7) == 4
    assert busy_machines(GOOD, 1_000) == 100
    assert busy_machines(replace(GOOD, max_workers=None), 1_000_000) == 4_000
