"""How a run is watched; nothing of it changes a result."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What to write beside what the terminal shows."""

    prometheus: Path | None = None
    """A file in the text format of Prometheus, for the textfile collector of its node exporter."""
    log_lines: bool = False
    """JSON lines on standard error in place of bars and plain lines."""
