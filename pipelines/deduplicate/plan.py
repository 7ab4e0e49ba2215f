"""The plan of one deduplication: what goes in, and the generations that come out.

`deduplicate.clusters` finds exact copies, the `near_duplicates` jobs look among the distinct texts,
and `deduplicate` writes the labels that both decide. Without MinHash labels only exact copies are
looked for.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.plan import NearPlan
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

VERSION: Final = "2"
JOB: Final = "deduplicate"
MEMBER_BYTES: Final = 48
_PARTITION_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class DuplicatesPlan:
    """One deduplication over all sources of a run."""

    sources: tuple[str, ...]
    """Sorted; members and decisions name a source by its position here."""
    signatures: Mapping[str, Generation]
    """Of each source."""
    contents: str
    """Hash over the contents of all signature parts, so that a new part is a new generation."""
    num_documents: int
    near: NearPlan | None = None
    """None where only exact copies are looked for."""

    @property
    def num_partitions(self) -> int:
        """Partitions of text hashes, of at most 256 MB."""
        return max(1, math.ceil(self.num_documents * MEMBER_BYTES / _PARTITION_BYTES))

    @property
    def clusters(self) -> Generation:
        """Clusters of exact copies, by partition of the text hash."""
        return Generation(job=f"{JOB}.clusters", payload=self._payload("clusters"))

    @property
    def labels(self) -> Generation:
        """The `duplicates` labels set."""
        payload = self._payload("labels")
        if self.near is not None:
            near = self.near
            evidence = [made.name for made in (near.candidates, near.pairs, near.stars)]
            payload |= {"level": "near", "evidence": evidence, **near.payload}
        return Generation(job=JOB, payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """In the order in which they are made."""
        near_duplicates = self.near.generations if self.near else ()
        return (self.clusters, *near_duplicates, self.labels)

    def _payload(self, what: str) -> dict[str, Any]:
        inputs = {source: self.signatures[source].full for source in self.sources}
        return {
            "version": VERSION,
            "what": what,
            "level": "exact",
            "inputs": inputs,
            "contents": self.contents,
            "documents": self.num_documents,
            "partitions": self.num_partitions,
        }


def plan_duplicates(
    workspace: Workspace,
    signatures: Mapping[str, Generation],
    minhash: Mapping[str, Generation] | None = None,
    near_duplicates: NearDuplicates | None = None,
) -> DuplicatesPlan:
    """Plans over all committed parts of the signatures.

    Args:
        workspace: Whose ledger is read.
        signatures: Generation of the `signatures` labels of each source.
        minhash: Of the `minhash` labels; None for exact copies only.
        near_duplicates: What is looked for among them; the defaults where None.

    Raises:
        ValueError: MinHash labels of other parts than the signatures.
    """
    sources = tuple(sorted(signatures))
    entries = _entries(workspace, sources, signatures)
    exact = DuplicatesPlan(
        sources=sources,
        signatures=dict(signatures),
        contents=_contents(entries),
        num_documents=sum(entry.counts["rows"] for entry in entries),
    )
    if minhash is None:
        return exact
    signed = _entries(workspace, sources, minhash)
    rows = {(entry.source, entry.part): entry.counts["rows"] for entry in entries}
    if {(entry.source, entry.part): entry.counts["rows"] for entry in signed} != rows:
        raise ValueError(
            f"found signatures of {len(entries)} parts and minhash labels of {len(signed)}; both "
            "must be of the same documents: run the corpus again, so that the missing are made"
        )
    plan = NearPlan(
        settings=near_duplicates or NearDuplicates(),
        minhash=dict(minhash),
        contents=_contents(signed),
        clusters=exact.clusters,
        num_documents=exact.num_documents,
    )
    return replace(exact, near=plan)


def _entries(
    workspace: Workspace, sources: Sequence[str], generations: Mapping[str, Generation]
) -> list[Entry]:
    ledger = workspace.ledger
    return [entry for name in sources for entry in ledger.entries(generations[name], name)]


def _contents(entries: Sequence[Entry]) -> str:
    state = hashlib.sha256()
    for entry in entries:
        state.update(f"{entry.source}/{entry.part}={entry.content}\n".encode())
    return state.hexdigest()
