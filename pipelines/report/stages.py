"""Facts of one training stage: its plan beside its shards.

The plan says what should come out (expected tokens, by group and length bucket), the entries of the
shards job say what did. The two differ by chance: a document of n tokens that is to be drawn E
times on average is drawn once more with probability frac(E), so the tokens have a variance of
frac(E) (1 - frac(E)) n^2 summed over documents, which the shards job keeps.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from mixtures.expressions import ELIGIBLE
from mixtures.solve import StagePlan
from mixtures.spec import Stage, Temperature
from pipelines.mix.judge import VALIDATION
from pipelines.mix.plan import Plan
from pipelines.mix.preview import ALL
from pipelines.report.facts import (
    OTHERS,
    BucketFacts,
    Check,
    GroupFacts,
    Losses,
    StageFacts,
)
from pipelines.workspace.ledger import Entry

_FEW: Final = ("redacted", "variance", "expected_tokens", "bucket", "dtype")
"""Of the detail of a shard; what it was counted by is much more, and is added up as it is read."""
MAX_GROUPS: Final = 150
"""Rows of groups a page shows; the rest (`group_by: host` may have a million) share one row."""

# What tokens are made of; cuts of personal data mostly take some away, so theirs is below 0.
_TOKEN_PARTS: Final = ("document_tokens", "cut_tokens", "eod", "padding")
_TOKENS_BY: Final = "tokens_by_"


def num_sequences(tokens: int, sequence_length: int) -> int:
    """Sequences of one pass over a dataset of so many tokens.

    A sequence overlaps the next by one token, the last label of the one being the first input of
    the other: `num_tokens_per_epoch - add_extra_token` over the length, rounded down, in
    `GPTDataset` of Megatron-LM core_v0.16.1. Each shard is one dataset of a blend.
    """
    return max(0, tokens - 1) // sequence_length


def tally_name(plan: Plan) -> str:
    """The generation of the tallies that a plan was made from."""
    return f"tally.{plan.mixture}@{str(plan.generation.payload['tally'])[:8]}"


def stage_facts(plan: Plan, name: str, entries: Sequence[Entry]) -> StageFacts:
    """Puts a stage's plan beside the entries of its shards."""
    stage, solved = plan.stages[name], plan.solved[name]
    counts: Counter[str] = Counter()
    held_out: Counter[str] = Counter()
    redacted: Counter[str] = Counter()
    for entry in entries:
        if entry.detail["split"] == VALIDATION:
            held_out.update(entry.counts)
    tokens_by = _tokens_by(entry for entry in entries if entry.detail["split"] != VALIDATION)
    entries = [entry.with_detail(*_FEW) for entry in entries if entry.detail["split"] != VALIDATION]
    for entry in entries:
        counts.update(entry.counts)
        redacted.update(entry.detail.get("redacted", {}))
    cells = solved.cells
    drawn = _drawn(plan, name)
    if stage.shuffle == "global":  # its shards share documents; the preview counts each once
        counts["documents"] = sum(row["drawn_documents"] for row in drawn)
    sizes = [entry.counts["tokens"] for entry in entries if entry.counts["tokens"]]
    short = [tokens for tokens in sizes if not num_sequences(tokens, stage.sequence_length)]
    return StageFacts(
        mixture=plan.mixture,
        name=name,
        title=plan.mixture if len(plan.stages) == 1 else f"{plan.mixture} / {name}",
        folder=plan.folder,
        sequence_length=stage.sequence_length,
        seed=plan.seed,
        budget=str(stage.tokens),
        where=stage.where or "",
        group_by=stage.group_by or "",
        shares=_shares(stage),
        max_epochs=stage.max_epochs,
        reasons=dict(plan.reasons[name]),
        eligible=int(cells["documents"].to_numpy().sum()),
        pool_tokens=int(cells["tokens"].to_numpy().sum()),
        planned=solved.num_tokens,
        sigma=_sigma(entries),
        attainable=solved.attainable_tokens,
        limited_by=solved.limited_by,
        costs=dict(solved.costs),
        groups=_groups(stage, solved),
        buckets=_buckets(stage, entries, drawn),
        counts=dict(counts),
        tokens_by=tokens_by,
        packing=stage.packing,
        held_out=dict(held_out),
        redact=stage.redact,
        redacted=dict(redacted),
        sequences=sum(num_sequences(tokens, stage.sequence_length) for tokens in sizes),
        short_shards=len(short),
        short_tokens=sum(short),
        shards=sum(1 for entry in entries if entry.files),
        bin_bytes=sum(ref.bytes for e in entries for ref in e.files if ref.kind == "bin"),
        width=sum(e.counts["tokens"] * np.dtype(e.detail["dtype"]).itemsize for e in entries),
    )


def stage_checks(stage: StageFacts, intake: Losses) -> list[Check]:
    """The equations of a stage, from documents to tokens."""
    counts = stage.counts
    documents, drawn = intake.counts["documents"], counts.get("documents", 0)
    reasons = tuple(sorted(stage.reasons.items()))
    eligible = ("eligible", stage.eligible)
    parts = tuple((name, counts.get(name, 0)) for name in _TOKEN_PARTS)
    pairs: list[tuple[tuple[str, int], tuple[tuple[str, int], ...]]] = [
        (("documents", documents), reasons),
        (("eligible by reason", stage.reasons.get(ELIGIBLE, 0)), (eligible,)),
        (eligible, (("drawn", drawn), ("not drawn", max(0, stage.eligible - drawn)))),
        (("draws", counts.get("draws", 0)), (("EOD", counts.get("eod", 0)),)),
        (("tokens", stage.tokens), parts),
    ]
    without_padding = ("tokens without padding", stage.tokens - counts.get("padding", 0))
    for name, tokens in sorted(stage.tokens_by.items()):
        pairs.append((without_padding, ((f"by {name}", sum(tokens.values())),)))
    if stage.bin_bytes:
        by_width = (("tokens by their width", stage.width),)
        pairs.append((("bytes of .bin", stage.bin_bytes), by_width))
    return [
        Check(step=stage.title, where=stage.title, total=total, terms=terms)
        for total, terms in pairs
    ]


def _shares(stage: Stage) -> str:
    if isinstance(stage.shares, Temperature):
        return f"temperature {stage.shares.temperature:g}"
    if isinstance(stage.shares, dict):
        return ", ".join(f"{name} {share:g}" for name, share in stage.shares.items())
    return str(stage.shares)


def _sigma(entries: Sequence[Entry]) -> float:
    return math.sqrt(sum(float(entry.detail.get("variance", 0.0)) for entry in entries))


def _tokens_by(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """What tokens were counted by -> value -> tokens, from every `tokens_by_...` of a detail.

    What some entry lacks, because an older version wrote it, or what is empty in all, because there
    is no such label, was not counted.
    """
    sums: dict[str, Counter[str]] = {}
    told: Counter[str] = Counter()
    num_written = 0
    for entry in (entry for entry in entries if entry.counts["tokens"]):
        num_written += 1
        for key in (key for key in entry.detail if key.startswith(_TOKENS_BY)):
            name = key.removeprefix(_TOKENS_BY)
            told[name] += 1
            sums.setdefault(name, Counter()).update(entry.detail[key])
    return {name: dict(sums[name]) for name in sums if told[name] == num_written and sums[name]}


def _groups(stage: Stage, solved: StagePlan) -> tuple[GroupFacts, ...]:
    """Groups by expected tokens, the largest first; what has no room is summed in one row."""
    names = [bucket.name for bucket in stage.length_buckets]
    ordered = sorted(
        solved.cells.to_pylist(),
        key=lambda cell: (cell["bucket"], -cell["expected_tokens"], cell["group"]),
    )
    shown, rest = ordered[:MAX_GROUPS], ordered[MAX_GROUPS:]
    groups = [_group(cell, names) for cell in shown]
    return (*groups, _others(rest)) if rest else tuple(groups)


def _group(cell: dict[str, Any], names: Sequence[str]) -> GroupFacts:
    return GroupFacts(
        name=cell["group"],
        bucket=names[cell["bucket"]] if names else "",
        documents=cell["documents"],
        tokens=cell["tokens"],
        planned=cell["expected_tokens"],
        stated=cell["stated_tokens"],
        epochs=cell["epochs"],
        ran_out=cell["ran_out"],
    )


def _others(cells: Sequence[dict[str, Any]]) -> GroupFacts:
    tokens = sum(cell["tokens"] for cell in cells)
    planned = float(np.sum([cell["expected_tokens"] for cell in cells]))
    return GroupFacts(
        name=OTHERS,
        bucket="",
        documents=sum(cell["documents"] for cell in cells),
        tokens=tokens,
        planned=planned,
        stated=float(np.sum([cell["stated_tokens"] for cell in cells])),
        epochs=planned / max(tokens, 1),
        ran_out=any(cell["ran_out"] for cell in cells),
        rows=len(cells),
    )


def _drawn(plan: Plan, stage: str) -> list[dict[str, Any]]:
    """What the plan draws of a stage, a row a length bucket."""
    table = plan.preview
    own = pc.and_(pc.equal(table.column("stage"), stage), pc.equal(table.column("dimension"), ALL))
    return list(table.filter(own).to_pylist())


def _buckets(
    stage: Stage, entries: Sequence[Entry], drawn: Sequence[dict[str, Any]]
) -> tuple[BucketFacts, ...]:
    """Packed shards hold documents of all buckets, so what each gave is taken from the plan."""
    if not stage.length_buckets:
        planned = sum(float(entry.detail["expected_tokens"]) for entry in entries)
        written = sum(entry.counts["tokens"] for entry in entries)
        return (_bucket(ALL, None, planned, written, _sigma(entries), len(entries)),)
    found = []
    for position, bucket in enumerate(stage.length_buckets):
        own = [entry for entry in entries if entry.detail["bucket"] == bucket.name]
        rows = [row for row in drawn if row["bucket"] == position]
        is_packed = stage.packing == "best_fit"
        found.append(
            _bucket(
                bucket.name,
                (bucket.min, bucket.max),
                math.fsum(row["expected_tokens"] for row in rows),
                sum(row["drawn_tokens"] for row in rows)
                if is_packed
                else sum(entry.counts["tokens"] for entry in own),
                math.sqrt(math.fsum(row["variance"] for row in rows)),
                len(entries if is_packed else own),
            )
        )
    return tuple(found)


def _bucket(
    name: str,
    span: tuple[int, int] | None,
    planned: float,
    written: int,
    sigma: float,
    shards: int,
) -> BucketFacts:
    return BucketFacts(
        name=name, span=span, planned=planned, written=written, sigma=sigma, shards=shards
    )
