"""Passages: together they are the text, each within its weight, and none that misleads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from declarations import DECLARATIONS, words_of

from annotators.contamination.words import WORD, empty_folded_words, fold_words, folds
from pipelines.validation.windows import WINDOW_WORDS, Windows, most_repeats, window_bounds

LICENCE = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")


def cut(*texts: str) -> Windows:
    windows = Windows()
    windows.add(pa.array(texts, pa.large_string()), 0)
    return windows


def test_windows_of_a_long_text_are_the_text_in_equal_passages() -> None:
    made = cut(LICENCE)
    lengths = [len(words_of(passage)) for passage in made.texts]
    assert [word for passage in made.texts for word in words_of(passage)] == words_of(LICENCE)
    assert len(made.texts) == 4
    assert max(lengths) <= WINDOW_WORDS
    assert max(lengths) - min(lengths) <= 30, "letters and digits that stand alone weigh half"
    assert made.words == sum(lengths)


@pytest.mark.parametrize("language", sorted(DECLARATIONS))
def test_windows_of_a_short_text_is_the_text(language: str) -> None:
    text = "\n\n".join(DECLARATIONS[language])
    (passage,) = cut(text).texts
    assert words_of(passage) == words_of(text)


def test_windows_owners_count_on() -> None:
    windows = Windows()
    for number, lines in enumerate(DECLARATIONS.values()):
        windows.add(pa.array(["", " ".join(lines)], pa.large_string()), 2 * number)
    assert windows.owners == [1, 3, 5, 7]


def test_windows_left_out_are_counted() -> None:
    english = " ".join(DECLARATIONS["en"])
    zeros = "0 " * 300
    made = cut(english, english.upper(), "Too short to tell.", "", zeros)
    assert made.owners == [0]
    assert made.left_out == {"too_short": 1, "repetitive": 1, "repeated": 1}


def test_window_bounds_cover_all_words_once() -> None:
    for num_words in (0, 1, 511, 512, 513, 1024, 1025, 5000):
        weights = np.arange(num_words + 1, dtype=np.int64) * WORD
        bounds = window_bounds(weights)
        assert [w for a, b in bounds for w in range(a, b)] == list(range(num_words))
        assert len(bounds) == -(-num_words // WINDOW_WORDS)
        sizes = [b - a for a, b in bounds]
        assert not sizes or max(sizes) - min(sizes) <= 1


def test_most_repeats_counts_runs_of_thirteen_words() -> None:
    def repeats(text: str) -> int:
        data = np.frombuffer(text.encode(), np.uint8)
        words = empty_folded_words(len(data))
        num_words = fold_words(data, 0, len(data), folds(), words)
        return most_repeats(words.prefixes[: num_words + 1])

    thirteen = " ".join(f"w{n}" for n in range(13))
    assert repeats("one two three") == 0
    assert repeats(thirteen) == 1
    assert repeats(f"{thirteen} and {thirteen} and {thirteen}") == 3
