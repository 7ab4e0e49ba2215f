"""What an edit of a mixture changes: two plans of the same labels, side by side.

Stages are matched by name, because the name enters the draws: under another name a stage draws
other documents. Of single documents a preview keeps counts alone, so a difference of two counts
says how many more or fewer there are, not which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipelines.mix.conditions import conditions_of
from pipelines.mix.outlook import Outlook, Row, StageOutlook, outlook_of
from pipelines.mix.plan import Plan

FORMAT: Final = "tokenmill-outlook-comparison"
_WHERE: Final = "where"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of a mixture file that differs; None where the key is absent."""

    key: str
    """`seed`, or a key of a stage: `shares.temperature`; of `where` one for each condition."""
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A value of a dimension whose row differs; None where the value does not occur."""

    value: str
    before: Row | None
    after: Row | None

    @property
    def drawn_before(self) -> int:
        """Tokens drawn."""
        return self.before.drawn_tokens if self.before else 0

    @property
    def drawn_after(self) -> int:
        """Tokens drawn."""
        return self.after.drawn_tokens if self.after else 0

    @property
    def change(self) -> int:
        """Drawn tokens, after less before."""
        return self.drawn_after - self.drawn_before


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionChange:
    """The values of a dimension whose drawn tokens differ, the largest change first."""

    name: str
    rows: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One stage before and after."""

    name: str
    settings: tuple[Setting, ...]
    before: StageOutlook
    after: StageOutlook
    dimensions: tuple[DimensionChange, ...]
    """Those in which any row changes."""

    @property
    def is_nothing(self) -> bool:
        """Whether neither a setting nor a count differs."""
        return not self.settings and self.before == self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two mixtures."""

    before: Outlook
    after: Outlook
    settings: tuple[Setting, ...]
    """Those of the whole mixture."""
    stages: tuple[StageChange, ...]
    """Stages that both have, in the order of the second."""
    added: tuple[StageOutlook, ...]
    removed: tuple[StageOutlook, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether nothing that decides or counts a draw differs."""
        return (
            not (self.settings or self.added or self.removed)
            and all(stage.is_nothing for stage in self.stages)
            and [stage.name for stage in self.before.stages]
            == [stage.name for stage in self.after.stages]
        )

    def to_json(self) -> dict[str, Any]:
        """All of it with exact numbers, for scripts."""
        return {"format": FORMAT, **asdict(self)}


def compare(before: Plan, after: Plan) -> Comparison:
    """Compares two plans of the same labels."""
    one, other = outlook_of(before), outlook_of(after)
    outlooks = {stage.name: stage for stage in one.stages}
    stages = [
        StageChange(
            name=stage.name,
            settings=_settings(
                before.stages[stage.name].model_dump(mode="json"),
                after.stages[stage.name].model_dump(mode="json"),
            ),
            before=outlooks[stage.name],
            after=stage,
            dimensions=tuple(_dimensions(outlooks[stage.name], stage)),
        )
        for stage in other.stages
        if stage.name in outlooks
    ]
    kept = {stage.name for stage in stages}
    return Comparison(
        before=one,
        after=other,
        settings=_settings({"seed": before.seed}, {"seed": after.seed}),
        stages=tuple(stages),
        added=tuple(stage for stage in other.stages if stage.name not in kept),
        removed=tuple(stage for stage in one.stages if stage.name not in kept),
    )


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Setting, ...]:
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = [*old, *(key for key in new if key not in old)]
    found: list[Setting] = []
    for key in keys:
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        conditions = _conditions(one, other) if key == _WHERE and one and other else []
        found += conditions or [Setting(key=key, before=one, after=other)]
    return tuple(found)


def _conditions(before: str, after: str) -> list[Setting]:
    """The conditions that differ; two that name the same labels are one that was edited."""
    old, new = conditions_of(before, []), conditions_of(after, [])
    gone = [one for one in old if one not in new]
    come = [one for one in new if one not in old]
    found = []
    for one in gone:
        edited = next((other for other in come if other.columns == one.columns), None)
        if edited is not None:
            come.remove(edited)
        found.append(Setting(key=_WHERE, before=one.sql, after=edited and edited.sql))
    return found + [Setting(key=_WHERE, before=None, after=one.sql) for one in come]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(key path, value) of every leaf; a list of named things is keyed by the names."""
    for key, value in tree.items():
        inside = value
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            inside = {str(one.get("name", place)): one for place, one in enumerate(value)}
        if isinstance(inside, dict) and inside:
            yield from _leaves(inside, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _dimensions(before: StageOutlook, after: StageOutlook) -> Iterator[DimensionChange]:
    names = [one.name for one in after.dimensions]
    names += [one.name for one in before.dimensions if one.name not in names]
    for name in names:
        old, new = _rows(before, name), _rows(after, name)
        changes = [
            RowChange(value=value, before=old.get(value), after=new.get(value))
            for value in {**old, **new}
        ]
        changed = [one for one in changes if one.change]
        if changed:
            ordered = sorted(changed, key=lambda one: (-abs(one.change), one.value))
            yield DimensionChange(name=name, rows=tuple(ordered))


def _rows(stage: StageOutlook, name: str) -> dict[str, Row]:
    dimension = stage.dimension(name)
    return {row.value: row for row in dimension.rows} if dimension else {}
