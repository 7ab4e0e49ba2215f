"""`tokenmill demo`: examples/, served on loopback and crawled, to token shards and a report."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = "site.example"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "demo", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(demo)


def demo(
    context: typer.Context,
    workspace: Annotated[str, typer.Option(help="Folder for the result.")] = "work/demo",
) -> None:
    """Crawls the site of examples/ and takes it to the token shards of three training stages.

    The site is served on loopback, for as long as the demo runs. Options that tokenmill does not
    know go to Beam, for example --runner=PrismRunner.
    """
    from pipelines.commands.run import refuse_mistyped
    from pipelines.commands.running import run_and_report
    from pipelines.config import load_corpus
    from pipelines.crawl.site_server import serve_site

    refuse_mistyped(context.args)
    corpus = EXAMPLES / "corpus.yaml"
    if not corpus.is_file():
        raise ValueError(
            f"found no {corpus}; the demo runs in a checkout of tokenmill: clone it, or give your "
            "own corpus to `tokenmill run`"
        )
    with serve_site(EXAMPLES / "site", HOST) as port:
        run_and_report(
            load_corpus(corpus),
            workspace=workspace,
            tokens=None,
            processes=None,
            connect={HOST: f"127.0.0.1:{port}"},
            beam_args=tuple(context.args),
        )
