"""Which texts a model wrote: of two equal texts that of people represents.

Else a copy that a model made of a text could stand for it, by the chance of its id, and the cap
that mixtures set on synthetic texts would count a text that people wrote.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.near_duplicates.priority import may_be_generated
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_batches
from pipelines.workspace.workspace import Workspace

_DEPTH: Final = "provenance.depth"
_ROWS: Final = 1 << 16


def generated(workspace: Workspace, documents: Generation, key: PartKey) -> pa.BooleanArray | None:
    """Whether a model wrote each text of a part: it is one generation or more from people.

    Args:
        workspace: Where the documents are.
        documents: Their generation.
        key: The part.

    Returns:
        bool[num_rows]; None where the footer of the part says that people wrote all, and nothing
        else of it is read.
    """
    ref = workspace.ledger.get(documents, key.source, key.part).file("documents")
    if not may_be_generated(workspace.storage, ref):
        return None
    batches = read_batches(workspace.storage, ref, [_DEPTH], batch_rows=_ROWS)
    depths = [pc.struct_field(batch.column("provenance"), "depth") for batch in batches]
    by_models = pc.greater(pa.chunked_array(depths, pa.int32()), 0)
    return pc.fill_null(by_models, False).combine_chunks()
