"""One run in the sandbox, seen from the worker: start, bounded output, deadline, verdict.

The worker holds the pipes and the clock, so nothing within can talk it out of either: output is
read up to a bound, and at the bound or the deadline the keeper (`sandbox_launcher`) is killed by
the host's number of it, and with it the whole namespace. That number comes from the kernel, which
translates it between namespaces in the credentials of a message (SCM_CREDENTIALS of unix(7)). The
call returns when the monitor has seen the keeper end, which is after the last process has.
"""

import fcntl
import inspect
import marshal
import math
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pipelines.models import sandbox_launcher
from pipelines.models.sandbox_values import CodeLimits
from pipelines.models.sandbox_view import PACKAGES, View

INNER_USER: Final = 65534
"""Number of the user and group within; also what root becomes outside (nobody)."""
_START_SECONDS: Final = 60.0
"""How long building a sandbox may take on an overloaded machine."""
_CHUNK: Final = 1 << 16
_INODES: Final = 4096
"""Files and folders that may exist in the work folder; each takes kernel memory."""
_OPEN_FILES: Final = 256
_ENVIRONMENT: Final = {
    "PATH": "/bin",
    "HOME": sandbox_launcher.WORK,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # sets print in the same order every time
}
_CREDENTIALS: Final = struct.Struct("iII")
"""pid, uid, gid."""
_LOADER: Final = (
    "import marshal, sys; given = int(sys.argv[1]);"
    " code, orders = marshal.load(open(given, 'rb'));"
    " space = {'__name__': 'sandbox_launcher'}; exec(marshal.loads(code), space);"
    " space['launch'](orders, int(sys.argv[2]))"
)


class SandboxError(RuntimeError):
    """There is no sandbox on this machine, or it could not be built; nothing was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is the same for all runs of a sandbox."""

    back_end: str
    command: tuple[str, ...]
    """Program that makes the namespaces and its arguments; empty: the launcher does it."""
    privileged: bool
    """Root that may make namespaces; each run is then done as nobody."""
    landlock: int
    """Version of Landlock's interface; 0: the kernel has none."""
    seccomp: bytes
    pivot_root: int
    """Number of this call."""


@dataclass(slots=True)
class Ending:
    """How a run came to its end."""

    why: str = ""
    """`ended`, or what ended it: seconds, cpu, memory, processes, output, lost."""
    status: int = 0
    """Wait status of the program, for `ended`."""
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    streams: dict[str, bytearray] = field(default_factory=dict)
    """stdout and stderr, cut at the bound."""


@lru_cache(maxsize=1)
def _launcher_code() -> bytes:
    source = inspect.getsource(sandbox_launcher)
    code = compile(source, "sandbox_launcher", "exec", optimize=2)
    return marshal.dumps(code)


def orders(
    ground: Ground,
    view: View,
    files: Mapping[str, bytes],
    command: tuple[str, ...],
    limits: CodeLimits,
) -> sandbox_launcher.Orders:
    """What the launcher is told; plain values, as `marshal` takes them."""
    environment = dict(_ENVIRONMENT)
    readable = [inside for _, inside in view.shown]
    if any(inside.startswith(PACKAGES) for inside in readable):
        environment["PYTHONPATH"] = PACKAGES
        readable.append(PACKAGES)  # imports list it
    # Beside the program one process of the same user is counted, the keeper; and the monitor, where
    # it is the launcher of an ordinary user.
    others = 2 if ground.back_end == "namespaces" and not ground.privileged else 1
    cpu_seconds = math.ceil(limits.cpu_seconds)
    resources = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_NPROC: limits.processes + others,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 1 << 16,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 256,
        resource.RLIMIT_STACK: 8 << 20,
    }
    return {
        "back_end": ground.back_end,
        "privileged": ground.privileged,
        "uid": INNER_USER,
        "shown": list(view.shown),
        "hidden": list(view.hidden),
        "links": list(view.links),
        "devices": list(view.devices),
        "readable": readable,
        "pivot_root": ground.pivot_root,
        "landlock": ground.landlock,
        "filter": ground.seccomp,
        "work_bytes": limits.file_bytes,
        "work_inodes": _INODES,
        "files": sorted(files.items()),
        "command": [view.interpreter, *command[1:]] if command[0] == "python" else list(command),
        "environment": environment,
        "resources": [
            *((kind, most, most) for kind, most in resources.items()),
            (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),  # a signal, then death
        ],
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": float(limits.cpu_seconds),
        "processes": limits.processes,
    }


def _sealed(name: str, content: bytes) -> int:
    """A memory file that nobody can write any more, read from its beginning."""
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(file), "wb") as writer:
        writer.write(content)
    os.lseek(file, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


def run(
    ground: Ground,
    interpreter: str,
    told: sandbox_launcher.Orders,
    stdin: bytes,
    limits: CodeLimits,
) -> Ending:
    """Runs one program to its end.

    Args:
        ground: How this machine's sandbox is made.
        interpreter: What runs the launcher.
        told: From `orders`.
        stdin: All of it.
        limits: Those of `told`.

    Raises:
        SandboxError: The sandbox could not be built.
    """
    with ExitStack() as stack:
        given = _sealed("orders", marshal.dumps((_launcher_code(), told)))
        stack.callback(os.close, given)
        reads = _sealed("stdin", stdin)
        stack.callback(os.close, reads)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(ours)
        stack.enter_context(theirs)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        launcher = (interpreter, "-I", "-S", "-c", _LOADER, str(given), str(theirs.fileno()))
        monitor = subprocess.Popen(
            [*ground.command, *launcher],
            stdin=reads,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(given, theirs.fileno()),
            env={},
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        with monitor:
            keeper = None
            try:
                keeper = _await_keeper(monitor, ours)
                return _follow(monitor, ours, keeper, limits)
            finally:
                if keeper is None:
                    monitor.kill()  # which is the end of a keeper, too
                else:
                    _kill(keeper)
                    os.close(keeper)


def _kill(keeper: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(keeper, signal.SIGKILL)


def _await_keeper(monitor: subprocess.Popen[bytes], ours: socket.socket) -> int:
    """Gives a descriptor of the keeper once all is ready; the program has not started then."""
    ours.settimeout(_START_SECONDS)
    try:
        message, credentials, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    except TimeoutError:
        raise SandboxError(f"the sandbox was not ready in {_START_SECONDS:.0f} s") from None
    if message != sandbox_launcher.HELLO:
        monitor.kill()
        _, errors = monitor.communicate()
        found = message.decode(errors="replace").removeprefix("failed ")
        told = errors.decode(errors="replace").strip()[-2000:]
        raise SandboxError("; ".join(one for one in (found, told) if one) or "it ended at once")
    pid, _, _ = _CREDENTIALS.unpack(credentials[0][2][: _CREDENTIALS.size])
    return os.pidfd_open(pid)  # it lives: it waits for our word


def _follow(
    monitor: subprocess.Popen[bytes], ours: socket.socket, keeper: int, limits: CodeLimits
) -> Ending:
    assert monitor.stdout
    assert monitor.stderr
    ending = Ending(streams={"stdout": bytearray(), "stderr": bytearray()})
    names = {monitor.stdout.fileno(): "stdout", monitor.stderr.fileno(): "stderr"}
    poller = select.poll()
    for descriptor in (*names, ours.fileno()):
        poller.register(descriptor, select.POLLIN)
    unread = len(names) + 1
    started = time.monotonic()
    ours.send(b"\n")
    while unread:  # until all who could write are dead
        left = started + limits.seconds - time.monotonic()
        if left <= 0 and not ending.why:
            _end(ending, keeper, "seconds")
        ready = poller.poll(None if ending.why else max(0.0, left) * 1000)
        for descriptor, _ in ready:
            name = names.get(descriptor)
            chunk = os.read(descriptor, _CHUNK)
            if name is None:
                _note(ending, keeper, chunk)
            elif not _keep(ending.streams[name], chunk, limits.output_bytes):
                _end(ending, keeper, "output")
            if not chunk:
                poller.unregister(descriptor)
                unread -= 1
    ending.seconds = time.monotonic() - started
    return ending


def _keep(stream: bytearray, chunk: bytes, most: int) -> bool:
    """Whether all of the chunk was kept."""
    room = most - len(stream)
    stream += chunk[:room]
    return len(chunk) <= room


def _end(ending: Ending, keeper: int, why: str) -> None:
    """Ends the run; too much output counts even when the program came to its end meanwhile."""
    if ending.why in ("", "ended"):
        ending.why = why
    _kill(keeper)


def _note(ending: Ending, keeper: int, message: bytes) -> None:
    """What the keeper says, or that it is gone."""
    if ending.why:
        return
    word, *numbers = message.decode().split() or ["lost"]
    if word == "failed":
        raise SandboxError(f"the keeper of the sandbox failed: {message.decode()}")
    ending.why = word
    if word == "ended":
        ending.status, ending.cpu_seconds = int(numbers[0]), float(numbers[1])
