"""Whether a text really is in the language that it looks most like, or in one beyond the 119.

A classifier divides the world among its labels: Crimean Tatar looks most like Turkish, so Turkish
it is, with a probability near one. Whether a text *is* Turkish is another question, and it is
answered here by what the training texts of a label contain. *Novelty* is the share of the character
trigrams and 5-grams of a text that the training texts of its label never had; it is believed where

    novelty + PROBABILITY_WEIGHT * (1 - probability) <= mean + limit * spread / sqrt(n)

with mean and spread of that label on sentences that were left out of its table (training, by
article), n the number of trigrams read, at least MIN_EVIDENCE, so that short lines get no false
confidence, and at most MAX_EVIDENCE, since what a longer text is about shifts its novelty by more
than chance does. One limit serves all labels, except for those with a near relative beyond the 119
and those that alone use their script (`familiarity_training`).

Web pages are less familiar than the sentences that means and spreads were measured on: names,
menus, product numbers. Where the training texts of a label have more registers than one, its limit
tightens no further than that of a short line. And a text of MIN_SEGMENTS windows or more is also
believed where the windows that are believed by themselves hold half of its trigrams: a page in
English has plain English somewhere, and one that is in no language of the table nowhere.

The same number corrects the classifier among its candidates: EXCESS_WEIGHT times the difference of
their excess novelty is taken from the difference of their log-probabilities. On FLORES-200 devtest
that brings macro-F1 over the labels outside of the five groups from 0.9947 to 0.9971, on the
held-out articles of NTREX-128 from 0.9919 to 0.9961.

The table is a Bloom filter (Bloom 1970) of pairs (n-gram, label) with two bits a pair, both in one
64-bit word, so that a look-up touches one cache line; its false positives are divided out. Labels
of one group (Arabic) share their n-grams. Chinese labels have none: their scripts have no
other language here, and 5-grams of Chinese hardly repeat. Labels that alone use their script are
judged by trigrams.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from annotators.language.languages import codes, language_labels
from annotators.language.prefetching import prefetch
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.utf8 import decode_sequence

SHIPPED_FAMILIARITY: Final = Path(__file__).parent / "model" / "familiarity.npz"

FORMAT_VERSION: Final = 2
MAX_SAMPLES: Final = 512
"""N-grams looked up of a line, about; those of a longer one are taken at even steps."""
MIN_EVIDENCE, MAX_EVIDENCE = 64, 200
"""Trigrams: a shorter line is judged as strictly as one of 64, so that a few words of an unknown
language are rather `und`; a longer one as if it had no more than 200."""
PROBABILITY_WEIGHT: Final = 0.1
"""Novelty that a wholly improbable label weighs; for clear lines the term vanishes."""
MIN_RIVAL: Final = 0.02
"""Probability from which on a second candidate is looked at."""
MIN_SEGMENTS: Final = 4
"""Windows of at least MIN_SEGMENT_TRIGRAMS that a text must have to be believed by them: a sentence
has fewer. With two, 0.1 points more of the outsiders of FLORES-200 devtest are believed."""
MIN_SEGMENT_TRIGRAMS: Final = 32
EXCESS_WEIGHT: Final = 2.0
"""What one spread of novelty weighs against the logarithm of a probability."""

_SHORT, _LONG = 3, 5  # characters of the two n-grams
ALONE: Final = _SHORT
"""Longest n-gram of labels that alone use their script (`LabelStatistics.longest`)."""
_BITS_OF_WORD = np.uint64(63)
_IS_LATIN = np.array([label.script == "Latn" for label in language_labels()], np.int64)

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class LabelStatistics(NamedTuple):
    """What is usual for each of the 119, in the order of the table of languages."""

    tables: Ints
    """int64[119]: which n-grams count for a label; those of a group share them, -1 has none."""
    longest: Ints
    """int64[119]: 5, or 3 where trigrams alone are known."""
    means: Floats
    """float64[119]: mean novelty of left-out sentences."""
    spreads: Floats
    """float64[119]: standard deviation of (novelty - mean) * sqrt(number of trigrams)."""
    limits: Floats
    """float64[119]: multiple of the spread that is still believed."""
    evidence: Ints
    """int64[119]: trigrams from which on the limit tightens no further."""


class Choice(NamedTuple):
    """What the familiar n-grams say of each line."""

    columns: Ints
    """int64[num_rows]: which candidate."""
    believed: npt.NDArray[np.bool_]
    """bool[num_rows]: whether the line is familiar enough to be in its language."""
    novelty: Floats
    """float64[num_rows]: share of its n-grams that the candidate's texts do not have."""


class Familiarity:
    """The n-grams of each label and what share of unknown ones is usual."""

    def __init__(self, words: Words, statistics: LabelStatistics) -> None:
        """Takes the filter and the statistics.

        Args:
            words: uint64[power of two or any other number]: the bits of the filter.
            statistics: Arrays of 119.
        """
        self.words = words
        self.statistics = statistics
        filled = np.bitwise_count(words).sum() / (64 * max(1, len(words)))
        self.false_positive_rate = float(filled) ** 2
        """Share of unknown pairs that the filter takes for known."""

    @classmethod
    def load(cls, path: Path = SHIPPED_FAMILIARITY) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            ValueError: It is missing, damaged or made for other labels.
        """
        return cls(*_read(path.resolve()))

    def save(self, path: Path) -> None:
        """Writes the table; the same content gives the same bytes."""
        header = {"format": FORMAT_VERSION, "labels": list(codes())}
        arrays: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
            "words": self.words,
            "tables": self.statistics.tables.astype(np.int16),
            "longest": self.statistics.longest.astype(np.int16),
            "means": self.statistics.means.astype(np.float32),
            "spreads": self.statistics.spreads.astype(np.float32),
            "limits": self.statistics.limits.astype(np.float32),
            "evidence": self.statistics.evidence.astype(np.int16),
        }
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle first

    def novelty(self, data: Bytes, spans: Ints, label_numbers: Ints) -> Floats:
        """Share of n-grams of each line that the training texts of its label do not have.

        Args:
            data: uint8[num_bytes], folded UTF-8.
            spans: int64[num_rows, 2]: line of row i is `data[spans[i, 0]:spans[i, 1]]`.
            label_numbers: int64[num_rows]: places in `languages.codes()`; other numbers get 0.

        Returns:
            float64[num_rows] in [0, 1]; 0 where the label has no table or the line no letter, 1
            where more than half of it are letters that the label does not use (Latin ones in a
            label without them, or the reverse). Where they are fewer they are passed over.
        """
        return self.novelty_and_count(data, spans, label_numbers)[0]

    def novelty_and_count(
        self, data: Bytes, spans: Ints, label_numbers: Ints
    ) -> tuple[Floats, Ints]:
        """As `novelty`, and int64[num_rows]: trigrams looked up, which `believed` wants."""
        shares = np.zeros(len(spans))
        counts = np.zeros(len(spans), np.int64)
        known = (label_numbers >= 0) & (label_numbers < len(self.statistics.tables))
        numbers = np.where(known, label_numbers, 0)
        tables = np.where(known, self.statistics.tables[numbers], -1)
        chosen = (tables, self.statistics.longest[numbers], _IS_LATIN[numbers])
        _measure(data, spans, chosen, self.words, shares, counts)
        return np.minimum(shares / (1 - self.false_positive_rate), 1.0), counts

    def choose(self, data: Bytes, bounds: Ints, candidates: Ints, scores: Floats) -> Choice:
        """Which candidate each line is in, and whether it is believed.

        A rival with a probability of MIN_RIVAL or more is weighed by how familiar the line is to
        it, so that few lines are looked at more than once.

        Args:
            data: uint8[num_bytes], folded UTF-8.
            bounds: int64[num_rows, num_segments + 1]: segment j of row i is
                `data[bounds[i, j]:bounds[i, j + 1]]`, and all of them are its line.
            candidates: int64[num_rows, num_candidates]: places in `languages.codes()` of one label
                of each group, the likeliest first; other numbers where there is none.
            scores: float64[num_rows, num_candidates]: probability of the group in [0, 1].
        """
        num_rows, num_candidates = candidates.shape
        spans = np.ascontiguousarray(bounds[:, [0, -1]])
        columns = np.zeros(num_rows, np.int64)
        novelty, counts = self.novelty_and_count(data, spans, candidates[:, 0])
        excess = self._excess(novelty, counts, candidates[:, 0])
        for rival in range(1, num_candidates):
            rows = np.flatnonzero(
                (scores[:, rival] >= MIN_RIVAL) & self._is_known(candidates[:, rival])
            )
            if len(rows) == 0:
                continue
            numbers = candidates[rows, rival]
            found, trigrams = self.novelty_and_count(data, spans[rows], numbers)
            rival_excess = self._excess(found, trigrams, numbers)
            before = scores[rows, columns[rows]]
            gain = np.log(scores[rows, rival]) - np.log(np.maximum(before, 1e-9))
            wins = gain > EXCESS_WEIGHT * (rival_excess - excess[rows])
            won = rows[wins]
            columns[won] = rival
            novelty[won], counts[won] = found[wins], trigrams[wins]
            excess[won] = rival_excess[wins]
        every = np.arange(num_rows)
        numbers, chances = candidates[every, columns], scores[every, columns]
        believed = self.believed(novelty, chances, counts, numbers)
        doubted = np.flatnonzero(~believed & self._is_known(numbers))
        if bounds.shape[1] > MIN_SEGMENTS and len(doubted):
            believed[doubted] = self._believed_by_segments(
                data, bounds[doubted], chances[doubted], numbers[doubted]
            )
        return Choice(columns, believed, novelty)

    def _believed_by_segments(
        self, data: Bytes, bounds: Ints, scores: Floats, label_numbers: Ints
    ) -> npt.NDArray[np.bool_]:
        """Whether believed segments hold half of the trigrams of each line.

        Never for a label that alone uses its script, whose limit lets almost any short line in.
        """
        shape = (len(bounds), bounds.shape[1] - 1)
        spans = np.stack([bounds[:, :-1].ravel(), bounds[:, 1:].ravel()], axis=1)
        numbers = np.repeat(label_numbers, shape[1])
        novelty, counts = self.novelty_and_count(data, spans, numbers)
        believed = self.believed(novelty, np.repeat(scores, shape[1]), counts, numbers)
        trigrams = counts.reshape(shape)
        familiar = (trigrams * believed.reshape(shape)).sum(axis=1)
        num_long = (trigrams >= MIN_SEGMENT_TRIGRAMS).sum(axis=1)
        is_majority = (num_long >= MIN_SEGMENTS) & (2 * familiar >= trigrams.sum(axis=1))
        return np.asarray(is_majority & (self.statistics.longest[label_numbers] == _LONG))

    def believed(
        self, novelty: Floats, scores: Floats, num_trigrams: Ints, label_numbers: Ints
    ) -> npt.NDArray[np.bool_]:
        """Whether each line is familiar enough to be in its language.

        Args:
            novelty: float64[num_rows] of `novelty`.
            scores: float64[num_rows]: the classifier's probability of the label's group.
            num_trigrams: int64[num_rows]: trigrams looked up.
            label_numbers: int64[num_rows]: as for `novelty`; others are not believed.
        """
        known = self._is_known(label_numbers)
        numbers = np.where(known, label_numbers, 0)
        unlike = novelty + PROBABILITY_WEIGHT * (1 - scores)
        excess = self._excess(unlike, num_trigrams, label_numbers)
        return np.asarray(known & (excess <= self.statistics.limits[numbers]))

    def _is_known(self, label_numbers: Ints) -> npt.NDArray[np.bool_]:
        return (label_numbers >= 0) & (label_numbers < len(self.statistics.tables))

    def _excess(self, novelty: Floats, num_trigrams: Ints, label_numbers: Ints) -> Floats:
        """Novelty above the label's mean, in multiples of what is usual for as short a line.

        Zero where the label has no table.
        """
        numbers = np.where(self._is_known(label_numbers), label_numbers, 0)
        evidence = np.sqrt(np.clip(num_trigrams, MIN_EVIDENCE, self.statistics.evidence[numbers]))
        excess = (novelty - self.statistics.means[numbers]) * evidence
        excess /= self.statistics.spreads[numbers]
        return np.where(self.statistics.tables[numbers] < 0, 0.0, excess)


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[Words, LabelStatistics]:
    remedy = "reinstall tokenmill, or make it again: tokenmill train language"
    if not path.is_file():
        raise ValueError(f"no table of familiar n-grams at {path}; {remedy}")
    other = f"the table of familiar n-grams {path} is of another version of tokenmill; {remedy}"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header.get("format") != FORMAT_VERSION or header.get("labels") != list(codes()):
                raise _OtherVersionError(other)
            words = arrays["words"]
            tables, longest, evidence = (
                arrays[name].astype(np.int64) for name in ("tables", "longest", "evidence")
            )
            means, spreads, limits = (
                arrays[name].astype(np.float64) for name in ("means", "spreads", "limits")
            )
    except _OtherVersionError:
        raise
    except Exception as found:  # zipfile, numpy and json each have their own
        raise ValueError(f"the table of familiar n-grams {path} is damaged; {remedy}") from found
    return words, LabelStatistics(tables, longest, means, spreads, limits, evidence)


class _OtherVersionError(ValueError):
    """A whole file that this version does not read."""


def insert_keys(words: Words, keys: Words) -> None:
    """Adds keys of `ngram_keys` to a filter, uint64[num_words], in place."""
    _insert(words, keys)


class LineKeys(NamedTuple):
    """N-grams of one line as keys of the filter."""

    keys: Words
    """uint64[num_ngrams]: trigrams, then 5-grams."""
    num_short: int
    """How many are trigrams."""


def ngram_keys(line: str, table: int, longest: int, *, is_latin: bool) -> LineKeys:
    """Keys of the n-grams of a folded line.

    Args:
        line: Folded, without spaces at its ends.
        table: Number of the label's table.
        longest: 5, or 3 for trigrams alone.
        is_latin: Whether the label is written in Latin letters.
    """
    data = np.frombuffer(line.encode(), np.uint8)
    keys = np.empty(2 * (len(data) + 2), np.uint64)
    num_short, num_keys = _keys(data, table, longest, is_latin, keys)
    return LineKeys(keys[:num_keys], num_short)


@inlined_kernel
def _mixed(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit depends on every bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@inlined_kernel
def _short_key(c: np.uint64, d: np.uint64, e: np.uint64, table: np.uint64) -> np.uint64:
    """Three code points of 21 bits fill 63 bits; the label is mixed in."""
    return _mixed(
        (c << np.uint64(42) | d << np.uint64(21) | e) ^ (table + np.uint64(1)) << np.uint64(55)
    )


@inlined_kernel
def _long_key(a: np.uint64, b: np.uint64, short: np.uint64) -> np.uint64:
    return _mixed(short + (a << np.uint64(21) | b) * np.uint64(0x9E3779B97F4A7C15))


@kernel
def _insert(words: Words, keys: Words) -> None:
    for key in keys:
        at = _word_of(key, np.uint64(len(words)))
        words[at] |= np.uint64(1) << (key & _BITS_OF_WORD)
        words[at] |= np.uint64(1) << ((key >> np.uint64(6)) & _BITS_OF_WORD)


@inlined_kernel
def _is_foreign(point: np.uint64, is_latin: bool) -> bool:
    """Whether a character is a Latin letter in a label that has none, or the reverse."""
    if point < 0x41:  # space and apostrophe
        return False
    if 0x300 <= point < 0x370:  # accents that combine with any letter
        return False
    letter_is_latin = point < 0x300 or 0x1E00 <= point < 0x1F00
    return bool(letter_is_latin != is_latin)


@inlined_kernel
def _next_point(data: Bytes, at: int, stop: int) -> tuple[np.uint64, int]:
    """The character at a byte, a space at the end, and the byte after it."""
    if at >= stop:
        return np.uint64(32), at + 1
    if data[at] < 0x80:
        return np.uint64(data[at]), at + 1
    point, after = decode_sequence(data, at, stop)
    return np.uint64(point), after


@kernel
def _keys(data: Bytes, table: int, longest: int, is_latin: bool, keys: Words) -> tuple[int, int]:
    """Fills `keys`; gives the number of trigrams and of all n-grams."""
    salt = np.uint64(table)
    num_keys = num_short = 0
    for length in (_SHORT, longest):
        a = b = c = d = np.uint64(0)
        e = np.uint64(32)
        own, at = 1, 0
        while at <= len(data):
            a, b, c, d = b, c, d, e
            e, at = _next_point(data, at, len(data))
            own = 0 if _is_foreign(e, is_latin) else own + 1
            if own < length:
                continue
            short = _short_key(c, d, e, salt)
            keys[num_keys] = short if length == _SHORT else _long_key(a, b, short)
            num_keys += 1
        if length == _SHORT:
            num_short = num_keys
        if longest == _SHORT:
            break
    return num_short, num_keys


@inlined_kernel
def _word_of(key: np.uint64, num_words: np.uint64) -> np.int64:
    """The upper half of the key, as a fraction of 2^32, chooses the word (Lemire 2019)."""
    return np.int64(((key >> np.uint64(32)) * num_words) >> np.uint64(32))


@inlined_kernel
def _lacks(word: np.uint64, key: np.uint64) -> int:
    """1 where one of the key's two bits is not set."""
    both = (word >> (key & _BITS_OF_WORD)) & (word >> ((key >> np.uint64(6)) & _BITS_OF_WORD))
    return 1 - int(both & np.uint64(1))


@kernel
def _measure(
    data: Bytes,
    spans: Ints,
    tables: tuple[Ints, Ints, Ints],
    words: Words,
    shares: Floats,
    counts: Ints,
) -> None:
    """Fills shares and counts; the uncorrected share is the mean of those of both lengths.

    The keys of a line come first, each word of the filter is asked for at once (`prefetching`), and
    they are looked up when they have come. No call in the loops passes an array but in rare
    branches: each counts references, atomically.
    """
    numbers, longest, is_latin = tables
    num_words, address = np.uint64(len(words)), words.ctypes.data
    keys = np.empty((2, 2 * MAX_SAMPLES), np.uint64)
    places = np.empty((2, 2 * MAX_SAMPLES), np.int64)
    for row in range(len(spans)):
        start, stop = spans[row, 0], spans[row, 1]
        if numbers[row] < 0 or stop <= start:
            continue
        salt = np.uint64(numbers[row])
        wants_latin, wants_long = is_latin[row] != 0, longest[row] == _LONG
        step = 1 + (stop - start) // MAX_SAMPLES
        a = b = c = d = np.uint64(0)
        e = np.uint64(32)
        own = 1  # characters since one of another script, with the space that begins the line
        num_short = num_long = turn = characters = foreign = 0
        at = start
        while at <= stop:
            a, b, c, d = b, c, d, e
            e = np.uint64(32)
            after = at + 1
            if at < stop:
                e = np.uint64(data[at])
                if e >= 0x80:
                    if e < 0xE0 and after < stop:
                        e = (e & np.uint64(0x1F)) << np.uint64(6) | np.uint64(data[after] & 0x3F)
                        after += 1
                    elif e < 0xF0 and after + 1 < stop:
                        second, third = data[after] & 0x3F, data[after + 1] & 0x3F
                        e = (e & np.uint64(0x0F)) << np.uint64(12) | (
                            np.uint64(second) << np.uint64(6) | np.uint64(third)
                        )
                        after += 2
                    else:
                        point, after = decode_sequence(data, at, stop)
                        e = np.uint64(point)
            at = after
            own = 0 if _is_foreign(e, wants_latin) else own + 1
            characters += 1
            foreign += 1 if own == 0 else 0
            turn += 1
            if own < _SHORT or turn < step:
                continue
            turn = 0
            key = _short_key(c, d, e, salt)
            place = _word_of(key, num_words)
            prefetch(address + 8 * place)
            keys[0, num_short], places[0, num_short] = key, place
            num_short += 1
            if own >= _LONG and wants_long:
                key = _long_key(a, b, key)
                place = _word_of(key, num_words)
                prefetch(address + 8 * place)
                keys[1, num_long], places[1, num_long] = key, place
                num_long += 1
        if 2 * foreign > characters:
            shares[row] = 1.0
            continue
        if num_short == 0:
            continue
        new_short = new_long = 0
        for k in range(num_short):
            new_short += _lacks(words[places[0, k]], keys[0, k])
        for k in range(num_long):
            new_long += _lacks(words[places[1, k]], keys[1, k])
        share = new_short / num_short
        if num_long:
            share = (share + new_long / num_long) / 2
        shares[row], counts[row] = share, num_short
