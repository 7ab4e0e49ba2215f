"""Terms of a text (words and runs of words, as 64-bit hashes) and how often a vocabulary's occur.

A text of more than 4 KiB is looked at through four windows of 1 KiB, from its first byte to its
last. Characters are folded (`characters.fold_table`: case, white space), words are those of
`annotators.text.words`, and a term of n words is the difference of two prefix hashes, so no Python
string is made. Where letters are written without spaces each one is a word, so terms of two to
four words stand for what a segmenter would find.

With `keep_lines` each line break is a word of its own: "what a line begins with" and "how many
lines there are" then are terms, which tell a listicle from an essay but nothing of their topics.

A vocabulary is exact (64-bit hashes; two of 200,000 terms share one with probability 1e-9), where
the usual hashed features would let a rare word of the text hit a weight that is not its own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.characters import ALONE, DROPPED, LINE_BREAK, character_classes, fold_table
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.repeats import hash_power, slot_of
from annotators.text.utf8 import Characters, Utf8Texts, decode_text, empty_characters, utf8_texts
from annotators.text.words import Words, empty_words, split_words

NUM_WINDOWS = 4
WINDOW_BYTES = 1024

_TEXTS_AT_ONCE = 4096  # whose terms are held at once

_LINE_FEED, _SPACE = 10, 32

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Terms = npt.NDArray[np.int32]


class TermSettings(NamedTuple):
    """What counts as a term."""

    max_words: int
    """Words of the longest term."""
    keep_lines: bool
    """Whether a line break is a word."""


class Vocabulary(NamedTuple):
    """The terms that are counted."""

    hashes: Hashes
    """uint64[num_terms], sorted, none twice."""
    slots: Terms
    """int32[a power of two]: term + 1 by open addressing, 0 where free."""


class TermCounts(NamedTuple):
    """Which terms of a vocabulary each text has, as compressed sparse rows."""

    starts: Ints
    """int64[num_texts + 1]: text i has the entries from starts[i] to starts[i + 1]."""
    terms: Terms
    """int32[num_entries]: place in `Vocabulary.hashes`, none twice in a text."""
    counts: Terms
    """int32[num_entries]: how often, at least 1."""


class _Scratch(NamedTuple):
    text: Characters
    words: Words


def build_vocabulary(hashes: Hashes) -> Vocabulary:
    """Makes the table in which terms are looked up.

    Args:
        hashes: uint64[num_terms], in any order; one that stands twice counts once.
    """
    unique = np.unique(hashes)
    slots = np.zeros(1 << max(4, (2 * len(unique)).bit_length()), np.int32)
    _fill_slots(unique, slots)
    return Vocabulary(unique, slots)


def count_terms(
    texts: pa.LargeStringArray, vocabulary: Vocabulary, settings: TermSettings
) -> TermCounts:
    """Counts the terms of a vocabulary in each text.

    Args:
        texts: large_string, no nulls.
        vocabulary: Made by `build_vocabulary`, of hashes that `list_terms` gave for `settings`.
        settings: What counts as a term.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    buffers = utf8_texts(texts)
    room = _sampled_bytes(buffers)
    entries = int(np.minimum(room * settings.max_words, len(vocabulary.hashes)).sum())
    starts = np.zeros(len(texts) + 1, np.int64)
    terms, counts = np.empty(entries, np.int32), np.empty(entries, np.int32)
    _count_terms(
        buffers, (character_classes(), fold_table()), vocabulary, settings, _scratch(room),
        np.full(len(vocabulary.hashes), -1, np.int64), starts, terms, counts,
    )  # fmt: skip
    return TermCounts(starts, terms[: starts[-1]], counts[: starts[-1]])


def list_terms(texts: pa.LargeStringArray, settings: TermSettings) -> list[Hashes]:
    """Lists the different terms of each text.

    Args:
        texts: large_string, no nulls.
        settings: What counts as a term.

    Returns:
        One uint64[num_terms] a text, sorted.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    return [np.unique(found) for found in _terms_in_order(texts, settings)]


def frequent_terms(
    texts: pa.LargeStringArray, settings: TermSettings, *, min_texts: int, max_terms: int
) -> tuple[Hashes, Ints]:
    """Finds the terms that many texts have.

    Args:
        texts: large_string, no nulls.
        settings: What counts as a term.
        min_texts: A term of fewer texts is left out.
        max_terms: Of the others the most frequent are kept, ties by hash.

    Returns:
        uint64[num_terms], sorted, and int64[num_terms]: how many texts have each.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    hashes, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        found = list_terms(texts.slice(start, _TEXTS_AT_ONCE), settings)
        new, new_counts = np.unique(np.concatenate(found), return_counts=True)
        merged, where = np.unique(np.concatenate([hashes, new]), return_inverse=True)
        total = np.bincount(where, np.concatenate([counts, new_counts]), len(merged))
        hashes, counts = merged, total.astype(np.int64)
    kept = np.flatnonzero(counts >= min_texts)
    order = kept[np.argsort(-counts[kept], kind="stable")[:max_terms]]
    order.sort()
    return hashes[order], counts[order]


def whole_terms(phrases: list[str]) -> list[tuple[int, int]]:
    """Gives for each phrase the hash of all its words as one term, and how many words they are."""
    found = []
    for phrase in phrases:
        texts = pa.array([phrase], pa.large_string())
        single = _terms_in_order(texts, TermSettings(1, False))[0]
        num_words = len(single)
        longest = _terms_in_order(texts, TermSettings(max(1, num_words), False))[0]
        found.append((int(longest[-1]) if num_words else 0, num_words))
    return found


def _terms_in_order(texts: pa.LargeStringArray, settings: TermSettings) -> list[Hashes]:
    """Terms of each text as they come: all of one word, then all of two, and so on."""
    buffers = utf8_texts(texts)
    room = _sampled_bytes(buffers)
    scratch = _scratch(room)
    out = np.empty(int(room.max(initial=0)) * settings.max_words, np.uint64)
    tables = (character_classes(), fold_table())
    found = []
    for row in range(len(texts)):
        num_terms = _list_terms(buffers, row, tables, settings, scratch, out)
        found.append(out[:num_terms].copy())
    return found


def _sampled_bytes(buffers: Utf8Texts) -> Ints:
    """int64[num_texts]: at most so many characters are looked at."""
    sizes: Ints = np.diff(buffers.offsets)
    return np.minimum(sizes, NUM_WINDOWS * WINDOW_BYTES) + NUM_WINDOWS


def _scratch(room: Ints) -> _Scratch:
    size = int(room.max(initial=0)) + 1
    return _Scratch(empty_characters(size), empty_words(size))


@kernel
def _fill_slots(hashes: Hashes, slots: Terms) -> None:
    mask = len(slots) - 1
    shift = _shift_of(slots)
    for term in range(len(hashes)):
        slot = slot_of(hashes[term], shift)
        while slots[slot] != 0:
            slot = slot + 1 & mask
        slots[slot] = term + 1


@inlined_kernel
def _shift_of(slots: Terms) -> np.uint64:
    """How far to shift a spread hash right to get a slot."""
    bits = 0
    while 1 << bits < len(slots):
        bits += 1
    return np.uint64(64 - bits)


@inlined_kernel
def _read_words(
    texts: Utf8Texts,
    row: int,
    tables: tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]],
    keep_lines: bool,
    scratch: _Scratch,
) -> int:
    """Decodes the windows of a text, folds and splits them; gives the number of words."""
    data, offsets = texts
    classes, folds = tables
    (points, flags), words = scratch
    start, stop = offsets[row], offsets[row + 1]
    sampled = stop - start > NUM_WINDOWS * WINDOW_BYTES
    count = 0
    for window in range(NUM_WINDOWS if sampled else 1):
        first, last = start, stop
        if sampled:
            first += (stop - start - WINDOW_BYTES) * window // (NUM_WINDOWS - 1)
            last = first + WINDOW_BYTES
            while first < last and data[first] & 0xC0 == 0x80:
                first += 1
            while last < stop and data[last] & 0xC0 == 0x80:
                last -= 1
        if count:  # a window does not end in the middle of the next one's word
            points[count], flags[count] = _SPACE, classes[_SPACE]
            count += 1
        count += decode_text(data, first, last, classes, Characters(points[count:], flags[count:]))
    for i in range(count):
        folded = folds[points[i]]
        if keep_lines and flags[i] & LINE_BREAK:
            points[i], flags[i] = _LINE_FEED, ALONE
        elif folded != DROPPED:
            points[i] = folded
    return int(split_words(Characters(points, flags), count, words))


@kernel
def _list_terms(
    texts: Utf8Texts,
    row: int,
    tables: tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]],
    settings: TermSettings,
    scratch: _Scratch,
    out: Hashes,
) -> int:
    """Writes all terms of a text and gives their number."""
    max_words, keep_lines = settings
    num_words = _read_words(texts, row, tables, keep_lines, scratch)
    hashes = scratch.words.hashes
    count = 0
    for n in range(1, max_words + 1):
        power = hash_power(n)
        for i in range(num_words - n + 1):
            out[count] = hashes[i + n] - hashes[i] * power
            count += 1
    return count


@kernel
def _count_terms(
    texts: Utf8Texts,
    tables: tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]],
    vocabulary: Vocabulary,
    settings: TermSettings,
    scratch: _Scratch,
    places: Ints,
    starts: Ints,
    terms: Terms,
    counts: Terms,
) -> None:
    """Fills `starts`, `terms` and `counts`; `places` is where in them a term was last put."""
    known, slots = vocabulary
    max_words, keep_lines = settings
    hashes = scratch.words.hashes
    mask, shift = len(slots) - 1, _shift_of(slots)
    end = 0
    for row in range(len(starts) - 1):
        begin = end
        num_words = _read_words(texts, row, tables, keep_lines, scratch)
        for n in range(1, max_words + 1):
            power = hash_power(n)
            for i in range(num_words - n + 1):
                value = hashes[i + n] - hashes[i] * power
                slot = slot_of(value, shift)
                while slots[slot] != 0 and known[slots[slot] - 1] != value:
                    slot = slot + 1 & mask
                if slots[slot] == 0:
                    continue
                term = slots[slot] - 1
                if places[term] < begin:
                    places[term] = end
                    terms[end], counts[end] = term, 0
                    end += 1
                counts[places[term]] += 1
        starts[row + 1] = end
