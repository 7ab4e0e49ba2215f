"""Signs of a formula in a line of UTF-8: dollar spans, LaTeX commands, Unicode, MathML.

`is_formula_line` says whether a line is math at all, `formula_marks` how much of it there is: one
mark for each closed dollar span, closed \\( or \\[, known LaTeX command, mathematical operator
(U+2200 to U+22FF), mathematical letter (U+1D400 to U+1D7FF) and `<math` element.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.stem.vocabulary import WORD_MAX_BYTES, is_listed, word_hash
from annotators.text.kernels import kernel

MAX_SPAN_BYTES: Final = 400
"""A dollar that closes later belongs to something else."""

NAME_SPAN_BYTES: Final = 12
"""A span such as `$n$` or `$f(x)$`: up to this length it needs no operator, only a letter first."""

COMMAND_POINTS: Final = 2
"""Points of LaTeX commands that make a line math: a command followed by a brace has two."""

UNICODE_OPERATORS: Final = 2
"""Mathematical operators (U+2200 to U+22FF) that make a line math; one may be a stray sign."""

_BACKSLASH: Final = ord("\\")
_DOLLAR: Final = ord("$")
_SPACE: Final = ord(" ")


@kernel
def is_letter(byte: int) -> bool:
    """An ASCII letter."""
    return 97 <= (byte | 32) <= 122


@kernel
def is_word_byte(byte: int) -> bool:
    """An ASCII letter, a digit or an underscore."""
    return is_letter(byte) or 48 <= byte <= 57 or byte == 95


@kernel
def _is_operator(byte: int) -> bool:
    r"""One of \ ^ _ = < > + - / *, of which a formula has at least one."""
    return (
        byte == 92
        or 94 <= byte <= 95
        or 60 <= byte <= 62
        or byte == 42
        or byte == 43
        or byte == 45
        or byte == 47
    )


@kernel
def _closes_span(data: NDArray[np.uint8], opening: int, closing: int, end: int) -> bool:
    """Whether two dollars of one line enclose a formula.

    pandoc's rule (manual, tex_math_dollars): the opening dollar has a non-space to its right, the
    closing one a non-space to its left and no digit to its right. Letters and brackets to its right
    and a brace or parenthesis behind the opening one are refused too: those are shell variables.
    """
    first, last = data[opening + 1], data[closing - 1]
    if closing - opening < 2 or first == _SPACE or last == _SPACE:
        return False
    if first == 123 or (first == 40 and data[opening + 2] == 41):
        return False
    if closing + 1 < end:
        after = data[closing + 1]
        if is_word_byte(after) or after == 123 or after == 40:
            return False
    has_space = False
    for at in range(opening + 1, closing):
        if _is_operator(data[at]):
            return True
        has_space = has_space or data[at] == _SPACE
    return is_letter(first) and not has_space and closing - opening - 1 <= NAME_SPAN_BYTES


@kernel
def _has_dollar_span(data: NDArray[np.uint8], start: int, end: int) -> bool:
    opening = -1
    for at in range(start, end):
        if data[at] != _DOLLAR or (at > start and data[at - 1] == _BACKSLASH):
            continue
        if opening >= 0 and at - opening <= MAX_SPAN_BYTES and _closes_span(data, opening, at, end):
            return True
        opening = at
    return False


@kernel
def _has_parenthesis_span(data: NDArray[np.uint8], start: int, end: int) -> bool:
    r"""Whether \( and later \), or \[ and later \], stand in the line."""
    opened = 0
    for at in range(start, end - 1):
        if data[at] == _BACKSLASH:
            after = data[at + 1]
            if after == 40 or after == 91:  # ( [
                opened = after
            elif (after == 41 and opened == 40) or (after == 93 and opened == 91):
                return True
    return False


@kernel
def formula_marks(
    data: NDArray[np.uint8], start: int, end: int, commands: NDArray[np.uint64]
) -> int:
    r"""Counts the signs of formulas in one line.

    Args:
        data: uint8[num_bytes], UTF-8.
        start: First byte of the line.
        end: Byte behind its last.
        commands: uint64[num_commands], sorted hashes of known LaTeX commands.
    """
    count = opening = 0
    opening = opened = -1
    at = start
    while at < end:
        byte = data[at]
        if byte == _DOLLAR and (at == start or data[at - 1] != _BACKSLASH):
            if 0 <= at - opening <= MAX_SPAN_BYTES and opening >= 0:
                if _closes_span(data, opening, at, end):
                    count += 1
                    opening = -2
            opening = at if opening > -2 else -1
        elif byte == _BACKSLASH and at + 1 < end:
            after = data[at + 1]
            if after == 40 or after == 91:  # ( [
                opened = after
            elif (after == 41 and opened == 40) or (after == 93 and opened == 91):
                count += 1
                opened = -1
            elif is_letter(after):
                is_known = _is_command(data, at, start, end, commands)
                count += int(is_known)
                while not is_known and at + 1 < end and is_letter(data[at + 1]):
                    at += 1  # and over the backslash behind: `C:\\Users\\alpha` is a path
                at += int(not is_known)
        elif byte == 0xE2 and at + 2 < end:
            count += _num_unicode_operators(data, at, at + 3)
        elif byte == 0xF0 and at + 2 < end:
            count += int(data[at + 1] == 0x9D and 0x90 <= data[at + 2] <= 0x9F)
        elif byte == 60:
            count += int(_opens_math(data, at, end))
        at += 1
    return count


@kernel
def _opens_math(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """Whether `<math>` or `<math xmlns=...>` stands at `at` (MathML)."""
    if at + 5 >= end or data[at + 1] != 109 or data[at + 2] != 97 or data[at + 3] != 116:
        return False
    return bool(data[at + 4] == 104 and not is_letter(data[at + 5]))


@kernel
def _is_command(
    data: NDArray[np.uint8], at: int, start: int, end: int, commands: NDArray[np.uint64]
) -> bool:
    """Whether the backslash at `at` begins a known LaTeX command, and no path or escape."""
    if at > start and (data[at - 1] == _BACKSLASH or data[at - 1] == 58):
        return False
    word_end = at + 1
    while word_end < end and is_letter(data[word_end]):
        word_end += 1
    length = word_end - at - 1
    return 2 <= length <= WORD_MAX_BYTES and is_listed(word_hash(data, at + 1, word_end), commands)


@kernel
def may_hold_formulas(data: NDArray[np.uint8], start: int, end: int) -> bool:
    """Whether a line has a byte with which a sign of a formula begins."""
    found = False
    for at in range(start, end):
        byte = data[at]
        found = found or byte == _DOLLAR or byte == _BACKSLASH or byte == 0xE2
        found = found or byte == 0xF0 or byte == 60
    return found


@kernel
def _command_points(
    data: NDArray[np.uint8], start: int, end: int, commands: NDArray[np.uint64]
) -> int:
    points = 0
    at = start
    while at < end - 2 and points < COMMAND_POINTS:
        # Behind a letter, colon or backslash it is a path or an escape.
        before = data[at - 1] if at > start else _SPACE
        if data[at] == _BACKSLASH and before != _BACKSLASH and before != 58:
            word_end = at + 1
            while word_end < end and is_letter(data[word_end]):
                word_end += 1
            length = word_end - at - 1
            if 2 <= length <= WORD_MAX_BYTES and is_listed(
                word_hash(data, at + 1, word_end), commands
            ):
                points += 2 if word_end < end and data[word_end] == 123 else 1
            at = word_end
        at += 1
    return points


@kernel
def _num_unicode_operators(data: NDArray[np.uint8], start: int, end: int) -> int:
    """Counts U+2200..U+22FF without the minus, bullet and dot, which prose has too."""
    count = 0
    for at in range(start, end - 2):
        if data[at] == 0xE2 and 0x88 <= data[at + 1] <= 0x8B:
            low = data[at + 2]
            minus_or_bullet = data[at + 1] == 0x88 and (low == 0x92 or low == 0x99)
            dot = data[at + 1] == 0x8B and low == 0x85
            if not minus_or_bullet and not dot:
                count += 1
    return count


@kernel
def is_formula_line(
    data: NDArray[np.uint8], start: int, end: int, commands: NDArray[np.uint64]
) -> bool:
    """Whether one line, without white space at its ends, holds a formula or is LaTeX.

    Args:
        data: uint8[num_bytes], UTF-8.
        start: First byte of the line.
        end: Byte behind its last.
        commands: uint64[num_commands], sorted hashes of known LaTeX commands.
    """
    has_dollar = has_backslash = has_operator = has_element = False
    for at in range(start, end):
        byte = data[at]
        has_element = has_element or (byte == 60 and _opens_math(data, at, end))
        has_dollar = has_dollar or byte == _DOLLAR
        has_backslash = has_backslash or byte == _BACKSLASH
        has_operator = has_operator or byte == 0xE2
    if has_element or (has_dollar and _has_dollar_span(data, start, end)):
        return True
    if has_backslash:
        if _has_parenthesis_span(data, start, end):
            return True
        if _command_points(data, start, end, commands) >= COMMAND_POINTS:
            return True
    return has_operator and _num_unicode_operators(data, start, end) >= UNICODE_OPERATORS
