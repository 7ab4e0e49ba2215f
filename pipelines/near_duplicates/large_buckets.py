"""Buckets of more than a thousand texts: a bounded number of comparisons for each text.

Such a bucket holds copies of one text by the thousand, or texts that have only boilerplate in
common, or both, and must not be quadratic. It is a tree:

1. In each node every text is compared with the anchors of the node: of each class of lengths, the
   `near.NUM_ANCHORS` of highest priority that were not yet anchors further up. Priority is the one
   by which representatives are chosen, so near copies of one text join their representative here,
   however many they are; without that they would fall apart into a cluster for each comparison
   that was left out.
2. The others are split by one more minimum, of which a text keeps eight, a byte each. Similar texts
   mostly agree in it, others mostly do not. The band's hash says which minimum is the first, so two
   texts that share several bands are not parted by the same one in all of them.
3. A part of at most `near.MAX_LEAF` texts is compared as a whole. What is larger after all eight
   is compared with its anchors and with the `near.NUM_NEIGHBOURS` before each, in order of length.

So a text makes at most 9 x 3 x `NUM_ANCHORS` + max(`MAX_LEAF`, `NUM_NEIGHBOURS`) pairs a bucket:
a class is as wide as the threshold, and lengths allow the class itself and those next to it. No
pair is made twice in a bucket, so what is left out is the difference to what lengths allow.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.near_duplicates.near import MAX_LEAF, NUM_ANCHORS, NUM_NEIGHBOURS
from pipelines.near_duplicates.pairing import (
    ID_BITS,
    Buckets,
    Members,
    Positions,
    Ranges,
    windows_of,
)

_NUM_FURTHER: Final = 8
_LENGTH_BITS: Final = np.uint64(32)
_MAX_SIZE: Final = np.uint64(1 << 31)


class LargePairs(NamedTuple):
    """What large buckets ask for."""

    ranges: list[Ranges]
    num_split: int
    """Buckets that fell apart."""
    num_skipped: int
    """Pairs that lengths allow and that are not made."""


class _Level(NamedTuple):
    """Members of nodes: node after node, by falling length in each."""

    texts: Positions
    """Positions among the members of all buckets."""
    starts: Positions
    """Of the nodes, in `texts`."""
    ends: Positions
    buckets: Positions
    """That each node is a part of."""

    @property
    def nodes(self) -> Positions:
        """Of each text."""
        return np.repeat(np.arange(len(self.starts)), self.ends - self.starts)

    def where(self, is_wanted: npt.NDArray[np.bool_]) -> "_Level":
        """Some of the texts; nodes without any are gone."""
        sizes = np.bincount(self.nodes[is_wanted], minlength=len(self.starts))
        ends = np.cumsum(sizes)
        level = _Level(self.texts[is_wanted], ends - sizes, ends, self.buckets)
        return level._replace(**{name: getattr(level, name)[sizes > 0] for name in _BY_NODE})


_BY_NODE: Final = ("starts", "ends", "buckets")


def pair_large(buckets: Buckets, threshold: float) -> LargePairs:
    """Says which pairs are made of some buckets, however large.

    Args:
        buckets: In which all pairs would be too many.
        threshold: Of the Jaccard.
    """
    sizes, num_buckets = buckets.members.sizes, len(buckets.starts)
    windows = windows_of(sizes, buckets.starts, buckets.ends, threshold)
    num_skipped = int((windows.texts - windows.firsts).sum())
    ends = np.cumsum(buckets.ends - buckets.starts)
    level = _Level(windows.texts, np.r_[0, ends][:-1], ends, np.arange(num_buckets))
    classes, priorities = _classes(sizes, threshold), _priorities(buckets)
    is_split = np.zeros(num_buckets, bool)
    found: list[Ranges] = []
    for depth in range(_NUM_FURTHER + 1):
        is_anchor = _anchors(level, classes, priorities)
        found.append(_pair_anchors(buckets, level, is_anchor, threshold))
        num_skipped -= _num_anchor_pairs(found[-1])
        level = level.where(~is_anchor)
        if depth < _NUM_FURTHER:
            level, parents = _split(buckets, level, depth)
            is_split[parents[1:][parents[1:] == parents[:-1]]] = True
        is_leaf = (level.ends - level.starts <= MAX_LEAF) | (depth == _NUM_FURTHER)
        is_in_leaf = is_leaf[level.nodes]
        found.append(_pair_leaves(buckets, level.where(is_in_leaf), threshold))
        num_skipped -= int((found[-1].ends - found[-1].firsts).sum())
        level = level.where(~is_in_leaf)
    return LargePairs(found, int(is_split.sum()), num_skipped)


def _classes(sizes: npt.NDArray[np.int32], threshold: float) -> Positions:
    """Numbers of classes of lengths; those that lengths allow are in the same or the next one."""
    bounds, bound, largest = [], 1, int(sizes.max(initial=1))
    while bound <= largest:
        bounds.append(bound)
        bound = max(bound + 1, math.ceil(bound / threshold))
    return np.searchsorted(bounds, sizes, side="right")


def _priorities(buckets: Buckets) -> npt.NDArray[np.uint64]:
    """As of `stars.priority_order`, among texts of one group: quality, shingles, id."""
    order = buckets.orders.astype(np.uint64)
    length = _MAX_SIZE - buckets.members.sizes.astype(np.uint64)
    id_prefix = order & np.uint64((1 << ID_BITS) - 1)
    quality = order >> np.uint64(ID_BITS)
    return (quality << _LENGTH_BITS | length) << np.uint64(ID_BITS) | id_prefix


def _anchors(
    level: _Level, classes: Positions, priorities: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Which texts are: the first of each node and class."""
    nodes, texts = level.nodes, level.texts
    order = np.lexsort([priorities[texts], classes[texts], nodes])
    nodes, class_ = nodes[order], classes[texts][order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (nodes[1:] != nodes[:-1]) | (class_[1:] != class_[:-1])
    firsts = np.flatnonzero(is_first)
    number = np.arange(len(order)) - np.repeat(firsts, np.diff(np.r_[firsts, len(order)]))
    is_anchor = np.empty(len(order), bool)
    is_anchor[order] = number < NUM_ANCHORS
    return is_anchor


def _members_of(buckets: Buckets, level: _Level) -> Members:
    sizes, place_ranks = buckets.members
    return Members(sizes[level.texts], place_ranks[level.texts])


def _pair_anchors(
    buckets: Buckets, level: _Level, is_anchor: npt.NDArray[np.bool_], threshold: float
) -> Ranges:
    """Each anchor with all texts of its node that lengths allow."""
    members = _members_of(buckets, level)
    windows = windows_of(members.sizes, level.starts, level.ends, threshold)
    return Ranges(
        members,
        windows.texts[is_anchor],
        windows.firsts[is_anchor],
        windows.ends[is_anchor],
        is_anchor,
    )


def _num_anchor_pairs(ranges: Ranges) -> int:
    """An anchor makes no pair with itself, nor with those before it, which have made it."""
    assert ranges.is_anchor is not None
    before = np.r_[0, np.cumsum(ranges.is_anchor)]
    left_out = before[ranges.texts + 1] - before[ranges.firsts]
    return int((ranges.ends - ranges.firsts - left_out).sum())


def _split(buckets: Buckets, level: _Level, depth: int) -> tuple[_Level, Positions]:
    """Parts nodes by one more minimum; gives the new ones, and the bucket of each."""
    texts, nodes = level.texts, level.nodes
    first = buckets.band_hashes[texts] >> np.uint64(32)
    number = (first + np.uint64(depth)) % np.uint64(_NUM_FURTHER)
    byte = buckets.further[texts] >> number * np.uint64(8) & np.uint64(0xFF)
    part = nodes << 8 | byte.astype(np.int64)
    order = np.argsort(part, kind="stable")
    part = part[order]
    starts = np.flatnonzero(np.r_[True, part[1:] != part[:-1]][: len(part)])
    ends = np.r_[starts[1:], len(part)][: len(starts)]
    parents = part[starts] >> 8
    return _Level(texts[order], starts, ends, level.buckets[parents]), level.buckets[parents]


def _pair_leaves(buckets: Buckets, level: _Level, threshold: float) -> Ranges:
    """Each text with those before it: all that lengths allow, or the nearest of a large leaf."""
    members = _members_of(buckets, level)
    windows = windows_of(members.sizes, level.starts, level.ends, threshold)
    is_large = (level.ends - level.starts > MAX_LEAF)[level.nodes]
    nearest = np.where(is_large, windows.texts - NUM_NEIGHBOURS, 0)
    return Ranges(members, windows.texts, np.maximum(windows.firsts, nearest), windows.texts, None)
