"""Water-filling: a budget over groups by share, where a full group leaves the rest to the others.

With equal shares this is UniMax, Algorithm 1 of Chung et al., arXiv:2304.09151: take the languages
from small to large; each gets an equal part of the budget that is left, or its cap where that is
less. Going by cap per share instead of by size gives the same rule for any shares. The paper counts
characters; we count tokens, EOD included.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def fill(shares: Floats, caps: Floats, budget: float) -> Floats:
    """Divides a budget.

    Args:
        shares: float64[n], relative, not negative; a group with share 0 gets nothing.
        caps: float64[n], tokens at most.
        budget: Tokens, at most the sum of the caps of groups with a share.

    Returns:
        float64[n] of sum `budget`: `min(caps, level * shares)` for the one level that meets it.

    >>> fill(np.array([1.0, 1.0, 2.0]), np.array([1.0, 9.0, 9.0]), 10.0).tolist()
    [1.0, 3.0, 6.0]
    """
    part = np.zeros(len(shares))
    taking = np.flatnonzero((shares > 0) & (caps > 0))
    order = taking[np.argsort(caps[taking] / shares[taking], kind="stable")]
    share, cap = shares[order], caps[order]
    if not len(order) or budget >= cap.sum():
        part[order] = cap
        return part
    full_before = np.concatenate([[0.0], np.cumsum(cap)[:-1]])
    share_from = np.cumsum(share[::-1])[::-1]
    levels = (budget - full_before) / share_from
    first_open = int(np.argmax(levels * share <= cap))  # the last always is, as budget < sum
    part[order] = np.minimum(cap, levels[first_open] * share)
    return part


def fill_each(shares: Floats, caps: Floats, budgets: Floats, segment: Rows) -> Floats:
    """Divides many budgets at once, each over the rows of its own segment, by the rule of `fill`.

    Args:
        shares: float64[n], relative, not negative.
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
    # Each segment in its own unit, so that sums over all rows keep the digits of small segments. A
    # row that could take the whole budget alone is never full, however much more it could take.
    units = np.minimum(caps[rows], 2 * budgets[segment[rows]]) / budgets[segment[rows]]
    order = np.lexsort((units / shares[rows], segment[rows]))
    rows, cap = rows[order], units[order]
    share, of = shares[rows], segment[rows]
    share = share / np.bincount(of, share, len(budgets))[of]
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    number = np.cumsum(np.diff(of, prepend=-1) > 0) - 1
    full_before = _sum_before(cap, starts, number)
    level = (1 - full_before) / (1 - _sum_before(share, starts, number)).clip(1e-300)
    places = np.arange(len(rows))
    first_open = np.minimum.reduceat(np.where(level * share <= cap, places, len(rows)), starts)
    is_open = places >= first_open[number]
    left = 1 - np.bincount(number, np.where(is_open, 0, cap))
    open_share = np.bincount(number, np.where(is_open, share, 0))
    level_of = np.where(open_share > 0, left / open_share.clip(1e-300), 0)[number]
    filled = np.where(is_open, np.minimum(cap, level_of * share), cap)
    part[rows] = np.minimum(filled * budgets[of], caps[rows])
    return part


def _sum_before(values: Floats, starts: Rows, number: Rows) -> Floats:
    """Sums of the rows of the same segment that stand before each row."""
    before = np.cumsum(values) - values
    sums: Floats = before - before[starts][number]
    return sums
