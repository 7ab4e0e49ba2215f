"""The file by which a run is seen from elsewhere."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from counted_parts import KEYS, CountingJob
from records import STAGE, a_run

from pipelines.watching.beats import (
    KEPT,
    forget_old,
    path_of,
    read_records,
    silence_of,
    write_record,
)
from pipelines.watching.states import ENDED, WatchedRun
from pipelines.workspace.audit import audit
from pipelines.workspace.prune import find_prunable
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace


@pytest.mark.parametrize("url", ["{tmp}/w", "memory://watching"])
def test_record_comes_back_as_it_was_and_is_overwritten(url: str, tmp_path: Path) -> None:
    storage = Storage(url.format(tmp=tmp_path))
    run = a_run(command="tokenmill run корпус.yaml", error=None)
    write_record(storage, run)
    assert read_records(storage) == [run]
    ended = replace(run, state=ENDED, stage=replace(STAGE, is_over=True, seconds_left=None))
    write_record(storage, ended)
    assert read_records(storage) == [ended]
    assert storage.files("progress") == [path_of(run.run)]


def test_fields_of_a_later_version_are_passed_over_and_strangers_are_not_read(
    tmp_path: Path,
) -> None:
    storage = Storage(str(tmp_path))
    raw = json.loads(a_run().to_json())
    raw |= {"new": 1, "stage": raw["stage"] | {"new": 2}}
    storage.replace(path_of("a"), json.dumps(raw).encode())
    storage.replace(path_of("b"), b'{"half":')
    storage.replace(path_of("c"), b"[]")
    storage.replace(path_of("d"), b'{"run": "d"}')
    assert read_records(storage) == [a_run()]


def test_only_the_newest_files_stay(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    names = [f"202601{day:02}T000000Z-mill-1" for day in range(1, KEPT + 4)]
    for name in names:
        write_record(storage, a_run(run=name))
    forget_old(storage)
    assert storage.files("progress") == [path_of(name) for name in names[3:]]


def test_beats_are_no_data_for_audit_and_prune(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path))
    CountingJob().run(workspace, KEYS[0], None)  # type: ignore[arg-type]
    workspace.ledger.declare(CountingJob().generations[0])
    before = find_prunable(workspace, []), audit(workspace).faults
    write_record(workspace.storage, a_run())
    assert (find_prunable(workspace, []), audit(workspace).faults) == before


def _silence(run: WatchedRun, now: float, host: str, *, alive: bool) -> str | None:
    return silence_of(run, now, host=host, is_alive=lambda pid: alive)


def test_a_run_whose_process_is_gone_is_dead_after_two_beats() -> None:
    run = a_run()
    assert _silence(run, run.beat + 5, "mill", alive=False) is None
    told = _silence(run, run.beat + 7, "mill", alive=False)
    assert told == "there is no process 77 on mill any more"
    assert _silence(run, run.beat + 7, "mill", alive=True) is None


def test_a_run_elsewhere_is_dead_after_a_minute_or_four_beats() -> None:
    run = a_run()
    assert _silence(run, run.beat + 59, "home", alive=False) is None
    assert _silence(run, run.beat + 61, "home", alive=False) == "no beat from mill for 61 s"
    slow = a_run(beat_seconds=30.0)
    assert _silence(slow, run.beat + 110, "home", alive=False) is None
    assert _silence(slow, run.beat + 130, "home", alive=False) is not None
    assert _silence(a_run(state=ENDED), run.beat + 9999, "home", alive=False) is None


def test_a_real_process_that_ended_is_known_to_be_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = a_run(pid=child.pid)
    assert silence_of(run, run.beat + 10, host="mill") is None
    child.communicate(b"\n")
    assert silence_of(run, run.beat + 10, host="mill") is not None
