"""An index of benchmark items by their n-grams, small enough for every process to hold its own.

An n-gram is the shortest run of words, from a given one on, that weighs as much as the rule of the
benchmark's kind asks for: 13 words (mathematics) or 10 (`rules`, `words`: of prose 13 words, more
in formulas, 24 Han letters). The words of all items stand in one array, so an n-gram is known by
the position of its first word. A text that must stand whole is known by its first 6 words.

**Common n-grams.** An n-gram in more than `MAX_SHARING` items of one benchmark is its template
("Which of the following statements is true ...") or a source text that many of its questions share,
and flags nothing; it still counts in the score of an item found by another n-gram. Sharing between
benchmarks does not make an n-gram common, since benchmarks contain one another. An item
that has only common n-grams cannot be found, and is counted.

Before the tables of n-grams stands one filter (`tables`) for both lengths. It holds runs of 6 words
from inside the n-grams, and is asked at every fifth word of a document only; a second, small one,
asked at every word, holds the openings of the texts that must stand whole. The 27,700 items of 22
benchmark files, 2.3 million words, take 77 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.contamination.entry_points import EntryPoints, index_entry_points
from annotators.contamination.facts import IndexFacts, ItemState, check_found, facts_of
from annotators.contamination.items import Benchmark, Item, read_items
from annotators.contamination.layout import LETTERS, SplitItems, lay_out
from annotators.contamination.rules import RULES, Range, RuleNumber, ranges_of
from annotators.contamination.tables import Bloom, Table, make_bloom, make_table, mixed
from annotators.contamination.words import (
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

MIN_ITEM_WEIGHT = 8 * WORD
"""Weight from which a passage of a held-out text is worth looking for (`pipelines.validation`)."""
MAX_SHARING = 10
"""Items of one benchmark that may share an n-gram. Of 1.56 million n-grams of 22 benchmark files
760 are common, 604 of them instructions of BBH, which up to 125 items repeat."""
MAX_ITEM_WORDS = 4096
"""Later words of an item are not compared: bounds the work for one quotation to 0.1 s."""
RUN_WORDS, RUN_STEP = 6, 5
"""The filters hold runs of 6 words. No word weighs more than one, so an n-gram of 10 or 13 words
has at least 10: of any 5 neighbouring places in a document one begins a run that lies inside it."""

_MAX_NGRAM = 64  # 13 / 0.26 = 50 Thai letters
_FIRST_BITS, _FIRST_BITS_OF_FEW = 18, 12


def _powers() -> NDArray[np.uint64]:
    powers = np.array([pow(int(HASH_BASE), i, 1 << 64) for i in range(_MAX_NGRAM + 1)], np.uint64)
    powers.flags.writeable = False
    return powers


POWERS = _powers()
"""HASH_BASE to the power of each length of an n-gram: `uint64[65]`."""


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
    """`int32[num_ranges, 3]`: first word, the word after the last, and the rule (`RuleNumber`) of
    what is compared on its own."""


class Filters(NamedTuple):
    """Runs of `RUN_WORDS` words."""

    inside: Bloom
    """Those that begin with one of the first `RUN_STEP` words of an n-gram."""
    openings: Bloom
    """Those that begin a text that must stand whole."""


class Index(NamedTuple):
    """What kernels read."""

    words: ItemWords
    filters: Filters
    ngrams: Table
    """N-grams of 10 words (code, text); positions of their first words."""
    long_ngrams: Table
    """N-grams of 13 words (math)."""
    openings: Table
    """First `RUN_WORDS` words of the texts that must stand whole; positions are ranges."""
    entry_points: EntryPoints


@dataclass(frozen=True, slots=True)
class BenchmarkIndex:
    """The index, and the names of what it holds."""

    index: Index
    benchmarks: tuple[str, ...]
    benchmark_of: NDArray[np.int32]
    """Number in `benchmarks` of each item: `int32[num_items]`."""
    ids: tuple[str, ...]
    """Of each item, in its benchmark."""
    fields: tuple[str, ...]
    """Of each range."""
    findable: NDArray[np.bool_]
    """Whether something of an item can be found: `bool[num_items]`."""
    findable_ranges: NDArray[np.bool_]
    """Whether a range can be found: `bool[num_ranges]`."""
    facts: tuple[IndexFacts, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of the arrays that kernels read."""
        return num_bytes(self.index)


def num_bytes(value: object) -> int:
    """Bytes of all arrays in nested tuples."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sum(num_bytes(one) for one in value) if isinstance(value, tuple) else 0


class _Runs(NamedTuple):
    """N-grams of one length, in the order of their positions."""

    hashes: NDArray[np.uint64]
    positions: NDArray[np.int32]
    common: NDArray[np.bool_]
    """Whether too many items of one benchmark share it."""


def build_index(benchmarks: Sequence[Benchmark]) -> BenchmarkIndex:
    """Reads benchmark files and indexes their items.

    Raises:
        ValueError: A file is broken (`read_items`), or no item of a benchmark can be found.
    """
    read = [read_items(benchmark) for benchmark in benchmarks]
    items = [item for found in read for item in found]
    benchmark_of = np.repeat(np.arange(len(read), dtype=np.int32), [len(found) for found in read])
    kinds = [benchmarks[number].kind for number in benchmark_of.tolist()]
    words, made, is_cut = _item_words(items, kinds)
    prefixes = _prefixes(words)
    short = _ngrams(words, prefixes, benchmark_of, RULES["text"].ngram_weight)
    long = _ngrams(words, prefixes, benchmark_of, RULES["math"].ngram_weight)
    whole = _whole_ranges(words, prefixes, benchmark_of)
    starts = np.concatenate([one.positions[~one.common] for one in (short, long)])
    inside = np.unique(starts[:, None] + np.arange(RUN_STEP, dtype=np.int32))
    openings = _runs_from(prefixes, words.ranges[whole, 0])
    index = Index(
        words,
        Filters(make_bloom(_runs_from(prefixes, inside)), make_bloom(openings)),
        make_table(short.hashes[~short.common], short.positions[~short.common], _FIRST_BITS),
        make_table(long.hashes[~long.common], long.positions[~long.common], _FIRST_BITS),
        make_table(openings, whole, _FIRST_BITS_OF_FEW),
        index_entry_points([item.entry_point for item in items]),
    )
    findable_ranges = _findable_ranges(words, (short, long), whole)
    findable = np.zeros(len(items), np.bool_)
    findable[words.item_of[words.ranges[findable_ranges, 0]]] = True
    findable[index.entry_points.items] = True
    covered = [set[int]() for _ in items]
    for number in np.flatnonzero(findable_ranges).tolist():
        covered[words.item_of[words.ranges[number, 0]]].add(made[number].part)
    state = ItemState(findable, np.diff(words.range_offsets) > 0, is_cut, covered)
    facts = facts_of(benchmarks, read, state, _common_ngrams(words, benchmark_of, (short, long)))
    check_found(facts, benchmarks)
    return BenchmarkIndex(
        index=index,
        benchmarks=tuple(benchmark.name for benchmark in benchmarks),
        benchmark_of=benchmark_of,
        ids=tuple(item.id for item in items),
        fields=tuple(one.field for one in made),
        findable=findable,
        findable_ranges=findable_ranges,
        facts=facts,
    )


def _item_words(
    items: Sequence[Item], kinds: Sequence[str]
) -> tuple[ItemWords, list[Range], NDArray[np.bool_]]:
    """Splits all items into words; gives also each range, and which items are cut."""
    pieces = [piece.text for item in items for part in item.parts for piece in part.pieces]
    texts = pa.array([*pieces, *LETTERS], pa.large_string())
    hashes, weights, ends = _split_texts(utf8_texts(texts))
    split = SplitItems(hashes, np.append(0, np.cumsum(weights)), [0, *ends.tolist()])
    piece, offsets, is_cut = 0, [0], np.zeros(len(items), np.bool_)
    runs, ranges = list[tuple[int, int]](), list[list[Range]]()
    for i, (item, kind) in enumerate(zip(items, kinds, strict=True)):
        layout = lay_out(item, kind, split, piece, offsets[-1], MAX_ITEM_WORDS)
        piece += sum(len(part.pieces) for part in item.parts)
        offsets.append(offsets[-1] + layout.num_words)
        is_cut[i] = layout.is_cut
        runs += layout.runs
        ranges.append(ranges_of(layout.sections, kind))
    source = np.concatenate([np.arange(a, b) for a, b in runs] or [np.zeros(0, np.int64)])
    made = [one for found in ranges for one in found]
    words = ItemWords(
        hashes[source],
        np.append(0, np.cumsum(weights[source])),
        np.repeat(np.arange(len(items), dtype=np.int32), np.diff(offsets)),
        np.array(offsets, np.int32),
        np.cumsum([0, *map(len, ranges)]).astype(np.int32),
        np.array([(one.first, one.last, one.rule) for one in made], np.int32).reshape(-1, 3),
    )
    return words, made, is_cut


def _split_texts(
    texts: Utf8Texts,
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Gives hash and weight of every word, and the number of words up to the end of each text."""
    ends = np.empty(len(texts.offsets) - 1, np.int64)
    scratch = empty_folded_words(texts.max_bytes())
    # Counted first: twice as many words as bytes would be room for all, and far too much.
    count = _append_words(*texts, folds(), scratch, *_no_words(), ends)
    hashes, weights = np.empty(count, np.uint64), np.empty(count, np.int64)
    _append_words(*texts, folds(), scratch, hashes, weights, ends)
    return hashes, weights, ends


def _no_words() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    return np.empty(0, np.uint64), np.empty(0, np.int64)


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
    """Writes words where there is room for any, and counts them."""
    count = 0
    for text in range(len(ends)):
        num_words = fold_words(data, offsets[text], offsets[text + 1], table, scratch)
        if len(hashes):
            for i in range(num_words):
                hashes[count + i] = scratch.hashes[i]
                weights[count + i] = scratch.weights[i + 1] - scratch.weights[i]
        count += num_words
        ends[text] = count
    return count


@inlined_kernel
def run_hash(prefixes: NDArray[np.uint64], powers: NDArray[np.uint64], i: int, j: int) -> np.uint64:
    """Hashes words i to j, so that its first bits can number a bucket."""
    return mixed(prefixes[j] - prefixes[i] * powers[j - i])


@kernel
def _fill_ngrams(
    words: ItemWords,
    prefixes: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    ranges: NDArray[np.int32],
    weight: int,
    hashes: NDArray[np.uint64],
    positions: NDArray[np.int32],
) -> int:
    """Hashes the run of `weight` from each word of each range."""
    count = 0
    for number in range(len(ranges)):
        end = ranges[number, 1]
        j = ranges[number, 0]
        for i in range(ranges[number, 0], end):
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


def _ngrams(
    words: ItemWords, prefixes: NDArray[np.uint64], benchmark_of: NDArray[np.int32], weight: int
) -> _Runs:
    """Gives the n-grams of all ranges whose rule asks for runs of `weight`."""
    rules = [rule.number for rule in RULES.values() if rule.ngram_weight == weight]
    ranges = words.ranges[np.isin(words.ranges[:, 2], rules)]
    size = int((ranges[:, 1] - ranges[:, 0]).sum())
    hashes, positions = np.empty(size, np.uint64), np.empty(size, np.int32)
    count = _fill_ngrams(words, prefixes, POWERS, ranges, weight, hashes, positions)
    # A question is in one range alone and in another with its options.
    positions, first = np.unique(positions[:count], return_index=True)
    hashes = hashes[first]
    return _Runs(hashes, positions, _common(hashes, words.item_of[positions], benchmark_of))


def _whole_ranges(
    words: ItemWords, prefixes: NDArray[np.uint64], benchmark_of: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Gives the numbers of the ranges that must stand whole, without common ones."""
    numbers = np.flatnonzero(words.ranges[:, 2] == RuleNumber.WHOLE).astype(np.int32)
    starts, ends = words.ranges[numbers, 0], words.ranges[numbers, 1]
    hashes = prefixes[ends] - prefixes[starts] * POWERS[ends - starts]
    return numbers[~_common(hashes, words.item_of[starts], benchmark_of)]


def _runs_from(prefixes: NDArray[np.uint64], starts: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Hashes `RUN_WORDS` words from each start, as `run_hash` does."""
    values = prefixes[starts + RUN_WORDS] - prefixes[starts] * POWERS[RUN_WORDS]
    made = np.empty(len(values), np.uint64)
    _mix_all(values, made)
    return made


@kernel
def _mix_all(values: NDArray[np.uint64], made: NDArray[np.uint64]) -> None:
    for i in range(len(values)):
        made[i] = mixed(values[i])


def _findable_ranges(
    words: ItemWords, runs: Sequence[_Runs], whole: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Says of each range whether it has an n-gram that is not common, or may stand whole."""
    found = np.zeros(len(words.ranges), np.bool_)
    found[whole] = True
    for rule in RULES.values():
        numbers = np.flatnonzero(words.ranges[:, 2] == rule.number)
        one = runs[rule.ngram_weight == RULES["math"].ngram_weight]
        starts = one.positions[~one.common]
        ends = np.searchsorted(words.weights, words.weights[starts] + rule.ngram_weight)
        # The first usable n-gram at or after the start of a range ends first.
        at = np.searchsorted(starts, words.ranges[numbers, 0])
        has = at < len(starts)
        found[numbers[has]] = ends[at[has]] <= words.ranges[numbers[has], 1]
    return found


def _common_ngrams(
    words: ItemWords, benchmark_of: NDArray[np.int32], runs: Sequence[_Runs]
) -> list[int]:
    """Counts the n-grams of each benchmark that flag nothing."""
    counts = np.zeros(int(benchmark_of[-1]) + 1 if len(benchmark_of) else 0, np.int64)
    for one in runs:
        owners = benchmark_of[words.item_of[one.positions[one.common]]]
        hashes = one.hashes[one.common]
        pairs = np.unique(np.stack([owners.astype(np.uint64), hashes]), axis=1)
        counts += np.bincount(pairs[0].astype(np.int64), minlength=len(counts))
    return [int(count) for count in counts]


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
