"""`tokenmill audit`: is every record accounted for, and is every file what it was?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.workspace.audit import AcrossParts, AuditReport
    from pipelines.workspace.audit_entries import DeepCheck
    from pipelines.workspace.ledger import Entry
    from pipelines.workspace.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("audit")(audit_command)


def audit_command(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    sample: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of parts to hash and recount.")
    ] = 1.0,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Take back the ledger entries of damaged files, so that the next run makes them "
            "again; hashes every file.",
        ),
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that check parts; default: all cores.")
    ] = None,
) -> None:
    """Checks hashes, equations, footers and alignment, and recounts parts from their inputs.

    Prints what is wrong, one line a fault, and exits 1 if there is any. With --repair it looks for
    damage only, takes back what can be made again, and exits 1 if something cannot.
    """
    if repair:
        _repair(workspace)
        return
    from pipelines.erasure.record import erasure_notes
    from pipelines.erasure.swap import refuse_unfinished
    from pipelines.run_record import record_faults
    from pipelines.workspace.audit import audit
    from pipelines.workspace.children import default_processes
    from pipelines.workspace.repair import notes_of_repairs
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    refuse_unfinished(opened.storage)
    report = audit(
        opened,
        sample=sample,
        processes=processes or default_processes(),
        deep_checks=_deep_checks(),
        across_parts=_across_parts(),
    )
    report.faults += record_faults(opened)
    report.notes += [*notes_of_repairs(opened), *erasure_notes(opened)]
    _add_unfinished(opened, report)
    _print(report)
    if report.faults:
        raise typer.Exit(1)


def _add_unfinished(workspace: "Workspace", report: "AuditReport") -> None:
    """Notes what plans have that is not written."""
    from pipelines.mix.check import unfinished

    try:
        report.notes += unfinished(workspace)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        report.faults.append(f"a plan cannot be read ({type(error).__name__}: {error})")


def _deep_checks() -> "dict[str, DeepCheck]":
    """Job -> recount of one of its entries."""
    from pipelines.crawl.check import check_crawl
    from pipelines.extract.recount import recount_faults
    from pipelines.mix.check import histogram_faults, preview_faults, tally_faults
    from pipelines.repeats import check as repeats
    from pipelines.shards.check import shard_faults
    from pipelines.synthesize.check import superseded_faults, synthesize_faults
    from pipelines.takedown.job import takedown_faults
    from pipelines.validation.check import validation_faults

    return {
        "crawl": check_crawl,
        "deduplicate": _duplicate_faults,
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
    }


def _across_parts() -> "list[AcrossParts]":
    """Checks of whole generations."""
    from pipelines.deduplicate import check as exact
    from pipelines.near_duplicates import check as near
    from pipelines.repeats import check as repeats
    from pipelines.shards.check import draw_faults

    return [exact.cluster_faults, near.cluster_faults, repeats.repeat_faults, draw_faults]


def _duplicate_faults(workspace: "Workspace", entry: "Entry") -> "Iterator[str]":
    """All that is recounted of duplicates; by name, for it goes to other processes."""
    from pipelines.deduplicate import check as exact
    from pipelines.near_duplicates import check as near

    yield from exact.label_faults(workspace, entry)
    yield from near.label_faults(workspace, entry)


def _print(report: "AuditReport") -> None:
    """Equations with their sums, then notes, faults and what was looked at."""
    from rich.console import Console
    from rich.table import Table

    from pipelines.workspace.audit_equations import equations_of

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
            "restore what is named from a copy; or give the same command with --repair, which "
            "takes back what can be made again, and then the same `tokenmill run`",
            highlight=False,
            soft_wrap=True,
        )


def _repair(url: str) -> None:
    """Takes back what is damaged, and says what it did and what it could not."""
    from rich.console import Console

    from pipelines.erasure.record import refuse_erased
    from pipelines.erasure.swap import refuse_unfinished
    from pipelines.workspace.lease import hold
    from pipelines.workspace.repair import plan_repairs, repair
    from pipelines.workspace.workspace import Workspace

    console = Console(highlight=False, soft_wrap=True)
    opened = Workspace.open(url)
    with hold(opened, what=f"tokenmill audit {url} --repair"):
        refuse_unfinished(opened.storage)
        lost = list(_damaged_inventories(opened))
        plan = plan_repairs(opened, [refuse_erased])
        note = repair(opened, plan)
    for path, step in sorted(plan.steps.items()):
        told = "REFUSED" if step.action == "refused" else step.action
        console.print(f"{told}: {path}: {step.why}", markup=False)
    for why in lost:
        console.print(f"REFUSED: {why}", markup=False)
    for generation in sorted(plan.generations):
        console.print(f"fold of {generation} written again", markup=False)
    if not note:
        console.print("nothing was changed" if plan.refused or lost else "no file is damaged")
    else:
        console.print(f"{note} keeps what was done; now give the same `tokenmill run` again")
    if plan.refused or lost:
        raise typer.Exit(1)


def _damaged_inventories(workspace: "Workspace") -> Iterator[str]:
    """What is wrong with inventories, which are no work of a part and cannot be made again."""
    from pipelines.workspace.inventory import Inventory, InventoryError

    storage = workspace.storage
    for source in sorted({path.split("/")[1] for path in storage.files("inventory")}):
        try:
            Inventory(storage, source).spans()
        except InventoryError as error:
            yield str(error)
