"""From characters to runs: stretches of one baseline, size and weight without a wide gap.

Compiled (numba). Spaces are those that the file has, those that PDFium puts into gaps, and those of
narrower gaps between letters that stand close otherwise. What is drawn twice in one place (bold by
overprinting) is read once, and the accents that TeX draws over letters join them. The letters of a
ligature have one place, in one text object: they are no doubles, and stay in their order where a
line is turned round.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel
from pipelines.extract.pdf.layer_characters import SLANT, Bytes, Codes, Floats, Ints

_ASCENT: Final = 0.78  # of the size; a baseline divides most lines of print so
_DESCENT: Final = 0.22
# Spacing accents (acute to cedilla) and the combining marks that they are over a letter.
ACCENTS: Final = np.array(
    [
        0xB4,
        0x60,
        0x2C6,
        0x5E,
        0xA8,
        0x2DC,
        0x7E,
        0x2C7,
        0x2D8,
        0xAF,
        0x2C9,
        0x2D9,
        0x2DA,
        0x2DD,
        0xB8,
    ],
    np.uint32,
)
MARKS: Final = np.array(
    [
        0x301,
        0x300,
        0x302,
        0x302,
        0x308,
        0x303,
        0x303,
        0x30C,
        0x306,
        0x304,
        0x304,
        0x307,
        0x30A,
        0x30B,
        0x327,
    ],
    np.uint32,
)
_ACCENT_REACH = 120  # characters; PDFium may put an accent at the end of its line
_RUN_GAP: Final = 0.5  # of the size: a gap that no space in a line of print has
_LEAST_SPACE: Final = 0.08
_LETTERS_GAP: Final = 0.13
_BASELINE_SHIFT: Final = 0.12
_SIZE_CHANGE: Final = 0.1


@kernel
def with_accents(
    code: Codes,
    box: Floats,
    origin: Floats,
    size: Floats,
    turn: Bytes,
    accents: Codes,
    marks: Codes,
) -> tuple[Codes, Codes]:
    """Codes without the spacing accents that are drawn over a letter, and the mark of each letter.

    TeX writes an accented letter of an old font as two glyphs in one place, which no order of
    characters tells: the letter is the one below the middle of the accent.
    """
    n = len(code)
    code = code.copy()
    found = np.zeros(n, np.uint32)
    for i in range(n):
        at = -1
        for k in range(len(accents)):
            if code[i] == accents[k]:
                at = k
        if at < 0 or size[i] <= 0:
            continue
        middle = (box[i, 0] + box[i, 2]) / 2
        best, least = -1, 0.22 * size[i]
        for j in range(max(0, i - _ACCENT_REACH), min(n, i + _ACCENT_REACH)):
            c = code[j]
            is_letter = (c >= 65 and c <= 90) or (c >= 97 and c <= 122) or c >= 0xC0
            # Not another accent.
            is_letter = is_letter and not (0x2B0 <= c <= 0x36F)
            if not is_letter or found[j] != 0 or turn[j] != turn[i]:
                continue
            if abs(origin[j, 1] - origin[i, 1]) > 0.5 * size[i]:
                continue
            far = abs((box[j, 0] + box[j, 2]) / 2 - middle)
            if far < least:
                best, least = j, far
        if best >= 0:
            found[best] = marks[at]
            code[i] = 0xAD  # is skipped below
            if code[best] == 0x131:
                code[best] = 0x69
    return code, found


@kernel
def divide(
    code: Codes,
    marks: Codes,
    box: Floats,
    origin: Floats,
    size: Floats,
    turn: Bytes,
    flags: Bytes,
    text_object: Ints,
) -> tuple[Codes, Ints, Ints, Floats, Floats, Bytes, Bytes, npt.NDArray[np.int32], Bytes]:
    """Characters -> runs: codes, first, stop (in codes), box, size, turn, flags, rising of each.

    `rising` counts letters of a script written from the right that stand right of the one before.
    The last is 1 for each of the codes that belongs to the glyph of the code before it.
    """
    num_chars = len(code)
    codes = np.zeros(3 * num_chars, np.uint32)
    first = np.zeros(num_chars, np.int64)
    stop = np.zeros(num_chars, np.int64)
    boxes = np.zeros((num_chars, 4), np.float32)
    sizes = np.zeros(num_chars, np.float32)
    turns = np.zeros(num_chars, np.uint8)
    styles = np.zeros(num_chars, np.uint8)
    base = np.zeros(num_chars, np.float32)
    rising = np.zeros(num_chars, np.int32)
    is_inner = np.zeros(3 * num_chars, np.uint8)
    has_accents, is_by_accent = marks.any(), False
    num_runs, used, last, has_space, has_drawn_space, is_open = 0, 0, -1, False, False, False
    gap, last_gap = np.float32(0.0), np.float32(0.0)
    for i in range(num_chars):
        c = code[i]
        if c == 0xAD and has_accents:
            is_by_accent = True
            continue
        if c == 13 or c == 10:
            is_open, has_space, has_drawn_space = False, False, False
            continue
        if c <= 32 or c == 0xA0 or c == 0x3000 or (0x2000 <= c <= 0x200A):
            # U+0002 stands for a hyphen at the end of a line.
            if c != 2:
                has_space = True
                has_drawn_space = has_drawn_space or flags[i] & 1 == 0
                continue
        if c == 2 or c == 0xFFFE:
            c = 0x2D
        if 0xD800 <= c <= 0xDFFF or c > 0x10FFFF:
            c = 0xFFFD
        if flags[i] & 1 and last < 0:
            continue
        em = max(size[i], 0.5)
        x0, x1 = box[i, 0], box[i, 2]
        y0, y1 = box[i, 1], box[i, 3]
        if flags[i] & 1 == 0 and _is_double(code, box, origin, size, text_object, i):
            continue
        is_slanted = turn[i] == SLANT
        level = turn[i] % 2 == 0
        v = origin[i, 1] if level else origin[i, 0]
        if flags[i] & 1:
            # A hyphen that PDFium writes itself has no place.
            if is_open:
                codes[used] = c
                used += 1
                stop[num_runs - 1] = used
            continue
        if is_slanted:
            # It stands where it begins, as the headings of narrow columns do.
            x0, x1 = origin[i, 0], origin[i, 0] + 0.5 * em
            y0, y1 = v - em * _ASCENT, v + em * _DESCENT
        elif level:
            ascent = em * _ASCENT if turn[i] == 0 else em * _DESCENT
            y0, y1 = v - ascent, v + em - ascent
        else:
            ascent = em * _ASCENT if turn[i] == 3 else em * _DESCENT
            x0, x1 = v - ascent, v + em - ascent
        same = (
            is_open
            and turns[num_runs - 1] == turn[i]
            and (styles[num_runs - 1] | 32) == (flags[i] | 32)
            and abs(v - base[num_runs - 1]) <= _BASELINE_SHIFT * em
            and abs(em - sizes[num_runs - 1]) <= _SIZE_CHANGE * em
        )
        if is_open and is_slanted and turns[num_runs - 1] == SLANT:
            far = abs(origin[i, 0] - origin[last, 0]) + abs(origin[i, 1] - origin[last, 1])
            same = far < 2.0 * em
        elif same:
            if level:
                gap = max(x0 - box[last, 2], box[last, 0] - x1)
            else:
                gap = max(y0 - box[last, 3], box[last, 1] - y1)
            same = gap <= _RUN_GAP * em
        if not same:
            first[num_runs] = used
            boxes[num_runs, 0], boxes[num_runs, 1] = x0, y0
            boxes[num_runs, 2], boxes[num_runs, 3] = x1, y1
            sizes[num_runs] = em
            turns[num_runs] = turn[i]
            styles[num_runs] = flags[i]
            base[num_runs] = v
            num_runs += 1
            is_open = True
        run = num_runs - 1
        is_ligature = False
        if same and _is_right_to_left(c) and _is_right_to_left(code[last]):
            is_ligature = last == i - 1 and _is_one_glyph(box, origin, text_object, last, i)
            if not is_ligature:
                rising[run] += 1 if x0 > box[last, 0] else -1
        is_by_accent = is_by_accent or marks[i] != 0 or (same and marks[last] != 0)
        if has_space and same and not has_drawn_space and is_by_accent:
            # PDFium puts spaces where the order of the file jumps, as it does for accents.
            has_space = gap >= _LEAST_SPACE * em
        if has_space:
            codes[used] = 32
            used += 1
        elif same and gap > _LETTERS_GAP * em and last_gap < _LEAST_SPACE * em and c < 0x2E80:
            # Narrower than the space that PDFium expects, after letters without any distance.
            has_space = code[last] > 32 and not _is_right_to_left(c)
            if has_space:
                codes[used] = 32
                used += 1
        has_space, has_drawn_space, is_by_accent = False, False, False
        last_gap = gap if same else np.float32(0.0)
        codes[used] = c
        if is_ligature:
            is_inner[used] = 1
            if c == 0x644 and _is_alef(codes[used - 1]):
                # PDFium turns round what a line says, and the ligature with it. There is no glyph
                # of alef and lam, only of lam and alef.
                codes[used - 1], codes[used] = c, codes[used - 1]
        used += 1
        if marks[i] != 0:
            codes[used] = marks[i]
            used += 1
        stop[run] = used
        last = i
        if is_slanted:
            continue
        boxes[run, 0] = min(boxes[run, 0], x0)
        boxes[run, 1] = min(boxes[run, 1], y0)
        boxes[run, 2] = max(boxes[run, 2], x1)
        boxes[run, 3] = max(boxes[run, 3], y1)
    return (
        codes[:used],
        first[:num_runs],
        stop[:num_runs],
        boxes[:num_runs].copy(),
        sizes[:num_runs].copy(),
        turns[:num_runs].copy(),
        styles[:num_runs].copy(),
        rising[:num_runs].copy(),
        is_inner[:used],
    )


@kernel
def _is_right_to_left(c: int) -> bool:
    """Whether a code point is a letter of Hebrew, Arabic or a related script."""
    is_basic = 0x5BE <= c <= 0x8FF and not (0x660 <= c <= 0x669) and not (0x6F0 <= c <= 0x6F9)
    return is_basic or 0xFB1D <= c <= 0xFDFF or 0xFE70 <= c <= 0xFEFC


@kernel
def _is_alef(c: int) -> bool:
    """Whether a code point is an Arabic alef, with or without hamza, madda or wasla."""
    return c == 0x622 or c == 0x623 or c == 0x625 or c == 0x627 or c == 0x671


@kernel
def _is_one_glyph(box: Floats, origin: Floats, text_object: Ints, j: int, i: int) -> bool:
    """Whether two characters are what one glyph stands for: PDFium gives both its place."""
    if text_object[i] == 0 or text_object[i] != text_object[j]:
        return False
    for k in range(4):
        if box[i, k] != box[j, k]:
            return False
    return bool(origin[i, 0] == origin[j, 0] and origin[i, 1] == origin[j, 1])


@kernel
def _is_double(
    code: Codes, box: Floats, origin: Floats, size: Floats, text_object: Ints, i: int
) -> bool:
    """Whether a character repeats the last one in nearly the same place (fake bold)."""
    for j in range(max(0, i - 2), i):
        if j == i - 1 and _is_one_glyph(box, origin, text_object, j, i):
            continue
        if _is_right_to_left(code[i]) or (j == i - 2 and code[i - 1] > 32):
            continue
        near = 0.4 * min(box[i, 2] - box[i, 0], 0.7 * size[i])
        if (
            code[j] == code[i]
            and size[j] > 0
            and abs(origin[i, 0] - origin[j, 0]) < near
            and abs(origin[i, 1] - origin[j, 1]) < near
        ):
            return True
    return False
