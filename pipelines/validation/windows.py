"""Held-out texts cut into passages, each of which is looked for like an item of a benchmark.

Contamination scores a document by how much of an *item* it quotes, in time (words of the item)^2,
and reads no more than 4,096 words of one. A novel as one item would be slow, would be cut, and a
chapter of it among the training documents would score 1/40. So a text is cut into passages of equal
weight, as few as stay within `WINDOW_WORDS` words, and a document is a near copy where it quotes
most of *one* passage. A text of 500 words or less is one passage, and the rule is that of a
benchmark's item; of a longer one, a page is enough.

Words and their weight are those of `annotators.contamination.words`: 13 words of prose weigh as
much as 24 Han letters.

Left out, and counted, is a passage

- of less than 8 words, which would be quoted by chance;
- in which a run of words comes more than `MAX_REPEATS` times (a table of zeros, a refrain): the
  pairs of equal runs in a long document could be millions;
- whose words are those of an earlier one, so that copies of a text do not make all its n-grams
  common to many items, which the index takes for a template and leaves out.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.contamination.index import MIN_ITEM_WEIGHT
from annotators.contamination.words import (
    WORD,
    FoldedWords,
    empty_folded_words,
    fold_words,
    folds,
)
from annotators.text.utf8 import utf8_texts
from annotators.text.words import HASH_BASE

WINDOW_WORDS: Final = 512
MAX_REPEATS: Final = 10
_RUN_WORDS: Final = 13
_RUN_POWER: Final = np.uint64(pow(int(HASH_BASE), _RUN_WORDS, 1 << 64))


@dataclass(slots=True)
class Windows:
    """Passages of texts, each once."""

    texts: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """Position of the text that each passage is of."""
    words: int = 0
    """Of the passages kept."""
    left_out: dict[str, int] = field(
        default_factory=lambda: {"too_short": 0, "repetitive": 0, "repeated": 0}
    )
    """Reason -> passages that are not kept."""
    _seen: set[bytes] = field(default_factory=set)

    def add(self, texts: pa.LargeStringArray, first_owner: int) -> None:
        """Cuts some texts.

        Args:
            texts: large_string, no nulls.
            first_owner: Position of the first of them.
        """
        buffers = utf8_texts(texts)
        scratch = empty_folded_words(buffers.max_bytes())
        for row in range(len(texts)):
            start, end = int(buffers.offsets[row]), int(buffers.offsets[row + 1])
            num_words = fold_words(buffers.data, start, end, folds(), scratch)
            data = buffers.data[start:end].tobytes()
            for first, last in window_bounds(scratch.weights[: num_words + 1]):
                if self._is_new(scratch, first, last):
                    passage = data[int(scratch.starts[first]) : int(scratch.ends[last - 1])]
                    self.texts.append(passage.decode())
                    self.owners.append(first_owner + row)
                    self.words += last - first

    def _is_new(self, words: FoldedWords, first: int, last: int) -> bool:
        key = hashlib.blake2b(words.hashes[first:last].tobytes(), digest_size=16).digest()
        if words.weights[last] - words.weights[first] < MIN_ITEM_WEIGHT:
            self.left_out["too_short"] += 1
        elif most_repeats(words.prefixes[first : last + 1]) > MAX_REPEATS:
            self.left_out["repetitive"] += 1
        elif key in self._seen:
            self.left_out["repeated"] += 1
        else:
            self._seen.add(key)
            return True
        return False


def window_bounds(weights: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cuts the words of one text into the fewest runs of equal weight, up to `WINDOW_WORDS` words.

    Args:
        weights: Weight of the words before each, `int64[num_words + 1]`.

    Returns:
        (first word, the word after the last) of each run; together they are all words. A run may
        be one word heavier than its share.
    """
    total = int(weights[-1])
    if total == 0:
        return []
    count = -(-total // (WINDOW_WORDS * WORD))
    shares = np.arange(count + 1, dtype=np.int64) * total // count
    cuts = np.searchsorted(weights, shares).tolist()
    return [(a, b) for a, b in pairwise(cuts) if a < b]


def most_repeats(prefixes: npt.NDArray[np.uint64]) -> int:
    """How often the most frequent run of 13 words comes.

    Args:
        prefixes: Prefix hashes of consecutive words, `uint64[num_words + 1]`.
    """
    if len(prefixes) <= _RUN_WORDS:
        return 0
    runs = prefixes[_RUN_WORDS:] - prefixes[:-_RUN_WORDS] * _RUN_POWER
    return int(np.unique(runs, return_counts=True)[1].max())
