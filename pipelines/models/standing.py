"""What the replies so far say of an endpoint, and what of its time each request took."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pipelines.models.upstream import EndpointError

MOST_FAILURES: Final = 10
"""Requests in a row that the endpoint fails on before it is held to be the endpoint's fault."""


@dataclass(slots=True)
class Standing:
    """Tells failures of requests from those of their endpoint, of one event loop."""

    """What the replies so far say of the endpoint."""

    answered: bool = False
    takes_structure: bool | None = None
    num_failures: int = 0  # in a row
    num_under_way: int = 0
    num_waiting: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note_answer(self) -> None:
        """Notes that a request was answered."""
        self.answered, self.num_failures = True, 0
        if self.num_waiting:
            await self.note_change()

    async def note_change(self) -> None:
        """Wakes those that wait for others, one of which has ended."""
        async with self.changed:
            self.changed.notify_all()

    async def note_failure(self, url: str, said: str) -> None:
        """Counts a request that failed; the tenth in a row waits for those still under way.

        Raises:
            EndpointError: None of them was answered either.
        """
        self.num_failures += 1
        self.num_waiting += 1
        try:
            await self.note_change()
            async with self.changed:
                await self.changed.wait_for(
                    lambda: (
                        self.num_failures < MOST_FAILURES or self.num_under_way <= self.num_waiting
                    )
                )
            if self.num_failures >= MOST_FAILURES:
                raise EndpointError(
                    f"{url} failed on {self.num_failures} requests in a row (last: {said[:200]}); "
                    "give the same command again once it answers: what was answered is kept"
                )
        finally:
            self.num_waiting -= 1


class BusyTime:
    """Divides each moment among the calls that are under way in it.

    The shares add up to the time in which any was: what a server costs that is paid by the hour.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._num_under_way = 0
        self._share = 0.0  # of one call that has been under way all the time

    def enter(self) -> float:
        """Notes that a call starts; what it gives goes to `leave`."""
        self._tick()
        self._num_under_way += 1
        return self._share

    def leave(self, entered: float) -> float:
        """Notes that a call ends; gives its share in seconds."""
        self._tick()
        self._num_under_way -= 1
        return self._share - entered

    def _tick(self) -> None:
        now = self._clock()
        if self._num_under_way:
            self._share += (now - self._last) / self._num_under_way
        self._last = now
