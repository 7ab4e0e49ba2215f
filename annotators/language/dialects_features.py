"""Which hashed n-grams a text has: what `dialects` weighs, read from raw UTF-8.

The text is not folded as for the language classifier, because what folding throws away tells
dialects apart: which digits, quotation marks and zero-width non-joiners are typed, where a space
goes. It is only normalised so far: white space of any length becomes one space, and Latin capitals
become small (those of ASCII, Latin-1 and the five of Serbo-Croatian).

Features are the n-grams of a token between two spaces, both spaces included, the words (runs of
anything but space and punctuation), and pairs of neighbouring words. Chinese has no spaces: there
n-grams run over everything and nothing else is taken. Each feature is a number below 2 ** bits, the
high bits of a multiplicative hash (Knuth, The Art of Computer Programming 3, section 6.4).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.windows import window_ranges
from annotators.text.kernels import inlined_kernel, kernel

NUM_WINDOWS: Final = 4
WINDOW_BYTES: Final = 512
"""A text of up to 2 KiB is read whole, a longer one through four windows."""

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Points = npt.NDArray[np.int32]

_SPACE = 0x20
_POINT = np.uint64(0x9E3779B97F4A7C15)
_FINISH = np.uint64(0xD6E8FEB86659FD93)
_WORD = np.uint64(0xA0761D6478BD642F)
_PAIR = np.uint64(0xE7037ED1A0B428DB)


class FeatureSettings(NamedTuple):
    """What is counted of a text."""

    shortest: int
    """Characters of the shortest n-gram."""
    longest: int
    """Characters of the longest one."""
    has_words: bool
    """Whether spaces part words; without them n-grams run over everything."""
    bits: int
    """Features are below 2 ** bits."""


def text_features(data: Bytes, start: int, stop: int, settings: FeatureSettings) -> Points:
    """Features of one text in the order in which they end, repeated as often as they occur.

    Args:
        data: UTF-8, uint8[num_bytes].
        start: First byte of the text.
        stop: The byte behind its last one.
        settings: What is counted.

    Returns:
        int32[num_features], below 2 ** bits.
    """
    points, features = feature_scratch(settings)
    ranges = np.empty((NUM_WINDOWS, 2), np.int64)
    num_points = read_points(data, start, stop, ranges, points)
    num = list_features(points, num_points, *settings, features)
    return features[:num].copy()


def feature_scratch(settings: FeatureSettings) -> tuple[Points, Points]:
    """Room for the code points of one text, int32, and for its features, int32."""
    num_points = NUM_WINDOWS * (WINDOW_BYTES + 8) + 2
    return (
        np.empty(num_points, np.int32),
        np.empty(num_points * (settings.longest - settings.shortest + 3), np.int32),
    )


@inlined_kernel
def _is_white(point: int | np.int64) -> bool | np.bool_:
    return (
        point <= _SPACE
        or 0x7F <= point <= 0xA0
        or point == 0x3000
        or 0x2000 <= point <= 0x200A
        or point in (0x2028, 0x2029, 0x202F, 0x205F, 0xFEFF)
    )


@inlined_kernel
def _small(point: int | np.int64) -> int | np.int64:
    """The small letter of a capital of the Latin alphabets of Malay and Serbo-Croatian."""
    if point < 0x80:
        return point + 32 if 0x41 <= point <= 0x5A else point
    if point < 0x17E:
        if 0xC0 <= point <= 0xDE and point != 0xD7:
            return point + 32
        if point in (0x106, 0x10C, 0x110, 0x160, 0x17D):
            return point + 1
    return point


@inlined_kernel
def _is_word(point: int | np.int64) -> bool | np.bool_:
    """Whether a code point belongs to a word: neither space nor punctuation."""
    if point < 0x80:
        return 0x61 <= point <= 0x7A or 0x30 <= point <= 0x39
    if point < 0x2000:
        return point not in (0xAB, 0xB7, 0xBB, 0x60C, 0x61B, 0x61F, 0x66A, 0x66B, 0x66C, 0x6D4)
    return point in (0x200C, 0x200D) or point > 0x206F


@kernel
def read_points(data: Bytes, start: int, stop: int, ranges: Offsets, points: Points) -> int:
    """Normalised code points of the windows of a text, with a space before, between and behind.

    Bytes that are not UTF-8 give some code point and never read beyond the text.

    Returns:
        How many were written.
    """
    num = 1
    points[0] = _SPACE
    for window in range(window_ranges(data, start, stop, NUM_WINDOWS, WINDOW_BYTES, ranges)):
        at, end = ranges[window, 0], ranges[window, 1]
        while at < end:
            point = np.int64(data[at])
            at += 1
            if point >= 0xC0:
                size = 1 if point < 0xE0 else 2 if point < 0xF0 else 3
                point &= 0x3F >> size
                while size and at < end:
                    point = point << 6 | np.int64(data[at]) & 0x3F
                    at += 1
                    size -= 1
            if _is_white(point):
                point = np.int64(_SPACE)
                if points[num - 1] == _SPACE:
                    continue
            points[num] = _small(point)
            num += 1
        if points[num - 1] != _SPACE:
            points[num] = _SPACE
            num += 1
    return num


@kernel
def list_features(
    points: Points,
    num_points: int,
    shortest: int,
    longest: int,
    has_words: bool,
    bits: int,
    features: Points,
) -> int:
    """Writes the features of normalised code points, of which the first is a space.

    Returns:
        How many were written.
    """
    num = 0
    shift = np.uint64(64 - bits)
    token = 0  # place of the space before the token
    word, before = np.uint64(0), np.uint64(0)
    for at in range(1, num_points):
        point = points[at]
        mixed = np.uint64(0)
        first = max(at - longest + 1, token if has_words else 0)
        for begin in range(at, first - 1, -1):
            mixed = (mixed + np.uint64(points[begin] + 1)) * _POINT
            if at - begin + 1 >= shortest:
                features[num] = ((mixed ^ mixed >> np.uint64(29)) * _FINISH) >> shift
                num += 1
        if not has_words:
            continue
        if _is_word(point):
            word = (word + np.uint64(point)) * _WORD
        elif word:
            features[num] = (word ^ word >> np.uint64(29)) * _FINISH >> shift
            num += 1
            if before:
                pair = (before * _PAIR) ^ word
                features[num] = (pair ^ pair >> np.uint64(29)) * _FINISH >> shift
                num += 1
            before, word = word, np.uint64(0)
        if point == _SPACE:
            token = at
    return num
