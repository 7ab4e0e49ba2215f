"""Where one text has letters that another lacks, and whether these are repairs.

A stretch is a run of letters of which no n-gram stands in the other text; covered gaps of less than
an n-gram and a half are counted in, for they may be chance. It is a repair where the other text has
something like it at the same place: between the n-grams that stand before and behind it. Alike is a
ratio of 0.6 of `difflib` (of five letters, two may be others); what was put in or left out meets
whatever else stands there, and two strangers of one language seldom share so much in order.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALIKE: Final = 0.6
LONGEST_REPAIR: Final = 400
"""Letters; more than that is no repair, whatever it is like."""


class Stretch(NamedTuple):
    """A run of letters."""

    first: int
    behind: int
    """Index of the letter behind its last."""

    @property
    def letters(self) -> int:
        """Its length."""
        return self.behind - self.first


def stretches_of(is_covered: NDArray[np.bool_], size: int) -> tuple[Stretch, ...]:
    """The stretches of a text.

    Args:
        is_covered: Of `grams.covered`, `bool[num_letters]`.
        size: Letters of an n-gram.
    """
    bare = np.flatnonzero(~is_covered)
    if not len(bare):
        return ()
    breaks = np.flatnonzero(np.diff(bare) > size + size // 2)
    firsts = bare[np.concatenate([[0], breaks + 1])].tolist()
    lasts = bare[np.concatenate([breaks, [len(bare) - 1]])].tolist()
    return tuple(Stretch(i, j + 1) for i, j in zip(firsts, lasts, strict=True))


def longest_unexplained(
    points: NDArray[np.uint32],
    own: Sequence[Stretch],
    other_points: NDArray[np.uint32],
    size: int,
    most: int,
) -> Stretch | None:
    """The longest stretch above a limit that is no repair.

    Args:
        points: Letters of the text, `uint32[num_letters]`.
        own: Its stretches.
        other_points: Letters of the other text.
        size: Letters of an n-gram.
        most: Letters of a stretch that needs no explanation.

    Returns:
        None where there is none.
    """
    longer = sorted((one for one in own if one.letters > most), key=lambda one: -one.letters)
    if not longer:
        return None
    text, other = _text(points), _text(other_points)
    return next((one for one in longer if not _is_repair(text, one, other, size)), None)


def _is_repair(text: str, stretch: Stretch, other: str, size: int) -> bool:
    first, behind = stretch
    if stretch.letters > LONGEST_REPAIR:
        return False
    places = []
    before, after = text[max(0, first - size) : first], text[behind : behind + size]
    if (at := other.find(before)) >= 0:
        places.append(at + len(before))
    if (at := other.find(after)) >= 0 and after:
        places.append(max(0, at - stretch.letters))
    # The letters of the stretch are the second sequence, of which difflib keeps an index.
    matcher = SequenceMatcher(None, "", text[first:behind], autojunk=False)
    for place in places:
        matcher.set_seq1(other[place : place + stretch.letters])
        if matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:
            return True
    return False


def _text(points: NDArray[np.uint32]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "replace")
