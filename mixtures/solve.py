"""The solve: from a tally to the expected draws of every document.

For every group, length bucket and bin the plan gives E, the expected draws of one document, at most
`max_epochs`. What is held, and what gives way:

- The cap always holds.
- Bucket shares always hold, in tokens of the stage. Where a bucket cannot give its share the stage
  gets smaller (`max`) or the budget is refused (a number).
- Group shares apply inside each bucket. For `max` they hold exactly, so the group that is scarcest
  for its share decides the size; the plan names it. For a number (or `one_epoch`) a group that
  reaches its cap gives the rest to the others in proportion to their shares (`filling.fill`), and
  the plan shows who ran out and who took over.
- Inside a (group, bucket) cell the weight divides what the shares gave it; it moves no token from
  cell to cell. What a weight leaves out (the `drop` of a curve) the cell cannot give.
- `synthetic.max_share` holds for every kind of budget: all synthetic documents get the smaller cap
  t * max_epochs, with the largest t in [0, 1] for which their expected tokens stay within the
  share. One t for all, so that no group pays for another, found by bisection.
- `synthetic.max_share_per_group` holds in every cell by itself: natural text of the cell takes
  over, as far as its caps allow, and the capacity of the cell is what is left.
- A budget is met within 0.1 %, or refused with the amount and what to relax.

`unimax` follows the budget: equal parts up to the caps. Its largest budget fills every cap, so with
`max` it equals `natural`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from mixtures.errors import MixtureError, listed
from mixtures.filling import Floats, fill
from mixtures.pool import Pool, pool_of
from mixtures.shares import LEAST, bucket_parts, check_buckets, check_named, group_shares
from mixtures.spec import Stage
from mixtures.stage_plan import CELLS as CELLS
from mixtures.stage_plan import DRAWS as DRAWS
from mixtures.stage_plan import StagePlan as StagePlan
from mixtures.tallies import eligible, excluded

TOLERANCE: Final = 0.001
"""A budget is met when expected tokens lie within this part of it."""

ROUNDING: Final = 1e-9
"""Differences below this part are the rounding of float64 sums, not a limit that was reached."""

_HALVINGS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What a stage can give at most, and what decides it."""

    bucket_tokens: Floats  # float64[num_buckets], each bucket alone
    tokens: float
    limited_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solution:
    """A stage at one budget and one cap of synthetic documents."""

    stated: Floats  # float64[num_cells], tokens by the shares alone
    draws: Floats  # float64[num_rows]
    tokens: float
    synthetic_tokens: float


def solve(stage: Stage, tallied: pa.Table) -> StagePlan:
    """Plans one stage.

    Args:
        stage: The stage.
        tallied: Schema `tallies.TALLY`, of the whole corpus.

    Returns:
        The plan.

    Raises:
        MixtureError: No document is eligible, a group with a share or a bucket has none, or the
            budget is more than the caps allow.
    """
    if not eligible(tallied).num_rows:
        raise MixtureError(
            f"{stage.place}: found no eligible document: {excluded(tallied)}; widen where or "
            "length_buckets, or check that the labels were made"
        )
    pool = pool_of(stage, tallied)
    check_buckets(pool, tallied)
    check_named(pool, tallied)
    _check_groups(pool)
    most = _largest_part(pool, lambda part: _limits_at(pool, part).tokens)
    limits = _limits_at(pool, most)
    costs = _costs(pool, limits, most)
    budget = _budget(pool, limits, costs, tallied)
    part = _largest_part(pool, lambda part: min(budget, _limits_at(pool, part).tokens))
    solution = _solution(pool, min(budget, _limits_at(pool, part).tokens), part)
    _check_met(pool, solution, budget, part)
    return StagePlan(
        stage=stage.name,
        budget=stage.tokens,
        cells=_cells_table(pool, solution),
        draws=pool.rows.append_column("expected_draws", pa.array(solution.draws)).cast(DRAWS),
        num_tokens=solution.tokens,
        attainable_tokens=limits.tokens,
        limited_by=limits.limited_by,
        costs=costs,
    )


def _check_groups(pool: Pool) -> None:
    """Refuses a share of groups that leaves nothing to draw in any of them.

    Raises:
        MixtureError: There is no natural text.
    """
    caps = pool.stage.synthetic
    if caps is None or caps.max_share_per_group is None or pool.capacity(1.0).any():
        return
    raise MixtureError(
        f"{pool.stage.place}.synthetic.max_share_per_group: found {caps.max_share_per_group:g}, "
        "and no group has natural text to draw besides the synthetic; allowed: a share of groups "
        "that have some; remove it, or let where, shares and weight keep natural text"
    )


def _largest_part(pool: Pool, budget: Callable[[float], float]) -> float:
    """The largest part t of the cap, from 0 to 1, at which synthetic text stays within its share.

    Args:
        pool: The documents.
        budget: Tokens of the stage at a given t.
    """
    caps = pool.stage.synthetic
    if caps is None or caps.max_share is None or not pool.is_synthetic.any():
        return 1.0
    max_share = caps.max_share

    def holds(part: float) -> bool:
        found = _solution(pool, budget(part), part)
        return found.synthetic_tokens <= max_share * found.tokens

    if holds(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _solution(pool: Pool, budget: float, synthetic_part: float) -> _Solution:
    capacity = pool.capacity(synthetic_part)
    shares = group_shares(pool, capacity)
    stated, target = np.zeros(len(capacity)), np.zeros(len(capacity))
    for position, part in enumerate(bucket_parts(pool.stage)):
        inside = pool.bucket == position
        stated[inside] = budget * part * shares[inside] / max(shares[inside].sum(), LEAST)
        target[inside] = fill(shares[inside], capacity[inside], budget * part)
    draws = pool.draws(target, synthetic_part)
    tokens = draws * pool.row_tokens
    return _Solution(
        stated=stated,
        draws=draws,
        tokens=float(tokens.sum()),
        synthetic_tokens=float(tokens[pool.is_synthetic].sum()),
    )


def _cells_table(pool: Pool, solution: _Solution) -> pa.Table:
    row_tokens = solution.draws * pool.row_tokens
    draws = np.minimum(pool.sums(row_tokens) / pool.tokens, pool.stage.max_epochs)
    expected = draws * pool.tokens
    documents = pool.sums(pool.rows["documents"].to_numpy().astype(np.float64))
    columns = {
        "group": pool.groups,
        "bucket": pool.bucket,
        "documents": documents.astype(np.int64),
        "tokens": pool.tokens.astype(np.int64),
        "stated_tokens": solution.stated,
        "expected_tokens": expected,
        "moved_tokens": expected - solution.stated,
        "expected_draws": draws,
        "epochs": draws,
        "ran_out": expected < solution.stated * (1 - ROUNDING),
        "synthetic_tokens": pool.sums(np.where(pool.is_synthetic, row_tokens, 0.0)),
    }
    return pa.table(columns, schema=CELLS)


def _limits_at(pool: Pool, synthetic_part: float) -> _Limits:
    capacity = pool.capacity(synthetic_part)
    return _limits(pool, capacity, group_shares(pool, capacity))


def _limits(pool: Pool, capacity: Floats, shares: Floats) -> _Limits:
    parts = bucket_parts(pool.stage)
    most = np.zeros(len(parts))
    scarcest = [""] * len(parts)
    for position in range(len(parts)):
        taking = np.flatnonzero((pool.bucket == position) & (shares > 0))
        most[position] = capacity[taking].sum()
        if pool.stage.tokens == "max" and len(taking):
            levels = capacity[taking] / (shares[taking] / shares[taking].sum())
            most[position] = levels.min()
            if levels.max() > levels.min() * (1 + ROUNDING):
                scarcest[position] = f"group '{pool.groups[taking[levels.argmin()]]}'"
    levels = most / parts
    tightest = int(levels.argmin())
    named = [scarcest[tightest]] if scarcest[tightest] else []
    if levels.max() > levels.min() * (1 + ROUNDING):
        named.append(f"length bucket '{pool.stage.length_buckets[tightest].name}'")
    return _Limits(bucket_tokens=most, tokens=float(levels.min()), limited_by=" in ".join(named))


def _costs(pool: Pool, limits: _Limits, synthetic_part: float) -> dict[str, float]:
    capacity = pool.capacity(synthetic_part)
    shares = group_shares(pool, capacity)
    natural = np.where(shares > 0, capacity, 0.0)
    unweighted = pool.capacity(synthetic_part, weighted=False)
    unweighted_limits = _limits(pool, unweighted, group_shares(pool, unweighted))
    return {
        "shares": _limits(pool, capacity, natural).tokens - limits.tokens,
        "length_buckets": float(limits.bucket_tokens.sum()) - limits.tokens,
        "max_epochs": limits.tokens / pool.stage.max_epochs,
        "weight": unweighted_limits.tokens - limits.tokens,
        "synthetic_share": _limits_at(pool, 1.0).tokens - limits.tokens,
    }


def _budget(pool: Pool, limits: _Limits, costs: dict[str, float], tallied: pa.Table) -> float:
    stage = pool.stage
    if limits.tokens < ROUNDING * _limits_at(pool, 1.0).tokens:
        raise _only_synthetic(pool)
    if stage.tokens == "max":
        return limits.tokens
    shares = group_shares(pool, pool.capacity(1.0))
    held = float(pool.tokens[shares > 0].sum())
    wanted = held if stage.tokens == "one_epoch" else float(stage.tokens)
    if wanted <= limits.tokens:
        return wanted
    if wanted * (1 - TOLERANCE) <= limits.tokens:
        return limits.tokens
    reasons = _reasons(pool, limits, costs, held)
    raise MixtureError(
        f"{stage.place}.tokens: found {wanted:,.0f} tokens; allowed: at most {limits.tokens:,.0f} "
        f"({reasons}), {_excess(wanted, limits.tokens)}; ask for fewer tokens, "
        f"{_ways_out(pool, limits, costs, wanted)}or widen where "
        f"(not eligible: {excluded(tallied)})"
    )


def _excess(wanted: float, most: float) -> str:
    """How far a budget is above what there is: as a part of it, or as a multiple where far."""
    over, times = wanted - most, wanted / max(most, LEAST)
    if most and times >= 10:
        return f"so {over:,.0f} too many, {times:,.0f} times what there is"
    return f"so {over:,.0f} ({over / wanted:.1%}) too many"


def _reasons(pool: Pool, limits: _Limits, costs: dict[str, float], held: float) -> str:
    """What makes the largest budget what it is."""
    reasons = [f"max_epochs {pool.stage.max_epochs:g} over {held:,.0f} tokens"]
    if costs["weight"] > ROUNDING * limits.tokens:
        reasons.append("of which the weight leaves some undrawn")
    if costs["synthetic_share"] > ROUNDING * limits.tokens:
        assert pool.stage.synthetic is not None
        reasons.append(
            f"synthetic.max_share {pool.stage.synthetic.max_share:g} costs "
            f"{costs['synthetic_share']:,.0f}"
        )
    if limits.limited_by:
        reasons.append(f"limited by {limits.limited_by}")
    return ", ".join(reasons)


def _ways_out(pool: Pool, limits: _Limits, costs: dict[str, float], wanted: float) -> str:
    """What to relax, each way with a comma behind it."""
    stage = pool.stage
    without = _limits_at(pool, 1.0).tokens
    ways = []
    if without > limits.tokens * (1 + ROUNDING):
        found = _solution(pool, min(wanted, without), 1.0)
        enough = " together with the next" if without < wanted else ""
        share = found.synthetic_tokens / found.tokens
        ways.append(f"raise synthetic.max_share to {share:.4g}{enough}")
    if limits.tokens:
        ways.append(f"raise max_epochs to {stage.max_epochs * wanted / limits.tokens:.4g}")
    else:
        ways.append("give shares to groups that the bucket has")
    if costs["weight"] > ROUNDING * limits.tokens:
        ways.append("let the weight leave out less")
    if stage.length_buckets:
        ways.append("change length_buckets")
    return "".join(f"{way}, " for way in ways)


def _only_synthetic(pool: Pool) -> MixtureError:
    """Why nothing is left of a stage when its synthetic documents are capped to nothing."""
    stage = pool.stage
    assert stage.synthetic is not None
    natural = pool.sums(np.where(pool.is_synthetic, 0.0, pool.room * pool.row_tokens))
    taken = group_shares(pool, pool.capacity(1.0)) > 0
    has_natural = np.bincount(pool.bucket[taken], natural[taken], len(bucket_parts(stage))) > 0
    if not has_natural.any():
        what = "no natural document to draw besides the synthetic ones"
        allowed = "a share below 1 where natural documents can be drawn too"
        way = "raise max_share to 1, remove it, or let where, shares and weight keep natural text"
    elif not has_natural.all():
        empty = [stage.length_buckets[one].name for one in np.flatnonzero(~has_natural)]
        what = f"length buckets of which all that can be drawn is synthetic ({listed(empty)})"
        allowed = "a share that leaves them something to draw"
        way = "raise max_share, or change or remove these length_buckets"
    else:
        groups = sorted({pool.groups[cell] for cell in np.flatnonzero(taken & (natural == 0))})
        what = (
            "shares that must hold for groups of which all that can be drawn is synthetic "
            f"({listed(groups)})"
        )
        allowed = "a share that leaves them something to draw"
        way = "raise max_share, remove their shares, or give a number of tokens (others then take "
        way += "over)"
    return MixtureError(
        f"{stage.place}.synthetic.max_share: found {stage.synthetic.max_share:g}, and {what}; "
        f"allowed: {allowed}; {way}"
    )


def _check_met(pool: Pool, solution: _Solution, budget: float, synthetic_part: float) -> None:
    """Refuses a budget that the draws miss.

    At the largest budget the synthetic share holds; a smaller one may draw mostly what the weight
    prefers, so that no cap of synthetic documents brings these within the share.
    """
    if abs(solution.tokens - budget) <= TOLERANCE * budget:
        return
    stage = pool.stage
    if stage.synthetic is not None and stage.synthetic.max_share is not None and synthetic_part < 1:
        limit = (
            f"while synthetic documents give {stage.synthetic.max_share:g} of them at most "
            "(synthetic.max_share)"
        )
        way = "raise max_share"
    else:
        limit = f"with max_epochs {stage.max_epochs:g} and what the weight leaves to draw"
        way = "raise max_epochs, or let the weight leave out less"
    raise MixtureError(
        f"{stage.place}.tokens: found {budget:,.0f} tokens; allowed: {solution.tokens:,.0f} "
        f"{limit}; ask for fewer tokens, or {way}"
    )
