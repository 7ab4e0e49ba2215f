"""The three weights and the synthetic cap in the solve: cases by hand, and what always holds."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tallies import BUCKETS, Row, of_bins, one_cell, stage, tallied

from mixtures import curves
from mixtures.draws import draws, uniform
from mixtures.expressions import select
from mixtures.filling import fill, fill_each
from mixtures.quadmix import mean_repeats
from mixtures.solve import TOLERANCE, StagePlan, solve
from mixtures.spec import MixtureError, QuaDMix, Stage
from mixtures.tallies import combine, tally
from mixtures.weighting import Sampling

CURVE = {"quality_curve": {"score": "q", "drop": 0.4}}
SAMPLINGS = {"lambda": 50, "omega": 0.5, "eta": 1, "epsilon": 0.01}


def quadmix(**keys: float) -> dict[str, object]:
    sampling = {"alpha": {"q": 1}} | SAMPLINGS | keys
    scores = {"q": {"score": "q", "better": "larger"}}
    return {"quadmix": {"scores": scores, "groups": {"*": sampling}}}


def synthetic_tokens(plan: StagePlan) -> float:
    return float(sum(plan.cells["synthetic_tokens"].to_pylist()))


def test_draws_are_in_proportion_to_the_weight() -> None:
    plan = solve(stage(tokens=500, weight="q"), one_cell((1, 100), (2, 100), (0.5, 400)))
    # 50 + 100 + 200 would be 0.5 of it each: level 500 / 500 = 1.
    assert of_bins(plan) == pytest.approx([0.5, 1, 2])
    assert plan.cells["expected_draws"].to_pylist() == pytest.approx([500 / 600])


def test_weight_at_the_cap_gives_the_rest_to_the_lighter() -> None:
    plan = solve(stage(tokens=700, weight="q"), one_cell((1, 100), (16, 100)))
    # 41 and 659 by weight alone, but 4 x 100 is the cap of the heavy one.
    assert of_bins(plan) == pytest.approx([3, 4])
    assert of_bins(solve(stage(tokens="max", weight="q"), one_cell((1, 100), (16, 100)))) == [4, 4]


def test_weight_moves_no_token_from_group_to_group() -> None:
    rows: list[Row] = [("a", 0, False, 9, 100), ("b", 0, False, 1, 200), ("b", 0, False, 3, 100)]
    plan = solve(stage(tokens=200, weight="q"), tallied(rows))
    assert plan.cells["expected_tokens"].to_pylist() == pytest.approx([50, 150])
    assert of_bins(plan) == pytest.approx([0.5, 0.3, 0.9])


# The quality curve


def test_curve_with_a_free_cap_takes_the_largest_exponent() -> None:
    plan = solve(stage(tokens=10, weight=CURVE), one_cell((1, 40), (2, 30), (3, 30)))
    # Upper half of the kept 0.6: 1 - (1/2)**8 of the tokens.
    lower = 0.5**8 * 10
    assert of_bins(plan) == pytest.approx([0, lower / 30, (10 - lower) / 30])


def test_curve_rises_until_the_best_bin_reaches_the_cap() -> None:
    plan = solve(stage(tokens=160, weight=CURVE), one_cell((1, 40), (2, 30), (3, 30)))
    # The best give 4 x 30 = 120 of 160, so 1 - (1/2)**q = 3/4 and q = 2.
    assert of_bins(plan) == pytest.approx([0, 40 / 30, 4])


def test_curve_at_its_largest_budget_draws_all_that_it_keeps_at_the_cap() -> None:
    cells = one_cell((1, 30), (2, 40), (3, 30))
    plan = solve(stage(tokens="max", weight=CURVE), cells)
    # The middle bin lies across 0.4: three quarters of it are kept.
    assert of_bins(plan) == pytest.approx([0, 3, 4])
    assert plan.num_tokens == pytest.approx(4 * 0.6 * 100)
    assert plan.costs["weight"] == pytest.approx(4 * 0.4 * 100)


def test_cell_of_equal_scores_draws_all_alike() -> None:
    assert of_bins(solve(stage(tokens=50, weight=CURVE), one_cell((7, 100)))) == [0.5]
    plan = solve(stage(tokens="max", weight=CURVE), one_cell((7, 100)))
    assert of_bins(plan) == pytest.approx([2.4])
    with pytest.raises(MixtureError, match=r"at most 240 .*leaves some undrawn.* leave out less"):
        solve(stage(tokens=250, weight=CURVE), one_cell((7, 100)))


def test_best_bin_wider_than_what_is_kept_takes_everything() -> None:
    plan = solve(stage(tokens=100, weight=CURVE), one_cell((1, 20), (2, 80)))
    assert of_bins(plan) == pytest.approx([0, 1.25])
    assert of_bins(solve(stage(tokens="max", weight=CURVE), one_cell((1, 20), (2, 80)))) == (
        pytest.approx([0, 4 * 0.6 / 0.8])
    )


def test_natural_and_synthetic_documents_of_a_score_share_its_percentiles() -> None:
    rows: list[Row] = [("a", 0, False, 1, 40), ("a", 0, True, 2, 30), ("a", 0, False, 2, 30)]
    plan = solve(stage(tokens=60, weight=CURVE), tallied(rows))
    assert of_bins(plan) == pytest.approx([0, 1, 1])
    assert synthetic_tokens(plan) == pytest.approx(30)


def test_curve_means_are_the_integral_of_the_curve() -> None:
    edges = np.array([0, 0.1, 0.37, 0.46, 0.7, 0.99, 1.0])
    end, width = edges[1:], np.diff(edges)
    for exponent in (1.0, 2.5, 8.0):
        means = curves.bin_means(end, width, np.full(6, exponent), 0.4)
        assert (means * width).sum() == pytest.approx(1, rel=1e-12)
        x = np.linspace(0, 1, 1_000_001)
        heights = exponent / 0.6 * np.clip((x - 0.4) / 0.6, 0, None) ** (exponent - 1) * (x > 0.4)
        for low, high, mean in zip(edges[:-1], end, means, strict=True):
            inside = (x >= low) & (x <= high)
            assert mean == pytest.approx(heights[inside].mean(), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("width", [1e-6, 1e-12, 1e-18])
def test_curve_of_a_narrow_bin_keeps_its_digits(width: float) -> None:
    found = curves.bin_means(np.array([1.0]), np.array([width]), np.array([3.0]), 0.4)
    assert found[0] == pytest.approx(3 / 0.6, rel=4 * width + 1e-12)


scores = st.lists(
    st.tuples(st.integers(-20, 20), st.booleans(), st.integers(1, 10**9)), min_size=1, max_size=40
)


@settings(max_examples=100)
@given(scores=scores, drop=st.floats(0, 0.95), max_epochs=st.floats(0.1, 9), part=st.floats(0, 1))
def test_curve_meets_budget_and_cap_and_never_falls(
    scores: list[tuple[int, bool, int]], drop: float, max_epochs: float, part: float
) -> None:
    curve = {"quality_curve": {"score": "q", "drop": drop}}
    cells = tallied([("a", 0, synthetic, score, tokens) for score, synthetic, tokens in scores])
    total = sum(tokens for _, _, tokens in scores)
    most = solve(stage(tokens="max", max_epochs=max_epochs, weight=curve), cells)
    assert most.num_tokens == pytest.approx(max_epochs * (1 - drop) * total, rel=1e-6)
    budget = max(1, int(part * most.attainable_tokens))
    if budget > most.attainable_tokens:
        return
    plan = solve(stage(tokens=budget, max_epochs=max_epochs, weight=curve), cells)
    assert plan.num_tokens == pytest.approx(budget, rel=1e-6)
    by_bin = plan.draws.sort_by([("bin", "ascending")])
    expected = by_bin["expected_draws"].to_numpy()
    assert (expected <= max_epochs).all()
    assert (np.diff(expected) >= -1e-9 * max_epochs).all()
    bins, tokens = by_bin["bin"].to_numpy(), by_bin["tokens"].to_numpy()
    up_to_bin = np.array([tokens[bins <= one].sum() for one in bins])
    assert (expected[up_to_bin <= drop * total * (1 - 1e-12)] == 0).all()


# QuaDMix


def by_steps(sampling: Sampling, start: float, width: float) -> float:
    r = start + width * (np.arange(400_000) + 0.5) / 400_000
    power = (2 / (1 + np.exp(-sampling.lambda_ * (sampling.omega - r)))) ** sampling.eta
    return float((np.where(r <= sampling.omega, power, 0) + sampling.epsilon).mean())


@pytest.mark.parametrize(("steepness", "eta"), [(1000, 1), (300, 0.3), (5, 2), (0, 1)])
def test_repeats_are_the_mean_of_the_sigmoid_over_the_bin(steepness: float, eta: float) -> None:
    sampling = Sampling.model_validate(
        {"alpha": {"q": 1}, "lambda": steepness, "omega": 0.3, "eta": eta, "epsilon": 0.002}
    )
    starts = np.array([0, 0, 0.1, 0.27, 0.299, 0.3, 0.9, 0.05])
    widths = np.array([1, 0.3, 0.1, 0.1, 0.0005, 0.2, 0.1, 1e-18])
    found = mean_repeats(sampling, starts, widths)
    wanted = [by_steps(sampling, *one) for one in zip(starts, widths, strict=True)]
    assert found == pytest.approx(wanted, rel=1e-4)
    assert found.max() <= 2**eta + 0.002


def test_quadmix_draws_the_better_part_by_the_sigmoid_and_scales_to_the_budget() -> None:
    # A larger score is better, so its merged score is smaller. Lambda is steep: 2, then epsilon.
    cells = one_cell((-3, 50), (-1, 50))
    plan = solve(stage(tokens=101, weight=quadmix(**{"lambda": 1e6})), cells)
    assert of_bins(plan) == pytest.approx([2.01, 0.01], abs=1e-4)
    plan = solve(stage(tokens=202, weight=quadmix(**{"lambda": 1e6})), cells)
    assert of_bins(plan) == pytest.approx([4, 0.04], abs=1e-3)  # the cap, and the rest below it


def test_quadmix_without_epsilon_leaves_out_what_is_beyond_omega() -> None:
    cells = one_cell((-3, 60), (-1, 40))
    plan = solve(stage(tokens="max", weight=quadmix(epsilon=0)), cells)
    assert of_bins(plan) == [4, 0]
    with pytest.raises(MixtureError, match="at most 240 "):
        solve(stage(tokens=300, weight=quadmix(epsilon=0)), cells)


def test_quadmix_takes_the_parameters_of_the_group() -> None:
    weight = quadmix(epsilon=0)
    weight["quadmix"]["groups"]["b"] = {"alpha": {"q": 1}} | SAMPLINGS | {"omega": 1, "lambda": 0}
    rows = [(group, 0, False, value, 50) for group in "ab" for value in (-2.0, -1.0)]
    plan = solve(stage(tokens=100, weight=weight, shares="unimax"), tallied(rows))
    assert of_bins(plan) == pytest.approx([1, 0, 0.5, 0.5])


# The share of synthetic text


def test_synthetic_documents_stay_within_their_share_at_every_budget() -> None:
    rows: list[Row] = [("a", 0, False, 0, 100), ("a", 0, True, 0, 100)]
    capped = {"synthetic": {"max_share": 0.2}}
    most = solve(stage(tokens="max", **capped), tallied(rows))
    # 4 x 100 natural tokens are four fifths of 500.
    assert of_bins(most) == pytest.approx([4, 1])
    assert most.num_tokens == pytest.approx(500)
    assert most.costs["synthetic_share"] == pytest.approx(300)
    assert synthetic_tokens(most) <= 0.2 * most.num_tokens
    epoch = solve(stage(tokens="one_epoch", **capped), tallied(rows))
    assert of_bins(epoch) == pytest.approx([1.6, 0.4])
    some = solve(stage(tokens=50, **capped), tallied(rows))
    assert of_bins(some) == pytest.approx([0.4, 0.1])


def test_share_that_is_kept_anyway_changes_nothing() -> None:
    rows: list[Row] = [("a", 0, False, 0, 300), ("a", 0, True, 0, 100)]
    capped = solve(stage(tokens=200, synthetic={"max_share": 0.25}), tallied(rows))
    assert of_bins(capped) == [0.5, 0.5]
    assert capped.costs["synthetic_share"] == 0


def test_budget_that_the_synthetic_share_forbids_is_refused_with_the_ways_out() -> None:
    rows: list[Row] = [("a", 0, False, 0, 100), ("a", 0, True, 0, 100)]
    with pytest.raises(MixtureError) as caught:
        solve(stage(tokens=640, synthetic={"max_share": 0.2}), tallied(rows))
    for part in [
        "stage 's'.tokens: found 640 tokens; allowed: at most 500",
        "synthetic.max_share 0.2 costs 300",
        "so 140 (21.9%) too many",
        "raise synthetic.max_share to 0.5",
        "raise max_epochs to 5.12",
    ]:
        assert part in str(caught.value)


def test_budget_above_all_caps_names_both_ways_together() -> None:
    rows: list[Row] = [("a", 0, False, 0, 100), ("a", 0, True, 0, 100)]
    with pytest.raises(MixtureError, match=r"max_share to 0\.5 together with the next, raise max_"):
        solve(stage(tokens=1000, synthetic={"max_share": 0.2}), tallied(rows))


def test_stated_share_for_synthetic_text_only_is_refused_where_it_must_hold() -> None:
    rows: list[Row] = [("a", 0, False, 0, 100), ("b", 0, True, 0, 100)]
    keys = {"shares": {"a": 1, "b": 1}, "synthetic": {"max_share": 0.2}}
    with pytest.raises(MixtureError, match=r"max_share: found 0\.2.*is synthetic \(b\); allowed"):
        solve(stage(tokens="max", **keys), tallied(rows))
    plan = solve(stage(tokens=200, **keys), tallied(rows))
    assert plan.cells["expected_tokens"].to_pylist() == pytest.approx([160, 40])
    assert plan.cells["ran_out"].to_pylist() == [False, True]


def test_natural_shares_let_a_synthetic_group_shrink_and_not_the_stage() -> None:
    rows: list[Row] = [("a", 0, False, 0, 900), ("b", 0, True, 0, 100)]
    plan = solve(stage(tokens="max", synthetic={"max_share": 0.01}), tallied(rows))
    assert plan.num_tokens == pytest.approx(3600 / 0.99)
    assert plan.limited_by == ""


weights = st.sampled_from([None, "q", CURVE, quadmix()])
shares_of_three = st.one_of(
    st.sampled_from(["natural", "unimax"]),
    st.builds(lambda t: {"temperature": t}, st.floats(0, 1)),
    st.dictionaries(st.sampled_from([*"abc", "*"]), st.floats(0.01, 100), min_size=1),
)


def corpora(seed: int, largest: int) -> list[Row]:
    """Three groups in two buckets, the best text of each natural, some of the rest synthetic."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for group in "abc":
        for bucket in (0, 1):
            for place in range(int(rng.integers(1, 8))):
                is_synthetic = bool(place > 0 and rng.random() < 0.4)
                value = float(rng.integers(1, 30)) / 8 if place else 4.0
                tokens = int(rng.integers(1, largest))
                rows.append((group, bucket, is_synthetic, value, tokens))
    return rows


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    largest=st.sampled_from([10, 10**6, 10**12]),
    weight=weights,
    shares=shares_of_three,
    max_share=st.floats(0.001, 1),
    max_epochs=st.floats(0.05, 9),
    part=st.floats(0.01, 1),
    in_buckets=st.booleans(),
)
def test_every_solve_holds_caps_shares_and_budget_together(
    seed: int,
    largest: int,
    weight: object,
    shares: object,
    max_share: float,
    max_epochs: float,
    part: float,
    in_buckets: bool,
) -> None:
    rows = corpora(seed, largest)
    cells = tallied([row for row in rows if in_buckets or row[1] == 0])
    keys = {
        "shares": shares,
        "weight": weight,
        "max_epochs": max_epochs,
        "synthetic": {"max_share": max_share},
        "length_buckets": BUCKETS if in_buckets else [],
    }
    most = solve(stage(tokens="max", **keys), cells)
    check(most, max_epochs, max_share, in_buckets)
    assert most.num_tokens == pytest.approx(most.attainable_tokens, rel=1e-6)
    assert all(cost >= -1e-6 * most.num_tokens for cost in most.costs.values()), most.costs
    if most.attainable_tokens < 10:
        return
    attainable = solve(stage(tokens=1, **keys), cells).attainable_tokens
    budget = max(1, int(part * attainable))
    plan = plan_or_refusal(stage(tokens=budget, **keys), cells)
    if isinstance(plan, str):
        # Synthetic documents have one cap in all buckets; near the limit it may find no place.
        assert in_buckets
        assert "synthetic.max_share" in plan
        return
    check(plan, max_epochs, max_share, in_buckets)
    assert plan.num_tokens == pytest.approx(budget, rel=TOLERANCE if in_buckets else 1e-6)
    again = solve(stage(tokens=budget, **keys), cells.take(np.arange(len(cells))[::-1]))
    assert again.draws.equals(plan.draws)


def plan_or_refusal(one: Stage, cells: pa.Table) -> StagePlan | str:
    try:
        return solve(one, cells)
    except MixtureError as error:
        return str(error)


def check(plan: StagePlan, max_epochs: float, max_share: float, in_buckets: bool) -> None:
    expected, tokens = (plan.draws[name].to_numpy() for name in ("expected_draws", "tokens"))
    assert ((expected >= 0) & (expected <= max_epochs)).all()
    assert (expected * tokens).sum() == pytest.approx(plan.num_tokens, rel=1e-9)
    assert synthetic_tokens(plan) <= max_share * plan.num_tokens * (1 + 1e-9)
    if not in_buckets:
        return
    in_long = plan.cells["expected_tokens"].to_numpy()[plan.cells["bucket"].to_numpy() == 0]
    assert in_long.sum() == pytest.approx(0.75 * plan.num_tokens, rel=1e-6)


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=6),
    parts=st.lists(st.just(0.0) | st.floats(1e-9, 1.2), min_size=6, max_size=6),
)
def test_many_fills_at_once_equal_each_alone(
    seed: int, sizes: list[int], parts: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    segment = np.repeat(np.arange(len(sizes)), sizes)
    caps = rng.lognormal(0, 6, len(segment)) * (rng.random(len(segment)) < 0.8)
    shares = rng.lognormal(0, 3, len(segment)) * (rng.random(len(segment)) < 0.8)
    can_give = np.bincount(segment, caps * (shares > 0), len(sizes))
    budgets = can_give * np.array(parts[: len(sizes)])
    filled = fill_each(shares, caps, budgets, segment)
    for number in range(len(sizes)):
        inside = segment == number
        alone = fill(shares[inside], caps[inside], budgets[number])
        assert filled[inside] == pytest.approx(alone, rel=1e-9, abs=1e-12 * budgets[number])


# From labels to draws


def labels(num: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "g": rng.choice(["eng_Latn", "日本語", "кир"], num, p=[0.8, 0.15, 0.05]),
            "q": rng.normal(1, 0.3, num).clip(0.01),
            "depth": rng.choice([0, 1], num, p=[0.6, 0.4]).astype(np.int32),
        }
    )


def lengths(num: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(1, 200, num)


@pytest.mark.parametrize("weight", ["q", CURVE, quadmix()], ids=["q", "curve", "quadmix"])
def test_documents_meet_the_budget_that_their_bins_were_solved_for(weight: object) -> None:
    table, tokens = labels(20_000, 1), lengths(20_000, 2)
    capped = {"max_share": 0.2}
    one = stage(
        tokens=1_000_000, weight=weight, synthetic=capped, length_buckets=BUCKETS, max_epochs=3.5
    )
    halves = (slice(0, 7000), slice(7000, 20_000))
    selections = [select(one, table[half], tokens[half]) for half in halves]
    parts = [tally(s, tokens[half]) for s, half in zip(selections, halves, strict=True)]
    plan = solve(one, combine(parts))
    assert plan.draws.equals(solve(one, combine(reversed(parts))).draws)
    expected = np.concatenate([plan.expected_draws(s) for s in selections])
    assert (expected * tokens).sum() == pytest.approx(1_000_000, rel=1e-6)
    depth = table["depth"].to_numpy()
    assert (expected * tokens)[depth > 0].sum() == pytest.approx(200_000, rel=1e-6)
    ids = np.random.default_rng(5).integers(0, 256, (20_000, 16), np.uint8)
    times = draws(expected, uniform(7, one.name, ids))
    assert times.max() <= 4
    fraction = expected % 1
    sigma = np.sqrt((fraction * (1 - fraction) * tokens**2.0).sum())
    assert abs((times * tokens).sum() - 1_000_000) < 4 * sigma


def test_smaller_budget_adds_no_draw() -> None:
    table, tokens = labels(5000, 3), lengths(5000, 4)
    ids = np.random.default_rng(6).integers(0, 256, (5000, 16), np.uint8)

    def times(budget: int) -> npt.NDArray[np.int32]:
        one = stage(tokens=budget, weight="q")
        selection = select(one, table, tokens)
        plan = solve(one, tally(selection, tokens))
        return draws(plan.expected_draws(selection), uniform(7, one.name, ids))

    assert (times(300_000) <= times(700_000)).all()


def test_better_documents_are_drawn_more_often_by_every_method() -> None:
    table, tokens = labels(5000, 3), lengths(5000, 4)
    q, group = table["q"].to_numpy(), np.array(table["g"])
    for weight in ("q", CURVE, quadmix()):
        one = stage(tokens=400_000, weight=weight)
        selection = select(one, table, tokens)
        expected = solve(one, tally(selection, tokens)).expected_draws(selection)
        for name in np.unique(group):
            order = np.flatnonzero(group == name)[np.argsort(q[group == name])]
            assert (np.diff(expected[order]) >= -1e-9).all()
            assert expected[order[-1]] > 1.5 * expected[order[len(order) // 4]]


def test_document_of_a_bin_that_the_plan_lacks_is_refused() -> None:
    one = stage(tokens="max", weight="q")
    table = pa.table({"g": ["a", "a"], "q": [1.0, 2.0]})
    seen, unseen = (select(one, table[row : row + 1], np.ones(1, np.int64)) for row in (0, 1))
    plan = solve(one, tally(seen, np.ones(1, np.int64)))
    with pytest.raises(MixtureError, match=r"group 'a' in bucket 0 \(synthetic: False, bin 262144"):
        plan.expected_draws(unseen)


def test_quadmix_from_a_file_gives_the_same_as_in_place(tmp_path: Path) -> None:
    text = "scores: {q: {score: q, better: larger}}\ngroups: {'*': {alpha: {q: 1}, lambda: 50, "
    (tmp_path / "p.yaml").write_text(text + "omega: 0.5, eta: 1, epsilon: 0.01}}\n")
    weight = stage(tokens=5, weight={"quadmix": str(tmp_path / "p.yaml")}).weight
    assert isinstance(weight, QuaDMix)
    assert weight == stage(tokens=5, weight=quadmix()).weight
