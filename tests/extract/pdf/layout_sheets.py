"""Pages of runs for tests of the layout, set by hand: every letter is half its size wide."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.extract.pdf.layout import layout_pages
from pipelines.extract.pdf.layout_runs import PageRuns

WIDTH, HEIGHT = 600.0, 800.0


@dataclass
class Sheet:
    """A page to which lines are added, from left and top in points."""

    texts: list[str] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    bold: list[bool] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)

    def put(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 10.0,
        width: float | None = None,
        bold: bool = False,
        turn: int = 0,
        hidden: bool = False,
    ) -> "Sheet":
        """Adds a run whose box begins at (x, y)."""
        wide = 0.5 * size * len(text) if width is None else width
        self.texts.append(text)
        self.boxes.append(
            (x, y, x + size, y + wide) if turn in (1, 3) else (x, y, x + wide, y + size)
        )
        self.sizes.append(size)
        self.bold.append(bold)
        self.turns.append(turn)
        self.hidden.append(hidden)
        return self

    def column(
        self,
        x: float,
        y: float,
        lines: Sequence[str],
        width: float = 230.0,
        size: float = 10.0,
        pitch: float = 12.0,
    ) -> "Sheet":
        """Adds justified lines; the last one keeps its own width."""
        for i, line in enumerate(lines):
            wide = width if i + 1 < len(lines) else None
            self.put(x, y + pitch * i, line, size, wide)
        return self

    @property
    def runs(self) -> PageRuns:
        """The page."""
        return PageRuns(
            width=WIDTH,
            height=HEIGHT,
            texts=self.texts,
            box=np.array(self.boxes, np.float32).reshape(-1, 4),
            size=np.array(self.sizes, np.float32),
            bold=np.array(self.bold, np.bool_),
            hidden=np.array(self.hidden, np.bool_),
            rules=np.array(self.rules, np.float32).reshape(-1, 4),
            turn=np.array(self.turns, np.uint8),
        )


def text_of(*sheets: Sheet) -> list[str]:
    """The texts of the pages of one document."""
    return [page.text for page in layout_pages([sheet.runs for sheet in sheets])]
