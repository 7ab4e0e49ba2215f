"""The tally job: what each stage of a mixture makes of the documents of one part.

Reads labels and small document columns, never text. Equation: documents judged = eligible + not
eligible, with the reasons in the entry's detail.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.expressions import ELIGIBLE, NUM_TOKENS, Selection, select
from mixtures.spec import REDACTION_LABELS, Mixture, Stage
from mixtures.tallies import TALLY, tally
from pipelines.deduplicate.exact import REPEATED_RECORD
from pipelines.mix.pins import Pins, label_table
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "tally"
NOT_LABELLED: Final = "not_labelled"  # an annotator died on it; see the rejects of `annotate`

STAGE_TALLY: Final = TALLY.insert(0, pa.field("stage", pa.string(), nullable=False))


@dataclass(frozen=True, slots=True)
class Judged:
    """A stage's selection over the documents of a part that may be drawn at all."""

    rows: npt.NDArray[np.int64]
    """int64[m]: their rows in the part, ascending."""
    labels: pa.Table
    """Labels of those rows."""
    selection: Selection
    """Over those rows."""
    reasons: Counter[str]
    """All documents of the part by what became of them."""


def judge(stage: Stage, labels: pa.Table) -> Judged:
    """Applies a stage to all labels of a part.

    A record met twice, and a document whose labels are missing because its annotator died, are out
    whatever `where` says.
    """
    repeated = pc.equal(labels.column("duplicate_role"), REPEATED_RECORD)
    missing = pc.is_null(labels.column(NUM_TOKENS))
    if stage.redact:  # what was not looked at must not pass uncut
        missing = pc.or_(missing, pc.is_null(labels.column(REDACTION_LABELS)))
    unlabelled = pc.and_(missing, pc.invert(repeated))
    usable = pc.invert(pc.or_(repeated, unlabelled))
    rows = np.flatnonzero(usable.to_numpy()).astype(np.int64)
    kept = labels.filter(usable)
    selection = select(stage, kept)
    reasons = Counter(selection.counts())
    reasons[REPEATED_RECORD] = pc.sum(repeated).as_py() or 0
    reasons[NOT_LABELLED] = pc.sum(unlabelled).as_py() or 0
    return Judged(rows, kept, selection, reasons)


@dataclass(frozen=True)
class TallyJob:
    """Tallies the parts of all sources for one mixture."""

    mixture: Mixture
    pins: Pins

    @property
    def generation(self) -> Generation:
        """One a mixture and set of pins."""
        payload = {
            "version": VERSION,
            "mixture": self.mixture.fingerprint_payload(),
            "pins": self.pins.to_json(),
        }
        return Generation(job=f"{JOB}.{self.mixture.name}", payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the tally of one part."""
        watch, generation = Stopwatch(), self.generation
        labels = label_table(workspace, self.pins, key)
        tables, detail = [], {}
        for stage in self.mixture.stages:
            judged = judge(stage, labels)
            num_tokens = judged.labels.column(NUM_TOKENS).to_numpy()
            table = tally(judged.selection, num_tokens)
            names = pa.array([stage.name] * table.num_rows, pa.string())
            tables.append(table.add_column(0, STAGE_TALLY.field("stage"), names))
            detail[stage.name] = dict(judged.reasons)
        with PartFile(workspace.storage, STAGE_TALLY) as file:
            for batch in pa.concat_tables(tables).cast(STAGE_TALLY).to_batches():
                file.write(batch)
            folder = f"mixtures/{self.mixture.name}@{generation.fp}/tally/{key.source}"
            ref = file.publish("tally", folder, key.part)
        METER.add(JOB, labels.num_rows)
        judged_rows = labels.num_rows * len(self.mixture.stages)
        eligible = sum(reasons[ELIGIBLE] for reasons in detail.values())
        not_eligible = sum(sum(reasons.values()) for reasons in detail.values()) - eligible
        counts = {"judged": judged_rows, "eligible": eligible, "not_eligible": not_eligible}
        documents = workspace.ledger.get(
            self.pins.sources[key.source].documents, key.source, key.part
        )
        workspace.ledger.commit(
            entry_of(
                generation,
                key,
                files=(ref,),
                counts=counts,
                watch=watch,
                detail=detail,
                inputs=(documents.file("documents").path,),
            )
        )
