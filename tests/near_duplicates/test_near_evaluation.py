import gzip
import json
import os
from pathlib import Path

import pytest

from pipelines.near_duplicates.evaluation import evaluate_near_duplicates, stated_shingles

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.skipif(
    not (DATA / "neardup").is_dir(),
    reason=f"no real data at {DATA}/neardup; set TOKENMILL_DATA to the folder that holds neardup/",
)
def test_revisions_that_are_near_duplicates_are_found_and_no_others() -> None:
    found = evaluate_near_duplicates(DATA)
    assert found.true_found / found.true_pairs >= 0.98
    (first,) = (item for item in found.bins if item.low == 0.8)
    assert first.found / first.pairs >= 0.98
    assert found.found_true / found.found >= 0.98
    assert found.candidates / found.documents < 3
    assert found.agreeing / found.pairs > 0.9


def test_evaluation_counts_what_a_small_set_holds(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(64)]
    texts = {
        "a": " ".join(words),
        "b": " ".join([*words[:30], "x", *words[31:]]),  # 55 of 60 shingles left: 55 / 65
        "c": " ".join([*words[:10], "x", *words[11:30], "y", *words[31:]]),  # 50 of 60: 50 / 70
        "d": " ".join(reversed(words)),
    }
    pairs = [
        {"a": "b", "b": "a", "jaccard": 0.8462, "shingle": "word5"},
        {"a": "a", "b": "c", "jaccard": 0.7143, "shingle": "word5"},
        {"a": "c", "b": "d", "jaccard": 0.95, "shingle": "word5"},  # not so
    ]
    folder = tmp_path / "neardup"
    folder.mkdir()
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    for name, lines in (("docs", rows), ("pairs", pairs)):
        with gzip.open(folder / f"revision_{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    found = evaluate_near_duplicates(tmp_path)
    assert (found.documents, found.pairs, found.agreeing) == (4, 3, 2)
    assert (found.true_pairs, found.true_found, found.found, found.found_true) == (2, 1, 1, 1)
    bins = [(item.low, item.pairs, item.shared_band, item.found) for item in found.bins]
    assert bins == [(0.7, 1, bins[0][2], 0), (0.8, 1, 1, 1), (0.95, 1, 0, 0)]
    assert "recall at 0.8: 0.5000 (1 of 2 pairs)" in found.to_text()
    assert "| 0.80 | 1 | 1.000 |" in found.to_text()


def test_evaluation_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the folder that holds neardup/"):
        evaluate_near_duplicates(tmp_path)


def test_stated_shingles_of_an_unknown_kind_are_refused() -> None:
    assert stated_shingles("A b, c", "word5") == {("a", "b", "c")}
    assert stated_shingles(" 中  文", "char8") == {"中 文"}
    with pytest.raises(ValueError, match="allowed are word5 and char8"):
        stated_shingles("a", "word3")
