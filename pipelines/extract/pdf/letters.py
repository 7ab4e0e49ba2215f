"""How much of a text nobody can have written: what a font with a wrong map leaves behind.

Codes that are no characters show themselves (U+FFFD, private use). A map that is shifted, or meant
for another encoding, gives real letters in an order that no language has, and only their company
tells. No dictionary is asked, so that a rare language is not taken for a fault; each rule holds
for everything that is written in its script:

- Latin words have vowels: of the letters in words of four and more, 33-61 % are aeiouy in the
  Latin-script languages of FLORES-200 (ten sentences at a time), and vowels and consonants take
  turns 1.1 to 1.8 times as often as if they were shuffled (five sentences). Of the same texts
  under an alphabet shifted by 1 to 25 letters, 63 % are found out by one or the other. Vietnamese,
  with its three vowels in a row, is known by its marks and let off.
- Letters with marks (U+00C0 to U+00FF) are a minority among Latin letters: at most 30 %, in
  Vietnamese. Cyrillic or Tamil that is read as Latin-1 is nearly all of them.
- Of the 20,992 ideographs of the first block real texts use those that a national standard has in
  its first level (GB 2312, JIS X 0208, Big5), and of the 11,172 Hangul syllables those of KS X
  1001. A wrong map hits them by chance, which is one in three, and one in five.
- A word is written in one script; Han, kana and Hangul go together.
"""

import functools
import re
import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

_LATIN_WORD: Final = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]{4,}")
_MARKED: Final = re.compile("[\u00c0-\u00ff]")
_IS_CONSONANT, _IS_VOWEL, _IS_SPACE = range(3)
_KINDS: Final = bytes(
    _IS_SPACE if chr(i) == " " else int(chr(i) in "aeiouyAEIOUY") for i in range(256)
)
_MARK: Final = re.compile("[\u0300-\u036f]")
_MIN_LETTERS: Final = 24  # of which a share says something
_FEWEST_VOWELS: Final = (0.16, 0.26)  # share at which a text is surely strange, and surely not
_FEWEST_TURNS: Final = (1.02, 1.10)
_MIN_LETTERS_FOR_TURNS: Final = 80
_MAX_MARKED_FOR_TURNS: Final = 0.1
_MOST_MARKED: Final = (0.75, 0.45)
_MOST_RARE: Final = (0.30, 0.10)
_MOST_JUMPS: Final = (0.20, 0.04)
# Beginnings of ranges whose letters belong together; signs and digits before U+00C0 are of none.
_SCRIPTS: Final = tuple(
    int(start, 16)
    for start in (
        "0 C0 250 2B0 300 370 400 530 590 600 700 750 780 7C0 800 8A0 900 980 A00 A80 B00 B80 C00 "
        "C80 D00 D80 E00 E80 F00 1000 10A0 1100 1200 13A0 1400 1680 16A0 1700 1780 1800 1900 1980 "
        "1E00 1F00 2000 2E80"
    ).split()
)
_LATIN, _NONE, _EAST_ASIAN, _GREEK, _ARABIC = 1, 0, 2, 3, 4
_GROUP: Final = {
    **dict.fromkeys((0xC0, 0x250, 0x1E00), _LATIN),
    **dict.fromkeys((0x0, 0x2B0, 0x300, 0x2000), _NONE),
    **dict.fromkeys((0x1100, 0x2E80), _EAST_ASIAN),
    **dict.fromkeys((0x370, 0x1F00), _GREEK),
    **dict.fromkeys((0x600, 0x750, 0x8A0), _ARABIC),
}


def strange_share(text: str) -> float:
    """Share of the letters of a text that stand in impossible company, in [0, 1].

    >>> strange_share("Oqnbddchmfr ne sgd 51mc Zmmtzk Lddshmf ne sgd zrrnbhzshnm enq Bnlotszshnmzk")
    1.0
    >>> strange_share("Proceedings of the 62nd Annual Meeting of the Association for Computational")
    0.0
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    scripts = _scripts()[np.minimum(codes, 0xFFFF)]
    num_letters = int((scripts != _NONE).sum())
    if not num_letters:
        return 0.0
    latin = _strange_latin(text) * float((scripts == _LATIN).sum())
    east_asian = _strange_east_asian(codes)
    return max(min(1.0, (latin + east_asian) / num_letters), _jumps(scripts))


def _ramp(share: float, bounds: tuple[float, float]) -> float:
    """1 at the first bound and beyond, 0 at the second and beyond."""
    surely, not_at_all = bounds
    return min(1.0, max(0.0, (share - not_at_all) / (surely - not_at_all)))


def _strange_latin(text: str) -> float:
    words = " ".join(_LATIN_WORD.findall(text))
    num_letters = len(words) - words.count(" ")
    if not num_letters:
        return 0.0
    share_marked = len(_MARKED.findall(words)) / num_letters
    marked = _ramp(share_marked, _MOST_MARKED)
    if num_letters < _MIN_LETTERS:
        return marked
    bare = words if words.isascii() else _MARK.sub("", unicodedata.normalize("NFD", words))
    kinds = np.frombuffer(bare.encode("ascii", "replace").translate(_KINDS), np.uint8)
    share_vowels = float((kinds == _IS_VOWEL).sum() / max(1, (kinds != _IS_SPACE).sum()))
    strange = max(marked, _ramp(share_vowels, _FEWEST_VOWELS))
    if num_letters < _MIN_LETTERS_FOR_TURNS or not 0 < share_vowels < 1:
        return strange
    if sum(char >= "\u0080" for char in words) > _MAX_MARKED_FOR_TURNS * num_letters:
        return strange
    return max(strange, _ramp(_turns(kinds) / _shuffled_turns(share_vowels), _FEWEST_TURNS))


def _turns(kinds: npt.NDArray[np.uint8]) -> float:
    """Share of the neighbours within words of which one is a vowel and one a consonant."""
    one, two = kinds[:-1], kinds[1:]
    within = (one != _IS_SPACE) & (two != _IS_SPACE)
    return float((one != two)[within].mean())


def _shuffled_turns(share_vowels: float) -> float:
    return 2 * share_vowels * (1 - share_vowels)


def _strange_east_asian(codes: npt.NDArray[np.uint32]) -> float:
    """Number of letters in ideographs and syllables, where too many of them are rare."""
    total = 0.0
    for first, last in ((0x4E00, 0x9FFF), (0xAC00, 0xD7A3)):
        found = codes[(codes >= first) & (codes <= last)]
        if found.size:
            rare = 1.0 - float(_usual()[found].mean())
            total += found.size * _ramp(rare, _MOST_RARE)
    return total


def _jumps(scripts: npt.NDArray[np.uint8]) -> float:
    """How surely scripts change within words."""
    one, two = scripts[:-1], scripts[1:]
    are_letters = (one != _NONE) & (two != _NONE)
    if are_letters.sum() < _MIN_LETTERS:
        return 0.0
    return _ramp(float((one != two)[are_letters].mean()), _MOST_JUMPS)


@functools.cache
def _scripts() -> npt.NDArray[np.uint8]:
    """uint8[0x10000]: code point -> number of its script, 0 where it has none."""
    table = np.zeros(0x10000, np.uint8)
    ends = (*_SCRIPTS[1:], 0xE000)
    for number, (start, end) in enumerate(zip(_SCRIPTS, ends, strict=True)):
        table[start:end] = _GROUP.get(start, _ARABIC + 1 + number)
    table[0xF900:0xFB00] = _EAST_ASIAN
    table[0xFB1D:0xFB50] = table[0x5D0]
    table[0xFB50:0xFE00] = table[0xFE70:0xFEFF] = table[0x620]
    table[0x41:0x5B] = table[0x61:0x7B] = _LATIN
    # Marks and signs are of no script: a Thai vowel or an Arabic point stands between letters.
    for code in range(0x300, 0xE000):
        if not unicodedata.category(chr(code)).startswith("L"):
            table[code] = _NONE
    return table


@functools.cache
def _usual() -> npt.NDArray[np.bool_]:
    """bool[0x10000]: ideographs and syllables that a standard of their script has as usual."""
    table = np.zeros(0x10000, np.bool_)
    # The second byte of a row runs from A1 to FE; first levels by the rows of each standard.
    levels = {
        "gb2312": (0xB0, 0xD7),
        "euc_jp": (0xB0, 0xCF),
        "big5": (0xA4, 0xC6),
        "euc_kr": (0xB0, 0xC8),
    }
    for standard, (first, last) in levels.items():
        for row in range(first, last + 1):
            for cell in (*range(0x40, 0x7F), *range(0xA1, 0xFF)):
                try:
                    char = bytes((row, cell)).decode(standard)
                except UnicodeDecodeError:
                    continue
                if len(char) == 1:
                    table[ord(char)] = True
    return table
