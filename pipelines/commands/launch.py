"""`tokenmill launch`: Megatron-LM scripts for the shards of the last run, and their check."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipelines.launch.models import MODELS
from pipelines.launch.write import Launch, make_launch, write_launch
from pipelines.run_record import read_run_record
from pipelines.workspace.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("launch")(launch)


def launch(
    workspace: Annotated[
        str | None,
        typer.Argument(help="Workspace with shards; with --verify the folder of a launch."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help=f"A YAML file of your own, or one of {', '.join(MODELS)}.")
    ] = None,
    stages: Annotated[
        str | None, typer.Option(help="Mixtures in the order of training; default: all, as listed.")
    ] = None,
    global_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Sequences a step in the first stage.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write to; default: launch/ in the workspace.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, write nothing.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare all that a launch was made from, by hash.")
    ] = False,
    shards: Annotated[
        str | None,
        typer.Option(
            help="With --verify: the workspace, or a copy; default: what it was made from."
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a model's YAML file.")
    ] = False,
) -> None:
    """Writes argument files and scripts for Megatron-LM, one a stage, each going on from the last.

    For torchrun (1-....sh), Slurm (submit.sh) and Kubernetes (kubernetes.sh). A shard is passed
    once: all repeats stand in it. Where things are on the cluster is told to the scripts by
    variables; `bash 1-....sh --dry-run` checks the shards and prints the command.
    """
    console = Console(soft_wrap=True, highlight=False)
    if schema:
        from pipelines.launch.model_file import model_schema

        print(json.dumps(model_schema(), indent=2))
        return
    if workspace is None:
        raise ValueError("launch: found no folder; allowed: a workspace, or with --verify a launch")
    if verify:
        _verify(console, workspace, shards)
        return
    if model is None:
        raise ValueError(
            f"launch: found no --model; allowed: {', '.join(MODELS)}, or a YAML file; name one"
        )
    opened = Workspace.open(workspace)
    made = make_launch(
        opened,
        read_run_record(opened),
        model,
        stages=tuple(name.strip() for name in stages.split(",")) if stages else (),
        global_batch_size=global_batch_size,
        elsewhere=output is not None,
    )
    _print_stages(console, made)
    if dry_run:
        console.print("Nothing was written. It would be:")
        where: Path | str = output or f"{workspace.rstrip('/')}/{made.folder}"
    elif output is not None:
        for path, data in made.files.items():
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            (output / path).write_bytes(data)
        where = output
    else:
        where = f"{workspace.rstrip('/')}/{write_launch(opened, made)}"
    for path in made.files:
        console.print(f"  {where}/{path}")


def _verify(console: Console, folder: str, shards: str | None) -> None:
    from pipelines.launch.lock import verify_launch

    differences = verify_launch(folder, shards)
    for difference in differences:
        console.print(f"differs  {difference}", markup=False)
    if differences:
        raise LookupError(
            f"{folder} is not what it was made from: {len(differences)} differ; make the launch "
            "anew, or bring back what was changed"
        )
    console.print(
        f"{folder}: files, tokenizer, plans, shards and code are as they were", markup=False
    )


def _print_stages(console: Console, made: Launch) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("sequence", "tokens", "steps", "batch", "left over"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("starts from")
    for phase in made.phases:
        stage = phase.stage
        tokens = sum(shard.tokens for shard in stage.shards)
        trained = phase.steps * phase.global_batch_size * stage.sequence_length
        start = "nothing"
        if phase.follows is not None:
            start = f"stage {phase.number - 1}" + (", whole" if phase.is_continued else ", weights")
        table.add_row(
            f"{phase.number} {stage.name}",
            f"{stage.sequence_length:,}",
            f"{tokens:,}",
            f"{phase.steps:,}",
            f"{phase.global_batch_size:,}",
            f"{tokens - trained:,}",
            start,
        )
    console.print(table)
    for phase in made.phases:
        for shard in phase.stage.unused():
            console.print(
                f"note: {shard.prefix} ({shard.tokens:,} tokens) is shorter than one sequence of "
                f"{phase.stage.sequence_length:,} and is not trained on"
            )
        for shard in set(phase.stage.validation) - set(phase.stage.evaluated()):
            console.print(
                f"note: {shard.prefix} ({shard.tokens:,} tokens, validation) is shorter than one "
                f"sequence of {phase.stage.sequence_length:,} and is not evaluated"
            )
