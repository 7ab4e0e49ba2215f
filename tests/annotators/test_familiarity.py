"""The table of familiar n-grams: what it knows, what it believes, what it chooses."""

from pathlib import Path

import numpy as np
import pytest

from annotators.language.familiarity import (
    Familiarity,
    LabelStatistics,
    insert_keys,
    ngram_keys,
)
from annotators.language.familiarity_training import FoldedSentence, train_familiarity
from annotators.language.languages import codes

_ENGLISH, _GERMAN = codes().index("eng_Latn"), codes().index("deu_Latn")
_RUSSIAN, _GREEK = codes().index("rus_Cyrl"), codes().index("ell_Grek")
_BROAD = codes().index("spa_Latn")
_CHINESE, _JAPANESE = codes().index("zho_Hans"), codes().index("jpn_Jpan")


def _spans(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    data = [line.encode() for line in lines]
    ends = np.cumsum([len(line) for line in data])
    starts = ends - [len(line) for line in data]
    return np.frombuffer(b"".join(data), np.uint8), np.stack([starts, ends], axis=1)


def _knowing(lines: dict[int, str], longest: int = 5) -> Familiarity:
    """A table of one line a label, believed up to a novelty of one half."""
    words = np.zeros(4096, np.uint64)
    tables = np.full(119, -1)
    for table, (number, line) in enumerate(lines.items()):
        tables[number] = table
        latin = codes()[number].endswith("Latn")
        insert_keys(words, ngram_keys(line, table, longest, is_latin=latin).keys)
    ones = np.ones(119)
    evidence = np.where(np.arange(119) == _BROAD, 64, 200)
    return Familiarity(
        words,
        LabelStatistics(
            tables, np.full(119, longest), ones * 0.1, ones * 0.5, ones * 6.4, evidence
        ),
    )


def _novelty(known: Familiarity, line: str, number: int) -> float:
    data, spans = _spans([line])
    return float(known.novelty(data, spans, np.array([number]))[0])


def test_novelty_is_the_mean_share_of_unknown_trigrams_and_5_grams() -> None:
    known = _knowing({_ENGLISH: "the old house"})
    assert _novelty(known, "the old house", _ENGLISH) == 0
    # " the olx ": of 7 trigrams "olx", "lx " are new, of 5 5-grams "e olx", " olx " are.
    assert _novelty(known, "the olx", _ENGLISH) == pytest.approx((2 / 7 + 2 / 5) / 2)
    assert _novelty(known, "a", _ENGLISH) == 1.0
    assert _novelty(_knowing({_ENGLISH: "the old house"}, 3), "the olx", _ENGLISH) == pytest.approx(
        2 / 7
    )


def test_labels_do_not_know_each_others_ngrams() -> None:
    known = _knowing({_ENGLISH: "the old house", _GERMAN: "das alte haus"})
    assert _novelty(known, "das alte haus", _ENGLISH) > 0.9
    assert _novelty(known, "das alte haus", _GERMAN) == 0


def test_letters_of_another_script_are_passed_over() -> None:
    known = _knowing({_RUSSIAN: "\u0434\u043e\u043c \u0441\u0442\u0430\u0440"})
    data, spans = _spans(["\u0434\u043e\u043c", "\u0434\u043e\u043c usa"])
    novelty, counts = known.novelty_and_count(data, spans, np.array([_RUSSIAN, _RUSSIAN]))
    assert novelty.tolist() == [0, 0]
    assert _novelty(known, "\u0434\u043e\u043c everything english", _RUSSIAN) == 1
    assert counts.tolist() == [3, 3]  # " д\u043e", "д\u043e\u043c" and "\u043e\u043c "


def test_long_lines_are_read_at_even_steps_and_each_row_by_itself() -> None:
    line = "the old house " * 200 + "the old house"
    known = _knowing({_ENGLISH: "the old house the old house"})
    data, spans = _spans([line, "", "zzz", line])
    numbers = np.array([_ENGLISH, _ENGLISH, _ENGLISH, -1])
    novelty, counts = known.novelty_and_count(data, spans, numbers)
    assert novelty.tolist() == [0, 0, 1, 0]
    assert 400 < counts[0] <= 512
    assert counts[1:].tolist() == [0, 3, 0]


def test_few_words_are_judged_as_strictly_as_a_line_and_long_lines_no_stricter() -> None:
    known = _knowing({_ENGLISH: "the old house"})
    numbers = np.full(4, _ENGLISH)

    def believed(novelty: float, score: float = 1.0) -> list[bool]:
        counts = np.array([5, 64, 200, 5000])
        return known.believed(np.full(4, novelty), np.full(4, score), counts, numbers).tolist()

    # limit * spread / sqrt(64) + mean = 6.4 * 0.5 / 8 + 0.1 = 0.5; with 200 it is 0.326.
    assert believed(0.49) == [True, True, False, False]
    assert believed(0.51) == [False, False, False, False]
    assert believed(0.32) == [True] * 4
    assert believed(0.45, score=0.4) == [False] * 4  # 0.06 of novelty for what is improbable
    assert not known.believed(np.zeros(1), np.ones(1), np.array([9]), np.array([-1])).any()
    known = _knowing({_BROAD: "la casa vieja"})
    numbers = np.full(4, _BROAD)  # whose limit tightens no further
    assert believed(0.49) == [True] * 4
    assert believed(0.51) == [False] * 4


def test_long_text_is_believed_by_half_of_its_windows() -> None:
    house = "the old house by the sea and the long road to the village on the hill "
    menu = "qxz wjk vpf zzk xqv kkw jqp fvx bzq hjw xkz qqv pwj zfx vkq xjz wqk "
    known = _knowing({_ENGLISH: house.strip(), _GREEK: "\u03c4\u03bf"})

    def believed(*pieces: str, longest: int = 5) -> bool:
        table = known if longest == 5 else _knowing({_ENGLISH: house.strip()}, longest)
        data, spans = _spans(list(pieces))
        bounds = np.append(spans[:, 0], spans[-1, 1])[None, :]
        return bool(table.choose(data, bounds, np.array([[_ENGLISH]]), np.ones((1, 1))).believed[0])

    assert not believed(house + house + menu + menu)
    assert believed(house, house, menu, menu)
    assert not believed(house, menu, menu, menu)
    assert not believed(house, house, menu + menu)  # three windows are no page
    assert not believed(house, house, menu, menu, longest=3)


def test_familiar_rival_is_chosen_and_unlikely_one_is_not_looked_at() -> None:
    known = _knowing({_ENGLISH: "the old house by the sea", _GERMAN: "das alte haus am meer"})
    lines = ["das alte haus am meer", "das alte haus am meer", "the old house", "qqq www zzz rrr"]
    data, spans = _spans(lines)
    candidates = np.array([[_ENGLISH, _GERMAN]] * 3 + [[_ENGLISH, -1]])
    scores = np.array([[0.9, 0.1], [0.99, 0.01], [0.6, 0.4], [1.0, 0.0]])
    choice = known.choose(data, spans, candidates, scores)
    assert choice.columns.tolist() == [1, 0, 0, 0]
    assert choice.believed.tolist() == [True, False, True, False]
    assert choice.novelty[[0, 2]].tolist() == [0, 0]


def _sentences(text: str, number: int = 30) -> list[FoldedSentence]:
    words = text.split()
    return [
        FoldedSentence(" ".join(words[n % 5 :] + words[: n % 5]), "sib200_floresdev", f"a{n}")
        for n in range(number)
    ]


def test_training_knows_its_lines_and_leaves_chinese_without_a_table() -> None:
    texts = {
        "eng_Latn": "the house garden and with of river mountain is was",
        "deu_Latn": "das haus garten und mit der fluss berg ist war",
        "ell_Grek": "\u03c4\u03bf \u03c3\u03c0\u03af\u03c4\u03b9 \u03ba\u03b1\u03b9 \u03bf",
        "zho_Hans": "\u623f\u5b50 \u82b1\u56ed",
    }
    known = train_familiarity({code: _sentences(text) for code, text in texts.items()})
    for code, text in texts.items():
        assert _novelty(known, text, codes().index(code)) == 0
    statistics = known.statistics
    assert statistics.tables[[_CHINESE, _JAPANESE]].tolist() == [-1, -1]
    assert statistics.longest[[_ENGLISH, _GREEK]].tolist() == [5, 3]
    # Each article's n-grams stand in the others too.
    assert statistics.means[_ENGLISH] == 0
    assert statistics.limits[_GREEK] > statistics.limits[_ENGLISH]
    assert statistics.evidence[[_ENGLISH, _GERMAN]].tolist() == [200, 200]
    broad = [FoldedSentence(texts["eng_Latn"], "lingua_sentences", "b")]
    several = train_familiarity({"eng_Latn": broad, "tur_Latn": broad})
    numbers = [_ENGLISH, codes().index("tur_Latn"), _GERMAN]
    assert several.statistics.evidence[numbers].tolist() == [64, 200, 200]
    again = train_familiarity({code: _sentences(text) for code, text in texts.items()})
    assert np.array_equal(again.words, known.words)


def test_usual_novelty_is_that_of_left_out_articles() -> None:
    rows = [FoldedSentence(f"{chr(97 + n) * 6}", "sib200_floresdev", f"b{n}") for n in range(20)]
    known = train_familiarity({"eng_Latn": rows})
    # No two articles share an n-gram.
    assert known.statistics.means[_ENGLISH] == 1.0


def test_false_positives_of_a_full_filter_are_divided_out() -> None:
    chance = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    lines = ["".join(chance.choice(letters, 300)).strip() for _ in range(40)]
    rows = [FoldedSentence(line, "sib200_floresdev", str(n)) for n, line in enumerate(lines[:20])]
    full = train_familiarity({"eng_Latn": rows}, num_bytes=4096)
    roomy = train_familiarity({"eng_Latn": rows}, num_bytes=400_000)
    assert full.false_positive_rate > 0.1 > 0.001 > roomy.false_positive_rate
    data, spans = _spans(lines[20:])
    numbers = np.full(20, _ENGLISH)
    told = [one.novelty(data, spans, numbers).mean() for one in (full, roomy)]
    assert told[0] == pytest.approx(told[1], abs=0.02)
    assert full.statistics.spreads[_ENGLISH] > roomy.statistics.spreads[_ENGLISH]


def test_file_is_written_equally_and_refused_when_damaged_or_missing(tmp_path: Path) -> None:
    known = _knowing({_ENGLISH: "the old house"})
    for name in ("one.npz", "two.npz"):
        known.save(tmp_path / name)
    content = (tmp_path / "one.npz").read_bytes()
    assert content == (tmp_path / "two.npz").read_bytes()
    read = Familiarity.load(tmp_path / "one.npz")
    assert np.array_equal(read.words, known.words)
    assert np.allclose(read.statistics.limits, known.statistics.limits)

    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.npz is damaged.*tokenmill train language"):
        Familiarity.load(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match=r"no table.*none\.npz.*tokenmill train language"):
        Familiarity.load(tmp_path / "none.npz")
