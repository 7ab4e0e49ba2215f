"""`tokenmill audit`: is every record accounted for, and is every file what it was?"""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.workspace.audit import AuditReport


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("audit")(audit_command)


def audit_command(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    sample: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of parts to hash and recount.")
    ] = 1.0,
) -> None:
    """Checks hashes, equations, footers and alignment, and recounts parts from their inputs.

    Prints what is wrong, one line a fault, and exits 1 if there is any.
    """
    from pipelines.crawl.check import check_crawl
    from pipelines.deduplicate import check as exact
    from pipelines.extract.recount import recount_faults
    from pipelines.mix.check import histogram_faults, preview_faults, tally_faults, unfinished
    from pipelines.near_duplicates import check as near
    from pipelines.repeats import check as repeats
    from pipelines.run_record import record_faults
    from pipelines.shards.check import shard_faults
    from pipelines.synthesize.check import superseded_faults, synthesize_faults
    from pipelines.takedown.job import takedown_faults
    from pipelines.validation.check import validation_faults
    from pipelines.workspace.audit import audit
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    report = audit(
        opened,
        sample=sample,
        deep_checks={
            "crawl": check_crawl,
            "deduplicate": lambda *place: [*exact.label_faults(*place), *near.label_faults(*place)],
            "boilerplate": repeats.label_faults,
            "repeats": repeats.label_faults,
            "extract": recount_faults,
            "tally": tally_faults,
            "histogram": histogram_faults,
            "preview": preview_faults,
            "validation": validation_faults,
            "takedown": takedown_faults,
            "synthesize": synthesize_faults,
            "superseded": superseded_faults,
            "shards": shard_faults,
        },
        across_parts=[exact.cluster_faults, near.cluster_faults, repeats.repeat_faults],
    )
    report.faults += record_faults(opened)
    try:
        report.notes += unfinished(opened)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        report.faults.append(f"a plan cannot be read ({type(error).__name__}: {error})")
    _print(report)
    if report.faults:
        raise typer.Exit(1)


def _print(report: "AuditReport") -> None:
    """Equations with their sums, then notes, faults and what was looked at."""
    from rich.console import Console
    from rich.table import Table

    from pipelines.workspace.audit import equations_of

    console = Console()
    table = Table(box=None, pad_edge=False)
    for name in ("job", "equation", "sums"):
        table.add_column(name)
    for job, totals in sorted(report.totals.items()):
        for total, *rest in equations_of(job):
            sums = f"{totals[total]:,} = " + " + ".join(f"{totals[term]:,}" for term in rest)
            table.add_row(job, f"{total} = {' + '.join(rest)}", sums)
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    for fault in report.faults:
        console.print(f"FAULT {fault}", highlight=False, soft_wrap=True)
    console.print(
        f"{report.entries:,} ledger entries, {report.files:,} files, "
        f"{report.bytes_hashed:,} bytes hashed, {report.recounted:,} entries recounted, "
        f"{len(report.faults):,} faults",
        highlight=False,
        soft_wrap=True,
    )
    failed = sum(totals["failed"] for totals in report.totals.values())
    if failed:
        console.print(f"note: {failed:,} rows of labels are null, listed in rejects/annotate...")
    if report.faults:
        console.print(
            "restore what is named from a copy; or delete it with its ledger entries, and the same "
            "`tokenmill run` makes it again",
            highlight=False,
            soft_wrap=True,
        )
