"""What the audit checks of deduplication: nobody is lost, clusters add up, similarities are true.

`cluster_faults` looks over all parts of one generation, `label_faults` reads texts again and
compares them. Intermediate files that were pruned are not asked for.
"""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.minhash import NUM_BANDS
from annotators.text.shingles import jaccards, shingle_sets
from pipelines.deduplicate.exact import REPRESENTATIVE
from pipelines.deduplicate.plan import JOB
from pipelines.near_duplicates.near import JOB as NEAR_JOB
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.near_duplicates.store import texts_at
from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

EQUATIONS: Final[dict[str, tuple[str, ...]]] = {
    f"{NEAR_JOB}.pairs": ("pairs", "similar", "different"),
    f"{NEAR_JOB}.candidates": (),
    f"{NEAR_JOB}.shingles": (),
    f"{NEAR_JOB}.clusters": ("texts_in_pairs", "alone", REPRESENTATIVE, NEAR_DUPLICATE),
}
"""Job -> terms, the first being the sum of the others, of one entry."""

_Place = tuple[int, int, int]
"""Position of the source, part, row."""

_RECOUNTED: Final = 32  # near-duplicates of one part whose texts are compared again


def cluster_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Checks a whole generation of a deduplication job, across its parts.

    Args:
        workspace: Where it is.
        generation: `job@fp`.
        entries: All its entries; faults that an unfinished run would show are not looked for.
    """
    job = generation.split("@")[0]
    payload = workspace.ledger.payload(generation)
    if job == f"{NEAR_JOB}.candidates" and len(entries) == payload["partitions"]:
        yield from _band_faults(workspace, generation, payload["exact"], entries)
    if job == JOB and _sum(entries)["documents"] == payload["documents"]:
        yield from _label_count_faults(workspace, generation, payload, entries)


def _sum(entries: Sequence[Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.counts)
    return total


def _band_faults(
    workspace: Workspace, generation: str, exact: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Every band of every distinct text went through the shuffle."""
    total = _sum(workspace.ledger.entries(exact, PARTITIONS))
    distinct = total["members"] - total["duplicate"] - total["repeated_record"]
    members = _sum(entries)["members"]
    if members != NUM_BANDS * distinct:
        yield (
            f"{generation}: {members} bands went through the shuffle, of {distinct} distinct texts "
            f"with {NUM_BANDS} each"
        )


def _label_count_faults(
    workspace: Workspace, generation: str, payload: dict[str, Any], entries: Sequence[Entry]
) -> Iterator[str]:
    """Clusters have one representative and the size that they say."""
    columns = ["cluster", "cluster_size", "duplicate_role"]
    tables = [read_table(workspace.storage, entry.file("labels"), columns) for entry in entries]
    rows = pa.concat_tables(tables)
    rows = rows.filter(pc.is_valid(rows.column("cluster")))
    is_representative = pc.equal(rows.column("duplicate_role"), REPRESENTATIVE)
    rows = rows.append_column("representatives", is_representative.cast(pa.int64()))
    by_cluster = rows.group_by("cluster").aggregate(
        [
            ("representatives", "sum"),
            ("cluster_size", "min"),
            ("cluster_size", "max"),
            ("cluster_size", "count"),
        ]
    )
    heads = by_cluster.column("representatives_sum").to_numpy()
    if (heads != 1).any():
        yield f"{generation}: {int((heads != 1).sum())} clusters without exactly one representative"
    size = by_cluster.column("cluster_size_count").to_numpy()
    least, most = (by_cluster.column(f"cluster_size_{what}").to_numpy() for what in ("min", "max"))
    wrong = int(((least != size) | (most != size)).sum())
    if wrong:
        yield f"{generation}: {wrong} clusters have another number of rows than their cluster_size"
    stars = _stars(payload)
    made = workspace.ledger.entries(stars, PARTITIONS) if stars else []
    labelled = _sum(entries)[f"role.{NEAR_DUPLICATE}"]
    if made and labelled != _sum(made)[NEAR_DUPLICATE]:
        yield (
            f"{generation}: {labelled} rows are labelled near_duplicate, and {stars} found "
            f"{_sum(made)[NEAR_DUPLICATE]}"
        )


def label_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Reads some near-duplicates of a part and their representatives again and compares them.

    Args:
        workspace: Where they are.
        entry: Of the job `deduplicate`; those of its other jobs have nothing to compare.
    """
    if entry.job != JOB or not entry.counts.get(f"role.{NEAR_DUPLICATE}"):
        return
    generation = f"{entry.job}@{entry.fp}"
    payload = workspace.ledger.payload(generation)
    heads = _representatives(workspace.url, _stars(payload))
    if not heads:
        return  # pruned
    path = entry.file("labels").path
    labels = read_table(workspace.storage, entry.file("labels"))
    rows = np.flatnonzero(pc.equal(labels.column("duplicate_role"), NEAR_DUPLICATE).to_numpy())
    rows = rows[:: max(1, len(rows) // _RECOUNTED)]
    some = labels.take(pa.array(rows)).to_pylist()
    lost = [row for row, label in zip(rows, some, strict=True) if label["cluster"] not in heads]
    for row in lost:
        yield f"{path}: row {row} is in a cluster that was not found"
    if lost:
        return
    places = [heads[label["cluster"]] for label in some]
    texts = [
        *_texts(workspace, entry, rows.tolist()),
        *_texts_at_places(workspace, generation, sorted(payload["inputs"]), places),
    ]
    sets = shingle_sets(pa.array(texts, pa.large_string()))
    half = np.arange(len(rows))
    found = jaccards(sets, half, half + len(rows)).astype(np.float32)
    for row, label, jaccard in zip(rows, some, found.tolist(), strict=True):
        if jaccard != label["jaccard"] or jaccard < np.float32(payload["near"]["threshold"]):
            yield (
                f"{path}: row {row} has a jaccard of {label['jaccard']} with its representative, "
                f"and their texts one of {jaccard}"
            )


def _stars(payload: dict[str, Any]) -> str:
    """The generation that decided about near-duplicates; empty where none did."""
    found = [
        name for name in payload.get("evidence", ()) if name.startswith(f"{NEAR_JOB}.clusters")
    ]
    return found[0] if found else ""


def _texts_at_places(
    workspace: Workspace, generation: str, sources: Sequence[str], places: Sequence[_Place]
) -> list[str]:
    """The texts at some places, each part read once."""
    texts: dict[_Place, str] = {}
    for source, part in sorted({place[:2] for place in places}):
        rows = sorted({place[2] for place in places if place[:2] == (source, part)})
        entry = workspace.ledger.get(generation, sources[source], part)
        for row, text in zip(rows, _texts(workspace, entry, rows), strict=True):
            texts[source, part, row] = text
    return [texts[place] for place in places]


def _texts(workspace: Workspace, entry: Entry, rows: Sequence[int]) -> list[str]:
    (path,) = entry.inputs
    documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
    batches = texts_at(workspace.storage, documents, np.array(rows))
    return [text for batch in batches for text in batch.to_pylist()]


@functools.lru_cache(maxsize=1)
def _representatives(url: str, generation: str) -> dict[bytes, _Place]:
    """Cluster -> place of its representative."""
    workspace = Workspace(url)
    found = {}
    for entry in workspace.ledger.entries(generation, PARTITIONS):
        columns = ["id", "source", "part", "row", "duplicate_role"]
        table = read_table(workspace.storage, entry.file("near"), columns)
        some = table.filter(pc.equal(table.column("duplicate_role"), REPRESENTATIVE))
        names = columns[:4]
        for id_, *place in zip(*(some.column(name).to_pylist() for name in names), strict=True):
            found[id_] = (place[0], place[1], place[2])
    return found
