"""Shingles and MinHash against sets of Python strings, and against the formula."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.text import characters as c
from annotators.text.minhash import _ADDENDS, _FACTORS, NUM_BANDS, min_hashes, recall_at
from annotators.text.shingles import UNSPACED_SHARE, jaccards, shingle_sets

ENGLISH = "The tide clock in the harbour is wrong by a quarter of an hour, and nobody minds."
RUSSIAN = "Часы у причала спешат на четверть часа, и никто на это не обращает внимания."
HINDI = "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता।"
CHINESE = "港口的潮汐钟快了一刻钟，但没有人在意。"
JAPANESE = "港の時計は十五分進んでいるが、誰も気にしない。🙂"
THAI = "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีและไม่มีใครสนใจ"
TEXTS = [ENGLISH, RUSSIAN, HINDI, CHINESE, JAPANESE, THAI]


def array(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def reference(text: str) -> frozenset[tuple[str, ...]]:
    """The set of a text by plain Python: words or characters, n at a time."""
    classes, folded = c.character_classes(), c.fold_table()

    def fold(character: str) -> str:
        point = folded[ord(character)]
        return character if point == c.DROPPED else chr(point)

    words, word = [], ""
    for character in text:
        kind = classes[ord(character)]
        starts = kind & (c.LETTER | c.DIGIT) or character == "_"
        if starts or (word and kind & c.ATTACHED):
            word += fold(character)
        else:
            words, word = words + [word] * bool(word), ""
    words += [word] * bool(word)
    letters = [x for x in text if classes[ord(x)] & c.LETTER]
    unspaced = [x for x in letters if classes[ord(x)] >> c.SCRIPT_SHIFT & c.SCRIPT_MASK]
    units, size = words, 5
    if not words or (unspaced and len(unspaced) >= UNSPACED_SHARE * len(letters)):
        units, size = [fold(x) for x in " ".join(text.split())], 8
    count = max(1, len(units) - size + 1)
    return frozenset(tuple(units[i : i + size]) for i in range(count))


def jaccard(one: str, other: str) -> float:
    sets = shingle_sets(array([one, other]))
    return float(jaccards(sets, np.array([0]), np.array([1]))[0])


def expected_jaccard(one: str, other: str) -> float:
    left, right = reference(one), reference(other)
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("text", TEXTS)
def test_shingle_sets_one_edit_in_any_script_changes_what_python_says(text: str) -> None:
    long = text + " " + text[::-1]
    edited = long[:20] + "x" + long[21:]
    assert 0 < expected_jaccard(long, edited) < 1
    assert jaccard(long, edited) == expected_jaccard(long, edited)


def test_words_of_ascii_are_those_of_the_table() -> None:
    every = [chr(point) for point in range(128)]
    texts = [f"é{x}é a b c d" for x in every] + [f"b{x}b a b c d" for x in every]
    sets = shingle_sets(array(texts))
    assert np.diff(sets.offsets).tolist() == [len(reference(text)) for text in texts]
    # In upper case, or after a character that takes the other path, a word is the same word.
    for word in ("azAZ09_", "mN5"):
        assert jaccard(word, word.swapcase()) == 1 == jaccard(f"é{word}", f"É{word.swapcase()}")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.text(
            st.sampled_from("abZÀß_9 \n.,-’Ж日本の、ไทยक्ि̈🙂\u200d\u3000ẞİ") | st.characters(),
            max_size=60,
        ),
        min_size=2,
        max_size=5,
    )
)
def test_shingle_sets_any_texts_have_the_sizes_and_overlaps_of_python(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    sets = shingle_sets(array(texts))
    made = [reference(text) for text in texts]
    assert np.diff(sets.offsets).tolist() == [len(one) for one in made]
    pairs = np.array(list(itertools.combinations(range(len(texts)), 2)))
    found = jaccards(sets, pairs[:, 0], pairs[:, 1])
    assert found.tolist() == [len(made[a] & made[b]) / len(made[a] | made[b]) for a, b in pairs]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ENGLISH, ENGLISH.upper().replace(",", " --"), 1.0),  # case, punctuation, layout
        ("one two three", "One, two; three!", 1.0),  # shorter than a shingle: one shingle
        ("one two three", "one two", 0.0),
        ("\0", "", 0.0),
        ("\0!", "!", 0.0),
        ("a b c d e f", "a b c d e g", 1 / 3),
        ("", " \n", 1.0),
        ("***", "* * *", 0.0),  # no word: characters
        (CHINESE, CHINESE.replace("，", ","), 4 / 20),  # among characters punctuation counts
        ("snake_case is one word here", "snake case is one word here", 0.0),
    ],
)
def test_jaccard_of_texts_known_by_heart(one: str, other: str, expected: float) -> None:
    assert jaccard(one, other) == expected


def test_shingle_sets_of_a_slice_are_sorted_and_those_of_the_whole() -> None:
    texts = array([*TEXTS, "", ENGLISH * 50])
    whole, part = shingle_sets(texts), shingle_sets(texts.slice(2, 4))
    for index in range(4):
        expected = whole.hashes[whole.offsets[index + 2] : whole.offsets[index + 3]]
        found = part.hashes[part.offsets[index] : part.offsets[index + 1]]
        assert found.tolist() == expected.tolist() == sorted(set(found.tolist()))
    assert shingle_sets(array([])).offsets.tolist() == [0]


def test_min_hashes_of_a_slice_copies_and_long_texts() -> None:
    long = " ".join(str(n) for n in range(20_000))  # more shingles than the first scratch holds
    texts = array([ENGLISH, long, ENGLISH.upper(), "", long])
    bands, num_shingles, further = min_hashes(texts)
    assert num_shingles.tolist() == [13, 19_996, 13, 1, 19_996]
    assert (bands[0] == bands[2]).all()
    assert (bands[1] == bands[4]).all()
    assert not (bands[0] == bands[1]).any()
    assert further[[0, 1]].tolist() == further[[2, 4]].tolist()
    assert further[0] != further[1]
    assert (min_hashes(texts.slice(1, 2)).bands == bands[1:3]).all()
    assert (min_hashes(texts.slice(1, 2)).further == further[1:3]).all()
    assert len({*bands[0].tolist()}) == NUM_BANDS


def test_min_hashes_are_the_same_everywhere() -> None:
    bands, _, further = min_hashes(array([ENGLISH, CHINESE]))
    # Labels of one machine meet those of another: a change of these values is a new version.
    assert bands[:, 0].tolist() == [11390857984874887614, 8531847774784578100]
    assert further.tolist() == [18155029432003112642, 14316208490897660194]


def test_further_minima_are_bytes_of_the_last_permutations() -> None:
    texts = array([*TEXTS, "", ENGLISH * 20])
    sets = shingle_sets(texts)
    for text, found in enumerate(min_hashes(texts).further.tolist()):
        some = sets.hashes[sets.offsets[text] : sets.offsets[text + 1]].tolist()
        for number in range(8):
            factor, addend = (int(one[120 + number]) for one in (_FACTORS, _ADDENDS))
            smallest = min(((value >> 32) * factor + addend) % 2**32 for value in some)
            assert found >> 8 * number & 0xFF == smallest & 0xFF


@pytest.mark.parametrize("similarity", [0.5, 0.8])
def test_min_hashes_share_bands_as_often_as_the_formula_says(similarity: float) -> None:
    chance = random.Random(3)
    texts = []
    num_pairs, shingles = 600, 90
    shared = round(2 * shingles * similarity / (1 + similarity))
    for _ in range(num_pairs):
        # Words that occur once: each text is `shared` common shingles, then its own.
        common = [f"w{chance.randrange(10**9)}" for _ in range(shared + 4)]
        for _ in range(2):
            own = [f"w{chance.randrange(10**9)}" for _ in range(shingles - shared)]
            texts.append(" ".join(common + own))
    found = min_hashes(array(texts))
    assert (found.num_shingles == shingles).all()
    shares = (found.bands[::2] == found.bands[1::2]).any(axis=1).mean()
    true = shared / (2 * shingles - shared)
    expected = recall_at(true)
    error = (expected * (1 - expected) / num_pairs) ** 0.5
    assert abs(shares - expected) < 3 * error + 1e-3
