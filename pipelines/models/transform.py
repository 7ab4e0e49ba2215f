"""Maps parts to parts with several of them under way: for jobs that wait for models.

A model is busy only while many requests are in flight, and the end of a part has few: its last
answers are the longest. So a bundle works on several parts, each in a thread. It has to be the
bundle: the in-process runner puts all parts into one, and works on one bundle at a time (seen with
11 parts, Beam 2.77), while other runners make bundles of few parts and work on several themselves.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Final

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.watching.committed import CommittedParts
from pipelines.workspace.children import Limits, shared_children
from pipelines.workspace.jobs import METER, PartJob, PartKey, is_done
from pipelines.workspace.transform import ListParts
from pipelines.workspace.workspace import Workspace

PARTS_AT_ONCE: Final = 4
_REPORT_S: Final = 5.0
"""How long counts of the parts' threads wait at most for the thread of the bundle to report."""


class MapPartsAtOnce(beam.PTransform):
    """Does a job on every part, several parts at a time, and hands the part's name on.

    As `workspace.transform.MapParts` it passes done parts through and may be repeated at will.
    """

    def __init__(
        self,
        workspace: Workspace,
        jobs: Mapping[str, PartJob],
        limits: Limits,
        parts_at_once: int = PARTS_AT_ONCE,
    ) -> None:
        """Args:
        workspace: Where the parts are.
        jobs: The job of each source.
        limits: Of the child processes of a worker.
        parts_at_once: Most parts of a bundle that are under way together.
        """
        super().__init__()
        self._dofn = RunPartsAtOnce(workspace, [jobs], limits, parts_at_once)

    def expand(self, keys: beam.PCollection) -> beam.PCollection:
        """PartKey -> PartKey, in the order in which parts are done."""
        return keys | "Run parts at once" >> beam.ParDo(self._dofn)


class MapChainAtOnce(beam.PTransform):
    """Jobs one after the other on each part, several parts at a time."""

    def __init__(
        self,
        workspace: Workspace,
        chain: Sequence[Mapping[str, PartJob]],
        keys: list[PartKey],
        limits: Limits,
        parts_at_once: int = PARTS_AT_ONCE,
    ) -> None:
        """Args:
        workspace: Where the parts are.
        chain: Source -> job, for each step.
        keys: The parts to do.
        limits: Of the child processes of a worker.
        parts_at_once: Most parts of a bundle that are under way together.
        """
        super().__init__()
        self._keys = keys
        self._dofn = RunPartsAtOnce(workspace, chain, limits, parts_at_once)
        self.committed_parts = CommittedParts(workspace, chain[-1], keys)
        """For runners that tell no counts before the end."""

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Nothing -> PartKey."""
        keys = pipeline | "List parts" >> ListParts(self._keys)
        return keys | "Run chain" >> beam.ParDo(self._dofn)


class RunPartsAtOnce(beam.DoFn):
    """Runs parts through the jobs of their sources, each part in a thread of its own.

    When a part fails no other begins; those under way are finished, so that what was paid for is
    committed and nothing runs on behind the back of the runner; then the error is raised.
    """

    def __init__(
        self,
        workspace: Workspace,
        chain: Sequence[Mapping[str, PartJob]],
        limits: Limits,
        parts_at_once: int,
    ) -> None:
        if parts_at_once < 1:
            raise ValueError(f"parts_at_once is {parts_at_once}; at least 1 is needed")
        self._workspace = workspace
        self._chain = [dict(jobs) for jobs in chain]
        self._limits = limits
        self._parts_at_once = parts_at_once
        self._flight: dict[Future[None], PartKey] = {}

    def start_bundle(self) -> None:
        """Begins without parts: those of a bundle that was given up are its own affair."""
        self._flight = {}

    def process(self, key: PartKey) -> Iterator[PartKey]:
        """Begins a part, and passes on the names of those that are done."""
        yield from self._landed(0)
        while len(self._flight) >= self._parts_at_once:
            yield from self._landed(None)
        self._flight[_in_thread(partial(self._run, key))] = key

    def finish_bundle(self) -> list[WindowedValue]:
        """Waits for the rest."""
        done = []
        while self._flight:
            done += [GlobalWindows.windowed_value(key) for key in self._landed(None)]
        return done

    def _run(self, key: PartKey) -> None:
        for jobs in self._chain:
            job = jobs[key.source]
            if not is_done(self._workspace, job, key):
                family = job.generations[0].job.split(".")[0]
                METER.add(f"{family}.begun", 1)
                job.run(self._workspace, key, shared_children(self._limits))
                METER.add(f"{family}.parts", 1)

    def _landed(self, timeout_s: float | None) -> Iterator[PartKey]:
        """Parts that are done; waits for one where no time is given."""
        pause = _REPORT_S if timeout_s is None else timeout_s
        done: set[Future[None]] = set()
        is_over = False
        while not is_over:
            done, _ = wait(self._flight, pause, FIRST_COMPLETED)
            METER.report()  # here, for the counters of Beam do not hear the parts' own threads
            is_over = bool(done) or timeout_s is not None
        for future in done:
            if future.exception() is not None:
                wait(self._flight)
            future.result()
            yield self._flight.pop(future)


def _in_thread(function: Callable[[], None]) -> Future[None]:
    """Runs a function in a thread that holds up no exit, unlike those of the standard pools."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="part", daemon=True).start()
    return future
