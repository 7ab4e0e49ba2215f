"""MinHash signatures of texts, cut into bands: texts that share a band are worth comparing.

Two texts agree in one minimum with a probability of their Jaccard s, in a band of r minima with
s^r, and in at least one of b bands with 1 - (1 - s^r)^b (Broder 1997; Leskovec, Rajaraman, Ullman,
"Mining of Massive Datasets", 3.4). Candidates are compared exactly afterwards, so bands are chosen
for what they must not miss, and false ones only cost time:

| bands x rows | minima | s = 0.5 | 0.6 | 0.7 | 0.75 | 0.8 | 0.85 |
|---|---|---|---|---|---|---|---|
| 14 x 8 (datatrove's) | 112 | 0.053 | 0.211 | 0.565 | 0.773 | 0.924 | 0.988 |
| 16 x 7 | 112 | 0.118 | 0.364 | 0.747 | 0.903 | 0.977 | 0.998 |
| **20 x 6** | 120 | 0.270 | 0.615 | 0.918 | 0.980 | 0.998 | 1.000 |
| 25 x 5 | 125 | 0.548 | 0.868 | 0.990 | 0.999 | 1.000 | 1.000 |

20 x 6 is the cheapest that finds 99.8 % at the default threshold of 0.8; 25 x 5 would find 0.2 %
more and double the candidates at 0.5.

A minimum is over (a h + b) mod 2^32 with a odd, h the upper half of a shingle's hash: a permutation
of 32 bits that vector units do eight or sixteen at a time. Minima of 32 bits agree by chance in
one of 2^32 / n for texts of n shingles, which no band of six can feel. a and b come from SplitMix64
(Steele, Lea and Flood 2014), so they are the same everywhere.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.shingles import distinct_shingles, empty_slots, shingle_table
from annotators.text.utf8 import utf8_texts

NUM_BANDS = 20
ROWS_PER_BAND = 6
BAND_BYTES = 8
NUM_FURTHER = 8
"""Minima beyond those of the bands, by which buckets that are too large are split."""

_SEED = 0x746F6B656E6D696C
_MASK = (1 << 64) - 1
_LANES = 64
"""Values of one turn of the unrolled loop over vectors of 512 bits; what is left over would be done
one by one, in more time than all the rest (measured at 636 shingles: 7.0 us; at 640: 2.0)."""
_LARGEST, _BYTE = np.uint32(0xFFFFFFFF), np.uint32(0xFF)
_HALF = np.uint64(32)
_MIX_SHIFT = np.uint64(29)
_MIX = np.uint64(0x9FB21C651E98DF25)


class MinHashes(NamedTuple):
    """Signatures of some texts."""

    bands: NDArray[np.uint64]
    """Hash of each band, the band's number included: `uint64[num_texts, NUM_BANDS]`."""
    num_shingles: NDArray[np.int32]
    """Distinct shingles of each text: `int32[num_texts]`."""
    further: NDArray[np.uint64]
    """Eight more minima, of each the lowest byte, the first one lowest: `uint64[num_texts]`."""


def _split_mix(count: int) -> list[int]:
    """The first outputs of SplitMix64 from the seed."""
    state, found = _SEED, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        found.append(value ^ (value >> 31))
    return found


_NUMBERS = np.array(_split_mix(NUM_BANDS * ROWS_PER_BAND + NUM_FURTHER), np.uint64)
_FACTORS = (_NUMBERS >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_ADDENDS = (_NUMBERS & np.uint64(0xFFFFFFFF)).astype(np.uint32)


@inlined_kernel
def _smallest(
    halves: NDArray[np.uint32], count: int, factor: np.uint32, addend: np.uint32
) -> np.uint32:
    smallest = _LARGEST
    for i in range(count):
        smallest = min(smallest, np.uint32(np.uint32(halves[i] * factor) + addend))
    return smallest


@kernel
def _min_hashes(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: NDArray[np.uint32],
    factors: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    units: NDArray[np.uint64],
    slots: NDArray[np.uint64],
    halves: NDArray[np.uint32],
    bands: NDArray[np.uint64],
    num_shingles: NDArray[np.int32],
    further: NDArray[np.uint64],
) -> None:
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        count, slots = distinct_shingles(data, start, end, table, units, slots)
        num_shingles[text] = count
        for i in range(count):
            halves[i] = np.uint32(units[i] >> _HALF)
        while count % _LANES:  # no minimum changes
            halves[count] = halves[0]
            count += 1
        row = 0
        for band in range(NUM_BANDS):
            value = np.uint64(band + 1) * _MIX
            for _ in range(ROWS_PER_BAND):
                smallest = _smallest(halves, count, factors[row], addends[row])
                value = (value ^ np.uint64(smallest)) * _MIX
                value ^= value >> _MIX_SHIFT
                row += 1
            bands[text, band] = value
        value = np.uint64(0)
        for number in range(NUM_FURTHER):
            smallest = _smallest(halves, count, factors[row], addends[row])
            value |= np.uint64(smallest & _BYTE) << np.uint64(8 * number)
            row += 1
        further[text] = value


def min_hashes(texts: pa.LargeStringArray) -> MinHashes:
    """Signs every text.

    Args:
        texts: large_string, no nulls.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    buffers = utf8_texts(texts)
    data, offsets = buffers
    longest = buffers.max_bytes() + 1
    bands = np.empty((len(texts), NUM_BANDS), np.uint64)
    num_shingles = np.empty(len(texts), np.int32)
    further = np.empty(len(texts), np.uint64)
    units, halves = np.empty(longest, np.uint64), np.empty(longest + _LANES, np.uint32)
    _min_hashes(
        data,
        offsets,
        shingle_table(),
        _FACTORS,
        _ADDENDS,
        units,
        empty_slots(),
        halves,
        bands,
        num_shingles,
        further,
    )
    return MinHashes(bands, num_shingles, further)


def recall_at(jaccard: float, *, bands: int = NUM_BANDS, rows: int = ROWS_PER_BAND) -> float:
    """The probability that two texts of this Jaccard share a band."""
    return 1 - (1 - jaccard**rows) ** bands
