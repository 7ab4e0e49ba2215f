"""What the layout of a page is made from: runs of text with places, and ruling lines."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def _no_rules() -> Floats:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRuns:
    """The runs of one upright page, in the order of the file, and its ruling lines.

    A run is a letter, a word or a piece of a line in one size; never more than a line. Points,
    from the top left of the page.
    """

    width: float
    height: float
    texts: list[str]
    """In logical order; a space at its beginning or end parts it from its neighbour."""
    box: Floats
    """float32[n, 4]: x0, y0, x1, y1; best the same height for all runs of a line and a size."""
    size: Floats
    """float32[n], of the font."""
    bold: Bools | None = None
    italic: Bools | None = None
    fixed: Bools | None = None
    """bool[n]: set in a font of fixed pitch."""
    hidden: Bools | None = None
    """bool[n]: drawn invisibly, as the text of an OCR program under a scan."""
    rules: Floats = field(default_factory=_no_rules)
    """float32[k, 4]: level and upright lines and thin boxes."""
    turn: npt.NDArray[np.uint8] | None = None
    """uint8[n]: quarter turns of the letters, clockwise; 4 where they are slanted, and then the box
    is that of the first letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """What a page says."""

    text: str
    """Markdown."""
    dropped: tuple[tuple[str, str], ...] = ()
    """(reason, text) of what is left out: running_head, running_foot, page_number, margin_note,
    line_number, repeated (overprinted)."""
