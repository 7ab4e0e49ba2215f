"""`tokenmill shards`: the token shards of one mixture, on the labels of the last run.

Plans the mixture, or reads its plan, writes what is missing, and enters it into run.json, so that
`launch` and `report` see it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from pipelines.commands.screen import Sheet, open_console, show, wrapped
from pipelines.report.story import number, percent, plural, short

if TYPE_CHECKING:
    from pipelines.run_record import RunRecord
    from pipelines.shards.outcome import StageOutcome

_FORMAT: Final = "megatron"  # the one that launch scripts are written for
_MIN_ERROR: Final = 0.0001  # below it a share is told as < 0.01 %


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "shards", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(shards)


def shards(
    context: typer.Context,
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace with a run.")],
    mixture: Annotated[
        str, typer.Argument(help="A mixture YAML, or the name of one that ships or was run.")
    ],
    tokens: Annotated[
        str | None, typer.Option(help="Budget of every stage in its place: 2M, 300B, max.")
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "--output-format",
            help="megatron, mds, parquet or npy; default: shard_format of corpus.yaml.",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes a worker; default: its cores.")
    ] = None,
) -> None:
    """Writes the token shards of a mixture from the labels of the last run.

    What is committed is not written again. Options that tokenmill does not know go to Beam, for
    example --runner=SparkRunner.
    """
    from pipelines.commands.running import checked_options
    from pipelines.mix.planning import open_plan
    from pipelines.progress import Progress
    from pipelines.run_record import write_run_record
    from pipelines.runners import choose
    from pipelines.shards.outcome import outcomes
    from pipelines.shards.writing import ShardSettings, map_parts_here, write_shards
    from pipelines.workspace.children import Limits, default_processes
    from pipelines.workspace.lease import hold
    from token_shards.formats import check_format

    if output_format is not None:
        check_format(output_format)
    opened, record, plan = open_plan(workspace, mixture, tokens)
    progress = Progress()
    limits = Limits(processes=processes or default_processes())
    settings = ShardSettings(
        tokenizer=record.tokenizer, eod=record.eod, format=output_format or record.shard_format
    )
    choice = choose(context.args, workspace=workspace)
    for line in (*choice.says, *checked_options(choice.args)):
        progress.say(line)
    with hold(opened, what="tokenmill shards", say=progress.say):
        run_parts = map_parts_here(opened, limits, progress, choice.args)
        jobs = write_shards(opened, plan, settings, run_parts)
    before, record = (
        record,
        replace(
            record,
            mixtures={**record.mixtures, plan.mixture: plan.folder},
            shards={**record.shards, plan.mixture: jobs[0].generation.name},
            refused={name: why for name, why in record.refused.items() if name != plan.mixture},
        ),
    )
    write_run_record(opened, record)
    console = open_console()
    if not progress.seconds:
        console.print(f"nothing to do: all shards of {plan.mixture} are committed")
    _print_outcomes(console, outcomes(opened, plan, jobs))
    console.print()
    console.print(wrapped(_entered(before, record, plan.mixture), console.width), soft_wrap=True)
    if settings.format != _FORMAT:
        text = (
            f"They are written as {settings.format}, which `tokenmill launch` refuses: give it "
            f"--stages without {plan.mixture}."
        )
        console.print(wrapped(text, console.width), soft_wrap=True)
    for job in jobs:
        console.print(f"Shards: {workspace.rstrip('/')}/{job.folder}/", soft_wrap=True)


def _entered(before: "RunRecord", after: "RunRecord", mixture: str) -> str:
    """What became of the record of the last run, in words."""
    was, now = before.mixtures.get(mixture), after.mixtures[mixture]
    if was is None:
        place = _ordinal(len(after.mixtures))
        told = f"{mixture} was added to the last run as its {place} mixture; `tokenmill launch` "
        return f"{told}trains it last unless --stages says otherwise."
    if was != now:
        return f"The last run's {mixture} is now this one, {now} (was {was})."
    shards = before.shards.get(mixture)
    if shards is None:
        return f"The last run's {mixture} had no shards; it has these now."
    if shards != after.shards[mixture]:
        return f"The last run's shards of {mixture} are now these (were {shards})."
    return f"The last run's {mixture} is this one, as before."


def _error(found: "StageOutcome") -> str:
    """Written against drawn: +1.2 %; of what is too small for a sign, that it is not 0."""
    off = abs(found.planning_error)
    sign = ("+" if found.planning_error > 0 else "-") if off >= _MIN_ERROR else ""
    return f"{sign}{percent(off, 1)}"


def _ordinal(position: int) -> str:
    """`1st`, `2nd`, `11th`."""
    last = position % 10 if position % 100 not in (11, 12, 13) else 0
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{position}{ends.get(last, 'th')}"


def _print_outcomes(console: Console, found: Sequence["StageOutcome"]) -> None:
    said = Sheet(["stage", "expected", "drawn", "written", "writer error", "padding"])
    done = Sheet(["stage", "draws", "documents", "shards", "work", "tokens/s"])
    for one in found:
        name = one.stage if one.split == "train" else f"{one.stage} ({one.split})"
        said.add_row(
            name,
            f"{short(one.expected)} ± {short(one.sigma)}",
            short(one.planned),
            short(one.realised),
            _error(one),
            f"{one.padding_share:.2%}",
        )
        done.add_row(
            name,
            number(one.draws),
            number(one.documents),
            number(one.shards),
            f"{one.seconds:.1f} s",
            short(one.tokens_per_second),
        )
    show(console, "Tokens, without padding", said)
    text = (
        "expected ± 1 sigma: what the shares ask for; drawn: what the plan counts of its draws; "
        "writer error: written against drawn, by which redaction was misjudged."
    )
    console.print(wrapped(text, console.width), soft_wrap=True)
    show(console, "What was written", done)
    for one in found:
        if one.emptied:
            text = (
                f"{one.stage}: {plural(one.emptied, 'draw')} not written, because cuts leave "
                "nothing of the text"
            )
            console.print(wrapped(text, console.width), soft_wrap=True)
        if one.rejected:
            text = (
                f"{one.stage}: {plural(one.rejected, 'draw')} not written, because the tokenizer "
                "died on the text; the ledger entries of the shards name the documents"
            )
            console.print(wrapped(text, console.width), soft_wrap=True)
