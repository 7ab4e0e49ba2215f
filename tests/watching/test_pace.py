"""Rates and the time left, on invented stages whose end is known."""

import random
from itertools import pairwise

import pytest

from pipelines.watching.pace import Pace


def told(
    lengths: list[float],
    workers: int,
    *,
    amount: int = 1000,
    startup: float = 0.0,
    total: int | None = None,
    knows_begun: bool = True,
) -> list[tuple[float, float, float | None]]:
    """(time, true seconds left, told seconds left), once a second."""
    free = [startup] * workers
    spans = []
    for length in lengths:
        worker = min(range(workers), key=free.__getitem__)
        spans.append((free[worker], free[worker] + length))
        free[worker] += length
    end = max(free)
    pace = Pace(len(lengths), 0.0, total)
    found = []
    for now in range(1, int(end)):
        pace.note(
            now,
            sum(stop <= now for _, stop in spans),
            int(sum(amount * min(max((now - a) / (b - a), 0), 1) for a, b in spans)),
            sum(start <= now for start, _ in spans) if knows_begun else 0,
        )
        found.append((float(now), end - now, pace.seconds_left))
    return found


def worst(found: list[tuple[float, float, float | None]], *, behind: float = 30.0) -> float:
    """The largest factor between what was told and what was true, while more than that was left."""
    factors = [
        max(said / true, true / said)
        for _, true, said in found
        if said is not None and true > behind
    ]
    assert factors, "nothing was ever told"
    return max(factors)


JITTER = random.Random(3)
UNEVEN = [60 * JITTER.uniform(0.5, 1.5) for _ in range(160)]


@pytest.mark.parametrize(
    ("lengths", "workers", "given", "bound"),
    [
        ([60.0] * 20, 1, {}, 1.01),  # one after the other
        ([60.0] * 160, 16, {}, 1.01),  # all at once, in step
        (UNEVEN, 16, {}, 2.0),
        ([20.0] * 50, 2, {"startup": 120.0}, 2.0),  # kernels are compiled first
        ([60.0] * 20, 1, {"amount": 0}, 2.0),  # nothing but parts is counted
        ([60.0] * 160, 16, {"amount": 0, "knows_begun": False}, 2.0),
        ([60.0] * 20, 1, {"total": 20_000}, 1.01),
        ([600.0], 1, {"total": 1000}, 1.02),  # one part, of which is known how much is in it
    ],
)
def test_time_left_is_near_the_truth(
    lengths: list[float], workers: int, given: dict[str, float], bound: float
) -> None:
    assert worst(told(lengths, workers, **given)) < bound  # type: ignore[arg-type]


def test_nothing_is_told_before_it_can_be_known() -> None:
    found = told([60.0] * 20, 1)
    first = next(now for now, _, said in found if said is not None)
    assert first == 75
    assert all(said is None for _, _, said in told([600.0], 1))


def test_the_end_does_not_jump() -> None:
    found = [(now + said) for now, _, said in told(UNEVEN, 16) if said is not None]
    assert max(abs(b - a) for a, b in pairwise(found)) < 0.1 * found[-1]


def test_a_last_part_that_is_larger_than_expected_is_not_almost_done_for_ever() -> None:
    found = told([20.0] * 50 + [600.0], 2)
    late = [said for now, _, said in found if now > 700]
    assert late
    assert all(said is None or said > 30 for said in late if said is not None)


def test_a_stage_without_parts_or_time_says_nothing() -> None:
    empty = Pace(0, 5.0)
    empty.note(5.0, 0, 0)
    empty.note(9.0, 0, 0)
    assert (empty.seconds_left, empty.rate, empty.parts_rate) == (None, 0.0, 0.0)


def test_rate_is_that_of_late() -> None:
    pace = Pace(100, 0.0)
    for now in range(1, 101):
        pace.note(float(now), 0, 10 * now)
    assert pace.rate == pytest.approx(10.0)
    for now in range(101, 301):
        pace.note(float(now), 0, 1000 + 40 * (now - 100))
    assert pace.rate == pytest.approx(40.0)


def test_amounts_that_shrink_are_answers_come_late() -> None:
    pace = Pace(10, 0.0)
    pace.note(10.0, 2, 200)
    pace.note(20.0, 1, 100)
    pace.note(40.0, 4, 400)
    assert pace.rate == pytest.approx(10.0)
