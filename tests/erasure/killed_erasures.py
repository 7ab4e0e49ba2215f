"""Erases a workspace and kills itself (SIGKILL) at given writes; then goes on, each time.

`killed_erasures.py WORKSPACE SCRATCH [NUMBER ...]`

A write is anything that changes the workspace: publishing, creating, replacing, removing a file.
Prints a JSON object a line: the number of the write (0: not killed), whether the plan of an erasure
was there after the kill, and what the ledger held in the end. Without numbers all writes are tried.
Processes are forked, because importing takes longer than erasing.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime, tzinfo
from itertools import count
from pathlib import Path
from typing import Any

from pipelines.erasure.erasing import erase
from pipelines.erasure.swap import is_unfinished
from pipelines.workspace import storage as storages
from pipelines.workspace.workspace import Workspace

AT = "2026-01-02T03:04:05+00:00"


class StoppedClock(datetime):
    """Archives say when something was erased, and the hashes of two erasures are compared."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "StoppedClock":
        """Always the same."""
        return cls.fromisoformat(AT)


def in_child(work: Callable[[], None]) -> int:
    """Runs something in a fork; gives how it ended."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def erase_and_die(workspace: str, number: int) -> None:
    """Dies before the n-th write; 0: never. Tells how many there were in `writes`."""
    numbers = count(1)
    seen = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any) -> Any:  # noqa: ANN401 - whatever storage takes
            nonlocal seen
            seen = next(numbers)
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)

        return write

    for name in ("publish", "create", "replace", "remove"):
        real = getattr(storages.Storage, name)
        setattr(storages.Storage, name, counted(real))
    erase(Workspace.open(workspace), "a letter")
    Path(f"{workspace}.writes").write_text(str(seen))


def state(workspace: Path | str) -> str:
    """Hash over all that the ledger names and holds, but for when and how long."""
    ledger = Workspace.open(str(workspace)).ledger
    told = []
    for name in ledger.generations():
        for entry in ledger.entries(name):
            files = [(ref.kind, ref.path, ref.sha256) for ref in entry.files]
            if name.startswith("erase@"):
                files = [(ref.kind, ref.rows) for ref in entry.files]  # type: ignore[misc]
            told.append((name, entry.source, entry.part, files, dict(entry.counts)))
    return hashlib.sha256(repr(told).encode()).hexdigest()


def main() -> None:
    """See the module."""
    workspace, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    import pipelines.erasure.erasing as erasing

    erasing.datetime = StoppedClock  # type: ignore[misc]
    shutil.copytree(workspace, scratch / "before")
    in_child(lambda: erase_and_die(str(workspace), 0))
    writes = int(Path(f"{workspace}.writes").read_text())
    in_child(lambda: print(json.dumps([0, writes, state(workspace)]), flush=True))
    for number in [int(n) for n in sys.argv[3:]] or range(1, writes + 1):
        shutil.rmtree(workspace)
        shutil.copytree(scratch / "before", workspace)
        ended = in_child(lambda n=number: erase_and_die(str(workspace), n))  # type: ignore[misc]
        assert os.WTERMSIG(ended) == signal.SIGKILL, f"write {number} of {writes}: {ended}"
        was_begun = is_unfinished(Workspace.open(str(workspace)).storage)
        ended = in_child(lambda: erase_and_die(str(workspace), 0))
        assert not ended, f"write {number}: went on with {ended}"
        found = json.dumps([number, was_begun])
        in_child(lambda f=found: print(json.dumps([*json.loads(f), state(workspace)]), flush=True))


if __name__ == "__main__":
    main()
