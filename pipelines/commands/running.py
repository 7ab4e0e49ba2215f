"""What `run` and `demo` share: running a corpus and telling its story."""

import time
from collections.abc import Mapping

from rich.console import Console

from mixtures.budgets import parse_tokens
from mixtures.errors import MixtureError
from pipelines.config import CorpusConfig
from pipelines.driver import RunOptions, run_corpus
from pipelines.progress import Progress
from pipelines.report.write import PATH, write_report
from pipelines.summary import print_summary
from pipelines.workspace.children import Limits, default_processes


def run_and_report(
    config: CorpusConfig,
    *,
    workspace: str,
    tokens: str | None,
    processes: int | None,
    connect: Mapping[str, str],
    beam_args: tuple[str, ...],
) -> None:
    """Runs a corpus, shows progress on standard error and the summary on standard output.

    Raises:
        MixtureError: A mixture cannot be filled from this corpus; the others were written.
    """
    progress = Progress()
    options = RunOptions(
        workspace=workspace,
        limits=Limits(processes=processes or default_processes()),
        beam_args=beam_args,
        connect=connect,
        tokens=None if tokens is None else parse_tokens(tokens),
    )
    started = time.monotonic()
    result = run_corpus(config, options, progress)
    if not result.parts_done:
        progress.say(
            f"nothing to do: all parts of {config.name} are committed in {workspace} "
            f"({time.monotonic() - started:.1f} s)"
        )
    report = f"{workspace.rstrip('/')}/{PATH}"
    if result.parts_done or not result.workspace.storage.exists(PATH):
        report = write_report(result.workspace).url
    print_summary(Console(), result, progress.seconds, report)
    if result.refused:
        raise MixtureError("\n".join(str(error) for error in result.refused.values()))
