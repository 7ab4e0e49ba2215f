"""The shuffles of deduplication, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `FindClusters` | signatures, 48 a document | partitions of text hashes | exact clusters |
| `LabelDuplicates` | decisions, about 60 a copy or near-duplicate | parts | labels |

Between the two the search for near-duplicates runs. Each takes the share of partitions or parts
that fits into memory; `steps` cuts the shares.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import apache_beam as beam
import pyarrow as pa

from pipelines.deduplicate.exact import DECISION, MEMBER, members, partition_of
from pipelines.deduplicate.job import commit_labels, commit_partition, decisions_for
from pipelines.deduplicate.plan import MEMBER_BYTES, DuplicatesPlan
from pipelines.near_duplicates.buckets import by_partition
from pipelines.near_duplicates.transform import near_steps
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_table
from pipelines.workspace.passes import passes, pending_partitions, pending_parts
from pipelines.workspace.transform import BATCH_BYTES, GroupBatches, Keyed, ListNumbers, ListParts
from pipelines.workspace.workspace import Workspace

_BATCH_ROWS: Final = BATCH_BYTES // MEMBER_BYTES
_DECISION_BYTES: Final = 64


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
    pending = pending_parts(workspace, plan.labels, keys)
    if not pending:
        return
    num_rows = plan.num_documents
    missing = pending_partitions(workspace, plan.clusters, plan.num_partitions)
    for some in passes(missing, num_rows * MEMBER_BYTES, memory_bytes):
        yield FindClusters(workspace, plan, keys, some)
    if plan.near is not None:
        yield from near_steps(workspace, plan, keys, limits, memory_bytes)
    for few in passes(pending, num_rows * _DECISION_BYTES, memory_bytes):
        yield LabelDuplicates(workspace, plan, few)


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
            | "Send members" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By partition" >> GroupBatches(self._partitions, MEMBER)
            | "Find clusters" >> beam.ParDo(self._commit)
        )


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
            | "Send decisions" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), DECISION)
            | "Label duplicates" >> beam.ParDo(self._commit)
        )


class SendMembers(beam.DoFn):
    """Part key -> (partition, members)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, partitions: list[int]) -> None:
        self._workspace, self._plan = workspace, plan
        self._partitions = partitions

    def process(self, key: PartKey) -> Iterator[Keyed]:
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


class SendDecisions(beam.DoFn):
    """Partition of text hashes -> (position of a part, decisions about it)."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB, of one part each."""
        position = {key: index for index, key in enumerate(self._keys)}
        for key, batch in decisions_for(self._workspace, self._plan, partition, self._keys):
            for start in range(0, batch.num_rows, BATCH_BYTES // _DECISION_BYTES):
                yield position[key], batch.slice(start, BATCH_BYTES // _DECISION_BYTES)


class CommitLabels(beam.DoFn):
    """(position of a part, its decisions) -> committed labels."""

    def __init__(self, workspace: Workspace, plan: DuplicatesPlan, keys: Sequence[PartKey]) -> None:
        self._workspace, self._plan, self._keys = workspace, plan, list(keys)

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        commit_labels(self._workspace, self._plan, self._keys[index], list(batches))
        yield index
