"""Texts in, one short folded line a text out, with the letters of each script counted on the way.

The identifier never sees a raw text. A text of more than 1 KiB is looked at through eight windows
of 128 bytes spread from its first to its last byte; a shorter one is read whole. The same fold is
applied before training and before prediction; a changed one means training again (`FOLD_VERSION`):

* letters and marks: NFKC where that is one character, then lower case; numbers, punctuation,
  symbols and emoji become a space, runs of spaces one space;
* an apostrophe after a letter stays, in one form (Uzbek o', French l', Ukrainian m'ya need it);
* format characters (ZWNJ, soft hyphen, byte order mark) vanish: who types them differs by keyboard;
* URLs, mail addresses and @names vanish: a run of ASCII without a space that holds "://" or "@";
* combining accents U+0300-U+036F are composed (NFC).

Where the windows show fewer than 32 letters (tables, base64, a long row of digits before the prose)
the text is read from its start until 1 KiB of folded text is found.

A line is cut into *segments*, one a window; a text that was read whole is cut at the first space
after each 128 bytes, or where a line ends before, into at most twelve. Languages of a mixed text
are told segment by segment.

It is one numba pass over the UTF-8 of an Arrow array, 6 microseconds for a document of 4 KiB. What
windows lose, on 2,959 such documents joined from sentences of FLORES-200 devtest, macro-F1 over 119
by the classifier alone: 0.963 on the whole text, 0.965 with eight windows of 128 bytes, 0.962 with
eight of 96 or four of 384, 0.959 with four of 256, 0.954 with two of 256. The groups are right in
all of them: what differs is dialects, which `dialects` settles by more of the text.
"""

import unicodedata
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.language.folding import (
    SCRIPTS,
    Bytes,
    Counts,
    Offsets,
    Table,
    fold_range,
    fold_tables,
)
from annotators.text.kernels import kernel
from annotators.text.utf8 import utf8_texts

FOLD_VERSION: Final = 1
NUM_WINDOWS: Final = 8
WINDOW_BYTES: Final = 128
NUM_SEGMENTS: Final = 12
"""Segments that a text which is read whole may have; a sampled one has one a window."""
MIN_LETTERS: Final = 32
"""Letters below which the windows are thought to have missed the prose."""

_ENOUGH_BYTES = NUM_WINDOWS * WINDOW_BYTES
_NO_LIMIT = 1 << 62
_SPACE = 32


class Windows(NamedTuple):
    """What the identifier sees of each text."""

    data: Bytes
    """uint8[num_bytes]: folded lines, without line breaks; there may be gaps between them."""
    bounds: Offsets
    """int64[num_texts, num_segments + 1]: segment j of line i is `data[bounds[i, j]:bounds[i, j +
    1]]`. All are empty where the text has no letter, the last ones where it is short."""
    letters: Counts
    """int32[num_texts, num_segments, len(SCRIPTS)]: letters of each script in each segment."""

    @property
    def spans(self) -> Offsets:
        """int64[num_texts, 2]: first byte of each line and the byte behind its last one."""
        return np.ascontiguousarray(self.bounds[:, [0, -1]])

    @property
    def lines(self) -> list[str]:
        """The folded lines as strings."""
        buffer = self.data.tobytes()
        return [buffer[start:stop].decode() for start, stop in self.spans.tolist()]


def fold_windows(texts: pa.LargeStringArray, *, fold: bool = True, whole: bool = False) -> Windows:
    """Samples, folds and counts each text.

    Args:
        texts: Texts without nulls. Bytes that are not UTF-8 become spaces, or U+FFFD where `fold`
            is False.
        fold: False leaves letters, digits and punctuation as they are and only turns controls and
            white space into single spaces: what models of other makers were trained on.
        whole: True reads all of each text, as one segment, instead of windows.

    Returns:
        Lines in segments, in the order of `texts`; each depends on its own text alone.

    Raises:
        ValueError: The array is no large_string or has nulls.
    """
    num_windows = 1 if whole else NUM_WINDOWS
    num_segments = 1 if whole else NUM_SEGMENTS
    letters = np.zeros((len(texts), num_segments, len(SCRIPTS)), np.int32)
    bounds = np.zeros((len(texts), num_segments + 1), np.int64)
    data, offsets = utf8_texts(texts)
    sizes = np.diff(offsets)
    room = sizes if whole else np.minimum(sizes, _ENOUGH_BYTES + 8 * NUM_WINDOWS)
    # A folded letter takes at most one byte more than its two; unfolded, U+FFFD three for one.
    ends = np.cumsum((2 if fold else 3) * room + 2 * NUM_WINDOWS + 8)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    accents = np.zeros(len(texts), np.bool_)
    _fold_texts(
        data, offsets, fold_tables(fold), num_windows, _NO_LIMIT if whole else WINDOW_BYTES,
        np.append(np.int64(0), ends), out, bounds, letters, accents,
    )  # fmt: skip
    if fold and accents.any():
        out = _composed(out, bounds, np.flatnonzero(accents))
    return Windows(out, bounds, letters)


def _composed(data: Bytes, bounds: Offsets, rows: Offsets) -> Bytes:
    """Composes accents in some lines; they are put behind the others, and `bounds` says where."""
    at = len(data)
    behind = []
    for row in rows.tolist():
        first, *stops = bounds[row].tolist()
        bounds[row, 0] = at
        for segment, stop in enumerate(stops, 1):
            text = data[first:stop].tobytes().decode()
            composed = unicodedata.normalize("NFC", text).encode()
            behind.append(composed)
            at += len(composed)
            bounds[row, segment] = at
            first = stop
    return np.concatenate([data, np.frombuffer(b"".join(behind), np.uint8)])


@kernel
def window_ranges(
    data: Bytes, start: int, stop: int, num_windows: int, window_bytes: int, ranges: Offsets
) -> int:
    """Where the windows of a text lie, evenly spread from its first to its last byte.

    Args:
        data: UTF-8, uint8[num_bytes].
        start: First byte of the text.
        stop: The byte behind its last one.
        num_windows: At least two.
        window_bytes: Of each, to which up to three come that end a character.
        ranges: int64[num_windows, 2] or more, written: first byte of each and the one behind it.

    Returns:
        How many; 1, the whole text, where it is not longer than all windows.
    """
    if stop - start <= num_windows * window_bytes:
        ranges[0, 0], ranges[0, 1] = start, stop
        return 1
    for window in range(num_windows):
        first = start + (stop - start - window_bytes) * window // (num_windows - 1)
        last = first + window_bytes
        while last < stop and data[last] & 0xC0 == 0x80:
            last += 1
        while first < stop and data[first] & 0xC0 == 0x80:
            first += 1
        ranges[window, 0], ranges[window, 1] = first, last
    return num_windows


@kernel
def _fold_texts(
    data: Bytes,
    offsets: Offsets,
    tables: tuple[Table, Bytes],
    num_windows: int,
    window_bytes: int,
    begins: Offsets,
    out: Bytes,
    bounds: Offsets,
    letters: Counts,
    accents: npt.NDArray[np.bool_],
) -> None:
    """Fills `out` from `begins[row]` on, and bounds, letters and accents, for each text."""
    ranges = np.empty((num_windows, 2), np.int64)
    for row in range(len(bounds)):
        start, stop = offsets[row], offsets[row + 1]
        num_ranges = 1
        if num_windows > 1:
            num_ranges = window_ranges(data, start, stop, num_windows, window_bytes, ranges)
        else:
            ranges[0, 0], ranges[0, 1] = start, stop
        begin = at = begins[row]
        found = 0
        segment = 0
        bounds[row, 0] = begin
        for window in range(num_ranges):
            if at > begin and out[at - 1] != _SPACE:
                out[at] = _SPACE
                at += 1
                bounds[row, window] = at
            limit = window_bytes if num_ranges == 1 else _NO_LIMIT
            at, count, accent, segment = fold_range(
                data, ranges[window, 0], ranges[window, 1], tables, _NO_LIMIT, limit, out, at,
                letters[row], bounds[row], max(segment, window),
            )  # fmt: skip
            found += count
            accents[row] |= accent
        if num_ranges > 1 and found < MIN_LETTERS:
            letters[row] = 0
            at, found, accents[row], segment = fold_range(
                data, start, stop, tables, _ENOUGH_BYTES, window_bytes, out, begin,
                letters[row], bounds[row], 0,
            )  # fmt: skip
        bounds[row, segment + 1 :] = at
        if not found:
            bounds[row] = begin
