"""Tokens, decoding and character classes against expectations written by hand."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from annotators.text import characters as c
from annotators.text.utf8 import decode_text, empty_characters, utf8_texts
from annotators.text.words import NUM_TOKENS, empty_words, split_words


def token_hashes(text: str) -> tuple[list[int], list[int]]:
    """Gives the lengths of the tokens of a text and their prefix hashes."""
    texts = utf8_texts(pa.array([text], pa.large_string()))
    scratch, words = empty_characters(texts.max_bytes() + 1), empty_words(texts.max_bytes() + 1)
    num_points = decode_text(texts.data, 0, texts.max_bytes(), c.character_classes(), scratch)
    num_tokens = split_words(scratch, num_points, words)
    assert words.counts[NUM_TOKENS] == num_tokens
    lengths = np.diff(words.lengths[: num_tokens + 1]).tolist()
    return lengths, words.hashes[: num_tokens + 1].tolist()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\n\u3000", []),
        ("The cat sat.", ["The", "cat", "sat", "."]),
        ("(well-known), yes!", ["(", "well", "-", "known", ")", ",", "yes", "!"]),
        ("it's J. Smith", ["it", "'s", "J.", "Smith"]),
        ("wait... what", ["wait", "...", "what"]),
        ("3.14 and 1,000", ["3.14", "and", "1,000"]),
        ("end.Next", ["end", ".", "Next"]),
        ("see https://a.b/c?d=e.", ["see", "https://a.b/c?d=e", "."]),
        ("l'eau d'ici", ["l", "'eau", "d", "'ici"]),
        ("п'ять", ["п'ять"]),
        ("你好，world", ["你", "好", "，", "world"]),
        ("ที่ดี", ["ที่", "ดี"]),
        ("हिन्दी है।", ["हिन्दी", "है", "।"]),
        ("ok👍🏽fine", ["ok", "👍🏽", "fine"]),
        ("a\x00b", ["a\x00b"]),
        ("z\u0301\u0302\u0303a", ["z\u0301\u0302\u0303a"]),
        ("mid-1990s, 1347-75 20-day", ["mid-1990s", ",", "1347", "-", "75", "20", "-", "day"]),
        (
            "500mg 5kg. 10am 12.5% B12",
            ["500", "mg", "5", "kg", ".", "10", "am", "12.5", "%", "B12"],
        ),
        ("Mr. X, e.g. Ph.D. etc.", ["Mr.", "X", ",", "e.g.", "Ph.D.", "etc", "."]),
        ("a-b.example.com/x-y? (b-c)", ["a-b.example.com/x-y", "?", "(", "b", "-", "c", ")"]),
        ("so :) :-) f(x): go...", ["so", ":)", ":-)", "f(x", "):", "go", "..."]),
        ("the 1990's 'quoted'", ["the", "1990", "'s", "'", "quoted", "'"]),
        ('he said."Then 2+2=4', ["he", "said", ".", '"Then', "2", "+", "2=4"]),
        ("x= =y $5 5$ y$ 50%", ["x=", "=", "y", "$", "5", "5", "$", "y$", "50", "%"]),
        ("USA. kW. J.", ["USA", ".", "kW.", "J."]),
    ],
)
def test_split_words_text_of_any_script_gives_expected_tokens(text: str, tokens: list[str]) -> None:
    lengths, _ = token_hashes(text)
    assert lengths == [len(token) for token in tokens]


def test_split_words_same_token_hashes_alike_and_other_differs() -> None:
    _, hashes = token_hashes("cat")
    assert token_hashes("cat")[1] == hashes
    assert token_hashes("cas")[1] != hashes
    assert token_hashes("'cat")[1][-1] != hashes[-1]  # the quotation mark is a token before it


@pytest.mark.parametrize(
    "data",
    [b"\x80", b"a\xc3", b"\xe4\xbd", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xff\xfe"],
)
def test_decode_text_invalid_bytes_agree_with_replacement_characters(data: bytes) -> None:
    scratch = empty_characters(len(data))
    buffer = np.frombuffer(data, dtype=np.uint8)
    num_points = decode_text(buffer, 0, len(data), c.character_classes(), scratch)
    points = scratch.points[:num_points].tolist()
    assert set(points) <= {0xFFFD, ord("a")}
    # One replacement a byte, where Python gives one a maximal prefix.
    assert num_points == len(data)


def test_decode_text_all_scripts_gives_code_points() -> None:
    text = "aé中😀\u0000\U0010ffff\u07ff\u0800\uffff\U00010000"
    texts = utf8_texts(pa.array([text], pa.large_string()))
    scratch = empty_characters(texts.max_bytes())
    count = decode_text(texts.data, 0, texts.max_bytes(), c.character_classes(), scratch)
    assert scratch.points[:count].tolist() == [ord(character) for character in text]


def test_character_classes_every_code_point_agrees_with_str_methods() -> None:
    classes = c.character_classes()
    for point in [*range(0x30000), *range(0xE0000, 0xE0200)]:
        if 0xD800 <= point < 0xE000:
            continue
        character = chr(point)
        assert bool(classes[point] & c.SPACE) == character.isspace(), hex(point)
        is_letter = character.isalpha() or point == 0x3007
        if unicodedata.category(character) != "Cn":
            assert bool(classes[point] & c.LETTER) == is_letter, hex(point)
        is_break = len(f"a{character}a".splitlines()) == 2
        assert bool(classes[point] & c.LINE_BREAK) == is_break, hex(point)


@pytest.mark.parametrize("mark", list(".!?。！？।॥؟۔։።၊။។"))
def test_character_classes_sentence_mark_is_terminal(mark: str) -> None:
    assert c.character_classes()[ord(mark)] & c.TERMINAL


def test_utf8_texts_nulls_or_other_type_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        utf8_texts(pa.array(["a", None], pa.large_string()))
    with pytest.raises(ValueError, match="cast the column"):
        utf8_texts(pa.array(["a"], pa.string()))
