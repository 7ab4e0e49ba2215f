"""The file by which a run is seen from another terminal: `progress/<run>.json`.

The driver writes it anew every few seconds. It is nobody's data: not in the ledger, not audited,
free to delete. A run that was killed cannot say so; it is told by its process, where that is on
this machine, and by the time since its last beat elsewhere.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Final

from pipelines.watching.states import RUNNING, WatchedRun
from pipelines.workspace.storage import Storage

FOLDER: Final = "progress"
KEPT: Final = 30
"""Files that stay; older ones go when a run begins."""
_LATE_BEATS: Final = 2
_SILENT_BEATS: Final = 4
_LEAST_SILENCE_S: Final = 60.0
"""Clocks of two machines differ, and a store may be away for half a minute."""


def path_of(run: str) -> str:
    """Where the record of a run stands."""
    return f"{FOLDER}/{run}.json"


def write_record(storage: Storage, record: WatchedRun) -> None:
    """Writes the file as a whole.

    Raises:
        OSError: It cannot be written.
    """
    storage.replace(path_of(record.run), record.to_json() + b"\n")


def read_records(storage: Storage) -> list[WatchedRun]:
    """The records of a workspace, newest last; what cannot be read is passed over."""
    found = []
    for path in _files(storage):
        try:
            found.append(WatchedRun.from_json(storage.read(path)))
        except (OSError, ValueError):  # removed meanwhile, or of a stranger
            continue
    return sorted(found, key=lambda record: record.started)


def forget_old(storage: Storage) -> None:
    """Removes all but the newest records; names begin with the time."""
    for path in _files(storage)[:-KEPT]:
        try:
            storage.remove(path)
        except FileNotFoundError:  # another driver did
            continue


def silence_of(
    record: WatchedRun,
    now: float | None = None,
    *,
    host: str | None = None,
    is_alive: Callable[[int], bool] | None = None,
) -> str | None:
    """Why a run that says it is running seems not to; None where it runs, or has said its end.

    Args:
        record: As it was read.
        now: Seconds of the epoch.
        host: The name of this machine.
        is_alive: Whether a process of this machine is there.
    """
    if record.state != RUNNING:
        return None
    silent = (time.time() if now is None else now) - record.beat
    # Containers may share the name of a host and not its processes, so a beat that came in time
    # is believed.
    if silent > _LATE_BEATS * record.beat_seconds and record.host == (host or socket.gethostname()):
        if not (is_alive or _is_alive)(record.pid):
            return f"there is no process {record.pid} on {record.host} any more"
    if silent > max(_LEAST_SILENCE_S, _SILENT_BEATS * record.beat_seconds):
        return f"no beat from {record.host} for {silent:.0f} s"
    return None


def _files(storage: Storage) -> list[str]:
    return [path for path in storage.files(FOLDER) if path.endswith(".json")]


def _is_alive(pid: int) -> bool:
    """Whether a process is there; one that ended and was not waited for is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True
