"""Servers that live no longer than the program that started them, for trying runners by hand.

Each server is a process group of its own with a log file. It is asked to end (SIGTERM to the group)
when the block is left, made to (SIGKILL) when it does not, and the kernel asks it to end when the
program itself is killed (PR_SET_PDEATHSIG, see prctl(2)), so that no test leaves a cluster behind.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


class ServerError(RuntimeError):
    """A server that ended, or that did not open its port in time."""


class Servers:
    """Started one by one, stopped together in reverse order."""

    def __init__(self, logs: Path) -> None:
        """Args:
        logs: Folder for `<name>.log`; made where it is missing.
        """
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout_s: float = 60.0,
    ) -> "subprocess.Popen[bytes]":
        """Starts a server and waits until it listens.

        Args:
            name: Of the server, and of its log.
            command: Program and arguments.
            env: Set beside what this process has.
            port: On 127.0.0.1; None where there is nothing to wait for.
            timeout_s: To wait at most.

        Raises:
            ServerError: It ended, or did not listen in time; with the end of its log.
        """
        with (self.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                list(command),
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._running.append((name, process))
        if port is not None:
            self._await_port(name, process, port, timeout_s)
        return process

    def log(self, name: str) -> str:
        """What a server has written so far."""
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """Ends all that still runs, the last first."""
        for _, process in reversed(self._running):
            _signal(process, signal.SIGTERM)
        for _, process in reversed(self._running):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                pass
            _signal(process, signal.SIGKILL)  # also what is left of its group
            process.wait()
        self._running.clear()

    def _await_port(
        self, name: str, process: "subprocess.Popen[bytes]", port: int, timeout_s: float
    ) -> None:
        end = time.monotonic() + timeout_s
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        state = "does not listen" if process.poll() is None else f"ended with {process.returncode}"
        raise ServerError(f"{name} {state} (port {port}):\n{self.log(name)[-4000:]}")


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pathing_jar(path: Path, main_class: str, jars: Iterable[Path]) -> Path:
    """Writes a jar with no classes, which `java -jar` starts with the classes of other jars.

    Beam starts a job server by one jar. Where that is not at hand as such, this makes one of the
    jars that Maven gathered; they stay where they are.

    Args:
        path: Of the jar to write.
        main_class: What it starts.
        jars: Its class path, in order.
    """
    urls = " ".join(jar.resolve().as_uri() for jar in jars)
    lines = ["Manifest-Version: 1.0", f"Main-Class: {main_class}", f"Class-Path: {urls}"]
    # Lines have at most 72 bytes; the next goes on behind one space (JAR file specification).
    folded = [
        part
        for line in lines
        for part in (line[:70], *(" " + line[at : at + 69] for at in range(70, len(line), 69)))
    ]
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "\n".join(folded) + "\n\n")
    return path


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # all of the group has ended
