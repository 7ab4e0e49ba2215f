"""The command line. Each command is one file in `commands/`, imported only when it is called.

Importing this module must stay cheap: no Beam, no pyarrow, no model. That keeps `tokenmill --help`
under half a second; the help line of a command that is not called stands in `COMMANDS`.
"""

import atexit
import errno
import importlib
import os
import re
import signal
import sys
import time
from types import FrameType
from typing import Final

import typer

COMMANDS: Final = {
    "demo": ("demo", "Take the pages in examples/ to token shards, here and now."),
    "run": ("run", "Take a corpus to token shards, or on from where it was."),
    "crawl": ("crawl", "Fetch web pages, politely, into WARC files."),
    "extract": ("extract", "Extract the texts of archives, pages, PDFs and documents."),
    "annotate": ("annotate", "Label the language, quality, topic and more of plain files."),
    "judge": ("judge", "Label a sample by a chat model, to train annotators from it."),
    "synthesize": ("synthesize", "Let models rewrite, refine or write anew from plain files."),
    "export-sets": ("export_sets", "Write verified problems and answers for later stages."),
    "estimate": ("estimate", "Tell cores, hours, storage and money, before a run."),
    "deduplicate": ("deduplicate", "Label the duplicates among plain files."),
    "decontaminate": ("decontaminate", "Label quotations of benchmarks in plain files."),
    "plan": ("plan", "Show what a mixture will draw, before a shard is written."),
    "diff": ("diff", "Show what an edit of a mixture changes, or why two runs differ."),
    "explain": ("explain", "Say why a document is drawn, or is a duplicate."),
    "simulate": ("simulate", "Draw Megatron's own blend over a plan."),
    "shards": ("shards", "Write the token shards of a mixture."),
    "launch": ("launch", "Write Megatron-LM scripts that train on the shards."),
    "report": ("report", "Write one page that shows what came of a run."),
    "audit": ("audit", "Check that every record and every file is accounted for."),
    "trace": ("tracing", "Follow a document to its tokens, or a token back."),
    "status": ("status", "Show how far each job of a workspace is."),
    "forget": ("forget", "Take addresses, hosts or documents down, for good."),
    "erase": ("erase", "Delete what was forgotten, from every file."),
    "prune": ("prune", "Remove what no plan pins and no ledger names."),
    "train": ("train", "Train a model that tokenmill ships, or your own."),
    "evaluate": ("evaluate", "Measure quality on data that was not trained on."),
}
"""Command -> its module in `commands/`, its help line."""
# The name of the step, which no user has given, as Beam adds it to an error: at its end, or amid
# the words of one whose first argument is not its message. Further lines are tracebacks.
_STEP: Final = re.compile(r" \[while running '.*?'\](\n.*)?", re.DOTALL)
_INTERRUPTED: Final = 130  # 128 + SIGINT, what shells give and typer makes of Ctrl-C
_TERMINATED: Final = 143  # 128 + SIGTERM
# Cancelling a job takes up to 15 s; `timeout` and others send the signal twice.
_SAME_REQUEST_S: Final = 20.0
_SUMMARY: Final = (
    "Web pages and documents in, Megatron token shards out, with every record accounted for."
)


def build_app(wanted: str | None) -> typer.Typer:
    """The application, with the code of one command only.

    Args:
        wanted: The command that is called; the others are there by name and help line.
    """
    app = typer.Typer(
        help=_SUMMARY,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_options)
    for name, (module, help_line) in COMMANDS.items():
        if name == wanted:
            importlib.import_module(f"pipelines.commands.{module}").register(app)
        else:
            app.command(name, help=help_line)(_no_options)
    return app


def _no_options() -> None:
    """tokenmill itself takes no options."""


def command() -> None:
    """The console script: `main`, and an end that native threads cannot spoil.

    A library that leaves a C++ thread running aborts the process at its end, with another exit code
    and a line of its own. So the handlers of Python run, and then nothing else.
    """
    code: int = 0
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise
        code = ended.code or 0
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Runs the command line.

    Exit codes: 2 for a user's mistake, 1 for a failed run, 130 for Ctrl-C, 143 for SIGTERM, which
    ends a command on the same path as Ctrl-C.
    """
    wanted = next((arg for arg in sys.argv[1:] if not arg.startswith("-")), None)
    sigterm = _Sigterm()
    signal.signal(signal.SIGTERM, sigterm)
    try:
        build_app(wanted)()
    except SystemExit as left:
        if left.code != _INTERRUPTED:
            raise
        code, told = ending(KeyboardInterrupt())
    except (KeyboardInterrupt, ValueError, OSError, LookupError, RuntimeError) as error:
        code, told = ending(error)
    else:
        return
    typer.echo(told, err=True)
    sys.exit(_TERMINATED if code == _INTERRUPTED and sigterm.has_come else code)


class _Sigterm:
    """Raises the interrupt of Ctrl-C where SIGTERM comes, so that both end a command alike."""

    def __init__(self) -> None:
        self._at: float | None = None

    @property
    def has_come(self) -> bool:
        return self._at is not None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._at is None or now - self._at > _SAME_REQUEST_S:
            self._at = now
            raise KeyboardInterrupt(signal.Signals(number).name)


def ending(error: BaseException) -> tuple[int, str]:
    """Exit code and last words of a command that raised an error.

    A ValueError is a user's mistake, but not out of a pipeline that runs: what was asked for has
    been checked by then, and to ask otherwise would not help.

    Args:
        error: As the command raised it.

    Returns:
        2 for a mistake, 130 for an interrupt, else 1.
    """
    message = str(error)
    # Beam wraps the interrupt that reached a worker.
    if isinstance(error, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and message.startswith("KeyboardInterrupt")
    ):
        return _INTERRUPTED, "interrupted; give the same command again, and it goes on"
    is_mistake = isinstance(error, ValueError) and not _STEP.search(message)
    return 2 if is_mistake else 1, f"error: {_what_failed(error)}"


def _what_failed(error: BaseException) -> str:
    # Beam wraps an OSError in one without a number.
    full = f"[Errno {errno.ENOSPC}]" in str(error)
    if full or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return (
            "the disk is full; nothing that was committed is lost: free some space and give the "
            "same command again"
        )
    return _STEP.sub("", str(error)) or type(error).__name__


if __name__ == "__main__":
    command()
