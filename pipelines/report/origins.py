"""Where texts come from: who wrote them, and what a crawl knew and left.

Both are facts that the counts of documents do not show. A corpus of rewritten pages looks like one
of pages, and a crawl that stopped at a limit looks like a whole site.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from pipelines.report.facts import OriginFacts
from pipelines.run_record import RunRecord
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

KINDS: Final = {
    "natural": "natural: written by people",
    "transcribed": "transcribed: read by OCR",
    "refined": "refined: cleaned by a model",
    "rewritten": "rewritten: by a model, from a text",
    "synthetic": "synthetic: made up by a model",
    "": "not recorded",
}
"""Kinds of PROVENANCE in words, in the order of how far they are from a person."""

_FRONTIER: Final = "crawl.frontier@"
_LEFT: Final = ("over_max_pages", "over_max_pages_per_host")


def count_kinds(extracted: Iterable[Entry]) -> dict[str, int]:
    """Documents by kind, over extract entries; empty where none of them says."""
    kinds: Counter[str] = Counter()
    for entry in extracted:
        kinds.update(entry.detail.get("kinds") or {"": entry.counts["documents"]})
    return {kind: n for kind, n in kinds.items() if n} if kinds.keys() - {""} else {}


def read_origins(workspace: Workspace, record: RunRecord) -> tuple[OriginFacts, ...]:
    """What corpus.yaml says of the sources whose texts people did not write, by name."""
    found = []
    for source, generation in sorted(record.extract.items()):
        given = workspace.ledger.payload(generation).get("source", {}).get("provenance")
        if given:
            words = {key: str(given.get(key) or "") for key in ("kind", "model", "recipe")}
            found.append(OriginFacts(source=source, **words))
    return tuple(found)


def count_left(workspace: Workspace, crawl: Mapping[str, str]) -> int:
    """Addresses that crawls knew and did not ask for, because of a limit on pages.

    An address is over a limit in one round of a pass only, that of its discovery, so those of all
    rounds of the last pass are summed; what waits is carried on, so of that the last round counts.

    Args:
        workspace: Whose ledger it is.
        crawl: Source -> `crawl@fp`.
    """
    frontiers = [name for name in workspace.ledger.generations() if name.startswith(_FRONTIER)]
    left = 0
    for source, generation in crawl.items():
        full = workspace.ledger.full(generation)
        for name in frontiers:
            if workspace.ledger.payload(name).get("crawl") == full:
                rounds = list(workspace.ledger.entries(name, source))
                last = max((entry.detail["pass"] for entry in rounds), default=0)
                rounds = [entry for entry in rounds if entry.detail["pass"] == last]
                left += sum(entry.counts[state] for entry in rounds for state in _LEFT)
                left += rounds[-1].counts["waiting"] if rounds else 0
    return left
