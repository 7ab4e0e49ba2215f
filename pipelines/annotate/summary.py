"""Sums over the ledger entries of a labels set, in lines that a person reads.

They come from the details of the entries (`values`); no labels file is opened.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from pipelines.annotate.values import MAX_VALUES, SCORE_BINS
from pipelines.workspace.ledger import Entry

_MOST_NAMED: Final = 10
_MOST_COLUMNS: Final = 4
_MAIN: Final[Mapping[str, None]] = dict.fromkeys(
    (
        *("language", "script", "quality_keep", "quality_reason", "topic", "format"),
        *("programming_language", "safety", "blocked", "page_license", "educational", "pii"),
    )
)
"""Columns of shipped sets that are told; of a set without one of them, its first ones."""
_NEEDS: Final[Mapping[str, str]] = {
    "safety": "not judged: no model is configured (option model; none is shipped)",
    "blocked": "not looked up: no block list is configured (option block_lists), or no text has "
    "a URL",
    "educational": "not judged: no model is configured (option model; none is shipped)",
}
"""Columns that are null in every row until something is configured -> what is told of them then."""


@dataclass(slots=True)
class SetSums:
    """What the entries of a labels set say together."""

    rows: int = 0
    failed: int = 0
    cpu_seconds: float = 0.0
    """Of the annotator; 0 where it is not known."""
    values: dict[str, Counter[str]] = field(default_factory=dict)
    histograms: dict[str, Counter[int]] = field(default_factory=dict)
    spans: dict[str, Counter[str]] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    """Text columns that have too many values in some part."""

    def lines(self, columns: pa.Schema) -> list[str]:
        """A line for each column that is worth one, such as `language: eng_Latn 12 (60 %)`."""
        if not self.rows:
            return []
        told = {column.name: self._line(column) for column in columns}
        main = [name for name in told if name in _MAIN and told[name]]
        named = [c.name for c in columns if not _is_number(c.type) and told[c.name]]
        chosen = main or named or [name for name in told if told[name]]
        return [f"{name}: {told[name]}" for name in chosen[:_MOST_COLUMNS]]

    def _line(self, column: "pa.Field[pa.DataType]") -> str:
        name = column.name
        if name in self.incomplete:
            return f"more than {MAX_VALUES} values"
        if name in _NEEDS and self._is_null(name):
            return _NEEDS[name]
        if name in self.values and pa.types.is_boolean(column.type):
            return self._share("true", self.values[name]["true"])
        if name in self.values:
            return self._named(self.values[name])
        if name in self.spans:
            found = self.spans[name].most_common(_MOST_NAMED)
            told = ", ".join(f"{kind or 'no kind'} {count:,}" for kind, count in found)
            return f"{told} (spans)" if told else "none"
        if self.histograms.get(name):
            low, high = _median(self.histograms[name], is_count=pa.types.is_integer(column.type))
            return f"median from {low} to {high}"
        return ""

    def _is_null(self, name: str) -> bool:
        """Whether no row has a value."""
        counted = self.values.get(name, {}).keys() - {""}
        return not counted and not self.histograms.get(name)

    def _share(self, what: str, count: int) -> str:
        return f"{what} {count:,} ({100 * count / self.rows:.1f} %)"

    def _named(self, counts: Counter[str]) -> str:
        ranked = sorted(counts.items(), key=lambda item: (item[0] == "", -item[1], item[0]))
        told = [self._share(value or "none", count) for value, count in ranked[:_MOST_NAMED]]
        rest = len([value for value, _ in ranked[_MOST_NAMED:] if value])
        if "" in counts and len(ranked) > _MOST_NAMED:
            told.append(self._share("none", counts[""]))
        return ", ".join(told) + (f", and {rest} more" if rest else "")


def sum_of(entries: Iterable[Entry]) -> SetSums:
    """Adds up the entries of one labels set; one that an older tokenmill wrote has no times."""
    sums = SetSums()
    for entry in entries:
        sums.rows += entry.counts["rows"]
        sums.failed += entry.counts.get("failed", 0)
        detail = entry.detail
        sums.cpu_seconds += detail.get("cpu_seconds", 0.0)
        for column, counts in detail.get("values", {}).items():
            sums.values.setdefault(column, Counter()).update(counts)
        for column, bins in detail.get("histograms", {}).items():
            numbers = {int(number): count for number, count in bins.items()}
            sums.histograms.setdefault(column, Counter()).update(numbers)
        for column, kinds in detail.get("spans", {}).items():
            sums.spans.setdefault(column, Counter()).update(kinds)
        sums.incomplete |= set(detail.get("uncounted", []))
    return sums


def _median(bins: Counter[int], *, is_count: bool) -> tuple[str, str]:
    """Bounds of the bin in which the middle row lies."""
    half, seen = sum(bins.values()) / 2, 0
    middle = max(bins)
    for number in sorted(bins):
        seen += bins[number]
        if seen >= half:
            middle = number
            break
    if is_count:
        return ("0", "0") if middle < 0 else (f"{2**middle:,}", f"{2 ** (middle + 1) - 1:,}")
    last = middle == SCORE_BINS - 1
    return (
        f"{middle / SCORE_BINS:.2f}",
        "1 and more" if last else f"{(middle + 1) / SCORE_BINS:.2f}",
    )


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))
