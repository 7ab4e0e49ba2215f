"""`tokenmill simulate`: Megatron's own blend over a plan, before a token is written.

For each stage it prints, by length bucket, source and language, the share that the plan asks for
the share that was drawn for it, and the share of what is read after some steps, each with its
largest deviation from the plan. Steps are those of the stage; batch and number are those that
`tokenmill launch` would give.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.launch.simulation import Shares, Simulation

TOP: Final = 20
_MIN_SHARE: Final = 0.00005  # what two decimals of a percentage still show
_JOINED: Final = "\N{NO-BREAK SPACE}"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("simulate")(simulate)


def simulate(
    workspace: Annotated[str, typer.Argument(help="Folder or URL of a workspace with a run.")],
    mixtures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MIXTURE",
            help="Mixture YAMLs or names, in the order of training; default: those of the run.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model as `launch` takes it; its YAML may say the batch.")
    ] = None,
    global_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Sequences a step in the first stage.")
    ] = None,
    steps: Annotated[
        str, typer.Option(help="Steps of a stage to look at, beside its end.")
    ] = "1000,10000",
    top: Annotated[int, typer.Option(min=1, help="Rows of a table.")] = TOP,
    every: Annotated[bool, typer.Option("--all", help="All rows of all tables.")] = False,
) -> None:
    """Draws Megatron's own blend over a plan, and shows what was read after some steps.

    The choice between shards is Megatron-LM's, sample by sample. Within a shard documents are
    shuffled, so a part of a shard counts as what the whole holds.
    """
    from pipelines.commands.screen import open_console
    from pipelines.launch.model_file import load_model
    from pipelines.launch.simulation import simulate as run
    from pipelines.mix.planning import open_plan
    from pipelines.run_record import read_run_record
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    record = read_run_record(opened)
    names = mixtures or list(record.mixtures)
    if not names:
        raise LookupError(
            f"the last run of {workspace} planned no mixture; give `tokenmill simulate "
            f"{workspace} MIXTURE.yaml`"
        )
    plans = [open_plan(workspace, name)[2] for name in names]
    training = load_model(model).training if model is not None else None
    console = open_console()
    for stage in run(
        opened,
        record,
        plans,
        training=training,
        global_batch_size=global_batch_size,
        steps=_steps(steps),
    ):
        _print_stage(console, stage, None if every else top)


def _steps(text: str) -> tuple[int, ...]:
    found = [word.strip().replace("_", "") for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and int(word) > 0 for word in found):
        raise ValueError(
            f"--steps: found {text!r}; allowed: whole numbers from 1, as in 1000,10000"
        )
    return tuple(int(word) for word in found)


def _print_stage(console: Console, stage: "Simulation", top: int | None) -> None:
    from pipelines.report.story import listed, number, plural, short

    phase = stage.phase
    run, shards = phase.stage, phase.stage.used()
    console.print()
    console.print(f"Stage {phase.number}: {run.name}", style="bold")
    console.print(
        f"{plural(len(shards), 'shard')} of {short(sum(shard.tokens for shard in shards))} tokens "
        f"({'as written' if stage.is_written else 'as planned'}), {number(phase.steps)} steps of "
        f"{number(phase.global_batch_size)} x {number(run.sequence_length)} tokens."
    )
    if stage.skipped_steps:
        told = listed([number(step) for step in stage.skipped_steps])
        console.print(f"It ends before step{'s' * (len(stage.skipped_steps) > 1)} {told}.")
    if stage.is_cut:
        console.print(
            f"Its end is too far to replay; the last column is step {number(stage.steps[-1])}."
        )
    if unused := run.unused():
        tokens = short(sum(shard.tokens for shard in unused))
        console.print(
            f"Left out: {plural(len(unused), 'shard')} of {tokens} tokens, shorter than a sequence."
        )
    if len(shards) == 1:
        console.print("One shard is no blend: Megatron shuffles it as a whole.")
    for shares in stage.shares:
        _print_shares(console, stage, shares, top)


def _print_shares(console: Console, stage: "Simulation", shares: "Shares", top: int | None) -> None:
    import numpy as np

    from pipelines.commands.screen import Sheet, show, wrapped
    from pipelines.report.story import number

    heads = [f"step {number(step)}" for step in stage.steps]
    if not stage.is_cut:
        heads[-1] = f"end, {heads[-1]}"
    table = Sheet([shares.dimension, "planned", "drawn", *heads])
    told = np.vstack([shares.drawn, shares.realised])
    shown = len(shares.values) if top is None else min(top, len(shares.values))
    for row in range(shown):
        read = [_percent(value) for value in told[:, row].tolist()]
        table.add_row(shares.values[row], _percent(float(shares.planned[row])), *read)
    if shown < len(shares.values):
        rest = [_percent(float(part)) for part in told[:, shown:].sum(axis=1)]
        planned = _percent(float(shares.planned[shown:].sum()))
        table.add_row(f"{len(shares.values) - shown} more", planned, *rest)
    show(console, f"Tokens by {shares.dimension}", table)
    names = ["drawn:", *(f"{head}:" for head in heads)]
    largest = [
        f"{name} {_largest(apart.tolist(), shares.values)}".replace(" ", _JOINED)
        for name, apart in zip(names, told - shares.planned, strict=True)
    ]
    text = f"Largest deviation from the plan, in points: {'; '.join(largest)}."
    console.print(wrapped(text, console.width).replace(_JOINED, " "), soft_wrap=True)


def _largest(apart: Sequence[float], values: Sequence[str]) -> str:
    """How far the share that is furthest from its plan is, in points, and which one."""
    points, value = max(zip(apart, values, strict=True), key=lambda pair: abs(pair[0]))
    return f"{100 * points:+.2f} {value}" if abs(points) >= _MIN_SHARE else "< 0.01"


def _percent(share: float) -> str:
    return "< 0.01 %" if 0 < share < _MIN_SHARE else f"{100 * share:.2f} %"
