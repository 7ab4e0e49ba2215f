"""Contamination: which document quotes which item of which benchmark, and how much of it.

The rule is that of the Qwen2.5-Math report (arXiv:2409.12122, section 2): words without case and
punctuation, a shared 13-gram, and then the share of the item that the longest common subsequence
covers; above 0.6 a document is contaminated. Here all that share an n-gram get their score and the
spans behind it; a mixture decides. A paraphrase or a translation shares no n-gram and is not found.

The modules: `items` reads the files, `words` splits texts, `index` holds the items, `quotations`
finds and scores. The index is made at the first call, in 1.3 s for 27,700 items, by each
process for itself: it is small beside any other way of bringing documents and items together.
"""

import unicodedata
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from annotators.contamination.index import BenchmarkIndex, IndexFacts, build_index
from annotators.contamination.items import parse_benchmarks
from annotators.contamination.quotations import Quotations, find_quotations, sharing_texts
from annotators.contamination.words import FoldedWords, empty_folded_words, fold_words, folds
from annotators.text.utf8 import Utf8Texts, utf8_texts

SPAN = pa.struct(
    [
        ("benchmark", pa.string()),
        ("item", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("score", pa.float32()),
    ]
)

_Span = dict[str, Any]
_NOTHING: tuple[None, None, float, list[_Span]] = (None, None, 0.0, [])


class Contamination:
    """Finds quotations of benchmark items (an `Annotator`)."""

    name: ClassVar[str] = "contamination"
    # The character tables are those of the running Python, and 3.11 to 3.13 differ in them.
    version: ClassVar[str] = f"1/unicode-{unicodedata.unidata_version}"
    inputs: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("benchmark", pa.string()),
            ("benchmark_item", pa.string()),
            ("contamination_score", pa.float32()),
            ("contamination_spans", pa.list_(SPAN)),
        ]
    )

    def __init__(self, *, benchmarks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Names the benchmarks; their files are looked for, and read at the first call.

        Args:
            benchmarks: One mapping a benchmark: `name`, `path` (JSON Lines, plain, .gz or .zst) and
                perhaps `fields`, the fields that are the text of an item (default: see `items`).
                None: every document has the score 0.

        Raises:
            ValueError: An option is wrong, or a file is missing.
        """
        self._benchmarks = parse_benchmarks(benchmarks)
        self._index: BenchmarkIndex | None = None

    def model_files(self) -> list[Path]:
        """Gives the benchmark files, whose content decides."""
        return [benchmark.path for benchmark in self._benchmarks]

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
            One row a text, of schema `columns`. `benchmark` and `benchmark_item` name the item of
            the highest score, of equal ones that with more words, then the first; null where no
            n-gram is shared, with score 0. `contamination_spans`: every stretch that shares an
            n-gram with an item, as UTF-8 byte offsets [start, end) of the text, sorted; stretches
            of one item do not overlap.

        Raises:
            ValueError: A text is null, or `texts` is of another type; as for `index`.
        """
        buffers = utf8_texts(texts)
        rows: list[tuple[str | None, str | None, float, list[_Span]]] = [_NOTHING] * len(texts)
        if self._benchmarks and len(texts):
            words = empty_folded_words(buffers.max_bytes())
            marks = sharing_texts(*buffers, folds(), self.index().index, words)
            for row in np.flatnonzero(marks).tolist():
                rows[row] = self._label(buffers, row, words)
        columns = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self.columns, strict=True)]
        return pa.record_batch(arrays, schema=self.columns)

    def _label(
        self, texts: Utf8Texts, row: int, words: FoldedWords
    ) -> tuple[str | None, str | None, float, list[_Span]]:
        index = self.index()
        start, end = int(texts.offsets[row]), int(texts.offsets[row + 1])
        num_words = fold_words(texts.data, start, end, folds(), words)
        found = find_quotations(words, num_words, index.index)
        if not len(found.items):
            return _NOTHING
        order = np.lexsort((found.starts, found.items, -found.common_words, -found.scores))
        best = int(order[0])
        spans = [_span(index, found, n) for n in _separate(found, order.tolist())]
        spans.sort(key=lambda s: (s["start"], s["end"], s["benchmark"], s["item"]))
        item = int(found.items[best])
        name = index.benchmarks[index.benchmark_of[item]]
        return name, index.ids[item], float(found.scores[best]), spans


def _span(index: BenchmarkIndex, found: Quotations, number: int) -> _Span:
    item = int(found.items[number])
    return {
        "benchmark": index.benchmarks[index.benchmark_of[item]],
        "item": index.ids[item],
        "start": int(found.starts[number]),
        "end": int(found.ends[number]),
        "score": float(found.scores[number]),
    }


def _separate(found: Quotations, order: Iterable[int]) -> list[int]:
    """Chooses, best first, quotations of which those of one item do not overlap."""
    kept: dict[int, list[tuple[int, int, int]]] = {}
    for number in order:
        quotation = (int(found.starts[number]), int(found.ends[number]), number)
        others = kept.setdefault(int(found.items[number]), [])
        at = bisect(others, quotation)
        ends_before = at == 0 or others[at - 1][1] <= quotation[0]
        starts_after = at == len(others) or others[at][0] >= quotation[1]
        if ends_before and starts_after:
            others.insert(at, quotation)
    return [number for others in kept.values() for _, _, number in others]
