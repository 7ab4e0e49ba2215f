"""Sources: from a path or glob in corpus.yaml to a list of input files with their formats.

Local files are listed by path and remote ones through fsspec. Local listing never opens what is no
regular file (opening a FIFO waits for ever), follows linked folders and lists each folder once.
The files of a list of paths (`path_lists`) are asked for their sizes some at a time, and not split:
each of the 90,000 of a Common Crawl would have to be opened for that, and one is about a part.
"""

import fnmatch
import glob
import hashlib
import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.utils import glob_translate

from pipelines.config import SourceConfig, is_path_list
from pipelines.extract.inputs import RANGED, local_path
from pipelines.extract.path_lists import Place, SourceError, read_path_list
from pipelines.extract.records import detect_code, detect_format, split_points
from pipelines.extract.rows import TRANSIENT
from pipelines.workspace.inventory import Listed
from pipelines.workspace.storage import locate

__all__ = ["NOT_READ", "UNKNOWN", "SourceError", "list_source"]

UNKNOWN: Final = "unknown"
_SPECIAL: Final = "special_file"
_UNDECODABLE: Final = "undecodable_name"
# Formats that no reader takes, and the reason under which their files are counted.
NOT_READ: Final = {
    UNKNOWN: "unknown_format",
    _SPECIAL: "special_file",
    _UNDECODABLE: "undecodable_name",
}
_MARKS: Final = "*?["
_HEAD_BYTES: Final = 64 << 10
_SPLIT_ABOVE: Final = 1.5  # parts; below it two halves would be too small to be worth a part each
# What stands for the state of a remote object, best first; the names fsspec's file systems use.
_STAMPS: Final = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "generation",
    "LastModified",
    "Last-Modified",
    "updated",
)
_ASKED_AT_ONCE: Final = 16


def list_source(source: SourceConfig, part_bytes: int) -> list[Listed]:
    """Lists the input files of a source.

    A local path that exists is taken as it is, even if it holds `*`, `?` or `[`; else `~` is
    expanded and the path is a glob.

    Args:
        source: Its entry in corpus.yaml.
        part_bytes: Files that are expected to give more text than this are split if they can be.

    Returns:
        All its files; those that no reader takes have a format in NOT_READ and are counted as
        records not asked for.

    Raises:
        SourceError: The path does not exist or matches nothing, or a file of a list is absent.
    """
    assert source.path is not None, "a crawl is listed from its ledger"
    if is_path_list(source.path):
        return _list_places(source)
    path = local_path(source.path)
    files = _list_remote(source) if path is None else _list_local(source, path)
    listed = [_split(item, part_bytes) for item in files]
    if not listed:
        raise SourceError(
            f"source {source.name}: {source.path} matches no file; give a file, a folder or a glob "
            "such as data/**/*.warc.gz, on a local disk or behind an fsspec URL"
        )
    return listed


def _list_local(source: SourceConfig, path: str) -> Iterator[Listed]:
    root, paths = _find_local(path, source.name)
    for found in sorted(paths):
        file = _show(found[len(root) :])
        if _wanted(file, source):
            yield _local_file(found, file, source)


def _find_local(path: str, name: str) -> tuple[str, set[str]]:
    """The root that relative paths are taken from, and the paths of all files."""
    if not os.path.lexists(path):
        path = os.path.expanduser(path)
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return path.rstrip("/") + "/", set(_walk(path))
    if os.path.exists(path):
        return path[: path.rfind("/") + 1], {path}
    if not any(mark in path for mark in _MARKS):
        return path, set()
    first = min(path.index(mark) for mark in _MARKS if mark in path)
    return path[: path.rfind("/", 0, first) + 1], _glob(path, name)


def _glob(pattern: str, name: str) -> set[str]:
    """Files that match. `**` is walked here: the standard library runs round in linked loops."""
    if "**" not in pattern:
        found = glob.glob(pattern, include_hidden=True)
        return {path for path in found if not os.path.isdir(path)}
    try:
        matches = re.compile(glob_translate(pattern)).match
    except ValueError as error:
        raise SourceError(
            f"source {name}: {pattern} has ** beside other characters; ** stands alone between "
            "slashes, as in data/**/*.warc.gz"
        ) from error
    above = pattern[: pattern.rfind("/", 0, pattern.index("**")) + 1]
    tops = glob.glob(above, include_hidden=True)
    return {path for top in tops for path in _walk(top) if matches(path)}


def _walk(top: str) -> Iterator[str]:
    """All that is no folder below a folder, and folders that cannot be listed.

    Linked folders come last, so that a file which is there under two paths has the one without a
    link; a folder that was met is not entered again, which ends loops.
    """
    visited: set[str] = set()
    errors: list[OSError] = []
    waiting = deque([top])
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft(), onerror=errors.append):
            real = os.path.realpath(folder)
            if real in visited:
                folders.clear()
                continue
            visited.add(real)
            folders.sort()
            paths = [os.path.join(folder, name) for name in folders]
            waiting.extend(path for path in paths if os.path.islink(path))
            yield from (os.path.join(folder, name) for name in files)
    yield from (str(e.filename) for e in errors if os.path.lexists(e.filename))


def _show(path: str) -> str:
    """The path with a backslash escape for every byte that is no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _local_file(path: str, file: str, source: SourceConfig) -> Listed:
    try:
        status = os.stat(path)
    except OSError:
        status = os.lstat(path)  # a dangling link; the reader says so, in a reject
    is_file = stat.S_ISREG(status.st_mode)
    if _show(path) != path:
        kind = _UNDECODABLE
    elif is_file or stat.S_ISLNK(status.st_mode):
        kind = source.format or _detect(source, path, _head(path) if is_file else b"") or UNKNOWN
    else:
        kind = _SPECIAL
    return Listed(
        url=_show(path),
        file=file,
        format=kind,
        bytes=status.st_size if is_file else 0,
        stamp=str(status.st_mtime),
        digest=str if kind in (_SPECIAL, _UNDECODABLE) else partial(_digest, Path(path)),
    )


def _detect(source: SourceConfig, name: str, head: bytes) -> str | None:
    return detect_format(name, head) if source.code is None else detect_code(name, head)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""  # the reader will say why, in a reject


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _list_remote(source: SourceConfig) -> Iterator[Listed]:
    assert source.path is not None, "a crawl is listed from its ledger"
    fs, pattern = locate(source.path)
    root, found = _find(fs, pattern)
    for path in sorted(found):
        file = path[len(root) :].lstrip("/")
        if not _wanted(file, source):
            continue
        info = found[path]
        yield Listed(
            url=fs.unstrip_protocol(path),
            file=file,
            format=source.format or _sniff(source, fs, path, info["size"]) or UNKNOWN,
            bytes=int(info["size"]),
            stamp=_stamp(info),
            digest=str,
        )


def _list_places(source: SourceConfig) -> list[Listed]:
    places = [place for place in read_path_list(source) if _wanted(place.file, source)]
    if not places:
        raise SourceError(
            f"source {source.name}: `include` and `exclude` leave no path of {source.path}; they "
            "are matched against its lines"
        )
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(partial(_list_place, source), places))


def _list_place(source: SourceConfig, place: Place) -> Listed:
    path = local_path(place.url)
    if path is not None:
        if not os.path.lexists(path):
            raise _absent(source, place)
        return _local_file(path, place.file, source)
    fs, path = locate(place.url)
    try:
        info = fs.info(path)
    except FileNotFoundError as error:  # also what fsspec makes of a server that does not answer
        raise _absent(source, place) from error
    if info.get("size") is None:
        raise SourceError(f"source {source.name}: {place.url} has no size; a part needs one")
    by_name = _detect(source, place.file, b"")
    return Listed(
        url=place.url,
        file=place.file,
        format=source.format or by_name or _sniff(source, fs, path, info["size"]) or UNKNOWN,
        bytes=int(info["size"]),
        stamp=_stamp(info),
        digest=str,
    )


def _absent(source: SourceConfig, place: Place) -> SourceError:
    return SourceError(
        f"source {source.name}: {source.path} names {place.file}, and {place.url} is not there or "
        "not readable; set `base` to where the files lie, or leave some out by `include` or "
        "`exclude`"
    )


def _find(fs: fsspec.AbstractFileSystem, pattern: str) -> tuple[str, dict[str, Any]]:
    """The root that relative paths are taken from, and path -> info of all files."""
    if any(mark in pattern for mark in _MARKS):
        fixed = pattern[: min(pattern.index(mark) for mark in _MARKS if mark in pattern)]
        return fixed[: fixed.rfind("/") + 1], _files_only(fs.glob(pattern, detail=True))
    if fs.isfile(pattern):
        return pattern[: pattern.rfind("/") + 1], {pattern: fs.info(pattern)}
    return pattern.rstrip("/") + "/", fs.find(pattern, detail=True) if fs.exists(pattern) else {}


def _files_only(found: dict[str, Any]) -> dict[str, Any]:
    return {path: info for path, info in found.items() if info["type"] == "file"}


def _sniff(source: SourceConfig, fs: fsspec.AbstractFileSystem, path: str, size: int) -> str | None:
    try:
        head = bytes(fs.cat_file(path, start=0, end=min(size, _HEAD_BYTES))) if size else b""
    except TRANSIENT:
        raise
    except OSError:
        head = b""  # the reader will say why, in a reject
    return _detect(source, path, head)


def _stamp(info: dict[str, Any]) -> str:
    for name in _STAMPS:
        if info.get(name):
            return str(info[name]).strip('"')
    return f"{info.get('mtime', info.get('created', ''))}"


def _wanted(file: str, source: SourceConfig) -> bool:
    included = not source.include or _matches(file, source.include)
    return included and not _matches(file, source.exclude)


def _matches(file: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits; `*` fits slashes too, and `**/` also no folder at all."""
    return any(
        fnmatch.fnmatch(file, pattern)
        or (pattern.startswith("**/") and fnmatch.fnmatch(file, pattern.removeprefix("**/")))
        for pattern in patterns
    )


def _split(listed: Listed, part_bytes: int) -> Listed:
    ratio = listed.expected_text_bytes / part_bytes
    if ratio <= _SPLIT_ABOVE or listed.format not in RANGED:
        return listed
    target = max(1, int(listed.bytes / ratio))
    try:
        splits = split_points(listed.url, listed.format, listed.bytes, target)
    except (PermissionError, FileNotFoundError):
        return listed  # the reader will say why, in a reject
    return replace(listed, splits=tuple(splits))
