"""The fold of one range of UTF-8, and the tables that say what becomes of each character.

A table maps each code point of the first two planes to the one that is written for it (0: none),
another to its script. They are made from the Unicode data of the running Python in 0.2 s, once a
process; Pythons 3.11 to 3.13 differ in rare letters only (Unicode 14.0 to 15.1). Above the
two planes stand Han extensions, which stay as they are, and tags and private use, which become
spaces.
"""

import unicodedata
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from annotators.text.kernels import kernel
from annotators.text.utf8 import decode_sequence, encode_point

_SCRIPT_BY_NAME: Final = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARMENIAN": "Armn", "HEBREW": "Hebr",
    "ARABIC": "Arab", "SYRIAC": "Syrc", "THAANA": "Thaa", "NKO": "Nkoo", "DEVANAGARI": "Deva",
    "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml",
    "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "THAI": "Thai",
    "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr", "GEORGIAN": "Geor", "HANGUL": "Hang",
    "ETHIOPIC": "Ethi", "CHEROKEE": "Cher", "CANADIAN": "Cans", "KHMER": "Khmr",
    "MONGOLIAN": "Mong", "TIFINAGH": "Tfng", "OL": "Olck", "HIRAGANA": "Kana", "KATAKANA": "Kana",
    "CJK": "Hani", "IDEOGRAPHIC": "Hani", "BOPOMOFO": "Bopo", "YI": "Yiii", "VAI": "Vaii",
    "COPTIC": "Copt", "JAVANESE": "Java", "BALINESE": "Bali", "SUNDANESE": "Sund",
    "MEETEI": "Mtei", "CHAKMA": "Cakm", "ADLAM": "Adlm", "GOTHIC": "Goth", "BUGINESE": "Bugi",
}  # fmt: skip
"""First word of a character's Unicode name to its ISO 15924 script (both kana as one)."""

SCRIPTS: Final = (*sorted(set(_SCRIPT_BY_NAME.values())), "Zzzz")
"""Columns of `letter counts`; the last is every other script."""

_TABLE_SIZE = 0x20000  # two planes; above them stand Han extensions, tags and private use
_LAST_HAN = 0x40000
_HANI = SCRIPTS.index("Hani")
_NO_SCRIPT = 255
_MIN_SEGMENT_BYTES = 48  # from which the end of a line ends a segment
_SPACE = 32
_APOSTROPHE = 39
_APOSTROPHE_MARK = 1  # what the fold table says for an apostrophe: keep it behind a letter only
_APOSTROPHES = "'`\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\uff07"

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


@lru_cache(maxsize=2)
def fold_tables(fold: bool) -> tuple[Table, Bytes]:
    """uint32[0x20000] code point to code point (0 drops it), uint8[0x20000] index into SCRIPTS."""
    mapping = np.full(_TABLE_SIZE, _SPACE, np.uint32)
    scripts = np.full(_TABLE_SIZE, _NO_SCRIPT, np.uint8)
    for point in range(_TABLE_SIZE):
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] in "LM":
            folded = _fold_letter(character) if fold else character
            mapping[point] = ord(folded)
            scripts[point] = _script_of(folded)
        elif category == "Cf" and fold:
            mapping[point] = 0
        elif category[0] not in "ZC" and not fold:
            mapping[point] = point
    if fold:
        mapping[[ord(character) for character in _APOSTROPHES]] = _APOSTROPHE_MARK
    return mapping, scripts


def _fold_letter(character: str) -> str:
    compatible = unicodedata.normalize("NFKC", character)
    if len(compatible) != 1 or unicodedata.category(compatible)[0] not in "LM":
        compatible = character
    return compatible.lower()[0]  # a dotted capital I is two characters in lower case


def _script_of(letter: str) -> int:
    """Index into SCRIPTS, or 255 for marks and for letters that no script owns."""
    if unicodedata.category(letter) in ("Lm", "Mn", "Mc", "Me"):
        return _NO_SCRIPT
    first = unicodedata.name(letter, "OTHER").replace("-", " ").split()[0]
    return SCRIPTS.index(_SCRIPT_BY_NAME.get(first, "Zzzz"))


@kernel
def has_address(data: Bytes, start: int, stop: int) -> bool:
    """Whether the bytes hold "@" or "://", without which no run of ASCII is an address."""
    for at in range(start, stop):
        byte = data[at]
        if byte == 0x40:
            return True
        if byte == 0x3A and at + 2 < stop and data[at + 1] == 0x2F and data[at + 2] == 0x2F:
            return True
    return False


@kernel
def fold_range(
    data: Bytes,
    start: int,
    stop: int,
    tables: tuple[Table, Bytes],
    max_bytes: int,
    segment_bytes: int,
    out: Bytes,
    at: int,
    letters: Counts,
    bounds: Offsets,
    segment: int,
) -> tuple[int, int, bool, int]:
    """Folds bytes [start, stop) to `out[at]` and on, at most about `max_bytes`, counting letters.

    One body, in which calls that pass arrays stand in rare branches only: each counts references,
    atomically.

    Args:
        data: UTF-8, uint8[num_bytes]; bytes that are none are taken as U+FFFD.
        start: First byte.
        stop: Byte behind the last one.
        tables: Of `fold_tables`.
        max_bytes: Folded bytes after which reading stops.
        segment_bytes: Folded bytes of a segment, after which the next space ends it, unless it is
            the last one there is room for; the end of a line may end it before.
        out: uint8, with room for one byte more than two for each two bytes read.
        at: Where to write.
        letters: int32[num_segments, len(SCRIPTS)], counted up.
        bounds: int64[num_segments + 1]: entry j + 1 is written where segment j ends.
        segment: Number of the segment that begins or goes on here.

    Returns:
        Byte after the last one written, letters counted, whether a combining accent was met, number
        of the segment that was written to last.
    """
    mapping, scripts = tables
    begin, num_letters = at, 0
    after_letter = after_mark = accent = False
    last_segment = len(letters) - 1
    segment_start = at
    # Of a text that is read up to a limit the rest is not looked at.
    addresses = max_bytes < stop - start or has_address(data, start, stop)
    run_end = start if addresses else stop  # the run of ASCII up to here is known to be no address
    while start < stop and at - begin < max_bytes:
        point = np.uint32(data[start])
        if start >= run_end and 0x21 <= point <= 0x7E:
            run_end = start
            is_address = False
            while run_end < stop and 0x21 <= data[run_end] <= 0x7E:
                if data[run_end] == 0x40:
                    is_address = True
                elif data[run_end] == 0x3A and run_end + 2 < stop and data[run_end + 1] == 0x2F:
                    is_address = is_address or data[run_end + 2] == 0x2F
                run_end += 1
            if is_address:
                start = run_end
                after_letter = after_mark = False
                if at > begin and out[at - 1] != _SPACE:
                    out[at] = _SPACE
                    at += 1
                continue
        end = start + 1
        if point >= 0x80:
            if 0xC2 <= point < 0xE0 and end < stop and data[end] & 0xC0 == 0x80:
                point = (point & np.uint32(0x1F)) << np.uint32(6) | np.uint32(data[end] & 0x3F)
                end += 1
            elif (
                0xE1 <= point < 0xF0
                and point != 0xED
                and end + 1 < stop
                and data[end] & 0xC0 == 0x80
                and data[end + 1] & 0xC0 == 0x80
            ):
                second, third = np.uint32(data[end] & 0x3F), np.uint32(data[end + 1] & 0x3F)
                point = (point & np.uint32(0x0F)) << np.uint32(12) | second << np.uint32(6) | third
                end += 2
            else:
                decoded, end = decode_sequence(data, start, stop)
                point = np.uint32(decoded)
        start = end
        folded, script = np.uint32(_SPACE), np.uint8(_NO_SCRIPT)
        if point < _TABLE_SIZE:
            folded, script = mapping[point], scripts[point]
        elif point < _LAST_HAN:
            folded, script = point, np.uint8(_HANI)
        if folded == 0:
            continue
        if folded == _APOSTROPHE_MARK:
            folded = np.uint32(_APOSTROPHE) if after_letter else np.uint32(_SPACE)
            after_mark, after_letter = after_letter, False
        elif folded == _SPACE:
            at -= int(after_mark)  # an apostrophe that ends a word is a quotation mark
            after_letter = after_mark = False
        else:
            after_letter, after_mark = True, False
        if folded < 0x80:
            if folded == _SPACE:
                if at > begin and out[at - 1] != _SPACE:
                    out[at] = _SPACE
                    at += 1
                    size = at - segment_start
                    # A line that ends is a better place, as long as there is room for the rest.
                    ends_line = (
                        size >= _MIN_SEGMENT_BYTES
                        and point == 0x0A
                        and (last_segment - segment) * segment_bytes >= stop - start
                    )
                    if (size >= segment_bytes or ends_line) and segment < last_segment:
                        segment += 1
                        bounds[segment] = segment_start = at
                continue
            out[at] = folded
            at += 1
        elif folded < 0x800:
            out[at] = 0xC0 | folded >> np.uint32(6)
            out[at + 1] = 0x80 | folded & np.uint32(0x3F)
            at += 2
            accent = accent or bool(0x300 <= folded <= 0x36F)
        elif folded < 0x10000:
            out[at] = 0xE0 | folded >> np.uint32(12)
            out[at + 1] = 0x80 | folded >> np.uint32(6) & np.uint32(0x3F)
            out[at + 2] = 0x80 | folded & np.uint32(0x3F)
            at += 3
        else:
            at = encode_point(np.int64(folded), out, at)
        if script != _NO_SCRIPT:
            letters[segment, script] += 1
            num_letters += 1
    bounds[segment + 1] = at
    return at, num_letters, accent, segment
