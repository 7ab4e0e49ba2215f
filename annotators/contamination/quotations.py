"""Quotations of items in documents: which documents share an n-gram, and how much of which item.

A document is read twice only if it has to be. The first pass (`sharing_texts`) asks filters of its
runs of 6 words, and the tables only where a filter holds one; nearly every document ends there. In
the second, each shared n-gram is compared with the item word by word (64-bit hashes of the words,
so a collision of the n-gram's own hash finds nothing), and each occurrence in a range of the item
(`rules`) is given a window: where the range would stand if nothing had been put in or left out,
and an eighth of its length and 4 words to both sides. The score is

    words of the longest common subsequence of range and window / words of the range

The dynamic programme also gives the tightest stretch of the window that holds the subsequence: the
span. Where it is at most half of the range, as it may be in code, the span is only the run that is
shared word by word. A range that must stand whole has the score 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.contamination.entry_points import find_entry_points
from annotators.contamination.index import POWERS, RUN_STEP, RUN_WORDS, Index, run_hash
from annotators.contamination.rules import RULES, RuleNumber
from annotators.contamination.tables import Table, bloom_holds, find_hash, may_hold
from annotators.contamination.words import FoldedWords, Folds, fold_words
from annotators.text.kernels import inlined_kernel, kernel

_SLACK_SHARE, _SLACK_WORDS = 8, 4
_NGRAM_WEIGHT, _LONG_NGRAM_WEIGHT = RULES["text"].ngram_weight, RULES["math"].ngram_weight
_NGRAM_RULE, _WHOLE_RULE = int(RuleNumber.NGRAM), int(RuleNumber.WHOLE)


class Quotations(NamedTuple):
    """Stretches of one document that share something with an item; overlaps included."""

    ranges: NDArray[np.int32]
    """Number of the range in the index: `int32[n]`."""
    common_words: NDArray[np.int32]
    """Words of the longest common subsequence: `int32[n]`."""
    num_words: NDArray[np.int32]
    """Words of the range."""
    starts: NDArray[np.int64]
    """First byte, from the start of the text: `int64[n]`."""
    ends: NDArray[np.int64]
    """The byte after the last."""


@inlined_kernel
def _run_end(words: FoldedWords, num_words: int, i: int, weight: int) -> int:
    """Gives the end of the shortest run from word i that has the weight, or 0."""
    j = i
    while j < num_words and words.weights[j] - words.weights[i] < weight:
        j += 1
    return j if words.weights[j] - words.weights[i] >= weight else 0


@inlined_kernel
def _ngram_at(
    words: FoldedWords,
    num_words: int,
    table: Table,
    powers: NDArray[np.uint64],
    i: int,
    weight: int,
) -> tuple[int, int]:
    """Gives the number in the table of the n-gram from word i, or -1, and its end."""
    j = _run_end(words, num_words, i, weight)
    if j == 0:
        return -1, 0
    value = run_hash(words.prefixes, powers, i, j)
    return (find_hash(table, value) if may_hold(table, value) else -1), j


@inlined_kernel
def _starts_ngram(
    words: FoldedWords, num_words: int, index: Index, powers: NDArray[np.uint64], i: int
) -> bool:
    """Says whether the n-gram of either length from word i is in the index."""
    if _ngram_at(words, num_words, index.ngrams, powers, i, _NGRAM_WEIGHT)[0] >= 0:
        return True
    return _ngram_at(words, num_words, index.long_ngrams, powers, i, _LONG_NGRAM_WEIGHT)[0] >= 0


@inlined_kernel
def _shares(words: FoldedWords, num_words: int, index: Index, powers: NDArray[np.uint64]) -> bool:
    has_openings = len(index.openings.positions) > 0
    for first in range(0, num_words - RUN_WORDS + 1, RUN_STEP):
        value = run_hash(words.prefixes, powers, first, first + RUN_WORDS)
        if bloom_holds(index.filters.inside, value):
            for start in range(max(first - RUN_STEP + 1, 0), first + 1):
                if _starts_ngram(words, num_words, index, powers, start):
                    return True
    for i in range(num_words - RUN_WORDS + 1 if has_openings else 0):
        value = run_hash(words.prefixes, powers, i, i + RUN_WORDS)
        if bloom_holds(index.filters.openings, value) and find_hash(index.openings, value) >= 0:
            return True
    return False


@kernel
def _mark_sharing(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    folding: Folds,
    index: Index,
    powers: NDArray[np.uint64],
    words: FoldedWords,
    nothing: NDArray[np.int64],
    marks: NDArray[np.bool_],
) -> None:
    for text in range(len(marks)):
        start, end = starts[text], ends[text]
        num_words = fold_words(data, start, end, folding, words)
        marks[text] = _shares(words, num_words, index, powers)
        if not marks[text] and len(index.entry_points.items):
            marks[text] = find_entry_points(data, start, end, index.entry_points, nothing) > 0


def sharing_texts(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    folding: Folds,
    index: Index,
    words: FoldedWords,
) -> NDArray[np.bool_]:
    """Says of each text whether the index has the hash of one of its n-grams or names.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        starts: First byte of each text, `int64[num_texts]`.
        ends: The byte after its last.
        folding: `words.folds()`.
        index: Of the benchmarks.
        words: Scratch for the longest text.

    Returns:
        `bool[num_texts]`.
    """
    marks = np.zeros(len(starts), np.bool_)
    nothing = np.empty((0, 3), np.int64)
    _mark_sharing(data, starts, ends, folding, index, POWERS, words, nothing, marks)
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
    is_long: bool,
    found: NDArray[np.int32],
    count: int,
) -> int:
    """Appends document word, item word and length of each shared n-gram; counts beyond the end."""
    table = index.long_ngrams if is_long else index.ngrams
    weight = _LONG_NGRAM_WEIGHT if is_long else _NGRAM_WEIGHT
    items = index.words
    for i in range(num_words - RUN_WORDS + 1):
        ngram, j = _ngram_at(words, num_words, table, powers, i, weight)
        if ngram < 0:
            continue
        for at in range(table.offsets[ngram], table.offsets[ngram + 1]):
            g = table.positions[at]
            if g + j - i > items.offsets[items.item_of[g] + 1]:
                continue
            if not _same_words(words, i, items.hashes, g, j - i):
                continue
            if count < len(found):
                found[count, 0], found[count, 1], found[count, 2] = i, g, j - i
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
def _find_whole(
    words: FoldedWords,
    num_words: int,
    index: Index,
    powers: NDArray[np.uint64],
    out: NDArray[np.int32],
) -> int:
    """Writes the ranges that stand whole in the document, as `_score_occurrences` does."""
    count = 0
    for i in range(num_words - RUN_WORDS + 1):
        value = run_hash(words.prefixes, powers, i, i + RUN_WORDS)
        if not bloom_holds(index.filters.openings, value):
            continue
        opening = find_hash(index.openings, value)
        if opening < 0:
            continue
        for at in range(index.openings.offsets[opening], index.openings.offsets[opening + 1]):
            number = index.openings.positions[at]
            first = index.words.ranges[number, 0]
            length = index.words.ranges[number, 1] - first
            if i + length > num_words:
                continue
            if not _same_words(words, i, index.words.hashes, first, length):
                continue
            if count < len(out):
                out[count, 0], out[count, 1], out[count, 2] = number, length, length
                out[count, 3], out[count, 4] = i, i + length
            count += 1
    return count


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
def _shared_run(
    words: FoldedWords,
    num_words: int,
    index: Index,
    number: int,
    occurrence: NDArray[np.int32],
) -> tuple[int, int]:
    """Gives the first word and the word after the last of the run that an occurrence grows to."""
    first, last = index.words.ranges[number, 0], index.words.ranges[number, 1]
    i, g = occurrence[0], occurrence[1]
    before = 0
    while i > before and g - before > first:
        if words.hashes[i - before - 1] != index.words.hashes[g - before - 1]:
            break
        before += 1
    after = occurrence[2]
    while i + after < num_words and g + after < last:
        if words.hashes[i + after] != index.words.hashes[g + after]:
            break
        after += 1
    return i - before, i + after


@inlined_kernel
def _score_range(
    words: FoldedWords,
    num_words: int,
    index: Index,
    number: int,
    found: NDArray[np.int32],
    row: NDArray[np.int32],
    out: NDArray[np.int32],
    count: int,
) -> int:
    """Appends the quotations of one range, of whose item `found` holds the occurrences."""
    first, last = index.words.ranges[number, 0], index.words.ranges[number, 1]
    slack = (last - first) // _SLACK_SHARE + _SLACK_WORDS
    floor = 0
    k = 0
    while k < len(found):
        i = found[k, 0]
        low, high, inside = num_words, 0, k
        while k < len(found) and found[k, 0] == i:
            g = found[k, 1]
            if first <= g and g + found[k, 2] <= last:
                low = min(low, i - (g - first) - slack)
                high = max(high, i + (last - g) + slack)
                inside = k
            k += 1
        if high == 0:
            continue
        low, high = max(low, floor), min(high, num_words)
        length, start, stop = longest_common_subsequence(
            words.hashes[low:high], index.words.hashes[first:last], row
        )
        start, stop = low + start, low + stop
        if 2 * length <= last - first and index.words.ranges[number, 2] == _NGRAM_RULE:
            start, stop = _shared_run(words, num_words, index, number, found[inside])
        out[count, 0], out[count, 1], out[count, 2] = number, length, last - first
        out[count, 3], out[count, 4] = start, stop
        count += 1
        floor = stop
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
    """Writes range, common words, words of the range, first and last word of each quotation.

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
            if items.ranges[number, 2] != _WHOLE_RULE:
                count = _score_range(
                    words, num_words, index, number, found[begin:end], row, out, count
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
    scored = np.empty((int(num_ranges), 5), np.int32)
    row = np.empty(num_words + 1, np.int32)
    scored = scored[: _score_occurrences(words, num_words, index, found, row, scored)]
    whole = np.empty((256, 5), np.int32)
    count = _find_whole(words, num_words, index, POWERS, whole)
    if count > len(whole):
        whole = np.empty((count, 5), np.int32)
        _find_whole(words, num_words, index, POWERS, whole)
    out = np.concatenate([scored, whole[:count]])
    return Quotations(
        out[:, 0],
        out[:, 1],
        out[:, 2],
        words.starts[out[:, 3]],
        words.ends[out[:, 4] - 1],
    )
