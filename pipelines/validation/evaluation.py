"""Held-out texts on real revisions of real documents: which near copies leave training.

Of each cluster of revisions in `neardup/revision_docs.jsonl.gz` one document is held out (that with
the smallest hash of its id), all others are training documents. Every pair of the two kinds in
`revision_pairs.jsonl.gz` with its stated Jaccard asks whether the training document is found by
what it quotes. The clusters of deduplication, which find copies from Jaccard 0.8 on, are left out:
this is what quotation alone does.
"""

import gzip
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipelines.validation.items import index_passages
from pipelines.validation.plan import THRESHOLD
from pipelines.validation.windows import Windows

_FOLDER: Final = "neardup"
_BINS: Final = 10  # of Jaccard, 0.1 each
_ROWS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutEvaluation:
    """What was measured."""

    held_out: int
    passages: int
    pairs: tuple[int, ...]
    """By Jaccard, from [0, 0.1) to [0.9, 1]."""
    caught: tuple[int, ...]
    """Of those, the training document leaves training."""

    def to_text(self) -> str:
        """A table, the most alike first."""
        lines = [
            f"{self.held_out:,} documents held out, {self.passages:,} passages",
            f"{'Jaccard':<14}{'pairs':>7}{'caught':>8}{'share':>9}",
        ]
        for k in reversed(range(_BINS)):
            if self.pairs[k]:
                name = f"{k / _BINS:.1f} to {(k + 1) / _BINS:.1f}"
                share = self.caught[k] / self.pairs[k]
                lines.append(f"{name:<14}{self.pairs[k]:>7,}{self.caught[k]:>8,}{share:>9.1%}")
        return "\n".join(lines)


def evaluate_held_out(data: Path) -> HeldOutEvaluation:
    """Measures it.

    Args:
        data: Folder that holds neardup/.

    Raises:
        FileNotFoundError: It does not.
    """
    documents = {one["id"]: one for one in _read(data, "revision_docs.jsonl.gz")}
    held = _chosen(documents)
    passages = _passages([documents[name]["text"] for name in held])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passages.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in passages), encoding="utf-8")
        searcher = index_passages(path)
    others = [name for name in documents if name not in held]
    texts = pa.array([documents[name]["text"] for name in others], pa.large_string())
    scores = searcher(texts, {}).column("contamination_score").to_pylist()
    score = dict(zip(others, scores, strict=True))
    pairs, caught = np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64)
    for pair in _read(data, "revision_pairs.jsonl.gz"):
        trained = {pair["a"], pair["b"]} - held
        if len(trained) == 1:
            k = min(int(pair["jaccard"] * _BINS + 1e-9), _BINS - 1)
            pairs[k] += 1
            caught[k] += score[trained.pop()] > THRESHOLD
    return HeldOutEvaluation(
        held_out=len(held),
        passages=len(passages),
        pairs=tuple(pairs.tolist()),
        caught=tuple(caught.tolist()),
    )


def _chosen(documents: dict[str, Any]) -> set[str]:
    """One document of each cluster."""
    smallest: dict[str, tuple[bytes, str]] = {}
    for name, document in documents.items():
        key = (hashlib.blake2b(name.encode()).digest(), name)
        cluster = document["cluster"]
        smallest[cluster] = min(smallest.get(cluster, key), key)
    return {name for _, name in smallest.values()}


def _passages(texts: list[str]) -> list[dict[str, str]]:
    windows = Windows()
    for start in range(0, len(texts), _ROWS):
        windows.add(pa.array(texts[start : start + _ROWS], pa.large_string()), start)
    return [{"id": str(number), "text": text} for number, text in enumerate(windows.texts)]


def _read(data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(data / _FOLDER / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
