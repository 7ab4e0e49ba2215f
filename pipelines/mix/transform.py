"""Planning on Beam: parts mapped side by side within a worker, and tallies added up.

Label work is short (a tenth of a second a part) and mostly inside Arrow, duckdb and numpy, which
let go of the interpreter: so a worker takes its parts in small groups and does each group on
threads, where child processes would spend more on starting and on copying labels. That is what
gives a laptop all its cores, for the in-process runner is one process with one thread of work.

| transform | shuffled, bytes | commits |
|---|---|---|
| `MapGroups` of `TallyJob` | nothing | tallies of parts |
| `AddTallies` | tallies, about 60 a group, bucket and bin | one histogram |
| `MapGroups` of `PreviewJob` | nothing | previews of parts |
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import apache_beam as beam
import pyarrow as pa
from apache_beam import coders

from pipelines.mix.tally import HISTOGRAM, STAGE_TALLY, add_up, commit_histogram
from pipelines.workspace.children import Limits, shared_children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import METER, PartJob, PartKey, is_done
from pipelines.workspace.parts import read_table
from pipelines.workspace.transform import ArrowBatchCoder, ListParts
from pipelines.workspace.workspace import Workspace

_GROUP: Final = 32  # parts that a worker takes at a time: seconds of work
_PENDING_ROWS: Final = 1 << 17  # rows of tallies that wait, beside the sums, to be added up


class MapGroups(beam.PTransform):
    """Does a job on parts, several at a time in each worker."""

    def __init__(
        self,
        workspace: Workspace,
        jobs: Mapping[str, PartJob],
        keys: list[PartKey],
        limits: Limits,
    ) -> None:
        """Args:
        workspace: Where the parts are.
        jobs: The job of each source.
        keys: The parts to do.
        limits: How many parts a worker does at a time.
        """
        super().__init__()
        self._groups = [keys[start : start + _GROUP] for start in range(0, len(keys), _GROUP)]
        self._dofn = RunGroup(workspace, dict(jobs), limits)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> PartKey."""
        groups = pipeline | "Name groups" >> beam.Create(self._groups)
        return groups | "Spread" >> beam.Reshuffle() | "Run group" >> beam.ParDo(self._dofn)


class RunGroup(beam.DoFn):
    """Runs the parts of a group on threads."""

    def __init__(self, workspace: Workspace, jobs: dict[str, PartJob], limits: Limits) -> None:
        self._workspace = workspace
        self._jobs = jobs
        self._limits = limits

    def process(self, keys: list[PartKey]) -> Iterator[PartKey]:
        """Commits the parts, then passes their names on."""
        with ThreadPoolExecutor(self._limits.processes) as threads:
            for key in threads.map(self._run, keys):
                METER.report()
                yield key

    def _run(self, key: PartKey) -> PartKey:
        job = self._jobs[key.source]
        if not is_done(self._workspace, job, key):
            job.run(self._workspace, key, shared_children(self._limits))
            METER.add(f"{job.generations[0].job.split('.')[0]}.parts", 1)
        return key


class AddTallies(beam.PTransform):
    """Adds up the tallies of all parts and commits the sum."""

    def __init__(self, workspace: Workspace, tallies: Generation, keys: list[PartKey]) -> None:
        """Args:
        workspace: Where the tallies are.
        tallies: Their generation.
        keys: All parts that were tallied.
        """
        super().__init__()
        self._keys = keys
        self._read = ReadTally(workspace, tallies)
        self._commit = CommitHistogram(workspace, tallies)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> name of the committed generation."""
        keys = pipeline | "List parts" >> ListParts(self._keys)
        tallies = keys | "Read tally" >> beam.ParDo(self._read).with_output_types(pa.RecordBatch)
        table = tallies | "Add up" >> beam.CombineGlobally(SumTallies())
        return table | "Commit" >> beam.ParDo(self._commit)


class ReadTally(beam.DoFn):
    """Reads the committed tally of a part."""

    def __init__(self, workspace: Workspace, tallies: Generation) -> None:
        self._workspace = workspace
        self._tallies = tallies

    def process(self, key: PartKey) -> Iterator[pa.RecordBatch]:
        """PartKey -> batches of schema STAGE_TALLY."""
        entry = self._workspace.ledger.get(self._tallies, key.source, key.part)
        yield from read_table(self._workspace.storage, entry.file("tally")).to_batches()
        METER.add(HISTOGRAM, 1)


class SumTallies(beam.CombineFn):
    """Adds tallies; the accumulator has one row a key, and some that wait to be added."""

    def create_accumulator(self) -> pa.Table:
        """Nothing counted."""
        return STAGE_TALLY.empty_table()

    def add_input(self, sums: pa.Table, batch: pa.RecordBatch) -> pa.Table:
        """Takes one batch; adds up when as many rows wait as were summed before."""
        return _settled(pa.concat_tables([sums, pa.Table.from_batches([batch])]))

    def merge_accumulators(self, accumulators: Iterable[pa.Table]) -> pa.Table:
        """The sum of partial sums."""
        merged = self.create_accumulator()
        for sums in accumulators:
            merged = _settled(pa.concat_tables([merged, sums]))
        return merged

    def compact(self, sums: pa.Table) -> pa.Table:
        """Called before an accumulator travels."""
        return add_up([sums])

    def extract_output(self, sums: pa.Table) -> pa.Table:
        """One row a key."""
        return add_up([sums])

    def get_accumulator_coder(self) -> coders.Coder:
        """Arrow IPC."""
        return _TableCoder()


def _settled(table: pa.Table) -> pa.Table:
    """Adds up when the chunks behind the first, which is the sum so far, outgrow it."""
    settled = len(table.column(0).chunk(0)) if table.num_rows else 0
    if table.num_rows - settled <= max(settled, _PENDING_ROWS):
        return table
    return add_up([table]).combine_chunks()


class _TableCoder(coders.Coder):
    """A table as an IPC stream; the sum of its rows is what counts, not how they are cut."""

    def encode(self, value: pa.Table) -> bytes:
        """IPC stream bytes of one batch."""
        batches = value.combine_chunks().to_batches() or [_EMPTY_BATCH]
        encoded: bytes = ArrowBatchCoder().encode(batches[0])
        return encoded

    def decode(self, encoded: bytes) -> pa.Table:
        """The table."""
        return pa.Table.from_batches([ArrowBatchCoder().decode(encoded)])

    def is_deterministic(self) -> bool:
        """Sums are never keys."""
        return False


_EMPTY_BATCH: Final = pa.RecordBatch.from_pylist([], schema=STAGE_TALLY)


class CommitHistogram(beam.DoFn):
    """Commits what the tallies add up to."""

    def __init__(self, workspace: Workspace, tallies: Generation) -> None:
        self._workspace = workspace
        self._tallies = tallies

    def process(self, table: pa.Table) -> Iterator[str]:
        """Table of schema STAGE_TALLY -> full fingerprint of the tallies."""
        commit_histogram(self._workspace, self._tallies, table)
        METER.add(f"{HISTOGRAM}.parts", 1)
        yield self._tallies.full
