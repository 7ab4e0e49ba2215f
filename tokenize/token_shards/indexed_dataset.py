"""Megatron's IndexedDataset on disk: `<prefix>.bin` holds the tokens, `<prefix>.idx` their cuts.

Format as read by `IndexedDataset` of Megatron-LM core_v0.16.1
(`megatron/core/datasets/indexed_dataset.py`); everything is little-endian.

`.bin`: the token ids of all sequences without gaps, uint16 or int32 each.

`.idx`, for n sequences and m documents:

    bytes       type          content
    0           9 bytes       b"MMIDIDX\\x00\\x00"
    9           uint64        version = 1
    17          uint8         dtype code of the ids: 4 = int32, 8 = uint16
    18          uint64        n
    26          uint64        m + 1, the length of the last array
    34          int32[n]      tokens of each sequence
    34 + 4n     int64[n]      byte at which each sequence starts in .bin
    34 + 12n    int64[m + 1]  sequence at which each document starts, from 0 to n

tokenmill writes one sequence per document with its EOD inside, or one per packed sequence, as one
document each, so m = n and the last array counts 0, 1, ..., n. The writer streams `.bin` and keeps
4 bytes per sequence; `.idx` (20 bytes per sequence) comes at the end. Megatron cannot use a prefix
without a sequence, so none is written.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
# DType codes of Megatron that can hold token ids and that DType.optimal_dtype chooses from.
_CODE_OF_DTYPE: dict[np.dtype[Any], int] = {np.dtype(np.int32): 4, np.dtype(np.uint16): 8}
_DTYPE_OF_CODE: dict[int, np.dtype[Any]] = {code: dtype for dtype, code in _CODE_OF_DTYPE.items()}
_FIXED = struct.Struct("<9sQBQQ")
_MAX_LENGTH = 2**31 - 1  # lengths are int32


def token_dtype(vocab_size: int) -> type[np.uint16] | type[np.int32]:
    """Gives the dtype in which Megatron stores ids: `DType.optimal_dtype` of core_v0.16.1.

    Args:
        vocab_size: Largest token id + 1.

    Returns:
        np.uint16 below 65,500, else np.int32.
    """
    return np.uint16 if vocab_size < 65_500 else np.int32


class IndexedDatasetWriter:
    """Streams sequences into a `.bin` file and gives the bytes of its `.idx` at the end.

    Args:
        bin_file: Open for binary writing, at its start.
        dtype: np.uint16 or np.int32.

    Raises:
        ValueError: The dtype is neither.
    """

    def __init__(self, bin_file: BinaryIO, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in _CODE_OF_DTYPE:
            raise ValueError(f"dtype is {self.dtype}; token ids are written as uint16 or int32")
        self.num_sequences = 0
        self.num_tokens = 0
        self._bin_file = bin_file
        self._lengths: list[npt.NDArray[np.int32]] = []

    def add(
        self,
        ids: npt.NDArray[np.int32] | npt.NDArray[np.uint16],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        """Appends several sequences at once; after an error nothing of them is in the index.

        Args:
            ids: int32[num_tokens] or of the file's dtype, tokens of all sequences, EOD included.
            lengths: int64[num_sequences], tokens of each sequence, 1 to 2**31 - 1.

        Raises:
            ValueError: An id does not fit the dtype, a length is out of range, or the lengths do
                not sum to the number of ids.
            OSError: The file took fewer bytes than it was given.
        """
        self._check(ids, lengths)
        data = ids.astype(self.dtype.newbyteorder("<"), copy=False).data.cast("B")
        written = self._bin_file.write(data)
        if written != data.nbytes:
            raise OSError(f"wrote {written} of {data.nbytes} bytes of tokens; is the disk full?")
        self._lengths.append(lengths.astype(np.int32))
        self.num_sequences += len(lengths)
        self.num_tokens += len(ids)

    def index(self) -> bytes:
        """Gives the bytes of the `.idx` file for all that was added so far.

        Raises:
            ValueError: Nothing was added.
        """
        n = self.num_sequences
        if not n:
            raise ValueError(
                "no sequence was added; Megatron cannot read an empty prefix, so write no files "
                "for a shard without documents"
            )
        lengths = np.concatenate(self._lengths)
        return b"".join(
            (
                _FIXED.pack(_MAGIC, _VERSION, _CODE_OF_DTYPE[self.dtype], n, n + 1),
                lengths.astype("<i4").tobytes(),
                _pointers(lengths, self.dtype.itemsize).astype("<i8").tobytes(),
                np.arange(n + 1, dtype="<i8").tobytes(),
            )
        )

    def _check(
        self,
        ids: npt.NDArray[np.int32] | npt.NDArray[np.uint16],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        if ids.dtype not in (np.int32, self.dtype) or ids.ndim != 1:
            raise ValueError(f"ids are {ids.dtype}{list(ids.shape)}; add takes int32[num_tokens]")
        if len(lengths) and (lengths.min() < 1 or lengths.max() > _MAX_LENGTH):
            bad = int(np.argmax((lengths < 1) | (lengths > _MAX_LENGTH)))
            raise ValueError(
                f"sequence {self.num_sequences + bad} has {lengths[bad]} tokens; a sequence has "
                f"1 to {_MAX_LENGTH}, its EOD included"
            )
        if lengths.sum() != len(ids):
            raise ValueError(f"lengths sum to {lengths.sum()}, but {len(ids)} ids were given")
        limit = int(np.iinfo(self.dtype).max)
        if ids.dtype == np.int32 and len(ids) and (ids.min() < 0 or ids.max() > limit):
            raise ValueError(
                f"token ids go from {ids.min()} to {ids.max()}; {self.dtype} holds 0 to {limit}; "
                "take the dtype from token_dtype(vocab_size)"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """What an `.idx` file says of its `.bin`."""

    dtype: np.dtype[Any]
    """uint16 or int32, of the ids in `.bin`."""
    lengths: npt.NDArray[np.int32]
    """int32[num_sequences], tokens of each sequence."""
    pointers: npt.NDArray[np.int64]
    """int64[num_sequences], byte at which each sequence starts in `.bin`."""
    document_indices: npt.NDArray[np.int64]
    """int64[num_documents + 1], sequence at which each document starts."""

    @property
    def num_tokens(self) -> int:
        """Tokens of all sequences."""
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def num_bytes(self) -> int:
        """Bytes that the `.bin` file must have."""
        return self.num_tokens * self.dtype.itemsize


def read_index(data: bytes | memoryview) -> Index:
    """Reads and checks the bytes of an `.idx` file.

    Args:
        data: The whole file.

    Returns:
        Its content; the arrays are copies.

    Raises:
        ValueError: The bytes break the format; the message names the first broken field.
    """
    if len(data) < _FIXED.size:
        raise ValueError(f"index has {len(data)} bytes; its fixed part alone has {_FIXED.size}")
    magic, version, code, n, num_indices = _FIXED.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError(f"index starts with {magic!r}; a Megatron index starts with {_MAGIC!r}")
    if version != _VERSION:
        raise ValueError(f"index has version {version}; this reader knows version {_VERSION}")
    if code not in _DTYPE_OF_CODE:
        known = ", ".join(f"{c} = {dtype}" for c, dtype in _DTYPE_OF_CODE.items())
        raise ValueError(f"index has dtype code {code}; token ids have {known}")
    if not n or num_indices < 2:
        raise ValueError(
            f"index counts {n} sequences and {num_indices} document indices; it needs at least "
            "1 and 2"
        )
    expected = _FIXED.size + 12 * n + 8 * num_indices
    if len(data) != expected:
        raise ValueError(
            f"index has {len(data)} bytes; {n} sequences and {num_indices} document indices "
            f"take {expected}"
        )
    index = _read_arrays(data, _DTYPE_OF_CODE[code], n, num_indices)
    _check_arrays(index)
    return index


def _read_arrays(data: bytes | memoryview, dtype: np.dtype[Any], n: int, num_indices: int) -> Index:
    start = _FIXED.size
    return Index(
        dtype=dtype,
        lengths=np.frombuffer(data, "<i4", n, start).astype(np.int32),
        pointers=np.frombuffer(data, "<i8", n, start + 4 * n).astype(np.int64),
        document_indices=np.frombuffer(data, "<i8", num_indices, start + 12 * n).astype(np.int64),
    )


def _check_arrays(index: Index) -> None:
    n = len(index.lengths)
    if index.lengths.min() < 1:
        bad = int(np.argmax(index.lengths < 1))
        raise ValueError(f"length of sequence {bad} is {index.lengths[bad]}; it must be 1 or more")
    wrong = index.pointers != _pointers(index.lengths, index.dtype.itemsize)
    if np.any(wrong):
        bad = int(np.argmax(wrong))
        before = index.lengths[:bad].sum(dtype=np.int64) * index.dtype.itemsize
        raise ValueError(
            f"pointer of sequence {bad} is {index.pointers[bad]}; the sequences before it take "
            f"{before} bytes"
        )
    cuts = index.document_indices
    if cuts[0] != 0 or cuts[-1] != n:
        raise ValueError(
            f"document_indices go from {cuts[0]} to {cuts[-1]}; they must go from 0 to the number "
            f"of sequences, {n}"
        )
    if np.any(cuts[1:] <= cuts[:-1]):
        bad = int(np.argmax(cuts[1:] <= cuts[:-1]))
        raise ValueError(
            f"document_indices {bad} and {bad + 1} are {cuts[bad]} and {cuts[bad + 1]}; "
            "they must rise"
        )


def _pointers(lengths: npt.NDArray[np.int32], itemsize: int) -> npt.NDArray[np.int64]:
    ends = np.cumsum(lengths, dtype=np.int64) * itemsize
    return ends - lengths.astype(np.int64) * itemsize
