"""A crew gives the results of batches in order, reads few ahead, and leaves out what kills it."""

import os
from collections.abc import Iterator

from pipelines.workspace.audit_crew import Crew, batches
from pipelines.workspace.children import ChildFailed


def squares(numbers: list[int]) -> tuple[int, list[int]]:
    return os.getpid(), [n * n for n in numbers]


def die_of_seven(numbers: list[int]) -> list[object]:
    if 7 in numbers:
        os._exit(9)
    return [*numbers]


def unexpected(number: int, error: ChildFailed) -> tuple[int, list[int]]:
    raise AssertionError(f"{number}: {error}")


def test_results_come_in_order_from_other_processes() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for n in range(50):
            taken.append(n)
            yield n

    with Crew(2) as crew:
        results = crew.map(squares, batches(numbers(), 2), unexpected)
        first = next(results)
        assert len(taken) <= 2 * 2 * 4  # batches, processes, and as many as are read ahead
        found = [first, *results]
    assert [n for _, some in found for n in some] == [n * n for n in range(50)]
    assert os.getpid() not in {pid for pid, _ in found}


def test_a_crew_of_one_is_this_process() -> None:
    with Crew(1) as crew:
        found = list(crew.map(squares, [[1, 2], [3]], unexpected))
    assert found == [(os.getpid(), [1, 4]), (os.getpid(), [9])]


def test_what_ends_its_process_is_told_and_all_else_is_done() -> None:
    def told(number: int, error: ChildFailed) -> list[object]:
        return [f"{number} {error.reason}"]

    with Crew(2) as crew:
        found = [*crew.map(die_of_seven, batches(range(20), 4), told)]
    assert [one for some in found for one in some] == [*range(7), "7 crashed", *range(8, 20)]
