"""Committed files that are not what the ledger says, and what cannot be checked because of them.

The audit looks for them before all else. A labels set is compared with its documents and a count
with the files that it was made of, so one damaged file would otherwise be told once for each check
that reads it, under the names of files that are whole. So all further checks read a workspace that
refuses the damaged files (`SoundWorkspace`): a check that meets one says nothing about what was to
be checked, and is noted in one line of the damaged file.
"""

import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from pipelines.workspace.ledger import Entry, FileRef, LedgerError
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

ROWS: Final = "rows of"
COUNTS: Final = "counts of"
WHOLE: Final = "all parts together of"
"""Kinds of checks, as the note names them."""
_THREADS: Final = 8


class ReadsDamaged(OSError):
    """A check asked for a file that is known to be damaged."""


@dataclass(frozen=True)
class _SoundStorage(Storage):
    """A folder of which some files are not to be read."""

    damaged: frozenset[str] = frozenset()

    def path(self, relative: str) -> str:
        """The path that `fs` understands; every read asks for it.

        Raises:
            ReadsDamaged: The file is damaged.
        """
        if relative in self.damaged:
            raise ReadsDamaged(f"{relative} is damaged")
        return super().path(relative)


@dataclass(frozen=True)
class SoundWorkspace(Workspace):
    """A workspace of which damaged files are not read."""

    damaged: frozenset[str] = frozenset()

    @cached_property
    def storage(self) -> Storage:
        """The folder, without the damaged files."""
        return _SoundStorage(self.url.rstrip("/"), self.damaged)


@dataclass(slots=True)
class Damaged:
    """What was found of the files themselves, and which checks it kept from being made."""

    files: int = 0
    """Looked at."""
    bytes: int = 0
    """Of all of them."""
    bytes_hashed: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    """Path of a damaged file -> what is wrong with it, hashes included."""
    _unchecked: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def hides(self, error: Exception, kind: str, name: str) -> bool:
        """Whether a check failed only because it asked for a damaged file, which then is noted.

        Args:
            error: What ended the check; it names the file that could not be read.
            kind: ROWS, COUNTS or WHOLE.
            name: A labels set or a job, of which nothing is said.
        """
        told = str(error)
        path = next((path for path in self.faults if path in told), None)
        if path is None:
            return False
        self._unchecked.setdefault(path, {}).setdefault(kind, set()).add(name)
        return True

    def add_unchecked(self, other: "Damaged") -> None:
        """Takes over which checks another could not make."""
        for path, kinds in other._unchecked.items():
            for kind, names in kinds.items():
                self._unchecked.setdefault(path, {}).setdefault(kind, set()).update(names)

    def notes(self) -> Iterator[str]:
        """One line for each damaged file that kept checks from being made."""
        for path, kinds in sorted(self._unchecked.items()):
            told = "; ".join(f"{kind} {', '.join(sorted(kinds[kind]))}" for kind in sorted(kinds))
            yield f"not compared, because {path} is damaged: {told}"


def find_damaged(workspace: Workspace, *, sample: float, seed: int) -> Damaged:
    """Looks at every file that the ledger names: it is there, has its size and, sampled, its hash.

    Args:
        workspace: Entries that cannot be read are passed over.
        sample: Share of entries whose files are hashed.
        seed: Chooses them.
    """
    damaged = Damaged()
    paths = (
        path
        for generation in workspace.ledger.generations()
        for path in workspace.ledger.entry_files(generation)
    )
    # Hashing and reading let other threads work, and a store answers many at a time.
    threads = ThreadPoolExecutor(_THREADS)
    try:
        look = partial(_look, workspace, sample=sample, seed=seed)
        waiting: deque[Future[Damaged]] = deque()
        for path in paths:
            waiting.append(threads.submit(look, path))
            if len(waiting) == _THREADS * 2:
                _add(damaged, waiting.popleft().result())
        for future in waiting:
            _add(damaged, future.result())
    finally:  # after Ctrl-C no further file is begun
        threads.shutdown(cancel_futures=True)
    return damaged


def _look(workspace: Workspace, path: str, *, sample: float, seed: int) -> Damaged:
    """What is wrong with the files of one entry."""
    damaged = Damaged()
    try:
        entry = workspace.ledger.read_entry(path)
    except (LedgerError, UnicodeDecodeError, FileNotFoundError):
        return damaged  # it is told where entries are checked
    deep = is_sampled(entry, sample, seed)
    for ref in entry.files:
        damaged.files += 1
        fault = _fault(workspace.storage, ref, damaged, deep=deep)
        if fault:
            damaged.faults.setdefault(ref.path, f"{ref.path}: {fault} in {name_of(entry)}")
    return damaged


def _add(damaged: Damaged, more: Damaged) -> None:
    damaged.files += more.files
    damaged.bytes += more.bytes
    damaged.bytes_hashed += more.bytes_hashed
    for path, fault in more.faults.items():
        damaged.faults.setdefault(path, fault)  # who names a file first tells of it


def is_sampled(entry: Entry, sample: float, seed: int) -> bool:
    """Whether the files of an entry are hashed and its counts made again."""
    return random.Random(f"{seed} {name_of(entry)}").random() < sample


def name_of(entry: Entry) -> str:
    """An entry as faults name it."""
    return f"{entry.job}@{entry.fp} {entry.source} part {entry.part}"


def _fault(storage: Storage, ref: FileRef, damaged: Damaged, *, deep: bool) -> str:
    """What is wrong with a file; empty where nothing is."""
    if not storage.exists(ref.path):
        return f"missing (the ledger says sha256 {ref.sha256})"
    size = storage.size(ref.path)
    damaged.bytes += size
    if size != ref.bytes:
        hashes = _hashes(storage.sha256(ref.path), ref)
        return f"{size} bytes, and the ledger says {ref.bytes}{hashes}"
    if deep:
        damaged.bytes_hashed += size
        found = storage.sha256(ref.path)
        if found != ref.sha256:
            return f"its content has changed since it was committed{_hashes(found, ref)}"
    return ""


def _hashes(found: str, ref: FileRef) -> str:
    return f" (sha256 {found}, and the ledger says {ref.sha256})"
