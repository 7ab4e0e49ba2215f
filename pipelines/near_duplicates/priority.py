"""What beside length decides which text of a cluster stays: who wrote it, and how good it is.

Both are read by part, row-aligned. Provenance is a wide column that is the same in nearly all
documents, so the footer of a part is asked first whether a model wrote any of them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.stars import quality_of
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import open_part, read_batches
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

_DEPTH: Final = "provenance.depth"
_RECIPE: Final = "provenance.recipe"
_PROVENANCE: Final = ("kind", "recipe", "model", "parents")
_QUALITY: Final = ("quality_keep", "quality_score")
_ROWS: Final = 1 << 16


def has_generated(workspace: Workspace, near: NearPlan) -> bool:
    """Whether models wrote any of the documents, by the footers of their parts."""
    return any(
        may_be_generated(workspace.storage, entry.file("documents"))
        for source in near.sources
        for entry in workspace.ledger.entries(near.documents[source], source)
    )


def may_be_generated(storage: Storage, documents: FileRef) -> bool:
    """Whether some depth of a documents part is above 0, or nothing is known of it."""
    with open_part(storage, documents) as file:
        metadata = pq.ParquetFile(file).metadata
    paths = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if _DEPTH not in paths:
        return False
    column = paths.index(_DEPTH)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for statistics in (group.column(column).statistics for group in groups):
        if statistics is None:
            return True
        if statistics.num_values and not (statistics.has_min_max and statistics.max == 0):
            return True
    return False


def _may_have_recipe(storage: Storage, documents: FileRef) -> bool:
    """Whether some row of a documents part names a recipe, or nothing is known of it."""
    with open_part(storage, documents) as file:
        metadata = pq.ParquetFile(file).metadata
    paths = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if _RECIPE not in paths:
        return False
    column = paths.index(_RECIPE)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    found = (group.column(column).statistics for group in groups)
    return any(statistics is None or statistics.num_values for statistics in found)


def provenance_of(workspace: Workspace, near: NearPlan, key: PartKey) -> pa.StructArray | None:
    """Kind, recipe, model and parents of all rows of a part.

    None where people wrote all, and no recipe touched it.
    """
    entry = workspace.ledger.get(near.documents[key.source], key.source, key.part)
    ref, storage = entry.file("documents"), workspace.storage
    if not ref.rows or not (may_be_generated(storage, ref) or _may_have_recipe(storage, ref)):
        return None
    columns = [f"provenance.{name}" for name in _PROVENANCE]
    batches = read_batches(workspace.storage, ref, columns, batch_rows=_ROWS)
    return pa.concat_arrays([batch.column("provenance") for batch in batches])


def quality_of_part(
    workspace: Workspace, near: NearPlan, key: PartKey
) -> npt.NDArray[np.float32] | None:
    """The quality of each row of a part, float32[num_rows]; None where there are no such labels."""
    if near.quality is None or key.source not in near.quality:
        return None
    ref = workspace.ledger.get(near.quality[key.source], key.source, key.part).file("labels")
    with open_part(workspace.storage, ref) as file:
        names = pq.ParquetFile(file).schema_arrow.names
    columns = [name for name in _QUALITY if name in names]
    batches = read_batches(workspace.storage, ref, ["id", *columns], batch_rows=_ROWS)
    found = [quality_of(pa.Table.from_batches([batch])) for batch in batches]
    return np.concatenate([np.empty(0, np.float32), *found])
