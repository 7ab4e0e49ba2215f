"""Stop words as hashes: how many different ones of its language a text holds.

A stop word is split by the same kernel as a text, so "l'" finds "l'eau", and a Thai or Chinese
one, several tokens long, finds its characters in a text without spaces. As in datatrove 0.10 case
counts, and a word met twice counts once. Apostrophes and hyphens at its ends are taken off.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.text.characters import character_classes
from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from annotators.text.repeats import hash_power, slot_of, table_size
from annotators.text.utf8 import decode_text, empty_characters, utf8_texts
from annotators.text.words import Words, empty_words, split_words

_LENGTH_MIX = np.uint64(0x2545F4914F6CDD1D)
MAX_WORDS = 256
# Of an elided word ("l'", Maltese "il-"), which a text has in front of others.
_EDGES = "'\u2019-"


class StopWords(NamedTuple):
    """The stop words of all languages, one small hash table each (open addressing, mostly free)."""

    keys: NDArray[np.uint64]
    """Hash of a word's tokens, mixed with the number of tokens; 0 where free."""
    numbers: NDArray[np.uint8]
    """Number of the word within its language, as long as `keys`."""
    starts: NDArray[np.int64]
    """The table of a language begins at its entry and ends at the next: `int64[languages + 1]`."""
    shifts: NDArray[np.uint64]
    """How far to shift a spread hash right to get a slot, by language."""
    max_tokens: NDArray[np.int64]
    """Tokens of the longest word of each language; 0 where no list is known."""


@inlined_lean_kernel
def _key(value: np.uint64, num_tokens: int) -> np.uint64:
    return (value ^ (np.uint64(num_tokens) * _LENGTH_MIX)) | np.uint64(1)


@inlined_lean_kernel
def _find(table: StopWords, language: int, key: np.uint64) -> int:
    """Gives the slot of a key, or the free slot where it would stand."""
    start = table.starts[language]
    mask = table.starts[language + 1] - start - 1
    slot = int(slot_of(key, table.shifts[language]))
    while table.keys[start + slot] != 0 and table.keys[start + slot] != key:
        slot = slot + 1 & mask
    return int(start + slot)


def build_stop_words(lists: Sequence[Sequence[str]]) -> StopWords:
    """Hashes stop words.

    Args:
        lists: The words of each language, in the order of its numbers; at most 256 each.
    """
    assert max(map(len, lists), default=0) <= MAX_WORDS
    sizes = [table_size(2 * len(words)) for words in lists]
    table = StopWords(
        np.zeros(sum(sizes), dtype=np.uint64),
        np.zeros(sum(sizes), dtype=np.uint8),
        np.cumsum([0, *sizes], dtype=np.int64),
        np.array([65 - size.bit_length() for size in sizes], dtype=np.uint64),
        np.zeros(len(lists), dtype=np.int64),
    )
    for language, words in enumerate(lists):
        for number, (value, num_tokens) in enumerate(_hash_words(words)):
            # A kernel called from Python gives a plain int, which numba would take for signed.
            key = np.uint64(_key(value, num_tokens))
            slot = _find(table, language, key)
            table.keys[slot] = key
            table.numbers[slot] = number
            table.max_tokens[language] = max(table.max_tokens[language], num_tokens)
    return table


def _hash_words(words: Sequence[str]) -> list[tuple[np.uint64, int]]:
    """Gives the hash of each word and its number of tokens."""
    bare = [word.strip(_EDGES) for word in words]
    texts = utf8_texts(pa.array(bare, pa.large_string()))
    characters = empty_characters(texts.max_bytes())
    split = empty_words(texts.max_bytes())
    hashes = []
    for start, end in zip(texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), strict=True):
        num_points = decode_text(texts.data, start, end, character_classes(), characters)
        num_tokens = split_words(characters, num_points, split)
        hashes.append((split.hashes[num_tokens], num_tokens))
    return hashes


@lean_kernel
def count_stop_words(
    words: Words, num_tokens: int, language: int, table: StopWords, seen: NDArray[np.bool_]
) -> int:
    """Counts the different stop words of a language in a text.

    Args:
        words: Filled by `words.split_words`.
        num_tokens: Tokens of the text.
        language: Number of its language.
        table: Made by `build_stop_words`.
        seen: Scratch, `bool[MAX_WORDS]`.

    Returns:
        The count, or -1 where no stop words of the language are known.
    """
    hashes = words.hashes
    if table.max_tokens[language] == 0:
        return -1
    seen[:] = False
    count = 0
    for n in range(1, table.max_tokens[language] + 1):
        power = hash_power(n)
        for i in range(num_tokens - n + 1):
            slot = _find(table, language, _key(hashes[i + n] - hashes[i] * power, n))
            if table.keys[slot] != 0 and not seen[table.numbers[slot]]:
                seen[table.numbers[slot]] = True
                count += 1
    return count
