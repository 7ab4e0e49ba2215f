"""A crew gives the results of batches in order, reads few ahead, and says so when one dies."""

import os
from collections.abc import Iterator

import pytest

from pipelines.workspace.audit_crew import Crew, CrewLost, batches


def squares(numbers: list[int]) -> tuple[int, list[int]]:
    return os.getpid(), [n * n for n in numbers]


def die_of_seven(numbers: list[int]) -> list[int]:
    if 7 in numbers:
        os._exit(9)
    return numbers


def test_results_come_in_order_from_other_processes() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for n in range(50):
            taken.append(n)
            yield n

    with Crew(2) as crew:
        results = crew.map(squares, batches(numbers(), 2))
        first = next(results)
        assert len(taken) <= 2 * 2 * 4  # batches, processes, and as many as are read ahead
        found = [first, *results]
    assert [n for _, some in found for n in some] == [n * n for n in range(50)]
    assert os.getpid() not in {pid for pid, _ in found}


def test_a_crew_of_one_is_this_process() -> None:
    with Crew(1) as crew:
        assert list(crew.map(squares, [[1, 2], [3]])) == [(os.getpid(), [1, 4]), (os.getpid(), [9])]


def test_a_process_that_dies_is_told() -> None:
    with Crew(2) as crew, pytest.raises(CrewLost, match="--processes 1"):
        list(crew.map(die_of_seven, batches(range(20), 3)))
