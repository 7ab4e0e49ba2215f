"""Slurm and Kubernetes: both call the stage scripts, in their order, with the right ranks."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_launch import write_tiny

from pipelines.launch.models import MODELS
from pipelines.launch.scripts import placement
from pipelines.launch.training import Shard, Stage, plan_phases

STEMS = ["1-general", "2-stem", "3-long"]
# Stand-ins for the commands of a cluster: they note how they were called.
SBATCH = """#!/usr/bin/env bash
echo "$PWD $*" >> "$CALLED"
echo "$(( $(wc -l < "$CALLED") + 40 ));cluster"
"""
SRUN = """#!/usr/bin/env bash
while [ "${1:0:2}" = -- ]; do shift; done
SLURM_NODEID=1 exec "$@"
"""
# More than a pipe holds: a reader that stops at the first line would end it by a signal.
SCONTROL = """#!/usr/bin/env bash
printf 'node%s\\n' $(seq 7 20000)
"""
KUBECTL = """#!/usr/bin/env bash
echo "$*" >> "$CALLED"
case " $* " in
  *" apply "*) cat >> "$CALLED.applied" ;;
  *" get job $FAILS "*) echo "FailureTarget Failed" ;;
  *" get job "*) echo "SuccessCriteriaMet Complete" ;;
esac
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("cluster") / "w")[1]


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parents[1], tmp_path / "w")
    for name, text in {
        "sbatch": SBATCH,
        "srun": SRUN,
        "scontrol": SCONTROL,
        "kubectl": KUBECTL,
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "w" / "launch" / made.name


def run(folder: Path, script: Path, *words: str, **variables: str) -> tuple[int, str, list[str]]:
    tools = folder.parents[2]
    called = tools / "called"
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "CALLED": str(called), **variables}
    ended = subprocess.run(
        ["bash", str(script), *words],
        env=env,
        cwd=variables.get("PWD", "/"),
        text=True,
        capture_output=True,
        check=False,
    )
    lines = called.read_text().splitlines() if called.exists() else []
    return ended.returncode, ended.stdout + ended.stderr, lines


def test_slurm_stages_wait_for_each_other(folder: Path) -> None:
    status, told, calls = run(folder, folder / "submit.sh", "--account=me")
    assert status == 0, told
    after = "--kill-on-invalid-dep=yes"
    assert calls == [
        f"{folder} --parsable --account=me 1-general.sbatch",
        f"{folder} --parsable --dependency=afterok:41 {after} --account=me 2-stem.sbatch",
        f"{folder} --parsable --dependency=afterok:42 {after} --account=me 3-long.sbatch",
    ]
    assert "2-stem: job 42" in told


def test_a_slurm_node_runs_the_stage_script_with_its_rank(folder: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool_copy"  # Slurm runs a copy, so the folder is not beside it
    shutil.copy(folder / "1-general.sbatch", spool)
    status, told, _ = run(
        folder,
        spool,
        "--dry-run",
        "--log-interval",
        "1",
        SLURM_SUBMIT_DIR=str(folder),
        SLURM_JOB_NODELIST="node[7-8]",
        SLURM_JOB_ID="123456",
        SLURM_JOB_NUM_NODES="2",
        SLURM_GPUS_ON_NODE="4",
    )
    assert status == 0, told
    words = shlex.split(told)
    for flag, value in {
        "--nnodes": "2",
        "--node-rank": "1",
        "--nproc-per-node": "4",
        "--master-addr": "node7",
        "--master-port": "23456",
    }.items():
        assert words[words.index(flag) + 1] == value
    assert words[-2:] == ["--log-interval", "1"]


def test_folders_with_blanks_reach_the_script_of_a_node(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "o p" / "a launch"
    write_tiny(tmp_path / "work space", output=output)
    assert run(folder, output / "submit.sh")[0] == 0
    status, told, calls = run(
        folder,
        output / "1-general.sbatch",
        "--dry-run",
        SLURM_SUBMIT_DIR=str(output),
        SLURM_JOB_NODELIST="node[7-8]",
        SLURM_JOB_ID="123456",
        SLURM_JOB_NUM_NODES="2",
    )
    assert status == 0, told
    assert calls[0] == f"{output} --parsable 1-general.sbatch"
    words = shlex.split(told)
    assert words[words.index("--save") + 1] == f"{output}/checkpoints/general"


def test_a_batch_file_asks_for_the_nodes_of_its_model(tmp_path: Path) -> None:
    launch, _ = write_tiny(tmp_path / "w", "qwen3-235b-a22b")
    lines = launch.files["1-general.sbatch"].decode().splitlines()
    assert "#SBATCH --nodes=16" in lines
    assert "#SBATCH --gpus-per-node=8" in lines
    assert "#SBATCH --ntasks-per-node=1" in lines


@pytest.mark.parametrize(
    ("model", "batch", "expected"),
    [
        ("qwen3-0.6b", 1, (1, 1)),
        ("qwen3-0.6b", 6, (1, 6)),
        ("qwen3-0.6b", 1024, (1, 8)),
        ("qwen3-4b", 1, (1, 2)),
        ("qwen3-14b", 1, (1, 8)),
        ("qwen3-32b", 64, (2, 8)),
        ("qwen3-30b-a3b", 64, (1, 8)),
        ("qwen3-235b-a22b", 64, (16, 8)),
    ],
)
def test_replicas_fit_into_nodes_and_batches_into_replicas(
    model: str, batch: int, expected: tuple[int, int]
) -> None:
    shape = MODELS[model]
    shard = Shard(prefix="p", tokens=64 * batch + 1, sha256="", bytes=0)
    only = Stage(name="a", mixture="a", sequence_length=64, shards=(shard,))
    (phase,) = plan_phases([only], batch)
    nodes, gpus = placement(shape, phase, 1)
    assert (nodes, gpus) == expected
    replica = shape.tensor_parallel * shape.pipeline_parallel * shape.context_parallel
    experts = shape.expert_parallel * shape.expert_tensor_parallel * shape.pipeline_parallel
    assert (nodes * gpus) % replica == 0
    assert (nodes * gpus) % experts == 0
    assert batch % (nodes * gpus // replica) == 0


def manifests(folder: Path, **variables: str) -> list[dict[str, Any]]:
    given = {"IMAGE": "my/megatron:1", "CLAIM": "disk", **variables}
    status, told, _ = run(folder, folder / "kubernetes.sh", "--dry-run", **given)
    assert status == 0, told
    return list(yaml.safe_load_all(told))


def test_a_manifest_is_a_headless_service_and_an_indexed_job(folder: Path) -> None:
    documents = manifests(folder)
    assert [d["kind"] for d in documents] == ["Service", "Job"] * 3
    for stem, service, job in zip(STEMS, documents[::2], documents[1::2], strict=True):
        name = job["metadata"]["name"]
        assert (service["apiVersion"], job["apiVersion"]) == ("v1", "batch/v1")
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
        assert job["spec"]["completionMode"] == "Indexed"
        assert job["spec"]["completions"] == job["spec"]["parallelism"] == 1
        pod = job["spec"]["template"]["spec"]
        assert pod["subdomain"] == service["metadata"]["name"] == name
        assert pod["restartPolicy"] == "Never", "the only other one that a Job allows is OnFailure"
        (container,) = pod["containers"]
        assert container["command"] == ["bash", f"/data/launch/{folder.name}/{stem}.sh"]
        env = {e["name"]: e.get("value") for e in container["env"]}
        assert env["MASTER_ADDR"] == f"{name}-0.{name}"
        assert env["SHARDS"] == "/data"
        assert container["resources"]["limits"]["nvidia.com/gpu"] == int(env["GPUS"])
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "disk"


def test_paths_in_manifests_may_hold_anything(folder: Path) -> None:
    mount, launch = "/my data|it's & \\1", "/my data/a launch's"
    job = manifests(folder, MOUNT=mount, LAUNCH=launch)[1]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert container["command"] == ["bash", f"{launch}/1-general.sh"]
    assert (env["SHARDS"], env["CHECKPOINTS"]) == (mount, f"{mount}/checkpoints")
    assert container["volumeMounts"][0]["mountPath"] == mount


def test_names_of_kubernetes_are_labels_that_pods_can_carry(tmp_path: Path) -> None:
    launch, _ = write_tiny(tmp_path / "w", "qwen3-235b-a22b")
    for stem in STEMS:
        job = list(yaml.safe_load_all(launch.files[f"{stem}.yaml"]))[1]
        name = job["metadata"]["name"]
        assert name.replace("-", "").isalnum()
        assert name == name.lower()
        assert len(f"{name}-{job['spec']['completions']}") <= 63
        assert job["spec"]["completions"] == 16


def test_kubernetes_runs_the_stages_one_after_the_other(folder: Path) -> None:
    given = {"IMAGE": "i", "CLAIM": "c", "FAILS": "none"}
    status, told, calls = run(folder, folder / "kubernetes.sh", "--namespace", "t", **given)
    assert status == 0, told
    verbs = [shlex.split(call)[2:5] for call in calls]
    names = [d["metadata"]["name"] for d in manifests(folder)[::2]]
    assert verbs == [
        verb for name in names for verb in (["apply", "-f", "-"], ["get", "job", name])
    ]
    assert all(call.startswith("--namespace t ") for call in calls)


def test_a_failed_job_ends_the_chain(folder: Path) -> None:
    second = manifests(folder)[2]["metadata"]["name"]
    given = {"IMAGE": "i", "CLAIM": "c", "FAILS": second}
    status, told, calls = run(folder, folder / "kubernetes.sh", **given)
    assert status == 1
    assert f"2-stem failed; see: kubectl logs job/{second}" in told
    assert not [call for call in calls if "s3-" in call]


def test_what_a_cluster_must_say_is_asked_for(folder: Path) -> None:
    status, told, _ = run(folder, folder / "kubernetes.sh", IMAGE="i")
    assert status != 0
    assert "CLAIM: a PersistentVolumeClaim" in told


def test_all_three_run_the_same_script(folder: Path) -> None:
    """Arguments stand in one place: neither Slurm nor Kubernetes names a flag of Megatron-LM."""
    lock = json.loads((folder / "lock.json").read_text())
    for stem in STEMS:
        for ending in ("sbatch", "yaml"):
            text = (folder / f"{stem}.{ending}").read_text()
            assert f"/{stem}.sh" in text
            assert "pretrain_gpt" not in text
            assert f"{stem}.{ending}" in lock["files"]
