import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from token_shards.natural_breaks import TokenBytes, best_break
from token_shards.tokenizer import load_tokenizer

# Of every script: text before the only break in it, and text behind.
SENTENCES = {
    "latin": ("It is 3.14 or so.", " The clock is wrong"),
    "quoted": ('She said "no."', " Nobody minds"),
    "han": ("港口的钟快了一刻钟。", "没有人在意"),
    "quoted han": ("他说「没有人在意。」", "钟快了"),
    "arabic": ("هل الساعة خاطئة؟", " لا أحد يهتم"),
    "urdu": ("گھڑی غلط ہے۔", " کسی کو پرواہ نہیں"),
    "devanagari": ("घड़ी आगे चलती है।", " किसी को फ़र्क नहीं"),
    "armenian": ("Ժամացույցը սխալ է։", " Ոչ ոք չի նկատում"),
    "burmese": ("နာရီမှားနေသည်။", "ဘယ်သူမှဂရုမစိုက်"),
    "khmer": ("នាឡិកាខុស។", "គ្មាននរណាខ្វល់"),
    "line": ("def clock()", "\n"),
}


def single_bytes() -> TokenBytes:
    return TokenBytes.from_list([bytes([byte]) for byte in range(256)])


def ids_of(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.frombuffer(text.encode(), np.uint8).astype(np.uint16)


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_of_any_script_ends_where_its_last_byte_does(name: str) -> None:
    before, after = SENTENCES[name]
    text = before + after
    expected = len((before + after if name == "line" else before).encode())
    ids = ids_of(text + "x")
    found = best_break(single_bytes(), ids, 1, len(ids) - 1, len(ids) // 3)
    assert found == expected


def test_paragraph_comes_before_line_before_sentence_before_word() -> None:
    text = "one two. three\nfour five.\n\nsix seven"
    ids = ids_of(text)
    tokens = single_bytes()
    assert best_break(tokens, ids, 1, len(ids) - 1, 2) == text.index("six")
    assert best_break(tokens, ids, 1, text.index("five"), 2) == text.index("four")
    assert best_break(tokens, ids, 1, text.index("three") + 2, 2) == text.index(" three")
    assert best_break(tokens, ids, 1, text.index("two") + 1, 2) == text.index(" two")
    assert best_break(tokens, ids, 1, 2, 2) == 2  # no break at all: where it was wanted


def test_of_equal_breaks_the_nearest_is_taken() -> None:
    ids = ids_of("a\nb\nc\nd\ne")
    assert [best_break(single_bytes(), ids, 1, 8, wanted) for wanted in (1, 4, 5, 8)] == [
        2,
        4,
        4,
        8,
    ]


def test_a_break_inside_a_token_does_not_count() -> None:
    tokens = TokenBytes.from_list([b"a", b".\nb", b"c", b" d"])
    ids = np.array([0, 1, 2, 3], np.int32)
    assert best_break(tokens, ids, 1, 3, 1) == 3


def test_bytes_of_a_trained_tokenizer_are_those_of_the_text(tokenizer_json: Path) -> None:
    tokens = TokenBytes.of_json(tokenizer_json.read_bytes())
    text = "Часы 🙂\n\tघड़ी。 <|endoftext|> 港"
    encoded = load_tokenizer(tokenizer_json).encode(pa.array([text], pa.large_string()))
    spelt, ends = tokens.spell(encoded.ids)
    assert spelt.decode() == text
    assert ends[-1] == len(text.encode())


def test_bytes_of_other_spellings() -> None:
    pieces = [["<unk>", 0.0], ["\u2581ti", -1.0], ["<0x0A>", -2.0], ["港", -3.0]]
    config = {
        "model": {"type": "Unigram", "vocab": pieces},
        "added_tokens": [{"content": "<unk>", "id": 0}, {"content": "<end>", "id": 4}],
    }
    tokens = TokenBytes.of_json(json.dumps(config).encode())
    spelt, ends = tokens.spell(np.array([1, 2, 3, 4, 0], np.int32))
    assert spelt == " ti\n港<end><unk>".encode()
    assert ends.tolist() == [3, 4, 7, 12, 17]
