"""Joins what was decided about exact copies with what was decided about distinct texts."""

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import BYTES, DECISION, REPRESENTATIVE


def merge_near(decisions: pa.Table, near: pa.Table) -> pa.Table:
    """Joins what was decided about exact copies and about distinct texts.

    Args:
        decisions: DECISION rows of exact clusters, of some parts.
        near: NEAR rows of the same parts and of all texts that `decisions` name as representative.
            Those of other parts are needed for their copies and are not given themselves.

    Returns:
        DECISION rows: copies go with the text that they equal, and keep the level at which they do;
        the jaccard of copies of its bytes is that of the text, and of other copies it is not known.
        Rows of `near` without exact copies are added, also those of other parts.
    """
    found = pc.index_in(decisions.column("cluster"), value_set=near.column("id"))
    is_near = pc.is_valid(found)
    taken = near.take(found.combine_chunks())
    role = decisions.column("duplicate_role")
    was_representative = pc.equal(role, REPRESENTATIVE)
    columns = {name: decisions.column(name) for name in decisions.schema.names}
    for name in ("cluster", "cluster_size"):
        columns[name] = pc.if_else(is_near, taken.column(name), columns[name])
    same_bytes = pc.fill_null(pc.equal(columns["level"], BYTES), was_representative)
    columns["jaccard"] = pc.if_else(
        pc.and_(is_near, same_bytes), taken.column("jaccard"), columns["jaccard"]
    )
    itself = pc.and_(is_near, was_representative)
    for name in ("duplicate_role", "level"):
        columns[name] = pc.if_else(itself, taken.column(name), columns[name])
    had_copies = pc.is_in(near.column("id"), value_set=_distinct(decisions.column("cluster")))
    alone = near.filter(pc.invert(had_copies)).select(DECISION.names)
    joined = pa.table(columns).cast(DECISION)
    return pa.concat_tables([joined, alone.cast(DECISION)])


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    values = column.unique()
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
