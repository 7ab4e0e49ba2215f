"""The spans of a document that a stage takes out: one function that planning and shards share.

`redact` takes spans of the `pii` labels of some kinds and writes `<kind>` in their place. `cut`
takes spans and writes nothing: of `contamination_spans` those that are `contaminated`, of
`boilerplate` all, of `repeats` all but the first copy, so that one stays (in the document that the
labels name; whether a stage draws that document is not asked).

Spans that overlap become one cut with the replacement of the first (`annotators.text.cuts`). So
personal data at the very start of a line that is cut would leave `<email>` where the line was:
spans to be redacted that lie inside one that is cut go with it, and are counted, not replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.errors import MixtureError
from mixtures.spec import CUT_LABELS, REDACTION_LABELS, Stage

_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutSpans:
    """Spans of n documents, sorted by document, start and end; places in UTF-8 bytes."""

    kinds: tuple[str, ...]
    """What `codes` number: the kinds that are redacted, then those that are cut."""
    num_redacted: int
    """How many of `kinds` are redacted, so have a replacement."""
    num_documents: int
    rows: _Ints
    """int64[num_spans], document of each."""
    starts: _Ints
    ends: _Ints
    codes: _Ints
    """int64[num_spans], position in `kinds`."""
    inside: _Bools
    """bool[num_spans]: to be redacted, and inside a span that is cut."""

    def __len__(self) -> int:
        return len(self.rows)

    def by_kind(self) -> dict[str, npt.NDArray[np.int32]]:
        """Kind -> int32[n], spans of it in each document, those inside others too."""
        return {
            kind: np.bincount(self.rows[self.codes == code], minlength=self.num_documents).astype(
                np.int32
            )
            for code, kind in enumerate(self.kinds)
        }

    def applied(self) -> "CutSpans":
        """Those that are cut as they stand, without those inside others."""
        if not self.inside.any():
            return self
        stays = ~self.inside
        return replace(
            self,
            rows=self.rows[stays],
            starts=self.starts[stays],
            ends=self.ends[stays],
            codes=self.codes[stays],
            inside=self.inside[stays],
        )

    def check(self, num_bytes: _Ints) -> None:
        """Refuses spans that are not of these documents.

        Args:
            num_bytes: int64[n], UTF-8 bytes of each.

        Raises:
            MixtureError: One is empty or lies outside its document.
        """
        wrong = (self.starts < 0) | (self.starts >= self.ends) | (self.ends > num_bytes[self.rows])
        if wrong.any():
            at = int(np.argmax(wrong))
            kind = self.kinds[self.codes[at]]
            raise MixtureError(
                f"found a span [{self.starts[at]}, {self.ends[at]}) in a document of "
                f"{num_bytes[self.rows[at]]} bytes; the '{_column_of(kind)}' labels were made for "
                "another text: run `tokenmill audit`"
            )


def spans_of(stage: Stage, labels: pa.Table) -> CutSpans:
    """What a stage redacts and cuts of documents.

    Args:
        stage: The stage; it redacts or cuts something.
        labels: n rows with the stage's `cut_columns`.

    Raises:
        MixtureError: The labels lack one of these columns, or a document has none of its labels
            because its annotator died.
    """
    found = []
    for column in stage.cut_columns:
        if column not in labels.column_names:
            raise MixtureError(
                f"{stage.place} redacts or cuts {', '.join(_kinds_of(stage, column))}, and the "
                f"labels have no column {column!r}; make these labels with `tokenmill run`, or "
                f"remove {'redact' if column == REDACTION_LABELS else 'the name from cut'}"
            )
        _refuse_nulls(labels, column)
        found.append(_flat(labels.column(column), column, stage))
    kinds = (*stage.redact, *stage.cut)
    rows, starts, ends, codes = (np.concatenate(some) for some in zip(*found, strict=True))
    order = np.lexsort((ends, starts, rows))
    rows, starts, ends, codes = rows[order], starts[order], ends[order], codes[order]
    return CutSpans(
        kinds=kinds,
        num_redacted=len(stage.redact),
        num_documents=labels.num_rows,
        rows=rows,
        starts=starts,
        ends=ends,
        codes=codes,
        inside=_inside(rows, starts, ends, codes < len(stage.redact)),
    )


def _kinds_of(stage: Stage, column: str) -> Sequence[str]:
    if column == REDACTION_LABELS:
        return stage.redact
    return [one for one in stage.cut if CUT_LABELS[one] == column]


def _column_of(kind: str) -> str:
    return CUT_LABELS.get(kind, REDACTION_LABELS)


def _refuse_nulls(labels: pa.Table, column: str) -> None:
    """Planning sets such documents aside (`judge`), so one that is drawn is a fault of ours."""
    spans = labels.column(column)
    if not spans.null_count:
        return
    row = int(np.argmax(pc.is_null(spans).to_numpy()))
    name = labels.column("id")[row].as_py().hex() if "id" in labels.column_names else f"row {row}"
    raise MixtureError(
        f"document {name} is to be drawn, and nobody knows what to cut in it: its '{column}' "
        f"labels are null (its annotator died on it); add `{column} is not null` to `where`"
    )


def _flat(column: pa.ChunkedArray, name: str, stage: Stage) -> tuple[_Ints, _Ints, _Ints, _Ints]:
    """Rows, starts, ends and codes of the spans of one label column that the stage takes out."""
    lists = column.combine_chunks()
    flat = pc.list_flatten(lists)
    rows = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    codes = _codes(flat, name, stage)
    chosen = codes >= 0
    starts, ends = (
        pc.struct_field(flat, place).to_numpy().astype(np.int64, copy=False)[chosen]
        for place in ("start", "end")
    )
    return rows[chosen], starts, ends, codes[chosen]


def _codes(flat: pa.StructArray, name: str, stage: Stage) -> _Ints:
    """int64[num_spans]: position of each span's kind among the stage's; -1 where it stays."""
    if name == REDACTION_LABELS:
        kinds = pa.array(stage.redact, pa.string())
        code = pc.index_in(pc.struct_field(flat, "kind"), value_set=kinds)
        found: _Ints = code.fill_null(-1).to_numpy().astype(np.int64)
        return found
    (kind,) = _kinds_of(stage, name)
    taken = np.ones(len(flat), np.bool_)
    if kind == "contamination":
        taken = _flags(flat, "contaminated")
    if kind == "repeats":
        taken = ~_flags(flat, "first")
    return np.where(taken, len(stage.redact) + stage.cut.index(kind), -1).astype(np.int64)


def _flags(flat: pa.StructArray, name: str) -> _Bools:
    """bool[num_spans]; what is not known counts as contaminated, and as a first copy."""
    flags: _Bools = pc.struct_field(flat, name).fill_null(True).to_numpy(zero_copy_only=False)
    return flags


def _inside(rows: _Ints, starts: _Ints, ends: _Ints, is_redacted: _Bools) -> _Bools:
    """bool[num_spans]: redacted spans that lie inside one that is cut."""
    found = np.zeros(len(rows), np.bool_)
    if not is_redacted.any() or is_redacted.all():
        return found
    # Documents one after the other, so that a cut reaches no span of another document.
    shift = rows * (int(ends.max()) + 1)
    begins, stops = starts + shift, ends + shift
    order = np.lexsort((is_redacted, begins))  # cuts first where both begin
    reach = np.maximum.accumulate(np.where(is_redacted, -1, stops)[order])
    found[order] = is_redacted[order] & (reach >= stops[order])
    return found
