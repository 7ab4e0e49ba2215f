"""What the commands around a plan share on a screen: its width, plain tables, and bars of text.

A screen is at most 100 columns wide, also where the terminal is wider, because a row is read from
end to end. Bars are block characters on a terminal that can show them and ASCII elsewhere; nothing
is said by colour or by a bar alone, each stands beside its number.
"""

import os
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from pipelines.report.story import short

WIDTH: Final = 100
BAR_WIDTH: Final = 14
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def open_console() -> Console:
    """Standard output, at most WIDTH columns wide, which prints words as they are written."""
    found = Console()
    known = found.is_terminal or "COLUMNS" in os.environ
    width = min(WIDTH, found.width) if known else WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def draws_blocks(console: Console) -> bool:
    """Whether the console is a terminal that shows block characters."""
    return console.is_terminal and console.encoding.lower().startswith("utf")


def bar(
    part: float, largest: float, *, before: float = 0.0, width: int = BAR_WIDTH, blocks: bool
) -> str:
    """A bar of text; what it lost since `before` is drawn lighter.

    Args:
        part: What the bar stands for, not negative.
        largest: What a full bar stands for.
        before: Up to here the bar goes on, lighter, where that is more.
        width: Characters of a full bar.
        blocks: Block characters, to an eighth of a character, instead of ASCII.

    >>> bar(0.5, 1.0, before=0.75, width=8, blocks=False)
    '####..'
    >>> bar(0.3, 1.0, width=10, blocks=True)
    '███'
    """
    if largest <= 0:
        return ""
    eighths = round(8 * width * min(part / largest, 1.0))
    if part > 0:
        eighths = max(eighths, 1)  # what is there can be seen
    whole, rest = divmod(eighths, 8)
    if blocks:
        drawn = "█" * whole + (_EIGHTHS[rest] if rest else "")
    else:
        drawn = "#" * (whole + (rest >= 4 or (not whole and rest > 0)))
    until = round(width * min(before / largest, 1.0))
    return drawn + ("░" if blocks else ".") * (until - len(drawn))


def plain_table(columns: Sequence[str], *, left: Sequence[str] = ()) -> Table:
    """An empty table without lines; columns are aligned right but the first and those in `left`.

    The first column is folded where it does not fit; numbers are never broken.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, name in enumerate(columns):
        words = position == 0 or name in left
        table.add_column(
            name,
            justify="left" if words else "right",
            no_wrap=True,
            overflow="ellipsis",
            header_style="",
        )
    return table


def show(console: Console, title: str, table: Table) -> None:
    """A table under its title, with an empty line before it."""
    console.print()
    console.print(title, style="bold")
    console.print(table)


def epochs(value: float) -> str:
    """Epochs to two decimals: 0.31, 4.00; what is not 0 does not look like it."""
    return "< 0.01" if 0 < value < 0.005 else f"{value:.2f}"


def signed(value: float) -> str:
    """A change of a number: +1,234, -12.35 M, 0."""
    told = short(abs(value))
    return told if told == "0" else f"{'+' if value > 0 else '-'}{told}"
