"""Single calls in child processes: results, exceptions, and children that die under them."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from fragile import INPUT, failed, upper

from pipelines.workspace.children import (
    CRASHED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    ChildFailed,
    Children,
    Limits,
    shared_children,
)


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(Limits(processes=2, memory_bytes=2 << 30))
    yield made
    made.close()


def test_call_gives_the_result_of_each(children: Children) -> None:
    calls = [children.call(pow, number, 2) for number in range(50)]
    assert [call.result() for call in calls] == [number**2 for number in range(50)]
    assert children.call(os.getpid).result() != os.getpid()


def test_call_exception_of_the_function_goes_through(children: Children) -> None:
    with pytest.raises(ValueError, match=r"invalid literal for int.. with base 10: 'acht'"):
        children.call(int, "acht").result()


@pytest.mark.parametrize(
    ("function", "argument", "reason", "message"),
    [
        (os._exit, 9, CRASHED, "exit code 9"),
        (time.sleep, 600, TIMED_OUT, "longer than 0.3 s"),
        (bytearray, 64 << 30, OUT_OF_MEMORY, "more than 2147483648 bytes"),
    ],
)
def test_call_that_no_child_can_end_says_why(
    children: Children, function: object, argument: int, reason: str, message: str
) -> None:
    with pytest.raises(ChildFailed, match=message) as raised:
        children.call(function, argument, timeout_s=0.3 if function is time.sleep else 30).result()  # type: ignore[arg-type]
    assert raised.value.reason == reason
    assert children.call(pow, 2, 3).result() == 8  # the next child is well


def test_call_child_killed_once_costs_nothing(children: Children, tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pylist([{"text": f"once {tmp_path / 'mark'}"}], schema=INPUT)
    assert children.call(upper, batch).result().column("said").to_pylist() == [
        f"ONCE {tmp_path / 'mark'}".upper()
    ]


def test_call_deadly_call_is_given_three_children(children: Children, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with pytest.raises(ChildFailed):
        children.call(os.execv, "/bin/sh", ["sh", "-c", f"printf x >> {notes}; exit 1"]).result()
    assert notes.read_text() == "xxx"


def test_call_and_map_of_many_threads_share_the_children(children: Children) -> None:
    def job(number: int) -> list[object]:
        texts = [f"{number}-{row}" for row in range(20)]
        batches = [pa.RecordBatch.from_pylist([{"text": text}], schema=INPUT) for text in texts]
        calls = [children.call(str.upper, text) for text in texts]
        mapped = [batch.column("said")[0].as_py() for batch in children.map(upper, batches, failed)]
        assert mapped == texts
        return [call.result() for call in calls]

    with ThreadPoolExecutor(8) as threads:
        for number, found in enumerate(threads.map(job, range(8))):
            assert found == [f"{number}-{row}" for row in range(20)]


def test_call_closed_children_end_what_waits() -> None:
    children = Children(Limits(processes=1))
    calls = [children.call(time.sleep, 600) for _ in range(3)]
    children.close()
    for call in calls:
        with pytest.raises(RuntimeError, match="the child processes were closed"):
            call.result(timeout=30)


def test_call_cancelled_call_gives_its_child_free() -> None:
    children = Children(Limits(processes=1))
    running, waiting = (children.call(time.sleep, 600, timeout_s=900) for _ in range(2))
    assert waiting.cancel()
    assert running.cancel()
    assert children.call(pow, 2, 5).result(timeout=60) == 32
    children.close()


def test_shared_children_are_one_for_equal_limits() -> None:
    limits = Limits(processes=1, memory_bytes=3 << 30)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(shared_children, [limits] * 32))
    assert len(found) == 1
