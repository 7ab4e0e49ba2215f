"""The quality curve of Olmo 3 (arXiv:2512.13961, section 3.4): draws by percentile of a score.

x is the part of the tokens of a (group, bucket) cell whose score is lower. The paper draws nothing
below a (`drop`; 0.4 in its figure) and C (x - a)**p exp(lambda (x - a)) above it, such that the
integral is R = target tokens / tokens of the cell, no bin is drawn more than the cap (7 in the
paper, `max_epochs` here), and a bin gets the mean over its interval.

We take lambda = 0, where the integral has the closed form R g(x) with g(x) = ((x - a) / (1 - a))**q
and q = p + 1. A bin [u, v] is drawn R (g(v) - g(u)) / (v - u) times, which adds up to the target
for every q. The exponent is the one at which the best bin reaches the cap: with its width w = 1 - u

    R (1 - (1 - w / (1 - a))**q) / w = cap,  so  q = log(1 - cap w / R) / log(1 - w / (1 - a))

between 1 (all that is kept is drawn alike) and MOST_EXPONENT where the cap would not bind.

A cell of which the part 1 - a is kept can give cap (1 - a) epochs and no more. Bins make no
difference to that: one that lies across a is kept by the part above a, so its documents, which
nothing tells apart, are drawn up to that part of the cap. A cell of one bin (all scores equal) is
such a case.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_EXPONENT: Final = 8.0
"""With q = 8 the best tenth of what is kept gets 57 % of the draws; a steeper curve would leave a
small budget to a handful of documents."""


def kept_part(end: Floats, width: Floats, drop: float) -> Floats:
    """The part of each bin that lies above `drop`.

    Args:
        end: float64[n], upper end of the bin in percentiles.
        width: float64[n], above 0.
        drop: From 0 to below 1.

    Returns:
        float64[n] from 0 to 1.
    """
    part: Floats = np.clip((end - drop) / width, 0, 1)
    return part


def exponents(rate: Floats, top_width: Floats, cap: float, drop: float) -> Floats:
    """The exponent of each cell.

    Args:
        rate: float64[num_cells], target tokens over tokens of the cell, above 0.
        top_width: float64[num_cells], width of its best bin.
        cap: Draws at most.
        drop: From 0 to below 1.

    Returns:
        float64[num_cells] from 1 to MOST_EXPONENT.
    """
    wanted = np.minimum(cap * top_width / rate, 1)
    kept = np.minimum(top_width / (1 - drop), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log1p(-wanted) / np.log1p(-kept)
    # A best bin that holds all that is kept is drawn alike with every exponent.
    found = np.where((kept >= 1) | np.isnan(found), 1.0, found)
    clipped: Floats = np.clip(found, 1.0, MOST_EXPONENT)
    return clipped


def bin_means(end: Floats, width: Floats, exponent: Floats, drop: float) -> Floats:
    """Means of the curve over bins, for a rate of 1.

    Args:
        end: float64[n], upper end of the bin in percentiles.
        width: float64[n], above 0; may be as small as 1e-18.
        exponent: float64[n], of the cell of the bin.
        drop: From 0 to below 1.

    Returns:
        float64[n]: `(g(v) - g(u)) / (v - u)`, without the loss of digits of that difference; rises
        with `end` inside a cell.
    """
    above = np.maximum(end - drop, 0)
    inside = np.minimum(width / np.where(above > 0, above, 1), 1)
    with np.errstate(divide="ignore"):
        fallen = -np.expm1(exponent * np.log1p(-inside))
    means: Floats = (above / (1 - drop)) ** exponent * fallen / width
    return np.where(above > 0, means, 0.0)
