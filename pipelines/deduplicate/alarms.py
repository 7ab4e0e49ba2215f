"""Alarms: a run stops with a table where deduplication would take away too much.

Labels delete nothing, but the mixtures of a run use them at once, and a mistake in them is silent:
peers have lost whole sources of pages that share a template (marin issues 6851 and 6854). So two
shares are looked at, with limits that corpus.yaml can raise where a loss is right:

- of each source, the rows labelled duplicate or near_duplicate (repeated records are not counted:
  they are one record, met twice);
- of all documents, the rows of the largest cluster.

Small numbers say little: sources, and runs, under `MIN_DOCUMENTS` never alarm. All counts come from
the ledger; labels are read only for the table of an alarm, a part at a time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.deduplicate.exact import BYTES, DUPLICATE, NEAR, REPEATED_RECORD, TEXT
from pipelines.deduplicate.job import NUM_LARGEST
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.near_duplicates.stars import NEAR_DUPLICATE
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

MIN_DOCUMENTS: Final = 1000
"""Of a source, or of a run, that can alarm."""

_LEVELS: Final = (BYTES, TEXT, NEAR)
_NUM_EXAMPLES: Final = 3  # removed documents of a source that an alarm names


class DuplicatesAlarm(RuntimeError):
    """More was found to be duplicate than the limits allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """The limits."""

    max_removed: float = 0.5
    """Share of the documents of a source that may be labelled duplicate or near_duplicate."""
    max_cluster: float = 0.1
    """Share of all documents that one cluster may hold."""
    sources: Mapping[str, float] = field(default_factory=dict)
    """`max_removed` of single sources."""

    def __post_init__(self) -> None:
        """Refuses what is no share.

        Raises:
            ValueError: A limit below 0 or above 1.
        """
        limits = {"max_removed": self.max_removed, "max_cluster": self.max_cluster}
        limits |= {f"sources.{name}": limit for name, limit in self.sources.items()}
        for name, limit in limits.items():
            if not 0 <= limit <= 1:
                raise ValueError(
                    f"duplicates.alarms.{name}: found {limit}; allowed are shares from 0 to 1"
                )

    def removed_of(self, source: str) -> float:
        """`max_removed` of a source."""
        return self.sources.get(source, self.max_removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """How the limits are raised where an alarm is wrong, in the words of who set them."""

    where: str = "in corpus.yaml"
    removed: str = "duplicates.alarms.sources.{source}: {share}"
    """For each source over its limit, or for all at once (`is_for_all`)."""
    is_for_all: bool = False
    cluster: str = "duplicates.alarms.max_cluster: {share}"
    stricter: str = "raise duplicates.threshold, or leave a level out of duplicates.levels"
    """What finds fewer duplicates."""
    workspace: str = ""
    """Options of `tokenmill explain duplicate` that name the workspace."""
    after: str = "Labels are written, nothing is deleted, and no mixture was planned."


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """What the `duplicates` labels say of one source, in documents."""

    source: str
    documents: int
    representatives: int
    bytes: int
    """Labelled duplicate, with the bytes of another."""
    text: int
    """Labelled duplicate, with the normalised form of another."""
    near: int
    """Labelled near_duplicate."""
    repeated: int
    """Labelled repeated_record."""

    @property
    def removed(self) -> int:
        """Those that a mixture without duplicates leaves out."""
        return self.bytes + self.text + self.near

    @property
    def removed_share(self) -> float:
        """Of all documents; 0 where there are none."""
        return self.removed / self.documents if self.documents else 0.0


class Cluster(NamedTuple):
    """One of the largest clusters."""

    id: str
    """Of its representative, in hex digits."""
    size: int


def duplicate_counts(workspace: Workspace, plan: DuplicatesPlan) -> list[SourceCounts]:
    """What the labels say of each source, from the ledger."""
    entries = workspace.ledger.entries(plan.labels)
    totals: dict[str, Counter[str]] = {source: Counter() for source in plan.sources}
    for entry in entries:
        totals[entry.source].update(entry.counts)
    return [
        SourceCounts(
            source=source,
            documents=total["documents"],
            representatives=total["role.representative"],
            bytes=total[f"level.{BYTES}"],
            text=total[f"level.{TEXT}"],
            near=total[f"level.{NEAR}"],
            repeated=total[f"role.{REPEATED_RECORD}"],
        )
        for source, total in totals.items()
    ]


def largest_clusters(workspace: Workspace, plan: DuplicatesPlan) -> list[Cluster]:
    """The largest clusters, the largest first, from the ledger; as many as a part lists."""
    listed = (
        Cluster(id_, size)
        for entry in workspace.ledger.entries(plan.labels)
        for id_, size in entry.detail["largest"]
    )
    return sorted(listed, key=lambda one: (-one.size, one.id))[:NUM_LARGEST]


def check_alarms(
    workspace: Workspace, plan: DuplicatesPlan, alarms: Alarms, advice: Advice | None = None
) -> None:
    """Stops where a source loses, or one cluster holds, more than its limit.

    Args:
        workspace: Where the labels are, all of them committed.
        plan: What was deduplicated.
        alarms: The limits.
        advice: What the alarm tells people to change; by default keys of corpus.yaml.

    Raises:
        DuplicatesAlarm: With a table of what was found, and what to do about it.
    """
    counts = duplicate_counts(workspace, plan)
    clusters = largest_clusters(workspace, plan)
    losers = [
        one
        for one in counts
        if one.documents >= MIN_DOCUMENTS and one.removed_share > alarms.removed_of(one.source)
    ]
    limit = alarms.max_cluster * plan.num_documents
    giants = [one for one in clusters if plan.num_documents >= MIN_DOCUMENTS and one.size > limit]
    if not losers and not giants:
        return
    blocks = [_headline(plan, alarms, losers, giants), _source_table(counts, losers, alarms)]
    if clusters:
        blocks.append(_cluster_table(clusters, giants, cluster_levels(workspace, plan, clusters)))
    blocks.append(_advised(workspace, plan, losers, giants, advice or Advice()))
    raise DuplicatesAlarm("\n\n".join(blocks))


def _headline(
    plan: DuplicatesPlan, alarms: Alarms, losers: Sequence[SourceCounts], giants: Sequence[Cluster]
) -> str:
    """One line for each limit that was passed."""
    lines = [
        f"source {one.source}: another stands for {_percent(one.removed_share)} of its "
        f"{one.documents:,} documents; its limit is {_percent(alarms.removed_of(one.source))}"
        for one in losers
    ]
    lines += [
        f"cluster {one.id} holds {one.size:,} of all {plan.num_documents:,} documents "
        f"({_percent(one.size / plan.num_documents)}); the limit is {_percent(alarms.max_cluster)}"
        for one in giants
    ]
    return "\n".join(lines)


def _source_table(
    counts: Sequence[SourceCounts], losers: Sequence[SourceCounts], alarms: Alarms
) -> str:
    header = ["source", "documents", *_LEVELS, "another stands for", "limit", ""]
    rows = [
        [
            one.source,
            f"{one.documents:,}",
            *(f"{number:,}" for number in (one.bytes, one.text, one.near)),
            _percent(one.removed_share),
            _percent(alarms.removed_of(one.source)),
            "<-" if one in losers else "",
        ]
        for one in counts
    ]
    return _table(header, rows)


def _cluster_table(
    clusters: Sequence[Cluster],
    giants: Sequence[Cluster],
    levels: Mapping[str, Mapping[str, int]],
) -> str:
    header = ["largest clusters", "documents", *_LEVELS, "repeated", ""]
    rows = [
        [
            one.id,
            f"{one.size:,}",
            *(f"{levels[one.id].get(name, 0):,}" for name in (*_LEVELS, REPEATED_RECORD)),
            "<-" if one in giants else "",
        ]
        for one in clusters
    ]
    return _table(header, rows)


def cluster_levels(
    workspace: Workspace, plan: DuplicatesPlan, clusters: Sequence[Cluster]
) -> dict[str, Counter[str]]:
    """Of each cluster, the members by level, and repeated records; one part is read at a time."""
    ids = pa.array([bytes.fromhex(one.id) for one in clusters], pa.binary(16))
    found: dict[str, Counter[str]] = {one.id: Counter() for one in clusters}
    columns = ["cluster", "duplicate_role", "duplicate_level"]
    for entry in workspace.ledger.entries(plan.labels):
        labels = read_table(workspace.storage, entry.file("labels"), columns)
        some = labels.filter(pc.is_in(labels.column("cluster"), value_set=ids))
        for row in some.group_by(columns).aggregate([([], "count_all")]).to_pylist():
            is_repeated = row["duplicate_role"] == REPEATED_RECORD
            what = REPEATED_RECORD if is_repeated else row["duplicate_level"]
            if what:
                found[row["cluster"].hex()][what] += row["count_all"]
    return found


def _advised(
    workspace: Workspace,
    plan: DuplicatesPlan,
    losers: Sequence[SourceCounts],
    giants: Sequence[Cluster],
    advice: Advice,
) -> str:
    """What to look at, and which limit to raise."""
    examples = [id_ for one in losers for id_ in _removed_of(workspace, plan, one.source)]
    examples = [*examples, *(one.id for one in giants)]
    lines = ["Look at some pairs: they should be copies of each other, not only alike."]
    explain = "  tokenmill explain duplicate {} {}"
    lines += [explain.format(id_, advice.workspace).rstrip() for id_ in dict.fromkeys(examples)]
    lines.append(f"Where they are, raise the limit {advice.where}, and run again:")
    if advice.is_for_all and losers:
        share = max(_at_least(one.removed_share) for one in losers)
        lines.append(f"  {advice.removed.format(share=share)}")
    else:
        lines += [
            "  " + advice.removed.format(source=one.source, share=_at_least(one.removed_share))
            for one in losers
        ]
    if giants:
        share = max(one.size for one in giants) / plan.num_documents
        lines.append(f"  {advice.cluster.format(share=_at_least(share))}")
    lines.append(f"Where they are not, {advice.stricter}. {advice.after}")
    return "\n".join(lines)


def _removed_of(workspace: Workspace, plan: DuplicatesPlan, source: str) -> list[str]:
    """Some removed documents of a source, near-duplicates first: there is more to see in them."""
    found: list[str] = []
    for role, count in ((NEAR_DUPLICATE, f"level.{NEAR}"), (DUPLICATE, f"role.{DUPLICATE}")):
        for entry in workspace.ledger.entries(plan.labels, source):
            if len(found) < _NUM_EXAMPLES and entry.counts.get(count):
                columns = ["id", "duplicate_role"]
                labels = read_table(workspace.storage, entry.file("labels"), columns)
                some = labels.filter(pc.equal(labels.column("duplicate_role"), role))
                found += [id_.hex() for id_ in some.column("id")[:_NUM_EXAMPLES].to_pylist()]
    return found[:_NUM_EXAMPLES]


def _at_least(share: float) -> float:
    """A limit of two digits that lets a share pass."""
    return min(1.0, (int(share * 100) + 1) / 100)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
