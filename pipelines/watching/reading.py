"""Reads the meter for one stage: what was counted since it began, and at what pace."""

from collections.abc import Mapping

from pipelines.watching.pace import Pace
from pipelines.watching.states import WatchedStage
from pipelines.watching.watch import Watch
from pipelines.workspace.meter import Meter


class Reading:
    """What a meter counts for one stage."""

    def __init__(
        self,
        meter: Meter,
        title: str,
        parts: int,
        meters: Mapping[str, str],
        total: int | None,
        watch: Watch,
        now: float,
    ) -> None:
        """Args:
        meter: Counts.
        title: Of the stage.
        parts: To be done.
        meters: Name in the meter -> the word for it; the last one also counts parts.
        total: Amount of the last one that is to be done, where it is known.
        watch: Of the stage.
        now: Seconds of a clock that never goes back.
        """
        self._meter, self._title, self._parts, self._watch = meter, title, parts, watch
        self._words, self._started = dict(meters), now
        self._first, self._last = next(iter(meters)), list(meters)[-1]
        self._before = meter.read_all()
        self._pace = Pace(parts, now, total)
        self._seen: dict[str, int] = {}
        self._everything, self._moved_at = sum(self._before.values()), now

    def look(self, now: float, *, is_over: bool = False) -> WatchedStage:
        """The stage now."""
        counted = self._meter.read_all()
        # Of all counts, for a shuffle commits much before anything of its stage is counted.
        if (everything := sum(counted.values())) > self._everything:
            self._everything, self._moved_at = everything, now
        amounts = {word: self._since(counted, name) for name, word in self._words.items()}
        done = min(self._since(counted, f"{self._last}.parts"), self._parts)
        begun = self._since(counted, f"{self._first}.begun")
        word = self._words[self._last]
        self._pace.note(now, done, amounts[word], begun)
        pace, is_counted = self._pace, bool(amounts[word])
        return WatchedStage(
            title=self._title,
            parts=self._parts,
            parts_done=done,
            amounts=amounts,
            rate=pace.rate if is_counted else pace.parts_rate,
            rate_of=word if is_counted else "parts",
            seconds=now - self._started,
            seconds_left=None if is_over else pace.seconds_left,
            seconds_still=now - self._moved_at,
            pipelines=self._watch.pipelines,
            is_over=is_over,
        )

    def _since(self, counted: Mapping[str, int], name: str) -> int:
        """Never less than before: what a runner tells may come late."""
        amount = counted.get(name, 0) - self._before.get(name, 0)
        self._seen[name] = max(self._seen.get(name, 0), amount)
        return self._seen[name]
