"""From the lines that OCR read on a page to its text, in the order of reading.

The lines are handed to the layout as the runs of a page, so a scan and a text layer are read by the
same rules: columns, headlines, tables, words broken at the end of a line. One thing differs: the
height of a line that was found on a picture is that of its letters (`see` is lower than `Play`),
not of its font, so heights are rounded in wide steps to the usual one, and only what is clearly
larger is a headline.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from pipelines.extract.pdf.layout import layout_pages
from pipelines.extract.pdf.layout_runs import PageRuns
from pipelines.extract.pdf.orientation import Boxes, Floats, sides

# The layout thinks in points; a page is taken for a sheet of A4 in either direction.
_LONG_SIDE_POINTS: Final = 842.0
# Heights within a factor of 1.22 (the root of the step) of the usual one are those of the text.
_SIZE_STEP: Final = 1.5
# The detector's boxes are wider than the letters; of their height the font takes so much.
_FONT_SHARE: Final = 0.8


def text_of_lines(texts: Sequence[str], boxes: Boxes, size: Floats) -> str:
    """The text of a page as Markdown.

    Args:
        texts: Of its n lines, in any order.
        boxes: float32[n, 4, 2], see `orientation`; of a page that is upright.
        size: float32[2], width and height of the page, in the pixels of the boxes.
    """
    if not texts:
        return ""
    fonts = _font_sizes(boxes, [len(text) for text in texts])
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    # What lies beyond an edge, as corners of a page that was askew do, is moved in.
    shift = np.minimum(low.min(axis=0), 0.0)
    low, high = low - shift, high - shift
    whole = np.maximum(size, high.max(axis=0))
    scale = _LONG_SIDE_POINTS / float(whole.max())
    middle = (low[:, 1] + high[:, 1]) / 2
    box = np.stack((low[:, 0], middle - fonts / 2, high[:, 0], middle + fonts / 2), axis=1)
    page = PageRuns(
        width=scale * float(whole[0]),
        height=scale * float(whole[1]),
        texts=[text.strip() for text in texts],
        box=(scale * box).astype(np.float32),
        size=(scale * fonts).astype(np.float32),
    )
    return layout_pages([page])[0].text


def _font_sizes(boxes: Boxes, num_chars: Sequence[int]) -> Floats:
    """Sizes of the fonts of lines, float32[n], in pixels; lines of text have all the same."""
    _, heights = sides(boxes)
    order = np.argsort(heights, kind="stable")
    reached = np.cumsum(np.asarray(num_chars, np.float64)[order])
    usual = float(heights[order][np.searchsorted(reached, 0.5 * reached[-1])])
    steps = np.round(np.log(np.maximum(heights, 1.0) / max(usual, 1.0)) / math.log(_SIZE_STEP))
    sizes = _FONT_SHARE * usual * _SIZE_STEP ** np.maximum(steps, 0.0)
    return sizes.astype(np.float32)
