"""Training of the language identifier on a small folder of sentences."""

import gzip
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from annotators.language.annotator import Language
from annotators.language.evaluation import evaluate_language
from annotators.language.familiarity_training import FAMILIAR_SET, FoldedSentence
from annotators.language.sentences import (
    HELD_OUT_SHARE,
    TRAINING_SETS,
    is_held_out,
    is_held_out_of,
    read_sentences,
)
from annotators.language.training import (
    TrainingSettings,
    folded_sentences,
    train_language,
    training_lines,
)

_WORDS = {
    "eng_Latn": "the house garden and with of river mountain is was very old water bread",
    "deu_Latn": "das haus garten und mit der fluss berg ist war sehr alt wasser brot",
    "rus_Cyrl": "дом сад и река гора был очень старый вода хлеб она он это над",
    "pes_Arab": "خانه باغ و رودخانه کوه است بود خیلی قدیمی آب نان دانشگاه هواپیما",
    "prs_Arab": "خانه باغ و دریا کوه است بود بسیار کهنه آب نان پوهنتون طیاره",
}
_SMALL = TrainingSettings(lines_per_label=120, dim=4, buckets=20_000, epochs=20, min_count=1)


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _row(language: str, text: str, doc_id: str) -> dict[str, object]:
    return {"lang": language, "text": text, "doc_id": doc_id}


def _sentences(language: str, number: int, seed: int) -> list[str]:
    chance = random.Random(f"{language} {seed}")
    words = _WORDS[language].split()
    return [" ".join(chance.choices(words, k=8)).capitalize() + "." for _ in range(number)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "langid"
    folder.mkdir()
    for name, seed, number in (
        ("ntrex128", 1, 20),
        ("flores200_devtest", 2, 12),
        ("sib200_floresdev", 3, 80),
    ):
        rows = [
            _row(language, text, f"{name}:{index // 2}")
            for language in _WORDS
            for index, text in enumerate(_sentences(language, number, seed))
        ]
        _write(folder / f"{name}.jsonl.gz", rows)
    _write(folder / "udhr.jsonl.gz", [_row("ajp_Arab", "بيت", "a"), _row("amh_Ethi", "ቤት", "a")])
    tatoeba = [
        _row("eng_Latn", "The house is old, 7 😀", "t1"),
        _row("deu_Latn", "123", "t2"),
        _row("xho_Latn", "indlu indala", "t3"),
    ]
    _write(folder / "tatoeba.jsonl.gz", tatoeba)
    return tmp_path


def test_training_lines_are_balanced_folded_and_without_held_out_articles(data: Path) -> None:
    lines = training_lines(folded_sentences(data), seed=1, settings=_SMALL)
    assert Counter(label for label, _ in lines) == dict.fromkeys(_WORDS, 120)
    assert all(line == line.lower().strip() != "" for _, line in lines)
    assert ("eng_Latn", "the house is old") in lines

    held_out = {
        one.text.lower().strip(".")
        for one in read_sentences(data, "ntrex128")
        if is_held_out(one.doc_id)
    }
    assert held_out
    assert held_out.isdisjoint(line for _, line in lines)


def test_training_lines_are_decided_by_the_seed(data: Path) -> None:
    sentences = folded_sentences(data)
    first = training_lines(sentences, seed=1, settings=_SMALL)
    assert first == training_lines(sentences, seed=1, settings=_SMALL)
    assert first != training_lines(sentences, seed=2, settings=_SMALL)


def test_common_set_is_passed_over_more_often_and_returns_as_fragments() -> None:
    common = [FoldedSentence(f"one two three four {n}x", FAMILIAR_SET, f"a{n}") for n in range(5)]
    others = [FoldedSentence(f"five six seven eight {n}y", "tatoeba", f"b{n}") for n in range(10)]
    settings = replace(_SMALL, lines_per_label=25, passes=3)
    lines = [
        line
        for _, line in training_lines({"eng_Latn": [*common, *others]}, seed=1, settings=settings)
    ]
    whole = Counter(lines)
    # A turn is three passes over five lines, the second of fragments, and one over the ten others.
    assert all(whole[one.line] == 2 for one in common)
    assert all(whole[one.line] == 1 for one in others)
    fragments = [line for line in lines if line not in {one.line for one in [*common, *others]}]
    assert len(fragments) == 5
    assert all(any(line in one.line for one in common) for line in fragments)


def test_words_are_split_by_their_text_and_articles_by_their_name() -> None:
    assert {name for name in TRAINING_SETS if is_held_out_of(name, "ntrex:g")} == {
        "ntrex128",
        "lingua_word_pairs",
        "lingua_single_words",
    }
    assert not any(is_held_out_of(name, "ntrex:a") for name in TRAINING_SETS)


def test_held_out_articles_are_about_a_fifth_and_fixed() -> None:
    names = [f"article {number}" for number in range(10_000)]
    share = sum(map(is_held_out, names)) / len(names)
    assert abs(share - HELD_OUT_SHARE) < 0.02
    assert [is_held_out(f"ntrex:{name}") for name in "adgh"] == [False, False, True, True]


def test_trained_model_tells_its_languages_apart_and_is_reproducible(
    data: Path, tmp_path: Path
) -> None:
    first = train_language(data, tmp_path / "one", seed=3, settings=_SMALL)
    names = ["dialects.npz", "familiarity.npz", "language.ftz", "model.json"]
    assert sorted(path.name for path in first.folder.iterdir()) == names
    assert (first.num_labels, first.num_lines) == (5, 600)
    sizes = {name: (first.folder / name).stat().st_size for name in names[:3]}
    assert first.num_bytes == sum(sizes.values())
    told = json.loads((first.folder / "model.json").read_text(encoding="utf-8"))
    assert {name: one["bytes"] for name, one in told["files"].items()} == sizes
    assert told["training"]["seed"] == 3

    again = train_language(data, tmp_path / "two", seed=3, settings=_SMALL)
    for name in names:
        assert (again.folder / name).read_bytes() == (first.folder / name).read_bytes(), name

    annotator = Language(model=first.folder / "language.ftz")
    annotator.check()
    figures = evaluate_language(data, annotator=annotator, num_resamples=50)
    assert [one.name for one in figures.sets] == ["flores200_devtest", "ntrex128", "udhr"]
    # Of three dozen words a sentence may be unfamiliar, but none is another language.
    assert figures.sets[0].group_macro_f1 > 0.9
    assert {figures.sets[0].precision[code] for code in ("eng_Latn", "deu_Latn", "rus_Cyrl")} == {1}
    texts = pa.array(["THE RIVER IS VERY OLD WATER", "ԱԲԳԴ"], pa.large_string())
    assert annotator(texts, {}).column("language").to_pylist() == ["eng_Latn", "und"]


def test_folder_without_sets_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the training sets sib200_floresdev.*--data"):
        train_language(tmp_path, tmp_path / "model")


def test_output_that_is_a_file_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "model.ftz").touch()
    with pytest.raises(ValueError, match=r"model\.ftz is a file; name a folder"):
        train_language(data, tmp_path / "model.ftz")


def test_line_without_a_field_is_refused_with_its_number(tmp_path: Path) -> None:
    row = _row("eng_Latn", "text", "a")
    _write(tmp_path / "tatoeba.jsonl.gz", [row, {"lang": "eng_Latn", "doc_id": "a"}])
    with pytest.raises(ValueError, match=r"tatoeba\.jsonl\.gz line 2 has no field 'text'"):
        list(read_sentences(tmp_path, "tatoeba"))
