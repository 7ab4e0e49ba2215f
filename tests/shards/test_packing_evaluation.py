"""The padding that `tokenmill evaluate packing` prints, on lengths that can be checked by hand."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.shards import packing_evaluation
from pipelines.shards.packing_evaluation import evaluate_packing, render_packing

ROOT = Path(__file__).parents[2]
TOKENIZER = str(ROOT / "examples" / "tokenizer")


def test_padding_is_what_is_written_beyond_the_documents() -> None:
    lengths = np.array([6, 5, 4, 3, 20], np.int64)  # of 8: 6 | 5+3 | 4 | 7 | 7 | 6
    row = packing_evaluation._packed("by hand", lengths, np.ones_like(lengths), 8)
    assert (row.count, row.cut) == (5, 1)
    assert row.padding == pytest.approx(1 - 38 / 48)
    twice = packing_evaluation._packed("by hand", lengths, np.array([1, 1, 2, 1, 1]), 8)
    assert (twice.count, twice.cut) == (6, 1)  # 4 and 4 do not meet: one more sequence
    assert twice.padding == pytest.approx(1 - 42 / 56)


def test_long_documents_give_three_quarters_of_the_long_stage() -> None:
    real = np.array([2_000, 5_000, 9_000, 13_000, 18_000, 30_000, 90_000], np.int64)
    stage = np.repeat(*packing_evaluation._long_stage(real))
    assert sorted(set(stage.tolist())) == [5_000, 9_000, 13_000, 18_000, 30_000]
    assert stage[stage > 16_384].sum() / stage.sum() == pytest.approx(0.75, abs=0.1)


def test_table_names_every_set(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    texts = ["word " * 6_000, "Wort " * 20_000, "言葉。" * 3_000]
    with gzip.open(tmp_path / "text" / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    rows = evaluate_packing(tmp_path, TOKENIZER)
    assert [row.sequence_length for row in rows] == [4_096, 32_768, 4_096, 32_768, 32_768]
    assert rows[2].count == 3
    assert rows[0].padding < 0.01
    assert "log-normal" in render_packing(rows)


def test_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no text/\*\.jsonl\.gz"):
        evaluate_packing(tmp_path, TOKENIZER)
