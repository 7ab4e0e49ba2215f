"""Progress of a run: bars on a terminal, plain lines elsewhere.

The amounts come from the meter of this process, which a poll reads; nothing here touches a result.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

from pipelines.workspace.jobs import METER

_POLL_S = 0.2
_PLAIN_LINE_S = 30.0


class Progress:
    """Shows the stages of a run on standard error, one after another."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}
        """Wall-clock seconds of each finished stage, all its rounds together."""

    def say(self, line: str) -> None:
        """One line of plain information."""
        self.console.print(line, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, title: str, *, parts: int, meters: Mapping[str, str]) -> Iterator[None]:
        """Shows a stage while it runs.

        Args:
            title: What is being done.
            parts: Parts to do.
            meters: What jobs meter -> the word for it; the last one also counts parts, under
                `<name>.parts`.
        """
        started = time.monotonic()
        reading = _Reading(meters)
        done = threading.Event()
        show = self._bar if self.console.is_terminal else self._lines
        watcher = threading.Thread(target=show, args=(title, parts, reading, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            before = self.seconds.get(title, 0.0)
            self.seconds[title] = before + time.monotonic() - started
            done.set()
            watcher.join()

    def _bar(self, title: str, parts: int, reading: "_Reading", done: threading.Event) -> None:
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("parts  {task.fields[amounts]}"),
            TimeElapsedColumn(),
        )
        with RichProgress(*columns, console=self.console) as bars:
            task = bars.add_task(title, total=max(parts, 1), amounts="")
            over = False
            while not over:
                over = done.wait(_POLL_S)
                finished, amounts = reading.now()
                bars.update(task, completed=finished, amounts=amounts)

    def _lines(self, title: str, parts: int, reading: "_Reading", done: threading.Event) -> None:
        started = time.monotonic()
        over = False
        while not over:
            over = done.wait(_PLAIN_LINE_S)
            finished, amounts = reading.now()
            passed = time.monotonic() - started
            self.say(f"{title}: {finished} of {parts} parts, {amounts}, {passed:.1f} s")


class _Reading:
    """What the meters counted since it was made."""

    def __init__(self, meters: Mapping[str, str]) -> None:
        self._words = dict(meters)
        self._parts = f"{list(meters)[-1]}.parts"
        self._before = {name: METER.read(name) for name in (*meters, self._parts)}

    def now(self) -> tuple[int, str]:
        """Parts done, and the amounts in words."""
        amounts = [
            f"{METER.read(name) - self._before[name]:,} {word}"
            for name, word in self._words.items()
        ]
        return METER.read(self._parts) - self._before[self._parts], ", ".join(amounts)
