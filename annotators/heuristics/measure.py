"""All signals of all texts, in one kernel call.

Each text is decoded once into code points and classes; words, lines and paragraphs are then walked
over in those arrays. Texts up to 1 MiB share scratch for as many words and lines as could be in the
longest of them. For a longer text words and lines are counted first, and what one step needs is
given back before the next, because a limit on memory counts what is reserved and not what is
touched (RLIMIT_DATA). Under one of 4 GiB a process measures 256 MiB in one line of English, or 80
MiB of nothing but "!", each a token. 4 KB documents take 0.06 ms on one core; what was worth most:

- n-grams of n words are looked for only where those of n - 1 repeat (`repeats.top_ngram`);
- no counts of references to arrays (`kernels.lean_kernel`);
- loops without branches, many bytes at a time, say what need not be looked for (`lines`);
- the stop words of one language are a table of their own, of a few cache lines.

Where letters are written without spaces (Han, Kana, Thai, Lao, Khmer, Burmese), words are
estimated as letters divided by `words.TOKENS_PER_WORD`, and an n-gram spans n times as many tokens
as the text has for a word. FineWeb-2 (Penedo et al. 2025, arXiv:2506.20920) runs a word segmenter
for each of these languages; the estimate keeps its thresholds meaningful without one. Decisions on
120 Chinese pages of prose, LaTeX and code agreed with datatrove 0.10 (jieba) in 99 % (Gopher
quality), 100 % (FineWeb) and 76 % (repetition: jieba makes each mark in program code a token, so
code repeats more). On 6,317 English documents, of those that datatrove 0.10 keeps and of those that
it drops, we agree in 99.7 and 100 % (Gopher quality), 100 and 99.4 % (repetition, 1 of 168), 100
and 99.7 % (C4), all (FineWeb, mC4); `benchmarks/annotate.py` prints what differs.
"""

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics import signals as s
from annotators.heuristics.lines import may_have_phrases, measure_split_lines
from annotators.heuristics.spans import (
    LineScratch,
    empty_line_scratch,
    measure_lines,
    most_spans,
)
from annotators.heuristics.stop_words import MAX_WORDS, StopWords, count_stop_words
from annotators.text.characters import HAN, KANA, character_classes
from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.repeats import (
    Candidates,
    all_places,
    duplicate_ngram_characters,
    empty_candidates,
    top_ngram,
)
from annotators.text.utf8 import Characters, Utf8Texts, decode_text, empty_characters
from annotators.text.words import (
    NUM_LETTER_TOKENS,
    NUM_LETTERS_OF_SCRIPT,
    NUM_SYMBOL_TOKENS,
    NUM_TOKENS,
    NUM_WORD_CHARACTERS,
    TOKENS_PER_WORD,
    Words,
    empty_words,
    most_words,
    split_words,
)

_TOP_NGRAMS = ((2, s.GOPHER_TOP_2_GRAM), (3, s.GOPHER_TOP_3_GRAM), (4, s.GOPHER_TOP_4_GRAM))
_MIN_DUPLICATE_NGRAM, _MAX_DUPLICATE_NGRAM = 5, 10

_HASH, _DOT, _ELLIPSIS = 35, 46, 0x2026

_LARGE_BYTES = 1 << 20
"""Longer texts get scratch of their own; that for any text of this size takes 0.1 GB."""

_Scratch = tuple[Characters, Words, LineScratch, NDArray[np.bool_]]


@inlined_lean_kernel
def _count_symbols(points: NDArray[np.int32]) -> tuple[int, int]:
    """Counts "#", and ellipses: U+2026 and every full three dots of a run."""
    hashes, ellipses = 0, 0
    has_dots = False
    # Without a branch, so that the compiler compares many characters at a time.
    for i in range(len(points) - 2):
        has_dots |= (points[i] ^ _DOT | points[i + 1] ^ _DOT | points[i + 2] ^ _DOT) == 0
    for i in range(len(points)):
        hashes += points[i] == _HASH
        ellipses += points[i] == _ELLIPSIS
    if has_dots:
        dots = 0
        for i in range(len(points)):
            dots = dots + 1 if points[i] == _DOT else 0
            if dots == 3:
                ellipses += 1
                dots = 0
    return hashes, ellipses


@inlined_lean_kernel
def _estimate_words(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Gives the letters written without spaces, and how many words they make."""
    letters, words = 0.0, 0.0
    is_japanese = counts[NUM_LETTERS_OF_SCRIPT + KANA] > 0
    for script in range(1, len(TOKENS_PER_WORD)):
        count = counts[NUM_LETTERS_OF_SCRIPT + script]
        per_word = TOKENS_PER_WORD[KANA if script == HAN and is_japanese else script]
        letters += count
        words += count / per_word
    return letters, words


@inlined_lean_kernel
def _num_tokens(counts: NDArray[np.int64]) -> float:
    """Gives the tokens of a text, words where it is written without spaces estimated."""
    letters, estimated = _estimate_words(counts)
    return float(counts[NUM_TOKENS] - (letters - estimated))


@inlined_lean_kernel
def _measure_words(
    text: Characters, num_points: int, words: Words, row: NDArray[np.float64]
) -> float:
    """Writes the Gopher signals of words and gives how many tokens make one word in n-grams."""
    counts = words.counts
    letters, estimated = _estimate_words(counts)
    surplus = letters - estimated
    num_tokens = _num_tokens(counts)
    num_words = num_tokens - counts[NUM_SYMBOL_TOKENS]
    hashes, ellipses = _count_symbols(text.points[:num_points])
    row[s.GOPHER_NUM_CHARACTERS] = num_points
    row[s.GOPHER_NUM_WORDS] = np.floor(num_words + 0.5)
    if num_words > 0:
        row[s.GOPHER_MEAN_WORD_LENGTH] = counts[NUM_WORD_CHARACTERS] / num_words
    if num_tokens > 0:
        row[s.GOPHER_HASH_RATIO] = hashes / num_tokens
        row[s.GOPHER_ELLIPSIS_RATIO] = ellipses / num_tokens
        row[s.GOPHER_ALPHA_WORDS] = (counts[NUM_LETTER_TOKENS] - surplus) / num_tokens
    return counts[NUM_TOKENS] / num_tokens if surplus > 0 else 1.0


@lean_kernel
def _measure_ngrams(
    words: Words,
    num_points: int,
    per_word: float,
    candidates: Candidates,
    row: NDArray[np.float64],
) -> None:
    num_tokens = int(words.counts[NUM_TOKENS])
    num_places = all_places(num_tokens, candidates.places)
    for n, signal in _TOP_NGRAMS:
        size = int(n * per_word + 0.5)
        length, count, num_places = top_ngram(words, num_tokens, size, candidates, num_places)
        row[signal] = (length + n - 1) * count / max(1, num_points)  # with the spaces in it
    for n in range(_MIN_DUPLICATE_NGRAM, _MAX_DUPLICATE_NGRAM + 1):
        size = int(n * per_word + 0.5)
        characters = duplicate_ngram_characters(words, num_tokens, size, candidates, num_places)
        if characters == 0:  # then no longer one repeats either
            break
        row[s.GOPHER_DUP_5_GRAM + n - _MIN_DUPLICATE_NGRAM] = characters / max(1, num_points)


@lean_kernel
def _measure_words_and_lines(
    data: NDArray[np.uint8],
    start: int,
    end: int,
    num_points: int,
    language: int,
    stop_words: StopWords,
    scratch: _Scratch,
    row: NDArray[np.float64],
) -> float:
    """Measures all but n-grams of a decoded text, and gives how many tokens make one word there."""
    text, words, lines, seen = scratch
    num_tokens = split_words(text, num_points, words)
    per_word = _measure_words(text, num_points, words, row)
    row[s.GOPHER_STOP_WORDS] = count_stop_words(words, num_tokens, language, stop_words, seen)
    may_have_phrase = may_have_phrases(data, start, end)
    measure_split_lines(text, num_points, words, may_have_phrase, row)
    num_breaks = measure_lines(text, num_points, lines, row)
    row[s.FINEWEB_NEW_LINE_RATIO] = num_breaks / max(1.0, _num_tokens(words.counts))
    return per_word


@lean_kernel
def _measure_small(
    texts: Utf8Texts,
    numbers: NDArray[np.int64],
    classes: NDArray[np.uint16],
    languages: NDArray[np.int64],
    stop_words: StopWords,
    scratch: _Scratch,
    candidates: Candidates,
    rows: NDArray[np.float64],
) -> None:
    """Measures the texts of these numbers, which the scratch is for."""
    data, offsets = texts
    text, words = scratch[0], scratch[1]
    for i in numbers:
        start, end = offsets[i], offsets[i + 1]
        num_points = decode_text(data, start, end, classes, text)
        per_word = _measure_words_and_lines(
            data, start, end, num_points, languages[i], stop_words, scratch, rows[i]
        )
        _measure_ngrams(words, num_points, per_word, candidates, rows[i])


def _measure_large(
    texts: Utf8Texts, number: int, language: int, stop_words: StopWords, row: NDArray[np.float64]
) -> None:
    """Measures one text with scratch for what it has."""
    data, start, end = texts.data, int(texts.offsets[number]), int(texts.offsets[number + 1])
    text = empty_characters(end - start)
    num_points = decode_text(data, start, end, character_classes(), text)
    for array in text:  # most characters of most scripts take two bytes or three
        array.resize(num_points, refcheck=False)  # in place; nothing else knows of these arrays
    words = empty_words(most_words(text, num_points))
    lines = empty_line_scratch(most_spans(text, num_points))
    scratch = (text, words, lines, np.zeros(MAX_WORDS, dtype=np.bool_))
    per_word = _measure_words_and_lines(
        data, start, end, num_points, language, stop_words, scratch, row
    )
    counted = words._replace(starts=np.empty(0, dtype=np.int32))  # n-grams do not ask for places
    del text, words, lines, scratch
    candidates = empty_candidates(int(counted.counts[NUM_TOKENS]))
    _measure_ngrams(counted, num_points, per_word, candidates, row)


def measure(
    texts: Utf8Texts, languages: NDArray[np.int64], stop_words: StopWords
) -> NDArray[np.float64]:
    """Measures every signal of every text.

    Args:
        texts: The texts.
        languages: Number of each text's language in `stop_words`: `int64[num_texts]`.
        stop_words: Made by `stop_words.build_stop_words`.

    Returns:
        `float64[num_texts, len(SIGNALS)]`; stop words are -1 where none are known.
    """
    rows = np.zeros((len(languages), len(s.SIGNALS)))
    sizes = np.diff(texts.offsets)
    small = np.flatnonzero(sizes <= _LARGE_BYTES)
    size = int(sizes[small].max(initial=0))
    scratch = (
        empty_characters(size),
        empty_words(size),
        empty_line_scratch(size + 3),
        np.zeros(MAX_WORDS, dtype=np.bool_),
    )
    candidates = empty_candidates(size)
    _measure_small(
        texts, small, character_classes(), languages, stop_words, scratch, candidates, rows
    )
    del scratch, candidates
    for i in np.flatnonzero(sizes > _LARGE_BYTES).tolist():
        _measure_large(texts, i, int(languages[i]), stop_words, rows[i])
    return rows
