"""The shuffles of deduplication, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `FindClusters` | signatures, 64 a document | partitions of text hashes | exact clusters |
| | addresses, 56 a document that has one | partitions of their hashes | clusters of addresses |
| `LabelDuplicates` | decisions, about 72 a copy or near-duplicate | parts | labels sets |

Between the two the search for near-duplicates runs. Each takes the share of partitions or parts
that fits into memory; `steps` cuts the shares.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import apache_beam as beam
import pyarrow as pa

from pipelines.deduplicate.exact import (
    DUPLICATE,
    MEMBER,
    MEMBER_BYTES,
    REPEATED_RECORD,
    REPRESENTATIVE,
    collapse_column,
    members,
    partition_of,
)
from pipelines.deduplicate.generated import generated
from pipelines.deduplicate.job import SENT, commit_labels, commit_partition, decisions_for
from pipelines.deduplicate.plan import DUPLICATES, EXACT_SETS, DuplicatesPlan
from pipelines.deduplicate.urls import URL_MEMBER_BYTES, url_members
from pipelines.near_duplicates.buckets import by_partition
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.near_duplicates.transform import near_steps
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.passes import passes, pending_partitions, pending_parts
from pipelines.workspace.transform import BATCH_BYTES, GroupBatches, Keyed, ListNumbers, ListParts
from pipelines.workspace.workspace import Workspace

_DECISION_BYTES: Final = 72


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
    pending = {
        name: parts
        for name, generation in plan.label_sets.items()
        if (parts := pending_parts(workspace, generation, keys))
    }
    if not pending:
        return
    missing = _missing_partitions(workspace, plan, pending)
    num_bytes = plan.num_documents * MEMBER_BYTES * len(missing) // plan.num_partitions
    for some in passes(missing, num_bytes, memory_bytes):
        yield FindClusters(workspace, plan, keys, some)
    if plan.near is not None and DUPLICATES in pending:
        yield from near_steps(workspace, plan.near, keys, limits, memory_bytes)
    wanted = {key for some in pending.values() for key in some}
    parts = [key for key in keys if key in wanted]
    num_bytes = _num_decisions(workspace, plan, pending) * _DECISION_BYTES
    for few in passes(parts, num_bytes, memory_bytes):
        yield LabelDuplicates(workspace, plan, few, tuple(pending))


def _missing_partitions(
    workspace: Workspace, plan: DuplicatesPlan, sets: Collection[str]
) -> list[int]:
    """Partitions whose clusters some labels sets need and that are not there."""
    missing: list[int] = []
    if set(sets) - {EXACT_SETS["url"]}:
        missing += pending_partitions(workspace, plan.clusters, plan.num_partitions)
    if EXACT_SETS["url"] in sets:
        urls = pending_partitions(workspace, plan.url_clusters, plan.num_url_partitions)
        missing += [plan.num_partitions + number for number in urls]
    return missing


def _num_decisions(workspace: Workspace, plan: DuplicatesPlan, sets: Collection[str]) -> int:
    """Decisions that go to the parts, an upper bound."""
    of_clusters = sum(name != EXACT_SETS["url"] for name in sets)
    weights: list[tuple[Generation, int]] = [(plan.clusters, of_clusters)]
    if EXACT_SETS["url"] in sets:
        weights.append((plan.url_clusters, 1))
    if plan.near is not None and DUPLICATES in sets:
        weights.append((plan.near.stars, 1))
    roles = (REPRESENTATIVE, DUPLICATE, REPEATED_RECORD, NEAR_DUPLICATE)
    return sum(
        weight * sum(entry.counts.get(role, 0) for role in roles)
        for generation, weight in weights
        for entry in workspace.ledger.entries(generation, PARTITIONS)
    )


class FindClusters(beam.PTransform):
    """Signatures and addresses -> clusters of exact copies, for some of the partitions."""

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
            | "Send members" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By partition" >> GroupBatches(self._partitions, MEMBER)
            | "Find clusters" >> beam.ParDo(self._commit)
        )


class LabelDuplicates(beam.PTransform):
    """Clusters -> row-aligned labels sets, for some of the parts."""

    def __init__(
        self,
        workspace: Workspace,
        plan: DuplicatesPlan,
        keys: list[PartKey],
        sets: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._num_parts = len(keys)
        self._partitions = plan.all_partitions
        self._send = SendDecisions(workspace, plan, keys, sets)
        self._commit = CommitLabels(workspace, plan, keys, sets)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._partitions)
            | "Send decisions" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), SENT)
            | "Label duplicates" >> beam.ParDo(self._commit)
        )


class SendMembers(beam.DoFn):
    """Part key -> (partition, members): of texts, and of addresses, whose partitions come after."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, partitions: list[int]) -> None:
        self._workspace, self._plan = workspace, plan
        self._partitions = partitions

    def process(self, key: PartKey) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        first_url = self._plan.num_partitions
        texts = [number for number in self._partitions if number < first_url]
        urls = [number for number in self._partitions if number >= first_url]
        if texts:
            yield from self._texts(key, texts)
        if urls:
            yield from self._urls(key, urls)

    def _texts(self, key: PartKey, partitions: list[int]) -> Iterator[Keyed]:
        plan = self._plan
        entry = self._workspace.ledger.get(plan.signatures[key.source], key.source, key.part)
        columns = sorted({"id", "text_hash", collapse_column(plan.collapse)})
        table = read_table(self._workspace.storage, entry.file("labels"), columns)
        by_models = generated(self._workspace, plan.extract[key.source], key)
        batch = members(table, plan.sources.index(key.source), key.part, plan.collapse, by_models)
        target = partition_of(batch.column("key"), plan.num_partitions)
        yield from by_partition(batch, target, partitions, BATCH_BYTES // MEMBER_BYTES)

    def _urls(self, key: PartKey, partitions: list[int]) -> Iterator[Keyed]:
        plan = self._plan
        entry = self._workspace.ledger.get(plan.extract[key.source], key.source, key.part)
        columns = ["id", "uri", "fetched_at"]
        table = read_table(self._workspace.storage, entry.file("documents"), columns)
        batch = url_members(table, plan.sources.index(key.source), key.part)
        target = partition_of(batch.column("key"), plan.num_url_partitions) + plan.num_partitions
        yield from by_partition(batch, target, partitions, BATCH_BYTES // URL_MEMBER_BYTES)


class CommitPartition(beam.DoFn):
    """(partition, its members) -> committed clusters."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan) -> None:
        self._workspace, self._plan = workspace, plan

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_partition(self._workspace, self._plan, partition, list(batches))
        yield partition


class SendDecisions(beam.DoFn):
    """Partition -> (position of a part, decisions about it)."""

    def __init__(
        self,
        workspace: Workspace,
        plan: DuplicatesPlan,
        keys: Sequence[PartKey],
        sets: Sequence[str] | None = None,
    ) -> None:
        """Args:
        workspace: Where the clusters are.
        plan: What is deduplicated.
        keys: The parts.
        sets: Names of the labels sets to be written; all of the plan where None.
        """
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)
        self._sets = tuple(plan.label_sets if sets is None else sets)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB, of one part and set each."""
        position = {key: index for index, key in enumerate(self._keys)}
        found = decisions_for(self._workspace, self._plan, partition, self._keys, self._sets)
        for key, batch in found:
            for start in range(0, batch.num_rows, BATCH_BYTES // _DECISION_BYTES):
                yield position[key], batch.slice(start, BATCH_BYTES // _DECISION_BYTES)


class CommitLabels(beam.DoFn):
    """(position of a part, its decisions) -> committed labels sets."""

    def __init__(
        self,
        workspace: Workspace,
        plan: DuplicatesPlan,
        keys: Sequence[PartKey],
        sets: Sequence[str] | None = None,
    ) -> None:
        """Args: as for `SendDecisions`."""
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)
        self._sets = tuple(plan.label_sets if sets is None else sets)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        key = self._keys[index]
        commit_labels(self._workspace, self._plan, key, list(batches), self._sets)
        yield index
