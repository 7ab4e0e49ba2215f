"""The one decorator under which kernels over text are compiled, with a cache that cannot go stale.

numba keeps compiled functions on disk and looks only at the source file of the function itself
(numba 0.68): after a change in `words.py`, a cached caller in another
file would go on with the old words. Here the cache folder carries a digest of every source
file of this folder and of the function's own, so any change compiles anew. It stands in
`__pycache__` beside the function, or under the folder for temporary files where that is read-only;
NUMBA_CACHE_DIR, where set, replaces both.

Kernels release the interpreter lock, do not check bounds, and compile at their first call.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba import njit
from numba.core import entrypoints

# At its first kernel numba imports every package that asks for it by an entry point: here awkward,
# 0.18 s of CPU in each process, of whose types no kernel takes any.
entrypoints._already_initialized = True

_P = ParamSpec("_P")
_R = TypeVar("_R")


@functools.cache
def _sources_digest(folder: Path) -> str:
    """Digests the Python files of this folder and of another."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted({*Path(__file__).parent.glob("*.py"), *folder.glob("*.py")}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _cache_folder(folder: Path) -> Path:
    """Gives the folder for the compiled kernels of a source folder."""
    name = f"kernels-{_sources_digest(folder)}"
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"]) / name
    if os.access(folder, os.W_OK):
        return folder / "__pycache__" / name
    return Path(tempfile.gettempdir()) / f"tokenmill-{os.getuid()}" / name


def _compile(
    function: Callable[_P, _R], *, forceinline: bool, counts_references: bool = True
) -> Callable[_P, _R]:
    config: Any = numba.config  # its attributes are set at run time
    before = config.CACHE_DIR
    # Read once, when the dispatcher is made.
    config.CACHE_DIR = str(_cache_folder(Path(function.__code__.co_filename).parent))
    try:
        options = {"forceinline": forceinline, "_nrt": counts_references}
        compiled = njit(cache=True, nogil=True, **options)(function)
    finally:
        config.CACHE_DIR = before
    return cast(Callable[_P, _R], compiled)


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles a function with numba at its first call, and keeps the machine code on disk.

    Args:
        function: Written in numba's subset of Python, over numpy arrays and numbers.
    """
    return _compile(function, forceinline=False)


def inlined_kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles a function that other kernels call in their loops, into each of them.

    A call that passes arrays counts references to each, atomically; only in one body does the
    compiler see that they cancel out. Measured on 4 KB documents: an n-gram look-up takes 9 ns
    instead of 41, splitting a document into words 101 us instead of 315.

    Args:
        function: As for `kernel`; small, or called at one place.
    """
    return _compile(function, forceinline=True)


def lean_kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """As `kernel`, for a function that makes no array: it counts no references to those it reads.

    Where a body has many branches the compiler does not see that the counts cancel out. Measured
    on 4 KB documents: splitting one into words takes 20 us instead of 36.

    Args:
        function: As for `kernel`; its arrays all come from the caller.
    """
    return _compile(function, forceinline=False, counts_references=False)


def inlined_lean_kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """As `inlined_kernel`, and as `lean_kernel`.

    Args:
        function: As for `lean_kernel`; small, or called at one place.
    """
    return _compile(function, forceinline=True, counts_references=False)
