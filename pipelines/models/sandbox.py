"""The sandbox for generated code: what is run, under which limits, and what came of it.

What models write is hostile until shown otherwise, so it runs where it can reach nothing. Layers,
each of which would do alone against most of what is tried in tests/models/attacks:

    namespaces   no network, no other process, no /proc, own IPC; root of read-only folders: the
                 interpreter, its standard library, the C library (`sandbox_view`)
    user         an unprivileged one, in a user namespace of its own, without any capability, and
                 none can be gained
    Landlock     the same folders once more, by path; no TCP, no signals out (kernels that have it)
    seccomp      no calls that reach for the kernel's rarely tested parts (`sandbox_filter`)
    limits       address space, processes, open files, size and number of files by the kernel;
                 memory and CPU time of all processes together by the keeper (`sandbox_launcher`);
                 time and output by the worker (`sandbox_process`)

bubblewrap makes namespaces and root where it is installed and works; otherwise our own launcher
does. Memory is limited without control groups, which ordinary users and containers rarely may
write: what all processes hold is counted 50 times a second, so for a moment they can hold more
than their limit, up to `processes` times it. A hole in the kernel itself, and what the timing of a
shared machine gives away, are beyond this
sandbox; a virtual machine around the worker is the answer to those.
"""

import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipelines.models.sandbox_bubblewrap import bubblewrap_command
from pipelines.models.sandbox_filter import PIVOT_ROOT, seccomp_filter
from pipelines.models.sandbox_process import (
    INNER_USER,
    Ending,
    Ground,
    SandboxError,
    orders,
    run,
)
from pipelines.models.sandbox_values import CodeLimits, CodeResult, CodeRun, Outcome
from pipelines.models.sandbox_view import View, standard_view

__all__ = [
    "CodeLimits",
    "CodeResult",
    "CodeRun",
    "Outcome",
    "Sandbox",
    "SandboxError",
    "open_sandbox",
]

BackEnd = Literal["bubblewrap", "namespaces"]
_BACK_ENDS: Final[tuple[BackEnd, ...]] = ("bubblewrap", "namespaces")
_OLDEST_KERNEL: Final = (5, 14)
"""Mounts by descriptor came with 5.12; processes are counted per user namespace since 5.14."""
_CAP_SYS_ADMIN: Final = 21


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs programs; may be used by many threads at once."""

    name: BackEnd
    """What makes the namespaces."""
    landlock: int
    """Version of Landlock's interface; 0: the kernel has none, and one layer is missing."""
    _program: str | None
    _privileged: bool

    def run(self, code: CodeRun) -> CodeResult:
        """Runs one program to its end or to its limits; blocks.

        Raises:
            SandboxError: The sandbox could not be built; never what the program did.
            ValueError: A package that it asks for is not installed.
        """
        view = standard_view().with_packages(code.packages)
        ground = self._ground(view)
        files = {name: text.encode(errors="surrogatepass") for name, text in code.files.items()}
        told = orders(ground, view, files, code.command, code.limits)
        stdin = code.stdin.encode(errors="surrogatepass")
        ending = run(ground, view.interpreter, told, stdin, code.limits)
        return _result(ending, code.limits)

    def _ground(self, view: View) -> Ground:
        machine = os.uname().machine
        command: list[str] = []
        if self._program is not None:
            command = bubblewrap_command(
                self._program, view, privileged=self._privileged, inner=INNER_USER
            )
        return Ground(
            back_end=self.name,
            command=tuple(command),
            privileged=self._privileged,
            landlock=self.landlock,
            seccomp=seccomp_filter(machine),
            pivot_root=PIVOT_ROOT[machine],
        )


def _result(ending: Ending, limits: CodeLimits) -> CodeResult:
    stdout, stderr = (
        ending.streams[name].decode(errors="replace") for name in ("stdout", "stderr")
    )
    exit_code = None
    outcome: Outcome
    if ending.why == "ended":
        code = os.waitstatus_to_exitcode(ending.status)
        exit_code = code if code >= 0 else None
        outcome = _outcome(code, ending.cpu_seconds >= limits.cpu_seconds, stderr)
    else:
        outcome = _ENDED_BY[ending.why]
    return CodeResult(
        outcome=outcome,
        exit_code=exit_code,
        stdout=stdout,
        stderr=stderr,
        seconds=ending.seconds,
    )


_ENDED_BY: Final[dict[str, Outcome]] = {
    "seconds": "timed_out",
    "cpu": "timed_out",
    "memory": "out_of_memory",
    "processes": "killed",
    "output": "output_limit",
    "lost": "killed",
}


def _outcome(code: int, no_time_left: bool, stderr: str) -> Outcome:
    if code == 0:
        return "ok"
    if code > 0:
        last = stderr.rstrip().rpartition("\n")[2]
        return "out_of_memory" if last.startswith("MemoryError") else "failed"
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and no_time_left):
        return "timed_out"
    return "killed"


def open_sandbox(back_end: BackEnd | None = None) -> Sandbox:
    """Finds the sandbox of this machine and tries it.

    Args:
        back_end: Only this one; default: bubblewrap where it works, otherwise namespaces.

    Raises:
        SandboxError: There is none; the message says what is missing and what to do.
    """
    _check_system()
    privileged = _is_privileged()
    landlock = _landlock_version()
    failures = []
    for name in (back_end,) if back_end else _BACK_ENDS:
        program = shutil.which("bwrap") if name == "bubblewrap" else None
        if name == "bubblewrap" and program is None:
            failures.append("bubblewrap: bwrap is not on the PATH")
            continue
        if name == "namespaces" and not landlock:
            failures.append(
                "namespaces: the kernel has no Landlock, which our own launcher relies on; start it"
                " with lsm=landlock,... or install bubblewrap"
            )
            continue
        sandbox = Sandbox(name, landlock, program, privileged)
        try:
            found = sandbox.run(CodeRun(files={"main.py": "print(6 * 7)"}))
        except SandboxError as error:
            failures.append(f"{name}: {error}")
            continue
        if found.outcome == "ok" and found.stdout == "42\n":
            return sandbox
        failures.append(f"{name}: a first program ended as {found.outcome}: {found.stderr[-500:]}")
    raise SandboxError(
        "no sandbox for generated code on this machine, so nothing that runs code is started.\n  "
        + "\n  ".join(failures)
        + _advice(privileged)
    )


def _check_system() -> None:
    if sys.platform != "linux":
        raise SandboxError(
            f"generated code is run only on Linux, this is {sys.platform}: use a Linux machine or"
            " a virtual one (on macOS: Lima, Docker Desktop)"
        )
    system = os.uname()
    version = tuple(int(one) for one in system.release.split("-")[0].split(".")[:2])
    if version < _OLDEST_KERNEL:
        raise SandboxError(
            f"the sandbox needs Linux {'.'.join(map(str, _OLDEST_KERNEL))} or later, this is"
            f" {system.release}"
        )
    try:
        seccomp_filter(system.machine)
    except ValueError as error:
        raise SandboxError(str(error)) from None


def _is_privileged() -> bool:
    """Whether this is a root that may make namespaces and become nobody.

    Root of a user namespace without that user works as an ordinary user does.
    """
    if os.geteuid() != 0:
        return False
    effective = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if not effective or not int(effective[1], 16) >> _CAP_SYS_ADMIN & 1:
        return False
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(int(first) <= INNER_USER < int(first) + int(count) for first, _, count in ranges)


def _landlock_version() -> int:
    """Version of Landlock's interface (landlock(7)); 0 where the kernel has none or it is off."""
    import ctypes

    create, ask_version = 444, 1
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(ctypes.c_long(create), None, ctypes.c_size_t(0), ask_version)))


_SWITCHES: Final = {
    "kernel/unprivileged_userns_clone": (0, "sysctl kernel.unprivileged_userns_clone=1"),
    "user/max_user_namespaces": (0, "sysctl user.max_user_namespaces=10000"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        1,
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or install bubblewrap with its"
        " AppArmor profile",
    ),
}
"""Switch below /proc/sys -> (value that forbids, what to do)."""


def _advice(privileged: bool) -> str:
    """What on this machine forbids namespaces, as far as it can be read off."""
    advice = []
    for name, (forbids, remedy) in _SWITCHES.items():
        path = Path("/proc/sys", name)
        if path.exists() and int(path.read_text()) == forbids:
            advice.append(f"{name.replace('/', '.')} is {forbids}: {remedy}")
    if not privileged and os.geteuid() == 0:
        advice.append("this root lacks CAP_SYS_ADMIN or the user 65534: start as an ordinary user")
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        advice.append(
            "in a container: start it with --security-opt seccomp=unconfined --security-opt"
            " systempaths=unconfined (and apparmor=unconfined), or --privileged"
        )
    return "".join(f"\n  {one}" for one in advice)
