"""What the language identifier sees of a text."""

from itertools import pairwise

import pyarrow as pa
import pytest

from annotators.language.folding import SCRIPTS
from annotators.language.windows import (
    NUM_SEGMENTS,
    NUM_WINDOWS,
    WINDOW_BYTES,
    Windows,
    fold_windows,
)

ENOUGH_BYTES = NUM_WINDOWS * WINDOW_BYTES


def _fold(*texts: str, fold: bool = True) -> Windows:
    return fold_windows(pa.array(texts, pa.large_string()), fold=fold)


def _letters(windows: Windows, row: int) -> dict[str, int]:
    counts = windows.letters[row].sum(axis=0).tolist()
    return {script: count for script, count in zip(SCRIPTS, counts, strict=True) if count}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Hello,\n\tWorld 2024!", "hello world "),
        ("", ""),
        (" \n\t ", ""),
        ("12 345,6 😀 \x00", ""),
        ("a\x00b", "a b"),
        ("O\u2018zbek 'so\u2019z' l\u2019eau", "o'zbek so'z l'eau"),
        ("see https://a.example/b?c=d or x@y.example @user ok", "see or ok"),
        ("见http://foo.example。你好", "见 你好"),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u0631\u0648\u0645"),
        ("Vie\u0323\u0302t İstanbul ＡＢＣ", "vi\u1ec7t istanbul abc"),
    ],
)
def test_fold_of_a_text_is_one_plain_line(text: str, line: str) -> None:
    assert _fold(text).lines == [line]


def test_letters_are_counted_by_script_without_those_of_addresses() -> None:
    windows = _fold("Дом house 家 いえ http://a.example/xyz", "हिन्दी", "123")
    assert _letters(windows, 0) == {"Cyrl": 3, "Latn": 5, "Hani": 1, "Kana": 2}
    assert set(_letters(windows, 1)) == {"Deva"}
    assert _letters(windows, 2) == {}


def test_plain_fold_keeps_case_digits_and_punctuation() -> None:
    text = "Hello, 'World'\n\n 12 😀\t\x00x"
    assert _fold(text, fold=False).lines == ["Hello, 'World' 12 😀 x"]


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("letter", ["a", "ж", "語", "𠮷"])
def test_windows_of_a_long_text_reach_from_its_first_to_its_last_letter(
    letter: str, fold: bool
) -> None:
    words = [f"{letter * 7} " for _ in range(5000)]
    text = "first " + "".join(words) + "last"
    line = _fold(text, fold=fold).lines[0]
    assert line.startswith("first ")
    assert line.endswith(" last")
    assert len(line.encode()) <= NUM_WINDOWS * (WINDOW_BYTES + 4) + NUM_WINDOWS
    # A character cut at the edge of a window would have become another letter or none.
    assert set(line) <= set("firstlast " + letter)


def test_windows_that_miss_the_prose_give_way_to_reading_from_the_start() -> None:
    text = "1 " * 3000 + "дом " * 40 + "2 " * 40_000
    windows = _fold(text)
    assert windows.lines[0].strip() == " ".join(["дом"] * 40)
    assert _letters(windows, 0) == {"Cyrl": 120}


def test_marks_without_end_are_read_up_to_a_limit() -> None:
    assert len(_fold("\u0301" * 100_000).lines[0].encode()) <= ENOUGH_BYTES + 4


def test_bytes_that_are_no_utf8_become_spaces() -> None:
    data = b"ab\xffcd\xe8\xaaef\xf0\x9f"
    offsets = pa.py_buffer(b"".join(n.to_bytes(8, "little") for n in (0, len(data))))
    texts = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])
    assert fold_windows(texts).lines == ["ab cd ef "]


def test_slice_of_an_array_folds_like_its_texts_alone() -> None:
    texts = ["один", "", "two", "三つ", "four"]
    whole = pa.array(texts, pa.large_string())
    assert fold_windows(whole.slice(1, 3)).lines == _fold(*texts[1:4]).lines == ["", "two", "三つ"]


def test_segments_of_a_short_text_end_at_spaces_and_lines() -> None:
    line = "one two three four five six seven eight nine"
    windows = _fold("\n".join([line] * 5) + " " + "x " * 200)
    data = windows.data.tobytes()
    bounds = windows.bounds[0].tolist()
    segments = [data[start:stop].decode() for start, stop in pairwise(bounds)]
    assert segments[:2] == [f"{line} {line} ", f"{line} {line} "]
    assert all(not segment or segment.endswith(" ") for segment in segments)
    assert "".join(segments) == windows.lines[0]
    assert len(segments) == NUM_SEGMENTS
    for segment, letters in zip(segments, windows.letters[0].sum(axis=1).tolist(), strict=True):
        assert sum(character != " " for character in segment) == letters


def test_accents_are_composed_within_their_segment() -> None:
    windows = _fold("e\u0301te\u0301 " * 40 + "a" * 30, "plain")
    assert windows.lines == ["été " * 40 + "a" * 30, "plain"]
    data = windows.data.tobytes()
    bounds = windows.bounds[0].tolist()
    first = data[bounds[0] : bounds[1]].decode()
    assert set(first.split()) == {"été"}
    assert len(first.encode()) == 96  # sixteen words of eight bytes before


def test_capacity_holds_the_growth_of_bytes_that_are_no_utf8() -> None:
    data = b"\xff" * 600 + b"abc"
    offsets = pa.py_buffer(b"".join(n.to_bytes(8, "little") for n in (0, len(data), len(data))))
    texts = pa.Array.from_buffers(pa.large_string(), 2, [None, offsets, pa.py_buffer(data)])
    assert fold_windows(texts, fold=False).lines == ["\ufffd" * 600 + "abc", ""]
