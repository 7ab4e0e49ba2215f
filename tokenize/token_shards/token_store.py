"""The tokens of a shard in the making: one array in the dtype of the disk, filled once.

A worker holds each token of a shard once, at 2 or 4 bytes, and beside it only what is being
written: so a shard of any number of documents costs its tokens, and repeats cost nothing.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from token_shards.batch import take_ranges

TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.int32]


class TokenStore:
    """Documents' tokens, appended in batches, taken in any order.

    Args:
        dtype: np.uint16 or np.int32.
        num_tokens: How many are expected; more are taken too, at the cost of a move.
    """

    def __init__(self, dtype: npt.DTypeLike, num_tokens: int = 0) -> None:
        # Pages of an array that is not written to are not there, so a guess may be too high.
        self._ids: npt.NDArray[np.uint16] | npt.NDArray[np.int32] = np.empty(num_tokens, dtype)
        self._num_tokens = 0
        self._lengths: list[npt.NDArray[np.int64]] = []

    def append(self, ids: TokenIds, lengths: npt.NDArray[np.int64]) -> None:
        """Adds the next documents.

        Args:
            ids: Tokens of all of them, of the store's dtype.
            lengths: int64[num_documents], tokens of each.

        Raises:
            ValueError: The dtype is another, or the lengths do not sum to the number of ids.
        """
        if ids.dtype != self._ids.dtype:
            raise ValueError(f"ids are {ids.dtype}; this store takes {self._ids.dtype}")
        if lengths.sum() != len(ids):
            raise ValueError(f"lengths sum to {lengths.sum()}, but {len(ids)} ids were given")
        end = self._num_tokens + len(ids)
        if end > len(self._ids):
            # In place where the system can move pages; nobody else holds the array.
            self._ids.resize(max(end, len(self._ids) * 9 // 8), refcheck=False)
        self._ids[self._num_tokens : end] = ids
        self._num_tokens = end
        self._lengths.append(lengths)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64[num_documents], tokens of each."""
        return np.concatenate([*self._lengths, np.zeros(0, np.int64)])

    @property
    def ids(self) -> TokenIds:
        """All tokens, a view that is good until the next `append`."""
        return self._ids[: self._num_tokens]

    def take(
        self, offsets: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
    ) -> tuple[TokenIds, npt.NDArray[np.int64]]:
        """Copies ranges of tokens in a given order.

        Args:
            offsets: int64[num_ranges + 1], where ranges begin and end.
            order: int64[n], range numbers.

        Returns:
            Their tokens, read-only, and int64[n]: the length of each.
        """
        stored: Any = self.ids
        ids, ends = take_ranges(stored, offsets, order)
        return ids, ends[1:] - ends[:-1]
