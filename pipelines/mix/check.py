"""The audit's recount of planning, and what a plan says must be there."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.tallies import eligible
from pipelines.mix.judge import VALIDATION
from pipelines.mix.plan import plan_folders, read_plan
from pipelines.mix.preview import ALL, preview_counts
from pipelines.mix.tally import HISTOGRAM, JOB, histogram_counts
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import footer_rows, read_table
from pipelines.workspace.workspace import Workspace

_EXACT = ("documents", "tokens", "drawn_documents", "draws", "drawn_tokens")


def tally_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares the counts of a tally with its file and with the documents it judged."""
    table = read_table(workspace.storage, entry.file(JOB))
    drawable = _documents(eligible(table))
    if drawable != entry.counts["eligible"]:
        yield _differs(entry, "eligible", drawable)
    tallied = _documents(table)
    if tallied != entry.counts["tallied"]:
        yield _differs(entry, "tallied", tallied)
    for path in entry.inputs:
        ref = FileRef(kind="documents", path=path, sha256="", bytes=0, rows=0)
        judged = footer_rows(workspace.storage, ref) * len(entry.detail)
        if judged != entry.counts["judged"]:
            yield f"{_name(entry)}: judged {entry.counts['judged']}, and {path} asks for {judged}"


def histogram_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares a histogram with its counts, and with the tallies that it adds up."""
    found = histogram_counts(read_table(workspace.storage, entry.file(HISTOGRAM)))
    yield from _count_faults(entry, found)
    full = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["tally"]
    tallies = f"{JOB}.{entry.source}@{full[:8]}"
    sums: Counter[str] = Counter()
    for tallied in workspace.ledger.entries(tallies):
        sums.update(tallied.counts)
    for count, term in (("documents", "tallied"), ("eligible", "eligible")):
        if entry.counts[count] != sums[term]:
            yield (
                f"{_name(entry)}: {count} {entry.counts[count]}, and {tallies} has {term} "
                f"{sums[term]}"
            )


def preview_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares a preview with its counts, its own sums, and the tally of the same part."""
    table = read_table(workspace.storage, entry.file("preview"))
    yield from _count_faults(entry, preview_counts(table))
    yield from _sum_faults(entry, table)
    full = workspace.ledger.payload(f"{entry.job}@{entry.fp}")["tally"]
    mixture = entry.job.removeprefix("preview.")
    tally = workspace.ledger.get(f"{JOB}.{mixture}@{full[:8]}", entry.source, entry.part)
    if entry.counts["eligible"] != tally.counts["eligible"]:
        yield _differs(entry, "eligible", tally.counts["eligible"])


def _sum_faults(entry: Entry, table: pa.Table) -> Iterator[str]:
    """Every dimension sums to `all`."""
    sums = table.group_by(["stage", "dimension"]).aggregate([(name, "sum") for name in _EXACT])
    rows = {(row["stage"], row["dimension"]): row for row in sums.to_pylist()}
    for (stage, dimension), row in sorted(rows.items()):
        whole = rows.get((stage, ALL), {})
        for name in _EXACT:
            if dimension != VALIDATION and row[f"{name}_sum"] != whole.get(f"{name}_sum"):
                yield (
                    f"{_name(entry)}: stage {stage} has {name} {row[f'{name}_sum']} by "
                    f"{dimension}, and {whole.get(f'{name}_sum')} in all"
                )


def _count_faults(entry: Entry, found: dict[str, int]) -> Iterator[str]:
    for count, number in found.items():
        if entry.counts.get(count) != number:
            yield _differs(entry, count, number)


def _differs(entry: Entry, count: str, found: int) -> str:
    return f"{_name(entry)}: {count} {entry.counts.get(count)}, and its files count {found}"


def _name(entry: Entry) -> str:
    return f"{entry.job}@{entry.fp} {entry.source} part {entry.part}"


def _documents(table: pa.Table) -> int:
    return int(pc.sum(table.column("documents")).as_py() or 0)


def unfinished(workspace: Workspace) -> Iterator[str]:
    """What the plans of a workspace ask for and the ledger does not hold.

    Yields:
        One line a generation; not a fault, for a run may be under way or have been killed, and a
        plan that was only looked at has no shards.
    """
    for folder in plan_folders(workspace):
        plan = read_plan(workspace, folder)
        title = folder.removeprefix("mixtures/")
        for source, pins in plan.pins.sources.items():
            for name in (pins.documents, *pins.labels.values()):
                held = {part for _, part in workspace.ledger.places(name, source)}
                lacking = len(set(pins.parts) - held)
                if lacking:
                    yield f"plan {title} pins {name}, which lacks {lacking} parts of {source}"
        # In one format; another is another generation.
        written = max(
            (
                len(workspace.ledger.entries(name))
                for name in workspace.ledger.generations()
                if name.startswith("shards.")
                and workspace.ledger.payload(name)["plan"] == plan.generation.full
            ),
            default=0,
        )
        if 0 < written < len(plan.units):
            yield f"plan {title} asks for {len(plan.units)} shards, and {written} are written"
