"""The frontier file of a round: the addresses of each part, those that wait, those left over.

A round is planned when all parts of the one before are committed, and its plan is committed itself,
as part `round` of the job `crawl.frontier`: a Parquet file with the addresses of each part in a row
group of its own, then the others, and a file of keys (see `known`). So a driver that is killed and
started again finds the round as it was, and a worker reads its part of it and nothing else.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.crawl.archive import Validators
from pipelines.crawl.known import GROUP_ROWS, KNOWN
from pipelines.crawl.schema import FRONTIER
from pipelines.crawl.targets import Target
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import open_part, publish_file
from pipelines.workspace.storage import Storage

_REST_ROWS: Final = 1 << 17  # of a row group of addresses that are in no part


def write_frontier(storage: Storage, rows: Iterable[pa.RecordBatch], stem: str) -> FileRef:
    """Writes and publishes the frontier file of a round.

    Args:
        storage: The workspace's folder.
        rows: FRONTIER rows, those of each part together, in the order of parts.
        stem: Path without hash and suffix.
    """
    return _write(storage, _by_part(rows), FRONTIER, kind="frontier", stem=stem)


def write_known(storage: Storage, rows: Iterable[pa.RecordBatch], stem: str) -> FileRef:
    """Writes and publishes the keys of a round: KNOWN rows, sorted."""
    groups = _regrouped(rows, KNOWN, GROUP_ROWS)
    return _write(storage, groups, KNOWN, kind="known", stem=stem)


def _write(
    storage: Storage, groups: Iterable[pa.Table], schema: pa.Schema, *, kind: str, stem: str
) -> FileRef:
    local, num_rows = storage.scratch(".parquet"), 0
    try:
        with pq.ParquetWriter(local, schema, compression="zstd", write_page_checksum=True) as file:
            for group in groups:
                file.write_table(group, row_group_size=max(1, group.num_rows))
                num_rows += group.num_rows
        return publish_file(storage, local, kind=kind, stem=stem, rows=num_rows)
    finally:
        local.unlink(missing_ok=True)


def _by_part(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """One table a part, then tables of what is in none."""
    pending: list[pa.RecordBatch] = []
    size, part = 0, None
    for batch in rows:
        for number, piece in _runs(batch):
            is_full = number is None and size >= _REST_ROWS
            if pending and (number != part or is_full):
                yield pa.Table.from_batches(pending, FRONTIER)
                pending, size = [], 0
            part = number
            pending.append(piece)
            size += piece.num_rows
    if pending:
        yield pa.Table.from_batches(pending, FRONTIER)


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[int | None, pa.RecordBatch]]:
    """Stretches of rows of one part."""
    runs = pc.run_end_encode(batch.column("part"))
    start = 0
    for end, number in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield number, batch.slice(start, end - start)
        start = end


def _regrouped(rows: Iterable[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """Tables of so many rows, the last of the rest."""
    pending = schema.empty_table()
    for batch in rows:
        pending = pa.concat_tables([pending, pa.Table.from_batches([batch], schema)])
        while pending.num_rows >= size:
            yield pending.slice(0, size).combine_chunks()
            pending = pending.slice(size)
    if pending.num_rows:
        yield pending.combine_chunks()


def targets_in(table: pa.Table) -> list[Target]:
    """The addresses of FRONTIER rows, in their order."""
    columns = (table.column(name).to_pylist() for name in ("url", "kind", "depth", "held"))
    return [
        Target(url, kind, depth, None if held is None else Validators(**held))
        for url, kind, depth, held in zip(*columns, strict=True)
    ]


def part_targets(storage: Storage, entry: Entry, part: int) -> dict[str, list[Target]]:
    """Host -> its addresses of one part, in the order in which they are asked for.

    Args:
        storage: The workspace's folder.
        entry: The round's.
        part: Number of the part.
    """
    with open_part(storage, entry.file("frontier")) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        # Row groups before a part are parts themselves.
        table = reader.read_row_group(part - entry.detail["first_part"])
    assert set(table.column("part").to_pylist()) == {part}, f"{entry.file('frontier').path}: part"
    hosts: dict[str, list[Target]] = {}
    for host, target in zip(table.column("host").to_pylist(), targets_in(table), strict=True):
        hosts.setdefault(host, []).append(target)
    return hosts
