"""Repeats: stretches of at least fifty words that several documents hold.

Words are those of `annotators.contamination.words`: folded, without marks, so that case,
punctuation, accents and line breaks do not hide a copy. A letter of a script without spaces counts
as the part of a word that it is (Han 0.56, Thai 0.26), and a single letter or digit of a formula as
half, so fifty words are 90 Han letters and 193 Thai ones.

Texts are split one by one, by compiled code; nothing is made for a word.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.contamination.words import (
    MAX_WORDS_PER_BYTE,
    WORD,
    empty_folded_words,
    fold_words,
    folds,
)
from annotators.text.characters import character_classes
from annotators.text.key_table import key_table
from annotators.text.utf8 import utf8_texts
from annotators.text.windows import (
    SharedWindows,
    Stretches,
    Windows,
    Words,
    add_guarded,
    add_guards,
    add_stretches,
    empty_windows,
    find_windows,
)
from pipelines.repeats.counting import DocumentKeys, SharedKeys
from pipelines.repeats.plan import WORDS_PER_WINDOW
from pipelines.repeats.spans import Spans

_KIND: Final = "repeat"


class _Split(NamedTuple):
    """The words of one text."""

    origin: int
    """First byte in the buffer."""
    end: int
    words: Words
    num_words: int
    hashes: npt.NDArray[np.uint64]
    """Of each word, and then of no account."""


class _Splitter:
    """Splits texts into scratch that all of them share."""

    def __init__(self, texts: pa.LargeStringArray) -> None:
        self.data, offsets = buffers = utf8_texts(texts)
        self._bounds = offsets.tolist()
        most = buffers.max_bytes()
        self._scratch = empty_folded_words(most)
        self.windows: Windows = empty_windows(MAX_WORDS_PER_BYTE * most, WORDS_PER_WINDOW * WORD)
        self.max_keys = MAX_WORDS_PER_BYTE * (self._bounds[-1] - self._bounds[0])

    def __iter__(self) -> Iterator[_Split]:
        table, scratch = folds(), self._scratch
        words = Words(scratch.prefixes, scratch.weights, scratch.starts, scratch.ends)
        for start, end in zip(self._bounds, self._bounds[1:], strict=False):
            num_words = fold_words(self.data, start, end, table, scratch)
            yield _Split(start, end, words, num_words, scratch.hashes)


def guard_keys(texts: pa.LargeStringArray) -> DocumentKeys:
    """Keys of the guards of some documents.

    Args:
        texts: large_string, no nulls.
    """
    splitter = _Splitter(texts)
    out = np.empty(splitter.max_keys, np.uint64)
    ends = [0]
    for split in splitter:
        end = add_guards(split.words, split.num_words, splitter.windows, out, ends[-1])
        ends.append(end)
    return DocumentKeys(out[: ends[-1]].copy(), _sizes(ends))


def window_keys(texts: pa.LargeStringArray, guards: SharedKeys) -> DocumentKeys:
    """Keys of the windows of some documents that another may hold.

    Args:
        texts: large_string, no nulls.
        guards: Those that two documents hold.
    """
    splitter, table = _Splitter(texts), key_table(guards.keys)
    out = np.empty(splitter.max_keys, np.uint64)
    ends = [0]
    for split in splitter:
        end = add_guarded(split.words, split.num_words, splitter.windows, table, out, ends[-1])
        ends.append(end)
    return DocumentKeys(out[: ends[-1]].copy(), _sizes(ends))


def repeat_spans(
    texts: pa.LargeStringArray, ids: npt.NDArray[np.uint64], windows: SharedKeys
) -> Spans:
    """The spans of some documents.

    Args:
        texts: large_string, no nulls.
        ids: The first eight bytes of their ids: uint64[num_texts].
        windows: Those that two documents hold.
    """
    splitter, classes = _Splitter(texts), character_classes()
    shared = SharedWindows(key_table(windows.keys), windows.documents, windows.first_ids)
    most = splitter.max_keys
    out = Stretches(
        starts=np.empty(most, np.int64),
        ends=np.empty(most, np.int64),
        counts=np.empty(most, np.int64),
        firsts=np.empty(most, np.bool_),
    )
    ends = [0]
    for split, own in zip(splitter, ids, strict=True):
        place = (splitter.data, split.origin, split.end, classes)
        found = (split.words, split.num_words, splitter.windows, shared)
        ends.append(add_stretches(*place, *found, own, out, ends[-1]))
    number = ends[-1]
    return Spans(
        rows=np.repeat(np.arange(len(texts)), _sizes(ends)),
        kinds=pa.array([_KIND]).take(pa.array(np.zeros(number, np.int64))),
        starts=out.starts[:number],
        ends=out.ends[:number],
        documents=out.counts[:number],
        firsts=out.firsts[:number],
    )


class SpanWindows(NamedTuple):
    """The windows that hold a word of a span."""

    keys: npt.NDArray[np.uint64]
    """uint64[num_windows]."""
    words: list[npt.NDArray[np.uint64]]
    """Hashes of the words of each."""


def windows_at(text: str, start: int, end: int) -> SpanWindows:
    """The windows of a text that hold a word of a span, for the audit.

    Args:
        text: The whole text.
        start: First byte of the span.
        end: The byte after its last.
    """
    splitter = _Splitter(pa.array([text], pa.large_string()))
    (split,) = splitter
    number = find_windows(split.words, split.num_words, splitter.windows)
    first = int(np.searchsorted(split.words.ends[: split.num_words], start, side="right"))
    last = int(np.searchsorted(split.words.starts[: split.num_words], end, side="left"))
    ends = splitter.windows.ends[:number]
    held = [i for i in range(min(last, number)) if ends[i] > first]
    return SpanWindows(
        splitter.windows.keys[held], [split.hashes[i : ends[i]].copy() for i in held]
    )


def holders_of(texts: pa.LargeStringArray, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which texts hold a run of words, compared word by word, for the audit: bool[num_texts].

    Args:
        texts: large_string, no nulls.
        words: Hashes of the words, uint64[num_words].
    """
    found = np.zeros(len(texts), np.bool_)
    for number, split in enumerate(_Splitter(texts)):
        hashes = split.hashes[: split.num_words]
        starts = np.flatnonzero(hashes[: max(0, len(hashes) - len(words) + 1)] == words[0])
        found[number] = any(
            np.array_equal(hashes[start : start + len(words)], words) for start in starts.tolist()
        )
    return found


def _sizes(bounds: list[int]) -> npt.NDArray[np.int64]:
    """Of the runs between bounds, int64[n - 1]."""
    ends = np.array(bounds, np.int64)
    return ends[1:] - ends[:-1]
