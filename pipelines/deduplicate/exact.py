"""Exact duplicates: rows that share a key form a cluster, and one of them represents it.

Two levels come of one shuffle: texts that are equal in their normalised form, or in their bytes
where that is all that is asked for, are collapsed, and within them those that are equal in their
bytes are found. Equal bytes have equal normalised forms, so both are decided in one partition.

Which row represents a cluster depends on the rows alone, never on the order in which they arrive:
a text of people before one that a model wrote, then the smallest document id, then the first place
(source, part, row). A row whose id the cluster has
had before is the same record met twice, and must never be drawn; a row with another id is a
duplicate, and the mixture decides.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ALONE: Final = "alone"
REPRESENTATIVE: Final = "representative"
DUPLICATE: Final = "duplicate"
REPEATED_RECORD: Final = "repeated_record"

BYTES: Final = "bytes"
TEXT: Final = "text"
URL: Final = "url"
NEAR: Final = "near"

KEY: Final = pa.binary(16)
MEMBER: Final = pa.schema(
    [
        pa.field("key", KEY, nullable=False),  # what copies share: `collapse_keys`
        pa.field("text_hash", KEY, nullable=False),
        pa.field("id", KEY, nullable=False),
        pa.field("source", pa.int32(), nullable=False),  # position of the source in the run
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("generated", pa.bool_(), nullable=False),  # a model wrote it
    ]
)
"""What is shuffled: 64 bytes a document, and a bit."""
MEMBER_BYTES: Final = 64

DECISION: Final = pa.schema(
    [
        pa.field("source", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("cluster", KEY, nullable=False),  # id of the representative
        pa.field("cluster_size", pa.int64(), nullable=False),  # rows, the representative included
        pa.field("duplicate_role", pa.string(), nullable=False),
        # With the representative; null where only the normalised forms are equal, for then it was
        # not measured, and where the level has no texts to compare.
        pa.field("jaccard", pa.float32()),
        # How a member was found: bytes | text | near; null for a representative.
        pa.field("level", pa.string()),
    ]
)
"""One row for each member of a cluster of two or more, by place."""

LABELS: Final = pa.schema(
    [
        pa.field("id", KEY, nullable=False),
        pa.field("cluster", KEY),  # null when alone
        pa.field("cluster_size", pa.int64(), nullable=False),
        pa.field("duplicate_role", pa.string(), nullable=False),
        # bytes | text: it equals another text of its cluster, and goes where that one goes; near:
        # it is similar to the representative. Null when alone, and for a representative.
        pa.field("duplicate_level", pa.string()),
        pa.field("jaccard", pa.float32()),  # with the representative; null when alone, and as above
    ]
)
"""The `duplicates` labels set."""


def _copies(level: str) -> pa.Schema:
    """Columns of the labels set of one level."""
    return pa.schema(
        [
            pa.field("id", KEY, nullable=False),
            pa.field(f"{level}_cluster", KEY),  # null when alone
            pa.field(f"{level}_cluster_size", pa.int64(), nullable=False),
            pa.field(f"{level}_role", pa.string(), nullable=False),
        ]
    )


LABEL_SCHEMAS: Final[dict[str, pa.Schema]] = {
    "same_bytes": _copies(BYTES),
    "same_text": _copies(TEXT),
    "same_url": _copies(URL),
    "duplicates": LABELS,
}
"""Of each labels set that deduplication writes."""

_ROLES: Final = pa.array([REPRESENTATIVE, DUPLICATE, REPEATED_RECORD])
_LEVELS: Final = pa.array([TEXT, BYTES])
_PLACE: Final = ("source", "part", "row")

Words = npt.NDArray[np.uint64]
"""Keys of 16 bytes as two words each, in the byte order in which they sort as bytes: `[n, 2]`."""


class Clusters(NamedTuple):
    """The members of all clusters of two or more, one cluster after the other, in order of
    priority.
    """

    members: npt.NDArray[np.int64]
    """Positions of the rows: `int64[num_members]`."""
    first: npt.NDArray[np.int64]
    """Where in `members` the representative of each stands: `int64[num_members]`."""
    size: npt.NDArray[np.int64]
    """Members of the cluster of each: `int64[num_members]`."""
    is_repeated: npt.NDArray[np.bool_]
    """Whether the cluster has had its id before: `bool[num_members]`."""


def collapse_column(collapse: str) -> str:
    """The column of `signatures` by which texts collapse, for `text` or `bytes`."""
    return "normal_hash" if collapse == TEXT else "text_hash"


def collapse_keys(signatures: pa.Table, collapse: str = TEXT) -> pa.FixedSizeBinaryArray:
    """What exact clusters and their partitions go by.

    Args:
        signatures: Columns `id` and `collapse_column(collapse)`.
        collapse: `text` for normalised forms, `bytes` for bytes.

    Returns:
        fixed_size_binary[16], one a row: the hash; where it is null, because the annotator failed,
        the id, so that such a text equals only its own record.
    """
    return _hashes(signatures, collapse_column(collapse))


def _hashes(signatures: pa.Table, column: str) -> pa.FixedSizeBinaryArray:
    hashes, ids = (signatures.column(name).combine_chunks().cast(KEY) for name in (column, "id"))
    return pc.coalesce(hashes, ids)


def partition_of(hashes: pa.FixedSizeBinaryArray, num_partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each hash, int64[n] in [0, num_partitions): equal hashes share one."""
    first = key_words(hashes)[:, 0]
    return (first % np.uint64(num_partitions)).astype(np.int64)


def members(
    signatures: pa.Table,
    source: int,
    part: int,
    collapse: str = TEXT,
    generated: pa.BooleanArray | None = None,
) -> pa.RecordBatch:
    """What one part sends into the shuffle.

    Args:
        signatures: Columns `id`, `text_hash` and `collapse_column(collapse)`.
        source: Position of the source in the run.
        part: Number of the part.
        collapse: As for `collapse_keys`.
        generated: bool[num_rows], whether a model wrote the text; None where people wrote all.
    """
    n = signatures.num_rows
    return pa.RecordBatch.from_arrays(
        [
            collapse_keys(signatures, collapse),
            _hashes(signatures, "text_hash"),
            signatures.column("id").combine_chunks().cast(KEY),
            pa.array(np.full(n, source, np.int32)),
            pa.array(np.full(n, part, np.int32)),
            pa.array(np.arange(n, dtype=np.int64)),
            pa.array(np.zeros(n, np.bool_)) if generated is None else generated,
        ],
        schema=MEMBER,
    )


def clusters_of(keys: Words, ids: Words, priority: Sequence[npt.NDArray[Any]]) -> Clusters:
    """Groups rows by key.

    Most keys of a corpus occur once, so only rows whose first word occurs twice are sorted by all
    that decides; and no step looks at pairs.

    Args:
        keys: What members share, `uint64[n, 2]`.
        ids: Of the documents, `uint64[n, 2]`.
        priority: Columns by which members are ordered, the last that counts first, as for
            `np.lexsort`: `int64[n]`, `uint64[n]` or `bool[n]` each.
    """
    word = keys[:, 0]
    by_word = np.argsort(word)
    same = np.r_[False, word[by_word[1:]] == word[by_word[:-1]]][: len(word)]  # as the one before
    some = by_word[same | np.r_[same[1:], False][: len(word)]]
    order = np.lexsort([*(column[some] for column in priority), keys[some, 1], keys[some, 0]])
    rows = some[order]
    starts = _starts(keys[rows])
    sizes = np.diff(np.r_[starts, len(rows)])
    several = np.repeat(sizes, sizes) > 1
    rows, size = rows[several], np.repeat(sizes, sizes)[several]
    kept = sizes[sizes > 1]
    first = np.repeat(np.cumsum(kept) - kept, kept)
    # By cluster and id, in order of priority: all but the first of a run were met before.
    ids = ids[rows]
    by_id = np.lexsort([ids[:, 1], ids[:, 0], first])  # stable
    named = np.column_stack([ids[by_id], first[by_id].astype(np.uint64)])
    is_repeated = np.ones(len(rows), bool)
    is_repeated[by_id[_starts(named)]] = False
    return Clusters(rows, first, size, is_repeated)


def _starts(rows: Words) -> npt.NDArray[np.int64]:
    """Positions at which a row differs from the one before."""
    changes = (rows[1:] != rows[:-1]).any(axis=1)
    return np.flatnonzero(np.r_[True, changes][: len(rows)])


def find_clusters(rows: pa.Table) -> pa.Table:
    """Decides about all rows of one partition, by `key`.

    Args:
        rows: MEMBER rows in any order, all rows of every key that occurs.

    Returns:
        DECISION rows of the clusters of two or more, sorted by source, part and row. Members whose
        bytes are those of the representative have level `bytes` and a jaccard of 1, others `text`.
    """
    table = rows.combine_chunks()
    found = _text_clusters(table, "key")
    hashes = key_words(table.column("text_hash"))[found.members]
    equal = (hashes == hashes[found.first]).all(axis=1)
    is_first = found.first == np.arange(len(equal))
    jaccard = pa.array(np.ones(len(equal), np.float32), mask=~equal)
    level = _LEVELS.take(pa.array(equal.astype(np.int64), mask=is_first))
    return decided(table, found, jaccard, level)


def find_byte_clusters(rows: pa.Table) -> pa.Table:
    """As `find_clusters` by `text_hash`: clusters within the clusters by `key`."""
    table = rows.combine_chunks()
    return decided(table, _text_clusters(table, "text_hash"))


def _text_clusters(table: pa.Table, key: str) -> Clusters:
    """What people wrote first, then by id, by bytes, which two rows with one id may not share, by
    place.
    """
    ids, hashes = key_words(table.column("id")), key_words(table.column("text_hash"))
    place = [table.column(name).to_numpy() for name in reversed(_PLACE)]
    generated = table.column("generated").to_numpy()
    priority = [*place, hashes[:, 1], hashes[:, 0], ids[:, 1], ids[:, 0], generated]
    return clusters_of(key_words(table.column(key)), ids, priority)


def decided(
    rows: pa.Table,
    found: Clusters,
    jaccard: pa.Array | None = None,
    level: pa.Array | None = None,
) -> pa.Table:
    """DECISION rows of clusters, by place.

    Args:
        rows: Columns `id`, `source`, `part` and `row`.
        found: Their clusters.
        jaccard: float32 of each member; null where None.
        level: string of each member; null where None.
    """
    n = len(found.members)
    taken = rows.select([*_PLACE, "id"]).take(pa.array(found.members))
    code = np.where(found.is_repeated, 2, 1)
    code[found.first == np.arange(n)] = 0
    table = pa.table(
        [
            *(taken.column(name) for name in _PLACE),
            taken.column("id").take(pa.array(found.first)),
            pa.array(found.size),
            _ROLES.take(pa.array(code)),
            pa.nulls(n, pa.float32()) if jaccard is None else jaccard,
            pa.nulls(n, pa.string()) if level is None else level,
        ],
        schema=DECISION,
    )
    order = np.lexsort([taken.column(name).to_numpy() for name in reversed(_PLACE)])
    return table.take(pa.array(order)).combine_chunks()


def labels_of(ids: pa.Array, decisions: pa.Table, labels: str = "duplicates") -> pa.RecordBatch:
    """The labels part of one documents part.

    Args:
        ids: Document ids of the part, in order.
        decisions: DECISION rows of this part, in any order.
        labels: Which labels set.

    Returns:
        Rows of `LABEL_SCHEMAS[labels]` aligned with `ids`.
    """
    n = len(ids)
    where = np.full(n, -1, np.int64)
    where[decisions.column("row").to_numpy()] = np.arange(decisions.num_rows)
    found = pa.array(where, mask=where < 0)
    picked = decisions.combine_chunks().take(found).combine_chunks()
    columns = {name: picked.column(name).combine_chunks() for name in DECISION.names}
    made = [
        ids,
        columns["cluster"],
        columns["cluster_size"].fill_null(1),
        columns["duplicate_role"].fill_null(ALONE),
    ]
    if labels == "duplicates":
        made += [columns["level"], columns["jaccard"]]
    return pa.RecordBatch.from_arrays(made, schema=LABEL_SCHEMAS[labels])


def key_words(keys: pa.Array | pa.ChunkedArray) -> Words:
    """The words of 16-byte keys."""
    array = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    data = np.frombuffer(array.buffers()[1], dtype=">u8")
    start = 2 * array.offset
    return data[start : start + 2 * len(array)].reshape(-1, 2).astype(np.uint64)
