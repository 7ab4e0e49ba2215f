"""What an erasure takes away: found in the files, by what was forgotten.

Forgotten are documents under an address or host that was taken down, documents whose id was, and
everything that was made of one of them, to the last generation. In every generation that the ledger
has, also those that no plan pins. The same names lead to the records of the workspace's own
archives, to rejects, and to the rows of crawls.

Inputs that a source brought are not the workspace's: they are listed, file and record, and left as
they are.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.erasure.rows import EXTRACTOR, Mask
from pipelines.takedown.documents import CoveredPart, cover_parts
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import Takedowns, read_takedowns
from pipelines.workspace.workspace import Workspace

_COLUMNS: Final = ("extractor", "locator")


@dataclass(frozen=True, slots=True)
class InputRecord:
    """A record of a file that a source brought, which still holds what was forgotten."""

    source: str
    file: str
    """Relative to the root of its source."""
    offset: int
    """Byte, or row of a Parquet file."""
    length: int


@dataclass(frozen=True)
class Targets:
    """What is to be erased from a workspace."""

    takedowns: Takedowns
    ids: pa.FixedSizeBinaryArray
    """Of all documents that are forgotten, also those that were erased before; and of rejects."""
    fresh: pa.FixedSizeBinaryArray
    """Of those that this erasure finds."""
    rows: Mapping[str, Mask]
    """Path of a documents part -> its rows; parts without any are left out."""
    places: Mapping[tuple[str, str], frozenset[int]]
    """(source, WARC file of its crawl) -> bytes at which answers begin."""
    inputs: tuple[InputRecord, ...]

    def cover(self, rows: pa.Table | pa.RecordBatch) -> Mask:
        """Rows with `id` (null where there is none) and `uri` that are to be erased: bool[n]."""
        by_id = pc.fill_null(pc.is_in(_whole(rows.column("id")), self.ids), False)
        by_uri = self.takedowns.cover(rows.column("uri"))
        found: Mask = pc.or_(by_id, by_uri).to_numpy(zero_copy_only=False)
        return found


def find_targets(workspace: Workspace) -> Targets:
    """Looks for all that was forgotten.

    Args:
        workspace: Where to look; nothing is changed.
    """
    takedowns = read_takedowns(workspace.storage)
    covered = cover_parts(workspace, takedowns, _COLUMNS)
    found = [part for part in map(_part, covered) if part.mask.any()]
    ids = pa.concat_arrays([takedowns.ids, takedowns.erased.cast(ID), *(p.ids for p in found)])
    archives = _archives(workspace)
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for part in found:
        for source, file, offset in part.locators:
            if (source, file) in archives:
                places[source, file].add(offset)
    targets = Targets(
        takedowns=takedowns,
        ids=pc.unique(ids),
        fresh=pc.unique(pa.concat_arrays([pa.array([], ID), *(p.ids for p in found)])),
        rows={part.path: part.mask for part in found},
        places={},
        inputs=tuple(
            one for part in found for one in part.records if (one.source, one.file) not in archives
        ),
    )
    for key, offset in _other_places(workspace, targets):
        if key in archives:
            places[key].add(offset)
    kept = {key: frozenset(some) for key, some in places.items()}
    return replace(targets, places=kept)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a documents part that are to be erased."""

    path: str
    mask: Mask
    ids: pa.FixedSizeBinaryArray
    records: tuple[InputRecord, ...]
    """Where they were read; none for what a recipe made."""

    @property
    def locators(self) -> Iterator[tuple[str, str, int]]:
        for one in self.records:
            yield one.source, one.file, one.offset


def _part(covered: CoveredPart) -> _Part:
    entry, table = covered.entry, covered.table
    standing = pc.not_equal(table.column("extractor"), EXTRACTOR).to_numpy()
    mask = covered.mask.to_numpy(zero_copy_only=False) & standing
    some = table.filter(pa.array(mask)).select(["id", "locator"])
    ids = pa.concat_arrays([pa.array([], ID), *(c.cast(ID) for c in some.column("id").chunks)])
    places: list[dict[str, Any]] = [] if entry.job == "synthesize" else some["locator"].to_pylist()
    records = tuple(
        InputRecord(entry.source, one["file"], one["offset"], one["length"]) for one in places
    )
    return _Part(entry.file("documents").path, mask, ids, records)


def _archives(workspace: Workspace) -> frozenset[tuple[str, str]]:
    """(source, name) of the WARC files that crawls of this workspace wrote."""
    return frozenset(
        (entry.source, entry.file("warc").path.rpartition("/")[2])
        for entry in _of_job(workspace, "crawl@")
    )


def _other_places(workspace: Workspace, targets: Targets) -> Iterator[tuple[tuple[str, str], int]]:
    """Answers in archives that became no document: of rejects, and of addresses that were asked."""
    for entry in _of_job(workspace, "extract@"):
        for ref in (ref for ref in entry.files if ref.kind == "rejects" and ref.rows):
            table = read_table(workspace.storage, ref, ["id", "uri", "locator"])
            for place in table.filter(pa.array(targets.cover(table)))["locator"].to_pylist():
                yield (entry.source, place["file"]), place["offset"]
    for entry in _of_job(workspace, "crawl@"):
        names = ["url", "final_url", "offset"]
        table = read_table(workspace.storage, entry.file("fetches"), names)
        asked = targets.takedowns.cover(table.column("url"))
        either = pc.or_(asked, targets.takedowns.cover(table.column("final_url")))
        file = entry.file("warc").path.rpartition("/")[2]
        for offset in table.column("offset").filter(either).drop_null().to_pylist():
            yield (entry.source, file), offset


def _of_job(workspace: Workspace, prefix: str) -> Iterator[Entry]:
    for name in workspace.ledger.generations():
        if name.startswith(prefix):
            yield from workspace.ledger.entries(name)


def _whole(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def mask_of(rows: int) -> Mask:
    """A mask of nothing: bool[rows]."""
    return np.zeros(rows, np.bool_)
