"""Classes of code points, as one flat table that kernels index by code point.

Every kernel asks the same few questions of a character (letter? space? ends a sentence? written
without spaces?), so they are answered once, from `unicodedata`, into `uint16[0x110000]`: one load
a character, 2.2 MB of address space of which only the pages of the scripts at hand are touched.
Built at first use in about 0.05 s and kept. The table follows the Unicode version of the running
Python (14.0 in 3.11, 15.1 in 3.13), which differ only in rare, newly assigned characters.

Sources: general categories and case mappings, `unicodedata`; white space and line boundaries,
`str.isspace` and `str.splitlines`; Sentence_Terminal as the package `regex` 2026.11.15 has it
(Unicode 16 or later), with the Khmer signs U+17D6, U+17D9 and U+17DA that datatrove 0.10 counts.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_CODE_POINTS = 0x110000

LETTER = 1 << 0
"""General category L*."""
SPACE = 1 << 1
"""White space as `str.isspace` has it."""
LINE_BREAK = 1 << 2
"""A character at which `str.splitlines` splits."""
SYMBOL = 1 << 3
"""Categories P*, S* and Cc: a token of these alone is not a word."""
TERMINAL = 1 << 4
"""Ends a sentence (Sentence_Terminal)."""
EDGE = 1 << 5
"""A token of its own at the start or end of a run of characters, part of the token inside."""
ALONE = 1 << 6
"""Always a token of its own: pictures, and punctuation that is never part of a word."""
ATTACHED = 1 << 7
"""Combining marks, format characters (M*, Cf) and skin tones: belong to the character before."""
UPPER = 1 << 8
LOWER = 1 << 9
DIGIT = 1 << 10
"""Categories N*."""
HYPHEN = 1 << 11
"""Dashes (Pd) and the tilde: split a word between letters or digits."""
APOSTROPHE = 1 << 15

SCRIPT_SHIFT = 12
SCRIPT_MASK = 0b111
"""`flags >> SCRIPT_SHIFT & SCRIPT_MASK` numbers the script of a letter written without spaces."""
NO_SCRIPT, HAN, KANA, THAI, LAO, KHMER, MYANMAR = range(7)

DROPPED = 0xFFFFFFFF
"""Entry of the fold table for a character that normalisation leaves out."""

_APOSTROPHES = "'\u2019\u02bc"
_SPLITTING_SYMBOLS = "<>=`\u00b4"
# Inside words: Armenian stress and question marks, Hebrew geresh and gershayim, Catalan middle dot.
_INNER_PUNCTUATION = "\u055a\u055b\u055c\u055d\u055e\u055f\u05f3\u05f4\u00b7\u0387\u2018\u2019"
_NEVER_EDGE = "-/@\\.\u2010\u2011"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

_SENTENCE_TERMINAL = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E "
    "1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F "
    "1B7D-1B7F 1C3B-1C3C 1C7E-1C7F 2024 203C-203D 2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 "
    "2E60-2E61 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F "
    "AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 "
    "10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 "
    "1123B-1123C 112A9 113D4-113D5 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E "
    "11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 "
    "16B37-16B38 16B44 16D6E-16D6F 16E98 1BC9F 1DA88"
)

# Only the letters of a block (and the number U+3007) get its script.
_SCRIPT_BLOCKS = (
    (HAN, "2E80-2FDF 3005-3007 3021-3029 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFD"),
    (KANA, "3041-30FF 31F0-31FF FF66-FF9D 1B000-1B16F"),
    (THAI, "E00-E7F"),
    (LAO, "E80-EFF"),
    (KHMER, "1780-17FF"),
    (MYANMAR, "1000-109F A9E0-A9FF AA60-AA7F"),
)

# Flags of all characters of a general category; those of the others (Z*, Cs, Co, Cn) have none.
_OF_CATEGORY = (
    {"Lu": LETTER | UPPER, "Lt": LETTER | UPPER, "Ll": LETTER | LOWER, "Pd": SYMBOL | HYPHEN}
    | dict.fromkeys(("Lm", "Lo"), LETTER)
    | dict.fromkeys(("Nd", "Nl", "No"), DIGIT)
    | dict.fromkeys(("Pc", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cc"), SYMBOL)
    | dict.fromkeys(("Mn", "Mc", "Me", "Cf"), ATTACHED)
)

# Large runs of one category, filled by slices instead of one `unicodedata` call each.
_IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x3FFFE))
_HANGUL = (0xAC00, 0xD7A4)
_SURROGATE_OR_PRIVATE = (0xD800, 0xF900)
_LAST_LISTED = 0x1FFFF
_TAGS = (0xE0000, 0xE01F0)


class _Listed(NamedTuple):
    """The code points that need a look of their own."""

    points: NDArray[np.int64]
    """Ascending: `int64[num_points]`."""
    characters: str
    categories: list[str]
    """Of each character, two letters."""


def _ranges(text: str) -> list[range]:
    """Reads `"61D-61F 6D4"` as half-open ranges of code points."""
    pairs = ([int(bound, 16) for bound in part.split("-")] for part in text.split())
    return [range(pair[0], pair[-1] + 1) for pair in pairs]


@functools.cache
def _listed() -> _Listed:
    is_listed = np.zeros(NUM_CODE_POINTS, bool)
    is_listed[: _LAST_LISTED + 1] = True
    is_listed[slice(*_TAGS)] = True
    for start, end in (*_IDEOGRAPHS, _HANGUL, _SURROGATE_OR_PRIVATE):
        is_listed[start:end] = False
    points = np.flatnonzero(is_listed)
    characters = points.astype("<u4").tobytes().decode("utf-32-le")
    return _Listed(points, characters, [*map(unicodedata.category, characters)])


def _flags(listed: _Listed) -> NDArray[np.uint16]:
    """Gives the classes of code points but for their script and sentence property."""
    points, characters, categories = listed
    flags = np.array([_OF_CATEGORY.get(category, 0) for category in categories], np.uint16)
    for i in np.flatnonzero(flags & SYMBOL).tolist():
        flags[i] |= _splitting(characters[i], categories[i])
    flags[np.isin(points, _SKIN_TONES)] = ATTACHED
    flags[points == ord("~")] |= HYPHEN
    flags[np.isin(points, [ord(mark) for mark in _APOSTROPHES])] |= APOSTROPHE
    flags[_is_space(characters)] = SPACE
    flags[np.isin(points, [ord(mark) for mark in _LINE_BREAKS])] |= LINE_BREAK
    return flags


def _is_space(characters: str) -> NDArray[np.bool_]:
    return np.array([*map(str.isspace, characters)])


def _splitting(character: str, category: str) -> int:
    """Says whether a symbol is a token of its own: always, at an edge only, or never."""
    if category == "So":
        return ALONE
    if character in _NEVER_EDGE:
        return 0
    if category[0] == "P" and ord(character) >= 0x80:
        is_inner = character in _INNER_PUNCTUATION or category == "Pd"
        return EDGE if is_inner else ALONE
    is_edge = category[0] == "P" or category == "Sc" or character in _SPLITTING_SYMBOLS
    return EDGE if is_edge else 0


@functools.cache
def character_classes() -> NDArray[np.uint16]:
    """Gives the class of every code point: `uint16[0x110000]`, read-only."""
    classes = np.zeros(NUM_CODE_POINTS, dtype=np.uint16)
    for start, end in (*_IDEOGRAPHS, _HANGUL):
        classes[start:end] = LETTER
    listed = _listed()
    classes[listed.points] = _flags(listed)
    for run in _ranges(_SENTENCE_TERMINAL):
        classes[run.start : run.stop] |= TERMINAL
    classes[0x3007] = LETTER
    for script, blocks in _SCRIPT_BLOCKS:
        for run in _ranges(blocks):
            block = classes[run.start : run.stop]
            block[(block & LETTER) != 0] |= script << SCRIPT_SHIFT
    classes.flags.writeable = False
    return classes


def _mapped(character: str) -> str:
    """Gives the case folding where that is one character, else lower case, else the same."""
    for mapped in (character.casefold(), character.lower()):
        if len(mapped) == 1:
            return mapped
    return character


@functools.cache
def fold_table() -> NDArray[np.uint32]:
    """Gives what every code point becomes in the normalised form: `uint32[0x110000]`, read-only.

    White space becomes U+0020 and punctuation (P*) `DROPPED`. Any other character becomes its
    case folding where that is one character, else its lower case where that is one, else itself
    (so U+1E9E becomes U+00DF, which stays, and U+0130 stays).
    """
    table = np.arange(NUM_CODE_POINTS, dtype=np.uint32)
    listed = _listed()
    mapped = "".join(map(_mapped, listed.characters)).encode("utf-32-le")
    folded = np.frombuffer(mapped, "<u4").copy()
    folded[[category[0] == "P" for category in listed.categories]] = DROPPED
    folded[_is_space(listed.characters)] = ord(" ")
    table[listed.points] = folded
    table.flags.writeable = False
    return table
