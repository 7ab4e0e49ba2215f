"""Simplified, traditional or Cantonese, decided by characters where characters decide.

A character that GB 2312 (1980, simplified) has and Big5 (1984, traditional) lacks is taken as
simplified, and the reverse as traditional; both tables come with Python. Cantonese has characters
that written Mandarin lacks. 81 % of the Cantonese sentences of NTREX-128 hold one of them, about
40 characters each, so that a text of 128 characters without any is not Cantonese (0.19 ** 3 = 0.7
%). The rule asks for that length because the Cantonese of FLORES-200 is written Mandarin (none of
521 sentences of devtest holds such a character) and teaches the model that it may look like that.

Cantonese may also be written with simplified characters, as its Universal Declaration of Human
Rights is: a text of which one character in 64 is one that Mandarin has no use for is
Cantonese whichever script it has (none of 1,411 Mandarin sentences of NTREX-128 and Tatoeba in
traditional characters, 2 of 1,436 in simplified ones).

With a model of this project `judging` asks for these marks alone, and `dialects` tells traditional
Mandarin from the Cantonese that has too few of them.
"""

from functools import lru_cache
from typing import Final

CHINESE: Final = frozenset({"zho_Hans", "zho_Hant", "yue_Hant"})
CANTONESE: Final = "yue_Hant"

NEUTRAL: Final = "zho_Hans"
"""What a few characters are called that simplified and traditional texts share, as in a greeting:
most written Chinese is simplified."""
MIN_CANTONESE: Final = 20
"""Characters from which on a text may be Cantonese without one of its marks."""

_CANTONESE = frozenset("嘅喺咗啲佢唔哋嚟冇嗰嘢睇咁")
_CANTONESE_LENGTH = 128
_MARKS_APART = 64


def settle_chinese(code: str, line: str) -> str:
    """Corrects one of the CHINESE codes by the characters of the text.

    Args:
        code: What the model says.
        line: The folded text.

    Returns:
        One of CHINESE.
    """
    num_marks = sum(character in _CANTONESE for character in line)
    if num_marks and num_marks * _MARKS_APART >= len(line):
        return "yue_Hant"
    if code == "yue_Hant":
        is_long = len(line) >= _CANTONESE_LENGTH
        return "zho_Hant" if is_long and _CANTONESE.isdisjoint(line) else code
    simplified, traditional = _exclusive()
    num_simplified = sum(character in simplified for character in line)
    num_traditional = sum(character in traditional for character in line)
    if num_simplified == num_traditional:
        return code
    return "zho_Hans" if num_simplified > num_traditional else "zho_Hant"


@lru_cache(maxsize=1)
def _exclusive() -> tuple[frozenset[str], frozenset[str]]:
    """Han characters of GB 2312 alone and of Big5 alone."""
    han = [chr(point) for point in range(0x4E00, 0xA000)]
    gb2312 = {character for character in han if _has("gb2312", character)}
    big5 = {character for character in han if _has("big5", character)}
    return frozenset(gb2312 - big5), frozenset(big5 - gb2312)


def _has(charset: str, character: str) -> bool:
    return bool(character.encode(charset, errors="ignore"))
