"""The ledger: which files are part of the result, with the counts that must balance.

One JSON file a part, created only if absent and written after the data it names. Readers open only
what the ledger names, so the file of a worker that lost a race is an orphan nobody reads. When a
job is done its entries are folded into one Parquet file, because listing 100,000 small files on an
object store takes minutes; the fold is a copy for reading, the JSON files stay the truth.
"""

import hashlib
import io
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.fingerprints import Generation, canonical_json, fingerprint
from pipelines.workspace.meter import METER
from pipelines.workspace.storage import Storage

ERASED: Final = "erased"
"""Key of `detail` where an erasure replaced an entry: `content` before it, and what it blanked."""


_READ_FILES: Final = 1000  # held in memory at a time; on an object store, read side by side
_FOLD: Final = pa.schema([pa.field("path", pa.string()), pa.field("entry", pa.binary())])


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

    def entries(self, generation: Generation | str, source: str | None = None) -> list[Entry]:
        """All entries of a generation, by source and part; from the fold where it has them."""
        name = generation if isinstance(generation, str) else generation.name
        folded = {(e.source, e.part): e for e in self.folded(name)}
        # The fold is a copy: an entry whose file is gone was taken back, and is made again.
        paths = {_place(path): path for path in self.entry_files(name, source)}
        lacking = [path for place, path in paths.items() if place not in folded]
        read = {_place(path): _from_json(data, path) for path, data in self._read(lacking)}
        return [folded.get(place) or read[place] for place in sorted(paths)]

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
        name = generation if isinstance(generation, str) else generation.name
        paths = sorted(self.entry_files(name), key=_place)
        before = self._fold_table(name)
        rows = {path: row for row, path in enumerate(before.column("path").to_pylist())}
        fresh = [p for p in paths if made is None or p not in rows or _place(p) in made]
        told = list(self._read(fresh))
        for path, data in told:
            _from_json(data, path)  # what is damaged is not copied
        rows |= {path: before.num_rows + row for row, path in enumerate(fresh)}
        columns = {"path": fresh, "entry": [data for _, data in told]}
        both = pa.concat_tables([before, pa.table(columns, schema=_FOLD)])
        after = both.take(pa.array([rows[path] for path in paths], pa.int64()))
        if not paths or after.equals(before):
            return
        draft = self.storage.scratch(".parquet")
        pq.write_table(after, draft, compression="zstd")
        self.storage.publish(draft, _fold_path(name))

    def folded(self, name: str) -> list[Entry]:
        """The entries in the fold of `job@fp`; none where it cannot be read, for it is a copy."""
        try:
            table = self._fold_table(name)
            rows = zip(*(table.column(c).to_pylist() for c in ("entry", "path")), strict=True)
            return [_from_json(data, path) for data, path in rows]
        except LedgerError:
            return []

    def _fold_table(self, name: str) -> pa.Table:
        """The rows of a fold; none where it cannot be read."""
        try:
            table = pq.read_table(io.BytesIO(self.storage.read(_fold_path(name))))
            return table.select(_FOLD.names).cast(_FOLD)
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return _FOLD.empty_table()

    def _read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """(path, content) of files of a ledger, some at a time."""
        for start in range(0, len(paths), _READ_FILES):
            some = paths[start : start + _READ_FILES]
            yield from zip(some, self.storage.read_many(some), strict=True)


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
