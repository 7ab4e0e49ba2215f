"""Which language is taken for which: the counts, and their picture as an SVG.

Rows are the languages that texts are in, columns what they were called; labels stand by group,
family and script, so that what is confused lies near the diagonal in blocks. The diagonal is left
grey, since it would outshine all else; a cell's colour grows with the root of its share of the row,
because one text in a hundred must be seen beside one in two. Every cell tells its numbers when
pointed at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.language.languages import UNDETERMINED, LanguageLabel, language_labels

_CELL: Final = 9
_LEFT: Final = 150
_TOP: Final = 118
_MARGIN: Final = 24
_OUTSIDERS: Final = "beyond the 119"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of texts by what they are and what they were called."""

    told: tuple[str, ...]
    """Rows: codes; the last may be `_OUTSIDERS`."""
    found: tuple[str, ...]
    """Columns: codes, then `und`."""
    counts: npt.NDArray[np.int64]
    """int64[len(told), len(found)]"""


def count_confusions(told: Sequence[str], found: Sequence[str]) -> Confusion:
    """Counts pairs, rows and columns in the order of the picture.

    Args:
        told: Code of each text; what is none of the 119 counts as one row of outsiders.
        found: One of the 119 or `und` of each text.
    """
    ordered = [label.code for label in sorted(language_labels(), key=_place)]
    known = set(ordered)
    inside = set(told) & known
    rows = [code for code in ordered if code in inside]
    if set(told) - known:
        rows.append(_OUTSIDERS)
    columns = [*ordered, UNDETERMINED]
    row_of = {code: number for number, code in enumerate(rows)}
    column_of = {code: number for number, code in enumerate(columns)}
    counts = np.zeros((len(rows), len(columns)), np.int64)
    for one, other in zip(told, found, strict=True):
        counts[row_of[one if one in known else _OUTSIDERS], column_of[other]] += 1
    return Confusion(told=tuple(rows), found=tuple(columns), counts=counts)


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Writes the picture.

    Args:
        confusion: As `count_confusions` gives it.
        path: SVG file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture_of(confusion), encoding="utf-8")


def picture_of(confusion: Confusion) -> str:
    """The SVG as text."""
    width = _LEFT + _CELL * len(confusion.found) + _MARGIN
    height = _TOP + _CELL * len(confusion.told) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="8">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="18" font-size="13">{escape(_title(confusion))}</text>',
        '<text x="8" y="34" font-size="10" fill="#57606a">Row: the language of a text. Column: '
        "what it was called. Colour: root of the share of the row; the diagonal is grey.</text>",
        *_labels(confusion),
        *_cells(confusion),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _place(label: LanguageLabel) -> tuple[str, str, str, str]:
    return label.family, label.script, label.group, label.code


def _title(confusion: Confusion) -> str:
    right = sum(
        int(confusion.counts[row, confusion.found.index(code)])
        for row, code in enumerate(confusion.told)
        if code in confusion.found
    )
    total = sum(
        int(confusion.counts[row].sum())
        for row, code in enumerate(confusion.told)
        if code != _OUTSIDERS
    )
    return f"{total:,} texts in the 119 languages, {total - right:,} of them called another or und"


def _labels(confusion: Confusion) -> list[str]:
    bottom = _TOP + _CELL * len(confusion.told)
    right = _LEFT + _CELL * len(confusion.found)
    names = {label.code: label.english_name for label in language_labels()}
    parts = []
    for row, code in enumerate(confusion.told):
        y = _TOP + _CELL * row
        shown = f"{names[code]} {code}" if code in names else code
        if row % 2 == 0:
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{right - _LEFT}" height="{_CELL}" '
                'fill="#f6f8fa"/>'
            )
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 7}" text-anchor="end">{escape(shown)}</text>')
    for column, code in enumerate(confusion.found):
        x = _LEFT + _CELL * column
        if column % 10 == 0:
            parts.append(f'<path d="M{x} {_TOP}V{bottom}" stroke="#d0d7de" stroke-width="0.5"/>')
        parts.append(
            f'<text transform="translate({x + 7} {_TOP - 4}) rotate(-90)">{escape(code)}</text>'
        )
    return parts


def _cells(confusion: Confusion) -> list[str]:
    parts = []
    sums = confusion.counts.sum(axis=1)
    for row, column in zip(*np.nonzero(confusion.counts), strict=True):
        told, found = confusion.told[row], confusion.found[column]
        number = int(confusion.counts[row, column])
        share = number / int(sums[row])
        colour = "#d0d7de" if told == found else _colour(share**0.5)
        said = f"{told} called {found}: {number:,} of {int(sums[row]):,} ({share:.1%})"
        parts.append(
            f'<rect x="{_LEFT + _CELL * int(column)}" y="{_TOP + _CELL * int(row)}" '
            f'width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}">'
            f"<title>{escape(said)}</title></rect>"
        )
    return parts


def _colour(strength: float) -> str:
    """From a pale yellow over orange to dark red."""
    stops = ((255, 237, 160), (253, 141, 60), (128, 0, 38))
    position = min(max(strength, 0.0), 1.0) * (len(stops) - 1)
    at = min(int(position), len(stops) - 2)
    mixed = (
        round(low + (high - low) * (position - at))
        for low, high in zip(stops[at], stops[at + 1], strict=True)
    )
    return "#" + "".join(f"{value:02x}" for value in mixed)
