"""All arcs in the order of priority, cut into runs of about two million.

Where runs begin is told by a sample of the sorted arcs of every block, one in 4,096 of them, as in
a sample sort (Shi and Schaeffer 1992, Parallel sorting by regular sampling, JPDC 14). Each block
begins its sample elsewhere, within its first 4,096 arcs: simulated with 13,000 blocks of 2 million
arcs of one distribution the largest run has 1.2 times the mean; 25 times, if all began with their
first arc. A run may begin between two arcs of one text.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from pipelines.near_duplicates.known import publish
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.sweep.arcs import ARC, KEY, Keys, keys_of, order_of
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.workspace import Workspace

_RUN_ARCS: Final = 2 << 20
_ROWS: Final = 1 << 16  # 5 MB of arcs


def commit_cuts(workspace: Workspace, near: NearPlan) -> None:
    """Commits where runs begin: the key of the first arc of each but the first."""
    watch, key = Stopwatch(), PartKey(PARTITIONS, 0)
    if workspace.ledger.find(near.cuts, key.source, key.part) is not None:
        return
    entries = workspace.ledger.entries(near.arcs, PARTITIONS)
    num_arcs = sum(entry.counts["arcs"] for entry in entries)
    samples = [KEY.empty_table()]
    samples += [read_table(workspace.storage, entry.file("sample")) for entry in entries]
    sample = pa.concat_tables(samples).combine_chunks()
    at = cut_sample(sample.num_rows, math.ceil(num_arcs / _RUN_ARCS))
    cuts = sample.take(pa.array(order_of(keys_of(sample))[at]))
    ref = publish(workspace, cuts, "cuts", f"clusters/{near.cuts.name}", 0)
    counts = {"arcs": num_arcs, "sampled": sample.num_rows, "runs": cuts.num_rows + 1}
    workspace.ledger.commit(entry_of(near.cuts, key, files=(ref,), counts=counts, watch=watch))


def cut_sample(num_sampled: int, num_runs: int) -> npt.NDArray[np.int64]:
    """Positions in a sorted sample at which all runs but the first begin, none of them empty.

    >>> cut_sample(10, 4).tolist(), cut_sample(2, 4).tolist(), cut_sample(3, 1).tolist()
    ([2, 5, 7], [1], [])
    """
    at = np.unique(np.arange(1, num_runs) * num_sampled // max(num_runs, 1))
    return at[at > 0]


@lru_cache(maxsize=2)
def _cuts(url: str, generation: str) -> Keys:
    workspace = Workspace(url)
    ref = workspace.ledger.get(generation, PARTITIONS, 0).file("cuts")
    return keys_of(read_table(workspace.storage, ref))


@kernel
def starts_of_runs(keys: Keys, cuts: Keys) -> npt.NDArray[np.int64]:
    """The first of some sorted keys that is not before each cut, by bisection.

    Args:
        keys: Ascending, uint64[n, 5].
        cuts: uint64[num_cuts, 5].

    Returns:
        int64[num_cuts], n where all are before it.
    """
    found = np.empty(len(cuts), np.int64)
    for cut in range(len(cuts)):
        low, high = 0, len(keys)
        while low < high:
            middle, word = (low + high) // 2, 0
            while word < 4 and keys[middle, word] == cuts[cut, word]:
                word += 1
            if keys[middle, word] < cuts[cut, word]:
                low = middle + 1
            else:
                high = middle
        found[cut] = low
    return found


def arcs_by_run(
    workspace: Workspace, near: NearPlan, block: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(run, its arcs) of the arcs of one block."""
    cuts = _cuts(workspace.url, near.cuts.name)
    ref = workspace.ledger.get(near.arcs, PARTITIONS, block).file("arcs")
    for batch in read_batches(workspace.storage, ref, batch_rows=_ROWS):
        starts = starts_of_runs(keys_of(batch), cuts).tolist()
        for run, (start, end) in enumerate(
            zip([0, *starts], [*starts, batch.num_rows], strict=True)
        ):
            if start < end:
                yield run, batch.slice(start, end - start)


def commit_run(
    workspace: Workspace, near: NearPlan, run: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Commits the arcs of one run, sorted."""
    watch = Stopwatch()
    arcs = pa.Table.from_batches(batches, schema=ARC).combine_chunks()
    arcs = arcs.take(pa.array(order_of(keys_of(arcs))))
    ref = publish(workspace, arcs, "arcs", f"clusters/{near.runs.name}", run)
    is_own = arcs.column("text").to_numpy() == arcs.column("other").to_numpy()
    num_texts = int(is_own.sum())
    counts = {"arcs": len(is_own), "texts": num_texts, "pairs": len(is_own) - num_texts}
    key = PartKey(PARTITIONS, run)
    workspace.ledger.commit(entry_of(near.runs, key, files=(ref,), counts=counts, watch=watch))
