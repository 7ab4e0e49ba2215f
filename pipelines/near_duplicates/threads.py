"""Work side by side on threads, for kernels, numpy and Arrow let go of the interpreter lock.

The in-process Beam runner is one process with one thread of work, and what is compared is already
in its memory: threads use the other cores without copying it to children.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_order(
    function: Callable[[_T], _R], arguments: Iterable[_T], num_threads: int
) -> Iterator[_R]:
    """Applies a function to each argument, on threads.

    Args:
        function: Safe to be called on several threads.
        arguments: Taken only as results are, so that at most `num_threads + 1` are in memory.
        num_threads: At least 1.

    Yields:
        Results in the order of the arguments.
    """
    flight: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for argument in arguments:
            flight.append(pool.submit(function, argument))
            if len(flight) > num_threads:
                yield flight.popleft().result()
        while flight:
            yield flight.popleft().result()
