"""Bytes on any fsspec file system, with the two operations that a commit needs.

`publish` puts a finished local file under its final name; the name carries the hash of the content,
so writing it twice, or from two workers, is harmless. `create` makes a small file only if it does
not exist: a hard link on local disks, `If-None-Match: *` on S3 and `ifGenerationMatch=0` on Google
Cloud Storage (fsspec's `mode="create"`). Neither depends on rename being atomic, which it is not on
object stores; and an object is there whole or not at all, whether it went up in one request or in
parts. What the parts of an upload that was cut off cost, a lifecycle rule of the bucket ends.

A store that is away is waited for (`patience.py`), request by request and below fsspec, so that
Arrow's reads of ranges have it too. Listings are never remembered. On hdfs:// and others that have
no such `create` inputs can stand, and no workspace.
"""

import errno
import hashlib
import io
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import fsspec
from fsspec.core import url_to_fs

from pipelines.workspace.patience import Passes, patiently_now

# Protocols whose fsspec file system honours mode="create" in pipe_file.
_CONDITIONAL_CREATE: Final = {"s3", "s3a", "gs", "gcs", "memory"}
_CHUNK_BYTES: Final = 1 << 20
_T = TypeVar("_T")
# Read at a time from an object; smaller ones are read whole, in one request. s3fs would read 50 MB
# ahead, which is most of a part also where one column of it is wanted.
_BLOCK_BYTES: Final = 8 << 20
# Sent at a time of a large file. s3fs holds ten of them in memory, and would take 50 MB each.
_UPLOAD_BYTES: Final = 16 << 20

# For every reader of this process, inputs included. By name: nothing is imported before it is used.
for _protocols_of, _class, _extra in (
    (("s3", "s3a"), "s3.PatientS3", "s3"),
    (("gs", "gcs"), "gcs.PatientGCS", "gcp"),
):
    for _protocol in _protocols_of:
        fsspec.register_implementation(
            _protocol,
            f"pipelines.workspace.{_class}",
            clobber=True,
            errtxt=f"{_protocol}:// needs more packages: pip install 'tokenmill[{_extra}]'",
        )


@dataclass(frozen=True)
class Storage:
    """A folder, local or remote, addressed by relative paths. Travels to workers as its URL."""

    url: str

    @cached_property
    def _located(self) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = locate(self.url)
        return fs, root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        """File systems hold sockets and threads, so only the URL travels."""
        return {"url": self.url}

    @property
    def fs(self) -> fsspec.AbstractFileSystem:
        """The file system; opened at first use in each process."""
        return self._located[0]

    @property
    def is_local(self) -> bool:
        """Whether plain `os` calls reach the files."""
        return "file" in _protocols(self.fs)

    def path(self, relative: str) -> str:
        """The path that `fs` understands."""
        return f"{self._located[1]}/{relative}" if relative else self._located[1]

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """Repeats a call while the store is away."""
        passes: Passes | None = getattr(self.fs, "passes", None)
        if passes is None:
            return call()
        bucket = self._located[1].split("/")[0]
        return patiently_now(call, place=f"{self.url.split(':')[0]}://{bucket}", passes=passes)

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there."""
        return bool(self.fs.exists(self.path(relative)))

    def read(self, relative: str) -> bytes:
        """A whole file.

        Raises:
            FileNotFoundError: It is not there.
        """
        return bytes(self.fs.cat_file(self.path(relative)))

    def read_many(self, relatives: Sequence[str]) -> list[bytes]:
        """Whole small files, in the order asked for; a store is asked for many at a time.

        Raises:
            FileNotFoundError: One of them is not there.
        """
        if self.is_local:
            return [self.read(relative) for relative in relatives]
        paths = [self.path(relative) for relative in relatives]
        found = self.fs.cat_ranges(paths, None, None, on_error="raise")
        return [bytes(data) for data in found]

    def open(self, relative: str, size: int | None = None) -> IO[bytes]:
        """A file opened for random reads.

        Args:
            relative: Its path.
            size: Its bytes, where known: spares a store the question.
        """
        if self.is_local:
            opened: IO[bytes] = self.fs.open(self.path(relative), "rb")
            return opened
        size = self.size(relative) if size is None else size
        if size <= _BLOCK_BYTES:
            return io.BytesIO(self.read(relative))
        opened = self.fs.open(self.path(relative), "rb", block_size=_BLOCK_BYTES, size=size)
        return opened

    def size(self, relative: str) -> int:
        """Bytes in a file."""
        return int(self.fs.size(self.path(relative)))

    def sha256(self, relative: str) -> str:
        """Hash of a file as it is stored now."""
        with self.open(relative) as file:
            return _sha256(file)

    def files(self, relative: str) -> list[str]:
        """Relative paths of all files below a folder, sorted; empty where there is no folder."""
        found = self.fs.find(self.path(relative))
        skip = len(self.path("")) + 1
        return sorted(path[skip:] for path in found)

    def remove(self, relative: str) -> None:
        """Deletes one file; a store does not say whether it was there."""
        try:
            self.fs.rm_file(self.path(relative))
        except FileNotFoundError:
            if self.is_local:  # else: a delete whose answer was lost, and which was sent again
                raise

    def publish(self, local: Path, relative: str) -> None:
        """Moves a finished local file to its final, content-addressed name.

        Args:
            local: A file on this machine; gone afterwards.
            relative: Final path; equal content may be there already.
        """
        if not self.is_local:
            self._upload(local, relative)
            local.unlink()
            return
        target = Path(self.path(relative))
        target.parent.mkdir(parents=True, exist_ok=True)
        with local.open("rb") as file:
            os.fsync(file.fileno())
        local.replace(target)

    def _upload(self, local: Path, relative: str) -> None:
        """Puts a file into a store, as a whole once more where repeating a request cannot help."""
        parts = {"chunksize": _UPLOAD_BYTES} if hasattr(self.fs, "passes") else {}

        def put() -> None:
            self.fs.put_file(str(local), self.path(relative), **parts)

        try:
            self._patiently(put)
        except FileNotFoundError:  # NoSuchUpload: it ended, and the answer that said so was lost
            self._patiently(put)

    def create(self, relative: str, data: bytes) -> bool:
        """Creates a small file unless it exists.

        A request whose answer was lost may have made it, and is sent again (aiohttp does so by
        itself where a connection was reset). So what is there then is compared with `data`; of
        two writers of the same bytes to one store both are told that they made it.

        Returns:
            True where this call made it, False where it was there before.

        Raises:
            ValueError: The file system cannot create a file only if it is absent.
        """
        if self.is_local:
            return _link_new(Path(self.path(relative)), data)
        protocols = _protocols(self.fs)
        if not _CONDITIONAL_CREATE & protocols:
            raise ValueError(
                f"a workspace cannot live on {'/'.join(sorted(protocols))}: it has no way to create"
                " a file only if it is absent; use a local disk, s3:// or gs://"
            )

        def once() -> bool:
            try:
                self.fs.pipe_file(self.path(relative), data, mode="create")
            except FileExistsError:
                return self.read(relative) == data
            return True

        return self._patiently(once)

    def replace(self, relative: str, data: bytes) -> None:
        """Writes a small file whole, over what was there: readers see the old or the new."""
        if not self.is_local:
            self.fs.pipe_file(self.path(relative), data)
            return
        target = Path(self.path(relative))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            draft.write_bytes(data)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    def scratch(self, suffix: str) -> Path:
        """A fresh path for a file in the making: beside the data where local, else in $TMPDIR."""
        if not self.is_local:
            return Path(tempfile.gettempdir()) / f"{self._draft_prefix}{uuid.uuid4().hex}{suffix}"
        folder = Path(self.path("tmp"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{uuid.uuid4().hex}{suffix}"

    def drafts(self) -> list[Path]:
        """Files and folders in the making that stand in $TMPDIR of this machine, sorted.

        Where nothing else is at work, processes that were killed left them. None for a local disk:
        there they are among the `files` of `tmp`.
        """
        if self.is_local:
            return []
        return sorted(Path(tempfile.gettempdir()).glob(f"{self._draft_prefix}*"))

    @property
    def _draft_prefix(self) -> str:
        """How drafts in $TMPDIR begin: several workspaces may have theirs there."""
        return f"tokenmill-{hashlib.sha256(self.url.rstrip('/').encode()).hexdigest()[:16]}-"


def locate(url: str, **options: Any) -> tuple[fsspec.AbstractFileSystem, str]:  # noqa: ANN401
    """The file system of a URL, and its path there: as fsspec, with our patience on stores.

    Args:
        url: Of a workspace or an input; chained ones (`simplecache::s3://`) too.
        options: Of the file system.
    """
    fs, path = url_to_fs(url, **options)
    return fs, path


def sha256_of(path: Path) -> str:
    """Hash of a local file."""
    with path.open("rb") as file:
        return _sha256(file)


def _sha256(file: IO[bytes]) -> str:
    state = hashlib.sha256()
    for chunk in _chunks(file):
        state.update(chunk)
    return state.hexdigest()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _protocols(fs: fsspec.AbstractFileSystem) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _link_new(target: Path, data: bytes) -> bool:
    """Creates `target` with all of `data` or not at all, by a hard link to a finished file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            raise ValueError(
                f"{target.parent} is on a file system without hard links, by which a workspace "
                "creates a file only if it is absent; use another disk, s3:// or gs://"
            ) from error
        return True
    finally:
        draft.unlink(missing_ok=True)
