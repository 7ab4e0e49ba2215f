"""What deduplication found, in sum: the figures that summaries, reports and commands show."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipelines.workspace.jobs import PARTITIONS
from pipelines.workspace.ledger import Ledger

LEVELS: Final = ("bytes", "text", "near")
"""Why a document has its place in a cluster of `duplicates`."""
_CANDIDATES: Final = "near_duplicates.candidates@"
_SPANS: Final = ("boilerplate", "repeats")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpansFound:
    """Passages of one labels set."""

    documents: int
    """That hold one."""
    spans: int
    span_bytes: int
    text_bytes: int
    """Of all texts."""

    @property
    def share(self) -> float:
        """Of all bytes of text."""
        return self.span_bytes / self.text_bytes if self.text_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesFound:
    """Sums over all parts."""

    documents: int
    roles: Mapping[str, int]
    """Role -> documents."""
    levels: Mapping[str, int]
    """Level (bytes, text, near, url) -> documents that another stands for; `url` is apart from the
    others, for one address may hold other texts."""
    clusters: int
    pairs_skipped: int
    """Pairs of near-duplicates that were not looked at, because too many texts looked alike."""
    spans: Mapping[str, SpansFound] = field(default_factory=dict)
    """`boilerplate` and `repeats`, where they were asked for."""


def duplicates_found(ledger: Ledger, duplicates: str, labels: Mapping[str, str]) -> DuplicatesFound:
    """Sums the counts of the ledger.

    Args:
        ledger: Of the workspace.
        duplicates: `deduplicate@fp`.
        labels: Further labels set -> its generation.
    """
    counts = _sum(ledger, duplicates)
    roles = {name[5:]: n for name, n in counts.items() if name.startswith("role.")}
    levels = {level: counts[f"level.{level}"] for level in LEVELS}
    if "same_url" in labels:
        levels["url"] = _sum(ledger, labels["same_url"])["role.duplicate"]
    return DuplicatesFound(
        documents=counts["documents"],
        roles=roles,
        levels={level: count for level, count in levels.items() if count},
        clusters=roles.get("representative", 0),
        pairs_skipped=_pairs_skipped(ledger, duplicates),
        spans={name: _spans(ledger, labels[name]) for name in _SPANS if name in labels},
    )


def _sum(ledger: Ledger, generation: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in ledger.entries(generation):
        total.update(entry.counts)
    return total


def _pairs_skipped(ledger: Ledger, duplicates: str) -> int:
    evidence = ledger.payload(duplicates).get("evidence", ())
    candidates = [name for name in evidence if name.startswith(_CANDIDATES)]
    return sum(
        entry.counts.get("pairs_skipped", 0)
        for name in candidates
        for entry in ledger.entries(name, PARTITIONS)
    )


def _spans(ledger: Ledger, generation: str) -> SpansFound:
    counts = _sum(ledger, generation)
    return SpansFound(
        documents=counts["labelled"],
        spans=counts["spans"],
        span_bytes=counts["span_bytes"],
        text_bytes=counts["text_bytes"],
    )
