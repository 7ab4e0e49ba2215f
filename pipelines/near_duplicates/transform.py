"""The shuffles of near-duplicates, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `FindCandidates` | copies, 8 each | parts | |
| | bands, 560 a distinct text | partitions of band hashes | pairs |
| `StoreShingles` | pairs, 16 each, and 16 for each text in them | parts | sets, and pairs once |
| `MapChain` of `ComparePairs` | nothing | parts | verified pairs |
| `FindStars` | nothing | one task | clusters of near-duplicates |

Each takes the share of partitions or parts that fits into memory; `near_steps` cuts the shares.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import apache_beam as beam
import numpy as np
import pyarrow as pa

from annotators.text.minhash import NUM_BANDS
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.near_duplicates.buckets import BAND, BAND_BYTES, PAIR, PAIR_BYTES, by_partition
from pipelines.near_duplicates.job import (
    ComparePairs,
    bands_of_part,
    commit_candidates,
    commit_shingles,
    commit_stars,
    copies_of_parts,
    near_plan,
    requests_of,
)
from pipelines.near_duplicates.near import number_of_part, parts_at
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PARTITIONS, PartKey
from pipelines.workspace.passes import SHUFFLE_FACTOR, passes, pending_partitions, pending_parts
from pipelines.workspace.transform import BATCH_BYTES, GroupBatches, Keyed, ListNumbers, MapChain
from pipelines.workspace.workspace import Workspace

_COPY: Final = pa.schema([pa.field("row", pa.int64(), nullable=False)])
_COPY_BYTES: Final = 8


def near_steps(
    workspace: Workspace,
    plan: DuplicatesPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    """The pipelines that are still to be run, as `pipelines.deduplicate.transform.steps`."""
    near, ledger = near_plan(plan), workspace.ledger
    if not pending_partitions(workspace, near.stars, plan.num_partitions):
        return
    exact = ledger.entries(plan.clusters, PARTITIONS)
    num_copies = sum(e.counts["duplicate"] + e.counts["repeated_record"] for e in exact)
    band_bytes = (plan.num_documents - num_copies) * NUM_BANDS * BAND_BYTES
    missing = pending_partitions(workspace, near.candidates, near.num_partitions)
    # Copies go to their parts in every pass, so they are taken off what a pass may hold.
    left = max(memory_bytes // 4, memory_bytes - math.ceil(num_copies * 8 * SHUFFLE_FACTOR))
    for some in passes(missing, band_bytes, left):
        yield FindCandidates(workspace, plan, keys, some)
    candidates = ledger.entries(near.candidates, PARTITIONS)
    num_pairs = sum(entry.counts["pairs"] for entry in candidates)
    if num_pairs:
        missing_parts = pending_parts(workspace, near.shingles, keys)
        for few in passes(missing_parts, 2 * num_pairs * PAIR_BYTES, memory_bytes):
            yield StoreShingles(workspace, plan, few)
        ledger.fold(near.shingles)  # comparisons read all its entries
        pending = pending_parts(workspace, near.pairs, keys)
        if pending:
            job = ComparePairs(plan)
            yield MapChain(workspace, [dict.fromkeys(plan.sources, job)], pending, limits)
    yield FindStars(workspace, plan)


class FindCandidates(beam.PTransform):
    """MinHash parts -> pairs to be compared, for some of the partitions of band hashes."""

    def __init__(
        self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey], partitions: list[int]
    ) -> None:
        super().__init__()
        self._partitions, self._num_parts = partitions, len(keys)
        self._clusters = list(range(plan.num_partitions))
        self._copies = SendCopies(workspace, plan, keys)
        self._bands = SendBands(workspace, plan, keys, partitions)
        self._commit = CommitCandidates(workspace, plan)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed partitions."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._clusters)
            | "Send copies" >> beam.ParDo(self._copies).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), _COPY)
            | "Send bands" >> beam.ParDo(self._bands).with_output_types(Keyed)
            | "By partition" >> GroupBatches(self._partitions, BAND)
            | "Find candidates" >> beam.ParDo(self._commit)
        )


class StoreShingles(beam.PTransform):
    """Candidate pairs -> sets of their texts, and each pair once, for some of the parts."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey]) -> None:
        super().__init__()
        self._num_parts = len(keys)
        self._partitions = list(range(near_plan(plan).num_partitions))
        self._send = SendRequests(workspace, plan, keys)
        self._commit = CommitShingles(workspace, plan, keys)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._partitions)
            | "Send requests" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), PAIR)
            | "Store shingles" >> beam.ParDo(self._commit)
        )


class FindStars(beam.PTransform):
    """Verified pairs -> clusters of near-duplicates."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan) -> None:
        super().__init__()
        self._commit = CommitStars(workspace, plan)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> 0."""
        return pipeline | "Once" >> beam.Create([0]) | "Find stars" >> beam.ParDo(self._commit)


class SendCopies(beam.DoFn):
    """Partition of text hashes -> (position of a part, its rows that equal another text)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB."""
        sources = self._plan.sources
        position = {(sources.index(k.source), k.part): index for index, k in enumerate(self._keys)}
        for place, rows in copies_of_parts(self._workspace, self._plan, partition):
            for start in range(0, len(rows), BATCH_BYTES // _COPY_BYTES):
                some = rows[start : start + BATCH_BYTES // _COPY_BYTES]
                yield position[place], pa.RecordBatch.from_arrays([pa.array(some)], schema=_COPY)


class SendBands(beam.DoFn):
    """(position of a part, its copies) -> (partition of band hashes, bands of distinct texts)."""

    def __init__(
        self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey], partitions: list[int]
    ) -> None:
        self._workspace, self._plan = workspace, plan
        self._keys, self._partitions = keys, partitions

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        index, batches = element
        copies = pa.Table.from_batches(list(batches), schema=_COPY).column("row").to_numpy()
        num_partitions = np.uint64(near_plan(self._plan).num_partitions)
        for batch in bands_of_part(self._workspace, self._plan, self._keys[index], copies):
            hashes = batch.column("band_hash").to_numpy()
            target = (hashes % num_partitions).astype(np.int64)
            yield from by_partition(batch, target, self._partitions, BATCH_BYTES // BAND_BYTES)


class CommitCandidates(beam.DoFn):
    """(partition of band hashes, its bands) -> committed candidate pairs."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan) -> None:
        self._workspace, self._plan = workspace, plan

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_candidates(self._workspace, self._plan, partition, list(batches))
        yield partition


class SendRequests(beam.DoFn):
    """Partition of band hashes -> (position of a part, what is asked of it)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted part."""
        sources = self._plan.sources
        position = {
            number_of_part(sources.index(key.source), key.part): index
            for index, key in enumerate(self._keys)
        }
        wanted = list(position)
        for batch in requests_of(self._workspace, self._plan, partition):
            target = parts_at(batch.column("lower").to_numpy())
            for number, rows in by_partition(batch, target, wanted, BATCH_BYTES // PAIR_BYTES):
                yield position[number], rows


class CommitShingles(beam.DoFn):
    """(position of a part, what is asked of it) -> committed sets and pairs."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        commit_shingles(self._workspace, self._plan, self._keys[index], list(batches))
        yield index


class CommitStars(beam.DoFn):
    """Anything -> committed clusters of near-duplicates."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan) -> None:
        self._workspace, self._plan = workspace, plan

    def process(self, element: int) -> Iterator[int]:
        """Passes the element on."""
        commit_stars(self._workspace, self._plan)
        yield element
