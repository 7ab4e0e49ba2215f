"""`tokenmill forget`: addresses, hosts and documents that are to be taken down."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipelines.takedown.copies import Copies
    from pipelines.takedown.holdings import HeldInShard, Holdings
    from pipelines.takedown.unknown import Unknown
    from pipelines.workspace.takedown import Takedown, Takedowns
    from pipelines.workspace.workspace import Workspace

_SHOWN: Final = 20
_ALL: Final = "what is forgotten"
_FRESH: Final = "what this call adds"


@dataclass(frozen=True, slots=True)
class _Added:
    """What one call brought."""

    made: "Takedown"
    unknown: "Unknown"
    """Of what was named, that which nothing in the workspace bears."""
    held: "Holdings"
    """Of what was not forgotten before."""


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
    url: Annotated[
        list[str] | None, typer.Option(help="An address, with all below its path.")
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="A host, with all hosts below.")] = None,
    id_: Annotated[
        list[str] | None,
        typer.Option("--id", help="A document, by the 32 digits that `trace` shows."),
    ] = None,
    with_copies: Annotated[
        bool, typer.Option("--with-copies", help="Also exact and near duplicates of them.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Show what is forgotten; add nothing.")] = (
        False
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Takes addresses, hosts or documents down, for good; nothing takes a takedown back.

    What it does: no crawl into this workspace asks for the addresses again, in no round and no
    pass. No extraction makes documents of them, nor of a record whose id is forgotten, from
    whatever source and with whatever settings, and no model is asked about them. Documents made
    before, and what models made of them, are set aside by every plan that is made from now on, by
    run, plan and shards alike.

    What it does not do: it deletes nothing. Archives, documents, answers of models and token shards
    that hold the texts stay on disk, and plans made before stay as they are; which of them hold
    something is printed. `tokenmill erase` erases it, and `tokenmill prune --drop` removes what a
    plan pins. Copies under other addresses stay, unless --with-copies is given; they are listed. An
    address whose document is forgotten by its id alone may be asked for again. What nothing here
    bears is accepted, for it may come with a later input, and told, for it may be mistyped.
    """
    from pipelines.takedown.copies import find_copies
    from pipelines.takedown.holdings import find_holdings
    from pipelines.workspace.takedown import read_takedowns
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    asked = [*(what or ()), *(url or ()), *_hosts(host or [])]
    if show == bool(asked or id_):
        raise ValueError(
            f"found {'both' if show else 'neither'} of what to forget and --list; allowed: one of "
            "them, such as `tokenmill forget --host example.org --workspace DIR` or `--list "
            "--workspace DIR`"
        )
    before = read_takedowns(opened.storage)
    added = None if show else _forget(opened, asked, id_ or [], reason, before, with_copies)
    takedowns = read_takedowns(opened.storage)
    holdings = find_holdings(opened, takedowns)
    copies = find_copies(opened, holdings.ids)
    if as_json:
        typer.echo(json.dumps(_json(takedowns, added, holdings, copies)))
        return
    if added is None:
        lines = [*_listed(takedowns), *_told(holdings, _ALL), *_told_copies(copies)]
    else:
        own = find_copies(opened, added.held.ids, holdings.ids)
        lines = [*_forgotten(added), *_told(added.held, _FRESH), *_told_copies(own)]
        lines += _told_sum(before, holdings)
    for line in lines:
        typer.echo(line)


def _hosts(written: list[str]) -> list[str]:
    """Refuses addresses where hosts are asked for."""
    from pipelines.workspace.takedown import entries_of, is_whole_host

    for text in written:
        if not is_whole_host(entries_of([text])[0]):
            raise ValueError(
                f"found --host {text!r}; allowed: a host such as example.org, without a path; give "
                "an address as --url"
            )
    return written


def _forget(
    workspace: "Workspace",
    asked: list[str],
    ids: list[str],
    reason: str,
    before: "Takedowns",
    with_copies: bool,
) -> _Added:
    """Adds the takedown, with what was made of the documents."""
    from pipelines.takedown.copies import find_copies
    from pipelines.takedown.documents import made_of
    from pipelines.takedown.holdings import find_holdings
    from pipelines.takedown.unknown import find_unknown
    from pipelines.workspace.takedown import Takedown, Takedowns, entries_of, ids_of, take_down

    entries, named = entries_of(asked), ids_of(ids)
    asked_ids = named
    told = Takedowns((Takedown(entries=entries, reason="", at="", ids=named),))
    if with_copies:
        copies = find_copies(workspace, find_holdings(workspace, told).ids)
        named = (*named, *copies.ids)
        told = Takedowns((Takedown(entries=entries, reason="", at="", ids=named),))
    made = take_down(workspace.storage, entries, reason, (*named, *made_of(workspace, told)))
    # Only now: it reads much, and a damaged file there must not keep anything from being recorded.
    unknown = find_unknown(workspace, entries, asked_ids)
    held = find_holdings(workspace, Takedowns((*before.made, made), before.erased), before)
    return _Added(made, unknown, held)


def _named(entry: str) -> str:
    from pipelines.workspace.takedown import is_whole_host

    if is_whole_host(entry):
        return f"host {entry} and all hosts below it"
    return f"address {entry} and all below it, on all hosts below too"


def _forgotten(added: _Added) -> Iterator[str]:
    """What this call named, and what of it is not there."""
    made, unknown = added.made, added.unknown
    for entry in made.entries:
        yield f"forgotten: {_named(entry)}"
    for id_ in made.ids[:_SHOWN]:
        yield f"forgotten: document {id_}"
    if len(made.ids) > _SHOWN:
        yield f"forgotten: {len(made.ids) - _SHOWN:,} more documents; see --json"
    for entry in unknown.entries[:_SHOWN]:
        yield f"nothing here stands under {entry}; it will be obeyed if something comes"
    for id_ in unknown.ids[:_SHOWN]:
        yield f"no document has this id; it will be obeyed if one comes: {id_}"
    left_out = sum(max(0, len(some) - _SHOWN) for some in (unknown.entries, unknown.ids))
    if left_out:
        yield f"{left_out:,} more addresses and ids that nothing here has; see --json"


def _told_sum(before: "Takedowns", holdings: "Holdings") -> Iterator[str]:
    """All that is forgotten, where this call was not the first."""
    if not before.made:
        return
    tokens = sum(held.tokens for held in holdings.shards)
    yield (
        f"in all, with what was forgotten before: {sum(holdings.documents.values()):,} documents, "
        f"{tokens:,} tokens of them in {len(holdings.shards):,} shards, "
        f"{sum(holdings.archives.values()):,} records in archives; --list tells of all"
    )


def _listed(takedowns: "Takedowns") -> Iterator[str]:
    if not takedowns.made:
        yield "nothing was taken down"
    for made in takedowns.made:
        why = f": {made.reason}" if made.reason else ""
        for entry in made.entries:
            yield f"{made.at}  {_named(entry)}{why}"
        for id_ in made.ids:
            yield f"{made.at}  document {id_}{why}"


def _told(holdings: "Holdings", what: str) -> Iterator[str]:
    """What still holds something of what is forgotten, all of it or by this call."""
    for path, number in holdings.archives.items():
        records = "record" if number == 1 else "records"
        yield f"{number:,} {records} under {what} in {path}, which stays as it is"
    if not holdings.documents:
        yield f"no document of this workspace stands under {what}"
        return
    yield f"{sum(holdings.documents.values()):,} documents stand under {what}:"
    for name, number in holdings.documents.items():
        yield f"  {number:,} in {name}; plans from now on leave them out"
    yield from _told_shards(holdings.shards)
    yield "to erase them from every file of this workspace: tokenmill erase WORKSPACE"


def _told_shards(shards: tuple["HeldInShard", ...]) -> Iterator[str]:
    for folder in dict.fromkeys(held.folder for held in shards):
        some = [held for held in shards if held.folder == folder]
        draws, tokens = sum(held.draws for held in some), sum(held.tokens for held in some)
        yield (
            f"  {draws:,} draws with {tokens:,} tokens in {folder}; to remove them with "
            f"their plan: tokenmill prune WORKSPACE --drop {some[0].plan} --yes"
        )
        for held in some[:_SHOWN]:
            yield (
                f"    {held.shard} (stage {held.stage}): {held.documents:,} documents, "
                f"{held.draws:,} draws, {held.tokens:,} tokens"
            )
        if len(some) > _SHOWN:
            yield f"    and {len(some) - _SHOWN:,} more shards; see --json"
    if shards:
        yield "give `tokenmill run` first, or `plan` and `shards`, for shards without them"


def _told_copies(copies: "Copies") -> Iterator[str]:
    if not copies.ids:
        return
    yield (
        f"{len(copies.ids):,} copies of them stay under addresses of their own; --with-copies "
        "forgets them too"
    )
    if copies.stood_for:
        yield (
            f"  {copies.stood_for:,} of them are not drawn either, for a forgotten document stands "
            "for them in the clusters of the last run"
        )
    for id_ in copies.ids[:_SHOWN]:
        yield f"  {id_}"
    if len(copies.ids) > _SHOWN:
        yield f"  and {len(copies.ids) - _SHOWN:,} more; see --json"


def _json(
    takedowns: "Takedowns", added: _Added | None, holdings: "Holdings", copies: "Copies"
) -> dict[str, object]:
    """All that is forgotten; under `added` what this call named, found and did not find."""
    return {
        "added": None if added is None else _json_of(added),
        "takedowns": [asdict(one) for one in takedowns.made],
        **_held(holdings),
        "copies": list(copies.ids),
        "copies_not_drawn": copies.stood_for,
    }


def _json_of(added: _Added) -> dict[str, object]:
    unknown = {"unknown_entries": added.unknown.entries, "unknown_ids": added.unknown.ids}
    return {**asdict(added.made), **unknown, **_held(added.held)}


def _held(holdings: "Holdings") -> dict[str, object]:
    return {
        "documents": dict(holdings.documents),
        "shards": [asdict(held) for held in holdings.shards],
        "archives": dict(holdings.archives),
    }
