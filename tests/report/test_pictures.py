"""Geometry of bars and histograms."""

import pytest

from pipelines.report.pictures import Rect, around_plan, columns, share


@pytest.mark.parametrize(
    ("value", "largest", "wanted"),
    [(0, 10, 0.0), (10, 10, 100.0), (1, 4, 25.0), (1, 10**12, 0.4), (20, 10, 100.0), (1, 0, 0.0)],
)
def test_share_is_seen_wherever_it_is_not_zero(value: int, largest: int, wanted: float) -> None:
    assert share(value, largest) == wanted


def test_columns_stand_on_the_bottom_and_zero_has_none() -> None:
    assert columns([1, 0, 4], width=30, height=8, gap=2) == [
        Rect(1.0, 6.0, 8.0, 2.0),
        Rect(21.0, 0.0, 8.0, 8.0),
    ]
    assert columns([0, 0], width=30, height=8, gap=2) == []
    assert columns([], width=30, height=8, gap=2) == []
    assert columns([1, 10**9], width=20, height=8, gap=0)[0].height == 1.5


def test_result_stands_beside_its_plan_in_sigmas() -> None:
    place = around_plan(1000, 100, 1100)
    assert (place.plan, place.result, place.high) == (50.0, 66.67, 66.67)
    assert place.low == 33.33
    far = around_plan(1000, 1, 2000)
    assert 0 < far.result <= 100
    assert around_plan(5, 0, 5).result == 50.0
