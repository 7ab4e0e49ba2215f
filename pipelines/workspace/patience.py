"""Patience with a store that is away for a while, and plain words for one that refuses.

A connection that is refused or reset, a time-out, 429 and 5xx pass: the request is repeated, after
random pauses that grow to ten seconds, for five minutes (TOKENMILL_STORE_WAIT_S). After five
seconds one line says what is waited for. What does not pass (credentials, a bucket that is not
there) is raised at once.

    OSError
      StoreError          what a store says, in words that help
        StoreDenied       it knows us not, or lets us not; also a PermissionError
        StoreAway         it did not answer for as long as we were ready to wait
"""

import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import tenacity

_T = TypeVar("_T")
Passes = Callable[[BaseException], bool]

WAIT_VARIABLE: Final = "TOKENMILL_STORE_WAIT_S"
_WAIT_S: Final = 300.0
_TELL_AFTER_S: Final = 5.0
_PAUSE_S: Final = 0.2  # of the first repetition at most; twice that of the next
_LONGEST_PAUSE_S: Final = 10.0
PASSING_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP answers after which the same request may succeed."""
READ_TIMEOUT_S: Final = 20.0
"""Without a byte from the store, after which a request is repeated."""


class StoreError(OSError):
    """An object store refuses what was asked."""


class StoreDenied(StoreError, PermissionError):
    """Credentials are missing, wrong, or not enough."""


class StoreAway(StoreError):
    """A store that does not answer."""


async def patiently(call: Callable[[], Awaitable[_T]], *, place: str, passes: Passes) -> _T:
    """Repeats a request until it succeeds, fails for good, or patience ends.

    Args:
        call: Sends the request; safe to repeat.
        place: Whom it goes to, for messages: `s3://bucket`.
        passes: Whether an error may pass.

    Raises:
        StoreAway: It did not pass.
    """
    try:
        result: _T = await tenacity.AsyncRetrying(**_policy(place, passes))(call)
    except Exception as error:
        if not passes(error):
            raise
        raise _ended(error, place) from error
    _VOICE.answered(place)
    return result


def patiently_now(call: Callable[[], _T], *, place: str, passes: Passes) -> _T:
    """Likewise, outside an event loop.

    Raises:
        StoreAway: It did not pass.
    """
    try:
        result: _T = tenacity.Retrying(**_policy(place, passes))(call)
    except Exception as error:
        if not passes(error):
            raise
        raise _ended(error, place) from error
    _VOICE.answered(place)
    return result


def say_waits(say: Callable[[str], None]) -> None:
    """Sends the lines about stores that are waited for somewhere else than to standard error."""
    _VOICE.say = say


def _policy(place: str, passes: Passes) -> dict[str, Any]:
    return {
        "retry": tenacity.retry_if_exception(passes),
        "stop": tenacity.stop_after_delay(_wait_s()),
        "wait": tenacity.wait_random_exponential(multiplier=_PAUSE_S, max=_LONGEST_PAUSE_S),
        "before_sleep": partial(_VOICE.failed, place),
        "reraise": True,
    }


def _ended(error: Exception, place: str) -> StoreAway:
    return StoreAway(
        f"{place} did not answer for {_wait_s():.0f} s ({_short(error)}). What is committed stays: "
        f"run the same command again when it is back; {WAIT_VARIABLE} says how long to wait"
    )


def _wait_s() -> float:
    """How long to wait.

    Raises:
        ValueError: The variable says no number.
    """
    told = os.environ.get(WAIT_VARIABLE, "")
    try:
        return float(told) if told else _WAIT_S
    except ValueError:
        raise ValueError(f"{WAIT_VARIABLE} is {told!r}; give a number of seconds") from None


def _short(error: BaseException) -> str:
    """An error in one line, without addresses that may hold a signature."""
    return f"{type(error).__name__}: {str(error).split('?')[0][:120]}".rstrip(": ")


class _Voice:
    """One line when a store is waited for, one when it is back; not one for every request."""

    def __init__(self) -> None:
        self.say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
        self._away: dict[str, float] = {}
        self._lock = threading.Lock()

    def failed(self, place: str, state: tenacity.RetryCallState) -> None:
        """A request is about to be repeated."""
        waited = time.monotonic() - state.start_time
        error = state.outcome.exception() if state.outcome else None
        with self._lock:
            if waited < _TELL_AFTER_S or error is None or place in self._away:
                return
            self._away[place] = state.start_time
        self.say(f"waiting for {place}, for up to {_wait_s():.0f} s ({_short(error)})")

    def answered(self, place: str) -> None:
        """A request has succeeded."""
        if place not in self._away:
            return
        with self._lock:
            since = self._away.pop(place, None)
        if since is not None:
            self.say(f"{place} answers again, after {time.monotonic() - since:.0f} s")


_VOICE: Final = _Voice()
