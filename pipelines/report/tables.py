"""Rows of the page's tables, with the length of the bar that stands in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mixtures.expressions import ELIGIBLE
from mixtures.spec import REDACTABLE
from pipelines.report.facts import (
    IN_REJECTED_FILES,
    OTHERS,
    Check,
    GroupFacts,
    LabelFacts,
    Losses,
    RunFacts,
    StageFacts,
    count_bins,
    score_bins,
)
from pipelines.report.language_tags import language_name, script_name
from pipelines.report.origins import KINDS
from pipelines.report.pictures import Rect, columns, share
from pipelines.report.story import number, percent

FOLD_AFTER: Final = 15
"""Rows that are seen without unfolding."""

MAX_ROWS: Final = 300
"""Rows of one table at most; the rest shares the last one, so that the sum stays whole."""

HISTOGRAM: Final = (600.0, 150.0)
"""Width and height of a histogram, in its own units."""
SPARKLINE: Final = (120.0, 24.0)

LARGEST: Final = 4
"""Groups of a stage that are named at the head of the page."""

NO_TOPIC: Final = "no topic (score too low, or a language without one)"
NO_FORMAT: Final = "no format (score too low)"

_FEW: Final = 3  # not worth a fold of their own
_T = TypeVar("_T")

REASONS: Final = {
    "eligible": "eligible",
    "where_false": "where is false",
    "outside_length_buckets": "outside the length buckets",
    "repeated_record": "record met twice",
    "not_labelled": "not labelled",
    "no_weight": "weight 0 or missing",
    "too_deep": "too many models deep",
    "cut_to_nothing": "nothing left after the cuts",
    "too_many_rewrites": "too many rewrites of a seed",
    "validation": "held out for validation",
    "near_validation": "near a held-out text",
    "taken_down": "taken down",
}
"""Reasons of a mixture in words; all other reasons are printed as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A name, a number and its bar."""

    name: str
    value: int
    bar: float
    """Per cent of the longest."""
    share: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded(Generic[_T]):
    """Rows that are seen, and rows behind a fold."""

    shown: tuple[_T, ...]
    rest: tuple[_T, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRow:
    """One language, in documents and in the tokens of every stage."""

    code: str
    name: str
    script: str
    documents: int
    bar: float
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """One group of a stage."""

    name: str
    group: GroupFacts
    share: str
    bar: float
    capped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Columns and what they stand for."""

    column: str
    rects: tuple[Rect, ...]
    rows: tuple[Row, ...]
    """One a bin."""
    ticks: tuple[str, ...]
    """Words under the axis, evenly spread."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """A line of the account from documents to tokens: one number a stage."""

    name: str
    sign: str
    """`-` for a loss, `+` for an addition, `=` for a sum, empty for a statement."""
    values: tuple[int, ...]
    wrong: tuple[bool, ...] = ()
    """Where the sum does not hold."""


def fold(rows: Sequence[_T]) -> Folded[_T]:
    """The first rows, and the others where they are worth a fold."""
    cut = FOLD_AFTER if len(rows) > FOLD_AFTER + _FEW else len(rows)
    return Folded(shown=tuple(rows[:cut]), rest=tuple(rows[cut:]))


def counted(
    counts: Mapping[str, int],
    *,
    name: Callable[[str], str] = str,
    whole: int | None = None,
) -> Folded[Row]:
    """Rows of a count, the largest first; zeros are left out.

    Args:
        counts: Value -> how many.
        name: What to print for a value.
        whole: What shares are of; by default the sum.
    """
    ordered = sorted(
        ((value, count) for value, count in counts.items() if count),
        key=lambda item: (-item[1], item[0]),
    )
    largest = ordered[0][1] if ordered else 0
    total = sum(counts.values()) if whole is None else whole
    kept, rest = ordered[:MAX_ROWS], ordered[MAX_ROWS:]
    lines = [(name(value), count) for value, count in kept]
    if rest:
        lines.append((f"{number(len(rest))} more", sum(count for _, count in rest)))
    return fold(
        [
            Row(name=text, value=count, bar=share(count, largest), share=percent(count, total))
            for text, count in lines
        ]
    )


def language_rows(facts: RunFacts) -> Folded[LanguageRow]:
    """All languages by documents, with what each stage holds of them."""
    documents = facts.labels.values.get("language", {})
    by_stage = [
        {("" if code == "null" else code): n for code, n in s.tokens_by.get("language", {}).items()}
        for s in facts.stages
    ]
    codes = {*documents, *(code for tokens in by_stage for code in tokens)}
    largest = max(documents.values(), default=0)
    rows = [
        LanguageRow(
            code=code,
            name=language_name(code),
            script=_other_name(script_name(code), language_name(code)) if "_" in code else "",
            documents=documents.get(code, 0),
            bar=share(documents.get(code, 0), largest),
            tokens=tuple(tokens.get(code, 0) for tokens in by_stage),
        )
        for code in codes
    ]
    return fold(sorted(rows, key=lambda row: (-row.documents, -sum(row.tokens), row.code)))


def _other_name(script: str, language: str) -> str:
    """The script's name where the language's does not say it: not `Japanese Japanese`."""
    return "" if set(script.split()) & set(language.split()) else script


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """Who wrote texts: documents, and tokens of every stage; None where that was not counted."""

    name: str
    documents: int | None
    bar: float
    tokens: tuple[int | None, ...]


def kind_rows(facts: RunFacts) -> list[KindRow]:
    """All kinds of texts, people's own first; empty where no entry says who wrote them."""
    by_stage = [
        {("" if kind == "null" else kind): n for kind, n in s.tokens_by.get("kind", {}).items()}
        for s in facts.stages
    ]
    found = {*facts.kinds, *(kind for tokens in by_stage for kind in tokens)}
    largest = max(facts.kinds.values(), default=0)
    ordered = [*KINDS, *sorted(found - set(KINDS))]
    return [
        KindRow(
            name=KINDS.get(kind, kind),
            documents=facts.kinds.get(kind, 0) if facts.kinds else None,
            bar=share(facts.kinds.get(kind, 0), largest),
            tokens=tuple(tokens.get(kind, 0) if tokens else None for tokens in by_stage),
        )
        for kind in ordered
        if kind in found or (kind in KINDS and kind and found)
    ]


def page_rejects(intake: Losses) -> Folded[Row]:
    """Why pages of PDF-like files were rejected; the rows sum to all pages that were.

    Pages of a file that was rejected as a whole may have no reason of their own.
    """
    reasons = dict(intake.reasons.get("page_rejects", {}))
    total = intake.counts.get("pages_rejected", 0)
    others = total - sum(reasons.values())
    return counted(reasons | {IN_REJECTED_FILES: max(0, others)}, whole=total)


def label_counts(labels: LabelFacts, column: str, without: str) -> Folded[Row]:
    """Documents by a label, those without it in a row of their own; empty where none has it."""
    counts = labels.values.get(column, {}) if labels.known(column) else {}
    return counted(counts, name=lambda value: spoken(value) if value else without)


def spoken(name: str) -> str:
    """A name without underscores."""
    return name.replace("_", " ")


def kinds_left(stage: StageFacts, labels: LabelFacts) -> list[str]:
    """Kinds of personal data that the shards of a stage hold as they are.

    Those that a stage could have cut and does not, and others that an annotator of the user's own
    found.
    """
    left = [kind for kind in REDACTABLE if kind not in stage.redact]
    return left + sorted(set(labels.spans.get("pii", {})) - set(REDACTABLE))


def composition(stage: StageFacts) -> tuple[Row, ...]:
    """The largest groups of a stage by planned tokens, and all others as one."""
    ordered = sorted(stage.groups, key=lambda g: (g.name == OTHERS, -g.planned, g.name))
    kept = ordered[:LARGEST] if len(ordered) > LARGEST + 1 else ordered
    rows = [(_group_name(stage, group), group.planned) for group in kept if group.name != OTHERS]
    rest = [group for group in ordered if group not in kept or group.name == OTHERS]
    if rest:
        named = f"{number(sum(group.rows for group in rest))} others"
        rows.append((named, sum(group.planned for group in rest)))
    return tuple(
        Row(
            name=name,
            value=round(planned),
            bar=share(planned, stage.planned),
            share=percent(planned, stage.planned),
        )
        for name, planned in rows
    )


def group_rows(stage: StageFacts) -> Folded[GroupRow]:
    """The groups of a stage, with their part of its planned tokens."""
    largest = max((group.planned for group in stage.groups), default=0.0)
    return fold(
        [
            GroupRow(
                name=_group_name(stage, group),
                group=group,
                share=percent(group.planned, stage.planned),
                bar=share(group.planned, largest),
                capped=group.rows == 1 and group.epochs >= stage.max_epochs * (1 - 1e-9),
            )
            for group in stage.groups
        ]
    )


def _group_name(stage: StageFacts, group: GroupFacts) -> str:
    if group.name == OTHERS:
        return f"{number(group.rows)} more groups"
    if stage.group_by == "language":
        name = language_name(group.name)
    else:
        name = group.name or "all documents"
    return f"{name}, {group.bucket}" if group.bucket and stage.group_by else group.bucket or name


def length_histogram(labels: LabelFacts) -> Histogram | None:
    """Documents by number of tokens, in powers of two."""
    bins = count_bins(labels.histograms.get("num_tokens", {}))
    if not bins:
        return None
    names = [f"{low:,} to {high:,}" if high > low else f"{low:,}" for low, high, _ in bins]
    ticks = [_power(low) for low, _, _ in bins]
    return _histogram("num_tokens", [n for *_, n in bins], names, ticks)


def score_histogram(labels: LabelFacts, column: str) -> Histogram | None:
    """Documents by a score from 0 to 1, in twentieths."""
    found = labels.histograms.get(column)
    if not found:
        return None
    bins = score_bins(found)
    names = [f"{low:.2f} to {high:.2f}" for low, high, _ in bins]
    return _histogram(column, [n for *_, n in bins], names, ["0", "0.25", "0.5", "0.75", "1"])


def sparkline(labels: LabelFacts, column: str) -> Histogram:
    """A small histogram of any column of numbers."""
    if labels.types.get(column) == "count":
        bins = count_bins(labels.histograms[column])
        values = [n for *_, n in bins]
        names = [f"{low:,} to {high:,}" for low, high, _ in bins]
        ends = [f"{bins[0][0]:,}", f"{bins[-1][1]:,}"] if bins else []
    else:
        scores = score_bins(labels.histograms[column])
        values = [n for *_, n in scores]
        names = [f"{low:.2f} to {high:.2f}" for low, high, _ in scores]
        ends = ["0", "1 or more"]
    return _histogram(column, values, names, ends, size=SPARKLINE, gap=1.0)


def _histogram(
    column: str,
    values: Sequence[int],
    names: Sequence[str],
    ticks: Sequence[str],
    size: tuple[float, float] = HISTOGRAM,
    gap: float = 4.0,
) -> Histogram:
    total, largest = sum(values), max(values, default=0)
    rows = [
        Row(name=name, value=n, bar=share(n, largest), share=percent(n, total))
        for name, n in zip(names, values, strict=True)
    ]
    return Histogram(
        column=column,
        rects=tuple(columns(values, width=size[0], height=size[1], gap=gap)),
        rows=tuple(rows),
        ticks=tuple(ticks),
        total=total,
    )


def _power(value: int) -> str:
    """1, 2, ... 512, 1K, 2K ... 1M: a power of two as people say it."""
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if value >= unit:
            return f"{value // unit}{letter}"
    return str(value)


def line_shares(labels: LabelFacts) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Documents by the share of their lines that are code, or formulas.

    Returns:
        (column, documents under 5 %, 5 to 20 %, 20 to 50 %, above); the edges are edges of bins.
    """
    found = []
    for column in ("code_share", "math_share"):
        bins = labels.histograms.get(column)
        if bins:
            edges = ((0, 1), (1, 4), (4, 10), (10, 20))
            sums = [sum(n for b, n in bins.items() if a <= b < z) for a, z in edges]
            found.append((column, (sums[0], sums[1], sums[2], sums[3])))
    return found


def overlaps(labels: LabelFacts) -> dict[str, int]:
    """Documents by the share of a benchmark item that they hold; those that hold nothing are out.

    A score of 0 lies in the first bin with others below 0.05, so that bin counts only as far as
    there are documents with a benchmark at all.
    """
    bins = labels.histograms.get("contamination_score", {})
    quoting = sum(labels.known("benchmark").values())
    edges = (("over 60 %", 12, 20), ("30 to 60 %", 6, 12), ("5 to 30 %", 1, 6))
    found = {name: sum(n for b, n in bins.items() if a <= b < z) for name, a, z in edges}
    return {**found, "under 5 %": max(0, quoting - sum(found.values()))} if quoting else {}


def left_out(stage: StageFacts) -> list[Row]:
    """Why documents are not eligible for a stage, the commonest reason first."""
    lost = {REASONS.get(r, r): n for r, n in stage.reasons.items() if r != ELIGIBLE}
    folded = counted(lost, whole=sum(stage.reasons.values()))
    return [*folded.shown, *folded.rest]


def account(facts: RunFacts) -> list[AccountLine]:
    """From documents to tokens, a line a step, a column a stage."""
    stages = facts.stages
    reasons = sorted({r for s in stages for r in s.reasons if r != ELIGIBLE})
    lost = [
        AccountLine(
            name=REASONS.get(reason, reason),
            sign="-",
            values=tuple(s.reasons.get(reason, 0) for s in stages),
        )
        for reason in reasons
        if any(s.reasons.get(reason, 0) for s in stages)
    ]
    wrong = [_wrong(facts, stage) for stage in stages]

    def line(name: str, sign: str, key: str) -> AccountLine:
        return AccountLine(name=name, sign=sign, values=tuple(s.counts.get(key, 0) for s in stages))

    def total(name: str, key: str, values: tuple[int, ...]) -> AccountLine:
        return AccountLine(
            name=name, sign="=", values=values, wrong=tuple(key in found for found in wrong)
        )

    drawn = tuple(s.counts.get("documents", 0) for s in stages)
    missed = tuple(max(0, s.eligible - d) for s, d in zip(stages, drawn, strict=True))
    extra = [
        line(name, "+", key)
        for name, key in (("by cutting personal data", "cut_tokens"),)
        if any(s.counts.get(key, 0) for s in stages)
    ]
    return [
        AccountLine(name="documents", sign="", values=tuple(facts.documents for _ in stages)),
        *lost,
        total("eligible", "documents", tuple(s.eligible for s in stages)),
        AccountLine(name="not drawn: expected less than once", sign="-", values=missed),
        total("drawn at least once", "eligible", drawn),
        line("draws, repeats counted", "", "draws"),
        line("tokens of the draws", "", "document_tokens"),
        *extra,
        line("end-of-document tokens", "+", "eod"),
        line("padding", "+", "padding"),
        total("tokens written", "tokens", tuple(s.tokens for s in stages)),
    ]


def _wrong(facts: RunFacts, stage: StageFacts) -> set[str]:
    """Names of the totals of a stage that do not add up."""
    return {check.total[0] for check in checks_of(facts, stage.title) if not check.holds}


def checks_of(facts: RunFacts, *steps: str) -> list[Check]:
    """The equations of a section."""
    return [check for check in facts.checks if check.step in steps]
