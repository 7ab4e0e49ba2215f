"""`tokenmill explain`: why the data is as it is, one question a sub-command.

`explain duplicate` stands in a module of its own. `explain draw` prints for each stage the
conditions of `where` with what they say of the document, its group, and the sum that leads to the
number of its draws.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipelines.commands.naming import only_document
from pipelines.commands.screen import open_console, wrapped
from pipelines.report.story import number, percent, plural
from pipelines.report.tables import REASONS

if TYPE_CHECKING:
    from pipelines.mix.explanation import Cell, Draw, Explanation, Verdict, Weighting
    from pipelines.mix.plan import Plan
    from pipelines.workspace.tracing import Found
    from pipelines.workspace.workspace import Workspace

_NAME_WIDTH: Final = 12
_DECIMALS: Final = 4
_MAX_DECIMALS: Final = 16
_SAYS: Final = {True: "true", False: "FALSE", None: "NULL"}
_WHY_OUT: Final = {
    "repeated_record": "the same record was met before, and that one stands for both",
    "not_labelled": "an annotator died on it; `tokenmill trace` shows which labels are missing",
    "validation": "its text is held out of training, to measure the loss on; the validation shards "
    "hold it once where the conditions below are true",
    "near_validation": "its text is close to one that is held out of training",
    "no_weight": "its weight is 0 or null, or a score of it is null",
    "too_deep": "more steps of generation lie behind it than max_depth allows",
    "cut_to_nothing": "the stage cuts all of its text",
    "too_many_rewrites": "more rewrites of its seed come before it than are allowed",
}

app = typer.Typer(
    help="Say why a document is drawn, or is a duplicate.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Adds the command and those below it."""
    from pipelines.commands.explain_duplicate import duplicate

    app.command("duplicate")(duplicate)
    parent.add_typer(app, name="explain")


@app.callback()
def _explain() -> None:
    """Say why a document is drawn, or is a duplicate."""


@app.command("draw")
def draw(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace with a run.")],
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Document id, URL, path within a source, the end of one, FILE:OFFSET, FILE#ROW "
            "or SHARD:TOKEN.",
        ),
    ],
    mixture: Annotated[
        str | None,
        typer.Option(help="A mixture YAML or name; default: all of the last run."),
    ] = None,
) -> None:
    """Says for every stage why a document is drawn as often as it is, or not at all."""
    from pipelines.mix.explanation import explain
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    plans = _plans(opened, workspace, mixture)
    found = only_document(opened, what)
    pinned = [(plan, place) for plan in plans for place in found if _is_in(plan, place)]
    if not pinned:
        raise ValueError(
            f"document {found[0].id.hex()} is of {found[0].entry.job}@{found[0].entry.fp}, and the "
            "last run reads another generation, which has no such document; run the corpus to "
            "the end, or trace the id"
        )
    typer.echo(f"document {found[0].id.hex()} {found[0].uri or ''}".rstrip())
    is_repeated = (
        len({(place.entry.source, place.entry.part, place.row) for _, place in pinned}) > 1
    )
    for plan, place in pinned:
        if is_repeated:
            where = f"{place.entry.source} part {place.entry.part} row {place.row}"
            typer.echo(f"\nits record in {where}")
        for one in explain(opened, plan, place):
            typer.echo()
            print_explanation(one)


def _plans(opened: "Workspace", url: str, mixture: str | None) -> "list[Plan]":
    from pipelines.mix.planning import open_plan
    from pipelines.run_record import read_run_record

    if mixture is not None:
        return [open_plan(url, mixture)[2]]
    record = read_run_record(opened)
    if not record.mixtures:
        raise ValueError(
            f"the last run of {url} made no mixture; name one with --mixture, a YAML file or one "
            "that ships"
        )
    for name in record.refused:
        typer.echo(f"note: mixture {name} was refused in the last run; --mixture says why")
    return [open_plan(url, name)[2] for name in record.mixtures]


def _is_in(plan: "Plan", found: "Found") -> bool:
    from pipelines.mix.explanation import place_in

    return place_in(plan, found) is not None


def print_explanation(told: "Explanation") -> None:
    """Prints what one stage makes of the document, in lines as wide as the screen."""
    outcome = f"drawn {_times(told.draws)}" if told.is_eligible else "not eligible"
    typer.echo(f"{told.mixture}, stage {told.stage.name}: {outcome}")
    if not told.is_eligible:
        plain = REASONS.get(told.reason, told.reason.replace("_", " "))
        _line("out", _WHY_OUT.get(told.reason, plain))
    for verdict in told.verdicts:
        _line("where", _verdict(verdict))
    if told.planned_tokens is not None and told.num_tokens is not None:
        _line("tokens", _tokens(told))
    if told.group is not None:
        by = " ".join((told.stage.group_by or "").split())
        _line("group", f"{told.group}, by {by}")
    if told.stage.length_buckets:
        _line("bucket", _bucket(told))
    if told.cell is not None:
        _print_sum(told, told.cell)
    for one in told.written:
        _line(f"draw {one.row['draw']}", _range(one, told))
    if told.draws and not told.written:
        _line("written", "not yet; `tokenmill shards` writes the shards of this plan")


def _range(one: "Draw", told: "Explanation") -> str:
    row = one.row
    pieces = sum(other.row["draw"] == row["draw"] for other in told.written)
    piece = f", piece {row['piece'] + 1} of {pieces}" if pieces > 1 else ""
    return f"{one.shard} tokens {row['token_start']} to {row['token_end']}{piece}"


def _verdict(verdict: "Verdict") -> str:
    labels = ", ".join(f"{name} {_value(value)}" for name, value in verdict.labels.items())
    return f"{_SAYS[verdict.holds]:<5}  {' '.join(verdict.sql.split())}" + (
        f"   [{labels}]" if labels else ""
    )


def _value(value: Any) -> str:  # noqa: ANN401 - labels are of any type
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return plural(len(value), "item")
    if isinstance(value, bytes):
        return value.hex()
    return "null" if value is None else repr(value) if isinstance(value, str) else str(value)


def _tokens(told: "Explanation") -> str:
    assert told.num_tokens is not None
    assert told.planned_tokens is not None
    cut = told.num_tokens + 1 - told.planned_tokens
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(told.cuts.items()))
    by = f"cuts ({kinds})" if kinds else "cuts"
    changed = f", {number(abs(cut))} {'less' if cut > 0 else 'more'} by {by}" if cut else ""
    return (
        f"{number(told.planned_tokens)}: {number(told.num_tokens)} as labelled, one that ends the "
        f"document{changed}"
    )


def _bucket(told: "Explanation") -> str:
    if told.bucket is None:
        ends = ", ".join(f"{b.name} {b.min:,} to {b.max:,}" for b in told.stage.length_buckets)
        return f"none; there are {ends}"
    one = next(bucket for bucket in told.stage.length_buckets if bucket.name == told.bucket)
    return f"{one.name}: above {one.min:,}, up to {one.max:,} tokens"


def _print_sum(told: "Explanation", cell: "Cell") -> None:
    """From the budget to the draws."""
    budget = told.budget if isinstance(told.budget, str) else f"{number(told.budget)} tokens"
    limited = f", as {told.limited_by} allows" if told.limited_by and told.budget == "max" else ""
    _line(
        "budget", f"{budget}; the stage is planned at {number(told.stage_tokens)} tokens{limited}"
    )
    place = "its group" if told.group is not None else "the stage"
    if told.stage.length_buckets:
        place += " in this length bucket"
    _line(
        "its share",
        f"{place} holds {number(cell.tokens)} tokens in {plural(cell.documents, 'document')}; "
        f"{_shares(told)} {number(cell.stated_tokens)} tokens of the stage{_moved(told, cell)}",
    )
    mean = f"{cell.expected_draws:.{_DECIMALS}f}"
    sum_of = f"{number(cell.expected_tokens)} / {number(cell.tokens)} tokens = {mean}"
    if told.weighting is None:
        _line("mean draws", sum_of)
    else:
        _line("mean draws", f"{sum_of}; the weight says how that is spread over its documents")
        _line("weight", _weight(told, told.weighting))
    decimals = _decimals(told)
    _line("E", f"{told.expected_draws:.{decimals}f} expected draws of this document")
    _line(
        "u",
        f"{told.u:.{decimals}f}, its number between 0 and 1, a function of seed {told.seed}, "
        "stage name and id",
    )
    _line("drawn", _rule(told, decimals))


def _shares(told: "Explanation") -> str:
    shares = told.stage.shares
    if isinstance(shares, dict):
        written = shares.get(told.group or "", shares.get("*"))
        return f"share {written:g} asks for" if written is not None else "no share asks, so"
    if isinstance(shares, str):
        return f"{shares} shares ask for"
    return f"shares of temperature {shares.temperature:g} ask for"


def _moved(told: "Explanation", cell: "Cell") -> str:
    moved = cell.expected_tokens - cell.stated_tokens
    if cell.ran_out:
        return (
            f", more than {told.stage.max_epochs:g} epochs give: it gets "
            f"{number(cell.expected_tokens)}"
        )
    if moved >= 1:
        return f", and {number(moved)} more that others left at their cap"
    return ""


def _weight(told: "Explanation", weighting: "Weighting") -> str:
    kind = "value" if isinstance(told.stage.weight, str) else "score"
    share = percent(weighting.percentile, 1)
    return (
        f"{kind} {weighting.value:.4g}, above {share} of those tokens; "
        f"{plural(weighting.documents, 'document')} with the same, to 8 bits"
    )


def _decimals(told: "Explanation") -> int:
    """As many as show which of u and the fraction of E is the larger, and that E is not 0."""
    fraction = told.expected_draws - math.floor(told.expected_draws)
    for decimals in range(_DECIMALS, _MAX_DECIMALS):
        shown = f"{fraction:.{decimals}f}"
        if shown != f"{told.u:.{decimals}f}" and (float(shown) or not fraction):
            return decimals
    return _MAX_DECIMALS


def _rule(told: "Explanation", decimals: int) -> str:
    whole = math.floor(told.expected_draws)
    fraction = told.expected_draws - whole
    u, part = f"{told.u:.{decimals}f}", f"{fraction:.{decimals}f}"
    capped = ""
    if told.expected_draws >= told.stage.max_epochs:
        capped = f"; E is the cap, max_epochs {told.stage.max_epochs:g}"
    if not fraction:
        return f"{_times(told.draws)}: E is the whole number {whole}{capped}"
    more = f"1 more because u {u} < {part}" if told.u < fraction else f"no more: u {u} >= {part}"
    return f"{_times(told.draws)}: the whole part of E is {whole}, and {more}, its fraction{capped}"


def _times(count: int) -> str:
    return {0: "0 times", 1: "once"}.get(count, f"{count} times")


def _line(name: str, told: str) -> None:
    line = f"  {name:<{_NAME_WIDTH}}{told}"
    typer.echo(wrapped(line, open_console().width, indent=_NAME_WIDTH + 4))
