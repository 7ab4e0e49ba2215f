"""Erasing: what it would do, and doing it.

Answers of models are filed by part and not by document, and an answer does not name the texts it
was given. So the journals of every part that held an erased document go as a whole, those of what
was made of that part too. What is committed needs them no more; what is not yet, or is asked again
by another recipe in the same words, is paid again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from pipelines.erasure.rewriting import Rewriting
from pipelines.erasure.swap import (
    ENTRY,
    ERASE,
    FILE,
    REMOVE,
    Action,
    begin,
    finish,
    is_unfinished,
    unnamed_files,
)
from pipelines.erasure.targets import InputRecord, Targets, find_targets
from pipelines.workspace.fingerprints import fingerprint
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch, entry_path, entry_to_json
from pipelines.workspace.parts import PartFile
from pipelines.workspace.schema import ID
from pipelines.workspace.takedown import ERASED_KIND, ERASURES
from pipelines.workspace.workspace import Workspace

SOURCE: Final = "erasure"
"""Stands for the source in the ledger of erasures."""
_ERASED: Final = pa.schema([pa.field("id", ID, nullable=False)])
_REPORTS: Final = "report"
_ANSWERS: Final = "answers"


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What an erasure did, or would do."""

    documents: int
    """Distinct documents."""
    parts: int
    """Documents parts that hold one."""
    records: int
    """Answers in the archives of crawls, and as many requests."""
    answers: tuple[str, ...]
    """Files of answers that go."""
    reports: tuple[str, ...]
    """Pages that quote documents, and go."""
    unnamed: int
    """Files that no ledger names, and go; of a store also drafts in $TMPDIR of this machine."""
    inputs: tuple[InputRecord, ...]
    """Records of files that a source brought, which stay and still hold what was forgotten."""
    files: int = 0
    """Written again."""
    counts: dict[str, int] = field(default_factory=dict)
    """What was erased, by kind; empty before."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.documents or self.records or self.files)


def look(workspace: Workspace) -> Erasure:
    """What an erasure would do; changes nothing."""
    return _told(workspace, find_targets(workspace))


def erase(workspace: Workspace, reason: str = "") -> Erasure:
    """Erases all that was forgotten, for good; the caller holds the workspace.

    Args:
        workspace: In which nothing else is at work.
        reason: As a person wrote it, for the ledger; no name, text or address should stand in it.

    Raises:
        ValueError: An archive that cannot be rewritten. Nothing is changed then.
    """
    watch = Stopwatch()
    if is_unfinished(workspace.storage):
        finish(workspace)
    targets = find_targets(workspace)
    told = _told(workspace, targets)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rewriting = Rewriting(workspace, targets, at)
    rewriting.run()
    replaced = [
        *(Action(FILE, path, data) for path, data in rewriting.indexes()),
        *(Action(FILE, path, data) for path, data in rewriting.inventories()),
    ]
    if not rewriting.entries and not len(targets.fresh):
        return told
    entry = _entry(workspace, targets, rewriting, told, at, reason, watch)
    begin(workspace.storage, [*_actions(rewriting, told, entry), *replaced])
    finish(workspace)
    return Erasure(
        documents=told.documents,
        parts=told.parts,
        records=told.records,
        answers=told.answers,
        reports=told.reports,
        unnamed=told.unnamed,
        inputs=told.inputs,
        files=len(rewriting.files),
        counts=dict(rewriting.counts),
    )


def _told(workspace: Workspace, targets: Targets) -> Erasure:
    storage = workspace.storage
    return Erasure(
        documents=len(targets.fresh),
        parts=len(targets.rows),
        records=sum(len(some) for some in targets.places.values()),
        answers=tuple(_answers(workspace, targets)),
        reports=tuple(storage.files(_REPORTS)) if len(targets.fresh) else (),
        unnamed=len(unnamed_files(workspace)) + len(storage.drafts()),
        inputs=targets.inputs,
    )


def _answers(workspace: Workspace, targets: Targets) -> Iterator[str]:
    """Journals of parts that hold what is erased, and of what is made of them."""
    storage, ledger = workspace.storage, workspace.ledger
    affected = {
        (entry.source, entry.part)
        for name in ledger.generations()
        if name.startswith(("extract@", "synthesize@"))
        for entry in ledger.entries(name)
        if entry.file("documents").path in targets.rows
    }
    affected |= {(source, part) for source, part in _rejected(workspace, targets)}
    made_of = dict(_children(workspace))
    grown = True
    while grown:
        more = {(output, part) for source, part in affected for output in made_of.get(source, ())}
        grown = not more <= affected
        affected |= more
    for path in storage.files(_ANSWERS):
        pieces = path.split("/")  # answers / model / source / part-00000 / file
        if len(pieces) == 5 and (pieces[2], int(pieces[3][5:])) in affected:
            yield path


def _rejected(workspace: Workspace, targets: Targets) -> Iterator[tuple[str, int]]:
    """(source, part) of parts of which a reject is to be erased; its pages may have been read."""
    from pipelines.workspace.parts import read_table

    for name in workspace.ledger.generations():
        if name.startswith(("extract@", "synthesize@")):
            for entry in workspace.ledger.entries(name):
                for ref in (ref for ref in entry.files if ref.kind == "rejects" and ref.rows):
                    table = read_table(workspace.storage, ref, ["id", "uri"])
                    if targets.cover(table).any():
                        yield entry.source, entry.part


def _children(workspace: Workspace) -> Iterator[tuple[str, set[str]]]:
    """Source -> sources that recipes make of it, also those of which no part is done."""
    ledger = workspace.ledger
    names = ledger.generations()
    full = {ledger.full(name): name for name in names if name.startswith(("extract@", "synth"))}
    found: dict[str, set[str]] = {}
    for name in (name for name in names if name.startswith("synthesize@")):
        payload = ledger.payload(name)
        parent = full.get(payload["documents"])
        told = ledger.payload(parent) if parent else {}
        for source in _sources(ledger.places(parent)) if parent else ():
            found.setdefault(source, set()).add(payload["output"])
        if "output" in told:
            found.setdefault(told["output"], set()).add(payload["output"])
    yield from found.items()


def _sources(places: Sequence[tuple[str, int]]) -> set[str]:
    return {source for source, _ in places}


def _actions(rewriting: Rewriting, told: Erasure, entry: Entry) -> Iterator[Action]:
    path = entry_path(ERASURES.name, entry.source, entry.part)
    yield Action(ERASE, path, entry_to_json(entry))
    for (name, source, part), made in sorted(rewriting.entries.items()):
        yield Action(ENTRY, entry_path(name, source, part), entry_to_json(made))
    for gone in (*told.answers, *told.reports):
        yield Action(REMOVE, gone)


def _entry(
    workspace: Workspace,
    targets: Targets,
    rewriting: Rewriting,
    told: Erasure,
    at: str,
    reason: str,
    watch: Stopwatch,
) -> Entry:
    """The entry of this erasure: ids, files before and after, when and why; no text, no address."""
    number = len(workspace.ledger.places(ERASURES))
    with PartFile(workspace.storage, _ERASED) as file:
        ids = sorted(targets.fresh.to_pylist())
        file.write(pa.RecordBatch.from_arrays([pa.array(ids, ID)], schema=_ERASED))
        ref = file.publish(ERASED_KIND, "erasures", number)
    counts = {
        "documents": told.documents,
        "records": rewriting.counts["records"],
        "files": len(rewriting.files),
        "entries": len(rewriting.entries),
        "answers": len(told.answers),
        "reports": len(told.reports),
        **{f"erased.{kind}": n for kind, n in sorted(rewriting.counts.items())},
    }
    detail = {
        "at": at,
        "why": reason,
        "takedowns": targets.takedowns.fingerprint,
        "asked": [fingerprint({"entry": one}) for one in targets.takedowns.keys.to_pylist()],
        "files": [_pair(one.before, one.after) for one in rewriting.files],
    }
    key = PartKey(SOURCE, number)
    return entry_of(ERASURES, key, files=(ref,), counts=counts, watch=watch, detail=detail)


def _pair(before: FileRef, after: FileRef) -> dict[str, Any]:
    return {
        "kind": before.kind,
        "before": before.path,
        "before_sha256": before.sha256,
        "after": after.path,
        "after_sha256": after.sha256,
    }
