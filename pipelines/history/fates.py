"""What became of every document of a run, added up by source, language, topic and kind.

Each document ends at one step, the first of these that takes it out; what none takes is kept and
can be drawn by a mixture that asks for no more:

| step | out because |
|---|---|
| set aside | met twice, taken down, superseded, held out or near to that, without labels |
| quality | `quality_keep` is false; the reason is `quality_reason` |
| duplicates | a copy or near copy of another; the reason is `duplicate_role` |

Only label columns are read, a part at a time, so memory holds one part and the sums.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import DUPLICATE, REPEATED_RECORD
from pipelines.history.runs import Run
from pipelines.mix.judge import NOT_LABELLED, SPLIT, TRAIN
from pipelines.mix.pins import label_table
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.workspace.takedown import SUPERSEDED, TAKEN_DOWN

SET_ASIDE: Final = "set aside"
QUALITY: Final = "quality"
DUPLICATES: Final = "duplicates"
KEPT: Final = "kept"
STEPS: Final = (SET_ASIDE, QUALITY, DUPLICATES)
DIMENSIONS: Final = ("language", "source", "topic", "kind")
"""By which documents are added up; the first is asked about most."""
NONE: Final = "none"
"""Stands for a label that a document, or its run, does not have."""

_COLUMNS: Final = {"language": "language", "topic": "topic", "kind": "provenance_kind"}
_READ: Final = (
    *_COLUMNS.values(),
    "num_tokens",
    "quality_keep",
    "quality_reason",
    "duplicate_role",
    TAKEN_DOWN,
    SUPERSEDED,
    SPLIT,
)
_KEYS: Final = (*DIMENSIONS, "step", "reason")
FATES: Final = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _KEYS),
        pa.field("documents", pa.int64()),
        pa.field("tokens", pa.int64()),
    ]
)
"""Sums, a row for each combination that occurs."""


def fates_of(run: Run) -> pa.Table:
    """Adds up what became of the documents of a run.

    Returns:
        FATES, in no order.

    Raises:
        LookupError: Labels of the run are gone.
    """
    sums = FATES.empty_table()
    for some in _by_part(run):
        sums = _added(pa.concat_tables([sums, some]))
    return sums


def _by_part(run: Run) -> Iterator[pa.Table]:
    pins = run.pins
    for key in pins.keys():
        try:
            labels = label_table(run.workspace, pins, key, columns=_READ, ids=False)
        except (LookupError, FileNotFoundError) as error:
            raise LookupError(
                f"{run.name}: labels of part {key.part} of {key.source} are gone ({error}); a run "
                "that was pruned cannot be compared: name another"
            ) from error
        yield _added(_fates(labels, key.source))


def _fates(labels: pa.Table, source: str) -> pa.Table:
    """A row for each document of a part."""
    rows = labels.num_rows
    out = np.zeros(rows, np.bool_)
    step = np.full(rows, KEPT, object)
    reason = np.full(rows, "", object)

    def take(mask: np.ndarray[Any, Any], named: str, why: Any) -> None:  # noqa: ANN401
        fresh = mask & ~out
        step[fresh] = named
        reason[fresh] = why[fresh] if isinstance(why, np.ndarray) else why
        np.logical_or(out, fresh, out=out)

    role = _texts(labels, "duplicate_role")
    take(role == REPEATED_RECORD, SET_ASIDE, REPEATED_RECORD)
    for name in (TAKEN_DOWN, SUPERSEDED):
        if name in labels.column_names:
            take(_flags(labels, name, default=False), SET_ASIDE, name)
    if SPLIT in labels.column_names:
        split = _texts(labels, SPLIT)
        take(split != TRAIN, SET_ASIDE, split)
    missing = labels.column("num_tokens").is_null().to_numpy()
    take(missing, SET_ASIDE, NOT_LABELLED)
    if "quality_keep" in labels.column_names:
        kept = _flags(labels, "quality_keep", default=False)
        take(~kept, QUALITY, _texts(labels, "quality_reason"))
    take((role == DUPLICATE) | (role == NEAR_DUPLICATE), DUPLICATES, role)
    columns: dict[str, Any] = {"source": np.full(rows, source, object)}
    columns |= {name: _texts(labels, column) for name, column in _COLUMNS.items()}
    columns |= {"step": step, "reason": reason, "documents": np.ones(rows, np.int64)}
    columns["tokens"] = pc.fill_null(labels.column("num_tokens"), 0).cast(pa.int64())
    return pa.table([columns[field.name] for field in FATES], schema=FATES)


def _texts(labels: pa.Table, column: str) -> np.ndarray[Any, Any]:
    """object[n]: a text column, NONE where there is no value."""
    if column not in labels.column_names:
        return np.full(labels.num_rows, NONE, object)
    found = pc.fill_null(labels.column(column).cast(pa.string()), NONE)
    return np.asarray(found.to_numpy(zero_copy_only=False), object)


def _flags(labels: pa.Table, column: str, *, default: bool) -> np.ndarray[Any, Any]:
    """bool[n]: a truth column."""
    filled = pc.fill_null(labels.column(column), default)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)


def _added(rows: pa.Table) -> pa.Table:
    """Rows of equal keys added up."""
    summed = rows.group_by(list(_KEYS)).aggregate([("documents", "sum"), ("tokens", "sum")])
    names = [name.removesuffix("_sum") for name in summed.column_names]
    return summed.rename_columns(names).select(FATES.names).cast(FATES)
