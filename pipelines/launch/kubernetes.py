"""Kubernetes without operators: an Indexed Job for each stage, and one script that applies them.

A pod's index is its rank (`batch.kubernetes.io/job-completion-index`), and a headless Service gives
pod 0 a name to meet at, so neither Kubeflow nor anything else has to be installed (Kubernetes 1.28
and newer for that label's annotation). Kubernetes has no Job that waits for another, so
`kubernetes.sh` applies them one after the other; a stage that is applied too early ends with an
error of its own script, because the checkpoint before it is not there.

Manifests say `@IMAGE@`, `@CLAIM@`, `@MOUNT@`, `@LAUNCH@` and `@MEGATRON@`, which that script fills
in: where things are is not the launch's to know.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from pipelines.launch.models import ModelShape
from pipelines.launch.scripts import ScriptTemplate, phase_name, placement
from pipelines.launch.settings import Training
from pipelines.launch.training import Phase

_PORT: Final = 29500
# A pod is called <job>-<index> and its hostname has at most 63 characters (RFC 1123).
_NAME_LENGTH: Final = 52
_TRIES: Final = 3

_APPLY: Final = ScriptTemplate(r"""#!/usr/bin/env bash
# Runs the stages on Kubernetes, one after the other.
#
#   IMAGE=my/megatron:1 CLAIM=my-claim bash kubernetes.sh
#   IMAGE=... CLAIM=... bash kubernetes.sh --dry-run     print what would be applied
#
# Further arguments go to kubectl, as in: --namespace training.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${IMAGE:?an image with PyTorch and Megatron-LM}"
: "${CLAIM:?a PersistentVolumeClaim (ReadWriteMany) with the workspace, or a copy of it}"
: "${MOUNT:=/data}"                                # where the claim is mounted
: "${LAUNCH:=$MOUNT/launch/$(basename "$here")}"   # this folder there
: "${MEGATRON:=/opt/Megatron-LM}"                  # Megatron-LM in the image
: "${POLL:=30}"                                    # seconds
: "${KUBECTL:=kubectl}"

dry_run=
if [ "${1:-}" = --dry-run ]; then dry_run=yes; shift; fi

escaped() {   # for YAML, whose strings are in single quotes here, and then for sed
  printf '%s' "$1" | sed -e "s/'/''/g" -e 's/[&|\\]/\\&/g'
}
manifest() {
  sed -e "s|@IMAGE@|$(escaped "$IMAGE")|g" -e "s|@CLAIM@|$(escaped "$CLAIM")|g" \
    -e "s|@LAUNCH@|$(escaped "$LAUNCH")|g" -e "s|@MOUNT@|$(escaped "$MOUNT")|g" \
    -e "s|@MEGATRON@|$(escaped "$MEGATRON")|g" "$here/$1.yaml"
}

while read -r stage job; do
  if [ -n "$dry_run" ]; then manifest "$stage"; continue; fi
  manifest "$stage" | "$KUBECTL" "$@" apply -f -
  while true; do
    state=$("$KUBECTL" "$@" get job "$job" \
      -o 'jsonpath={.status.conditions[?(@.status=="True")].type}' < /dev/null)
    case " $state " in
      *" Complete "*) echo "$stage: done"; break ;;
      *" Failed "*) echo "error: $stage failed; see: kubectl logs job/$job" >&2; exit 1 ;;
    esac
    sleep "$POLL"
  done
done <<'STAGES'
%%{stages}
STAGES
""")


def job_name(shape: ModelShape, phase: Phase) -> str:
    """Name of a phase's Job and Service: a DNS label that pods can carry with their index."""
    name = re.sub(r"[^a-z0-9]+", "-", f"s{phase.number}-{shape.name}-{phase.stage.name}".lower())
    return name[:_NAME_LENGTH].strip("-")


def manifest_file(shape: ModelShape, phase: Phase, training: Training) -> str:
    """The `.yaml` of a phase: Service and Job."""
    nodes, gpus = placement(shape, phase, training.micro_batch_size)
    name = job_name(shape, phase)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": _labels(name)},
        "spec": {
            "clusterIP": "None",
            "selector": {"batch.kubernetes.io/job-name": name},
            # Pod 0 must be found before it is ready, for being found is what it waits for.
            "publishNotReadyAddresses": True,
            "ports": [{"name": "rendezvous", "port": _PORT}],
        },
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": _labels(name)},
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            # A pod that dies takes its ranks down with it; new pods go on from the checkpoint.
            "backoffLimit": _TRIES * nodes,
            "template": {
                "metadata": {"labels": _labels(name)},
                "spec": _pod_spec(name, phase_name(phase), nodes, gpus),
            },
        },
    }
    return yaml.safe_dump_all([service, job], sort_keys=False, explicit_start=True)


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "tokenmill-launch", "app.kubernetes.io/instance": name}


def _pod_spec(name: str, stage: str, nodes: int, gpus: int) -> dict[str, Any]:
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    env: list[dict[str, Any]] = [
        {"name": "NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": index}}},
        {"name": "NNODES", "value": str(nodes)},
        {"name": "GPUS", "value": str(gpus)},
        {"name": "MASTER_ADDR", "value": f"{name}-0.{name}"},
        {"name": "MASTER_PORT", "value": str(_PORT)},
        {"name": "MEGATRON", "value": "@MEGATRON@"},
        {"name": "SHARDS", "value": "@MOUNT@"},
        {"name": "CHECKPOINTS", "value": "@MOUNT@/checkpoints"},
    ]
    container = {
        "name": "trainer",
        "image": "@IMAGE@",
        "command": ["bash", f"@LAUNCH@/{stage}.sh"],
        "env": env,
        "ports": [{"containerPort": _PORT}],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
        "volumeMounts": [
            {"name": "data", "mountPath": "@MOUNT@"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }
    return {
        "subdomain": name,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "@CLAIM@"}},
            # NCCL and the data loader share memory; a container has 64 MiB of it by default.
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
    }


def apply_file(shape: ModelShape, phases: Sequence[Phase]) -> str:
    """`kubernetes.sh`."""
    stages = "\n".join(f"{phase_name(phase)} {job_name(shape, phase)}" for phase in phases)
    return _APPLY.substitute(stages=stages)
