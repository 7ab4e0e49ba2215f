"""Pages set in vertical lines, from the right to the left, as Japanese and Chinese books are.

Their letters stand upright below each other, so every letter is a run of its own. Such a page is
laid on its side: what was the first line, at the right, becomes the uppermost, and its letters
follow each other from left to right. All that is said of level lines then holds for it.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from pipelines.extract.pdf.layout_runs import Floats, PageRuns
from pipelines.extract.pdf.layout_segments import SOLID

_MIN_PAIRS: Final = 8
_MIN_SHARE: Final = 0.6
_ASIDE: Final = 0.3  # of the size
_BELOW: Final = (0.6, 1.9)


def with_level_lines(page: PageRuns) -> PageRuns:
    """A page with level lines: itself, or laid on its side where its lines are vertical."""
    if not _is_vertical(page):
        return page
    return replace(
        page,
        width=page.height,
        height=page.width,
        box=_on_side(page.box, page.width),
        rules=_on_side(page.rules, page.width),
        turn=None,
    )


def _is_vertical(page: PageRuns) -> bool:
    """Whether most single letters of a script without spaces are followed by the one below."""
    single = [i for i, text in enumerate(page.texts) if len(text.strip()) == 1]
    letters = np.array([i for i in single if SOLID.match(page.texts[i].strip())], np.int64)
    if len(letters) <= _MIN_PAIRS:
        return False
    num_solid = sum(len(SOLID.findall(text)) for text in page.texts)
    size = page.size[letters[:-1]]
    step = page.box[letters[1:], :2] - page.box[letters[:-1], :2]
    is_below = (
        (np.abs(step[:, 0]) < _ASIDE * size)
        & (step[:, 1] > _BELOW[0] * size)
        & (step[:, 1] < _BELOW[1] * size)
    )
    return bool(is_below.sum() >= max(_MIN_PAIRS, _MIN_SHARE * num_solid))


def _on_side(box: Floats, width: float) -> Floats:
    """float32[n, 4] -> float32[n, 4]: turned by a quarter, counterclockwise."""
    return np.stack((box[:, 1], width - box[:, 2], box[:, 3], width - box[:, 0]), axis=1)
