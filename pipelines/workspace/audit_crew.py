"""Processes that work through batches side by side, and give their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from itertools import islice
from multiprocessing import get_context
from typing import Final, TypeVar

_WAITING: Final = 3  # batches a process has been given and not answered

T = TypeVar("T")
R = TypeVar("R")


class CrewLost(RuntimeError):
    """A process of a crew is gone."""


class Crew(AbstractContextManager["Crew"]):
    """Some processes, or this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            self._pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def __exit__(self, *_: object) -> None:
        """Ends the processes; what waits is not begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
        """The result for each batch, in order; few are read ahead.

        Raises:
            CrewLost: A process died, or was ended by the system.
        """
        if self._pool is None:
            yield from map(function, batches)
            return
        waiting: deque[Future[R]] = deque()
        for batch in batches:
            waiting.append(self._pool.submit(function, batch))
            if len(waiting) == self._processes * _WAITING:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise CrewLost(
                f"one of {self._processes} processes of the audit died, as when the system ends it "
                "for want of memory; give --processes 1, or fewer than now"
            ) from error


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items, the last one shorter."""
    some = iter(items)
    while batch := list(islice(some, size)):
        yield batch
