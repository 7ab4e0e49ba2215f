"""The training of a chain of stages: samples, steps, schedule, and the flags that say so.

Every draw of a document is written into the shards, so the trainer passes each shard exactly once.
The blend names prefixes without weights, from which Megatron-LM builds one epoch of each and mixes
them by their lengths (`blended_megatron_dataset_builder.py`: weights none, size given). Megatron
has no cap on epochs; this way there is nothing to cap. Its greedy choice never asks a prefix for
more than one pass: a prefix is chosen only while it has at most its share w * k of the k samples
before, so it ends with at most w * (S - 1) + 1 of S, and for w = n / N and S <= N that is less than
n + 1. The surplus of mid-level datasets plays no part without weights.

Consecutive stages of one sequence length are phases of one schedule, by
`--phase-transition-iterations`: the blend of the next phase starts at its first sample, optimizer
and learning rate go on. The last phase decays ("accelerated decay" of the report's second stage, as
WSD). A stage of another sequence length starts from the weights alone (`--finetune`): a sample is
then another number of tokens, and Megatron's offsets count samples.

Validation reads held-out shards once and again. A blend without weights ends where it has been
passed once, and Megatron stops with an error when an evaluation finds no more, so several prefixes
get their samples as weights, from which it builds as many epochs as it needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pipelines.launch.models import ModelShape
from pipelines.launch.settings import MAX_BATCH_TOKENS, Training

# A sequence as long as this takes the model's long RoPE base (arXiv:2505.09388, section 3.2).
_LONG_FROM: Final = 32_768
_MIN_STEPS: Final = 200  # a stage should have as many, so the batch of a small corpus shrinks
_WARMUP_STEPS: Final = 500
_WARMUP_SHARE: Final = 0.05
_EVALUATIONS: Final = 20  # in a schedule
_EVALUATION_SHARE: Final = 0.1  # steps of one, as a part of the steps between two
# Megatron numbers the datasets of a blend with int16 (blended_dataset.py) and the documents of a
# dataset, times epochs, with int32 (gpt_dataset.py).
MAX_PREFIXES: Final = 32_766
MAX_SEQUENCES: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One `.bin`/`.idx` pair."""

    prefix: str
    """Path without the ending, relative to the workspace."""
    tokens: int
    sha256: str
    """Of the `.bin`."""
    bytes: int
    index_sha256: str = ""
    """Of the `.idx`."""
    index_bytes: int = 0
    sequences: int = 0
    """Megatron sequences: documents, or packed sequences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The shards of one stage of a mixture."""

    name: str
    """`mixture`, or `mixture-stage` where it has several."""
    mixture: str
    sequence_length: int
    shards: tuple[Shard, ...]
    packing: str = "concat"
    """`concat`, or `best_fit`: every Megatron sequence holds whole documents and padding."""
    validation: tuple[Shard, ...] = ()
    """Shards that nothing trains on."""

    def num_samples(self) -> int:
        """Sequences in one pass: of each shard, what does not fill a sequence is left over.

        A shard of n tokens gives floor((n - 1) / sequence_length) samples: labels are the tokens
        shifted by one (`gpt_dataset.py`). N packed sequences give N - 1 by the same rule.
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

    def evaluated(self) -> list[Shard]:
        """Validation shards of at least one sequence."""
        return [shard for shard in self.validation if self.samples_of(shard)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How often the loss on held-out text is measured, and on how much."""

    steps: int
    """Batches of one evaluation: --eval-iters."""
    interval: int
    """Training steps from one to the next: --eval-interval."""


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
    follows_steps: int = 0
    """Steps that this checkpoint must have."""
    saves_to: str
    is_of_first_schedule: bool
    evaluation: Evaluation | None = None

    @property
    def is_continued(self) -> bool:
        """Whether it goes on in the schedule of the stage before it."""
        return self.first_step > 0

    @property
    def last_step(self) -> int:
        """Step of its schedule with which it ends."""
        return self.first_step + self.steps

    @property
    def train_samples(self) -> int:
        """Samples of its whole schedule: what Megatron calls --train-samples."""
        return sum(self.schedule) * self.global_batch_size


def plan_phases(
    stages: Sequence[Stage],
    global_batch_size: int | None = None,
    training: Training | None = None,
) -> list[Phase]:
    """Puts stages in a chain.

    Args:
        stages: In the order of training.
        global_batch_size: Sequences of a step in the first schedule; by default that of `training`,
            and where this says none 4M tokens, or the power of two below that gives its smallest
            stage 200 steps.
        training: Rates and batch; by default those of `Training`.

    Raises:
        ValueError: A stage has no whole sequence, or fewer than a step takes; more prefixes or
            documents than Megatron can number; one stage twice; a batch that micro batches do not
            fill, or a warm-up longer than a schedule.
    """
    training = training or Training()
    for stage in stages:
        _check_numbers(stage)
    _check_names(stages)
    phases: list[Phase] = []
    batch_tokens = training.global_batch_tokens
    if global_batch_size:
        batch_tokens = global_batch_size * stages[0].sequence_length
    before: str | None = None
    before_steps = 0
    for group in _by_length(stages):
        batch = _batch(group, batch_tokens, training.micro_batch_size)
        schedule = tuple(_steps(stage, batch) for stage in group)
        if training.warmup_steps is not None and training.warmup_steps >= sum(schedule):
            raise ValueError(
                f"training.warmup_steps: found {training.warmup_steps}, and {group[0].name} begins "
                f"a schedule of {sum(schedule)} steps; allowed: fewer; change or remove it"
            )
        evaluation = _evaluation(group, batch, sum(schedule))
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
                    follows_steps=sum(schedule[:position]) if position else before_steps,
                    saves_to=saves_to,
                    is_of_first_schedule=before is None,
                    evaluation=evaluation if stage.evaluated() else None,
                )
            )
        before, before_steps = saves_to, sum(schedule)
    return phases


def phase_flags(
    phase: Phase, shape: ModelShape | None = None, training: Training | None = None
) -> list[tuple[str, ...]]:
    """Flags of one phase: data, length, batch, schedule. Checkpoints are the script's.

    Without a shape the RoPE bases are those of Qwen3, as they stand in `ModelShape`.
    """
    training = training or Training()
    length = phase.stage.sequence_length
    flags: list[tuple[str, ...]] = [
        ("--seq-length", str(length)),
        ("--max-position-embeddings", str(length)),
        ("--rotary-base", str(_rotary_base(length, shape))),
        ("--micro-batch-size", str(training.micro_batch_size)),
        ("--global-batch-size", str(phase.global_batch_size)),
        ("--train-samples", str(phase.train_samples)),
    ]
    if len(phase.schedule) > 1:
        ends = [sum(phase.schedule[: k + 1]) for k in range(len(phase.schedule) - 1)]
        flags.append(("--phase-transition-iterations", ",".join(map(str, ends))))
    flags += _schedule_flags(phase, training) + _evaluation_flags(phase)
    if phase.stage.packing == "best_fit":
        # The input EOD asks for the first token of another document, and padding is EOD too. The
        # mask between documents is the script's choice, see RESET_ATTENTION_MASK there.
        flags += [("--eod-mask-loss",), ("--reset-position-ids",)]
    return flags


def _rotary_base(length: int, shape: ModelShape | None) -> int:
    field = "long_rotary_base" if length >= _LONG_FROM else "rotary_base"
    base: int = getattr(shape, field) if shape else ModelShape.model_fields[field].default
    return base


def _schedule_flags(phase: Phase, training: Training) -> list[tuple[str, ...]]:
    """The same for all phases of a schedule: Megatron compares them with the checkpoint."""
    total = phase.train_samples
    batch = phase.global_batch_size
    steps = training.warmup_steps
    warmup = (
        min(_WARMUP_STEPS * batch, int(total * _WARMUP_SHARE)) if steps is None else steps * batch
    )
    peak, end = training.peak_lr, training.end_lr
    if not phase.is_of_first_schedule:
        peak, end = training.long_peak_lr, training.long_end_lr
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
        ("--lr-wsd-decay-style", training.wsd_decay_style),
        ("--lr-wsd-decay-samples", str(phase.schedule[-1] * batch)),
    ]


def _evaluation_flags(phase: Phase) -> list[tuple[str, ...]]:
    """Without held-out shards there is nothing to evaluate; an interval of 0 would divide by it.

    With the surplus of 1 a prefix has twice the samples that its weight gives it, so that the
    greedy choice, which may exceed a weight by w * prefixes + 1 samples, always finds one.
    """
    if phase.evaluation is None:
        return [("--eval-iters", "0"), ("--eval-interval", "1000000000")]
    flags: list[tuple[str, ...]] = [
        ("--eval-iters", str(phase.evaluation.steps)),
        ("--eval-interval", str(phase.evaluation.interval)),
    ]
    if len(phase.stage.evaluated()) > 1:
        flags.append(("--mid-level-dataset-surplus", "1.0"))
    return flags


def _evaluation(group: Sequence[Stage], batch: int, steps: int) -> Evaluation | None:
    """One for all phases of a schedule: Megatron carries the samples it has evaluated along."""
    sizes = [sum(map(s.samples_of, s.evaluated())) for s in group if s.evaluated()]
    if not sizes:
        return None
    interval = max(1, -(-steps // _EVALUATIONS))
    most = max(1, int(interval * _EVALUATION_SHARE))
    return Evaluation(steps=max(1, min(min(sizes) // batch, most)), interval=interval)


def _check_numbers(stage: Stage) -> None:
    for shards in (stage.used(), stage.evaluated()):
        if len(shards) > MAX_PREFIXES:
            raise ValueError(
                f"{stage.name}: found {len(shards):,} shards; allowed are {MAX_PREFIXES:,}: "
                "Megatron numbers the datasets of a blend with int16; raise shard_tokens"
            )
        for shard in shards:
            if shard.sequences > MAX_SEQUENCES:
                raise ValueError(
                    f"{shard.prefix}: found {shard.sequences:,} documents; allowed are "
                    f"{MAX_SEQUENCES:,}, because Megatron numbers them with int32; lower "
                    "shard_tokens"
                )


def _check_names(stages: Sequence[Stage]) -> None:
    names = [stage.name for stage in stages]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"launch: found stage {twice[0]!r} twice; allowed: each once, because its checkpoints "
            "have one folder; write its documents twice instead (max_epochs)"
        )


def _by_length(stages: Sequence[Stage]) -> list[list[Stage]]:
    groups = [[stages[0]]]
    for before, stage in pairwise(stages):
        if stage.sequence_length == before.sequence_length:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _batch(group: Sequence[Stage], batch_tokens: int | None, micro_batch: int) -> int:
    """Sequences of a step: a whole number of micro batches."""
    length = group[0].sequence_length
    if batch_tokens:
        batch = max(1, batch_tokens // length)
        if batch % micro_batch:
            raise ValueError(
                f"training.micro_batch_size: found {micro_batch} with {batch} sequences of "
                f"{length:,} tokens a step; allowed: a divisor of these; change one of the two"
            )
        return batch
    smallest = min(stage.num_samples() for stage in group)
    limit = max(1, min(MAX_BATCH_TOKENS // length, smallest // _MIN_STEPS) // micro_batch)
    return micro_batch << (limit.bit_length() - 1)


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
