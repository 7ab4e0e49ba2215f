"""How much of packed sequences is padding, on real documents and on lengths like those of the web.

Real lengths are those of `text/*.jsonl.gz` under a tokenizer. For web pages, whose lengths in
tokens are close to log-normal, a million lengths are drawn with median 700 and sigma 1.1 of the
logarithm. The long stage is the real documents of over 4,096 to 32,768 tokens, those over 16,384
repeated until they give three quarters of the tokens, as the shipped `long_32k` asks; no sequence
holds a document twice.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from token_shards.packing import best_fit, num_pieces, pieces
from token_shards.tokenizer import load_tokenizer

_LENGTHS: Final = (4_096, 32_768)
_WEB_PAGES: Final = 1_000_000
_MEDIAN, _SIGMA = 700.0, 1.1
_SHORT, _LONG, _LONGEST = 4_096, 16_384, 32_768

Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One set of documents in sequences of one length."""

    documents: str
    count: int
    sequence_length: int
    cut: int
    """Documents longer than a sequence."""
    padding: float
    """Part of all tokens written."""


def evaluate_packing(data: Path, tokenizer: str) -> list[Packing]:
    """Measures it.

    Args:
        data: Folder that holds text/ with JSON Lines.
        tokenizer: What `load_tokenizer` takes.

    Raises:
        ValueError: There is no such tokenizer, or no document.
    """
    real = _real_lengths(data, tokenizer)
    seeded = np.random.default_rng(0)
    web = np.exp(seeded.normal(np.log(_MEDIAN), _SIGMA, _WEB_PAGES)).astype(np.int64) + 1
    found = [
        _packed(name, lengths, np.ones_like(lengths), sequence_length)
        for name, lengths in (("web pages, by a log-normal law", web), ("text/", real))
        for sequence_length in _LENGTHS
    ]
    return [*found, _packed("text/, 75 % over 16,384", *_long_stage(real), _LONGEST)]


def render_packing(rows: list[Packing]) -> str:
    """A table."""
    lines = [f"{'documents':<32}{'number':>10}{'sequence':>10}{'cut':>9}{'padding':>10}"]
    lines += [
        f"{row.documents:<32}{row.count:>10,}{row.sequence_length:>10,}{row.cut:>9,}"
        f"{row.padding:>10.3%}"
        for row in rows
    ]
    return "\n".join(lines)


def _packed(name: str, lengths: Lengths, repeats: Lengths, sequence_length: int) -> Packing:
    """Packs documents by their lengths, int64[n], each as often as `repeats`, int64[n], says."""
    counts = num_pieces(lengths, sequence_length)
    whole = np.flatnonzero(counts == 1)
    long = np.flatnonzero(counts > 1)
    cut = [pieces(int(n), sequence_length) for n in lengths[long]]
    documents = np.concatenate([whole, np.repeat(long, counts[long])])
    times = repeats[documents]
    piece_lengths = np.concatenate([lengths[whole], *cut])
    sequences = best_fit(
        np.repeat(piece_lengths, times), sequence_length, np.repeat(documents, times)
    )
    written = (int(sequences.max()) + 1) * sequence_length
    return Packing(
        documents=name,
        count=int(repeats.sum()),
        sequence_length=sequence_length,
        cut=int(repeats[long].sum()),
        padding=1 - int((lengths * repeats).sum()) / written,
    )


def _long_stage(real: Lengths) -> tuple[Lengths, Lengths]:
    """Lengths of the documents of the long stage, and how often each comes."""
    long = real[(real > _LONG) & (real <= _LONGEST)]
    short = real[(real > _SHORT) & (real <= _LONG)]
    times = max(1, round(3 * int(short.sum()) / int(long.sum())))
    repeats = np.repeat(np.array([times, 1], np.int64), [len(long), len(short)])
    return np.concatenate([long, short]), repeats


def _real_lengths(data: Path, tokenizer: str) -> Lengths:
    """int64[n], EOD included."""
    loaded = load_tokenizer(tokenizer)
    found = []
    for path in sorted((data / "text").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        found.append(loaded.count(pa.array(texts, pa.large_string())) + 1)
    if not found:
        raise ValueError(f"found no text/*.jsonl.gz in {data}; name the folder that holds text/")
    return np.concatenate(found)
