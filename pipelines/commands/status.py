"""`tokenmill status`: what runs now, and how far each job of a workspace is.

One line a generation, as wide as the terminal: counts that do not fit are left out, never cut.
How many parts there will be is known from the inventories, and only of jobs that go through the
parts of a source: a crawl goes on while it finds links, a shuffle has partitions, a plan stages.
What runs now is read from the files that drivers write every few seconds (`progress/`), so it is
seen from any machine that sees the workspace.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from pipelines.workspace.ledger import Entries
    from pipelines.workspace.workspace import Workspace

_WIDTH: Final = 100  # where the output is no terminal
_REFRESH_S: Final = 2.0
_LINE_S: Final = 10.0
_LEDGER_S: Final = 30.0
_LEDGER_SHARE: Final = 10  # times as long as reading the ledger took passes before the next time
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
    watch: Annotated[
        bool,
        typer.Option("--watch", "--follow", help="Show it anew, until Ctrl-C."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Shows what runs now, then parts done, counts and time of every generation.

    Safe while a run is under way, and from any machine that sees the workspace.
    """
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    if watch:
        _follow(opened, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(_fields(opened), ensure_ascii=False))
    else:
        width = shutil.get_terminal_size((_WIDTH, 24)).columns
        told = _runs(opened, width)
        for line in [*told, *([""] if told else []), *_done(opened, width)]:
            typer.echo(line)


def _follow(workspace: "Workspace", *, as_json: bool) -> None:
    """Shows it anew: in place on a terminal; elsewhere line by line, as long as a run goes on."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    try:
        if as_json or not console.is_terminal:
            _follow_lines(workspace, as_json=as_json)
            return
        ledger = _Seldom(lambda: _done(workspace, console.width))
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                told = _runs(workspace, console.width) or ["no run has been here yet"]
                lines = [*told, "", *ledger.value(), "", "Ctrl-C ends this, not the run"]
                live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)
                time.sleep(_REFRESH_S)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _follow_lines(workspace: "Workspace", *, as_json: bool) -> None:
    while True:
        runs = _run_fields(workspace)
        if as_json:
            typer.echo(json.dumps({"runs": runs}, ensure_ascii=False))
        else:
            for line in _runs(workspace, _WIDTH) or ["no run has been here yet"]:
                typer.echo(line)
        if not any(run["state"] == "running" for run in runs):
            return
        time.sleep(_LINE_S)


class _Seldom:
    """A value that takes long to find, found anew now and then."""

    def __init__(self, find: Callable[[], list[str]]) -> None:
        self._find, self._next, self._value = find, 0.0, [""]

    def value(self) -> list[str]:
        """The value, that of before where it is not time yet."""
        started = time.monotonic()
        if started >= self._next:
            self._value = self._find()
            now = time.monotonic()
            self._next = now + max(_LEDGER_S, _LEDGER_SHARE * (now - started))
        return self._value


def _runs(workspace: "Workspace", width: int) -> list[str]:
    """What is said of the runs that matter now."""
    from pipelines.watching.beats import read_records
    from pipelines.watching.shown_runs import runs_worth_telling, silences, told_run

    now = time.time()
    runs = silences(runs_worth_telling(read_records(workspace.storage)))
    return [line for run, silence in runs for line in told_run(run, silence, now, width)]


def _run_fields(workspace: "Workspace") -> list[dict[str, Any]]:
    from pipelines.watching.beats import read_records
    from pipelines.watching.shown_runs import run_fields, runs_worth_telling, silences

    runs = silences(runs_worth_telling(read_records(workspace.storage)))
    return [run_fields(run, silence) for run, silence in runs]


def _fields(workspace: "Workspace") -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "workspace": workspace.url,
        "runs": _run_fields(workspace),
        "generations": [made.fields() for made in _generations(workspace)],
        "plans": _plans(workspace),
    }


def _done(workspace: "Workspace", width: int) -> list[str]:
    """What is committed."""
    rows = [made.row() for made in _generations(workspace)]
    return [*_table(rows, width), *(f"plan {plan}" for plan in _plans(workspace))]


def _plans(workspace: "Workspace") -> list[str]:
    from pipelines.mix.plan import plan_folders

    return [folder.removeprefix("mixtures/") for folder in plan_folders(workspace)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What is committed of a generation."""

    generation: str
    job: str
    sources: list[str]
    parts_done: int
    parts: int
    """To be done; 0 where that is not known."""
    seconds: float
    counts: Mapping[str, int]

    def row(self) -> tuple[list[str], list[str]]:
        """(cells that every line has, counts of which as many are shown as fit)."""
        parts = f"{self.parts_done} of {self.parts}" if self.parts else str(self.parts_done)
        over = self.sources[0] if len(self.sources) == 1 else f"{len(self.sources)} sources"
        cells = [self.generation, over, parts, f"{self.seconds:,.1f}"]
        return cells, _telling(self.job, self.counts)

    def fields(self) -> dict[str, Any]:
        """The same for programs, with all counts."""
        return {
            "generation": self.generation,
            "job": self.job,
            "sources": self.sources,
            "parts_done": self.parts_done,
            "parts": self.parts or None,
            "seconds": round(self.seconds, 3),
            "counts": dict(sorted(self.counts.items())),
        }


def _generations(workspace: "Workspace") -> list[_Made]:
    from functools import cache

    from pipelines.workspace.inventory import Inventory

    @cache
    def expected(source: str) -> int:
        return len(Inventory(workspace.storage, source).parts())

    return [
        _made(entries, expected)
        for generation in workspace.ledger.generations()
        if (entries := workspace.ledger.entries(generation))
    ]


def _made(entries: "Entries", expected: Callable[[str], int]) -> _Made:
    job, sources = entries.generation.split("@")[0], list(entries.parts)
    counts: Counter[str] = Counter()
    seconds: list[float] = []
    for entry in entries:
        counts.update(entry.counts)
        seconds.append(entry.seconds)
    return _Made(
        generation=entries.generation,
        job=job,
        sources=sources,
        parts_done=len(entries),
        parts=sum(map(expected, sources)) if _has_parts(job) else 0,
        seconds=sum(seconds),
        counts=counts,
    )


def _has_parts(job: str) -> bool:
    by_partition = job.endswith("clusters") or ".shared_" in job
    return job.split(".")[0] in _BY_PARTS and not by_partition


def _telling(job: str, counts: Mapping[str, int]) -> list[str]:
    """The total of the job's equation and the terms next to it; failures come before those."""
    from pipelines.workspace.audit_equations import equation_of

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
