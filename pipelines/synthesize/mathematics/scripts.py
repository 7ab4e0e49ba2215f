r"""Which scripts a text is written in, without its formulas and programs.

Variables, commands and units are Latin in every language, so formulas and programs are left out,
and of what remains in a text that is not in Latin script, words of up to three Latin letters.
"""

import functools
import re
import unicodedata
from collections import Counter
from typing import Final

_NOT_PROSE: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]"
    r"|\\f?boxed\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\[A-Za-z]+",
    re.DOTALL,
)
_IN_WORDS: Final = re.compile(r"\w")
_LATIN_WORD: Final = re.compile(r"[A-Za-z]+")
_SHORT: Final = 3
_LEAST_HOME: Final = 0.1
_LEAST_FOREIGN: Final = 20
_ONE_SCRIPT: Final = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "IDEOGRAPHIC": "CJK"}


def prose_of(text: str) -> str:
    """A text with a space in place of each formula, LaTeX command and program."""
    return _NOT_PROSE.sub(" ", text)


def cells(text: str) -> int:
    """Letters and figures as on a terminal, where ideographs are twice as wide."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if _IN_WORDS.match(c)
    )


def letters_by_script(text: str) -> Counter[str]:
    """Letters of the prose of a text, by script (Unicode's names; Japanese counts as one: CJK)."""
    return Counter(script for script in map(_script, prose_of(text)) if script)


def foreign_scripts(text: str, problem: str, most: float) -> str | None:
    """Says where a text is written in other scripts than the problem.

    Args:
        text: A solution or its thinking.
        problem: Scripts with a tenth of its letters are at home.
        most: Share of foreign letters up to which a text passes.

    Returns:
        None where it passes, and where either text has hardly any prose.
    """
    asked = letters_by_script(problem)
    home = {s for s, n in asked.items() if n >= _LEAST_HOME * asked.total()}
    if not home:
        return None
    if "LATIN" not in home:
        text = _LATIN_WORD.sub(lambda m: " " if len(m[0]) <= _SHORT else m[0], text)
    found = letters_by_script(text)
    foreign = {s: n for s, n in found.items() if s not in home}
    count = sum(foreign.values())
    if count < _LEAST_FOREIGN or count <= most * found.total():
        return None
    chief = max(sorted(foreign), key=lambda s: foreign[s])
    return f"{count} of {found.total()} letters are foreign to the problem, mostly {chief.title()}"


@functools.lru_cache(maxsize=8192)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    return _ONE_SCRIPT.get(name, name) or None
