"""The table of `tokenmill evaluate held-out`, on three clusters whose copies are known."""

import gzip
import json
from pathlib import Path
from typing import Any

from pipelines.validation.evaluation import evaluate_held_out

WORDS = "one grey heron stood beside the quiet river until the evening bell rang twice over town"
TEXTS = {
    "a1": f"{WORDS}. Nothing else happened on that long day in the north.",
    "a2": f"{WORDS}. Nothing else happened on that long day in the north, they said.",
    "b1": "Wer im Frühjahr durch die alten Gassen ging, hörte aus jedem Haus ein anderes Lied.",
    "b2": "Kein Wort davon steht in diesem Satz, der von Brot, Salz, Öl und Mehl erzählt.",
}
PAIRS = [("a1", "a2", 0.93), ("b1", "b2", 0.02), ("a1", "b1", 0.0)]


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_copies_are_caught_and_strangers_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "neardup"
    folder.mkdir()
    documents = [{"id": name, "cluster": name[0], "text": text} for name, text in TEXTS.items()]
    lines(folder / "revision_docs.jsonl.gz", documents)
    pairs = [{"a": a, "b": b, "jaccard": jaccard} for a, b, jaccard in PAIRS]
    lines(folder / "revision_pairs.jsonl.gz", pairs)
    found = evaluate_held_out(tmp_path)
    assert found.held_out == 2  # one of each cluster
    assert (found.pairs[9], found.caught[9]) == (1, 1)
    assert found.caught[0] == 0
    assert found.pairs[0] >= 1
    assert "0.9 to 1.0" in found.to_text()
