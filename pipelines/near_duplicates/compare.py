"""Compares the pairs that nobody has compared: exact Jaccards over stored sets.

The pairs of a part are sorted by `lower`, a text of the part itself. A block of these texts is kept
in memory, as many as fit, and the others stream past it in the order in which they stand in their
files: so each is read once for each block, in large reads, by threads that compare what they read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.shingles import ShingleRanges, jaccards_between
from pipelines.near_duplicates.known import COMPARED, publish
from pipelines.near_duplicates.near import Places
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.store import ShingleStore, words_to_read
from pipelines.near_duplicates.threads import in_order
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

_BLOCK_BYTES: Final = 128 << 20
_STREAM_BYTES: Final = 4 << 20  # of a task of a thread


@dataclass(frozen=True)
class ComparePairs:
    """The part job that compares the pairs of one part."""

    near: NearPlan

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Compared pairs."""
        return (self.near.pairs,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits all pairs of the part with their Jaccard, those taken over and those made now."""
        watch, near = Stopwatch(), self.near
        requests = workspace.ledger.get(near.requests, key.source, key.part)
        num_new = requests.counts["new"]
        counts = {
            "pairs": requests.counts["pairs"],
            "known": requests.counts["known"],
            "compared": num_new,
            "similar": 0,
        }
        files: tuple[FileRef, ...] = ()
        if requests.files:
            table = read_table(workspace.storage, requests.file("requests"))
            lower, higher, jaccard = (column.to_numpy() for column in table.columns)
            if num_new:
                new = np.flatnonzero(np.isnan(jaccard))
                jaccard = jaccard.copy()
                store = _store_of(workspace, near)
                num_threads = children.limits.processes
                jaccard[new] = compare(store, lower[new], higher[new], num_threads)
            counts["similar"] = int((jaccard >= near.settings.threshold).sum())
            columns = [pa.array(column) for column in (lower, higher, jaccard)]
            made = pa.table(columns, schema=COMPARED)
            folder = f"clusters/{near.pairs.name}/{key.source}"
            files = (publish(workspace, made, "pairs", folder, key.part),)
        counts["different"] = counts["pairs"] - counts["similar"]
        workspace.ledger.commit(entry_of(near.pairs, key, files=files, counts=counts, watch=watch))


def compare(
    store: ShingleStore, lower: Places, higher: Places, num_threads: int = 1
) -> npt.NDArray[np.float64]:
    """The exact Jaccard of each pair, with at most some of the sets in memory at a time.

    Args:
        store: Has the sets of all these places.
        lower: One text of each pair, ascending, uint64[num_pairs].
        higher: The other.
        num_threads: Threads that compare.

    Returns:
        float64[num_pairs].
    """
    texts, text_of = np.unique(lower, return_inverse=True)
    starts, ends = store.bounds(texts)
    out = np.empty(len(lower))
    for first, last in _cuts(words_to_read(starts, ends), _BLOCK_BYTES):
        pairs = slice(*np.searchsorted(text_of, [first, last]).tolist())
        block = store.read(texts[first:last], starts[first:last], ends[first:last])
        out[pairs] = _against(store, block, text_of[pairs] - first, higher[pairs], num_threads)
    return out


def _against(
    store: ShingleStore,
    block: ShingleRanges,
    left: npt.NDArray[np.int64],
    higher: Places,
    num_threads: int,
) -> npt.NDArray[np.float64]:
    """Compares the sets of a block, by their position, with others that stream past."""
    texts, text_of = np.unique(higher, return_inverse=True)
    starts, ends = store.bounds(texts)
    order = np.argsort(text_of, kind="stable")
    sorted_texts = text_of[order]

    def some(cut: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        first, last = cut
        others = store.read(texts[first:last], starts[first:last], ends[first:last])
        pairs = order[slice(*np.searchsorted(sorted_texts, [first, last]).tolist())]
        return pairs, jaccards_between(block, others, left[pairs], text_of[pairs] - first)

    out = np.empty(len(left))
    cuts = _cuts(words_to_read(starts, ends), _STREAM_BYTES)
    for pairs, found in in_order(some, cuts, num_threads):
        out[pairs] = found
    return out


def _cuts(num_words: npt.NDArray[np.int64], num_bytes: int) -> Iterator[tuple[int, int]]:
    """Runs of consecutive sets of at most so many bytes together, or of one larger set."""
    ends = np.cumsum(num_words * 8)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + num_bytes, side="right")))
        yield first, last
        first = last


@lru_cache(maxsize=2)
def _files_of(url: str, generation: str) -> dict[tuple[str, int], FileRef]:
    """The stored sets; asked for when the generation is whole, so that it never changes."""
    entries = Workspace(url).ledger.entries(generation)
    return {(e.source, e.part): e.file("shingles") for e in entries if e.files}


def _store_of(workspace: Workspace, near: NearPlan) -> ShingleStore:
    files = _files_of(workspace.url, near.shingles.name)
    return ShingleStore(workspace.storage, near.sources, files)
