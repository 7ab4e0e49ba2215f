"""Erases copies of a workspace, each killed (SIGKILL) at another step, and goes on with each.

`killed_at_steps.py URL ...`: one copy for each of `STEPS`, in their order. Prints a JSON array for
each: the step, whether the plan of the erasure was there after the kill, and how many drafts the
kill left in $TMPDIR. The command is what people give, lease included. Processes are forked, each of
which connects by itself, because importing takes longer than erasing.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from killed_erasures import StoppedClock, in_child

from pipelines.commands.erase import erase_command
from pipelines.erasure import erasing
from pipelines.erasure.swap import is_unfinished
from pipelines.workspace import storage as storages
from pipelines.workspace.workspace import Workspace

STEPS = {
    "new files go up": ("publish", "shards/", 2),
    "entries are replaced": ("replace", "ledger/", 4),
    "entries are folded": ("publish", "ledger/", 2),
    "old files go": ("remove", "shards/", 1),
}
"""What is about to be done to which paths, and the how many-th time."""


def die_at(operation: str, prefix: str, number: int) -> None:
    """Arms this process."""
    real: Callable[..., Any] = getattr(storages.Storage, operation)
    left = number

    def act(self: storages.Storage, *args: Any) -> Any:  # noqa: ANN401 - whatever storage takes
        nonlocal left
        left -= str(args[-1] if operation == "publish" else args[0]).startswith(prefix)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *args)

    setattr(storages.Storage, operation, act)


def erase(url: str) -> None:
    """Gives the command."""
    with redirect_stdout(StringIO()):
        erase_command(url, yes=True, reason="a letter", as_json=True)


def tell(step: str, url: str) -> None:
    """Prints what a kill left."""
    storage = Workspace.open(url).storage
    print(json.dumps([step, is_unfinished(storage), len(storage.drafts())]), flush=True)


def main() -> None:
    """See the module."""
    erasing.datetime = StoppedClock  # type: ignore[misc]
    for (step, (operation, prefix, number)), url in zip(STEPS.items(), sys.argv[1:], strict=True):

        def armed(url: str = url, at: tuple[str, str, int] = (operation, prefix, number)) -> None:
            die_at(*at)
            erase(url)

        ended = in_child(armed)
        assert os.WTERMSIG(ended) == signal.SIGKILL, f"{step}: it ended with {ended}"
        in_child(lambda step=step, url=url: tell(step, url))  # type: ignore[misc]
        ended = in_child(lambda url=url: erase(url))  # type: ignore[misc]
        assert not ended, f"{step}: went on with {ended}"


if __name__ == "__main__":
    main()
