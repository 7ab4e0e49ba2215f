"""Counts of work for whoever watches a run; they never enter a result.

A job says `METER.add` in whatever thread it works. In the process that shows the progress that is
all there is to it. On a cluster the work is elsewhere, and the counts have to travel by the
counters of Beam, which only take them in the thread of a bundle. So the meter keeps apart what was
not reported yet, and the next bundle thread of the process that passes takes all of it, whoever
counted it: no count is taken twice, and none waits longer than the parts under way. Which step of
the pipeline reports it does not matter, because the driver adds the steps up.

There are three kinds of names, and they are stable (dashboards are built on them):

- `extract`: records gone through so far, those of unfinished parts too; as a Beam counter
  `extract.done`.
- `extract.parts`: parts done.
- `extract.documents`, `extract.rejects`, `extract.rejects:empty_text`, `extract.bytes`: what the
  ledger took, from the counts of its entries; points in the name of a count become `_`. Amounts
  only grow, so a count that can be below zero or is a maximum is not among them (`NO_AMOUNTS`).

Amounts of the first kind are of attempts: a part that was begun twice counts twice. Those of the
third kind are counted where the ledger says who was first, so a retry adds nothing; lost is only
what a worker had counted and not yet told when it was killed. The ledger itself is the truth.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

NAMESPACE: Final = "tokenmill"
"""Of the Beam counters."""
NO_AMOUNTS: Final = frozenset({"cut_tokens", "largest"})
"""Counts of entries that do not add up to an amount of work. `cut_tokens`: what cutting personal
data changes, mostly below zero. `largest`: pairs of the largest component of near-duplicates."""
_LIVE: Final = ".done"


class Meter:
    """Counts by name, of this process and of those that report to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._elsewhere: list[Elsewhere] = []
        self._is_in_bundle: Callable[[], bool] = _never
        self._count: Callable[[str, int], None] | None = None

    def add(self, what: str, amount: int) -> None:
        """Notes that `amount` more of `what` is done."""
        self.add_all({what: amount})

    def add_all(self, amounts: Mapping[str, int]) -> None:
        """Notes several amounts at once."""
        with self._lock:
            self._done.update(amounts)
            self._unreported.update(amounts)
        self.report()

    def add_entry(
        self,
        job: str,
        counts: Mapping[str, int],
        rejects: Mapping[str, int] | None,
        num_bytes: int,
    ) -> None:
        """Notes an entry that the ledger took.

        Args:
            job: Its job.
            counts: Its counts; those of `NO_AMOUNTS` are left out.
            rejects: Reason -> records, where the job rejects any.
            num_bytes: In its files.
        """
        added = {name: n for name, n in counts.items() if name not in NO_AMOUNTS}
        amounts = Counter({f"{job}.{name.replace('.', '_')}": n for name, n in added.items()})
        amounts.update({f"{job}.rejects:{reason}": n for reason, n in (rejects or {}).items()})
        amounts[f"{job}.bytes"] += num_bytes
        self.add_all({name: amount for name, amount in amounts.items() if amount})

    def read(self, what: str) -> int:
        """How much of `what` was done since the process started, here and elsewhere."""
        with self._lock:
            return self._done[what] + sum(other.amounts[what] for other in self._elsewhere)

    def read_all(self) -> dict[str, int]:
        """All amounts by name, here and elsewhere."""
        with self._lock:
            total = self._done.copy()
            for other in self._elsewhere:
                total.update(other.amounts)
        return dict(total)

    def report_by(
        self, is_in_bundle: Callable[[], bool], count: Callable[[str, int], None]
    ) -> None:
        """Says how counts leave this process.

        Args:
            is_in_bundle: Whether the calling thread works on a bundle, so that `count` arrives.
            count: Adds to the counter of a name, as the runner knows it.
        """
        self._is_in_bundle, self._count = is_in_bundle, count

    def report(self) -> None:
        """Reports what was counted by any thread, if the calling one works on a bundle."""
        if self._count is None or not self._is_in_bundle():
            return
        with self._lock:
            taken, self._unreported = self._unreported, Counter()
        for what, amount in taken.items():
            self._count(counter_name(what), amount)

    def elsewhere(self) -> "Elsewhere":
        """Opens the counts of one pipeline that may run in other processes.

        What this process has counted and not reported is of an earlier pipeline, and forgotten.
        """
        with self._lock:
            self._unreported.clear()
            opened = Elsewhere(self._lock, self._done)
            self._elsewhere.append(opened)
        return opened


class Elsewhere:
    """What the runner says was counted for one pipeline.

    Workers may be threads of this very process (environment LOOPBACK). Then it has counted the same
    itself, and only what is beyond that is added.
    """

    def __init__(self, lock: threading.Lock, here: Counter[str]) -> None:
        self._lock, self._here, self._before = lock, here, here.copy()
        self._reported: Counter[str] = Counter()
        self.amounts: Counter[str] = Counter()
        """Beyond what was counted here."""

    def note(self, reported: Mapping[str, int]) -> None:
        """Takes the whole amounts of the pipeline so far; one that shrinks is an answer come late.

        Args:
            reported: By name of the counter.
        """
        with self._lock:
            for counter, amount in reported.items():
                what = counter.removesuffix(_LIVE)
                self._reported[what] = max(self._reported[what], amount)
                here = self._here[what] - self._before[what]
                self.amounts[what] = max(self._reported[what] - here, 0)


def counter_name(what: str) -> str:
    """The name of the Beam counter of what is metered.

    >>> counter_name("extract"), counter_name("extract.parts")
    ('extract.done', 'extract.parts')
    """
    return what if "." in what else what + _LIVE


def _never() -> bool:
    return False


METER: Final = Meter()
"""Of this process."""
