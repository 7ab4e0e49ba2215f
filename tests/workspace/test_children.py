"""One poison record costs one record."""

import itertools
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pyarrow as pa
import pytest
from fragile import INPUT, failed, upper

from pipelines.workspace.children import Children, Limits, default_processes


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(
        Limits(processes=2, batch_timeout_s=1.0, record_timeout_s=0.0, memory_bytes=2 << 30)
    )
    yield made
    made.close()


def kill_all_children() -> None:
    alive = multiprocessing.active_children()
    assert alive
    for child in alive:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()


def batches(*texts: list[str]) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pylist([{"text": t} for t in some], schema=INPUT) for some in texts]


def said(children: Children, *texts: list[str]) -> list[list[str]]:
    found = children.map(upper, batches(*texts), failed)
    return [batch.column("said").to_pylist() for batch in found]


def test_limits_without_a_number_of_processes_take_that_of_the_worker() -> None:
    here = default_processes()
    driver = Limits(processes=here + 5, follows_machine=True)
    assert pickle.loads(pickle.dumps(driver)).processes == here
    asked = Limits(processes=here + 5)
    assert pickle.loads(pickle.dumps(asked)) == asked


def test_map_many_batches_come_back_in_order(children: Children) -> None:
    texts = [[f"ä{i}-{j}" for j in range(3)] for i in range(20)]
    assert said(children, *texts) == [[t.upper() for t in some] for some in texts]


def test_map_goes_on_after_an_idle_child_was_killed(children: Children) -> None:
    (before,) = said(children, ["тихо"])
    kill_all_children()
    assert said(children, ["a"], ["ж"]) == [["A"], ["Ж"]]
    assert before == ["ТИХО"]


def test_call_goes_on_after_an_idle_child_was_killed(children: Children) -> None:
    assert children.call(str.upper, "a").result() == "A"
    kill_all_children()
    assert [children.call(str.upper, text).result() for text in ("ж", "ｂ")] == ["Ж", "Ｂ"]


@pytest.mark.parametrize(
    ("poison", "reason"), [("segfault", "crashed"), ("hang", "timed_out"), ("eat", "out_of_memory")]
)
def test_map_poison_record_is_isolated_and_named(
    children: Children, poison: str, reason: str
) -> None:
    found = said(children, ["a", "b", poison, "c"], ["d"], [poison])
    assert found == [["A", "B", f"{poison}: {reason}", "C"], ["D"], [f"{poison}: {reason}"]]


def test_map_child_killed_once_costs_no_record(children: Children, tmp_path: Path) -> None:
    text = f"once {tmp_path / 'mark'}"
    assert said(children, [text]) == [[text.upper()]]


def test_map_record_that_hangs_alone_is_not_tried_again(children: Children, tmp_path: Path) -> None:
    text = f"hang {tmp_path / 'tries'}"
    assert said(children, [text]) == [[f"{text}: timed_out"]]
    assert (tmp_path / "tries").read_text() == "x"


def test_map_bug_in_the_function_ends_the_job(children: Children) -> None:
    with pytest.raises(KeyError, match="a bug of ours"):
        said(children, ["a", "bug"])


def test_map_sliced_batch_sends_its_rows_only(children: Children) -> None:
    (batch,) = batches(["a", "b", "c", "d"])
    (found,) = children.map(upper, [batch.slice(1, 2)], failed)
    assert found.column("said").to_pylist() == ["B", "C"]


def test_map_extra_time_is_added_to_the_limit(children: Children) -> None:
    messages = []

    def note(record: pa.RecordBatch, reason: str, message: str) -> pa.RecordBatch:
        messages.append(message)
        return failed(record, reason, message)

    found = children.map(upper, batches(["hang"]), note, extra_s=lambda batch: batch.num_rows / 4)
    assert [batch.column("said").to_pylist() for batch in found] == [["hang: timed_out"]]
    assert messages == ["took longer than 1.25 s"]


def test_map_batch_without_rows_keeps_its_place(children: Children) -> None:
    assert said(children, ["a"], [], ["b"], []) == [["A"], [], ["B"], []]


def test_a_clock_that_is_set_forward_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pebble asks `time.time` how late it is; it jumps by an hour when the child has begun."""
    mark, wall, asked = tmp_path / "mark", time.time, itertools.count()

    def set_forward() -> float:
        # Whoever asks first may be noting when the child began, and must not note the later hour.
        return wall() + 3600 * (mark.exists() and next(asked) > 0)

    monkeypatch.setattr(time, "time", set_forward)
    children = Children(Limits(processes=1, batch_timeout_s=600.0, memory_bytes=2 << 30))
    try:
        text = f"stall {mark}"
        assert said(children, [text, "ж"]) == [[text.upper(), "Ж"]]
    finally:
        children.close()


def test_map_answers_when_a_child_dies_between_batches_many_times(children: Children) -> None:
    """What is put into a pool at the moment in which it breaks is given to the next one."""
    texts = [f"{number}" for number in range(60)]

    def fed() -> Iterator[pa.RecordBatch]:
        for number, text in enumerate(texts):
            if number and number % 20 == 0:
                kill_all_children()
            yield batches([text])[0]

    found = [batch.column("said")[0].as_py() for batch in children.map(upper, fed(), failed)]
    assert found == texts


def test_map_of_closed_children_ends_with_an_error() -> None:
    children = Children(Limits(processes=1))
    found = children.map(upper, batches(["a"], ["hang"], ["b"]), failed)
    assert next(found).column("said").to_pylist() == ["A"]
    children.close()
    with pytest.raises((RuntimeError, CancelledError)):
        list(found)
    assert children._pool is None, "none is opened anew"
