"""The audit of entries: each by itself, some at a time, in this process or in another.

What is asked of all of them is sent to a process with each batch, but for the damaged files, of
which there may be very many: they stand in a file. What was found comes back as plain values, and
is added up in the order of the batches, so that a report is the same however many processes made
it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from pipelines.workspace.audit_damage import (
    COUNTS,
    ROWS,
    Damaged,
    SoundWorkspace,
    is_sampled,
    name_of,
)
from pipelines.workspace.audit_equations import FOOTERS, equation_faults
from pipelines.workspace.audit_ledger import EntryFile, ReadEntries, read_entries
from pipelines.workspace.children import ChildFailed
from pipelines.workspace.ledger import Entry, FileRef, LedgerError, Place
from pipelines.workspace.parts import footer_rows, read_table
from pipelines.workspace.workspace import Workspace

_PARQUET: Final = ".parquet"


class InputsGone(LookupError):
    """Inputs that were read once are no longer there; allowed, but not recountable."""


DeepCheck = Callable[[Workspace, Entry], Iterable[str]]
"""Recounts what one entry says from its files or its inputs; gives faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of every entry."""

    workspace: str
    """Its URL."""
    sample: float
    seed: int
    deep_checks: Mapping[str, DeepCheck]
    """Job -> recount; importable by name where it goes to another process."""
    damaged: str
    """A local file: paths of the files of the workspace that cannot be relied on, as JSON."""


@dataclass(slots=True)
class Found:
    """What was found of some entries."""

    sound: list[Place] = field(default_factory=list)
    """Entries that were read from their own files, ..."""
    known: list[Place] = field(default_factory=list)
    """... and those that the fold has besides."""
    is_copied: bool = True
    """Whether the fold agrees with all of them."""
    recounted: int = 0
    totals: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    damaged: Damaged = field(default_factory=Damaged)
    """Which checks were not made because of damaged files."""


def check_entries(asked: Asked, files: Sequence[EntryFile]) -> Found:
    """Reads some entries and asks of each all that can be asked of one.

    Args:
        asked: What.
        files: Paths of entries, with their copies.
    """
    workspace, paths = _given(asked.workspace, asked.damaged)
    read = read_entries(workspace.ledger, files)
    found = _found(read)
    found.damaged.faults = paths
    for entry in read.entries:
        _check_files(workspace, entry, asked, found)
    found.damaged.faults = {}  # who asked has them
    return found


def not_checked(asked: Asked, file: EntryFile, error: ChildFailed) -> Found:
    """What is found of an entry whose files, when they are looked at, end the process that does.

    Args:
        asked: As of all.
        file: Its path, with its copy.
        error: How the process ended.
    """
    workspace, _ = _given(asked.workspace, asked.damaged)
    found = _found(read_entries(workspace.ledger, [file]))
    found.faults.append(f"{file[0]}: its files cannot be checked ({error})")
    return found


@lru_cache(maxsize=1)
def _given(url: str, damaged: str) -> tuple[SoundWorkspace, dict[str, str]]:
    """A workspace without its damaged files, and these, once a process."""
    paths = json.loads(Path(damaged).read_bytes())
    return SoundWorkspace(url, frozenset(paths)), dict.fromkeys(paths, "")


def _found(read: ReadEntries) -> Found:
    """What entries say by themselves."""
    places = [(entry.source, entry.part) for entry in read.entries]
    found = Found(sound=places, known=read.known, is_copied=read.is_copied)
    found.faults += read.faults
    for entry in read.entries:
        found.totals.setdefault(entry.job, Counter()).update(entry.counts)
        found.faults += equation_faults(entry)
        found.faults += _absence_faults(entry)
    return found


def _check_files(workspace: Workspace, entry: Entry, asked: Asked, found: Found) -> None:
    deep = is_sampled(entry, asked.sample, asked.seed)
    faults = [
        fault
        for ref in entry.files
        if ref.path not in found.damaged.faults
        for fault in _file_faults(workspace, entry, ref, found.damaged, deep=deep)
    ]
    recount = asked.deep_checks.get(entry.job.split(".")[0])
    if deep and recount and not faults:
        faults += _recount(workspace, entry, recount, found)
    found.faults += faults


def guarded(
    check: Callable[[], Iterable[str]], name: str, damaged: Damaged, kind: str, of: str
) -> list[str]:
    """The faults that a check finds; a file that it cannot read is one, told once for all checks.

    Args:
        check: Gives faults.
        name: Of what cannot be checked.
        damaged: What is told already.
        kind: Of the check, for the note of a damaged file, ...
        of: ... and the labels set or job that it is about.
    """
    found: list[str] = []
    try:
        found.extend(check())  # what it found before it met an error stays
    except (OSError, ValueError, LookupError, LedgerError) as error:
        if not damaged.hides(error, kind, of):
            found.append(f"{name}: cannot be checked ({type(error).__name__}: {error})")
    return found


def _recount(workspace: Workspace, entry: Entry, check: DeepCheck, found: Found) -> list[str]:
    faults: list[str] = []
    try:
        faults.extend(check(workspace, entry))
    except InputsGone as gone:
        found.notes.append(f"not recounted: {gone}")
        return []
    except (OSError, ValueError, KeyError, LedgerError) as error:
        if not found.damaged.hides(error, COUNTS, entry.job):
            told = f"cannot be recounted ({type(error).__name__}: {error})"
            faults.append(f"{name_of(entry)}: {told}")
        return faults
    found.recounted += 1
    return faults


def _absence_faults(entry: Entry) -> Iterator[str]:
    """Rows that are counted stand in a file that is named."""
    kinds = {ref.kind for ref in entry.files}
    for kind, count in FOOTERS.get(entry.job, {}).items():
        number = entry.counts.get(count, 0)
        if kind not in kinds and number:
            yield f"{name_of(entry)}: {count} {number}, and it names no {kind} file"


def _file_faults(
    workspace: Workspace, entry: Entry, ref: FileRef, damaged: Damaged, *, deep: bool
) -> list[str]:
    check = partial(_row_faults, workspace, entry, ref, deep=deep)
    folder = ref.path.split("/")[1]  # of a labels set: its name and fingerprint
    return guarded(check, ref.path, damaged, ROWS, folder.partition("@")[0])


def _row_faults(workspace: Workspace, entry: Entry, ref: FileRef, *, deep: bool) -> Iterator[str]:
    if not ref.path.endswith(_PARQUET):
        return
    rows = footer_rows(workspace.storage, ref)
    if rows != ref.rows:
        yield f"{ref.path}: its footer counts {rows} rows, and the ledger says {ref.rows}"
    count = FOOTERS.get(entry.job.split(".")[0], {}).get(ref.kind)
    if count is not None and entry.counts[count] != rows:
        yield f"{name_of(entry)}: {count} {entry.counts[count]}, and {ref.path} has {rows} rows"
    if deep and ref.kind == "labels":
        yield from _alignment_faults(workspace, entry, ref)


def _alignment_faults(workspace: Workspace, entry: Entry, ref: FileRef) -> Iterator[str]:
    storage = workspace.storage
    for path in entry.inputs:
        documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
        if not storage.exists(path):
            yield f"{ref.path}: made from {path}, which is missing"
        elif read_table(storage, documents, ["id"]) != read_table(storage, ref, ["id"]):
            yield f"{ref.path}: its ids are not those of {path}, row by row"
