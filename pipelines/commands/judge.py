"""`tokenmill judge`: labels a sample of documents by a chat model, to distil annotators from it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipelines.judge.job import Outcome
    from pipelines.judge.rubric import Rubric
    from pipelines.judge.sample import Sample

_EVERY: Final = 100
_MOST_VALUES: Final = 6


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("judge")(judge_command)


def judge_command(
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="PATH",
            help="File, folder or glob of Parquet or JSONL (also .gz, .zst); may be given more "
            "than once.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for answers and labels.")],
    endpoint: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="OpenAI-compatible, up to /v1; echo: answers by rules, for a dry run.",
        ),
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model, by the endpoint's name for it.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="At most so many documents; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which documents are in the sample.")] = 0,
    rubric: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions of your own, as YAML.")
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable that holds the key."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 2000,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    text_column: Annotated[str, typer.Option(help="Column or field of the text.")] = "text",
    format: Annotated[str, typer.Option(help="Of the labelled documents: jsonl, parquet.")] = (
        "jsonl"
    ),
) -> None:
    """Labels a sample of documents by a chat model with a published rubric.

    What was answered is kept: the same command again asks only what is missing or failed at the
    endpoint. Exit code 1 where the endpoint cannot be used or every document is rejected.
    `tokenmill train educational --data DIR` and the like learn from the folder as it is.
    """
    from pipelines.judge.asking import Endpoint
    from pipelines.judge.echo import ECHO_ENDPOINT, ECHO_MODEL
    from pipelines.judge.job import FORMATS, judge
    from pipelines.judge.rubric import load_rubric
    from pipelines.judge.sample import draw_sample

    if format not in FORMATS:
        raise ValueError(f"--format: found {format!r}; allowed are {', '.join(FORMATS)}")
    questions = load_rubric(rubric)
    asked = Endpoint(
        url=_endpoint(endpoint, model),
        model=model or ECHO_MODEL,
        api_key=_key(api_key_env),
        max_tokens=max_tokens,
    )
    drawn = draw_sample(inputs, sample, seed=seed, text_column=text_column)
    typer.echo(_told_sample(drawn, questions), err=True)
    if endpoint == ECHO_ENDPOINT:
        typer.echo("the labels of echo: are made by rules and worth nothing", err=True)
    outcome = judge(
        drawn, questions, asked, output, format=format, concurrency=concurrency, seed=seed,
        told=_tell, notice=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    typer.echo(_told(outcome))
    if outcome.error:
        raise RuntimeError(f"{outcome.error} ({outcome.num_missing:,} documents are missing)")
    if drawn.documents and not outcome.num_judged:
        raise RuntimeError(
            f"every document was rejected ({_counts(outcome)}): there are no labels; "
            f"{output / 'rejects'} holds what was wrong with each"
        )


def _endpoint(url: str, model: str | None) -> str:
    """Checks the address.

    Raises:
        ValueError: It is none, or needs a model.
    """
    from pipelines.judge.echo import ECHO_ENDPOINT

    if url == ECHO_ENDPOINT:
        return url
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"--endpoint: found {url!r}; give the address of an OpenAI-compatible server up to "
            "/v1, as http://localhost:8000/v1, or echo: for a dry run"
        )
    if model is None:
        raise ValueError("--model: name the model that the endpoint is to use")
    return url


def _key(name: str | None) -> str | None:
    """The key in an environment variable.

    Raises:
        ValueError: There is no such variable.
    """
    if name is None:
        return None
    if not os.environ.get(name):
        raise ValueError(
            f"--api-key-env: the environment has no variable {name}; set it to the key"
        )
    return os.environ[name]


def _tell(done: int, asked: int) -> None:
    if done % _EVERY == 0 or done == asked:
        typer.echo(f"{done:,} of {asked:,} answered", err=True)


def _told_sample(drawn: "Sample", rubric: "Rubric") -> str:
    left_out = [
        f"{count:,} {what}"
        for count, what in ((drawn.num_twice, "twice"), (drawn.num_without_text, "without text"))
        if count
    ]
    also = f" ({', '.join(left_out)}, left out)" if left_out else ""
    return (
        f"{len(drawn.documents):,} of {drawn.num_read:,} documents{also}, rubric {rubric.name}/"
        f"{rubric.version} {rubric.hash}"
    )


def _told(outcome: "Outcome") -> str:
    lines = [
        f"judged {outcome.num_judged:,}, asked now {outcome.num_asked:,}, missing "
        f"{outcome.num_missing:,}",
        f"rejected, in rejects/: {_counts(outcome) or 'none'}",
        f"tokens: {outcome.prompt_tokens:,} in, {outcome.completion_tokens:,} out",
    ]
    for name, counts in outcome.values.items():
        most = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))[:_MOST_VALUES]
        lines.append(f"{name:<14}" + ", ".join(f"{value} {count:,}" for value, count in most))
    return "\n".join([*lines, f"labels: {outcome.path}"])


def _counts(outcome: "Outcome") -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in outcome.rejects.items())
