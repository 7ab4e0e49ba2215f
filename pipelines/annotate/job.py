"""The annotate job: one read of a documents part, one row-aligned part for each labels set.

Equation: rows of each labels part = rows of its documents part, with the same ids in the same
order. A document that kills an annotator keeps its row, with null labels in the set of that
annotator, and is listed among the set's rejects with the reason. The other sets are as if the
annotator were not there: a set never depends on which others are made beside it.
"""

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from annotators.annotator import DOCUMENT_COLUMNS
from pipelines.annotate.compiling import WARM, are_uncompiled, compile_on_worker
from pipelines.annotate.registry import AnnotatorSpec
from pipelines.annotate.rows import FAILED, annotate_rows, labels_schema, null_row, seconds_of
from pipelines.annotate.values import SCORE_BINS, Values
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
from pipelines.workspace.schema import REJECT
from pipelines.workspace.workspace import Workspace

__all__ = ["SCORE_BINS", "AnnotateJob", "annotate_rows", "labels_schema"]

VERSION: Final = "1"
JOB: Final = "annotate"
_BATCH_ROWS: Final = 512
_BATCH_BYTES: Final = 2 << 20
_SECONDS_PER_BYTE: Final = 2 / (1 << 20)
"""What a long text may take beyond what any batch may: all annotators together take half a second a
MiB of what costs them most, addresses and numbers throughout, and a machine may be busy."""
_NAMES_IN_DOCUMENTS: Final = {"url": "uri"}
"""Document column of annotators -> of documents, where the names differ."""


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
            labels = [name for name in spec.annotator.inputs if name not in DOCUMENT_COLUMNS]
            inputs = sorted({_maker(self.specs, column) for column in labels})
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
        compile_on_worker(WARM, is_cold=are_uncompiled(pending))
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
                told = (rejects[spec], values[spec].to_json())
                self._commit(workspace, key, entry, sets[spec], files[spec], *told, watch)

    def _annotate(
        self,
        texts: Iterator[pa.RecordBatch],
        children: Children,
        files: dict[AnnotatorSpec, PartFile],
    ) -> tuple[dict[AnnotatorSpec, list[dict[str, Any]]], dict[AnnotatorSpec, Values]]:
        """Writes all rows; gives the rejects of each set, and the values of its labels."""
        specs = tuple(files)
        rejects: dict[AnnotatorSpec, list[dict[str, Any]]] = {spec: [] for spec in specs}
        values = {spec: Values() for spec in specs}
        for ids, made in _labelled(texts, children, specs):
            METER.add(JOB, len(ids))
            for spec, one in made.items():
                columns = one.labels.flatten()
                file = files[spec]
                file.write(pa.RecordBatch.from_arrays([ids, *columns], schema=file.schema))
                values[spec].add(one.labels, one.seconds)
                rejects[spec] += one.rejects
        return rejects, values

    def _commit(
        self,
        workspace: Workspace,
        key: PartKey,
        documents: Entry,
        generation: Generation,
        file: PartFile,
        rejects: list[dict[str, Any]],
        detail: dict[str, Any],
        watch: Stopwatch,
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


class _Made(NamedTuple):
    """Rows of one labels set."""

    labels: pa.StructArray
    rejects: list[dict[str, Any]]
    seconds: float
    """CPU time of the annotator."""


def _labelled(
    texts: Iterator[pa.RecordBatch], children: Children, specs: tuple[AnnotatorSpec, ...]
) -> Iterator[tuple[pa.Array, dict[AnnotatorSpec, _Made]]]:
    """Ids and labels of each batch, in order."""
    given: deque[pa.RecordBatch] = deque()

    def remembered() -> Iterator[pa.RecordBatch]:
        for batch in texts:
            given.append(batch)
            yield batch

    for labelled in _map(children, remembered(), specs):
        batch = given.popleft()
        seconds = seconds_of(labelled)
        made = {
            spec: _Made(labelled.column(name), [], seconds.get(name, 0.0))
            for spec in specs
            for name in (spec.annotator.name,)
        }
        failed = np.flatnonzero(labelled.column(FAILED).is_valid())
        for row in failed.tolist():
            _repair(children, batch.slice(row, 1), row, made)
        yield labelled.column("id"), made


def _map(
    children: Children, batches: Iterable[pa.RecordBatch], specs: tuple[AnnotatorSpec, ...]
) -> Iterator[pa.RecordBatch]:
    function = functools.partial(annotate_rows, specs=specs)
    return children.map(
        function,
        batches,
        functools.partial(null_row, specs=specs),
        extra_s=lambda batch: _SECONDS_PER_BYTE * max(0, batch.nbytes - _BATCH_BYTES),
    )


def _repair(
    children: Children, record: pa.RecordBatch, row: int, made: dict[AnnotatorSpec, _Made]
) -> None:
    """Labels a text that killed its children once more, each annotator by itself.

    So only the sets of annotators that die on the text have a null row, and those after them get
    null inputs.

    Args:
        children: To do it in.
        record: The one text with what is known of it.
        row: Its place in the rows of `made`.
        made: What is repaired, by annotators in their order.
    """
    for spec, before in made.items():
        (alone,) = _map(children, [record], (spec,))
        label = alone.column(spec.annotator.name)
        pieces = [before.labels.slice(0, row), label, before.labels.slice(row + 1)]
        seconds = before.seconds + seconds_of(alone).get(spec.annotator.name, 0.0)
        made[spec] = _Made(pa.concat_arrays(pieces), before.rejects + _rejects(alone), seconds)
        for field, column in zip(spec.annotator.columns, label.flatten(), strict=True):
            record = record.append_column(field.name, column)


def _rejects(labelled: pa.RecordBatch) -> list[dict[str, Any]]:
    rows = []
    for id_, failed in zip(labelled.column("id"), labelled.column(FAILED), strict=True):
        if failed.is_valid:
            reason, _, message = failed.as_py().partition("\n")
            row = {"id": id_.as_py(), "locator": {}, "reason": reason, "message": message}
            rows.append(row)
    return rows


def _maker(specs: Sequence[AnnotatorSpec], column: str) -> str:
    return next(s.annotator.name for s in specs if column in s.annotator.columns.names)


def _needed_columns(specs: Sequence[AnnotatorSpec], pending: Sequence[AnnotatorSpec]) -> set[str]:
    """What pending annotators take from documents and from sets that are committed already."""
    made_now = {name for spec in pending for name in spec.annotator.columns.names}
    return {name for spec in pending for name in spec.annotator.inputs} - made_now


def _with_labels(
    workspace: Workspace, documents: Entry, given: dict[AnnotatorSpec, Entry], needed: set[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of id, text and what else is needed, cut to the size a child gets.

    All annotators share this one read of the part.
    """
    labels: dict[str, pa.Array] = {}
    for spec, entry in given.items():
        columns = [name for name in spec.annotator.columns.names if name in needed]
        table = read_table(workspace.storage, entry.file("labels"), columns)
        labels |= {name: table.column(name).combine_chunks() for name in columns}
    start = 0
    file = documents.file("documents")
    further = {_NAMES_IN_DOCUMENTS.get(name, name): name for name in sorted(needed - set(labels))}
    columns = ["id", "text", *further]
    for batch in read_batches(workspace.storage, file, columns, batch_rows=_BATCH_ROWS):
        batch = batch.select(columns).rename_columns(["id", "text", *further.values()])
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
