"""What the audit checks of deduplication: nobody is lost, clusters add up, copies are copies.

`cluster_faults` looks over all parts of one generation, `label_faults` reads texts and addresses
again. Intermediate files that were pruned are not asked for. Near-duplicates are compared again by
`pipelines.near_duplicates.check`.
"""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import (
    ALONE,
    BYTES,
    DUPLICATE,
    LABEL_SCHEMAS,
    REPEATED_RECORD,
    REPRESENTATIVE,
    TEXT,
    URL,
    collapse_keys,
    partition_of,
)
from pipelines.deduplicate.plan import DUPLICATES, EXACT_SETS, JOB
from pipelines.deduplicate.signatures import Signatures
from pipelines.deduplicate.urls import url_keys
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.near_duplicates.store import texts_at
from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.takedown import erased_ids
from pipelines.workspace.workspace import Workspace

_ROLES: Final = (ALONE, REPRESENTATIVE, DUPLICATE, REPEATED_RECORD)
_BY_ROLE: Final = ("rows", *(f"role.{role}" for role in _ROLES))
_OF_PARTITION: Final = ("members", *_ROLES)

EQUATIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    JOB: (("documents", "rows"), (*_BY_ROLE, f"role.{NEAR_DUPLICATE}")),
    **{f"{JOB}.{name}": (("documents", "rows"), _BY_ROLE) for name in EXACT_SETS.values()},
    f"{JOB}.clusters": (_OF_PARTITION,),
    f"{JOB}.url_clusters": (_OF_PARTITION,),
}
"""Job -> equations; of the terms of each, the first is the sum of the others, in one entry."""

_LEVEL_OF: Final = {f"{JOB}.{name}": level for level, name in EXACT_SETS.items()}
_RECOUNTED: Final = 32  # copies of one part whose texts are hashed again
_ROW_BYTES: Final = 64  # of a copy, while clusters are counted
_MEMORY_BYTES: Final = 512 << 20
_T = TypeVar("_T")
_HASHES: Final = {BYTES: "text_hash", TEXT: "normal_hash"}


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
    if job == f"{JOB}.clusters":
        yield from _member_faults(workspace, generation, entries)
    if job != JOB and job not in _LEVEL_OF:
        return
    payload = workspace.ledger.payload(generation)
    if job == JOB:
        yield from _repeated_faults(workspace, generation, entries)
    if _sum(entries)["documents"] != payload["documents"]:
        return
    labels = DUPLICATES if job == JOB else EXACT_SETS[_LEVEL_OF[job]]
    yield from _size_faults(workspace, generation, labels, entries)
    if job != JOB:
        yield from _role_faults(workspace, generation, payload, entries)


def _sum(entries: Sequence[Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.counts)
    return total


def _member_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """All documents went through the shuffle: members of all partitions = documents planned."""
    payload = workspace.ledger.payload(generation)
    if len(entries) < payload["partitions"]:
        return  # still running
    members = _sum(entries)["members"]
    if members != payload["documents"]:
        yield (
            f"{generation}: {members} members went through the shuffle, of {payload['documents']} "
            "documents"
        )


def _repeated_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Among rows that may be drawn, no id occurs twice."""
    num_bytes = _sum(entries)["rows"] * _ROW_BYTES
    num_passes, twice = max(1, math.ceil(num_bytes / _MEMORY_BYTES)), 0
    for number in range(num_passes):
        seen = []
        for entry in entries:
            table = read_table(workspace.storage, entry.file("labels"), ["id", "duplicate_role"])
            kept = pc.not_equal(table.column("duplicate_role"), REPEATED_RECORD)
            ids = table.column("id").filter(kept).combine_chunks()
            seen.append(ids.filter(pa.array(partition_of(ids, num_passes) == number)))
        ids = pa.chunked_array(seen, pa.binary(16))
        twice += len(ids) - pc.count_distinct(ids).as_py()
    if twice:
        yield f"{generation}: {twice} document ids occur twice among kept rows"


def _size_faults(
    workspace: Workspace, generation: str, labels: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Every cluster has one representative, which names it, and the size that its rows say."""
    total = _sum(entries)
    num_bytes = (total["rows"] - total[f"role.{ALONE}"]) * _ROW_BYTES
    num_passes = max(1, math.ceil(num_bytes / _MEMORY_BYTES))
    heads, sizes, names = 0, 0, 0
    for number in range(num_passes):
        found = _cluster_counts(workspace, labels, entries, number, num_passes)
        heads += found[0]
        sizes += found[1]
        names += found[2]
    if heads:
        yield f"{generation}: {heads} clusters without exactly one representative"
    if sizes:
        yield f"{generation}: {sizes} clusters have another number of rows than they say"
    if names:
        yield f"{generation}: {names} clusters do not have the id of their representative"


def _cluster_counts(
    workspace: Workspace, labels: str, entries: Sequence[Entry], number: int, num_passes: int
) -> tuple[int, int, int]:
    """Clusters of one share of the ids, with wrong representatives, sizes and names."""
    id_, cluster, size, role = LABEL_SCHEMAS[labels].names[:4]
    tables = []
    for entry in entries:
        table = read_table(workspace.storage, entry.file("labels"), [id_, cluster, size, role])
        table = table.filter(pc.is_valid(table.column(cluster)))
        if num_passes > 1:
            share = partition_of(table.column(cluster).combine_chunks(), num_passes)
            table = table.filter(pa.array(share == number))
        is_head = pc.equal(table.column(role), REPRESENTATIVE)
        is_named = pc.equal(table.column(id_), table.column(cluster))
        tables.append(
            pa.table(
                {
                    "cluster": table.column(cluster),
                    "size": table.column(size),
                    "heads": is_head.cast(pa.int64()),
                    "named": pc.and_(is_head, is_named).cast(pa.int64()),
                }
            )
        )
    found = (
        pa.concat_tables(tables)
        .group_by("cluster")
        .aggregate([("heads", "sum"), ("named", "sum"), ("size", "min_max"), ("size", "count")])
    )
    heads, named = (found.column(f"{name}_sum").to_numpy() for name in ("heads", "named"))
    count = found.column("size_count").to_numpy()
    ends = found.column("size_min_max").combine_chunks()
    least, most = (pc.struct_field(ends, name).to_numpy() for name in ("min", "max"))
    wrong = (least != count) | (most != count) | (count < 2)
    return int((heads != 1).sum()), int(wrong.sum()), int(((heads == 1) & (named != 1)).sum())


def _role_faults(
    workspace: Workspace, generation: str, payload: Mapping[str, Any], entries: Sequence[Entry]
) -> Iterator[str]:
    """What the partitions decided arrived in the parts."""
    (evidence,) = payload["evidence"]
    made = workspace.ledger.entries(evidence, PARTITIONS)
    if not made:
        return  # pruned
    level = _LEVEL_OF[generation.split("@")[0]]
    is_inner = level == BYTES and payload["collapse"] == TEXT
    prefix = f"{BYTES}." if is_inner else ""
    decided, labelled = _sum(made), _sum(entries)
    for role in (REPRESENTATIVE, DUPLICATE, REPEATED_RECORD):
        if labelled[f"role.{role}"] != decided[f"{prefix}{role}"]:
            yield (
                f"{generation}: {labelled[f'role.{role}']} rows are labelled {role}, and "
                f"{evidence} found {decided[f'{prefix}{role}']}"
            )


def label_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Hashes some copies of a part and their representatives again, from texts and addresses.

    Args:
        workspace: Where they are.
        entry: Of a job that writes a labels set of one level; others have nothing to compare.
    """
    level = _LEVEL_OF.get(entry.job)
    if level is None:
        return
    labels = read_table(workspace.storage, entry.file("labels"))
    documents = _documents_of(entry)
    gone = erased_ids(workspace.storage)
    if level == URL:
        yield from _url_faults(workspace, entry, documents, labels, gone)
    else:
        yield from _text_faults(workspace, entry, documents, labels, level, gone)


def _documents_of(entry: Entry) -> FileRef:
    (path,) = entry.inputs
    return FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)


def _some_copies(labels: pa.Table, gone: pa.Array) -> npt.NDArray[np.int64]:
    """Rows that are copies, spread over the part, int64[n]; none that was erased on either side."""
    role = labels.column(3)
    is_copy = pc.is_in(role, value_set=pa.array([DUPLICATE, REPEATED_RECORD]))
    either = pc.or_(pc.is_in(labels.column(0), gone), pc.is_in(labels.column(1), gone))
    rows = np.flatnonzero(is_copy.to_numpy() & ~either.to_numpy())
    return rows[:: max(1, math.ceil(len(rows) / _RECOUNTED))]


def _grouping_faults(
    path: str, keys: pa.Array, clusters: pa.ChunkedArray, what: str
) -> Iterator[str]:
    """Within a part, rows share a cluster if and only if they share a key."""
    key, cluster = keys.dictionary_encode(), clusters.combine_chunks().dictionary_encode()
    pairs = pa.table({"key": key.indices, "cluster": cluster.indices})
    known = pairs.filter(pc.and_(pc.is_valid(key), pc.is_valid(cluster)))
    distinct = known.group_by(["key", "cluster"]).aggregate([])
    for name, fault in (
        ("key", f"with one {what} are in several clusters"),
        ("cluster", f"of one cluster have several {what}s"),
    ):
        several = distinct.num_rows - pc.count_distinct(distinct.column(name)).as_py()
        if several:
            yield f"{path}: rows {fault} ({several} times)"
    count = np.bincount(key.indices.drop_null().to_numpy(), minlength=1)
    alone = key.indices.filter(pc.is_null(clusters.combine_chunks())).drop_null().to_numpy()
    met = int((count[alone] > 1).sum())
    if met:
        yield f"{path}: {met} rows are labelled alone, and another has their {what}"


def _url_faults(
    workspace: Workspace, entry: Entry, documents: FileRef, labels: pa.Table, gone: pa.Array
) -> Iterator[str]:
    """The addresses of a part, all of them, and those of some representatives in other parts."""
    path = entry.file("labels").path
    uris = read_table(workspace.storage, documents, ["uri"]).column("uri")
    keys = url_keys(uris)
    yield from _grouping_faults(path, keys, labels.column("url_cluster"), "address")
    lost = pc.and_(pc.is_null(keys), pc.is_valid(labels.column("url_cluster").combine_chunks()))
    lost = pc.and_(lost, pc.invert(pc.is_in(labels.column(0).combine_chunks(), gone)))
    if pc.any(lost).as_py():
        yield f"{path}: rows without a web address are in clusters"
        return
    rows = _some_copies(labels, gone)
    heads = _heads(workspace, entry, labels, rows, keys.take(pa.array(rows)))
    if heads is None:
        return
    found = _at_heads(workspace, entry, heads, _uris)
    for row, place in zip(rows.tolist(), heads, strict=True):
        if place is None:
            yield f"{path}: row {row} is in a cluster that was not found"
            continue
        if url_keys(pa.array([found[place]]))[0] != keys[row]:
            yield (
                f"{path}: row {row} is labelled as a copy of {uris[row].as_py()}, and its "
                f"representative has the address {found[place]}"
            )


def _uris(workspace: Workspace, documents: FileRef, rows: npt.NDArray[np.int64]) -> list[str]:
    """The addresses at some rows."""
    table = read_table(workspace.storage, documents, ["uri"])
    uris: list[str] = table.column("uri").take(pa.array(rows)).to_pylist()
    return uris


def _text_faults(
    workspace: Workspace,
    entry: Entry,
    documents: FileRef,
    labels: pa.Table,
    level: str,
    gone: pa.Array,
) -> Iterator[str]:
    """The hashes of a part, all of them, and the texts of some copies and representatives."""
    path, column = entry.file("labels").path, _HASHES[level]
    signed = _signatures(workspace, entry)
    keys = collapse_keys(signed, level)
    yield from _grouping_faults(path, keys, labels.column(f"{level}_cluster"), column)
    rows = _some_copies(labels, gone)
    payload = workspace.ledger.payload(f"{entry.job}@{entry.fp}")
    heads = _heads(
        workspace,
        entry,
        labels,
        rows,
        collapse_keys(signed, payload["collapse"]).take(pa.array(rows)),
    )
    if heads is None:
        return
    hashes = functools.partial(_text_hashes, column=column)
    found = _at_heads(workspace, entry, heads, hashes)
    own = hashes(workspace, documents, rows)
    for row, place, hash_ in zip(rows.tolist(), heads, own, strict=True):
        signature = signed.column(column)[row].as_py()
        if place is None:
            yield f"{path}: row {row} is in a cluster that was not found"
            continue
        if signature is None:
            continue  # its annotator failed: it equals its own record
        if hash_ != found[place]:
            yield f"{path}: row {row} is labelled as a copy, and its text is another ({column})"
        if hash_ != signature:
            yield f"{path}: row {row} has another {column} than its signature"


class _Place(NamedTuple):
    """Where a representative stands."""

    source: str
    part: int
    row: int


def _heads(
    workspace: Workspace,
    entry: Entry,
    labels: pa.Table,
    rows: npt.NDArray[np.int64],
    keys: pa.FixedSizeBinaryArray,
) -> list[_Place | None] | None:
    """Where the representatives of some rows stand, from the clusters; None where those are gone.

    Args:
        workspace: Where they are.
        entry: Of the labels.
        labels: Its rows.
        rows: Some of them.
        keys: By which each was sent to its partition.
    """
    payload = workspace.ledger.payload(f"{entry.job}@{entry.fp}")
    (evidence,) = payload["evidence"]
    level = _LEVEL_OF[entry.job]
    kind = BYTES if level == BYTES and payload["collapse"] == TEXT else "clusters"
    num_partitions = len(workspace.ledger.entry_files(evidence, PARTITIONS))
    if not num_partitions:
        return None
    sources = sorted(payload["inputs"])
    wanted = labels.column(1).take(pa.array(rows)).combine_chunks()
    places: dict[bytes, _Place] = {}
    for partition in sorted(set(partition_of(keys, num_partitions).tolist())) if len(rows) else ():
        made = workspace.ledger.get(evidence, PARTITIONS, partition)
        table = read_table(workspace.storage, made.file(kind))
        is_head = pc.equal(table.column("duplicate_role"), REPRESENTATIVE)
        is_wanted = pc.is_in(table.column("cluster"), value_set=wanted)
        columns = ["cluster", "source", "part", "row"]
        for found in table.filter(pc.and_(is_head, is_wanted)).select(columns).to_pylist():
            source = sources[found["source"]]
            places[found["cluster"]] = _Place(source, found["part"], found["row"])
    return [places.get(id_) for id_ in wanted.to_pylist()]


def _at_heads(
    workspace: Workspace,
    entry: Entry,
    places: Sequence[_Place | None],
    read: Callable[[Workspace, FileRef, npt.NDArray[np.int64]], Sequence[_T]],
) -> dict[_Place, _T]:
    """What `read` finds at some places; each part is read once."""
    generation = f"{entry.job}@{entry.fp}"
    known = sorted({place for place in places if place is not None})
    found: dict[_Place, _T] = {}
    for (source, part), some in itertools.groupby(known, key=lambda place: place[:2]):
        group = list(some)
        documents = _documents_of(workspace.ledger.get(generation, source, part))
        rows = np.array([place.row for place in group])
        found |= zip(group, read(workspace, documents, rows), strict=True)
    return found


def _signatures(workspace: Workspace, entry: Entry) -> pa.Table:
    """The signatures of a part."""
    full = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["inputs"][entry.source]
    made = workspace.ledger.get(f"annotate.signatures@{full[:8]}", entry.source, entry.part)
    return read_table(workspace.storage, made.file("labels"), ["id", *_HASHES.values()])


def _text_hashes(
    workspace: Workspace, documents: FileRef, rows: npt.NDArray[np.int64], *, column: str
) -> list[bytes]:
    """One of the signatures of the texts at some rows, ascending and distinct."""
    signatures = Signatures()
    batches = texts_at(workspace.storage, documents, rows)
    return [hash_ for texts in batches for hash_ in signatures(texts, {})[column].to_pylist()]
