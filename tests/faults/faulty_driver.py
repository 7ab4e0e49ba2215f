"""`tokenmill run` with its clock held and a fault built in.

`faulty_driver.py FAULT ARGUMENT ... -- CORPUS --workspace W ...`

A crawl archives the time of each request, so two crawls differ in their bytes; here they get the
same times, and whatever else differs is a fault. FAULT is one of

    none
    kill before|after JOB N     SIGKILL of this process at the n-th commit of a job
    jump                        the system's clock jumps to and fro by days and years
    unleased                    as if the lease had been lost without notice: two drivers write
"""

import os
import random
import signal
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from itertools import count
from types import SimpleNamespace

HELD = datetime(2026, 1, 1, tzinfo=UTC)


class HeldClock(datetime):
    """A datetime whose now is always the same."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return HELD.astimezone(tz)


def hold_clock() -> None:
    """Gives the crawl the same times in every run."""
    from pipelines.crawl import exchange, job

    exchange.datetime = job.datetime = HeldClock  # type: ignore[misc]
    exchange.time = SimpleNamespace(monotonic=lambda: 0.0)  # type: ignore[assignment]


def kill_at_commit(when: str, job: str, number: int) -> None:
    """Dies by SIGKILL before or after the n-th entry of a job is written."""
    from pipelines.workspace.ledger import Entry, Ledger

    commits, commit = count(1), Ledger.commit

    def commit_and_die(self: Ledger, entry: Entry) -> bool:
        is_last = entry.job == job and next(commits) == number
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = commit(self, entry)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Ledger.commit = commit_and_die  # type: ignore[method-assign]


def let_clock_jump() -> None:
    """Moves the wall clock by up to ten years either way, at random, at every look."""
    real, chance = time.time, random.Random(1)
    time.time = lambda: max(0.0, real() + chance.choice((-1, 1)) * chance.uniform(0, 3.2e8))


def lose_lease() -> None:
    """Lets this driver write though another one does."""
    from pipelines.workspace import lease

    @contextmanager
    def held(*_: object, **__: object):  # noqa: ANN202
        yield SimpleNamespace(check=lambda: None)

    lease.hold = held  # type: ignore[assignment]


def main() -> None:
    """Becomes `tokenmill run`."""
    split = sys.argv.index("--")
    (fault, *words), rest = sys.argv[1:split], sys.argv[split + 1 :]
    hold_clock()
    if fault == "kill":
        kill_at_commit(words[0], words[1], int(words[2]))
    elif fault == "jump":
        let_clock_jump()
    elif fault == "unleased":
        lose_lease()
    from pipelines.cli import command

    sys.argv = ["tokenmill", "run", *rest]
    command()


if __name__ == "__main__":
    main()
