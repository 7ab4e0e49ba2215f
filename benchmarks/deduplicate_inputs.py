"""Inputs of `deduplicate.py`: documents of recombined paragraphs, with copies whose truth is known.

Every document is a function of (seed, cluster, member), so nothing is held but two numbers for each
of them, files are written side by side, and a run of any size has the same distribution:

- Paragraphs are those of `text/*` of TOKENMILL_DATA, cut at word ends into pieces of 40 to 400
  characters, each text once. Pieces in scripts without spaces are left out, for the peers know
  English word 5-grams only.
- A text is a row of pieces drawn at random until it has reached its length, which is log-normal
  with sigma 0.7 and a mean of 1,725 characters (median 1,350), at least 500 and at most 20,000. The
  last piece goes beyond it, so texts have 1,890 characters on average, which are 2,000 bytes. Two
  texts of about eight out of 184,000 pieces share hardly ever more than one.
- 65 % of the documents are alone. The others are in clusters of k = 2 ... 10,000 with a
  probability in proportion to k ** -2.5, a mean of 4.6 documents, so the largest of two million
  documents has a few thousand.
- The first of a cluster is the text itself. Of the others 25 % equal it, 50 % are edited to a
  Jaccard with it of 0.88 to 1, 10 % of 0.80 to 0.88, and 15 % (near misses) of 0.50 to 0.80,
  uniformly. An edit is, a third each: words replaced here and there, a passage cut, a passage put
  in.
- Documents stand in random order over all files.

Beside the folder stands `<folder>.clusters.npy`, int32[num_documents]: the cluster of each
document, by its number, which is its `id`. The wanted Jaccard is not met to the digit, and two
edited copies are less similar to each other than to their first, so what is a true pair is measured
on the texts (`deduplicate_truth.py`).
"""

import gzip
import json
import math
import random
import re
import textwrap
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

_MEAN: Final = 1725
_SIGMA: Final = 0.7
_LENGTHS: Final = (500, 20_000)
_PIECE: Final = (40, 400)
_ALONE: Final = 0.65
_EXPONENT: Final = 2.5
_MAX_CLUSTER: Final = 10_000
_COPIES: Final = ((0.25, 1.0, 1.0), (0.50, 0.88, 1.0), (0.10, 0.80, 0.88), (0.15, 0.50, 0.80))
"""Share of the copies, and the lowest and highest Jaccard that is wanted of them."""
_SHINGLE: Final = 5
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
_PARAGRAPHS: Final = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which document is which member of which cluster."""

    seed: int
    cluster: npt.NDArray[np.int32]
    """Of each document, `int32[num_documents]`."""
    member: npt.NDArray[np.int32]
    """0 for the first of a cluster, likewise."""


def layout_of(num_documents: int, seed: int = 1) -> Layout:
    """Draws the sizes of clusters and the order of documents."""
    chance = np.random.default_rng([seed, num_documents])
    kinds = np.arange(2, _MAX_CLUSTER + 1)
    weights = kinds**-_EXPONENT
    in_clusters = num_documents - math.ceil(_ALONE * num_documents)
    drawn = chance.choice(kinds, in_clusters // 2 + 1, p=weights / weights.sum())
    ends = np.cumsum(drawn)
    sizes = drawn[: np.searchsorted(ends, in_clusters, side="right")]
    sizes = np.concatenate([sizes, np.ones(num_documents - int(sizes.sum()), np.int64)])
    cluster = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    order = chance.permutation(num_documents)
    member = (np.arange(num_documents) - first).astype(np.int32)
    return Layout(seed, cluster[order], member[order])


def write_documents(
    data: Path, num_documents: int, folder: Path, num_files: int, processes: int, seed: int = 1
) -> int:
    """Writes `part-<n>.jsonl` files and their clusters; gives the bytes of all texts.

    Raises:
        ValueError: The folder of the data does not hold the texts.
    """
    pieces_of(data)  # so that its error is raised here
    layout = layout_of(num_documents, seed)
    folder.mkdir(parents=True)
    bounds = [number * num_documents // num_files for number in range(num_files + 1)]
    rows = [(layout.cluster[a:b], layout.member[a:b]) for a, b in pairwise(bounds)]
    write = partial(_write_file, data, seed, folder)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        num_bytes = sum(pool.map(write, range(num_files), bounds, rows))
    np.save(clusters_of(folder), layout.cluster)
    return num_bytes


def clusters_of(folder: Path) -> Path:
    """Where the clusters of a folder of documents stand."""
    return folder.with_name(f"{folder.name}.clusters.npy")


def _write_file(
    data: Path,
    seed: int,
    folder: Path,
    number: int,
    first: int,
    rows: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
) -> int:
    num_bytes = 0
    with (folder / f"part-{number:03d}.jsonl").open("w", encoding="utf-8") as file:
        for i, (cluster, member) in enumerate(zip(*(r.tolist() for r in rows), strict=True)):
            text = text_of(data, seed, cluster, member)
            num_bytes += len(text.encode())
            line = json.dumps({"id": str(first + i), "text": text}, ensure_ascii=False)
            file.write(line + "\n")
    return num_bytes


def text_of(data: Path, seed: int, cluster: int, member: int) -> str:
    """The text of one member of a cluster."""
    pieces, key = pieces_of(data), seed << 56 | cluster << 24
    text = _original(pieces, random.Random(key))
    if not member:
        return text
    chance = random.Random(key | member)
    left = chance.random()
    for share, low, high in _COPIES:
        left -= share
        if left < 0:
            return _edited(text, chance.uniform(low, high), pieces, chance)
    return text


def _original(pieces: list[str], chance: random.Random) -> str:
    mean = math.log(_MEAN) - _SIGMA**2 / 2
    left = min(max(chance.lognormvariate(mean, _SIGMA), _LENGTHS[0]), _LENGTHS[1])
    chosen: list[str] = []
    while left > 0:
        chosen.append(pieces[int(chance.random() * len(pieces))])
        left -= len(chosen[-1]) + 2
    return "\n\n".join(chosen)


def _edited(text: str, jaccard: float, pieces: list[str], chance: random.Random) -> str:
    """An edited copy: a replaced word changes five shingles, a cut or new one takes or adds one."""
    if jaccard == 1:
        return text
    words, kind = text.split(" "), int(chance.random() * 3)
    n = len(words)
    if kind == 0:
        for _ in range(max(1, round(n * (1 - jaccard) / (_SHINGLE * (1 + jaccard))))):
            piece = pieces[int(chance.random() * len(pieces))]
            words[int(chance.random() * n)] = piece[: piece.find(" ")]
    elif kind == 1:
        count = max(1, round(n * (1 - jaccard)))
        start = int(chance.random() * (n - count))
        del words[start : start + count]
    else:
        count, start = max(1, round(n * (1 / jaccard - 1))), int(chance.random() * n)
        added: list[str] = []
        while len(added) < count:
            added += pieces[int(chance.random() * len(pieces))].split(" ")
        words[start:start] = added[:count]
    return " ".join(words)


@cache
def pieces_of(data: Path) -> list[str]:
    """The pieces of which documents are made, in order of the files, each once.

    Raises:
        ValueError: The folder does not hold the texts.
    """
    paths = sorted((data / "text").glob("*.jsonl.gz"))
    if not paths:
        raise ValueError(f"{data} holds no text/*.jsonl.gz; name the folder with --data")
    found: dict[str, None] = {}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                for paragraph in _PARAGRAPHS.split(json.loads(line)["text"]):
                    found.update(dict.fromkeys(_cut(paragraph)))
    return list(found)


def _cut(paragraph: str) -> Iterator[str]:
    """Its pieces that are long enough, in scripts with spaces."""
    shortest, longest = _PIECE
    for piece in textwrap.wrap(paragraph, longest) if len(paragraph) > longest else [paragraph]:
        piece = " ".join(piece.split())
        if len(piece) >= shortest and " " in piece and not _UNSPACED.search(piece):
            yield piece
