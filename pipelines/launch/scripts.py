"""The files of a launch: arguments, blend and script of each stage, and the lock.

A script reads its arguments from the file beside it, so that the file is what ran. Where things are
on the cluster (Megatron-LM, checkpoints, shards, nodes) comes from variables; everything that
decides the result stands in the files.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.launch.models import ModelShape, model_flags
from pipelines.launch.training import Phase, phase_flags

FORMAT: Final = "tokenmill-launch"

_SCRIPT: Final = """#!/usr/bin/env bash
# {title}
#
#   MEGATRON=/path/to/Megatron-LM CHECKPOINTS=/path/to/checkpoints bash {name}.sh
#   bash {name}.sh --dry-run            check the files and print the command
#   bash {name}.sh --log-interval 1     further arguments go to Megatron-LM; the later one counts
#
# Written for Megatron-LM core_v0.16.1. Steps {first} to {last} of their schedule.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)

: "${{MEGATRON:=Megatron-LM}}"                 # a checkout of Megatron-LM
: "${{CHECKPOINTS:=$here/checkpoints}}"
: "${{CACHE:=$CHECKPOINTS/index-cache}}"
: "${{SHARDS:={shards}}}"
: "${{NNODES:=1}}" "${{NODE_RANK:=0}}" "${{MASTER_ADDR:=127.0.0.1}}" "${{MASTER_PORT:=29500}}"
: "${{GPUS:={gpus}}}"                               # of this node
# Tensor, pipeline, expert and context parallel sizes.
: "${{TP:={tp}}}" "${{PP:={pp}}}" "${{EP:={ep}}}" "${{CP:={cp}}}"
: "${{SAVE_INTERVAL:=1000}}"                   # steps
# 0 where neither Transformer Engine nor Apex is installed: the distributed optimizer cannot load a
# checkpoint of PyTorch's own Adam.
: "${{SHARD_OPTIMIZER:=1}}"

dry_run=
if [ "${{1:-}}" = --dry-run ]; then dry_run=yes; shift; fi

# Every shard must be there with the length it was written with.
missing=0
while read -r bytes prefix; do
  found=$(stat -c %s "$SHARDS/$prefix.bin" 2>/dev/null || echo no file)
  if [ "$found" != "$bytes" ] || [ ! -f "$SHARDS/$prefix.idx" ]; then
    echo "error: $SHARDS/$prefix.bin: $bytes bytes were written, found $found" >&2
    missing=$((missing + 1))
  fi
done < "$here/{name}.shards"
if [ "$missing" -gt 0 ]; then
  echo "error: $missing shards are missing or cut; copy shards/ of the workspace anew, or say" \\
    "where the workspace is: SHARDS=..." >&2
  exit 2
fi

mapfile -t arguments < <(grep -v '^#' "$here/{name}.args" | tr ' ' '\\n' | grep -v '^$')
blend="$CHECKPOINTS/{name}.blend.json"
arguments+=(
  --per-split-data-args-path "$blend"
  --data-cache-path "$CACHE"
  --tokenizer-type HuggingFaceTokenizer --tokenizer-model "$here/tokenizer"
  --tensor-model-parallel-size "$TP" --pipeline-model-parallel-size "$PP"
  --context-parallel-size "$CP"{expert}
  --save "$CHECKPOINTS/{saves_to}" --save-interval "$SAVE_INTERVAL"{load}
)
if [ "$TP" -gt 1 ]; then arguments+=(--sequence-parallel); fi
if [ "$SHARD_OPTIMIZER" = 1 ]; then
  arguments+=(--use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather)
fi

command=(
  torchrun --nnodes "$NNODES" --node-rank "$NODE_RANK" --nproc-per-node "$GPUS"
  --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT"
  "$MEGATRON/pretrain_gpt.py" "${{arguments[@]}}" "$@"
)
if [ -n "$dry_run" ]; then
  printf '%q ' "${{command[@]}}"; echo
  exit 0
fi
{needs}mkdir -p "$CHECKPOINTS"
sed "s|@SHARDS@|$SHARDS|g" "$here/{name}.blend.json" > "$blend"
export CUDA_DEVICE_MAX_CONNECTIONS="${{CUDA_DEVICE_MAX_CONNECTIONS:-1}}"
exec "${{command[@]}}"
"""

_NEEDS: Final = """if [ ! -f "$CHECKPOINTS/{follows}/latest_checkpointed_iteration.txt" ]; then
  echo "error: no checkpoint in $CHECKPOINTS/{follows}; run the stage before this one first" >&2
  exit 2
fi
"""


def phase_name(phase: Phase) -> str:
    """Stem of a phase's files."""
    return f"{phase.number}-{phase.stage.name}"


def arguments_file(shape: ModelShape, phase: Phase, num_tokens: int) -> str:
    """The `.args` file: one flag a line, `#` begins a comment."""
    lines = [f"# {shape.name}, {phase.stage.name}: the model"]
    lines += [" ".join(flag) for flag in model_flags(shape, num_tokens)]
    lines += ["# data, length, batch and schedule"]
    lines += [" ".join(flag) for flag in phase_flags(phase)]
    lines += ["# the run"]
    lines += [" ".join(flag) for flag in _RUN]
    return "\n".join(lines) + "\n"


# Nothing is held out for validation here, so there is nothing to evaluate.
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
    ("--eval-iters", "0"),
    ("--eval-interval", "1000000000"),
    ("--log-interval", "10"),
    ("--log-throughput",),
    ("--distributed-timeout-minutes", "60"),
)


def blend_file(phase: Phase) -> str:
    """The per-split blend: prefixes without weights, one pass over each.

    Megatron reads all three keys; null means that there is no such split.
    """
    train = [f"@SHARDS@/{shard.prefix}" for shard in phase.stage.used()]
    return json.dumps({"train": train, "valid": None, "test": None}, indent=1) + "\n"


def shards_file(phase: Phase) -> str:
    """`bytes prefix`, a line for each shard of the blend."""
    return "".join(f"{shard.bytes} {shard.prefix}\n" for shard in phase.stage.used())


def script_file(shape: ModelShape, phase: Phase, shards_root: str) -> str:
    """The script of one phase."""
    is_first = phase.follows is None
    # --finetune takes the weights and starts steps, samples and optimizer anew.
    load = "" if is_first else f'\n  --load "$CHECKPOINTS/{phase.follows}"'
    if not is_first and not phase.is_continued:
        load += " --finetune"
    expert = ' --expert-model-parallel-size "$EP"' if shape.moe_ffn_hidden_size else ""
    return _SCRIPT.format(
        title=f"Stage {phase.number}: {shape.name} on {phase.stage.name}, sequences of "
        f"{phase.stage.sequence_length:,} tokens",
        name=phase_name(phase),
        first=phase.first_step + 1,
        last=phase.first_step + phase.steps,
        shards=shlex.quote(shards_root),
        # Megatron wants a whole number of sequences a step for each data-parallel group.
        gpus=min(
            8,
            phase.global_batch_size
            * shape.tensor_parallel
            * shape.pipeline_parallel
            * shape.context_parallel,
        ),
        tp=shape.tensor_parallel,
        pp=shape.pipeline_parallel,
        ep=shape.expert_parallel,
        cp=shape.context_parallel,
        saves_to=phase.saves_to,
        load=load,
        expert=expert,
        needs="" if is_first else _NEEDS.format(follows=phase.follows),
    )


def tokenizer_config(eod_token: str) -> str:
    """A tokenizer_config.json in which the end of a text is the end of a document.

    Megatron takes `eos_token` for the separator of documents. The configuration of a chat model
    says `<|im_end|>` there, which stands in no shard.
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eod_token,
        "pad_token": eod_token,
        "model_max_length": 1 << 20,
    }
    return json.dumps(config, indent=1) + "\n"


def lock_file(
    shape: ModelShape,
    phases: Sequence[Phase],
    tokenizer: Mapping[str, Any],
    made_from: Mapping[str, Any],
) -> str:
    """What the launch was made from, with hashes."""
    stages = [
        {
            "name": phase_name(phase),
            "sequence_length": phase.stage.sequence_length,
            "global_batch_size": phase.global_batch_size,
            "steps": phase.steps,
            "tokens": sum(shard.tokens for shard in phase.stage.shards),
            "trained_tokens": phase.steps * phase.global_batch_size * phase.stage.sequence_length,
            "shards": [
                {"prefix": s.prefix, "tokens": s.tokens, "bytes": s.bytes, "sha256": s.sha256}
                for s in phase.stage.shards
            ],
            "shorter_than_a_sequence": [shard.prefix for shard in phase.stage.unused()],
        }
        for phase in phases
    ]
    lock = {
        "format": FORMAT,
        "model": shape.name,
        "tokenizer": dict(tokenizer),
        "made_from": dict(made_from),
        "stages": stages,
    }
    return json.dumps(lock, indent=1, sort_keys=True) + "\n"
