"""A set of 64-bit keys that kernels look values up in: which of a text's hashes are wanted.

Open addressing with linear probing over positions in the sorted keys, at most half full, so a value
that is not there costs about one load, where a binary search among a million keys takes twenty. The
keys are hashes already; their upper bits choose the slot.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_kernel, kernel

_MIN_BITS = 4
_MIX_SHIFT = np.uint64(33)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


class KeyTable(NamedTuple):
    """Keys and where to find them."""

    keys: NDArray[np.uint64]
    """Ascending and distinct: `uint64[num_keys]`."""
    slots: NDArray[np.int32]
    """Position of a key + 1, or 0: `int32[2 ** bits]`."""
    shift: np.uint64
    """How far to shift a key right to get its first slot."""


@inlined_kernel
def finished(value: np.uint64) -> np.uint64:
    """Mixes all bits as MurmurHash3 does at its end (A. Appleby, public domain); never 0."""
    value = (value ^ (value >> _MIX_SHIFT)) * _MIX_1
    value = (value ^ (value >> _MIX_SHIFT)) * _MIX_2
    value ^= value >> _MIX_SHIFT
    return value if value != np.uint64(0) else _MIX_1


@kernel
def _fill(keys: NDArray[np.uint64], slots: NDArray[np.int32], shift: np.uint64) -> None:
    mask = len(slots) - 1
    for position in range(len(keys)):
        slot = np.int64(keys[position] >> shift)
        while slots[slot] != 0:
            slot = slot + 1 & mask
        slots[slot] = position + 1


@inlined_kernel
def position_in(table: KeyTable, key: np.uint64) -> int:
    """Gives the position of a key in `table.keys`, or -1."""
    mask = len(table.slots) - 1
    slot = np.int64(key >> table.shift)
    while table.slots[slot] != 0:
        position = table.slots[slot] - 1
        if table.keys[position] == key:
            return int(position)
        slot = slot + 1 & mask
    return -1


@kernel
def _positions(table: KeyTable, keys: NDArray[np.uint64], out: NDArray[np.int64]) -> None:
    for i in range(len(keys)):
        out[i] = position_in(table, keys[i])


def key_table(keys: NDArray[np.uint64]) -> KeyTable:
    """Makes a table.

    Args:
        keys: Ascending and distinct, `uint64[num_keys]`; fewer than 2^31.
    """
    bits = max(_MIN_BITS, (2 * len(keys)).bit_length())
    slots = np.zeros(1 << bits, np.int32)
    own = np.ascontiguousarray(keys, np.uint64)
    own = own.view()
    own.flags.writeable = False
    shift = np.uint64(64 - bits)
    _fill(own, slots, shift)
    return KeyTable(own, slots, shift)


def positions_in(table: KeyTable, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Gives the position of each key in `table.keys`, or -1: `int64[n]`."""
    out = np.empty(len(keys), np.int64)
    _positions(table, np.ascontiguousarray(keys), out)
    return out
