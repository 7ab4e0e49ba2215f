"""What a dry run finds out about one Dataflow job, and how it is told."""

from dataclasses import dataclass
from io import StringIO
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Shuffle:
    """One GroupByKey of a job."""

    step: str
    """Full name of the step."""
    carries: str
    """What crosses, in words."""
    key: str
    """Coder of its keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job as it would be submitted."""

    title: str
    """Class of the transform."""
    name: str
    project: str
    region: str
    image: str
    """Container image of the workers."""
    machine: str
    """Machine type with cores and memory, as far as known."""
    parts: int
    """Elements of the largest list that the job starts from: what its workers share."""
    machines: int | None
    """Most machines that can be busy at a time; None for a job without a list."""
    steps: int
    """Transforms that run, as the service counts them; fused ones included."""
    shuffles: tuple[Shuffle, ...]
    graph_bytes: int
    """The pipeline proto that is staged in the bucket."""
    request_bytes: int
    """The request to the service, as JSON."""
    problems: tuple[str, ...]
    """Why the job would fail or be refused: found, allowed, what to do."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and does not stop the job."""

    def __str__(self) -> str:
        """A table of at most 100 columns, then problems and notes, a line each."""
        buffer = StringIO()
        console = Console(file=buffer, width=_WIDTH, highlight=False)
        table = Table(title=f"Dataflow job: {self.title}", title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._rows():
            table.add_row(Text(name), Text(value))
        console.print(table)
        for word, lines in (("problem", self.problems), ("note", self.notes)):
            for line in lines:
                console.print(Text(f"{word}: {line}"), soft_wrap=True)
        return buffer.getvalue().rstrip()

    def _rows(self) -> list[tuple[str, str]]:
        busy = "" if self.machines is None else f", at most {self.machines:,} machines busy"
        rows = [
            ("name", f"{self.name} in {self.project}, {self.region}"),
            ("workers", f"{self.machine} running {self.image}"),
            ("input", f"{self.parts:,} elements{busy}"),
            ("steps", f"{self.steps}, of them {len(self.shuffles)} shuffles"),
        ]
        rows += [("shuffle", f"{one.step}: {one.carries}") for one in self.shuffles]
        sizes = f"graph {_size(self.graph_bytes)} of 10 MB, request {_size(self.request_bytes)}"
        return [*rows, ("size", f"{sizes} of 20 MB")]


class JobRefused(ValueError):
    """A job that Dataflow would refuse, or whose workers would fail."""

    def __init__(self, report: JobReport) -> None:
        """Args:
        report: With problems.
        """
        super().__init__("\n".join(report.problems))
        self.report = report


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.2f} MB" if num_bytes >= 10_000 else f"{num_bytes:,} bytes"
