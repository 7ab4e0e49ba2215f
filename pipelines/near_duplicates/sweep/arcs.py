"""Similar pairs as arcs, from the text of higher priority to the other, sorted by its priority.

An arc says all that is needed once it is decided about: the id that names a cluster, and of the
text that would join it, its place, id, copies and partition. Every text in a pair has an arc to
itself too, so that each is decided about by exactly one arc, also one that nothing joins.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.deduplicate.exact import key_words
from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.sweep.blocks import blocks_of, pairs_of_block
from pipelines.near_duplicates.sweep.ends import END
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.workspace import Workspace

ARC: Final = pa.schema(
    [
        pa.field("priority", pa.uint64(), nullable=False),  # of the text that it comes from
        pa.field("head", pa.binary(16), nullable=False),  # its id
        pa.field("text", pa.int64(), nullable=False),  # its number
        pa.field("other", pa.int64(), nullable=False),  # number of the text that it goes to
        pa.field("place", pa.uint64(), nullable=False),  # of that one, and what follows
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("num_rows", pa.int64(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("jaccard", pa.float32(), nullable=False),  # of both
    ]
)
ARC_BYTES: Final = 80
KEY: Final = pa.schema([ARC.field(name) for name in ("priority", "head", "text", "other")])
"""By which arcs sort: the order of `stars.priority_order`, with the number of the text for its
place, and then the number of the other text. No two arcs have the same."""
_SAMPLED: Final = 1 << 12
"""One arc in so many is looked at where runs are cut: 40 bytes a key, 0.3 GB for 26 billion."""

Keys = npt.NDArray[np.uint64]
"""Keys of arcs in words, uint64[n, 5], which sort as the keys do."""


def keys_of(arcs: pa.Table | pa.RecordBatch) -> Keys:
    """The keys of some arcs."""
    priority, text, other = (arcs.column(c).to_numpy() for c in ("priority", "text", "other"))
    head = key_words(arcs.column("head")).reshape(-1, 2)
    words = [priority, head[:, 0], head[:, 1], text.view(np.uint64), other.view(np.uint64)]
    return np.stack(words, axis=1)


def order_of(keys: Keys) -> npt.NDArray[np.int64]:
    """Positions of keys in ascending order."""
    return np.lexsort(keys.T[::-1])


def make_arcs(ends: pa.Table, pairs: pa.Table, is_own: npt.NDArray[np.bool_]) -> pa.Table:
    """Makes the arcs of some pairs, and those of some texts to themselves.

    Args:
        ends: END rows of all texts of the pairs, by place.
        pairs: COMPARED rows.
        is_own: Of which texts an arc to themselves is wanted, `bool[num_ends]`.

    Returns:
        ARC rows, sorted by their keys.
    """
    places, texts = ends.column("place").to_numpy(), ends.column("text").to_numpy()
    ids = key_words(ends.column("id"))
    order = np.lexsort([texts, ids[:, 1], ids[:, 0], ends.column("priority").to_numpy()])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    lower, higher = (
        np.searchsorted(places, pairs.column(c).to_numpy()) for c in COMPARED.names[:2]
    )
    is_first = rank[lower] < rank[higher]
    own = np.flatnonzero(is_own)
    tail = np.concatenate([own, np.where(is_first, lower, higher)])
    tip = np.concatenate([own, np.where(is_first, higher, lower)])
    jaccard = np.ones(len(tail), np.float32)
    jaccard[len(own) :] = pairs.column("jaccard").to_numpy()
    # Both in one word: ranks and positions of the texts of a block take 32 bits at the most.
    by_key = np.argsort(rank[tail] << 32 | tip)
    from_, to = pa.array(tail[by_key]), pa.array(tip[by_key])
    columns = [
        ends.column("priority").take(from_),
        ends.column("id").take(from_),
        ends.column("text").take(from_),
        ends.column("text").take(to),
        *(ends.column(name).take(to) for name in ("place", "id", "num_rows", "partition")),
        pa.array(jaccard[by_key]),
    ]
    return pa.table(columns, schema=ARC)


def positions_of_sample(block: int, num_arcs: int) -> npt.NDArray[np.int64]:
    """Which of the sorted arcs of a block are looked at where runs are cut.

    One in `_SAMPLED`, from a position on that a hash of the block's number says. Were it the first
    in all blocks, those of equal distribution would look at the same quantiles, and none could tell
    what is between.

    Args:
        block: Number of the block.
        num_arcs: How many it has.

    Returns:
        Positions, ascending; none where a small block has fewer arcs than stand before its first.
    """
    digest = hashlib.blake2b(b"%d" % block, digest_size=8).digest()
    return np.arange(int.from_bytes(digest, "little") % _SAMPLED, num_arcs, _SAMPLED)


def commit_arcs(
    workspace: Workspace, near: NearPlan, block: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Commits the arcs of the pairs and texts of one block, and a sample of their keys."""
    watch = Stopwatch()
    ends = pa.Table.from_batches(batches, schema=END).sort_by("place").combine_chunks()
    pairs = pa.Table.from_batches(pairs_of_block(workspace, near, block), schema=COMPARED)
    is_own = blocks_of(workspace, near).of(ends.column("place").to_numpy()) == block
    arcs = make_arcs(ends, pairs, is_own)
    sample = arcs.select(KEY.names).take(pa.array(positions_of_sample(block, arcs.num_rows)))
    folder = f"clusters/{near.arcs.name}"
    files = (
        publish(workspace, arcs, "arcs", folder, block),
        publish(workspace, sample, "sample", f"{folder}/samples", block),
    )
    counts = {
        "arcs": arcs.num_rows,
        "texts": int(is_own.sum()),
        "pairs": pairs.num_rows,
        "sampled": sample.num_rows,
    }
    key = PartKey(PARTITIONS, block)
    workspace.ledger.commit(entry_of(near.arcs, key, files=files, counts=counts, watch=watch))
