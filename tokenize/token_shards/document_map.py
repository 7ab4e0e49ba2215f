"""The map from tokens of a shard back to documents, one row per piece of a document.

It answers "where did this token come from?": token t of a shard, counted over all its sequences,
lies in the one row with token_start <= t < token_end, or, behind the last row of a packed sequence,
in no row, because it is padding. 48 bytes a row before compression; the token columns are sorted
and compress to little. Rows stand in the order of the shard, and `row` is the number of the
sequence: with documents one after the other every row has its own, packed sequences have several.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Quoted, because pa.Field is generic in its stubs only.
_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("row", pa.int64(), nullable=False),
    pa.field("id", pa.binary(16), nullable=False),
    pa.field("draw", pa.int32(), nullable=False),
    pa.field("piece", pa.int32(), nullable=False),
    pa.field("token_start", pa.int64(), nullable=False),
    pa.field("token_end", pa.int64(), nullable=False),
]
DOCUMENT_MAP_SCHEMA = pa.schema(_FIELDS)
"""row: position of the sequence in the shard; id: document; draw: which of its draws, from 0;
piece: which piece of the draw, from 0, where it was longer than a packed sequence; token_start,
token_end: tokens [start, end) of the shard, the EOD included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRange:
    """One row of the map: a piece of a draw of a document and the tokens it fills."""

    row: int
    id: bytes
    draw: int
    piece: int
    token_start: int
    token_end: int


def document_map(
    keys: npt.NDArray[np.uint8],
    draws: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    *,
    pieces: npt.NDArray[np.int32] | None = None,
    rows: npt.NDArray[np.int64] | None = None,
    sequence_length: int | None = None,
) -> pa.Table:
    """Builds the map of a shard.

    Args:
        keys: uint8[num_pieces, 16], id of the document of each piece.
        draws: int32[num_pieces], which draw of it.
        lengths: int64[num_pieces], tokens of each piece, EOD included.
        pieces: int32[num_pieces], which piece of its draw; by default each is the first.
        rows: int64[num_pieces], sequence of each, not falling; by default each its own.
        sequence_length: Tokens of every sequence, where pieces are packed; goes with `rows`.

    Returns:
        A table in DOCUMENT_MAP_SCHEMA.

    Raises:
        ValueError: The arrays have different lengths or wrong shapes, a piece is empty, or pieces
            do not fit into their sequence.
    """
    n = len(lengths)
    if keys.dtype != np.uint8 or keys.shape != (n, 16) or draws.shape != (n,):
        raise ValueError(
            f"keys are {keys.dtype}{list(keys.shape)} and draws {draws.dtype}{list(draws.shape)}; "
            f"{n} lengths take uint8[{n}, 16] and int32[{n}]"
        )
    if n and lengths.min() < 1:
        bad = int(np.argmin(lengths))
        raise ValueError(f"lengths[{bad}] is {lengths[bad]}; a sequence has at least its EOD")
    ends = np.cumsum(lengths, dtype=np.int64)
    if rows is None:
        rows = np.arange(n, dtype=np.int64)
    elif sequence_length is not None:
        ends = _ends_in_sequences(lengths, rows, sequence_length)
    id_bytes = pa.py_buffer(keys.tobytes())
    columns = [
        pa.array(rows),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, id_bytes]),
        pa.array(draws.astype(np.int32)),
        pa.array(np.zeros(n, np.int32) if pieces is None else pieces.astype(np.int32)),
        pa.array(ends - lengths),
        pa.array(ends),
    ]
    return pa.Table.from_arrays(columns, schema=DOCUMENT_MAP_SCHEMA)


def _ends_in_sequences(
    lengths: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], sequence_length: int
) -> npt.NDArray[np.int64]:
    """Token behind each piece, where sequence r begins at token r * sequence_length."""
    filled = np.cumsum(lengths, dtype=np.int64)
    first = np.searchsorted(rows, rows)
    within = filled - (filled - lengths)[first]
    if len(within) and within.max() > sequence_length:
        row = int(rows[np.argmax(within)])
        raise ValueError(
            f"pieces of sequence {row} have {within.max()} tokens; it takes {sequence_length}"
        )
    ends: npt.NDArray[np.int64] = rows * sequence_length + within
    return ends


def document_at(table: pa.Table, token: int) -> DocumentRange:
    """Finds the document that a token of the shard belongs to.

    Args:
        table: The map of a whole shard, or of a run of its rows.
        token: Position in the shard, in tokens.

    Returns:
        The row that holds the token.

    Raises:
        ValueError: The map does not cover that token, or it is padding.
    """
    position = int(np.searchsorted(table["token_end"].to_numpy(), token, side="right"))
    if position < table.num_rows:
        row = DocumentRange(**table.slice(position, 1).to_pylist()[0])
        if row.token_start <= token:
            return row
        if position:
            raise ValueError(
                f"token {token} is padding: it stands behind the last document of a packed "
                f"sequence, and the next document begins at token {row.token_start}"
            )
    covered = "no tokens"
    if table.num_rows:
        last = table.num_rows - 1
        covered = f"tokens {table['token_start'][0]} to {table['token_end'][last].as_py() - 1}"
    raise ValueError(f"token {token} is not in this document map, which covers {covered}")
