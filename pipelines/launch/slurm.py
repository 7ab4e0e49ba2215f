"""Slurm: a batch file for each stage, and one script that hands them in, each after the last.

The batch file only says who is where; the stage's own script runs on every node. `sbatch` copies a
batch file to a spool folder, so it cannot find the files beside it: `submit.sh` starts it in the
folder of the launch, which Slurm gives back as SLURM_SUBMIT_DIR.
"""

from collections.abc import Sequence
from typing import Final

from pipelines.launch.models import ModelShape
from pipelines.launch.scripts import ScriptTemplate, phase_name, placement
from pipelines.launch.settings import Training
from pipelines.launch.training import Phase

_BATCH: Final = ScriptTemplate(r"""#!/usr/bin/env bash
#SBATCH --job-name=%%{model}-%%{name}
#SBATCH --nodes=%%{nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=%%{gpus}
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --output=%x-%j.log
#
# %%{name}.sh on every node of a Slurm job. Variables of that script and further arguments of
# Megatron-LM (MEGATRON_ARGS) are passed on; account, partition and time are options of sbatch:
#
#   MEGATRON=... CHECKPOINTS=... sbatch --account=me --time=24:00:00 %%{name}.sbatch
#
# submit.sh does that for all stages. Preempted, the job is queued again and goes on.
set -euo pipefail
LAUNCH=${LAUNCH:-$SLURM_SUBMIT_DIR}
# No pipe to head: it closes early, and scontrol would end by SIGPIPE, which ends this script.
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${hosts%%%%$'\n'*}
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
NNODES=$SLURM_JOB_NUM_NODES
GPUS=${GPUS:-${SLURM_GPUS_ON_NODE:-%%{gpus}}}
export LAUNCH MASTER_ADDR MASTER_PORT NNODES GPUS
srun --nodes="$NNODES" --ntasks="$NNODES" --ntasks-per-node=1 --kill-on-bad-exit=1 \
  bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$LAUNCH/%%{name}.sh" "$@"' %%{name} "$@"
""")

_SUBMIT: Final = ScriptTemplate(r"""#!/usr/bin/env bash
# Hands the stages to Slurm, each to start when the one before it has ended well.
#
#   MEGATRON=... CHECKPOINTS=... bash submit.sh --account=me --partition=gpu --time=24:00:00
#
# Arguments go to sbatch. CHECKPOINTS must be a folder that all nodes share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
after=()
for stage in %%{names}; do
  job=$(sbatch --parsable ${after[@]+"${after[@]}"} "$@" "$stage.sbatch")
  job=${job%%%%;*}   # id;cluster
  echo "$stage: job $job"
  after=("--dependency=afterok:$job" --kill-on-invalid-dep=yes)
done
""")


def batch_file(shape: ModelShape, phase: Phase, training: Training) -> str:
    """The `.sbatch` of a phase."""
    nodes, gpus = placement(shape, phase, training.micro_batch_size)
    return _BATCH.substitute(model=shape.name, name=phase_name(phase), nodes=nodes, gpus=gpus)


def submit_file(phases: Sequence[Phase]) -> str:
    """`submit.sh`."""
    return _SUBMIT.substitute(names=" ".join(phase_name(phase) for phase in phases))
