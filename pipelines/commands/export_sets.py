"""`tokenmill export-sets`: checked sets for later stages of training, from what recipes made."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export-sets")(export_sets)


def export_sets(
    workspace: Annotated[
        str, typer.Option(metavar="DIR", help="Folder or URL of the workspace of a run.")
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the JSONL files.")],
    sets: Annotated[
        str,
        typer.Option(help="Which, by commas: cold_start, rl_pairs, thinking_fusion, distillation."),
    ] = "cold_start,rl_pairs,thinking_fusion,distillation",
    min_difficulty: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of an RL pair: 1 - share of attempts that solve it."),
    ] = 0.2,
    max_difficulty: Annotated[float, typer.Option(min=0, max=1, help="Of an RL pair.")] = 1.0,
    cold_start_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of problems that fit cold start and RL pairs both.")
    ] = 0.5,
    domain_share: Annotated[
        float, typer.Option(min=0, max=1, help="Most of one field in cold start and RL pairs.")
    ] = 0.5,
    per_problem: Annotated[
        int, typer.Option(min=1, help="Most lines of a problem in cold start and distillation.")
    ] = 2,
    seed: Annotated[int, typer.Option(help="Of the split and of the order of lines.")] = 0,
    generation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JOB@FP",
            help="Only samples of this generation; may be repeated; default: of the last run.",
        ),
    ] = None,
) -> None:
    """Writes long-CoT cold start, RL pairs, thinking fusion and distillation data as JSONL."""
    from pydantic import ValidationError

    from pipelines.run_record import read_run_record
    from pipelines.synthesize.exclusions import excluded_problems
    from pipelines.synthesize.sets import write_sets
    from pipelines.synthesize.sets_plan import SetSettings
    from pipelines.workspace.workspace import Workspace

    opened = Workspace.open(workspace)
    known = opened.ledger.generations()
    for name in generation or []:
        if name not in known:
            raise ValueError(f"--generation: found no {name}; there are {', '.join(known)}")
    names = {"rl": "rl_pairs", "fusion": "thinking_fusion"}
    try:
        settings = SetSettings(
            sets=tuple(names.get(one.strip(), one.strip()) for one in sets.split(",")),
            min_difficulty=min_difficulty,
            max_difficulty=max_difficulty,
            cold_start_share=cold_start_share,
            domain_share=domain_share,
            per_problem=per_problem,
            seed=seed,
        )
    except ValidationError as error:
        raise ValueError(f"--domain-share: {error.errors()[0]['msg']}; change it") from error
    excluded: dict[bytes, str] = {}
    try:
        record = read_run_record(opened)
    except LookupError:
        typer.echo("note: no run came to its end here, so no label says what must not be exported")
    else:
        excluded = excluded_problems(opened, record)
        generation = generation or sorted(record.synthesize.values())
    told = write_sets(opened, output, settings, excluded=excluded, generations=generation)
    for name, count in told["sets"].items():
        typer.echo(
            f"{output / name}.jsonl: {count['lines']:,} lines, {count['problems']:,} problems"
        )
    left = ", ".join(f"{n:,} {reason}" for reason, n in told["left_out"].items()) or "none"
    typer.echo(f"{told['samples']:,} samples = {told['exported']:,} exported + left out: {left}")
    for name in told["domain_share_not_met"]:
        typer.echo(
            f"{name}: too few fields for a share of {domain_share:g}; fields are not balanced"
        )
