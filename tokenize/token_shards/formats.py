"""The formats that shards are written in, behind one small protocol.

| format | files | a sequence is | read by |
|---|---|---|---|
| megatron | .bin, .idx | a sequence and document of the indexed dataset | Megatron-LM, NeMo |
| mds | .mds, and one index.json a folder | a sample with the column `tokens` | MosaicML Streaming |
| parquet | .parquet | a row: `id`, `draw`, `piece`, `tokens`; packed: `lengths`, `tokens` | all |
| npy | .npy | tokens[token_start:token_end]; packed: a row of int[n, L] | `numpy.load` with mmap |

All lengths are known before the first token is written, so every writer streams.
"""

from collections.abc import Mapping
from typing import BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from token_shards.indexed_dataset import IndexedDatasetWriter
from token_shards.mds import MdsWriter
from token_shards.npy_rows import NpyWriter
from token_shards.parquet_rows import ParquetWriter

TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.int32]
"""Ids as the tokenizer's vocabulary asks for on disk."""

MEGATRON: Final = "megatron"
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    MEGATRON: ("bin", "idx"),
    "mds": ("mds",),
    "parquet": ("parquet",),
    "npy": ("npy",),
}
"""Format -> kinds of its files, the one that holds the tokens first; the kind is the suffix too."""


class ShardWriter(Protocol):
    """Writes the sequences of one shard, in order."""

    def add(self, ids: TokenIds, lengths: npt.NDArray[np.int64], rows: pa.Table) -> None:
        """Appends sequences.

        Args:
            ids: uint16 or int32[num_tokens], tokens of all of them, EOD and padding included.
            lengths: int64[num_sequences], tokens of each.
            rows: Their rows of the document map.
        """
        ...

    def finish(self) -> None:
        """Writes what comes last; the files stay open."""
        ...


class _MegatronWriter:
    """`.bin` as it comes, `.idx` at the end."""

    def __init__(self, files: Mapping[str, BinaryIO], dtype: npt.DTypeLike) -> None:
        self._index = files["idx"]
        self._writer = IndexedDatasetWriter(files["bin"], dtype)

    def add(self, ids: TokenIds, lengths: npt.NDArray[np.int64], rows: pa.Table) -> None:
        self._writer.add(ids, lengths)

    def finish(self) -> None:
        self._index.write(self._writer.index())


def check_format(name: str) -> None:
    """Refuses a format that is not known.

    Raises:
        ValueError: It is not.
    """
    if name not in FILES:
        raise ValueError(f"shard format is {name!r}; allowed: {', '.join(FILES)}; name one of them")


def open_writer(
    name: str,
    files: Mapping[str, BinaryIO],
    dtype: npt.DTypeLike,
    lengths: npt.NDArray[np.int64],
    sequence_length: int | None = None,
) -> ShardWriter:
    """Starts a shard.

    Args:
        name: One of FILES.
        files: Kind -> file, open for binary writing, at its start.
        dtype: np.uint16 or np.int32, of the ids.
        lengths: int64[num_sequences], tokens of all sequences that will be added.
        sequence_length: Tokens of each sequence where they are packed, else None.

    Raises:
        ValueError: There is no such format, or the shard is too large for it.
    """
    check_format(name)
    if name == MEGATRON:
        return _MegatronWriter(files, dtype)
    if name == "mds":
        return MdsWriter(files["mds"], lengths)
    if name == "parquet":
        return ParquetWriter(files["parquet"], packed=sequence_length is not None)
    return NpyWriter(files["npy"], dtype, lengths, sequence_length)
