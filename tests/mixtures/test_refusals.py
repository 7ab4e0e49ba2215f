"""What is said of a budget that cannot be met: what limits it, and nothing else."""

import pytest
from small_tallies import BUCKETS, Row, one_cell, stage, tallied

from mixtures.pool import pool_of
from mixtures.solve import _check_met, _solution, solve
from mixtures.spec import MixtureError


def test_corpus_of_synthetic_text_alone_is_told_without_shares_that_it_has_not() -> None:
    rows: list[Row] = [("", 0, True, 0, 100), ("", 0, True, 1, 50)]
    for tokens in ("max", "one_epoch", 20):
        with pytest.raises(MixtureError) as caught:
            solve(stage(tokens=tokens, group_by=None, synthetic={"max_share": 0.3}), tallied(rows))
        text = str(caught.value)
        assert "max_share: found 0.3, and no natural document to draw" in text
        assert "raise max_share to 1, remove it" in text
        assert "groups" not in text
        assert "number of tokens" not in text
    assert solve(stage(tokens="max", synthetic={"max_share": 1}), tallied(rows)).num_tokens == 600


def test_bucket_of_synthetic_text_alone_is_named() -> None:
    rows: list[Row] = [("a", 0, True, 0, 150), ("a", 1, False, 0, 50)]
    keys = {"length_buckets": BUCKETS, "synthetic": {"max_share": 0.3}}
    with pytest.raises(MixtureError, match=r"is synthetic \(long\).*remove these length_buckets"):
        solve(stage(tokens=20, **keys), tallied(rows))


def test_synthetic_keys_without_a_share_are_not_blamed() -> None:
    rows: list[Row] = [("a", 0, False, 1, 100), ("a", 0, True, 2, 100)]
    one = stage(tokens=700, weight="q", synthetic={"max_depth": 1})
    assert solve(one, tallied(rows)).num_tokens == pytest.approx(700)
    with pytest.raises(MixtureError) as caught:
        solve(stage(tokens=900, weight="q", synthetic={"max_depth": 1}), tallied(rows))
    assert "raise max_epochs to 4.5" in str(caught.value)
    assert "max_share" not in str(caught.value)


@pytest.mark.parametrize("synthetic", [None, {"max_depth": 1}, {"max_share": 0.9}])
def test_missed_budget_names_what_limits_it(synthetic: dict[str, float] | None) -> None:
    rows: list[Row] = [("a", 0, False, 1, 100), ("a", 0, True, 2, 100)]
    pool = pool_of(stage(tokens=700, weight="q", synthetic=synthetic), tallied(rows))
    missed = _solution(pool, 600, 1.0)
    with pytest.raises(MixtureError, match=r"allowed: 600 with max_epochs 4 and what the weight"):
        _check_met(pool, missed, 700, 1.0)
    if synthetic == {"max_share": 0.9}:
        with pytest.raises(MixtureError, match=r"synthetic documents give 0\.9 .*raise max_share"):
            _check_met(pool, missed, 700, 0.5)


def test_budget_far_above_the_corpus_is_told_as_a_multiple() -> None:
    cells = one_cell((0, 1000))
    with pytest.raises(MixtureError, match=r"so 51,996,000 too many, 13,000 times what there is;"):
        solve(stage(tokens="52M"), cells)
    with pytest.raises(MixtureError, match=r"so 35,999 \(90\.0%\) too many;"):
        solve(stage(tokens=39_999), cells)
