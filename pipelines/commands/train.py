"""`tokenmill train`: makes the models that tokenmill ships, or your own of the same kind."""

from pathlib import Path
from typing import Annotated, Literal, cast

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


_Data = Annotated[
    list[Path],
    typer.Option(
        help="JSON Lines (.gz, .zst) or Parquet with text and labels, or a folder of such; may be "
        "given more than once."
    ),
]
_Output = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the model and its card.")]
_Licence = Annotated[str, typer.Option(help="Of the model, as its card will say.")]
_Column = Annotated[str | None, typer.Option(help="Column or field of the label.")]
_Seed = Annotated[int, typer.Option(help="Decides the order of documents.")]


@app.command("language")
def train_language_command(
    data: Annotated[Path, typer.Option(help="Folder of sentences whose language is known.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the model's files.")],
    seed: Annotated[
        int, typer.Option(help="Decides the order of lines and the start vectors.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="More than 1 is not reproducible.")] = 1,
) -> None:
    """Train the language identifier; minutes on one core for the data of its card."""
    from annotators.language.training import train_language

    trained = train_language(data, output, seed=seed, threads=threads)
    typer.echo(
        f"{trained.folder}: {trained.num_labels} labels from {trained.num_lines:,} lines, "
        f"{trained.num_bytes:,} bytes"
    )


@app.command("domain")
def train_domain_command(
    data: Annotated[
        Path, typer.Option(help="JSON lines (.gz) with text, topic and format of pages.")
    ],
    output: _Output,
    licence: _Licence,
    seed: Annotated[int, typer.Option(help="Decides the order of pages.")] = 1,
    url: Annotated[
        bool, typer.Option("--url/--no-url", help="Learn from the words of addresses, too.")
    ] = False,
    own_labels: Annotated[
        bool, typer.Option("--own-labels", help="Labels may have other names than WebOrganizer's.")
    ] = False,
) -> None:
    """Train topics and formats of your own; a minute for 5,000 pages."""
    from annotators.domain.examples import read_examples
    from annotators.domain.training import DomainSettings, train_domain

    examples = list(read_examples(data, own_labels=own_labels))
    settings = DomainSettings.with_urls() if url else DomainSettings()
    for trained in train_domain(
        examples, output, seed=seed, settings=settings, own_labels=own_labels, licence=licence
    ):
        typer.echo(
            f"{output / trained.task}.npz: {trained.num_labels} labels from "
            f"{trained.num_pages:,} pages, {trained.num_terms:,} terms, {trained.num_bytes:,} bytes"
        )


@app.command("quality")
def train_quality_command(
    data: _Data,
    output: _Output,
    licence: _Licence,
    label_column: _Column = None,
    features: Annotated[
        str, typer.Option(help="words (any language), signals (English), or the better.")
    ] = "better",
    seed: _Seed = 1,
) -> None:
    """Train a quality score from good and bad documents, and say how well it orders others."""
    from annotators.quality.training import render_trained, train_quality

    allowed = ("better", "words", "signals")
    if features not in allowed:
        raise ValueError(
            f"--features: found {features!r}; allowed are {', '.join(allowed)}: name one of them"
        )
    trained = train_quality(
        data,
        output,
        licence=licence,
        column=label_column,
        features=cast(Literal["better", "words", "signals"], features),
        seed=seed,
    )
    typer.echo(render_trained(trained))


@app.command("quality-default")
def train_default_quality_command(
    data: Annotated[Path, typer.Option(help="Folder of pages and of edited texts.")],
    output: Annotated[Path, typer.Option(help="Coefficients to write, .json.")],
    seed: Annotated[int, typer.Option(help="Decides how pages are damaged.")] = 1,
) -> None:
    """Train the default quality score, which learns from no label."""
    from annotators.heuristics.score_training import render_training, train_default_score

    typer.echo(render_training(train_default_score(data, output, seed=seed)))


@app.command("educational")
def train_educational_command(
    data: _Data, output: _Output, licence: _Licence, label_column: _Column = None, seed: _Seed = 1
) -> None:
    """Train educational value from documents with 0 to 5 points, as `tokenmill judge` gives."""
    from annotators.quality.training import render_trained, train_educational

    typer.echo(
        render_trained(
            train_educational(data, output, licence=licence, column=label_column, seed=seed)
        )
    )


@app.command("safety")
def train_safety_command(
    data: _Data,
    output: _Output,
    licence: _Licence,
    label_column: _Column = "safety",
    seed: _Seed = 1,
) -> None:
    """Train safety categories from documents with their names, as `tokenmill judge` gives."""
    from annotators.quality.categories import render_categories, train_categories

    trained = train_categories(
        data, output, licence=licence, column=label_column or "safety", seed=seed
    )
    typer.echo(render_categories(trained))


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
