"""The entries of all block lists, found by hash: five million take about 150 MB.

A URL is blocked by an entry that is its host or a domain above it, or its URL or one above it: for
`a.b.example/x/y?z` the entries `a.b.example`, `b.example`, `example`, each also with `/x`, `/x/y`
and `/x/y?z`. Entries end at whole labels and whole path segments: `b.example/x` does not block
`b.example/xylophone`. An entry without a dot blocks a whole top-level domain, and only if a list
names it.

Of several entries the one of the list that was named first decides, then the longest.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.key_table import finished
from annotators.text.utf8 import Utf8Texts, utf8_texts

_SEED = np.uint64(0xCBF29CE484222325)
_STEP = np.uint64(0x100000001B3)  # FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo), then mixed
_DOT, _SLASH, _QUESTION = 46, 47, 63
_MAX_SEGMENTS = 24  # of a path; what is deeper is compared as far as this and whole


class EntryIndex(NamedTuple):
    """Sorted by hash, then by list."""

    hashes: NDArray[np.uint64]
    """uint64[num_entries]"""
    offsets: NDArray[np.int64]
    """int64[num_entries + 1] into `data`."""
    data: NDArray[np.uint8]
    """uint8[num_bytes]: the entries, one after the other."""
    lists: NDArray[np.int16]
    """int16[num_entries]: place of its list."""
    categories: NDArray[np.int16]
    """int16[num_entries]: number of its category, -1 without one."""


def build_index(
    keys: pa.LargeStringArray, lists: NDArray[np.int16], categories: NDArray[np.int16]
) -> EntryIndex:
    """Makes the index.

    Args:
        keys: Entries in the form of `addresses`; one that stands twice counts once.
        lists: int16[num_keys], ascending.
        categories: int16[num_keys].
    """
    texts = utf8_texts(keys)
    hashes = np.empty(len(keys), np.uint64)
    _hash_all(texts, hashes)
    order = np.argsort(hashes, kind="stable")
    is_first = np.ones(len(order), np.bool_)
    _mark_repeats(texts, hashes, order, is_first)
    order = order[is_first]
    kept: Any = keys.take(pa.array(order))
    data, offsets = utf8_texts(kept)
    return EntryIndex(hashes[order], offsets, data, lists[order], categories[order])


def find_entries(index: EntryIndex, urls: pa.LargeStringArray) -> NDArray[np.int64]:
    """Finds the entry that blocks each URL.

    Args:
        index: All entries.
        urls: In the form of `addresses`, no nulls.

    Returns:
        int64[num_urls]: place in the index, -1 where none blocks it.
    """
    found = np.full(len(urls), -1, np.int64)
    _find_all(index, utf8_texts(urls), found)
    return found


@inlined_kernel
def _hash(data: NDArray[np.uint8], start: int, end: int, value: np.uint64) -> np.uint64:
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * _STEP
    return value


@kernel
def _hash_all(texts: Utf8Texts, hashes: NDArray[np.uint64]) -> None:
    data, offsets = texts
    for row in range(len(hashes)):
        hashes[row] = finished(_hash(data, offsets[row], offsets[row + 1], _SEED))


@inlined_kernel
def _equal(
    one: NDArray[np.uint8], start: int, end: int, other: NDArray[np.uint8], at: int, stop: int
) -> bool:
    if end - start != stop - at:
        return False
    for step in range(end - start):
        if one[start + step] != other[at + step]:
            return False
    return True


@kernel
def _mark_repeats(
    texts: Utf8Texts,
    hashes: NDArray[np.uint64],
    order: NDArray[np.int64],
    is_first: NDArray[np.bool_],
) -> None:
    """Clears the flag of entries that an earlier one of the same hash equals."""
    data, offsets = texts
    for place in range(1, len(order)):
        row = order[place]
        before = place - 1
        while before >= 0 and hashes[order[before]] == hashes[row]:
            other = order[before]
            if _equal(
                data, offsets[row], offsets[row + 1], data, offsets[other], offsets[other + 1]
            ):
                is_first[place] = False
                break
            before -= 1


@inlined_kernel
def _look_up(
    index: EntryIndex, value: np.uint64, data: NDArray[np.uint8], start: int, end: int
) -> int:
    """Place of the entry data[start:end] with that hash, or -1."""
    low, high = 0, len(index.hashes)
    while low < high:
        middle = (low + high) // 2
        if index.hashes[middle] < value:
            low = middle + 1
        else:
            high = middle
    while low < len(index.hashes) and index.hashes[low] == value:
        if _equal(data, start, end, index.data, index.offsets[low], index.offsets[low + 1]):
            return low
        low += 1
    return -1


@kernel
def _find_all(index: EntryIndex, urls: Utf8Texts, found: NDArray[np.int64]) -> None:
    data, offsets = urls
    for row in range(len(found)):
        first, last = offsets[row], offsets[row + 1]
        host_end = first
        while host_end < last and data[host_end] != _SLASH:
            host_end += 1
        best, best_length = -1, 0
        for start in range(first, host_end):
            if start > first and data[start - 1] != _DOT:
                continue
            value = _hash(data, start, host_end, _SEED)
            end = host_end
            segments = 0
            while True:
                place = _look_up(index, finished(value), data, start, end)
                if place >= 0 and (
                    best < 0
                    or index.lists[place] < index.lists[best]
                    or (index.lists[place] == index.lists[best] and end - start > best_length)
                ):
                    best, best_length = place, end - start
                if end >= last:
                    break
                stop = end + 1
                segments += 1
                if segments >= _MAX_SEGMENTS:
                    stop = last
                while stop < last and data[stop] != _SLASH and data[stop] != _QUESTION:
                    stop += 1
                value = _hash(data, end, stop, value)
                end = stop
        found[row] = best
