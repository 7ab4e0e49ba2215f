"""Token ids as Parquet, one row a sequence, for trainers that read columns.

Documents that follow one another: `id`, `draw`, `piece`, `tokens`. Packed sequences: `lengths`, the
tokens of each document in the row (what a trainer with attention of variable length takes), and
`tokens`, of which those behind the last document are padding; ids stand in the document map. Pages
carry checksums, so that a flipped bit never becomes a token.
"""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

_TOKENS = pa.list_(pa.field("item", pa.int32(), nullable=False))

# Quoted, because pa.Field is generic in its stubs only.
_OF_DOCUMENTS: "list[pa.Field[Any]]" = [
    pa.field("id", pa.binary(16), nullable=False),
    pa.field("draw", pa.int32(), nullable=False),
    pa.field("piece", pa.int32(), nullable=False),
    pa.field("tokens", _TOKENS, nullable=False),
]
_OF_PACKED: "list[pa.Field[Any]]" = [
    pa.field("lengths", _TOKENS, nullable=False),
    pa.field("tokens", _TOKENS, nullable=False),
]
DOCUMENTS_SCHEMA = pa.schema(_OF_DOCUMENTS)
"""A row is a draw of a document, whole."""
PACKED_SCHEMA = pa.schema(_OF_PACKED)
"""A row is a packed sequence."""


class ParquetWriter:
    """Writes a row group for each call.

    Args:
        file: Open for binary writing, at its start.
        packed: Whether rows are packed sequences.
    """

    def __init__(self, file: BinaryIO, *, packed: bool) -> None:
        self._packed = packed
        self._writer = pq.ParquetWriter(
            file,
            PACKED_SCHEMA if packed else DOCUMENTS_SCHEMA,
            compression="zstd",
            use_dictionary=False,  # of tokens it would be as large as they are
            write_page_checksum=True,
        )

    def add(
        self,
        ids: npt.NDArray[np.uint16] | npt.NDArray[np.int32],
        lengths: npt.NDArray[np.int64],
        rows: pa.Table,
    ) -> None:
        """Appends sequences; see `formats.ShardWriter`."""
        tokens = _lists(ids.astype(np.int32, copy=False), lengths)
        if self._packed:
            sequence = rows.column("row").to_numpy()
            filled = rows.column("token_end").to_numpy() - rows.column("token_start").to_numpy()
            counts = np.bincount(sequence - sequence[0], minlength=len(lengths))
            columns = [_lists(filled.astype(np.int32), counts), tokens]
        else:
            named = (rows.column(name).combine_chunks() for name in ("id", "draw", "piece"))
            columns = [*named, tokens]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema))

    def finish(self) -> None:
        """Writes the footer."""
        self._writer.close()


def _lists(values: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    array: pa.ListArray = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values), type=_TOKENS
    )
    return array
