"""Where one text has letters that another lacks, and whether these are repairs.

A stretch is a run of letters of which no n-gram stands in the other text; covered gaps of less than
an n-gram and a half are counted in, for they may be chance. A misread word leaves a stretch in both
texts, and the two are alike; a word, sentence or line that was put in or left out leaves one that
is like none on the other side. Alike is a ratio of 0.5 of `difflib`: of five letters, as most words
have, three may be repaired; two words of one language share fewer letters in their order.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALIKE: Final = 0.5
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
    others: Sequence[Stretch],
    most: int,
) -> Stretch | None:
    """The longest stretch above a limit that is no repair of one in the other text.

    Args:
        points: Letters of the text, `uint32[num_letters]`.
        own: Its stretches.
        other_points: Letters of the other text.
        others: Its stretches.
        most: Letters of a stretch that needs no explanation.

    Returns:
        None where there is none.
    """
    for stretch in sorted(own, key=lambda one: -one.letters):
        if stretch.letters <= most:
            return None
        if not _is_repair(points, stretch, other_points, others):
            return stretch
    return None


def _is_repair(
    points: NDArray[np.uint32],
    stretch: Stretch,
    other_points: NDArray[np.uint32],
    others: Sequence[Stretch],
) -> bool:
    if stretch.letters > LONGEST_REPAIR:
        return False
    # Its letters are the second sequence, of which difflib keeps the index.
    matcher = SequenceMatcher(None, "", _text(points, stretch), autojunk=False)
    for other in others:
        if not stretch.letters / 2 <= other.letters <= 2 * stretch.letters:
            continue
        matcher.set_seq1(_text(other_points, other))
        if matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:
            return True
    return False


def _text(points: NDArray[np.uint32], stretch: Stretch) -> str:
    return points[stretch.first : stretch.behind].astype("<u4").tobytes().decode("utf-32-le")
