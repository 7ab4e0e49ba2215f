"""The ledger: which files are part of the result, with the counts that must balance.

One JSON file a part, created only if absent and written after the data it names. Readers open only
what the ledger names, so the file of a worker that lost a race is an orphan nobody reads. When a
job is done its entries are folded into one Parquet file, because listing 100,000 small files on an
object store takes minutes; the fold is a copy for reading, the JSON files stay the truth.
"""

import contextlib
import hashlib
import heapq
import itertools
import json
import operator
import re
import time
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, overload

from pipelines.workspace.fingerprints import Generation, canonical_json, fingerprint
from pipelines.workspace.folding import ROWS, Row, num_rows, read_fold, write_fold
from pipelines.workspace.meter import METER
from pipelines.workspace.storage import Storage

ERASED: Final = "erased"
"""Key of `detail` where an erasure replaced an entry: `content` before it, and what it blanked."""


Place = tuple[str, int]
"""Source and part of an entry."""


_ENTRY: Final = re.compile(r"ledger/[^/]+/[^/]+/part-\d+\.json")
_PATH: Final = operator.itemgetter(0, 1)


class LedgerError(RuntimeError):
    """A ledger file that cannot be what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A committed data file."""

    kind: str
    """What it holds: documents, rejects, labels, bin, idx, map ..."""
    path: str
    """Relative to the workspace."""
    sha256: str
    bytes: int
    rows: int
    """Rows of a Parquet file; sequences of a .bin or .idx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one job made of one part."""

    job: str
    fp: str
    source: str
    part: int
    files: tuple[FileRef, ...]
    counts: Mapping[str, int]
    """Integers that the job's equation is about."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What later stages and reports read: tokens by language, first offsets ..."""
    inputs: tuple[str, ...] = ()
    """Paths of the data files it was made from."""
    seconds: float = 0.0
    code: str = ""

    def file(self, kind: str) -> FileRef:
        """The one file of a kind.

        Raises:
            KeyError: This entry has none.
        """
        for ref in self.files:
            if ref.kind == kind:
                return ref
        raise KeyError(f"{self.job}@{self.fp} {self.source} part {self.part} has no {kind} file")

    def with_detail(self, *keys: str) -> "Entry":
        """The entry with these of its detail alone, for who holds many of them."""
        return replace(self, detail={key: self.detail[key] for key in keys if key in self.detail})

    @property
    def content(self) -> str:
        """Hash over the files' hashes: equal for equal results, whenever they were made.

        Of an entry that an erasure replaced it is that of the entry before: what was made from it
        stays what it is, and no plan and no later job is made anew.
        """
        if before := self.detail.get(ERASED, {}).get("content"):
            return str(before)
        state = hashlib.sha256()
        for ref in self.files:
            state.update(f"{ref.kind}={ref.sha256}\n".encode())
        return state.hexdigest()


def entry_path(generation: str, source: str, part: int) -> str:
    """Where the entry of a part stands; `generation` is `job@fp`."""
    return f"ledger/{generation}/{source}/part-{part:05d}.json"


def entry_from_json(data: bytes | str, path: str) -> Entry:
    """The entry that `entry_to_json` gave, for the place `path`.

    Raises:
        LedgerError: It is damaged, or belongs elsewhere.
    """
    return _from_json(data, path)


def entry_to_json(entry: Entry) -> bytes:
    """An entry as its file holds it."""
    return _to_json(entry)


def _to_json(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True, indent=1).encode()


def _from_json(data: bytes | str, path: str) -> Entry:
    try:
        raw = json.loads(data)
        raw["files"] = tuple(FileRef(**ref) for ref in raw["files"])
        raw["inputs"] = tuple(raw["inputs"])
        entry = Entry(**raw)
    except (ValueError, TypeError, KeyError) as error:
        raise LedgerError(
            f"{path} is damaged ({error}); restore it, or delete it and run the corpus again"
        ) from error
    place = entry_path(f"{entry.job}@{entry.fp}", entry.source, entry.part)
    if path != place:
        raise LedgerError(f"{path} holds the entry of {place}; restore both")
    return entry


@dataclass(frozen=True)
class Ledger:
    """Reads and commits entries."""

    storage: Storage

    def declare(self, generation: Generation) -> None:
        """Keeps a generation's payload beside its entries.

        Raises:
            ValueError: Another payload shares the eight digits.
        """
        path = f"ledger/{generation.name}/generation.json"
        data = canonical_json({"job": generation.job, **generation.payload}).encode()
        if self.storage.exists(path) or not self.storage.create(path, data):
            if self.storage.read(path) != data:
                raise ValueError(
                    f"{path} describes another configuration with the same eight digits; "
                    "remove that generation with `tokenmill prune`, or change a setting"
                )

    def payload(self, generation: str) -> dict[str, Any]:
        """The payload that `declare` kept for `job@fp`."""
        loaded: dict[str, Any] = json.loads(
            self.storage.read(f"ledger/{generation}/generation.json")
        )
        return loaded

    def full(self, generation: str) -> str:
        """The whole fingerprint of `job@fp`."""
        return fingerprint(self.payload(generation))

    def commit(self, entry: Entry) -> bool:
        """Makes the files of an entry part of the result, unless another worker was first."""
        path = entry_path(f"{entry.job}@{entry.fp}", entry.source, entry.part)
        is_ours = self.storage.create(path, _to_json(entry))
        if is_ours:  # who came second counts nothing
            rejects, num_bytes = entry.detail.get("rejects"), sum(ref.bytes for ref in entry.files)
            METER.add_entry(entry.job, entry.counts, rejects, num_bytes)
        return is_ours

    def replace(self, entry: Entry) -> None:
        """Puts an entry in the place of another; for erasures alone, which keep the old one's name.

        Readers see the one or the other, for the file is put there whole.
        """
        name = f"{entry.job}@{entry.fp}"
        self.storage.replace(entry_path(name, entry.source, entry.part), _to_json(entry))

    def find(self, generation: Generation | str, source: str, part: int) -> Entry | None:
        """The entry of one part, or None while it is not committed."""
        name = generation if isinstance(generation, str) else generation.name
        path = entry_path(name, source, part)
        try:
            return _from_json(self.storage.read(path), path)
        except FileNotFoundError:
            return None

    def get(self, generation: Generation | str, source: str, part: int) -> Entry:
        """The entry of one part that must be there.

        Raises:
            LookupError: It is not committed.
        """
        entry = self.find(generation, source, part)
        if entry is None:
            name = generation if isinstance(generation, str) else generation.name
            raise LookupError(f"{name} has no entry for part {part} of {source}; run it first")
        return entry

    def generations(self) -> list[str]:
        """All `job@fp` that have a ledger, sorted."""
        found = {path.split("/")[1] for path in self.storage.files("ledger")}
        return sorted(name for name in found if "@" in name and not name.endswith(".parquet"))

    def entries(self, generation: Generation | str, source: str | None = None) -> "Entries":
        """All entries of a generation, by source and part; from the fold where it has them.

        They are listed now, and read whenever they are gone through.

        Raises:
            LedgerError: A file is there under a name that no entry has.
        """
        name = generation if isinstance(generation, str) else generation.name
        parts: dict[str, array[int]] = {}
        for path in self.entry_files(name, source):
            place = _place(path)
            if path != entry_path(name, *place):
                right = entry_path(name, *place)
                raise LedgerError(f"found {path}; that entry is named {right}: remove the one")
            parts.setdefault(place[0], array("q")).append(place[1])
        return Entries(self, name, {one: array("q", sorted(parts[one])) for one in sorted(parts)})

    def entry_files(self, name: str, source: str | None = None) -> list[str]:
        """Paths of the entries of `job@fp`, sorted."""
        folder = f"ledger/{name}" + (f"/{source}" if source else "")
        return [path for path in self.storage.files(folder) if _is_entry(path)]

    def places(
        self, generation: Generation | str, source: str | None = None
    ) -> list[tuple[str, int]]:
        """(source, part) of all entries of a generation, sorted, by their names alone."""
        name = generation if isinstance(generation, str) else generation.name
        return sorted(_place(path) for path in self.entry_files(name, source))

    def read_entry(self, path: str) -> Entry:
        """The entry that a file holds.

        Raises:
            LedgerError: It is damaged, or stands where another belongs.
        """
        return _from_json(self.storage.read(path), path)

    def fold(
        self, generation: Generation | str, made: Collection[tuple[str, int]] | None = None
    ) -> None:
        """Copies all entries of a generation into one Parquet file.

        Args:
            generation: Which.
            made: (source, part) of entries that may differ from those of an earlier fold; all,
                where None.
        """
        entries = self.entries(generation)
        path = _fold_path(entries.generation)
        draft = self.storage.scratch(".parquet")
        differs = len(entries) != num_rows(self.storage, path)

        def groups() -> Iterator[list[Row]]:
            nonlocal differs
            for places, copies in self._beside_fold(entries):
                rows = self._rows(entries.generation, places, copies, made)
                differs |= any(copies.get(_place(path)) != data for path, data in rows)
                yield rows

        try:
            write_fold(draft, groups())
            if len(entries) and differs:
                self.storage.publish(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def _rows(
        self,
        name: str,
        places: Sequence[Place],
        copies: Mapping[Place, bytes],
        made: Collection[Place] | None,
    ) -> list[Row]:
        """Rows of a fold: copies that stand, and files of the others, looked through for damage."""
        rows = {entry_path(name, *place): copies.get(place, b"") for place in places}
        fresh = [
            path for path, data in rows.items() if not data or made is None or _place(path) in made
        ]
        for path, data in self._read(fresh).items():
            _from_json(data, path)
            rows[path] = data
        return list(rows.items())

    def folded(self, name: str) -> Iterator[Entry]:
        """The entries in the fold of `job@fp`; none where it is damaged, for it is a copy.

        By source and part: a fold in another order is not one that was written here.
        """
        path = _fold_path(name)

        def entries() -> Iterator[Entry]:
            rows = read_fold(self.storage, path)
            return (_from_json(data, place) for place, data in rows)

        with contextlib.suppress(LedgerError):
            num_ascending, last = 0, ("", -1)
            for one in entries():
                num_ascending += last < (one.source, one.part)
                last = (one.source, one.part)
            if num_ascending == num_rows(self.storage, path):
                yield from entries()

    def beside_fold(self, name: str) -> Iterator[tuple[str, Entry | None]]:
        """Paths of the entries of `job@fp`, by source and part, and their copies in the fold.

        Those whose file is gone are among them while the fold has them.
        """
        folded = ((one.source, one.part, one) for one in self.folded(name))
        copies = (((s, p), entry_path(name, s, p), one) for s, p, one in folded)
        there = sorted((_place(path), path, None) for path in self.entry_files(name))
        for (_, path), same in itertools.groupby(heapq.merge(copies, there, key=_PATH), key=_PATH):
            yield path, next(same)[2]

    def _beside_fold(self, entries: "Entries") -> Iterator[tuple[list[Place], dict[Place, bytes]]]:
        """Places of entries, some at a time, and what the fold holds of them."""
        name, places = entries.generation, iter(entries.places())
        rows = (
            (place, data)
            for path, data in read_fold(self.storage, _fold_path(name))
            if _ENTRY.fullmatch(path) and path == entry_path(name, *(place := _place(path)))
        )
        row = next(rows, None)
        while some := list(itertools.islice(places, ROWS)):
            wanted, copies = set(some), {}
            while row is not None and row[0] <= some[-1]:
                if row[0] in wanted:
                    copies[row[0]] = row[1]
                row = next(rows, None)
            yield some, copies

    def _stream(self, entries: "Entries") -> Iterator[Entry]:
        """Entries from the fold, or from their own files where it lacks them or is damaged."""
        for places, copies in self._beside_fold(entries):
            copies = copies if entries.from_fold else {}
            paths = {place: entry_path(entries.generation, *place) for place in places}
            read = self._read([path for place, path in paths.items() if place not in copies])
            for place, path in paths.items():
                copy = copies.get(place)
                yield _from_json(read[path], path) if copy is None else self._of_copy(copy, path)

    def _of_copy(self, copy: bytes, path: str) -> Entry:
        """The entry that the fold has, or that of the file where the copy is damaged."""
        try:
            return _from_json(copy, path)
        except LedgerError:
            return self.read_entry(path)

    def _read(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Path -> content of files of a ledger."""
        return dict(zip(paths, self.storage.read_many(paths), strict=True))


@dataclass(frozen=True, slots=True)
class Entries(Sequence[Entry]):
    """The entries of a generation as they were listed, by source and part.

    They are read from the store each time they are gone through and are not kept: the sums of a
    million parts take what they add up, and not 34 KB for each. Who looks at them more than once
    pays for it in time.
    """

    ledger: Ledger
    generation: str
    """`job@fp`."""
    parts: Mapping[str, Sequence[int]]
    """Source -> numbers of its parts, both ascending."""
    from_fold: bool = True
    """Whether the fold's copies are believed."""

    def places(self) -> Iterator[Place]:
        """(source, part) of each."""
        return ((source, part) for source, some in self.parts.items() for part in some)

    def of(self, source: str, parts: Collection[int]) -> "Entries":
        """Those of some parts of a source.

        Raises:
            LookupError: One is not among them.
        """
        lacking = set(parts).difference(self.parts.get(source, ()))
        if lacking:
            raise LookupError(f"{self.generation} has no entry for part {min(lacking)} of {source}")
        return replace(self, parts={source: array("q", sorted(parts))})

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def __iter__(self) -> Iterator[Entry]:
        return self.ledger._stream(self)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        places = list(self.places())[index]
        if isinstance(places, tuple):
            return self.ledger.get(self.generation, *places)
        return [self.ledger.get(self.generation, *place) for place in places]

    def __eq__(self, other: object) -> bool:
        """As lists do."""
        return isinstance(other, Sequence) and list(self) == list(other)


def _fold_path(name: str) -> str:
    return f"ledger/{name}/folded.parquet"


def _is_entry(path: str) -> bool:
    """Whether a file of a ledger folder is an entry."""
    pieces = path.split("/")
    return len(pieces) == 4 and pieces[3].startswith("part-") and pieces[3].endswith(".json")


def _place(path: str) -> tuple[str, int]:
    """(source, part) of an entry's path."""
    _, _, source, file = path.split("/")
    return source, int(file[5:-5])


@dataclass(slots=True)
class Stopwatch:
    """Seconds since it was made."""

    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Elapsed wall-clock seconds, to the millisecond."""
        return round(time.monotonic() - self.started, 3)
