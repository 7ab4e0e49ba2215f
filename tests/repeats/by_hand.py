"""Boilerplate and repeats by brute force over strings, to compare the search with.

No hash, no window is skipped, and spans are found by looking at every word or line on its own. Only
the words themselves are those of the kernel, which has tests of its own.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from annotators.contamination.words import empty_folded_words, fold_words, folds
from annotators.text.utf8 import utf8_texts

Span = dict[str, Any]


@dataclass
class Passage:
    """A line or paragraph."""

    start: int
    end: int
    text: str
    lines: list["Passage"] = field(default_factory=list)

    @property
    def form(self) -> str:
        """Normalised."""
        folded = []
        for one in self.text:
            if one.isspace():
                folded.append(" ")
            elif not unicodedata.category(one).startswith("P"):
                fold = one.casefold() if len(one.casefold()) == 1 else one.lower()
                folded.append(fold if len(fold) == 1 else one)
        return " ".join("".join(folded).split())

    @property
    def has_letters(self) -> bool:
        """At least two."""
        return sum(unicodedata.category(one).startswith("L") for one in self.text) >= 2


def paragraphs_of(text: str) -> list[Passage]:
    """Paragraphs with their lines; `end` is behind the blank lines that follow."""
    found: list[Passage] = []
    open_, fence, gap = False, "", False
    position = 0
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line.encode())
        opened = re.match(r" {0,3}(`{3,}(?=[^`\n\r]*[\n\r]?$)|~{3,})", line)
        mark = opened.group(1) if opened else ""
        is_code = bool(fence or mark)
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        if is_code or not line.strip():
            gap = gap and not is_code if not open_ else not is_code
            open_ = False
            if gap:
                found[-1].end = position
            continue
        if not open_:
            found.append(Passage(start, position, ""))
        open_ = True
        found[-1].text += line
        found[-1].end = position
        found[-1].lines.append(Passage(start, position, line))
    return found


def _forms(text: str) -> set[str]:
    paragraphs = paragraphs_of(text)
    lines = [line for one in paragraphs for line in one.lines]
    several = [one for one in paragraphs if len(one.lines) > 1]
    return {one.form for one in [*lines, *several] if one.has_letters}


def boilerplate_by_hand(
    rows: Sequence[tuple[str, str | None, bool]], min_documents: int
) -> list[list[Span]]:
    """The spans of each row.

    Args:
        rows: (text, host, whether it counts).
        min_documents: Of a host.
    """
    counts: dict[tuple[str, str], int] = {}
    for text, host, is_counted in rows:
        if is_counted and host:
            for form in _forms(text):
                counts[host, form] = counts.get((host, form), 0) + 1
    return [_boilerplate_of(text, host, counts, min_documents) for text, host, _ in rows]


def _boilerplate_of(
    text: str, host: str | None, counts: Mapping[tuple[str, str], int], min_documents: int
) -> list[Span]:
    def repeated(passage: Passage) -> int:
        count = counts.get((host or "", passage.form), 0) if passage.has_letters else 0
        return count if host and count >= min_documents else 0

    spans = []
    for paragraph in paragraphs_of(text):
        if len(paragraph.lines) > 1 and repeated(paragraph):
            found = [("paragraph", paragraph, repeated(paragraph))]
        else:
            found = [("line", line, repeated(line)) for line in paragraph.lines if repeated(line)]
            if len(found) == len(paragraph.lines):
                found[-1][1].end = paragraph.end
        for kind, one, documents in found:
            spans.append({"kind": kind, "start": one.start, "end": one.end, "documents": documents})
    return spans


@dataclass
class Split:
    """The words of a text."""

    text: bytes
    hashes: list[int]
    weights: list[int]
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> "Split":
        """Splits by the kernel."""
        data, offsets = utf8_texts(pa.array([text], pa.large_string()))
        scratch = empty_folded_words(len(data) + 1)
        n = fold_words(data, int(offsets[0]), int(offsets[1]), folds(), scratch)
        weights = np.diff(scratch.weights[: n + 1]).tolist()
        bounds = scratch.starts[:n].tolist(), scratch.ends[:n].tolist()
        return cls(text.encode(), scratch.hashes[:n].tolist(), weights, *bounds)

    def windows(self, weight: int) -> list[tuple[int, ...]]:
        """The shortest run of at least so much weight from each word."""
        found = []
        for start in range(len(self.hashes)):
            end, held = start, 0
            while end < len(self.hashes) and held < weight:
                held += self.weights[end]
                end += 1
            if held >= weight:
                found.append(tuple(self.hashes[start:end]))
        return found


def repeats_by_hand(rows: Sequence[tuple[bytes, str, bool]], weight: int) -> list[list[Span]]:
    """The spans of each row.

    Args:
        rows: (id, text, whether it is compared).
        weight: Of a window.
    """
    splits = [Split.of(text) for _, text, _ in rows]
    holders: dict[tuple[int, ...], set[bytes]] = {}
    for (id_, _, is_compared), split in zip(rows, splits, strict=True):
        for window in split.windows(weight) if is_compared else []:
            holders.setdefault(window, set()).add(id_)
    return [
        _repeats_of(id_, split, split.windows(weight), holders) if is_compared else []
        for (id_, _, is_compared), split in zip(rows, splits, strict=True)
    ]


def _repeats_of(
    id_: bytes,
    split: Split,
    windows: Sequence[tuple[int, ...]],
    holders: Mapping[tuple[int, ...], set[bytes]],
) -> list[Span]:
    shared = [
        (start, start + len(window), len(holders[window]), min(holders[window]) == id_)
        for start, window in enumerate(windows)
        if len(holders[window]) > 1
    ]
    kinds: list[bool | None] = []
    for word in range(len(split.hashes)):
        covers = [first for start, end, _, first in shared if start <= word < end]
        kinds.append(any(covers) if covers else None)
    spans, word = [], 0
    while word < len(kinds):
        end = word + 1
        while end < len(kinds) and kinds[end] == kinds[word]:
            end += 1
        if kinds[word] is not None:
            documents = max(
                count
                for start, stop, count, first in shared
                if first == kinds[word] and start < end and stop > word
            )
            span = {"kind": "repeat", "start": split.starts[word], "documents": documents}
            spans.append(span | {"end": _end(split, word, end), "first": kinds[word]})
        word = end
    return [span for span in spans if span["end"] > span["start"]]


def _end(split: Split, first: int, after: int) -> int:
    """The end of a span over some words: with the marks behind, and white space by the rule."""
    start, end = split.starts[first], split.ends[after - 1]
    is_last = after == len(split.hashes)
    limit = len(split.text) if is_last else split.starts[after]
    behind = split.text[end:limit].decode()
    marks = re.match(r"\S*", behind)
    assert marks
    taken = marks.group()
    if taken == behind and not is_last:
        taken = re.match(r"(.*[.!?。！？।])?", taken, re.DOTALL).group()  # type: ignore[union-attr]
    end += len(taken.encode())
    before_gap = re.search(r"[ \t-\r]*\Z", split.text[:start].decode())
    gap = re.match(r"[ \t-\r]*", split.text[end:limit].decode())
    assert before_gap
    assert gap
    before, after_gap = before_gap.group(), gap.group()
    if len(before) == start or (before and after_gap.count("\n") <= before.count("\n")):
        end += len(after_gap)
    return end
