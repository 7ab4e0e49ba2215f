"""Runs that can be compared: the last of a workspace, or one that its history keeps.

`W` is the last run of the workspace W, `W#3` the third that made something new. Labels of an old
run are there as long as no `prune` removed them; which are gone is said when they are read.
"""

import re
from dataclasses import dataclass
from typing import Final

from pipelines.mix.pins import Pins, SourcePins
from pipelines.run_record import RunRecord, read_past_run, read_run_record, run_numbers
from pipelines.workspace.workspace import Workspace

_NUMBERED: Final = re.compile(r"(.+)#(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One of two runs that are compared."""

    name: str
    """As it was asked for."""
    workspace: Workspace
    record: RunRecord

    @property
    def pins(self) -> Pins:
        """All labels that the run made."""
        record = self.record
        shared = {"duplicates": record.duplicates} if record.duplicates else {}
        shared |= record.labels
        if record.validation:
            shared["validation"] = record.validation
        sources = {
            name: SourcePins(
                documents=documents,
                labels={**record.annotate.get(name, {}), **shared},
                parts=tuple(record.sources[name]),
            )
            for name, documents in record.documents.items()
        }
        return Pins(sources, "")


def open_run(name: str) -> Run:
    """Opens `WORKSPACE` or `WORKSPACE#NUMBER`.

    Raises:
        WorkspaceError: There is no such workspace.
        LookupError: No such run came to its end there.
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        workspace = Workspace.open(name)
        return Run(name=name, workspace=workspace, record=read_run_record(workspace))
    workspace = Workspace.open(numbered[1])
    record = read_past_run(workspace, int(numbered[2]))
    return Run(name=name, workspace=workspace, record=record)


def open_pair(first: str, second: str | None) -> tuple[Run, Run]:
    """Opens two runs, or the last two of a workspace where one is named.

    Raises:
        WorkspaceError, LookupError: As of `open_run`.
    """
    if second is not None:
        return open_run(first), open_run(second)
    numbers = run_numbers(Workspace.open(first))
    if len(numbers) < 2:
        raise LookupError(
            f"{first} keeps {len(numbers)} run; two are needed: name another workspace too, as "
            "`tokenmill diff run A B`, or run an edited corpus here first"
        )
    return open_run(f"{first}#{numbers[-2]}"), open_run(f"{first}#{numbers[-1]}")
