"""`tokenmill train`: makes the models that tokenmill ships, or your own of the same kind."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Train a model that tokenmill ships, or your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Adds the command and those below it."""
    parent.add_typer(app, name="train")


@app.callback()
def _train() -> None:
    """Train a model that tokenmill ships, or your own."""


@app.command("language")
def train_language_command(
    data: Annotated[Path, typer.Option(help="Folder of sentences whose language is known.")],
    output: Annotated[Path, typer.Option(help="Model to write, .ftz; its .json stands beside it.")],
    seed: Annotated[
        int, typer.Option(help="Decides the order of lines and the start vectors.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="More than 1 is not reproducible.")] = 1,
) -> None:
    """Train the language identifier; two minutes on one core for the data of its card."""
    from annotators.language.training import train_language

    trained = train_language(data, output, seed=seed, threads=threads)
    typer.echo(
        f"{trained.path}: {trained.num_labels} labels from {trained.num_lines:,} lines, "
        f"{trained.num_bytes:,} bytes"
    )


@app.command("domain")
def train_domain_command(
    data: Annotated[
        Path, typer.Option(help="JSON lines (.gz) with text, topic and format of pages.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the model.")],
    seed: Annotated[int, typer.Option(help="Decides the order of pages.")] = 1,
) -> None:
    """Train topics and formats of your own; under a minute for 5,000 pages."""
    from annotators.domain.examples import read_examples
    from annotators.domain.training import train_domain

    for trained in train_domain(list(read_examples(data)), output, seed=seed):
        typer.echo(
            f"{output / trained.task}.npz: {trained.num_labels} labels from "
            f"{trained.num_pages:,} pages, {trained.num_terms:,} terms, {trained.num_bytes:,} bytes"
        )


@app.command("quality")
def train_quality_command(
    data: Annotated[Path, typer.Option(help="Folder of pages that people called good or bad.")],
    output: Annotated[Path, typer.Option(help="Coefficients to write, .json.")],
) -> None:
    """Train the quality score, and say how well it orders pages that it has not seen."""
    from annotators.heuristics.score_training import render_score, train_quality

    typer.echo(render_score(train_quality(data, output)))


@app.command("tokenizer")
def train_tokenizer_command(
    input: Annotated[list[str], typer.Option(help="File, folder or glob of texts or pages.")],
    output: Annotated[Path, typer.Option(help="Folder for tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option(min=259, help="At most so many tokens.")] = 16_000,
) -> None:
    """Train a byte-level BPE tokenizer, for a corpus that is to have its own."""
    from itertools import chain

    from pipelines.extract.texts import read_texts
    from token_shards.training import train_tokenizer

    texts = chain.from_iterable(read_texts(path) for path in input)
    tokenizer = train_tokenizer(texts, vocab_size)
    output.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(output / "tokenizer.json"))
    typer.echo(f"{output / 'tokenizer.json'}: {tokenizer.get_vocab_size():,} tokens")
