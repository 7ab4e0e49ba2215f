"""Hashes of whole texts, for exact duplicates: of the bytes, and of a normalised form.

Signatures (`text_hashes`, `normal_hashes`) are 128 bits of MurmurHash3 (`murmur`): some two of n
different texts share one with a probability of about n^2 / 2^129, 1.5e-19 among 10^10 texts and
1.5e-15 among 10^12. Names that are kept and compared elsewhere (`normalised_text_hashes`) are
BLAKE2b (RFC 7693) with a 16-byte digest and no key: as many bits, and nobody can make two texts
that share one, at six times the price of a signature. No Python string is made.

The normalised form of `normalised_text_hashes`, which two copies that differ in case, spacing or
punctuation share:

1. every code point is mapped by `characters.fold_table`: white space to U+0020, punctuation
   (P*) to nothing, all else to its one-character case folding or lower case, or itself;
2. runs of U+0020 become one, and none stands at the start or end;
3. the result is hashed as UTF-8.

Symbols (S*), digits, marks and format characters stay; no Unicode normalisation (NFC) is applied.

That of `normal_hashes` is a little finer, so that texts with equal ones have equal sets of shingles
(`shingles`) too, and each can stand for the others when near-duplicates are looked for: punctuation
other than `_` is a space, and in texts whose shingles are of characters it stays as it is.
"""

import functools
import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotators.text.characters import DROPPED, fold_table
from annotators.text.kernels import inlined_kernel, kernel
from annotators.text.murmur import murmur_of_slices
from annotators.text.shingles import shingled_by_characters
from annotators.text.utf8 import decode_sequence, encode_point, utf8_texts

DIGEST_BYTES = 16
_SPACE = 0x20
# U+FFFD for one ill-formed byte is the largest growth: 3 bytes for 1.
_MAX_GROWTH = 3
# Entries of the table of bytes that are no character: ASCII folds to ASCII, so they are free.
_BYTE_DROPPED = 0xFF
_BYTE_OF_MANY = 0xFE
# Normalised at a time: so few that they are still in the cache when they are hashed.
_GROUP_BYTES = 256 << 10

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_FOUR_BITS, _FIVE_BITS, _SIX_BITS = np.uint32(0x0F), np.uint32(0x1F), np.uint32(0x3F)
_LEAD_BITS, _CONTINUES = np.uint32(0xC0), np.uint32(0x80)
_TWO_BYTES, _THREE_BYTES = np.uint32(0xC0), np.uint32(0xE0)
_SHIFT, _TWO_SHIFTS = np.uint32(6), np.uint32(12)


def _digests(data: bytes | NDArray[np.uint64]) -> pa.FixedSizeBinaryArray:
    """An array of digests, from one after the other."""
    joined = data if isinstance(data, bytes) else data.astype("<u8", copy=False).tobytes()
    buffers = [None, pa.py_buffer(joined)]
    array = pa.Array.from_buffers(pa.binary(DIGEST_BYTES), len(joined) // DIGEST_BYTES, buffers)
    return cast(pa.FixedSizeBinaryArray, array)


def text_hashes(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """Signs the UTF-8 bytes of each text.

    Args:
        texts: large_string, no nulls.

    Returns:
        fixed_size_binary[16], one a text: MurmurHash3; zeros for an empty text.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    data, offsets = utf8_texts(texts)
    words = np.empty((len(offsets) - 1, 2), np.uint64)
    murmur_of_slices(data, offsets, words)
    return _digests(words)


class _Form(NamedTuple):
    """What becomes of each character."""

    points: NDArray[np.uint32]
    """Of each code point: `uint32[0x110000]`, `DROPPED` where nothing."""
    own_bytes: NDArray[np.uint8]
    """Of each byte that is a character of its own: `uint8[256]`."""


def _form(points: NDArray[np.uint32]) -> _Form:
    own_bytes = np.full(256, _BYTE_OF_MANY, dtype=np.uint8)
    folded = points[:0x80]
    own_bytes[:0x80] = np.where(folded == DROPPED, _BYTE_DROPPED, folded)
    own_bytes.flags.writeable = False
    return _Form(points, own_bytes)


@functools.cache
def _plain_form() -> _Form:
    """Without punctuation."""
    return _form(fold_table())


@functools.cache
def _word_form() -> _Form:
    """Punctuation is a space, as it ends words; `_` is part of them."""
    points = np.where(fold_table() == DROPPED, np.uint32(_SPACE), fold_table())
    points[ord("_")] = ord("_")
    return _form(points)


@functools.cache
def _character_form() -> _Form:
    """Punctuation stays."""
    points = np.arange(len(fold_table()), dtype=np.uint32)
    return _form(np.where(fold_table() == DROPPED, points, fold_table()))


@inlined_kernel
def _follows(data: NDArray[np.uint8], position: np.uint64, end: np.uint64) -> bool:
    return bool(position < end and data[position] & _LEAD_BITS == _CONTINUES)


@kernel
def _normalise(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: NDArray[np.uint32],
    byte_table: NDArray[np.uint8],
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> None:
    """Writes the normalised forms of some texts to `out`, one after the other, and their ends.

    Positions are unsigned: else each access first asks whether its index counts from the end. The
    forms that most letters have are decoded and encoded in place. Each halves the time.
    """
    written = np.uint64(0)
    for text in range(len(offsets) - 1):
        first = written
        last = np.uint32(_SPACE)  # so that none stands at the start
        position, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        while position < end:
            lead = np.uint32(data[position])
            folded = np.uint32(byte_table[lead])
            if folded < 0x80:
                position += _ONE
                out[written] = folded
                # A second space is written over; no branch, which would be guessed wrong a word.
                written += np.uint64((folded != _SPACE) | (last != _SPACE))
                last = folded
                continue
            if folded == _BYTE_DROPPED:
                position += _ONE
                continue
            is_two = 0xC2 <= lead < 0xE0 and _follows(data, position + _ONE, end)
            # Neither overlong (below U+1000) nor a surrogate.
            is_three = 0xE1 <= lead < 0xED and _follows(data, position + _ONE, end)
            if is_two:
                second = np.uint32(data[position + _ONE]) & _SIX_BITS
                folded = table[(lead & _FIVE_BITS) << _SHIFT | second]
                position += _TWO
            elif is_three and _follows(data, position + _TWO, end):
                second = np.uint32(data[position + _ONE]) & _SIX_BITS
                third = np.uint32(data[position + _TWO]) & _SIX_BITS
                folded = table[((lead & _FOUR_BITS) << _SHIFT | second) << _SHIFT | third]
                position += _THREE
            else:
                point, after = decode_sequence(data, int(position), int(end))
                folded, position = table[np.uint64(point)], np.uint64(after)
            if folded == DROPPED or (folded == _SPACE and last == _SPACE):
                continue
            last = folded
            if 0x80 <= folded < 0x800:
                out[written] = _TWO_BYTES | folded >> _SHIFT
                out[written + _ONE] = _CONTINUES | folded & _SIX_BITS
                written += _TWO
            elif 0x800 <= folded < 0x10000:
                out[written] = _THREE_BYTES | folded >> _TWO_SHIFTS
                out[written + _ONE] = _CONTINUES | folded >> _SHIFT & _SIX_BITS
                out[written + _TWO] = _CONTINUES | folded & _SIX_BITS
                written += _THREE
            else:
                written = np.uint64(encode_point(int(folded), out, int(written)))
        if written > first and last == _SPACE:
            written -= _ONE
        ends[text] = written


def _groups(offsets: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cuts the offsets of texts into runs of few bytes, or of one text."""
    filled = (offsets[1:] - offsets[:1]) // _GROUP_BYTES
    starts = np.flatnonzero(np.diff(filled, prepend=-1)).tolist() if len(filled) else []
    for start, end in pairwise([*starts, len(filled)]):
        yield offsets[start : end + 1]


def _normal_forms(
    texts: pa.LargeStringArray, form: _Form
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Some normalised forms at a time, one after the other, and where each starts and ends."""
    data, offsets = utf8_texts(texts)
    for some in _groups(offsets):
        out = np.empty(_MAX_GROWTH * int(some[-1] - some[0]), dtype=np.uint8)
        bounds = np.zeros(len(some), dtype=np.int64)
        _normalise(data, some, *form, out, bounds[1:])
        yield out, bounds


def normal_hashes(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """Signs the normalised form of each text; where nothing is left of it, the text's bytes.

    So a page of dashes is no copy of a page of dots.

    Args:
        texts: large_string, no nulls.

    Returns:
        fixed_size_binary[16], one a text: MurmurHash3.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    words, is_empty = _signed_forms(texts, _word_form())
    rows = pa.array(np.flatnonzero(shingled_by_characters(texts)))
    if len(rows):
        at = rows.to_numpy()
        words[at], is_empty[at] = _signed_forms(texts.take(rows), _character_form())
    return pc.if_else(pa.array(is_empty), text_hashes(texts), _digests(words))


def _signed_forms(
    texts: pa.LargeStringArray, form: _Form
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The signature of each normalised form, `uint64[n, 2]`, and whether it is empty, `bool[n]`."""
    words, is_empty = [np.empty((0, 2), np.uint64)], [np.empty(0, bool)]
    for forms, bounds in _normal_forms(texts, form):
        some = np.empty((len(bounds) - 1, 2), np.uint64)
        murmur_of_slices(forms, bounds, some)
        words.append(some)
        is_empty.append(bounds[1:] == bounds[:-1])
    return np.concatenate(words), np.concatenate(is_empty)


def normalised_text_hashes(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """Names the normalised form of each text (see the module).

    Args:
        texts: large_string, no nulls.

    Returns:
        fixed_size_binary[16], one a text: BLAKE2b with a 16-byte digest; a text of spaces and
        punctuation alone has that of no bytes.

    Raises:
        ValueError: The array is of another type or has nulls.
    """
    digests = []
    for forms, bounds in _normal_forms(texts, _plain_form()):
        view = memoryview(forms.data)
        digests += [
            hashlib.blake2b(view[start:end], digest_size=DIGEST_BYTES).digest()
            for start, end in pairwise(bounds.tolist())
        ]
    return _digests(b"".join(digests))
