"""Water-filling: a budget over groups by share, where a full group leaves the rest to the others.

With equal shares this is UniMax, Algorithm 1 of Chung et al., arXiv:2304.09151: take the languages
from small to large; each gets an equal part of the budget that is left, or its cap where that is
less. Going by cap per share instead of by size gives the same rule for any shares. The paper counts
characters; we count tokens, EOD included.

Shares of one budget may lie hundreds of powers of ten apart (a weight q ** 50), and once the large
ones are full the small ones alone divide what is left. So the share that is open from a row on is a
sum over just these rows, never the difference of two larger sums, which would hold none of their
digits; and sums never run from one budget's rows into another's.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FAINTEST: Final = 1e-280
"""The least part of the largest share of a segment that is told from less; far from underflow."""

_ROUNDING: Final = 1e-12
"""A budget this close to all that there is asks for all: sums in two orders differ by less."""


def relative(shares: Floats, segment: Rows, takes: npt.NDArray[np.bool_]) -> Floats:
    """Brings shares of any size into the range in which `fill_each` computes.

    Args:
        shares: float64[n], not negative, finite.
        segment: int64[n] from 0, as for `fill_each`.
        takes: bool[n]: rows that can take something, however small their share.

    Returns:
        float64[n]: parts of the largest share in the segment, from FAINTEST to 1 where `takes`;
        0 elsewhere. A segment without shares is divided evenly.
    """
    if not len(shares):
        return shares
    largest = np.zeros(int(segment.max()) + 1)
    np.maximum.at(largest, segment, np.where(takes, shares, 0.0))
    largest = np.where(largest > 0, largest, 1.0)[segment]
    scaled: Floats = np.minimum(shares, largest) / largest
    return np.where(takes, np.maximum(scaled, FAINTEST), 0.0)


def fill(shares: Floats, caps: Floats, budget: float) -> Floats:
    """Divides a budget.

    Args:
        shares: float64[n], relative, not negative; a group with share 0 gets nothing.
        caps: float64[n], tokens at most.
        budget: Tokens; of more than the caps of groups with a share hold, all that they hold.

    Returns:
        float64[n] of sum `budget`: `min(caps, level * shares)` for the one level that meets it.

    >>> fill(np.array([1.0, 1.0, 2.0]), np.array([1.0, 9.0, 9.0]), 10.0).tolist()
    [1.0, 3.0, 6.0]
    """
    alone = np.zeros(len(shares), np.int64)
    return fill_each(relative(shares, alone, shares > 0), caps, np.array([budget]), alone)


def fill_each(shares: Floats, caps: Floats, budgets: Floats, segment: Rows) -> Floats:
    """Divides many budgets at once, each over the rows of its own segment, by the rule of `fill`.

    Args:
        shares: float64[n]: 0, or from FAINTEST / 1e20 to 1e200 (see `relative`).
        caps: float64[n], tokens at most.
        budgets: float64[num_segments].
        segment: int64[n], from 0 to num_segments - 1: the budget that a row takes from.

    Returns:
        float64[n]: `min(caps, level * shares)` with one level a segment; all caps where a budget is
        more than they hold.
    """
    part = np.zeros(len(shares))
    rows = np.flatnonzero((shares > 0) & (caps > 0) & (budgets[segment] > 0))
    if not len(rows):
        return part
    # More than the whole budget no row can take; without this, what one budget cannot reach anyway
    # would take digits from it.
    reach = np.minimum(caps[rows], budgets[segment[rows]])
    order = np.lexsort((reach / shares[rows], segment[rows]))  # as they run full
    rows, cap = rows[order], reach[order]
    share, of = shares[rows], segment[rows]
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(of)))
    up_to = _sums_from(cap[::-1], of[::-1])[::-1]
    full_before = np.where(np.diff(of, prepend=-1) > 0, 0.0, np.roll(up_to, 1))
    left = (budgets[of] - full_before).clip(0)
    share_from = _sums_from(share, of)
    wants_all = budgets[of[starts]] >= np.maximum.reduceat(up_to, starts) * (1 - _ROUNDING)
    is_level = (left * (share / share_from) <= cap) & ~wants_all[number]
    places = np.arange(len(rows))
    first_open = np.minimum.reduceat(np.where(is_level, places, len(rows)), starts)[number]
    at = np.minimum(first_open, len(rows) - 1)
    # A full row stands before the first open one; its share may be far larger than theirs.
    filled = left[at] * (np.minimum(share, share_from[at]) / share_from[at])
    part[rows] = np.where(places >= first_open, np.minimum(cap, filled), cap)
    return part


def _sums_from(values: Floats, segment: Rows) -> Floats:
    """Sums of each row and those behind it in its segment, by doubling the reach of each sum.

    Args:
        values: float64[n], not negative, so that nothing cancels.
        segment: int64[n], rows of one segment together.
    """
    sums = values.copy()
    longest = int(np.bincount(segment).max())
    step = 1
    while step < longest:
        sums[:-step] += np.where(segment[step:] == segment[:-step], sums[step:], 0.0)
        step *= 2
    return sums
