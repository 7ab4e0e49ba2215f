"""What `tokenmill status` says of runs: those that go on, those that seem dead, and the last."""

import time
from collections.abc import Sequence
from typing import Any, Final

from pipelines.watching.beats import silence_of
from pipelines.watching.states import ENDED, FAILED, RUNNING, WatchedRun
from pipelines.watching.wording import duration, stage_facts

DEAD: Final = "silent"
"""State of a run that says it is running and gives no sign."""


def runs_worth_telling(runs: Sequence[WatchedRun]) -> list[WatchedRun]:
    """Those that say they are running after the last one that ended, or else that last one.

    Args:
        runs: Of a workspace, newest last.
    """
    going = [run for run in runs if run.state == RUNNING]
    ended = [run for run in runs if run.state != RUNNING]
    if not ended:
        return going
    # One that was killed is told until another has come to its end.
    last = max(ended, key=lambda run: run.beat)
    since = [run for run in going if run.beat >= last.beat]
    return since or [last]


def told_run(run: WatchedRun, silence: str | None, now: float, width: int) -> list[str]:
    """A run in lines that are no wider than asked, but for its command and its error.

    Args:
        run: As it was read.
        silence: What `silence_of` says of it.
        now: Seconds of the epoch.
        width: Columns.
    """
    where = f"process {run.pid} on {run.host}"
    stage = run.stage
    if run.state == ENDED:
        took = duration(run.beat - run.started)
        return [f"last run ended {_ago(now - run.beat)} and took {took}: {run.command}"]
    if run.state == FAILED:
        in_stage = f" in {stage.title}" if stage is not None else ""
        head = f"last run failed {_ago(now - run.beat)}{in_stage}: {run.command}"
        return [head, *([f"  {run.error}"] if run.error else [])]
    if silence is not None:
        at = f"; it was at {stage.title}" if stage is not None else ""
        return [
            f"seems dead: {run.command} ({where})",
            f"  {silence}{at}",
            "  give the same command again, and it goes on from what is committed",
        ]
    head = f"running for {duration(now - run.started)}: {run.command} ({where})"
    if stage is None or stage.is_over:
        return [head, "  between two stages" if stage is not None else "  looking at its sources"]
    begin = f"  {stage.title}: {stage.parts_done} of {stage.parts} parts"
    facts = stage_facts(stage, width - len(begin) - 2)
    return [head, f"{begin}, {facts}" if facts else begin]


def run_fields(run: WatchedRun, silence: str | None) -> dict[str, Any]:
    """A run as JSON: its record, with the state `silent` where it gives no sign."""
    import json

    fields: dict[str, Any] = json.loads(run.to_json())
    return fields | {"state": DEAD if silence else run.state, "silence": silence}


def silences(runs: Sequence[WatchedRun]) -> list[tuple[WatchedRun, str | None]]:
    """Each run with why it seems dead, as of now and of this machine."""
    now = time.time()
    return [(run, silence_of(run, now)) for run in runs]


def _ago(seconds: float) -> str:
    return f"{duration(max(seconds, 0))} ago"
