"""The outlook of a plan: what each stage will hold, as rows that can be shown or compared.

A plan decides every draw, because a draw is a function of (seed, stage, id); its preview counts the
outcome. So nothing is evaluated here: rows are sums over the preview, and what runs out and what a
constraint costs stand in the solved stage. The numbers are those of the plan: *planned* tokens, one
EOD a document included, with what the stage redacts and cuts taken off.

Of each value of a dimension (a language, a source, ...) two numbers are told apart: what is
*expected* (documents times their expected draws, with a sigma) and what is *drawn*, which is the
very number of tokens that the shards will hold, up to what cuts change beyond the estimate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.expressions import ELIGIBLE
from mixtures.solve import StagePlan
from mixtures.spec import Stage
from pipelines.mix.plan import Plan
from pipelines.mix.preview import ALL

FORMAT: Final = "tokenmill-outlook"

REST: Final = "*"
"""Value of a preview row that stands for all values beyond those a part keeps."""

NULL: Final = "null"
"""Value of a preview row of documents without the label."""

GROUP: Final = "group"
BUCKET: Final = "bucket"
DIMENSIONS: Final = (GROUP, "language", "topic", "source", "kind", "depth")
"""Dimensions of a preview that are shown, in this order; the length buckets follow."""

_VALIDATION: Final = "validation"
_DRAWS: Final = "draws"
_SUMS: Final = (
    "documents",
    "tokens",
    "expected_tokens",
    "variance",
    "drawn_documents",
    "draws",
    "drawn_tokens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value of one dimension, in what is eligible and in what is drawn."""

    value: str
    documents: int
    """Eligible documents."""
    tokens: int
    """Planned tokens of the eligible documents, each once."""
    share_before: float
    """Part of the stage's eligible tokens, 0 to 1."""
    share_after: float
    """Part of the stage's drawn tokens, 0 to 1."""
    expected_tokens: float
    sigma: float
    """Standard deviation of the drawn tokens around the expected ones."""
    drawn_documents: int
    """Documents drawn at least once."""
    draws: int
    drawn_tokens: int
    epochs: float
    """Drawn tokens a token: how often the average token is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """All values of a dimension; their tokens sum to those of the stage."""

    name: str
    rows: tuple[Row, ...]
    """By drawn tokens, the largest first; depths and length buckets in their own order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A group that reached its cap before its share was filled."""

    group: str
    bucket: str
    """Name of the length bucket."""
    tokens: int
    """Planned tokens of its eligible documents."""
    wanted_tokens: float
    """What its share alone asks for."""
    expected_tokens: float
    lacking_tokens: float
    """What others took over."""
    epochs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """A group that got tokens beyond its share because others ran out."""

    group: str
    bucket: str
    tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Eligible documents that are drawn the same number of times."""

    times: int
    documents: int
    drawn_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """Text that a model wrote (depth above 0), beside the cap on its share of the tokens.

    The cap is a rule for expected draws. What is drawn lies beyond it about as often as not where
    the cap binds, and `above_in_sigma` says whether by more than chance would do.
    """

    max_share: float
    expected_tokens: float
    drawn_tokens: int
    expected_share: float
    """Part of the stage's expected tokens, 0 to 1."""
    drawn_share: float
    """Part of the stage's drawn tokens, 0 to 1."""
    above_in_sigma: float | None
    """Drawn tokens beyond the cap in standard deviations; None where not above, or not by chance.

    With S synthetic tokens of S + N and a cap c that is the excess S - c (S + N), whose variance is
    (1 - c)^2 var S + c^2 var N, because documents are drawn independently of each other.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutlook:
    """What one stage will hold, and what that was decided by."""

    name: str
    budget: str | int
    """As written: a number of tokens, `max` or `one_epoch`."""
    max_epochs: float
    sequence_length: int
    packing: str
    shuffle: str
    group_by: str | None
    total: Row
    """All eligible documents; `value` is empty."""
    reasons: Mapping[str, int]
    """Why documents are out -> how many, the most frequent first."""
    shards: int
    """Units of the plan that are trained on."""
    validation_shards: int
    validation_documents: int
    """Documents held out of training, written once each."""
    validation_tokens: int
    dimensions: tuple[Dimension, ...]
    repeats: tuple[Repeats, ...]
    """By times, from 0."""
    shortages: tuple[Shortage, ...]
    """By what they lack, the most first."""
    takeovers: tuple[Takeover, ...]
    """By what they took over, the most first."""
    attainable_tokens: float
    """The most that the constraints allow."""
    limited_by: str
    synthetic: Synthetic | None
    """None where the stage has no cap on the synthetic share."""
    costs: Mapping[str, float]
    """Constraint -> tokens by which the stage could be larger without it."""

    def dimension(self, name: str) -> Dimension | None:
        """A dimension by its name."""
        return next((one for one in self.dimensions if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a plan will give."""

    mixture: str
    plan: str
    """Folder of the plan in the workspace."""
    seed: int
    stages: tuple[StageOutlook, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it with exact numbers, for scripts."""
        return {"format": FORMAT, **asdict(self)}


def outlook_of(plan: Plan) -> Outlook:
    """The outlook of all stages of a plan, in the order of the mixture."""
    return Outlook(
        mixture=plan.mixture,
        plan=plan.folder,
        seed=plan.seed,
        stages=tuple(_stage_outlook(plan, stage) for stage in ordered_stages(plan)),
    )


def ordered_stages(plan: Plan) -> list[Stage]:
    """Stages in the order of the mixture.

    Units stand in that order; the stages of a plan that was read from a file stand by name.
    """
    names = dict.fromkeys((*(unit.stage for unit in plan.units), *plan.stages))
    return [plan.stages[name] for name in names]


def folded(rows: Sequence[Row], top: int | None) -> tuple[list[Row], Row | None]:
    """The first rows, and the sum of the others.

    Args:
        rows: Rows of one dimension.
        top: How many stay; None keeps all.

    Returns:
        The rows that stay, and one for the rest, None where there is none.
    """
    if top is None or len(rows) <= top:
        return list(rows), None
    rest = rows[top:]
    tokens, drawn = sum(row.tokens for row in rest), sum(row.drawn_tokens for row in rest)
    return list(rows[:top]), Row(
        value=f"{len(rest):,} more",
        documents=sum(row.documents for row in rest),
        tokens=tokens,
        share_before=sum(row.share_before for row in rest),
        share_after=sum(row.share_after for row in rest),
        expected_tokens=sum(row.expected_tokens for row in rest),
        sigma=math.sqrt(sum(row.sigma**2 for row in rest)),
        drawn_documents=sum(row.drawn_documents for row in rest),
        draws=sum(row.draws for row in rest),
        drawn_tokens=drawn,
        epochs=_ratio(drawn, tokens),
    )


def _stage_outlook(plan: Plan, stage: Stage) -> StageOutlook:
    preview = plan.preview.filter(pc.equal(plan.preview.column("stage"), stage.name))
    solved = plan.solved[stage.name]
    buckets = [bucket.name for bucket in stage.length_buckets] or [ALL]
    whole = _whole(preview)
    reasons = dict(plan.reasons[stage.name])
    reasons.pop(ELIGIBLE, None)
    units = plan.units_of(stage.name)
    validation = sum(unit.split == _VALIDATION for unit in units)
    held_out = _sums(_of_dimension(preview, _VALIDATION), ["value"])
    return StageOutlook(
        name=stage.name,
        budget=stage.tokens,
        max_epochs=stage.max_epochs,
        sequence_length=stage.sequence_length,
        packing=stage.packing,
        shuffle=stage.shuffle,
        group_by=stage.group_by,
        total=_row(whole, whole),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        shards=len(units) - validation,
        validation_shards=validation,
        validation_documents=sum(one["documents"] for one in held_out),
        validation_tokens=sum(one["tokens"] for one in held_out),
        dimensions=tuple(_dimensions(stage, preview, buckets)),
        repeats=_repeats(_of_dimension(preview, _DRAWS)),
        shortages=_shortages(solved, buckets),
        takeovers=_takeovers(solved, buckets),
        attainable_tokens=solved.attainable_tokens,
        limited_by=solved.limited_by,
        synthetic=_synthetic(stage, preview),
        costs=dict(solved.costs),
    )


def _dimensions(stage: Stage, preview: pa.Table, buckets: Sequence[str]) -> list[Dimension]:
    whole = _whole(preview)
    found = []
    for name in DIMENSIONS:
        if name == GROUP and stage.group_by is None:
            continue
        if sums := _sums(_of_dimension(preview, name), ["value"]):
            rows = [_row(one, whole) for one in sums]
            found.append(Dimension(name=name, rows=tuple(sorted(rows, key=_order_of(name)))))
    if stage.length_buckets:
        sums = sorted(
            _sums(_of_dimension(preview, ALL), [BUCKET]), key=lambda one: int(one[BUCKET])
        )
        named = ({**one, "value": buckets[one[BUCKET]]} for one in sums)
        rows = [_row(one, whole) for one in named]
        found.append(Dimension(name=BUCKET, rows=tuple(rows)))
    return found


def _whole(preview: pa.Table) -> dict[str, Any]:
    # A stage without an eligible document has no plan, so there is one.
    (whole,) = _sums(_of_dimension(preview, ALL), ["value"])
    return whole


def _of_dimension(preview: pa.Table, name: str) -> pa.Table:
    return preview.filter(pc.equal(preview.column("dimension"), name))


def _sums(rows: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    """Sums of all number columns by some keys."""
    summed = rows.group_by(keys).aggregate([(name, "sum") for name in _SUMS])
    names = [name.removesuffix("_sum") for name in summed.column_names]
    listed: list[dict[str, Any]] = summed.rename_columns(names).to_pylist()
    return listed


def _row(sums: Mapping[str, Any], whole: Mapping[str, Any]) -> Row:
    return Row(
        value=str(sums["value"] or ""),
        documents=sums["documents"],
        tokens=sums["tokens"],
        share_before=_ratio(sums["tokens"], whole["tokens"]),
        share_after=_ratio(sums["drawn_tokens"], whole["drawn_tokens"]),
        expected_tokens=sums["expected_tokens"],
        sigma=math.sqrt(max(sums["variance"], 0.0)),
        drawn_documents=sums["drawn_documents"],
        draws=sums["draws"],
        drawn_tokens=sums["drawn_tokens"],
        epochs=_ratio(sums["drawn_tokens"], sums["tokens"]),
    )


def _order_of(dimension: str) -> Any:  # noqa: ANN401 - a sort key of any comparable type
    if dimension == "depth":
        return lambda row: (row.value == REST, len(row.value), row.value)
    return lambda row: (row.value == REST, -row.drawn_tokens, -row.tokens, row.value)


def _synthetic(stage: Stage, preview: pa.Table) -> Synthetic | None:
    cap = stage.synthetic.max_share if stage.synthetic else None
    if cap is None:
        return None
    whole = _whole(preview)
    # A document without a depth counts as one that people wrote, as it does for the cap.
    found = [
        one
        for one in _sums(_of_dimension(preview, "depth"), ["value"])
        if one["value"] not in ("0", NULL)
    ]
    expected = math.fsum(one["expected_tokens"] for one in found)
    variance = math.fsum(one["variance"] for one in found)
    drawn = sum(one["drawn_tokens"] for one in found)
    above = drawn - cap * whole["drawn_tokens"]
    others = max(whole["variance"] - variance, 0.0)
    sigma = math.sqrt((1 - cap) ** 2 * variance + cap**2 * others)
    return Synthetic(
        max_share=cap,
        expected_tokens=expected,
        drawn_tokens=drawn,
        expected_share=_ratio(expected, whole["expected_tokens"]),
        drawn_share=_ratio(drawn, whole["drawn_tokens"]),
        above_in_sigma=above / sigma if above > 0 and sigma else None,
    )


def _repeats(rows: pa.Table) -> tuple[Repeats, ...]:
    found = [
        Repeats(
            times=int(one["value"]), documents=one["documents"], drawn_tokens=one["drawn_tokens"]
        )
        for one in _sums(rows, ["value"])
        if one["value"] != REST
    ]
    return tuple(sorted(found, key=lambda one: one.times))


def _shortages(solved: StagePlan, buckets: Sequence[str]) -> tuple[Shortage, ...]:
    found = [
        Shortage(
            group=cell["group"],
            bucket=buckets[cell["bucket"]],
            tokens=cell["tokens"],
            wanted_tokens=cell["stated_tokens"],
            expected_tokens=cell["expected_tokens"],
            lacking_tokens=cell["stated_tokens"] - cell["expected_tokens"],
            epochs=cell["epochs"],
        )
        for cell in solved.cells.to_pylist()
        if cell["ran_out"]
    ]
    return tuple(sorted(found, key=lambda one: (-one.lacking_tokens, one.group, one.bucket)))


def _takeovers(solved: StagePlan, buckets: Sequence[str]) -> tuple[Takeover, ...]:
    if not pc.any(solved.cells.column("ran_out")).as_py():
        return ()
    found = [
        Takeover(group=cell["group"], bucket=buckets[cell["bucket"]], tokens=cell["moved_tokens"])
        for cell in solved.cells.to_pylist()
        if cell["moved_tokens"] >= 0.5  # half a token: below it is the rounding of sums
    ]
    return tuple(sorted(found, key=lambda one: (-one.tokens, one.group, one.bucket)))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
