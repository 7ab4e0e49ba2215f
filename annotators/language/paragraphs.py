"""Texts cut into paragraphs, so that each line can be judged by itself.

A paragraph is a line, or several where a line has too few letters to be judged: lines are joined
until they have MIN_LETTERS, and what is left at the end of a text goes to the paragraph before. A
line of more than MAX_BYTES is cut at a space, or, where it has none, between two characters. The
paragraphs of a text follow each other without gaps, so that they need no copy.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.language.folding import Bytes, Offsets, fold_tables
from annotators.text.kernels import kernel
from annotators.text.utf8 import decode_sequence, utf8_texts

MIN_LETTERS: Final = 40
"""Letters of a paragraph; a sentence has more, a heading or a menu entry fewer."""
MAX_BYTES: Final = 960
"""Bytes after which a long line is cut at the next space, so that windows see all of it."""

_MAX_WORD_BYTES = 64  # MAX_BYTES and this make what is read whole
_NO_SCRIPT = 255


def paragraphs(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, npt.NDArray[np.int64]]:
    """Cuts each text.

    Returns:
        The paragraphs of all texts, in order, over the same bytes; and int64[num_paragraphs]: the
        row of the text each is of. An empty text has none.
    """
    data, offsets = utf8_texts(texts)
    if not len(texts):
        return texts, np.zeros(0, np.int64)
    _, scripts = fold_tables(True)
    _, _, buffer = texts.buffers()
    num_paragraphs = _cut(data, offsets, scripts, np.zeros(0, np.int64), np.zeros(0, np.int64))
    stops, rows = np.zeros(num_paragraphs + 1, np.int64), np.zeros(num_paragraphs, np.int64)
    stops[0] = offsets[0]
    _cut(data, offsets, scripts, stops[1:], rows)
    cut = pa.Array.from_buffers(
        pa.large_string(), num_paragraphs, [None, pa.py_buffer(stops.tobytes()), buffer]
    )
    return cut, rows


@kernel
def _cut(
    data: Bytes, offsets: Offsets, scripts: Bytes, stops: Offsets, rows: Offsets
) -> int | np.int64:
    """Writes where each paragraph ends and whose it is, or only counts where `rows` is empty."""
    count = np.int64(0)
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        begin, first = at, count
        letters = 0
        while at < stop:
            byte = data[at]
            end = at + 1
            point: int | np.int64 = np.int64(byte)
            if byte >= 0x80:
                point, end = decode_sequence(data, at, stop)
            at = end
            if point >= len(scripts) or scripts[point] != _NO_SCRIPT:
                letters += 1
            size = at - begin
            ends_line = byte == 0x0A and letters >= MIN_LETTERS
            is_long = size >= MAX_BYTES and (byte <= 0x20 or size >= MAX_BYTES + _MAX_WORD_BYTES)
            if ends_line or is_long:
                if len(rows):
                    stops[count], rows[count] = at, row
                count += 1
                begin, letters = at, 0
        if begin < stop:
            if letters < MIN_LETTERS and count > first:
                count -= 1
            if len(rows):
                stops[count], rows[count] = stop, row
            count += 1
    return count
