"""Character references (`&amp;`, `&#8212;`) to characters, in kernels over the bytes of a page.

The table is the one of the HTML standard (13.5), 2,231 names of which 106 also count without a
semicolon; it comes with Python (`html.entities.html5`). Rules of 13.2.5.72 to 13.2.5.80: the
longest name wins; in an attribute a name without semicolon before `=`, a letter or a digit is no
reference (`?a=1&copy=2`); numbers 0x80 to 0x9F mean Windows-1252; 0, surrogates and what is beyond
Unicode become U+FFFD.

`html.unescape` of the standard library knows neither the rule for attributes nor arrays, and drops
control characters.

A decoded text can be longer than what it is written as: `&nGt;` (5 bytes) is 6. `MAX_GROWTH` bounds
it.
"""

import html.entities
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.tags import FNV_OFFSET, FNV_PRIME

Bytes = NDArray[np.uint8]

MAX_GROWTH: Final = 2
"""Decoding n bytes gives at most MAX_GROWTH * n (6/5 * n by today's table)."""

_AMPERSAND, _HASH, _SEMICOLON, _EQUALS = ord("&"), ord("#"), ord(";"), ord("=")
_LONGEST: Final = max(map(len, html.entities.html5))
_LONGEST_LEGACY: Final = max(len(name) for name in html.entities.html5 if name[-1] != ";")
_PLACES: Final = 1 << 13
_OFFSET: Final = np.uint64(FNV_OFFSET & 0xFFFFFFFFFFFFFFFF)
_PRIME: Final = np.uint64(FNV_PRIME)
_BITS: Final = np.uint64(51)  # the 13 upper bits of a hash are a place

# What 0x80 to 0x9F mean in Windows-1252; five of them mean nothing there, and stay.
_WINDOWS_1252: Final = np.array(
    [
        ord(bytes([byte]).decode("cp1252")) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else byte
        for byte in range(0x80, 0xA0)
    ],
    np.int64,
)


def _place_of(name: bytes) -> int:
    value = int(_OFFSET)
    for byte in name:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value >> int(_BITS)


def _tables() -> tuple[NDArray[np.int32], NDArray[np.int32], Bytes, Bytes]:
    places = np.full(_PLACES, -1, np.int32)
    bounds, names, values = [(0, 0)], b"", b""
    for number, (written, value) in enumerate(html.entities.html5.items()):
        name = written.encode("ascii")
        place = _place_of(name)
        while places[place] >= 0:
            place = (place + 1) % _PLACES
        places[place] = number
        names += name
        values += value.encode("utf-8")
        bounds.append((len(names), len(values)))
    texts = (np.frombuffer(names, np.uint8), np.frombuffer(values, np.uint8))
    return places, np.array(bounds, np.int32), *texts


# `int32[8192]` numbers of names by the hash of a name, -1 where there is none; `int32[n + 1, 2]`
# where the names and the characters of each begin.
_NUMBERS, _BOUNDS, _NAMES, _VALUES = _tables()


@lean_kernel
def _lookup(data: Bytes, start: int, stop: int, value: np.uint64) -> int:
    """The number of the name in data[start:stop], whose hash is given, or -1."""
    place = np.int64(value >> _BITS)
    while _NUMBERS[place] >= 0:
        number = _NUMBERS[place]
        first = _BOUNDS[number, 0]
        length = _BOUNDS[number + 1, 0] - first
        if length == stop - start:
            i = 0
            while i < length and _NAMES[first + i] == data[start + i]:
                i += 1
            if i == length:
                return int(number)
        place = (place + 1) & (_PLACES - 1)
    return -1


@lean_kernel
def _is_alphanumeric(byte: int) -> bool:
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122


@lean_kernel
def put_character(out: Bytes, at: int, point: int) -> int:
    """Writes a code point as UTF-8, without any check of it; gives the place behind it."""
    if point < 0x80:
        out[at] = point
        return at + 1
    if point < 0x800:
        out[at] = 0xC0 | point >> 6
        out[at + 1] = 0x80 | point & 0x3F
        return at + 2
    if point < 0x10000:
        out[at] = 0xE0 | point >> 12
        out[at + 1] = 0x80 | point >> 6 & 0x3F
        out[at + 2] = 0x80 | point & 0x3F
        return at + 3
    out[at] = 0xF0 | point >> 18
    out[at + 1] = 0x80 | point >> 12 & 0x3F
    out[at + 2] = 0x80 | point >> 6 & 0x3F
    out[at + 3] = 0x80 | point & 0x3F
    return at + 4


@lean_kernel
def _put_number(data: Bytes, start: int, stop: int, out: Bytes, at: int) -> tuple[int, int]:
    """Decodes a numeric reference from behind its `&#`; as `_put_reference`."""
    position = start
    is_hex = position < stop and (data[position] | 32) == 120
    base = 16 if is_hex else 10
    position += is_hex
    first = position
    point = 0
    while position < stop:
        byte = int(data[position])
        if 48 <= byte <= 57:
            digit = byte - 48
        elif is_hex and 97 <= (byte | 32) <= 102:
            digit = (byte | 32) - 87
        else:
            break
        point = point * base + digit
        if point > 0x10FFFF:
            point = 0x110000
        position += 1
    if position == first:
        return -1, at
    if position < stop and data[position] == _SEMICOLON:
        position += 1
    if point == 0 or point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        point = 0xFFFD
    elif 0x80 <= point < 0xA0:
        point = int(_WINDOWS_1252[point - 0x80])
    return position, put_character(out, at, point)


@lean_kernel
def _put_reference(
    data: Bytes, start: int, stop: int, out: Bytes, at: int, in_attribute: bool
) -> tuple[int, int]:
    """Decodes the reference behind an ampersand.

    Returns:
        The byte behind it (-1 where it is no reference) and the place behind what was written.
    """
    if start < stop and data[start] == _HASH:
        return _put_number(data, start + 1, stop, out, at)
    number = -1
    behind = start
    value = _OFFSET
    position = start
    edge = min(stop, start + _LONGEST)
    while position < edge:
        byte = data[position]
        if not _is_alphanumeric(byte) and byte != _SEMICOLON:
            break
        value = (value ^ np.uint64(byte)) * _PRIME
        position += 1
        if byte == _SEMICOLON or position - start <= _LONGEST_LEGACY:
            found = _lookup(data, start, position, value)
            if found >= 0:
                number, behind = found, position
        if byte == _SEMICOLON:
            break
    if number < 0:
        return -1, at
    if in_attribute and data[behind - 1] != _SEMICOLON and behind < stop:
        if data[behind] == _EQUALS or _is_alphanumeric(data[behind]):
            return -1, at
    for i in range(_BOUNDS[number, 1], _BOUNDS[number + 1, 1]):
        out[at] = _VALUES[i]
        at += 1
    return behind, at


@lean_kernel
def put_decoded(data: Bytes, start: int, stop: int, out: Bytes, at: int, in_attribute: bool) -> int:
    """Writes a range of a page with its character references decoded.

    Args:
        data: The page.
        start: First byte.
        stop: The byte behind the last.
        out: Has room for MAX_GROWTH times the range from `at` on.
        at: Where to write.
        in_attribute: Whether the range is the value of an attribute.

    Returns:
        The place behind the last byte written.
    """
    position = start
    while position < stop:
        byte = data[position]
        if byte == _AMPERSAND:
            behind, edge = _put_reference(data, position + 1, stop, out, at, in_attribute)
            if behind >= 0:
                position, at = behind, edge
                continue
        out[at] = byte
        at += 1
        position += 1
    return at


def decoded(data: Bytes, start: int, stop: int, *, in_attribute: bool = False) -> str:
    """A range of a page as text; bytes that are not UTF-8 become U+FFFD.

    Args:
        data: The page: `uint8[num_bytes]`, read-only.
        start: First byte.
        stop: The byte behind the last.
        in_attribute: Whether the range is the value of an attribute.
    """
    written = data[start:stop].tobytes()
    if b"&" not in written:
        return written.decode("utf-8", "replace")
    out = np.empty(MAX_GROWTH * len(written), np.uint8)
    length = put_decoded(data, start, stop, out, 0, in_attribute)
    return out[:length].tobytes().decode("utf-8", "replace")
