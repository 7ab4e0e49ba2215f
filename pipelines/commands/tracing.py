"""`tokenmill trace`: from an input to its token ranges, and from a token or a step back.

A document is shown as lines of `name: value` that fit a terminal; one labels set is one line, or
as many as it takes, broken between its labels. What only a program reads (MinHash bands, hashes)
is left out: the Parquet files have it.
"""

import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from pipelines.launch.steps import ReadRange, StageRun, StepReader, StepSample
    from pipelines.workspace.tracing import Found, Rejected
    from pipelines.workspace.workspace import Workspace

_WIDTH: Final = 100
_MAX_LISTED: Final = 20
_CLUSTER: Final = "cluster"  # the one binary label that says something: equal in all its members
_PAGE_COUNTS: Final = ("pages", "ocr_pages", "blank_pages", "rejected_pages")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("trace")(trace)


def trace(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace.")],
    what: Annotated[
        str,
        typer.Argument(
            help="Document id, URL, path within a source, the end of one, FILE:OFFSET, "
            "SHARD:TOKEN, or STAGE:STEP."
        ),
    ],
    logged: Annotated[
        bool, typer.Option("--logged", help="STEP is the iteration that Megatron logs.")
    ] = False,
    launch: Annotated[
        str | None, typer.Option(help="Folder of the launch, where several differ in STAGE.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All samples of a step.")] = False,
) -> None:
    """Follows a document from where it came from to every range of tokens it fills.

    SHARD:TOKEN goes the other way: the path of a .bin within the workspace and a position in it.
    STAGE:STEP tells the documents of one training step, such as 2:12345 or stem_4k:12345: the stage
    of a launch by number or name, and a step counted from 1 in that stage. Megatron's log goes on
    counting over stages of one length; --logged takes its number.
    """
    from pipelines.workspace.tracing import document_at_token, find, find_fetches, shard_token
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    what = what.removeprefix(f"{opened.url}/")
    if asked := _stage_and_step(opened, what, launch):
        _show_step(opened, *asked, is_logged=logged, every=every)
        return
    if place := shard_token(what):
        what = document_at_token(opened, *place).hex()
        typer.echo(f"token {place[1]} of {place[0]} belongs to document {what}")
    documents, rejects = find(opened, what)
    if not documents and not rejects:
        _show_fetches(find_fetches(opened, what), what)
    elif len({*map(_handle, documents), *map(_handle, rejects)}) > 1:
        _list_matches(documents, rejects, what)
    else:
        for found in documents:
            _show(opened, found)
        for reject in rejects:
            _show_reject(opened, reject)


def _stage_and_step(
    workspace: "Workspace", what: str, folder: str | None
) -> tuple["StageRun", int] | None:
    """The stage and number of STAGE:STEP; a name before the colon may also be that of a file."""
    stage, colon, number = what.rpartition(":")
    if not colon or not number.isdecimal() or "/" in stage:
        return None
    from pipelines.launch.steps import find_stage

    try:
        return find_stage(workspace, stage, folder), int(number)
    except (LookupError, ValueError):
        if stage.isdecimal() or folder is not None or _is_stage(workspace, stage):
            raise
        return None


def _is_stage(workspace: "Workspace", name: str) -> bool:
    from pipelines.launch.steps import launch_folders, stages_of

    runs = (run for folder in launch_folders(workspace) for run in stages_of(workspace, folder))
    return any(run.is_called(name) for run in runs)


def _show_step(
    workspace: "Workspace", run: "StageRun", number: int, *, is_logged: bool, every: bool
) -> None:
    """The samples of a step, each with its shard and documents."""
    from pipelines.launch.steps import StepReader, step_samples

    step = run.step_of(number, is_logged=is_logged)
    samples = step_samples(run, step)
    first = (step - 1) * run.global_batch_size + 1
    _line(
        f"step {step:,} of stage {run.number}, {run.name}",
        f"iteration {run.first_step + step:,} in Megatron's log",
    )
    _line("  launch", run.folder)
    _line(
        "  samples",
        f"{first:,} to {first + len(samples) - 1:,} of {run.size:,}, each of "
        f"{run.sequence_length:,} tokens and the label of the last",
    )
    reader, lines = StepReader(workspace, run), 0
    for sample in samples:
        if lines >= _MAX_LISTED and not every:
            typer.echo(f"  and {len(samples) - sample.number + 1} more samples; add --all")
            break
        lines += _show_sample(reader, sample)


def _show_sample(reader: "StepReader", sample: "StepSample") -> int:
    """A line for its shard, and one for each document; gives how many."""
    ranges = reader.ranges(sample)
    names = reader.names(sample, [found.id for found in ranges if found.id is not None])
    _line(f"sample {sample.number}", f"sample {sample.sample:,} of {sample.prefix}")
    for found in ranges:
        place = f"  tokens {found.token_start} to {found.token_end} ({found.num_tokens})"
        _line(place, _document_read(found, names))
    return 1 + len(ranges)


def _document_read(found: "ReadRange", names: Mapping[bytes, str]) -> str:
    if found.id is None:
        return "padding"
    piece = f" piece {found.piece}" if found.piece else ""
    return f"{found.id.hex()} draw {found.draw}{piece} {names[found.id]}"


def _show(workspace: "Workspace", found: "Found") -> None:
    from pipelines.erasure.record import erased_at
    from pipelines.workspace.tracing import document_of, labels_of, ranges_of, shard_rejects_of

    document = document_of(workspace, found)
    _line("document", found.id.hex())
    if at := erased_at(workspace, found.id):
        _line("  erased", f"on {at}; its rows stay, blanked, and its tokens are EOD")
    for name in ("uri", "source", "media_type", "license", "declared_language", "extractor"):
        _line(f"  {name}", document[name])
    _line("  from", _place(document["locator"]))
    _line("  provenance", _provenance(document["provenance"]))
    _show_pages(workspace, found, document)
    _line("  stands in", f"{found.entry.file('documents').path} row {found.row}")
    _line("  begins", repr(document["text"][:80]))
    for generation, labels in labels_of(workspace, found):
        if told := _pairs(labels):
            _fold(f"labels {generation}", told)
    drawn = 0
    for prefix, row in ranges_of(workspace, found.id):
        drawn += 1
        _line(f"draw {row['draw']}", f"{prefix} tokens {row['token_start']} to {row['token_end']}")
    for entry, one in shard_rejects_of(workspace, found.id):
        drawn += 1
        _line(
            f"rejected by {entry.job}@{entry.fp}",
            f"{entry.source} shard {entry.part}, {one['draws']} of its draws, "
            f"{_why(one['reason'], one['message'])}",
        )
    if not drawn:
        _line("draws", "none; `tokenmill status` and the plan say which stage left it out")


def _show_pages(workspace: "Workspace", found: "Found", document: dict[str, Any]) -> None:
    """What became of the pages of a PDF."""
    from pipelines.workspace.tracing import page_rejects_of

    meta = dict(document["meta"] or ())
    if numbers := document["locator"]["pages"]:
        told = [f"{name} {meta[name]}" for name in _PAGE_COUNTS if name in meta]
        _fold("  text of pages", [" ".join(map(str, numbers)), *told])
    for page, reason, message in page_rejects_of(workspace, found.entry, found.id):
        _line(f"  page {page} rejected", _why(reason, message))


def _show_reject(workspace: "Workspace", reject: "Rejected") -> None:
    from pipelines.workspace.tracing import page_rejects_of

    row, entry = reject.row, reject.entry
    _line(f"rejected by {entry.job}@{entry.fp}", _why(row["reason"], row["message"]))
    _line("  id", row["id"] and row["id"].hex())
    _line("  uri", row["uri"])
    _line("  source", entry.source)
    _line("  from", _place(row["locator"]))
    for page, reason, message in page_rejects_of(workspace, entry, row["id"]):
        _line(f"  page {page} rejected", _why(reason, message))


def _show_fetches(fetches: list[dict[str, Any]], what: str) -> None:
    """What became of addresses that gave no document.

    Raises:
        ValueError: There are none.
    """
    if not fetches:
        raise ValueError(
            f"found no document, reject or crawled address {what!r}; give an id of 32 hex digits, "
            "a URL, a path within a source or the end of either from a / on, FILE:OFFSET, "
            "SHARD:TOKEN, or STAGE:STEP"
        )
    for fetch in fetches[:_MAX_LISTED]:
        _line(fetch["url"], _fate(fetch))
    _say_more(len(fetches))


def _fate(fetch: Mapping[str, Any]) -> str:
    if fetch["reason"] is not None:
        return f"not fetched, {fetch['reason']}" + _in_brackets(fetch["message"])
    fate = f"fetched as a {fetch['kind']}, status {fetch['status']}"
    if fetch["final_url"] not in (None, fetch["url"]):
        return f"{fate}, after a redirect to {fetch['final_url']}; trace that"
    return f"{fate}; no extraction has met it"


def _list_matches(documents: list["Found"], rejects: list["Rejected"], what: str) -> None:
    """One line a match, to choose from."""
    typer.echo(f"{len(documents)} documents and {len(rejects)} rejects match {what!r}:")
    lines = [_row(_handle(found), found.uri, found.entry.source) for found in documents]
    for reject in rejects:
        told = _row(_handle(reject), reject.row["uri"], reject.entry.source)
        lines.append(f"{told}  rejected: {reject.row['reason']}")
    for line in lines[:_MAX_LISTED]:
        typer.echo(f"  {line}")
    _say_more(len(lines))
    typer.echo("choose one: trace its first column")


def _handle(match: "Found | Rejected") -> str:
    """The id; where a reject has none, FILE:OFFSET."""
    from pipelines.workspace.tracing import Found

    if isinstance(match, Found):
        return match.id.hex()
    locator, id_ = match.row["locator"], match.row["id"]
    return id_.hex() if id_ is not None else f"{locator['file']}:{locator['offset']}"


def _row(handle: str, uri: str | None, source: str) -> str:
    return f"{handle}  {uri or '(no uri)'}  {source}"


def _say_more(number: int) -> None:
    if number > _MAX_LISTED:
        typer.echo(f"  and {number - _MAX_LISTED} more; ask for a longer path")


def _pairs(labels: Mapping[str, Any]) -> list[str]:
    """`name value` of the labels that a person reads."""
    return [
        f"{name} {_value(value)}"
        for name, value in labels.items()
        if value is not None and (name == _CLUSTER or not isinstance(value, bytes))
    ]


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return _spans(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _spans(spans: list[Any]) -> str:
    """How many of each kind; of spans of contamination the kind is the benchmark."""
    kinds = Counter(
        str(span.get("kind") or span.get("benchmark") or "spans") for span in spans if span
    )
    return " ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())) or "none"


def _provenance(provenance: Mapping[str, Any]) -> str:
    told = [f"{provenance['kind']}, depth {provenance['depth']}"]
    told += [f"{name} {provenance[name]}" for name in ("model", "recipe") if provenance[name]]
    return ", ".join(told)


def _place(locator: Mapping[str, Any]) -> str:
    return f"{locator['file']}:{locator['offset']} length {locator['length']}"


def _why(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _in_brackets(message: str | None) -> str:
    return f" ({message})" if message else ""


def _line(name: str, value: object) -> None:
    if value is not None:
        typer.echo(f"{name}: {value}")


def _fold(name: str, pairs: list[str]) -> None:
    """A line of pairs, broken only between them."""
    fixed = "\u00a0"  # textwrap breaks at ASCII blanks alone
    told = (
        f"{name}: ".replace(" ", fixed)[:-1]
        + " "
        + ", ".join(pair.replace(" ", fixed) for pair in pairs)
    )
    lines = textwrap.wrap(
        told, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    typer.echo("\n".join(lines).replace(fixed, " "))
