"""What the audit asks of the ledger itself: each entry whole, all of them in agreement.

A corpus of 100 TB has millions of entries, 34 KB each in memory, so they are read one after the
other, once for each question. What is kept of them is numbers and hashes of paths and, of what was
extracted, the names of the input files.
"""

import hashlib
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.workspace.fingerprints import fingerprint
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.ledger import Entries, Entry, Ledger, LedgerError, Place
from pipelines.workspace.workspace import Workspace

_HASH_BYTES: Final = 8
"""Of a path: two of 10 million paths share one in 370,000 corpora, and then one fault is missed."""


_Parts = dict[str, "array[int]"]


EntryFile = tuple[str, Entry | None]
"""Path of an entry, and its copy in the fold."""


@dataclass(slots=True)
class ReadEntries:
    """Some entries, read from their own files beside the fold's copies."""

    entries: list[Entry] = field(default_factory=list)
    known: list[Place] = field(default_factory=list)
    """Of those, and of the ones that only the fold has."""
    is_copied: bool = True
    """Whether the fold agrees with all that were read."""
    faults: list[str] = field(default_factory=list)


def read_entries(ledger: Ledger, files: Sequence[EntryFile]) -> ReadEntries:
    """Reads entries, and compares them with their copies."""
    read = ReadEntries()
    for path, copy in files:
        entry = _read_entry(ledger, path, copy, read)
        if (one := entry or copy) is not None:
            read.known.append((one.source, one.part))
        if entry is not None:
            read.entries.append(entry)
    return read


def _read_entry(ledger: Ledger, path: str, copy: Entry | None, read: ReadEntries) -> Entry | None:
    try:
        entry = ledger.read_entry(path)
    except FileNotFoundError:
        why = "is gone since the audit began" if copy is None else "missing; its fold has it"
        read.faults.append(f"{path}: {why}")
        return None
    except (LedgerError, UnicodeDecodeError) as error:
        read.faults.append(f"{path}: {error}")
        return None
    if copy is not None and copy != entry:
        read.faults.append(f"{path}: is not what was folded when the job was done")
        read.is_copied = False
    return entry


class Listed:
    """The entries of a generation that an audit met, to be gone through again."""

    def __init__(self, ledger: Ledger, generation: str) -> None:
        self._ledger, self._generation = ledger, generation
        self._sound: _Parts = {}
        self._known: _Parts = {}
        self._is_copied = True

    def add(self, sound: Iterable[Place], known: Iterable[Place], *, is_copied: bool) -> None:
        """Notes some, which stand after those before: places as `ReadEntries` has them."""
        for parts, places in ((self._sound, sound), (self._known, known)):
            for source, part in places:
                parts.setdefault(source, array("q")).append(part)
        self._is_copied &= is_copied

    def sound(self) -> Entries:
        """Those whose file could be read; from the fold if it agrees."""
        listed = Entries(self._ledger, self._generation, self._sound)
        return replace(listed, from_fold=self._is_copied)

    def known(self) -> Entries:
        """The same, and those that only the fold has."""
        return Entries(self._ledger, self._generation, self._known)


def payload_faults(workspace: Workspace, generation: str) -> Iterator[str]:
    """Whether the configuration of a generation is the one that its name tells."""
    path = f"ledger/{generation}/generation.json"
    try:
        payload = workspace.ledger.payload(generation)
    except (OSError, ValueError) as error:
        yield f"{path}: cannot be read ({error})"
        return
    fp = generation.split("@")[1]
    if not fingerprint(payload).startswith(fp):
        yield f"{path}: its content has changed (its fingerprint is not {fp})"


def input_faults(ledgers: Sequence[Entries]) -> Iterator[str]:
    """What jobs were made from must itself be in the ledger.

    Args:
        ledgers: The entries of all generations.
    """
    named = _hashes(ref.path for entry in _all(ledgers) for ref in entry.files)
    asked = _hashes(path for entry in _all(ledgers) for path in entry.inputs)
    unknown = set(np.setdiff1d(asked, named, assume_unique=True).tolist())
    if not unknown:
        return
    paths = {path for entry in _all(ledgers) for path in entry.inputs if _hash(path) in unknown}
    for path in sorted(paths):
        yield f"{path}: labels were made from it, and no ledger entry names it"


def inventory_faults(workspace: Workspace, ledgers: Sequence[Entries]) -> Iterator[str]:
    """The inventory has no ledger entry: it must agree with what was extracted of its parts.

    Args:
        workspace: Where the inventory is.
        ledgers: The entries of all generations.
    """
    folders = {path.split("/")[1] for path in workspace.storage.files("inventory")}
    extracted = [one for one in ledgers if one.generation.startswith("extract@")]
    read = {extent for entry in _all(extracted) for extent in _extents(entry)}
    for source in sorted(folders):
        try:
            spans = Inventory(workspace.storage, source).spans()
        except (OSError, ValueError, TypeError) as error:
            yield f"inventory/{source}: cannot be read ({error})"
            continue
        numbers = sorted({span.part for span in spans})
        if numbers != list(range(len(numbers))):
            yield f"inventory/{source}: its parts are not numbered without a gap"
        listed = {(source, span.part, span.file) for span in spans}
        for _, part, file in sorted(one for one in read - listed if one[0] == source):
            yield f"inventory/{source}: {file} was extracted as part {part}, and is not listed so"


def _extents(entry: Entry) -> Iterator[tuple[str, int, str]]:
    """(source, part, file) of what was extracted."""
    for file in entry.detail.get("extents", {}):
        yield entry.source, entry.part, file


def _all(ledgers: Iterable[Entries]) -> Iterator[Entry]:
    return itertools.chain.from_iterable(ledgers)


def _hashes(paths: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Distinct hashes, ascending."""
    return np.unique(np.frombuffer(array("Q", map(_hash, paths)), dtype=np.uint64))


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=_HASH_BYTES).digest(), "big")
