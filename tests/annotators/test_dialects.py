"""Members of a group: features, their sum, the shipped model and a training on a few lines."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from annotators.language.annotator import Language
from annotators.language.chinese import settle_chinese
from annotators.language.dialects import Dialects, quantised, scores
from annotators.language.dialects_features import (
    NUM_WINDOWS,
    WINDOW_BYTES,
    FeatureSettings,
    text_features,
)
from annotators.language.dialects_rule import choosing_rule, probabilities
from annotators.language.dialects_training import (
    GROUPS,
    log_ratios,
    read_rows,
    row_scores,
    separators,
    train_dialects,
)

WORDS = FeatureSettings(1, 4, True, 18)
RUNNING = FeatureSettings(1, 3, False, 17)

TEXTS = [
    "Što  su «rekli»\tŽivo, ŠĆĐČ!",
    "می\u200cروم به خانه؛ ٤٢ کتاب",
    "佢哋喺度食飯， 唔好嘈。",
    "  ",
    "",
    "Saya tidak mahu pergi ke Kuala Lumpur pada hari Isnin.",
]


def _features(text: str, settings: FeatureSettings) -> list[int]:
    data = np.frombuffer(text.encode(), np.uint8)
    return [int(one) for one in text_features(data, 0, len(data), settings)]


def _plain_features(text: str, settings: FeatureSettings) -> list[int]:
    """The same by slices of a Python string and Python integers."""
    mask = 2**64 - 1

    def bucket(mixed: int) -> int:
        return ((mixed ^ mixed >> 29) * 0xD6E8FEB86659FD93 & mask) >> (64 - settings.bits)

    def ngram(part: str) -> int:
        mixed = 0
        for letter in reversed(part):
            mixed = (mixed + ord(letter) + 1) * 0x9E3779B97F4A7C15 & mask
        return bucket(mixed)

    def word_hash(word: str) -> int:
        mixed = 0
        for letter in word:
            mixed = (mixed + ord(letter)) * 0xA0761D6478BD642F & mask
        return mixed

    tokens = text.lower().split()
    line = f" {' '.join(tokens)} " if tokens else " "
    pieces = [f" {token} " for token in tokens] if settings.has_words else [line]
    found = []
    for piece in pieces:
        for end in range(1, len(piece) + 1):
            for begin in range(max(0, end - settings.longest), end):
                # The space before a token ends no n-gram of it.
                if end == 1 or end - begin < settings.shortest:
                    continue
                found.append(ngram(piece[begin:end]))
    if settings.has_words:
        marks = "«»،؛؟.,!?"
        words = "".join(" " if one in marks else one for one in " ".join(tokens)).split()
        hashes = [word_hash(word) for word in words]
        found += [bucket(one) for one in hashes]
        found += [
            bucket(before * 0xE7037ED1A0B428DB & mask ^ one) for before, one in pairwise(hashes)
        ]
    return found


@pytest.mark.parametrize("settings", [WORDS, RUNNING])
@pytest.mark.parametrize("text", TEXTS)
def test_features_are_those_of_a_plain_implementation(text: str, settings: FeatureSettings) -> None:
    assert sorted(_features(text, settings)) == sorted(_plain_features(text, settings))


def _packed(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    parts = [text.encode() for text in texts]
    return np.frombuffer(b"".join(parts), np.uint8), np.cumsum([0, *map(len, parts)])


@pytest.fixture(scope="module")
def shipped() -> Dialects:
    return Dialects.load()


@pytest.mark.parametrize("group", ["ara", "hbs", "zho"])
def test_scores_are_sums_of_different_features(shipped: Dialects, group: str) -> None:
    model = shipped._models[group]
    data, offsets = _packed(TEXTS)
    rows = np.array([5, 0, 2, 3])
    found = scores(model, data, offsets, rows)
    for row, values in zip(rows.tolist(), found, strict=True):
        features = sorted(set(_features(TEXTS[row], model.settings)))
        sums = model.weights[features].astype(np.float64).sum(axis=0)
        sums *= model.scale / max(1, len(features)) ** 0.5
        if len(sums) == 1:
            sums = np.array([-sums[0] / 2, sums[0] / 2])
        np.testing.assert_allclose(values, sums + model.offsets, atol=1e-9)


@pytest.mark.parametrize(
    ("group", "code", "text"),
    [
        ("hbs", "hrv_Latn", "Tijekom siječnja znanstvenici sa Sveučilišta istražuju povijest."),
        ("hbs", "bos_Latn", "Tokom januara naučnici sa Univerziteta istražuju historiju."),
        ("msa", "ind_Latn", "Karena mobil itu mahal, dia bilang tidak bisa membelinya."),
        ("msa", "zsm_Latn", "Oleh kerana kereta itu mahal, beliau tidak boleh membelinya."),
        ("fas", "pes_Arab", "این دانشگاه در ماه فوریه بیمارستان تازه‌ای می‌سازد."),
        ("fas", "prs_Arab", "این پوهنتون در ماه فبروری شفاخانه نو میسازد."),
        ("zho", "yue_Hant", "佢哋話聽日唔會返工，因為而家好唔舒服。"),
        ("zho", "zho_Hant", "他們說明天不會上班，因為現在網路和軟體都壞了。"),
        ("ara", "arz_Arab", "هو مش عايز ييجي دلوقتي عشان تعبان أوي."),
        ("ara", "ary_Arab", "هاد الشي بزاف عليا، ماشي ديالي وما بغيتوش دابا."),
        ("ara", "apc_Arab", "شو بدك تعمل هلق؟ ليش هيك عم تحكي معنا؟"),
        ("ara", "aeb_Arab", "برشا ناس ما عندهمش فلوس توا، باش نعملوا شنوة؟"),
        ("ara", "arb_Arab", "وقال الوزير إن الحكومة سوف تدرس هذه المسألة التي أثارت الجدل."),
    ],
)
def test_shipped_model_settles_plain_cases(
    shipped: Dialects, group: str, code: str, text: str
) -> None:
    data, offsets = _packed(["x", text])
    numbers, chances = shipped.settle(data, offsets, np.array([1]), group)
    assert shipped.groups[group][numbers[0]] == code
    shares = shipped.shares(data, offsets, np.array([1]), group)
    assert shares.sum() == pytest.approx(1)
    assert chances[0] == shares.max() > 1 / len(shipped.groups[group])


def test_shipped_groups_are_those_of_the_training(shipped: Dialects) -> None:
    assert shipped.groups == {group: one.labels for group, one in GROUPS.items()}


def test_rows_depend_on_their_own_text_alone(shipped: Dialects) -> None:
    data, offsets = _packed(TEXTS)
    together = shipped.shares(data, offsets, np.arange(len(TEXTS)), "ara")
    for row, text in enumerate(TEXTS):
        alone = shipped.shares(*_packed([text]), np.array([0]), "ara")
        np.testing.assert_array_equal(alone[0], together[row])
    assert shipped.settle(data, offsets, np.zeros(0, np.int64), "ara")[0].shape == (0,)


def test_long_text_is_read_through_windows_to_its_end() -> None:
    text = "a " * 100_000 + "kraj"
    found = _features(text, WORDS)
    assert len(found) < 8 * NUM_WINDOWS * (WINDOW_BYTES + 8)
    assert set(_features("kraj", WORDS)) <= set(found)


def test_bytes_that_are_no_utf8_are_read_within_bounds(shipped: Dialects) -> None:
    random = np.random.default_rng(7)
    data = random.integers(0, 256, 20_000).astype(np.uint8)
    offsets = np.array([0, 0, 3, 700, 3000, 20_000])
    for group in shipped.groups:
        shares = shipped.shares(data, offsets, np.arange(5), group)
        assert np.isfinite(shares).all()


def test_two_columns_become_their_difference() -> None:
    weights, scale = quantised(np.array([[0.5, -0.5], [0.0, 0.0], [-0.25, 0.25]]))
    assert weights.shape == (3, 1)
    np.testing.assert_allclose(weights[:, 0] * scale, [-1, 0, 0.5], atol=scale)


HRV = ["Tko je to rekao?", "Što radi znanstvenik?", "Tijekom tjedna pada kiša.", "Vlak kasni."]
BOS = ["Ko je to rekao?", "Šta radi naučnik?", "Tokom sedmice pada kiša.", "Voz kasni."]


def _write_set(folder: Path, name: str, rows: list[tuple[str, str, str]]) -> None:
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
        for language, text, doc_id in rows:
            lines.write(json.dumps({"lang": language, "text": text, "doc_id": doc_id}) + "\n")


def _write_pairs(folder: Path) -> None:
    rows = [("hrv_Latn", text, f"d{number}") for number, text in enumerate(HRV)]
    rows += [("bos_Latn", text, f"d{number}") for number, text in enumerate(BOS)]
    _write_set(folder, "sib200_floresdev", rows)


def test_training_learns_repeats_itself_and_leaves_other_groups_out(tmp_path: Path) -> None:
    _write_pairs(tmp_path)
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    assert train_dialects(tmp_path, one, 1) == {"hbs": 8}
    train_dialects(tmp_path, two, 1)
    assert one.read_bytes() == two.read_bytes()
    model = Dialects.load(one)
    assert model.groups == {"hbs": ("bos_Latn", "hrv_Latn")}
    numbers, _ = model.settle(
        *_packed(["Tko kasni tijekom tjedna?", "Ko kasni?"]), np.arange(2), "hbs"
    )
    assert numbers.tolist() == [1, 0]


def test_articles_that_are_held_out_are_not_trained_on(tmp_path: Path) -> None:
    _write_pairs(tmp_path)
    rows = [("hrv_Latn", f"Rečenica {number}.", f"a{number}") for number in range(50)]
    _write_set(tmp_path, "ntrex128", rows)
    num_rows = len(read_rows(tmp_path, GROUPS["hbs"], 1).labels)
    assert 8 + 30 <= num_rows < 8 + 50


def test_a_folder_without_dialects_is_refused(tmp_path: Path) -> None:
    _write_set(tmp_path, "sib200_floresdev", [("hrv_Latn", "Tko?", "d")])
    with pytest.raises(ValueError, match=r"no group of dialects .* --data"):
        train_dialects(tmp_path, tmp_path / "model.npz", 1)


def test_the_rule_guesses_a_label_that_is_never_the_likeliest() -> None:
    # Half of the sentences of label 1 are those of label 0, word for word; label 2 stands apart.
    scores = np.array([[2.0, 1.0, 0.0]] * 120 + [[0.0, 0.0, 2.0]] * 60)
    scores[60:90] = [2.0, 1.9, 0.0]
    labels = np.repeat([0, 1, 2], 60)
    assert set(scores.argmax(axis=1)) == {0, 2}
    rule = choosing_rule(scores, labels, np.ones(180, np.bool_))
    chances = probabilities(rule.sharpness * (scores + rule.offsets))
    guesses = (rule.gains * (chances - rule.cuts)).argmax(axis=1)
    assert guesses.tolist() == [0] * 60 + [1] * 30 + [0] * 30 + [2] * 60
    assert rule.gains.max() == 1
    assert (rule.cuts > 0).all()
    assert rule.cuts[2] > rule.cuts[:2].max()


def test_a_label_that_other_sets_hold_much_of_is_guessed_sooner() -> None:
    chance = np.random.default_rng(1)
    labels = np.concatenate([np.repeat([0, 1, 2], 100), np.zeros(500, np.int64)])
    scores = np.eye(3)[labels] + chance.normal(0, 1, (800, 3))
    parallel = np.arange(800) < 300
    alone, both = (choosing_rule(scores[:end], labels[:end], parallel[:end]) for end in (300, 800))
    np.testing.assert_array_equal(alone.gains, both.gains)
    np.testing.assert_array_equal(alone.cuts[1:], both.cuts[1:])
    assert both.cuts[0] < alone.cuts[0]


def test_separators_part_what_they_are_fitted_to(tmp_path: Path) -> None:
    _write_pairs(tmp_path)
    rows = read_rows(tmp_path, GROUPS["hbs"], 1)
    every = np.ones(8, np.bool_)
    ratios = log_ratios(rows, GROUPS["hbs"], every)
    weights, biases = separators(rows, ratios, every, 1)
    found = row_scores(rows, np.arange(8), weights) + biases
    assert found.argmax(axis=1).tolist() == rows.labels.tolist()
    np.testing.assert_allclose(weights[:, 0], -weights[:, 1])


def test_languages_of_a_set_are_settled_and_stay_their_own_groups() -> None:
    texts = [
        "Jeg vet ikke hvorfor de ikke kommer hjem i kveld, sa hun til mannen sin.",
        "Eg veit ikkje kvifor dei ikkje kjem heim i kveld, sa ho til mannen sin.",
        "Jeg ved ikke, hvorfor de ikke kommer hjem i aften, sagde hun til sin mand.",
        "佢哋話聽日唔會返工，因為而家好唔舒服。",
    ]
    found = Language()(pa.array(texts, pa.large_string()), {})
    languages = found.column("language").to_pylist()
    assert languages == ["nob_Latn", "nno_Latn", "dan_Latn", "yue_Hant"]
    assert found.column("language_group").to_pylist() == ["nob", "nno", "dan", "zho"]
    assert all(0 < score <= 1 for score in found.column("language_score").to_pylist())


def test_a_set_overrules_the_classifier(shipped: Dialects) -> None:
    text = "Vi har hus og bil."  # Danish as well as Bokmål, which is what the classifier says
    numbers, _ = shipped.settle(*_packed([text]), np.arange(1), "danish")
    (found,) = Language()(pa.array([text], pa.large_string()), {}).to_pylist()
    assert found["language"] == shipped.groups["danish"][numbers[0]] == "dan_Latn"
    assert found["language_second"] == "nob_Latn"


def test_marks_of_cantonese_are_not_overturned(shipped: Dialects) -> None:
    text = "他們說現在網路和軟體都壞了，睇。"
    numbers, _ = shipped.settle(*_packed([text]), np.arange(1), "zho")
    assert shipped.groups["zho"][numbers[0]] == "zho_Hant"
    found = Language()(pa.array([text, text.replace("睇", "看")], pa.large_string()), {})
    assert found.column("language").to_pylist() == ["yue_Hant", "zho_Hant"]


def test_missing_and_damaged_files_are_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "dialects.npz"
    with pytest.raises(ValueError, match=r"no file .*dialects\.npz.*tokenmill train language"):
        Dialects.load(path)
    _write_pairs(tmp_path)
    train_dialects(tmp_path, path, 1)
    whole = path.read_bytes()
    for number, damage in enumerate([b"", b"no zip", whole[: len(whole) // 2], whole[:-40]]):
        damaged = tmp_path / f"damaged{number}.npz"
        damaged.write_bytes(damage)
        with pytest.raises(ValueError, match=r"damaged.*tokenmill train language"):
            Dialects.load(damaged)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    _write_pairs(tmp_path)
    train_dialects(tmp_path, tmp_path / "whole.npz", 1)
    with np.load(tmp_path / "whole.npz") as file:
        arrays = dict(file)
    arrays["hbs_weights"] = arrays["hbs_weights"][:-1]
    np.savez(tmp_path / "short.npz", **arrays)
    with pytest.raises(ValueError, match=r"weights of hbs are int8\[262143, 1\]"):
        Dialects.load(tmp_path / "short.npz")


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("zho_Hans", "呢啲系佢哋嘅权利，唔好唔记得咗。", "yue_Hant"),
        ("zho_Hans", "他们的关系很好，大家都知道。", "zho_Hans"),
        ("zho_Hant", "他們的關係很好，乜也沒有。", "zho_Hant"),
        ("zho_Hans", "我學會了繁體字。", "zho_Hant"),
        ("yue_Hant", "他們的關係很好，大家都知道。" * 12, "zho_Hant"),
    ],
)
def test_chinese_characters_decide(code: str, text: str, expected: str) -> None:
    assert settle_chinese(code, text) == expected
