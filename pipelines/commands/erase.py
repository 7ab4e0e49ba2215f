"""`tokenmill erase`: physical erasure of what was forgotten."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipelines.erasure.erasing import Erasure

_SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("erase")(erase_command)


def erase_command(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it only tell.")] = False,
    reason: Annotated[
        str, typer.Option(help="Why, for the ledger; without names, texts or addresses.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Erases all that `tokenmill forget` was told, from every file of a workspace, for good.

    Documents keep their rows and ids, blanked, so that labels stay beside them and every count goes
    on being true; so do rejects, samples and rows of crawls, whose addresses become hashes. Records
    in the archives of crawls give way to records of the same length, tokens in shards to EOD, so no
    offset and no index changes. Answers of models of those parts, reports, drafts and files that no
    ledger names are deleted. What stays: ids and hashes, numbers, the addresses in `takedowns/`,
    which crawls must compare, and the files that a source reads, which are yours; those that still
    hold what was forgotten are listed.

    Each file is written anew under another name, and the ledger says which became which. Plans and
    all other parts stay as they are; shards and launch files name the new shards only after
    `tokenmill launch` is given again. Killed half-way, it goes on when it is given again.
    """
    from pipelines.erasure.erasing import erase, look
    from pipelines.erasure.swap import is_unfinished
    from pipelines.workspace.lease import hold
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    was_interrupted = yes and is_unfinished(opened.storage)
    if yes:
        with hold(opened, what="tokenmill erase"):
            done = erase(opened, reason)
    else:
        done = look(opened)
    if as_json:
        typer.echo(json.dumps({"erased": yes, **asdict(done)}))
        return
    if was_interrupted:
        typer.echo("went on with the erasure that was interrupted; it is done")
    if not (was_interrupted and done.is_empty):
        _tell(done, is_done=yes)


def _tell(done: "Erasure", *, is_done: bool) -> None:
    if done.is_empty:
        typer.echo("nothing is to be erased: give `tokenmill forget` first, or all is erased")
    else:
        typer.echo(
            f"{done.documents:,} documents in {done.parts:,} parts and {done.records:,} records of "
            f"archives {'are erased' if is_done else 'would be erased'}"
        )
        if is_done:
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(done.counts.items()) if n)
            typer.echo(f"{done.files:,} files were written again ({kinds})")
        verb = "were" if is_done else "would be"
        typer.echo(
            f"{len(done.answers):,} files of answers, {len(done.reports):,} of reports and "
            f"{done.unnamed:,} that no ledger names {verb} deleted"
        )
        if is_done and done.reports:
            typer.echo("give `tokenmill report` for a new report")
        if is_done and done.counts.get("tokens"):
            typer.echo("shards have other names now: give `tokenmill launch` again where you train")
    for one in done.inputs[:_SHOWN]:
        typer.echo(f"still in your input: {one.source} {one.file} at {one.offset}")
    if len(done.inputs) > _SHOWN:
        typer.echo(f"and in {len(done.inputs) - _SHOWN:,} more records of inputs; see --json")
    if not is_done and not done.is_empty:
        typer.echo("erase with --yes; there is no way back")
