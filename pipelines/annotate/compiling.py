"""Kernels that numba compiles at their first call: whether it will come to that, and how long.

Compiling takes up to a minute, once for an installation, and says nothing of how fast an annotator
is. So a command says beforehand that it takes a while, does it before work begins whose time is
limited, and the times of annotators are without it. Whether it will come to that is seen only where
something else has imported numba.
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from pipelines.annotate.registry import AnnotatorSpec

_NOTE: Final = (
    "note: the kernels of {} are compiled now, which takes up to a minute and is done once for an "
    "installation"
)
NOTE: Final = _NOTE.format("some annotators")
EXTRACT_NOTE: Final = _NOTE.format("extraction")
WARM: Final = "pipelines.annotate.warm"
"""The module that compiles the kernels of all built-in annotators."""

_tried: Final[set[str]] = set()
_compiling: Final = threading.Lock()


class CompileClock:
    """CPU seconds of this process in which numba compiled: a listener of its events.

    The event `numba:compile` is that of real compiling; code that comes from the cache on disk has
    none (numba's documentation, "Event API").
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._started = 0.0

    def notify(self, event: Any) -> None:  # noqa: ANN401 - numba has no types
        """Takes an event; a kernel that calls others compiles them within its own compiling."""
        if event.is_start:
            if self._depth == 0:
                self._started = time.process_time()
            self._depth += 1
        elif event.is_end:
            self._depth -= 1
            if self._depth == 0:
                self.seconds += time.process_time() - self._started


@contextmanager
def clocked() -> Iterator[CompileClock]:
    """Measures compiling within the block.

    An annotator that imports numba in its first call, and not with its module, is not measured.
    """
    clock = CompileClock()
    with ExitStack() as stack:
        if "numba" in sys.modules:
            from numba.core.event import Listener, install_listener

            Listener.register(CompileClock)
            stack.enter_context(install_listener("numba:compile", clock))
        yield clock


def are_uncompiled(specs: Iterable[AnnotatorSpec]) -> bool:
    """Whether the package of an annotator has kernels none of which was ever compiled here."""
    modules = {spec.target.partition(":")[0] for spec in specs}
    return are_packages_uncompiled({module.rpartition(".")[0] for module in modules})


def compile_with(modules: Iterable[str]) -> list[str]:
    """Runs modules that call kernels once, side by side, each as long as it takes.

    Args:
        modules: `pipelines.annotate.warm`, `pipelines.extract.warm`.

    Returns:
        A note for each that failed; its kernels are compiled where they are first called, then.
    """
    notes = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    with ExitStack() as stack:
        running = []
        for module in modules:
            log = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            command = [sys.executable, "-m", module]
            started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(started.kill)
            running.append((module, started, log))
        for module, started, log in running:
            if code := started.wait():
                log.seek(0)
                last = log.read().strip().rpartition("\n")[2]
                notes.append(
                    f"note: `{sys.executable} -m {module}`, which compiles kernels, ended with "
                    f"exit code {code}: {last}"
                )
    return notes


def compile_on_worker(module: str, *, is_cold: bool) -> None:
    """Compiles kernels on the machine of a worker, once a process, before its children are timed.

    The driver compiles where it runs; the nodes of a cluster may never have run a kernel.

    Args:
        module: `pipelines.annotate.warm` or `pipelines.extract.warm`.
        is_cold: Whether kernels that are needed were never compiled here.
    """
    if not is_cold or module in _tried:
        return
    with _compiling:  # other threads wait, for their children would compile the same
        if module not in _tried:
            for note in compile_with([module]):
                logging.getLogger(__name__).warning(note)
            _tried.add(module)


def are_packages_uncompiled(packages: Iterable[str]) -> bool:
    """Whether one of some packages has kernels none of which was ever compiled here.

    Args:
        packages: Their names; only the modules of theirs that were imported are looked at.
    """
    if "numba" not in sys.modules:
        return False
    folders = (_cache_folders(package) for package in set(packages))
    return any(
        found and not any(list(Path(one).glob("*.nbi")) for one in found) for found in folders
    )


def _cache_folders(package: str) -> set[str]:
    """Where the compiled kernels of a package lie, or will."""
    from numba.core.dispatcher import Dispatcher

    own = [
        one
        for name, module in list(sys.modules.items())
        if package and name.startswith(f"{package}.")
        for one in vars(module).values()
        if isinstance(one, Dispatcher) and one.__module__ == name
    ]
    # What is inlined is compiled into those who call it, and never by itself.
    called = [one for one in own if not one.targetoptions.get("forceinline")]
    return {str(one.stats.cache_path) for one in called if one.stats.cache_path}
