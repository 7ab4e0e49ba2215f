"""Tracing: one document from its input to its token ranges, and a token back to its document.

What a user types may name a document in several ways, some closer than others: a whole name (id,
URI, path within a source, FILE:OFFSET), a URI without its scheme, or the end of a path. Only the
closest matches count, so that a file `ja.html` is found though a page `old/ja.html` exists too.

Columns of names are read, never texts, until a document is found.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.uris import canonical_uri
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID, ID_BYTES, REJECT
from pipelines.workspace.workspace import Workspace
from token_shards.document_map import document_at

# How close a name is to what was asked for; the greatest wins.
_APART: Final = 0
_ENDING: Final = 1  # of the path of a URI, or of a file, from a `/` on
_NO_SCHEME: Final = 2
_WHOLE: Final = 3

# Jobs, by the first word of their names, that write labels beside documents.
_LABELLING: Final = (
    "annotate",
    "deduplicate",
    "boilerplate",
    "repeats",
    "validation",
    "takedown",
    "superseded",
)
# Likewise, that write documents.
_DOCUMENTS: Final = ("extract", "synthesize")

_SHARD_TOKEN: Final = re.compile(r"(shards/[^/]+@[0-9a-f]+/.+):(\d+)")
_FILE_OFFSET: Final = re.compile(r"(.+?)(?::| at | offset )(\d+)")
_WEB: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A document in a documents part."""

    entry: Entry
    row: int
    id: bytes
    uri: str | None
    locator: dict[str, Any]
    """See LOCATOR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that became no document."""

    entry: Entry
    row: dict[str, Any]
    """See REJECT."""


def shard_token(what: str) -> tuple[str, int] | None:
    """(path of a shard, position in it) where SHARD:TOKEN is asked for, else None.

    >>> shard_token("shards/small@1a2b/first/all-00000-5e6f:12")
    ('shards/small@1a2b/first/all-00000-5e6f', 12)
    """
    match = _SHARD_TOKEN.fullmatch(what)
    return (match[1], int(match[2])) if match else None


def find(workspace: Workspace, what: str) -> tuple[list[Found], list[Rejected]]:
    """Documents and rejects whose names are closest to what is asked for.

    Args:
        workspace: Where to look.
        what: An id (32 hex digits); a URI, with or without its scheme; a path within a source;
            FILE:OFFSET, the offset in bytes or, for Parquet, in rows; or the end of a URI's path
            or of a file, from a `/` on.

    Returns:
        All that match equally well, documents and rejects together, by generation, part and row.
    """
    wanted = _Wanted.of(what)
    documents: list[tuple[int, Found]] = []
    rejects: list[tuple[int, Rejected]] = []
    for entry in _entries(workspace, *_DOCUMENTS):
        table = read_table(workspace.storage, entry.file("documents"), ["id", "uri", "locator"])
        for closeness, row in wanted.rows_of(table):
            id_, uri, locator = (table.column(name)[row].as_py() for name in table.column_names)
            found = Found(entry=entry, row=row, id=id_, uri=uri, locator=locator)
            documents.append((closeness, found))
        refs = [ref for ref in entry.files if ref.kind == "rejects"]
        table = read_table(workspace.storage, refs[0]) if refs else REJECT.empty_table()
        for closeness, row in wanted.rows_of(table):
            reject = Rejected(entry=entry, row=table.slice(row, 1).to_pylist()[0])
            rejects.append((closeness, reject))
    best = max((closeness for closeness, _ in (*documents, *rejects)), default=_APART)
    return [d for c, d in documents if c == best], [r for c, r in rejects if c == best]


def find_documents(workspace: Workspace, what: str) -> list[Found]:
    """The documents that `find` gives."""
    return find(workspace, what)[0]


def find_rejects(workspace: Workspace, what: str) -> list[tuple[str, dict[str, Any]]]:
    """(generation, reject) of the rejects that `find` gives."""
    rejects = find(workspace, what)[1]
    return [(f"{reject.entry.job}@{reject.entry.fp}", reject.row) for reject in rejects]


def find_fetches(workspace: Workspace, what: str) -> list[dict[str, Any]]:
    """Rows of FETCHES whose address, as asked for or behind its redirects, is closest."""
    wanted = _Wanted.of(what)
    fetches: list[tuple[int, dict[str, Any]]] = []
    for entry in _entries(workspace, "crawl"):
        for ref in entry.files:
            if ref.kind == "fetches":
                table = read_table(workspace.storage, ref)
                closeness = np.maximum(
                    wanted.to_uris(table.column("url")), wanted.to_uris(table.column("final_url"))
                )
                rows = np.flatnonzero(closeness).tolist()
                fetches += [(int(closeness[r]), table.slice(r, 1).to_pylist()[0]) for r in rows]
    best = max((closeness for closeness, _ in fetches), default=_APART)
    return [fetch for closeness, fetch in fetches if closeness == best]


def document_of(workspace: Workspace, found: Found) -> dict[str, Any]:
    """All columns of a document but its text, of which the first 200 characters are kept."""
    table = read_table(workspace.storage, found.entry.file("documents")).slice(found.row, 1)
    row: dict[str, Any] = table.to_pylist()[0]
    row["text"] = row["text"][:200]
    return row


def page_rejects_of(
    workspace: Workspace, entry: Entry, id_: bytes | None
) -> list[tuple[int, str, str]]:
    """(page, reason, message) of the pages of a PDF that gave no text; pages count from 1.

    Args:
        workspace: Where they stand.
        entry: Of the extract job.
        id_: Of the document or reject; one without an id has no pages.
    """
    refs = [ref for ref in entry.files if ref.kind == "page_rejects"]
    if id_ is None or not refs:
        return []
    table = read_table(workspace.storage, refs[0])
    rows = table.filter(pc.equal(table.column("id"), pa.scalar(id_, ID))).to_pylist()
    return [(row["locator"]["pages"][0], row["reason"], row["message"]) for row in rows]


def labels_of(workspace: Workspace, found: Found) -> Iterator[tuple[str, dict[str, Any]]]:
    """(generation, labels) of every labels set over the document's part."""
    path = found.entry.file("documents").path
    for name in _of_job(workspace, *_LABELLING):
        entry = workspace.ledger.find(name, found.entry.source, found.entry.part)
        has_labels = entry is not None and any(ref.kind == "labels" for ref in entry.files)
        if entry is not None and has_labels and path in entry.inputs:
            table = read_table(workspace.storage, entry.file("labels")).slice(found.row, 1)
            labels = table.to_pylist()[0]
            labels.pop("id")
            yield name, labels


def ranges_of(workspace: Workspace, id_: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(shard prefix, row of its map) of every draw of a document."""
    for entry in _entries(workspace, "shards"):
        if not entry.files:
            continue
        table = read_table(workspace.storage, entry.file("map"))
        drawn = table.filter(pc.equal(table.column("id"), pa.scalar(id_, ID)))
        prefix = prefix_of(entry)
        for row in drawn.to_pylist():
            yield prefix, row


def shard_rejects_of(workspace: Workspace, id_: bytes) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """(entry of a shard, what it tells of the document) where the tokenizer died on its text."""
    for entry in _entries(workspace, "shards"):
        for told in entry.detail.get("rejected", ()):
            if told["id"] == id_.hex():
                yield entry, told


def document_at_token(workspace: Workspace, prefix: str, token: int) -> bytes:
    """Id of the document that a token of a shard belongs to.

    Args:
        workspace: Where the shard stands.
        prefix: Path of one of its files within the workspace, with or without the ending.
        token: Position in the shard, in tokens over all its sequences.

    Raises:
        ValueError: There is no such shard, it is shorter, or the token is padding.
    """
    prefix = without_suffix(prefix)
    for entry in _entries(workspace, "shards"):
        if entry.files and prefix_of(entry) == prefix:
            return document_at(read_table(workspace.storage, entry.file("map")), token).id
    raise ValueError(
        f"found no shard {prefix} in the ledger; give its path within the workspace, such as "
        "shards/general_4k@1a2b3c4d/general/all-00000-5e6f7a8b"
    )


def prefix_of(entry: Entry) -> str:
    """What the paths of all files of a shard begin with; the name that users see."""
    return without_suffix(entry.files[0].path)


def without_suffix(path: str) -> str:
    """The path of a shard's file without its ending, `.map.parquet` and the like."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.split('.')[0]}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a user asked for, as each of the names that it may be."""

    id: bytes | None
    whole: list[str]
    no_scheme: list[str]
    endings: list[str]
    file: str
    offset: int | None
    """Of FILE:OFFSET; `file` is without it then."""
    has_query: bool

    @classmethod
    def of(cls, what: str) -> "_Wanted":
        place = _FILE_OFFSET.fullmatch(what)
        bare = what.strip().lstrip("/")
        spellings = {bare, unquote(bare), canonical_uri(f"http://_/{bare}")[len("http://_/") :]}
        spellings -= {""}
        has_scheme = "://" in what
        return cls(
            id=bytes.fromhex(what)
            if re.fullmatch(f"[0-9a-fA-F]{{{2 * ID_BYTES}}}", what)
            else None,
            whole=[what, canonical_uri(what)],
            no_scheme=[]
            if has_scheme
            else [f(w + bare) for w in _WEB for f in (str, canonical_uri)],
            endings=[] if has_scheme else sorted(f"/{spelling}" for spelling in spellings),
            file=place[1] if place else "",
            offset=int(place[2]) if place else None,
            has_query="?" in what,
        )

    def rows_of(self, table: pa.Table) -> list[tuple[int, int]]:
        """(closeness, row) of the rows of a table with `id`, `uri` and `locator` that match."""
        file = pc.struct_field(table.column("locator"), "file")
        closeness = np.maximum(self.to_uris(table.column("uri")), self._to_files(file))
        whole = np.zeros(table.num_rows, bool)
        if self.id is not None:
            whole |= _mask(pc.equal(table.column("id"), pa.scalar(self.id, ID)))
        if self.offset is not None:
            offset = pc.struct_field(table.column("locator"), "offset")
            whole |= _mask(pc.and_(pc.equal(file, self.file), pc.equal(offset, self.offset)))
        closeness[whole] = _WHOLE
        return [(int(closeness[row]), row) for row in np.flatnonzero(closeness).tolist()]

    def to_uris(self, uris: pa.ChunkedArray) -> npt.NDArray[np.int8]:
        """int8[rows]: how close each URI is."""
        closeness = np.full(len(uris), _APART, np.int8)
        paths = uris if self.has_query else pc.replace_substring_regex(uris, r"[?#].*", "")
        for ending in self.endings:
            closeness[_mask(pc.ends_with(paths, ending))] = _ENDING
        closeness[_mask(pc.is_in(uris, value_set=pa.array(self.no_scheme, pa.string())))] = (
            _NO_SCHEME
        )
        closeness[_mask(pc.is_in(uris, value_set=pa.array(self.whole)))] = _WHOLE
        return closeness

    def _to_files(self, files: pa.ChunkedArray) -> npt.NDArray[np.int8]:
        closeness = np.full(len(files), _APART, np.int8)
        for ending in self.endings:
            closeness[_mask(pc.ends_with(files, ending))] = _ENDING
        closeness[_mask(pc.is_in(files, value_set=pa.array(self.whole)))] = _WHOLE
        return closeness


def _mask(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """bool[rows], false where null."""
    mask: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy()
    return mask


def _entries(workspace: Workspace, *jobs: str) -> Iterator[Entry]:
    for name in _of_job(workspace, *jobs):
        yield from workspace.ledger.entries(name)


def _of_job(workspace: Workspace, *jobs: str) -> list[str]:
    names = workspace.ledger.generations()
    return [n for n in names if n.split("@")[0].split(".")[0] in jobs and ".clusters" not in n]
