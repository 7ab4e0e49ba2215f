"""What the comparison and the clusters need of the texts in pairs, stored by the part of each text.

Both ends of every pair ask the parts that they stand in. A part commits TEXT rows of all texts
that somebody asks for, and the shingle sets of those in pairs that nobody has compared: sets are as
large as texts, so each text is read and cut into shingles once, and only where it must be. How many
rows equal a text comes with the same shuffle, from the exact clusters.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import REPRESENTATIVE, collapse_column, collapse_keys
from pipelines.near_duplicates.groups import are_generated
from pipelines.near_duplicates.known import publish
from pipelines.near_duplicates.near import places_of, rows_at
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.priority import provenance_of, quality_of_part
from pipelines.near_duplicates.store import write_sets
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.workspace import Workspace

ASKED: Final = pa.schema(
    [
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("needs_set", pa.bool_(), nullable=False),  # in a pair that nobody has compared
        pa.field("num_rows", pa.int64(), nullable=False),  # that equal it; 0: a pair asks for it
    ]
)
"""What goes to the part of a text."""
ASKED_BYTES: Final = 17

TEXT: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),  # what its exact copies share
        pa.field("num_shingles", pa.int32(), nullable=False),
        pa.field("generated", pa.bool_(), nullable=False),
        pa.field("quality", pa.float32(), nullable=False),
        pa.field("num_rows", pa.int64(), nullable=False),  # that equal it, itself included
    ]
)
"""A text that is in a pair, by row."""

_ROWS: Final = 1 << 18


def asked_by_pairs(workspace: Workspace, near: NearPlan, key: PartKey) -> Iterator[pa.RecordBatch]:
    """ASKED rows of both ends of the pairs of one part."""
    entry = workspace.ledger.get(near.requests, key.source, key.part)
    if not entry.files:
        return
    for batch in read_batches(workspace.storage, entry.file("requests"), batch_rows=_ROWS):
        lower, higher = (batch.column(name).to_numpy() for name in ("lower", "higher"))
        places, at = np.unique(np.concatenate([lower, higher]), return_inverse=True)
        is_new = batch.column("jaccard").is_null().to_numpy(zero_copy_only=False)
        needs_set = np.zeros(len(places), bool)
        needs_set[at[np.concatenate([is_new, is_new])]] = True
        columns = [places, needs_set, np.zeros(len(places), np.int64)]
        yield pa.record_batch([pa.array(column) for column in columns], schema=ASKED)


def sizes_of_copies(
    workspace: Workspace, near: NearPlan, partition: int
) -> Iterator[pa.RecordBatch]:
    """ASKED rows of the texts that other rows equal, of one partition of text hashes."""
    ref = workspace.ledger.get(near.clusters, PARTITIONS, partition).file("clusters")
    columns = ["source", "part", "row", "cluster_size", "duplicate_role"]
    for batch in read_batches(workspace.storage, ref, columns, batch_rows=_ROWS):
        some = batch.filter(pc.equal(batch.column("duplicate_role"), REPRESENTATIVE))
        source, part, row, num_rows = (some.column(name).to_numpy() for name in columns[:4])
        no = np.zeros(len(row), bool)
        places = places_of_many(source, part, row)
        yield pa.record_batch([pa.array(x) for x in (places, no, num_rows)], schema=ASKED)


def places_of_many(
    sources: npt.NDArray[np.int32], parts: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """The places of rows of any parts, uint64[n]."""
    zero = np.zeros(1, np.int64)
    one_source, one_part = places_of(1, 0, zero), places_of(0, 1, zero)
    return (
        sources.astype(np.uint64) * one_source
        + parts.astype(np.uint64) * one_part
        + rows.astype(np.uint64)
    )


def commit_texts(
    workspace: Workspace,
    near: NearPlan,
    key: PartKey,
    batches: Sequence[pa.RecordBatch],
    num_threads: int,
) -> None:
    """Commits the texts of a part that are in pairs, and the sets that are to be compared."""
    asked = pa.Table.from_batches(batches, schema=ASKED)
    place, needs_set, num_rows = (asked.column(name).to_numpy() for name in ASKED.names)
    wanted = np.unique(place[num_rows == 0])
    rows = rows_at(np.unique(place[needs_set]))
    sizes = np.ones(len(wanted), np.int64)
    if len(wanted):
        is_size = num_rows > 0
        at = np.minimum(np.searchsorted(wanted, place[is_size]), len(wanted) - 1)
        is_wanted = wanted[at] == place[is_size]
        sizes[at[is_wanted]] = num_rows[is_size][is_wanted]
    _commit_sets(workspace, near, key, rows, num_threads)
    _commit_rows(workspace, near, key, rows_at(wanted), sizes)


def _commit_sets(
    workspace: Workspace,
    near: NearPlan,
    key: PartKey,
    rows: npt.NDArray[np.int64],
    num_threads: int,
) -> None:
    watch, ledger = Stopwatch(), workspace.ledger
    documents = ledger.get(near.documents[key.source], key.source, key.part).file("documents")
    files: tuple[FileRef, ...] = ()
    if len(rows):
        folder = f"clusters/{near.shingles.name}/{key.source}"
        sets = write_sets(
            workspace.storage,
            documents,
            rows,
            ledger.get(near.minhash[key.source], key.source, key.part).counts["rows"],
            folder=folder,
            part=key.part,
            num_threads=num_threads,
        )
        files = (sets,)
    num_shingles = sum(ref.bytes // 8 - (ref.rows + 1) for ref in files)
    counts = {"texts": len(rows), "shingles": num_shingles}
    ledger.commit(entry_of(near.shingles, key, files=files, counts=counts, watch=watch))


def _commit_rows(
    workspace: Workspace,
    near: NearPlan,
    key: PartKey,
    rows: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> None:
    watch, ledger, storage = Stopwatch(), workspace.ledger, workspace.storage
    files: tuple[FileRef, ...] = ()
    if len(rows):
        take = pa.array(rows)
        signed = ledger.get(near.signatures[key.source], key.source, key.part).file("labels")
        columns = ["id", collapse_column(near.collapse)]
        signatures = read_table(storage, signed, columns).take(take)
        minhash = ledger.get(near.minhash[key.source], key.source, key.part).file("labels")
        num_shingles = read_table(storage, minhash, ["num_shingles"]).column(0).take(take)
        provenance = provenance_of(workspace, near, key)
        generated = np.zeros(len(rows), bool)
        if provenance is not None:
            generated = are_generated(provenance)[rows]
        quality = quality_of_part(workspace, near, key)
        grade = np.zeros(len(rows), np.float32) if quality is None else quality[rows]
        keys = collapse_keys(signatures, near.collapse)
        some = [take, signatures.column("id"), keys, num_shingles.fill_null(0)]
        table = pa.table([*some, *map(pa.array, (generated, grade, sizes))], schema=TEXT)
        folder = f"clusters/{near.texts.name}/{key.source}"
        files = (publish(workspace, table, "texts", folder, key.part),)
    counts = {"texts": len(rows)}
    ledger.commit(entry_of(near.texts, key, files=files, counts=counts, watch=watch))


def forget_shingles(workspace: Workspace, near: NearPlan) -> None:
    """Deletes the stored sets, which are larger than the texts' files, once labels are made."""
    forget(workspace, near.shingles)


def forget(workspace: Workspace, generation: Generation) -> None:
    """Deletes what a generation made for others alone, once they are made.

    In an order that is safe to interrupt: first the ledger entries, so that no reader opens the
    files any more.
    """
    ledger, name = workspace.ledger, generation.name
    paths = ledger.entry_files(name)
    if not paths:
        return
    files = [ref.path for entry in ledger.entries(name) for ref in entry.files]
    fold = f"ledger/{name}/folded.parquet"
    if workspace.storage.exists(fold):
        workspace.storage.remove(fold)
    for path in (*paths, *files):
        if workspace.storage.exists(path):  # another driver may do the same
            workspace.storage.remove(path)
