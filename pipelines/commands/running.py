"""What `run` and `demo` share: running a corpus and telling its story."""

import time
from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console

from mixtures.budgets import parse_tokens
from mixtures.errors import MixtureError
from pipelines.config import CorpusConfig
from pipelines.driver import RunOptions, run_corpus
from pipelines.progress import Progress
from pipelines.report.write import PATH, write_report
from pipelines.runners import choose, is_in_process
from pipelines.summary import print_summary
from pipelines.watching.settings import WatchOptions
from pipelines.workspace.children import Limits, default_processes

# A cluster's shuffle goes to disks; only the in-process runner holds it in memory.
_NO_LIMIT = 1 << 62


def run_and_report(
    config: CorpusConfig,
    *,
    workspace: str,
    tokens: str | None,
    processes: int | None,
    connect: Mapping[str, str],
    beam_args: tuple[str, ...],
    watch: WatchOptions | None = None,
    wait_s: float = 0.0,
    shuffle_memory: int | None = None,
    dry_run: bool = False,
) -> None:
    """Runs a corpus, shows progress on standard error and the summary on standard output.

    Args:
        config: The corpus.
        workspace: Folder or URL.
        tokens: Budget of every stage in place of that in the mixtures.
        processes: Child processes a worker; the cores, where None.
        connect: Host of a crawl -> `address:port`.
        beam_args: Options for Beam, as the user typed them.
        watch: What of the progress is written where.
        wait_s: How long to wait for another run in the workspace.
        shuffle_memory: Bytes that a shuffle may take at a time.
        dry_run: Build the first job and look at it, and run nothing.

    Raises:
        MixtureError: A mixture cannot be filled from this corpus; the others were written.
        ValueError: A mistake, or a dry run found problems.
    """
    options = RunOptions(
        workspace=workspace,
        limits=Limits(
            processes=processes or default_processes(), follows_machine=processes is None
        ),
        connect=connect,
        tokens=None if tokens is None else parse_tokens(tokens),
        wait_s=wait_s,
        is_watched=not dry_run,
    )
    with Progress(options=watch or WatchOptions()) as progress:
        choice = choose(beam_args, workspace=workspace)
        for line in (*choice.says, *checked_options(choice.args)):
            progress.say(line)
        if shuffle_memory is None and not is_in_process(choice.args):
            shuffle_memory = _NO_LIMIT
        options = replace(options, beam_args=choice.args)
        if shuffle_memory is not None:
            options = replace(options, shuffle_memory_bytes=shuffle_memory)
        if dry_run:
            _check(config, options, progress)
        else:
            _run(config, options, progress)


def checked_options(beam_args: tuple[str, ...]) -> tuple[str, ...]:
    """What is to be said of options for Beam; without any, Beam is not imported: that is seconds.

    Raises:
        ValueError: One is unknown.
    """
    if not beam_args:
        return ()
    from pipelines.run import check_options

    return check_options(beam_args)


def _check(config: CorpusConfig, options: RunOptions, progress: Progress) -> None:
    """Tells what the first job would be.

    Raises:
        ValueError: It would fail.
    """
    from pipelines.dry_run import check_first_job

    checked = check_first_job(config, options, progress)
    print(checked)
    if checked.report.problems:
        raise ValueError(
            f"the job would fail: {len(checked.report.problems)} problems, told above; mend them "
            "and give the same command again"
        )


def _run(config: CorpusConfig, options: RunOptions, progress: Progress) -> None:
    workspace = options.workspace
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
