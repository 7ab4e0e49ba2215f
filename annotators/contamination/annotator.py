"""Contamination: which document quotes which item of which benchmark, and how much of it.

A rule for each kind of benchmark (`rules`) decides whether a quotation is contamination; everything
that shares an n-gram gets its score and the spans behind it, so a mixture may drop the document,
cut the contaminated spans, or draw its own line. Words are compared without case, punctuation and
layout. A paraphrase or a translation shares no n-gram and is not found.

The modules: `registry` knows common benchmarks, `items` reads the files, `words` splits texts,
`index` holds the items (`tables`, `entry_points`, `facts`), `quotations` finds and scores. The
index is made at the first call, by each process for itself: it is small beside any
other way of bringing documents and items together.
"""

import unicodedata
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotators.contamination.entry_points import find_entry_points
from annotators.contamination.facts import IndexFacts
from annotators.contamination.index import BenchmarkIndex, build_index
from annotators.contamination.items import Benchmark, parse_benchmarks
from annotators.contamination.quotations import find_quotations, sharing_texts
from annotators.contamination.registry import REGISTRY
from annotators.contamination.rules import RuleNumber, is_contaminated
from annotators.contamination.words import FoldedWords, empty_folded_words, fold_words, folds
from annotators.text.utf8 import Utf8Texts, utf8_texts

SPAN = pa.struct(
    [
        ("benchmark", pa.string()),
        ("item", pa.string()),
        ("field", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("score", pa.float32()),
        ("contaminated", pa.bool_()),
    ]
)
PIECE_BYTES, OVERLAP_BYTES = 1 << 20, 1 << 16
"""Longer texts are searched in pieces that share 64 KiB, more than an item of 4,096 words has."""
ENTRY_POINT_FIELD = "entry_point"
"""`field` of a span that is the name of a function."""


class _Found(NamedTuple):
    """One quotation, as it is labelled."""

    benchmark: str
    item: str
    field: str
    start: int
    end: int
    score: float
    contaminated: bool
    rule: str
    common_words: int
    number: int
    """Of the item."""


_Row = tuple[str | None, str | None, str | None, float, bool, list[dict[str, Any]]]
_NOTHING: _Row = (None, None, None, 0.0, False, [])


class Contamination:
    """Finds quotations of benchmark items (an `Annotator`)."""

    name: ClassVar[str] = "contamination"
    # The character tables are those of the running Python, and 3.11 to 3.13 differ in them.
    version: ClassVar[str] = f"3/unicode-{unicodedata.unidata_version}"
    inputs: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("benchmark", pa.string()),
            ("benchmark_item", pa.string()),
            ("contamination_rule", pa.string()),
            ("contamination_score", pa.float32()),
            ("contaminated", pa.bool_()),
            ("contamination_spans", pa.list_(SPAN)),
        ]
    )

    def __init__(self, *, benchmarks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Names the benchmarks; their files are looked for, and read at the first call.

        Args:
            benchmarks: One mapping a benchmark: `name`, `path` (JSON Lines, plain, .gz or .zst) and
                perhaps `kind` (math, code, text) and the fields of each role: `question`,
                `options`, `answer` (default: from the registry, else see `items`). None: every
                document has the score 0.

        Raises:
            ValueError: An option is wrong, or a file is missing.
        """
        self._benchmarks = parse_benchmarks(benchmarks)
        self._index: BenchmarkIndex | None = None

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """The benchmarks and how each is read."""
        return self._benchmarks

    def model_files(self) -> list[Path]:
        """Gives the benchmark files, and the registry where it says how one is read."""
        files = [benchmark.path for benchmark in self._benchmarks]
        return files + [REGISTRY] * any(one.in_registry for one in self._benchmarks)

    def index(self) -> BenchmarkIndex:
        """Gives the index, made at the first call.

        Raises:
            ValueError: A file is broken, or nothing of a benchmark can be found.
        """
        if self._index is None:
            self._index = build_index(self._benchmarks)
        return self._index

    def index_facts(self) -> tuple[IndexFacts, ...]:
        """Says for each benchmark how many items can be found, and why the others cannot.

        Raises:
            ValueError: A file is broken, or nothing of a benchmark can be found.
        """
        return self.index().facts

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Looks for quotations.

        Args:
            texts: large_string, no nulls.
            labels: Not read.

        Returns:
            One row a text, of schema `columns`. `contaminated`: whether the rule of some benchmark
            holds. `benchmark`, `benchmark_item`, `contamination_rule` (lcs, ngram, share, whole,
            entry_point: `rules`) and `contamination_score` (share of the range quoted, in [0, 1])
            are those of the best quotation: contaminated before others, then of the highest score,
            then with more words, then the first; null where no n-gram is shared, with score 0.
            `contamination_spans`: every stretch that shares an n-gram with an item, as UTF-8
            byte offsets [start, end) of the text, sorted, with the `field` that is quoted;
            stretches of one item do not overlap.

        Raises:
            ValueError: A text is null, or `texts` is of another type; as for `index`.
        """
        buffers = utf8_texts(texts)
        rows: list[_Row] = [_NOTHING] * len(texts)
        if self._benchmarks and len(texts):
            numbers, starts, ends = _pieces(buffers)
            words = empty_folded_words(int((ends - starts).max()))
            marks = sharing_texts(buffers.data, starts, ends, folds(), self.index().index, words)
            found: dict[int, list[_Found]] = {}
            for at in np.flatnonzero(marks).tolist():
                start, end = int(starts[at]), int(ends[at])
                base = start - int(buffers.offsets[numbers[at]])
                quotations = self._found(buffers, start, end, words)
                moved = (q._replace(start=q.start + base, end=q.end + base) for q in quotations)
                found.setdefault(int(numbers[at]), []).extend(moved)
            for row, quotations in found.items():
                rows[row] = _row(quotations)
        columns = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self.columns, strict=True)]
        return pa.record_batch(arrays, schema=self.columns)

    def _found(self, texts: Utf8Texts, start: int, end: int, words: FoldedWords) -> list[_Found]:
        """Gives what a piece of a text quotes; places are from its start."""
        num_words = fold_words(texts.data, start, end, folds(), words)
        found = _quotations(self.index(), words, num_words)
        return found + _entry_points(self.index(), texts, start, end)


def _pieces(
    texts: Utf8Texts,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cuts long texts, lest words take 80 times the bytes of a text of 100 MB in memory.

    Returns:
        Row, first byte and the byte after the last of each piece, which do not cut a character.
    """
    rows, starts, ends = list[int](), list[int](), list[int]()
    for row, (first, last) in enumerate(pairwise(texts.offsets.tolist())):
        start = first
        while True:
            end = _character_start(texts.data, start + PIECE_BYTES, last)
            rows.append(row)
            starts.append(start)
            ends.append(end)
            if end == last:
                break
            start = _character_start(texts.data, end - OVERLAP_BYTES, last)
    return np.array(rows, np.int64), np.array(starts, np.int64), np.array(ends, np.int64)


def _character_start(data: NDArray[np.uint8], at: int, last: int) -> int:
    """Gives the first start of a character from a byte on, at most `last`."""
    while at < last and data[at] & 0xC0 == 0x80:
        at += 1
    return min(at, last)


def _row(found: Sequence[_Found]) -> _Row:
    """Makes the labels of one text."""
    if not found:
        return _NOTHING
    best = min(
        found,
        key=lambda q: (not q.contaminated, -q.score, -q.common_words, q.number, q.start),
    )
    spans = [q._asdict() for q in _separate(found)]
    spans.sort(key=lambda s: (s["start"], s["end"], s["benchmark"], s["item"], s["field"]))
    kept = [{name: span[name] for name in SPAN.names} for span in spans]
    return best.benchmark, best.item, best.rule, best.score, best.contaminated, kept


def _quotations(index: BenchmarkIndex, words: FoldedWords, num_words: int) -> list[_Found]:
    """Gives what shares words with items."""
    found = find_quotations(words, num_words, index.index)
    made = []
    for row in zip(*(column.tolist() for column in found), strict=True):
        number, common, length, start, end = row
        first, _, rule = index.index.words.ranges[number].tolist()
        item = int(index.index.words.item_of[first])
        made.append(
            _Found(
                benchmark=index.benchmarks[index.benchmark_of[item]],
                item=index.ids[item],
                field=index.fields[number],
                start=start,
                end=end,
                score=float(np.float32(common / length)),
                contaminated=is_contaminated(rule, common, length),
                rule=RuleNumber(rule).name.lower(),
                common_words=common,
                number=item,
            )
        )
    return made


def _entry_points(index: BenchmarkIndex, texts: Utf8Texts, start: int, end: int) -> list[_Found]:
    """Gives the names of functions that items ask for."""
    names = index.index.entry_points
    if not len(names.items):
        return []
    places = np.empty((256, 3), np.int64)
    count = find_entry_points(texts.data, start, end, names, places)
    if count > len(places):
        places = np.empty((count, 3), np.int64)
        find_entry_points(texts.data, start, end, names, places)
    return [
        _Found(
            benchmark=index.benchmarks[index.benchmark_of[item]],
            item=index.ids[item],
            field=ENTRY_POINT_FIELD,
            start=first,
            end=last,
            score=1.0,
            contaminated=True,
            rule=RuleNumber.ENTRY_POINT.name.lower(),
            common_words=1,
            number=item,
        )
        for item, first, last in places[:count].tolist()
    ]


def _separate(found: Iterable[_Found]) -> list[_Found]:
    """Chooses, those of most words first, quotations of which those of one item do not overlap."""
    order = sorted(
        found, key=lambda q: (not q.contaminated, -q.common_words, -q.score, q.start, q.field)
    )
    kept: dict[int, list[tuple[int, int, _Found]]] = {}
    for one in order:
        others = kept.setdefault(one.number, [])
        at = bisect(others, (one.start, one.end), key=lambda other: other[:2])
        ends_before = at == 0 or others[at - 1][1] <= one.start
        starts_after = at == len(others) or others[at][0] >= one.end
        if ends_before and starts_after:
            others.insert(at, (one.start, one.end, one))
    return [one for others in kept.values() for _, _, one in others]
