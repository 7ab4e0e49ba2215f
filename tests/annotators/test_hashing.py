"""Hashes of texts and of their normalised form."""

import hashlib
import itertools
import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.text.hashing import normal_hashes, normalised_text_hashes, text_hashes
from annotators.text.shingles import shingle_sets, shingled_by_characters

TEXTS = [
    "",
    "Hello, World!",
    " \n ",
    "Straße ÄÖ",
    "你好，世界。",
    "Σίσυφος",
    "😀 a\u00a0b",
    "İ ẞ\x00",
]


def blake(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def murmur(data: bytes) -> bytes:
    """MurmurHash3_x64_128 with seed 0, as its reference describes it, on integers."""
    mask = (1 << 64) - 1

    def rotated(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & mask

    def mixed(word: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            word = (word ^ word >> 33) * factor & mask
        return word ^ word >> 33

    first, second = 0x87C37B91114253D5, 0x4CF5AD432745937F
    one = two = 0
    for start in range(0, len(data) // 16 * 16, 16):
        low, high = (int.from_bytes(data[start + n : start + n + 8], "little") for n in (0, 8))
        one ^= rotated(low * first & mask, 31) * second & mask
        one = ((rotated(one, 27) + two) * 5 + 0x52DCE729) & mask
        two ^= rotated(high * second & mask, 33) * first & mask
        two = ((rotated(two, 31) + one) * 5 + 0x38495AB5) & mask
    tail = data[len(data) // 16 * 16 :]
    two ^= rotated(int.from_bytes(tail[8:], "little") * second & mask, 33) * first & mask
    one ^= rotated(int.from_bytes(tail[:8], "little") * first & mask, 31) * second & mask
    one, two = one ^ len(data), two ^ len(data)
    one = (one + two) & mask
    two = (two + one) & mask
    one, two = mixed(one), mixed(two)
    one = (one + two) & mask
    return one.to_bytes(8, "little") + ((two + one) & mask).to_bytes(8, "little")


def normalise(text: str) -> str:
    """The documented normal form, on strings."""
    mapped = []
    for character in text:
        if character.isspace():
            mapped.append(" ")
        elif not unicodedata.category(character).startswith("P"):
            forms = (character.casefold(), character.lower(), character)
            mapped.append(next(form for form in forms if len(form) == 1))
    return re.sub(" +", " ", "".join(mapped)).strip(" ")


def is_of_characters(text: str) -> bool:
    return bool(shingled_by_characters(large([text]))[0])


def finer(text: str) -> str:
    """The form of signatures, on strings."""
    mapped = []
    for character in text:
        is_mark = unicodedata.category(character).startswith("P") and character != "_"
        if character.isspace() or (is_mark and not is_of_characters(text)):
            mapped.append(" ")
        elif is_mark:
            mapped.append(character)
        else:
            forms = (character.casefold(), character.lower(), character)
            mapped.append(next(form for form in forms if len(form) == 1))
    return re.sub(" +", " ", "".join(mapped)).strip(" ")


def large(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def test_text_hashes_texts_of_many_scripts_are_murmur3_of_utf8() -> None:
    hashes = text_hashes(large(TEXTS))
    assert hashes.type == pa.binary(16)
    assert hashes.to_pylist() == [murmur(text.encode()) for text in TEXTS]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0" * 32),
        ("hello", "cbd8a7b341bd9b025b1e906a48ae1d19"),
        ("The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c7a433ca9c49a9347"),
    ],
)
def test_text_hashes_published_values(text: str, words: str) -> None:
    """Those that implementations of the reference give for these texts, as two numbers."""
    (digest,) = text_hashes(large([text])).to_pylist()
    numbers = (int.from_bytes(digest[start : start + 8], "little") for start in (0, 8))
    assert "".join(f"{number:016x}" for number in numbers) == words


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_text_hashes_of_any_length_agree_with_the_reference(texts: list[str]) -> None:
    assert text_hashes(large(texts)).to_pylist() == [murmur(text.encode()) for text in texts]
    forms = [finer(text) or text for text in texts]
    assert normal_hashes(large(texts)).to_pylist() == [murmur(form.encode()) for form in forms]


def test_normal_hashes_of_texts_without_words_are_those_of_their_bytes() -> None:
    texts = ["...", "---", " ", "", "a", "A!"]
    dots, dashes, blank, empty, small, capital = normal_hashes(large(texts)).to_pylist()
    assert len({dots, dashes, blank, empty, small}) == 5
    assert small == capital
    assert [dots, dashes, blank, empty] == text_hashes(large(texts[:4])).to_pylist()
    assert normal_hashes(large(["x", *texts, "y"]).slice(1, 6)).to_pylist()[4] == small


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A well-known «tide» clock", "a WELL KNOWN tide, clock!", True),
        ("don't", "don\u2019t", True),
        ("snake_case", "snake case", False),
        ("港口的钟快了。没有人在意", "港口的钟快了。 没有人在意", False),
        ("港口的钟快了。没有人在意", "港口的钟快了没有人在意", False),
        ("港口的钟 TIDE 快了。没有人", "港口的钟  tide\n快了。没有人", True),
        ("นาฬิกา", " นาฬิกา\n", True),
    ],
)
def test_normal_hashes_known_pairs(one: str, other: str, same: bool) -> None:
    first, second = normal_hashes(large([one, other])).to_pylist()
    assert (first == second) == same


@settings(deadline=None, max_examples=300)
@given(st.text("aB_-.' \n港口。、ก1é́+", max_size=24), st.text("aB_-.' \n港口。、ก1é́+", max_size=24))
def test_normal_hashes_that_are_equal_mean_equal_shingles(one: str, other: str) -> None:
    variants = [one, one.upper(), one.replace("-", " "), one.replace("。", " "), other]
    hashes = normal_hashes(large(variants)).to_pylist()
    sets = shingle_sets(large(variants))
    shingles = [sets.hashes[a:b].tolist() for a, b in itertools.pairwise(sets.offsets.tolist())]
    for text in range(1, len(variants)):
        if hashes[text] == hashes[0] and any(c.isalnum() or c == "_" for c in one):
            assert shingles[text] == shingles[0], variants[text]


def test_text_hashes_sliced_array_gives_rows_of_slice() -> None:
    whole = text_hashes(large(TEXTS)).to_pylist()
    assert text_hashes(large(TEXTS).slice(2, 4)).to_pylist() == whole[2:6]
    normal = normalised_text_hashes(large(TEXTS)).to_pylist()
    assert normalised_text_hashes(large(TEXTS).slice(3, 3)).to_pylist() == normal[3:6]
    assert text_hashes(large(TEXTS).slice(1, 0)).to_pylist() == []
    assert normalised_text_hashes(large([])).to_pylist() == []


def test_normalised_text_hashes_known_forms() -> None:
    forms = ["hello world", "", "straße äö", "你好世界", "σίσυφοσ", "😀 a b", "İ ß\x00"]
    texts = [text for text in TEXTS if text]
    assert normalised_text_hashes(large(texts)).to_pylist() == [blake(form) for form in forms]


@pytest.mark.parametrize("other", ["hello   world", "HELLO world.", "  «Hello»\tworld\n"])
def test_normalised_text_hashes_case_space_and_punctuation_do_not_count(other: str) -> None:
    first, second = normalised_text_hashes(large(["Hello, world", other])).to_pylist()
    assert first == second


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=30)))
def test_normalised_text_hashes_any_text_agrees_with_string_methods(texts: list[str]) -> None:
    expected = [blake(normalise(text)) for text in texts]
    assert normalised_text_hashes(large(texts)).to_pylist() == expected
