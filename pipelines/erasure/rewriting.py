"""New files and new ledger entries, without what is erased; the old ones stay as they are.

Entries are taken in the order in which files name each other: archives, then what was read from
them, then what recipes made, then all else. A file that is written again has another hash and so
another name; entries that name the old one among their inputs, and locators that do, follow.

    crawl          a record of the same length where an answer and its request were (`archive`)
    documents ...  the rows stay, blanked (`rows`)
    shards         EOD where the tokens were (`tokens`); all files of a shard get its new hash
    shingles       the hashes of the texts' shingles are zeroed
    items          the passages of held-out texts say that they were erased

Row groups stay as they are, because a frontier is read by them.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from pipelines.erasure import rows
from pipelines.erasure.archive import erase_records
from pipelines.erasure.shard_files import erase_shard
from pipelines.erasure.targets import Targets, mask_of
from pipelines.workspace.inventory import inventory_file
from pipelines.workspace.ledger import ERASED, Entry, FileRef
from pipelines.workspace.parts import open_part, publish_file, read_table
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

_ZSTD_LEVEL: Final = 3
_HASH_DIGITS: Final = 8
_FIRST: Final = ("crawl", "extract", "synthesize")
# Sets of labels that come with this package and say what they say in numbers, hashes and a few
# words; all others may quote a text or an address.
_SPEECHLESS: Final = frozenset(
    "code_syntax contamination domain educational language length minhash pii quality signatures "
    "stem".split()
)
_ANNOTATE: Final = "annotate."

Change = Callable[[pa.RecordBatch, int], pa.RecordBatch]
"""Some rows, and the number of the first, to the same rows without what is erased."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file that was written again."""

    before: FileRef
    after: FileRef


@dataclass
class Rewriting:
    """What was written, and what is to be put in place."""

    workspace: Workspace
    targets: Targets
    at: str
    """When, ISO 8601 in UTC."""
    entries: dict[tuple[str, str, int], Entry] = field(default_factory=dict)
    """(generation, source, part) -> entry that takes the place of the old one."""
    files: list[Replaced] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """What was erased: rows by kind of file, records, tokens."""
    archives: dict[tuple[str, str], Replaced] = field(default_factory=dict)
    """(source, name) of a WARC file -> what became of it."""
    _moved: dict[str, FileRef] = field(default_factory=dict)

    @property
    def storage(self) -> Storage:
        """The workspace's folder."""
        return self.workspace.storage

    def run(self) -> None:
        """Writes all new files; they are orphans until the ledger names them."""
        for name, entry in self._in_order():
            made = self._rewritten(entry)
            if made is not entry:
                self.entries[name, entry.source, entry.part] = made

    def _in_order(self) -> Iterator[tuple[str, Entry]]:
        ledger = self.workspace.ledger
        names = [name for name in ledger.generations() if not name.startswith("erase@")]
        for job in _FIRST[:-1]:
            for name in (name for name in names if _job(name) == job):
                yield from ((name, entry) for entry in ledger.entries(name))
        last = (name for name in names if _job(name) == _FIRST[-1])
        made = [(name, entry.with_detail()) for name in last for entry in ledger.entries(name)]
        waiting = {entry.file("documents").path for _, entry in made}
        while made:  # parents before what was made of them
            ready = [pair for pair in made if not waiting & {*pair[1].inputs}]
            for name, bare in ready or made:
                yield name, ledger.get(name, bare.source, bare.part)
                waiting.discard(bare.file("documents").path)
            made = [] if not ready else [pair for pair in made if pair not in ready]
        for name in (name for name in names if _job(name) not in _FIRST):
            yield from ((name, entry) for entry in ledger.entries(name))

    def _rewritten(self, entry: Entry) -> Entry:
        """The entry as it is to be; the same one where nothing of it changes."""
        if entry.job.startswith("shards.") and entry.files:
            files, tokens = erase_shard(self.storage, entry, self.targets.ids)
            self.counts["tokens"] += tokens
            found, blanked, counts = files, tokens, entry.counts
        else:
            erased = [self._file(entry, ref) for ref in entry.files]
            found = tuple(ref for ref, _ in erased)
            blanked = sum(number for _, number in erased)
            counts = self._counts(entry, found)
        for before, after in zip(entry.files, found, strict=True):
            if before != after:
                self._moved[before.path] = after
                self.files.append(Replaced(before, after))
        inputs = tuple(self._new_path(path) for path in entry.inputs)
        if found == entry.files:
            return entry if inputs == entry.inputs else replace(entry, inputs=inputs)
        detail = self._detail(entry, blanked)
        return replace(entry, files=found, inputs=inputs, counts=counts, detail=detail)

    def _new_path(self, path: str) -> str:
        return self._moved[path].path if path in self._moved else path

    def _counts(self, entry: Entry, found: Sequence[FileRef]) -> Mapping[str, int]:
        """Only the bytes of held-out texts are counted by what a file says, in no equation."""
        if entry.job != "validation.texts" or found == entry.files:
            return entry.counts
        texts = read_table(self.storage, _of_kind(found, "texts"), ["text"]).column("text")
        return {**entry.counts, "text_bytes": pc.sum(pc.binary_length(texts)).as_py() or 0}

    def _detail(self, entry: Entry, blanked: int) -> Mapping[str, Any]:
        before = entry.detail.get(ERASED, {})
        moved = self._moved_archives(entry.source) if entry.job == "extract" else {}
        told = {
            "content": entry.content,
            "rows": before.get("rows", 0) + blanked,
            "records": before.get("records", 0) + self._num_records(entry),
        }
        extents = entry.detail.get("extents")
        names = {moved.get(n, n): e for n, e in extents.items()} if extents else {}
        return {**entry.detail, **({"extents": names} if names else {}), ERASED: told}

    def _moved_archives(self, source: str) -> dict[str, str]:
        return {
            name: _base(made.after.path)
            for (of, name), made in self.archives.items()
            if of == source
        }

    def _num_records(self, entry: Entry) -> int:
        """Documents and rejects of which the record is not in its archive any more."""
        if entry.job != "extract":
            return 0
        number = 0
        for ref in (ref for ref in entry.files if ref.kind in ("documents", "rejects")):
            for name, offset in self._locators(ref):
                number += offset in self.targets.places.get((entry.source, name), ())
        return number

    def _locators(self, ref: FileRef) -> Iterator[tuple[str, int]]:
        if not any(self.targets.places.values()) or not ref.rows:
            return
        place = read_table(self.storage, ref, ["locator"]).column("locator")
        for name in ("file", "offset"):
            assert name in [one.name for one in place.type]
        files, offsets = (pc.struct_field(place, n).to_pylist() for n in ("file", "offset"))
        yield from zip(files, offsets, strict=True)

    def _file(self, entry: Entry, ref: FileRef) -> tuple[FileRef, int]:
        """The file as it is to be, and how many rows or records of it are erased."""
        if ref.kind == "warc":
            return self._archive(entry, ref)
        if ref.kind == "items":
            return self._items(ref)
        if ref.kind == "shingles":
            return self._shingles(entry, ref)
        if ref.kind == "scattered":
            return self._scattered(ref)
        if not ref.path.endswith(".parquet") or not ref.rows:
            return ref, 0
        change = self._change(entry, ref)
        if change is None:
            return ref, 0
        made, number = self._parquet(ref, *change)
        self.counts[ref.kind] += number
        return made, number

    def _change(self, entry: Entry, ref: FileRef) -> tuple[Change, rows.Mask] | None:
        """What is to be done with the rows of a table, and which are erased; None: nothing."""
        is_made = entry.job == "synthesize"
        moved = self._moved_names(entry)
        mask = self._mask(entry, ref)
        is_moved = False
        if moved and ref.kind in ("documents", "rejects", "page_rejects", "pages"):
            column = "file" if ref.kind == "pages" else "locator"
            names = read_table(self.storage, ref, [column]).column(column)
            names = names if ref.kind == "pages" else pc.struct_field(names, "file")
            is_moved = bool(pc.any(pc.is_in(names, pa.array(list(moved)))).as_py())
        if mask is None or not (is_moved or mask.any()):
            return None
        changes: dict[str, Callable[[pa.RecordBatch, rows.Mask], pa.RecordBatch]] = {
            "documents": lambda b, m: rows.erase_documents(b, m, moved, made=is_made),
            "rejects": lambda b, m: rows.erase_rejects(b, m, moved, made=is_made),
            "page_rejects": lambda b, m: rows.erase_rejects(b, m, moved, made=is_made),
            "pages": lambda b, m: rows.erase_pages(b, m, moved),
            "samples": rows.erase_samples,
            "labels": rows.erase_labels,
            "fetches": rows.erase_fetches,
            "links": rows.erase_links,
            "frontier": rows.erase_frontier,
            "texts": rows.erase_texts,
        }
        erase = changes[ref.kind]
        return (lambda batch, first: erase(batch, mask[first : first + batch.num_rows])), mask

    def _moved_names(self, entry: Entry) -> dict[str, str]:
        if entry.job == "extract":
            return self._moved_archives(entry.source)
        if entry.job == "synthesize":
            return {p: self._moved[p].path for p in entry.inputs if p in self._moved}
        return {}

    def _mask(self, entry: Entry, ref: FileRef) -> rows.Mask | None:
        """Which rows of a table are erased: bool[rows]; None where it holds nothing of the kind."""
        kind = ref.kind
        if kind == "documents":
            return self.targets.rows.get(ref.path, mask_of(ref.rows))
        if kind == "labels":
            is_free = entry.job.startswith(_ANNOTATE)
            if not is_free or entry.job.removeprefix(_ANNOTATE) in _SPEECHLESS:
                return None
            old = {after.path: before for before, after in self._moved.items()}
            path = next(iter(entry.inputs), "")
            return self.targets.rows.get(old.get(path, path), mask_of(ref.rows))
        if kind in ("rejects", "page_rejects"):
            table = read_table(self.storage, ref, ["id", "uri", "message"])
            told = pc.not_equal(table.column("message"), "").to_numpy(zero_copy_only=False)
            told |= pc.is_valid(table.column("uri")).to_numpy()
            return cast(rows.Mask, self.targets.cover(table) & told)
        if kind == "pages" or (kind == "texts" and entry.job == "validation.texts"):
            return self._by_id(ref)
        if kind == "samples":
            return self._samples(ref)
        if kind in ("fetches", "links", "frontier"):
            return self._addresses(entry, ref)
        return None

    def _by_id(self, ref: FileRef) -> rows.Mask:
        column = "file" if ref.kind == "pages" else "text"
        table = read_table(self.storage, ref, ["id", column])
        told = pc.not_equal(pc.fill_null(table.column(column), ""), "")
        known = pc.fill_null(pc.is_in(table.column("id"), self.targets.ids), False)
        return cast(rows.Mask, pc.and_(known, told).to_numpy())

    def _samples(self, ref: FileRef) -> rows.Mask:
        table = read_table(self.storage, ref, ["id", "parents", "reason"])
        mask = pc.is_in(table.column("id"), self.targets.ids).to_numpy()
        parents = table.column("parents").combine_chunks()
        known = pc.is_in(pc.list_flatten(parents).cast(pa.binary(16)), self.targets.ids)
        found = pc.list_parent_indices(parents).filter(known).to_numpy()
        mask = mask.copy()
        mask[found] = True
        erased = pc.fill_null(pc.equal(table.column("reason"), rows.REASON), False).to_numpy()
        return cast(rows.Mask, mask & ~erased)

    def _addresses(self, entry: Entry, ref: FileRef) -> rows.Mask:
        """Rows of a crawl whose address, or the one behind its redirects, is forgotten."""
        more = {"fetches": ["final_url", "offset"], "frontier": ["state", "part"]}
        table = read_table(self.storage, ref, ["url", *more.get(ref.kind, [])])
        cover = self.targets.takedowns.cover
        mask: rows.Mask = cover(table.column("url")).to_numpy(zero_copy_only=False).copy()
        if ref.kind == "fetches":
            mask |= cover(table.column("final_url")).to_numpy(zero_copy_only=False)
            name = _base(entry.file("warc").path)
            places = self.targets.places.get((entry.source, name), frozenset())
            offsets = pa.array(sorted(places), pa.int64())
            mask |= pc.fill_null(pc.is_in(table.column("offset"), offsets), False).to_numpy()
        if ref.kind == "frontier":
            mask &= ~self._not_yet_asked(entry, table)
        standing: rows.Mask = ~rows.is_pseudonym(table.column("url")).to_numpy()
        return mask & standing

    def _not_yet_asked(self, entry: Entry, table: pa.Table) -> rows.Mask:
        """Planned rows whose part is not done: its worker is yet to see that they are forgotten."""
        payloads = {
            name: self.workspace.ledger.full(name)
            for name in self.workspace.ledger.generations()
            if name.startswith("crawl@")
        }
        crawl = self.workspace.ledger.payload(f"{entry.job}@{entry.fp}")["crawl"]
        (name,) = [name for name, full in payloads.items() if full == crawl] or [""]
        done = (
            {part for _, part in self.workspace.ledger.places(name, entry.source)} if name else ()
        )
        parts = table.column("part").to_pylist()
        return np.array([part is not None and part not in done for part in parts], np.bool_)

    def _parquet(self, ref: FileRef, change: Change, mask: rows.Mask) -> tuple[FileRef, int]:
        local = self.storage.scratch(".parquet")
        try:
            with open_part(self.storage, ref, whole=True) as file:
                reader = pq.ParquetFile(file, page_checksum_verification=True)
                with pq.ParquetWriter(
                    local,
                    reader.schema_arrow,
                    compression="zstd",
                    compression_level=_ZSTD_LEVEL,
                    write_page_checksum=True,
                ) as writer:
                    first = 0
                    for number in range(reader.num_row_groups):
                        table = reader.read_row_group(number)
                        made = [
                            change(batch, first + start)
                            for start, batch in _numbered(table.combine_chunks())
                        ]
                        first += table.num_rows
                        whole = pa.Table.from_batches(made, reader.schema_arrow)
                        writer.write_table(whole, row_group_size=max(1, whole.num_rows))
            return self._publish(ref, local), int(mask.sum())
        finally:
            local.unlink(missing_ok=True)

    def _publish(self, ref: FileRef, local: Path) -> FileRef:
        return publish_file(self.storage, local, kind=ref.kind, stem=_stem(ref.path), rows=ref.rows)

    def _archive(self, entry: Entry, ref: FileRef) -> tuple[FileRef, int]:
        name = _base(ref.path)
        places = self.targets.places.get((entry.source, name))
        if not places:
            return ref, 0
        local = self.storage.scratch(".warc.gz")
        try:
            with self.storage.open(ref.path) as source, local.open("wb") as target:
                number = erase_records(source, target, sorted(places), self.at)
            made = self._publish(ref, local)
        finally:
            local.unlink(missing_ok=True)
        self.archives[entry.source, name] = Replaced(ref, made)
        self.counts["records"] += number
        return made, number

    def _items(self, ref: FileRef) -> tuple[FileRef, int]:
        ids = frozenset(id_.hex() for id_ in self.targets.ids.to_pylist())
        lines = zstandard.decompress(self.storage.read(ref.path)).splitlines()
        made = rows.erase_items(lines, ids)
        number = sum(one != other for one, other in zip(lines, made, strict=True))
        if not number:
            return ref, 0
        local = self.storage.scratch(".jsonl.zst")
        data = b"".join(line + b"\n" for line in made)
        local.write_bytes(zstandard.compress(data, _ZSTD_LEVEL))
        self.counts["passages"] += number
        return self._publish(ref, local), number

    def _shingles(self, entry: Entry, ref: FileRef) -> tuple[FileRef, int]:
        """Zeroes the sets of some rows of a part; where they stand is said at the file's end."""
        path = next((p for p in self._old_inputs(entry) if p in self.targets.rows), None)
        if path is None:
            return ref, 0
        words = np.frombuffer(self.storage.read(ref.path), "<u8").copy()
        offsets = words[-(ref.rows + 1) :].astype(np.int64)
        number = 0
        for row in np.flatnonzero(self.targets.rows[path]).tolist():
            number += int(words[offsets[row] : offsets[row + 1]].any())
            words[offsets[row] : offsets[row + 1]] = 0
        if not number:
            return ref, 0
        local = self.storage.scratch(".u64")
        words.tofile(local)
        self.counts["shingles"] += number
        return self._publish(ref, local), number

    def _old_inputs(self, entry: Entry) -> list[str]:
        """Documents parts of the place of an entry, by the names that they had."""
        return [*entry.inputs, *self._documents_at(entry.source, entry.part)]

    def _documents_at(self, source: str, part: int) -> Iterator[str]:
        for name in self.workspace.ledger.generations():
            if _job(name) in _FIRST[1:]:
                found = self.workspace.ledger.find(name, source, part)
                if found is not None:
                    yield found.file("documents").path

    def _scattered(self, ref: FileRef) -> tuple[FileRef, int]:
        from pipelines.erasure.tokens import erase_scattered

        local = self.storage.scratch(".arrow")
        try:
            with self.storage.open(ref.path) as source, local.open("wb") as target:
                number = erase_scattered(cast(Any, source), target, self.targets.ids)
            made = self._publish(ref, local) if number else ref
        finally:
            local.unlink(missing_ok=True)
        return (ref, 0) if made.sha256 == ref.sha256 else (made, number)

    def inventories(self) -> Iterator[tuple[str, bytes]]:
        """(path, content) of inventory files that name an archive which has another name now."""
        for source in sorted({source for source, _ in self.archives}):
            moved = {name: made for (of, name), made in self.archives.items() if of == source}
            for path in self.storage.files(f"inventory/{source}"):
                if path.endswith(".parquet"):
                    table = pq.read_table(io.BytesIO(self.storage.read(path)))
                    spans = [_moved_span(self.storage, span, moved) for span in table.to_pylist()]
                    if spans != table.to_pylist():
                        made = pa.Table.from_pylist(spans, schema=table.schema)
                        yield path, inventory_file(made)

    def indexes(self) -> Iterator[tuple[str, bytes]]:
        """(path, content) of the index.json of folders whose MDS shards have other names now.

        The entry that names one is changed with it.
        """
        from token_shards.mds import index_json

        ledger = self.workspace.ledger
        for name in (name for name in ledger.generations() if name.startswith("sealed.")):
            shards = f"shards.{name[7:].partition('@')[0]}@{ledger.payload(name)['shards'][:8]}"
            for entry in ledger.entries(name):
                made: dict[str, bytes] = {}
                for ref in (ref for ref in entry.files if ref.kind == "index"):
                    folder = ref.path.rpartition("/")[0]
                    written = (
                        self.entries.get((shards, e.source, e.part), e).file("mds")
                        for e in ledger.entries(shards, entry.source)
                        if e.files
                    )
                    mds = [one for one in written if one.path.rpartition("/")[0] == folder]
                    listed = [(_base(one.path), one.bytes, one.rows, one.sha256) for one in mds]
                    data = index_json(listed)
                    if hashlib.sha256(data).hexdigest() != ref.sha256:
                        made[ref.path] = data
                if made:
                    self._seal_anew(name, entry, made)
                    yield from made.items()

    def _seal_anew(self, name: str, entry: Entry, made: Mapping[str, bytes]) -> None:
        files = tuple(
            _of_bytes(ref, made[ref.path]) if ref.path in made else ref for ref in entry.files
        )
        told = {"content": entry.content, "rows": 0, "records": 0}
        changed = replace(entry, files=files, detail={**entry.detail, ERASED: told})
        self.entries[name, entry.source, entry.part] = changed
        pairs = zip(entry.files, files, strict=True)
        self.files += [Replaced(old, new) for old, new in pairs if old != new]


def _of_bytes(ref: FileRef, data: bytes) -> FileRef:
    return replace(ref, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _moved_span(
    storage: Storage, span: dict[str, Any], moved: Mapping[str, Replaced]
) -> dict[str, Any]:
    made = moved.get(span["file"])
    if made is None:
        return span
    name, path = _base(made.after.path), storage.path(made.after.path)
    url = path if storage.is_local else storage.fs.unstrip_protocol(path)
    digest = made.after.sha256
    told = {"url": url, "file": name, "bytes": made.after.bytes}
    return {**span, **told, "stamp": digest, "digest": digest}


def _numbered(table: pa.Table) -> Iterator[tuple[int, pa.RecordBatch]]:
    first = 0
    for batch in table.to_batches():
        yield first, batch
        first += batch.num_rows


def _of_kind(files: Sequence[FileRef], kind: str) -> FileRef:
    return next(ref for ref in files if ref.kind == kind)


def _job(generation: str) -> str:
    return generation.split("@")[0].split(".")[0]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return path.rpartition("-")[0]  # without its hash and what follows
