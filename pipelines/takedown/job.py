"""The labels set `takedown`: which documents were taken down, by address, host, id or origin.

It is made where a workspace has takedowns, over all sources, and made anew when there are more: the
takedowns enter its generation. Planning sets aside what it marks whatever a mixture says
(`pipelines.mix.judge`). Only addresses and ids are read, never texts.

Equations: documents = rows; rows = taken down + kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from pipelines.workspace.children import Children, Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartJob, PartKey, entry_of, pending_keys
from pipelines.workspace.ledger import Entry, Stopwatch
from pipelines.workspace.parts import PartFile, labels_folder, read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import (
    TAKEN_DOWN,
    Takedown,
    Takedowns,
    erased_ids,
    read_takedowns,
)
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "takedown"
LABELS: Final = pa.schema(
    [pa.field("id", ID, nullable=False), pa.field(TAKEN_DOWN, pa.bool_(), nullable=False)]
)
_ID: Final = "id"
_SYNTHESIZE: Final = "synthesize@"


@dataclass(frozen=True)
class TakedownJob:
    """Labels the documents of a part by their addresses."""

    documents: Mapping[str, str]
    """Source -> `extract@fp` or `synthesize@fp`."""
    entries: tuple[str, ...]
    """What was taken down, in the form that is compared."""
    ids: tuple[str, ...] = ()
    """Documents that were, in hexadecimal digits."""

    @property
    def takedowns(self) -> Takedowns:
        """What is forgotten."""
        return Takedowns((Takedown(entries=self.entries, reason="", at="", ids=self.ids),))

    @property
    def generation(self) -> Generation:
        """One over all sources."""
        payload = {
            "version": VERSION,
            "documents": dict(sorted(self.documents.items())),
            "takedowns": self.takedowns.fingerprint,
        }
        return Generation(job=JOB, payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the labels of one part."""
        watch, storage, generation = Stopwatch(), workspace.storage, self.generation
        documents = workspace.ledger.get(self.documents[key.source], key.source, key.part)
        ref = documents.file("documents")
        table = read_table(storage, ref, _origins(self.documents[key.source]))
        takedowns = replace(self.takedowns, erased=erased_ids(storage))
        marks = takedowns.cover_documents(table)
        columns = [table.column(_ID).combine_chunks(), marks]
        with PartFile(storage, LABELS) as file:
            file.write(pa.RecordBatch.from_arrays(columns, schema=LABELS))
            folder = labels_folder(JOB, generation.fp, key.source)
            labels = file.publish("labels", folder, key.part)
        METER.add(JOB, table.num_rows)
        marked = marks.true_count
        counts = {
            "documents": documents.counts["documents"],
            "rows": labels.rows,
            TAKEN_DOWN: marked,
            "kept": labels.rows - marked,
        }
        entry = entry_of(
            generation, key, files=(labels,), counts=counts, watch=watch, inputs=(ref.path,)
        )
        workspace.ledger.commit(entry)


def takedown_job(workspace: Workspace, documents: Mapping[str, str]) -> TakedownJob | None:
    """The job that labels what was taken down; None where nothing was.

    Args:
        workspace: Whose takedowns count.
        documents: Source -> `extract@fp`.
    """
    found = read_takedowns(workspace.storage)
    if found.is_empty and not len(found.erased):
        return None
    ids = tuple(id_.hex() for id_ in found.ids.to_pylist())
    return TakedownJob(dict(documents), tuple(found.keys.to_pylist()), ids)


def label_here(workspace: Workspace, job: TakedownJob, parts: Mapping[str, Sequence[int]]) -> None:
    """Makes in this process what labels are missing; for commands that plan without a run."""
    keys = [PartKey(source, part) for source in sorted(parts) for part in parts[source]]
    jobs: dict[str, PartJob] = dict.fromkeys(job.documents, job)
    pending = pending_keys(workspace, jobs, keys)
    workspace.ledger.declare(job.generation)
    nobody = Children(Limits(processes=1))  # no child is started: nothing here can crash
    for key in pending:
        job.run(workspace, key, nobody)
    if pending:
        workspace.ledger.fold(job.generation, {(key.source, key.part) for key in pending})


def _origins(generation: str) -> list[str]:
    """Columns of documents that tell their origin: made ones go back to others."""
    made = ["meta", "provenance.parents"] if generation.startswith(_SYNTHESIZE) else []
    return [_ID, "uri", *made]


def takedown_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Recounts one entry; gives faults. Labels of fewer takedowns are only counted."""
    labels = read_table(workspace.storage, entry.file("labels"))
    marked = labels.column(TAKEN_DOWN).combine_chunks()
    name = f"{entry.job}@{entry.fp} {entry.source} part {entry.part}"
    if marked.true_count != entry.counts[TAKEN_DOWN]:
        yield (
            f"{name}: {marked.true_count} are marked in {entry.file('labels').path}, and the "
            f"ledger says {entry.counts[TAKEN_DOWN]}"
        )
    takedowns = read_takedowns(workspace.storage)
    labelled = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["takedowns"]
    (documents,) = entry.inputs
    ref = next(
        ref
        for made in workspace.ledger.entries(_extract_of(workspace, entry), entry.source)
        for ref in made.files
        if ref.path == documents
    )
    table = read_table(workspace.storage, ref, _origins(_extract_of(workspace, entry)))
    covered = takedowns.cover_documents(table)
    if labelled == takedowns.fingerprint and not covered.equals(marked):
        yield f"{name}: what it marks is not what was taken down"


def _extract_of(workspace: Workspace, entry: Entry) -> str:
    documents: Mapping[str, str] = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["documents"]
    return documents[entry.source]
