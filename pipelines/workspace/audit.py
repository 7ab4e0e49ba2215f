"""The audit: does everything that came in stand somewhere, and is every file what it was?

Four questions, each with the name of what is wrong: does every committed file exist with the hash
the ledger names; do the counts of each job balance and agree with the files' own footers; are
labels aligned with their documents, id by id; and is a sample, read again from the inputs or
recounted from the files, what was counted. The first is asked of all files before the others, so
that what is compared with a damaged file is not called wrong itself (`audit_damage.py`).
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pipelines.workspace.audit_damage import (
    COUNTS,
    ROWS,
    WHOLE,
    Damaged,
    SoundWorkspace,
    find_damaged,
    is_sampled,
    name_of,
)
from pipelines.workspace.audit_ledger import (
    EntryReader,
    input_faults,
    inventory_faults,
    payload_faults,
)
from pipelines.workspace.ledger import Entry, FileRef, LedgerError
from pipelines.workspace.parts import footer_rows, read_table
from pipelines.workspace.workspace import Workspace

# Job -> equations; of the terms of each, the first is the sum of the others. A job `a.b` without a
# line of its own has those of `a`. Counts that an entry lacks are zero.
EQUATIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "extract": (
        ("records", "documents", "rejects", "not_asked"),
        ("pages", "pages_text", "pages_ocr", "pages_blank", "pages_rejected"),
    ),
    "annotate": (("documents", "rows"),),
    "deduplicate": (
        ("documents", "rows"),
        (
            "rows",
            "role.alone",
            "role.representative",
            "role.duplicate",
            "role.repeated_record",
            "role.near_duplicate",
        ),
    ),
    "deduplicate.same_bytes": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.same_text": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.same_url": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.clusters": (
        ("members", "alone", "representative", "duplicate", "repeated_record"),
    ),
    "deduplicate.url_clusters": (
        ("members", "alone", "representative", "duplicate", "repeated_record"),
    ),
    "near_duplicates.repeated": (),
    "near_duplicates.bands": (("bands", "sent", "single"),),
    "near_duplicates.candidates": (),
    "near_duplicates.requests": (("pairs", "known", "new"),),
    "near_duplicates.texts": (),
    "near_duplicates.shingles": (),
    "near_duplicates.pairs": (("pairs", "known", "compared"), ("pairs", "similar", "different")),
    "near_duplicates.components": (),
    "near_duplicates.blocks": (),
    "near_duplicates.ends": (),
    "near_duplicates.arcs": (("arcs", "texts", "pairs"),),
    "near_duplicates.cuts": (),
    "near_duplicates.runs": (("arcs", "texts", "pairs"),),
    "near_duplicates.taken": (("arcs", "taken", "passed"), ("arcs", "texts", "pairs")),
    "near_duplicates.clusters": (("texts_in_pairs", "alone", "representative", "near_duplicate"),),
    "boilerplate": (("documents", "rows"),),
    "repeats": (("documents", "rows"),),
    "boilerplate.passages": (("documents", "counted", "left_out"),),
    "boilerplate.shared_passages": (("distinct", "shared", "rare"),),
    "repeats.guards": (("documents", "counted", "left_out"),),
    "repeats.shared_guards": (("distinct", "shared", "rare"),),
    "repeats.windows": (("documents", "counted", "left_out"),),
    "repeats.shared_windows": (("distinct", "shared", "rare"),),
    "validation": (
        ("documents", "rows"),
        ("rows", "train", "validation", "near_validation"),
    ),
    "validation.texts": (("documents", "held_out", "others", "failed"),),
    "validation.items": (
        ("passages", "items", "too_short", "repeated", "repetitive"),
        ("items", "indexed", "common"),
    ),
    "tally": (("judged", "eligible", "not_eligible"), ("judged", "tallied", "set_aside")),
    "histogram": (("documents", "eligible", "not_eligible"),),
    "preview": (("eligible", "drawn_documents", "not_drawn"),),
    "scatter": (("tokens", "document_tokens", "eod", "cut_tokens"),),
    "shards": (("tokens", "document_tokens", "eod", "padding", "cut_tokens"),),
    "sealed": (("gathered", "scattered"),),
    "crawl": (("asked", "fetched", "not_fetched"),),
    "crawl.frontier": (
        ("candidates", "planned", "waiting", "over_max_pages_per_host", "over_max_pages"),
    ),
    "takedown": (("documents", "rows"), ("rows", "taken_down", "kept")),
    "superseded": (("documents", "rows"), ("rows", "superseded", "standing")),
    "synthesize": (
        ("rows", "chosen", "not_chosen"),
        ("chosen", "used", "unused"),
        ("units", "accepted", "rejected"),
    ),
}
# Job -> what the rows of its files must be, by kind of file; without the file the count is zero.
FOOTERS: Final[dict[str, dict[str, str]]] = {
    "extract": {
        "documents": "documents",
        "rejects": "rejects",
        "page_rejects": "pages_rejected",
        "pages": "pages",
    },
    "annotate": {"labels": "rows"},
    "deduplicate": {"labels": "rows"},
    "boilerplate": {"labels": "rows", "keys": "keys", "shared": "returned"},
    "repeats": {"labels": "rows", "keys": "keys", "shared": "returned"},
    "validation": {"labels": "rows", "items": "items", "held_out": "held_out"},
    "takedown": {"labels": "rows"},
    "superseded": {"labels": "rows"},
    "synthesize": {"documents": "documents", "rejects": "rejected", "samples": "samples"},
    "crawl": {"fetches": "rows", "links": "links"},
}
_PARQUET: Final = ".parquet"


class InputsGone(LookupError):
    """Inputs that were read once are no longer there; allowed, but not recountable."""


@dataclass(slots=True)
class AuditReport:
    """What was looked at, and what was wrong."""

    files: int = 0
    bytes_hashed: int = 0
    entries: int = 0
    recounted: int = 0
    """Entries whose counts were made again from files or inputs."""
    totals: dict[str, Counter[str]] = field(default_factory=dict)
    """Job -> sums of its counts."""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be checked, and why."""


DeepCheck = Callable[[Workspace, Entry], Iterable[str]]
"""Recounts what one entry says from its files or its inputs; gives faults."""

AcrossParts = Callable[[Workspace, str, Sequence[Entry]], Iterable[str]]
"""Checks all entries of one generation together; gives faults."""


def audit(
    workspace: Workspace,
    *,
    sample: float = 1.0,
    seed: int = 0,
    deep_checks: Mapping[str, DeepCheck] | None = None,
    across_parts: Sequence[AcrossParts] = (),
) -> AuditReport:
    """Checks a workspace.

    Args:
        workspace: What to check.
        sample: Share of entries, in (0, 1], whose files are hashed and recounted; equations,
            footers and existence are always checked for all.
        seed: Chooses the sample.
        deep_checks: Job -> recount of one of its entries, done for the sample.
        across_parts: Checks of a whole generation, beside those of this module.

    Returns:
        The report; the workspace is sound when `faults` is empty.
    """
    damaged = find_damaged(workspace, sample=sample, seed=seed)
    report = AuditReport(files=damaged.files, bytes_hashed=damaged.bytes_hashed)
    report.faults += damaged.faults.values()
    sound = SoundWorkspace(workspace.url, frozenset(damaged.faults))
    ledgers = []
    for generation in workspace.ledger.generations():
        report.faults += payload_faults(workspace, generation)
        reader = EntryReader(workspace, generation)
        for entry in reader:
            check = (deep_checks or {}).get(entry.job.split(".")[0])
            deep = is_sampled(entry, sample, seed)
            _check_entry(sound, entry, report, damaged, check if deep else None, deep=deep)
        report.faults += reader.faults
        for check_all in (_tiling_faults, *across_parts):
            whole = partial(check_all, sound, generation, reader.sound())
            report.faults += _guarded(whole, generation, damaged, WHOLE, generation.split("@")[0])
        ledgers.append(reader.known())
    report.faults += input_faults(ledgers)
    report.faults += inventory_faults(workspace, ledgers)
    report.notes += damaged.notes()
    return report


def _check_entry(
    workspace: Workspace,
    entry: Entry,
    report: AuditReport,
    damaged: Damaged,
    recount: DeepCheck | None,
    *,
    deep: bool,
) -> None:
    """All that is asked of one entry."""
    report.entries += 1
    report.totals.setdefault(entry.job, Counter()).update(entry.counts)
    report.faults += equation_faults(entry)
    report.faults += _absence_faults(entry)
    found = [
        fault
        for ref in entry.files
        if ref.path not in damaged.faults
        for fault in _file_faults(workspace, entry, ref, damaged, deep=deep)
    ]
    if recount and not found:
        found += _recount(workspace, entry, recount, report, damaged)
    report.faults += found


def _guarded(
    check: Callable[[], Iterable[str]], name: str, damaged: Damaged, kind: str, of: str
) -> list[str]:
    """The faults that a check finds; a file that it cannot read is one, told once for all checks.

    Args:
        check: Gives faults.
        name: Of what cannot be checked.
        damaged: What is told already.
        kind: Of the check, for the note of a damaged file, ...
        of: ... and the labels set or job that it is about.
    """
    found: list[str] = []
    try:
        found.extend(check())  # what it found before it met an error stays
    except (OSError, ValueError, LookupError, LedgerError) as error:
        if not damaged.hides(error, kind, of):
            found.append(f"{name}: cannot be checked ({type(error).__name__}: {error})")
    return found


def _recount(
    workspace: Workspace, entry: Entry, check: DeepCheck, report: AuditReport, damaged: Damaged
) -> list[str]:
    found: list[str] = []
    try:
        found.extend(check(workspace, entry))
    except InputsGone as gone:
        report.notes.append(f"not recounted: {gone}")
        return []
    except (OSError, ValueError, KeyError, LedgerError) as error:
        if not damaged.hides(error, COUNTS, entry.job):
            told = f"cannot be recounted ({type(error).__name__}: {error})"
            found.append(f"{name_of(entry)}: {told}")
        return found
    report.recounted += 1
    return found


def equations_of(job: str) -> tuple[tuple[str, ...], ...]:
    """The equations of a job, each as its terms: the first is the sum of the others."""
    return EQUATIONS.get(job, EQUATIONS.get(job.split(".")[0], ()))


def equation_of(job: str) -> tuple[str, ...]:
    """The terms of a job's first equation; none where it has no equation."""
    return next(iter(equations_of(job)), ())


def equation_faults(entry: Entry) -> Iterator[str]:
    """The equations of its job that the counts of an entry break."""
    for total, *rest in equations_of(entry.job):
        right = sum(entry.counts.get(term, 0) for term in rest)
        if entry.counts.get(total, 0) != right:
            sums = " + ".join(f"{term} {entry.counts.get(term, 0)}" for term in rest)
            yield f"{name_of(entry)}: {total} {entry.counts.get(total, 0)} is not {sums} = {right}"


def _absence_faults(entry: Entry) -> Iterator[str]:
    """Rows that are counted stand in a file that is named."""
    kinds = {ref.kind for ref in entry.files}
    for kind, count in FOOTERS.get(entry.job, {}).items():
        number = entry.counts.get(count, 0)
        if kind not in kinds and number:
            yield f"{name_of(entry)}: {count} {number}, and it names no {kind} file"


def _file_faults(
    workspace: Workspace, entry: Entry, ref: FileRef, damaged: Damaged, *, deep: bool
) -> list[str]:
    check = partial(_row_faults, workspace, entry, ref, deep=deep)
    folder = ref.path.split("/")[1]  # of a labels set: its name and fingerprint
    return _guarded(check, ref.path, damaged, ROWS, folder.partition("@")[0])


def _row_faults(workspace: Workspace, entry: Entry, ref: FileRef, *, deep: bool) -> Iterator[str]:
    if not ref.path.endswith(_PARQUET):
        return
    rows = footer_rows(workspace.storage, ref)
    if rows != ref.rows:
        yield f"{ref.path}: its footer counts {rows} rows, and the ledger says {ref.rows}"
    count = FOOTERS.get(entry.job.split(".")[0], {}).get(ref.kind)
    if count is not None and entry.counts[count] != rows:
        yield f"{name_of(entry)}: {count} {entry.counts[count]}, and {ref.path} has {rows} rows"
    if deep and ref.kind == "labels":
        yield from _alignment_faults(workspace, entry, ref)


def _alignment_faults(workspace: Workspace, entry: Entry, ref: FileRef) -> Iterator[str]:
    storage = workspace.storage
    for path in entry.inputs:
        documents = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
        if not storage.exists(path):
            yield f"{ref.path}: made from {path}, which is missing"
        elif read_table(storage, documents, ["id"]) != read_table(storage, ref, ["id"]):
            yield f"{ref.path}: its ids are not those of {path}, row by row"


def _tiling_faults(
    workspace: Workspace, generation: str, entries: Sequence[Entry]
) -> Iterator[str]:
    """Ranges of a split file must meet: one ends where the next begins."""
    if not generation.startswith("extract@"):
        return
    extents: dict[tuple[str, str], list[list[int]]] = {}
    for entry in entries:
        for file, extent in entry.detail.get("extents", {}).items():
            extents.setdefault((entry.source, file), []).append(extent)
    for (source, file), found in extents.items():
        found.sort()
        for before, after in itertools.pairwise(found):
            if before[1] != after[0]:
                yield (
                    f"{source}: {file} was read up to byte {before[1]} and again from byte "
                    f"{after[0]}; the ranges must meet"
                )
