"""Small solves by hand, and what holds for every solve."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.draws import draws, uniform
from mixtures.expressions import select
from mixtures.filling import fill
from mixtures.solve import StagePlan, solve
from mixtures.spec import MixtureError, Stage
from mixtures.tallies import TALLY, combine, tally

Cells = Mapping[tuple[str, int], int]
BUCKETS = [
    {"name": "long", "min": 100, "max": 200, "share": 75},
    {"name": "short", "min": 0, "max": 100, "share": 25},
]


def stage(**keys: object) -> Stage:
    keys = {"name": "s", "sequence_length": 8, "group_by": "g"} | keys
    return Stage.model_validate(keys)


def tallied(cells: Cells, *, reason: str = "eligible") -> pa.Table:
    rows = [
        {
            "group": group,
            "bucket": bucket,
            "is_synthetic": False,
            "bin": 0,
            "reason": reason,
            "documents": 1,
            "tokens": tokens,
        }
        for (group, bucket), tokens in cells.items()
    ]
    return combine([pa.Table.from_pylist(rows, schema=TALLY)])


def groups(**tokens: int) -> pa.Table:
    return tallied({(group, 0): count for group, count in tokens.items()})


def column(plan: StagePlan, name: str) -> dict[str, object]:
    """One column by group, where a group of the second bucket bears a slash."""
    rows = plan.cells.to_pylist()
    return {row["group"] + "/" * row["bucket"]: pytest.approx(row[name]) for row in rows}


def test_natural_max_passes_over_everything_as_often_as_allowed() -> None:
    plan = solve(stage(tokens="max", max_epochs=2.5), groups(a=100, b=300))
    assert column(plan, "expected_draws") == {"a": 2.5, "b": 2.5}
    assert plan.num_tokens == plan.attainable_tokens == 1000
    assert plan.limited_by == ""
    free = {"shares": 0, "length_buckets": 0, "weight": 0, "synthetic_share": 0}
    assert plan.costs == free | {"max_epochs": 400}


def test_natural_budget_draws_every_document_alike() -> None:
    plan = solve(stage(tokens=200), groups(a=100, b=300))
    assert column(plan, "expected_draws") == {"a": 0.5, "b": 0.5}


def test_stated_shares_with_max_hold_exactly_and_name_the_scarcest() -> None:
    plan = solve(stage(tokens="max", shares={"a": 3, "b": 1}), groups(a=100, b=900))
    # a: 4 x 100 tokens are three quarters of 533.3.
    assert column(plan, "expected_tokens") == {"a": 400, "b": 400 / 3}
    assert plan.limited_by == "group 'a'"
    assert plan.costs["shares"] == pytest.approx(4000 - 1600 / 3)


def test_group_that_runs_out_gives_to_the_others_by_their_shares() -> None:
    shares = {"a": 2, "b": 1, "c": 1}
    plan = solve(stage(tokens=2000, shares=shares), groups(a=100, b=600, c=900))
    assert column(plan, "stated_tokens") == {"a": 1000, "b": 500, "c": 500}
    assert column(plan, "expected_tokens") == {"a": 400, "b": 800, "c": 800}
    assert column(plan, "moved_tokens") == {"a": -600, "b": 300, "c": 300}
    assert plan.cells["ran_out"].to_pylist() == [True, False, False]


def test_second_group_may_run_out_of_what_the_first_left() -> None:
    shares = {"a": 2, "b": 1, "c": 1}
    plan = solve(stage(tokens=2000, shares=shares), groups(a=100, b=150, c=900))
    assert column(plan, "expected_tokens") == {"a": 400, "b": 600, "c": 1000}


def test_star_shares_among_all_others_by_their_tokens() -> None:
    plan = solve(stage(tokens=400, shares={"a": 1, "*": 3}), groups(a=500, b=100, c=200))
    assert column(plan, "expected_tokens") == {"a": 100, "b": 100, "c": 200}


def test_group_without_a_share_is_not_drawn() -> None:
    plan = solve(stage(tokens="one_epoch", shares={"a": 1}), groups(a=500, b=100))
    assert column(plan, "expected_draws") == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    ("exponent", "parts"), [(1, (0.9, 0.1)), (0.5, (0.75, 0.25)), (0, (0.5, 0.5))]
)
def test_temperature_is_an_exponent(exponent: float, parts: tuple[float, float]) -> None:
    keys = {"tokens": 100, "shares": {"temperature": exponent}}
    plan = solve(stage(**keys), groups(a=900, b=100))
    assert column(plan, "expected_tokens") == {"a": 100 * parts[0], "b": 100 * parts[1]}


def test_one_epoch_repeats_small_languages_at_the_price_of_large_ones() -> None:
    plan = solve(stage(tokens="one_epoch", shares={"temperature": 0}), groups(a=900, b=100))
    assert plan.num_tokens == 1000
    assert column(plan, "expected_draws") == {"a": 600 / 900, "b": 4}


def unimax_of_the_paper(tokens: list[int], budget: float, max_epochs: float) -> list[float]:
    """Algorithm 1 of arXiv:2304.09151, step by step, before it normalises."""
    given_tokens = [0.0] * len(tokens)
    order = sorted(range(len(tokens)), key=lambda language: tokens[language])
    for position, language in enumerate(order):
        equal_part = budget / (len(tokens) - position)
        given_tokens[language] = min(equal_part, tokens[language] * max_epochs)
        budget -= given_tokens[language]
    return given_tokens


@given(
    tokens=st.lists(st.integers(1, 10**12), min_size=1, max_size=30),
    part=st.floats(0.001, 1),
    max_epochs=st.floats(0.1, 8),
)
def test_unimax_equals_algorithm_1(tokens: list[int], part: float, max_epochs: float) -> None:
    budget = max(1, int(part * max_epochs * sum(tokens)))
    names = [f"{position:03}" for position in range(len(tokens))]
    cells = groups(**dict(zip(names, tokens, strict=True)))
    if budget > max_epochs * sum(tokens):
        return
    plan = solve(stage(tokens=budget, shares="unimax", max_epochs=max_epochs), cells)
    wanted = unimax_of_the_paper(tokens, budget, max_epochs)
    assert plan.cells["expected_tokens"].to_numpy() == pytest.approx(wanted, rel=1e-9)


def test_unimax_with_max_fills_every_cap() -> None:
    plan = solve(stage(tokens="max", shares="unimax"), groups(a=900, b=100))
    assert column(plan, "expected_draws") == {"a": 4, "b": 4}


def test_bucket_shares_hold_in_tokens_and_the_scarcer_bucket_decides() -> None:
    cells = tallied({("a", 0): 300, ("a", 1): 1000})
    plan = solve(stage(tokens="max", length_buckets=BUCKETS), cells)
    assert column(plan, "expected_tokens") == {"a": 1200, "a/": 400}
    assert plan.limited_by == "length bucket 'long'"
    assert plan.costs["length_buckets"] == 5200 - 1600


def test_group_shares_apply_inside_each_bucket() -> None:
    cells = tallied({("a", 0): 90, ("b", 0): 10, ("a", 1): 500, ("b", 1): 500})
    plan = solve(stage(tokens=400, shares={"a": 1, "b": 1}, length_buckets=BUCKETS), cells)
    # Long: 300 tokens, of which b has 40 at most.
    assert column(plan, "expected_tokens") == {"a": 260, "a/": 50, "b": 40, "b/": 50}


def test_budget_above_the_caps_is_refused_with_excess_and_ways_out() -> None:
    cells = pa.concat_tables([groups(a=100, b=300), tallied({("c", 0): 77}, reason="where_false")])
    with pytest.raises(MixtureError) as caught:
        solve(stage(tokens=3200), cells)
    for part in ["stage 's'.tokens: found 3,200", "at most 1,600", "so 1,600 (50.0%) too many"]:
        assert part in str(caught.value)
    for part in ["max_epochs to 8", "fewer tokens", "widen where", "where_false 1 documents (77"]:
        assert part in str(caught.value)


def test_budget_a_thousandth_above_the_caps_is_met_within_tolerance() -> None:
    plan = solve(stage(tokens=400_200), groups(a=100_000))
    assert plan.num_tokens == 400_000
    with pytest.raises(MixtureError, match="410"):
        solve(stage(tokens=400_410), groups(a=100_000))


def test_bucket_that_limits_a_budget_is_named() -> None:
    cells = tallied({("a", 0): 300, ("a", 1): 1000})
    with pytest.raises(MixtureError, match=r"at most 1,600 .*limited by length bucket 'long'"):
        solve(stage(tokens=2000, length_buckets=BUCKETS), cells)


def test_share_for_an_absent_group_is_refused_with_the_nearest_and_why() -> None:
    cells = pa.concat_tables(
        [groups(eng_Latn=5), tallied({("eng_Latin", 0): 9}, reason="where_false")]
    )
    with pytest.raises(MixtureError) as caught:
        solve(stage(tokens="max", shares={"eng_Latin": 1}), cells)
    for part in [
        "stage 's'.shares.eng_Latin",
        "where_false 1 documents (9",
        "did you mean 'eng_Latn'",
    ]:
        assert part in str(caught.value)


def test_star_that_finds_no_other_group_changes_nothing() -> None:
    plan = solve(stage(tokens="max", shares={"a": 1, "*": 9}), groups(a=5))
    assert column(plan, "expected_draws") == {"a": 4}


def test_group_absent_from_one_bucket_is_refused_only_where_shares_must_hold() -> None:
    cells = tallied({("a", 0): 300, ("a", 1): 300, ("b", 1): 300})
    keys = {"shares": {"a": 1, "b": 1}, "length_buckets": BUCKETS}
    with pytest.raises(MixtureError, match=r"shares\.b: .*length bucket 'long'"):
        solve(stage(tokens="max", **keys), cells)
    plan = solve(stage(tokens=400, **keys), cells)
    assert column(plan, "expected_tokens") == {"a": 300, "a/": 50, "b/": 50}


def test_bucket_without_documents_is_refused() -> None:
    with pytest.raises(MixtureError, match=r"length_buckets\[0\].*'long' \(100 < tokens <= 200\)"):
        solve(stage(tokens=40, length_buckets=BUCKETS), tallied({("a", 1): 300}))


def test_stage_without_eligible_documents_is_refused_with_the_counts() -> None:
    cells = pa.concat_tables(
        [
            tallied({("a", 0): 5, ("b", 0): 6}, reason="where_false"),
            tallied({("a", -1): 7}, reason="outside_length_buckets"),
        ]
    )
    with pytest.raises(MixtureError) as caught:
        solve(stage(tokens="max"), cells)
    assert "where_false 2 documents (11 tokens)" in str(caught.value)
    assert "outside_length_buckets 1 documents (7 tokens)" in str(caught.value)
    with pytest.raises(MixtureError, match="no eligible document"):
        solve(stage(tokens="max"), combine([]))


shares_of_four = st.one_of(
    st.sampled_from(["natural", "unimax"]),
    st.builds(lambda t: {"temperature": t}, st.floats(0, 1)),
    st.dictionaries(st.sampled_from([*"abcd", "*"]), st.floats(0.01, 100), min_size=1),
)
cell_tokens = st.fixed_dictionaries(
    {(group, bucket): st.integers(1, 10**11) for group in "abcd" for bucket in (0, 1)}
)


@settings(max_examples=200)
@given(
    cells=cell_tokens, shares=shares_of_four, max_epochs=st.floats(0.05, 9), part=st.floats(0.01, 1)
)
def test_every_solve_meets_budget_caps_and_bucket_shares(
    cells: Cells, shares: object, max_epochs: float, part: float
) -> None:
    keys = {"shares": shares, "max_epochs": max_epochs, "length_buckets": BUCKETS}
    most = solve(stage(tokens="max", **keys), tallied(cells))
    check(most, max_epochs)
    stated = most.cells["stated_tokens"].to_numpy()
    assert most.cells["expected_tokens"].to_numpy() == pytest.approx(stated, rel=1e-9)
    assert most.num_tokens == pytest.approx(most.attainable_tokens, rel=1e-9)
    assert all(cost >= -1e-6 * most.num_tokens for cost in most.costs.values())
    budget = max(1, int(part * most.attainable_tokens))
    if budget <= most.attainable_tokens:
        plan = solve(stage(tokens=budget, **keys), tallied(cells))
        check(plan, max_epochs)
        assert plan.num_tokens == pytest.approx(budget, rel=1e-9)
        assert plan.cells["moved_tokens"].to_numpy().sum() == pytest.approx(0, abs=1e-6 * budget)


def check(plan: StagePlan, max_epochs: float) -> None:
    expected = plan.cells["expected_tokens"].to_numpy()
    draws_of = plan.cells["expected_draws"].to_numpy()
    assert ((draws_of >= 0) & (draws_of <= max_epochs)).all()
    assert (draws_of * plan.cells["tokens"].to_numpy()).tolist() == expected.tolist()
    in_long = expected[plan.cells["bucket"].to_numpy() == 0].sum()
    assert in_long == pytest.approx(0.75 * plan.num_tokens, rel=1e-9)


@given(
    shares=st.lists(st.floats(0.001, 1000), min_size=1, max_size=20),
    seed=st.integers(0, 2**32),
    part=st.floats(0, 1),
)
def test_fill_has_one_level_for_all_that_are_not_full(
    shares: list[float], seed: int, part: float
) -> None:
    caps = np.random.default_rng(seed).lognormal(0, 3, len(shares))
    filled = fill(np.array(shares), caps, part * caps.sum())
    assert filled.sum() == pytest.approx(part * caps.sum(), rel=1e-9)
    levels = (filled / np.array(shares))[filled < caps]
    if len(levels):
        assert levels.max() == pytest.approx(levels.min(), rel=1e-9)
        assert (filled / np.array(shares) <= levels.max() * (1 + 1e-9)).all()


def labels(num_documents: int) -> pa.Table:
    numbers = np.arange(num_documents)
    names = np.array(["eng_Latn", "日本語", "🙂", "кир"])[numbers * numbers % 7 % 4]
    return pa.table({"g": names, "num_tokens": numbers % 220, "keep": numbers % 5 > 0})


def planned(labels: pa.Table) -> npt.NDArray[np.int64]:
    return labels["num_tokens"].to_numpy() + 1


def test_tallies_of_parts_add_up_in_any_order() -> None:
    whole, one = labels(5000), stage(tokens="max", where="keep", length_buckets=BUCKETS)

    def count(part: pa.Table) -> pa.Table:
        return tally(select(one, part, planned(part)), planned(part))

    parts = [count(whole.slice(start, 700)) for start in range(0, 5000, 700)]
    assert combine(parts).equals(count(whole))
    assert combine(reversed(parts)).equals(combine([combine(parts[:3]), *parts[3:]]))
    assert sum(combine(parts)["documents"].to_pylist()) == 5000
    assert (
        sum(combine(parts)["tokens"].to_pylist())
        == int(whole["num_tokens"].to_numpy().sum()) + 5000
    )


def test_tally_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="4 token counts for 5 documents"):
        tally(select(stage(tokens="max"), labels(5), planned(labels(5))), np.arange(4))


def test_documents_look_up_their_expected_draws() -> None:
    table = labels(5000)
    one = stage(tokens="one_epoch", shares="unimax", where="keep", length_buckets=BUCKETS)
    selection = select(one, table, planned(table))
    plan = solve(one, tally(selection, planned(table)))
    expected = plan.expected_draws(selection)
    assert (expected[~selection.eligible] == 0).all()
    by_cell = {
        (row["group"], row["bucket"]): row["expected_draws"] for row in plan.cells.to_pylist()
    }
    for row in np.flatnonzero(selection.eligible)[:200]:
        key = selection.group[int(row)].as_py(), int(selection.bucket[row])
        assert expected[row] == by_cell[key]
    tokens = table["num_tokens"].to_numpy() + 1
    assert (expected * tokens).sum() == pytest.approx(plan.num_tokens)


def test_document_of_a_group_that_the_plan_lacks_is_refused() -> None:
    one = stage(tokens="max")
    seen, unseen = (
        pa.table({"g": ["a"], "num_tokens": [5]}),
        pa.table({"g": ["b"], "num_tokens": [5]}),
    )
    plan = solve(one, tally(select(one, seen, planned(seen)), planned(seen)))
    with pytest.raises(MixtureError, match=r"group 'b'.*plan again"):
        plan.expected_draws(select(one, unseen, planned(unseen)))


def test_realised_tokens_follow_the_plan_within_four_sigma() -> None:
    table = labels(50_000)
    one = stage(tokens=3_000_000, shares={"temperature": 0.5}, max_epochs=2.5)
    selection = select(one, table, planned(table))
    plan = solve(one, tally(selection, planned(table)))
    expected = plan.expected_draws(selection)
    ids = np.random.default_rng(5).integers(0, 256, (50_000, 16), np.uint8)
    times = draws(expected, uniform(7, one.name, ids))
    tokens = table["num_tokens"].to_numpy() + 1
    fraction = expected % 1
    sigma = np.sqrt((fraction * (1 - fraction) * tokens**2.0).sum())
    assert abs((times * tokens).sum() - 3_000_000) < 4 * sigma
    assert times.max() <= 3
