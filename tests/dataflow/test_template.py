"""The flex template: its parameters, the job of the driver, and what the driver is told."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

from pipelines.dataflow.transform import check_job

FOLDER = Path(__file__).parents[2] / "infra" / "dataflow"
IMAGE = "europe-docker.pkg.dev/my-project/images/tokenmill:1-mine"
GPU_TYPES = ("g2-standard-8", "a2-highgpu-1g", "a3-highgpu-8g")
NEEDED = (
    "--corpus=/opt/tokenmill/corpus/corpus.yaml",
    "--workspace=gs://bucket/mine",
    f"--image={IMAGE}",
)
OF_THE_LAUNCHER = (
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://bucket/launcher-temp",
    "--job_name=drive-mine",
    "--service_account_email=worker@my-project.iam.gserviceaccount.com",
)


@pytest.fixture(scope="module")
def launch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_of_template", FOLDER / "launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parameters() -> dict[str, dict[str, Any]]:
    metadata = json.loads((FOLDER / "metadata.json").read_text())
    assert metadata["streaming"] is False
    return {one["name"]: one for one in metadata["parameters"]}


def test_parameters_are_those_that_the_launcher_reads(
    launch: ModuleType, parameters: dict[str, dict[str, Any]]
) -> None:
    read = {a.dest: a for a in launch.parser()._actions if a.dest != "help"}
    assert set(read) == set(parameters)
    for name, one in parameters.items():
        assert one["label"]
        assert one["helpText"]
        assert one.get("isOptional", False) is not read[name].required, name
        assert str(read[name].default or "") == one.get("defaultValue", ""), name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("corpus", ["/opt/tokenmill/corpus/corpus.yaml"], ["corpus.yaml", "/etc/passwd"]),
        ("workspace", ["gs://my-bucket/a/b"], ["gs://my-bucket", "/tmp/w", "gs://A/b", "s3://b/c"]),
        ("image", [IMAGE, f"gcr.io/p/i@sha256:{'0' * 64}"], ["tokenmill", "REGISTRY/i:1", "a b/c"]),
        ("workers", ["1", "4000"], ["0", "-1", "40000", "many"]),
        ("worker_type", ["n2-highmem-8", "c3d-standard-8"], ["n2", "N2-highmem-8", *GPU_TYPES]),
        ("worker_disk_gb", ["30", "50", "500"], ["5", "0", "29"]),
        ("tokens", ["", "2M", "1.5T", "max", "one_epoch"], ["all", "2 M", "-1"]),
    ],
)
def test_parameters_are_checked_before_a_machine_starts(
    name: str, good: list[str], bad: list[str], parameters: dict[str, dict[str, Any]]
) -> None:
    rules = [re.compile(rule) for rule in parameters[name]["regexes"]]
    default = parameters[name].get("defaultValue")
    for value in [*good, *([default] if default else [])]:
        assert all(rule.search(value) for rule in rules), value
    for value in bad:
        assert not all(rule.search(value) for rule in rules), value


def test_no_parameter_asks_for_a_gpu_whose_image_has_another_python(
    launch: ModuleType, parameters: dict[str, dict[str, Any]]
) -> None:
    launcher, gpu = ((FOLDER / f).read_text() for f in ("Dockerfile", "Dockerfile.gpu"))
    assert "python311-template-launcher-base" in launcher
    assert "beam_python3.12_sdk" in gpu
    assert "accelerator" not in json.dumps(list(parameters.values()))
    with pytest.raises(SystemExit):
        launch.parser().parse_args([*NEEDED, "--accelerator=type:nvidia-l4;count:1"])


def test_the_driver_is_a_job_of_one_machine_and_one_step(launch: ModuleType) -> None:
    # Without Beam's dry_run its options look for the bucket as soon as a pipeline is made.
    made = launch.pipeline_of([*NEEDED, *OF_THE_LAUNCHER, "--dry_run=true"])
    worker = made.options.view_as(WorkerOptions)
    assert (worker.num_workers, worker.max_num_workers) == (1, 1)
    assert worker.sdk_container_image == IMAGE
    names = []

    class Names(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node: Any) -> None:  # noqa: ANN401
            names.append(node.full_label)

    made.visit(Names())
    assert not [name for name in names if "GroupByKey" in name]
    assert names[-1] == "Run driver"


def test_jobs_that_the_driver_submits_pass_the_dry_run(launch: ModuleType) -> None:
    given = [*NEEDED, "--worker_type=n2-standard-8", "--worker_disk_gb=200"]
    asked = launch.parser().parse_args(given)
    options = PipelineOptions([*OF_THE_LAUNCHER, "--no_use_public_ips"])
    command = launch.command_of(asked, options)
    assert command[1:5] == ["-m", "pipelines.cli", "run", asked.corpus]
    assert "--workspace=gs://bucket/mine" in command
    assert "--temp_location=gs://bucket/mine-temp" in command
    assert "--no_use_public_ips" in command
    for_beam = [one for one in command[6:] if not one.startswith("--tokens")]
    chosen = "--experiments=no_use_multiple_sdk_containers"  # by pipelines.runners
    report = check_job(beam.Create([1, 2]), [*for_beam, chosen])
    assert report.image == IMAGE
    assert report.machine == "n2-standard-8 (8 cores, 32 GiB)"


def test_the_driver_of_the_job_runs_its_command_and_fails_with_it(launch: ModuleType) -> None:
    run = launch.RunDriver()
    assert list(run.process([sys.executable, "-c", "print('done')"])) == [0]
    failing = "import sys; print('no such corpus'); sys.exit(2)"
    with pytest.raises(RuntimeError, match="ended with code 2: no such corpus"):
        list(run.process([sys.executable, "-c", failing]))
