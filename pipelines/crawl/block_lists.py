"""What a crawl never asks for: block lists of hosts and URLs, and what was taken down.

The lists are those of the safety labels, in the same formats and compared in the same form
(`annotators/safety`), so that what the crawl refuses is what the label `blocked` would say. They do
not enter the fingerprint of a crawl: a list is renewed daily, and a crawl goes on with the new one.
Which one held is said by its digest in the ledger, part by part. The modules of the index, which
compile, are loaded where there is a list.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.safety.addresses import comparable_urls
from annotators.safety.block_lists import read_block_list

if TYPE_CHECKING:
    from annotators.safety.entry_index import EntryIndex

BLOCK_LIST: Final = "block_list"
TAKEN_DOWN: Final = "taken_down"


class BlockList(NamedTuple):
    """Reasons and, of each, the entries; the first reason that fits counts."""

    indexes: "tuple[tuple[str, EntryIndex], ...]"
    digest: str | None
    """Of the block lists as they were read, in hex; None without any."""

    @classmethod
    def of(cls, paths: Sequence[str], taken_down: Any = None) -> "BlockList":  # noqa: ANN401
        """Reads lists.

        Args:
            paths: Files or folders, in the formats of `annotators.safety.block_lists`.
            taken_down: pa.LargeStringArray of entries in the form of `comparable_entries`, or None.

        Raises:
            ValueError: A list cannot be read or has no entry.
        """
        indexes = []
        if taken_down is not None and len(taken_down):
            indexes.append((TAKEN_DOWN, _index(taken_down)))
        if not paths:
            return cls(tuple(indexes), None)
        index, digest = _read(tuple((path, _stamp(Path(path))) for path in paths))
        return cls((*indexes, (BLOCK_LIST, index)), digest)

    def refusals(self, urls: Sequence[str]) -> list[str | None]:
        """taken_down, block_list or None of each address."""
        if not self.indexes or not urls:
            return [None] * len(urls)
        from annotators.safety.entry_index import find_entries

        compared = pc.fill_null(comparable_urls(pa.array(urls, pa.large_string())), "")
        reasons: list[str | None] = [None] * len(urls)
        for reason, index in self.indexes:
            for row in np.flatnonzero(find_entries(index, compared) >= 0).tolist():
                reasons[row] = reasons[row] or reason
        return reasons

    def refusal(self, url: str) -> str | None:
        """The reason of one address."""
        return self.refusals([url])[0]


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a list does; (0, 0) of what is missing, which the reader complains of."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4)
def _read(lists: tuple[tuple[str, tuple[int, int]], ...]) -> "tuple[EntryIndex, str]":
    """The entries of some lists, and their digest."""
    index = _index(pa.concat_arrays([read_block_list(Path(path)).keys for path, _ in lists]))
    state = hashlib.blake2b(index.offsets.tobytes(), digest_size=16)
    state.update(index.data.tobytes())
    return index, state.hexdigest()


def _index(keys: Any) -> "EntryIndex":  # noqa: ANN401 - a pa.LargeStringArray
    from annotators.safety.entry_index import build_index

    blank = np.zeros(len(keys), np.int16)
    return build_index(keys, blank, blank)
