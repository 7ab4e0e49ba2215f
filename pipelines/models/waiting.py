"""Says within seconds that a model does not answer, long before its requests are given up.

A request is tried again for a minute or more, in silence, which is right for the odd one and looks
like a hang when all of them wait. So failures with no answer between them are told, with how long
it has been; and that it answers again. Slow answers are not: models may think for minutes.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

FIRST_S: Final = 3.0
"""Without an answer, before anything is said."""
AGAIN_S: Final = 30.0
CONNECT_S: Final = 5.0
"""For a connection, before it is held to be a failure that is worth telling."""
_REASON_CHARS: Final = 120


class Waiting:
    """What is told of one endpoint; used in one event loop."""

    def __init__(
        self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
        tell: Takes a line for the user.
        clock: Gives seconds.
        """
        self._tell, self._clock = tell, clock
        self._since: float | None = None
        self._told_at: float | None = None

    def note_failure(self, url: str, why: str, ago_s: float = 0.0) -> None:
        """Notes that a request failed, and tells it where none was answered for some time.

        Args:
            url: Of the endpoint.
            why: In a few words.
            ago_s: Since the request began to fail.
        """
        now = self._clock()
        if self._since is None:
            self._since = now - ago_s
        waited = now - self._since
        if waited < FIRST_S or (self._told_at is not None and now - self._told_at < AGAIN_S):
            return
        self._told_at = now
        why = " ".join(why.split())[:_REASON_CHARS]
        self._tell(f"waiting for the model at {url}: {why}, {waited:.0f} s")

    def note_answer(self, url: str) -> None:
        """Notes that a request was answered, and tells it where the contrary was told."""
        if self._told_at is not None and self._since is not None:
            waited = self._clock() - self._since
            self._tell(f"the model at {url} answers again, after {waited:.0f} s")
        self._since = self._told_at = None

    def trace(self, url: Callable[[], str]) -> aiohttp.TraceConfig:
        """Has connections noted that do not come about: a firewall answers nothing, for long."""
        trace = aiohttp.TraceConfig()

        async def begin(_: object, context: SimpleNamespace, __: object) -> None:
            context.timer = asyncio.get_running_loop().call_later(
                CONNECT_S, lambda: self.note_failure(url(), "no connection yet", CONNECT_S)
            )

        async def end(_: object, context: SimpleNamespace, __: object) -> None:
            if (timer := getattr(context, "timer", None)) is not None:
                timer.cancel()

        trace.on_connection_create_start.append(begin)
        trace.on_connection_create_end.append(end)
        trace.on_request_exception.append(end)
        return trace


def in_few_words(error: BaseException) -> str:
    """What an error of a connection is called.

    >>> in_few_words(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"))
    'connection refused'
    """
    inner: Any = getattr(error, "os_error", error)
    number: int = getattr(inner, "errno", None) or 0
    if number in errno.errorcode:
        return os.strerror(number).lower()
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
