"""Texts of many megabytes under a limit on memory, and the bounds by which scratch is sized."""

import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.spans import most_spans
from annotators.text.characters import character_classes
from annotators.text.utf8 import decode_text, empty_characters, utf8_texts
from annotators.text.words import empty_words, most_words, split_words

_PIECES = st.sampled_from(
    [
        *"aAbZ1 .,;:'-–!?#=+%$*^<>/@()\n\r\t\u00a0中あกລខမ。…é\u0301µ°😀\x00\x1c\u2028",
        *("5kg", "it's", "U.S.", "a.B", "http://x.y/z", ":-)", "...", "10am", "e.g.", "1990's"),
        *("km²", "9µm", "5GB,", "\n\n", "20-day", "3m2", "--", "ab", "the"),
    ]
)
_CHILD = """
import resource
import sys
import pyarrow as pa
from annotators.heuristics.annotator import Heuristics

annotate = Heuristics()
labels = {"language": pa.array(["eng_Latn"])}
annotate(pa.array(["Some words."], pa.large_string()), labels)
resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
for unit in ("a", "one line of words, and 23 more. "):
    text = unit * ((50 << 20) // len(unit))
    row = annotate(pa.array([text], pa.large_string()), labels)
    print(row.column("gopher_num_words")[0], row.column("fineweb_num_lines")[0])
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_DATA"), reason="the system has no such limit")
def test_fifty_megabytes_in_one_line_under_four_gigabytes() -> None:
    repository = Path(__file__).parents[2]
    made = subprocess.run(
        [sys.executable, "-c", _CHILD], cwd=repository, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == ["1 1", f"{(50 << 20) // 32 * 7} 1"]


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=30).map("".join))
def test_bounds_hold(text: str) -> None:
    texts = utf8_texts(pa.array([text], pa.large_string()))
    size = texts.max_bytes()
    characters, words = empty_characters(size), empty_words(size)
    num_points = decode_text(texts.data, 0, size, character_classes(), characters)
    bound = most_words(characters, num_points)
    assert split_words(characters, num_points, words) <= bound <= num_points
    lines = [line for line in text.split("\n") if line]
    assert len(lines) + 2 <= most_spans(characters, num_points) <= num_points // 2 + 3


def test_bound_is_that_of_words_and_not_of_characters() -> None:
    text = "Nobody knows who built the bridge, it's said. " * 40
    texts = utf8_texts(pa.array([text], pa.large_string()))
    characters = empty_characters(len(text))
    decode_text(texts.data, 0, len(text), character_classes(), characters)
    assert most_words(characters, len(text)) <= 13 * 40


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "!",
        "\n",
        "a\n",
        "a\n\n",
        "中。",
        "5kg 7h ",
        "One line, of words. ",
        "{a} it's é\u0301\n",
    ],
)
def test_scratch_of_its_own_changes_nothing(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    text = unit * (9_000 // len(unit))
    texts = pa.array(["short", text, text[:50]], pa.large_string())
    labels = {"language": pa.array(["eng_Latn", "zho_Hans", "und"])}
    shared = Heuristics()(texts, labels)
    monkeypatch.setattr("annotators.heuristics.measure._LARGE_BYTES", 60)
    assert Heuristics()(texts, labels).equals(shared)
