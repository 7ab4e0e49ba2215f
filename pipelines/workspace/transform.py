"""The transform that maps parts to parts, what shuffles share, and the coder for Arrow batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import apache_beam as beam
import pyarrow as pa
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.runners.worker.statesampler import get_current_tracker

from pipelines.watching.committed import CommittedParts
from pipelines.workspace.children import Limits, shared_children
from pipelines.workspace.jobs import METER, PartJob, PartKey, is_done
from pipelines.workspace.meter import NAMESPACE
from pipelines.workspace.workspace import Workspace

BATCH_BYTES: Final = 8 << 20
"""Of the largest batch that goes through a shuffle."""
Keyed = tuple[int, pa.RecordBatch]


class MapParts(beam.PTransform):
    """Does a job on every part and hands the part's name on.

    Done parts pass through untouched. The work is repeatable, because what counts is committed by
    the job itself: a bundle that Beam retries finds its parts done.
    """

    def __init__(self, workspace: Workspace, jobs: Mapping[str, PartJob], limits: Limits) -> None:
        """Args:
        workspace: Where the parts are.
        jobs: The job of each source.
        limits: Of the child processes of a worker.
        """
        super().__init__()
        self._dofn = RunPart(workspace, dict(jobs), limits)

    def expand(self, keys: beam.PCollection) -> beam.PCollection:
        """PartKey -> PartKey."""
        return keys | "Run part" >> beam.ParDo(self._dofn)


class MapChain(beam.PTransform):
    """Jobs one after the other over some parts; the runner fuses them, part by part."""

    def __init__(
        self,
        workspace: Workspace,
        chain: Sequence[Mapping[str, PartJob]],
        keys: list[PartKey],
        limits: Limits,
    ) -> None:
        """Args:
        workspace: Where the parts are.
        chain: Source -> job, for each step.
        keys: The parts to do.
        limits: Of the child processes of a worker.
        """
        super().__init__()
        self._keys = keys
        self._steps = [MapParts(workspace, jobs, limits) for jobs in chain]
        self.committed_parts = CommittedParts(workspace, chain[-1], keys)
        """For runners that tell no counts before the end."""

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> PartKey."""
        keys = pipeline | "List parts" >> ListParts(self._keys)
        for number, step in enumerate(self._steps):
            keys = keys | f"Step {number}" >> step
        return keys


class RunPart(beam.DoFn):
    """Runs one part through its source's job."""

    def __init__(self, workspace: Workspace, jobs: dict[str, PartJob], limits: Limits) -> None:
        self._workspace = workspace
        self._jobs = jobs
        self._limits = limits

    def process(self, key: PartKey) -> Iterator[PartKey]:
        """Commits the part, then passes its name on."""
        job = self._jobs[key.source]
        if not is_done(self._workspace, job, key):
            family = job.generations[0].job.split(".")[0]
            METER.add(f"{family}.begun", 1)
            job.run(self._workspace, key, shared_children(self._limits))
            METER.add(f"{family}.parts", 1)
        yield key


class ListParts(beam.PTransform):
    """Gives the keys of parts, spread over workers."""

    def __init__(self, keys: list[PartKey]) -> None:
        super().__init__()
        self._keys = keys

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> PartKey."""
        return pipeline | "Name parts" >> _listed(self._keys) | "Spread" >> beam.Reshuffle()


class ListNumbers(beam.PTransform):
    """Gives numbers, spread over workers."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> numbers."""
        return pipeline | "Number" >> _listed(self._numbers) | "Spread" >> beam.Reshuffle()


class GroupBatches(beam.PTransform):
    """Gathers the batches of each number, also of those for which there are none."""

    def __init__(self, numbers: Sequence[int], schema: pa.Schema) -> None:
        super().__init__()
        self._numbers, self._schema = list(numbers), schema

    def expand(self, sent: beam.PCollection) -> beam.PCollection:
        """(number, batch) -> (number, its batches)."""
        nothing = pa.RecordBatch.from_pylist([], schema=self._schema)
        # Not a list of pairs: for 100,000 parts Beam looked at, encoded and packed 100,000 batches.
        every = (
            sent.pipeline
            | "Every number" >> _listed(self._numbers)
            | "Nothing yet" >> beam.Map(lambda number: (number, nothing)).with_output_types(Keyed)
        )
        return (sent, every) | "Join" >> beam.Flatten() | "Group" >> beam.GroupByKey()


def _listed(values: Sequence[PartKey] | Sequence[int]) -> beam.PTransform:
    """Gives values; a shuffle follows, so that Beam's own behind a list would be one too many."""
    return beam.Create(values, reshuffle=False)


class ArrowBatchCoder(coders.Coder):
    """An Arrow record batch as an IPC stream with its schema."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """IPC stream bytes."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """The batch."""
        with pa.ipc.open_stream(encoded) as reader:
            return reader.read_next_batch()

    def is_deterministic(self) -> bool:
        """Equal batches have equal bytes, but batches are never keys."""
        return False

    def to_type_hint(self) -> type:
        """The type it codes."""
        batch: type = pa.RecordBatch
        return batch


coders.registry.register_coder(pa.RecordBatch, ArrowBatchCoder)


def _is_in_bundle() -> bool:
    """Whether Beam works on a bundle in this thread; elsewhere its counters forget in silence."""
    return get_current_tracker() is not None


def _count(name: str, amount: int) -> None:
    Metrics.counter(NAMESPACE, name).inc(amount)


# Every worker that runs a DoFn of ours imports this module, because all of them name parts or
# batches.
METER.report_by(_is_in_bundle, _count)
