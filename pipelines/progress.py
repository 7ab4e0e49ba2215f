"""Progress of a run: bars on a terminal, plain lines or JSON lines elsewhere, and a beat in a file.

The amounts come from the meter of this process, which a poll reads, and which `pipelines.run` keeps
informed where the work is done elsewhere. Nothing here touches a result, and nothing that goes
wrong here ends a run.
"""

import atexit
import os
import re
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console

from pipelines.watching.bars import Bar
from pipelines.watching.log_lines import stage_fields, write_line
from pipelines.watching.reading import Reading
from pipelines.watching.settings import WatchOptions
from pipelines.watching.states import ENDED, FAILED, RUNNING, WatchedRun, WatchedStage
from pipelines.watching.watch import Watch, listening
from pipelines.watching.wording import stage_line
from pipelines.workspace.meter import METER

if TYPE_CHECKING:
    from pipelines.watching.heart import Heart
    from pipelines.workspace.workspace import Workspace

_BAR_S: Final = 0.2
_LOOK_S: Final = 1.0
PLAIN_LINE_S: Final = 30.0
LOG_LINE_S: Final = 60.0


class Progress:
    """Shows the stages of a run on standard error, one after another."""

    def __init__(
        self,
        console: Console | None = None,
        options: WatchOptions | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        console: Where to show; standard error, if not given.
        options: What to write beside that.
        wall: Gives seconds of the epoch.
        """
        self.console = console or Console(stderr=True)
        self.options = options or WatchOptions()
        self.seconds: dict[str, float] = {}
        """Wall-clock seconds of each finished stage, all its rounds together."""
        self._wall = wall
        self._run = _first_record(wall())
        self._heart: Heart | None = None

    def attach(self, workspace: "Workspace", options: WatchOptions | None = None) -> None:
        """Begins to write beats into the workspace, where `tokenmill status` finds them.

        Args:
            workspace: Of the run.
            options: In place of those that were given before.
        """
        from pipelines.watching.heart import Heart

        self.options = options or self.options
        if self._heart is not None:
            return
        self._run = replace(self._run, workspace=workspace.url)
        self._heart = Heart(workspace.storage, self.options.prometheus, self.record, self.say)
        self._heart.start()
        self._log("run_begin", command=self._run.command, workspace=workspace.url)
        atexit.register(self._end_unsaid)

    def record(self) -> WatchedRun:
        """What is known of the run now."""
        return replace(
            self._run,
            beat=self._wall(),
            stage_seconds=dict(self.seconds),
            counters=METER.read_all(),
        )

    def end(self, error: BaseException | None = None) -> None:
        """Notes how the run ended; further calls do nothing.

        Args:
            error: What ended it, unless it came to its end.
        """
        if self._heart is None or self._run.state != RUNNING:
            return
        if error is not None:
            self._run = replace(self._run, state=FAILED, error=first_line(error))
        else:
            state = FAILED if self._run.error else ENDED
            self._run = replace(self._run, state=state)
        self._heart.stop()
        self._log("run_end", state=self._run.state, error=self._run.error)
        atexit.unregister(self._end_unsaid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error)

    def say(self, line: str) -> None:
        """One line of plain information; from any thread."""
        if self.options.log_lines:
            self._log("note", message=line)
        else:
            self.console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)

    @contextmanager
    def stage(
        self, title: str, *, parts: int, meters: Mapping[str, str], total: int | None = None
    ) -> Iterator[Watch]:
        """Shows a stage while it runs.

        Args:
            title: What is being done.
            parts: Parts to do.
            meters: What jobs meter -> the word for it; the last one also counts parts, under
                `<name>.parts`.
            total: Amount of the last one that is to be done, where it is known: then the time left
                is told from the beginning.

        Yields:
            What pipelines of the stage tell; `pipelines.run` finds it by itself.
        """
        watch = Watch(self.say)
        reading = Reading(METER, title, parts, meters, total, watch, time.monotonic())
        self._begin(reading)
        over = threading.Event()
        has_bar = self.console.is_terminal and not self.options.log_lines
        stage = reading.look(time.monotonic())
        shown = Bar(self.console, stage) if has_bar else nullcontext()
        try:
            with shown as bar, listening(watch):
                watcher = threading.Thread(
                    target=self._follow, args=(reading, over, bar), name="progress", daemon=True
                )
                watcher.start()
                try:
                    yield watch
                finally:
                    over.set()
                    watcher.join()
                    stage = reading.look(time.monotonic(), is_over=True)
                    if bar is not None:
                        bar.update(stage)
        except BaseException as error:
            self._finish(stage, error)
            raise
        self._finish(stage, None)

    def _begin(self, reading: Reading) -> None:
        stage = reading.look(time.monotonic())
        # An error of an earlier stage was dealt with, or there would be no further one.
        self._run = replace(self._run, stage=stage, error=None)
        self._log("stage_begin", **stage_fields(stage, METER.read_all()))
        self._hurry()

    def _follow(self, reading: Reading, over: threading.Event, bar: Bar | None) -> None:
        """Looks at the meter until the stage is over."""
        lines = Regularly(time.monotonic(), PLAIN_LINE_S)
        logs = Regularly(time.monotonic(), LOG_LINE_S)
        while not over.wait(_BAR_S if bar is not None else _LOOK_S):
            now = time.monotonic()
            stage = reading.look(now)
            self._run = replace(self._run, stage=stage)
            if bar is not None:
                bar.update(stage)
            elif self.options.log_lines:
                if logs.is_due(now):
                    self._log("progress", **stage_fields(stage, METER.read_all()))
            elif lines.is_due(now):
                self.say(stage_line(stage))

    def _finish(self, stage: WatchedStage, error: BaseException | None) -> None:
        title = stage.title
        self.seconds[title] = self.seconds.get(title, 0.0) + stage.seconds
        told = None if error is None else first_line(error)
        self._run = replace(self._run, stage=stage, error=told)
        self._log("stage_end", **stage_fields(stage, METER.read_all()), error=told)
        if not self.console.is_terminal and not self.options.log_lines:
            self.say(stage_line(stage))
        self._hurry()

    def _hurry(self) -> None:
        if self._heart is not None:
            self._heart.hurry()

    def _log(self, event: str, **details: object) -> None:
        if self.options.log_lines:
            write_line(self.console.file, self._wall(), self._run.run, event, details)

    def _end_unsaid(self) -> None:
        """At the end of the process, where nobody said how the run ended."""
        self.end()


class Regularly:
    """Says when something is due that is done every so many seconds."""

    def __init__(self, now: float, every_s: float) -> None:
        self._next, self._every_s = now + every_s, every_s

    def is_due(self, now: float) -> bool:
        """Whether it is time; if so, the next time is reckoned from now."""
        if now < self._next:
            return False
        self._next = now + self._every_s
        return True


def first_line(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, KeyboardInterrupt):
        # What the command line raised it for; Beam adds the name of its step.
        signal = str(error).partition(" ")[0]
        return f"interrupted by {signal or 'Ctrl-C'}"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _first_record(now: float) -> WatchedRun:
    host = socket.gethostname()
    begun = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return WatchedRun(
        run=f"{begun}-{re.sub(r'[^A-Za-z0-9.-]', '_', host)}-{os.getpid()}",
        state=RUNNING,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        host=host,
        pid=os.getpid(),
        workspace="",
        started=now,
        beat=now,
        beat_seconds=0.0,
    )
