"""The lease: one run at a time writes into a workspace.

Two runs at once cannot spoil a result, since every commit is created only if absent; but both would
crawl the same pages and pay for the same tokens. So whoever writes holds the lease.

    leases/00007.json           who holds it: created only if absent, so one of two wins
    leases/00007.beat           a number that its thread changes every 15 seconds
    leases/00007.released.json  it is done

The highest number counts; whoever creates the next one holds the workspace. That needs no rename,
no delete and no lock of the store, and holds on local disks, s3:// and gs:// alike.

A holder is gone when its process is: on its own machine that is seen at once (boot, process number
and start of the process must all fit, so that a number used again deceives nobody), from another
machine by its beat, which a waiter must see unchanged for three minutes of its own clock. Clocks of
two machines are never compared, and time in which the waiter itself could not look does not count.
A holder that was taken for dead (a laptop that slept) learns of it by `Lease.check`, which the
driver calls before every stage.
"""

import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

Say = Callable[[str], None]

BEAT_S: Final = 15.0
"""Between two signs of life: 240 small writes an hour, about a tenth of a cent on S3 ($5 a
million), and the listings that go with them."""
SILENT_S: Final = 180.0
"""Without a sign of life another machine may take over; longer than a store is usually away."""
_KEPT: Final = 10  # past leases that stay, to be looked at
_FOLDER: Final = "leases"
_TELL_AGAIN_S: Final = 60.0


class WorkspaceHeld(RuntimeError):
    """Another run holds the workspace."""


class LeaseLost(RuntimeError):
    """Another run has taken over the workspace while this one gave no sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, so that it is never taken for another one."""

    host: str
    machine: str
    """Boot and process namespace: equal means that process numbers can be compared."""
    pid: int
    started: str
    """When the process started, in the kernel's own count; a number used again has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What a lease file says."""

    token: str
    process: Process
    what: str
    since: str
    """UTC by the clock of its host; shown, never compared."""
    silent_s: float = SILENT_S
    """Without a sign of life for so long, it may be taken for dead."""

    @property
    def told(self) -> str:
        """Who it is, for a message."""
        one = self.process
        return f"`{self.what}` (process {one.pid} on {one.host}, since {self.since} by its clock)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How often a holder gives a sign of life, and how long it may give none."""

    beat_s: float = BEAT_S
    silent_s: float = SILENT_S
    poll_s: float = 5.0
    """Between two looks of a waiter; a fifth of it on a local disk."""


class Lease:
    """The right to write into a workspace, while it lasts."""

    def __init__(self, storage: Storage, number: int, holder: Holder, terms: Terms) -> None:
        self.number, self.holder = number, holder
        self._storage, self._terms = storage, terms
        self._stop = threading.Event()
        self._lost: str | None = None
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Makes sure that this run still holds the workspace; costs a listing and a small read.

        Raises:
            LeaseLost: Another one does. What was committed stays and is right; to go on would only
                do its work twice.
        """
        if self._lost is None:
            self._lost = self._usurper()
        if self._lost is not None:
            raise LeaseLost(
                f"{self._storage.url} is no longer held by this run: {self._lost}. What this run "
                "has committed stays and is used; it stops here, so that nothing is done twice. "
                "Run the command again when the other one is done"
            )

    def release(self) -> None:
        """Lets others in. Does nothing in a forked child, and for a lease that is lost."""
        self._stop.set()
        if os.getpid() != self.holder.process.pid or self._lost is not None:
            return
        self._thread.join(timeout=self._terms.poll_s)
        at = json.dumps({"token": self.holder.token, "at": _now()}).encode()
        self._storage.create(_path(self.number, "released.json"), at)

    def _usurper(self) -> str | None:
        """Who holds the workspace in place of this run, or what became of its lease."""
        last = max(_numbers(self._storage), default=0)
        if last > self.number:
            taker = _holder(self._storage, last)
            return f"{taker.told} has taken it over" if taker else "another run has taken it over"
        mine = _holder(self._storage, self.number)
        if mine is None or mine.token != self.holder.token:
            return f"its {_path(self.number)} was removed"
        return None

    def _beat(self) -> None:
        path, count = _path(self.number, "beat"), 0
        while not self._stop.wait(self._terms.beat_s):
            count += 1
            # A beat that cannot be written is no reason to stop work: `check` tells the truth.
            with suppress(OSError, ValueError, WorkspaceHeld):
                self._storage.replace(path, f"{count} {_now()}\n".encode())
                self._lost = self._usurper()
            if self._lost is not None:
                return


@contextmanager
def hold(
    workspace: Workspace,
    *,
    what: str,
    wait_s: float = 0.0,
    say: Say = print,
    me: Process | None = None,
    terms: Terms = Terms(),
) -> Iterator[Lease]:
    """Holds a workspace for as long as the block runs.

    Whether a holder on this machine lives is known at once. One on another machine is watched until
    it gives a sign of life, or has given none for three minutes and is taken for dead; this is done
    also with `wait_s=0`, so that a run which is started again elsewhere need not be told to wait.

    Args:
        workspace: One that exists.
        what: The command, as others will read it.
        wait_s: How long to wait for a holder that lives.
        say: Takes one line: who is waited for, from whom it was taken over.
        me: Who asks; this process by default.
        terms: Of the lease.

    Yields:
        The lease; call its `check` before work that costs.

    Raises:
        WorkspaceHeld: Another run holds it, and lives.
    """
    lease = _Waiter(workspace.storage, what, say, me or this_process(), terms).take(wait_s)
    try:
        yield lease
    finally:
        lease.release()


class _Waiter:
    """Looks at the lease until it is free, or known to be held for longer than one may wait."""

    def __init__(self, storage: Storage, what: str, say: Say, me: Process, terms: Terms) -> None:
        self._storage, self._me, self._terms, self._say = storage, me, terms, say
        self._mine = Holder(
            token=uuid.uuid4().hex, process=me, what=what, since=_now(), silent_s=terms.silent_s
        )
        self._poll_s = min(terms.poll_s / (5 if storage.is_local else 1), terms.beat_s / 3)
        self._watched: tuple[int, bytes] | None = None  # number of the lease, its beat
        self._silent_s = 0.0
        self._looked = self._told = -_TELL_AGAIN_S
        self._beats_seen = 0

    def take(self, wait_s: float) -> Lease:
        """The lease.

        Raises:
            WorkspaceHeld: Its holder lives, and `wait_s` are over.
        """
        deadline = time.monotonic() + wait_s
        while True:
            last = max(_numbers(self._storage), default=0)
            lives = self._lives(last)
            if lives is False:
                lease = self._claim(last + 1)
                if lease is not None:
                    return lease
                continue
            if lives is True and time.monotonic() >= deadline:
                raise WorkspaceHeld(self._refusal(last))
            self._tell(last, lives)
            time.sleep(self._poll_s)

    def _lives(self, number: int) -> bool | None:
        """Whether a lease is held by one that lives; None while that is not known."""
        if not number or self._storage.exists(_path(number, "released.json")):
            return False
        holder = _holder(self._storage, number)
        if holder is None:  # removed meanwhile; the next listing knows
            return None
        if holder.process.machine == self._me.machine:
            gone = state_of(holder.process) == "gone"
            if gone:
                self._say(f"{holder.told} is gone; going on from where it was")
            return not gone
        return self._gives_signs(number, holder)

    def _gives_signs(self, number: int, holder: Holder) -> bool | None:
        """Whether a holder on another machine has given a sign of life since we look."""
        now = time.monotonic()
        seen = (number, _beat_of(self._storage, number))
        if self._watched is None or self._watched[0] != number:
            self._silent_s, self._beats_seen = 0.0, 0
        elif seen != self._watched:
            self._silent_s, self._beats_seen = 0.0, self._beats_seen + 1
        else:
            # Time in which we slept, or the store was away, says nothing about the holder.
            self._silent_s += min(now - self._looked, 2 * self._poll_s)
        self._watched, self._looked = seen, now
        if self._silent_s >= holder.silent_s:
            self._say(
                f"{holder.told} has given no sign of life for {self._silent_s:.0f} s; "
                "going on from where it was"
            )
            return False
        return True if self._beats_seen else None

    def _claim(self, number: int) -> Lease | None:
        """Creates the next lease; None where another one was faster.

        Raises:
            ValueError: The store overwrites where it was asked to create.
        """
        data = json.dumps(asdict(self._mine)).encode()
        if not self._storage.create(_path(number), data):
            return None
        if self._storage.create(_path(number), data + b"\n"):
            raise ValueError(
                f"{self._storage.url} is on a store that overwrites a file although it was asked "
                "to create it only if it is absent (If-None-Match); commits would not be safe. "
                "Use a newer release of the store, another one, or a local disk"
            )
        numbers = _numbers(self._storage)
        if max(numbers) > number:  # what we looked at was long past, and is tidied away
            _remove(self._storage, number)
            return None
        for old in sorted(numbers):
            if old <= number - _KEPT:
                _remove(self._storage, old)
        return Lease(self._storage, number, self._mine, self._terms)

    def _tell(self, number: int, lives: bool | None) -> None:
        if time.monotonic() - self._told < _TELL_AGAIN_S:
            return
        self._told = time.monotonic()
        holder = _holder(self._storage, number)
        if holder is None:
            return
        if lives is None:
            self._say(
                f"{self._storage.url} is held by {holder.told}; watching for up to "
                f"{holder.silent_s:.0f} s whether it still gives signs of life"
            )
        else:
            self._say(f"waiting for {holder.told}, which holds {self._storage.url}")

    def _refusal(self, number: int) -> str:
        holder = _holder(self._storage, number)
        if holder is None:
            return f"{self._storage.url} is in use; try again"
        one = holder.process
        sign, stop = "it has just given a sign of life", f"stop it there (kill {one.pid})"
        if one == self._me:
            sign, stop = "that is this very process", "end that first"
        elif one.machine == self._me.machine:
            beat = _beat_of(self._storage, number).decode(errors="replace").split(" ", 1)[1:]
            sign = f"last sign of life {beat[0].strip()}" if beat else "its process runs"
            stop = f"stop it (kill {one.pid})"
            if state_of(one) == "stopped":
                sign, stop = "its process is suspended", f"let it go on (kill -CONT {one.pid})"
        return (
            f"{self._storage.url} is in use by {holder.told}; {sign}. Wait for it with --wait, or "
            f"{stop}: what it has committed stays"
        )


def this_process() -> Process:
    """Who we are."""
    pid = os.getpid()
    return Process(host=socket.gethostname(), machine=_machine(), pid=pid, started=_started(pid)[0])


def state_of(one: Process) -> str:
    """`running`, `stopped` or `gone`, of a process of this machine."""
    started, state = _started(one.pid)
    if started != one.started or state in "ZX":  # killed, and its parent has not looked yet
        return "gone"
    return "stopped" if state in "Tt" else "running"


@cache
def _machine() -> str:
    """This boot and its process namespace; two containers of one host have different ones."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux: the network card and the boot time, as the kernel gives it
        sysctl = subprocess.run(
            ["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=False
        )
        return f"{uuid.getnode():012x} {sysctl.stdout.strip()}"


def _started(pid: int) -> tuple[str, str]:
    """When a process started and its state letter, as `ps` names them; empty where there is none.

    From /proc/<pid>/stat (proc(5)): field 22 counts clock ticks since boot, whatever the clock of
    the wall does; field 3 is the state. The name before them may hold blanks and brackets.
    """
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return "", "X"
        return fields[19], fields[0]
    told = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    ).stdout.split(maxsplit=1)
    return (told[1].strip(), told[0][0]) if len(told) > 1 else ("", "X")


def _path(number: int, suffix: str = "json") -> str:
    return f"{_FOLDER}/{number:05d}.{suffix}"


def _numbers(storage: Storage) -> set[int]:
    """Numbers of all leases that are there."""
    names = (path.rpartition("/")[2] for path in storage.files(_FOLDER))
    return {int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()}


def _holder(storage: Storage, number: int) -> Holder | None:
    """Who holds a lease; None where its file is not there, or says nothing."""
    try:
        raw = json.loads(storage.read(_path(number)))
        return Holder(**{**raw, "process": Process(**raw["process"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise WorkspaceHeld(
            f"{storage.url}/{_path(number)} does not say who holds the workspace ({error}); if "
            "no run is under way, remove that file"
        ) from error


def _beat_of(storage: Storage, number: int) -> bytes:
    try:
        return storage.read(_path(number, "beat"))
    except FileNotFoundError:
        return b""


def _remove(storage: Storage, number: int) -> None:
    for suffix in ("beat", "released.json", "json"):
        with suppress(FileNotFoundError):
            storage.remove(_path(number, suffix))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
