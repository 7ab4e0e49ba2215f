"""Writes the report of a workspace: gather, read samples, render, put the file in its place.

The page is replaced as a whole; nothing in a workspace depends on it.
"""

from dataclasses import dataclass
from typing import Final

import fsspec

from pipelines.report.conformance import read_conformance
from pipelines.report.facts import Check
from pipelines.report.gather import gather
from pipelines.report.page import Price, render
from pipelines.report.rejects import read_rejects
from pipelines.report.samples import read_samples
from pipelines.run_record import read_run_record
from pipelines.workspace.workspace import Workspace

PATH: Final = "report/index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where a report went, and what is wrong with the run it shows."""

    url: str
    bytes: int
    checks: int
    faults: tuple[Check, ...]
    """Equations that do not hold; the page shows them too."""


def write_report(
    workspace: Workspace,
    *,
    output: str | None = None,
    per_label: int = 3,
    price: Price | None = None,
) -> Written:
    """Writes the report of the last run of a workspace.

    Args:
        workspace: Where the run is.
        output: File or URL; by default `report/index.html` in the workspace.
        per_label: Documents to show for each label, 0 for none.
        price: Where it is given, times are shown as money too.

    Raises:
        LookupError: No run came to its end here.
    """
    facts = gather(workspace)
    record = read_run_record(workspace)
    samples = read_samples(workspace, record, facts.labels, per_label)
    rejects = read_rejects(workspace, record, max(1, per_label))
    conformance = read_conformance(workspace, record, facts)
    page = render(facts, samples, rejects, price, conformance)
    data = page.encode()
    url = output or f"{workspace.url.rstrip('/')}/{PATH}"
    fs, path = fsspec.url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0] or ".", exist_ok=True)
    fs.pipe_file(path, data)
    return Written(url=url, bytes=len(data), checks=len(facts.checks), faults=facts.failed_checks)
