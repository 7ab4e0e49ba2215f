"""Examples of what was refused: for each reason a few rows of the rejects parts.

The ledger says which part has which reasons, so the parts to open are chosen to cover them all:
each part taken adds the most reasons that are not yet shown.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pipelines.report.masking import masked_line
from pipelines.run_record import RunRecord
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_batches
from pipelines.workspace.workspace import Workspace

MAX_PARTS: Final = 8
"""Rejects parts that are opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectExample:
    """One row of a rejects part, as it may be printed."""

    job: str
    source: str
    reason: str
    place: str
    """URI, or file and offset, or the id."""
    message: str


def read_rejects(
    workspace: Workspace, record: RunRecord, per_reason: int
) -> tuple[RejectExample, ...]:
    """Examples of rejects of all jobs, by job, reason and place; at most `per_reason` of each."""
    entries = [workspace.ledger.entries(g, s) for s, g in record.extract.items()]
    for source, sets in record.annotate.items():
        entries += [workspace.ledger.entries(generation, source) for generation in sets.values()]
    shown: dict[tuple[str, str], list[RejectExample]] = {}
    for entry in choose_entries(itertools.chain.from_iterable(entries)):
        for row in _rows(workspace, entry):
            examples = shown.setdefault((entry.job, row["reason"]), [])
            if len(examples) < per_reason:
                examples.append(_example(entry, row))
    return tuple(example for key in sorted(shown) for example in shown[key])


def choose_entries(entries: Iterable[Entry], most: int = MAX_PARTS) -> list[Entry]:
    """Entries whose rejects together show as many reasons as possible, by job, source and part."""
    alike: dict[frozenset[str], list[Entry]] = {}
    for entry in entries:
        if found := _reasons(entry):  # of those with the same reasons the first few are enough
            some = alike.setdefault(frozenset(found), [])
            some.append(entry.with_detail("rejects"))
            alike[frozenset(found)] = some if len(some) < 2 * most else _ordered(some)[:most]
    few = _ordered(entry for some in alike.values() for entry in some)
    waiting = [(entry, _reasons(entry)) for entry in few]
    covered: set[str] = set()
    chosen: list[Entry] = []
    while waiting and len(chosen) < most:
        best = max(range(len(waiting)), key=lambda i: len(waiting[i][1] - covered))
        entry, reasons = waiting.pop(best)
        covered |= reasons
        chosen.append(entry)
    return _ordered(chosen)


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.job, entry.source, entry.part))


def _reasons(entry: Entry) -> set[str]:
    """Reasons of an entry's rejects; those of an annotator are not in the ledger, only its name."""
    if not any(ref.kind == "rejects" and ref.rows for ref in entry.files):
        return set()
    return {f"{entry.job}/{reason}" for reason in entry.detail.get("rejects", {"died": 1})}


def _rows(workspace: Workspace, entry: Entry) -> Iterable[dict[str, Any]]:
    for batch in read_batches(workspace.storage, entry.file("rejects")):
        yield from batch.to_pylist()


def _example(entry: Entry, row: dict[str, Any]) -> RejectExample:
    locator = row["locator"] or {}
    place = row["uri"]
    if not place and locator.get("file"):
        place = f"{locator['file']} at {locator['offset']}"
    if not place:
        place = bytes(row["id"]).hex() if row["id"] else "unknown"
    return RejectExample(
        job=entry.job,
        source=entry.source,
        reason=row["reason"],
        place=masked_line(str(place)),
        message=masked_line(str(row["message"])),
    )
