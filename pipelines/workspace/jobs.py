"""A part job: the unit that Beam maps over parts, and that knows no Beam.

A job is told a part, makes its files, and commits them. It asks the ledger first, so running it
twice, in two places, or again after a crash, is harmless: that is the whole recovery story.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.meter import METER
from pipelines.workspace.version import code_version
from pipelines.workspace.workspace import Workspace

__all__ = [
    "METER",
    "PARTITIONS",
    "PartJob",
    "PartKey",
    "entry_of",
    "is_done",
    "pending_keys",
]

PARTITIONS: Final = "partitions"
"""Stands for the source in ledgers by partition."""


@dataclass(frozen=True, slots=True, order=True)
class PartKey:
    """Names a part; the only thing that travels between stages."""

    source: str
    part: int


class PartJob(Protocol):
    """Work on one part at a time. Pickled to workers, so it holds plain values only."""

    @property
    def generations(self) -> tuple[Generation, ...]:
        """What it commits; a part is done when all of them hold it."""
        ...

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Makes and commits what the ledger does not yet hold for this part."""
        ...


def is_done(workspace: Workspace, job: PartJob, key: PartKey) -> bool:
    """Whether all generations of a job hold a part."""
    return all(
        workspace.ledger.find(generation, key.source, key.part) is not None
        for generation in job.generations
    )


def pending_keys(
    workspace: Workspace, jobs: Mapping[str, PartJob], keys: list[PartKey]
) -> list[PartKey]:
    """The parts that some generation of their source's job does not hold, by one listing each.

    By names alone: to read what a million entries say takes a minute (`docs/scale.md`).
    """
    done: dict[str, set[PartKey]] = {}
    for source, job in jobs.items():
        for generation in job.generations:
            held = {PartKey(*place) for place in workspace.ledger.places(generation, source)}
            done[source] = done[source] & held if source in done else held
    return [key for key in keys if key not in done.get(key.source, set())]


def entry_of(
    generation: Generation,
    key: PartKey,
    *,
    files: tuple[FileRef, ...],
    counts: Mapping[str, int],
    watch: Stopwatch,
    detail: Mapping[str, Any] | None = None,
    inputs: tuple[str, ...] = (),
) -> Entry:
    """A ledger entry with time and code version filled in."""
    return Entry(
        job=generation.job,
        fp=generation.fp,
        source=key.source,
        part=key.part,
        files=files,
        counts=dict(counts),
        detail=dict(detail or {}),
        inputs=inputs,
        seconds=watch.seconds,
        code=code_version(),
    )
