"""The annotate job: one read of a documents part, one row-aligned part for each labels set.

Equation: rows of each labels part = rows of its documents part, with the same ids in the same
order. A document that kills its annotator keeps its row, with null labels, and is listed among the
job's rejects with the reason.
"""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.annotate.registry import AnnotatorSpec
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Entry, Stopwatch
from pipelines.workspace.parts import (
    PartFile,
    batch_of,
    labels_folder,
    read_batches,
    read_table,
    rejects_folder,
)
from pipelines.workspace.schema import DOCUMENT, REJECT
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "annotate"
_BATCH_ROWS: Final = 512
_BATCH_BYTES: Final = 2 << 20
_MAX_VALUES: Final = 256
SCORE_BINS: Final = 20
_FAILED: Final = "failed"  # reason and message of a row whose annotator died


@dataclass(frozen=True)
class AnnotateJob:
    """Annotates the documents of one source."""

    documents: Generation
    specs: tuple[AnnotatorSpec, ...]
    """Each after those whose labels it needs."""

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One a labels set."""
        made: dict[str, Generation] = {}
        for spec in self.specs:
            inputs = sorted({_maker(self.specs, column) for column in spec.annotator.inputs})
            payload = {
                "version": VERSION,
                "annotator": spec.identity,
                "inputs": [self.documents.full, *(made[name].full for name in inputs)],
            }
            name = spec.annotator.name
            made[name] = Generation(job=f"{JOB}.{name}", payload=payload)
        return tuple(made.values())

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Writes the labels sets that are not yet committed."""
        watch = Stopwatch()
        ledger = workspace.ledger
        entry = ledger.get(self.documents, key.source, key.part)
        sets = dict(zip(self.specs, self.generations, strict=True))
        held = {spec: ledger.find(sets[spec], key.source, key.part) for spec in self.specs}
        pending = tuple(spec for spec in self.specs if held[spec] is None)
        needed = _needed_columns(self.specs, pending)
        given = {s: e for s, e in held.items() if e and needed & set(s.annotator.columns.names)}
        texts = _with_labels(workspace, entry, given, needed)
        with ExitStack() as stack:
            files = {
                spec: stack.enter_context(PartFile(workspace.storage, labels_schema(spec)))
                for spec in pending
            }
            rejects, values = self._annotate(texts, children, files)
            for spec in pending:
                detail = values[spec].to_json()
                self._commit(workspace, key, entry, sets[spec], files[spec], rejects, watch, detail)

    def _annotate(
        self,
        texts: Iterator[pa.RecordBatch],
        children: Children,
        files: dict[AnnotatorSpec, PartFile],
    ) -> tuple[list[dict[str, Any]], dict[AnnotatorSpec, "_Values"]]:
        """Writes all rows; gives the rejects, and the values of each set's labels."""
        specs = tuple(files)
        function = functools.partial(annotate_rows, specs=specs)
        on_failure = functools.partial(_null_row, specs=specs)
        rejects: list[dict[str, Any]] = []
        values = {spec: _Values() for spec in specs}
        for labelled in children.map(function, texts, on_failure):
            METER.add(JOB, labelled.num_rows)
            ids = labelled.column("id")
            for spec, file in files.items():
                columns = labelled.column(spec.annotator.name).flatten()
                file.write(pa.RecordBatch.from_arrays([ids, *columns], schema=file.schema))
                values[spec].add(labelled.column(spec.annotator.name))
            rejects += _failed_rows(labelled)
        return rejects, values

    def _commit(
        self,
        workspace: Workspace,
        key: PartKey,
        documents: Entry,
        generation: Generation,
        file: PartFile,
        rejects: list[dict[str, Any]],
        watch: Stopwatch,
        detail: dict[str, Any],
    ) -> None:
        labels = generation.job.removeprefix(f"{JOB}.")
        folder = labels_folder(labels, generation.fp, key.source)
        files = [file.publish("labels", folder, key.part)]
        if rejects:
            with PartFile(workspace.storage, REJECT) as listed:
                listed.write(batch_of(rejects, REJECT))
                place = rejects_folder(generation.job, generation.fp, key.source)
                files.append(listed.publish("rejects", place, key.part))
        counts = {"documents": documents.counts["documents"], "rows": files[0].rows}
        counts["failed"] = len(rejects)
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=tuple(files),
                counts=counts,
                watch=watch,
                detail=detail,
                inputs=(documents.file("documents").path,),
            )
        )


class _Values:
    """What the labels of a part say in sum, for summaries and reports."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._histograms: dict[str, Counter[int]] = {}
        self._spans: dict[str, Counter[str]] = {}

    def add(self, labels: pa.StructArray) -> None:
        """Counts the columns of one labels set."""
        for field, column in zip(labels.type, labels.flatten(), strict=True):
            if pa.types.is_string(field.type) or pa.types.is_boolean(field.type):
                counts = self._counts.setdefault(field.name, Counter())
                for item in pc.value_counts(column.cast(pa.string())).to_pylist():
                    counts[item["values"] or ""] += item["counts"]
            elif pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                self._histograms.setdefault(field.name, Counter()).update(_bins(column))
            elif pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
                self._spans.setdefault(field.name, Counter()).update(_kinds(column))

    def to_json(self) -> dict[str, Any]:
        """As it stands in the detail of a ledger entry.

        Returns:
            `values`: text or boolean column -> value ("" for null) -> rows; a column with too many
            values is left out. `histograms`: number column -> bin -> rows; bin b of a count holds
            [2^b, 2^(b+1)) and bin -1 is 0; bin b of a score holds [b/20, (b+1)/20), 1 is in the
            last. `spans`: column of spans -> kind -> spans.
        """
        values = {
            name: dict(sorted(counts.items()))
            for name, counts in self._counts.items()
            if len(counts) <= _MAX_VALUES
        }
        histograms = {
            name: {str(number): bins[number] for number in sorted(bins)}
            for name, bins in self._histograms.items()
        }
        spans = {name: dict(sorted(counts.items())) for name, counts in self._spans.items()}
        return {"values": values, "histograms": histograms, "spans": spans}


def _bins(column: pa.Array) -> Counter[int]:
    """Rows by bin; nulls are left out."""
    numbers = column.drop_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        bins = np.where(numbers > 0, np.floor(np.log2(np.maximum(numbers, 1))), -1)
    else:
        bins = np.clip(np.floor(numbers * SCORE_BINS), 0, SCORE_BINS - 1)
    found, counts = np.unique(bins.astype(np.int64), return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def _kinds(column: pa.ListArray) -> Counter[str]:
    """Spans by the first text field of theirs (`kind` of PII, `benchmark` of quotations)."""
    spans = column.flatten()
    name = next((f.name for f in spans.type if pa.types.is_string(f.type)), None)
    if name is None:
        return Counter()
    counts = pc.value_counts(pc.struct_field(spans, name)).to_pylist()
    return Counter({item["values"] or "": item["counts"] for item in counts})


def labels_schema(spec: AnnotatorSpec) -> pa.Schema:
    """Columns of a labels part: `id`, then those of the annotator, all of which may be null."""
    columns = [field.with_nullable(True) for field in spec.annotator.columns]
    return pa.schema([DOCUMENT.field("id"), *columns])


def annotate_rows(batch: pa.RecordBatch, *, specs: tuple[AnnotatorSpec, ...]) -> pa.RecordBatch:
    """Labels of a batch, one struct column a labels set; runs in a child process.

    Args:
        batch: Columns `id`, `text` and the labels that the annotators need and others made before.
        specs: Each after those whose labels it needs.

    Returns:
        `id`, one struct column for each labels set, and `failed` (null).
    """
    known = {name: batch.column(name) for name in batch.schema.names}
    columns = {"id": known.pop("id")}
    texts = known.pop("text")
    for spec in specs:
        annotator = spec.annotator
        made = annotator(texts, {name: known[name] for name in annotator.inputs})
        if made.schema.names != annotator.columns.names or made.num_rows != batch.num_rows:
            raise ValueError(
                f"annotator {annotator.name} gave {made.num_rows} rows of {made.schema.names}; it "
                f"declares {annotator.columns.names} and was given {batch.num_rows} texts"
            )
        known |= {name: made.column(name) for name in made.schema.names}
        fields = list(labels_schema(spec))[1:]
        columns[annotator.name] = pa.StructArray.from_arrays(made.columns, fields=fields)
    columns[_FAILED] = pa.nulls(batch.num_rows, pa.string())
    return pa.RecordBatch.from_pydict(columns)


def _null_row(
    record: pa.RecordBatch, reason: str, message: str, *, specs: tuple[AnnotatorSpec, ...]
) -> pa.RecordBatch:
    columns = {"id": record.column("id")}
    for spec in specs:
        fields = list(labels_schema(spec))[1:]
        nulls = [pa.nulls(1, field.type) for field in fields]
        columns[spec.annotator.name] = pa.StructArray.from_arrays(nulls, fields=fields)
    columns[_FAILED] = pa.array([f"{reason}\n{message}"], pa.string())
    return pa.RecordBatch.from_pydict(columns)


def _failed_rows(labelled: pa.RecordBatch) -> list[dict[str, Any]]:
    rows = []
    for id_, failed in zip(labelled.column("id"), labelled.column(_FAILED), strict=True):
        if failed.is_valid:
            reason, _, message = failed.as_py().partition("\n")
            row = {"id": id_.as_py(), "locator": {}, "reason": reason, "message": message}
            rows.append(row)
    return rows


def _maker(specs: Sequence[AnnotatorSpec], column: str) -> str:
    return next(s.annotator.name for s in specs if column in s.annotator.columns.names)


def _needed_columns(specs: Sequence[AnnotatorSpec], pending: Sequence[AnnotatorSpec]) -> set[str]:
    """Labels that pending annotators take from sets that are committed already."""
    made_now = {name for spec in pending for name in spec.annotator.columns.names}
    return {name for spec in pending for name in spec.annotator.inputs} - made_now


def _with_labels(
    workspace: Workspace, documents: Entry, given: dict[AnnotatorSpec, Entry], needed: set[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of id, text and committed labels, cut to the size a child gets."""
    labels: dict[str, pa.Array] = {}
    for spec, entry in given.items():
        columns = [name for name in spec.annotator.columns.names if name in needed]
        table = read_table(workspace.storage, entry.file("labels"), columns)
        labels |= {name: table.column(name).combine_chunks() for name in columns}
    start = 0
    file = documents.file("documents")
    for batch in read_batches(workspace.storage, file, ["id", "text"], batch_rows=_BATCH_ROWS):
        for name, array in labels.items():
            batch = batch.append_column(name, array.slice(start, batch.num_rows))
        start += batch.num_rows
        yield from _cut(batch)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halves a batch until it is small enough or one row."""
    if batch.num_rows <= 1 or batch.nbytes <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _cut(batch.slice(0, half))
    yield from _cut(batch.slice(half))
