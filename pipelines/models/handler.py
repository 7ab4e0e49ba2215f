"""One event loop for all requests of a process to a model, and ordered work in it from job threads.

A process has one handler a model: a thread of its own with an event loop, one client, and one bound
of requests in flight, whatever the number of parts at work. A job gives its coroutines to the loop
and takes their results in order. It runs ahead of the slowest by a window, which decides how full
the model is kept: answers differ in length, and a slow one at the head of the window soon finds all
behind it finished and the model idle. In a simulation of one part at 256 requests in flight, with
lognormal lengths (sigma 1, at most 32 medians), windows of 1, 4, 8 and 16 times that kept 12, 33,
57 and 93 % of the requests in flight; with four parts at work, 48, 99, 100 and 100 %.
"""

import asyncio
import contextlib
import os
import resource
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from importlib import import_module
from multiprocessing.util import Finalize
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from pipelines.models.chat import Answer, Request
from pipelines.models.client import Client
from pipelines.models.settings import ModelConfig
from pipelines.models.thinking import answer_of
from pipelines.models.upstream import Upstream

T = TypeVar("T")
R = TypeVar("R")

WINDOW: Final = 16
"""Default window of `map_ordered`, in requests in flight."""
IN_FLIGHT_WITHOUT_MODEL: Final = 64

_SPARE_FILES: Final = 256
"""File descriptors of a worker beside its connections."""


class Handler:
    """Asks one model for all jobs of this process."""

    def __init__(
        self,
        model: ModelConfig | None,
        upstream: Upstream | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Starts the thread; nothing is asked yet.

        Args:
            model: Whom to ask; None for recipes that ask none and only want the loop.
            upstream: Where it is.
            sleep: Waits between tries, for seconds.

        Raises:
            ValueError: The environment has no key for it, or the system allows too few
                connections.
        """
        self.model = model
        self.in_flight = IN_FLIGHT_WITHOUT_MODEL if model is None else model.in_flight
        self.client: Client | None = None
        self._pending: dict[str, asyncio.Future[Answer | None]] = {}
        if model is not None:
            _allow_files(model.in_flight + _SPARE_FILES)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()
        if model is not None and upstream is not None:
            try:
                self.client = self.run(_open_client(model, upstream, sleep))
            except BaseException:
                self.close()
                raise

    def map_ordered(
        self,
        items: Iterable[T],
        make: Callable[[T], Awaitable[R]],
        window: int | None = None,
    ) -> Iterator[R]:
        """Runs a coroutine on each item, many at once; called from any thread but the loop's.

        Args:
            items: Taken one by one, as there is room in the window.
            make: What to do with one; runs in the handler's loop, so it may not block.
            window: Most items that are at work or wait for an earlier one; default: 16 times
                `in_flight`. Smaller where items are large.

        Yields:
            The results, in the order of the items.

        Raises:
            Exception: Whatever `make` raises first; the others are cancelled and have ended.
        """
        flight = _Flight(self._loop, make)
        most = WINDOW * self.in_flight if window is None else window
        try:
            for item in items:
                flight.start(item)
                while flight.num_held >= most:
                    yield flight.next()
            while flight.num_held:
                yield flight.next()
        finally:
            self._end(flight)

    def _end(self, flight: "_Flight") -> None:
        if threading.current_thread() is self._thread:
            # The garbage collector ran here and found what a failed job had left.
            flight.cancel()
        elif not self._loop.is_closed():
            self.run(flight.stop())

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of one coroutine; called from any thread but the loop's."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def answer(self, request: Request, key: str) -> tuple[Answer, bool]:
        """Asks the model, once for all that ask the same at the same time.

        vLLM takes no second request of the same id while the first is under way.

        Returns:
            The answer, and whether another's request gave it.

        Raises:
            EndpointError: The endpoint cannot be used.
            ValueError: There is no model, or it cannot be told to think.
        """
        if self.client is None:
            raise ValueError("there is no model to ask; name one in the recipe's item, as `model`")
        while (pending := self._pending.get(key)) is not None:
            shared = await asyncio.shield(pending)
            if shared is not None:
                return shared, True
        done = self._pending[key] = asyncio.get_running_loop().create_future()
        answer = None
        try:
            answer = await answer_of(self.client, request, key)
            return answer, False
        finally:
            del self._pending[key]
            done.set_result(answer)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more work."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Ends what is under way, and the thread."""
        if self.is_closed:
            return
        with contextlib.suppress(RuntimeError):  # the interpreter may be about to end
            self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.client is not None:
            await self.client.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


class _Flight:
    """The coroutines of one `map_ordered`; driven by the job's thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[Any], Awaitable[Any]]
    ) -> None:
        self._loop, self._make = loop, make
        self._results: deque[Future[Any]] = deque()
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop's

    @property
    def num_held(self) -> int:
        """Items whose results were not yet taken."""
        return len(self._results)

    def start(self, item: object) -> None:
        """Starts on an item."""
        result: Future[Any] = Future()
        self._results.append(result)
        self._loop.call_soon_threadsafe(self._launch, item, result)

    def next(self) -> Any:  # noqa: ANN401 - what make gives
        """Waits for the result of the earliest item; raises what any of them has raised."""
        while True:
            while not self._ended.empty():
                self._ended.get().result()  # of a later item, and yet to be raised now
            if self._results[0].done():
                return self._results.popleft().result()
            self._ended.get().result()

    async def stop(self) -> None:
        """Cancels what is under way and waits until it has ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cancel(self) -> None:
        """Cancels what is under way; in the loop's thread."""
        for task in self._tasks:
            task.cancel()

    def _launch(self, item: object, result: Future[Any]) -> None:
        task = self._loop.create_task(self._settle(item, result))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, item: object, result: Future[Any]) -> None:
        try:
            result.set_result(await self._make(item))
        except asyncio.CancelledError:
            result.set_exception(RuntimeError("the handler was closed while this was under way"))
        except BaseException as error:
            result.set_exception(error)
        self._ended.put(result)


async def _open_client(
    model: ModelConfig, upstream: Upstream, sleep: Callable[[float], Awaitable[object]]
) -> Client:
    return Client(model, upstream, sleep=sleep)  # its session belongs to the running loop


_handlers: dict[tuple[int, str], Handler] = {}
_lock = threading.Lock()


def open_handler(model: ModelConfig | None, upstream: Upstream | None = None) -> Handler:
    """The handler of this process for a model; it lasts as long as the process.

    Args:
        model: Whom to ask; None: a loop without a model.
        upstream: Where it is; default: what `pipelines.models.server` makes of the model.

    Raises:
        ValueError: The environment has no key for it.
    """
    told = (os.getpid(), "" if model is None else model.model_dump_json())
    with _lock:
        handler = _handlers.get(told)
        if handler is None or handler.is_closed:
            if model is not None and upstream is None:
                upstream = import_module("pipelines.models.server").upstream(model)
            handler = _handlers[told] = Handler(model, upstream)
            # Not atexit, which processes started by multiprocessing skip.
            Finalize(None, handler.close, exitpriority=10)
    return handler


def _allow_files(num_files: int) -> None:
    """Raises this process's limit of open files to what its connections need.

    Raises:
        ValueError: The system does not allow as many.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= num_files:
        return
    if most != resource.RLIM_INFINITY and most < num_files:
        raise ValueError(
            f"in_flight needs {num_files} open files, and this system allows a process {most}; "
            "lower in_flight, or raise the limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_files, most))
