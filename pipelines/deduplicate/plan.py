"""The plan of one deduplication: what goes in, and the generations that come out.

| job | by | labels set | level |
|---|---|---|---|
| `deduplicate.clusters` | partition of hashes of texts | | exact copies: bytes and text |
| `deduplicate.url_clusters` | partition of hashes of addresses | | url |
| `near_duplicates...` | | | near (`pipelines.near_duplicates.plan`) |
| `deduplicate.same_bytes` | part | `same_bytes` | bytes |
| `deduplicate.same_text` | part | `same_text` | text |
| `deduplicate.same_url` | part | `same_url` | url |
| `deduplicate` | part | `duplicates` | bytes or text first, then near |

A level that is not asked for writes no set; `duplicates` is always written. Where `text` is not
asked for, exact copies are those of equal bytes.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.deduplicate.exact import BYTES, MEMBER_BYTES, NEAR, TEXT, URL
from pipelines.deduplicate.urls import URL_MEMBER_BYTES
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.plan import NearPlan
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.workspace import Workspace

VERSION: Final = "4"
JOB: Final = "deduplicate"
DUPLICATES: Final = "duplicates"
EXACT_SETS: Final = {BYTES: "same_bytes", TEXT: "same_text", URL: "same_url"}
"""Level -> its labels set."""
LEVELS: Final = (BYTES, TEXT, URL, NEAR)
"""All of them, which is the default."""
_OF_OTHERS: Final = ("boilerplate", "repeats")  # levels that `pipelines.repeats` labels
_PARTITION_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class DuplicatesPlan:
    """One deduplication over all sources of a run."""

    sources: tuple[str, ...]
    """Sorted; members and decisions name a source by its position here."""
    signatures: Mapping[str, Generation]
    """Of each source."""
    extract: Mapping[str, Generation]
    """The documents of each source."""
    contents: str
    """Hash over the contents of all signature parts, so that a new part is a new generation."""
    documents_contents: str
    """Likewise, of all documents parts."""
    num_documents: int
    levels: tuple[str, ...] = LEVELS
    """Those of `LEVELS` that are asked for."""
    near: NearPlan | None = None
    """None where only exact copies are looked for."""

    @property
    def collapse(self) -> str:
        """What exact copies share: `text` or `bytes`."""
        return TEXT if TEXT in self.levels else BYTES

    @property
    def num_partitions(self) -> int:
        """Partitions of text hashes, of at most 256 MB."""
        return _num_partitions(self.num_documents, MEMBER_BYTES)

    @property
    def num_url_partitions(self) -> int:
        """Partitions of address hashes, of at most 256 MB; 0 where addresses are not compared."""
        return _num_partitions(self.num_documents, URL_MEMBER_BYTES) if URL in self.levels else 0

    @property
    def all_partitions(self) -> list[int]:
        """Numbers of all partitions that a shuffle goes to: those of texts, then of addresses."""
        return list(range(self.num_partitions + self.num_url_partitions))

    @property
    def clusters(self) -> Generation:
        """Clusters of exact copies, by partition of the text hash."""
        payload = self._payload("clusters") | {"partitions": self.num_partitions}
        return Generation(job=f"{JOB}.clusters", payload=payload)

    @property
    def url_clusters(self) -> Generation:
        """Clusters of documents of one address, by partition of its hash."""
        payload = self._url_payload("url_clusters") | {"partitions": self.num_url_partitions}
        return Generation(job=f"{JOB}.url_clusters", payload=payload)

    @property
    def labels(self) -> Generation:
        """The `duplicates` labels set."""
        payload = self._payload("labels") | {"level": "exact", "evidence": [self.clusters.name]}
        if self.near is not None:
            evidence = [self.clusters.name, *(made.name for made in self.near.generations)]
            payload |= {"level": "near", **self.near.payload, "evidence": evidence}
        return Generation(job=JOB, payload=payload)

    @property
    def label_sets(self) -> dict[str, Generation]:
        """Name of each labels set -> its generation, in the order of the levels."""
        sets = {}
        for level, name in EXACT_SETS.items():
            if level in self.levels:
                is_url = level == URL
                payload = self._url_payload(name) if is_url else self._payload(name)
                clusters = self.url_clusters if is_url else self.clusters
                payload |= {"evidence": [clusters.name]}
                sets[name] = Generation(job=f"{JOB}.{name}", payload=payload)
        return {**sets, DUPLICATES: self.labels}

    @property
    def generations(self) -> tuple[Generation, ...]:
        """In the order in which they are made."""
        urls = (self.url_clusters,) if URL in self.levels else ()
        near_duplicates = self.near.generations if self.near else ()
        return (self.clusters, *urls, *near_duplicates, *self.label_sets.values())

    def _payload(self, what: str) -> dict[str, Any]:
        return {
            "version": VERSION,
            "what": what,
            "collapse": self.collapse,
            "inputs": {source: self.signatures[source].full for source in self.sources},
            "contents": self.contents,
            "documents": self.num_documents,
        }

    def _url_payload(self, what: str) -> dict[str, Any]:
        return {
            "version": VERSION,
            "what": what,
            "inputs": {source: self.extract[source].full for source in self.sources},
            "contents": self.documents_contents,
            "documents": self.num_documents,
        }


def _num_partitions(num_rows: int, row_bytes: int) -> int:
    return max(1, math.ceil(num_rows * row_bytes / _PARTITION_BYTES))


def plan_duplicates(
    workspace: Workspace,
    signatures: Mapping[str, Generation],
    minhash: Mapping[str, Generation] | None = None,
    near: NearDuplicates | None = None,
    *,
    extract: Mapping[str, Generation],
    quality: Mapping[str, Generation] | None = None,
    levels: Sequence[str] = LEVELS,
) -> DuplicatesPlan:
    """Plans over all committed parts of the signatures.

    Args:
        workspace: Whose ledger is read.
        signatures: Generation of the `signatures` labels of each source.
        minhash: Of the `minhash` labels; None for exact copies only.
        near: What is looked for among them; the defaults where None.
        extract: Of the documents.
        quality: Of the `quality` labels, which decide what near-duplicate stays; None where there
            are none.
        levels: What to look for, of `LEVELS`; those of `pipelines.repeats` are passed over.

    Raises:
        ValueError: An unknown level, or labels and documents of other parts than the signatures.
    """
    unknown = sorted(set(levels) - {*LEVELS, *_OF_OTHERS})
    if unknown:
        raise ValueError(
            f"duplicates.levels: found {', '.join(unknown)}; allowed are "
            f"{', '.join((*LEVELS, *_OF_OTHERS))}"
        )
    sources = tuple(sorted(signatures))
    rows, contents = _parts(workspace, sources, signatures, "rows")
    plan = DuplicatesPlan(
        sources=sources,
        signatures=dict(signatures),
        extract={source: extract[source] for source in sources},
        contents=contents,
        documents_contents=_same_parts(workspace, "documents", extract, rows),
        num_documents=sum(rows.values()),
        levels=tuple(level for level in LEVELS if level in levels),
    )
    if minhash is None or NEAR not in levels:
        return plan
    if quality is not None:
        _same_parts(workspace, "quality labels", quality, rows)
    made = NearPlan(
        settings=near or NearDuplicates(),
        signatures=plan.signatures,
        minhash=dict(minhash),
        documents=plan.extract,
        quality=None if quality is None else dict(quality),
        contents=_same_parts(workspace, "minhash labels", minhash, rows),
        clusters=plan.clusters,
        num_documents=plan.num_documents,
    )
    return replace(plan, near=made)


def _same_parts(
    workspace: Workspace,
    what: str,
    generations: Mapping[str, Generation],
    rows: Mapping[tuple[str, int], int],
) -> str:
    """Hash over the contents of the parts that have signatures.

    Raises:
        ValueError: One is missing, or has other rows.
    """
    sources = sorted({source for source, _ in rows})
    made, contents = _parts(workspace, sources, generations, "documents", rows)
    if made != rows:
        raise ValueError(
            f"found signatures of {len(rows)} parts and {what} of {len(made)}; both must be of the "
            "same documents: run the corpus again, so that the missing are made"
        )
    return contents


def _parts(
    workspace: Workspace,
    sources: Sequence[str],
    generations: Mapping[str, Generation],
    count: str,
    among: Collection[tuple[str, int]] | None = None,
) -> tuple[dict[tuple[str, int], int], str]:
    """(source, part) -> a count of its entry, and a hash over the contents of all entries."""
    state, counts = hashlib.sha256(), {}
    for name in sources:
        for entry in workspace.ledger.entries(generations[name], name):
            place = (entry.source, entry.part)
            if among is None or place in among:
                counts[place] = entry.counts[count]
                state.update(f"{entry.source}/{entry.part}={entry.content}\n".encode())
    return counts, state.hexdigest()
