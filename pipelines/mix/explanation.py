"""Why one document is drawn as often as it is: the rules of a stage with its numbers put in.

Every number comes from where the writer of shards takes it: `judge` says whether the document is
eligible, the plan its expected draws E, and `mixtures.draws` its uniform number u and the draws,
floor(E) and one more where u is below the fraction of E. Nothing is worked out a second way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.bins import values_of
from mixtures.budgets import TokenBudget
from mixtures.draws import draws, uniform
from mixtures.expressions import NO_BUCKET, REASONS, WHERE_FALSE, Selection, select
from mixtures.spec import Stage
from pipelines.mix.conditions import Condition, conditions_of
from pipelines.mix.cut_spans import spans_of
from pipelines.mix.judge import Judged, judge
from pipelines.mix.outlook import ordered_stages
from pipelines.mix.pins import label_table
from pipelines.mix.plan import Plan
from pipelines.mix.preview import ALL
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.tracing import Found, ranges_of
from pipelines.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one condition of `where` says of the document."""

    sql: str
    holds: bool | None
    """None where it gives null, which counts as false."""
    labels: Mapping[str, Any]
    """The labels that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """What the weight of the stage makes of the document."""

    value: float
    """Its weight or score, rounded to its bin."""
    percentile: float
    """Part of the tokens of its group and length bucket that have a smaller value; of those that
    share its value, half."""
    documents: int
    """Documents of its group and length bucket with the same rounded value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The group and length bucket of the document, as the solve left them."""

    documents: int
    tokens: int
    stated_tokens: float
    """What the shares alone ask for."""
    expected_tokens: float
    expected_draws: float
    """Of its documents on average."""
    ran_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Where one draw stands in the shards that are written."""

    shard: str
    """Path without its ending."""
    row: Mapping[str, Any]
    """Of the document map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One stage and one document."""

    mixture: str
    stage: Stage
    budget: TokenBudget
    stage_tokens: float
    """Expected tokens of the stage."""
    limited_by: str
    """What decides how large the stage can be; empty where all groups and buckets do."""
    seed: int
    reason: str
    """`eligible`, or why it is not."""
    verdicts: tuple[Verdict, ...]
    """Empty where the stage has no `where`."""
    num_tokens: int | None
    """As labelled; None where that failed."""
    planned_tokens: int | None
    """Less what is redacted and cut, and one EOD."""
    cuts: Mapping[str, int]
    """Kind of what the stage redacts or cuts -> spans of it; kinds without a span are left out."""
    group: str | None
    bucket: str | None
    """Name of its length bucket; None where none takes it."""
    weighting: Weighting | None
    cell: Cell | None
    """None where it is not eligible."""
    expected_draws: float
    u: float
    draws: int
    written: tuple[Draw, ...]
    """Empty where the shards of this plan are not written, or it is not drawn, or cuts leave
    nothing of its text but white space."""

    @property
    def is_eligible(self) -> bool:
        """Whether it can be drawn at all."""
        return self.cell is not None


def place_in(plan: Plan, found: Found) -> PartKey | None:
    """The part of a plan that holds a document; None where the plan is of other documents."""
    pins = plan.pins.sources.get(found.entry.source)
    if pins is None or pins.documents != f"{found.entry.job}@{found.entry.fp}":
        return None
    if found.entry.part not in pins.parts:
        return None
    return PartKey(found.entry.source, found.entry.part)


def explain(workspace: Workspace, plan: Plan, found: Found) -> list[Explanation]:
    """Explains a document in every stage of a plan.

    Args:
        workspace: Where the plan's labels stand.
        plan: The plan.
        found: A document that `place_in` finds in it.
    """
    key = PartKey(found.entry.source, found.entry.part)
    labels = label_table(workspace, plan.pins, key).slice(found.row, 1)
    ranges = sorted(
        ranges_of(workspace, found.id), key=lambda one: (one[1]["draw"], one[1]["token_start"])
    )
    return [
        _explain_stage(workspace, plan, stage, labels, found.id, ranges)
        for stage in ordered_stages(plan)
    ]


def _explain_stage(
    workspace: Workspace,
    plan: Plan,
    stage: Stage,
    labels: pa.Table,
    id_: bytes,
    ranges: list[tuple[str, dict[str, Any]]],
) -> Explanation:
    judged = judge(stage, labels, plan.replacement_tokens)
    solved = plan.solved[stage.name]
    (reason,) = (name for name, count in judged.reasons.items() if count)
    selection = judged.selection if len(judged.rows) else None
    u = uniform(plan.seed, stage.name, np.frombuffer(id_, np.uint8).reshape(1, -1))
    expected = np.zeros(1)
    cell, weighting = None, None
    if selection is not None and selection.eligible[0]:
        expected = solved.expected_draws(selection)
        cell = _cell(solved.cells, selection)
        weighting = _weighting(stage, solved.draws, selection)
    return Explanation(
        mixture=plan.mixture,
        stage=stage,
        budget=solved.budget,
        stage_tokens=solved.num_tokens,
        limited_by=solved.limited_by,
        seed=plan.seed,
        reason=reason,
        verdicts=tuple(_verdicts(stage, labels)),
        num_tokens=labels.column("num_tokens")[0].as_py(),
        planned_tokens=int(judged.tokens[0]) if len(judged.rows) else None,
        cuts=_cuts(stage, judged),
        group=selection.group[0].as_py() if selection is not None and stage.group_by else None,
        bucket=_bucket(stage, selection),
        weighting=weighting,
        cell=cell,
        expected_draws=float(expected[0]),
        u=float(u[0]),
        draws=int(draws(expected, u)[0]),
        written=tuple(_written(workspace, plan, stage, ranges)),
    )


def _verdicts(stage: Stage, labels: pa.Table) -> Iterator[Verdict]:
    """What each condition of `where` says, one at a time."""
    if stage.where is None:
        return
    names = [name for name in labels.column_names if name != "id"]
    values = {name.lower(): (name, labels.column(name)) for name in names}
    for condition in conditions_of(stage.where, names):
        named = (values[name.lower()] for name in condition.columns)
        yield Verdict(
            sql=condition.sql,
            holds=_holds(stage, condition, labels),
            labels={name: column[0].as_py() for name, column in named},
        )


def _holds(stage: Stage, condition: Condition, labels: pa.Table) -> bool | None:
    if _is_true(stage, condition.sql, labels):
        return True
    return None if _is_true(stage, f"({condition.sql}\n) is null", labels) else False


def _is_true(stage: Stage, where: str, labels: pa.Table) -> bool:
    """Asks one condition by the code that asks them all."""
    asked = Stage(name=stage.name, sequence_length=stage.sequence_length, tokens=1, where=where)
    reason = select(asked, labels, np.ones(1, np.int64)).reason[0]
    return REASONS[reason] != WHERE_FALSE


def _cuts(stage: Stage, judged: Judged) -> dict[str, int]:
    """Spans that the stage takes out of the document, by kind."""
    if not stage.cut_columns or not len(judged.rows):
        return {}
    found = {
        kind: int(spans[0]) for kind, spans in spans_of(stage, judged.labels).by_kind().items()
    }
    return {kind: number for kind, number in found.items() if number}


def _bucket(stage: Stage, selection: Selection | None) -> str | None:
    if selection is None or selection.bucket[0] == NO_BUCKET:
        return None
    names = [bucket.name for bucket in stage.length_buckets] or [ALL]
    return names[int(selection.bucket[0])]


def _cell(cells: pa.Table, selection: Selection) -> Cell:
    (one,) = _of_cell(cells, selection).to_pylist()
    names = ("documents", "tokens", "stated_tokens", "expected_tokens", "expected_draws", "ran_out")
    return Cell(**{name: one[name] for name in names})


def _of_cell(table: pa.Table, selection: Selection) -> pa.Table:
    group, bucket = selection.group[0].as_py(), int(selection.bucket[0])
    return table.filter(
        pc.and_(pc.equal(table.column("group"), group), pc.equal(table.column("bucket"), bucket))
    )


def _weighting(stage: Stage, binned: pa.Table, selection: Selection) -> Weighting | None:
    if stage.weight is None:
        return None
    code = int(selection.bin[0])
    rows = _of_cell(binned, selection).to_pylist()
    below = sum(row["tokens"] for row in rows if row["bin"] < code)
    same = sum(row["tokens"] for row in rows if row["bin"] == code)
    return Weighting(
        value=float(values_of(selection.bin)[0]),
        percentile=(below + same / 2) / sum(row["tokens"] for row in rows),
        documents=sum(row["documents"] for row in rows if row["bin"] == code),
    )


def _written(
    workspace: Workspace, plan: Plan, stage: Stage, ranges: list[tuple[str, dict[str, Any]]]
) -> Iterator[Draw]:
    """The document's ranges in the shards that were written from this very plan."""
    ledger = workspace.ledger
    folders = tuple(
        f"shards/{name.removeprefix('shards.')}/{stage.name}/"
        for name in ledger.generations()
        if name.startswith(f"shards.{plan.mixture}@")
        and ledger.payload(name).get("plan") == plan.generation.full
    )
    for shard, row in ranges:
        if folders and shard.startswith(folders):
            yield Draw(shard=shard, row=row)
