"""Which sample goes into which set: decided from little of each sample, before its texts are read.

See `sets` for the rules and their source.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pipelines.synthesize.mathematics.answers import plain_form
from pipelines.synthesize.mathematics.equality import quick_equal

COLD_START: Final = "cold_start"
RL_PAIRS: Final = "rl_pairs"
THINKING_FUSION: Final = "thinking_fusion"
DISTILLATION: Final = "distillation"
FUSION_MODES: Final = ("think", "no_think")
SETS: Final = (COLD_START, RL_PAIRS, THINKING_FUSION, DISTILLATION)

LEFT_OUT: Final = (
    "rejected",  # by its recipe
    "repeated_sample",  # the same attempt stands in another file
    "conflicting_references",  # two runs accepted different answers of its problem
    "beside_rl_pair",  # its problem is a pair, made from another sample
    "no_thinking",  # nothing but an answer, and no set asked for takes that
    "domain_share",  # its field has its share
    "per_problem",  # its problem has its lines
    "not_asked",  # fits a set that was not asked for
)
"""Why a sample is in no set; beside these, the words of who excluded its problem."""

UNKNOWN: Final = "unknown"
"""Stands for the field or language of a sample that has none."""


class SetSettings(BaseModel):
    """What is exported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: tuple[str, ...] = SETS
    min_difficulty: float = Field(default=0.2, ge=0, le=1)
    """Of a pair: one minus the share of attempts that solve it."""
    max_difficulty: float = Field(default=1.0, ge=0, le=1)
    cold_start_share: float = Field(default=0.5, ge=0, le=1)
    """Of the problems that fit both cold start and pairs."""
    domain_share: float = Field(default=0.5, gt=0, le=1)
    """Most of one field in cold start and in the pairs, counted in problems. Not applied where
    there are too few fields to meet it."""
    per_problem: int = Field(default=2, ge=1)
    """Most lines of a problem in cold start and in distillation."""
    seed: int = 0
    """Of the hashes."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """What decides on a sample."""

    place: tuple[int, int]
    """(file, row)."""
    id: bytes
    problem: bytes
    style: str
    domain: str
    language: str
    attempt: int
    reason: str | None
    thinks: bool
    """Whether there is reasoning."""
    pass_rate: float | None
    truth: str | None
    """What a verifier needs; None where there is none."""
    is_answer: bool
    """Whether the truth is an answer, and not tests."""


@dataclass(slots=True)
class Plan:
    """Which line is made of which sample."""

    lines: dict[tuple[int, int], list[tuple[str, bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Place -> (set or mode, key of its order)."""
    left_out: Counter[str] = field(default_factory=Counter)
    difficulty: dict[bytes, float] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)
    """Sets in which the share of a field could not be met."""


def row_of(row: Mapping[str, Any], place: tuple[int, int]) -> SampleRow:
    """Of one row of SAMPLE, the columns that decide, and its place."""
    reason = row["reason"] if row["verdict"] != "accepted" else None
    truth = {"math_answer": row["reference"], "python_tests": row["tests"]}.get(row["verifier"])
    return SampleRow(
        place=place,
        id=row["id"],
        problem=row["problem"],
        style=row["style"],
        domain=row["domain"] or UNKNOWN,
        language=row["language"] or UNKNOWN,
        attempt=row["attempt"],
        reason=reason if row["verdict"] == "accepted" else (reason or "rejected"),
        thinks=bool(row["reasoning"]) or any(turn["reasoning"] for turn in row["messages"]),
        pass_rate=row["pass_rate"],
        truth=truth or None,
        is_answer=row["verifier"] == "math_answer",
    )


def planned(
    rows: Sequence[SampleRow], settings: SetSettings, excluded: Mapping[bytes, str]
) -> Plan:
    """Decides on all samples.

    Args:
        rows: In the order of their files; of equal samples the first counts.
        settings: What is exported.
        excluded: Id of a problem -> why it may not be exported.
    """
    plan = Plan()
    seen: set[bytes] = set()
    by_problem: dict[bytes, list[SampleRow]] = defaultdict(list)
    for row in rows:
        if row.id in seen:
            plan.left_out["repeated_sample"] += 1
        else:
            by_problem[row.problem].append(row)
        seen.add(row.id)
    accepted: dict[bytes, list[SampleRow]] = {}
    for problem, some in by_problem.items():
        kept = [row for row in some if row.reason is None]
        plan.left_out["rejected"] += len(some) - len(kept)
        why = excluded.get(problem) or _conflict(some)
        if why is not None:
            plan.left_out[why] += len(kept)
        elif kept:
            accepted[problem] = sorted(kept, key=lambda row: (row.attempt, row.style, row.id))
            rates = [row.pass_rate for row in some if row.pass_rate is not None]
            if rates:
                plan.difficulty[problem] = 1 - sum(rates) / len(rates)
    pairs = _chosen_pairs(accepted, plan, settings)
    cold = _chosen_cold(accepted, pairs, plan, settings)
    for problem, some in accepted.items():
        _plan_problem(some, problem in pairs, problem in cold, plan, settings)
    plan.left_out = +plan.left_out
    return plan


def _conflict(rows: Sequence[SampleRow]) -> str | None:
    """Whether runs disagree on what the answer of a problem is."""
    forms = sorted({plain_form(row.truth) for row in rows if row.truth and row.is_answer})
    agree = all(quick_equal(forms[0], form) for form in forms[1:])
    return None if agree else "conflicting_references"


def _chosen_pairs(
    accepted: Mapping[bytes, Sequence[SampleRow]], plan: Plan, settings: SetSettings
) -> set[bytes]:
    """Problems that become pairs."""
    if RL_PAIRS not in settings.sets:
        return set()
    low, high = settings.min_difficulty, settings.max_difficulty
    fit = {
        problem: rows[0].domain
        for problem, rows in accepted.items()
        if any(row.truth for row in rows)
        and problem in plan.difficulty
        and low <= plan.difficulty[problem] <= high
        and not (_fits_cold(rows, settings) and _goes_cold(problem, settings))
    }
    return _balanced(fit, RL_PAIRS, plan, settings)


def _chosen_cold(
    accepted: Mapping[bytes, Sequence[SampleRow]],
    pairs: Collection[bytes],
    plan: Plan,
    settings: SetSettings,
) -> set[bytes]:
    """Problems of the cold start."""
    fit = {
        problem: rows[0].domain
        for problem, rows in accepted.items()
        if problem not in pairs and _fits_cold(rows, settings)
    }
    return _balanced(fit, COLD_START, plan, settings)


def _fits_cold(rows: Sequence[SampleRow], settings: SetSettings) -> bool:
    return COLD_START in settings.sets and any(row.thinks for row in rows)


def _goes_cold(problem: bytes, settings: SetSettings) -> bool:
    """Where a problem goes that fits both."""
    drawn = int.from_bytes(_hash(settings, "split", problem), "big") / 2**64
    return drawn < settings.cold_start_share


def _hash(settings: SetSettings, what: str, data: bytes) -> bytes:
    return blake2b(what.encode() + data, key=str(settings.seed).encode(), digest_size=8).digest()


def _balanced(
    domains: Mapping[bytes, str], name: str, plan: Plan, settings: SetSettings
) -> set[bytes]:
    """Problems of which no field has more than its share; those are taken by a hash."""
    most = largest_share(Counter(domains.values()), settings.domain_share)
    if most is None:
        plan.unmet.append(name)
        return set(domains)
    taken: Counter[str] = Counter()
    kept = set()
    for problem in sorted(domains, key=lambda one: _hash(settings, name, one)):
        if taken[domains[problem]] < most:
            taken[domains[problem]] += 1
            kept.add(problem)
    return kept


def largest_share(counts: Mapping[str, int], share: float) -> int | None:
    """Most items of one field such that none has more than a share of all that are kept.

    Args:
        counts: Items by field.
        share: In (0, 1].

    Returns:
        None where even one item of each field is too much.
    """
    # m / sum(min(n, m)) never falls with m, for the sum is concave in m: so bisection finds it.
    low, high = 0, max(counts.values(), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        kept = sum(min(n, middle) for n in counts.values())
        low, high = (middle, high) if middle <= share * kept + 1e-9 else (low, middle - 1)
    return low if low or not counts else None


def _plan_problem(
    rows: Sequence[SampleRow], is_pair: bool, is_cold: bool, plan: Plan, settings: SetSettings
) -> None:
    """Lines of one problem, and why its other samples have none."""
    order = _hash(settings, "order", rows[0].problem)
    if is_pair:
        first = next(row for row in rows if row.truth)
        plan.lines[first.place].append((RL_PAIRS, order))
        plan.left_out["beside_rl_pair"] += len(rows) - 1
        return
    thinking = [row for row in rows if row.thinks]
    if is_cold:
        for row in thinking[: settings.per_problem]:
            plan.lines[row.place].append((COLD_START, order + row.id))
    if THINKING_FUSION in settings.sets:
        _plan_fusion(rows, order, plan)
    if DISTILLATION in settings.sets:
        for row in rows[: settings.per_problem]:
            plan.lines[row.place].append((DISTILLATION, order + row.id))
    for row in rows:
        if row.place not in plan.lines:
            plan.left_out[_why_not(row, is_cold, settings)] += 1


def _plan_fusion(rows: Sequence[SampleRow], order: bytes, plan: Plan) -> None:
    """One pair with and without thinking, of one style where there is one."""
    couples = [(one, other) for one in rows if one.thinks for other in rows if not other.thinks]
    if couples:
        one, other = min(
            couples,
            key=lambda c: (c[0].style != c[1].style, c[0].attempt, c[1].attempt, c[0].id, c[1].id),
        )
        plan.lines[one.place].append((FUSION_MODES[0], order + b"\0"))
        plan.lines[other.place].append((FUSION_MODES[1], order + b"\1"))


def _why_not(row: SampleRow, is_cold: bool, settings: SetSettings) -> str:
    if DISTILLATION in settings.sets or (is_cold and row.thinks):
        return "per_problem"
    if row.thinks and COLD_START in settings.sets:
        return "domain_share"
    return "not_asked" if row.thinks or settings.sets == (RL_PAIRS,) else "no_thinking"
