"""The pause between two requests to a host: never shorter than asked for, longer where it is busy.

A host that refuses (429, 503) gets twice the pause, or the pause that it names in Retry-After where
that is shorter; one that suddenly takes much longer than usual gets half as much again. Each good
answer takes some of that back: a fast increase and a slow decrease find the rate that a host bears,
as congestion control does (RFC 5681 has the opposite signs for a rate). What is "usual" is a moving
mean of its answers.

A pause never enters a result; it decides when an address is asked for, not what comes of it.
"""

from typing import Final

MAX_PAUSE_S: Final = 60.0
"""No pause that we choose is longer; a host that wants more is left alone for the round."""
_GROWTH_REFUSED: Final = 2.0
_GROWTH_SLOW: Final = 1.5
_SLOW: Final = 4.0  # times the usual answer
_WEIGHT: Final = 0.2  # of the latest answer in the mean
_RECOVERY: Final = 0.25  # of the least pause, given back by each good answer


class Pace:
    """The pause of one host.

    Args:
        least_s: The least pause, in seconds.
    """

    def __init__(self, least_s: float) -> None:
        self.least_s = least_s
        self.pause_s = least_s
        self._usual_s: float | None = None

    def require(self, seconds: float) -> None:
        """The site asks for a pause (crawl-delay)."""
        self.least_s = max(self.least_s, seconds)
        self.pause_s = max(self.pause_s, seconds)

    def answered(self, seconds: float) -> None:
        """An answer came after so many seconds."""
        usual = self._usual_s if self._usual_s is not None else seconds
        if seconds > _SLOW * usual and seconds > self.pause_s:
            self.pause_s = self._limited(_GROWTH_SLOW * max(self.pause_s, usual))
        else:
            step = _RECOVERY * max(self.least_s, usual)
            self.pause_s = max(self.least_s, self.pause_s - step)
        self._usual_s = usual + _WEIGHT * (seconds - usual)

    def refused(self, retry_after_s: float | None) -> None:
        """The host cannot answer now, and may say for how long."""
        grown = self._limited(_GROWTH_REFUSED * max(self.pause_s, self._usual_s or 0.0))
        if retry_after_s is not None:
            grown = min(grown, max(self.pause_s, retry_after_s))
        self.pause_s = grown

    def _limited(self, seconds: float) -> float:
        return max(self.least_s, min(MAX_PAUSE_S, seconds))
