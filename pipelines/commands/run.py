"""`tokenmill run`: a corpus from its input files to token shards."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        run
    )


def run(
    context: typer.Context,
    corpus: Annotated[Path, typer.Argument(help="corpus.yaml")],
    workspace: Annotated[
        str | None,
        typer.Option(help="Folder or fsspec URL; default: work/<corpus name> in this folder."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Token budget of every stage: 2M, 300B, one_epoch, max.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Child processes a worker; default: its cores.")
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST=ADDRESS:PORT: reach a host of a crawl there; may be given more than once."
        ),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="TIME", help="Wait for another run in the workspace: 30min.")
    ] = "0s",
    prometheus: Annotated[
        Path | None, typer.Option(help="Keep the figures of the run in this text file.")
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Progress as one JSON object a line, each minute.")
    ] = False,
    shuffle_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a shuffle in this process; default: 1GB."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Build and check the first Dataflow job; submit nothing."),
    ] = False,
) -> None:
    """Takes a corpus from its input files to token shards.

    What is committed is not done again: give the same command after a crash, and it goes on.
    Options that tokenmill does not know go to Beam, for example --runner=SparkRunner.
    """
    from pipelines.commands.options import read_quantity
    from pipelines.commands.running import run_and_report
    from pipelines.config import load_corpus
    from pipelines.quantities import Bytes, Seconds
    from pipelines.watching.settings import WatchOptions

    refuse_mistyped(context.args)
    sys.path.append(str(corpus.resolve().parent))  # for annotators that stand beside corpus.yaml
    config = load_corpus(corpus)
    run_and_report(
        config,
        workspace=workspace or f"work/{config.name}",
        tokens=tokens,
        processes=processes,
        connect=connections(connect or []),
        beam_args=tuple(context.args),
        watch=WatchOptions(prometheus=prometheus, log_lines=log_json),
        wait_s=read_quantity("--wait", Seconds, wait),
        shuffle_memory=(
            None
            if shuffle_memory is None
            else int(read_quantity("--shuffle-memory", Bytes, shuffle_memory))
        ),
        dry_run=dry_run,
    )


def connections(given: Sequence[str]) -> dict[str, str]:
    """Host -> address:port.

    Raises:
        ValueError: One is not of that form.
    """
    found = {}
    for word in given:
        host, _, address = word.partition("=")
        if not host or not address.rpartition(":")[0] or not address.rpartition(":")[2].isdigit():
            raise ValueError(
                f"--connect: found {word!r}; allowed is HOST=ADDRESS:PORT, such as "
                "site.example=127.0.0.1:8000"
            )
        found[host.lower()] = address
    return found


def refuse_mistyped(args: Sequence[str]) -> None:
    """Refuses what is neither ours nor can be an option of Beam.

    What Beam does not know is refused by `pipelines.run`, which alone may import it.

    Raises:
        ValueError: A further argument, or an option that looks like one of ours.
    """
    for position, word in enumerate(args):
        option = word.split("=")[0]
        near = difflib.get_close_matches(option, _OPTIONS, n=1, cutoff=0.7)
        if word.startswith("--") and near:
            raise ValueError(f"unknown option {option}; did you mean {near[0]}?")
        is_value = position > 0 and args[position - 1].startswith("--")
        if not word.startswith("-") and not (is_value and "=" not in args[position - 1]):
            raise ValueError(
                f"found a second argument {word!r}; run takes one corpus.yaml, and options for "
                "Beam as --name=value"
            )


_OPTIONS = (
    "--workspace",
    "--tokens",
    "--processes",
    "--connect",
    "--wait",
    "--prometheus",
    "--log-json",
    "--shuffle-memory",
    "--dry-run",
    "--help",
)
