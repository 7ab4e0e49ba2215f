"""Pieces of a text that fit into one request, cut where a reader would pause.

A small model keeps to a passage of a few hundred tokens and loses the thread of a long document, so
rewriting works on chunks (Nemotron-CC, arXiv:2412.02595, appendix; MegaMath, arXiv:2504.02807).
Two ways, both packed greedily up to a budget and ended at a blank line where one stands in the
second half of the chunk:

- `chunked`, for rewriting: lines are joined with their neighbours; a line above the budget is cut
  into sentences or left out; what stays below a minimum is left out. What is left out is counted.
- `partition`, for refining: the pieces one behind the other are the text, byte for byte.

Tokens are estimated as UTF-8 bytes over 4, without a tokenizer: recipes do not know the one of
their model, and its own limit (`max_tokens`) has the last word. English has 4 to 4.5 bytes a token
in the usual vocabularies of 100,000 to 150,000 tokens. Scripts of two or three bytes a letter reach
4 to 6 where a vocabulary holds their words, and less where it falls back to bytes: there chunks
are longer in tokens than asked for, and answers that do not fit are rejected as `truncated`.

Sentences end at the characters that Unicode calls Sentence_Terminal (`annotators.text.characters`):
the ASCII ones only before white space, so `3.14` and `example.com` stay whole; all others at once,
for Chinese and Japanese have no space behind them. Thai and Lao have no such mark: their phrases
are parted by spaces, where a sentence above the budget is cut; a run without spaces is cut between
characters, never before a combining mark.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from annotators.text.characters import TERMINAL, character_classes

BYTES_PER_TOKEN: Final = 4

_CLOSING: Final = r"""["'\u2019\u201d\u00bb)\]\uff09\u300d\u300f\u3011\u3009\u300b]*"""
"""Quotes and brackets that close behind the end of a sentence."""
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n\s*\Z")


class Chunking(BaseModel):
    """How a document is cut for rewriting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(ge=16)
    """Most of one chunk."""
    min_tokens: int = Field(default=30, ge=1)
    """A chunk below this is left out."""
    long_lines: Literal["cut", "drop"] = "cut"
    """What happens to a line above `tokens`: cut at sentence ends, or left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """What is asked about, in the order of the text, and how much is not."""

    texts: tuple[str, ...]
    """Without white space at their ends."""
    dropped_segments: int
    """Lines and leftovers that stand in no chunk."""
    dropped_tokens: int


def num_tokens(text: str) -> int:
    """An estimate: UTF-8 bytes over 4, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def chunked(text: str, plan: Chunking) -> Chunks:
    """Cuts a document for rewriting."""
    texts: list[str] = []
    dropped: list[str] = []
    for run in _runs(text, plan, dropped):
        for piece in _packed(run, plan.tokens * BYTES_PER_TOKEN):
            chunk = piece.strip()
            if num_tokens(chunk) >= plan.min_tokens:
                texts.append(chunk)
            elif chunk:
                dropped.append(chunk)
    return Chunks(
        texts=tuple(texts),
        dropped_segments=len(dropped),
        dropped_tokens=sum(map(num_tokens, dropped)),
    )


def partition(text: str, tokens: int) -> tuple[str, ...]:
    """Cuts a document into pieces of at most `tokens` each that make the text when joined.

    Args:
        text: Any text; an empty one has no pieces.
        tokens: At least 16, so that every character fits.
    """
    budget = tokens * BYTES_PER_TOKEN
    lines = (piece for line in text.splitlines(keepends=True) for piece in _fitting(line, budget))
    return tuple(_packed(tuple(lines), budget))


def sentences(text: str) -> tuple[str, ...]:
    """Cuts a text behind the ends of its sentences, in all scripts; joined they are the text."""
    ends = [match.end() for match in _sentence_end().finditer(text)]
    starts = [0, *ends]
    pieces = (text[i:j] for i, j in zip(starts, [*ends, len(text)], strict=True))
    return tuple(piece for piece in pieces if piece)


def ends_sentence(line: str) -> bool:
    """Whether a line ends as a sentence does, white space behind it left aside."""
    line = line.rstrip()
    return any(match.end() == len(line) for match in _sentence_end().finditer(line))


def _runs(text: str, plan: Chunking, dropped: list[str]) -> Iterator[tuple[str, ...]]:
    """Lines that stand together; one that is left out parts those on its two sides."""
    budget = plan.tokens * BYTES_PER_TOKEN
    run: list[str] = []
    for line in text.splitlines(keepends=True):
        if plan.long_lines == "drop" and _size(line.strip()) > budget:
            dropped.append(line)
            yield tuple(run)
            run = []
        else:
            run += _fitting(line, budget)
    yield tuple(run)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _fitting(line: str, budget: int) -> Iterable[str]:
    """A line, or what it is cut into: sentences, else phrases at spaces, else characters."""
    if _size(line) <= budget:
        return [line]
    pieces: list[str] = []
    for sentence in sentences(line):
        if _size(sentence) <= budget:
            pieces.append(sentence)
            continue
        for phrase in re.findall(r"\S+\s*|\s+", sentence):
            pieces += [phrase] if _size(phrase) <= budget else _by_characters(phrase, budget)
    return pieces


def _by_characters(phrase: str, budget: int) -> Iterator[str]:
    start, size = 0, 0
    for at, character in enumerate(phrase):
        width = _size(character)
        # A run of marks that fills a chunk alone is cut all the same.
        is_mark = unicodedata.category(character)[0] == "M" and size + width <= 2 * budget
        if size + width > budget and not is_mark:
            yield phrase[start:at]
            start, size = at, 0
        size += width
    yield phrase[start:]


def _packed(pieces: Sequence[str], budget: int) -> Iterator[str]:
    """Joins neighbours up to a budget in bytes."""
    group: list[str] = []
    size = 0
    for piece in pieces:
        width = _size(piece)
        # White space at the end of a chunk is not asked about.
        if group and size + _size(piece.rstrip()) > budget:
            at = _last_paragraph_end(group, budget)
            yield "".join(group[:at])
            group = group[at:]
            size = sum(map(_size, group))
            if group and size + width > budget:
                yield "".join(group)
                group, size = [], 0
        group.append(piece)
        size += width
    if group:
        yield "".join(group)


def _last_paragraph_end(group: Sequence[str], budget: int) -> int:
    """How many of the pieces stand before the last blank line in the second half of the budget."""
    size = sum(map(_size, group))
    for at in range(len(group), 0, -1):
        if size < budget // 2:
            break
        if _BLANK_LINE.search("".join(group[max(0, at - 2) : at])):
            return at
        size -= _size(group[at - 1])
    return len(group)


@functools.cache
def _sentence_end() -> re.Pattern[str]:
    points = np.flatnonzero(character_classes() & TERMINAL).tolist()
    others = "".join(re.escape(chr(point)) for point in points if point >= 0x80)
    return re.compile(rf"(?:[.!?]+(?={_CLOSING}(?:\s|\Z))|[{others}][.!?{others}]*){_CLOSING}\s*")
