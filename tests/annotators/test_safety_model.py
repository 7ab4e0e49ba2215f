"""Safety by a model of one's own: null without one, its categories with one."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from annotators.quality.categories import CategoryModel, train_categories
from annotators.safety.annotator import Safety

TEXTS = ["the tulip grows in the garden", "a knife and a stolen gun were sold", "zzz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("safety")
    safe = [f"tulip rose garden water number {n} grows in the sun" for n in range(40)]
    crime = [f"stolen gun knife sold number {n} in the dark" for n in range(40)]
    rows = [
        {"text": text, "safety": label, "doc_id": f"{label}{n}"}
        for label, texts in (("safe", safe), ("crime", crime))
        for n, text in enumerate(texts)
    ]
    data = made / "judged.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    train_categories([data], made / "model", licence="CC0-1.0")
    return made / "model"


def _labels(size: int) -> dict[str, "pa.Array[str]"]:
    return {"url": pa.nulls(size, pa.string()), "language": pa.nulls(size, pa.string())}


def test_categories_are_those_of_the_model(folder: Path) -> None:
    annotator = Safety(model=folder, lexicons={})
    annotator.check()
    texts = pa.array(TEXTS, pa.large_string())
    made = annotator(texts, _labels(3))
    assert made.column("safety").to_pylist() == ["safe", "crime", None]
    names, scores = CategoryModel.load(folder).predict(texts)
    assert made.column("safety").equals(names)
    assert made.column("safety_score").equals(scores)
    assert set(CategoryModel.files(folder)) <= set(annotator.model_files())


def test_without_a_model_nothing_is_said() -> None:
    made = Safety(lexicons={})(pa.array(TEXTS, pa.large_string()), _labels(3))
    assert made.column("safety").null_count == made.column("safety_score").null_count == 3


def test_a_damaged_model_is_found_before_any_work(folder: Path, tmp_path: Path) -> None:
    for file in CategoryModel.files(folder):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "categories.npz"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match="train safety"):
        Safety(model=tmp_path).check()
    with pytest.raises(ValueError, match="does not exist"):
        Safety(model=tmp_path / "absent")
