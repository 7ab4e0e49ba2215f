"""Quotations of items in documents: which documents share an n-gram, and how much of which item.

A document is read twice only if it has to be. The first pass (`sharing_texts`) asks of each of its
n-grams whether the index has its hash; nearly every document ends there. In the second, each shared
n-gram is compared with the item word by word (64-bit hashes of the words, so a collision of the
n-gram's own hash finds nothing), and each occurrence is given a window: where the item would
stand if nothing had been put in or left out, and an eighth of its length and 4 words to both sides.
The score is

    words of the longest common subsequence of item and window / words of the item

as in the Qwen2.5-Math report, which calls a document contaminated above 0.6. The dynamic programme
also gives the tightest stretch of the window that holds the subsequence: the span.

An item of several fields is scored as a whole and by each field of at least 13 words, and the best
counts: a question is quoted more often with an answer of its own than with the official solution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.contamination.index import (
    MIN_ITEM_WEIGHT,
    NGRAM_WEIGHT,
    POWERS,
    Index,
    Table,
    find_ngram,
    may_hold,
    run_hash,
)
from annotators.contamination.words import FoldedWords, Folds, fold_words
from annotators.text.kernels import inlined_kernel, kernel

_SLACK_SHARE, _SLACK_WORDS = 8, 4


class Quotations(NamedTuple):
    """Stretches of one document that share an n-gram with an item; overlaps included."""

    items: NDArray[np.int32]
    """`int32[n]`, ascending."""
    common_words: NDArray[np.int32]
    """Words of the longest common subsequence: `int32[n]`."""
    scores: NDArray[np.float32]
    """`float32[n]` in (0, 1]."""
    starts: NDArray[np.int64]
    """First byte, from the start of the text: `int64[n]`."""
    ends: NDArray[np.int64]
    """The byte after the last."""


@inlined_kernel
def _shares(
    words: FoldedWords, num_words: int, table: Table, powers: NDArray[np.uint64], weight: int
) -> bool:
    j = 0
    for i in range(num_words):
        while j < num_words and words.weights[j] - words.weights[i] < weight:
            j += 1
        if words.weights[j] - words.weights[i] < weight:
            return False
        value = run_hash(words.prefixes, powers, i, j)
        if may_hold(table, value) and find_ngram(table, value) >= 0:
            return True
    return False


@kernel
def _mark_sharing(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    folding: Folds,
    index: Index,
    powers: NDArray[np.uint64],
    words: FoldedWords,
    marks: NDArray[np.bool_],
) -> None:
    for text in range(len(marks)):
        num_words = fold_words(data, offsets[text], offsets[text + 1], folding, words)
        marks[text] = _shares(words, num_words, index.ngrams, powers, NGRAM_WEIGHT) or _shares(
            words, num_words, index.openings, powers, MIN_ITEM_WEIGHT
        )


def sharing_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    folding: Folds,
    index: Index,
    words: FoldedWords,
) -> NDArray[np.bool_]:
    """Says of each text whether the index has the hash of one of its n-grams.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        offsets: `int64[num_texts + 1]`.
        folding: `words.folds()`.
        index: Of the benchmarks.
        words: Scratch for the longest text.

    Returns:
        `bool[num_texts]`.
    """
    marks = np.zeros(len(offsets) - 1, np.bool_)
    _mark_sharing(data, offsets, folding, index, POWERS, words, marks)
    return marks


@inlined_kernel
def _same_words(
    words: FoldedWords, i: int, item_hashes: NDArray[np.uint64], g: int, length: int
) -> bool:
    for k in range(length):
        if words.hashes[i + k] != item_hashes[g + k]:
            return False
    return True


@inlined_kernel
def _occurrences(
    words: FoldedWords,
    num_words: int,
    index: Index,
    powers: NDArray[np.uint64],
    is_opening: bool,
    found: NDArray[np.int32],
    count: int,
) -> int:
    """Appends document word, item word and length of each shared n-gram; counts beyond the end."""
    table = index.openings if is_opening else index.ngrams
    weight = MIN_ITEM_WEIGHT if is_opening else NGRAM_WEIGHT
    items = index.words
    j = 0
    for i in range(num_words):
        while j < num_words and words.weights[j] - words.weights[i] < weight:
            j += 1
        if words.weights[j] - words.weights[i] < weight:
            break
        value = run_hash(words.prefixes, powers, i, j)
        if not may_hold(table, value):
            continue
        ngram = find_ngram(table, value)
        if ngram < 0:
            continue
        for at in range(table.offsets[ngram], table.offsets[ngram + 1]):
            g = table.positions[at]
            item = items.item_of[g]
            length = items.opening_ends[item] - g if is_opening else j - i
            if i + length > num_words or g + length > items.offsets[item + 1]:
                continue
            if not _same_words(words, i, items.hashes, g, length):
                continue
            if count < len(found):
                found[count, 0], found[count, 1], found[count, 2] = i, g, length
            count += 1
    return count


@kernel
def _find_occurrences(
    words: FoldedWords,
    num_words: int,
    index: Index,
    powers: NDArray[np.uint64],
    found: NDArray[np.int32],
) -> int:
    count = _occurrences(words, num_words, index, powers, False, found, 0)
    return _occurrences(words, num_words, index, powers, True, found, count)


@kernel
def longest_common_subsequence(
    window: NDArray[np.uint64], item: NDArray[np.uint64], row: NDArray[np.int32]
) -> tuple[int, int, int]:
    """Gives the length of the longest common subsequence and where in the window it lies.

    Args:
        window: Hashes of words, `uint64[w]`.
        item: Hashes of words, `uint64[n]`.
        row: Scratch of at least w + 1 entries.

    Returns:
        Its length, its first word in the window, and the word after its last: of all such
        stretches, one that ends first and then one that starts last.
    """
    length = _fill_row(window, item, row, False)
    end = 0
    while row[end] < length:
        end += 1
    _fill_row(window[:end], item, row, True)
    start = 0
    while row[start] < length:
        start += 1
    return length, end - start, end


@inlined_kernel
def _fill_row(
    window: NDArray[np.uint64], item: NDArray[np.uint64], row: NDArray[np.int32], backwards: bool
) -> int:
    """Fills `row[j]` with the length for the first (last) j words of the window."""
    size, num_words = len(window), len(item)
    row[: size + 1] = 0
    for k in range(num_words):
        word = item[num_words - 1 - k] if backwards else item[k]
        diagonal = np.int32(0)
        left = np.int32(0)
        for j in range(size):
            above = row[j + 1]
            here = window[size - 1 - j] if backwards else window[j]
            left = np.int32(diagonal + 1) if here == word else max(above, left)
            diagonal = above
            row[j + 1] = left
    return int(row[size])


@inlined_kernel
def _score_range(
    words: FoldedWords,
    num_words: int,
    index: Index,
    item: int,
    number: int,
    found: NDArray[np.int32],
    row: NDArray[np.int32],
    out: NDArray[np.int32],
    count: int,
) -> int:
    """Appends the quotations of one range of an item, of which `found` holds the occurrences."""
    first, last = index.words.ranges[number, 0], index.words.ranges[number, 1]
    slack = (last - first) // _SLACK_SHARE + _SLACK_WORDS
    floor = 0
    k = 0
    while k < len(found):
        i = found[k, 0]
        low, high = num_words, 0
        while k < len(found) and found[k, 0] == i:
            g = found[k, 1]
            if first <= g and g + found[k, 2] <= last:
                low = min(low, i - (g - first) - slack)
                high = max(high, i + (last - g) + slack)
            k += 1
        if high == 0:
            continue
        low, high = max(low, floor), min(high, num_words)
        length, start, stop = longest_common_subsequence(
            words.hashes[low:high], index.words.hashes[first:last], row
        )
        out[count, 0], out[count, 1], out[count, 2] = item, length, last - first
        out[count, 3], out[count, 4] = low + start, low + stop
        count += 1
        floor = low + stop
        while k < len(found) and found[k, 0] < floor:
            k += 1
    return count


@kernel
def _score_occurrences(
    words: FoldedWords,
    num_words: int,
    index: Index,
    found: NDArray[np.int32],
    row: NDArray[np.int32],
    out: NDArray[np.int32],
) -> int:
    """Writes item, common words, words of the range, first and last word of each quotation.

    `found` is sorted by item, then by the word of the document.
    """
    items = index.words
    count = 0
    begin = 0
    while begin < len(found):
        item = items.item_of[found[begin, 1]]
        end = begin
        while end < len(found) and items.item_of[found[end, 1]] == item:
            end += 1
        for number in range(items.range_offsets[item], items.range_offsets[item + 1]):
            count = _score_range(
                words, num_words, index, item, number, found[begin:end], row, out, count
            )
        begin = end
    return count


def find_quotations(words: FoldedWords, num_words: int, index: Index) -> Quotations:
    """Finds and scores what one text shares with the items.

    Args:
        words: Of the text.
        num_words: How many there are.
        index: Of the benchmarks.
    """
    found = np.empty((1024, 3), np.int32)
    count = _find_occurrences(words, num_words, index, POWERS, found)
    if count > len(found):
        found = np.empty((count, 3), np.int32)
        _find_occurrences(words, num_words, index, POWERS, found)
    found = found[:count]
    items = index.words.item_of[found[:, 1]]
    found = found[np.lexsort((found[:, 1], found[:, 0], items))]
    num_ranges = np.diff(index.words.range_offsets)[items].sum(initial=0)
    out = np.empty((int(num_ranges), 5), np.int32)
    row = np.empty(num_words + 1, np.int32)
    out = out[: _score_occurrences(words, num_words, index, found, row, out)]
    return Quotations(
        out[:, 0],
        out[:, 1],
        (out[:, 1] / np.maximum(out[:, 2], 1)).astype(np.float32),
        words.starts[out[:, 3]],
        words.ends[out[:, 4] - 1],
    )
