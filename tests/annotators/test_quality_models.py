"""Text models of quality, educational value and categories: learning, figures, damaged files."""

import gzip
import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotators.domain.examples import read_examples
from annotators.heuristics.annotator import Heuristics
from annotators.quality.annotator import Educational
from annotators.quality.categories import CategoryModel, render_categories, train_categories
from annotators.quality.figures import (
    f1,
    measure_categories,
    measure_educational,
    measure_quality,
    rank_correlation,
)
from annotators.quality.labelled import fold_of, read_categories, read_labelled
from annotators.quality.text_model import load_text_model
from annotators.quality.training import (
    fit_text_model,
    render_trained,
    straightened,
    train_educational,
    train_quality,
)

GOOD = (
    "the cell divides and the membrane closes around each half",
    "кит дышит воздухом и выкармливает детёнышей молоком",
    "水在零度结冰 在一百度沸腾",
)
BAD = (
    "buy cheap shoes now best price free shipping click here",
    "купить дёшево скидка только сегодня жми сюда",
    "点击购买 免费领取 限时优惠",
)


def documents(count: int = 60) -> list[dict[str, object]]:
    """Half of them good, in three scripts, four from each host."""
    chance = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for at in range(count):
        is_good = at % 2 == 0
        words = (GOOD if is_good else BAD)[at % 3].split()
        text = " ".join(chance.permutation(words * 3).tolist())
        rows.append(
            {
                "text": f"{text} {at}",
                "quality_label": int(is_good),
                "educational": 4 if is_good else 1,
                "safety": ("safe", "crime", "hate")[at % 3],
                "url": f"https://host{at // 4}.example/{at}",
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts_of(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def test_quality_of_words_tells_good_from_bad_in_three_scripts(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    trained = train_quality([data], tmp_path / "model", licence="CC0-1.0", features="words")
    assert trained.card.figures["words"].rows()[0][:2] == ("AUC", 1.0)
    model = load_text_model(tmp_path / "model", "quality")
    scores = model.scores(texts_of(*GOOD, *BAD, "", "qwertz"))
    assert (scores[:3] > 0.5).all()
    assert (scores[3:6] < 0.5).all()
    assert np.isnan(scores[6:]).all()
    card = (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    assert "\nLicence: CC0-1.0\n" in card
    assert "| words | AUC | 1.000 | 1.000-1.000 |" in card
    assert "| 1 | 30 |" in card
    assert "score_model" in render_trained(trained)


def test_the_same_documents_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    made = []
    for name in ("one", "two"):
        train_quality([data], tmp_path / name, licence="x", features="words")
        files = sorted((tmp_path / name).iterdir())
        assert [one.name for one in files] == ["CARD.md", "model.json", "weights.npz"]
        made.append([one.read_bytes() for one in files])
    assert made[0] == made[1]


def test_quality_annotator_takes_either_kind_of_score_model(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    labels: Mapping[str, pa.Array] = {"language": pa.array(["eng_Latn"] * 3)}
    for features in ("words", "signals"):
        folder = tmp_path / features
        path = train_quality([data], folder, licence="x", features=features).path  # type: ignore[arg-type]
        annotator = Heuristics(score_model=path)
        annotator.check()
        found = annotator(texts_of(GOOD[0], BAD[0], ""), labels).column("quality_score")
        good, bad, empty = found.to_pylist()
        assert empty is None
        assert 0 <= bad <= good <= 1
        assert all(file.is_relative_to(folder) for file in annotator.model_files()[1:])
        again = pickle.loads(pickle.dumps(annotator))
        assert again(texts_of(GOOD[0]), {"language": pa.array(["eng_Latn"])}).num_rows == 1


def test_better_writes_the_features_of_the_larger_auc(tmp_path: Path) -> None:
    # Words say nothing of documents that share none; their lines do.
    rows = []
    for at in range(40):
        words = [f"w{at}x{n}" for n in range(60)]
        glue = " " if at % 2 else "\n"
        rows.append({"text": glue.join(words) + ".", "label": at % 2, "doc_id": f"d{at}"})
    data = write(tmp_path / "pages.jsonl", rows)
    trained = train_quality([data], tmp_path / "model", licence="x")
    assert trained.card.features == "signals"
    assert trained.path == tmp_path / "model" / "quality_score.json"
    assert set(trained.card.figures) == {"words", "signals"}
    assert not (tmp_path / "model" / "weights.npz").exists()


def test_educational_points_are_learnt_and_null_without_a_model(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    trained = train_educational([data], tmp_path / "model", licence="x")
    figures = {name: value for name, value, _ in trained.card.figures["words"].rows()}
    assert figures["F1 at 3 points"] == 1.0
    assert figures["mean error in points"] < 0.5
    annotator = Educational(model=tmp_path / "model")
    annotator.check()
    found = annotator(texts_of(GOOD[0], BAD[0], ""), {}).column("educational").to_pylist()
    assert 3 < found[0] <= 5
    assert 0 <= found[1] < 2
    assert found[2] is None
    none = Educational()
    none.check()
    assert none.model_files() == []
    assert none(texts_of("a", ""), {}).column("educational").to_pylist() == [None, None]
    assert none(texts_of(), {}).num_rows == annotator(texts_of(), {}).num_rows == 0


def test_categories_are_named_with_their_share(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents(90))
    trained = train_categories([data], tmp_path / "model", licence="x", column="safety")
    assert trained.card.documents.names == ("crime", "hate", "safe")
    assert trained.card.figures["words"].rows()[0][:2] == ("macro-F1", 1.0)
    model = CategoryModel.load(tmp_path / "model")
    names, scores = model.predict(texts_of(GOOD[0], BAD[1], GOOD[2], "", "qwertz"))
    assert names.to_pylist() == ["safe", "crime", "hate", None, None]
    assert scores.to_pylist()[3:] == [None, None]
    assert all(1 / 3 < score <= 1 for score in scores.to_pylist()[:3])
    assert np.allclose(model.scores(texts_of(*GOOD)).sum(axis=1), 1)


def test_a_model_that_learnt_nothing_is_told_in_figures_and_card(tmp_path: Path) -> None:
    rows = documents(60)
    data = write(tmp_path / "right.jsonl", rows)
    right = train_categories([data], tmp_path / "right", licence="x", column="safety")
    assert "Warning" not in render_categories(right)
    # Labels that have nothing to do with the texts, one of them of three documents in four.
    for at, row in enumerate(rows):
        digest = hashlib.sha256(str(at).encode()).digest()[0]
        row |= {"safety": "safe" if digest % 4 else "crime", "quality": digest % 2,
                "text": f"page {at} tulip"}  # fmt: skip
    data = write(tmp_path / "wrong.jsonl", rows)
    wrong = train_categories([data], tmp_path / "wrong", licence="x", column="safety")
    quality = train_quality([data], tmp_path / "quality", licence="x", features="words")
    for printed, folder, said in (
        (render_categories(wrong), "wrong", "always naming the largest category (accuracy 0."),
        (render_trained(quality), "quality", "not shown to be better than chance"),
    ):
        card = (tmp_path / folder / "CARD.md").read_text(encoding="utf-8")
        for text in (printed, card):
            assert "Warning: do not use it as it is" in text
            assert said in text


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _shorter_idf(path: Path) -> None:
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = dict(file)
        np.savez(path, **(arrays | {"idf": arrays["idf"][:-1]}))
    else:
        path.write_text('{"kind": "quality"}', encoding="utf-8")


@pytest.mark.parametrize("damage", [Path.unlink, _truncate, _empty, _shorter_idf])
@pytest.mark.parametrize("number", [0, 1])
def test_damaged_models_are_told_with_path_and_remedy(
    tmp_path: Path, damage: Callable[[Path], object], number: int
) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    train_educational([data], tmp_path / "points", licence="x")
    train_categories([data], tmp_path / "safety", licence="x")
    annotator = Educational(model=tmp_path / "points")
    annotator.check()
    damage(annotator.model_files()[number])
    with pytest.raises(ValueError, match=r"damaged.*tokenmill train educational") as raised:
        annotator.check()
    assert str(tmp_path / "points") in str(raised.value)
    damage(CategoryModel.files(tmp_path / "safety")[number])
    with pytest.raises(ValueError, match=r"safety is missing or damaged.*tokenmill train"):
        CategoryModel.load(tmp_path / "safety")


def test_models_of_another_kind_or_other_words_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "pages.jsonl", documents())
    train_quality([data], tmp_path / "model", licence="x", features="words")
    with pytest.raises(ValueError, match="a model of 'quality', not of 'educational'"):
        Educational(model=tmp_path / "model").check()
    path = tmp_path / "model" / "model.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {"probe": [1, 2]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"splits otherwise; train it again: tokenmill train qual"):
        load_text_model(tmp_path / "model", "quality")
    with pytest.raises(ValueError, match="there is no folder"):
        Educational(model=tmp_path / "nowhere")


def test_labels_are_read_from_any_format_with_hosts_together(tmp_path: Path) -> None:
    rows = documents(8)
    packed = tmp_path / "in" / "a.jsonl.gz"
    packed.parent.mkdir()
    with gzip.open(packed, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[:4])
    pq.write_table(pa.Table.from_pylist(rows[4:]), tmp_path / "in" / "b.parquet")
    write(tmp_path / "in" / "rejects" / "c.jsonl", [{"text": "no", "quality_label": 7}])
    write(tmp_path / "in" / "d.jsonl", [rows[0], {"text": "unlabelled"}])
    found = read_labelled([tmp_path / "in"], "quality")
    assert found.texts == [row["text"] for row in rows]
    assert found.labels.tolist() == [1, 0] * 4
    assert found.kin[:5] == ["host0.example"] * 4 + ["host1.example"]
    assert (found.num_without_label, found.num_twice) == (1, 1)
    assert found.column == "quality_label"
    assert fold_of("host0.example", 5) == fold_of("host0.example", 5)
    assert read_labelled([tmp_path / "in"], "educational").labels.tolist() == [4, 1] * 4


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a", "quality": "good"}, {"text": "b", "quality": "fair"}], "line 2, column"),
        ([{"text": "a", "label": 1}, {"text": "a", "label": 0}], "before 1.0; keep one"),
        ([{"text": "a"}], "has a label in quality_label or quality or label"),
        ([{"text": 5, "label": 1}], "line 1: a document needs `text`"),
    ],
)
def test_labels_that_are_none_are_refused(
    tmp_path: Path, rows: list[dict[str, object]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        read_labelled([write(tmp_path / "x.jsonl", rows)], "quality")


def test_unreadable_and_one_sided_sets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"text": "a", "label": 1}\n{"te', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: no JSON"):
        read_labelled([tmp_path / "broken.jsonl"], "quality")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="cannot be read"):
        read_labelled([tmp_path / "broken.parquet"], "quality")
    with pytest.raises(ValueError, match="nor a folder of such"):
        read_labelled([tmp_path / "nothing"], "quality")
    good = write(tmp_path / "good.jsonl", [row | {"label": 1} for row in documents(8)])
    with pytest.raises(ValueError, match="all 8 documents have the label 1"):
        train_quality([good], tmp_path / "m", licence="x", column="label")
    one_host = write(tmp_path / "host.jsonl", [row | {"url": "http://a/"} for row in documents(8)])
    with pytest.raises(ValueError, match="8 documents of 1 hosts are too few"):
        train_quality([one_host], tmp_path / "m", licence="x")
    with pytest.raises(ValueError, match="a category is a name"):
        read_categories([good], "label")


def test_figures_agree_with_plain_counting() -> None:
    chance = np.random.default_rng(3)
    scores, labels = chance.uniform(0, 5, 200).round(1), chance.integers(0, 6, 200).astype(float)
    found = measure_educational(scores, labels)
    said, true = [round(one) >= 3 for one in scores], [one >= 3 for one in labels]
    hits = sum(a and b for a, b in zip(said, true, strict=True))
    assert found.f1 == pytest.approx(2 * hits / (sum(said) + sum(true)))
    assert found.precision == pytest.approx(hits / sum(said))
    assert found.recall == pytest.approx(hits / sum(true))
    assert found.f1_interval[0] < found.f1 < found.f1_interval[1]
    good = (labels >= 3).astype(float)
    pairs = [
        (a > b) + (a == b) / 2
        for a in scores[good == 1]
        for b in scores[good == 0]
    ]  # fmt: skip
    assert measure_quality(scores / 5, good).auc == pytest.approx(float(np.mean(pairs)))
    assert rank_correlation(labels, labels**3) == pytest.approx(1)
    assert np.isnan(rank_correlation(labels, np.ones(200)))
    assert np.isnan(f1(np.zeros(3, bool), np.zeros(3, bool)))
    names = measure_categories(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]))
    assert names.macro_f1 == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert (names.accuracy, names.largest) == (0.5, 0.5)


def test_a_line_undoes_shrinking() -> None:
    labels = np.arange(6.0)
    assert straightened(2 + labels / 2, labels) == pytest.approx((-4, 2))
    assert straightened(np.full(6, 3.0), labels) == (2.5, 0.0)


def test_scores_do_not_depend_on_the_other_texts_of_a_batch() -> None:
    rows = documents()
    model = fit_text_model([str(row["text"]) for row in rows], np.array([1.0, 0.0] * 30), "quality")
    texts = ["", "\x00", "💥", "1 2 3", "a" * 50_000, *GOOD, *BAD]
    together = model.scores(texts_of(*texts))
    alone = np.concatenate([model.scores(texts_of(text)) for text in texts])
    assert np.array_equal(together, alone, equal_nan=True)


def test_lone_surrogates_of_json_become_replacement_characters(tmp_path: Path) -> None:
    data = tmp_path / "pages.jsonl"
    lines = ('{"text": "水 \\ud800 \\ud83d\\ude00", "quality": 1}', '{"text": "b", "quality": 0}')
    data.write_text("\n".join(lines), encoding="utf-8")
    assert read_labelled([data], "quality").texts == ["水 \ufffd \U0001f600", "b"]
    data.write_text('{"text": "水 \\udc00", "topic": "Travel"}\n', encoding="utf-8")
    assert [one.text for one in read_examples(data)] == ["水 \ufffd"]
