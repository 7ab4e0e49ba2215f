"""Pairs of positions: what a bucket asks for as ranges of its members, written out in chunks.

The members of all buckets stand in one order, by bucket and by falling length, so whatever one text
is compared with is a range of positions. A pair is held as one word of two ranks of places, which
sorts and compares as fast as a number.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel
from pipelines.near_duplicates.near import Places

ID_BITS: Final = 26
"""Of the 32 of an order, the lower ones are the first of the id, those above the quality."""
QUALITY_STEPS: Final = 20
"""Steps of quality from 0 to 1, and again from 1 to 2; see `stars.quality_of`."""

_CHUNK_PAIRS: Final = 1 << 22
_HALF: Final = np.uint64(32)

Positions = npt.NDArray[np.int64]


class Members(NamedTuple):
    """Texts in buckets: bucket after bucket, by falling length in each."""

    sizes: npt.NDArray[np.int32]
    """Shingles, at least 1."""
    place_ranks: npt.NDArray[np.uint32]
    """Rank of the place among those of all buckets; a text in two buckets is two members."""


class Buckets(NamedTuple):
    """Some buckets, and what is known of the members of all."""

    members: Members
    orders: npt.NDArray[np.uint32]
    """Of each member: smaller is better; in a bucket of a seed 0 for the seed, 1 for others."""
    further: npt.NDArray[np.uint64]
    """Of each member: eight minima, a byte each."""
    band_hashes: npt.NDArray[np.uint64]
    """Of each member."""
    places: Places
    """Of each rank."""
    starts: Positions
    """First member of each bucket."""
    ends: Positions

    def where(self, is_wanted: npt.NDArray[np.bool_]) -> "Buckets":
        """Those of them."""
        return self._replace(starts=self.starts[is_wanted], ends=self.ends[is_wanted])


class Windows(NamedTuple):
    """Which members of their bucket some texts can be similar to, by lengths."""

    texts: Positions
    """All members of some buckets, in order."""
    firsts: Positions
    """The first position whose length allows it; all up to the text itself do too."""
    ends: Positions
    """The position after the last one."""


class Ranges(NamedTuple):
    """Texts, and the range of members that each is to be compared with."""

    members: Members
    texts: Positions
    firsts: Positions
    ends: Positions
    is_anchor: npt.NDArray[np.bool_] | None
    """By position, where ranges hold their own text: two anchors are paired by the first alone."""


@kernel
def _fill_windows(
    sizes: npt.NDArray[np.int32],
    starts: Positions,
    ends: Positions,
    threshold: float,
    texts: Positions,
    firsts: Positions,
    last_ends: Positions,
) -> None:
    index = 0
    for bucket in range(len(starts)):
        start, end = starts[bucket], ends[bucket]
        first = start
        shift = index - start
        for member in range(start, end):
            # The same division as in the comparison, so that equality is equality.
            while first < member and sizes[member] / sizes[first] < threshold:
                last_ends[first + shift] = member
                first += 1
            texts[index], firsts[index] = member, first
            index += 1
        for member in range(first, end):
            last_ends[member + shift] = end


def windows_of(
    sizes: npt.NDArray[np.int32], starts: Positions, ends: Positions, threshold: float
) -> Windows:
    """What lengths allow in each bucket.

    Args:
        sizes: Of all members, falling within a bucket.
        starts: Of the buckets, `int64[num_buckets]`.
        ends: Likewise.
        threshold: Of the Jaccard.
    """
    num_members = int((ends - starts).sum())
    windows = Windows(*(np.empty(num_members, np.int64) for _ in range(3)))
    _fill_windows(sizes, starts, ends, threshold, *windows)
    return windows


@kernel
def _fill_codes(
    texts: Positions,
    firsts: Positions,
    ends: Positions,
    is_anchor: npt.NDArray[np.bool_],
    sizes: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.uint32],
    index: int,
    codes: npt.NDArray[np.uint64],
) -> tuple[int, int]:
    """Writes pairs from one text on, while there is room; the next text, and their number."""
    made = 0
    while index < len(texts) and made + ends[index] - firsts[index] <= len(codes):
        text = texts[index]
        size, rank = sizes[text], np.uint64(ranks[text])
        for other in range(firsts[index], ends[index]):
            if len(is_anchor) and (other == text or (other < text and is_anchor[other])):
                continue
            other_size, other_rank = sizes[other], np.uint64(ranks[other])
            if size < other_size or (size == other_size and rank > other_rank):
                codes[made] = rank << _HALF | other_rank
            else:
                codes[made] = other_rank << _HALF | rank
            made += 1
        index += 1
    return index, made


def codes_of(ranges: Ranges) -> Iterator[npt.NDArray[np.uint64]]:
    """Writes out the pairs, some millions at a time.

    Yields:
        Sorted and distinct: the rank of the place of the text of lower priority in the upper half,
        that of the other below.
    """
    lengths = ranges.ends - ranges.firsts
    room = int(max(min(lengths.sum(), _CHUNK_PAIRS), lengths.max(initial=0)))
    is_anchor = np.empty(0, bool) if ranges.is_anchor is None else ranges.is_anchor
    codes = np.empty(room, np.uint64)
    index = 0
    while index < len(ranges.texts):
        index, made = _fill_codes(
            ranges.texts,
            ranges.firsts,
            ranges.ends,
            is_anchor,
            ranges.members.sizes,
            ranges.members.place_ranks,
            index,
            codes,
        )
        if made:
            found = codes[:made]
            found.sort()  # np.unique would hash, which takes twenty times as long
            yield found[np.r_[True, found[1:] != found[:-1]]]


def decode_pairs(codes: npt.NDArray[np.uint64], places: Places) -> tuple[Places, Places]:
    """Places of the text with fewer shingles (on a tie, the later place), and of the other."""
    return places[codes >> _HALF], places[codes & np.uint64(0xFFFFFFFF)]


def pair_all(buckets: Buckets, threshold: float) -> Ranges:
    """Each text with all those before it that lengths allow."""
    windows = windows_of(buckets.members.sizes, buckets.starts, buckets.ends, threshold)
    return Ranges(buckets.members, windows.texts, windows.firsts, windows.texts, None)


def pair_seeds(buckets: Buckets, threshold: float) -> Ranges:
    """Each text with the one that it was made of, where lengths allow."""
    texts = windows_of(buckets.members.sizes, buckets.starts, buckets.ends, 0.0).texts
    bucket = np.repeat(np.arange(len(buckets.starts)), buckets.ends - buckets.starts)
    is_seed = buckets.orders[texts] == 0
    seeds = np.full(len(buckets.starts), -1, np.int64)
    seeds[bucket[is_seed][::-1]] = texts[is_seed][::-1]  # the first, should one id stand twice
    made, seed = texts[~is_seed], seeds[bucket[~is_seed]]
    made, seed = made[seed >= 0], seed[seed >= 0]
    sizes = np.stack([buckets.members.sizes[made], buckets.members.sizes[seed]])
    allowed = sizes.min(axis=0) / sizes.max(axis=0) >= threshold
    made, seed = made[allowed], seed[allowed]
    return Ranges(buckets.members, made, seed, seed + 1, None)
