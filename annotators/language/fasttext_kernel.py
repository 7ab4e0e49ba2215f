"""Inference of supervised fastText models over UTF-8 in one buffer, without Python strings.

A line is split into words; the vectors of its words, of their character n-grams and of its word
n-grams are averaged and go through one linear layer and a softmax (Joulin et al. 2016,
arXiv:1607.01759). What fastText 0.9.2 does is done here in the same way, because a model was
trained by it (src/dictionary.cc computeSubwords, addWordNgrams, getLine; src/model.cc):

* a word is hashed by 32-bit FNV-1a over bytes taken as *signed* chars;
* n-grams of minn to maxn characters of `<word>` are numbered by that hash modulo the buckets; a
  single character is left out where it is the first or the last, that is `<` or `>`;
* a word n-gram is h * 116049371 + next, in 64 bits, with the hashes taken as signed 32-bit numbers;
* a line ends with the word `</s>`, which has no character n-grams but stands in word n-grams;
* in a pruned model an n-gram has a row only where the model names one for it;
* words that begin with `__label__` are passed over.

One thing differs: `</s>` written in a text does not end it.

The time goes into rows that lie anywhere in a table of tens of megabytes. So the numbers of the
rows of a segment are computed first, each row is asked for at once (`prefetching`), and they are
summed when they have come: 14 ns a row instead of 45. float32 rows are as fast as int16 ones then.
Sums are kept for each *segment* of a line, so that one pass gives the languages of its windows and
of the whole.

Softmax models alone; hierarchical softmax and one-vs-all are left to the library.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.prefetching import prefetch
from annotators.text.kernels import inlined_kernel, kernel

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]

MAX_WORD_NGRAM: Final = 8
"""Words of the longest word n-gram that can be read."""

_PENDING = 768  # rows asked for and not yet summed; 48 KiB of 16 float32, which a cache holds
_LABEL = np.frombuffer(b"__label__", np.uint8)
_END = np.frombuffer(b"</s>", np.uint8)
_OFFSET, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a of 32 bits
_WORD_PRIME = np.uint64(116049371)  # src/dictionary.cc addWordNgrams
_SIGN = np.uint32(0xFFFFFF00)
_NEGLIGIBLE = np.float32(-16)  # 1e-7 of the likeliest label; most labels are below it
_OPEN, _CLOSE = np.uint8(0x3C), np.uint8(0x3E)  # < and >


class Network(NamedTuple):
    """A softmax model of fastText as arrays."""

    word_bytes: Bytes
    """uint8[num_bytes]: the words, one after the other."""
    word_ends: Ints
    """int64[num_words + 1]: word i is `word_bytes[word_ends[i]:word_ends[i + 1]]`."""
    slots: Numbers
    """int32[power of two]: open addressing from a word's hash to its number; -1 where free."""
    pruned: Numbers
    """int32[buckets]: the row of an n-gram less the words, -1 where none; empty if not pruned."""
    rows: Vectors
    """float32[num_words + num_ngram_rows, dim]"""
    output: Vectors
    """float32[dim, num_labels]"""
    buckets: int
    min_ngram: int
    max_ngram: int
    word_ngrams: int
    end: int
    """Number of the word `</s>`, -1 where the model has none."""
    drops_ngrams: bool
    """Whether the model was pruned of all its n-grams."""


class Sums(NamedTuple):
    """Sums of the vectors of each segment of each line."""

    vectors: Vectors
    """float32[num_lines, num_segments, dim]"""
    counts: Numbers
    """int32[num_lines, num_segments]: vectors in each sum."""


def find_slots(word_bytes: Bytes, word_ends: Ints) -> Numbers:
    """The table of `Network.slots` for words."""
    size = 4
    while size < 2 * len(word_ends):
        size *= 2
    slots = np.full(size, -1, np.int32)
    _fill_slots(word_bytes, word_ends, slots)
    return slots


def sum_lines(network: Network, data: Bytes, bounds: Ints) -> Sums:
    """Sums the vectors of words, n-grams and the line's end.

    Args:
        network: The model.
        data: UTF-8, uint8[num_bytes]; words are separated by spaces or ASCII controls.
        bounds: int64[num_lines, num_segments + 1], ascending in each row: segment j of line i is
            `data[bounds[i, j]:bounds[i, j + 1]]`. A word does not cross a bound. A word n-gram
            counts to the segment of its last word, the line's end to the last segment with a word.
    """
    num_lines, num_bounds = bounds.shape
    vectors = np.zeros((num_lines, num_bounds - 1, network.rows.shape[1]), np.float32)
    counts = np.zeros((num_lines, num_bounds - 1), np.int32)
    _sum_lines(data, bounds, network, vectors, counts)
    return Sums(vectors, counts)


def probabilities(network: Network, sums: Sums) -> Vectors:
    """Softmax of the averaged vectors.

    Returns:
        float32[num_lines, num_segments, num_labels]; zeros where a segment has no vector.
    """
    dim, num_labels = network.output.shape
    out = np.zeros((sums.counts.size, num_labels), np.float32)
    _softmax(sums.vectors.reshape(-1, dim), sums.counts.reshape(-1), network.output, out)
    return out.reshape(*sums.counts.shape, num_labels)


@inlined_kernel
def _hashed(hashed: np.uint32, byte: np.uint8) -> np.uint32:
    """One step of FNV-1a with the byte as a signed char."""
    wide = np.uint32(byte)
    if byte >= 0x80:
        wide |= _SIGN
    return np.uint32(np.uint32(hashed ^ wide) * _PRIME)


@inlined_kernel
def _is_space(byte: np.uint8) -> bool:
    """What fastText splits words at (src/dictionary.cc readWord)."""
    return bool(byte <= 0x20 and (byte == 0x20 or byte == 0 or 0x09 <= byte <= 0x0D))


@inlined_kernel
def _equal(one: Bytes, start: int, other: Bytes, other_start: int, length: int) -> bool:
    for at in range(length):
        if one[start + at] != other[other_start + at]:
            return False
    return True


@kernel
def _fill_slots(word_bytes: Bytes, word_ends: Ints, slots: Numbers) -> None:
    mask = len(slots) - 1
    for word in range(len(word_ends) - 1):
        hashed = _OFFSET
        for at in range(word_ends[word], word_ends[word + 1]):
            hashed = _hashed(hashed, word_bytes[at])
        slot = np.int64(hashed) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = word


@kernel
def _longest(bounds: Ints) -> np.int64:
    longest = np.int64(0)
    for line in range(len(bounds)):
        for segment in range(bounds.shape[1] - 1):
            longest = max(longest, bounds[line, segment + 1] - bounds[line, segment])
    return longest


@kernel
def _sum_lines(
    data: Bytes, bounds: Ints, network: Network, vectors: Vectors, counts: Numbers
) -> None:
    """Fills `vectors` and `counts`.

    One body, without a call that passes an array: each would count references, atomically, which
    took 80 of 120 microseconds a document.
    """
    rows, pruned, slots = network.rows, network.pruned, network.slots
    word_bytes, word_ends = network.word_bytes, network.word_ends
    address, row_bytes = rows.ctypes.data, 4 * rows.shape[1]
    num_words, mask, is_pruned = len(word_ends) - 1, len(slots) - 1, len(pruned) > 0
    buckets, wide_buckets = np.uint32(network.buckets), np.uint64(network.buckets)
    min_ngram, max_ngram = network.min_ngram, network.max_ngram
    max_before = 0 if network.drops_ngrams else network.word_ngrams - 1
    has_ngrams = max_ngram > 0 and not network.drops_ngrams
    pending = np.empty(_PENDING + max_ngram + MAX_WORD_NGRAM + 1, np.int64)
    bracketed = np.empty(_longest(bounds) + 2, np.uint8)
    bracketed[0] = _OPEN
    chain = np.zeros(MAX_WORD_NGRAM, np.uint64)  # entry i: hash of the i + 1 words before
    end_hash = _OFFSET
    for k in range(len(_END)):
        end_hash = _hashed(end_hash, _END[k])
    num_segments = bounds.shape[1] - 1
    for line in range(len(bounds)):
        num_before = last = 0
        for segment in range(num_segments + 1):
            is_end = segment == num_segments
            at, stop = np.int64(0), np.int64(1)
            if is_end:
                segment = last
            else:
                at, stop = bounds[line, segment], bounds[line, segment + 1]
            num_pending = 0
            while at < stop:
                hashed, number, length = end_hash, np.int64(network.end), np.int64(0)
                if is_end:
                    at = stop
                elif _is_space(data[at]):
                    at += 1
                    continue
                else:
                    start = at
                    hashed = _OFFSET
                    while at < stop and not _is_space(data[at]):
                        hashed = _hashed(hashed, data[at])
                        bracketed[1 + at - start] = data[at]
                        at += 1
                    length = at - start
                    is_label = length >= len(_LABEL)
                    for k in range(len(_LABEL) if is_label else 0):
                        is_label = is_label and data[start + k] == _LABEL[k]
                    if is_label:
                        continue
                    slot = np.int64(hashed) & mask
                    number = np.int64(slots[slot])
                    while number >= 0:
                        begin = word_ends[number]
                        equal = word_ends[number + 1] - begin == length
                        k = 0
                        while equal and k < length:
                            equal = word_bytes[begin + k] == data[start + k]
                            k += 1
                        if equal:
                            break
                        slot = (slot + 1) & mask
                        number = np.int64(slots[slot])
                    last = segment
                if number >= 0:
                    prefetch(address + number * row_bytes)
                    pending[num_pending] = number
                    num_pending += 1
                signed = np.uint64(np.int64(np.int32(hashed)))
                for size in range(min(max_before, num_before), 0, -1):
                    chain[size] = chain[size - 1] * _WORD_PRIME + signed
                    ngram = np.int64(chain[size] % wide_buckets)
                    if is_pruned:
                        ngram = np.int64(pruned[ngram])
                    if ngram >= 0:
                        prefetch(address + (num_words + ngram) * row_bytes)
                        pending[num_pending] = num_words + ngram
                        num_pending += 1
                chain[0] = signed
                num_before += 1
                num_bytes = length + 2 if has_ngrams and not is_end else 0
                bracketed[1 + length] = _CLOSE
                for begin in range(num_bytes):
                    if bracketed[begin] & 0xC0 == 0x80:
                        continue
                    if num_pending >= _PENDING:
                        _add(rows, pending, num_pending, vectors[line, segment])
                        counts[line, segment] += num_pending
                        num_pending = 0
                    hashed = _OFFSET
                    end = begin
                    for size in range(1, max_ngram + 1):
                        hashed = _hashed(hashed, bracketed[end])
                        end += 1
                        while end < num_bytes and bracketed[end] & 0xC0 == 0x80:
                            hashed = _hashed(hashed, bracketed[end])
                            end += 1
                        if size >= min_ngram and not (
                            size == 1 and (begin == 0 or end == num_bytes)
                        ):
                            ngram = np.int64(hashed % buckets)
                            if is_pruned:
                                ngram = np.int64(pruned[ngram])
                            if ngram >= 0:
                                prefetch(address + (num_words + ngram) * row_bytes)
                                pending[num_pending] = num_words + ngram
                                num_pending += 1
                        if end == num_bytes:
                            break
            _add(rows, pending, num_pending, vectors[line, segment])
            counts[line, segment] += num_pending


@kernel
def _add(rows: Vectors, pending: Ints, num_pending: int, total: Vectors) -> None:
    """Adds the rows that were asked for to a sum."""
    dim = rows.shape[1]
    at = 0
    while at + 4 <= num_pending:
        one, two, three, four = pending[at], pending[at + 1], pending[at + 2], pending[at + 3]
        if dim == 16:  # the shipped model's: a fixed count is one vector instruction
            for k in range(16):
                total[k] += (rows[one, k] + rows[two, k]) + (rows[three, k] + rows[four, k])
        else:
            for k in range(dim):
                total[k] += (rows[one, k] + rows[two, k]) + (rows[three, k] + rows[four, k])
        at += 4
    while at < num_pending:
        for k in range(dim):
            total[k] += rows[pending[at], k]
        at += 1


@kernel
def _softmax(vectors: Vectors, counts: Numbers, weights: Vectors, out: Vectors) -> None:
    """Fills `out`; `weights` is float32[dim, num_labels], so that labels are a vector."""
    dim, num_labels = weights.shape
    for row in range(len(vectors)):
        if counts[row] == 0:
            continue
        scale = np.float32(1) / np.float32(counts[row])
        for k in range(dim):
            value = vectors[row, k] * scale
            for label in range(num_labels):
                out[row, label] += value * weights[k, label]
        largest = np.float32(-np.inf)
        for label in range(num_labels):
            largest = max(largest, out[row, label])
        total = np.float32(0)
        for label in range(num_labels):
            below = out[row, label] - largest
            out[row, label] = np.exp(below) if below > _NEGLIGIBLE else np.float32(0)
            total += out[row, label]
        scale = np.float32(1) / total
        for label in range(num_labels):
            out[row, label] *= scale
