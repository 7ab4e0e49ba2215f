"""How much a line says at all, before it is asked in which language.

One letter, one word of a menu or the same word two thousand times looks like some language to any
classifier, and with a probability near one: repeats add up, and nothing in them speaks against it.
So the *distinct* trigrams of a line are counted, which for one word are as many as its letters, and
the fewer there are the more probable a language must be (`REQUIRED`). A label that alone uses its
script is exempt, and so are Chinese and Japanese: the script has decided.

The steps were chosen on the single words and word pairs that were held out of training and on the
first words of sentences in languages beyond the 119: single words that are called another language
fall from 0.21 to 0.08, first words of outsiders that are believed from 0.44 to 0.04, and single
words that are `und` rise from 0.11 to 0.42.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel
from annotators.text.utf8 import decode_sequence

MIN_SCORE: Final = 0.3
"""Probability of its family below which no language is named, however long the text."""
REQUIRED: Final = ((16, 0.7), (8, 0.95), (6, 2.0))
"""Distinct trigrams, and the probability that a line with fewer of them needs; with 2 none will
do."""
ENOUGH: Final = 24
"""Distinct trigrams from which on repeats do not matter; windows that cut one word of five letters
at every place find 20 of it."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def has_evidence(data: Bytes, spans: Ints, scores: Floats) -> npt.NDArray[np.bool_]:
    """Whether each line says enough for a label of that probability to be believed.

    Args:
        data: uint8[num_bytes], folded UTF-8.
        spans: int64[num_rows, 2]: line of row i is `data[spans[i, 0]:spans[i, 1]]`.
        scores: float64[num_rows]: probability of the family that was chosen.

    Returns:
        bool[num_rows]; False also where most trigrams repeat and fewer than ENOUGH are distinct.
    """
    distinct, read = np.zeros(len(spans), np.int64), np.zeros(len(spans), np.int64)
    _count(data, spans, distinct, read)
    needed = np.full(len(spans), MIN_SCORE)
    for limit, score in REQUIRED:
        needed[distinct < limit] = score
    repeats = (distinct < ENOUGH) & (read > 2 * distinct)
    return np.asarray((scores >= needed) & ~repeats)


@kernel
def _count(data: Bytes, spans: Ints, distinct: Ints, read: Ints) -> None:
    """Distinct trigrams of each line up to ENOUGH, and how many were read until then."""
    known = np.empty(ENOUGH, np.uint64)
    for row in range(len(spans)):
        at, stop = spans[row, 0], spans[row, 1]
        c, d = np.uint64(0), np.uint64(32)
        num_known = num_read = 0
        num_points = 1
        while at <= stop and num_known < ENOUGH:
            e = np.uint64(32)
            after = at + 1
            if at < stop:
                e = np.uint64(data[at])
                if e >= 0x80:
                    point, after = decode_sequence(data, at, stop)
                    e = np.uint64(point)
            at = after
            if e == 32 and d == 32:  # the line has spaces of its own at its ends
                continue
            num_points += 1
            if num_points >= 3:
                key = c << np.uint64(42) | d << np.uint64(21) | e
                num_read += 1
                is_new = True
                for k in range(num_known):
                    if known[k] == key:
                        is_new = False
                        break
                if is_new:
                    known[num_known] = key
                    num_known += 1
            c, d = d, e
        distinct[row], read[row] = num_known, num_read
