"""Part files: Parquet written once, named by the hash of their content.

The same batches give the same bytes: no time stamps, one compression, row groups cut by rows.
Row groups are small enough (16 MB of text) that a reader of one row does not load a whole part.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.ledger import FileRef
from pipelines.workspace.storage import Storage, sha256_of

_ROW_GROUP_BYTES: Final = 16 << 20
_ZSTD_LEVEL: Final = 3
_HASH_DIGITS: Final = 8
_RESTORE: Final = "restore it, or see `tokenmill audit`, which names all that is damaged"


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
        OSError: The file is not what was committed.
    """
    with _opened(storage, ref) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        yield from reader.iter_batches(batch_size=batch_rows, columns=columns)


def read_table(storage: Storage, ref: FileRef, columns: list[str] | None = None) -> pa.Table:
    """A whole committed Parquet file, or some of its columns.

    Raises:
        OSError: The file is not what was committed.
    """
    with _opened(storage, ref) as file:
        return pq.read_table(file, columns=columns, page_checksum_verification=True)


def footer_rows(storage: Storage, ref: FileRef) -> int:
    """Rows as the file's own footer says.

    Raises:
        OSError: The file is not what was committed.
    """
    with _opened(storage, ref) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


def check_file(storage: Storage, ref: FileRef) -> None:
    """Refuses a file whose bytes are not those that the ledger names.

    Page checksums cover the rows of a file but neither its footer nor its page headers; this covers
    all of it, and files that are not Parquet.

    Raises:
        OSError: It is missing or has changed.
    """
    try:
        found = storage.sha256(ref.path)
    except FileNotFoundError as error:
        raise OSError(f"{ref.path} is missing; {_RESTORE}") from error
    if found != ref.sha256:
        raise OSError(f"{ref.path} is not what was committed (its sha256 differs); {_RESTORE}")


@contextmanager
def _opened(storage: Storage, ref: FileRef) -> Iterator[Any]:
    """Opens a committed file; says which it is when Arrow cannot read it."""
    with storage.open(ref.path) as file:
        try:
            yield file
        except (pa.ArrowInvalid, OSError) as error:
            raise OSError(
                f"{ref.path} cannot be read ({error}): it is not what was committed; `tokenmill "
                "audit` names all that is damaged"
            ) from error


def batch_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """A batch of a few rows given as mappings."""
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)
