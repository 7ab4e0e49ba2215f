"""Which problems may not leave a workspace in a set, by the labels of the documents made of them.

A problem and its document carry each other's name (`meta.problem` is the id of the problem), so
what was found of the document holds for the problem: a quoted benchmark, a held-out text, an
address that was taken down. A problem without a document was never labelled; its seed was, before
anything was asked.
"""

from typing import Final

import pyarrow as pa

from pipelines.mix.judge import SPLIT, TRAIN
from pipelines.run_record import RunRecord
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import TAKEN_DOWN
from pipelines.workspace.workspace import Workspace

CONTAMINATED: Final = "contaminated"
HELD_OUT: Final = "held_out"
NOT_LABELLED: Final = "not_labelled"
_PROBLEM: Final = "problem"


def excluded_problems(workspace: Workspace, record: RunRecord) -> dict[bytes, str]:
    """Id of a problem -> why it may not be exported.

    Args:
        workspace: Where the documents and labels are.
        record: Of the run that made them.
    """
    found: dict[bytes, str] = {}
    for source, generation in record.synthesize.items():
        labels = {
            CONTAMINATED: (record.annotate.get(source, {}).get("contamination"), CONTAMINATED),
            HELD_OUT: (record.validation, SPLIT),
            TAKEN_DOWN: (record.labels.get("takedown"), TAKEN_DOWN),
        }
        for entry in workspace.ledger.entries(generation, source):
            table = read_table(workspace.storage, entry.file("documents"), ["meta"])
            problems = [dict(meta or ()).get(_PROBLEM) for meta in table.column(0).to_pylist()]
            if not any(problems):
                continue
            for reason, (name, column) in labels.items():
                if not name:
                    continue
                made = workspace.ledger.get(name, source, entry.part)
                ref = made.file("labels")
                values = read_table(workspace.storage, ref, [column]).column(0)
                for problem, why in zip(problems, _reasons(values, reason), strict=True):
                    if problem and why:
                        found.setdefault(bytes.fromhex(problem), why)
    return found


def _reasons(values: pa.ChunkedArray, reason: str) -> list[str | None]:
    """Why each document is out; None where it is not."""
    if reason == HELD_OUT:
        told = [None if v is None else v != TRAIN for v in values.to_pylist()]
    else:
        told = values.to_pylist()
    return [NOT_LABELLED if v is None else reason if v else None for v in told]
