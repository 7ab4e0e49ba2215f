"""The shuffles of deduplication, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `FindClusters` | signatures, 48 a document | partitions of text hashes | exact clusters |
| `FindCandidates` | copies, 8 each | parts | |
| | bands, 560 a distinct text | partitions of band hashes | pairs |
| `StoreShingles` | pairs, 16 each, and 16 for each text in them | parts | sets, and pairs once |
| `MapChain` of `ComparePairs` | nothing | parts | verified pairs |
| `FindStars` | nothing | one task | clusters of near-duplicates |
| `LabelDuplicates` | decisions, about 60 a copy or near-duplicate | parts | labels |

Each takes the share of partitions or parts that fits into memory; `steps` cuts the shares.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import apache_beam as beam
import numpy as np
import pyarrow as pa

from annotators.text.minhash import NUM_BANDS
from pipelines.deduplicate.buckets import BAND, BAND_BYTES, PAIR, PAIR_BYTES, by_partition
from pipelines.deduplicate.exact import DECISION, MEMBER, members, partition_of
from pipelines.deduplicate.job import commit_labels, commit_partition, decisions_for
from pipelines.deduplicate.near import number_of_part, parts_at
from pipelines.deduplicate.near_job import (
    ComparePairs,
    bands_of_part,
    commit_candidates,
    commit_shingles,
    commit_stars,
    copies_of_parts,
    near_plan,
    requests_of,
)
from pipelines.deduplicate.plan import MEMBER_BYTES, PARTITIONS, DuplicatesPlan
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.transform import ListParts, MapChain
from pipelines.workspace.workspace import Workspace

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = _BATCH_BYTES // MEMBER_BYTES
_DECISION_BYTES: Final = 64
_COPY: Final = pa.schema([pa.field("row", pa.int64(), nullable=False)])
_COPY_BYTES: Final = 8
# The in-process runner holds 4.2 times the bytes that pass a GroupByKey (measured, Beam 2.77).
_SHUFFLE_FACTOR: Final = 4.2
_T = TypeVar("_T")
_Keyed = tuple[int, pa.RecordBatch]


def steps(
    workspace: Workspace,
    plan: DuplicatesPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    """The pipelines that are still to be run; each is to be run before the next is asked for.

    Args:
        workspace: Where everything is; its ledger says what is done.
        plan: What is deduplicated.
        keys: All parts.
        limits: Of child processes.
        memory_bytes: What a shuffle may take at a time.
    """
    held = _held(workspace, plan.labels)
    pending = [key for key in keys if key not in held]
    if not pending:
        return
    num_rows = plan.num_documents
    missing = _missing(workspace, plan.clusters, plan.num_partitions)
    for some in _shares(missing, num_rows * MEMBER_BYTES, memory_bytes):
        yield FindClusters(workspace, plan, keys, some)
    if plan.near is not None:
        yield from _near_steps(workspace, plan, keys, limits, memory_bytes)
    for few in _shares(pending, num_rows * _DECISION_BYTES, memory_bytes):
        yield LabelDuplicates(workspace, plan, few)


def _near_steps(
    workspace: Workspace,
    plan: DuplicatesPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    near, ledger = near_plan(plan), workspace.ledger
    if not _missing(workspace, near.stars, plan.num_partitions):
        return
    exact = ledger.entries(plan.clusters, PARTITIONS)
    num_copies = sum(e.counts["duplicate"] + e.counts["repeated_record"] for e in exact)
    band_bytes = (plan.num_documents - num_copies) * NUM_BANDS * BAND_BYTES
    missing = _missing(workspace, near.candidates, near.num_partitions)
    # Copies go to their parts in every pass, so they are taken off what a pass may hold.
    left = max(memory_bytes // 4, memory_bytes - math.ceil(num_copies * 8 * _SHUFFLE_FACTOR))
    for some in _shares(missing, band_bytes, left):
        yield FindCandidates(workspace, plan, keys, some)
    candidates = ledger.entries(near.candidates, PARTITIONS)
    num_pairs = sum(entry.counts["pairs"] for entry in candidates)
    if num_pairs:
        held = _held(workspace, near.shingles)
        missing_parts = [key for key in keys if key not in held]
        for few in _shares(missing_parts, 2 * num_pairs * PAIR_BYTES, memory_bytes):
            yield StoreShingles(workspace, plan, few)
        ledger.fold(near.shingles)  # comparisons read all its entries
        held = _held(workspace, near.pairs)
        pending = [key for key in keys if key not in held]
        if pending:
            job = ComparePairs(plan)
            yield MapChain(workspace, [dict.fromkeys(plan.sources, job)], pending, limits)
    yield FindStars(workspace, plan)


def _held(workspace: Workspace, generation: Generation) -> set[PartKey]:
    return {PartKey(e.source, e.part) for e in workspace.ledger.entries(generation)}


def _missing(workspace: Workspace, generation: Generation, num_partitions: int) -> list[int]:
    held = {entry.part for entry in workspace.ledger.entries(generation, PARTITIONS)}
    return [partition for partition in range(num_partitions) if partition not in held]


def _shares(items: Sequence[_T], num_bytes: int, memory_bytes: int) -> list[list[_T]]:
    """Consecutive runs of items, so many that a shuffle of their share of the bytes fits."""
    passes = max(1, math.ceil(num_bytes * _SHUFFLE_FACTOR / memory_bytes))
    size = max(1, math.ceil(len(items) / passes))
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


class GroupBatches(beam.PTransform):
    """Gathers the batches of each number, also of those for which there are none."""

    def __init__(self, numbers: Sequence[int], schema: pa.Schema) -> None:
        super().__init__()
        self._numbers, self._schema = list(numbers), schema

    def expand(self, sent: beam.PCollection) -> beam.PCollection:
        """(number, batch) -> (number, its batches)."""
        nothing = pa.RecordBatch.from_pylist([], schema=self._schema)
        every = sent.pipeline | "Every number" >> beam.Create(
            [(number, nothing) for number in self._numbers]
        ).with_output_types(_Keyed)
        return (sent, every) | "Join" >> beam.Flatten() | "Group" >> beam.GroupByKey()


class FindClusters(beam.PTransform):
    """Signature parts -> clusters of exact copies, for some of the partitions."""

    def __init__(
        self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey], partitions: list[int]
    ) -> None:
        super().__init__()
        self._keys, self._partitions = keys, partitions
        self._send = SendMembers(workspace, plan, partitions)
        self._commit = CommitPartition(workspace, plan)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed partitions."""
        return (
            pipeline
            | "List parts" >> ListParts(self._keys)
            | "Send members" >> beam.ParDo(self._send).with_output_types(_Keyed)
            | "By partition" >> GroupBatches(self._partitions, MEMBER)
            | "Find clusters" >> beam.ParDo(self._commit)
        )


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
            | "Send copies" >> beam.ParDo(self._copies).with_output_types(_Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), _COPY)
            | "Send bands" >> beam.ParDo(self._bands).with_output_types(_Keyed)
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
            | "Send requests" >> beam.ParDo(self._send).with_output_types(_Keyed)
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


class LabelDuplicates(beam.PTransform):
    """Clusters -> row-aligned labels, for some of the parts."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey]) -> None:
        super().__init__()
        self._num_parts = len(keys)
        self._partitions = list(range(plan.num_partitions))
        self._send = SendDecisions(workspace, plan, keys)
        self._commit = CommitLabels(workspace, plan, keys)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._partitions)
            | "Send decisions" >> beam.ParDo(self._send).with_output_types(_Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), DECISION)
            | "Label duplicates" >> beam.ParDo(self._commit)
        )


class ListNumbers(beam.PTransform):
    """Gives numbers, spread over workers."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers."""
        return pipeline | "Number" >> beam.Create(self._numbers) | "Spread" >> beam.Reshuffle()


class SendMembers(beam.DoFn):
    """Part key -> (partition, members)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, partitions: list[int]) -> None:
        self._workspace, self._plan = workspace, plan
        self._partitions = partitions

    def process(self, key: PartKey) -> Iterator[_Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        plan = self._plan
        entry = self._workspace.ledger.get(plan.signatures[key.source], key.source, key.part)
        table = read_table(self._workspace.storage, entry.file("labels"), ["id", "text_hash"])
        batch = members(table, plan.sources.index(key.source), key.part)
        target = partition_of(batch.column("text_hash"), plan.num_partitions)
        yield from by_partition(batch, target, self._partitions, _BATCH_ROWS)


class CommitPartition(beam.DoFn):
    """(partition, its members) -> committed clusters."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan) -> None:
        self._workspace, self._plan = workspace, plan

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_partition(self._workspace, self._plan, partition, list(batches))
        yield partition


class SendCopies(beam.DoFn):
    """Partition of text hashes -> (position of a part, its rows that equal another text)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, partition: int) -> Iterator[_Keyed]:
        """Batches of at most 8 MB."""
        sources = self._plan.sources
        position = {(sources.index(k.source), k.part): index for index, k in enumerate(self._keys)}
        for place, rows in copies_of_parts(self._workspace, self._plan, partition):
            for start in range(0, len(rows), _BATCH_BYTES // _COPY_BYTES):
                some = rows[start : start + _BATCH_BYTES // _COPY_BYTES]
                yield position[place], pa.RecordBatch.from_arrays([pa.array(some)], schema=_COPY)


class SendBands(beam.DoFn):
    """(position of a part, its copies) -> (partition of band hashes, bands of distinct texts)."""

    def __init__(
        self, workspace: Workspace, plan: DuplicatesPlan, keys: list[PartKey], partitions: list[int]
    ) -> None:
        self._workspace, self._plan = workspace, plan
        self._keys, self._partitions = keys, partitions

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[_Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        index, batches = element
        copies = pa.Table.from_batches(list(batches), schema=_COPY).column("row").to_numpy()
        num_partitions = np.uint64(near_plan(self._plan).num_partitions)
        for batch in bands_of_part(self._workspace, self._plan, self._keys[index], copies):
            hashes = batch.column("band_hash").to_numpy()
            target = (hashes % num_partitions).astype(np.int64)
            yield from by_partition(batch, target, self._partitions, _BATCH_BYTES // BAND_BYTES)


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

    def process(self, partition: int) -> Iterator[_Keyed]:
        """Batches of at most 8 MB for each wanted part."""
        sources = self._plan.sources
        position = {
            number_of_part(sources.index(key.source), key.part): index
            for index, key in enumerate(self._keys)
        }
        wanted = list(position)
        for batch in requests_of(self._workspace, self._plan, partition):
            target = parts_at(batch.column("lower").to_numpy())
            for number, rows in by_partition(batch, target, wanted, _BATCH_BYTES // PAIR_BYTES):
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


class SendDecisions(beam.DoFn):
    """Partition of text hashes -> (position of a part, decisions about it)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, partition: int) -> Iterator[_Keyed]:
        """Batches of at most 8 MB, of one part each."""
        position = {key: index for index, key in enumerate(self._keys)}
        for key, batch in decisions_for(self._workspace, self._plan, partition, self._keys):
            for start in range(0, batch.num_rows, _BATCH_BYTES // _DECISION_BYTES):
                yield position[key], batch.slice(start, _BATCH_BYTES // _DECISION_BYTES)


class CommitLabels(beam.DoFn):
    """(position of a part, its decisions) -> committed labels."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        commit_labels(self._workspace, self._plan, self._keys[index], list(batches))
        yield index
