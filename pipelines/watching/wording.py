"""How a stage is told in one line, on any width.

What does not fit is left out whole, never cut: first the bar, then the rate, then amounts from the
right; the parts and the time left stay.
"""

from pipelines.watching.states import WatchedStage

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STILL_S = 120.0
"""Without anything counted, after which it is said."""


def time_left(seconds: float | None) -> str:
    """How long it still takes, as exact as it is known.

    >>> time_left(3), time_left(47), time_left(600), time_left(9000), time_left(200_000)
    ('under 10 s left', '50 s left', '10 min left', '2 h 30 min left', '2 d 8 h left')
    """
    return "" if seconds is None else f"{_rounded(seconds)} left"


def duration(seconds: float) -> str:
    """A time that has passed.

    >>> duration(7.2), duration(75), duration(7500), duration(180_000)
    ('7 s', '1 min 15 s', '2 h 5 min', '2 d 2 h')
    """
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def rate(amount: float, word: str) -> str:
    """An amount of time, in the unit that gives a number one can read.

    >>> rate(41.3, "documents"), rate(0.25, "documents"), rate(0.001, "parts")
    ('41 documents/s', '15 documents/min', '3.6 parts/h')
    """
    for factor, unit in ((1, "s"), (_MINUTE, "min"), (_HOUR, "h")):
        if amount * factor >= 1 or unit == "h":
            number = amount * factor
            return f"{number:,.0f} {word}/{unit}" if number >= 10 else f"{number:.1f} {word}/{unit}"
    raise AssertionError


def stage_facts(stage: WatchedStage, width: int | None = None) -> str:
    """Amounts, rate and time left of a stage, as many as fit; may be empty.

    Args:
        stage: At one moment.
        width: Columns; any number, if not given.
    """
    # Nothing may also be what a runner does not tell before the end.
    told = {word: amount for word, amount in stage.amounts.items() if amount or stage.is_over}
    facts = [f"{amount:,} {word}" for word, amount in told.items()]
    end = ""
    if not stage.is_over:
        if stage.pipelines > 1:
            facts.append(f"step {stage.pipelines}")
        if stage.rate:
            facts.append(rate(stage.rate, stage.rate_of))
        end = time_left(stage.seconds_left)
        if stage.seconds_still >= _STILL_S:
            end = f"nothing new for {duration(stage.seconds_still)}"
    last = [end] if end else []
    # The rate goes before the amounts, of which the first says most.
    while facts and width is not None and len(", ".join([*facts, *last])) > width:
        facts.pop()
    return ", ".join([*facts, *last])


def stage_line(stage: WatchedStage, width: int | None = None) -> str:
    """A stage in a plain line."""
    begin = f"{stage.title}: {stage.parts_done} of {stage.parts} parts"
    end = f"{stage.seconds:.1f} s" if stage.seconds < _MINUTE else duration(stage.seconds)
    room = None if width is None else width - len(begin) - len(end) - 4
    return ", ".join(piece for piece in (begin, stage_facts(stage, room), end) if piece)


def _rounded(seconds: float) -> str:
    if seconds < 10:
        return "under 10 s"
    if seconds < _MINUTE:
        return f"{min(round(seconds / 10) * 10, 50)} s"
    if seconds < 1.5 * _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    if seconds < _DAY:
        return duration(round(seconds / 600) * 600)
    return duration(round(seconds / _HOUR) * _HOUR)


def _two(whole: int, unit: int, name: str, smaller: int, smaller_name: str) -> str:
    rest = whole % unit // smaller
    return f"{whole // unit} {name}" + (f" {rest} {smaller_name}" if rest else "")
