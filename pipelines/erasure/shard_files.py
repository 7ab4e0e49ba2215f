"""The files of a shard without the tokens of some documents, under the hash of what is left."""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.erasure.tokens import erase_tokens, ranges_of
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import publish_file, read_table
from pipelines.workspace.storage import Storage, sha256_of
from token_shards.formats import FILES, MEGATRON

_COPY_BYTES: Final = 4 << 20


def erase_shard(
    storage: Storage, entry: Entry, ids: pa.FixedSizeBinaryArray
) -> tuple[tuple[FileRef, ...], int]:
    """Publishes the files of a shard anew where it draws one of some documents.

    Args:
        storage: The workspace's folder.
        entry: Of the shard; it has files.
        ids: fixed_size_binary(16)[n], documents to erase.

    Returns:
        Its files, and how many tokens are erased; the same files and 0 where nothing changes.
    """
    mapped = read_table(storage, entry.file("map"), ["id", "token_start", "token_end"])
    ranges = ranges_of(mapped, ids)
    if not len(ranges):
        return entry.files, 0
    kind = FILES[entry.detail.get("format", MEGATRON)][0]
    held = entry.file(kind)
    local = _copied(storage, held)
    try:
        detail = entry.detail
        dtype, eod = detail["dtype"], detail["eod_id"]
        if not erase_tokens(local, kind, ranges, dtype=dtype, eod=eod):
            return entry.files, 0
        digest = sha256_of(local)
        files = tuple(
            _published(storage, local if ref is held else _copied(storage, ref), ref, digest)
            for ref in entry.files
        )
    finally:
        local.unlink(missing_ok=True)
    return files, int(np.sum(ranges[:, 1] - ranges[:, 0]))


def _copied(storage: Storage, ref: FileRef) -> Path:
    """A copy on this machine; its ending is kept."""
    local = storage.scratch("." + ref.path.rpartition("/")[2].partition(".")[2])
    with storage.open(ref.path) as source, local.open("wb") as target:
        while piece := source.read(_COPY_BYTES):
            target.write(piece)
    return local


def _published(storage: Storage, local: Path, ref: FileRef, digest: str) -> FileRef:
    stem = ref.path.rpartition("-")[0]
    return publish_file(storage, local, kind=ref.kind, stem=stem, rows=ref.rows, digest=digest)
