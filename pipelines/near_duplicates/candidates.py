"""From signatures to candidate pairs: what a part sends, and what a partition of bands commits.

A partition is cut by its band hashes into slices that are sorted one beside the other: a slice
holds whole buckets, so its pairs are its own, and it takes a fraction of the memory that sorting
the partition would. Pairs that share several bands are made once for each slice; where they meet
again is the part of their `lower` (`known`).

Equations: members over all partitions = bands that all parts sent; sent + single of a part = bands
x distinct texts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.minhash import NUM_BANDS
from pipelines.deduplicate.exact import DUPLICATE, REPEATED_RECORD
from pipelines.near_duplicates.buckets import (
    BAND,
    PAIR,
    BucketCounts,
    band_members,
    candidate_pairs,
    distinct_pairs,
)
from pipelines.near_duplicates.groups import are_generated, groups_of, seed_members
from pipelines.near_duplicates.near import places_of
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.priority import provenance_of, quality_of_part
from pipelines.near_duplicates.repeated import repeated_bands
from pipelines.near_duplicates.threads import in_order
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, read_batches
from pipelines.workspace.workspace import Workspace

_BAND_ROWS: Final = 1 << 14  # documents whose bands are spread at a time
_ROWS: Final = 1 << 18  # of a batch in a file
_SLICE_ROWS: Final = 1 << 19  # bands that are sorted at a time, 16 MB
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio, as in Fibonacci hashing


def bands_of_part(
    workspace: Workspace,
    near: NearPlan,
    key: PartKey,
    left_out: npt.NDArray[np.int64],
    seeds: bool,
) -> Iterator[pa.RecordBatch]:
    """BAND rows of the distinct texts of a part; commits how many there are.

    Args:
        workspace: Where the labels are.
        near: What is looked for.
        key: The part.
        left_out: Rows that equal another text, ascending, int64[n].
        seeds: Whether models wrote any document of the run, so that each of those is to meet the
            texts that it was made from.
    """
    watch = Stopwatch()
    entry = workspace.ledger.get(near.minhash[key.source], key.source, key.part)
    provenance = provenance_of(workspace, near, key)
    source, num_rows = near.sources.index(key.source), entry.counts["rows"]
    groups = made = np.zeros(num_rows, np.uint32)
    if provenance is not None:
        groups = groups_of(provenance)
        made = np.where(are_generated(provenance), groups, np.uint32(0))
    quality = quality_of_part(workspace, near, key)
    keep = np.ones(num_rows, bool)
    keep[left_out] = False
    first, sent = 0, 0
    columns = ["id", "bands", "further", "num_shingles"]
    file = entry.file("labels")
    for batch in read_batches(workspace.storage, file, columns, batch_rows=_BAND_ROWS):
        rows = first + np.flatnonzero(keep[first : first + batch.num_rows])
        some = batch.take(pa.array(rows - first))
        first += batch.num_rows
        ids, bands, further, num_shingles = some.columns
        places = places_of(source, key.part, rows)
        grade = None if quality is None else quality[rows]
        is_sent = repeated_bands(workspace, near, bands)
        sent += int(is_sent.sum())
        yield _sent_members(
            [bands, further, num_shingles], places, groups[rows], ids, grade, is_sent
        )
        if seeds:
            parents = _parents(provenance, rows)
            yield seed_members(ids, places, num_shingles, further, made[rows], parents)
    num_bands = NUM_BANDS * int(keep.sum())
    counts = {"bands": num_bands, "sent": sent, "single": num_bands - sent}
    workspace.ledger.commit(entry_of(near.bands, key, files=(), counts=counts, watch=watch))


def _sent_members(
    signed: Sequence[pa.Array],
    places: npt.NDArray[np.uint64],
    groups: npt.NDArray[np.uint32],
    ids: pa.FixedSizeBinaryArray,
    quality: npt.NDArray[np.float32] | None,
    is_sent: npt.NDArray[np.bool_],
) -> pa.RecordBatch:
    """BAND rows of some bands of some texts; `is_sent` is bool[num_texts, NUM_BANDS]."""
    some = np.flatnonzero(is_sent.any(axis=1))
    rows = pa.array(some)
    bands, further, num_shingles = (column.take(rows) for column in signed)
    grade = None if quality is None else quality[some]
    made = band_members(
        bands, further, num_shingles, places[some], groups[some], ids.take(rows), grade
    )
    return made.filter(pa.array(is_sent[some].T.ravel()))


def _parents(provenance: pa.StructArray | None, rows: npt.NDArray[np.int64]) -> pa.ListArray:
    if provenance is None:
        return pa.nulls(len(rows), pa.list_(pa.binary(16)))
    return pc.struct_field(provenance, "parents").take(pa.array(rows))


def copies_of_parts(
    workspace: Workspace, near: NearPlan, partition: int
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.int64]]]:
    """Rows that equal another text, of one partition of text hashes.

    Yields:
        (position of the source, part), and its rows, ascending, int64[n].
    """
    ref = workspace.ledger.get(near.clusters, PARTITIONS, partition).file("clusters")
    columns = ["source", "part", "row", "duplicate_role"]
    copies = pa.array([DUPLICATE, REPEATED_RECORD])
    for batch in read_batches(workspace.storage, ref, columns, batch_rows=_ROWS):
        some = batch.filter(pc.is_in(batch.column("duplicate_role"), value_set=copies))
        source, part, row = (some.column(name).to_numpy() for name in columns[:3])
        changes = (source[1:] != source[:-1]) | (part[1:] != part[:-1])
        firsts = np.flatnonzero(np.r_[True, changes][: len(row)])
        for first, rows in zip(firsts, np.split(row, firsts[1:]), strict=bool(len(row))):
            yield (int(source[first]), int(part[first])), rows


def commit_candidates(
    workspace: Workspace,
    near: NearPlan,
    partition: int,
    batches: Sequence[pa.RecordBatch],
    num_threads: int,
) -> None:
    """Makes and commits the candidate pairs of one partition of band hashes."""
    watch = Stopwatch()
    slices = _slices(batches)
    total: Counter[str] = Counter()
    with PartFile(workspace.storage, PAIR) as file:

        def find(rows: pa.Table) -> tuple[BucketCounts, pa.Table]:
            counts = BucketCounts()
            made = pa.Table.from_batches(candidate_pairs(rows, near.settings, counts), schema=PAIR)
            return counts, distinct(made)

        for counts, pairs in in_order(find, slices, num_threads):
            total.update(asdict(counts) | {"pairs": pairs.num_rows})
            for batch in pairs.to_batches(max_chunksize=_ROWS):
                file.write(batch)
        ref = file.publish("candidates", f"clusters/{near.candidates.name}", partition)
    key = PartKey(PARTITIONS, partition)
    workspace.ledger.commit(entry_of(near.candidates, key, files=(ref,), counts=total, watch=watch))


def distinct(pairs: pa.Table) -> pa.Table:
    """PAIR rows sorted by both places, one of each."""
    lower, higher = distinct_pairs(*(pairs.column(name).to_numpy() for name in PAIR.names))
    return pa.table([pa.array(lower), pa.array(higher)], schema=PAIR)


def _slices(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of whole buckets, of about `_SLICE_ROWS` rows each."""
    number = max(1, -(-sum(batch.num_rows for batch in batches) // _SLICE_ROWS))
    bits = np.uint64(64 - (number - 1).bit_length())
    if number == 1:
        yield pa.Table.from_batches(batches, schema=BAND)
        return
    of = [(batch.column("band_hash").to_numpy() * _MIX) >> bits for batch in batches]
    for slice_ in range(1 << (number - 1).bit_length()):
        some = [
            batch.take(pa.array(np.flatnonzero(numbers == slice_)))
            for batch, numbers in zip(batches, of, strict=True)
        ]
        yield pa.Table.from_batches(some, schema=BAND)
