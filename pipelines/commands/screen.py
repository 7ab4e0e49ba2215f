"""What the commands around a plan share on a screen: its width, tables of text, and bars of text.

A screen is at most 100 columns wide, also where the terminal is wider, because a row is read from
end to end. Bars are block characters on a terminal that can show them and ASCII elsewhere; nothing
is said by colour or by a bar alone, each stands beside its number.

A number is never cut: half a number is a wrong number. Where a table is too wide its bars shrink
and then go, then the columns go that its maker can spare, then names are cut, with an ellipsis. A
table that is too wide even so runs over the edge, as numbers in full.
"""

import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from pipelines.report.story import short

WIDTH: Final = 100
BAR_WIDTH: Final = 14
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_LEAST_BAR: Final = 4  # characters; in fewer, two bars of different length look the same
_MOST_NAME: Final = 26
_LEAST_NAME: Final = 8
_GAP: Final = 2
_LEAST_TEXT: Final = 20  # characters of wrapped text a line, however narrow the terminal


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


def bar_letters(console: Console) -> tuple[str, str]:
    """The characters of a bar: what it stands for, and what it lost."""
    return ("█", "░") if draws_blocks(console) else ("#", ".")


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell that is a bar, as wide as the table has room for; see `bar`."""

    part: float
    largest: float
    before: float = 0.0


@dataclass(slots=True)
class Sheet:
    """A table of text without lines: names to the left, numbers aligned right and never cut."""

    columns: Sequence[str]
    """Heads; the first column holds names."""
    names: Sequence[int] = (0,)
    """Columns of names, which may be cut."""
    spare: Sequence[int] = ()
    """Columns that may go where the screen is narrow, the first of these first."""
    rows: list[tuple[str | Bar, ...]] = field(default_factory=list)

    def add_row(self, *cells: str | Bar) -> None:
        """Adds a row with a cell for every column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"found {len(cells)} cells; allowed: {len(self.columns)}")
        self.rows.append(cells)

    def fit(self, width: int) -> dict[int, int]:
        """Column -> its characters, of the columns that have room in `width` characters."""
        bars = self._bars()
        widths = {column: self._natural(column) for column in range(len(self.columns))}
        widths |= {column: BAR_WIDTH for column in bars}
        for column in self.names:
            widths[column] = min(widths[column], _MOST_NAME)
        self._shrink(widths, bars, _LEAST_BAR, width)
        for column in [*bars, *self.spare]:
            if _over(widths, width) > 0:
                del widths[column]
        self._shrink(widths, [one for one in self.names if one in widths], _LEAST_NAME, width)
        return widths

    def has_bars(self, width: int) -> bool:
        """Whether bars have room in `width` characters."""
        return bool(self._bars() & self.fit(width).keys())

    def lines(self, width: int, *, blocks: bool) -> list[str]:
        """The table, its heads first.

        Args:
            width: Characters that a line should have at most.
            blocks: Bars of block characters instead of ASCII.
        """
        widths = self.fit(width)
        left = {*self.names, *self._bars()}
        heads = [] if not any(self.columns) else [tuple(self.columns)]
        return [
            (" " * _GAP)
            .join(
                _cell(row[column], widths[column], left=column in left, blocks=blocks)
                for column in widths
            )
            .rstrip()
            for row in [*heads, *self.rows]
        ]

    def _bars(self) -> set[int]:
        return {n for row in self.rows for n, cell in enumerate(row) if isinstance(cell, Bar)}

    def _natural(self, column: int) -> int:
        cells = [self.columns[column], *(row[column] for row in self.rows)]
        return max(cell_len(cell) for cell in cells if isinstance(cell, str))

    @staticmethod
    def _shrink(widths: dict[int, int], columns: Iterable[int], least: int, width: int) -> None:
        for column in columns:
            room = widths[column] - max(_over(widths, width), 0)
            widths[column] = min(widths[column], max(room, least))


def _over(widths: Mapping[int, int], width: int) -> int:
    """By how many characters a line is too wide."""
    return sum(widths.values()) + _GAP * (len(widths) - 1) - width


def _cell(cell: str | Bar, width: int, *, left: bool, blocks: bool) -> str:
    if isinstance(cell, Bar):
        cell = bar(cell.part, cell.largest, before=cell.before, width=width, blocks=blocks)
    if cell_len(cell) > width:
        cell = f"{set_cell_size(cell, width - 1).rstrip()}…"
    blank = " " * (width - cell_len(cell))
    return cell + blank if left else blank + cell


def show(console: Console, title: str, table: Sheet) -> None:
    """A table under its title, with an empty line before it."""
    console.print()
    console.print(wrapped(title, console.width), style="bold", soft_wrap=True)
    show_rows(console, table)


def show_rows(console: Console, table: Sheet) -> None:
    """A table without a title."""
    for line in table.lines(console.width, blocks=draws_blocks(console)):
        console.print(line, soft_wrap=True)


def wrapped(text: str, width: int, *, indent: int = 0) -> str:
    """Text in lines of at most `width` characters, but words in full.

    Args:
        text: Its first line is not indented.
        width: Of the screen.
        indent: Blanks before each line but the first.
    """
    return "\n".join(
        textwrap.wrap(
            text,
            max(width, indent + _LEAST_TEXT),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
    )


def epochs(value: float) -> str:
    """Epochs to two decimals: 0.31, 4.00; what is not 0 does not look like it."""
    return "< 0.01" if 0 < value < 0.005 else f"{value:.2f}"


def signed(value: float) -> str:
    """A change of a number: +1,234, -12.35 M, 0."""
    told = short(abs(value))
    return told if told == "0" else f"{'+' if value > 0 else '-'}{told}"
