"""The labels set `superseded`: documents of which a better form stands beside them.

A refined document (and one in fill-in-the-middle form) is a row of its own in `<source>.<item>`,
and a mixture must take one of the two: planning sets aside what this set marks whatever a mixture
says (`pipelines.mix.judge`). Refining that failed leaves no document, so the raw one stays. The set
is made where something is refined, over all sources.

Equations: documents = rows; rows = superseded + standing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, labels_folder, read_batches, read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import SUPERSEDED
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "superseded"
STANDING: Final = "standing"
LABELS: Final = pa.schema(
    [pa.field("id", ID, nullable=False), pa.field(SUPERSEDED, pa.bool_(), nullable=False)]
)


@dataclass(frozen=True)
class SupersededJob:
    """Marks the documents of a part that were refined."""

    documents: Mapping[str, str]
    """Source -> generation of its documents."""
    refined: Mapping[str, str]
    """Source -> source of its better forms, whose part n is made of part n."""

    @property
    def generation(self) -> Generation:
        """One over all sources."""
        payload = {
            "version": VERSION,
            "documents": dict(sorted(self.documents.items())),
            "refined": dict(sorted(self.refined.items())),
        }
        return Generation(job=JOB, payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the labels of one part."""
        watch, storage, generation = Stopwatch(), workspace.storage, self.generation
        made = workspace.ledger.get(self.documents[key.source], key.source, key.part)
        ref = made.file("documents")
        ids = read_table(storage, ref, ["id"]).column("id").combine_chunks()
        better = superseded_ids(workspace, self.documents, self.refined, key.source, key.part)
        marks = pc.is_in(ids, value_set=better)
        with PartFile(storage, LABELS) as file:
            file.write(pa.RecordBatch.from_arrays([ids, marks], schema=LABELS))
            labels = file.publish("labels", labels_folder(JOB, generation.fp, key.source), key.part)
        METER.add(JOB, len(ids))
        marked = marks.true_count
        counts = {
            "documents": made.counts["documents"],
            "rows": labels.rows,
            SUPERSEDED: marked,
            STANDING: labels.rows - marked,
        }
        entry = entry_of(
            generation, key, files=(labels,), counts=counts, watch=watch, inputs=(ref.path,)
        )
        workspace.ledger.commit(entry)


def superseded_ids(
    workspace: Workspace,
    documents: Mapping[str, str],
    refined: Mapping[str, str],
    source: str,
    part: int,
) -> pa.Array:
    """Ids of the documents of a part of which a better form was made.

    Args:
        workspace: Where they are.
        documents: Source -> generation of its documents.
        refined: Source -> source of its better forms.
        source: Of the part.
        part: Its number.

    Returns:
        fixed_size_binary[16].
    """
    better = refined.get(source)
    if better is None:
        return pa.array([], ID)
    made = workspace.ledger.get(documents[better], better, part)
    batches = read_batches(workspace.storage, made.file("documents"), ["provenance.parents"])
    parents = [pc.struct_field(batch.column("provenance"), "parents") for batch in batches]
    return pa.concat_arrays([pa.array([], ID), *(pc.list_flatten(one).cast(ID) for one in parents)])
