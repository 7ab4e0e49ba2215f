"""A run at one moment, for what is written of it."""

from typing import Any

from pipelines.watching.states import RUNNING, WatchedRun, WatchedStage

STAGE = WatchedStage(
    title="Extract and annotate",
    parts=12,
    parts_done=3,
    amounts={"extracted": 1234, "annotated": 1200},
    rate=41.26,
    rate_of="annotated",
    seconds=75.0,
    seconds_left=220.0,
)


def a_run(**changed: Any) -> WatchedRun:  # noqa: ANN401 - fields of several types
    """A run under way; with what a test says otherwise."""
    given: dict[str, Any] = {
        "run": "20260102T030405Z-mill-77",
        "state": RUNNING,
        "command": "tokenmill run corpus.yaml",
        "host": "mill",
        "pid": 77,
        "workspace": "work/demo",
        "started": 1_000_000.0,
        "beat": 1_000_100.0,
        "beat_seconds": 3.0,
        "stage": STAGE,
        "stage_seconds": {"Crawl site": 1.5},
        "counters": {"extract": 1234, "extract.parts": 3},
    }
    return WatchedRun(**given | changed)
