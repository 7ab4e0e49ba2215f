"""The ear of a stage: what its pipelines, and what works for them in this process, have to tell.

`pipelines.progress` opens one for each stage. Where nobody watches (a worker of a cluster, a test)
what is told goes to the log, which runners gather.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_open: list["Watch"] = []
_told: set[str] = set()


def log(line: str) -> None:
    """One line of information into the log."""
    logging.getLogger("tokenmill").warning(line)


class Watch:
    """Listens to one stage."""

    def __init__(self, say: Callable[[str], None] = log) -> None:
        self.say = say
        """Takes one line for the user; from any thread."""
        self.pipelines = 0
        """Pipelines of the stage that were begun; a shuffle is several."""

    def begin_pipeline(self) -> None:
        """Notes that one begins."""
        self.pipelines += 1

    def say_once(self, lines: Iterable[str]) -> None:
        """Says what this process has not said before."""
        for line in lines:
            if line not in _told:
                _told.add(line)
                self.say(line)


@contextmanager
def listening(watch: Watch) -> Iterator[Watch]:
    """Makes a watch the one that hears what is told in this process."""
    _open.append(watch)
    try:
        yield watch
    finally:
        _open.remove(watch)


def current_watch() -> Watch:
    """The watch of the stage that runs in this process; one that logs, where none does."""
    return _open[-1] if _open else Watch()


def tell(line: str) -> None:
    """Tells whoever watches this process one line; from any thread."""
    current_watch().say(line)
