"""What of a takedown nothing in the workspace bears: perhaps mistyped, perhaps still to come.

Looked at are documents of all generations, what extraction and recipes rejected, pages of files,
and addresses that a crawl asked for. No text is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import Takedown, Takedowns, origin_uris
from pipelines.workspace.workspace import Workspace

_JOBS: Final = ("extract@", "synthesize@", "crawl@")
_COLUMNS: Final = {
    "documents": ["id", "uri"],
    "rejects": ["id", "uri"],
    "page_rejects": ["id", "uri"],
    "pages": ["id"],
    "fetches": ["url", "final_url"],
}
"""Kind of file -> its columns that hold ids and addresses."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What was named and is not there."""

    entries: tuple[str, ...]
    """Hosts and addresses under which nothing stands, in the form that is compared."""
    ids: tuple[str, ...]
    """Ids that no document, reject or page has, 32 hexadecimal digits each."""


def find_unknown(workspace: Workspace, entries: Sequence[str], ids: Sequence[str]) -> Unknown:
    """Looks for everything that was named, until all of it is found.

    Args:
        workspace: Where to look.
        entries: What `entries_of` gives.
        ids: What `ids_of` gives.
    """
    left, unmatched = set(ids), list(entries)
    for table in _tables(workspace):
        if not left and not unmatched:
            break
        if left and "id" in table.schema.names:
            left -= {id_.hex() for id_ in table.column("id").to_pylist() if id_ is not None}
        for uris in _addresses(table):
            unmatched = _without_matches(unmatched, uris)
    return Unknown(tuple(unmatched), tuple(sorted(left)))


def _tables(workspace: Workspace) -> Iterator[pa.Table]:
    for name in workspace.ledger.generations():
        if name.startswith(_JOBS):
            for entry in workspace.ledger.entries(name):
                for ref in entry.files:
                    if ref.kind in _COLUMNS and ref.rows:
                        yield read_table(workspace.storage, ref, _columns(entry, ref))


def _columns(entry: Entry, ref: FileRef) -> list[str]:
    made = ["meta"] if entry.job == "synthesize" and ref.kind == "documents" else []
    return [*_COLUMNS[ref.kind], *made]


def _addresses(table: pa.Table) -> Iterator[pa.Array]:
    """Columns of addresses; of a made document that of what it goes back to."""
    if "uri" in table.schema.names:
        yield origin_uris(table)
    for name in ("url", "final_url"):
        if name in table.schema.names:
            yield table.column(name)


def _without_matches(entries: list[str], uris: pa.Array) -> list[str]:
    """Those of some hosts and addresses under which none of `uris` stands."""
    hits = uris.filter(_covering(entries).cover(uris)) if entries else []
    if not len(hits):
        return entries
    return [entry for entry in entries if not _covering([entry]).cover(hits).true_count]


def _covering(entries: Sequence[str]) -> Takedowns:
    return Takedowns((Takedown(entries=tuple(entries), reason="", at=""),))
