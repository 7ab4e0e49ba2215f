"""The files of one stage: arguments, blend, shards with their hashes, and the script.

A script reads its arguments from the file beside it, so that the file is what ran. Where things are
on the cluster (Megatron-LM, checkpoints, shards, nodes) comes from variables; everything that
decides the result stands in the files. Slurm and Kubernetes call the same scripts.

A script that is started again goes on: it reads how many steps the checkpoints of its schedule
have, and loads them, starts from the stage before, refuses because that one has not ended, or has
nothing left to do.
"""

import json
import math
import shlex
from string import Template
from typing import Any, Final

from pipelines.launch.models import ModelShape, model_flags
from pipelines.launch.settings import Training
from pipelines.launch.training import Phase, Shard, phase_flags

MEGATRON: Final = "core_v0.16.1"
SHARDS: Final = "@SHARDS@"
"""Stands in blends for the folder that holds `shards/`."""
GPUS_OF_A_NODE: Final = 8
# 4,096 x 4,096 is a mask of 16 MiB a sequence, 32,768 x 32,768 one of 1 GiB.
_MASK_UP_TO: Final = 4_096


class ScriptTemplate(Template):
    """Text with `%%{name}`: shell scripts are full of `$` and of single `%`."""

    delimiter = "%%"


_SCRIPT: Final = ScriptTemplate(r"""#!/usr/bin/env bash
# %%{title}
#
#   MEGATRON=/path/to/Megatron-LM CHECKPOINTS=/path/to/checkpoints bash %%{name}.sh
#   bash %%{name}.sh --dry-run            check the files and print the command
#   bash %%{name}.sh --verify             compare every byte of shards and files, and stop
#   bash %%{name}.sh --log-interval 1     further arguments go to Megatron-LM; the later one counts
#
# Written for Megatron-LM %%{megatron}. Steps %%{first} to %%{last} of their schedule; killed and
# started again, it goes on from its last checkpoint.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

: "${MEGATRON:=Megatron-LM}"                 # a checkout of Megatron-LM
: "${CHECKPOINTS:=$here/checkpoints}"
: "${CACHE:=$CHECKPOINTS/index-cache}"
root=%%{shards}
: "${SHARDS:=$root}"                         # the folder that holds shards/
: "${NNODES:=%%{nodes}}" "${NODE_RANK:=0}" "${MASTER_ADDR:=127.0.0.1}" "${MASTER_PORT:=29500}"
: "${GPUS:=%%{gpus}}"                               # of this node
# Tensor, pipeline, context, expert and expert-tensor parallel sizes.
: "${TP:=%%{tp}}" "${PP:=%%{pp}}" "${CP:=%%{cp}}" "${EP:=%%{ep}}" "${ETP:=%%{etp}}"
: "${SAVE_INTERVAL:=1000}"                   # steps
: "${MEGATRON_ARGS:=}"                       # further arguments, for schedulers; split at spaces
# 0 where neither Transformer Engine nor Apex is installed: PyTorch's own layers, and an optimizer
# that is not sharded, because the sharded one cannot load a checkpoint of PyTorch's own Adam.
: "${TRANSFORMER_ENGINE:=1}"
: "${SHARD_OPTIMIZER:=$TRANSFORMER_ENGINE}"
%%{mask_variable}
dry_run= verify=
case "${1:-}" in
  --dry-run) dry_run=yes; shift ;;
  --verify) verify=yes; shift ;;
esac

# Every shard must be there, both of its files with the length they were written with.
has_bytes() {   # file of a shard, its length
  local found
  found=$(stat -L -c %s "$SHARDS/$1" 2>/dev/null || echo "no file")
  if [ "$found" = "$2" ]; then return 0; fi
  echo "error: $SHARDS/$1: $2 bytes were written, found $found" >&2
  return 1
}
missing=0
while read -r bytes index_bytes prefix; do
  whole=yes
  has_bytes "$prefix.bin" "$bytes" || whole=
  has_bytes "$prefix.idx" "$index_bytes" || whole=
  if [ -z "$whole" ]; then missing=$((missing + 1)); fi
done < "$here/%%{name}.shards"
if [ "$missing" -gt 0 ]; then
  echo "error: $missing shards are missing or cut; copy shards/ of the workspace anew, or say" \
    "where the workspace is: SHARDS=..." >&2
  exit 2
fi
if [ -n "$verify" ]; then
  (cd "$here" && sha256sum --check --strict --quiet launch.sha256) || exit 1
  (cd "$SHARDS" && sha256sum --check --strict --quiet "$here/%%{name}.sha256") || exit 1
  echo "%%{name}: every byte of shards and files is as it was written"
  exit 0
fi

steps_in() {   # steps that the checkpoints in a folder have
  local steps=
  if [ -f "$CHECKPOINTS/$1/latest_checkpointed_iteration.txt" ]; then
    steps=$(tr -cd 0-9 < "$CHECKPOINTS/$1/latest_checkpointed_iteration.txt")
  fi
  echo "$((10#${steps:-0}))"
}

mapfile -t arguments < <(grep -v '^#' "$here/%%{name}.args" | tr ' ' '\n' | grep -v '^$')
read -r -a more <<< "$MEGATRON_ARGS"
blend="$CHECKPOINTS/%%{name}.blend.json"
arguments+=(
  --per-split-data-args-path "$blend"
  --data-cache-path "$CACHE"
  --tokenizer-type HuggingFaceTokenizer --tokenizer-model "$here/tokenizer" --tokenizer-hf-use-fast
  --tensor-model-parallel-size "$TP" --pipeline-model-parallel-size "$PP"
  --context-parallel-size "$CP"%%{expert}
  --save "$CHECKPOINTS/%%{saves_to}" --save-interval "$SAVE_INTERVAL"
)
reached=$(steps_in %%{saves_to})
%%{load}
if [ "$TP" -gt 1 ]; then arguments+=(--sequence-parallel); fi
if [ $((%%{layers} % PP)) -ne 0 ]; then   # then the embedding and the loss count as layers
  arguments+=(--account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split)
fi
%%{mask}
if [ "$TRANSFORMER_ENGINE" = 1 ]; then
  arguments+=(--transformer-impl transformer_engine%%{grouped})
else
  arguments+=(
    --transformer-impl local --no-persist-layer-norm --no-gradient-accumulation-fusion
    --no-masked-softmax-fusion --no-rope-fusion --no-bias-swiglu-fusion --no-bias-dropout-fusion
  )
fi
if [ "$SHARD_OPTIMIZER" = 1 ]; then
  arguments+=(--use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather)
fi

command=(
  torchrun --nnodes "$NNODES" --node-rank "$NODE_RANK" --nproc-per-node "$GPUS"
  --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT"
  "$MEGATRON/pretrain_gpt.py" "${arguments[@]}" ${more[@]+"${more[@]}"} "$@"
)
if [ -n "$dry_run" ]; then
  printf '%q ' "${command[@]}"; echo
  exit 0
fi
if [ "$reached" -ge %%{last} ]; then
  echo "%%{name}: $CHECKPOINTS/%%{saves_to} has $reached steps, and this stage ends with %%{last}"
  exit 0
fi
%%{needs}mkdir -p "$CHECKPOINTS"
# Nodes may share the folder, so the blend appears there whole. The path is escaped for JSON, and
# then for sed.
mine="$blend.$(hostname).$$"
escaped=$(printf '%s' "$SHARDS" | sed -e 's/["\\]/\\&/g' -e 's/[&|\\]/\\&/g')
sed "s|@SHARDS@|$escaped|g" "$here/%%{name}.blend.json" > "$mine"
mv -f "$mine" "$blend"
export CUDA_DEVICE_MAX_CONNECTIONS="${CUDA_DEVICE_MAX_CONNECTIONS:-1}"
exec "${command[@]}"
""")

# Where a schedule begins: from nothing, or (--finetune) from the weights of another, with steps,
# samples and optimizer anew. Once it has checkpoints of its own, it goes on from them.
_FIRST: Final = """if [ "$reached" -gt 0 ]; then
  arguments+=(--load "$CHECKPOINTS/{saves_to}")
fi"""
_WEIGHTS: Final = """if [ "$reached" -gt 0 ]; then
  arguments+=(--load "$CHECKPOINTS/{saves_to}")
else
  arguments+=(--load "$CHECKPOINTS/{follows}" --finetune)
fi"""
_CONTINUED: Final = 'arguments+=(--load "$CHECKPOINTS/{follows}")'

_NEEDS: Final = """if [ "$reached" -lt {own} ] && [ "$(steps_in {follows})" -lt {steps} ]; then
  echo "error: $CHECKPOINTS/{follows} has a checkpoint of $(steps_in {follows}) steps, and this" \\
    "stage wants one of {steps}; run the stage before this one first" >&2
  exit 2
fi
"""

_MASK_VARIABLE: Final = """# 1 hides the documents of a packed sequence from each other, by a mask
# of length x length. Only PyTorch's own attention (TRANSFORMER_ENGINE=0) reads it; the kernels of
# Transformer Engine are causal and pass it by, so that there it only costs time and memory.
: "${{RESET_ATTENTION_MASK:={default}}}"
"""
_MASK: Final = """if [ "$RESET_ATTENTION_MASK" = 1 ]; then
  arguments+=(--reset-attention-mask)
else
  arguments+=(--no-create-attention-mask-in-dataloader)
fi"""
# Causal kernels make their own mask; Megatron would send one of length x length with each sequence.
_NO_MASK: Final = "arguments+=(--no-create-attention-mask-in-dataloader)"


def phase_name(phase: Phase) -> str:
    """Stem of a phase's files."""
    return f"{phase.number}-{phase.stage.name}"


def arguments_file(shape: ModelShape, phase: Phase, num_tokens: int, training: Training) -> str:
    """The `.args` file: one flag a line, `#` begins a comment."""
    lines = [f"# {shape.name}, {phase.stage.name}: the model"]
    lines += [" ".join(flag) for flag in model_flags(shape, num_tokens)]
    lines += ["# data, length, batch and schedule"]
    lines += [" ".join(flag) for flag in phase_flags(phase, shape, training)]
    lines += ["# the run"]
    lines += [" ".join(flag) for flag in _RUN]
    return "\n".join(lines) + "\n"


_RUN: Final = (
    ("--use-mcore-models",),
    ("--bf16",),
    ("--seed", "1234"),
    ("--adam-beta1", "0.9"),
    ("--adam-beta2", "0.95"),
    ("--weight-decay", "0.1"),
    ("--clip-grad", "1.0"),
    ("--dataloader-type", "single"),
    ("--num-workers", "2"),
    ("--log-interval", "10"),
    ("--log-throughput",),
    ("--distributed-timeout-minutes", "60"),
)


def blend_file(phase: Phase) -> str:
    """The per-split blend: training prefixes without weights, one pass over each.

    Megatron reads all three keys; null means that there is no such split. Several validation
    prefixes have their samples as weights, so that they can be passed more than once.
    """
    valid: list[str] = []
    evaluated = phase.stage.evaluated()
    for shard in evaluated:
        weight = [str(phase.stage.samples_of(shard))] if len(evaluated) > 1 else []
        valid += [*weight, f"{SHARDS}/{shard.prefix}"]
    blend: dict[str, Any] = {
        "train": [f"{SHARDS}/{shard.prefix}" for shard in phase.stage.used()],
        "valid": valid or None,
        "test": None,
    }
    return json.dumps(blend, indent=1) + "\n"


def read_shards(phase: Phase) -> list[Shard]:
    """All shards that the trainer reads."""
    return phase.stage.used() + phase.stage.evaluated()


def shards_file(phase: Phase) -> str:
    """`bytes of .bin, bytes of .idx, prefix`, a line for each shard of the blend."""
    return "".join(
        f"{shard.bytes} {shard.index_bytes} {shard.prefix}\n" for shard in read_shards(phase)
    )


def hashes_file(phase: Phase) -> str:
    """What `sha256sum --check` reads: .bin and .idx of each shard, from the folder of `shards/`."""
    return "".join(
        f"{shard.sha256}  {shard.prefix}.bin\n{shard.index_sha256}  {shard.prefix}.idx\n"
        for shard in read_shards(phase)
    )


def placement(shape: ModelShape, phase: Phase, micro_batch: int) -> tuple[int, int]:
    """Nodes, and GPUs of a node, that run a phase with the model's own parallel sizes.

    The fewest whole nodes that hold the model; on one node as many GPUs as its batch keeps busy,
    because Megatron wants a whole number of micro batches for each data-parallel replica.
    """
    replica = shape.tensor_parallel * shape.pipeline_parallel * shape.context_parallel
    experts = shape.expert_parallel * shape.expert_tensor_parallel * shape.pipeline_parallel
    world = math.lcm(replica, experts if shape.num_experts else 1)
    if world > GPUS_OF_A_NODE:
        return -(-world // GPUS_OF_A_NODE), GPUS_OF_A_NODE
    batches = phase.global_batch_size // micro_batch
    fit = [
        gpus for gpus in range(world, GPUS_OF_A_NODE + 1, world) if batches % (gpus // replica) == 0
    ]
    return 1, max(fit, default=world)


def script_file(
    shape: ModelShape, phase: Phase, training: Training, shards_root: str | None
) -> str:
    """The script of one phase.

    Args:
        shape: The model.
        phase: The phase.
        training: Its rates and batch.
        shards_root: Where `shards/` stands; None: two folders above the script, as in a workspace.
    """
    nodes, gpus = placement(shape, phase, training.micro_batch_size)
    names = {"saves_to": phase.saves_to, "follows": phase.follows}
    load = _FIRST
    if phase.follows is not None:
        load = _CONTINUED if phase.is_continued else _WEIGHTS
    needs = ""
    if phase.follows is not None:
        # A schedule that has begun needs its weights no more.
        own = phase.first_step if phase.is_continued else 1
        needs = _NEEDS.format(follows=phase.follows, steps=phase.follows_steps, own=own)
    experts = shape.num_experts is not None
    length = phase.stage.sequence_length
    packed = phase.stage.packing == "best_fit"
    variable = _MASK_VARIABLE.format(default=int(length <= _MASK_UP_TO))
    return _SCRIPT.substitute(
        title=f"Stage {phase.number}: {shape.name} on {phase.stage.name}, sequences of "
        f"{length:,} tokens",
        megatron=MEGATRON,
        name=phase_name(phase),
        first=phase.first_step + 1,
        last=phase.last_step,
        shards='$(cd "$here/../.." && pwd)' if shards_root is None else shlex.quote(shards_root),
        nodes=nodes,
        gpus=gpus,
        tp=shape.tensor_parallel,
        pp=shape.pipeline_parallel,
        cp=shape.context_parallel,
        ep=shape.expert_parallel,
        etp=shape.expert_tensor_parallel,
        layers=shape.num_layers,
        saves_to=phase.saves_to,
        load=load.format(**names),
        expert=(
            '\n  --expert-model-parallel-size "$EP" --expert-tensor-parallel-size "$ETP"'
            if experts
            else ""
        ),
        grouped=" --moe-grouped-gemm" if experts else "",
        mask_variable=variable if packed else "",
        mask=_MASK if packed else _NO_MASK,
        needs=needs,
    )


def tokenizer_config(eod_token: str) -> str:
    """A tokenizer_config.json in which the end of a text is the end of a document.

    Megatron takes `eos_token` for the separator of documents. The configuration of a chat model
    says `<|im_end|>` there, which stands in no shard. The padding token is the same: Megatron sees
    that and leaves the loss of these tokens alone, unless --allow-ambiguous-pad-tokens is given.
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eod_token,
        "pad_token": eod_token,
        "model_max_length": 1 << 20,
    }
    return json.dumps(config, indent=1) + "\n"
