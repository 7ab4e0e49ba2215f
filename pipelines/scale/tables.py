"""Bills as tables: the same rows on a terminal and in docs/scale.md."""

import math
from collections.abc import Sequence
from typing import Final

from pipelines.scale.bill import Bill, Range
from pipelines.scale.limits import Limit

Row = tuple[str, ...]
_UNITS: Final = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_COUNTS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"))

STAGE_COLUMNS: Final = (
    "stage",
    "core-hours",
    "from",
    "to",
    "shuffled",
    "batches",
    "stored",
    "files",
)
LIMIT_COLUMNS: Final = ("what grows", "here", "most", "what is done")


def size(num_bytes: float) -> str:
    """Bytes in powers of 1,000.

    >>> size(0), size(999), size(1.5e12)
    ('0', '999 B', '1.5 TB')
    """
    if not num_bytes:
        return "0"
    for factor, unit in _UNITS:
        if num_bytes >= factor:
            return f"{_digits(num_bytes / factor)} {unit}"
    return f"{num_bytes:.0f} B"


def count(number: float) -> str:
    """A count, with a unit from ten million on.

    >>> count(0), count(1234.4), count(2.5e10)
    ('0', '1,234', '25 G')
    """
    if number >= 1e7:
        factor, unit = next(one for one in _COUNTS if number >= one[0])
        return f"{_digits(number / factor)} {unit}"
    return f"{number:,.0f}" if number >= 10 or number == int(number) else _digits(number)


def _digits(number: float) -> str:
    """Two or three digits that count.

    >>> _digits(0.1234), _digits(1.26), _digits(55.5), _digits(1234.0)
    ('0.12', '1.3', '56', '1,234')
    """
    if number >= 10:
        return f"{number:,.0f}"
    written = f"{number:.1f}" if number >= 1 else f"{number:.2g}"
    return written.removesuffix(".0")


def stage_rows(bill: Bill) -> list[Row]:
    """One row a stage that takes anything, and the sum."""
    rows = [
        _row(
            line.stage,
            line.core_hours,
            line.shuffled,
            line.batches,
            line.stored,
            line.files,
        )
        for line in bill.lines
        if line.core_seconds.value or line.stored
    ]
    batches = sum(line.batches for line in bill.lines)
    total = _row("all", bill.core_hours, bill.shuffled, batches, bill.stored, bill.files)
    return [*rows, total]


def _row(
    name: str, hours: Range, shuffled: float, batches: float, stored: float, files: float
) -> Row:
    cores = (count(one) for one in (hours.value, hours.low, hours.high))
    return (name, *cores, size(shuffled), count(batches), size(stored), count(files))


def limit_rows(limits: Sequence[Limit]) -> list[Row]:
    """One row a limit; one that is passed is marked."""
    return [
        (
            one.what,
            f"{count(one.value)} {one.unit}".strip() + (" (passed)" if one.is_passed else ""),
            "" if one.most is None else f"{count(one.most)} {one.unit}".strip(),
            one.mend,
        )
        for one in limits
    ]


def lines_of(bill: Bill) -> list[str]:
    """What is said below the tables."""
    facts, hours = bill.facts, bill.hours
    said = [
        f"{size(facts.text_bytes)} of text in {count(facts.documents)} documents "
        f"({_html(bill)}), {count(facts.num_parts)} parts, {count(facts.tokens)} tokens.",
        f"{_hours(hours.value)} ({_hours(hours.low)} to {_hours(hours.high)}) on "
        f"{bill.machine.cores:,} cores.",
        f"On an object store {count(bill.requests['write'])} requests that write or list and "
        f"{count(bill.requests['read'])} that read.",
    ]
    if bill.gpu_hours:
        said.append(f"{count(bill.gpu_hours)} GPU-hours for models.")
    money = bill.money
    if money is None:
        said.append("No money: prices are not stated; give --prices FILE.")
    else:
        total = money.total
        parts = {
            "cores": money.cores.value,
            "shuffle": money.shuffle,
            "requests": money.requests,
            "a month of storage": money.storage_month,
            "GPUs": money.gpus or 0.0,
        }
        listed = ", ".join(f"{name} {amount:,.2f}" for name, amount in parts.items() if amount)
        said.append(
            f"{total.value:,.2f} {money.currency} ({total.low:,.2f} to {total.high:,.2f}): "
            f"{listed}. Prices: {money.stated}."
        )
    return said


def _html(bill: Bill) -> str:
    """The share of HTML, which extraction costs most by."""
    share = bill.facts.html_pages / bill.facts.documents
    if share:
        return f"{share:.0%} HTML" if share >= 0.005 else "below 1% HTML"
    return "0% HTML; a web corpus: --html 95%" if bill.facts.is_on_paper else "0% HTML"


def _hours(hours: float) -> str:
    """A time by the clock.

    >>> _hours(0.001), _hours(0.5), _hours(30), _hours(2400)
    ('4 s', '30 min', '30 h', '100 days')
    """
    if hours < 1 / 60:
        return f"{math.ceil(hours * 3600)} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{_digits(hours)} h" if hours < 72 else f"{_digits(hours / 24)} days"


def markdown(columns: Row, rows: Sequence[Row], numbers: int) -> str:
    """A table for a document; the columns from the second to `numbers` are numbers."""
    marks = ["---", *("--:" if i <= numbers else "---" for i in range(2, len(columns) + 1))]
    lines = [columns, tuple(marks), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
