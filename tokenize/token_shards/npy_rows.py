"""Token ids as one .npy file, which `numpy.load(path, mmap_mode="r")` opens without reading it.

Version 1.0 of NumPy's format (numpy/lib/format.py): magic, header with dtype and shape, then the
ids in C order. Packed sequences are an array of shape [num_sequences, sequence_length]. Documents
that follow one another are an array of shape [num_tokens]; the document map beside it says where
each begins and ends.
"""

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib.format import write_array_header_1_0


class NpyWriter:
    """Streams ids behind a header that is known beforehand.

    Args:
        file: Open for binary writing, at its start.
        dtype: np.uint16 or np.int32.
        lengths: int64[num_sequences], tokens of all sequences that will be added.
        sequence_length: Tokens of each sequence where they are packed, else None.
    """

    def __init__(
        self,
        file: BinaryIO,
        dtype: npt.DTypeLike,
        lengths: npt.NDArray[np.int64],
        sequence_length: int | None,
    ) -> None:
        self._file, self._dtype = file, np.dtype(dtype).newbyteorder("<")
        num_tokens = int(lengths.sum())
        shape = (num_tokens,) if sequence_length is None else (len(lengths), sequence_length)
        write_array_header_1_0(
            file, {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        )

    def add(
        self,
        ids: npt.NDArray[np.uint16] | npt.NDArray[np.int32],
        lengths: npt.NDArray[np.int64],
        rows: pa.Table,
    ) -> None:
        """Appends sequences; see `formats.ShardWriter`."""
        self._file.write(ids.astype(self._dtype, copy=False).data.cast("B"))

    def finish(self) -> None:
        """Nothing comes last."""
