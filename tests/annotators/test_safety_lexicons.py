"""Lexicons: terms of the text's own language, whole words, null where there are none."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from annotators.safety.annotator import Safety
from annotators.safety.lexicons import MAX_BYTES, Lexicon, labels_of


def _lexicon(folder: Path, **files: str) -> Lexicon:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return Lexicon("mine", folder)


def _counts(lexicon: Lexicon, text: str, language: str | None) -> int | None:
    found = lexicon.count(pa.array([text], pa.large_string()), pa.array([language], pa.string()))
    count: int | None = found.occurrences.to_pylist()[0]
    return count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A tulip, a TULIP; tulips.", 2),
        ("red tulip and tulip", 2),  # the longest at each place: `red tulip` is one
        ("Red\nTulip", 1),
        ("red roses", 0),
        ("", 0),
        ("stulip", 0),
    ],
)
def test_whole_words_and_the_longest_term(tmp_path: Path, text: str, count: int) -> None:
    lexicon = _lexicon(tmp_path, en="# flowers\ntulip\nred tulip\n")
    assert _counts(lexicon, text, "eng_Latn") == count


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("zho_Hans", "这里有很多郁金香和玫瑰花。", 1),
        ("zho_Hant", "這裡有郁金香", 1),
        ("tha_Thai", "มีดอกทิวลิปสวยงาม", 1),
        ("arb_Arab", "زهرة التوليب جميلة", 1),
        ("arz_Arab", "زهرة التوليب جميلة", 1),
        ("rus_Cyrl", "Красный ТЮЛЬПАН цветёт", 1),
        ("hin_Deva", "लाल ट्यूलिप खिला", 1),
    ],
)
def test_scripts(tmp_path: Path, language: str, text: str, count: int) -> None:
    files = {"zh": "郁金香", "th": "ทิวลิป", "ar": "زهرة التوليب", "ru": "тюльпан", "hi": "ट्यूलिप"}
    assert _counts(_lexicon(tmp_path, **files), text, language) == count


def test_a_language_without_terms_is_null_and_not_zero(tmp_path: Path) -> None:
    lexicon = _lexicon(tmp_path, en="gift\n", de="Rose\n")
    assert _counts(lexicon, "Das Gift wirkt. gift", "deu_Latn") == 0
    assert _counts(lexicon, "a gift", "eng_Latn") == 1
    for language in ("fra_Latn", "und", None):
        assert _counts(lexicon, "gift rose", language) is None


def test_the_longest_term_by_first_word_is_of_the_language(tmp_path: Path) -> None:
    terms = {"en": "red\nred tulip bed\nice-cream\n", "de": "red bull dose im haus\nRose\n"}
    lexicon = _lexicon(tmp_path, **terms)
    text = "red tulip; red tulip bed, red bull dose im haus: Ice-Cream, ice; rose"
    assert _counts(lexicon, text, "eng_Latn") == 4
    assert _counts(lexicon, text, "deu_Latn") == 2
    assert _counts(lexicon, "red red tulip", "eng_Latn") == 2
    assert _counts(lexicon, "red bull dose im", "deu_Latn") == 0  # it ends before the term does


def test_share_is_of_words(tmp_path: Path) -> None:
    lexicon = _lexicon(tmp_path, en="tulip\n", zh="郁金香\n")
    texts = pa.array(["one tulip, two!", "郁金香花园很美丽的地"], pa.large_string())
    found = lexicon.count(texts, pa.array(["eng_Latn", "zho_Hans"]))
    english, chinese = found.per_thousand.to_pylist()
    assert english == pytest.approx(1000 / 3)
    assert chinese == pytest.approx(1000 / (10 / 1.8))


def test_file_names(tmp_path: Path) -> None:
    assert labels_of("x", Path("zh")) == ["zho_Hans", "zho_Hant"]
    assert labels_of("x", Path("yue_Hant.txt")) == ["yue_Hant"]
    assert set(labels_of("x", Path("no.txt"))) == {"nob_Latn", "nno_Latn"}
    assert set(labels_of("x", Path("fa"))) == {"pes_Arab", "prs_Arab"}
    assert len(labels_of("x", Path("ar"))) == 8
    with pytest.raises(ValueError, match="named by no language"):
        labels_of("x", Path("tlh"))


def test_bad_lexicons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files at"):
        Lexicon("mine", tmp_path)
    (tmp_path / "en").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no term"):
        Lexicon("mine", tmp_path)
    (tmp_path / "en").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="UTF-8"):
        Lexicon("mine", tmp_path)
    with pytest.raises(ValueError, match="lower-case"):
        Safety(lexicons={"Mine": tmp_path})


def test_single_letters_of_unspaced_scripts_are_no_terms(tmp_path: Path) -> None:
    lexicon = _lexicon(tmp_path, zh="金\n郁金香\n")
    assert _counts(lexicon, "黄金和郁金香", "zho_Hans") == 1


def test_only_the_start_of_a_long_text_is_read(tmp_path: Path) -> None:
    lexicon = _lexicon(tmp_path, ja="チューリップ\n")
    text = "花" * (MAX_BYTES // 3 + 1) + "チューリップ"
    assert _counts(lexicon, text, "jpn_Jpan") == 0
    assert _counts(lexicon, "チューリップ" + text, "jpn_Jpan") == 1


def test_shipped_lexicon_through_the_annotator() -> None:
    annotator = pickle.loads(pickle.dumps(Safety()))
    annotator.check()
    texts = [
        "Free porn videos and live sex cams",
        "Kostenlose Sexvideos",
        "महिला",
        "Porno",
        "\0 \u0301" * 9,
    ]
    languages = ["eng_Latn", "deu_Latn", "npi_Deva", "und", "eng_Latn"]
    labels = {"url": pa.nulls(5, pa.string()), "language": pa.array(languages)}
    made = annotator(pa.array(texts, pa.large_string()), labels)
    assert made.schema.names[-2:] == ["adult_lexicon_count", "adult_lexicon_per_thousand"]
    assert made.column("adult_lexicon_count").to_pylist() == [2, 1, None, None, 0]
