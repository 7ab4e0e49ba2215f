"""Runs a command and leaves nothing of it behind: no process that would hold a GPU.

A model server is a tree of processes, and those that hold the memory of the GPU outlive the one
that is killed. So a guardian stands between tokenmill and the server: it is the reaper of all that
the server starts, those that began a session of their own too, and ends them when the server ends,
when its owner asks for it, and when the owner dies in whatever way: the pipe that is its standard
input then closes. Linux only, as GPU servers are.

    python guardian.py SECONDS COMMAND...

The process id of the command is the first line of output; all else goes to standard error. The exit
code is the command's (128 + signal where one ended it), 127 where it could not be started. This
file is run by its path and imports the standard library only, so that it starts in milliseconds.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

CANNOT_START: Final = 127

_PR_SET_PDEATHSIG: Final = 1  # numbers of linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36
_LOOK_S: Final = 0.05


def main(argv: list[str]) -> int:
    """Runs `argv[1:]`; at its end, all that it started gets `argv[0]` seconds to end by itself."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe alone says when to end

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    try:
        child = subprocess.Popen(
            argv[1:], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True,
            preexec_fn=in_child,
        )  # fmt: skip
    except OSError as error:
        print(f"{argv[1]} cannot be started: {error}", file=sys.stderr, flush=True)
        return CANNOT_START
    print(child.pid, flush=True)
    os.close(1)
    ended = _wait(child)
    if not ended:
        os.killpg(child.pid, signal.SIGTERM)
        ended = _exits(child.pid, float(argv[0]))
    _end_all(child)
    code = child.returncode
    return code if code >= 0 else 128 - code


def _wait(child: "subprocess.Popen[bytes]") -> bool:
    """Waits for the end of the command or of standard input; whether it was the command's."""
    watched = os.pidfd_open(child.pid)
    try:
        ready, _, _ = select.select([watched, 0], [], [])
        return watched in ready
    finally:
        os.close(watched)


def _exits(pid: int, seconds: float) -> bool:
    watched = os.pidfd_open(pid)
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def _end_all(child: "subprocess.Popen[bytes]") -> None:
    """Kills what is left. What a killed process leaves becomes a child of this one."""
    while True:
        for pid in _children():
            _kill(pid)
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
        if pid == 0:
            time.sleep(_LOOK_S)


def _children() -> list[int]:
    """Processes whose parent is this one, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name in brackets may hold spaces and brackets; the parent is the second behind it.
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == os.getpid():
            found.append(int(entry.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
