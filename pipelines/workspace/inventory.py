"""The inventory: which input files a source has, cut into numbered parts.

A part is about `part_bytes` of expected text: small files are grouped, large ones split where the
format allows it. Parts are numbered once and for all. Files that appear later get new numbers in a
further inventory file, so nothing that was done is renumbered; each inventory file is created only
if absent, so two drivers cannot number the same files twice. (One growing Parquet file, as first
designed, cannot be appended to on an object store.)
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.own_hash import HashError, check_hash, to_hashed_parquet
from pipelines.workspace.storage import Storage

SCHEMA: Final = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # relative to the root of the source
        pa.field("format", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64()),  # null: to the end of the file
        pa.field("bytes", pa.int64(), nullable=False),  # of the whole file, as it was listed
        pa.field("stamp", pa.string(), nullable=False),  # ETag or change time, as listed
        pa.field("digest", pa.string(), nullable=False),  # of local files; else empty
    ]
)

# Bytes of extracted text expected from one stored byte: HTML gives about a tenth of its size as
# text and gzip stores a fifth; measured on article pages and WET files.
_TEXT_PER_BYTE: Final = {"html": 0.1, "warc": 0.4, "wet": 2.5, "jsonl": 1.0, "parquet": 2.0}
_ROWS: Final = 4096  # of a row group: what is read to find one part
_FILE: Final = re.compile(r"/from-(\d+)\.parquet$")
_COMPRESSED: Final = (".gz", ".zst", ".bz2", ".lz4", ".xz")


class InventoryError(ValueError):
    """Input files that cannot be numbered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An input file as the listing of its source shows it."""

    url: str
    file: str
    format: str
    bytes: int
    stamp: str
    """ETag or change time; another stamp is looked into, the same stamp is trusted."""
    digest: Callable[[], str]
    """Hash of the content where it can be had cheaply, else an empty string."""
    splits: tuple[tuple[int, int | None], ...] = ()
    """Ranges into which the format allows the file to be cut; none means whole."""

    @property
    def expected_text_bytes(self) -> float:
        """What it weighs when parts are formed."""
        factor = _TEXT_PER_BYTE.get(self.format, 1.0)
        if self.format == "jsonl" and self.file.endswith(_COMPRESSED):
            factor = 3.0
        return max(1.0, self.bytes * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One row of the inventory: a file, or a range of it, that belongs to a part."""

    part: int
    url: str
    file: str
    format: str
    start: int
    end: int | None
    bytes: int
    stamp: str
    digest: str


@dataclass
class Inventory:
    """Parts of one source; read once a process."""

    storage: Storage
    source: str
    _spans: list[Span] | None = field(default=None, repr=False)

    def spans(self) -> list[Span]:
        """All rows, by part."""
        if self._spans is None:
            self._spans = list(self._read())
        return self._spans

    def parts(self) -> list[int]:
        """Numbers of all parts, ascending; no other column is read for them."""
        if self._spans is not None:
            return sorted({span.part for span in self._spans})
        tables = (self._table(self._path(first), columns=["part"]) for first in self._files())
        return sorted({part for table in tables for part in table["part"].unique().to_pylist()})

    def part(self, number: int) -> list[Span]:
        """Files and ranges of one part, in order.

        A worker asks for one part of what may be a million: it reads the row groups that hold it.
        """
        if self._spans is not None:
            return [span for span in self._spans if span.part == number]
        first = max((n for n in self._files() if n <= number), default=None)
        return [] if first is None else list(self._read_file(self._path(first), number))

    def extend(self, listed: Sequence[Listed], part_bytes: int, selection: str = "") -> int:
        """Numbers the files that are not yet in the inventory.

        Args:
            listed: All files that the source has now.
            part_bytes: Expected text of a part.
            selection: How the source chooses its files (path, format, include, exclude).

        Returns:
            Number of new parts.

        Raises:
            InventoryError: A file that is in the inventory has changed since, or another selection
                leaves out files that are in it.
        """
        self._check_selection(listed, selection)
        known = {span.file: span for span in self.spans()}
        for item in listed:
            self._check_unchanged(item, known.get(item.file))
        fresh = [item for item in listed if item.file not in known]
        if not fresh:
            return 0
        first = max(self.parts(), default=-1) + 1
        spans = _form_parts(fresh, part_bytes, first)
        if not self.storage.create(self._path(first), _to_parquet(spans)):
            self._spans = None
            return self.extend(listed, part_bytes, selection)
        self._spans = [*self.spans(), *spans]
        return spans[-1].part + 1 - first

    def missing(self, listed: Sequence[Listed]) -> list[str]:
        """Files of the inventory that the source no longer has."""
        present = {item.file for item in listed}
        return sorted({span.file for span in self.spans()} - present)

    def _check_selection(self, listed: Sequence[Listed], selection: str) -> None:
        path = f"inventory/{self.source}/selection.txt"
        if self.storage.create(path, selection.encode()):
            return
        first = self.storage.read(path).decode()
        left_out = self.missing(listed)
        if first != selection and left_out:
            raise InventoryError(
                f"source {self.source} was numbered with {first}; now it has {selection}, which "
                f"leaves out {len(left_out)} of its files (first: {left_out[0]}); what is numbered "
                "stays: give the changed source another name, or start a new workspace"
            )

    def _check_unchanged(self, item: Listed, known: Span | None) -> None:
        if known is not None and known.format != item.format:
            raise InventoryError(
                f"source {self.source}: {item.file} was numbered as {known.format}, and is to be "
                f"read as {item.format} now; give the source another name, or start a new workspace"
            )
        if known is None or (known.bytes, known.stamp) == (item.bytes, item.stamp):
            return
        if known.bytes != item.bytes or not known.digest or known.digest != item.digest():
            raise InventoryError(
                f"source {self.source}: {item.file} has changed since it was numbered "
                f"({known.bytes} bytes, {known.stamp} then; {item.bytes} bytes, {item.stamp} now); "
                "inputs are immutable: give the new file another name, or start a new workspace"
            )

    def _path(self, first_part: int) -> str:
        return f"inventory/{self.source}/from-{first_part:05d}.parquet"

    def _files(self) -> list[int]:
        """The first part of each inventory file, ascending."""
        paths = self.storage.files(f"inventory/{self.source}")
        return [int(found[1]) for path in paths if (found := _FILE.search(path))]

    def _read(self) -> Iterator[Span]:
        for first in self._files():
            yield from self._read_file(self._path(first))

    def _read_file(self, path: str, part: int | None = None) -> Iterator[Span]:
        """The rows of a file, or those of one part."""
        wanted = None if part is None else [("part", "=", part)]
        for row in self._table(path, filters=wanted).to_pylist():
            yield Span(**row)

    def _table(self, path: str, **choice: Any) -> pa.Table:  # noqa: ANN401 - of pq.read_table
        data = self.storage.read(path)
        try:
            check_hash(data)
            return pq.read_table(io.BytesIO(data), page_checksum_verification=True, **choice)
        except (pa.ArrowException, OSError, HashError) as error:
            raise InventoryError(
                f"{path} is damaged ({error}), so which parts there are is not known; restore it "
                "from a copy: it cannot be made again with the same numbers for certain"
            ) from error


def _form_parts(listed: Sequence[Listed], part_bytes: int, first: int) -> list[Span]:
    """Groups and splits files, in the order of their names."""
    spans: list[Span] = []
    part, filled = first, 0.0
    for item in sorted(listed, key=lambda x: x.file):
        pieces = item.splits or ((0, None),)
        weight = item.expected_text_bytes / len(pieces)
        digest = item.digest()
        for start, end in pieces:
            if filled and filled + weight > part_bytes:
                part, filled = part + 1, 0.0
            filled += weight
            spans.append(
                Span(
                    part=part,
                    url=item.url,
                    file=item.file,
                    format=item.format,
                    start=start,
                    end=end,
                    bytes=item.bytes,
                    stamp=item.stamp,
                    digest=digest,
                )
            )
    return spans


def _to_parquet(spans: Sequence[Span]) -> bytes:
    rows = [{name: getattr(span, name) for name in SCHEMA.names} for span in spans]
    return inventory_file(pa.Table.from_pylist(rows, schema=SCHEMA))


def inventory_file(table: pa.Table) -> bytes:
    """Rows of the inventory as one of its files."""
    return to_hashed_parquet(table, _ROWS)
