"""An index of benchmark items by their n-grams, small enough for every process to hold its own.

An n-gram is the shortest run of words, from a given one on, that weighs 13 words (`words`: about 13
words of prose, more in formulas, 24 Han letters). The length is that of the Qwen2.5-Math report
(arXiv:2409.12122, section 2) and of GPT-3 (arXiv:2005.14165, appendix C). The words of all items
stand in one array, so an n-gram is known by the position of its first word.

A short opening is the first field of an item (its question), or else a whole item, that weighs at
least 8 words but less than 13. It is found by its first 8 words, and counts only where all of it
follows. Items that are shorter ("How many are left?") are quoted by chance; they are not indexed,
but counted as too short.

**Common n-grams.** An n-gram in more than `MAX_SHARING` items of one benchmark is its template
("Which of the following statements is true ...") or a source text that many of its questions share,
and flags nothing; it still counts in the score of an item found by another n-gram. Sharing between
benchmarks does not make an n-gram common, since benchmarks contain one another. An item
that has only common n-grams cannot be found, and is counted.

A table is a sorted array of hashes with the positions of each, the bounds of its buckets (by the
first bits of the hash) and, before both, one bit for each of 8 to 16 times as many longer prefixes:
a document without a quotation reads little but that bitmap. The 27,700 items of 22
benchmark files, 2.3 million words, take 76 MB and 1.3 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.contamination.items import Benchmark, Item, read_items
from annotators.contamination.words import (
    MAX_WORDS_PER_BYTE,
    WORD,
    FoldedWords,
    Folds,
    empty_folded_words,
    fold_words,
    folds,
)
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.utf8 import Utf8Texts, utf8_texts
from annotators.text.words import HASH_BASE

NGRAM_WEIGHT = 13 * WORD
MIN_ITEM_WEIGHT = 8 * WORD
MAX_SHARING = 10
"""Items of one benchmark that may share an n-gram. Of 1.56 million n-grams of 22 benchmark files
760 are common, 604 of them instructions of BBH, which up to 125 items repeat."""
MAX_ITEM_WORDS = 4096
"""Later words of an item are not compared: bounds the work for one quotation to 0.1 s."""

_MAX_NGRAM = 64  # 13 / 0.26 = 50 Thai letters
_FIRST_BITS = 18
_HASH_SHIFT = np.uint64(32)
_HASH_FACTOR = np.uint64(0x9FB21C651E98DF25)


def _powers() -> NDArray[np.uint64]:
    powers = np.array([pow(int(HASH_BASE), i, 1 << 64) for i in range(_MAX_NGRAM + 1)], np.uint64)
    powers.flags.writeable = False
    return powers


POWERS = _powers()
"""HASH_BASE to the power of each length of an n-gram: `uint64[65]`."""


class Table(NamedTuple):
    """N-grams by hash."""

    bits: NDArray[np.uint64]
    """Bitmap by the first bits of a hash: `uint64[2**k / 64]`."""
    bits_shift: np.uint64
    """64 - k."""
    buckets: NDArray[np.int32]
    """`int32[2**18 + 1]`: the hashes that begin with b are `hashes[buckets[b]:buckets[b + 1]]`."""
    hashes: NDArray[np.uint64]
    """Sorted, each once: `uint64[num_ngrams]`."""
    offsets: NDArray[np.int32]
    """`int32[num_ngrams + 1]`: n-gram n is at `positions[offsets[n]:offsets[n + 1]]`."""
    positions: NDArray[np.int32]
    """First word of each occurrence."""


class ItemWords(NamedTuple):
    """The words of all items, one after another."""

    hashes: NDArray[np.uint64]
    """`uint64[num_words]`."""
    weights: NDArray[np.int64]
    """`int64[num_words + 1]`: weight of the words before each."""
    item_of: NDArray[np.int32]
    """Item of each word: `int32[num_words]`."""
    offsets: NDArray[np.int32]
    """Words of item i are `offsets[i]` to `offsets[i + 1]`: `int32[num_items + 1]`."""
    range_offsets: NDArray[np.int32]
    """Ranges of item i are `range_offsets[i]` to `range_offsets[i + 1]`."""
    ranges: NDArray[np.int32]
    """`int32[num_ranges, 2]`: first word, and the word after the last, of what is scored on its
    own: each whole item, and where it has several fields, each of at least an n-gram and a short
    opening."""
    opening_ends: NDArray[np.int32]
    """The word after the short opening of each item, its start where it has none:
    `int32[num_items]`."""


class Index(NamedTuple):
    """What kernels read."""

    words: ItemWords
    ngrams: Table
    openings: Table
    """First 8 words of the short openings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """What became of the items of one benchmark: items = indexed + too_short + common."""

    benchmark: str
    items: int
    indexed: int
    """Can be found."""
    too_short: int
    """Weigh less than 8 words, those without text included."""
    common: int
    """Have no n-gram but those that more than `MAX_SHARING` items share."""
    cut: int
    """Of `indexed`: longer than `MAX_ITEM_WORDS`, and indexed up to there."""
    common_ngrams: int
    """N-grams that flag nothing."""


@dataclass(frozen=True, slots=True)
class BenchmarkIndex:
    """The index, and the names of what it holds."""

    index: Index
    benchmarks: tuple[str, ...]
    benchmark_of: NDArray[np.int32]
    """Number in `benchmarks` of each item: `int32[num_items]`."""
    ids: tuple[str, ...]
    """Of each item, in its benchmark."""
    findable: NDArray[np.bool_]
    """Whether an item is `indexed`: `bool[num_items]`."""
    facts: tuple[IndexFacts, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of the arrays that kernels read."""
        return sum(array.nbytes for part in self.index for array in part)


def build_index(benchmarks: Sequence[Benchmark]) -> BenchmarkIndex:
    """Reads benchmark files and indexes their items.

    Raises:
        ValueError: A file is broken (`read_items`), or no item of a benchmark can be found.
    """
    read = [read_items(benchmark) for benchmark in benchmarks]
    items = [item for found in read for item in found]
    benchmark_of = np.repeat(np.arange(len(read), dtype=np.int32), [len(found) for found in read])
    words, is_cut = _item_words(items)
    weight = words.weights[words.offsets[1:]] - words.weights[words.offsets[:-1]]
    findable = np.zeros(len(items), np.bool_)

    hashes, positions = _run_hashes(words, words.offsets[1:], NGRAM_WEIGHT)
    owners = words.item_of[positions]
    common = _common(hashes, owners, benchmark_of)
    findable[owners[~common]] = True

    openers, openings = _opening_hashes(words)
    common_openings = _common(openings, openers, benchmark_of)
    findable[openers[~common_openings]] = True
    anchors, starts = _run_hashes(words, words.opening_ends, MIN_ITEM_WEIGHT)
    is_first = starts == words.offsets[words.item_of[starts]]
    kept = is_first & np.isin(words.item_of[starts], openers[~common_openings])

    facts = tuple(
        IndexFacts(
            benchmark=benchmark.name,
            items=int(np.sum(mine)),
            indexed=int(np.sum(mine & findable)),
            too_short=int(np.sum(mine & (weight < MIN_ITEM_WEIGHT))),
            common=int(np.sum(mine & (weight >= MIN_ITEM_WEIGHT) & ~findable)),
            cut=int(np.sum(mine & findable & is_cut)),
            common_ngrams=len(np.unique(hashes[common & mine[owners]])),
        )
        for benchmark, mine in ((b, benchmark_of == n) for n, b in enumerate(benchmarks))
    )
    _check_found(facts, benchmarks)
    index = Index(
        words,
        _table(hashes[~common], positions[~common]),
        _table(anchors[kept], starts[kept]),
    )
    names = tuple(benchmark.name for benchmark in benchmarks)
    ids = tuple(item.id for item in items)
    return BenchmarkIndex(index, names, benchmark_of, ids, findable, facts)


def _check_found(facts: Sequence[IndexFacts], benchmarks: Sequence[Benchmark]) -> None:
    """Refuses a benchmark of which nothing can be found: its result would be an empty success."""
    for one, benchmark in zip(facts, benchmarks, strict=True):
        if not one.indexed:
            raise ValueError(
                f"benchmark {one.benchmark}: of {one.items} items in {benchmark.path}, "
                f"{one.too_short} have less than {MIN_ITEM_WEIGHT // WORD} words and {one.common} "
                f"share all they say with {MAX_SHARING} others or more, so none can be found; "
                "name more of its fields in `fields`, or leave the benchmark out"
            )


def _item_words(items: Sequence[Item]) -> tuple[ItemWords, NDArray[np.bool_]]:
    """Splits all items into words; gives also which are longer than `MAX_ITEM_WORDS`."""
    texts = pa.array([text for item in items for text in item.texts], pa.large_string())
    hashes, all_weights, ends = _split_texts(utf8_texts(texts))
    num_texts = np.array([len(item.texts) for item in items], np.int64)
    bounds = np.concatenate(([0], ends))
    of_item = np.concatenate(([0], np.cumsum(num_texts)))
    starts, stops = bounds[of_item[:-1]], bounds[of_item[1:]]
    is_cut = stops - starts > MAX_ITEM_WORDS
    kept_stops = np.minimum(stops, starts + MAX_ITEM_WORDS)
    offsets = np.concatenate(([0], np.cumsum(kept_stops - starts))).astype(np.int32)
    source = np.concatenate(
        [np.arange(a, b) for a, b in zip(starts, kept_stops, strict=True)] or [np.zeros(0, int)]
    ).astype(np.int64)
    weights = np.concatenate(([0], np.cumsum(all_weights[source])))
    fields = [
        np.minimum(bounds[of_item[i] : of_item[i + 1] + 1] - starts[i] + offset, offset + length)
        for i, (offset, length) in enumerate(zip(offsets[:-1], np.diff(offsets), strict=True))
    ]
    ranges = [_ranges(one.tolist(), weights) for one in fields]
    openings = [_opening_end(one.tolist(), weights) for one in fields]
    words = ItemWords(
        hashes[source],
        weights,
        np.repeat(np.arange(len(items), dtype=np.int32), np.diff(offsets)),
        offsets,
        np.cumsum([0, *map(len, ranges)]).astype(np.int32),
        np.array([pair for pairs in ranges for pair in pairs], np.int32).reshape(-1, 2),
        np.array(openings, np.int32),
    )
    return words, is_cut


def _is_opening(weight: int) -> bool:
    return MIN_ITEM_WEIGHT <= weight < NGRAM_WEIGHT


def _opening_end(bounds: Sequence[int], weights: NDArray[np.int64]) -> int:
    """Gives the end of the short opening: of the first field, or of an item that is one."""
    for end in (bounds[1:2] or bounds)[0], bounds[-1]:
        if _is_opening(int(weights[end] - weights[bounds[0]])):
            return end
    return bounds[0]


def _ranges(bounds: Sequence[int], weights: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Gives the ranges of an item that are scored, from the bounds of its fields."""
    whole = (bounds[0], bounds[-1])
    ranges = [whole]
    for first, last in pairwise(bounds):
        weight = weights[last] - weights[first]
        is_alone = weight >= NGRAM_WEIGHT or (first == bounds[0] and _is_opening(weight))
        if is_alone and (first, last) != whole:
            ranges.append((first, last))
    return ranges


def _split_texts(
    texts: Utf8Texts,
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Gives hash and weight of every word, and the number of words up to the end of each text."""
    max_words = MAX_WORDS_PER_BYTE * int(texts.offsets[-1] - texts.offsets[0])
    hashes, weights = np.empty(max_words, np.uint64), np.empty(max_words, np.int64)
    ends = np.empty(len(texts.offsets) - 1, np.int64)
    scratch = empty_folded_words(texts.max_bytes())
    count = _append_words(*texts, folds(), scratch, hashes, weights, ends)
    return hashes[:count].copy(), weights[:count].copy(), ends


@kernel
def _append_words(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: Folds,
    scratch: FoldedWords,
    hashes: NDArray[np.uint64],
    weights: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    count = 0
    for text in range(len(ends)):
        num_words = fold_words(data, offsets[text], offsets[text + 1], table, scratch)
        for i in range(num_words):
            hashes[count + i] = scratch.hashes[i]
            weights[count + i] = scratch.weights[i + 1] - scratch.weights[i]
        count += num_words
        ends[text] = count
    return count


@inlined_kernel
def run_hash(prefixes: NDArray[np.uint64], powers: NDArray[np.uint64], i: int, j: int) -> np.uint64:
    """Hashes words i to j, so that its first bits can number a bucket."""
    value = prefixes[j] - prefixes[i] * powers[j - i]
    value = (value ^ (value >> _HASH_SHIFT)) * _HASH_FACTOR
    mixed: np.uint64 = value ^ (value >> _HASH_SHIFT)
    return mixed


@kernel
def _fill_run_hashes(
    words: ItemWords,
    prefixes: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    ends: NDArray[np.int32],
    weight: int,
    hashes: NDArray[np.uint64],
    positions: NDArray[np.int32],
) -> int:
    """Hashes the run of `weight` from each word of each item, up to its end in `ends`."""
    count = 0
    for item in range(len(ends)):
        end = ends[item]
        j = words.offsets[item]
        for i in range(words.offsets[item], end):
            while j < end and words.weights[j] - words.weights[i] < weight:
                j += 1
            if words.weights[j] - words.weights[i] < weight:
                break
            hashes[count] = run_hash(prefixes, powers, i, j)
            positions[count] = i
            count += 1
    return count


@kernel
def _prefix_hashes(hashes: NDArray[np.uint64], prefixes: NDArray[np.uint64]) -> None:
    prefixes[0] = 0
    for i in range(len(hashes)):
        prefixes[i + 1] = prefixes[i] * HASH_BASE + hashes[i]


def _prefixes(words: ItemWords) -> NDArray[np.uint64]:
    prefixes = np.empty(len(words.hashes) + 1, np.uint64)
    _prefix_hashes(words.hashes, prefixes)
    return prefixes


def _run_hashes(
    words: ItemWords, ends: NDArray[np.int32], weight: int
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Gives hash and first word of every run of `weight` in the items, up to `ends`."""
    hashes = np.empty(len(words.hashes), np.uint64)
    positions = np.empty(len(words.hashes), np.int32)
    prefixes = _prefixes(words)
    count = _fill_run_hashes(words, prefixes, POWERS, ends, weight, hashes, positions)
    return hashes[:count].copy(), positions[:count].copy()


def _opening_hashes(words: ItemWords) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Gives the items with a short opening, and its hash."""
    items = np.flatnonzero(words.opening_ends > words.offsets[:-1]).astype(np.int32)
    starts, ends = words.offsets[items], words.opening_ends[items]
    prefixes = _prefixes(words)
    return items, prefixes[ends] - prefixes[starts] * POWERS[ends - starts]


def _common(
    hashes: NDArray[np.uint64], owners: NDArray[np.int32], benchmark_of: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Says of each occurrence whether too many items of one benchmark share its n-gram.

    Args:
        hashes: `uint64[n]`, in the order of the items.
        owners: Item of each: `int32[n]`, ascending.
        benchmark_of: Benchmark of each item, ascending.

    Returns:
        `bool[n]`.
    """
    if not len(hashes):
        return np.zeros(0, np.bool_)
    order = np.argsort(hashes, kind="stable")
    sorted_hashes, items = hashes[order], owners[order]
    benchmarks = benchmark_of[items]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = sorted_hashes[1:] != sorted_hashes[:-1]
    groups = np.cumsum(is_new) - 1
    # The order is stable, so within an n-gram items ascend, and benchmarks with them.
    is_run = is_new.copy()
    is_run[1:] |= benchmarks[1:] != benchmarks[:-1]
    is_item = is_run.copy()
    is_item[1:] |= items[1:] != items[:-1]
    items_of_run = np.bincount(np.cumsum(is_run) - 1, weights=is_item)
    shared = np.zeros(groups[-1] + 1, np.bool_)
    shared[groups[is_run][items_of_run > MAX_SHARING]] = True
    common = np.empty(len(order), np.bool_)
    common[order] = shared[groups]
    return common


def _table(hashes: NDArray[np.uint64], positions: NDArray[np.int32]) -> Table:
    order = np.argsort(hashes, kind="stable")
    unique, first = np.unique(hashes[order], return_index=True)
    firsts = np.arange((1 << _FIRST_BITS) + 1, dtype=np.uint64)
    prefixes = unique >> np.uint64(64 - _FIRST_BITS)
    num_bits = max(16, int(np.ceil(np.log2(max(len(unique), 1) * 8))))
    bits = np.zeros(1 << (num_bits - 6), np.uint64)
    places = unique >> np.uint64(64 - num_bits)
    np.bitwise_or.at(bits, places >> np.uint64(6), np.uint64(1) << (places & np.uint64(63)))
    return Table(
        bits,
        np.uint64(64 - num_bits),
        np.searchsorted(prefixes, firsts).astype(np.int32),
        unique,
        np.append(first, len(order)).astype(np.int32),
        positions[order],
    )


@inlined_kernel
def may_hold(table: Table, value: np.uint64) -> bool:
    """Says by the bitmap whether a hash may be in the table."""
    place = value >> table.bits_shift
    return bool(table.bits[place >> np.uint64(6)] >> (place & np.uint64(63)) & np.uint64(1))


@inlined_kernel
def find_ngram(table: Table, value: np.uint64) -> int:
    """Gives the number of a hash in the table, or -1."""
    bucket = value >> np.uint64(64 - _FIRST_BITS)
    for i in range(table.buckets[bucket], table.buckets[bucket + np.uint64(1)]):
        if table.hashes[i] == value:
            return i
    return -1
