"""Edit distance of a pattern to a text, or to the span of a text that it fits best.

The second is the algorithm of Sellers (Journal of Algorithms 1, 1980): the dynamic programme of
Levenshtein whose first row is free, so that a match may begin anywhere, and whose last row is
searched for its least value, so that it may end anywhere. O(m * n) in time, O(m) in memory; a page
has some thousand characters, a block of code some hundred.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import kernel

_CODE_POINT: Final = "utf-32-le"


def distance(pattern: str, text: str) -> int:
    """Edit distance (Levenshtein, in code points).

    >>> distance("kitten", "sitting")
    3
    """
    return int(_edits(_points(pattern), _points(text), False))


def span_distance(pattern: str, text: str) -> int:
    """Edit distance to the best span of the text; at most the length of the pattern.

    >>> span_distance("abc", "xxabcxx"), span_distance("abc", "xxaXcxx"), span_distance("abc", "")
    (0, 1, 3)
    """
    return int(_edits(_points(pattern), _points(text), True))


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode(_CODE_POINT, "surrogatepass"), np.uint32)


@kernel
def _edits(pattern: NDArray[np.uint32], text: NDArray[np.uint32], is_span: bool) -> int:
    m = len(pattern)
    column = np.arange(m + 1)
    best = m
    for j in range(len(text)):
        diagonal = column[0]
        column[0] = 0 if is_span else j + 1
        for i in range(m):
            above = column[i + 1]
            changed = diagonal + (pattern[i] != text[j])
            column[i + 1] = min(changed, above + 1, column[i] + 1)
            diagonal = above
        best = min(best, column[m])
    return best if is_span else column[m]
