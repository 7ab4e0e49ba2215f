"""`tokenmill prune`: remove what no plan pins, and files that no ledger names."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.workspace.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("prune")(prune_command)


def prune_command(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    drop: Annotated[
        list[str] | None,
        typer.Option(help="A plan to give up, as mixture@fp; what only it pins goes with it."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it only list.")] = False,
) -> None:
    """Lists generations that no plan pins and files that no ledger names; --yes deletes them.

    Nothing is deleted while a run is under way: its files in the making look like orphans.
    """
    from pipelines.erasure.swap import refuse_unfinished
    from pipelines.workspace.lease import hold
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    refuse_unfinished(opened.storage)
    with hold(opened, what="tokenmill prune", say=typer.echo) if yes else nullcontext():
        _prune(opened, drop or [], yes=yes)


def _prune(opened: "Workspace", drop: Sequence[str], *, yes: bool) -> None:
    """Lists what can go, and deletes it where that is asked."""
    from pipelines.mix.pinned import pinned_generations
    from pipelines.mix.plan import plan_folders
    from pipelines.workspace.prune import find_prunable, prune

    folders = plan_folders(opened)
    dropped = [f"mixtures/{name}" for name in drop]
    for folder in dropped:
        if folder not in folders:
            raise ValueError(
                f"found no plan {folder.removeprefix('mixtures/')}; there are "
                f"{', '.join(f.removeprefix('mixtures/') for f in folders) or 'none'}"
            )
    kept = [folder for folder in folders if folder not in dropped]
    if yes:
        for folder in dropped:
            opened.storage.remove(f"{folder}/plan.json")
    pinned = pinned_generations(opened, kept)
    if not pinned:
        typer.echo("no plan pins anything: all generations stay, only orphans go")
    found = find_prunable(opened, pinned)
    for name in found.generations:
        typer.echo(f"generation {name}")
    for path in found.orphans:
        typer.echo(f"file {path}")
    typer.echo(
        f"{len(found.generations)} generations, {len(found.orphans)} files, {found.bytes:,} bytes "
        f"{'deleted' if yes else 'would go; delete them with --yes'}"
    )
    if yes:
        prune(opened, found)
