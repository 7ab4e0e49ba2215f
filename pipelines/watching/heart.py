"""Beats for a run: a thread that writes what is known of it every few seconds, to its end.

Writing never ends a run, nor holds it up: a store that is away costs beats, which is said once.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from pipelines.watching.beats import forget_old, write_record
from pipelines.watching.exposition import write_exposition
from pipelines.watching.states import WatchedRun
from pipelines.workspace.storage import Storage

LOCAL_S: Final = 3.0
STORE_S: Final = 15.0
"""A store is asked for money by the request."""
PROMETHEUS_S: Final = 10.0
_LAST_S: Final = 20.0


class Heart:
    """Writes the record of a run while it is open."""

    def __init__(
        self,
        storage: Storage,
        prometheus: Path | None,
        record: Callable[[], WatchedRun],
        say: Callable[[str], None],
    ) -> None:
        """Args:
        storage: Of the workspace.
        prometheus: A file for Prometheus.
        record: Gives what is known now.
        say: Takes what goes wrong.
        """
        self._storage, self._prometheus = storage, prometheus
        self._record, self._say = record, say
        self._every_s = LOCAL_S if storage.is_local else STORE_S
        self._next_metrics = 0.0
        self._faults: set[str] = set()
        self._over, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def start(self) -> None:
        """Begins; the first beat is written at once."""
        self._thread.start()

    def hurry(self) -> None:
        """Has the next beat written now: a stage began or ended."""
        self._wake.set()

    def stop(self) -> None:
        """Writes the last record and ends."""
        self._over.set()
        self._wake.set()
        self._thread.join(_LAST_S)

    def write(self) -> None:
        """Writes all that is due."""
        record = replace(self._record(), beat_seconds=self._every_s)
        self._guarded("progress of this run", lambda: write_record(self._storage, record))
        path, now = self._prometheus, time.monotonic()
        if path is not None and (self._over.is_set() or now >= self._next_metrics):
            self._next_metrics = now + PROMETHEUS_S
            self._guarded(f"--prometheus {path}", lambda: write_exposition(path, record))

    def _beat(self) -> None:
        self._guarded("old files of progress/", lambda: forget_old(self._storage))
        while not self._over.is_set():
            self.write()
            self._wake.wait(self._every_s)
            self._wake.clear()
        self.write()

    def _guarded(self, what: str, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # each store has errors of its own
            if what not in self._faults:
                self._faults.add(what)
                self._say(f"note: {what} cannot be written ({error}); the run goes on")
        else:
            self._faults.discard(what)
