"""How fast a stage goes and how long it will still take, from what the meter says of it.

Parts end in lumps (16 workers that began together end together), the first ones wait for kernels
to compile, and the last is the largest. So:

- Between two ends of parts, amounts (documents) say how far those under way are: what was done per
  part so far is what a part is worth. Where nothing is counted but parts, time says it.
- The speed is that of the later half of the time at most, so that a slow beginning is forgotten;
  the nearer the end, the shorter the time that it is taken over.
- Nothing is said before as many parts are done as are under way, or a quarter of all, and a quarter
  of the time that the first one took has passed, unless the amounts to be done are known; nor when
  what is left should have been done by now: it is larger than the rest was, and nobody knows by
  how much.
- The end that is told follows the one that is reckoned with a lag, so that it does not jump.

All times are seconds of one clock that never goes back.
"""

import math
from bisect import bisect_right
from typing import Final

_MOST_OF_THE_REST: Final = 0.95
_QUARTER: Final = 0.25
_LEAST_S: Final = 2.0
"""Before which nothing is said of the end."""
_LEAST_SHARE: Final = 0.01
"""Of known amounts, before which nothing is said of the end."""
_LAG: Final = 0.1
_LEAST_LAG_S: Final = 3.0
_RATE_S: Final = (10.0, 300.0)
"""The shortest and the longest time over which a rate is taken."""
_SAMPLES: Final = 256


class Pace:
    """The pace of one stage."""

    def __init__(self, parts: int, started: float, total: int | None = None) -> None:
        """Args:
        parts: To be done.
        started: When.
        total: Amount to be done, where it is known.
        """
        self._parts, self._started, self._total = parts, started, total
        self._times = [started]
        self._amounts = [0]
        self._dones = [0]
        self._now = self._moved_at = started
        self._done = self._amount = self._amount_at_part = 0
        self._under_way: int | None = None
        self._first_at: float | None = None
        self._end: float | None = None

    def note(self, now: float, done: int, amount: int, begun: int = 0) -> None:
        """Takes what is done.

        Args:
            now: Not before that of the last call.
            done: Parts.
            amount: Of what the stage counts.
            begun: Parts that were begun; 0 where nobody counts them.
        """
        before = self._now
        self._under_way = min(max(begun - done, 1), self._parts - done) if begun else None
        done, amount = max(done, self._done), max(amount, self._amount)
        if (done, amount) != (self._done, self._amount):
            self._moved_at = now
        if done > self._done:
            self._amount_at_part = amount
            self._first_at = now if self._first_at is None else self._first_at
        self._now, self._done, self._amount = now, done, amount
        self._keep()
        self._follow(now - before)

    @property
    def seconds_left(self) -> float | None:
        """Until the stage ends; None where that cannot be told."""
        return None if self._end is None else max(self._end - self._now, 0.0)

    @property
    def rate(self) -> float:
        """Amount a second of late."""
        return self._slope(self._amounts, self._amount, *_RATE_S)

    @property
    def parts_rate(self) -> float:
        """Parts a second of late."""
        return self._slope(self._dones, self._done, *_RATE_S)

    def _keep(self) -> None:
        spacing = (self._now - self._started) / _SAMPLES
        if self._now - self._times[-1] >= spacing and self._now > self._times[-1]:
            self._times.append(self._now)
            self._amounts.append(self._amount)
            self._dones.append(self._done)
        # Both windows begin at the middle of the time at the latest, so what is before the later
        # of them is not asked for again; the longest rate may be longer than half the time.
        oldest = min(self._started + (self._now - self._started) / 2, self._now - _RATE_S[1])
        surplus = bisect_right(self._times, oldest) - 1
        if surplus > _SAMPLES:
            for kept in (self._times, self._amounts, self._dones):
                del kept[:surplus]

    def _slope(self, values: list[int], value: int, least_s: float, most_s: float) -> float:
        """Growth a second over the later half of the time, between two bounds."""
        passed = self._now - self._started
        back = min(max(passed / 2, least_s), most_s, passed)
        at = max(bisect_right(self._times, self._now - back) - 1, 0)
        seconds = self._now - self._times[at]
        return (value - values[at]) / seconds if seconds > 0 else 0.0

    def _follow(self, passed: float) -> None:
        left = self._reckoned()
        if left is None:
            self._end = None
            return
        end = self._now + left
        if self._end is not None:
            lag = max(_LEAST_LAG_S, _LAG * left)
            end = self._end + (end - self._end) * (1 - math.exp(-passed / lag))
        # The reckoned end may run ahead of one that lags.
        self._end = max(end, self._now + left / 2)

    def _reckoned(self) -> float | None:
        """Seconds left without the lag."""
        rest = self._parts - self._done
        if rest <= 0 or self._now - self._started < _LEAST_S or not self._is_time_to_tell():
            return None
        per_part = self._per_part()
        if not per_part:
            speed = self._slope(self._dones, self._done, _LEAST_S, math.inf)
            counted = self._done + (self._now - self._moved_at) * speed
        else:
            counted = self._amount / per_part
            horizon = math.inf if self.seconds_left is None else 2 * self.seconds_left
            most_s = max(_RATE_S[0], horizon)
            speed = self._slope(self._amounts, self._amount, _LEAST_S, most_s) / per_part
        under_way = min(self._done, rest) if self._under_way is None else self._under_way
        if not self._total:
            counted = min(counted, self._done + under_way)
        if counted >= self._done + _MOST_OF_THE_REST * rest or speed <= 0:
            return None
        return (self._parts - max(counted, self._done)) / speed

    def _is_time_to_tell(self) -> bool:
        if self._total:
            return self._done > 0 or self._amount >= _LEAST_SHARE * self._total
        if self._first_at is None:
            return False
        if self._under_way is not None and self._done < self._under_way:
            return self._done >= _QUARTER * self._parts
        return self._now - self._first_at >= _QUARTER * (self._first_at - self._started)

    def _per_part(self) -> float:
        """Amount of a part; 0 where none is counted."""
        if self._total:
            return self._total / self._parts
        return self._amount_at_part / self._done if self._done else 0.0
