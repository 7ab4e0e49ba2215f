"""Stretches of words that stand in several texts, found by hashes of windows and nothing else.

A **window** begins at a word and ends at the first word with which it weighs at least so much: 50
words, where each weighs 100; more where letters of scripts without spaces weigh less. So two texts
share a stretch of that weight exactly if they share a window (up to collisions of 64-bit hashes).

All windows of all texts would be four times their bytes as keys. Winnowing (Schleimer, Wilkerson,
Aiken, SIGMOD 2003) finds where they can be shared from a few percent of that: each window answers
for its **guard**, that of the windows of half its weight within it which has the smallest hash. A
window decides its guard from its own words alone, so a shared window has a shared guard: windows
whose guard is in one text only need no key. With words of one weight a guard is the smallest of 26
neighbours, and about every thirteenth word begins one.

Kernels read the words of one text as `annotators.contamination.words.fold_words` writes them:
prefix hashes, and the weights before each word.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.text.characters import SPACE, TERMINAL
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.key_table import KeyTable, finished, position_in
from annotators.text.utf8 import decode_sequence
from annotators.text.words import HASH_BASE


class Windows(NamedTuple):
    """Scratch in which kernels write the windows of one text."""

    weight: int
    """Of a window."""
    powers: NDArray[np.uint64]
    """HASH_BASE to the power of each number of words in a window: `uint64[weight + 2]`."""
    keys: NDArray[np.uint64]
    """Of the window that begins at each word: `uint64[max_words]`."""
    ends: NDArray[np.int64]
    """The word after its last: `int64[max_words]`."""
    guards: NDArray[np.uint64]
    """The key of its guard, mixed again: `uint64[max_words]`."""
    guard_keys: NDArray[np.uint64]
    """Of the window of half the weight that begins at each word: `uint64[max_words]`."""
    guard_ends: NDArray[np.int64]
    """The word after its last: `int64[max_words]`."""
    queue: NDArray[np.int64]
    """Guards that are smaller than all behind them: `int64[max_words]`."""
    shared: NDArray[np.int64]
    """Texts that hold a window; negative where this is not the first: `int64[max_words]`."""


class Words(NamedTuple):
    """The words of one text."""

    prefixes: NDArray[np.uint64]
    """The hash of words i to j is P[j] - P[i] * HASH_BASE^(j - i): `uint64[num_words + 1]`."""
    weights: NDArray[np.int64]
    """Weight of the words before each, at least 1 a word: `int64[num_words + 1]`."""
    starts: NDArray[np.int64]
    """First byte of each, from the start of the text: `int64[num_words]`."""
    ends: NDArray[np.int64]
    """The byte after its last: `int64[num_words]`."""


class SharedWindows(NamedTuple):
    """Windows that several texts hold."""

    table: KeyTable
    """Their keys."""
    counts: NDArray[np.int64]
    """Texts that hold each: `int64[num_keys]`."""
    firsts: NDArray[np.uint64]
    """The smallest number of a text that holds each: `uint64[num_keys]`."""


class Stretches(NamedTuple):
    """Where stretches are written."""

    starts: NDArray[np.int64]
    """First byte, from the start of the text: `int64[max_stretches]`."""
    ends: NDArray[np.int64]
    """The byte after the last: `int64[max_stretches]`."""
    counts: NDArray[np.int64]
    """The largest number of texts that hold one of its windows: `int64[max_stretches]`."""
    firsts: NDArray[np.bool_]
    """Whether this text is the first that holds its windows: `bool[max_stretches]`."""


def empty_windows(max_words: int, weight: int) -> Windows:
    """Makes scratch; its pages take memory only where they are written.

    Args:
        max_words: Of a text.
        weight: Of a window.
    """
    powers = np.full(weight + 2, HASH_BASE)
    powers[0] = 1
    return Windows(
        weight=weight,
        powers=np.multiply.accumulate(powers),
        keys=np.empty(max_words, np.uint64),
        ends=np.empty(max_words, np.int64),
        guards=np.empty(max_words, np.uint64),
        guard_keys=np.empty(max_words, np.uint64),
        guard_ends=np.empty(max_words, np.int64),
        queue=np.empty(max_words, np.int64),
        shared=np.empty(max_words, np.int64),
    )


@inlined_kernel
def _key(words: Words, start: int, end: int, powers: NDArray[np.uint64]) -> np.uint64:
    return finished(words.prefixes[end] - words.prefixes[start] * powers[end - start])


@inlined_kernel
def _find_windows(words: Words, num_words: int, windows: Windows) -> int:
    """Writes keys, ends and guards of all windows; gives their number."""
    weights, powers = words.weights, windows.powers
    half = windows.weight // 2
    num_guards, end = 0, 0
    for start in range(num_words):
        while end <= num_words and weights[end] - weights[start] < half:
            end += 1
        if end > num_words:
            break
        windows.guard_keys[start] = _key(words, start, end, powers)
        windows.guard_ends[start] = end
        num_guards += 1
    queue, guard_keys = windows.queue, windows.guard_keys
    head, tail, guard, end, number = 0, 0, 0, 0, 0
    for start in range(num_words):
        while end <= num_words and weights[end] - weights[start] < windows.weight:
            end += 1
        if end > num_words:
            break
        while guard < num_guards and windows.guard_ends[guard] <= end:
            while tail > head and guard_keys[queue[tail - 1]] >= guard_keys[guard]:
                tail -= 1
            queue[tail] = guard
            tail += 1
            guard += 1
        while queue[head] < start:
            head += 1
        windows.keys[start] = _key(words, start, end, powers)
        windows.ends[start] = end
        # Mixed again: the smallest hashes would crowd in one range of keys.
        windows.guards[start] = finished(guard_keys[queue[head]])
        number += 1
    return number


@kernel
def find_windows(words: Words, num_words: int, windows: Windows) -> int:
    """Writes keys, ends and guards of all windows of one text.

    Args:
        words: Of the text.
        num_words: Their number.
        windows: Written; for at least so many words.

    Returns:
        The number of windows: one begins at each word up to the last that has enough behind it.
    """
    return _find_windows(words, num_words, windows)


@inlined_kernel
def _keep_distinct(keys: NDArray[np.uint64], first: int, end: int) -> int:
    """Sorts `keys[first:end]` and moves the distinct ones to the front; gives their end."""
    keys[first:end].sort()
    kept = first
    for i in range(first, end):
        if i == first or keys[i] != keys[kept - 1]:
            keys[kept] = keys[i]
            kept += 1
    return kept


@kernel
def add_guards(
    words: Words, num_words: int, windows: Windows, out: NDArray[np.uint64], position: int
) -> int:
    """Writes the distinct guards of one text.

    Args:
        words: Of the text.
        num_words: Their number.
        windows: Scratch for at least so many.
        out: Written from `position` on, with at most `num_words` keys, ascending.
        position: Where to begin.

    Returns:
        The position after the last.
    """
    number = _find_windows(words, num_words, windows)
    end = position
    for i in range(number):
        if i == 0 or windows.guards[i] != windows.guards[i - 1]:
            out[end] = windows.guards[i]
            end += 1
    return _keep_distinct(out, position, end)


@kernel
def add_guarded(
    words: Words,
    num_words: int,
    windows: Windows,
    guards: KeyTable,
    out: NDArray[np.uint64],
    position: int,
) -> int:
    """Writes the distinct keys of those windows of one text whose guard is wanted.

    Args:
        words: Of the text.
        num_words: Their number.
        windows: Scratch for at least so many.
        guards: The wanted ones.
        out: Written from `position` on, with at most `num_words` keys, ascending.
        position: Where to begin.

    Returns:
        The position after the last.
    """
    number = _find_windows(words, num_words, windows)
    end = position
    is_wanted = False
    for i in range(number):
        if i == 0 or windows.guards[i] != windows.guards[i - 1]:
            is_wanted = position_in(guards, windows.guards[i]) >= 0
        if is_wanted:
            out[end] = windows.keys[i]
            end += 1
    return _keep_distinct(out, position, end)


@inlined_kernel
def _mark_shared(windows: Windows, number: int, shared: SharedWindows, own: np.uint64) -> bool:
    """Writes for each window how many texts hold it; says whether any other does."""
    is_any = False
    for i in range(number):
        position = position_in(shared.table, windows.keys[i])
        windows.shared[i] = 0
        if position >= 0:
            is_any = True
            count = shared.counts[position]
            windows.shared[i] = count if shared.firsts[position] == own else -count
    return is_any


@inlined_kernel
def _count_before(windows: Windows, number: int, start: int) -> int:
    """The largest count of windows that begin before a word, hold it, and are first elsewhere."""
    count = np.int64(0)
    i = min(start, number) - 1
    while i >= 0 and windows.ends[i] > start:
        count = max(count, -windows.shared[i])
        i -= 1
    return int(count)


@inlined_kernel
def _is_blank(data: NDArray[np.uint8], position: int) -> bool:
    """Whether a byte is white space of ASCII."""
    byte = data[position]
    return bool(byte == 0x20 or (byte >= 0x09 and byte <= 0x0D))


@inlined_kernel
def _end_of_marks(
    data: NDArray[np.uint8], end: int, limit: int, last: int, classes: NDArray[np.uint16]
) -> int:
    """The end of the marks that belong to the word that ends at `end`.

    All up to white space; where the next word, at `limit`, follows without any, those up to the
    last that ends a sentence.
    """
    position, terminal = end, end
    while position < limit:
        point: int | np.int64 = np.int64(data[position])
        after = position + 1
        if point >= 0x80:
            point, after = decode_sequence(data, position, limit)
        if classes[point] & SPACE:
            return position
        position = after
        if classes[point] & TERMINAL:
            terminal = position
    return position if limit == last else terminal


@inlined_kernel
def _end_of_gap(data: NDArray[np.uint8], origin: int, start: int, end: int, limit: int) -> int:
    """The end of the white space behind a stretch, where as much of it stands before the stretch.

    As much is: as many line ends. So what is left when the stretch is cut is one of the two gaps,
    and that which separates more.
    """
    before, breaks_before = start, 0
    while before > origin and _is_blank(data, before - 1):
        before -= 1
        breaks_before += data[before] == 0x0A
    after, breaks_behind = end, 0
    while after < limit and _is_blank(data, after):
        breaks_behind += data[after] == 0x0A
        after += 1
    if before == origin or (before < start and breaks_behind <= breaks_before):
        return after
    return end


@kernel
def add_stretches(
    data: NDArray[np.uint8],
    origin: int,
    last: int,
    classes: NDArray[np.uint16],
    words: Words,
    num_words: int,
    windows: Windows,
    shared: SharedWindows,
    own: np.uint64,
    out: Stretches,
    position: int,
) -> int:
    """Writes the maximal runs of words of one text that shared windows cover.

    A run is cut where it changes between windows that are first in this text and such that are not.
    A word that windows of both kinds hold goes with the first, so that whoever cuts what is not
    first leaves every shared window whole in one text.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        origin: Start of the text in bytes.
        last: End of the text in bytes.
        classes: `characters.character_classes()`.
        words: Of the text.
        num_words: Their number.
        windows: Scratch for at least so many.
        shared: Windows that several texts hold.
        own: The number of this text.
        out: Written from `position` on, with at most `num_words` stretches.
        position: Where to begin.

    Returns:
        The position after the last.
    """
    number = _find_windows(words, num_words, windows)
    if not _mark_shared(windows, number, shared, own):
        return position
    end_of_first, end_of_other, before = np.int64(0), np.int64(0), 0
    written = np.int64(0)  # up to which stretches reach
    for word in range(num_words + 1):
        count = windows.shared[word] if word < number else np.int64(0)
        if count > 0:
            end_of_first = windows.ends[word]
        elif count < 0:
            end_of_other = windows.ends[word]
        # 2: first in this text, 1: in another, 0: not shared.
        kind = 2 if word < end_of_first else 1 if word < end_of_other else 0
        if kind != before and before != 0:
            end = origin + words.ends[word - 1]
            limit = origin + words.starts[word] if word < num_words else last
            end = _end_of_marks(data, end, limit, last, classes)
            end = _end_of_gap(data, origin, origin + out.starts[position], end, limit)
            out.ends[position] = end - origin
            # One character can be several words; then a stretch can be left without a byte.
            if out.ends[position] > out.starts[position]:
                written = out.ends[position]
                position += 1
        if kind != before and kind != 0:
            out.starts[position] = max(words.starts[word], written)
            out.firsts[position] = kind == 2
            out.counts[position] = _count_before(windows, number, word) if kind == 1 else 0
        if kind == 2:
            out.counts[position] = max(out.counts[position], count)
        elif kind == 1:
            out.counts[position] = max(out.counts[position], -count)
        before = kind
    return position
