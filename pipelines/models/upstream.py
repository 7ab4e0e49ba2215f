"""Where requests go: the server behind a client, looked after by one coroutine at a time."""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class EndpointError(RuntimeError):
    """The endpoint cannot be used; what was answered before is kept."""


class Upstream(Protocol):
    """Where requests go. All of it may block, so the client calls it in threads."""

    @property
    def url(self) -> str:
        """Base address, `/v1` included, of a server that is healthy when it is returned.

        Raises:
            EndpointError: The server does not get ready.
        """
        ...

    def revive(self, seen: int) -> int:
        """Looks after a server that requests were lost at, and restarts a dead one of ours.

        Args:
            seen: Number of the start that the caller knows.

        Returns:
            Number of the start now, from 0; equal to `seen` where the server is well or not ours.

        Raises:
            EndpointError: It cannot be restarted; with its last log lines.
        """
        ...

    def answered(self, start: int) -> None:
        """Told once a start, at its first answer: restarts are counted anew."""
        ...


class Watched:
    """An upstream as the coroutines of one event loop share it."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._looking = asyncio.Lock()
        self._url: str | None = None
        self._num_looks = 0
        self._answered_start: int | None = None
        self.start = 0
        """Number of the start that requests go to."""

    @property
    def name(self) -> str:
        """The address, for messages."""
        return self._url or "the endpoint"

    async def address(self) -> str:
        """The base address, once the server is ready.

        Raises:
            EndpointError: It does not get ready.
        """
        if self._url is None:
            async with self._looking:
                if self._url is None:
                    self._url = await self._ask_url()
        return self._url

    async def look_after(self, seen: int) -> bool:
        """Has the server looked after because a request was lost.

        Many are lost at once, and one look is enough for all that were lost before it began.

        Args:
            seen: The start that the request was sent to.

        Returns:
            Whether it runs on a later start now.

        Raises:
            EndpointError: It is dead and cannot be restarted.
        """
        known = self._num_looks
        async with self._looking:
            if self.start == seen and self._num_looks == known:
                self._num_looks += 1
                now = await in_thread(lambda: self._upstream.revive(seen))
                if now != seen:
                    self._url = await self._ask_url()
                    self.start = now
        return self.start != seen

    async def note_answer(self, start: int) -> None:
        """Notes that a request to a start was answered."""
        if self._answered_start != start:
            self._answered_start = start
            await in_thread(lambda: self._upstream.answered(start))

    async def _ask_url(self) -> str:
        return (await in_thread(lambda: self._upstream.url)).rstrip("/")


async def in_thread(function: Callable[[], T]) -> T:
    """The result of a function that may block for long, in a thread that holds up no exit.

    The pools of the standard library are waited for when the interpreter ends: a server that takes
    half an hour to start would take as long to interrupt.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failed = None, None
        try:
            result = function()
        except BaseException as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, name="upstream", daemon=True).start()
    return await done
