"""The training of a chain of stages: samples, steps, schedule, and the flags that say so.

Every draw of a document is written into the shards, so the trainer passes each shard exactly once:
the blend names prefixes without weights, from which Megatron-LM builds one epoch of each and mixes
them by their lengths (`blended_megatron_dataset_builder.py`, case "weights is None, size is not
None"). Megatron has no cap on epochs; this way there is nothing to cap.

Consecutive stages of one sequence length are phases of one schedule, by
`--phase-transition-iterations`: the blend of the next phase starts at its first sample, optimizer
and learning rate go on. The last phase decays ("accelerated decay" of the report's second stage, as
WSD). A stage of another sequence length starts from the weights alone (`--finetune`): a sample is
then another number of tokens, and Megatron's offsets count samples.

Learning rates and batch sizes of Qwen3 are not published. 3e-4 to 3e-5 with 500 warm-up steps is
the recipe of Megatron-Bridge v0.2.1; the rest is ours and meant to be changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# RoPE base: 10,000 in the two 4K stages, 1,000,000 at 32K (arXiv:2505.09388, section 3.2).
_ROTARY_BASE: Final = 10_000
_LONG_ROTARY_BASE: Final = 1_000_000
_LONG_FROM: Final = 32_768
_MAX_BATCH_TOKENS: Final = 4 << 20  # 1,024 sequences of 4,096
_MIN_STEPS: Final = 200  # a stage should have as many, so the batch of a small corpus shrinks
_WARMUP_STEPS: Final = 500
_WARMUP_SHARE: Final = 0.05
_PEAK_LR: Final = 3e-4
_END_LR: Final = 3e-5
_LONG_END_LR: Final = 3e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One `.bin`/`.idx` pair."""

    prefix: str
    """Path without the ending, relative to the workspace."""
    tokens: int
    sha256: str
    """Of the `.bin`."""
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The shards of one stage of a mixture."""

    name: str
    """`mixture`, or `mixture-stage` where it has several."""
    mixture: str
    sequence_length: int
    shards: tuple[Shard, ...]

    def num_samples(self) -> int:
        """Sequences in one pass: of each shard, what does not fill a sequence is left over.

        A shard of n tokens gives floor((n - 1) / sequence_length) samples: labels are the tokens
        shifted by one (`gpt_dataset.py`).
        """
        return sum(self.samples_of(shard) for shard in self.shards)

    def samples_of(self, shard: Shard) -> int:
        """Sequences in one shard."""
        return max(shard.tokens - 1, 0) // self.sequence_length

    def used(self) -> list[Shard]:
        """Shards of at least one sequence; Megatron cannot build a dataset of none."""
        return [shard for shard in self.shards if self.samples_of(shard)]

    def unused(self) -> list[Shard]:
        """Shards shorter than one sequence."""
        return [shard for shard in self.shards if not self.samples_of(shard)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stage in its place in the chain."""

    stage: Stage
    number: int
    """Position in the chain, from 1."""
    global_batch_size: int
    first_step: int
    """Steps of its schedule before it."""
    steps: int
    schedule: tuple[int, ...]
    """Steps of all phases of its schedule."""
    follows: str | None
    """Folder of the checkpoint that it starts from, below the folder of all checkpoints."""
    saves_to: str

    @property
    def is_continued(self) -> bool:
        """Whether it goes on in the schedule of the stage before it."""
        return self.first_step > 0

    @property
    def train_samples(self) -> int:
        """Samples of its whole schedule: what Megatron calls --train-samples."""
        return sum(self.schedule) * self.global_batch_size


def plan_phases(stages: Sequence[Stage], global_batch_size: int | None = None) -> list[Phase]:
    """Puts stages in a chain.

    Args:
        stages: In the order of training.
        global_batch_size: Sequences of a step in the first schedule; by default 4M tokens, or the
            power of two below that gives its smallest stage 200 steps.

    Raises:
        ValueError: A stage has no whole sequence, or fewer than a step takes.
    """
    phases: list[Phase] = []
    groups = _by_length(stages)
    batch_tokens = global_batch_size and global_batch_size * stages[0].sequence_length
    before = None
    for group in groups:
        length = group[0].sequence_length
        batch = max(1, batch_tokens // length) if batch_tokens else _default_batch(group)
        schedule = tuple(_steps(stage, batch) for stage in group)
        saves_to = group[0].name
        for position, (stage, steps) in enumerate(zip(group, schedule, strict=True)):
            phases.append(
                Phase(
                    stage=stage,
                    number=len(phases) + 1,
                    global_batch_size=batch,
                    first_step=sum(schedule[:position]),
                    steps=steps,
                    schedule=schedule,
                    follows=saves_to if position else before,
                    saves_to=saves_to,
                )
            )
        before = saves_to
    return phases


def phase_flags(phase: Phase) -> list[tuple[str, ...]]:
    """Flags of one phase: data, length, batch, schedule. Checkpoints are the script's."""
    length = phase.stage.sequence_length
    base = _LONG_ROTARY_BASE if length >= _LONG_FROM else _ROTARY_BASE
    flags: list[tuple[str, ...]] = [
        ("--seq-length", str(length)),
        ("--max-position-embeddings", str(length)),
        ("--rotary-base", str(base)),
        ("--micro-batch-size", "1"),
        ("--global-batch-size", str(phase.global_batch_size)),
        ("--train-samples", str(phase.train_samples)),
    ]
    if len(phase.schedule) > 1:
        ends = [sum(phase.schedule[: k + 1]) for k in range(len(phase.schedule) - 1)]
        flags.append(("--phase-transition-iterations", ",".join(map(str, ends))))
    return flags + _schedule_flags(phase)


def _schedule_flags(phase: Phase) -> list[tuple[str, ...]]:
    """The same for all phases of a schedule: Megatron compares them with the checkpoint."""
    total = phase.train_samples
    batch = phase.global_batch_size
    warmup = min(_WARMUP_STEPS * batch, int(total * _WARMUP_SHARE))
    # A stage that starts from weights alone goes on where the one before it ended.
    peak, end = (
        (_PEAK_LR, _END_LR)
        if phase.follows is None or phase.is_continued
        else (
            _END_LR,
            _LONG_END_LR,
        )
    )
    flags: list[tuple[str, ...]] = [
        ("--lr", f"{peak:g}"),
        ("--min-lr", f"{end:g}"),
        ("--lr-warmup-samples", str(warmup)),
        ("--lr-decay-samples", str(total)),
    ]
    if len(phase.schedule) == 1:
        return [*flags, ("--lr-decay-style", "cosine")]
    return [
        *flags,
        ("--lr-decay-style", "WSD"),
        ("--lr-wsd-decay-style", "linear"),
        ("--lr-wsd-decay-samples", str(phase.schedule[-1] * batch)),
    ]


def _by_length(stages: Sequence[Stage]) -> list[list[Stage]]:
    groups = [[stages[0]]]
    for before, stage in pairwise(stages):
        if stage.sequence_length == before.sequence_length:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _default_batch(group: Sequence[Stage]) -> int:
    smallest = min(stage.num_samples() for stage in group)
    limit = max(1, min(_MAX_BATCH_TOKENS // group[0].sequence_length, smallest // _MIN_STEPS))
    return 1 << (limit.bit_length() - 1)


def _steps(stage: Stage, batch: int) -> int:
    samples = stage.num_samples()
    if samples < batch:
        tokens = sum(shard.tokens for shard in stage.shards)
        raise ValueError(
            f"{stage.name}: its shards hold {tokens:,} tokens, that is {samples} sequences of "
            f"{stage.sequence_length:,}, and one step takes {batch}; give it more tokens, or a "
            "smaller --global-batch-size"
        )
    return samples // batch
