"""Bins: a weight or score with 8 bits of mantissa, as an integer in the same order.

The solve needs the distribution of a value over the whole corpus, and the draws of a document must
be a function of its place in it. Rounded values make both exact: a histogram over bins adds up in
integers, in any order, and every document of a bin is drawn alike, so that the budget is met by the
documents and not only by the histogram. The price is a rounding of at most 1/512 of the value (a
weight of 1.234 counts as 1.234375); 256 bins lie between a value and its double.

The bin of x >= 0 is the upper 19 bits of its float64 (11 of exponent, 8 of mantissa), rounded to
the nearest; IEEE 754 orders positive numbers as their bits. The bin of -x is minus that of x.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

MANTISSA_BITS: Final = 8
MOST: Final = (2047 << MANTISSA_BITS) - 1
"""The largest bin: below that of infinity."""

_DROPPED: Final = 52 - MANTISSA_BITS


def bins_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Rounds values to bins.

    Args:
        values: float64[n], finite.

    Returns:
        int32[n] from -MOST to MOST, in the order of the values; 0 only for values that round to 0
        (below 2**-1030).

    >>> bins_of(np.array([-2.0, 0.0, 1.0, 1.001, 2.0])).tolist()
    [-262144, 0, 261888, 261888, 262144]
    """
    bits = np.abs(values).view(np.int64)
    bits += 1 << (_DROPPED - 1)
    bits >>= _DROPPED
    rounded = np.minimum(bits, MOST).astype(np.int32)
    return np.where(values < 0, -rounded, rounded)


def values_of(bins: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Gives the value that stands for each bin, float64[n]; `bins_of` gives the bin back."""
    values = (np.abs(bins.astype(np.int64)) << _DROPPED).view(np.float64)
    return np.where(bins < 0, -values, values)
