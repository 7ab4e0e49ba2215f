"""The shuffles of the sweep, over Arrow batches with integer keys; see the package.

Each takes the share of blocks or runs that fits into memory, and commits by block or run. Below
them stand the DoFns of `FindClusters`, which clusters runs as it does groups of components.
"""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.near_duplicates.buckets import by_partition
from pipelines.near_duplicates.clusters import DECIDED_BYTES, clusters_of_group, commit_clusters
from pipelines.near_duplicates.components import commit_components
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.sweep.arcs import ARC, ARC_BYTES, commit_arcs
from pipelines.near_duplicates.sweep.blocks import blocks_of, commit_blocks
from pipelines.near_duplicates.sweep.ends import (
    END,
    END_BYTES,
    WANTED,
    WANTED_BYTES,
    commit_ends,
    ends_of_block,
    wanted_by_block,
)
from pipelines.near_duplicates.sweep.runs import arcs_by_run, commit_cuts, commit_run
from pipelines.near_duplicates.sweep.taken import clusters_of_run, commit_taken
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.passes import passes, pending_partitions
from pipelines.workspace.transform import BATCH_BYTES, GroupBatches, Keyed, ListNumbers
from pipelines.workspace.workspace import Workspace

_Batches = tuple[int, Iterable[pa.RecordBatch]]


def sweep_steps(
    workspace: Workspace,
    near: NearPlan,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    """The pipelines from compared pairs to sorted arcs, as far as they are to be run.

    Args:
        workspace: Where everything is; its ledger says what is done.
        near: What is looked for.
        memory_bytes: What a shuffle may take at a time.
    """
    ledger = workspace.ledger
    for generation in near.sweep_generations:
        ledger.declare(generation)
    if ledger.find(near.blocks, PARTITIONS, 0) is None:
        yield Once(CommitBlocks(workspace, near))
    counts = ledger.get(near.blocks, PARTITIONS, 0).counts
    blocks = list(range(counts["blocks"]))
    missing = pending_partitions(workspace, near.ends, len(blocks))
    for some in passes(missing, 2 * counts["pairs"] * WANTED_BYTES, memory_bytes):
        yield FindEnds(workspace, near, blocks, some)
    missing = pending_partitions(workspace, near.arcs, len(blocks))
    if missing:
        num_ends = sum(entry.counts["ends"] for entry in ledger.entries(near.ends))
        for some in passes(missing, num_ends * END_BYTES, memory_bytes):
            yield FindArcs(workspace, near, blocks, some)
    if ledger.find(near.cuts, PARTITIONS, 0) is None:
        yield Once(CommitCuts(workspace, near))
    counts = ledger.get(near.cuts, PARTITIONS, 0).counts
    runs = list(range(counts["runs"]))
    missing = pending_partitions(workspace, near.runs, len(runs))
    for some in passes(missing, counts["arcs"] * ARC_BYTES, memory_bytes):
        yield SortArcs(workspace, near, blocks, some)


class Once(beam.PTransform):
    """Does one task."""

    def __init__(self, task: beam.DoFn) -> None:
        super().__init__()
        self._task = task

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> one number."""
        return pipeline | "Once" >> beam.Create([0]) | "Do" >> beam.ParDo(self._task)


class FindEnds(beam.PTransform):
    """Similar pairs -> what is said of their texts, for some of the blocks that hold these."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, blocks: list[int], some: list[int]
    ) -> None:
        super().__init__()
        self._blocks, self._some = blocks, some
        self._send = SendWanted(workspace, near, some)
        self._commit = CommitEnds(workspace, near)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed blocks."""
        return (
            pipeline
            | "List blocks" >> ListNumbers(self._blocks)
            | "Ask for texts" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By block" >> GroupBatches(self._some, WANTED)
            | "Find ends" >> beam.ParDo(self._commit)
        )


class FindArcs(beam.PTransform):
    """Similar pairs and their texts -> sorted arcs, for some of the blocks that hold the pairs."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, blocks: list[int], some: list[int]
    ) -> None:
        super().__init__()
        self._blocks, self._some = blocks, some
        self._send = SendEnds(workspace, near, some)
        self._commit = CommitArcs(workspace, near)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed blocks."""
        return (
            pipeline
            | "List blocks" >> ListNumbers(self._blocks)
            | "Tell of texts" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By block" >> GroupBatches(self._some, END)
            | "Find arcs" >> beam.ParDo(self._commit)
        )


class SortArcs(beam.PTransform):
    """Arcs of blocks -> runs of all arcs in order, for some of the runs."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, blocks: list[int], runs: list[int]
    ) -> None:
        super().__init__()
        self._blocks, self._runs = blocks, runs
        self._send = SendArcs(workspace, near, runs)
        self._commit = CommitRun(workspace, near)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed runs."""
        return (
            pipeline
            | "List blocks" >> ListNumbers(self._blocks)
            | "Send arcs" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By run" >> GroupBatches(self._runs, ARC)
            | "Sort arcs" >> beam.ParDo(self._commit)
        )


class CommitBlocks(beam.DoFn):
    """Anything -> the blocks, committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: int) -> Iterator[int]:
        """Passes the element on."""
        commit_blocks(self._workspace, self._near)
        yield element


class SendWanted(beam.DoFn):
    """Block -> (block of a text, that this one asks for it)."""

    def __init__(self, workspace: Workspace, near: NearPlan, blocks: list[int]) -> None:
        self._workspace, self._near, self._blocks = workspace, near, blocks

    def process(self, block: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted block."""
        wanted = wanted_by_block(self._workspace, self._near, block)
        target = blocks_of(self._workspace, self._near).of(wanted.column("place").to_numpy())
        yield from by_partition(wanted, target, self._blocks, BATCH_BYTES // WANTED_BYTES)


class CommitEnds(beam.DoFn):
    """(block, what is asked of it) -> what is said of its texts, committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: _Batches) -> Iterator[int]:
        """Passes the block's number on."""
        block, batches = element
        commit_ends(self._workspace, self._near, block, list(batches))
        yield block


class SendEnds(beam.DoFn):
    """Block -> (block that asked, what is said of texts)."""

    def __init__(self, workspace: Workspace, near: NearPlan, blocks: list[int]) -> None:
        self._workspace, self._near, self._blocks = workspace, near, blocks

    def process(self, block: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted block."""
        for batch in ends_of_block(self._workspace, self._near, block):
            target = batch.column("block").to_numpy().astype(np.int64)
            yield from by_partition(batch, target, self._blocks, BATCH_BYTES // END_BYTES)


class CommitArcs(beam.DoFn):
    """(block, what it was told of its texts) -> its arcs, committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: _Batches) -> Iterator[int]:
        """Passes the block's number on."""
        block, batches = element
        commit_arcs(self._workspace, self._near, block, list(batches))
        yield block


class CommitCuts(beam.DoFn):
    """Anything -> where runs begin, committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: int) -> Iterator[int]:
        """Passes the element on."""
        commit_cuts(self._workspace, self._near)
        yield element


class SendArcs(beam.DoFn):
    """Block -> (run, arcs of the block that are in it)."""

    def __init__(self, workspace: Workspace, near: NearPlan, runs: list[int]) -> None:
        self._workspace, self._near, self._runs = workspace, near, frozenset(runs)

    def process(self, block: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted run."""
        for run, batch in arcs_by_run(self._workspace, self._near, block):
            if run in self._runs:
                yield run, batch


class CommitRun(beam.DoFn):
    """(run, its arcs) -> the arcs sorted, committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: _Batches) -> Iterator[int]:
        """Passes the run's number on."""
        run, batches = element
        commit_run(self._workspace, self._near, run, list(batches))
        yield run


class CommitTaken(beam.DoFn):
    """Anything -> numbers of the runs, of which it is committed which arcs are taken."""

    def __init__(self, workspace: Workspace, near: NearPlan, limits: Limits) -> None:
        self._workspace, self._near, self._threads = workspace, near, limits.processes

    def process(self, element: int) -> Iterator[int]:
        """One number for each run."""
        yield from range(commit_taken(self._workspace, self._near, self._threads))


class CommitComponents(beam.DoFn):
    """Anything -> numbers of the groups of components, which are committed."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: int) -> Iterator[int]:
        """One number for each group."""
        yield from range(commit_components(self._workspace, self._near))


class SendClusters(beam.DoFn):
    """Group of components, or run -> (partition of text hashes, what became of its texts)."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        partitions: list[int],
        *,
        is_swept: bool = False,
    ) -> None:
        self._workspace, self._near, self._partitions = workspace, near, partitions
        self._clusters_of = clusters_of_run if is_swept else clusters_of_group

    def process(self, number: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        decided, partition = self._clusters_of(self._workspace, self._near, number)
        batches = decided.to_batches(max_chunksize=1 << 18)
        starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
        for start, batch in zip(starts, batches, strict=False):
            target = partition[start : start + batch.num_rows]
            yield from by_partition(batch, target, self._partitions, BATCH_BYTES // DECIDED_BYTES)


class CommitClusters(beam.DoFn):
    """(partition of text hashes, its decided texts) -> committed clusters."""

    def __init__(self, workspace: Workspace, near: NearPlan) -> None:
        self._workspace, self._near = workspace, near

    def process(self, element: _Batches) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_clusters(self._workspace, self._near, partition, list(batches))
        yield partition
