"""The share that synthetic text gives of each group: by hand, and what holds for every pool."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tallies import BUCKETS, Row, of_bins, stage, tallied

from mixtures.solve import TOLERANCE, StagePlan, solve
from mixtures.spec import MixtureError

THIRD = {"synthetic": {"max_share_per_group": 0.25}}


def shares(plan: StagePlan) -> list[float]:
    """Synthetic part of the expected tokens of each cell that gives any."""
    pairs = zip(
        plan.cells["synthetic_tokens"].to_pylist(),
        plan.cells["expected_tokens"].to_pylist(),
        strict=True,
    )
    return [synthetic / tokens for synthetic, tokens in pairs if tokens]


def test_each_group_holds_the_share_by_itself() -> None:
    rows: list[Row] = [
        ("a", 0, False, 0, 300),
        ("a", 0, True, 0, 300),
        ("b", 0, False, 0, 900),
        ("b", 0, True, 0, 100),
    ]
    plan = solve(stage(tokens="max", **THIRD), tallied(rows))
    # 4 x 300 natural tokens of a are three quarters of 1,600: 400 of 1,200 synthetic ones.
    assert of_bins(plan) == pytest.approx([4, 4 / 3, 4, 4])
    assert plan.num_tokens == pytest.approx(1600 + 4000)
    assert shares(plan) == pytest.approx([0.25, 0.1])


def test_what_the_weight_prefers_is_held_back_and_natural_text_takes_over() -> None:
    rows: list[Row] = [("a", 0, False, 1, 100), ("a", 0, True, 3, 100)]
    plan = solve(stage(tokens=80, weight="q", **THIRD), tallied(rows))
    # 20 and 60 by weight alone.
    assert of_bins(plan) == pytest.approx([0.6, 0.2])
    assert plan.num_tokens == pytest.approx(80)


def test_group_of_synthetic_text_alone_gives_nothing_and_others_take_over() -> None:
    rows: list[Row] = [("a", 0, False, 0, 100), ("b", 0, True, 0, 100)]
    plan = solve(stage(tokens=200, **THIRD), tallied(rows))
    assert plan.cells["expected_tokens"].to_pylist() == pytest.approx([200, 0])


def test_corpus_of_synthetic_text_alone_is_refused_with_the_key() -> None:
    rows: list[Row] = [("a", 0, True, 0, 100)]
    for tokens in ("max", "one_epoch", 50):
        with pytest.raises(MixtureError, match=r"synthetic\.max_share_per_group: found 0\.25"):
            solve(stage(tokens=tokens, **THIRD), tallied(rows))


def test_share_of_the_whole_and_of_groups_hold_together() -> None:
    rows: list[Row] = [
        ("a", 0, False, 0, 300),
        ("a", 0, True, 0, 300),
        ("b", 0, False, 0, 900),
        ("b", 0, True, 0, 900),
    ]
    both = {"synthetic": {"max_share_per_group": 0.25, "max_share": 0.1}}
    plan = solve(stage(tokens="max", **both), tallied(rows))
    total = sum(plan.cells["synthetic_tokens"].to_pylist())
    assert total == pytest.approx(0.1 * plan.num_tokens)
    assert max(shares(plan)) <= 0.25


pools = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([0, 1]),
        st.booleans(),
        st.sampled_from([0.25, 1.0, 3.0]),
        st.integers(1, 1000),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(rows=pools, share=st.sampled_from([0.1, 1 / 3, 0.9]), weight=st.sampled_from([None, "q"]))
def test_share_holds_in_every_cell_of_any_pool(
    rows: list[Row], share: float, weight: str | None
) -> None:
    keys = {"synthetic": {"max_share_per_group": share}, "length_buckets": BUCKETS}
    keys |= {"weight": weight} if weight else {}
    try:
        most = solve(stage(tokens="max", **keys), tallied(rows))
        plans = [most, solve(stage(tokens=max(1, int(most.num_tokens / 3)), **keys), tallied(rows))]
    except MixtureError:
        return  # a bucket without natural text, say
    for plan in plans:
        assert max(shares(plan), default=0) <= share * (1 + 1e-6)
    if most.num_tokens >= 3:
        wanted = int(most.num_tokens / 3)
        assert abs(plans[1].num_tokens - wanted) <= TOLERANCE * wanted
