"""Repair: what is damaged is taken back, so that the next run makes it again with the same bytes.

A part is done because the ledger has its entry; without the entry it is pending. So damage is
mended by removing the entries that name damaged files, and nothing is computed here. An entry that
is itself damaged, or gone while its fold has it, is written again from the fold where that agrees
with the files. What would not come out the same is refused, and must be restored from a copy.

| damaged | what happens |
|---|---|
| a file of a part | its entry is taken back |
| an entry, while its fold and its files agree | it is written again from the fold |
| a fold | it is written again from the entries: it is only a copy |
| what a stage keeps for itself | an entry of each result made of it too, else no run looks |
| archives of a crawl and what is planned from them | refused: no server gives the same page twice |
| a part whose inputs are gone or have changed | refused |
| a part that a model was asked for, without its journal | refused |
| what was made of a text before it was erased | refused |

Each repair leaves `repairs/<number>.json`, created only if absent, which says what was found and
done; the audit tells of it. Order, safe to interrupt: the note, then the damaged files, then the
entries, then the folds; a repair that was broken off finds the rest missing and goes on.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import fsspec

from pipelines.workspace.audit_equations import equation_faults
from pipelines.workspace.fingerprints import fingerprint
from pipelines.workspace.inventory import Inventory, InventoryError, Span
from pipelines.workspace.ledger import ERASED, Entry, FileRef, LedgerError
from pipelines.workspace.takedown import read_takedowns
from pipelines.workspace.workspace import Workspace

Refusal = Callable[[Workspace, Entry], str | None]
"""Says why an entry cannot be made again with the same bytes; None where it can."""

FOLDER: Final = "repairs"
_DOCUMENTS: Final = ("extract@", "synthesize@")
_JOURNALS: Final = "answers"
_ASKED: Final = (ERASED, "usage")
"""Of the detail of an entry: whether something of it was erased, and what models it asked."""

# Jobs of which a driver looks at every part; what all other jobs make is looked for only where an
# entry of one of these is pending. A job `a.b` without a line of its own goes by `a.`.
_LOOKED_FOR: Final = (
    "extract",
    "annotate.",
    "synthesize",
    "deduplicate",
    "deduplicate.same_",
    "boilerplate",
    "repeats",
    "validation",
    "validation.",
    "takedown",
    "superseded",
    "mix",
    "scatter.",
    "shards.",
    "sealed.",
)
# Within one search for near-duplicates: what else must be pending for a step to be done again.
# Compared pairs need the sets of shingles, which are deleted when all is labelled.
_CHAIN: Final[Mapping[str, tuple[tuple[str, bool], ...]]] = {
    "near_duplicates.repeated": (("near_duplicates.candidates", False),),
    "near_duplicates.bands": (("near_duplicates.candidates", False),),
    "near_duplicates.pairs": (("near_duplicates.texts", True),),
}
_HISTOGRAM: Final = "histogram."
_NEAR: Final = "near_duplicates."
_NEAR_LAST: Final = "near_duplicates.clusters"
_LOST_FOR_GOOD: Final = {
    "crawl": "no server gives the same pages twice",
    "crawl.frontier": "what was planned to be fetched cannot be told from what was fetched since",
    "erase": "only it says what was erased",
}
Action = Literal["taken back", "written again from its fold", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that is not what the ledger says."""

    path: str
    what: str
    """Such as `missing` or `12 bytes`."""
    sha256: str = ""
    """Of the file as it was committed; empty where nobody knows."""
    found: str = ""
    """Of the file as it is; empty where it is missing."""

    def __str__(self) -> str:
        hashes = f" (SHA-256 {self.found}, committed {self.sha256})" if self.found else ""
        return f"{self.path}: {self.what}{hashes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be done about one entry, or one file of the ledger."""

    entry: str
    """Path of the entry."""
    action: Action
    why: str
    damages: tuple[Damage, ...] = ()


@dataclass(slots=True)
class Repairs:
    """All that is to be done, by path of the entry."""

    steps: dict[str, Step] = field(default_factory=dict)
    written: dict[str, Entry] = field(default_factory=dict)
    """Entries to be written again."""
    generations: set[str] = field(default_factory=set)
    """Whose fold is to be made again."""

    @property
    def refused(self) -> list[Step]:
        """What stays damaged."""
        return [step for _, step in sorted(self.steps.items()) if step.action == "refused"]


def plan_repairs(workspace: Workspace, refusals: Sequence[Refusal] = ()) -> Repairs:
    """Looks at every committed file and says what is to be done; changes nothing.

    Args:
        workspace: Nobody else may write to it meanwhile.
        refusals: Further reasons for which an entry must not be taken back.

    Returns:
        Nothing where nothing is damaged.
    """
    return _Planner(workspace, refusals).plan()


def repair(workspace: Workspace, repairs: Repairs) -> str:
    """Does what was planned.

    Returns:
        Path of the note; empty where there was nothing to do.
    """
    done = [step for step in repairs.steps.values() if step.action != "refused"]
    if not done and not repairs.generations:
        return ""
    note = _write_note(workspace, list(repairs.steps.values()), sorted(repairs.generations))
    for step in done:
        for damage in step.damages:
            _remove(workspace, damage.path)
    for step in done:
        _remove(workspace, step.entry)
        if step.entry in repairs.written:
            workspace.ledger.commit(repairs.written[step.entry])
    damaged = {step.entry.split("/")[1] for step in repairs.refused}
    for generation in sorted(repairs.generations - damaged):
        _remove(workspace, f"ledger/{generation}/folded.parquet")
        workspace.ledger.fold(generation)
    return note


def notes_of_repairs(workspace: Workspace) -> Iterator[str]:
    """One line for each repair that was made."""
    for path in workspace.storage.files(FOLDER):
        try:
            raw = json.loads(workspace.storage.read(path))
            done = [step["entry"] for step in raw["steps"] if step["action"] != "refused"]
            told = f"{len(done)} ledger entries taken back or written again"
            yield f"repaired at {raw['at']}: {told}; {path} says which"
        except (ValueError, TypeError, KeyError) as error:
            yield f"{path} cannot be read ({error}); it is told here only"


class _Planner:
    """One look at a workspace."""

    def __init__(self, workspace: Workspace, refusals: Sequence[Refusal]) -> None:
        self._workspace, self._refusals = workspace, refusals
        self._repairs = Repairs()
        self._entries: dict[str, dict[str, Entry]] = {}
        """Generation -> path -> entry, with `_ASKED` alone, of those that stand in the ledger."""
        self._payloads: dict[str, str] = {}
        """Generation -> its payload as text; empty where it cannot be read."""
        self._inventories: dict[str, Inventory] = {}
        self._parts: dict[tuple[str, int], bool] = {}
        """(source, part) of documents -> whether some of them were erased."""

    def plan(self) -> Repairs:
        generations = self._workspace.ledger.generations()
        for name in generations:
            self._entries[name], self._payloads[name] = {}, ""
            if name.startswith(_DOCUMENTS):
                self._note_erased(name)
        for name in generations:
            self._look_at(name)
        for name in generations:
            self._look_at_payload(name)
        self._take_back_what_follows()
        return self._repairs

    def _note_erased(self, generation: str) -> None:
        for path, copy in self._workspace.ledger.beside_fold(generation):
            entry = self._read(path)[0] or copy
            if entry is not None:
                place = (entry.source, entry.part)
                self._parts[place] = self._parts.get(place, False) or ERASED in entry.detail

    def _look_at(self, generation: str) -> None:
        ledger = self._workspace.ledger
        fold_is_read, differs = False, False
        for path, copy in ledger.beside_fold(generation):
            entry, fault = self._read(path)
            fold_is_read |= copy is not None
            differs |= copy is not None and copy != entry
            damages = self._damages(entry) if entry else [Damage(path=path, what=fault)]
            if entry and not damages and _balances(entry):
                self._entries[generation][path] = entry.with_detail(*_ASKED)
            elif copy and copy != entry and not self._damages(copy) and _balances(copy):
                # Not the files: they are whole, and it is the entry that names others.
                self._entries[generation][path] = copy.with_detail(*_ASKED)
                self._write_again(path, copy, fault or "is not what was folded")
            else:
                known = copy or entry
                if entry:
                    self._entries[generation][path] = entry.with_detail(*_ASKED)
                if not damages:
                    damages = [Damage(path=path, what="its counts do not balance")]
                self._take_back(generation, path, known, damages)
        if differs or (not fold_is_read and self._workspace.storage.exists(_fold(generation))):
            self._repairs.generations.add(generation)

    def _read(self, path: str) -> tuple[Entry | None, str]:
        try:
            return self._workspace.ledger.read_entry(path), ""
        except FileNotFoundError:
            return None, "missing; its fold has it"
        except (LedgerError, UnicodeDecodeError) as error:
            return None, f"damaged ({error})"

    def _damages(self, entry: Entry) -> list[Damage]:
        return [found for ref in entry.files if (found := self._damage(ref)) is not None]

    def _damage(self, ref: FileRef) -> Damage | None:
        """What is wrong with a file; its size and hash are looked at."""
        storage = self._workspace.storage
        try:
            size, found = storage.size(ref.path), storage.sha256(ref.path)
        except FileNotFoundError:
            return Damage(path=ref.path, what="missing", sha256=ref.sha256)
        if found == ref.sha256:
            return None
        what = "changed" if size == ref.bytes else f"{size} bytes, and {ref.bytes} were committed"
        return Damage(path=ref.path, what=what, sha256=ref.sha256, found=found)

    def _look_at_payload(self, generation: str) -> None:
        """A generation.json that is damaged is written by whoever makes a part of it again."""
        path = f"ledger/{generation}/generation.json"
        try:
            payload = self._workspace.ledger.payload(generation)
            self._payloads[generation] = json.dumps(payload)
            if fingerprint(payload).startswith(generation.split("@")[1]):
                return
            damage = Damage(path=path, what="is not that of its fingerprint")
        except (OSError, ValueError) as error:
            damage = Damage(path=path, what=f"cannot be read ({error})")
        entries = sorted(self._entries[generation].items())
        if entries:
            self._take_back(generation, *entries[0], [damage])
        else:
            step = Step(entry=path, action="taken back", why=str(damage), damages=(damage,))
            self._repairs.steps[path] = step

    def _write_again(self, path: str, entry: Entry, why: str) -> None:
        step = Step(entry=path, action="written again from its fold", why=why)
        self._repairs.steps[path], self._repairs.written[path] = step, entry

    def _take_back(
        self,
        generation: str,
        path: str,
        entry: Entry | None,
        damages: Sequence[Damage],
        why: str = "",
    ) -> None:
        """Plans to take an entry back, unless that is planned or it would not be made again."""
        known = self._repairs.steps.get(path)
        if known is not None:
            self._repairs.steps[path] = replace(known, damages=(*known.damages, *damages))
            return
        reason = self._refusal(generation, path, entry)
        told = why or "; ".join(str(damage) for damage in damages)
        self._repairs.steps[path] = Step(
            entry=path,
            action="refused" if reason else "taken back",
            why=f"{told}: {reason}; restore it from a copy" if reason else told,
            damages=tuple(damages),
        )
        if not reason:
            self._repairs.written.pop(path, None)
            self._repairs.generations.add(generation)

    def _refusal(self, generation: str, path: str, entry: Entry | None) -> str | None:
        job = generation.split("@")[0]
        if job in _LOST_FOR_GOOD:
            return _LOST_FOR_GOOD[job]
        _, _, source, file = path.split("/")
        part = int(file[5:-5])
        if any(self._parts.values()) and self._parts.get((source, part), True):
            return "texts that it was made of were erased since, so it would not come out the same"
        if job == "extract" and (reason := self._inputs_gone(source, part)):
            return reason
        if entry is not None:
            if self._asked(entry) and not self._has_journal(source, part):
                return f"a model was asked for it, and {_JOURNALS}/ no longer has its answers"
            return next(
                (told for ask in self._refusals if (told := ask(self._workspace, entry))), None
            )
        return None

    def _inputs_gone(self, source: str, part: int) -> str | None:
        """Why a part cannot be extracted again."""
        inventory = self._inventories.setdefault(source, Inventory(self._workspace.storage, source))
        try:
            spans = inventory.part(part)
        except (OSError, ValueError, InventoryError) as error:
            return f"inventory/{source} cannot be read ({error})"
        if not spans:
            return f"inventory/{source} has no such part"
        return next((told for span in spans if (told := _changed(span))), None)

    def _asked(self, entry: Entry) -> bool:
        usage = entry.detail.get("usage")
        return isinstance(usage, Mapping) and usage.get("requests", 0) > 0

    def _has_journal(self, source: str, part: int) -> bool:
        storage, folder = self._workspace.storage, f"/{source}/part-{part:05d}/"
        return any(folder in path for path in storage.files(_JOURNALS))

    def _take_back_what_follows(self) -> None:
        """Entries without which no run would look for what was taken back."""
        waiting = [step for step in self._repairs.steps.values() if step.action == "taken back"]
        seen = set()
        while waiting:
            step = waiting.pop()
            generation = step.entry.split("/")[1]
            before = set(self._repairs.steps)
            self._take_back_dependents_of_texts(step)
            if generation not in seen:
                seen.add(generation)
                for other, whole in self._needed_beside(generation):
                    self._take_back_some(other, generation, whole=whole)
            new = set(self._repairs.steps) - before
            waiting += [self._repairs.steps[path] for path in new]

    def _take_back_dependents_of_texts(self, step: Step) -> None:
        """After a takedown a part may get other rows: what stands beside them goes too."""
        if not step.entry.startswith("ledger/extract@"):
            return
        entry = self._entries[step.entry.split("/")[1]].get(step.entry)
        if entry is None or not read_takedowns(self._workspace.storage).made:
            return
        paths = {ref.path for ref in entry.files}
        for generation, entries in self._entries.items():
            for path, other in entries.items():
                if paths & set(other.inputs):
                    why = f"was made from {sorted(paths & set(other.inputs))[0]}"
                    self._take_back(generation, path, other, (), why)

    def _needed_beside(self, generation: str) -> Iterator[tuple[str, bool]]:
        """(generation, whether all of its entries) that must be pending too."""
        job = generation.split("@")[0]
        if _is_looked_for(job):
            return
        above = [name for name in self._entries if self._is_made_of(name, generation)]
        if job.startswith(_HISTOGRAM):  # a plan names only the tallies that it adds up
            tally = json.loads(self._payloads[generation] or "{}").get("tally", "")
            above = [n for n in self._entries if n[:4] == "mix@" and tally in self._payloads[n]]
        yield from ((name, False) for name in above if _is_looked_for(name.split("@")[0]))
        if job.startswith(_NEAR):
            also = [*_CHAIN.get(job, ()), *([(_NEAR_LAST, False)] if job != _NEAR_LAST else [])]
            for evidence in (self._payloads[name] for name in above):
                for wanted, whole in also:
                    for name in self._entries:
                        if name.startswith(f"{wanted}@") and f'"{name}"' in evidence:
                            yield name, whole

    def _is_made_of(self, name: str, generation: str) -> bool:
        """Whether a payload names another generation, by its name or its whole fingerprint."""
        fp = generation.split("@")[1]
        payload = self._payloads[name]
        return name != generation and (f'"{generation}"' in payload or f'"{fp}' in payload)

    def _take_back_some(self, generation: str, because: str, *, whole: bool) -> None:
        entries = sorted(self._entries[generation].items())
        taken = [path for path, _ in entries if self._is_taken(path)]
        why = f"so that the next run looks for what it needs of {because}"
        for path, entry in entries if whole else entries[: not taken]:
            self._take_back(generation, path, entry, (), why)

    def _is_taken(self, path: str) -> bool:
        step = self._repairs.steps.get(path)
        return step is not None and step.action == "taken back"


def _is_looked_for(job: str) -> bool:
    return any(job == one or (one[-1] in "._" and job.startswith(one)) for one in _LOOKED_FOR)


def _changed(span: Span) -> str | None:
    """Why an input cannot be read again as it was numbered."""
    fs, path = fsspec.core.url_to_fs(span.url)
    try:
        size = fs.size(path)
    except FileNotFoundError:
        return f"{span.url}, of which it was made, is gone"
    if size != span.bytes:
        return f"{span.url}, of which it was made, has changed ({size} bytes, {span.bytes} then)"
    if span.digest:
        with fs.open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != span.digest:
                return f"{span.url}, of which it was made, has changed (its hash is another)"
    return None


def _balances(entry: Entry) -> bool:
    return not list(equation_faults(entry))


def _fold(generation: str) -> str:
    return f"ledger/{generation}/folded.parquet"


def _remove(workspace: Workspace, path: str) -> None:
    if workspace.storage.exists(path):
        workspace.storage.remove(path)


def _write_note(workspace: Workspace, steps: Sequence[Step], folds: Sequence[str]) -> str:
    note: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": [asdict(step) for step in steps],
        "folds": folds,
    }
    data = json.dumps(note, sort_keys=True, indent=1, ensure_ascii=False).encode()
    number = len(workspace.storage.files(FOLDER))
    while not workspace.storage.create(f"{FOLDER}/{number:05d}.json", data):
        number += 1
    return f"{FOLDER}/{number:05d}.json"
