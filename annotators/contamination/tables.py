"""Hashes and where they stand, in arrays that a kernel reads without a Python object.

A table is a sorted array of hashes with the positions of each, the bounds of its buckets (by the
first bits of the hash), and before both a Bloom filter of one 64-bit word a probe (three bits
of one word, 16 to 32 bits a hash: about 0.2 % of the others pass). A document that quotes nothing
reads little but that filter.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_kernel

_HASH_SHIFT = np.uint64(32)
_HASH_FACTOR = np.uint64(0x9FB21C651E98DF25)
_SIX, _TWELVE, _BIT, _ONE = np.uint64(6), np.uint64(12), np.uint64(63), np.uint64(1)
_BITS_A_HASH = 16


class Bloom(NamedTuple):
    """A filter over hashes."""

    words: NDArray[np.uint64]
    """`uint64[2**k]`."""
    shift: np.uint64
    """64 - k."""


class Table(NamedTuple):
    """Hashes, each with its positions."""

    bloom: Bloom
    first_shift: np.uint64
    """64 - number of bits of a bucket."""
    buckets: NDArray[np.int32]
    """`int32[2**bits + 1]`: hashes that begin with b are `hashes[buckets[b]:buckets[b + 1]]`."""
    hashes: NDArray[np.uint64]
    """Sorted, each once: `uint64[num_hashes]`."""
    offsets: NDArray[np.int32]
    """`int32[num_hashes + 1]`: hash n is at `positions[offsets[n]:offsets[n + 1]]`."""
    positions: NDArray[np.int32]

    @property
    def num_bytes(self) -> int:
        """Bytes of its arrays."""
        arrays = (self.bloom.words, self.buckets, self.hashes, self.offsets, self.positions)
        return sum(array.nbytes for array in arrays)


def make_bloom(hashes: NDArray[np.uint64]) -> Bloom:
    """Makes a filter over hashes whose bits are well mixed: `uint64[n]`, repetitions allowed."""
    unique = np.unique(hashes)
    num_bits = max(8, int(np.ceil(np.log2(max(len(unique), 1) * _BITS_A_HASH / 64))))
    words = np.zeros(1 << num_bits, np.uint64)
    shift = np.uint64(64 - num_bits)
    masks = (
        _ONE << (unique & _BIT)
        | _ONE << (unique >> _SIX & _BIT)
        | _ONE << (unique >> _TWELVE & _BIT)
    )
    np.bitwise_or.at(words, unique >> shift, masks)
    return Bloom(words, shift)


def make_table(hashes: NDArray[np.uint64], positions: NDArray[np.int32], first_bits: int) -> Table:
    """Makes a table.

    Args:
        hashes: `uint64[n]`.
        positions: Of each, `int32[n]`.
        first_bits: Bits that number a bucket.
    """
    order = np.argsort(hashes, kind="stable")
    unique, first = np.unique(hashes[order], return_index=True)
    firsts = np.arange((1 << first_bits) + 1, dtype=np.uint64)
    prefixes = unique >> np.uint64(64 - first_bits)
    return Table(
        make_bloom(unique),
        np.uint64(64 - first_bits),
        np.searchsorted(prefixes, firsts).astype(np.int32),
        unique,
        np.append(first, len(order)).astype(np.int32),
        positions[order],
    )


@inlined_kernel
def bloom_holds(bloom: Bloom, value: np.uint64) -> bool:
    """Says whether a hash may be among those of a filter."""
    mask = (
        _ONE << (value & _BIT) | _ONE << (value >> _SIX & _BIT) | _ONE << (value >> _TWELVE & _BIT)
    )
    return bool(bloom.words[value >> bloom.shift] & mask == mask)


@inlined_kernel
def may_hold(table: Table, value: np.uint64) -> bool:
    """Says whether a hash may be in the table."""
    return bloom_holds(table.bloom, value)


@inlined_kernel
def find_hash(table: Table, value: np.uint64) -> int:
    """Gives the number of a hash in the table, or -1."""
    bucket = value >> table.first_shift
    for i in range(table.buckets[bucket], table.buckets[bucket + _ONE]):
        if table.hashes[i] == value:
            return i
    return -1


@inlined_kernel
def mixed(value: np.uint64) -> np.uint64:
    """Mixes a hash, so that its first bits can number a bucket."""
    value = (value ^ (value >> _HASH_SHIFT)) * _HASH_FACTOR
    result: np.uint64 = value ^ (value >> _HASH_SHIFT)
    return result
