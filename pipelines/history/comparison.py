"""Two runs beside each other: where a language, a source or a topic gains or loses its tokens.

A value (Thai) goes through steps: documents that bear the label, those that are not set aside, of
good quality, no duplicates, and what a stage of a mixture draws of them. What is kept is what bears
the label less what each step takes, so the change of the outcome is the sum of the changes of these
amounts, and the largest of them in the direction of the change is where it comes from. (Shares that
a step keeps would multiply as exactly, but a step's share also changes when a step before it takes
other texts.) Nothing is guessed: both runs are counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.history.causes import DRAWN, LABELLED, Cause, causes_of
from pipelines.history.fates import DIMENSIONS, KEPT, STEPS, fates_of
from pipelines.history.runs import Run
from pipelines.mix.outlook import outlook_of
from pipelines.mix.plan import read_plan

FORMAT: Final = "tokenmill-run-comparison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Documents and their tokens."""

    documents: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is left of a value after a step, in both runs."""

    name: str
    before: Count
    after: Count
    reasons: tuple[tuple[str, int, int], ...] = ()
    """(reason, documents that it took in the first run, in the second), largest change first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value of a dimension in both runs."""

    dimension: str
    value: str
    steps: tuple[Step, ...]
    """In their order, the first all documents that bear the label, then what each step leaves."""
    drawn: Mapping[str, tuple[Count, Count]]
    """`mixture, stage` -> what is drawn."""

    @property
    def kept(self) -> tuple[Count, Count]:
        """What all steps leave."""
        return self.steps[-1].before, self.steps[-1].after

    @property
    def where(self) -> str:
        """The step that the change of the tokens kept comes from; empty where there is none."""
        if all(step.before == step.after for step in self.steps):
            return ""
        before, after = self.kept
        by_tokens = _amounts(self.steps, "tokens")
        amounts = by_tokens if any(by_tokens.values()) else _amounts(self.steps, "documents")
        sign = 1 if after.tokens >= before.tokens else -1
        return max(amounts, key=lambda name: sign * amounts[name])

    @property
    def size(self) -> int:
        """By how many tokens it changes, kept or drawn."""
        kept = abs(self.kept[1].tokens - self.kept[0].tokens)
        return max([kept, *(abs(b.tokens - a.tokens) for a, b in self.drawn.values())])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """All that differs between two runs."""

    before: str
    after: str
    totals: Change
    """Of all documents."""
    changes: Mapping[str, tuple[Change, ...]]
    """Dimension -> values that differ, the largest change first."""
    rejects: tuple[tuple[str, str, int, int], ...]
    """(source, reason, rejects of the first run, of the second) that differ."""
    causes: tuple[Cause, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether no count and no setting differs."""
        return not (any(self.changes.values()) or self.rejects or self.causes)

    def to_json(self) -> dict[str, Any]:
        """All of it with exact numbers, for scripts."""
        return {"format": FORMAT, **asdict(self)}


def compare_runs(before: Run, after: Run) -> RunComparison:
    """Counts both runs and sets them beside each other.

    Raises:
        LookupError: Labels of one of them are gone.
    """
    fates = fates_of(before), fates_of(after)
    drawn = _drawn(before), _drawn(after)
    changes = {name: _changes(name, fates, drawn) for name in DIMENSIONS}
    return RunComparison(
        before=before.name,
        after=after.name,
        totals=_change("", "", fates, drawn),
        changes=changes,
        rejects=_rejects(before, after),
        causes=tuple(causes_of(before, after)),
    )


def _amounts(steps: Sequence[Step], what: str) -> dict[str, int]:
    """Step -> what it adds to the change of what is kept: more labelled, or less taken."""
    found, last = {}, (0, 0)
    for step in steps:
        now: tuple[int, int] = getattr(step.before, what), getattr(step.after, what)
        found[step.name] = (now[1] - last[1]) - (now[0] - last[0])
        last = now
    return found


_Drawn = Mapping[tuple[str, str, str], Count]
"""(`mixture, stage`, dimension, value) -> what is drawn; the dimension of all is empty."""


def _drawn(run: Run) -> _Drawn:
    found: dict[tuple[str, str, str], Count] = {}
    for name, folder in run.record.mixtures.items():
        try:
            outlook = outlook_of(read_plan(run.workspace, folder))
        except (LookupError, FileNotFoundError):
            continue
        for stage in outlook.stages:
            where, total = f"{name}, {stage.name}", stage.total
            rows = [("", "", total)]
            rows += [(one.name, row.value, row) for one in stage.dimensions for row in one.rows]
            for dimension, value, row in rows:
                count = Count(documents=row.drawn_documents, tokens=row.drawn_tokens)
                found[where, dimension, value] = count
    return found


_Pair = tuple[pa.Table, pa.Table]


def _changes(dimension: str, fates: _Pair, drawn: tuple[_Drawn, _Drawn]) -> tuple[Change, ...]:
    values = {value for some in fates for value in some.column(dimension).unique().to_pylist()}
    made = (_change(dimension, value, fates, drawn) for value in sorted(values))
    differing = [one for one in made if one.where or any(a != b for a, b in one.drawn.values())]
    return tuple(sorted(differing, key=lambda one: (-one.size, one.value)))


def _change(dimension: str, value: str, fates: _Pair, drawn: tuple[_Drawn, _Drawn]) -> Change:
    """A value beside itself; all documents where the dimension is empty."""
    of_value = [
        some.filter(pc.equal(some.column(dimension), value)) if dimension else some
        for some in fates
    ]
    left = [_count(some) for some in of_value]
    steps = [Step(name=LABELLED, before=left[0], after=left[1])]
    for name in STEPS:
        taken = [some.filter(pc.equal(some.column("step"), name)) for some in of_value]
        left = [_less(one, _count(gone)) for one, gone in zip(left, taken, strict=True)]
        reasons = _reasons(taken[0], taken[1])
        steps.append(Step(name=name, before=left[0], after=left[1], reasons=reasons))
    places = sorted({key[0] for some in drawn for key in some})
    pairs = {
        place: tuple(some.get((place, dimension, value), Count()) for some in drawn)
        for place in places
    }
    return Change(
        dimension=dimension,
        value=value,
        steps=tuple(steps),
        drawn={place: (pair[0], pair[1]) for place, pair in pairs.items()},
    )


def _count(rows: pa.Table) -> Count:
    sums = (pc.sum(rows.column(name)).as_py() or 0 for name in ("documents", "tokens"))
    return Count(**dict(zip(("documents", "tokens"), sums, strict=True)))


def _less(one: Count, other: Count) -> Count:
    return Count(documents=one.documents - other.documents, tokens=one.tokens - other.tokens)


def _reasons(before: pa.Table, after: pa.Table) -> tuple[tuple[str, int, int], ...]:
    counts: list[Counter[str]] = []
    for some in (before, after):
        counts.append(Counter())
        columns = (some.column(name).to_pylist() for name in ("reason", "documents"))
        for reason, documents in zip(*columns, strict=True):
            counts[-1][reason] += documents
    old, new = counts
    rows = [(reason, old[reason], new[reason]) for reason in old.keys() | new.keys()]
    return tuple(sorted(rows, key=lambda row: (-abs(row[2] - row[1]), row[0])))


def _rejects(before: Run, after: Run) -> tuple[tuple[str, str, int, int], ...]:
    old, new = (_rejects_of(run) for run in (before, after))
    keys = [key for key in sorted(old.keys() | new.keys()) if old[key] != new[key]]
    rows = [(*key, old[key], new[key]) for key in keys]
    return tuple(sorted(rows, key=lambda row: (-abs(row[3] - row[2]), row)))


def _rejects_of(run: Run) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for source, generation in run.record.extract.items():
        for entry in run.workspace.ledger.entries(generation, source):
            for reason, number in entry.detail.get("rejects", {}).items():
                found[source, reason] += number
    return found


def sentence(change: Change) -> str:
    """Where a change comes from, in words without numbers of the table."""
    where = change.where
    if not where:
        places = [place for place, (old, new) in change.drawn.items() if old != new]
        return f"kept as before; {places[0]} draws another amount" if places else "nothing changes"
    if where == LABELLED:
        return (
            "fewer documents bear the label" if _falls(change) else "more documents bear the label"
        )
    step = next(one for one in change.steps if one.name == where)
    more = "more" if _falls(change) else "less"
    named = [reason for reason, old, new in step.reasons if (new > old) == _falls(change)][:1]
    why = f", first of all as {named[0]}" if named else ""
    return f"{where} takes {more} of it{why}"


def _falls(change: Change) -> bool:
    return change.kept[1].tokens < change.kept[0].tokens


def step_causes(change: Change, causes: Sequence[Cause]) -> list[Cause]:
    """Settings that differ and can change the step that a change comes from."""
    where = change.where or DRAWN
    return [cause for cause in causes if cause.step in (where, "")]


__all__ = ["KEPT", "Change", "Count", "RunComparison", "Step", "compare_runs", "sentence"]
