"""Where a tag, a comment or a raw text ends: the tokenizer of the HTML standard as scans.

Every scan goes forward only and ends at the end of the page at the latest. What is not closed there
takes the rest of the page with it, as in browsers (a quotation mark left open ends at the next
one, wherever that stands); so no page is read more than once, whatever is left open in it.

Source: HTML standard, 13.2.5 (tokenization), by the names of its states.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.tags import (
    FNV_OFFSET,
    FNV_PRIME,
    HASHES,
    NUMBERS,
    PLACES,
    UNKNOWN,
    name_hash,
)

Bytes = NDArray[np.uint8]

_SPACE, _TAG_END, _SLASH = 1, 2, 4
_KINDS: Final = np.zeros(256, np.uint8)
_KINDS[[9, 10, 12, 13, 32]] = _SPACE
_KINDS[ord(">")] = _TAG_END
_KINDS[ord("/")] = _SLASH
_LOWER: Final = np.frombuffer(bytes(range(256)).lower(), np.uint8)
# Unsigned, for numba takes it that signed numbers do not overflow.
_OFFSET: Final = np.uint64(FNV_OFFSET & 0xFFFFFFFFFFFFFFFF)
_PRIME: Final = np.uint64(FNV_PRIME)
_SCRIPT_HASH: Final = name_hash(b"script")
_BANG, _DASH, _EQUALS, _LESS, _GREATER = ord("!"), ord("-"), ord("="), ord("<"), ord(">")
_DOUBLE, _SINGLE, _SOLIDUS, _BRACKET = ord('"'), ord("'"), ord("/"), ord("]")


@inlined_lean_kernel
def is_space(byte: int) -> bool:
    """Whether a byte is white space of HTML: tab, LF, FF, CR or blank."""
    return byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 12


@inlined_lean_kernel
def is_letter(byte: int) -> bool:
    """Whether a byte is an ASCII letter."""
    return 97 <= (byte | 32) <= 122


@inlined_lean_kernel
def _scan_name(data: Bytes, start: int, n: int) -> tuple[int, int]:
    """Reads a tag's name up to byte `n`; the byte behind it and its hash."""
    position = start
    value = _OFFSET
    while position < n:
        byte = data[position]
        if _KINDS[byte]:
            break
        value = (value ^ np.uint64(_LOWER[byte])) * _PRIME
        position += 1
    return position, int(np.int64(value))


@inlined_lean_kernel
def scan_name(data: Bytes, start: int) -> tuple[int, int]:
    """Reads a tag's name.

    Returns:
        The byte behind it and its hash.
    """
    return _scan_name(data, start, data.size)


@inlined_lean_kernel
def tag_number(value: int) -> int:
    """The number of the element whose name has a hash, or UNKNOWN."""
    place = (value ^ (value >> 32)) & (PLACES - 1)
    while NUMBERS[place] != 0:
        if HASHES[place] == value:
            return int(NUMBERS[place])
        place = (place + 1) & (PLACES - 1)
    return UNKNOWN


@lean_kernel
def scan_attributes(data: Bytes, start: int) -> tuple[int, bool]:
    """Finds the `>` that ends a tag, from behind its name.

    A `>` within quotation marks is part of a value, and quotation marks count only behind the
    equals sign of an attribute that has a name.

    Returns:
        The place of the `>`, -1 where the page ends before; whether a slash stands before it that
        is not part of a value.
    """
    n = data.size
    position = start
    has_name = False
    is_closed = False
    while position < n:
        byte = data[position]
        if byte == _GREATER:
            return position, is_closed
        is_closed = byte == _SOLIDUS
        if byte == _EQUALS and has_name:
            position += 1
            while position < n and is_space(data[position]):
                position += 1
            if position >= n:
                return -1, False
            byte = data[position]
            if byte == _DOUBLE or byte == _SINGLE:
                quote = byte
                position += 1
                while position < n and data[position] != quote:
                    position += 1
                position += 1
            else:
                while position < n and not is_space(data[position]) and data[position] != _GREATER:
                    position += 1
            has_name = False
            continue
        if byte == _SOLIDUS:
            has_name = False
        elif not is_space(byte):
            has_name = True
        position += 1
    return -1, False


@inlined_lean_kernel
def scan_to(data: Bytes, start: int, byte: int) -> int:
    """The place of the next such byte, or the end of the page."""
    n = data.size
    position = start
    while position < n and data[position] != byte:
        position += 1
    return position


@lean_kernel
def scan_comment(data: Bytes, start: int) -> int:
    """The byte behind a comment, from behind its `<!--`; the end of the page where it is open."""
    n = data.size
    position = start
    if position < n and data[position] == _GREATER:
        return position + 1
    if position + 1 < n and data[position] == _DASH and data[position + 1] == _GREATER:
        return position + 2
    while True:
        position = scan_to(data, position, _DASH)
        if position + 2 >= n:
            return n
        if data[position + 1] == _DASH:
            if data[position + 2] == _GREATER:
                return position + 3
            if data[position + 2] == _BANG and position + 3 < n and data[position + 3] == _GREATER:
                return position + 4
        position += 1


@lean_kernel
def scan_declaration(data: Bytes, start: int) -> int:
    """The byte behind a doctype or a bogus comment, from behind its `<`."""
    return min(scan_to(data, start, _GREATER) + 1, data.size)


@lean_kernel
def starts_with(data: Bytes, start: int, word: Bytes) -> bool:
    """Whether bytes of the page are those of a word in upper case, in any case."""
    if start + word.size > data.size:
        return False
    for i in range(word.size):
        byte = data[start + i]
        if (byte & 0xDF if is_letter(byte) else byte) != word[i]:
            return False
    return True


@lean_kernel
def scan_cdata(data: Bytes, start: int) -> int:
    """The first byte of the `]]>` that ends a CDATA section, or the end of the page."""
    n = data.size
    position = start
    while True:
        position = scan_to(data, position, _BRACKET)
        if position + 2 >= n:
            return n
        if data[position + 1] == _BRACKET and data[position + 2] == _GREATER:
            return position
        position += 1


@lean_kernel
def scan_raw(data: Bytes, start: int, name: int) -> tuple[int, int]:
    """Finds the end of a raw text: the end tag of its own name.

    In scripts, `<!-- <script> ... </script> -->` hides the end tag within (the states "script data
    double escaped" and their neighbours).

    Returns:
        The `<` of the end tag and the byte behind its name; twice the end of the page where there
        is none.
    """
    n = data.size
    is_script = name == _SCRIPT_HASH
    is_escaped = False
    is_hidden = False
    position = start
    while position < n:
        byte = data[position]
        if is_escaped and byte == _GREATER:
            if (
                position - start >= 2
                and data[position - 1] == _DASH
                and data[position - 2] == _DASH
            ):
                is_escaped = False
                is_hidden = False
        elif byte == _LESS and position + 1 < n:
            following = data[position + 1]
            if following == _SOLIDUS:
                behind, found = scan_name_bounded(data, position + 2)
                if found == name and behind < n:
                    if not is_hidden:
                        return position, behind
                    is_hidden = False
            elif is_script and is_escaped and is_letter(following):
                behind, found = scan_name_bounded(data, position + 1)
                if found == name and behind < n:
                    is_hidden = True
            elif is_script and position + 3 < n and following == _BANG:
                if data[position + 2] == _DASH and data[position + 3] == _DASH:
                    is_escaped = True
                    position += 1  # the dashes may also be those of the end: `<!-->`
        position += 1
    return n, n


@lean_kernel
def scan_name_bounded(data: Bytes, start: int) -> tuple[int, int]:
    """As `scan_name`, but only as far as the names of raw texts may be long (9 bytes).

    Else `</` before every byte of a long run would have it read again and again.
    """
    return _scan_name(data, start, min(data.size, start + 10))
