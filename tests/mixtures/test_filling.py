"""Water-filling with shares of any spread, alone and under the weights of a stage."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tallies import of_bins, one_cell, stage

from mixtures.expressions import select
from mixtures.filling import fill, fill_each
from mixtures.solve import solve
from mixtures.tallies import tally


def exactly(shares: list[float], caps: list[float], budget: float) -> list[float]:
    """Water-filling in fractions, by the definition: full groups leave until no other is full."""
    parts = {n: Fraction(cap) for n, (cap, share) in enumerate(zip(caps, shares, strict=True))}
    still = {n for n, share in enumerate(shares) if share > 0 and caps[n] > 0}
    left = Fraction(budget)
    while still:
        level = left / sum(Fraction(shares[n]) for n in still)
        full = {n for n in still if parts[n] <= level * Fraction(shares[n])}
        if not full:
            return [
                float(level * Fraction(s)) if n in still else float(parts[n]) * (s > 0)
                for n, s in enumerate(shares)
            ]
        left -= sum(parts[n] for n in full)
        still -= full
    return [float(parts[n]) * (share > 0) for n, share in enumerate(shares)]


def test_fill_keeps_the_digits_of_small_shares_beside_large_ones() -> None:
    shares, caps = np.array([1, 1e-17, 3e-17]), np.array([4.0, 4, 4])
    one = np.zeros(3, np.int64)
    assert fill_each(shares, caps, np.array([8.0]), one).tolist() == [4, 1, 3]
    assert fill(shares, caps, 8).tolist() == [4, 1, 3]
    # Beside a segment of large numbers too.
    beside = fill_each(
        np.array([1, 1e-17, 3e-17, 1e15, 2e15]),
        np.array([4, 4, 4, 1e20, 1e20]),
        np.array([8, 3e18]),
        np.array([0, 0, 0, 1, 1]),
    )
    assert beside.tolist() == [4, 1, 3, 1e18, 2e18]


@given(
    seed=st.integers(0, 2**32),
    num=st.integers(1, 30),
    spread=st.sampled_from([1, 20, 200, 500]),
    part=st.floats(0, 1),
)
def test_fill_equals_water_filling_in_fractions(
    seed: int, num: int, spread: float, part: float
) -> None:
    rng = np.random.default_rng(seed)
    shares = np.exp(-spread * rng.random(num)) * (rng.random(num) < 0.9)
    caps = rng.integers(0, 1000, num).astype(np.float64)
    budget = float(int(part * caps[shares > 0].sum()))
    wanted = exactly(shares.tolist(), caps.tolist(), budget)
    assert fill(shares, caps, budget) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


STEEP = (1, 5, 10, 20, 50)


@pytest.mark.parametrize("steepness", STEEP)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32), part=st.floats(1e-6, 1))
def test_steep_weight_meets_its_budget_in_order(steepness: int, seed: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    weight = np.sort(rng.random(300).clip(1e-6)) ** steepness
    tokens = rng.integers(1, 5000, 300)
    cells = one_cell(*zip(weight.tolist(), tokens.tolist(), strict=True))
    most = 4 * int(tokens.sum())
    budget = max(1, int(part * most))
    plan = solve(stage(tokens=budget, weight="q"), cells)
    expected, counted = (plan.draws[name].to_numpy() for name in ("expected_draws", "tokens"))
    assert (expected * counted).sum() == pytest.approx(budget, rel=1e-6)
    assert ((expected >= 0) & (expected <= 4)).all()
    # The rows of the plan ascend by bin, so by weight.
    assert (np.diff(expected) >= -1e-9).all()
    assert solve(stage(tokens="max", weight="q"), cells).num_tokens == pytest.approx(most)


def test_largest_budget_draws_documents_of_the_faintest_weight() -> None:
    cells = one_cell((1e300, 10**9), (1e200, 5), (1e100, 7), (2e-308, 1))
    assert of_bins(solve(stage(tokens="max", weight="q"), cells)) == [4, 4, 4, 4]
    some = solve(stage(tokens=4 * 10**9 + 34, weight="q"), cells)
    assert of_bins(some) == pytest.approx([0, 2, 4, 4], abs=1e-5)


def labelled(*values: float) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    lengths = np.arange(1, len(values) + 1) * 100
    table = {"g": ["a"] * len(values), "q": list(values), "num_tokens": lengths}
    return pa.table(table), lengths


@pytest.mark.parametrize("weight", ["pow(q, 50)", "pow(num_tokens / 1000000.0, 30)"])
def test_steep_expression_still_draws_all_with_max(weight: str) -> None:
    table, tokens = labelled(*np.linspace(0.01, 0.99, 200).tolist())
    one = stage(tokens="max", weight=weight)
    selection = select(one, table, tokens)
    plan = solve(one, tally(selection, tokens))
    assert plan.expected_draws(selection).tolist() == [4] * 200
