"""`tokenmill shards`: the token shards of one mixture, on the labels of the last run.

Plans the mixture, or reads its plan, writes what is missing, and enters it into run.json, so that
`launch` and `report` see it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.commands.screen import open_console, plain_table, show
from pipelines.report.story import number, short

if TYPE_CHECKING:
    from pipelines.shards.outcome import StageOutcome


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
    from pipelines.mix.planning import open_plan
    from pipelines.progress import Progress
    from pipelines.run_record import write_run_record
    from pipelines.shards.outcome import outcomes
    from pipelines.shards.writing import ShardSettings, map_parts_here, write_shards
    from pipelines.workspace.children import Limits, default_processes
    from token_shards.formats import check_format

    if output_format is not None:
        check_format(output_format)
    opened, record, plan = open_plan(workspace, mixture, tokens)
    progress = Progress()
    limits = Limits(processes=processes or default_processes())
    jobs = write_shards(
        opened,
        plan,
        ShardSettings(
            tokenizer=record.tokenizer,
            eod=record.eod,
            format=output_format or record.shard_format,
        ),
        map_parts_here(opened, limits, progress, tuple(context.args)),
    )
    record = replace(
        record,
        mixtures={**record.mixtures, plan.mixture: plan.folder},
        shards={**record.shards, plan.mixture: jobs[0].generation.name},
        refused={name: why for name, why in record.refused.items() if name != plan.mixture},
    )
    write_run_record(opened, record)
    console = open_console()
    if not progress.seconds:
        console.print(f"nothing to do: all shards of {plan.mixture} are committed")
    _print_outcomes(console, outcomes(opened, plan, jobs))
    console.print()
    for job in jobs:
        console.print(f"Shards: {workspace.rstrip('/')}/{job.folder}/", soft_wrap=True)


def _print_outcomes(console: Console, found: Sequence["StageOutcome"]) -> None:
    said = plain_table(["stage", "expected", "planned", "realised", "error", "in sigma", "padding"])
    done = plain_table(["stage", "draws", "documents", "shards", "work", "tokens/s"])
    for one in found:
        name = one.stage if one.split == "train" else f"{one.stage} ({one.split})"
        off = one.error_in_sigma
        said.add_row(
            name,
            short(one.expected),
            short(one.planned),
            short(one.realised),
            f"{one.error:+.3%}",
            "-" if off is None else f"{off:+.2f}",
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
    show(console, "Tokens, without padding; error: realised against expected", said)
    show(console, "What was written", done)
