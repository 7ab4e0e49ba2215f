"""The shuffles of boilerplate and repeats, over Arrow batches with integer keys.

| transform | shuffled, bytes | to | commits |
|---|---|---|---|
| `MapChain` of `CollectKeys` | nothing | parts | keys of the first count |
| `CountKeys` | keys, 24 each | partitions of keys | shared keys |
| `TakeBack` | shared keys, 20 each | parts | keys of the next count, or labels |

Keys: one for each line and paragraph with letters; or one for about 13 words, and then one for each
word of stretches that may be shared. Each transform takes the share of partitions or parts that
fits into memory; `steps` cuts the shares.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import apache_beam as beam
import pyarrow as pa

from pipelines.repeats.counting import KEY, SENT, SENT_BYTES
from pipelines.repeats.job import (
    CollectKeys,
    commit_keys,
    commit_labels,
    commit_shared,
    keys_to_return,
    keys_to_send,
)
from pipelines.repeats.plan import RepeatsPlan
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PARTITIONS, PartKey
from pipelines.workspace.passes import passes, pending_partitions, pending_parts
from pipelines.workspace.transform import (
    BATCH_BYTES,
    GroupBatches,
    Keyed,
    ListNumbers,
    ListParts,
    MapChain,
)
from pipelines.workspace.workspace import Workspace

_LABELS: Final = -1


def steps(
    workspace: Workspace,
    plan: RepeatsPlan,
    keys: list[PartKey],
    limits: Limits,
    memory_bytes: int,
) -> Iterator[beam.PTransform]:
    """The pipelines that are still to be run; each is to be run before the next is asked for.

    Args:
        workspace: Where everything is; its ledger says what is done.
        plan: What is looked for.
        keys: All parts.
        limits: Of child processes.
        memory_bytes: What a shuffle may take at a time.

    Raises:
        ValueError: Other parts than those of the plan.
    """
    if sorted(keys) != list(plan.parts):
        raise ValueError(
            f"found {len(keys)} parts, and the plan of {plan.labels.name} is over "
            f"{len(plan.parts)} others; plan again over the parts that there are"
        )
    ledger = workspace.ledger
    if not pending_parts(workspace, plan.labels, plan.parts):
        return
    num_returned = 0
    for number, counting in enumerate(plan.countings):
        pending = pending_parts(workspace, counting.keys, plan.parts)
        if number:
            for few in passes(pending, num_returned * SENT_BYTES, memory_bytes):
                yield TakeBack(workspace, plan, number, few)
        elif pending:
            job = CollectKeys(plan)
            yield MapChain(workspace, [dict.fromkeys(plan.sources, job)], pending, limits)
        num_keys = sum(entry.counts["keys"] for entry in ledger.entries(counting.keys))
        missing = pending_partitions(workspace, counting.shared, counting.num_partitions)
        # What is missing receives its share; passes of consecutive partitions.
        num_missing = num_keys * len(missing) // counting.num_partitions
        for some in passes(missing, num_missing * SENT_BYTES, memory_bytes):
            yield CountKeys(workspace, plan, number, some)
        entries = ledger.entries(counting.shared, PARTITIONS)
        num_returned = sum(entry.counts["returned"] for entry in entries)
    pending = pending_parts(workspace, plan.labels, plan.parts)
    for few in passes(pending, num_returned * SENT_BYTES, memory_bytes):
        yield TakeBack(workspace, plan, _LABELS, few)


class CountKeys(beam.PTransform):
    """Keys of all parts -> those that enough documents hold, for some of the partitions."""

    def __init__(
        self, workspace: Workspace, plan: RepeatsPlan, number: int, partitions: list[int]
    ) -> None:
        """Args:
        workspace: Where everything is.
        plan: What is looked for.
        number: Of the count, in `plan.countings`.
        partitions: Consecutive but for those that are done.
        """
        super().__init__()
        self._parts, self._partitions = list(plan.parts), partitions
        self._send = SendKeys(workspace, plan, number, partitions)
        self._commit = CommitShared(workspace, plan, number)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers of committed partitions."""
        return (
            pipeline
            | "List parts" >> ListParts(self._parts)
            | "Send keys" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By partition" >> GroupBatches(self._partitions, SENT)
            | "Count keys" >> beam.ParDo(self._commit)
        )


class TakeBack(beam.PTransform):
    """Shared keys -> what the parts that sent them make of them, for some of the parts."""

    def __init__(
        self, workspace: Workspace, plan: RepeatsPlan, number: int, keys: list[PartKey]
    ) -> None:
        """Args:
        workspace: Where everything is.
        plan: What is looked for.
        number: Of the count whose keys are made; -1 for the labels.
        keys: Parts.
        """
        super().__init__()
        self._num_parts = len(keys)
        made = len(plan.countings) - 1 if number == _LABELS else number - 1
        self._partitions = list(range(plan.countings[made].num_partitions))
        self._send = ReturnKeys(workspace, plan, made, keys)
        self._commit = CommitPart(workspace, plan, number, keys)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> positions of committed parts."""
        return (
            pipeline
            | "List partitions" >> ListNumbers(self._partitions)
            | "Return keys" >> beam.ParDo(self._send).with_output_types(Keyed)
            | "By part" >> GroupBatches(range(self._num_parts), KEY)
            | "Commit part" >> beam.ParDo(self._commit)
        )


class SendKeys(beam.DoFn):
    """Part key -> (partition, keys of the part)."""

    def __init__(
        self, workspace: Workspace, plan: RepeatsPlan, number: int, partitions: list[int]
    ) -> None:
        self._workspace, self._plan = workspace, plan
        self._number, self._partitions = number, partitions

    def process(self, key: PartKey) -> Iterator[Keyed]:
        """Batches of at most 8 MB for each wanted partition."""
        wanted = set(self._partitions)
        place = (self._workspace, self._plan, self._number, key)
        for partition, batch in keys_to_send(*place, self._partitions, BATCH_BYTES):
            if partition in wanted:
                yield partition, batch


class CommitShared(beam.DoFn):
    """(partition, its keys) -> committed shared keys."""

    def __init__(self, workspace: Workspace, plan: RepeatsPlan, number: int) -> None:
        self._workspace, self._plan, self._number = workspace, plan, number

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the partition's number on."""
        partition, batches = element
        commit_shared(self._workspace, self._plan, self._number, partition, list(batches))
        yield partition


class ReturnKeys(beam.DoFn):
    """Partition -> (position of a part, shared keys that it sent)."""

    def __init__(
        self, workspace: Workspace, plan: RepeatsPlan, number: int, keys: list[PartKey]
    ) -> None:
        self._workspace, self._plan = workspace, plan
        self._number, self._keys = number, keys

    def process(self, partition: int) -> Iterator[Keyed]:
        """Batches of at most 8 MB, of one part each."""
        position = {key: index for index, key in enumerate(self._keys)}
        place = (self._workspace, self._plan, self._number, partition)
        for key, batch in keys_to_return(*place, BATCH_BYTES):
            if key in position:
                yield position[key], batch


class CommitPart(beam.DoFn):
    """(position of a part, shared keys that it sent) -> committed keys or labels."""

    def __init__(
        self, workspace: Workspace, plan: RepeatsPlan, number: int, keys: list[PartKey]
    ) -> None:
        self._workspace, self._plan = workspace, plan
        self._number, self._keys = number, keys

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[int]:
        """Passes the position on."""
        index, batches = element
        key, returned = self._keys[index], list(batches)
        if self._number == _LABELS:
            commit_labels(self._workspace, self._plan, key, returned)
        else:
            commit_keys(self._workspace, self._plan, self._number, key, returned)
        yield index
