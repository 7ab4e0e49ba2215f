"""The plan: what each stage will draw, fixed before a token is written.

The tallies of all parts add up, the solve gives each document its expected draws, the preview says
what of each part is drawn, and runs of consecutive parts become shard units of about
`shard_tokens`. `plan.json` holds all of it and pins the generations it was made from, so the same
plan gives the same shards for ever. Two tables stand beside it: `draws`, expected draws by group,
length bucket and bin of weight, and `preview`, added up over the parts.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixtures.errors import MixtureError
from mixtures.solve import CELLS, DRAWS, StagePlan
from mixtures.spec import Mixture, Stage
from pipelines.mix.judge import TRAIN, VALIDATION, Judged
from pipelines.mix.pins import Pins, pin
from pipelines.mix.preview import ALL, combine_previews, few_values, preview_generation, split_draws
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import check_file, publish_file, read_table
from pipelines.workspace.workspace import Workspace

VERSION: Final = "2"
JOB: Final = "mix"
# Megatron numbers the datasets of a blend with int16 (megatron/core/datasets/helpers.cpp).
MAX_UNITS: Final = 30_000

_READERS: Final = 16  # files read at a time; most of it is waiting, on an object store
_VALIDATION_UNITS: Final = 4  # about; a trainer reads them again and again
_ANY_BUCKET: Final = -1

STAGE_DRAWS: Final = DRAWS.insert(0, pa.field("stage", pa.string(), nullable=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A shard to be: one bucket of one stage over a run of consecutive parts."""

    stage: str
    number: int
    """Position among the units of its stage."""
    bucket: int
    """Position of the length bucket, or -1 for documents of all of them."""
    bucket_name: str
    parts: tuple[tuple[str, int], ...]
    """(source, part)."""
    expected_tokens: float
    split: str = TRAIN
    """TRAIN, or VALIDATION for held-out documents, once each."""

    @property
    def name(self) -> str:
        """Stem of the shard's files."""
        return f"{self.bucket_name}-{self.number:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan.json and the tables beside it."""

    mixture: str
    generation: Generation
    seed: int
    stages: Mapping[str, Stage]
    solved: Mapping[str, StagePlan]
    reasons: Mapping[str, Mapping[str, int]]
    """Stage -> what became of the documents."""
    units: tuple[Unit, ...]
    pins: Pins
    tokenizer_fingerprint: str
    replacement_tokens: Mapping[str, int]
    """Kind -> tokens planned in place of a span; empty where no stage redacts."""
    preview: pa.Table
    """Schema PREVIEW, added up over the parts."""

    @property
    def folder(self) -> str:
        """`mixtures/<mixture>@<fp>`."""
        return plan_folder(self.mixture, self.generation.fp)

    def units_of(self, stage: str) -> list[Unit]:
        """Units of one stage, by number."""
        return [unit for unit in self.units if unit.stage == stage]


def plan_folder(mixture: str, fp: str) -> str:
    """Where a plan stands."""
    return f"mixtures/{mixture}@{fp}"


def plan_generation(tallies: Generation, mixture: Mixture, shard_tokens: int) -> Generation:
    """The plan's generation: its tallies, the whole mixture and the size of a shard decide it."""
    payload = {
        "version": VERSION,
        "tally": tallies.full,
        "preview": preview_generation(tallies, mixture).full,
        "shard_tokens": shard_tokens,
    }
    return Generation(job=JOB, payload=payload)


def expected_draws_of(plan: Plan, unit: Unit, judged: Judged) -> npt.NDArray[np.float64]:
    """Expected draws, in one unit, of the documents of one of its parts.

    Args:
        plan: The plan.
        unit: One of its units.
        judged: What its stage makes of the m documents of a part, for the split of the unit.

    Returns:
        float64[m]: 0 where not eligible or of another length bucket.
    """
    if unit.split == VALIDATION:
        return judged.selection.eligible.astype(np.float64)
    expected = plan.solved[unit.stage].expected_draws(judged.selection)
    if unit.bucket != _ANY_BUCKET:
        expected[judged.selection.bucket != unit.bucket] = 0.0
    return expected


def publish_table(workspace: Workspace, table: pa.Table, *, kind: str, folder: str) -> FileRef:
    """Writes a table as `<folder>/<kind>-<hash8>.parquet`; nobody reads it before it is named."""
    draft = workspace.storage.scratch(".parquet")
    try:
        pq.write_table(table, draft, compression="zstd", write_page_checksum=True)
        return publish_file(
            workspace.storage, draft, kind=kind, stem=f"{folder}/{kind}", rows=table.num_rows
        )
    finally:
        draft.unlink(missing_ok=True)


def draws_table(solved: Mapping[str, StagePlan]) -> pa.Table:
    """Expected draws of all stages, in schema STAGE_DRAWS."""
    tables = [
        item.draws.add_column(
            0, STAGE_DRAWS.field("stage"), pa.array([name] * item.draws.num_rows, pa.string())
        ).cast(STAGE_DRAWS)
        for name, item in solved.items()
    ]
    return pa.concat_tables(tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Previews:
    """What the previews of all parts say together."""

    table: pa.Table
    """Schema PREVIEW, added up over the parts."""
    weights: Mapping[tuple[str, str, int], Sequence[tuple[tuple[str, int], float]]]
    """(stage, split, bucket) -> (source, part) and its expected tokens, in the order of parts."""


def read_previews(workspace: Workspace, entries: Iterable[Entry]) -> Previews:
    """Reads the previews of parts, which come by source and part, and adds them up."""
    weights: dict[tuple[str, str, int], list[tuple[tuple[str, int], float]]] = {}
    ordered = iter(entries)
    sums: list[pa.Table] = []
    with ThreadPoolExecutor(_READERS) as threads:
        while some := list(itertools.islice(ordered, 8 * _READERS)):
            refs = [entry.file("preview") for entry in some]
            tables = list(threads.map(lambda ref: read_table(workspace.storage, ref), refs))
            for entry, table in zip(some, tables, strict=True):
                for row in _whole_rows(table):
                    split = TRAIN if row["dimension"] == ALL else VALIDATION
                    place = (entry.source, entry.part)
                    key = (row["stage"], split, row["bucket"])
                    weights.setdefault(key, []).append((place, row["expected_tokens"]))
            sums = [combine_previews([*sums, *tables])]
    return Previews(table=few_values(combine_previews(sums)), weights=weights)


def _whole_rows(table: pa.Table) -> list[dict[str, Any]]:
    dimensions = pa.array([ALL, VALIDATION])
    whole = table.filter(pc.is_in(table.column("dimension"), value_set=dimensions))
    rows: list[dict[str, Any]] = whole.to_pylist()
    return rows


def commit_plan(workspace: Workspace, plan: Plan, draws: FileRef) -> None:
    """Keeps the plan, and its hash in the ledger, so that the audit sees a changed one."""
    watch = Stopwatch()
    workspace.ledger.declare(plan.generation)
    preview = publish_table(workspace, plan.preview, kind="preview", folder=plan.folder)
    raw = {**_to_json(plan), "files": {"draws": draws.path, "preview": preview.path}}
    data = json.dumps(raw, sort_keys=True, indent=1).encode()
    path = f"{plan.folder}/plan.json"
    workspace.storage.create(path, data)
    ref = FileRef(
        kind="plan", path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), rows=0
    )
    key = PartKey(plan.mixture, 0)
    workspace.ledger.commit(
        entry_of(plan.generation, key, files=(ref, draws, preview), counts={}, watch=watch)
    )


def read_plan(workspace: Workspace, folder: str) -> Plan:
    """Reads a plan.json and the tables beside it.

    Raises:
        LookupError: The ledger knows no such plan, or another release made it.
        OSError: One of its files is missing or has changed.
    """
    path = f"{folder}/plan.json"
    mixture, _, fp = folder.removeprefix("mixtures/").rpartition("@")
    entry = workspace.ledger.get(f"{JOB}@{fp}", mixture, 0)
    for ref in entry.files:
        check_file(workspace.storage, ref)
    raw = json.loads(workspace.storage.read(path))
    if raw["generation"]["version"] != VERSION:
        raise LookupError(
            f"{path} is of version {raw['generation']['version']}, and this tokenmill reads "
            f"{VERSION}; give the same `tokenmill run` again, which plans anew"
        )
    draws = split_draws(read_table(workspace.storage, entry.file("draws")))
    # The keys of a JSON object are sorted; the trainer's order stands beside them.
    stages = {name: Stage.model_validate(raw["stages"][name]) for name in raw["order"]}
    solved = {
        name: StagePlan(
            **{
                **raw["solved"][name],
                "cells": pa.Table.from_pylist(raw["solved"][name]["cells"], schema=CELLS),
                "draws": draws[name],
            }
        )
        for name in raw["order"]
    }
    units = [{**unit, "parts": tuple((s, p) for s, p in unit["parts"])} for unit in raw["units"]]
    return Plan(
        mixture=raw["mixture"],
        generation=Generation(job=JOB, payload=raw["generation"]),
        seed=raw["seed"],
        stages=stages,
        solved=solved,
        reasons=raw["reasons"],
        units=tuple(Unit(**unit) for unit in units),
        pins=Pins.from_json(raw["pins"]),
        tokenizer_fingerprint=raw["tokenizer_fingerprint"],
        replacement_tokens=raw["replacement_tokens"],
        preview=read_table(workspace.storage, entry.file("preview")),
    )


def refuse_changed_parts(workspace: Workspace, plan: Plan) -> None:
    """Refuses a plan whose parts are no longer those that it was made from.

    Raises:
        ValueError: The ledger names other files.
        LookupError: It lacks some.
    """
    sources = plan.pins.sources
    now = pin(
        workspace,
        {name: pins.documents for name, pins in sources.items()},
        {name: pins.labels for name, pins in sources.items()},
        {name: pins.parts for name, pins in sources.items()},
    )
    if now.contents != plan.pins.contents:
        raise ValueError(
            f"plan {plan.folder.removeprefix('mixtures/')} was made from other contents of its "
            "parts than the ledger names now: they have changed since, and its shards would not "
            "be what it says; run the corpus again to plan anew"
        )


def part_preview(workspace: Workspace, plan: Plan, source: str, part: int) -> pa.Table:
    """What a plan draws of one part, in schema PREVIEW.

    Raises:
        LookupError: The plan has no such part.
    """
    generation = f"preview.{plan.mixture}@{str(plan.generation.payload['preview'])[:8]}"
    entry = workspace.ledger.get(generation, source, part)
    return read_table(workspace.storage, entry.file("preview"))


def plan_folders(workspace: Workspace) -> list[str]:
    """Folders of all plans of a workspace."""
    found = workspace.storage.files("mixtures")
    return [path.removesuffix("/plan.json") for path in found if path.endswith("/plan.json")]


def _to_json(plan: Plan) -> dict[str, Any]:
    return {
        "format": "tokenmill-plan",
        "mixture": plan.mixture,
        "generation": dict(plan.generation.payload),
        "seed": plan.seed,
        "order": list(plan.stages),
        "stages": {name: stage.model_dump(mode="json") for name, stage in plan.stages.items()},
        "solved": {name: _solved_to_json(item) for name, item in plan.solved.items()},
        "reasons": plan.reasons,
        "units": [asdict(unit) for unit in plan.units],
        "pins": plan.pins.to_json(),
        "tokenizer_fingerprint": plan.tokenizer_fingerprint,
        "replacement_tokens": dict(plan.replacement_tokens),
    }


def _solved_to_json(item: StagePlan) -> dict[str, Any]:
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    del values["draws"]  # as many rows as bins: in a file of its own
    return {**values, "cells": item.cells.to_pylist()}


def sum_reasons(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Stage -> what became of its documents, from the entries of tallies."""
    sums: dict[str, Counter[str]] = {}
    for entry in entries:
        for stage, reasons in entry.detail.items():
            sums.setdefault(stage, Counter()).update(reasons)
    return {stage: dict(sorted(reasons.items())) for stage, reasons in sums.items()}


def units_of_stage(stage: Stage, previews: Previews, shard_tokens: int) -> list[Unit]:
    """Runs of consecutive parts, cut when a shard is full; one unit is at least one part.

    Raises:
        MixtureError: More than a blend takes.
    """
    names = [bucket.name for bucket in stage.length_buckets] or [ALL]
    buckets = [(number, name, TRAIN) for number, name in enumerate(names)]
    if stage.packing == "best_fit":  # a sequence is filled best from documents of all lengths
        buckets = [(_ANY_BUCKET, ALL, TRAIN)]
    buckets.append((_ANY_BUCKET, VALIDATION, VALIDATION))
    units: list[Unit] = []
    for bucket, name, split in buckets:
        weights = _weights(stage, previews, split, bucket)
        full = float(shard_tokens)
        if split == VALIDATION:
            full = max(full, sum(weights.values()) / _VALIDATION_UNITS)
        for parts, tokens in _runs(weights, full):
            units.append(
                Unit(
                    stage=stage.name,
                    number=len(units),
                    bucket=bucket,
                    bucket_name=name,
                    parts=parts,
                    expected_tokens=tokens,
                    split=split,
                )
            )
    if len(units) > MAX_UNITS:
        raise MixtureError(
            f"{stage.place}: {len(units)} shards, and a Megatron blend takes at most {MAX_UNITS}; "
            "raise shard_tokens in corpus.yaml"
        )
    return units


def _weights(
    stage: Stage, previews: Previews, split: str, bucket: int
) -> dict[tuple[str, int], float]:
    """Expected tokens of each part that has any in this bucket, in the order of the parts."""
    found: dict[tuple[str, int], float] = {}
    for number in range(max(1, len(stage.length_buckets))):
        if bucket in (_ANY_BUCKET, number):
            for place, tokens in previews.weights.get((stage.name, split, number), ()):
                found[place] = found.get(place, 0.0) + tokens
    return {place: found[place] for place in sorted(found) if found[place]}


def _runs(
    weights: Mapping[tuple[str, int], float], shard_tokens: float
) -> Iterator[tuple[tuple[tuple[str, int], ...], float]]:
    parts: list[tuple[str, int]] = []
    filled = 0.0
    for place, tokens in weights.items():
        if parts and filled + tokens > shard_tokens:
            yield tuple(parts), filled
            parts, filled = [], 0.0
        parts.append(place)
        filled += tokens
    if parts:
        yield tuple(parts), filled


def unit_keys(plan: Plan) -> list[PartKey]:
    """Units as the keys of the shards job: the stage stands for the source."""
    return [PartKey(unit.stage, unit.number) for unit in plan.units]
