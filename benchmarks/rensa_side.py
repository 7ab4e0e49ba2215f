"""The rensa side of `deduplicate.py`: signatures by rensa, bands, union-find; in rensa's own venv.

    python rensa_side.py '{"input": ..., "output": ..., "processes": 2, "shingles": "strings"}'

rensa gives signatures and an index, not a pipeline; this is the script that its users write around
it. Each of the processes reads its share of the files and signs their texts in batches with
`RMinHash`, 128 permutations, over the set of word 5-grams of the lower-cased text, split at white
space, as in rensa's README. rensa's own threads are off: the processes have the cores. The parent
cuts the signatures into 16 bands of 8 (two texts of Jaccard 0.8 share one with a probability of
0.95) and joins texts with a common band by union-find; of a whole matrix rensa's own index tells
only whether there is another such text, and not which. Nothing is verified, and no text is written:
out come the ids of what is kept, the first of every component.

`shingles` says how 5-grams are given to rensa: `strings` joins the words, as its README does;
`hashes` computes 64-bit hashes of them with numpy from Python's hashes of the words and calls
`digest_matrix_from_flat_token_hashes`, the fastest that rensa has (PYTHONHASHSEED must then be the
same in all processes).
"""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

PACKAGES = ("rensa", "numpy")
PERMUTATIONS = 128
BANDS = 16
SEED = 42
_BATCH = 2000
_WORDS = 5
_BASE = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(31)

Signatures = npt.NDArray[np.uint32]


def of_strings(words: list[list[str]]) -> Any:  # noqa: ANN401 - a matrix of rensa
    """Signs some texts by 5-grams as strings."""
    from rensa import RMinHash  # type: ignore[import-not-found,unused-ignore]

    shingles = [
        list(map(" ".join, zip(w, w[1:], w[2:], w[3:], w[4:], strict=False))) or [" ".join(w)]
        for w in words
    ]
    return RMinHash.digest_matrix_from_token_sets(shingles, PERMUTATIONS, SEED)


def of_hashes(words: list[list[str]]) -> Any:  # noqa: ANN401 - likewise
    """Signs some texts by 5-grams as 64-bit hashes."""
    from rensa import RMinHash

    sizes = np.array([max(_WORDS, len(w)) for w in words])
    ends = np.cumsum(sizes)
    of_words = np.zeros(int(ends[-1]), np.uint64)
    for w, end, size in zip(words, ends.tolist(), sizes.tolist(), strict=True):
        start = end - size
        hashes = np.fromiter(map(hash, w), np.int64, len(w))
        of_words[start : start + len(w)] = hashes.view(np.uint64)
    shingles = of_words.copy()
    for offset in range(1, _WORDS):
        shingles[:-offset] = shingles[:-offset] * _BASE + of_words[offset:]
    shingles ^= shingles >> _SHIFT
    shingles *= _BASE
    is_start = np.ones(len(shingles), bool)
    for offset in range(1, _WORDS):
        is_start[ends - offset] = False  # these would reach into the next text
    offsets = np.concatenate([[0], np.cumsum(sizes - _WORDS + 1)]).astype(np.uint64)
    return RMinHash.digest_matrix_from_flat_token_hashes(
        shingles[is_start], offsets, PERMUTATIONS, SEED
    )


def sign_file(path: str, shingles: str) -> tuple[list[str], Signatures]:
    """Ids and signatures of one file."""
    sign: Callable[[list[list[str]]], Any] = of_hashes if shingles == "hashes" else of_strings
    ids: list[str] = []
    signatures: list[Signatures] = [np.empty((0, PERMUTATIONS), np.uint32)]
    with open(path, encoding="utf-8") as lines:
        while rows := [json.loads(line) for line in islice(lines, _BATCH)]:
            ids += [row["id"] for row in rows]
            matrix = sign([row["text"].lower().split() for row in rows])
            signatures.append(np.array(matrix.to_rows(), np.uint32))
    return ids, np.concatenate(signatures)


def pairs_of(signatures: Signatures) -> Iterator[tuple[npt.NDArray[np.int64], ...]]:
    """Texts with a common band, each with the one before it in its bucket."""
    rows = np.ascontiguousarray(signatures)
    width = PERMUTATIONS // BANDS
    for band in range(BANDS):
        part = np.ascontiguousarray(rows[:, band * width : (band + 1) * width])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * width))).ravel()
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        yield order[:-1][same], order[1:][same]


def kept_of(signatures: Signatures) -> npt.NDArray[np.bool_]:
    """Whether each text is the first of its component."""
    parent = list(range(len(signatures)))

    def root(text: int) -> int:
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for left, right in pairs_of(signatures):
        for pair in zip(left.tolist(), right.tolist(), strict=True):
            first, second = sorted((root(pair[0]), root(pair[1])))
            parent[second] = first
    is_first: npt.NDArray[np.bool_] = np.array(parent) == np.arange(len(parent))
    return is_first


def run(task: dict[str, Any]) -> None:
    """Signs, joins and writes `kept-00000.txt` and `result.json`.

    Args:
        task: `input` and `output` folders, `processes`, `shingles` (strings or hashes).
    """
    begin = monotonic()
    folder = Path(task["output"])
    folder.mkdir(parents=True)
    paths = sorted(str(path) for path in Path(task["input"]).glob("*.jsonl"))
    with ProcessPoolExecutor(task["processes"], mp_context=get_context("spawn")) as pool:
        signed = list(pool.map(sign_file, paths, [task["shingles"]] * len(paths)))
    ids = [id_ for some, _ in signed for id_ in some]
    middle = monotonic()
    kept = kept_of(np.concatenate([signatures for _, signatures in signed]))
    listed = (f"{id_}\n" for id_, keep in zip(ids, kept.tolist(), strict=True) if keep)
    (folder / "kept-00000.txt").write_text("".join(listed), encoding="utf-8")
    seconds = {"signatures": middle - begin, "union-find": monotonic() - middle}
    result = {"versions": {name: version(name) for name in PACKAGES}, "seconds": seconds}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
