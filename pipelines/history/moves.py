"""Which documents of a label came, went, or bear another label in the other run.

Documents are matched by id, which names a record: the same page read from the same place has the
same id in both runs, whatever was learnt of it. Only ids that bear the label in one run and not in
the other are held in memory, 16 bytes each.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.history.fates import NONE
from pipelines.history.runs import Run
from pipelines.mix.pins import label_table

_ID: Final = "id"
_LABEL: Final = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Documents and tokens by where they went."""

    came: Counter[str]
    """Source -> documents with the label of which the first run knows nothing."""
    went: Counter[str]
    """Source -> documents with the label of which the second run knows nothing."""
    to: Counter[str]
    """Label in the second run -> documents that had this one in the first."""
    since: Counter[str]
    """Label in the first run -> documents that have this one in the second."""

    @property
    def is_nothing(self) -> bool:
        """Whether the same documents bear the label."""
        return not (self.came or self.went or self.to or self.since)


def moves_of(before: Run, after: Run, column: str, value: str) -> Moves:
    """Compares which documents bear a label.

    Args:
        before: The first run.
        after: The second.
        column: Of the labels, such as `language`.
        value: The label.

    Raises:
        LookupError: Labels of one of the runs are gone.
    """
    old, new = _with_label(before, column, value), _with_label(after, column, value)
    lost = old.filter(pc.invert(pc.is_in(old.column(_ID), new.column(_ID))))
    gained = new.filter(pc.invert(pc.is_in(new.column(_ID), old.column(_ID))))
    went, to = _elsewhere(lost, after, column)
    came, since = _elsewhere(gained, before, column)
    return Moves(came=came, went=went, to=to, since=since)


def _with_label(run: Run, column: str, value: str) -> pa.Table:
    """Ids and sources of the documents that bear a label."""
    found = []
    for table in _labels(run, column):
        found.append(table.filter(pc.equal(table.column(_LABEL), value)))
    return pa.concat_tables(found) if found else _EMPTY


def _elsewhere(some: pa.Table, run: Run, column: str) -> tuple[Counter[str], Counter[str]]:
    """(source -> documents that a run does not have, label -> documents that it has)."""
    labels: Counter[str] = Counter()
    known = []
    if some.num_rows:
        for table in _labels(run, column):
            met = table.filter(pc.is_in(table.column(_ID), some.column(_ID)))
            known.append(met.column(_ID).combine_chunks())
            labels.update(met.column(_LABEL).to_pylist())
    ids = pa.chunked_array(known, pa.binary(16)) if known else _EMPTY.column(_ID)
    unknown = some.filter(pc.invert(pc.is_in(some.column(_ID), ids)))
    return Counter(unknown.column("source").to_pylist()), labels


_EMPTY: Final = pa.table(
    {
        _ID: pa.array([], pa.binary(16)),
        _LABEL: pa.array([], pa.string()),
        "source": pa.array([], pa.string()),
    }
)


def _labels(run: Run, column: str) -> Iterator[pa.Table]:
    """Id, label and source of all documents, part by part."""
    pins = run.pins
    for key in pins.keys():
        labels = label_table(run.workspace, pins, key, columns=[column])
        rows = labels.num_rows
        known = column in labels.column_names
        values = labels.column(column).cast(pa.string()) if known else pa.nulls(rows, pa.string())
        columns = {
            _ID: labels.column(_ID).cast(pa.binary(16)),
            _LABEL: pc.fill_null(values, NONE),
            "source": pa.repeat(key.source, rows),
        }
        yield pa.table(columns)
