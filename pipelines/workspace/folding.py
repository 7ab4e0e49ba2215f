"""The fold: all entries of a generation in one Parquet file, as rows of (path, entry).

A million entries are 4 GB of JSON, so no process holds them all: rows are written and read by row
groups of 1,000, 4 MB. Rows stand by source and part, as `entry_files` are read, so that a reader
walks through the two side by side. The fold is a copy: what cannot be read of it is passed over,
and is read from the files of the ledger.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.storage import Storage

ROWS: Final = 1000
"""Of a row group, and entries held in memory at a time."""
_SCHEMA: Final = pa.schema([pa.field("path", pa.string()), pa.field("entry", pa.binary())])

Row = tuple[str, bytes]
"""Path of an entry, and what its file holds."""


def read_fold(storage: Storage, path: str) -> Iterator[Row]:
    """The rows of a fold, one after the other, up to the first that cannot be read."""
    try:
        with storage.open(path) as file:
            for batch in pq.ParquetFile(file).iter_batches(ROWS):
                table = pa.Table.from_batches([batch]).select(_SCHEMA.names).cast(_SCHEMA)
                yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return


def num_rows(storage: Storage, path: str) -> int:
    """How many a fold has; 0 where that cannot be read."""
    try:
        with storage.open(path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    except (OSError, pa.ArrowException, ValueError):
        return 0


def write_fold(draft: Path, groups: Iterable[Sequence[Row]]) -> None:
    """Writes rows to a local file.

    Args:
        draft: Where to.
        groups: Rows by source and part, some at a time.
    """
    # A row's entry says nothing as a bound of others, and would be copied into the footer.
    with pq.ParquetWriter(draft, _SCHEMA, compression="zstd", write_statistics=["path"]) as writer:
        for rows in groups:
            columns = [list(column) for column in zip(*rows, strict=True)]
            writer.write_table(pa.table(columns, schema=_SCHEMA))
