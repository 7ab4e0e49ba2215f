"""Parts that the ledger took since a pipeline began: progress on runners that tell none.

Flink's job server gives the counters of Beam when the job is over; others lag. The ledger knows
which parts are done on any runner. Of a job that commits several generations a part, one is looked
at: the last of those that lack a part.
"""

from collections.abc import Mapping, Sequence

from pipelines.workspace.jobs import PartJob, PartKey
from pipelines.workspace.workspace import Workspace


class CommittedParts:
    """Counts the parts of a pipeline that were committed since the first look."""

    def __init__(
        self, workspace: Workspace, jobs: Mapping[str, PartJob], keys: Sequence[PartKey]
    ) -> None:
        """Args:
        workspace: Where they are committed.
        jobs: Source -> the last job of the chain.
        keys: The parts of the pipeline.
        """
        self._workspace, self._jobs = workspace, dict(jobs)
        self._keys = frozenset(keys)
        self._watched: dict[str, str] | None = None  # source -> generation
        self._before: set[PartKey] = set()

    @property
    def name(self) -> str:
        """Under which the meter counts these parts."""
        job = next(iter(self._jobs.values()))
        return f"{job.generations[0].job.split('.')[0]}.parts"

    def begin(self) -> None:
        """Looks at what is committed already; one listing a generation."""
        self._watched = {}
        for source in {key.source for key in self._keys}:
            wanted = {key for key in self._keys if key.source == source}
            for generation in reversed(self._jobs[source].generations):
                held = self._held(source, generation.name)
                if not wanted <= held:
                    self._watched[source] = generation.name
                    self._before |= held & wanted
                    break

    def count(self) -> int:
        """Parts committed since `begin`; one listing a source."""
        assert self._watched is not None, "begin was not called"
        done = {
            key for source, name in self._watched.items() for key in self._held(source, name)
        } & self._keys
        return len(done - self._before)

    def _held(self, source: str, generation: str) -> set[PartKey]:
        paths = self._workspace.ledger.entry_files(generation, source)
        return {PartKey(source, int(path.rpartition("/part-")[2][:-5])) for path in paths}
