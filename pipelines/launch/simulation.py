"""What Megatron will have read of each language, source and length after so many steps.

Every unit of a plan becomes one prefix of a blend, and Megatron's own choice between prefixes is
replayed (`token_shards.megatron_blend`), sample by sample, with the batch and the steps that
`tokenmill launch` would give. What a prefix holds of each language and so on, is known from the
previews of its parts: draws are decided, so this needs no shard. A prefix counts with the tokens
that the plan draws, padding aside; where all shards of a stage are written, with their own.

Within a prefix documents and samples are shuffled, so a part of it is taken to hold what the whole
holds. Between prefixes nothing is assumed.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.launch.settings import Training
from pipelines.launch.training import Phase, Shard, Stage, plan_phases
from pipelines.mix.judge import TRAIN
from pipelines.mix.plan import Plan, Unit, part_preview
from pipelines.mix.preview import ALL
from pipelines.run_record import RunRecord
from pipelines.workspace.workspace import Workspace
from token_shards.megatron_blend import MAX_SAMPLES, blend_by_length

BUCKET: Final = "length bucket"
DIMENSIONS: Final = (BUCKET, "source", "language")
"""By what shares are told; those that a corpus has no labels for are left out."""
STEPS: Final = (1_000, 10_000)
_READERS: Final = 16  # files read at a time; most of it is waiting, on an object store


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of one dimension: of each value, as planned and after some steps."""

    dimension: str
    values: tuple[str, ...]
    """By planned share, the greatest first."""
    planned: npt.NDArray[np.float64]
    """float64[num_values]: part of the tokens that the plan expects."""
    drawn: npt.NDArray[np.float64]
    """float64[num_values]: part of the tokens drawn, which all shards together hold."""
    realised: npt.NDArray[np.float64]
    """float64[num_steps, num_values]: part of the tokens read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """One stage of a training, as Megatron would read it."""

    phase: Phase
    is_written: bool
    """Whether the sizes are those of written shards; else those of the plan."""
    steps: tuple[int, ...]
    """Steps of the stage after which shares are told."""
    skipped_steps: tuple[int, ...]
    """Steps that were asked for and are not told: the stage ends before them."""
    is_cut: bool
    """Whether the end is beyond what is replayed."""
    shares: tuple[Shares, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """The prefixes of a stage and what they hold."""

    stage: Stage
    contents: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]
    """Dimension -> value -> float64[num_shards], tokens as planned."""
    planned: Mapping[str, Mapping[str, float]]
    """Dimension -> value -> expected tokens."""
    is_written: bool


def simulate(
    workspace: Workspace,
    record: RunRecord,
    plans: Sequence[Plan],
    *,
    training: Training | None = None,
    global_batch_size: int | None = None,
    steps: Sequence[int] = STEPS,
) -> Iterator[Simulation]:
    """Replays the blends of a chain of stages.

    Args:
        workspace: Where the plans stand.
        record: The last run, which says what is written.
        plans: In the order of training.
        training: Batch of a model; see `plan_phases`.
        global_batch_size: Sequences of a step; see `plan_phases`.
        steps: Steps of a stage after which shares are told, beside its end.

    Raises:
        ValueError: A stage is too small for a step, or `plan_phases` refuses it.
    """
    held = [_held(workspace, record, plan, name) for plan in plans for name in plan.stages]
    phases = plan_phases([one.stage for one in held], global_batch_size, training)
    for phase, one in zip(phases, held, strict=True):
        yield _simulate(phase, one, steps)


def _simulate(phase: Phase, held: _Held, steps: Sequence[int]) -> Simulation:
    batch, length = phase.global_batch_size, phase.stage.sequence_length
    last = min(phase.steps, MAX_SAMPLES // batch)
    told = tuple(sorted({step for step in steps if step < last} | {last}))
    samples = np.array([held.stage.samples_of(shard) for shard in held.stage.shards], np.int64)
    used = np.flatnonzero(samples)
    counts = np.zeros((len(told), len(samples)), np.int64)
    if len(used) == 1:
        counts[:, used[0]] = np.array(told) * batch  # one prefix is no blend
    else:
        blend = blend_by_length(samples[used].tolist(), phase.steps * batch)
        counts[:, used] = blend.counts([step * batch for step in told])
    return Simulation(
        phase=phase,
        is_written=held.is_written,
        steps=told,
        skipped_steps=tuple(sorted({step for step in steps if step > phase.steps})),
        is_cut=last < phase.steps,
        shares=tuple(_shares(name, held, counts * length) for name in held.contents),
    )


def _shares(dimension: str, held: _Held, read: npt.NDArray[np.int64]) -> Shares:
    """Args: read: int64[num_steps, num_shards], tokens read of each shard."""
    contents, planned = held.contents[dimension], held.planned[dimension]
    values = sorted({*contents, *planned}, key=lambda value: (-planned.get(value, 0.0), value))
    none = np.zeros(read.shape[1])
    tokens = np.stack([contents.get(value, none) for value in values])
    whole = tokens.sum(axis=0)
    parts = np.divide(tokens, whole, out=np.zeros_like(tokens), where=whole > 0)
    realised = read @ parts.T
    expected = np.array([planned.get(value, 0.0) for value in values])
    return Shares(
        dimension=dimension,
        values=tuple(values),
        planned=expected / max(expected.sum(), 1.0),
        drawn=tokens.sum(axis=1) / max(tokens.sum(), 1.0),
        realised=realised / np.maximum(realised.sum(axis=1, keepdims=True), 1.0),
    )


def _held(workspace: Workspace, record: RunRecord, plan: Plan, name: str) -> _Held:
    """What the prefixes of a stage hold, from the previews of the parts of its units."""
    stage = plan.stages[name]
    units = [unit for unit in plan.units_of(name) if unit.split == TRAIN]
    buckets = [bucket.name for bucket in stage.length_buckets]
    with ThreadPoolExecutor(_READERS) as threads:
        tables = list(threads.map(lambda unit: _unit_preview(workspace, plan, unit), units))
    contents: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    sizes = np.zeros(len(units))
    for position, table in enumerate(tables):
        for dimension, value, tokens in _rows(table, "drawn_tokens", buckets):
            if dimension == ALL:
                sizes[position] += tokens
                continue
            of_value = contents.setdefault(dimension, {})
            of_value.setdefault(value, np.zeros(len(units)))[position] += tokens
    written = _written(workspace, record, plan, units)
    shards = tuple(
        Shard(
            prefix=unit.name,
            tokens=int(size) if written is None else written[unit.number],
            sha256="",
            bytes=0,
        )
        for unit, size in zip(units, sizes, strict=True)
    )
    planned: dict[str, dict[str, float]] = {}
    whole = plan.preview.filter(pc.equal(plan.preview.column("stage"), name))
    for dimension, value, tokens in _rows(whole, "expected_tokens", buckets):
        of_dimension = planned.setdefault(dimension, {})
        of_dimension[value] = of_dimension.get(value, 0.0) + tokens
    return _Held(
        stage=Stage(
            name=plan.mixture if len(plan.stages) == 1 else f"{plan.mixture}-{name}",
            mixture=plan.mixture,
            sequence_length=stage.sequence_length,
            shards=shards,
            packing=stage.packing,
        ),
        contents={one: contents[one] for one in DIMENSIONS if one in contents},
        planned=planned,
        is_written=written is not None,
    )


def _unit_preview(workspace: Workspace, plan: Plan, unit: Unit) -> pa.Table:
    """Rows of the previews of a unit's parts that are about its stage and length bucket."""
    tables = []
    for source, part in unit.parts:
        table = part_preview(workspace, plan, source, part)
        chosen = pc.equal(table.column("stage"), unit.stage)
        if unit.bucket >= 0:
            chosen = pc.and_(chosen, pc.equal(table.column("bucket"), unit.bucket))
        tables.append(table.filter(chosen))
    keys = ["dimension", "value", "bucket"]
    whole = pa.concat_tables(tables).group_by(keys, use_threads=False)
    sums = whole.aggregate([("drawn_tokens", "sum")])
    return sums.rename_columns({"drawn_tokens_sum": "drawn_tokens"})


def _rows(table: pa.Table, column: str, buckets: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """(dimension, value, tokens) of the dimensions told here; `all` gives the length buckets."""
    wanted = pa.array([ALL, *(name for name in DIMENSIONS if name != BUCKET)])
    table = table.filter(pc.is_in(table.column("dimension"), value_set=wanted))
    for row in table.select(["dimension", "value", "bucket", column]).to_pylist():
        yield row["dimension"], row["value"], row[column]
        if row["dimension"] == ALL and buckets:
            yield BUCKET, buckets[row["bucket"]], row[column]


def _written(
    workspace: Workspace, record: RunRecord, plan: Plan, units: Sequence[Unit]
) -> dict[int, int] | None:
    """Unit -> tokens of its shard; None unless all shards of exactly this plan are written."""
    generation = record.shards.get(plan.mixture)
    if generation is None or workspace.ledger.payload(generation)["plan"] != plan.generation.full:
        return None
    stage = units[0].stage if units else ""
    entries = workspace.ledger.entries(generation, stage)
    tokens = {entry.part: int(entry.counts["tokens"]) for entry in entries}
    return tokens if all(unit.number in tokens for unit in units) else None
