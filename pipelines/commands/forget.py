"""`tokenmill forget`: addresses and hosts that are to be taken down."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.takedown.holdings import Holdings
    from pipelines.workspace.takedown import Takedowns


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("forget")(forget_command)


def forget_command(
    workspace: Annotated[str, typer.Option(help="Folder or URL of a workspace.")],
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="Addresses (with all below their paths) or hosts; both with all hosts below."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Show what is forgotten; add nothing.")] = (
        False
    ),
) -> None:
    """Takes addresses or hosts down, for good; there is no way back but another workspace.

    What it does: no crawl into this workspace asks for them again, in no round and no pass. No
    extraction makes documents of them, from whatever source, and no model is asked about them.
    Documents made before, and what models made of them, are set aside by every plan that is made
    from now on, by run, plan and shards alike.

    What it does not do: it deletes nothing. Archives, documents, answers of models and token shards
    that hold the texts stay on disk, and plans made before stay as they are; which of them hold
    something is printed, and `tokenmill prune --drop` removes what a plan pins. Copies of the texts
    under other addresses are not found; but copies that a forgotten document stands for as
    duplicates go with it. Of documents without an address nothing is known.
    """
    from pipelines.takedown.holdings import find_holdings
    from pipelines.workspace.takedown import entries_of, read_takedowns, take_down
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    if show == bool(what):
        raise ValueError(
            f"found {'both' if show else 'neither'} of addresses and --list; allowed: one of them, "
            "such as `tokenmill forget example.org --workspace DIR` or `--list --workspace DIR`"
        )
    if what:
        made = take_down(opened.storage, entries_of(what), reason)
        for entry in made.entries:
            typer.echo(f"forgotten: {_named(entry)}")
    takedowns = read_takedowns(opened.storage)
    if show:
        for line in _listed(takedowns):
            typer.echo(line)
    for line in _told(find_holdings(opened, takedowns)):
        typer.echo(line)


def _named(entry: str) -> str:
    from pipelines.workspace.takedown import is_whole_host

    if is_whole_host(entry):
        return f"host {entry} and all hosts below it"
    return f"address {entry} and all below it, on all hosts below too"


def _listed(takedowns: "Takedowns") -> Iterator[str]:
    if not takedowns.made:
        yield "nothing was taken down"
    for made in takedowns.made:
        why = f": {made.reason}" if made.reason else ""
        for entry in made.entries:
            yield f"{made.at}  {_named(entry)}{why}"


def _told(holdings: "Holdings") -> Iterator[str]:
    """What still holds something of all that is forgotten."""
    for path, number in holdings.archives.items():
        records = "record" if number == 1 else "records"
        yield f"{number:,} {records} under what is forgotten in {path}, which stays as it is"
    if not holdings.documents:
        yield "no document of this workspace stands under what is forgotten"
        return
    yield f"{sum(holdings.documents.values()):,} documents stand under what is forgotten:"
    for name, number in holdings.documents.items():
        yield f"  {number:,} in {name}; plans from now on leave them out"
    for folder, drawn in holdings.shards.items():
        yield (
            f"  {drawn.documents:,} with {drawn.tokens:,} tokens in {folder}; to remove them with "
            f"their plan: tokenmill prune WORKSPACE --drop {drawn.plan} --yes"
        )
    if holdings.shards:
        yield "give `tokenmill run` first, or `plan` and `shards`, for shards without them"
