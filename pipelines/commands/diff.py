"""`tokenmill diff`: what an edit of a mixture changes in what is drawn, or what two runs differ in.

Both mixtures are planned on the labels of the last run; what is printed is the difference of the
two plans, the largest changes of what is expected first: what is drawn differs by chance too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from pipelines.commands.plan import cost_lines, title_of, value_of
from pipelines.commands.screen import (
    Sheet,
    epochs,
    open_console,
    show,
    show_rows,
    signed,
    wrapped,
)
from pipelines.report.story import listed, number, percent, short
from pipelines.report.tables import REASONS

if TYPE_CHECKING:
    from pipelines.mix.comparison import (
        Comparison,
        DimensionChange,
        RowChange,
        Setting,
        StageChange,
    )
    from pipelines.mix.outlook import StageOutlook

TOP: Final = 10
_RUN: Final = "run"
_NAMED: Final = 8  # groups that a sentence names
_ARROW: Final = "->"
_WIDE: Final = 100  # characters from which on tables show expected tokens beside the drawn ones
_WEIGHT: Final = "weight"
_ALWAYS: Final = 2  # first rows of the totals, which are shown even where nothing changes


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("diff")(diff)


def diff(
    workspace: Annotated[
        str, typer.Argument(help="Folder or URL of a workspace with a run; or the word `run`.")
    ],
    before: Annotated[
        str,
        typer.Argument(
            help="A mixture YAML, or the name of one that ships or was run; after `run` a "
            "workspace, or WORKSPACE#NUMBER for a run of its history."
        ),
    ],
    after: Annotated[
        str | None, typer.Argument(help="Another. After `run` it may be left out.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Budget of every stage of both: 2M, 300B, max.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of a table.")] = TOP,
    every: Annotated[bool, typer.Option("--all", help="All rows of all tables.")] = False,
    language: Annotated[
        str | None, typer.Option(help="After `run`: follow this one, such as tha_Thai.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write it to a file, with exact numbers.")
    ] = None,
) -> None:
    """Shows what an edit of a mixture changes, or, as `diff run A B`, what two runs differ in.

    Of mixtures, before a shard is written: stages are matched by name; tokens are planned tokens
    that are drawn, as `tokenmill plan` shows.

    Of runs: documents and tokens by language, source, topic and kind, the step that each change
    comes from (fewer such documents, quality, duplicates, the mixture), and the settings that
    differ there. `diff run W` compares the last two runs of the workspace W.
    """
    if workspace == _RUN:
        from pipelines.commands.diff_runs import diff_runs

        if tokens is not None:
            raise ValueError("--tokens: found with `diff run`; it is of mixtures: leave it out")
        diff_runs(before, after, language=language, top=None if every else top, json_file=json_file)
        return
    if after is None or language is not None:
        raise ValueError(
            f"found {'--language' if after else 'one mixture'}; allowed are `tokenmill diff "
            "WORKSPACE BEFORE AFTER` with two mixtures, or `tokenmill diff run A B` with two runs"
        )
    from pipelines.mix.comparison import compare
    from pipelines.mix.planning import open_plan

    plans = [open_plan(workspace, mixture, tokens)[2] for mixture in (before, after)]
    compared = compare(*plans)
    console = open_console()
    if json_file is not None:
        text = json.dumps(compared.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        json_file.write_text(text + "\n", encoding="utf-8")
    if compared.is_nothing:
        console.print(f"nothing changes: {before} and {after} draw the same", soft_wrap=True)
    else:
        console.print(f"{before} {_ARROW} {after}", style="bold", soft_wrap=True)
        print_comparison(console, compared, None if every else top)
    if json_file is not None:
        console.print(f"All of it with exact numbers: {json_file}", soft_wrap=True)


def print_comparison(console: Console, compared: "Comparison", top: int | None) -> None:
    """Prints what differs.

    Args:
        console: Where to.
        compared: Two mixtures.
        top: Rows of a table at most; None prints all.
    """
    for setting in compared.settings:
        console.print(_setting(setting))
    if compared.settings:
        console.print("Another seed draws other documents, also where no count differs.")
    orders = [[stage.name for stage in o.stages] for o in (compared.before, compared.after)]
    if orders[0] != orders[1]:
        console.print(f"stages: {', '.join(orders[0])} {_ARROW} {', '.join(orders[1])}")
    for stage in compared.removed:
        _print_alone(console, stage, "is removed; it drew")
    for stage in compared.added:
        _print_alone(console, stage, "is added; it draws")
    for change in compared.stages:
        _print_stage(console, change, top)


def _print_alone(console: Console, stage: "StageOutlook", what: str) -> None:
    total = stage.total
    console.print()
    console.print(f"Stage {stage.name}", style="bold")
    console.print(
        f"{what} {number(total.drawn_tokens)} tokens, {number(total.drawn_documents)} documents in "
        f"{number(total.draws)} draws ({epochs(total.epochs)} epochs)."
    )


def _print_stage(console: Console, change: "StageChange", top: int | None) -> None:
    console.print()
    console.print(f"Stage {change.name}", style="bold")
    if change.is_nothing:
        console.print("Nothing changes.")
        return
    for setting in change.settings:
        console.print(wrapped(_setting(setting), console.width, indent=2), soft_wrap=True)
    if change.before == change.after:
        console.print("No count changes.")
        return
    show_rows(console, _totals(change))
    console.print(_by_chance(change))
    if change.groups_differ:
        console.print("group_by differs, so the groups are others and have no table here.")
    for dimension in change.dimensions:
        if not (_is_said_by_groups(change, dimension) or _has_one_value(change, dimension)):
            _print_dimension(console, change, dimension, top)
    _print_limits(console, change)


def _setting(setting: "Setting") -> str:
    if setting.key == _WEIGHT:
        one, other = ("none" if v is None else _written(v) for v in (setting.before, setting.after))
        return f"{_WEIGHT}: {one} {_ARROW} {other}"
    if setting.before is None:
        return f"{setting.key}: also {_written(setting.after)}"
    if setting.after is None:
        return f"{setting.key}: no longer {_written(setting.before)}"
    return f"{setting.key}: {_written(setting.before)} {_ARROW} {_written(setting.after)}"


def _written(value: Any) -> str:  # noqa: ANN401 - whatever a mixture file holds
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):  # as a mixture file would have it
        return f"{{{', '.join(f'{key}: {_written(one)}' for key, one in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _by_chance(change: "StageChange") -> str:
    old, new = (number(stage.total.sigma) for stage in (change.before, change.after))
    return f"Tokens drawn also differ by chance: 1 sigma is {old} before and {new} after."


def _totals(change: "StageChange") -> Sheet:
    """Sums of the stage that differ, and the tokens, whether they differ or not."""
    old, new = change.before, change.after
    table = Sheet(["", "before", "after", "change", ""])
    lines: list[tuple[str, float, float]] = [
        ("tokens drawn", old.total.drawn_tokens, new.total.drawn_tokens),
        ("tokens expected", old.total.expected_tokens, new.total.expected_tokens),
        ("documents drawn", old.total.drawn_documents, new.total.drawn_documents),
        ("draws", old.total.draws, new.total.draws),
        ("eligible documents", old.total.documents, new.total.documents),
        ("eligible tokens", old.total.tokens, new.total.tokens),
    ]
    for reason in {**old.reasons, **new.reasons}:
        named = REASONS.get(reason, reason.replace("_", " "))
        counts = old.reasons.get(reason, 0), new.reasons.get(reason, 0)
        lines.append((f"documents out, {named}", *counts))
    lines.append(("shards", old.shards, new.shards))
    lines.append(("most tokens allowed", old.attainable_tokens, new.attainable_tokens))
    for position, (name, before, after) in enumerate(lines):
        if position < _ALWAYS or round(before) != round(after):
            table.add_row(name, *_columns(before, after))
    if epochs(old.total.epochs) != epochs(new.total.epochs):
        apart = new.total.epochs - old.total.epochs
        both = epochs(old.total.epochs), epochs(new.total.epochs)
        table.add_row("epochs", *both, f"{apart:+.2f}", "")
    return table


def _columns(before: float, after: float) -> tuple[str, str, str, str]:
    return short(before), short(after), signed(round(after) - round(before)), _part(before, after)


def _part(before: float, after: float) -> str:
    """The change as a part of what was before: +12 %, new, gone."""
    if round(before) == round(after):
        return ""
    if not before or not after:
        return "gone" if before else "new"
    sign = "+" if after > before else "-"
    return f"{sign}{percent(abs(after - before), before)}"


def _is_said_by_groups(change: "StageChange", dimension: "DimensionChange") -> bool:
    groups = next((one for one in change.dimensions if one.name == "group"), None)
    return groups is not None and dimension.name != "group" and groups.rows == dimension.rows


def _has_one_value(change: "StageChange", dimension: "DimensionChange") -> bool:
    """Whether all documents are alike in it before and after, so that the totals say it all."""
    old, new = (stage.dimension(dimension.name) for stage in (change.before, change.after))
    values = {row.value for one in (old, new) if one for row in one.rows}
    return len(values) == 1


def _print_dimension(
    console: Console, change: "StageChange", dimension: "DimensionChange", top: int | None
) -> None:
    is_wide = console.width >= _WIDE
    heads = ["", "before", "after", "change", "", "expected", "share", "epochs"]
    table = Sheet(heads, spare=[6, 4, 7])
    shown = dimension.rows[:top]
    for row in shown:
        table.add_row(
            value_of(row.value, dimension.name),
            *_columns(row.drawn_before, row.drawn_after),
            _expected([row], is_wide=is_wide),
            f"{_share(row, after=False)} {_ARROW} {_share(row, after=True)}",
            f"{_epochs(row, after=False)} {_ARROW} {_epochs(row, after=True)}",
        )
    rest = dimension.rows[len(shown) :]
    if rest:
        sums = sum(row.drawn_before for row in rest), sum(row.drawn_after for row in rest)
        table.add_row(
            f"{len(rest):,} more", *_columns(*sums), _expected(rest, is_wide=is_wide), "", ""
        )
    title = f"{title_of(change.after, dimension.name)}, in tokens drawn"
    show(console, f"{title}; first what changes most in expected tokens", table)


def _expected(rows: Sequence["RowChange"], *, is_wide: bool) -> str:
    """Expected tokens before and after; on a narrow screen how much they change."""
    sums = sum(row.expected_before for row in rows), sum(row.expected_after for row in rows)
    if not is_wide:
        return signed(round(sums[1]) - round(sums[0]))
    return f"{short(sums[0])} {_ARROW} {short(sums[1])}"


def _share(row: "RowChange", *, after: bool) -> str:
    one = row.after if after else row.before
    return percent(one.share_after if one else 0.0, 1)


def _epochs(row: "RowChange", *, after: bool) -> str:
    one = row.after if after else row.before
    return epochs(one.epochs if one else 0.0)


def _print_limits(console: Console, change: "StageChange") -> None:
    """Who runs out and what constraints cost, where that differs."""
    old, new = _ran_out(change.before), _ran_out(change.after)
    lines = []
    if change.groups_differ:  # a group of one is no group of the other, even of the same name
        lines += [
            f"{when} {_names(groups)} run{'s' * (len(groups) == 1)} out."
            for when, groups in (("before:", old), ("after: ", new))
            if groups
        ]
    else:
        if old - new:
            lines.append(f"No longer runs out: {_names(old - new)}.")
        if new - old:
            lines.append(f"Runs out now: {_names(new - old)}.")
    before, after = cost_lines(change.before), cost_lines(change.after)
    if before != after:
        lines += [*(f"before: {line}" for line in before), *(f"after:  {line}" for line in after)]
    if lines:
        console.print()
        console.print("What runs out, and what the constraints cost", style="bold")
    for line in lines:
        console.print(wrapped(line, console.width, indent=8), soft_wrap=True)


def _ran_out(stage: "StageOutlook") -> set[str]:
    is_bucketed = stage.dimension("bucket") is not None
    return {f"{one.group} in {one.bucket}" if is_bucketed else one.group for one in stage.shortages}


def _names(groups: set[str]) -> str:
    ordered = sorted(groups)
    more = [f"{len(ordered) - _NAMED} more"] if len(ordered) > _NAMED else []
    return listed([*ordered[:_NAMED], *more])
