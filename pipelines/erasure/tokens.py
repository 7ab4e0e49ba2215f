"""Tokens of erased documents in shards, replaced by EOD where they stand.

Nothing moves: the file keeps its length, so index, document map, offsets and the order of samples
of a training run that has begun stay what they are. Only the bytes of the tokens change, in a copy
of the file; the columns of Parquet and Arrow, which have no such places, are written anew.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.lib import format as npy_format

from token_shards.mds import read_mds

Ranges = npt.NDArray[np.int64]
"""int64[n, 2]: first token and the one behind the last, over all sequences of a shard."""
_WORD: Final = 4


def erase_tokens(path: Path, kind: str, ranges: Ranges, *, dtype: str, eod: int) -> bool:
    """Writes EOD over some tokens of a shard's file.

    Args:
        path: A copy of it on this machine.
        kind: bin, npy, mds or parquet (`formats.FILES`).
        ranges: Which tokens.
        dtype: Of the ids, where the file does not say: uint16 or int32.
        eod: The token that ends a document.

    Returns:
        Whether one of them was another token.

    Raises:
        ValueError: There is no such format.
    """
    if kind == "parquet":
        return _erase_rows(path, ranges, eod)
    if kind == "bin":
        places, word = _one_after_another(0), np.dtype(dtype)
    elif kind == "npy":
        with path.open("rb") as file:
            npy_format.read_magic(file)
            _, _, word = npy_format.read_array_header_1_0(file)
            places = _one_after_another(file.tell())
    elif kind == "mds":
        places, word = _in_samples(path.read_bytes()), np.dtype(np.int32)
    else:
        raise ValueError(f"found shard files of the kind {kind}; known are bin, npy, mds, parquet")
    return _patch(path, ranges, places, word.newbyteorder("<"), eod)


def erase_scattered(source: BinaryIO, target: BinaryIO, ids: pa.Array) -> int:
    """Copies what a unit dealt out to the shards of a stage, some documents as EOD alone.

    Args:
        source: An Arrow file with the columns `id` and `tokens`; the last token of a row is EOD.
        target: Where the copy goes.
        ids: fixed_size_binary(16)[n], documents to erase.

    Returns:
        Rows that were changed.
    """
    changed = 0
    reader = pa.ipc.open_file(source)
    with pa.ipc.new_file(target, reader.schema) as writer:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            place = batch.schema.get_field_index("tokens")
            lists = batch.column(place)
            values = lists.flatten().to_numpy().copy()
            offsets = lists.offsets.to_numpy() - lists.offsets[0].as_py()
            gone = np.flatnonzero(pc.is_in(batch.column("id"), ids).to_numpy(zero_copy_only=False))
            for row in gone.tolist():
                values[offsets[row] : offsets[row + 1]] = values[offsets[row + 1] - 1]
            changed += len(gone)
            columns = list(batch.columns)
            columns[place] = pa.LargeListArray.from_arrays(
                pa.array(offsets), pa.array(values), type=lists.type
            )
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=batch.schema))
    return changed


class _Places:
    """Where the bytes of tokens stand in a file."""

    def __init__(self, first: Ranges, begins: Ranges) -> None:
        self._first, self._begins = first, begins

    def of(self, start: int, word_bytes: int) -> int:
        """Byte of a token; those behind it follow, up to the end of its sequence."""
        sequence = int(np.searchsorted(self._first, start, side="right")) - 1
        return int(self._begins[sequence]) + (start - int(self._first[sequence])) * word_bytes


def _one_after_another(begin: int) -> _Places:
    return _Places(np.zeros(1, np.int64), np.array([begin], np.int64))


def _in_samples(data: bytes) -> _Places:
    _, lengths = read_mds(data)
    ends = np.frombuffer(data, "<u4", len(lengths) + 1, _WORD).astype(np.int64)[1:]
    return _Places(np.cumsum(lengths) - lengths, ends - _WORD * lengths)


def _patch(
    path: Path, ranges: Ranges, places: _Places, word: np.dtype[np.generic], eod: int
) -> bool:
    changed = False
    with path.open("r+b") as file:
        for start, end in ranges.tolist():
            wanted = np.full(end - start, eod, word).tobytes()
            file.seek(places.of(start, word.itemsize))
            if file.read(len(wanted)) != wanted:
                file.seek(-len(wanted), io.SEEK_CUR)
                file.write(wanted)
                changed = True
    return changed


def _erase_rows(path: Path, ranges: Ranges, eod: int) -> bool:
    """Parquet: a row is a sequence, and row groups stay as they are."""
    reader = pq.ParquetFile(path, page_checksum_verification=True)
    draft = path.with_name(f"{path.name}.draft")
    first, changed = 0, False
    writer = pq.ParquetWriter(
        draft,
        reader.schema_arrow,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
    )
    with writer:
        for number in range(reader.num_row_groups):
            table = reader.read_row_group(number).combine_chunks()
            place = table.schema.get_field_index("tokens")
            lists = table.column(place).chunk(0) if table.num_rows else None
            if lists is not None:
                values = lists.flatten().to_numpy().copy()
                inside = np.clip(ranges - first, 0, len(values))
                for start, end in inside.tolist():
                    changed |= bool((values[start:end] != eod).any())
                    values[start:end] = eod
                offsets = (lists.offsets.to_numpy() - lists.offsets[0].as_py()).astype(np.int32)
                told = pa.ListArray.from_arrays(
                    pa.array(offsets), pa.array(values), type=lists.type
                )
                table = table.set_column(place, table.schema.field(place), told)
                first += len(values)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    reader.close()
    draft.replace(path)
    return changed


def ranges_of(mapped: pa.Table, ids: pa.Array) -> Ranges:
    """Token ranges of some documents in a shard.

    Args:
        mapped: Its document map.
        ids: fixed_size_binary(16)[n].
    """
    some = mapped.filter(pc.is_in(mapped.column("id"), ids))
    columns: Sequence[npt.NDArray[np.int64]] = [
        some.column(name).to_numpy().astype(np.int64) for name in ("token_start", "token_end")
    ]
    return cast(Ranges, np.stack(columns, axis=1))
