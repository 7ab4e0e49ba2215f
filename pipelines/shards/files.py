"""The files of a shard: written once, hashed on the way, published under one prefix."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipelines.workspace.ledger import FileRef
from pipelines.workspace.storage import Storage
from token_shards.formats import FILES, open_writer
from token_shards.layout import Layout, write
from token_shards.token_store import TokenStore

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

MAP: Final = "map"
_MAP_SUFFIX: Final = "map.parquet"
_HASH_DIGITS: Final = 8


class HashedFile(io.RawIOBase):
    """A local file in the making that knows its SHA-256.

    Hashing runs beside the work that makes the next bytes; one write is in flight.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.num_bytes = 0
        self._file = path.open("wb", buffering=0)
        self._state = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._hashing: Future[None] | None = None

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: "Buffer", /) -> int:
        """Appends bytes, which must not change afterwards.

        Raises:
            OSError: The disk took fewer.
        """
        view = memoryview(data).cast("B")
        self._wait()
        self._hashing = self._thread.submit(self._state.update, view)
        left = view
        while left:
            left = left[self._file.write(left) or 0 :]
        self.num_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.num_bytes

    def sha256(self) -> str:
        """Hash of what was written."""
        self._wait()
        return self._state.hexdigest()

    def close(self) -> None:
        """Ends hashing and closes the file."""
        if not self.closed:
            self._thread.shutdown()
            self._file.close()
        super().close()

    def _wait(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None


class Drafts:
    """Files that share a prefix; what is not published is thrown away."""

    def __init__(self, storage: Storage, suffixes: Sequence[str]) -> None:
        self._storage = storage
        self.files = {suffix: HashedFile(storage.scratch(f".{suffix}")) for suffix in suffixes}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self.files.values():
            file.close()
            file.path.unlink(missing_ok=True)

    def publish(self, suffix: str, *, kind: str, stem: str, digest: str, rows: int) -> FileRef:
        """Gives one of them its place, `<stem>-<first digits of digest>.<suffix>`."""
        file = self.files[suffix]
        sha256, size = file.sha256(), file.num_bytes
        file.close()
        path = f"{stem}-{digest[:_HASH_DIGITS]}.{suffix}"
        self._storage.publish(file.path, path)
        return FileRef(kind=kind, path=path, sha256=sha256, bytes=size, rows=rows)


def write_shard(
    storage: Storage,
    layout: Layout,
    store: TokenStore,
    keys: npt.NDArray[np.uint8],
    *,
    format_name: str,
    stem: str,
    eod: int,
) -> tuple[FileRef, ...]:
    """Writes and publishes the files of one shard, all under the hash of its tokens.

    Args:
        storage: The workspace's folder.
        layout: What stands where; at least one sequence.
        store: Tokens of the documents.
        keys: uint8[num_documents, 16], their ids.
        format_name: One of `formats.FILES`.
        stem: Path without hash and suffix.
        eod: Token that pads.
    """
    kinds = FILES[format_name]
    rows = layout.document_map(keys)
    with Drafts(storage, (*kinds, _MAP_SUFFIX)) as drafts:
        writer = open_writer(
            format_name,
            {kind: cast(BinaryIO, drafts.files[kind]) for kind in kinds},
            store.ids.dtype,
            layout.sequence_lengths,
            layout.sequence_length,
        )
        write(layout, store, rows, writer, eod)
        pq.write_table(
            rows, drafts.files[_MAP_SUFFIX], compression="zstd", write_page_checksum=True
        )
        digest = drafts.files[kinds[0]].sha256()
        published = [
            drafts.publish(kind, kind=kind, stem=stem, digest=digest, rows=layout.num_sequences)
            for kind in kinds
        ]
        published.append(
            drafts.publish(_MAP_SUFFIX, kind=MAP, stem=stem, digest=digest, rows=rows.num_rows)
        )
    return tuple(published)
