"""Near-duplicates: what counts as one, and the numbers that the search for them is made of.

The search: texts that share a band of their MinHash signature are candidates; candidates are
compared exactly; of what is similar enough, each text joins the first representative that it is
itself similar to. Nothing is decided by a signature alone and nothing through a third text, the two
ways in which peers have merged whole sources (marin issues 6851 and 6854).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from annotators.text.minhash import NUM_BANDS, ROWS_PER_BAND, recall_at
from annotators.text.shingles import CHARACTERS_PER_SHINGLE, WORDS_PER_SHINGLE

VERSION: Final = "3"
JOB: Final = "near_duplicates"

MAX_BUCKET: Final = 1000
"""Members up to which all pairs of a bucket are compared."""
MAX_LEAF: Final = 256
"""Members up to which all pairs of a part of a larger bucket are."""
NUM_ANCHORS: Final = 4
"""In a node of a larger bucket each text is compared with so many of each class of lengths ..."""
NUM_NEIGHBOURS: Final = 16
"""... and in what cannot be split further with so many just before it."""

_MIN_THRESHOLD: Final = 0.7

# A place in one word: 12 bits of source, 24 of part, 28 of row. A part of 256 MB of text has fewer
# rows than bytes.
_PART_BITS: Final = 24
_ROW_BITS: Final = 28
_MAX_SOURCES: Final = 1 << (64 - _PART_BITS - _ROW_BITS)

Places = npt.NDArray[np.uint64]
"""Where texts stand: source, part and row in one word, which sorts in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """What makes two texts near-duplicates."""

    threshold: float = 0.8
    """Exact Jaccard of their sets of shingles, from which on they are."""

    def __post_init__(self) -> None:
        """Refuses thresholds at which the signatures would miss too much.

        Raises:
            ValueError: Not in [0.7, 1].
        """
        if not _MIN_THRESHOLD <= self.threshold <= 1:
            found = recall_at(_MIN_THRESHOLD)
            raise ValueError(
                f"threshold of near-duplicates: found {self.threshold}; allowed are numbers from "
                f"{_MIN_THRESHOLD} (where signatures find {found:.0%} of the pairs) to 1"
            )

    @property
    def payload(self) -> dict[str, Any]:
        """What of it, and of the constants, decides a result."""
        return {
            "version": VERSION,
            "threshold": self.threshold,
            "bands": NUM_BANDS,
            "rows": ROWS_PER_BAND,
            "words": WORDS_PER_SHINGLE,
            "characters": CHARACTERS_PER_SHINGLE,
            "max_bucket": MAX_BUCKET,
            "max_leaf": MAX_LEAF,
            "anchors": NUM_ANCHORS,
            "neighbours": NUM_NEIGHBOURS,
        }


def places_of(source: int, part: int, rows: npt.NDArray[np.int64]) -> Places:
    """The places of some rows of a part.

    Raises:
        ValueError: More sources, parts or rows than a place can name.
    """
    largest = int(rows.max(initial=0))
    if source >= _MAX_SOURCES or part >= 1 << _PART_BITS or largest >= 1 << _ROW_BITS:
        raise ValueError(
            f"source number {source}, part {part}, row {largest}: near-duplicates are looked for "
            f"in up to {_MAX_SOURCES} sources, {1 << _PART_BITS} parts and {1 << _ROW_BITS} rows a "
            "part; use larger parts, or fewer sources"
        )
    number = np.uint64(number_of_part(source, part))
    return number << np.uint64(_ROW_BITS) | rows.astype(np.uint64)


def number_of_part(source: int, part: int) -> int:
    """Source and part in one number, as `parts_at` gives it."""
    return source << _PART_BITS | part


def rows_at(places: Places) -> npt.NDArray[np.int64]:
    """The rows, int64[n]."""
    return (places & np.uint64((1 << _ROW_BITS) - 1)).astype(np.int64)


def parts_at(places: Places) -> npt.NDArray[np.int64]:
    """Source and part in one number, int64[n]: equal for rows of one part, in order of places."""
    return (places >> np.uint64(_ROW_BITS)).astype(np.int64)


def source_and_part(number: int) -> tuple[int, int]:
    """Position of the source and number of the part, from a number of `parts_at`."""
    return number >> _PART_BITS, number & (1 << _PART_BITS) - 1


def sources_and_parts(
    numbers: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Likewise for many, int32[n] each."""
    sources, parts = numbers >> _PART_BITS, numbers & (1 << _PART_BITS) - 1
    return sources.astype(np.int32), parts.astype(np.int32)
