"""`tokenmill status`: what runs now, then what is committed."""

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from counted_parts import KEYS, CountingJob
from records import STAGE, a_run
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.watching.beats import write_record
from pipelines.watching.shown_runs import runs_worth_telling, told_run
from pipelines.watching.states import ENDED, FAILED, WatchedRun
from pipelines.workspace.workspace import Workspace

NOW = 1_000_101.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(str(tmp_path / "w"))
    for key in KEYS[:3]:
        CountingJob().run(made, key, None)  # type: ignore[arg-type]
    return made


def status(*words: str) -> str:
    result = CliRunner().invoke(build_app("status"), ["status", *words], terminal_width=100)
    assert result.exit_code == 0, result.output
    return result.output


def alive(**changed: object) -> WatchedRun:
    """A run of this very process that just gave a beat."""
    now = time.time()
    given = {"host": socket.gethostname(), "pid": os.getpid(), "started": now - 90, "beat": now}
    return a_run(**given | changed)


def test_told_run_under_way() -> None:
    assert told_run(a_run(), None, NOW, 100) == [
        "running for 1 min 41 s: tokenmill run corpus.yaml (process 77 on mill)",
        "  Extract and annotate: 3 of 12 parts, 1,234 extracted, 1,200 annotated, 41 annotated/s, "
        "4 min left",
    ]
    narrow = told_run(a_run(), None, NOW, 60)[1]
    assert narrow == "  Extract and annotate: 3 of 12 parts, 4 min left"
    over = a_run(stage=replace(STAGE, is_over=True))
    assert told_run(over, None, NOW, 60)[1] == "  between two stages"
    assert told_run(a_run(stage=None), None, NOW, 60)[1] == "  looking at its sources"


def test_told_run_that_gives_no_sign() -> None:
    assert told_run(a_run(), "no beat from mill for 300 s", NOW, 100) == [
        "seems dead: tokenmill run corpus.yaml (process 77 on mill)",
        "  no beat from mill for 300 s; it was at Extract and annotate",
        "  give the same command again, and it goes on from what is committed",
    ]


def test_told_run_that_is_over() -> None:
    now = NOW + 3600
    assert told_run(a_run(state=ENDED), None, now, 100) == [
        "last run ended 1 h ago and took 1 min 40 s: tokenmill run corpus.yaml"
    ]
    assert told_run(a_run(state=FAILED, error="OSError: full"), None, now, 100) == [
        "last run failed 1 h ago in Extract and annotate: tokenmill run corpus.yaml",
        "  OSError: full",
    ]


def test_a_dead_run_is_told_until_another_has_ended() -> None:
    dead = a_run(run="a", beat=10.0)
    later = a_run(run="b", beat=20.0)
    ended = a_run(run="c", beat=30.0, state=ENDED)
    assert runs_worth_telling([]) == []
    assert runs_worth_telling([dead]) == [dead]
    assert runs_worth_telling([dead, later]) == [dead, later]
    assert runs_worth_telling([dead, ended]) == [ended]
    begun = a_run(run="d", beat=40.0)
    assert runs_worth_telling([dead, ended, begun]) == [begun]


def test_status_shows_the_run_above_the_generations(workspace: Workspace) -> None:
    before = status(workspace.url)
    assert (
        before.split()
        == (
            "generation over parts seconds counts "
            f"{CountingJob().generations[0].name} web 3 0.0 records 6, rejects 3"
        ).split()
    )
    write_record(workspace.storage, alive())
    shown = status(workspace.url)
    head, stage, *rest = shown.splitlines()
    assert head.startswith("running for 1 min 30 s: tokenmill run corpus.yaml (process ")
    assert stage.startswith("  Extract and annotate: 3 of 12 parts, ")
    assert "\n".join(rest) == "\n" + before.rstrip("\n")


def test_status_of_a_killed_run_says_so(workspace: Workspace) -> None:
    write_record(workspace.storage, a_run())
    assert "\n  no beat from mill for " in status(workspace.url)


def test_status_json_has_everything(workspace: Workspace) -> None:
    run = alive()
    write_record(workspace.storage, run)
    (generation,) = CountingJob().generations
    told = json.loads(status(workspace.url, "--json"))
    assert told["workspace"] == workspace.url
    assert told["runs"] == [json.loads(run.to_json()) | {"silence": None}]
    (made,) = told["generations"]
    assert made == {
        "generation": generation.name,
        "job": "counting",
        "sources": ["web"],
        "parts_done": 3,
        "parts": None,
        "seconds": made["seconds"],
        "counts": {"records": 6, "rejects": 3},
    }
    assert told["plans"] == []
    write_record(workspace.storage, a_run())
    killed = json.loads(status(workspace.url, "--json"))["runs"]
    assert [one["state"] for one in killed] == ["silent"]


def test_following_in_a_pipe_ends_where_no_run_goes_on(workspace: Workspace) -> None:
    assert status(workspace.url, "--watch") == "no run has been here yet\n"
    write_record(workspace.storage, a_run(state=FAILED, error="OSError: full"))
    assert status(workspace.url, "--follow").splitlines()[1:] == ["  OSError: full"]
    (line,) = status(workspace.url, "--follow", "--json").splitlines()
    assert [run["state"] for run in json.loads(line)["runs"]] == [FAILED]
