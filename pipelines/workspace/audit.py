"""The audit: does everything that came in stand somewhere, and is every file what it was?

Four questions, each with the name of what is wrong: does every committed file exist with the hash
the ledger names; do the counts of each job balance and agree with the files' own footers; are
labels aligned with their documents, id by id; and is a sample, read again from the inputs or
recounted from the files, what was counted. The first is asked of all files before the others, so
that what is compared with a damaged file is not called wrong itself (`audit_damage.py`).
"""

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pipelines.workspace.audit_crew import Crew, batches
from pipelines.workspace.audit_damage import WHOLE, Damaged, SoundWorkspace, find_damaged
from pipelines.workspace.audit_entries import (
    Asked,
    DeepCheck,
    Found,
    check_entries,
    guarded,
    not_checked,
)
from pipelines.workspace.audit_ledger import Listed, input_faults, inventory_faults, payload_faults
from pipelines.workspace.ledger import Entries, Entry
from pipelines.workspace.workspace import Workspace

_ENTRIES: Final = 16  # of a batch: one may take half a minute
_WORTH_PROCESSES: Final = 64 << 20  # bytes of files, below which a process is not worth its start


@dataclass(slots=True)
class AuditReport:
    """What was looked at, and what was wrong."""

    files: int = 0
    bytes_hashed: int = 0
    entries: int = 0
    recounted: int = 0
    """Entries whose counts were made again from files or inputs."""
    totals: dict[str, Counter[str]] = field(default_factory=dict)
    """Job -> sums of its counts."""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be checked, and why."""


AcrossParts = Callable[[Workspace, str, Sequence[Entry]], Iterable[str]]
"""Checks all entries of one generation together; gives faults."""


def audit(
    workspace: Workspace,
    *,
    sample: float = 1.0,
    seed: int = 0,
    deep_checks: Mapping[str, DeepCheck] | None = None,
    across_parts: Sequence[AcrossParts] = (),
    processes: int = 1,
) -> AuditReport:
    """Checks a workspace.

    Args:
        workspace: What to check.
        sample: Share of entries, in (0, 1], whose files are hashed and recounted; equations,
            footers and existence are always checked for all.
        seed: Chooses the sample.
        deep_checks: Job -> recount of one of its entries, done for the sample.
        across_parts: Checks of a whole generation, beside those of this module.
        processes: That check entries, where there is much to read; with more than one,
            `deep_checks` must be importable by name.

    Returns:
        The report; the workspace is sound when `faults` is empty.
    """
    damaged = find_damaged(workspace, sample=sample, seed=seed)
    report = AuditReport(files=damaged.files, bytes_hashed=damaged.bytes_hashed)
    report.faults += damaged.faults.values()
    with (
        tempfile.TemporaryDirectory() as folder,
        Crew(processes if damaged.bytes >= _WORTH_PROCESSES else 1) as crew,
    ):
        asked = Asked(
            workspace=workspace.url,
            sample=sample,
            seed=seed,
            deep_checks=deep_checks or {},
            damaged=_written(damaged, Path(folder)),
        )
        ledgers = [
            _check_generation(workspace, name, asked, crew, across_parts, report, damaged)
            for name in workspace.ledger.generations()
        ]
    inputs, inventory = (
        partial(input_faults, ledgers),
        partial(inventory_faults, workspace, ledgers),
    )
    for name, check in (("inputs of entries", inputs), ("inventory", inventory)):
        report.faults += guarded(check, name, damaged, WHOLE, name)
    report.notes += damaged.notes()
    return report


def _written(damaged: Damaged, folder: Path) -> str:
    """A file with the paths of damaged files, for all processes."""
    paths = folder / "damaged.json"
    paths.write_text(json.dumps([*damaged.faults]), encoding="utf-8")
    return str(paths)


def _check_generation(
    workspace: Workspace,
    generation: str,
    asked: Asked,
    crew: Crew,
    across_parts: Sequence[AcrossParts],
    report: AuditReport,
    damaged: Damaged,
) -> Entries:
    """Its entries one by one, then all of them together; gives those that are known."""
    report.faults += payload_faults(workspace, generation)
    listed = Listed(workspace.ledger, generation)
    files = batches(workspace.ledger.beside_fold(generation), _ENTRIES)
    not_made = partial(not_checked, asked)
    for found in crew.map(partial(check_entries, asked), files, not_made):
        listed.add(found.sound, found.known, is_copied=found.is_copied)
        _add(report, found, damaged)
    sound = SoundWorkspace(workspace.url, frozenset(damaged.faults))
    for check_all in (_tiling_faults, *across_parts):
        whole = partial(check_all, sound, generation, listed.sound())
        report.faults += guarded(whole, generation, damaged, WHOLE, generation.split("@")[0])
    return listed.known()


def _add(report: AuditReport, found: Found, damaged: Damaged) -> None:
    report.entries += len(found.sound)
    report.recounted += found.recounted
    for job, totals in found.totals.items():
        report.totals.setdefault(job, Counter()).update(totals)
    report.faults += found.faults
    report.notes += found.notes
    damaged.add_unchecked(found.damaged)


def _tiling_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Ranges of a split file must meet: one ends where the next begins."""
    if not generation.startswith("extract@"):
        return
    extents: dict[tuple[str, str], list[list[int]]] = {}
    for entry in entries:
        for file, extent in entry.detail.get("extents", {}).items():
            extents.setdefault((entry.source, file), []).append(extent)
    for (source, file), found in extents.items():
        found.sort()
        for before, after in itertools.pairwise(found):
            if before[1] != after[0]:
                yield (
                    f"{source}: {file} was read up to byte {before[1]} and again from byte "
                    f"{after[0]}; the ranges must meet"
                )
