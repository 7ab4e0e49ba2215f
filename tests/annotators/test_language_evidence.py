"""What a line must say before it is asked in which language."""

import numpy as np
import pyarrow as pa
import pytest

from annotators.language.annotator import Language
from annotators.language.evidence import MIN_SCORE, has_evidence


def _believed(line: str, score: float) -> bool:
    data = np.frombuffer(line.encode(), np.uint8)
    return bool(has_evidence(data, np.array([[0, len(data)]]), np.array([score]))[0])


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("house", 1.01),  # five letters, five trigrams
        ("houses", 0.95),
        (" houses ", 0.95),
        ("\u0434\u043e\u043c\u0438\u043a\u0438", 0.95),
        ("houses by", 0.7),
        ("the old house by the sea and more", 0.3),
    ],
)
def test_fewer_distinct_trigrams_need_a_higher_probability(line: str, needed: float) -> None:
    assert not _believed(line, needed - 0.011)
    assert _believed(line, needed) == (needed <= 1)


def test_repeats_are_no_evidence() -> None:
    assert _believed("the old houses", 1.0)
    assert not _believed("the old houses " * 9, 1.0)
    assert _believed("the old house by the sea and more " * 9, 1.0)


def test_each_line_is_counted_by_itself() -> None:
    data = np.frombuffer(b"the old house by the sea and moreab", np.uint8)
    spans = np.array([[0, 33], [33, 35], [35, 35]])
    assert has_evidence(data, spans, np.ones(3)).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "text",
    ["OK", "si", "Login", "Share", "Next", "Danke", "a", "\u0915", "\u00e9", "a.a.a." * 3000,
     "|a|b|\n" * 60, "\\begin{" * 2000, "word1 23 " * 5000],
)  # fmt: skip
def test_words_of_menus_and_repeats_are_und(text: str) -> None:
    row = Language()(pa.array([text], pa.large_string()), {}).to_pylist()[0]
    assert (row["language"], row["language_score"]) == ("und", 0)
    assert row["language_shares"] == [{"language": "und", "share": 1.0}]


def test_script_of_one_language_decides_for_a_word() -> None:
    texts = ["\u0393\u03b5\u03b9\u03b1", "\uadf8\ub9ac\uace0", "\u4f60\u597d", "This is a test"]
    found = Language()(pa.array(texts, pa.large_string()), {}).column("language").to_pylist()
    assert found == ["ell_Grek", "kor_Hang", "zho_Hans", "eng_Latn"]


def test_no_language_is_named_with_a_low_probability_of_its_family() -> None:
    # Han characters among words of other scripts.
    texts = [
        "English 今天天气很好 Russian погода 我们去公园",
        "hello world foo bar 今天天气很好我们去公园散步",
    ]
    for row in Language()(pa.array(texts, pa.large_string()), {}).to_pylist():
        assert row["language"] == "zho_Hans"
        assert row["language_score"] >= MIN_SCORE
