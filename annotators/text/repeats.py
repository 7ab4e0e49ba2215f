"""What repeats in a text: duplicate entries and duplicate n-grams, by hash, without strings.

Open addressing with linear probing in a caller's `int32` table (entry = index of the first
occurrence + 1, 0 = free; how full, `table_size` says), compared by the full 64-bit hash, so two
different n-grams among k collide with probability about k^2 / 2^65 (3e-9 at 500,000 words). Only
the part of the table that a text needs is cleared.

The counts follow datatrove 0.10's GopherRepetitionFilter, which gives Table A1 of Rae et al. 2021
(arXiv:2112.11446) a precise meaning: an n-gram met again counts all its characters and is jumped
over; the top n-gram counts its characters, with one space between words, times its occurrences,
and among equally frequent ones the first wins.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.words import HASH_BASE, Words

_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_MANY_ENTRIES = 1 << 20


def table_size(num_entries: int) -> int:
    """Gives the slots of a table that serves up to `num_entries`: a power of two.

    It gets a quarter full at most, and half full where there are so many entries that no cache
    holds them anyway and the memory counts.
    """
    slots = max(4 * min(num_entries, _MANY_ENTRIES), 2 * num_entries)
    return 1 << max(4, slots.bit_length())


class Candidates(NamedTuple):
    """Scratch for the n-grams of one text, of at least as many entries as it has words."""

    places: NDArray[np.int32]
    """Where an n-gram may stand that repeats, ascending."""
    occurrences: NDArray[np.int32]
    """How often the n-gram of a word stands in the text, where it stands first; elsewhere
    -1 - the word where it does."""
    table: NDArray[np.int32]
    """`int32[table_size(number of words)]`."""


def empty_candidates(max_words: int) -> Candidates:
    """Makes scratch; its pages take memory only where they are written."""
    places, occurrences = (np.empty(max_words + 1, dtype=np.int32) for _ in range(2))
    return Candidates(places, occurrences, np.empty(table_size(max_words), dtype=np.int32))


@lean_kernel
def clear_table(table: NDArray[np.int32], num_entries: int) -> np.uint64:
    """Empties as many slots as `num_entries` need.

    Args:
        table: `int32[table_size(at least num_entries)]`.
        num_entries: Entries that will be put in.

    Returns:
        How far to shift a spread hash right to get a slot.
    """
    bits = 4
    while 1 << bits < 4 * num_entries and 2 << bits <= len(table):
        bits += 1
    table[: 1 << bits] = 0
    return np.uint64(64 - bits)


@inlined_lean_kernel
def slot_of(value: np.uint64, shift: np.uint64) -> np.int64:
    """Gives the first slot to look at."""
    return np.int64((value ^ (value >> np.uint64(29))) * _SPREAD >> shift)


@lean_kernel
def count_duplicates(
    hashes: NDArray[np.uint64],
    lengths: NDArray[np.int32],
    num_entries: int,
    table: NDArray[np.int32],
) -> tuple[int, int]:
    """Counts entries that stood before, and their characters.

    Args:
        hashes: One an entry, `uint64[at least num_entries]`.
        lengths: Characters of each, `int32[at least num_entries]`.
        num_entries: How many there are.
        table: Scratch, `int32[table_size(at least num_entries)]`.
    """
    shift = clear_table(table, num_entries)
    mask = (1 << np.int64(np.uint64(64) - shift)) - 1
    duplicates = 0
    characters = 0
    for i in range(num_entries):
        slot = slot_of(hashes[i], shift)
        while table[slot] != 0 and hashes[table[slot] - 1] != hashes[i]:
            slot = slot + 1 & mask
        if table[slot] == 0:
            table[slot] = i + 1
        else:
            duplicates += 1
            characters += int(lengths[i])
    return duplicates, characters


@lean_kernel
def hash_power(exponent: int) -> np.uint64:
    """Gives HASH_BASE to a power, modulo 2^64."""
    power = np.uint64(1)
    for _ in range(exponent):
        power *= HASH_BASE
    return power


@inlined_lean_kernel
def _find_ngram(
    hashes: NDArray[np.uint64],
    i: int,
    n: int,
    power: np.uint64,
    table: NDArray[np.int32],
    shift: np.uint64,
) -> int:
    """Gives where the n-gram of word i first stood, or -1 after putting it in."""
    value = hashes[i + n] - hashes[i] * power
    mask = (1 << np.int64(np.uint64(64) - shift)) - 1
    slot = slot_of(value, shift)
    while table[slot] != 0:
        first = table[slot] - 1
        if hashes[first + n] - hashes[first] * power == value:
            return int(first)
        slot = slot + 1 & mask
    table[slot] = i + 1
    return -1


@lean_kernel
def all_places(num_words: int, places: NDArray[np.int32]) -> int:
    """Lists every word as the start of an n-gram, for the first call of `top_ngram`.

    Args:
        num_words: Words of the text.
        places: Written: `int32[at least num_words]`.
    """
    for i in range(num_words):
        places[i] = i
    return num_words


@lean_kernel
def top_ngram(
    words: Words, num_words: int, n: int, candidates: Candidates, num_places: int
) -> tuple[int, int, int]:
    """Finds the most frequent n-gram, and where n-grams stand that the text has more than once.

    An n-gram that repeats begins with a shorter one that repeats, so each call narrows the places
    for the next, which asks for a larger n. In prose 80 % of the work of looking at every word
    for every n goes away.

    Args:
        words: Filled by `words.split_words`.
        num_words: Words of the text.
        n: Words an n-gram, at least 1.
        candidates: `places` holds, ascending, where n-grams may repeat; narrowed.
        num_places: How many those are.

    Returns:
        Characters of the most frequent n-gram (the first of those in the text), how often it
        stands there (0 in a text of fewer words), and the number of places that are left.
    """
    hashes, lengths = words.hashes, words.lengths
    places, occurrences, table = candidates
    if num_words < n:
        return 0, 0, 0
    shift = clear_table(table, num_places)
    power = hash_power(n)
    best = 0
    occurrences[best] = 1
    num_seen = 0
    while num_seen < num_places and places[num_seen] + n <= num_words:
        i = places[num_seen]
        first = _find_ngram(hashes, i, n, power, table, shift)
        num_seen += 1
        if first < 0:
            occurrences[i] = 1
            continue
        occurrences[i] = -1 - first
        occurrences[first] += 1
        count = occurrences[first]
        if count > occurrences[best] or (count == occurrences[best] and first < best):
            best = first
    num_left = 0
    for k in range(num_seen):
        place = places[k]
        places[num_left] = place
        num_left += occurrences[place] != 1  # its first place, and the only one
    return int(lengths[best + n] - lengths[best]), int(occurrences[best]), num_left


@lean_kernel
def duplicate_ngram_characters(
    words: Words, num_words: int, n: int, candidates: Candidates, num_places: int
) -> int:
    """Counts characters in n-grams that stood before, none twice.

    Args:
        words: Filled by `words.split_words`.
        num_words: Words of the text.
        n: Words an n-gram, at least 1.
        candidates: `places` holds, ascending, where n-grams may repeat.
        num_places: How many those are.
    """
    hashes, lengths = words.hashes, words.lengths
    places, table = candidates.places, candidates.table
    shift = clear_table(table, num_places)
    power = hash_power(n)
    characters = 0
    end = 0
    for k in range(num_places):
        i = places[k]
        if i < end:  # within what was counted
            continue
        if i + n > num_words:
            break
        if _find_ngram(hashes, i, n, power, table, shift) >= 0:
            characters += int(lengths[i + n] - lengths[i])
            end = i + n
    return characters
