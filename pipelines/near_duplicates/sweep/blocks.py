"""Which parts a worker of the sweep takes together, and which number a text has.

The texts of a pair stand in any two parts, and at a million parts hardly two pairs in the same two.
So consecutive parts form blocks of about two million pairs and texts, and what is sent goes from
block to block. The pairs of a part that has more go to several blocks, of which the first has its
texts. A text that is in some pair has a number: those in earlier parts, and those before
it in its own. Numbers sort as places do and have no gaps, so they are positions in a bit array.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.near_duplicates.components import similar_of_part
from pipelines.near_duplicates.known import publish
from pipelines.near_duplicates.near import Places, number_of_part, parts_at, source_and_part
from pipelines.near_duplicates.plan import NearPlan
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Entry, Stopwatch
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

_BLOCK_ROWS: Final = 2 << 20
"""Similar pairs and texts of a block, about: 1 GB of memory (docs/scale.md)."""
_Numbers = npt.NDArray[np.int64]
_PART: Final = pa.schema(
    [
        pa.field("part", pa.int64(), nullable=False),  # of `near.parts_at`
        pa.field("first", pa.int64(), nullable=False),  # number of its first text
        pa.field("block", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # first of its similar pairs in the block
        pa.field("end", pa.int64(), nullable=False),  # one behind the last
    ]
)


@dataclass(frozen=True)
class Blocks:
    """The parts that have texts in pairs, in the order of places, int64[n] each."""

    part: _Numbers
    """As `near.parts_at` numbers them, ascending; again for each block that has pairs of it."""
    first: _Numbers
    """Number of the first text of each."""
    block: _Numbers
    """Of each, ascending."""
    start: _Numbers
    """First of the similar pairs of the part that are in the block."""
    end: _Numbers
    """The one behind the last."""

    def of(self, places: Places) -> _Numbers:
        """The block that has each text, int64[n]."""
        return self.block[np.searchsorted(self.part, parts_at(places))]

    def parts_of(self, block: int) -> Iterator[tuple[int, int, int, int]]:
        """(part, number of its first text, start and end of the pairs) of a block."""
        some = slice(*np.searchsorted(self.block, [block, block + 1]).tolist())
        columns = (self.part, self.first, self.start, self.end)
        yield from zip(*(column[some].tolist() for column in columns), strict=True)


def commit_blocks(workspace: Workspace, near: NearPlan) -> None:
    """Commits the blocks of all parts."""
    watch, key = Stopwatch(), PartKey(PARTITIONS, 0)
    if workspace.ledger.find(near.blocks, key.source, key.part) is not None:
        return
    texts = _by_part(near, workspace.ledger.entries(near.texts), "texts")
    pairs = _by_part(near, workspace.ledger.entries(near.pairs), "similar")
    parts = np.array(sorted(part for part, number in texts.items() if number), np.int64)
    num_texts = np.array([texts[part] for part in parts.tolist()], np.int64)
    num_pairs = np.array([pairs[part] for part in parts.tolist()], np.int64)
    at, block, start, end = number_blocks(num_texts, num_pairs, _BLOCK_ROWS)
    first = np.cumsum(num_texts) - num_texts
    table = pa.table([parts[at], first[at], block, start, end], schema=_PART)
    ref = publish(workspace, table, "blocks", f"clusters/{near.blocks.name}", 0)
    counts = {
        "texts": int(num_texts.sum()),
        "pairs": int(num_pairs.sum()),
        "parts_with_texts": len(parts),
        "blocks": int(block.max(initial=-1)) + 1,
    }
    workspace.ledger.commit(entry_of(near.blocks, key, files=(ref,), counts=counts, watch=watch))


def number_blocks(num_texts: _Numbers, num_pairs: _Numbers, most: int) -> tuple[_Numbers, ...]:
    """Puts consecutive parts into a block while they have `most` texts and pairs together.

    Args:
        num_texts: Of each part.
        num_pairs: As long.
        most: A part with more pairs has as many blocks of its own as that takes.

    Returns:
        Position of a part, its block, start and end of its pairs in it, as long each.

    >>> found = number_blocks(np.array([1, 1, 2]), np.array([2, 9, 1]), 4)
    >>> [column.tolist() for column in found]
    [[0, 1, 1, 1, 2], [0, 1, 2, 3, 4], [0, 0, 4, 8, 0], [2, 4, 8, 9, 1]]
    """
    found, block, filled = [], 0, 0
    for part, (texts, pairs) in enumerate(zip(num_texts.tolist(), num_pairs.tolist(), strict=True)):
        if filled and filled + texts + pairs > most:
            block, filled = block + 1, 0
        for start in range(0, max(pairs, 1), most):
            block += start > 0
            found.append((part, block, start, min(start + most, pairs)))
        filled += texts + pairs
    columns = np.array(found, np.int64).reshape(-1, 4).T
    return tuple(np.ascontiguousarray(column) for column in columns)


def _by_part(near: NearPlan, entries: Iterable[Entry], count: str) -> dict[int, int]:
    place = {source: index for index, source in enumerate(near.sources)}
    return {number_of_part(place[e.source], e.part): e.counts[count] for e in entries}


def blocks_of(workspace: Workspace, near: NearPlan) -> Blocks:
    """The blocks that were committed; read once a worker."""
    return _read(workspace.url, near.blocks.name)


@lru_cache(maxsize=2)
def _read(url: str, generation: str) -> Blocks:
    workspace = Workspace(url)
    ref = workspace.ledger.get(generation, PARTITIONS, 0).file("blocks")
    table = read_table(workspace.storage, ref)
    return Blocks(*(column.to_numpy() for column in table.columns))


def pairs_of_block(workspace: Workspace, near: NearPlan, block: int) -> Iterator[pa.RecordBatch]:
    """The similar pairs whose `lower` is in a block: COMPARED rows."""
    for number, _, start, end in blocks_of(workspace, near).parts_of(block):
        source, part = source_and_part(number)
        entry = workspace.ledger.get(near.pairs, near.sources[source], part)
        before = 0
        for batch in similar_of_part(workspace, near, entry):
            some = slice(max(start - before, 0), max(end - before, 0))
            before += batch.num_rows
            yield batch[some]
            if before >= end:
                break
