"""The words of one item in the order of the index, and which of them belong together.

First stand the words of its parts, as they lie in the file. Pages print options with letters before
them ("A. by noon"), which breaks every n-gram that goes from one option into the next. Where the
words inside the options (and inside a short question that is compared with them) have no n-gram of
their own, a second form follows: the options once more, with A, B, C ... before each.
Where one of them has an n-gram, that finds the raw form, and the letters hardly lower its share.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.contamination.items import Item, Part
from annotators.contamination.rules import RULES, WHOLE_WEIGHT, Section, stand_together

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Before more options than these no letters are expected."""


class SplitItems(NamedTuple):
    """All pieces of all items, and after them `LETTERS`, split into words."""

    hashes: NDArray[np.uint64]
    """`uint64[num_words]`."""
    weights: NDArray[np.int64]
    """Weight of the words before each: `int64[num_words + 1]`."""
    bounds: Sequence[int]
    """Words of piece i are `bounds[i]` to `bounds[i + 1]`."""


class Layout(NamedTuple):
    """One item."""

    runs: list[tuple[int, int]]
    """First word, and the word after the last, in `SplitItems`, of what is laid in a row."""
    sections: list[Section]
    """Parts and second forms, in words of the index."""
    num_words: int
    is_cut: bool


class _Writer:
    """Appends words of an item to the index, as long as there is room."""

    def __init__(self, weights: NDArray[np.int64], at: int, room: int) -> None:
        self.runs: list[tuple[int, int]] = []
        self.at = at
        self._weights, self._room = weights, room

    def add(self, part: Part, number: int, field: str, start: int, end: int) -> Section:
        """Appends words `start` to `end`, of which those without room are left out."""
        end = min(end, start + self._room)
        first = self.at
        if start < end:
            self.runs.append((start, end))
        self.at += end - start
        self._room -= end - start
        weight = int(self._weights[end] - self._weights[start])
        return Section(part.role, field, first, self.at, weight, number)


def lay_out(
    item: Item, kind: str, split: SplitItems, piece: int, at: int, max_words: int
) -> Layout:
    """Orders the words of an item.

    Args:
        item: Of a benchmark.
        kind: Of the benchmark.
        split: The words of all items.
        piece: Number of its first piece.
        at: Number of its first word in the index.
        max_words: Later ones are left out.
    """
    writer = _Writer(split.weights, at, max_words)
    sections, spans = list[Section](), dict[str, list[tuple[int, int]]]()
    begin = split.bounds[piece]
    for number, part in enumerate(item.parts):
        bounds = split.bounds[piece : piece + len(part.pieces) + 1]
        piece += len(part.pieces)
        spans[part.role] = list(pairwise(bounds))
        pieces = [
            writer.add(part, number, one.field, *span)
            for one, span in zip(part.pieces, spans[part.role], strict=True)
        ]
        weight = sum(one.weight for one in pieces)
        whole = Section(part.role, part.field, pieces[0].first, writer.at, weight, number)
        if whole.first < whole.last:
            sections.append(whole._replace(pieces=tuple(pieces) if len(pieces) > 1 else ()))
    is_cut = split.bounds[piece] - begin > max_words
    if not is_cut:
        sections += _lettered(item, kind, split, sections, spans, writer)
    return Layout(writer.runs, sections, writer.at - at, is_cut)


def _lettered(
    item: Item,
    kind: str,
    split: SplitItems,
    sections: Sequence[Section],
    spans: dict[str, list[tuple[int, int]]],
    writer: _Writer,
) -> list[Section]:
    """Appends the options with letters, after the question where they are compared together."""
    options = next((one for one in sections if one.role == "options"), None)
    question = next((one for one in sections if one.role == "question"), None)
    if options is None or not 1 < len(spans["options"]) <= len(LETTERS):
        return []
    letters = len(split.bounds) - 1 - len(LETTERS)
    places = [split.bounds[letters + i] for i in range(len(spans["options"]))]
    ngram = RULES[kind].ngram_weight
    has_ngram = any(one.weight >= ngram for one in options.pieces)
    has_letters = all(
        start < end and split.hashes[start] == split.hashes[place]
        for (start, end), place in zip(spans["options"], places, strict=True)
    )
    together = question is not None and stand_together(question, options)
    together = together and question is not None and question.weight < ngram
    # Letters must not give an n-gram to options that have none.
    letters_weight = int(split.weights[places[-1] + 1] - split.weights[places[0]])
    together = together and not ngram - letters_weight <= options.weight < ngram
    if has_ngram or has_letters or not (together or options.weight >= WHOLE_WEIGHT):
        return []
    part, first = item.parts[options.part], writer.at
    if together:
        for start, end in spans["question"]:
            writer.add(part, options.part, part.field, start, end)
    begin = writer.at
    for place, (start, end) in zip(places, spans["options"], strict=True):
        writer.add(part, options.part, part.field, place, place + 1)
        writer.add(part, options.part, part.field, start, end)
    # Letters are no evidence: the weight that decides is that of the options.
    made = [options._replace(first=begin, last=writer.at, pieces=())]
    if together and question is not None:
        field = f"{question.field}+{options.field}"
        weight = question.weight + options.weight
        made.append(Section("options", field, first, writer.at, weight, question.part))
    return made
