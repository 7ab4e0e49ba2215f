"""What the labels of a part say in sum, for summaries and reports.

Kept in the ledger entry of the part, so that a report over 100,000 parts opens no labels file. A
column is counted by its type; a type that has no use here (maps, plain lists, structs) is left out.
"""

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SCORE_BINS: Final = 20
MAX_VALUES: Final = 256
"""Of a text column; one with more is no set of names, and is left out."""
_MAX_CHARACTERS: Final = 256
"""Of a value; a column with a longer one is no set of names either."""
_DIGITS: Final = 6  # of sums of shares


class Values:
    """Counts the columns of one labels set, batch by batch."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str] | None] = {}
        self._histograms: dict[str, Counter[int]] = {}
        self._spans: dict[str, Counter[str]] = {}
        self._shares: dict[str, dict[str, float]] = {}
        self._seconds = 0.0

    def add(self, labels: pa.StructArray, seconds: float = 0.0) -> None:
        """Counts a batch.

        Args:
            labels: One field a column.
            seconds: CPU time that its annotator took.
        """
        self._seconds += seconds
        for field, column in zip(labels.type, labels.flatten(), strict=True):
            name, type_ = field.name, field.type
            if _is_text(type_) or pa.types.is_boolean(type_):
                self._counts[name] = _counted(self._counts.get(name, Counter()), column)
            elif pa.types.is_integer(type_) or pa.types.is_floating(type_):
                self._histograms.setdefault(name, Counter()).update(_bins(column))
            elif _is_list(type_) and pa.types.is_struct(type_.value_type):
                self._add_structs(name, column.flatten())

    def _add_structs(self, name: str, items: pa.StructArray) -> None:
        """Counts spans by kind, and adds up shares by name; other lists are left out."""
        text = next((field.name for field in items.type if _is_text(field.type)), None)
        fields = {field.name: field.type for field in items.type}
        if text is None:
            return
        names = pc.struct_field(items, text)
        numbers = [field for field, type_ in fields.items() if pa.types.is_floating(type_)]
        if {"start", "end"} <= fields.keys():
            counts = self._spans.setdefault(name, Counter())
            for item in pc.value_counts(names).to_pylist():
                counts[item["values"] or ""] += item["counts"]
        elif len(numbers) == 1 and len(fields) == 2:
            sums = self._shares.setdefault(name, defaultdict(float))
            table = pa.table({"name": names, "share": pc.struct_field(items, numbers[0])})
            summed = table.group_by("name").aggregate([("share", "sum")])
            for row in summed.to_pylist():
                sums[row["name"] or ""] += row["share_sum"] or 0.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in the detail of a ledger entry.

        Returns:
            `values`: text or boolean column -> value ("" for null) -> rows; a column with too many
            values is left out. `histograms`: number column -> bin -> rows; bin b of a count holds
            [2^b, 2^(b+1)) and bin -1 is 0; bin b of a score holds [b/20, (b+1)/20), 1 and more is
            in the last. `spans`: column of spans -> kind -> spans. `shares`: column of (name,
            share) -> name -> sum of its shares over the rows. `uncounted`: text columns that are no
            sets of names. `cpu_seconds`: of the annotator.
        """
        return {
            "values": {
                name: dict(sorted(counts.items()))
                for name, counts in self._counts.items()
                if counts is not None
            },
            "histograms": {
                name: {str(number): bins[number] for number in sorted(bins)}
                for name, bins in self._histograms.items()
            },
            "spans": {name: dict(sorted(counts.items())) for name, counts in self._spans.items()},
            "shares": {
                name: {key: round(value, _DIGITS) for key, value in sorted(sums.items())}
                for name, sums in self._shares.items()
            },
            "uncounted": sorted(n for n, counts in self._counts.items() if counts is None),
            "cpu_seconds": round(self._seconds, 3),
        }


def _counted(counts: Counter[str] | None, column: pa.Array) -> Counter[str] | None:
    """The counts with those of a batch; None where the column is no set of names."""
    if counts is None:
        return None
    for item in pc.value_counts(column.cast(pa.string())).to_pylist():
        counts[item["values"] or ""] += item["counts"]
    too_long = any(len(value) > _MAX_CHARACTERS for value in counts)
    return None if len(counts) > MAX_VALUES or too_long else counts


def _bins(column: pa.Array) -> Counter[int]:
    """Rows by bin; nulls and what is no number are left out."""
    numbers = column.drop_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        bins = np.where(numbers > 0, np.floor(np.log2(np.maximum(numbers, 1))), -1)
    else:
        numbers = numbers[~np.isnan(numbers)].astype(np.float64)
        bins = np.floor(np.clip(numbers * SCORE_BINS, 0, SCORE_BINS - 1))
    found, counts = np.unique(bins.astype(np.int64), return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))
