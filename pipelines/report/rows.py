"""Rows that a report may show: labels of the few parts it reads, and the texts of chosen rows.

Counts come from the ledger; texts cost reading. So at most MAX_PARTS parts are opened, chosen by
the hash of their names with every source in turn; of those parts the labels are read whole, and the
texts by row group.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.deduplicate.exact import REPEATED_RECORD
from pipelines.mix.pins import Pins, SourcePins, label_table
from pipelines.run_record import RunRecord
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import open_part
from pipelines.workspace.workspace import Workspace

MAX_PARTS: Final = 8
"""Parts whose labels and texts are read, which bounds the reading of a report: with parts of the
usual 256 MB at most 2 GB of text, however large the corpus."""

_WANTED: Final = (
    "language",
    "script",
    "topic",
    "format",
    "quality_keep",
    "quality_reason",
    "quality_score",
    "num_tokens",
    "duplicate_role",
    "cluster",
    "cluster_size",
    "jaccard",
    "pii",
    "benchmark",
    "benchmark_item",
    "contamination_score",
)
_TEXT_COLUMNS: Final = ["id", "text", "uri", "locator", "meta", "media_type"]


def choose_parts(keys: Iterable[PartKey], most: int = MAX_PARTS) -> list[PartKey]:
    """Parts to read: each source in turn, within a source by the hash of its name and number."""
    by_source: dict[str, list[PartKey]] = {}
    for key in sorted(keys, key=_hash_of):
        by_source.setdefault(key.source, []).append(key)
    turns = [
        (turn, source, key) for source, some in by_source.items() for turn, key in enumerate(some)
    ]
    return sorted(key for _, _, key in sorted(turns)[:most])


def _hash_of(key: PartKey) -> bytes:
    return hashlib.blake2b(f"{key.source}/{key.part}".encode(), digest_size=8).digest()


def pins_of(record: RunRecord, sets: Mapping[str, str]) -> Pins:
    """What the run made, as a plan would pin it, without labels sets that nobody wants to see.

    Args:
        record: Which generations.
        sets: Column -> its labels set.
    """
    wanted = {sets[column] for column in _WANTED if column in sets}
    shared = {"duplicates": record.duplicates} if record.duplicates else {}
    sources = {
        name: SourcePins(
            documents=record.documents[name],
            labels={s: g for s, g in record.annotate.get(name, {}).items() if s in wanted} | shared,
            parts=tuple(parts),
        )
        for name, parts in record.sources.items()
        if name in record.documents
    }
    return Pins(sources, "")


@dataclass(frozen=True, slots=True)
class Rows:
    """Labels of all documents of the parts read, n rows sorted by id."""

    table: pa.Table
    places: list[tuple[PartKey, int]]
    """[n] part and row of each."""

    @classmethod
    def read(cls, workspace: Workspace, pins: Pins, keys: Sequence[PartKey]) -> "Rows":
        """Reads the labels of some parts."""
        tables, places = [], []
        for key in keys:
            table = label_table(workspace, pins, key)
            known = [name for name in _WANTED if name in table.column_names]
            tables.append(table.select(["id", *known]))
            places += [(key, row) for row in range(table.num_rows)]
        table = pa.concat_tables(tables, promote_options="default") if tables else _EMPTY
        order = pc.sort_indices(table.column("id").cast(pa.binary()))
        ordered = table.take(order)
        return cls(ordered, [places[i] for i in order.to_pylist()])

    def has(self, column: str) -> bool:
        """Whether any part read has this column."""
        return column in self.table.column_names

    def where(self, column: str, value: str) -> list[int]:
        """Rows with a value (of spans: with a kind), by id."""
        if not self.has(column):
            return []
        values = self.table.column(column)
        if pa.types.is_list(values.type):
            kinds = ({span.get("kind") for span in spans or []} for spans in values.to_pylist())
            return [row for row, found in enumerate(kinds) if value in found]
        hit = pc.fill_null(pc.equal(values.cast(pa.string()), value), False)
        found: list[int] = np.flatnonzero(hit.to_numpy(zero_copy_only=False)).tolist()
        return found

    def get(self, column: str, row: int) -> Any:  # noqa: ANN401 - labels are of any type
        """One value; None where the column is absent or the document has none."""
        return self.table.column(column)[row].as_py() if self.has(column) else None

    def members(self) -> dict[bytes, list[int]]:
        """Cluster -> its rows in the parts read; records met twice are no duplicates."""
        if not self.has("cluster"):
            return {}
        members: dict[bytes, list[int]] = {}
        clusters = self.table.column("cluster").to_pylist()
        for row, cluster in enumerate(clusters):
            if cluster is not None and self.get("duplicate_role", row) != REPEATED_RECORD:
                members.setdefault(cluster, []).append(row)
        return members


_EMPTY: Final = pa.table({"id": pa.array([], pa.binary())})


def document_rows(
    workspace: Workspace, ref: FileRef, wanted: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some rows of a documents part; row groups that hold none of them are not read."""
    with open_part(workspace.storage, ref) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        start = 0
        for number in range(reader.num_row_groups):
            rows = reader.metadata.row_group(number).num_rows
            inside = [row for row in wanted if start <= row < start + rows]
            if inside:
                group = reader.read_row_group(number, columns=_TEXT_COLUMNS)
                taken = group.take(pa.array([row - start for row in inside]))
                yield from zip(inside, taken.to_pylist(), strict=True)
            start += rows
