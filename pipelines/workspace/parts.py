"""Part files: Parquet written once, named by the hash of their content.

The same batches give the same bytes: no time stamps, one compression, row groups cut by rows.
Row groups are small enough (16 MB of text) that a reader of one row does not load a whole part.

A file is not read as what it is not. How much of it is checked depends on what the check costs: on
one core SHA-256 takes in 1.7 GB/s of stored bytes, and the reading of all columns of texts 0.25
GB/s, so it adds a seventh to that; to the reading of ids alone it would add many times its cost.

| what is read | checked before a row is given |
|---|---|
| up to 4 MB | size, SHA-256; the bytes that were hashed are those that are read |
| more, all columns | size, SHA-256 (on object stores of tables, not of batches), rows |
| more, some columns | size, rows of the footer, checksum of each page that is read |

So a file that is cut, emptied, changed or another one is refused; only one of more than 4 MB of
which some columns are read, and that has the size and the rows of the true one, must wait for the
audit. Whoever finds a file damaged says which, what it should be and what it is, who names it and
what helps: `DamagedFile`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.ledger import FileRef, Ledger, LedgerError, entry_path
from pipelines.workspace.patience import StoreError
from pipelines.workspace.storage import Storage, sha256_of

_ROW_GROUP_BYTES: Final = 16 << 20
_ZSTD_LEVEL: Final = 3
_HASH_DIGITS: Final = 8
_HASHED_BYTES: Final = 4 << 20  # 2.5 ms of SHA-256; on an object store, one request
_FINGERPRINT: Final = re.compile(r"@([0-9a-f]{8})(?:/|$)")


class DamagedFile(OSError):
    """A committed file that is missing, or whose bytes are not those that the ledger names."""


def documents_folder(source: str, fp: str) -> str:
    """Where documents of a source stand."""
    return f"documents/{source}@{fp}"


def labels_folder(labels: str, fp: str, source: str) -> str:
    """Where one labels set over one source stands."""
    return f"labels/{labels}@{fp}/{source}"


def rejects_folder(job: str, fp: str, source: str) -> str:
    """Where the rejects of one job over one source stand."""
    return f"rejects/{job}@{fp}/{source}"


class PartFile:
    """A Parquet file in the making; leaves nothing behind unless it is published."""

    def __init__(self, storage: Storage, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._storage = storage
        self._local = storage.scratch(".parquet")
        self._writer = pq.ParquetWriter(
            self._local,
            schema,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            write_page_checksum=True,  # so that a flipped bit never becomes a token
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        # Compression runs beside the work that makes the next rows; one row group is in flight.
        self._thread = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(self, *_: object) -> None:
        """Throws the draft away; after `publish` there is none."""
        self._thread.shutdown()
        self._writer.close()
        self._local.unlink(missing_ok=True)

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._pending_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def publish(self, kind: str, folder: str, part: int) -> FileRef:
        """Finishes the file and gives it its place; nobody reads it before the ledger names it."""
        self._flush()
        self._wait()
        self._writer.close()
        return publish_file(
            self._storage, self._local, kind=kind, stem=f"{folder}/part-{part:05d}", rows=self.rows
        )

    def _flush(self) -> None:
        self._wait()
        if self._pending:
            table = pa.Table.from_batches(self._pending, self.schema)
            self._flushing = self._thread.submit(self._writer.write_table, table)
            self._pending, self._pending_bytes = [], 0

    def _wait(self) -> None:
        """Lets the row group in flight end; raises what went wrong with it."""
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None


def publish_file(
    storage: Storage,
    local: Path,
    *,
    kind: str,
    stem: str,
    rows: int,
    digest: str | None = None,
    sha256: str | None = None,
) -> FileRef:
    """Publishes a finished local file as `<stem>-<hash8><suffix>`.

    Args:
        storage: The workspace's folder.
        local: The finished file; its suffix is kept.
        kind: Entered into the ledger.
        stem: Path without hash and suffix.
        rows: Rows or sequences in it.
        digest: Whose first eight digits stand in the name; the file's own hash by default. Files
            that a reader finds by a common prefix (.bin and .idx) share one.
        sha256: Hash of the file, where whoever wrote it has made it on the way.
    """
    sha256 = sha256 or sha256_of(local)
    size = local.stat().st_size
    suffix = "".join(local.suffixes)
    path = f"{stem}-{(digest or sha256)[:_HASH_DIGITS]}{suffix}"
    storage.publish(local, path)
    return FileRef(kind=kind, path=path, sha256=sha256, bytes=size, rows=rows)


def read_batches(
    storage: Storage, ref: FileRef, columns: list[str] | None = None, *, batch_rows: int = 4096
) -> Iterator[pa.RecordBatch]:
    """Rows of a committed Parquet file, in order.

    Raises:
        DamagedFile: The file is not what was committed.
    """
    with open_part(storage, ref, whole=columns is None and storage.is_local) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        _check_rows(storage, ref, reader.metadata)
        yield from reader.iter_batches(batch_size=batch_rows, columns=columns)


def read_table(storage: Storage, ref: FileRef, columns: list[str] | None = None) -> pa.Table:
    """A whole committed Parquet file, or some of its columns.

    Raises:
        DamagedFile: The file is not what was committed.
    """
    with open_part(storage, ref, whole=columns is None) as file:
        table = pq.read_table(file, columns=columns, page_checksum_verification=True)
        if ref.sha256 and table.num_rows != ref.rows:
            raise _damaged(storage, ref, f"{table.num_rows} rows, and {ref.rows} were committed")
        return table


def footer_rows(storage: Storage, ref: FileRef) -> int:
    """Rows as the file's own footer says; nothing else of it is checked.

    Raises:
        DamagedFile: The file cannot be read and is not what was committed.
    """
    try:
        with storage.open(ref.path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        _raise_damage(storage, ref, error)
        raise


def check_file(storage: Storage, ref: FileRef) -> None:
    """Refuses a file whose bytes are not those that the ledger names.

    Page checksums cover the rows of a file but neither its footer nor its page headers; this covers
    all of it, and files that are not Parquet.

    Raises:
        DamagedFile: It is missing or has changed.
    """
    try:
        found = storage.sha256(ref.path)
    except FileNotFoundError as error:
        raise _missing(storage, ref) from error
    if found != ref.sha256:
        raise _damaged(storage, ref, "other bytes", found)


@contextmanager
def open_part(storage: Storage, ref: FileRef, *, whole: bool = False) -> Iterator[Any]:
    """Opens a committed file for pyarrow, and refuses one that is not what the ledger says.

    Args:
        storage: The workspace's folder.
        ref: What the ledger says; without a hash (of a path that stands in `inputs`) nothing is
            compared.
        whole: All of it is going to be read, so its hash is checked whatever its size; on an object
            store it is held in memory for that.

    Yields:
        A file that pyarrow reads. What goes wrong in reading it is told as damage of this file,
        unless the file is whole: then the error is another's.

    Raises:
        DamagedFile: The file is not what was committed.
    """
    try:
        with _opened(storage, ref, whole=whole) as file:
            yield file
    except (DamagedFile, StoreError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        _raise_damage(storage, ref, error)
        raise


@contextmanager
def _opened(storage: Storage, ref: FileRef, *, whole: bool) -> Iterator[Any]:
    if ref.sha256 and (ref.bytes <= _HASHED_BYTES or (whole and not storage.is_local)):
        data = storage.read(ref.path)
        found = hashlib.sha256(data).hexdigest()
        if found != ref.sha256:
            raise _damaged(storage, ref, f"{len(data)} bytes", found)
        with pa.BufferReader(data) as file:
            yield file
        return
    with storage.open(ref.path) as file:
        if ref.sha256 and (size := file.seek(0, 2)) != ref.bytes:
            raise _damaged(storage, ref, f"{size} bytes, and {ref.bytes} were committed")
        if ref.sha256 and whole and (found := _sha256(file)) != ref.sha256:
            raise _damaged(storage, ref, "other bytes", found)
        file.seek(0)
        yield file


def _sha256(file: IO[bytes]) -> str:
    file.seek(0)
    state = hashlib.sha256()
    while chunk := file.read(1 << 20):
        state.update(chunk)
    return state.hexdigest()


def _check_rows(storage: Storage, ref: FileRef, metadata: pq.FileMetaData) -> None:
    if ref.sha256 and metadata.num_rows != ref.rows:
        raise _damaged(storage, ref, f"{metadata.num_rows} rows, and {ref.rows} were committed")


def _raise_damage(storage: Storage, ref: FileRef, error: Exception) -> None:
    """Raises what went wrong in reading a file as damage of it; returns where the file is whole."""
    if not ref.sha256:
        if not isinstance(error, OSError):
            raise OSError(f"{ref.path} cannot be read ({error}); {_remedy(storage)}") from error
        return
    try:
        found = storage.sha256(ref.path)
    except FileNotFoundError:
        raise _missing(storage, ref) from error
    except OSError:
        return  # the store is not there: that says nothing about the file
    if found != ref.sha256:
        raise _damaged(storage, ref, f"what cannot be read ({error})", found) from error


def _missing(storage: Storage, ref: FileRef) -> DamagedFile:
    return DamagedFile(
        f"{ref.path} is missing; {_named_by(storage, ref)} names it; {_remedy(storage)}"
    )


def _damaged(storage: Storage, ref: FileRef, what: str, found: str | None = None) -> DamagedFile:
    """The error for a file that is there.

    Args:
        storage: The workspace's folder.
        ref: What was committed.
        what: What was seen of the file.
        found: Its SHA-256, where it is known already.
    """
    found = found or storage.sha256(ref.path)
    return DamagedFile(
        f"{ref.path} is not what was committed: found {what}, SHA-256 {found}; "
        f"{_named_by(storage, ref)} names {ref.bytes} bytes, SHA-256 {ref.sha256}; "
        f"{_remedy(storage)}"
    )


def _remedy(storage: Storage) -> str:
    return (
        f"`tokenmill audit {storage.url} --repair` takes back what can be made again, and the next "
        "run makes just that"
    )


def _named_by(storage: Storage, ref: FileRef) -> str:
    """The ledger entry that names a file; looked for among those of the file's own generation."""
    ledger, match = Ledger(storage), _FINGERPRINT.search(ref.path)
    if match is not None:
        try:
            for name in ledger.generations():
                if name.endswith(match[0].rstrip("/")):
                    for entry in ledger.entries(name):
                        if any(one.path == ref.path for one in entry.files):
                            return entry_path(name, entry.source, entry.part)
        except (OSError, ValueError, LedgerError):
            pass  # the ledger is damaged as well; the audit says where
    return "the ledger"


def batch_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """A batch of a few rows given as mappings."""
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)
