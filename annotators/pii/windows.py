"""One window of a text as the rules read it, with what stands around it.

Rules for numbers read characters: digits of every handled script become ASCII, and typographic
blanks, dashes and parentheses their plain forms, one character for one, so that a place in the
plain form is a place in the text. Bytes are counted only for a hit.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

BEFORE: Final = 96
"""Bytes before a window that a rule may read for words: three long ones in Cyrillic letters."""
AFTER: Final = 16
"""Bytes after it, for what must not follow."""

_PLAIN: Final = {
    **{
        zero + digit: ord("0") + digit
        for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xFF10)
        for digit in range(10)
    },
    **dict.fromkeys((0xA0, 0x2009, 0x200A, 0x202F), " "),
    **dict.fromkeys(range(0x2010, 0x2014), "-"),
    0xFF08: "(",
    0xFF09: ")",
    0xFF0B: "+",
    0xFF0D: "-",
}
assert all(unicodedata.decimal(chr(point), -1) >= 0 for point in list(_PLAIN)[:50])


class Window(NamedTuple):
    """A window with its surroundings, decoded."""

    plain: str
    """Before, window and after, digits and separators in their plain forms."""
    start: int
    """First character of the window in `plain`."""
    end: int
    """The character after its last."""
    original: str
    """The same as it stands in the text."""
    first_byte: int
    """Where it begins in the buffer."""

    def bytes_at(self, characters: Sequence[int]) -> list[int]:
        """Bytes of the buffer at which characters of `plain` begin, given in order."""
        if self.original.isascii():
            return [self.first_byte + character for character in characters]
        places, at, byte = [], 0, self.first_byte
        for character in characters:  # each stretch is encoded once, however many there are
            byte += len(self.original[at:character].encode())
            at = character
            places.append(byte)
        return places


def window_of(data: memoryview, text: tuple[int, int], start: int, end: int) -> Window:
    """Decodes a window and what stands around it in the same text.

    Args:
        data: UTF-8 bytes of the whole buffer.
        text: First byte of the text, and the byte after its last.
        start: First byte of the window.
        end: The byte after its last.
    """
    first, last = max(text[0], start - BEFORE), min(text[1], end + AFTER)
    raw = bytes(data[first:last])
    if raw.isascii():
        plain = raw.decode("ascii")
        return Window(plain, start - first, end - first, plain, first)
    while first < start and data[first] & 0xC0 == 0x80:
        first += 1
    while last > end and last < text[1] and data[last] & 0xC0 == 0x80:
        last -= 1
    before = str(data[first:start], "utf-8")
    inside = str(data[start:end], "utf-8")
    original = before + inside + str(data[end:last], "utf-8")
    plain = original.translate(_PLAIN)
    return Window(plain, len(before), len(before) + len(inside), original, first)
