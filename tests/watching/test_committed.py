"""Parts by the ledger, where a runner tells nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from counted_parts import KEYS, CountingJob

from pipelines.watching.committed import CommittedParts
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


def test_count_is_of_what_came_since_the_beginning(workspace: Workspace) -> None:
    job = CountingJob()
    job.run(workspace, KEYS[3], None)  # type: ignore[arg-type]
    parts = CommittedParts(workspace, {"web": job}, KEYS)
    parts.begin()
    assert (parts.name, parts.count()) == ("counting.parts", 0)
    job.run(workspace, KEYS[0], None)  # type: ignore[arg-type]
    job.run(workspace, PartKey("web", 123_456), None)  # type: ignore[arg-type]  # of another run
    assert parts.count() == 1
    job.run(workspace, KEYS[1], None)  # type: ignore[arg-type]
    assert parts.count() == 2


@dataclass(frozen=True)
class _TwoSets(CountingJob):
    @property
    def generations(self) -> tuple[Generation, ...]:
        return (Generation(job="counting.new", payload={}), Generation(job="counting", payload={}))


def test_count_looks_at_a_generation_that_lacks_parts(workspace: Workspace) -> None:
    for key in KEYS:
        CountingJob().run(workspace, key, None)  # type: ignore[arg-type]
    parts = CommittedParts(workspace, {"web": _TwoSets()}, KEYS)
    parts.begin()
    assert parts.count() == 0
    CountingJob("counting.new").run(workspace, KEYS[2], None)  # type: ignore[arg-type]
    assert parts.count() == 1
