"""`tokenmill plan`: what a mixture will draw, before a shard is written.

Prints one section a stage: size, what is left out, tables with bars by language and so on, what
runs out, and what each constraint costs. All of it is read from the plan; `--json` writes the same
with exact numbers.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from pipelines.commands.screen import (
    Bar,
    Sheet,
    bar_letters,
    epochs,
    open_console,
    show,
    signed,
    wrapped,
)
from pipelines.report.story import listed, number, percent, plural, short
from pipelines.report.tables import REASONS

if TYPE_CHECKING:
    from pipelines.mix.outlook import Dimension, Outlook, StageOutlook, Synthetic

TOP: Final = 20
_FACT_WIDTH: Final = 10
_NAMED: Final = 3  # groups that a sentence names
_MOST_TIMES: Final = 12  # rows of the table of repeats
_TITLES: Final = {
    "kind": "who wrote it",
    "depth": "depth (steps of generation from what people wrote)",
    "bucket": "length bucket",
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("plan")(plan)


def plan(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace with a run.")],
    mixture: Annotated[
        str, typer.Argument(help="A mixture YAML, or the name of one that ships or was run.")
    ],
    tokens: Annotated[
        str | None, typer.Option(help="Budget of every stage in its place: 2M, 300B, max.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of a table; the rest is summed.")] = TOP,
    every: Annotated[bool, typer.Option("--all", help="All rows of all tables.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write it to a file, with exact numbers.")
    ] = None,
) -> None:
    """Shows what a mixture will draw from the last run, before a shard is written.

    Tokens are planned tokens: one that ends each document included, what the stage redacts taken
    off. `drawn` is what the shards will hold; `expected` is what the shares ask for on average.
    """
    from pipelines.mix.outlook import outlook_of
    from pipelines.mix.planning import open_plan

    _, record, planned = open_plan(workspace, mixture, tokens)
    outlook = outlook_of(planned)
    console = open_console()
    console.print(f"{outlook.mixture} on corpus {record.corpus}, seed {outlook.seed}", style="bold")
    for stage in outlook.stages:
        print_stage(console, stage, None if every else top)
    console.print()
    console.print(f"Plan: {workspace.rstrip('/')}/{outlook.plan}/plan.json", soft_wrap=True)
    if json_file is not None:
        write_json(json_file, outlook)
        console.print(f"All of it with exact numbers: {json_file}", soft_wrap=True)


def write_json(path: Path, outlook: "Outlook") -> None:
    """Writes an outlook for scripts."""
    text = json.dumps(outlook.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def print_stage(console: Console, stage: "StageOutlook", top: int | None) -> None:
    """Prints one stage.

    Args:
        console: Where to.
        stage: What it will hold.
        top: Rows of a table at most; None prints all.
    """
    console.print()
    console.print(f"Stage {stage.name}", style="bold")
    for name, told in _facts(stage):
        line = f"{name:<{_FACT_WIDTH}}  {told}"
        console.print(wrapped(line, console.width, indent=_FACT_WIDTH + 2), soft_wrap=True)
    _print_repeats(console, stage)
    shown = [
        one for one in stage.dimensions if len(one.rows) > 1 and not _is_said_by_groups(stage, one)
    ]
    tables = [(title_of(stage, one.name), _dimension_table(one, top)) for one in shown]
    if any(table.has_bars(console.width) for _, table in tables):
        drawn, lost = bar_letters(console)
        console.print()
        text = (
            f"Bars of the tables below: {drawn} is the share of the tokens drawn, {lost} what more "
            "the share of the eligible tokens is."
        )
        console.print(wrapped(text, console.width), soft_wrap=True)
    for title, table in tables:
        show(console, f"{title}, in tokens", table)
    if same := _only_values(stage):
        console.print()
        console.print(f"All of it: {', '.join(same)}.")
    _print_shortages(console, stage, top)
    _print_costs(console, stage)


def _facts(stage: "StageOutlook") -> list[tuple[str, str]]:
    total = stage.total
    apart = total.drawn_tokens - total.expected_tokens
    sigmas = f", {abs(apart) / total.sigma:.1f} sigma" if total.sigma else ""
    budget = stage.budget if isinstance(stage.budget, str) else f"{number(stage.budget)} tokens"
    shards = plural(stage.shards, "shard")
    if stage.validation_shards:
        shards += f" and {number(stage.validation_shards)} for validation"
    facts = [
        ("budget", f"{budget}, at most {stage.max_epochs:g} epochs of a document"),
        ("expected", f"{number(total.expected_tokens)} tokens ± {number(total.sigma)} (1 sigma)"),
        (
            "drawn",
            f"{number(total.drawn_tokens)} tokens ({signed(apart)} to the expected{sigmas})",
        ),
        ("epochs", f"{epochs(total.epochs)} of {number(total.tokens)} eligible tokens"),
        (
            "documents",
            f"{number(total.drawn_documents)} of {plural(total.documents, 'eligible document')}, "
            f"in {plural(total.draws, 'draw')}",
        ),
        ("left out", _reasons(stage)),
        (
            "written",
            f"{shards}; sequences of {number(stage.sequence_length)} tokens, packing "
            f"{stage.packing}, shuffle {stage.shuffle}",
        ),
    ]
    if stage.synthetic is not None:
        facts.append(("synthetic", _synthetic(stage.synthetic)))
    if stage.validation_documents:
        held_out = plural(stage.validation_documents, "document")
        told = f"{held_out} with {number(stage.validation_tokens)} tokens, held out of training"
        facts.append(("validation", told))
    return facts


def _synthetic(found: "Synthetic") -> str:
    told = (
        f"at most {100 * found.max_share:g} %; expected {_tenths(found.expected_share)}, drawn "
        f"{_tenths(found.drawn_share)}"
    )
    if found.drawn_share <= found.max_share:
        return told
    far = "" if found.above_in_sigma is None else f"{found.above_in_sigma:.1f} sigma "
    return f"{told} ({far}above: the cap holds for expected draws)"


def _tenths(share: float) -> str:
    """A share beside a cap, finer than the cap is written: 10.0 %, < 0.1 %, 0 %."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %" if share else "0 %"


def _reasons(stage: "StageOutlook") -> str:
    told = [
        f"{number(count)} {REASONS.get(reason, reason.replace('_', ' '))}"
        for reason, count in stage.reasons.items()
        if count
    ]
    return ", ".join(told) or "no document"


def _print_repeats(console: Console, stage: "StageOutlook") -> None:
    if not stage.repeats:
        return
    table = Sheet(["times", "documents", "", "tokens", "share of tokens"], names=(), spare=[4])
    most = max(one.documents for one in stage.repeats)
    shown, rest = stage.repeats[:_MOST_TIMES], stage.repeats[_MOST_TIMES:]
    lines = [(str(one.times), one.documents, one.drawn_tokens) for one in shown]
    if rest:
        sums = sum(one.documents for one in rest), sum(one.drawn_tokens for one in rest)
        lines.append((f"{rest[0].times}+", *sums))
    for times, documents, tokens in lines:
        table.add_row(
            times,
            number(documents),
            Bar(documents, most),
            short(tokens),
            percent(tokens, stage.total.drawn_tokens),
        )
    bars = ", with bars of documents" if table.has_bars(console.width) else ""
    show(console, f"How often a document is drawn{bars}", table)


def _is_said_by_groups(stage: "StageOutlook", dimension: "Dimension") -> bool:
    """Whether the table of groups has the very rows of this one."""
    groups = stage.dimension("group")
    return groups is not None and dimension.name != "group" and groups.rows == dimension.rows


def _only_values(stage: "StageOutlook") -> list[str]:
    """`name value` of dimensions in which all documents are alike."""
    return [
        f"{dimension.name} {value_of(dimension.rows[0].value, dimension.name)}"
        for dimension in stage.dimensions
        if len(dimension.rows) == 1
    ]


def value_of(value: str, dimension: str) -> str:
    """A value of a dimension as it is shown."""
    from pipelines.mix.outlook import GROUP, NULL, REST

    if value == REST:
        return "all other values"
    # A group is shown as a mixture file would name it.
    return "(none)" if value in ("", NULL) and dimension != GROUP else value


def title_of(stage: "StageOutlook", name: str) -> str:
    """The title of a dimension's table."""
    if name != "group":
        return f"By {_TITLES.get(name, name)}"
    by = " ".join((stage.group_by or "").split())
    return f"By {by}, the groups of this stage" if len(by) <= 40 else "By group"


def _dimension_table(dimension: "Dimension", top: int | None) -> Sheet:
    from pipelines.mix.outlook import folded

    table = Sheet(
        ["", "eligible", "share", "expected", "drawn", "share", "", "epochs"], spare=[5, 2]
    )
    shown, rest = folded(dimension.rows, top)
    longest = max(max(row.share_before, row.share_after) for row in shown)
    for row in [*shown, *([rest] if rest else [])]:
        drawn = Bar(row.share_after, longest, before=row.share_before)
        table.add_row(
            row.value if row is rest else value_of(row.value, dimension.name),
            short(row.tokens),
            percent(row.share_before, 1),
            short(row.expected_tokens),
            short(row.drawn_tokens),
            percent(row.share_after, 1),
            "" if row is rest else drawn,
            epochs(row.epochs),
        )
    return table


def _print_shortages(console: Console, stage: "StageOutlook", top: int | None) -> None:
    if not stage.shortages:
        return
    is_bucketed = stage.dimension("bucket") is not None
    names = ["", *(["bucket"] if is_bucketed else [])]
    table = Sheet(
        [*names, "eligible", "its share asks", "it gives", "lacking", "epochs"],
        names=range(len(names)),
    )
    shown = stage.shortages[:top]
    for one in shown:
        table.add_row(
            one.group or "all",
            *([one.bucket] if is_bucketed else []),
            short(one.tokens),
            short(one.wanted_tokens),
            short(one.expected_tokens),
            short(one.lacking_tokens),
            epochs(one.epochs),
        )
    if len(stage.shortages) > len(shown):
        rest = stage.shortages[len(shown) :]
        sums = (
            sum(getattr(one, name) for one in rest)
            for name in ("tokens", "wanted_tokens", "expected_tokens", "lacking_tokens")
        )
        bucket = [""] if is_bucketed else []
        table.add_row(f"{len(rest)} more", *bucket, *(short(one) for one in sums), "")
    show(console, f"What runs out, at {stage.max_epochs:g} epochs", table)
    taken = sum(one.tokens for one in stage.takeovers)
    if taken:
        console.print(f"Others took over {short(taken)} tokens: {_took_over(stage)}.")


def _took_over(stage: "StageOutlook") -> str:
    sums: dict[str, float] = {}
    for one in stage.takeovers:
        sums[one.group] = sums.get(one.group, 0.0) + one.tokens
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{group} {signed(tokens)}" for group, tokens in ordered[:_NAMED]]
    rest = ordered[_NAMED:]
    if rest:
        told.append(f"{len(rest)} more {signed(sum(tokens for _, tokens in rest))}")
    return listed(told)


def _print_costs(console: Console, stage: "StageOutlook") -> None:
    console.print()
    console.print("What the constraints cost", style="bold")
    for line in cost_lines(stage):
        console.print(line)


def cost_lines(stage: "StageOutlook") -> list[str]:
    """What the stage could give at most, and what each constraint takes from that, in words."""
    limited = f"; {stage.limited_by} decides that" if stage.limited_by else ""
    lines = [f"The most that they allow is {short(stage.attainable_tokens)} tokens{limited}."]
    for name, tokens in sorted(stage.costs.items(), key=lambda item: (-item[1], item[0])):
        if tokens >= 1:
            without = _without(stage, name)
            lines.append(f"{without} the most could be {short(tokens)} tokens larger.")
    return lines


def _without(stage: "StageOutlook", name: str) -> str:
    if name == "shares":
        by = (stage.group_by or "").strip()
        return f"Without the {f'{by} ' if by.isidentifier() else ''}shares"
    words = {
        "length_buckets": "Without the shares of length buckets",
        "max_epochs": f"With one epoch more (max_epochs {stage.max_epochs + 1:g})",
        "weight": "If the weight left no document out",
        "synthetic_share": "Without the cap on the synthetic share",
    }
    return words.get(name, f"Without {name}")
