"""Clusters of near-duplicates, one group of components at a time, and committed by text hash.

A group reads its pairs and what it needs to know of its texts, 50 bytes each; what it decides goes
to the partitions in which the exact clusters of the same texts stand.

Equation: texts in similar pairs = alone + representatives + near-duplicates.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import ALONE, REPRESENTATIVE, key_words, partition_of
from pipelines.near_duplicates.components import pairs_of_group
from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.near import (
    Places,
    parts_at,
    rows_at,
    source_and_part,
    sources_and_parts,
)
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.stars import NEAR, NEAR_DUPLICATE, priority_order, stars_of
from pipelines.near_duplicates.texts import TEXT
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import read_batches
from pipelines.workspace.workspace import Workspace

NEAR_LEVEL: Final = "near"
DECIDED_BYTES: Final = 96
"""Of a NEAR row with its strings, about."""
_ROWS: Final = 1 << 16
_ROLES: Final = pa.array([ALONE, REPRESENTATIVE, NEAR_DUPLICATE])
ALONE_ROLE: Final = 0
HEAD_ROLE: Final = 1
NEAR_ROLE: Final = 2


def clusters_of_group(
    workspace: Workspace, near: NearPlan, group: int
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Clusters the texts of one group of components.

    Returns:
        NEAR rows of all its texts, by place, those that stay alone with that role; and the
        partition of each, int64[num_texts].
    """
    pairs = pa.Table.from_batches(pairs_of_group(workspace, near, group), schema=COMPARED)
    lower, higher, jaccard = (column.to_numpy() for column in pairs.columns)
    places = np.unique(np.concatenate([lower, higher]))
    texts = _texts_at(workspace, near, places)
    order = priority_order(
        texts.column("generated").to_numpy(),
        texts.column("quality").to_numpy(),
        texts.column("num_shingles").to_numpy(),
        key_words(texts.column("id")),
    )
    left, right = np.searchsorted(places, lower), np.searchsorted(places, higher)
    stars = stars_of(order, left, right, jaccard)
    head = stars.representative
    size = np.zeros(len(places), np.int64)
    np.add.at(size, head, texts.column("num_rows").to_numpy())
    is_head = head == np.arange(len(places))
    is_alone = is_head & (np.bincount(head, minlength=len(places)) == 1)
    role = np.where(is_alone, ALONE_ROLE, np.where(is_head, HEAD_ROLE, NEAR_ROLE))
    ids = texts.column("id").combine_chunks()
    heads = ids.take(pa.array(head))
    decided = decided_texts(places, ids, heads, size[head], role, stars.jaccard)
    keys = texts.column("key").combine_chunks()
    return decided, partition_of(keys, near.num_text_partitions)


def decided_texts(
    places: Places,
    ids: pa.FixedSizeBinaryArray,
    heads: pa.FixedSizeBinaryArray,
    sizes: npt.NDArray[np.int64],
    role: npt.NDArray[np.int64],
    jaccard: npt.NDArray[Any],
) -> pa.Table:
    """What became of some texts, as NEAR rows.

    Args:
        places: Of the texts, uint64[n].
        ids: Their own, as long.
        heads: Ids of their representatives, as long.
        sizes: Rows in the cluster of each, int64[n].
        role: `ALONE_ROLE`, `HEAD_ROLE` or `NEAR_ROLE`, int64[n].
        jaccard: With the representative, float[n].
    """
    source, part = sources_and_parts(parts_at(places))
    level = pa.array([None, None, NEAR_LEVEL], pa.string()).take(pa.array(role))
    columns = {
        "source": pa.array(source),
        "part": pa.array(part),
        "row": pa.array(rows_at(places)),
        "cluster": heads,
        "cluster_size": pa.array(sizes),
        "duplicate_role": _ROLES.take(pa.array(role)),
        "jaccard": pa.array(jaccard.astype(np.float32)),
        "level": level,
        "id": ids,
    }
    return pa.table([columns[name] for name in NEAR.names], schema=NEAR)


def _texts_at(workspace: Workspace, near: NearPlan, places: Places) -> pa.Table:
    """TEXT rows of these places, in their order."""
    numbers = parts_at(places)
    tables = [TEXT.empty_table()]
    firsts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]][: len(numbers)])
    for first, some in zip(firsts, np.split(places, firsts[1:]), strict=bool(len(places))):
        source, part = source_and_part(int(numbers[first]))
        entry = workspace.ledger.get(near.texts, near.sources[source], part)
        wanted = rows_at(some)
        for batch in read_batches(workspace.storage, entry.file("texts"), batch_rows=_ROWS):
            rows = batch.column("row").to_numpy()
            is_wanted = np.isin(rows, wanted, assume_unique=True)
            tables.append(pa.Table.from_batches([batch.filter(pa.array(is_wanted))]))
    found = pa.concat_tables(tables).combine_chunks()
    assert found.num_rows == len(places), "every text in a pair was asked for"
    return found


def commit_clusters(
    workspace: Workspace, near: NearPlan, partition: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Commits the clusters of one partition of text hashes."""
    watch = Stopwatch()
    decided = pa.Table.from_batches(batches, schema=NEAR)
    order = [("source", "ascending"), ("part", "ascending"), ("row", "ascending")]
    is_alone = pc.equal(decided.column("duplicate_role"), ALONE)
    table = decided.filter(pc.invert(is_alone)).sort_by(order)
    ref = publish(workspace, table, "near", f"clusters/{near.stars.name}", partition)
    counts = {
        "texts_in_pairs": decided.num_rows,
        "alone": decided.num_rows - table.num_rows,
    }
    for name in (REPRESENTATIVE, NEAR_DUPLICATE):
        counts[name] = pc.sum(pc.equal(table.column("duplicate_role"), name)).as_py() or 0
    key = PartKey(PARTITIONS, partition)
    workspace.ledger.commit(entry_of(near.stars, key, files=(ref,), counts=counts, watch=watch))
