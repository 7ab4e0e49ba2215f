"""A run as JSON lines, for what gathers logs: one at each begin and end, one a minute between.

The fields of a line: `time` (UTC, RFC 3339), `run`, `event`, and what the event has. Events are
`run_begin`, `stage_begin`, `progress`, `stage_end`, `note` (with `message`) and `run_end` (with
`state` and `error`). Lines of a stage have `stage`, `parts_done`, `parts`, `amounts`, `rate`,
`rate_of`, `seconds`, `seconds_left` (null where unknown), `seconds_still` and `counters`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

from pipelines.watching.states import WatchedStage


def write_line(
    out: IO[str], now: float, run: str, event: str, details: Mapping[str, object]
) -> None:
    """Writes one line.

    Args:
        out: Where to.
        now: Seconds of the epoch.
        run: Names the run.
        event: What happened.
        details: Further fields.
    """
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    line = {"time": time.replace("+00:00", "Z"), "run": run, "event": event, **details}
    out.write(json.dumps(line, ensure_ascii=True) + "\n")  # ASCII: no log is too old for it
    out.flush()


def stage_fields(stage: WatchedStage, counters: Mapping[str, int]) -> dict[str, Any]:
    """What a line says of a stage."""
    left = stage.seconds_left
    return {
        "stage": stage.title,
        "parts_done": stage.parts_done,
        "parts": stage.parts,
        "amounts": dict(stage.amounts),
        "rate": round(stage.rate, 3),
        "rate_of": stage.rate_of,
        "seconds": round(stage.seconds, 1),
        "seconds_left": None if left is None else round(left, 1),
        "seconds_still": round(stage.seconds_still, 1),
        "counters": dict(sorted(counters.items())),
    }
