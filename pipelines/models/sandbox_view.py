"""What generated code sees of the machine: an interpreter, its standard library, a C library.

Nothing else is there: no home, no /etc (but for the cache of the dynamic linker), no /proc, no
shell, no package of the project. Site-packages of the interpreter are covered by an empty folder;
packages that a recipe asks for by name are shown one by one, with those they require, below
/packages. /tmp and /dev/shm are the work folder, so one limit holds for everything written.
"""

import os
import site
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

PACKAGES: Final = "/packages"
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Where the dynamic linker and the C library stand (FHS 3.0, 3.9 and 3.10; ld.so(8))."""
_SYSTEM_PREFIXES: Final = ("/", "/usr", "/usr/local")
"""Prefixes that an interpreter shares with the whole system: only its parts are shown."""


@dataclass(frozen=True, slots=True)
class View:
    """Folders and files of the sandbox; all of them read-only."""

    interpreter: str
    """Absolute path, the same inside and outside."""
    shown: tuple[tuple[str, str], ...]
    """(path outside, path inside)."""
    hidden: tuple[str, ...]
    """Folders within those that are covered by an empty one."""
    links: tuple[tuple[str, str], ...]
    """(symbolic link, what it says)."""
    devices: tuple[str, ...] = _DEVICES

    def with_packages(self, names: tuple[str, ...]) -> "View":
        """Shows installed distributions too.

        Raises:
            ValueError: One of them is not installed.
        """
        shown = (*self.shown, *packages_shown(names))
        return View(self.interpreter, shown, self.hidden, self.links, self.devices)


def _within(path: str, folders: list[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


@lru_cache(maxsize=1)
def standard_view() -> View:
    """The interpreter under this one's virtual environment, and what it needs."""
    interpreter = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    prefix = os.path.realpath(sys.base_prefix)
    wanted = [prefix]
    if prefix in _SYSTEM_PREFIXES:
        wanted = [str(Path(prefix, "lib")), str(Path(prefix, "lib64"))]
    links = [("/tmp", "/work"), ("/dev/shm", "/work")]
    links += [(f"/bin/{name}", interpreter) for name in ("python", "python3")]
    for path in _LIBRARIES:
        if os.path.islink(path) and os.path.isdir(path):  # /lib -> usr/lib
            links.append((path, os.readlink(path)))
            wanted.append(os.path.realpath(path))
        else:
            wanted.append(path)
    shown: list[str] = []
    for path in sorted({*wanted, interpreter}, key=lambda one: (one.count("/"), one)):
        if os.path.exists(path) and not _within(path, shown):
            shown.append(path)
    # With an interpreter below it /tmp is a read-only folder; `tempfile` then takes another.
    links = [link for link in links if not any(_within(one, [link[0]]) for one in shown)]
    packages = {os.path.realpath(one) for one in site.getsitepackages([prefix, sys.base_prefix])}
    hidden = sorted(one for one in packages if os.path.isdir(one) and _within(one, shown))
    return View(interpreter, tuple((one, one) for one in shown), tuple(hidden), tuple(links))


@lru_cache(maxsize=64)
def packages_shown(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Files and folders of installed distributions and of all that they require.

    Args:
        names: Distributions such as `numpy`.

    Returns:
        (path outside, path inside) of each top-level entry, ordered.

    Raises:
        ValueError: One of them is not installed, or not as plain files in a folder of packages.
    """
    shown: dict[str, str] = {}
    open_names, done = list(names), set[str]()
    while open_names:
        name = open_names.pop()
        if name in done:
            continue
        done.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            raise ValueError(
                f"package {name!r} was asked for in the sandbox, and is not installed here; install"
                " it beside tokenmill or take it out of the recipe"
            ) from None
        tops = {file.parts[0] for file in found.files or () if file.parts[0] != ".."}
        for top in sorted(tops - {"__pycache__"}):
            shown[str(Path(str(found.locate_file(top))).resolve())] = f"{PACKAGES}/{top}"
        if not any(not one.endswith((".dist-info", ".pth")) for one in tops):
            raise ValueError(
                f"package {name!r} is installed as a link to its sources; the sandbox can show only"
                " packages that are installed as files"
            )
        for line in found.requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                open_names.append(required.name)
    return tuple(sorted(shown.items()))
