"""Why a document is a duplicate: its text, that of its representative, and what the labels say.

The similarity is computed anew from the two texts, so that what is shown is evidence and no
repetition of a label. For the representative of a cluster the other text is that of the member
least like it, by the labels: if that one belongs there, all do.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.shingles import shingle_sets
from pipelines.deduplicate.exact import REPEATED_RECORD, REPRESENTATIVE
from pipelines.deduplicate.largest import document_at
from pipelines.deduplicate.plan import JOB
from pipelines.mix.columns import id_bytes
from pipelines.run_record import read_run_record
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from pipelines.workspace.tracing import Found, labels_of
from pipelines.workspace.workspace import Workspace

_HEX: Final = re.compile(r"[0-9a-fA-F]{1,32}")
_MAX_LISTED: Final = 10
_COLUMNS: Final = ("id", "cluster", "cluster_size", "duplicate_role", "duplicate_level", "jaccard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A document of a cluster."""

    id: bytes
    source: str
    part: int
    row: int
    document: Mapping[str, Any]
    """All its columns, the whole text among them."""
    duplicates: Mapping[str, Any]
    """Its row of the `duplicates` labels."""
    labels: Mapping[str, Mapping[str, Any]]
    """Further labels set -> its row there."""

    @property
    def text(self) -> str:
        """The whole text."""
        return str(self.document["text"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A document beside the one that it is compared with."""

    generation: str
    """`deduplicate@fp` that says so."""
    others: tuple[str, ...]
    """Further generations of duplicates that have the document."""
    document: Member
    other: Member | None
    """Its representative; of a representative the member least like it; None where it is alone."""
    threshold: float | None
    """Of near-duplicates; None where they were not looked for."""
    num_shingles: tuple[int, int]
    """Distinct ones of the two texts."""
    shared_shingles: int
    members: tuple[bytes, ...]
    """Ids of the cluster, ascending, at most ten."""

    @property
    def jaccard(self) -> float | None:
        """Of the two texts as they are; None where neither has a shingle."""
        union = sum(self.num_shingles) - self.shared_shingles
        return self.shared_shingles / union if union else None


@dataclass(frozen=True, slots=True)
class _Place:
    """A row of the `duplicates` labels, and where it stands."""

    entry: Entry
    row: int
    labels: Mapping[str, Any]


def find_evidence(workspace: Workspace, what: str, generation: str | None = None) -> Evidence:
    """Looks up a document and what it is a duplicate of.

    Args:
        workspace: Where duplicates were looked for.
        what: Document id in hex, or its first digits where no other document has them.
        generation: `deduplicate@fp`; by default that of the last run, or the one that there is.

    Raises:
        ValueError: No such document, several, or no labels.
    """
    if not _HEX.fullmatch(what):
        raise ValueError(
            f"found {what!r}; allowed is the id of a document, 32 hex digits, or its first digits"
        )
    for name in _generations(workspace, generation):
        entries = workspace.ledger.entries(name)
        places = [place for entry in entries for place in _with_prefix(workspace, entry, what)]
        if places:
            return _evidence(workspace, name, entries, _only(places, what))
    raise ValueError(
        f"found no document whose id begins with {what!r} among the duplicates labels of "
        f"{workspace.url}; correct the id, or run on to the end"
    )


def _generations(workspace: Workspace, asked: str | None) -> list[str]:
    """Those of `duplicates` labels, that of the last run first.

    Raises:
        ValueError: There is none, or not the one that is asked for.
    """
    held = [name for name in workspace.ledger.generations() if name.startswith(f"{JOB}@")]
    if not held or (asked is not None and asked not in held):
        raise ValueError(
            f"found {', '.join(held) or 'no duplicates labels'} in {workspace.url}; "
            + (
                "name one of them"
                if held
                else "`tokenmill run` or `tokenmill deduplicate` makes it"
            )
        )
    if asked is not None:
        return [asked]
    try:
        last = read_run_record(workspace).duplicates
    except LookupError:
        last = ""  # an alarm stopped the run, or it is not over
    return sorted(held, key=lambda name: (name != last, name))


def _with_prefix(workspace: Workspace, entry: Entry, prefix: str) -> Iterator[_Place]:
    """Rows whose id begins with some hex digits."""
    ids = read_table(workspace.storage, entry.file("labels"), ["id"]).column("id")
    digits = id_bytes(ids.combine_chunks())
    wanted = np.frombuffer(bytes.fromhex(prefix + "0" * (len(prefix) % 2)), np.uint8)
    whole = len(prefix) // 2
    fits = (digits[:, :whole] == wanted[:whole]).all(axis=1)
    if len(prefix) % 2:
        fits &= digits[:, whole] >> 4 == wanted[whole] >> 4
    yield from _places(workspace, entry, np.flatnonzero(fits).tolist())


def _places(workspace: Workspace, entry: Entry, rows: Sequence[int]) -> Iterator[_Place]:
    if rows:
        table = read_table(workspace.storage, entry.file("labels"), list(_COLUMNS))
        found = table.take(pa.array(rows, pa.int64())).to_pylist()
        yield from (_Place(entry, row, one) for row, one in zip(rows, found, strict=True))


def _only(places: Sequence[_Place], what: str) -> _Place:
    """The document that is meant; of a record met twice the place that may be drawn.

    Raises:
        ValueError: Several documents have these first digits.
    """
    ids = sorted({place.labels["id"] for place in places})
    if len(ids) > 1:
        shown = "".join(f"\n  {id_.hex()}" for id_ in ids[:_MAX_LISTED])
        more = f"\n  and {len(ids) - _MAX_LISTED} more" if len(ids) > _MAX_LISTED else ""
        raise ValueError(
            f"{len(ids)} ids begin with {what!r}; give more digits of one of them:{shown}{more}"
        )
    return min(places, key=lambda place: place.labels["duplicate_role"] == REPEATED_RECORD)


def _evidence(
    workspace: Workspace, generation: str, entries: Sequence[Entry], place: _Place
) -> Evidence:
    cluster = place.labels["cluster"]
    members = [] if cluster is None else list(_members(workspace, entries, cluster))
    other = _compared(place, members)
    document = _member(workspace, place)
    beside = None if other is None else _member(workspace, other)
    sets = shingle_sets(pa.array([document.text, beside.text if beside else ""], pa.large_string()))
    first, second = (sets.hashes[a:b] for a, b in zip(sets.offsets, sets.offsets[1:], strict=False))
    where = (place.entry.source, place.entry.part)
    others = [name for name in _generations(workspace, None) if name != generation]
    near = workspace.ledger.payload(generation).get("near")
    return Evidence(
        generation=generation,
        others=tuple(name for name in others if workspace.ledger.find(name, *where)),
        document=document,
        other=beside,
        threshold=near["threshold"] if near else None,
        num_shingles=(len(first), len(second)),
        shared_shingles=len(np.intersect1d(first, second)),
        members=tuple(sorted({one.labels["id"] for one in members})[:_MAX_LISTED]),
    )


def _members(workspace: Workspace, entries: Sequence[Entry], cluster: bytes) -> Iterator[_Place]:
    """All rows of a cluster, by source, part and row."""
    for entry in entries:
        column = read_table(workspace.storage, entry.file("labels"), ["cluster"]).column("cluster")
        is_member = pc.fill_null(pc.equal(column, pa.scalar(cluster, pa.binary(16))), False)
        yield from _places(workspace, entry, np.flatnonzero(is_member.to_numpy()).tolist())


def _compared(place: _Place, members: Sequence[_Place]) -> _Place | None:
    """The representative; of a representative the member least like it."""
    if place.labels["duplicate_role"] != REPRESENTATIVE:
        heads = [m for m in members if m.labels["duplicate_role"] == REPRESENTATIVE]
        return heads[0] if heads else None
    others = [m for m in members if m.labels["id"] != place.labels["id"]]

    def likeness(member: _Place) -> tuple[float, bytes]:
        jaccard = member.labels["jaccard"]
        return (1.0 if jaccard is None else jaccard), member.labels["id"]

    return min(others, key=likeness, default=None)


def _member(workspace: Workspace, place: _Place) -> Member:
    entry = place.entry
    made, document = document_at(workspace, entry, place.row)
    found = Found(
        entry=made,
        row=place.row,
        id=document["id"],
        uri=document["uri"],
        locator=document["locator"],
    )
    return Member(
        id=document["id"],
        source=entry.source,
        part=entry.part,
        row=place.row,
        document=document,
        duplicates=place.labels,
        labels=_labels(workspace, found),
    )


def _labels(workspace: Workspace, found: Found) -> dict[str, dict[str, Any]]:
    """Labels set -> row, of the sets that the last run made; of others where it made none."""
    try:
        record = read_run_record(workspace)
        sets = {**record.annotate.get(found.entry.source, {}), **record.labels}
        named = set(sets.values())
    except LookupError:
        named = set()
    told: dict[str, dict[str, Any]] = {}
    for name, labels in labels_of(workspace, found):
        job = name.partition("@")[0]
        if job != JOB and (job.rpartition(".")[2] not in told or name in named):
            told[job.rpartition(".")[2]] = labels
    return told
