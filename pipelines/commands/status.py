"""`tokenmill status`: how far each job of a workspace is.

One line a generation, as wide as the terminal: counts that do not fit are left out, never cut.
How many parts there will be is known from the inventories, and only of jobs that go through the
parts of a source: a crawl goes on while it finds links, a shuffle has partitions, a plan stages.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipelines.workspace.ledger import Entry

_WIDTH: Final = 100  # where the output is no terminal
_BY_PARTS: Final = (
    "extract",
    "annotate",
    "deduplicate",
    "boilerplate",
    "repeats",
    "takedown",
    "tally",
    "preview",
)
_MAX_COUNTS: Final = 3


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status)


def status(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
) -> None:
    """Shows parts done, counts and time of every generation; safe while a run is under way."""
    from functools import cache

    from pipelines.mix.plan import plan_folders
    from pipelines.workspace.inventory import Inventory
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)

    @cache
    def expected(source: str) -> int:
        return len(Inventory(opened.storage, source).parts())

    rows = []
    for generation in opened.ledger.generations():
        if entries := opened.ledger.entries(generation):
            rows.append(_row(generation, entries, expected))
    for line in _table(rows, shutil.get_terminal_size((_WIDTH, 24)).columns):
        typer.echo(line)
    for folder in plan_folders(opened):
        typer.echo(f"plan {folder.removeprefix('mixtures/')}")


def _row(
    generation: str, entries: Sequence["Entry"], expected: Callable[[str], int]
) -> tuple[list[str], list[str]]:
    """(cells that every line has, counts of which as many are shown as fit)."""
    job = entries[0].job
    sources = sorted({entry.source for entry in entries})
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
    total = sum(map(expected, sources)) if _has_parts(job) else 0
    parts = f"{len(entries)} of {total}" if total else str(len(entries))
    seconds = f"{sum(entry.seconds for entry in entries):,.1f}"
    over = sources[0] if len(sources) == 1 else f"{len(sources)} sources"
    return [generation, over, parts, seconds], _telling(job, counts)


def _has_parts(job: str) -> bool:
    by_partition = job.endswith("clusters") or ".shared_" in job
    return job.split(".")[0] in _BY_PARTS and not by_partition


def _telling(job: str, counts: Mapping[str, int]) -> list[str]:
    """The total of the job's equation and the terms next to it; failures come before those."""
    from pipelines.workspace.audit import equation_of

    names = list(equation_of(job) or counts)[:_MAX_COUNTS]
    if counts.get("failed"):
        names.insert(1, "failed")
    return [f"{name} {counts.get(name, 0):,}" for name in names]


def _table(rows: Sequence[tuple[list[str], list[str]]], width: int) -> list[str]:
    head = ["generation", "over", "parts", "seconds"]
    columns = list(zip(head, *(cells for cells, _ in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [_laid(head, ["counts"], widths, width)] + [
        _laid(cells, counts, widths, width) for cells, counts in rows
    ]


def _laid(cells: Sequence[str], counts: Sequence[str], widths: Sequence[int], width: int) -> str:
    """One line: names to the left, numbers to the right, then the counts that fit."""
    name, source, parts, seconds = (
        cell.ljust(w) if i < 2 else cell.rjust(w)
        for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
    )
    line = " ".join((name, source, parts, seconds))
    for i, count in enumerate(counts):
        more = (", " if i else "  ") + count
        if len(line) + len(more) > width:
            break
        line += more
    return line
