"""The four jobs of near-duplicates without Beam: candidates, shingles, pairs, clusters.

1. `candidates`, by partition of the band hash: buckets become pairs.
2. `shingles`, by part: each pair goes to the part of its text of lower priority, and each text that
   is in a pair is read once, and its set stored.
3. `pairs`, by part: each pair is compared exactly.
4. `clusters`, one task over the verified pairs (24 bytes each) and their texts (60 bytes): stars.

Every job asks the ledger for what was made before it and commits last, so all may be run again.

Equations: members over all partitions = bands x distinct texts; pairs = similar + different;
texts in pairs = those that stay alone + representatives + near-duplicates.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.shingles import jaccards
from pipelines.deduplicate.exact import (
    DUPLICATE,
    REPEATED_RECORD,
    REPRESENTATIVE,
    key_words,
    partition_of,
)
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.near_duplicates.buckets import (
    BAND,
    PAIR,
    BucketCounts,
    band_members,
    candidate_pairs,
    distinct_pairs,
)
from pipelines.near_duplicates.near import (
    Places,
    parts_at,
    places_of,
    rows_at,
    source_and_part,
    sources_and_parts,
)
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.stars import NEAR, NEAR_DUPLICATE, stars_of
from pipelines.near_duplicates.store import ShingleStore, texts_at, write_sets
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, read_batches, read_table
from pipelines.workspace.workspace import Workspace

TEXT: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("text_hash", pa.binary(16), nullable=False),
        pa.field("num_shingles", pa.int32(), nullable=False),
    ]
)
"""A text that is in a candidate pair."""

SIMILAR: Final = pa.schema([*PAIR, pa.field("jaccard", pa.float64(), nullable=False)])
"""A pair whose exact Jaccard reaches the threshold."""

_BAND_ROWS: Final = 1 << 14  # documents whose bands are spread at a time
_ROWS: Final = 1 << 18  # of a batch in a file
_SETS_BYTES: Final = 64 << 20  # sets in memory while pairs are compared


def near_plan(plan: DuplicatesPlan) -> NearPlan:
    """The near-duplicates of a plan that has them."""
    assert plan.near is not None, "this plan looks for exact copies only"
    return plan.near


def bands_of_part(
    workspace: Workspace, plan: DuplicatesPlan, key: PartKey, left_out: npt.NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
    """BAND rows of the distinct texts of a part.

    Args:
        workspace: Where the labels are.
        plan: What is deduplicated.
        key: The part.
        left_out: Rows that equal another text, ascending, int64[n].
    """
    entry = workspace.ledger.get(near_plan(plan).minhash[key.source], key.source, key.part)
    source = plan.sources.index(key.source)
    keep = np.ones(entry.counts["rows"], bool)
    keep[left_out] = False
    first = 0
    columns = ["id", "bands", "num_shingles"]
    file = entry.file("labels")
    for batch in read_batches(workspace.storage, file, columns, batch_rows=_BAND_ROWS):
        rows = first + np.flatnonzero(keep[first : first + batch.num_rows])
        some = batch.take(pa.array(rows - first))
        first += batch.num_rows
        id_, bands, num_shingles = some.columns
        yield band_members(bands, num_shingles, id_, places_of(source, key.part, rows))


def copies_of_parts(
    workspace: Workspace, plan: DuplicatesPlan, partition: int
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.int64]]]:
    """Rows that equal another text, of one partition of text hashes.

    Yields:
        (position of the source, part), and its rows, ascending, int64[n].
    """
    ref = workspace.ledger.get(plan.clusters, PARTITIONS, partition).file("clusters")
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
    workspace: Workspace, plan: DuplicatesPlan, partition: int, batches: Sequence[pa.RecordBatch]
) -> None:
    """Makes and commits the candidate pairs of one partition of band hashes."""
    watch, near = Stopwatch(), near_plan(plan)
    counts = BucketCounts()
    rows = pa.Table.from_batches(batches, schema=BAND)
    with PartFile(workspace.storage, PAIR) as file:
        for batch in candidate_pairs(rows, near.settings, counts):
            for start in range(0, batch.num_rows, _ROWS):
                file.write(batch.slice(start, _ROWS))
        ref = file.publish("candidates", f"clusters/{near.candidates.name}", partition)
    key = PartKey(PARTITIONS, partition)
    workspace.ledger.commit(
        entry_of(near.candidates, key, files=(ref,), counts=asdict(counts), watch=watch)
    )


def requests_of(
    workspace: Workspace, plan: DuplicatesPlan, partition: int
) -> Iterator[pa.RecordBatch]:
    """What one partition asks of the parts.

    Yields:
        PAIR rows, each to be sent to the part of its `lower`: the pairs, and for each `higher` a
        pair of it with itself, so that its part stores its set.
    """
    ref = workspace.ledger.get(near_plan(plan).candidates, PARTITIONS, partition).file("candidates")
    for batch in read_batches(workspace.storage, ref, batch_rows=_ROWS):
        yield batch
        higher = batch.column("higher").unique()
        yield pa.RecordBatch.from_arrays([higher, higher], schema=PAIR)


def commit_shingles(
    workspace: Workspace, plan: DuplicatesPlan, key: PartKey, batches: Sequence[pa.RecordBatch]
) -> None:
    """Stores the sets of the texts of one part that are in pairs, and its pairs, each once."""
    watch, near = Stopwatch(), near_plan(plan)
    asked = pa.Table.from_batches(batches, schema=PAIR)
    lower, higher = distinct_pairs(*(asked.column(name).to_numpy() for name in PAIR.names))
    rows = rows_at(np.unique(lower))
    is_pair = lower != higher
    lower, higher = lower[is_pair], higher[is_pair]
    counts = {"texts": len(rows), "pairs": len(lower), "shingles": 0}
    files: tuple[FileRef, ...] = ()
    if len(rows):
        folder = f"clusters/{near.shingles.name}/{key.source}"
        sets, texts = _store(workspace, plan, key, rows, folder)
        pairs = pa.table([pa.array(lower), pa.array(higher)], schema=PAIR)
        listed = _publish(workspace, pairs, "pairs", f"{folder}/pairs", key.part)
        files = (sets, texts, listed)
        counts["shingles"] = sets.bytes // 8 - (sets.rows + 1)
    workspace.ledger.commit(entry_of(near.shingles, key, files=files, counts=counts, watch=watch))


def _store(
    workspace: Workspace,
    plan: DuplicatesPlan,
    key: PartKey,
    rows: npt.NDArray[np.int64],
    folder: str,
) -> tuple[FileRef, FileRef]:
    storage = workspace.storage
    signatures = workspace.ledger.get(plan.signatures[key.source], key.source, key.part)
    (path,) = signatures.inputs
    documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
    sets, sizes = write_sets(
        storage,
        texts_at(storage, documents, rows),
        rows,
        signatures.counts["rows"],
        folder=f"{folder}/sets",
        part=key.part,
    )
    known = read_table(storage, signatures.file("labels"), ["id", "text_hash"]).take(pa.array(rows))
    hashes = pc.coalesce(known.column("text_hash"), known.column("id"))
    texts = pa.table([pa.array(rows), known.column("id"), hashes, pa.array(sizes)], schema=TEXT)
    return sets, _publish(workspace, texts, "texts", f"{folder}/texts", key.part)


def _publish(workspace: Workspace, table: pa.Table, kind: str, folder: str, part: int) -> FileRef:
    with PartFile(workspace.storage, table.schema) as file:
        for batch in table.combine_chunks().to_batches(max_chunksize=_ROWS):
            file.write(batch)
        return file.publish(kind, folder, part)


@dataclass(frozen=True)
class ComparePairs:
    """The part job that compares the pairs of one part."""

    plan: DuplicatesPlan

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Verified pairs."""
        return (near_plan(self.plan).pairs,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Commits the pairs that reach the threshold."""
        watch, near = Stopwatch(), near_plan(self.plan)
        shingles = workspace.ledger.get(near.shingles, key.source, key.part)
        counts = {"pairs": shingles.counts["pairs"], "similar": 0}
        files: tuple[FileRef, ...] = ()
        if counts["pairs"]:
            table = read_table(workspace.storage, shingles.file("pairs"))
            lower, higher = (table.column(name).to_numpy() for name in PAIR.names)
            found = compare(_store_of(workspace, self.plan), lower, higher)
            similar = found >= near.settings.threshold
            columns = [lower[similar], higher[similar], found[similar]]
            made = pa.table([pa.array(column) for column in columns], schema=SIMILAR)
            folder = f"clusters/{near.pairs.name}/{key.source}"
            files = (_publish(workspace, made, "similar", folder, key.part),)
            counts["similar"] = made.num_rows
        counts["different"] = counts["pairs"] - counts["similar"]
        workspace.ledger.commit(entry_of(near.pairs, key, files=files, counts=counts, watch=watch))


def compare(store: ShingleStore, lower: Places, higher: Places) -> npt.NDArray[np.float64]:
    """The exact Jaccard of each pair, with at most some of the sets in memory at a time.

    Args:
        store: Has the sets of all these places.
        lower: One text of each pair, uint64[num_pairs].
        higher: The other.

    Returns:
        float64[num_pairs].
    """
    places = np.unique(np.concatenate([lower, higher]))
    starts, ends = store.bounds(places)
    left, right = np.searchsorted(places, lower), np.searchsorted(places, higher)
    sizes = (ends - starts) * 8
    order = np.lexsort([left, right])
    # Cut where the sets, counted once a pair, fill the budget: an upper bound of what is read.
    filled = np.cumsum((sizes[left] + sizes[right])[order]) // _SETS_BYTES
    out = np.empty(len(lower))
    for some in np.split(order, np.flatnonzero(np.diff(filled)) + 1):
        used = np.unique(np.concatenate([left[some], right[some]]))
        sets = store.read(places[used], starts[used], ends[used])
        pair = (np.searchsorted(used, side[some]) for side in (left, right))
        out[some] = jaccards(sets, *pair)
    return out


@functools.lru_cache(maxsize=2)
def _files_of(url: str, generation: str) -> dict[tuple[str, int], FileRef]:
    """The stored sets; asked for when the generation is whole, so that it never changes."""
    entries = Workspace(url).ledger.entries(generation)
    return {(e.source, e.part): e.file("shingles") for e in entries if e.files}


def _store_of(workspace: Workspace, plan: DuplicatesPlan) -> ShingleStore:
    files = _files_of(workspace.url, near_plan(plan).shingles.name)
    return ShingleStore(workspace.storage, plan.sources, files)


def forget_shingles(workspace: Workspace, plan: DuplicatesPlan) -> None:
    """Deletes the stored sets, which are larger than the texts' files, once labels are made.

    In an order that is safe to interrupt: first the ledger entries, so that no reader opens the
    files any more.
    """
    if plan.near is None:
        return
    ledger, name = workspace.ledger, plan.near.shingles.name
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


def commit_stars(workspace: Workspace, plan: DuplicatesPlan) -> None:
    """Finds the clusters among all verified pairs and commits them by partition of text hash."""
    watch, near = Stopwatch(), near_plan(plan)
    similar = _all_similar(workspace, near)
    lower, higher = (similar.column(name).to_numpy() for name in PAIR.names)
    places = np.unique(np.concatenate([lower, higher]))
    texts = _texts_in(workspace, plan, places)
    stars = stars_of(
        texts.column("num_shingles").to_numpy(),
        key_words(texts.column("id")),
        np.searchsorted(places, lower),
        np.searchsorted(places, higher),
        similar.column("jaccard").to_numpy(),
    )
    sizes = _copies(workspace, plan, texts.column("id"))
    num_texts = np.bincount(stars.representative, minlength=len(places))
    cluster_size = np.zeros(len(places), np.int64)
    np.add.at(cluster_size, stars.representative, sizes)
    member = np.flatnonzero(num_texts[stars.representative] > 1)
    chosen = stars.representative[member]
    role = pa.array([REPRESENTATIVE, NEAR_DUPLICATE]).take(pa.array((chosen != member).astype(int)))
    source, part = sources_and_parts(parts_at(places[member]))
    ids = texts.column("id").combine_chunks()
    decided = pa.table(
        [
            pa.array(source),
            pa.array(part),
            pa.array(rows_at(places[member])),
            ids.take(pa.array(chosen)),
            pa.array(cluster_size[chosen]),
            role,
            pa.array(stars.jaccard[member].astype(np.float32)),
            ids.take(pa.array(member)),
        ],
        schema=NEAR,
    )
    partitions = partition_of(texts.column("text_hash").combine_chunks(), plan.num_partitions)
    for partition in range(plan.num_partitions):
        table = decided.filter(pa.array(partitions[member] == partition))
        ref = _publish(workspace, table, "near", f"clusters/{near.stars.name}", partition)
        counts = {"texts_in_pairs": int((partitions == partition).sum())}
        for name in (REPRESENTATIVE, NEAR_DUPLICATE):
            counts[name] = pc.sum(pc.equal(table.column("duplicate_role"), name)).as_py() or 0
        counts["alone"] = counts["texts_in_pairs"] - table.num_rows
        key = PartKey(PARTITIONS, partition)
        workspace.ledger.commit(entry_of(near.stars, key, files=(ref,), counts=counts, watch=watch))


def _all_similar(workspace: Workspace, near: NearPlan) -> pa.Table:
    tables = [
        read_table(workspace.storage, entry.file("similar"))
        for entry in workspace.ledger.entries(near.pairs)
        if entry.files
    ]
    return pa.concat_tables([SIMILAR.empty_table(), *tables])


def _texts_in(workspace: Workspace, plan: DuplicatesPlan, places: Places) -> pa.Table:
    """TEXT rows of these places, in their order."""
    entries: dict[tuple[int, int], Entry] = {
        (plan.sources.index(entry.source), entry.part): entry
        for entry in workspace.ledger.entries(near_plan(plan).shingles)
    }
    tables = [TEXT.empty_table()]
    numbers = parts_at(places)
    for number in np.unique(numbers).tolist():
        entry = entries[source_and_part(number)]
        table = read_table(workspace.storage, entry.file("texts"))
        rows = rows_at(places[numbers == number])
        tables.append(table.take(pa.array(np.searchsorted(table.column("row").to_numpy(), rows))))
    return pa.concat_tables(tables).combine_chunks()


def _copies(
    workspace: Workspace, plan: DuplicatesPlan, ids: pa.ChunkedArray
) -> npt.NDArray[np.int64]:
    """Rows that equal each text, itself included, int64[n]."""
    sizes = np.ones(len(ids), np.int64)
    wanted = ids.combine_chunks()
    for entry in workspace.ledger.entries(plan.clusters, PARTITIONS):
        columns = ["cluster", "cluster_size", "duplicate_role"]
        for batch in read_batches(
            workspace.storage, entry.file("clusters"), columns, batch_rows=_ROWS
        ):
            found = pc.index_in(batch.column("cluster"), value_set=wanted)
            is_text = pc.and_(
                pc.is_valid(found), pc.equal(batch.column("duplicate_role"), REPRESENTATIVE)
            )
            where = found.filter(is_text).to_numpy()
            sizes[where] = batch.column("cluster_size").filter(is_text).to_numpy()
    return sizes
