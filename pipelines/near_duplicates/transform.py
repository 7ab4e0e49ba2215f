"""The shuffles of near-duplicates, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `FindRepeated` | nothing | one task | bands that occur more than once |
| `FindCandidates` | copies, 8 each | parts | |
| | bands, 32 each | partitions of band hashes | pairs |
| `ListPairs` | pairs, 16 each and band | part of `lower` | each pair once |
| `StoreTexts` | 17 for each text in the pairs of a part | parts | texts, sets |
| `MapChain` of `ComparePairs` | nothing | parts | compared pairs |
| `FindClusters` | nothing | one task | components, or what the sweep takes |
| | decisions, about 96 a text in similar pairs | partitions of text hashes | clusters |

Of more than 8 million similar pairs the components are not looked for: the pairs are sorted first
(`sweep/transform.py`), and the one task goes over them in order.

Each takes the share of partitions or parts that fits into memory; `near_steps` cuts the shares.
Within an element numpy, Arrow and kernels run on threads, so one worker uses all its cores.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.buckets import BAND, BAND_BYTES, PAIR, PAIR_BYTES, by_partition
from pipelines.near_duplicates.candidates import (
    bands_of_part,
    commit_candidates,
    copies_of_parts,
)
from pipelines.near_duplicates.clusters import DECIDED_BYTES
from pipelines.near_duplicates.compare import ComparePairs
from pipelines.near_duplicates.known import (
    EarlierPairs,
    candidates_of,
    commit_requests,
    earlier_pairs,
)
from pipelines.near_duplicates.near import number_of_part, parts_at
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.priority import has_generated
from pipelines.near_duplicates.repeated import commit_repeated
from pipelines.near_duplicates.stars import NEAR
from pipelines.near_duplicates.sweep.transform import (
    CommitClusters,
    CommitComponents,
    CommitTaken,
    SendClusters,
    sweep_steps,
)
from pipelines.near_duplicates.texts import (
    ASKED,
    ASKED_BYTES,
    asked_by_pairs,
    commit_texts,
    forget,
    sizes_of_copies,
)
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PARTITIONS, PartKey
from pipelines.workspace.passes import SHUFFLE_FACTOR, passes, pending_partitions, pending_parts
from pipelines.workspace.transform import BATCH_BYTES, GroupBatches, Keyed, ListNumbers, MapChain
from pipelines.workspace.workspace import Workspace

COMPONENT_PAIRS: Final = 8 << 20
"""Similar pairs up to which one task finds their components; more are swept (`sweep`). A component
of so many takes 2 GB where it is clustered, 235 bytes a pair (docs/scale.md)."""
_COPY: Final = pa.schema([pa.field("row", pa.int64(), nullable=False)])
_COPY_BYTES: Final = 8


def near_steps(
    workspace: Workspace,
    near: NearPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    """The pipelines that are still to be run; each is to be run before the next is asked for.

    Args:
        workspace: Where everything is; its ledger says what is done.
        near: What is looked for.
        keys: All parts.
        limits: How many threads a worker uses.
        memory_bytes: What a shuffle may take at a time.
    """
    missing = pending_partitions(workspace, near.stars, near.num_text_partitions)
    if missing:
        yield from _pair_steps(workspace, near, keys, limits, memory_bytes)
        yield from _cluster_steps(workspace, near, missing, limits, memory_bytes)
    for generation in (near.ends, near.arcs, near.runs):  # larger than what came of them
        forget(workspace, generation)


def _pair_steps(
    workspace: Workspace,
    near: NearPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    ledger = workspace.ledger
    yield from _candidate_steps(workspace, near, keys, limits, memory_bytes)
    candidates = ledger.entries(near.candidates, PARTITIONS)
    pair_bytes = PAIR_BYTES * sum(entry.counts["pairs"] for entry in candidates)
    missing = pending_parts(workspace, near.requests, keys)
    earlier = earlier_pairs(workspace, near) if missing else ()
    for few in passes(missing, pair_bytes, memory_bytes):
        yield ListPairs(workspace, near, few, earlier)
    pending = pending_parts(workspace, near.texts, keys)
    if pending:
        num_pairs = sum(entry.counts["pairs"] for entry in ledger.entries(near.requests))
        for few in passes(pending, 2 * num_pairs * ASKED_BYTES, memory_bytes):
            yield StoreTexts(workspace, near, keys, few, limits)
        ledger.fold(near.shingles)  # comparisons read all its entries
    uncompared = pending_parts(workspace, near.pairs, keys)
    if uncompared:
        job = ComparePairs(near)
        yield MapChain(workspace, [dict.fromkeys(near.sources, job)], uncompared, limits)


def _cluster_steps(
    workspace: Workspace, near: NearPlan, missing: list[int], limits: Limits, memory_bytes: int
) -> Iterator[beam.PTransform]:
    ledger = workspace.ledger
    num_similar = sum(entry.counts["similar"] for entry in ledger.entries(near.pairs))
    num_texts = sum(entry.counts["texts"] for entry in ledger.entries(near.texts))
    is_swept = num_similar > COMPONENT_PAIRS
    if is_swept:
        yield from sweep_steps(workspace, near, memory_bytes)
    for some in passes(missing, num_texts * DECIDED_BYTES, memory_bytes):
        yield FindClusters(workspace, near, some, limits, is_swept=is_swept)


def _candidate_steps(
    workspace: Workspace,
    near: NearPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    missing = pending_partitions(workspace, near.candidates, near.num_partitions)
    if not missing:
        return
    exact = workspace.ledger.entries(near.clusters, PARTITIONS)
    num_copies = sum(e.counts["duplicate"] + e.counts["repeated_record"] for e in exact)
    seeds = has_generated(workspace, near)
    num_texts = near.num_documents - num_copies
    num_bands = num_texts * NUM_BANDS
    if near.repeated_bits:
        if workspace.ledger.find(near.repeated, PARTITIONS, 0) is None:
            yield FindRepeated(workspace, near, keys, limits)
        counts = workspace.ledger.get(near.repeated, PARTITIONS, 0).counts
        num_bands = min(counts["bands"], 2 * counts["again"])  # a first and those again
    band_bytes = (num_bands + 2 * seeds * num_texts) * BAND_BYTES
    # Copies go to their parts in every pass, so they are taken off what a pass may hold.
    copies = math.ceil(num_copies * _COPY_BYTES * SHUFFLE_FACTOR)
    for some in passes(missing, band_bytes, max(memory_bytes // 4, memory_bytes - copies)):
        yield FindCandidates(workspace, near, keys, some, seeds, limits)


class FindRepeated(beam.PTransform):
    """MinHash parts -> which bands occur more than once."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, keys: list[PartKey], limits: Limits
    ) -> None:
        super().__init__()
        self._commit = CommitRepeated(workspace, near, keys, limits)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> one number."""
        return pipeline | "Once" >> beam.Create([0]) | "Find repeated" >> beam.ParDo(self._commit)


class FindCandidates(beam.PTransform):
    """MinHash parts -> pairs to be compared, for some of the partitions of band hashes."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: list[PartKey],
        partitions: list[int],
        seeds: bool,
        limits: Limits,
    ) -> None:
        super().__init__()
        self._partitions, self._num_parts = partitions, len(keys)
        self._clusters = list(range(near.num_text_partitions))
        self._copies = SendCopies(workspace, near, keys)
        self._bands = SendBands(workspace, near, keys, partitions, seeds)
        self._commit = CommitCandidates(workspace, near, limits)

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


class ListPairs(beam.PTransform):
    """Candidate pairs -> each pair once, for some of the parts."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: list[PartKey],
        earlier: Sequence[EarlierPairs],
    ) -> None:
        super().__init__()
        self._num_parts = len(keys)
        self._partitions = list(range(near.num_partitions))
        self._send = SendPairs(workspace, near, keys)
        self._commit = CommitRequests(workspace, near, keys, earlier)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._partitions)
            | "Send pairs" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), PAIR)
            | "List pairs" >> beam.ParDo(self._commit)
        )


class StoreTexts(beam.PTransform):
    """Pairs -> their texts, for some of the parts."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: list[PartKey],
        pending: list[PartKey],
        limits: Limits,
    ) -> None:
        super().__init__()
        self._num_parts = len(pending)
        self._senders = list(range(len(keys) + near.num_text_partitions))
        self._send = SendAsked(workspace, near, keys, pending)
        self._commit = CommitTexts(workspace, near, pending, limits)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List senders" >> ListNumbers(self._senders)
            | "Ask for texts" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), ASKED)
            | "Store texts" >> beam.ParDo(self._commit)
        )


class FindClusters(beam.PTransform):
    """Compared pairs -> clusters of near-duplicates, for some of the partitions."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        partitions: list[int],
        limits: Limits,
        *,
        is_swept: bool,
    ) -> None:
        super().__init__()
        self._partitions = partitions
        self._split: beam.DoFn = CommitComponents(workspace, near)
        if is_swept:
            self._split = CommitTaken(workspace, near, limits)
        self._clusters = SendClusters(workspace, near, partitions, is_swept=is_swept)
        self._commit = CommitClusters(workspace, near)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed partitions."""
        return (
            pipeline
            | "Once" >> beam.Create([0])
            | "Split" >> beam.ParDo(self._split)
            | "Spread" >> beam.Reshuffle()
            | "Find clusters" >> beam.ParDo(self._clusters).with_output_types(Keyed)
            | "By partition" >> GroupBatches(self._partitions, NEAR)
            | "Commit clusters" >> beam.ParDo(self._commit)
        )


class CommitRepeated(beam.DoFn):
    """Anything -> the bands that occur more than once, committed."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, keys: Sequence[PartKey], limits: Limits
    ) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)
        self._threads = limits.processes

    def process(self, element: int) -> Iterator[int]:
        """Passes the element on."""
        found: dict[int, list[npt.NDArray[np.int64]]] = {}
        for partition in range(self._near.num_text_partitions):
            for place, rows in copies_of_parts(self._workspace, self._near, partition):
                found.setdefault(number_of_part(*place), []).append(rows)
        copies = {number: np.concatenate(rows) for number, rows in found.items()}
        commit_repeated(self._workspace, self._near, self._keys, copies, self._threads)
        yield element


class SendCopies(beam.DoFn):
    """Partition of text hashes -> (position of a part, its rows that equal another text)."""

    def __init__(self, workspace: Workspace, near: NearPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)

    @cached_property
    def _position(self) -> dict[int, int]:
        """Once a worker: making it anew for each partition is quadratic in the parts."""
        return _positions(self._near, self._keys)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of one part each."""
        for place, rows in copies_of_parts(self._workspace, self._near, partition):
            yield self._position[number_of_part(*place)], pa.record_batch([rows], schema=_COPY)


class SendBands(beam.DoFn):
    """(position of a part, its copies) -> (partition of band hashes, bands of its texts)."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: Sequence[PartKey],
        partitions: list[int],
        seeds: bool,
    ) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)
        self._partitions, self._seeds = partitions, seeds

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        index, batches = element
        copies = pa.Table.from_batches(batches, schema=_COPY).column("row").to_numpy()
        num_partitions = np.uint64(self._near.num_partitions)
        key = self._keys[index]
        for batch in bands_of_part(self._workspace, self._near, key, copies, self._seeds):
            hashes = batch.column("band_hash").to_numpy()
            target = (hashes % num_partitions).astype(np.int64)
            yield from by_partition(batch, target, self._partitions, BATCH_BYTES // BAND_BYTES)


class CommitCandidates(beam.DoFn):
    """(partition of band hashes, its bands) -> committed candidate pairs."""

    def __init__(self, workspace: Workspace, near: NearPlan, limits: Limits) -> None:
        self._workspace, self._near, self._threads = workspace, near, limits.processes

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_candidates(self._workspace, self._near, partition, list(batches), self._threads)
        yield partition


class SendPairs(beam.DoFn):
    """Partition of band hashes -> (position of a part, pairs whose `lower` is there)."""

    def __init__(self, workspace: Workspace, near: NearPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)

    @cached_property
    def _position(self) -> dict[int, int]:
        """Once a worker: making it anew for each partition is quadratic in the parts."""
        return _positions(self._near, self._keys)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted part."""
        for batch in candidates_of(self._workspace, self._near, partition):
            yield from _to_parts(batch, "lower", self._position, PAIR_BYTES)


class CommitRequests(beam.DoFn):
    """(position of a part, pairs whose `lower` is there) -> each pair once, committed."""

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: Sequence[PartKey],
        earlier: Sequence[EarlierPairs],
    ) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)
        self._earlier = tuple(earlier)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        key = self._keys[index]
        commit_requests(self._workspace, self._near, key, list(batches), self._earlier)
        yield index


class SendAsked(beam.DoFn):
    """Number of a sender -> (position of a part, what is asked of it).

    Senders are the parts, for their pairs, and after them the partitions of text hashes, for the
    sizes of clusters of exact copies.
    """

    def __init__(
        self,
        workspace: Workspace,
        near: NearPlan,
        keys: Sequence[PartKey],
        pending: Sequence[PartKey],
    ) -> None:
        self._workspace, self._near = workspace, near
        self._keys, self._pending = list(keys), list(pending)

    @cached_property
    def _position(self) -> dict[int, int]:
        """Once a worker: making it anew for each partition is quadratic in the parts."""
        return _positions(self._near, self._pending)

    def process(self, number: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted part."""
        if number < len(self._keys):
            batches = asked_by_pairs(self._workspace, self._near, self._keys[number])
        else:
            batches = sizes_of_copies(self._workspace, self._near, number - len(self._keys))
        for batch in batches:
            yield from _to_parts(batch, "place", self._position, ASKED_BYTES)


class CommitTexts(beam.DoFn):
    """(position of a part, what is asked of it) -> committed texts and sets."""

    def __init__(
        self, workspace: Workspace, near: NearPlan, keys: Sequence[PartKey], limits: Limits
    ) -> None:
        self._workspace, self._near, self._keys = workspace, near, list(keys)
        self._threads = limits.processes

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        key = self._keys[index]
        commit_texts(self._workspace, self._near, key, list(batches), self._threads)
        yield index


def _positions(near: NearPlan, keys: Sequence[PartKey]) -> dict[int, int]:
    """Number of a part, as places have it -> its position among the keys."""
    place = {source: index for index, source in enumerate(near.sources)}
    return {number_of_part(place[key.source], key.part): index for index, key in enumerate(keys)}


def _to_parts(
    batch: pa.RecordBatch, column: str, position: dict[int, int], row_bytes: int
) -> Iterator[Keyed]:
    target = parts_at(batch.column(column).to_numpy())
    for number, rows in by_partition(batch, target, list(position), BATCH_BYTES // row_bytes):
        yield position[number], rows
