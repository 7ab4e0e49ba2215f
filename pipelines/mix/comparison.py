"""What an edit of a mixture changes: two plans of the same labels, side by side.

Stages are matched by name, because the name enters the draws: under another name a stage draws
other documents. Of single documents a preview keeps counts alone, so a difference of two counts
says how many more or fewer there are, not which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipelines.mix.conditions import conditions_of
from pipelines.mix.outlook import GROUP, Outlook, Row, StageOutlook, outlook_of
from pipelines.mix.plan import Plan

FORMAT: Final = "tokenmill-outlook-comparison"
_WHERE: Final = "where"
_WEIGHT: Final = "weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of a mixture file that differs; None where the key is absent."""

    key: str
    """`seed`, or a key of a stage: `shares.temperature`; of `where` one for each condition.

    A weight of another method is one edit, under the key `weight`.
    """
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
    def expected_before(self) -> float:
        """Tokens expected."""
        return self.before.expected_tokens if self.before else 0.0

    @property
    def expected_after(self) -> float:
        """Tokens expected."""
        return self.after.expected_tokens if self.after else 0.0

    @property
    def expected_change(self) -> int:
        """Expected tokens, after less before, to the token: below it is the rounding of sums."""
        return round(self.expected_after - self.expected_before)

    @property
    def change(self) -> int:
        """Drawn tokens, after less before."""
        return self.drawn_after - self.drawn_before


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionChange:
    """The values of a dimension whose tokens differ.

    The largest change of expected tokens comes first, and of drawn tokens among equals: what is
    drawn differs by chance as well, and chance should not lead.
    """

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
    """Those in which any row changes; without groups where `groups_differ`."""
    groups_differ: bool
    """Whether `group_by` differs, so that a group of one is no group of the other."""

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
            settings=_stage_settings(
                before.stages[stage.name].model_dump(mode="json"),
                after.stages[stage.name].model_dump(mode="json"),
            ),
            before=outlooks[stage.name],
            after=stage,
            dimensions=tuple(_dimensions(outlooks[stage.name], stage)),
            groups_differ=_groups_differ(outlooks[stage.name], stage),
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


def _stage_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Setting, ...]:
    old, new = before.get(_WEIGHT), after.get(_WEIGHT)
    if _method(old) == _method(new):
        return _settings(before, after)
    rest = ({k: v for k, v in one.items() if k != _WEIGHT} for one in (before, after))
    return (*_settings(*rest), Setting(key=_WEIGHT, before=old, after=new))


def _method(weight: Any) -> str:  # noqa: ANN401 - whatever a mixture file holds
    """Key of the method, or the type of what is no mapping: text, or nothing."""
    return ", ".join(weight) if isinstance(weight, dict) else type(weight).__name__


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
        if name == GROUP and _groups_differ(before, after):
            continue
        old, new = _rows(before, name), _rows(after, name)
        changes = [
            RowChange(value=value, before=old.get(value), after=new.get(value))
            for value in {**old, **new}
        ]
        changed = [one for one in changes if one.change or one.expected_change]
        if changed:
            yield DimensionChange(name=name, rows=tuple(sorted(changed, key=_by_change)))


def _by_change(row: RowChange) -> tuple[int, int, str]:
    return -abs(row.expected_change), -abs(row.change), row.value


def _groups_differ(before: StageOutlook, after: StageOutlook) -> bool:
    one, other = (" ".join((stage.group_by or "").split()) for stage in (before, after))
    return one != other


def _rows(stage: StageOutlook, name: str) -> dict[str, Row]:
    dimension = stage.dimension(name)
    return {row.value: row for row in dimension.rows} if dimension else {}
