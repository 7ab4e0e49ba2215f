"""How sure a selection is: the probability that a careful engine would do no better.

trafilatura takes some five to ten times as long for a page as everything else together, so it is
asked only where it is likely to pay. What was looked at: on which pages the two selections differ
in a way that a person's marks decide. trafilatura wins where nothing in the markup says where the
main part is (no element named as the body of an article, no `<article>`, no `<main>`); where the
names on the page led into nothing and were disregarded; where nearly nothing was found although
there is prose; where much of what was found stands in links or in blocks that are no prose. It
loses where the markup is clear.

The weights are set by hand in halves; nothing is learned from the pages, which belong to others.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NUM_SIGNS: Final = 7
IS_UNMARKED, IS_GENTLE, HELD, LINK_SHARE, PROSE_SHARE, FOUND_SHARE, NUM_ROOTS = range(NUM_SIGNS)
"""No markup names the main part (0 or 1); the names were disregarded (0 or 1); characters of prose
found; share of them in links; share of prose in what was found; share of the page's prose that was
found; number of parts."""


def confidence(signs: NDArray[np.float64]) -> float:
    """The score of a selection.

    Args:
        signs: `float64[NUM_SIGNS]`.

    Returns:
        From 0 to 1, at a logistic scale of the doubts.
    """
    doubt = -3.5
    if signs[IS_UNMARKED]:
        doubt += 1.5
    if signs[IS_GENTLE]:
        doubt += 3.0
    if signs[HELD] < 100:
        doubt += 2.0
    if signs[LINK_SHARE] > 0.1:
        doubt += 1.0
    if signs[PROSE_SHARE] < 0.8:
        doubt += 1.0
    if signs[FOUND_SHARE] < 0.6:
        doubt += 1.0
    return float(1.0 / (1.0 + np.exp(doubt)))
