"""What a stage makes of the documents of one part: the one function that plans and shards share.

Before `where` is asked, five kinds of documents are set aside whatever it says: a record met
twice, what was taken down (the labels set `takedown`), a document of which a refined form stands
beside it (the labels set `superseded`), a document whose labels are missing because an annotator
died on it, and what is held out of training (the labels set `validation`: the text
itself, and near copies of it).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.expressions import ELIGIBLE, NUM_TOKENS, Selection, columns_used, select
from mixtures.spec import Stage
from pipelines.deduplicate.exact import REPEATED_RECORD
from pipelines.mix.planned import NUM_BYTES, planned_tokens
from pipelines.workspace.takedown import SUPERSEDED, TAKEN_DOWN

NOT_LABELLED: Final = "not_labelled"  # an annotator died on it; see the rejects of `annotate`
TRAIN: Final = "train"
VALIDATION: Final = "validation"
SPLIT: Final = "split"
"""Label column that says what is held out; absent where nothing is."""

_ROLE: Final = "duplicate_role"
_SET_ASIDE: Final = (TAKEN_DOWN, SUPERSEDED)
"""Label columns, and the reasons, of documents that are never drawn; each absent where no document
of a run is such."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A stage's selection over the documents of a part that may be drawn at all."""

    rows: npt.NDArray[np.int64]
    """int64[m]: their rows in the part, ascending."""
    labels: pa.Table
    """Labels of those rows."""
    selection: Selection
    """Over those rows."""
    tokens: npt.NDArray[np.int64]
    """int64[m]: planned tokens of each, EOD included."""
    reasons: Counter[str]
    """All documents of the part by what became of them."""

    @property
    def not_eligible(self) -> int:
        """Documents of the part that cannot be drawn."""
        return self.reasons.total() - self.reasons[ELIGIBLE]


def columns_to_judge(stages: Sequence[Stage], columns: pa.Schema) -> list[str]:
    """Label columns that `judge` reads, in the order of `columns`.

    Args:
        stages: Stages that passed `check_expressions`.
        columns: All columns that there are.
    """
    wanted = {NUM_TOKENS, _ROLE, SPLIT, *_SET_ASIDE, *columns_used(stages, columns)}
    for stage in stages:
        if stage.cut_columns:
            wanted |= {NUM_BYTES, *stage.cut_columns}
    return [name for name in columns.names if name in wanted]


def judge(
    stage: Stage,
    labels: pa.Table,
    replacement_tokens: Mapping[str, int],
    *,
    split: str = TRAIN,
) -> Judged:
    """Applies a stage to all labels of a part.

    Args:
        stage: The stage.
        labels: n rows, at least the columns of `columns_to_judge`.
        replacement_tokens: Kind -> tokens that stand in place of a span of it.
        split: TRAIN, or VALIDATION for the held-out documents alone.
    """
    reasons: Counter[str] = Counter()
    usable = ~_matches(labels.column(_ROLE), REPEATED_RECORD)
    reasons[REPEATED_RECORD] = int(len(usable) - usable.sum())
    for name in _SET_ASIDE:
        if name in labels.column_names:
            gone = usable & labels.column(name).to_numpy()
            reasons[name] = int(gone.sum())
            usable &= ~gone
    missing = _is_missing(stage, labels) & usable
    reasons[NOT_LABELLED] = int(missing.sum())
    usable &= ~missing
    if SPLIT in labels.column_names:
        usable = _of_split(labels.column(SPLIT), split, usable, reasons)
    elif split != TRAIN:
        usable = np.zeros_like(usable)
    rows = np.flatnonzero(usable).astype(np.int64)
    kept = labels if len(rows) == labels.num_rows else labels.filter(pa.array(usable))
    planned = planned_tokens(stage, kept, replacement_tokens)
    selection = select(stage, kept, planned.tokens, cut_to_nothing=planned.cut_to_nothing)
    reasons.update(selection.counts())
    return Judged(rows, kept, selection, planned.tokens, reasons)


def _is_missing(stage: Stage, labels: pa.Table) -> npt.NDArray[np.bool_]:
    """bool[n]: what was not looked at must not pass, uncut or held out."""
    needed = [NUM_TOKENS, *stage.cut_columns]
    needed += [SPLIT] if SPLIT in labels.column_names else []
    missing = np.zeros(labels.num_rows, np.bool_)
    for name in needed:
        column = labels.column(name) if name in labels.column_names else None
        if column is not None and column.null_count:
            missing |= pc.is_null(column).to_numpy()
    return missing


def _of_split(
    column: pa.ChunkedArray, split: str, usable: npt.NDArray[np.bool_], reasons: Counter[str]
) -> npt.NDArray[np.bool_]:
    """bool[n]: usable rows of one split; counts the others by theirs."""
    inside = usable & _matches(column, split)
    for value in pc.unique(column).drop_null().to_pylist():
        if value != split:
            reasons[value] += int((usable & _matches(column, value)).sum())
    return inside


def _matches(column: pa.ChunkedArray, value: str) -> npt.NDArray[np.bool_]:
    """bool[n]: where text has this value; null has not."""
    found: npt.NDArray[np.bool_] = pc.equal(column, value).fill_null(False).to_numpy()
    return found
