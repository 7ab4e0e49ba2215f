"""Batches that are worked through side by side, in child processes, with results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final, TypeVar

from pipelines.workspace.children import ChildFailed, Children, Limits

_WAITING: Final = 3  # batches a process has been given and not answered
_TIMEOUT_S: Final = 24 * 3600.0  # an hour for each entry of a batch: none is stuck, stores are slow
_MEMORY_BYTES: Final = 64 << 30  # whoever checks a part needs what the job needed that made it

T = TypeVar("T")
R = TypeVar("R")


class Crew(AbstractContextManager["Crew"]):
    """Some child processes, or this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._children: Children | None = None
        if processes > 1:
            self._children = Children(Limits(processes=processes, memory_bytes=_MEMORY_BYTES))

    def __exit__(self, *_: object) -> None:
        """Ends the children, whatever they are at."""
        if self._children is not None:
            self._children.close()

    def map(
        self,
        function: Callable[[list[T]], R],
        batches: Iterable[list[T]],
        on_failure: Callable[[T, ChildFailed], R],
    ) -> Iterator[R]:
        """The result for each batch, in order; few are read ahead.

        Args:
            function: Importable by name, or a `partial` of such a one.
            batches: What it is called with.
            on_failure: Makes the result of the one item whose child died; a batch whose child died
                is done again item by item.
        """
        if self._children is None:
            yield from map(function, batches)
            return
        waiting: deque[tuple[list[T], Future[R]]] = deque()
        for batch in batches:
            waiting.append((batch, self._children.call(function, batch, timeout_s=_TIMEOUT_S)))
            if len(waiting) == self._processes * _WAITING:
                yield from self._results(function, *waiting.popleft(), on_failure)
        while waiting:
            yield from self._results(function, *waiting.popleft(), on_failure)

    def _results(
        self,
        function: Callable[[list[T]], R],
        batch: list[T],
        future: Future[R],
        on_failure: Callable[[T, ChildFailed], R],
    ) -> Iterator[R]:
        try:
            yield future.result()
        except ChildFailed as error:
            if len(batch) == 1:
                yield on_failure(batch[0], error)
                return
            yield from self.map(function, ([item] for item in batch), on_failure)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items, the last one shorter."""
    some = iter(items)
    while batch := list(islice(some, size)):
        yield batch
