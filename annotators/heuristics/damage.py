"""Pages made worse on purpose: what the default quality score learns "bad" from, without a judge.

Whatever a page is worth, it is worth less as its own teaser, under a menu, said three times over,
or as the list of its keywords. So a page before and after such damage is a pair whose order is
known, in any amount and under no licence but the page's own. The kinds are the complaints of the
papers whose rules this folder measures (Gopher, C4, FineWeb): boilerplate, repetition, listings,
truncation, keyword stuffing. How strong the damage is, is drawn anew for each page, from hardly
seen to nothing else left.

Everything is drawn from a seeded generator: the same text and generator give the same page.
"""

import re
from collections.abc import Callable
from typing import Final

import numpy as np

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_SEPARATORS: Final = (" | ", " > ", " » ", " / ", " · ")
_MARKS: Final = ("- ", "• ", "* ", "# ", "→ ")
_LONG_WORD: Final = 4

Chance = np.random.Generator
Damage = Callable[[list[str], Chance], list[str]]


def damaged(text: str, chance: Chance) -> str:
    """The page after one kind of damage, drawn from `DAMAGES`, or after two of them.

    Args:
        text: A page, with a line break between paragraphs.
        chance: Decides kinds and strength.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    kinds = list(DAMAGES.values())
    size = sum(map(len, lines))
    for kind in chance.choice(len(kinds), size=int(chance.integers(1, 3)), replace=False):
        lines = kinds[int(kind)](lines, chance)
    return _as_long_as("\n".join(lines), size)


def _as_long_as(text: str, num_characters: int) -> str:
    """Not longer than the page was: what is put in is at the cost of what was there."""
    cut = text.rfind(" ", 0, num_characters) if len(text) > num_characters else len(text)
    return text[:cut] if cut > 0 else text[:num_characters]


def _teaser(lines: list[str], chance: Chance) -> list[str]:
    """Its first words alone."""
    words = " ".join(lines).split()
    kept = " ".join(words[: int(chance.integers(15, 80))])
    return [kept + ("..." if chance.random() < 0.5 else "")]


def _menus(lines: list[str], chance: Chance) -> list[str]:
    """Short lines of its own long words, as a menu above, below or within."""
    words = _long_words(lines)
    menu = [
        _phrase(words, chance, 3).title()
        for _ in range(int(chance.integers(5, 20 + 3 * len(lines))))
    ]
    if chance.random() < 0.3:
        menu = [_SEPARATORS[int(chance.integers(len(_SEPARATORS)))].join(menu)]
    at = int(chance.integers(len(lines) + 1))
    return lines[:at] + menu + lines[at:]


def _repeats(lines: list[str], chance: Chance) -> list[str]:
    """Some of its sentences again and again."""
    sentences = _SENTENCE_END.split(" ".join(lines))
    out = list(lines)
    for _ in range(int(chance.integers(1, 4))):
        again = sentences[int(chance.integers(len(sentences)))]
        for _ in range(int(chance.integers(1, 2 + len(lines)))):
            out.insert(int(chance.integers(len(out) + 1)), again)
    return out


def _keywords(lines: list[str], chance: Chance) -> list[str]:
    """A part of its paragraphs as their long words, shuffled."""
    share = chance.uniform(0.3, 1.0)
    glue = ", " if chance.random() < 0.7 else " "
    return [
        glue.join(chance.permutation(_long_words([line])).tolist())
        if chance.random() < share
        else line
        for line in lines
    ]


def _cut_short(lines: list[str], chance: Chance) -> list[str]:
    """The beginnings of its paragraphs, as a page of search results has them."""
    limit = int(chance.integers(6, 26))
    out = []
    for line in lines:
        words = line.split()
        out.append(" ".join(words[:limit]) + (" ..." if len(words) > limit else ""))
    return out


def _listing(lines: list[str], chance: Chance) -> list[str]:
    """Its sentences broken into short lines, with prices, dates and counts between them."""
    share = chance.uniform(0.2, 1.0)
    mark = _MARKS[int(chance.integers(len(_MARKS)))] if chance.random() < 0.5 else ""
    out = []
    for line in lines:
        if chance.random() > share:
            out.append(line)
            continue
        words = line.split()
        while words:
            size = int(chance.integers(1, 7))
            out.append(mark + " ".join(words[:size]).rstrip(".!?"))
            words = words[size:]
            if chance.random() < 0.4:
                out.append(_number(chance))
    return out


def _stuffed(lines: list[str], chance: Chance) -> list[str]:
    """One phrase of it put between its words, as pages written for search engines do."""
    phrase = _phrase(_long_words(lines), chance, 4)
    every = int(chance.integers(8, 60))
    out = []
    for line in lines:
        words = line.split()
        for at in range(every, len(words), every):
            words[at] = f"{words[at]} {phrase}"
        out.append(" ".join(words))
    return out


def _figures(lines: list[str], chance: Chance) -> list[str]:
    """Numbers and signs where a part of its words were, as in tables and codes."""
    share = chance.uniform(0.1, 0.6)
    return [
        " ".join(
            _number(chance) if chance.random() < share else word for word in line.split()
        )
        for line in lines
    ]  # fmt: skip


def _long_words(lines: list[str]) -> list[str]:
    words = [word.strip(".,;:!?()\"'“”") for word in " ".join(lines).split()]
    return [word for word in words if len(word) > _LONG_WORD] or ["page"]


def _phrase(words: list[str], chance: Chance, most: int) -> str:
    """One to `most` of the words that stand together."""
    size = int(chance.integers(1, most + 1))
    at = int(chance.integers(max(1, len(words) - size + 1)))
    return " ".join(words[at : at + size])


def _number(chance: Chance) -> str:
    one, two = int(chance.integers(1, 2000)), int(chance.integers(1, 100))
    forms = (f"${one}.{two:02}", f"{two}/{one}", f"({one})", f"{one}", f"+{two} {one}", "* * *")
    return forms[int(chance.integers(len(forms)))]


DAMAGES: Final[dict[str, Damage]] = {
    "teaser": _teaser,
    "menus": _menus,
    "repeats": _repeats,
    "keywords": _keywords,
    "cut_short": _cut_short,
    "listing": _listing,
    "stuffed": _stuffed,
    "figures": _figures,
}
"""Kinds of damage by name; each takes the lines of a page and gives those of the worse one."""
