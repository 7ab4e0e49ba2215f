"""Which files of a repository come first: those that others import.

Imports are read with regular expressions, not parsed: files may be of an older language, broken, or
made to break a parser. Known are imports of Python at the beginning of a line (indented ones are
there to break circles: with them 259 of 315 imports of aiohttp point backwards in the order,
without them all 285), `#include "..."` of C and its kin, and relative imports of JavaScript and
TypeScript; files of other languages stand in the order of their paths. Where imports run in
circles, the file that waits for the fewest others goes first (the rule of DeepSeek-Coder,
arXiv:2401.14196).
"""

import heapq
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

_PYTHON: Final = re.compile(
    r"^(?:from[ \t]+(?P<base>\.*[\w.]*)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n#;]+)"
    r"|import[ \t]+(?P<modules>[\w., \t]+))",
    re.MULTILINE,
)
_INCLUDE: Final = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_SCRIPT: Final = re.compile(
    r"""(?:\bfrom|\bimport|\brequire[ \t]*\(|\bimport[ \t]*\()[ \t]*['"](\.{1,2}/[^'"\n]+)['"]"""
)
_PYTHON_ROOTS: Final = ("", "src/", "lib/", "python/")
_INCLUDE_ROOTS: Final = ("", "include/", "src/")
_SCRIPT_PLACES: Final = (
    *("", ".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs"),
    *("/index.ts", "/index.tsx", "/index.js"),
)
_PYTHON_ENDINGS: Final = (".py", ".pyi")
_C_ENDINGS: Final = tuple(".c .h .cc .cpp .cxx .hh .hpp .hxx .cu .cuh .m .mm".split())
_SCRIPTS: Final = tuple(".js .jsx .ts .tsx .mjs .cjs .mts .cts .vue .svelte".split())
_README: Final = re.compile(r"readme(\.[a-z]+)?", re.IGNORECASE)

Files = Mapping[str, str]
"""Path -> text."""


def in_order(files: Files) -> list[str]:
    """Paths of a repository: what explains it, then files behind those that they import.

    Args:
        files: Path with slashes -> text.

    Returns:
        Every path once: the README of the highest folder, then the others by what they depend on
        and by path.
    """
    readmes = [path for path in files if _README.fullmatch(posixpath.basename(path))]
    first = sorted(readmes, key=lambda path: (path.count("/"), path))[:1]
    return first + [path for path in _sorted(files) if path not in first]


def imported(path: str, text: str, files: Files) -> set[str]:
    """Paths of the files that a file imports, itself not among them."""
    ending = posixpath.splitext(path)[1].lower()
    find: Callable[[str, str, Files], Iterator[str]] | None = None
    if ending in _PYTHON_ENDINGS:
        find = _of_python
    elif ending in _C_ENDINGS:
        find = _of_c
    elif ending in (
        ".js",
        ".jsx",
        ".ts",
        ".tsx",
        ".mjs",
        ".cjs",
        ".mts",
        ".cts",
        ".vue",
        ".svelte",
    ):
        find = _of_script
    return set() if find is None else set(find(path, text, files)) - {path}


def _sorted(files: Files) -> Iterator[str]:
    """Topological order, by a heap of (files still waited for, path); stale entries are passed."""
    needs = {path: imported(path, text, files) for path, text in files.items()}
    wanted_by: dict[str, list[str]] = {path: [] for path in files}
    for path, others in needs.items():
        for other in others:
            wanted_by[other].append(path)
    waiting = {path: len(others) for path, others in needs.items()}
    heap = [(count, path) for path, count in waiting.items()]
    heapq.heapify(heap)
    done = set[str]()
    while heap:
        count, path = heapq.heappop(heap)
        if path in done or count != waiting[path]:
            continue
        done.add(path)
        yield path
        for other in wanted_by[path]:
            if other not in done:
                waiting[other] -= 1
                heapq.heappush(heap, (waiting[other], other))


def _of_python(path: str, text: str, files: Files) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for found in _PYTHON.finditer(text):
        if found["modules"]:
            for module in found["modules"].split(","):
                name = module.split(" as ")[0].strip()
                yield from _modules(folder, name, [], files)
        else:
            names = [one.split(" as ")[0].strip() for one in found["names"].strip("()").split(",")]
            yield from _modules(folder, found["base"], names, files)


def _modules(folder: str, base: str, names: list[str], files: Files) -> Iterator[str]:
    """Files of a module, and of what is imported from it where that is a module too."""
    dots = len(base) - len(base.lstrip("."))
    inner = base.lstrip(".").replace(".", "/")
    own = folder
    for _ in range(dots - 1):
        own = posixpath.dirname(own)
    roots = [f"{own}/" if own else ""]
    if not dots:
        roots = [*_PYTHON_ROOTS, *roots]
    for root in roots:
        place = root + inner
        submodules = [f"{place}/{name}" if place else name for name in names if name.isidentifier()]
        candidates = [
            place.rstrip("/"),
            *(one.lstrip("/").replace("//", "/") for one in submodules),
        ]
        found = [path for one in candidates for path in (f"{one}.py", f"{one}/__init__.py")]
        known = [path for path in found if path in files]
        if known:
            yield from known
            return


def _of_c(path: str, text: str, files: Files) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for found in _INCLUDE.finditer(text):
        places = [posixpath.join(folder, found[1]), *(root + found[1] for root in _INCLUDE_ROOTS)]
        yield from [one for one in map(posixpath.normpath, places) if one in files][:1]


def _of_script(path: str, text: str, files: Files) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for found in _SCRIPT.finditer(text):
        place = posixpath.normpath(posixpath.join(folder, found[1]))
        yield from [place + one for one in _SCRIPT_PLACES if place + one in files][:1]
