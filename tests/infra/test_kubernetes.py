"""The manifests: valid by the schemas of their resources, and in agreement with each other.

The schemas of the operators are not in the repository; TOKENMILL_CRDS names a folder that holds
them (infra/kubernetes/README.md). Those of Kubernetes itself come with kubernetes-validate.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from apache_beam.options.pipeline_options import FlinkRunnerOptions

from pipelines.runners import WORKER, Machine, choose

FOLDER = Path(__file__).parents[2] / "infra" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text()
Manifest = dict[str, Any]


def manifests(*names: str) -> list[Manifest]:
    files = [FOLDER / name for name in names] or FILES
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def manifest(name: str, kind: str) -> Manifest:
    (found,) = [one for one in manifests(name) if one["kind"] == kind]
    return found


def walk(node: object) -> Iterator[dict[str, Any]]:
    """All mappings in a manifest."""
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


def driver_of(name: str) -> Manifest:
    (driver,) = manifest(name, "Job")["spec"]["template"]["spec"]["containers"]
    assert driver["name"] == "driver"
    return driver  # type: ignore[no-any-return]


def option(args: list[str], name: str) -> str:
    (found,) = [one.partition("=")[2] for one in args if one.startswith(f"--{name}=")]
    return found


@pytest.fixture(scope="module")
def schemas() -> dict[tuple[str, str], Manifest]:
    """(group/version, kind) -> schema, in which unknown fields are errors."""
    folder = os.environ.get("TOKENMILL_CRDS")
    if folder is None:
        pytest.skip("TOKENMILL_CRDS names no folder with the operators' CRDs (see its README)")
    found: dict[tuple[str, str], Manifest] = {}
    for file in [*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")]:
        spec = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            # The API server knows these of every resource; some CRDs leave them out.
            for name, type_ in (
                ("apiVersion", "string"),
                ("kind", "string"),
                ("metadata", "object"),
            ):
                schema["properties"].setdefault(name, {"type": type_})
            for node in list(walk(schema)):
                if isinstance(node.get("properties"), dict) and "type" in node:
                    if not node.get("x-kubernetes-preserve-unknown-fields"):
                        node.setdefault("additionalProperties", False)
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    assert found, f"{folder} holds no CRD"
    return found


@pytest.mark.parametrize(
    ("file", "kind"), [("flink.yaml", "FlinkDeployment"), ("spark.yaml", "SparkApplication")]
)
def test_resources_of_the_operators_are_valid(
    file: str, kind: str, schemas: dict[tuple[str, str], Manifest]
) -> None:
    made = manifest(file, kind)
    check = jsonschema.Draft202012Validator(schemas[made["apiVersion"], kind])
    assert [f"{list(e.absolute_path)}: {e.message}" for e in check.iter_errors(made)] == []
    misspelt = json.loads(json.dumps(made))
    misspelt["spec"]["imagePullPolice"] = "Always"
    assert len(list(check.iter_errors(misspelt))) == 1, "the schema is strict"


def test_resources_of_kubernetes_are_valid() -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="has the schemas; pip install kubernetes-validate"
    )
    core = [one for one in manifests() if "." not in one["apiVersion"].split("/")[0]]
    assert [one["kind"] for one in core] == ["Job", "Job", "Service"]
    for one in core:
        validate.validate(one, "1.32", strict=True)
    wrong = json.loads(json.dumps(core[0]))
    wrong["spec"]["template"]["spec"]["restartPolicies"] = "Never"
    with pytest.raises(Exception, match="restartPolicies"):
        validate.validate(wrong, "1.32", strict=True)


def test_keys_come_from_a_secret_by_reference() -> None:
    variables = [v for one in manifests() for n in walk(one) for v in n.get("env") or ()]
    assert {v["name"] for v in variables} == {"MODEL_KEY"}
    assert len(variables) == 4
    for one in variables:
        assert "value" not in one
        reference = one["valueFrom"]["secretKeyRef"]
        assert (reference["name"], reference["key"]) == ("tokenmill-keys", "model-key")
    text = "".join(file.read_text() for file in FILES)
    assert not re.search(r"(?i)kind: Secret|password|AKIA|sk-[a-z0-9]{8}", text)
    assert (
        "create secret generic tokenmill-keys --from-literal=model-key="
        in (FOLDER / "README.md").read_text()
    )


def test_images_are_tokenmills_or_pinned() -> None:
    images = {
        n["image"] for one in manifests() for n in walk(one) if isinstance(n.get("image"), str)
    }
    own = {image for image in images if image.startswith("REGISTRY/tokenmill:TAG")}
    assert own == {"REGISTRY/tokenmill:TAG", "REGISTRY/tokenmill:TAG-spark"}
    assert images - own == {"flink:1.19-java17", "apache/beam_flink1.19_job_server:2.77.0"}
    assert "apache-beam==2.77.0 " in LOCK


def test_every_container_says_what_it_needs() -> None:
    for file in ("flink-run.yaml", "spark-run.yaml"):
        pod = manifest(file, "Job")["spec"]["template"]["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
    (pool,) = pools()
    assert pool["resources"]["requests"] == {"cpu": "8", "memory": "40Gi"}


def pools() -> list[Manifest]:
    pod = manifest("flink.yaml", "FlinkDeployment")["spec"]["taskManager"]["podTemplate"]["spec"]
    names = [one["name"] for one in pod["containers"]]
    assert names[0] == "flink-main-container", "the operator knows it by this name"
    return [one for one in pod["containers"] if one["name"] == "worker-pool"]


def test_flink_finds_its_workers_and_the_driver_its_job_server() -> None:
    cluster = manifest("flink.yaml", "FlinkDeployment")
    job = manifest("flink-run.yaml", "Job")["spec"]["template"]["spec"]
    (server,) = job["initContainers"]
    driver = driver_of("flink-run.yaml")
    (pool,) = pools()
    assert pool["args"] == ["--worker_pool"], "of Beam's boot, to which the image's entry leads"
    assert pool["image"] == driver["image"], "one Python and one tokenmill on both sides"
    (port,) = [one["containerPort"] for one in pool["ports"]]
    assert option(driver["args"], "environment_config") == f"localhost:{port}"
    assert option(driver["args"], "environment_type") == "EXTERNAL"
    assert option(server["args"], "flink-master") == f"{cluster['metadata']['name']}-rest:8081"
    job_port = option(server["args"], "job-port")
    assert option(driver["args"], "job_endpoint") == f"localhost:{job_port}"
    ports = {one["name"]: str(one["containerPort"]) for one in server["ports"]}
    assert ports["jobs"] == job_port
    assert ports["artifacts"] == option(server["args"], "artifact-port")
    assert server["restartPolicy"] == "Always", "a sidecar, which ends with the driver"
    mounted = {one["name"] for one in server["volumeMounts"]}
    assert mounted == {one["name"] for one in job["volumes"]}


def test_flink_versions_agree_and_beam_has_a_runner_for_them() -> None:
    spec = manifest("flink.yaml", "FlinkDeployment")["spec"]
    version = spec["flinkVersion"].removeprefix("v").replace("_", ".")
    assert spec["image"].startswith(f"flink:{version}-")
    assert version in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
    (server,) = manifest("flink-run.yaml", "Job")["spec"]["template"]["spec"]["initContainers"]
    assert f"beam_flink{version}_job_server" in server["image"]


def test_slots_cores_and_children_are_in_step() -> None:
    flink = manifest("flink.yaml", "FlinkDeployment")["spec"]["flinkConfiguration"]
    assert flink["taskmanager.numberOfTaskSlots"] == "1"
    assert (
        option(driver_of("flink-run.yaml")["args"], "parallelism")
        == (flink["slotmanager.number-of-slots.max"])
    )
    executor = manifest("spark.yaml", "SparkApplication")["spec"]["executor"]
    assert executor["cores"] == 1
    (pool,) = pools()
    for file, cores in (
        ("flink-run.yaml", pool["resources"]["requests"]["cpu"]),
        ("spark-run.yaml", executor["coreRequest"]),
    ):
        assert option(driver_of(file)["args"], "processes") == cores


def test_the_service_leads_to_sparks_driver() -> None:
    spark = manifest("spark.yaml", "SparkApplication")["spec"]
    service = manifest("spark.yaml", "Service")
    assert service["spec"]["selector"].items() >= spark["driver"]["labels"].items()
    ports = {one["name"]: one["port"] for one in service["spec"]["ports"]}
    assert str(ports["jobs"]) == option(spark["arguments"], "job-port")
    assert str(ports["artifacts"]) == option(spark["arguments"], "artifact-port")
    args, name = driver_of("spark-run.yaml")["args"], service["metadata"]["name"]
    assert option(args, "job_endpoint") == f"{name}:{ports['jobs']}"
    assert option(args, "artifact_endpoint") == f"{name}:{ports['artifacts']}"
    assert json.loads(option(args, "environment_config")) == {"command": WORKER}


def test_sparks_job_server_keeps_its_context_between_pipelines() -> None:
    driver = manifest("spark.yaml", "SparkApplication")["spec"]["driver"]
    wanted = "-Dbeam.spark.test.reuseSparkContext=true"
    assert driver["javaOptions"].split() == [wanted]
    machine = Machine(environ={}, which=lambda name: f"/usr/bin/{name}")
    args = choose(["--runner=SparkRunner"], workspace="w", machine=machine).args
    assert f"--job_server_jvm_properties={wanted}" in args


def test_spark_in_the_image_is_that_of_the_application() -> None:
    spark = manifest("spark.yaml", "SparkApplication")["spec"]
    text = (FOLDER / "Dockerfile.spark").read_text()
    assert f"ARG SPARK={spark['sparkVersion']}" in text
    jar = spark["mainApplicationFile"].removeprefix("local://")
    assert f"COPY ${{JOB_SERVER}} {jar}" in text
    assert "beam-runners-spark-3-job-server-2.77.0.jar" in text


def is_beside_a_job_server(file: str) -> bool:
    """Whether a sidecar listens on the driver's endpoint before the driver is started."""
    servers = manifest(file, "Job")["spec"]["template"]["spec"].get("initContainers", [])
    endpoint = option(driver_of(file)["args"], "job_endpoint").replace(":", "/")
    return any(
        one["startupProbe"]["exec"]["command"][-1].endswith(f"/dev/tcp/{endpoint}")
        for one in servers
    )


@pytest.mark.parametrize("file", ["flink-run.yaml", "spark-run.yaml"])
def test_drivers_give_options_that_tokenmill_takes(file: str) -> None:
    driver = driver_of(file)
    assert driver["command"] == ["tokenmill"]
    assert driver["args"][:2] == ["run", "/opt/tokenmill/corpus/corpus.yaml"]
    workspace = option(driver["args"], "workspace")
    for_beam = [a for a in driver["args"][2:] if not a.startswith(("--workspace", "--processes"))]
    endpoint = option(driver["args"], "job_endpoint")
    served = {int(endpoint.rpartition(":")[2])} if is_beside_a_job_server(file) else set()
    pod = Machine(is_refused=lambda host, port: port not in served)
    chosen = choose(for_beam, workspace=workspace, machine=pod)
    assert set(for_beam) <= set(chosen.args)
    assert not [one for one in chosen.args[len(for_beam) :] if "environment_type" in one]


@pytest.mark.parametrize("file", ["flink-run.yaml", "spark-run.yaml"])
def test_a_lost_driver_is_started_again_and_a_mistake_is_not(file: str) -> None:
    spec = manifest(file, "Job")["spec"]
    assert spec["backoffLimit"] > 5
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "else there is no failure policy"
    mistake, disruption = spec["podFailurePolicy"]["rules"]
    assert mistake["action"] == "FailJob"
    assert mistake["onExitCodes"] == {"containerName": "driver", "operator": "In", "values": [2]}
    assert disruption["action"] == "Ignore"
