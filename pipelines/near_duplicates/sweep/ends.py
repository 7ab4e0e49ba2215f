"""What a block needs to know of the texts that its pairs end in, and gets from where they stand.

Each block asks for every text of its pairs once, so a text that is similar to millions is asked for
once a block, not once a pair. The block that holds it commits one END row for every block that asks
and one for itself; by these a block knows which of its own texts are in pairs at all.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.deduplicate.exact import partition_of
from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.near import Places, parts_at, rows_at, source_and_part
from pipelines.near_duplicates.pairing import QUALITY_STEPS
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.sweep.blocks import blocks_of, pairs_of_block
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.workspace import Workspace

WANTED: Final = pa.schema(
    [
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("block", pa.int32(), nullable=False),  # that asks
    ]
)
"""A text of which a block wants to know."""
WANTED_BYTES: Final = 12

END: Final = pa.schema(
    [
        pa.field("block", pa.int32(), nullable=False),  # that asked
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("text", pa.int64(), nullable=False),  # its number
        pa.field("priority", pa.uint64(), nullable=False),
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("num_rows", pa.int64(), nullable=False),  # that equal it, itself included
        pa.field("partition", pa.int32(), nullable=False),  # of text hashes
    ]
)
"""What is said of it."""
END_BYTES: Final = 56

_ROWS: Final = 1 << 17  # 7 MB of ends
_QUALITY: Final = 32  # bits of the shingles below
_GENERATED: Final = 38
_MOST_QUALITY: Final = 2 * QUALITY_STEPS  # 40 < 2 ** 6
_MOST_SHINGLES: Final = np.uint64((1 << _QUALITY) - 1)


def priority_words(
    generated: npt.NDArray[np.bool_],
    quality: npt.NDArray[np.float32],
    num_shingles: npt.NDArray[np.int32],
) -> npt.NDArray[np.uint64]:
    """What of a text's priority stands before its id, in one word that ascends as priority falls.

    Args:
        generated: As `stars.priority_order` takes it, `bool[n]`.
        quality: Of `stars.quality_of`, in steps of a twentieth: `float32[n]` in [0, 2].
        num_shingles: `int32[n]`.

    Returns:
        `uint64[n]`.
    """
    worse = (_MOST_QUALITY - np.rint(quality.astype(np.float64) * QUALITY_STEPS)).astype(np.uint64)
    shorter = _MOST_SHINGLES - num_shingles.astype(np.uint64)
    found: npt.NDArray[np.uint64] = (
        generated.astype(np.uint64) << np.uint64(_GENERATED)
        | worse << np.uint64(_QUALITY)
        | shorter
    )
    return found


def wanted_by_block(workspace: Workspace, near: NearPlan, block: int) -> pa.RecordBatch:
    """WANTED rows of all texts in the similar pairs of a block, by place."""
    found = [np.empty(0, np.uint64)]
    for batch in pairs_of_block(workspace, near, block):
        ends = [batch.column(name).to_numpy() for name in COMPARED.names[:2]]
        found.append(np.unique(np.concatenate(ends)))
    places = np.unique(np.concatenate(found))
    asks = np.full(len(places), block, np.int32)
    return pa.record_batch([pa.array(places), pa.array(asks)], schema=WANTED)


def commit_ends(
    workspace: Workspace, near: NearPlan, block: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Commits what is said of the texts of one block, to each block that asks and to itself."""
    watch = Stopwatch()
    wanted = pa.Table.from_batches(batches, schema=WANTED)
    place, asks = (column.to_numpy() for column in wanted.columns)
    places = np.unique(place)
    is_other = asks != block
    place = np.concatenate([places, place[is_other]])
    asks = np.concatenate([np.full(len(places), block, np.int32), asks[is_other]])
    order = np.lexsort([place, asks])
    at = pa.array(np.searchsorted(places, place[order]))
    texts = _texts_of_block(workspace, near, block, places)
    columns = [pa.array(asks[order]), *(texts.column(name).take(at) for name in END.names[1:])]
    table = pa.table(columns, schema=END)
    ref = publish(workspace, table, "ends", f"clusters/{near.ends.name}", block)
    counts = {"texts": len(places), "ends": table.num_rows}
    key = PartKey(PARTITIONS, block)
    workspace.ledger.commit(entry_of(near.ends, key, files=(ref,), counts=counts, watch=watch))


def ends_of_block(workspace: Workspace, near: NearPlan, block: int) -> Iterator[pa.RecordBatch]:
    """END rows of the texts of a block, sorted by the block that asked."""
    ref = workspace.ledger.get(near.ends, PARTITIONS, block).file("ends")
    yield from read_batches(workspace.storage, ref, batch_rows=_ROWS)


def _texts_of_block(workspace: Workspace, near: NearPlan, block: int, places: Places) -> pa.Table:
    """What is said of these texts of a block, ascending: END without the block that asks."""
    schema = END.remove(0)
    tables = [schema.empty_table()]
    numbers = parts_at(places)
    for number, first, _, _ in blocks_of(workspace, near).parts_of(block):
        some = places[slice(*np.searchsorted(numbers, [number, number + 1]).tolist())]
        if not len(some):
            continue
        source, part = source_and_part(number)
        entry = workspace.ledger.get(near.texts, near.sources[source], part)
        texts = read_table(workspace.storage, entry.file("texts"))
        at = np.searchsorted(texts.column("row").to_numpy(), rows_at(some))
        found = texts.take(pa.array(at))
        assert (found.column("row").to_numpy() == rows_at(some)).all(), "pairs asked for them"
        measures = (found.column(c).to_numpy() for c in ("generated", "quality", "num_shingles"))
        partitions = partition_of(found.column("key").combine_chunks(), near.num_text_partitions)
        columns = [
            some,
            first + at,
            priority_words(*measures),
            found.column("id"),
            found.column("num_rows"),
            partitions.astype(np.int32),
        ]
        tables.append(pa.table(columns, schema=schema))
    return pa.concat_tables(tables).combine_chunks()
