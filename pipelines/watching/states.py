"""What is known of a run while it goes on: plain values, as files and other terminals get them.

The names are those of the JSON in `progress/<run>.json` and of the lines of `--log-json`; they are
built on by others, so they are added to and never renamed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

RUNNING: Final = "running"
ENDED: Final = "ended"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedStage:
    """A stage at one moment."""

    title: str
    parts: int
    parts_done: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    """Word, such as `documents` -> how many in this stage so far."""
    rate: float = 0.0
    """Amount a second of late ..."""
    rate_of: str = "parts"
    """... of what."""
    seconds: float = 0.0
    """Since it began."""
    seconds_left: float | None = None
    """None where that cannot be told."""
    seconds_still: float = 0.0
    """Since anything was counted."""
    pipelines: int = 0
    """Pipelines of the stage that were begun; a shuffle is several."""
    is_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """A run at one moment."""

    run: str
    """Names the run: when it began in UTC, host and process."""
    state: str
    """`running`, `ended` or `failed`; one that is killed stays at `running`."""
    command: str
    host: str
    pid: int
    workspace: str
    started: float
    """Seconds of the epoch; so too `beat`."""
    beat: float
    """When this was written."""
    beat_seconds: float
    """Until the next is due."""
    stage: WatchedStage | None = None
    """The one that runs, or the last that ran."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """Title -> seconds of each stage that is done."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Everything that was metered (`pipelines.workspace.meter`)."""
    error: str | None = None
    """The first line of what ended it."""

    def to_json(self) -> bytes:
        """One object."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "WatchedRun":
        """Reads it; fields that a later version added are passed over.

        Raises:
            ValueError: It is not such an object.
        """
        try:
            raw = _known(cls, json.loads(data))
            if raw.get("stage") is not None:
                raw["stage"] = WatchedStage(**_known(WatchedStage, raw["stage"]))
            return cls(**raw)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no record of a run: {error}") from error


def _known(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}
