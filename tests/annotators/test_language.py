"""The `language` labels with the shipped model."""

import math
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from annotators.language.annotator import Language
from annotators.language.chinese import settle_chinese
from annotators.language.folding import SCRIPTS
from annotators.language.label_maps import NAMES, read_label_map
from annotators.language.languages import MACROLANGUAGES, codes, language_labels
from annotators.language.model_file import SHIPPED
from annotators.language.training import _zeroed_memory
from annotators.language.verdicts import LabelTable

# Article 1 of the Universal Declaration of Human Rights, or a plain sentence.
TEXTS = {
    "eng_Latn": "All human beings are born free and equal in dignity and rights.",
    "deu_Latn": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fra_Latn": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "tur_Latn": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "rus_Cyrl": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "ell_Grek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "hin_Deva": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "tha_Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "kor_Hang": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "jpn_Jpan": "すべての人間は、生まれながらにして自由であり、尊厳と権利とについて平等である。",
    "zho_Hans": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "zho_Hant": "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心。",
    "heb_Hebr": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
}


LID_176 = {"en": "eng_Latn", "de": "deu_Latn", "ru": "rus_Cyrl", "zh": "zho_Hans", "el": "ell_Grek"}


def _annotate(*texts: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = Language()(pa.array(texts, pa.large_string()), {}).to_pylist()
    return rows


def test_language_of_plain_sentences_is_named() -> None:
    rows = _annotate(*TEXTS.values())
    assert [row["language"] for row in rows] == list(TEXTS)
    assert all(0.5 < float(str(row["language_score"])) <= 1 for row in rows)
    scripts = ["Latn"] * 4 + [
        "Cyrl",
        "Grek",
        "Deva",
        "Thai",
        "Hang",
        "Jpan",
        "Hani",
        "Hani",
        "Hebr",
    ]
    assert [row["script"] for row in rows] == scripts
    assert all(row["language_second"] != row["language"] for row in rows)


def test_groups_merge_what_sentences_do_not_tell_apart() -> None:
    arabic = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق."
    rows = _annotate(arabic, TEXTS["zho_Hans"], TEXTS["deu_Latn"])
    assert [row["language_group"] for row in rows] == ["ara", "zho", "deu"]


@pytest.mark.parametrize(
    "text", ["", " \n\t", "1234 5678", "😀🎉", "\x00\x00", "https://a.example/b"]
)
def test_text_without_letters_is_und_with_score_zero(text: str) -> None:
    assert _annotate(text) == [
        {
            "language": "und",
            "language_score": 0.0,
            "language_second": "und",
            "language_group": "und",
            "script": "Zyyy",
            "language_shares": [],
            "language_share": 0.0,
        }
    ]


def test_label_whose_script_holds_less_than_a_fifth_of_the_letters_is_struck_out() -> None:
    table = LabelTable(["eng_Latn", "jpn_Jpan", "other"], {})
    letters = np.zeros((3, len(SCRIPTS)), np.int32)
    for row, counts in enumerate(
        ({"Latn": 19, "Ethi": 81}, {"Latn": 20, "Ethi": 80}, {"Latn": 120, "Hani": 10})
    ):
        for script, count in counts.items():
            letters[row, SCRIPTS.index(script)] = count
    chances = np.array([[0.6, 0.3, 0.1]] * 3, np.float32)
    found = table.candidates(chances, letters).languages
    english, japanese = codes().index("eng_Latn"), codes().index("jpn_Jpan")
    assert found[:, :2].tolist() == [[121, -1], [english, 121], [english, japanese]]


def test_few_letters_of_another_script_do_not_name_a_language() -> None:
    text = "ሰላም ለዓለም እንዴት ናችሁ ዛሬ ደህና ነኝ the end ናችሁ ዛሬ ደህና ነኝ"
    (row,) = _annotate(text)
    assert (row["language"], row["script"]) == ("und", "Ethi")


@pytest.mark.parametrize(
    ("text", "script"),
    [("ሰላም ለዓለም እንዴት ናችሁ", "Ethi"), ("བོད་སྐད་ཡིག་གཟུགས", "Tibt"), ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "Cher")],
)
def test_script_that_no_label_has_is_und(text: str, script: str) -> None:
    (row,) = _annotate(text)
    assert (row["language"], row["language_score"], row["script"]) == ("und", 0.0, script)


def test_labels_do_not_depend_on_the_rest_of_the_batch() -> None:
    texts = ["", *TEXTS.values(), "😀", "x " * 5000]
    alone = [_annotate(text)[0] for text in texts]
    assert _annotate(*texts) == alone
    assert _annotate(*reversed(texts)) == alone[::-1]
    assert _annotate(*texts * 300) == alone * 300


def test_batch_of_no_texts_has_the_declared_columns() -> None:
    batch = Language()(pa.array([], pa.large_string()), {})
    assert batch.num_rows == 0
    assert batch.schema == Language.columns


def test_nul_bytes_and_a_long_line_do_not_change_the_language() -> None:
    german = TEXTS["deu_Latn"]
    rows = _annotate(german.replace(" ", "\x00"), (german + " ") * 200_000)
    assert [row["language"] for row in rows] == ["deu_Latn", "deu_Latn"]


def test_long_text_is_judged_by_all_of_its_length() -> None:
    # The first of four windows is English: whoever reads only the start says so.
    text = (TEXTS["eng_Latn"] + " ") * 10 + (TEXTS["rus_Cyrl"] + " ") * 100
    (row,) = _annotate(text)
    assert row["language"] == "rus_Cyrl"
    assert _annotate(text[:600])[0]["language"] == "eng_Latn"


def test_chinese_characters_settle_the_script_and_cantonese() -> None:
    assert settle_chinese("zho_Hant", "他们赋有理性") == "zho_Hans"
    assert settle_chinese("zho_Hans", "他們賦有理性") == "zho_Hant"
    assert settle_chinese("zho_Hans", "人人生而自由") == "zho_Hans"
    assert settle_chinese("yue_Hant", "人人生而自由" * 30) == "zho_Hant"
    assert settle_chinese("yue_Hant", "人人生而自由") == "yue_Hant"
    assert settle_chinese("yue_Hant", "佢哋" + "人人生而自由" * 30) == "yue_Hant"


def test_annotator_travels_to_a_worker_after_use() -> None:
    language = Language()
    texts = pa.array(list(TEXTS.values()), pa.large_string())
    expected = language(texts, {})
    assert pickle.loads(pickle.dumps(language))(texts, {}).equals(expected)


def test_model_files_name_the_model_and_its_description() -> None:
    paths = Language().model_files()
    assert [path.name for path in paths] == [
        "language.ftz", "model.json", "familiarity.npz", "dialects.npz",
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in paths) <= 8_000_000


def test_missing_model_is_refused_when_built(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no language model at .*gone\.bin.*tokenmill train"):
        Language(model=tmp_path / "gone.bin")


def test_label_map_to_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="'xx' is mapped to 'xxx_Latn'"):
        Language(label_map={"xx": "xxx_Latn"})


@pytest.mark.parametrize("size", [0, 3, 40, 5000, 4_000_000])
def test_truncated_model_is_refused_by_check(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.ftz"
    path.write_bytes(SHIPPED.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"cut\.ftz is damaged or is no supervised"):
        Language(model=path).check()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The shipped model in another folder."""
    for path in Language().model_files():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / SHIPPED.name


def test_copied_model_folder_gives_the_same_labels(copied: Path) -> None:
    texts = pa.array([*TEXTS.values(), "gotv shqip nuk"], pa.large_string())
    assert Language(model=copied)(texts, {}).equals(Language()(texts, {}))


@pytest.mark.parametrize("name", ["language.ftz", "familiarity.npz", "dialects.npz"])
def test_changed_byte_of_any_file_of_a_model_is_refused(copied: Path, name: str) -> None:
    path = copied.with_name(name)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged: its SHA-256.*tokenmill train"):
        Language(model=copied).check()


@pytest.mark.parametrize("name", ["familiarity.npz", "dialects.npz"])
def test_missing_file_of_a_model_is_refused(copied: Path, name: str) -> None:
    copied.with_name(name).unlink()
    with pytest.raises(ValueError, match=rf"there is no .*{name}.*tokenmill train"):
        Language(model=copied).check()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fold_version": 1, "files": {"a": 1}}'])
def test_damaged_description_is_refused(copied: Path, content: str) -> None:
    copied.with_name("model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.json is damaged"):
        Language(model=copied).check()


def test_word_vectors_are_refused_as_a_model(tmp_path: Path) -> None:
    path = tmp_path / "vectors.bin"
    content = bytearray(SHIPPED.read_bytes())
    content[8 + 4 * 7 : 8 + 4 * 8] = struct.pack("<i", 2)  # args.h model_name::sg
    path.write_bytes(content)
    with pytest.raises(ValueError, match="word vectors without labels"):
        Language(model=path)(pa.array(["text"], pa.large_string()), {})


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another maker: capitals, own labels, one text under three labels."""
    fasttext = pytest.importorskip("fasttext")
    folder = tmp_path_factory.mktemp("foreign")
    lines = ["__label__EN The House and The Garden", "__label__DE Das Haus und Der Garten"]
    lines += ["__label__XX mmm nnn mmm", "__label__kat_Geor qqq www qqq"]
    lines += [f"__label__{code} بيت كبير" for code in ("arb_Arab", "ars_Arab", "acm_Arab")]
    (folder / "lines.txt").write_text("\n".join(lines * 40) + "\n", encoding="utf-8")
    with _zeroed_memory():
        model = fasttext.train_supervised(
            str(folder / "lines.txt"), dim=4, bucket=2_200_000, minn=2, maxn=3, lr=0.5, epoch=20,
            thread=1, verbose=0,
        )  # fmt: skip
    model.save_model(str(folder / "foreign.bin"))
    return folder / "foreign.bin"


def _annotate_foreign(model: Path, *texts: str) -> list[dict[str, object]]:
    language = Language(model=model, label_map={"EN": "eng_Latn", "DE": "deu_Latn"})
    rows: list[dict[str, object]] = language(pa.array(texts, pa.large_string()), {}).to_pylist()
    return rows


def test_foreign_model_with_a_label_map_gives_codes_of_the_119(foreign: Path) -> None:
    rows = _annotate_foreign(foreign, "The Garden", "Der Garten", "mmm nnn")
    assert [row["language"] for row in rows] == ["eng_Latn", "deu_Latn", "und"]
    # It knows its words in capitals: of the folded text it would give another probability.
    expected = pytest.importorskip("fasttext").load_model(str(foreign)).predict("The Garden")
    assert math.isclose(float(str(rows[0]["language_score"])), expected[1][0], abs_tol=1e-4)


def test_label_whose_script_is_absent_is_struck_out(foreign: Path) -> None:
    (row,) = _annotate_foreign(foreign, "qqq www")
    assert (row["language"], row["script"]) == ("und", "Latn")


def test_dialects_that_share_their_probability_are_still_believed(foreign: Path) -> None:
    (row,) = _annotate_foreign(foreign, "بيت كبير")
    assert row["language_group"] == "ara"
    assert row["language"] in {"arb_Arab", "ars_Arab", "acm_Arab"}
    assert float(str(row["language_score"])) < 0.5
    assert str(row["language_second"]).endswith("_Arab")


@pytest.mark.parametrize("size", [0, 3, 100, 10_000_000])
def test_truncated_foreign_model_is_refused(foreign: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(foreign.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"cut\.bin is damaged or is no supervised"):
        _annotate_foreign(path, "text")


def test_model_with_bytes_behind_its_end_is_refused(foreign: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.bin"
    path.write_bytes(foreign.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"long\.bin is damaged.* tells of \d+ bytes"):
        _annotate_foreign(path, "text")


@pytest.mark.parametrize(
    ("at", "number", "found"),
    [
        (8, 0, "0 dimensions"),
        (8, 17, r"those behind them have \("),
        (8, 1 << 30, "1073741824 dimensions"),
        (28, 9, "n-grams of 9 words"),
        (32, 9, "loss is number 9"),
        (40, -5, "-5 n-grams"),
        (40, 77, r"those behind them have \("),
        (44, 50, "50 to "),
        (48, 100, "to 100 characters"),
    ],
)
def test_damaged_header_of_a_foreign_model_is_refused_by_check(
    foreign: Path, tmp_path: Path, at: int, number: int, found: str
) -> None:
    content = bytearray(foreign.read_bytes())
    content[at : at + 4] = number.to_bytes(4, "little", signed=True)
    path = tmp_path / "odd.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.bin is damaged.*{found}.*download or train"):
        Language(model=path, label_map={"en": "eng_Latn"}).check()


def test_model_without_a_label_of_the_119_is_refused_by_check(
    foreign: Path, tmp_path: Path
) -> None:
    content = foreign.read_bytes()
    for code in (b"kat_Geor", b"arb_Arab", b"ars_Arab", b"acm_Arab"):
        content = content.replace(b"__label__" + code, b"__label__" + code[:3] + b"_none")
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"none of the labels of .*other\.bin.*`label_map`"):
        Language(model=path).check()
    Language(model=path, label_map={"EN": "eng_Latn"}).check()


def test_few_chinese_characters_without_a_mark_are_no_cantonese() -> None:
    texts = ["你好", "謝謝", "谢谢", "我們明天早上去學校上課", "佢哋喺度"]
    found = _annotate(*texts)
    expected = ["zho_Hans", "zho_Hant", "zho_Hans", "zho_Hant", "yue_Hant"]
    assert [row["language"] for row in found] == expected


def test_hierarchical_model_with_a_map_known_by_name(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    lines = [f"__label__{label} {TEXTS[code]}" for label, code in LID_176.items()]
    (tmp_path / "lines.txt").write_text("\n".join(lines * 40) + "\n", encoding="utf-8")
    with _zeroed_memory():
        model = fasttext.train_supervised(
            str(tmp_path / "lines.txt"), dim=4, bucket=2_200_000, minn=1, maxn=3, lr=0.5, epoch=20,
            loss="hs", thread=1, verbose=0,
        )  # fmt: skip
    model.save_model(str(tmp_path / "lid.bin"))
    language = Language(model=tmp_path / "lid.bin", label_map="lid.176")
    mixed = TEXTS["rus_Cyrl"] * 3 + "\n" + TEXTS["deu_Latn"] * 3
    texts = [*(TEXTS[code] for code in LID_176.values()), TEXTS["zho_Hant"], mixed]
    rows = language(pa.array(texts, pa.large_string()), {}).to_pylist()
    assert [row["language"] for row in rows[:-1]] == [*LID_176.values(), "zho_Hant"]
    assert [one["language"] for one in rows[-1]["language_shares"]] == ["rus_Cyrl", "deu_Latn"]


@pytest.mark.parametrize("name", NAMES)
def test_maps_known_by_name_give_codes(name: str) -> None:
    label_map = read_label_map(name)
    assert set(label_map.values()) <= set(codes())
    assert len(label_map) >= 98
    assert label_map[{"lid.176": "de"}.get(name, "deu_Latn")] == "deu_Latn"


def test_label_map_from_a_file_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("label,code\n__label__xx,eng_Latn\n", encoding="utf-8")
    assert read_label_map(path) == {"xx": "eng_Latn"}
    with pytest.raises(ValueError, match="neither a file nor one of the known maps glotlid-v3"):
        read_label_map("glotlid")
    path.write_text("name,code\nxx,eng_Latn\n", encoding="utf-8")
    with pytest.raises(ValueError, match="it needs label and code"):
        read_label_map(path)


def test_shares_of_a_mixed_text_are_shares_of_letters() -> None:
    parts = {"deu_Latn": 12, "rus_Cyrl": 8, "jpn_Jpan": 5}
    text = "\n".join(TEXTS[code] for code, times in parts.items() for _ in range(times))
    letters = {code: times * _num_letters(TEXTS[code]) for code, times in parts.items()}
    for paragraphs, tolerance in ((False, 0.1), (True, 0.02)):
        row = _row(Language(paragraphs=paragraphs), text)
        shares = {one["language"]: one["share"] for one in row["language_shares"]}
        assert list(shares) == ["deu_Latn", "rus_Cyrl", "jpn_Jpan"]
        assert math.isclose(sum(shares.values()), 1, abs_tol=1e-6)
        for code, share in shares.items():
            assert abs(share - letters[code] / sum(letters.values())) < tolerance
        assert (row["language"], row["language_second"]) == ("deu_Latn", "rus_Cyrl")
        assert row["language_share"] == row["language_shares"][0]["share"]
        assert row["script"] == "Latn"


def test_paragraphs_find_what_windows_miss() -> None:
    text = (TEXTS["rus_Cyrl"] + "\n") * 300 + TEXTS["ell_Grek"] + "\n"
    text += (TEXTS["rus_Cyrl"] + "\n") * 700
    shares = _row(Language(paragraphs=True), text)["language_shares"]
    assert [one["language"] for one in shares] == ["rus_Cyrl", "ell_Grek"]
    assert len(_row(Language(), text)["language_shares"]) == 1


def test_two_ways_of_reading_are_refused() -> None:
    with pytest.raises(ValueError, match="paragraphs and whole are both set"):
        Language(paragraphs=True, whole=True)


BAD = [
    "", " \n" * 500, "12 34 " * 500, "😀🎉" * 500, "\x00" * 3000, "a" + "\u0301\u0336" * 5000,
    "Привет hello 你好 مرحبا" * 200, "\u202e\ufeff\u200d" * 1000, "a" * 100_000, "\U000e0041" * 900,
    "@" * 5000, "http://" * 900, "'" * 5000, "\ufffd" * 3000, "\U0001d160" * 999,
    "\u0344\u0958" * 900, "x\ny\n" * 900, "</s> __label__eng_Latn " * 99, "の" * 7 + "\n" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("reading", [{}, {"paragraphs": True}, {"whole": True}])
def test_bad_input_gets_a_label_or_und(reading: dict[str, bool]) -> None:
    language = Language(**reading)
    rows = language(pa.array(BAD, pa.large_string()), {}).to_pylist()
    for text, row in zip(BAD, rows, strict=True):
        assert row["language"] in {*codes(), "und"}
        assert 0 <= row["language_score"] <= 1
        shares = [one["share"] for one in row["language_shares"]]
        assert not shares or math.isclose(sum(shares), 1, abs_tol=1e-5)
        assert shares == sorted(shares, reverse=True)
        assert row == _row(language, text)


def test_one_line_of_fifty_megabytes_is_read_in_any_way() -> None:
    text = (TEXTS["deu_Latn"] + " ") * 780_000
    assert len(text) > 50_000_000
    for language in (Language(), Language(paragraphs=True)):
        assert _row(language, text)["language"] == "deu_Latn"


def _row(language: Language, text: str) -> dict[str, Any]:
    row: dict[str, Any] = language(pa.array([text], pa.large_string()), {}).to_pylist()[0]
    return row


def _num_letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def test_table_holds_119_labels_with_their_groups() -> None:
    labels = language_labels()
    assert len(labels) == len(set(codes())) == 119
    assert all(label.code == f"{label.iso639_3}_{label.script}" for label in labels)
    by_code = {label.code: label for label in labels}
    assert (by_code["swh_Latn"].english_name, by_code["swh_Latn"].group) == ("Swahili", "swh")
    assert by_code["ary_Arab"].group == "ara"
    members = {label.iso639_3 for label in labels}
    assert all(set(group) <= members for group in MACROLANGUAGES.values())
