"""What a run shows where there is no terminal, and what it leaves in its workspace."""

import json
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.progress import Progress, Regularly, first_line
from pipelines.watching.beats import FOLDER, read_records
from pipelines.watching.exposition import exposition
from pipelines.watching.settings import WatchOptions
from pipelines.watching.states import ENDED, FAILED, RUNNING, WatchedStage
from pipelines.watching.watch import tell
from pipelines.workspace.jobs import METER
from pipelines.workspace.workspace import Workspace

METERS = {"sifted": "sifted", "weighed": "weighed"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


def plain() -> Console:
    return Console(file=StringIO(), width=60)


def written(progress: Progress) -> str:
    assert isinstance(progress.console.file, StringIO)
    return progress.console.file.getvalue()


def work() -> None:
    METER.add("sifted", 1234)
    METER.add("weighed", 1200)
    METER.add("weighed.parts", 2)


def lines_of(progress: Progress) -> Iterator[dict[str, Any]]:
    for line in written(progress).splitlines():
        yield json.loads(line)


def test_stage_is_one_plain_line_without_colours_or_cuts() -> None:
    progress = Progress(plain())
    with progress.stage("Sift [all]", parts=2, meters=METERS):
        work()
        tell("a note: local[*] :smile:")
    note, line = written(progress).splitlines()
    assert note == "a note: local[*] :smile:"
    begin, _, seconds = line.rpartition(", ")
    assert begin == "Sift [all]: 2 of 2 parts, 1,234 sifted, 1,200 weighed"
    assert seconds.endswith(" s")
    assert "\x1b" not in written(progress)
    assert list(progress.seconds) == ["Sift [all]"]


def test_rounds_of_a_stage_add_their_seconds_and_begin_their_counts_anew() -> None:
    progress = Progress(plain())
    for _ in range(2):
        with progress.stage("Sift", parts=2, meters=METERS):
            work()
    assert [line.split(", ")[0] for line in written(progress).splitlines()] == [
        "Sift: 2 of 2 parts"
    ] * 2
    assert list(progress.seconds) == ["Sift"]


def test_more_parts_than_were_asked_for_are_not_shown() -> None:
    progress = Progress(plain())
    with progress.stage("Sift", parts=1, meters=METERS):
        work()
    assert written(progress).startswith("Sift: 1 of 1 parts")


def test_log_lines_are_json_with_stable_fields(workspace: Workspace) -> None:
    options = WatchOptions(log_lines=True)
    with Progress(plain(), options, wall=lambda: 1_767_323_045.5) as progress:
        progress.say("reading Grüße\nand more")
        progress.attach(workspace)
        with progress.stage("Sift", parts=4, meters=METERS):
            work()
    note, run_begin, begin, end, run_end = lines_of(progress)
    assert {line["time"] for line in lines_of(progress)} == {"2026-01-02T03:04:05.500Z"}
    assert len({line["run"] for line in lines_of(progress)}) == 1
    assert (note["event"], note["message"]) == ("note", "reading Grüße\nand more")
    assert (run_begin["event"], run_begin["workspace"]) == ("run_begin", workspace.url)
    assert (begin["event"], begin["stage"], begin["parts_done"]) == ("stage_begin", "Sift", 0)
    assert list(end) == [
        "time",
        "run",
        "event",
        "stage",
        "parts_done",
        "parts",
        "amounts",
        "rate",
        "rate_of",
        "seconds",
        "seconds_left",
        "seconds_still",
        "counters",
        "error",
    ]
    assert (end["event"], end["parts_done"], end["parts"]) == ("stage_end", 2, 4)
    assert end["amounts"] == {"sifted": 1234, "weighed": 1200}
    assert end["counters"]["weighed.parts"] - begin["counters"].get("weighed.parts", 0) == 2
    assert end["error"] is None
    assert (run_end["event"], run_end["state"], run_end["error"]) == ("run_end", ENDED, None)
    assert written(progress).isascii()


def test_record_in_the_workspace_says_how_the_run_went(workspace: Workspace) -> None:
    with Progress(plain()) as progress:
        progress.attach(workspace)
        with progress.stage("Sift", parts=4, meters=METERS) as watch:
            watch.begin_pipeline()
            work()
        assert progress.record().state == RUNNING
    (run,) = read_records(workspace.storage)
    assert (run.state, run.error, run.workspace) == (ENDED, None, workspace.url)
    assert run.stage == WatchedStage(
        title="Sift",
        parts=4,
        parts_done=2,
        amounts={"sifted": 1234, "weighed": 1200},
        rate=run.stage.rate,
        rate_of="weighed",
        seconds=run.stage.seconds,
        seconds_still=run.stage.seconds_still,
        pipelines=1,
        is_over=True,
    )
    assert run.stage_seconds == progress.seconds
    assert run.counters["weighed"] >= 1200
    assert workspace.storage.files(FOLDER) == [f"progress/{run.run}.json"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("bad\nin many lines"), "ValueError: bad"),
        (RuntimeError(), "RuntimeError"),
        (KeyboardInterrupt(), "interrupted by Ctrl-C"),
        (KeyboardInterrupt("SIGTERM [while running 'Sift']"), "interrupted by SIGTERM"),
    ],
)
def test_what_ends_a_run_is_in_its_record(
    workspace: Workspace, error: BaseException, told: str
) -> None:
    progress = Progress(plain())
    progress.attach(workspace)
    with pytest.raises(type(error)), progress, progress.stage("Sift", parts=4, meters=METERS):
        raise error
    (run,) = read_records(workspace.storage)
    assert (run.state, run.error) == (FAILED, told)
    assert first_line(error) == told


def test_a_run_that_nobody_ended_is_ended_by_its_last_stage(workspace: Workspace) -> None:
    progress = Progress(plain())
    progress.attach(workspace)
    with pytest.raises(OSError, match="full"), progress.stage("Sift", parts=4, meters=METERS):
        raise OSError("the disk is full")
    progress.end()
    progress.end(ValueError("too late to matter"))
    (run,) = read_records(workspace.storage)
    assert (run.state, run.error) == (FAILED, "OSError: the disk is full")


def test_prometheus_file_is_that_of_the_end(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "mill.prom"
    with Progress(plain(), WatchOptions(prometheus=path)) as progress:
        progress.attach(workspace)
        with progress.stage("Sift", parts=4, meters=METERS):
            work()
    (run,) = read_records(workspace.storage)
    assert path.read_text() == exposition(run)
    assert 'tokenmill_run_state{workspace="' + workspace.url + '",state="ended"} 1' in (
        path.read_text()
    )


def test_what_cannot_be_written_is_said_once_and_ends_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    blocked = Path(workspace.url) / FOLDER
    blocked.write_text("in the way")
    options = WatchOptions(prometheus=tmp_path / "file" / "mill.prom")
    with Progress(plain(), options) as progress:
        progress.attach(workspace)
        for _ in range(3):
            with progress.stage("Sift", parts=4, meters=METERS):
                work()
    notes = [line for line in written(progress).splitlines() if line.startswith("note: ")]
    assert [note.partition(" cannot be written (")[0] for note in sorted(notes)] == [
        f"note: --prometheus {tmp_path}/file/mill.prom",
        "note: progress of this run",
    ]
    assert blocked.read_text() == "in the way"


def test_no_thread_is_left_behind(workspace: Workspace) -> None:
    before = threading.active_count()
    with Progress(plain()) as progress:
        progress.attach(workspace)
        with progress.stage("Sift", parts=4, meters=METERS):
            work()
    assert threading.active_count() == before


def test_regularly_is_due_when_its_time_has_come() -> None:
    due = Regularly(100.0, 60.0)
    times = (100.0, 159.9, 160.0, 161.0, 219.9, 220.0, 500.0, 559.0)
    assert [now for now in times if due.is_due(now)] == [160.0, 220.0, 500.0]
