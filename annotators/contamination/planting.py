"""Ways in which quotations of benchmark items differ from the items, for the evaluation.

- `verbatim`: as the file has it;
- `reformatted`: other case, quotation marks, dashes, commas, line breaks, Markdown, and spaces in
  formulas: the same words;
- `numbers`: every number replaced by another of as many digits;
- `reworded`: in one sentence, every second word is one of the document (of Han and Kana, every
  fourth letter), so no run of it survives;
- `page break`: a page number and a running head stand in the middle.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

Edit = Callable[[str, Sequence[str], random.Random], str]
"""(text, words of the document around it, chance) -> text."""

_QUOTES: Final = str.maketrans({"'": "\u2019", '"': "\u201c", "-": "\u2013"})
_OPERATORS: Final = re.compile(r"\s*([-+=*/^<>{}()\[\]|&$])\s*")
_SENTENCE_ENDS: Final = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_LETTERS_A_PIECE: Final = 8
_WRAP: Final = 48


def _verbatim(text: str, words: Sequence[str], chance: random.Random) -> str:
    del words, chance
    return text


def _reformatted(text: str, words: Sequence[str], chance: random.Random) -> str:
    """Keeps the words; commas are left out only where space follows, lest two words join."""
    del words
    changes = (_other_case, _other_marks, _wrapped, _marked_down, _spaced)
    for change in changes:
        if chance.random() < 0.7:
            text = change(text, chance)
    return text


def _other_case(text: str, chance: random.Random) -> str:
    return chance.choice((str.upper, str.lower, str.title))(text)


def _other_marks(text: str, chance: random.Random) -> str:
    del chance
    return re.sub(r",(?=\s)", "", text).translate(_QUOTES)


def _wrapped(text: str, chance: random.Random) -> str:
    """Breaks lines elsewhere, with other white space between words."""
    lines, line = list[str](), ""
    for piece in text.split():
        line += chance.choice((" ", "  ", "\u00a0", "\t")) * bool(line) + piece
        if len(line) > _WRAP:
            lines.append(line)
            line = ""
    return "\n".join([*lines, line])


def _marked_down(text: str, chance: random.Random) -> str:
    """Makes it a quotation or a list with emphasis."""
    mark = chance.choice(("> ", "* ", "### "))
    lines = [mark + line for line in text.split("\n")]
    bold = re.sub(r"(?<!\S)([A-Za-z]{6,})(?!\S)", r"**\1**", "\n".join(lines), count=4)
    return bold


def _spaced(text: str, chance: random.Random) -> str:
    """Puts spaces around the operators and braces of formulas, as LaTeX allows."""
    del chance
    return _OPERATORS.sub(r" \1 ", text)


def _numbers(text: str, words: Sequence[str], chance: random.Random) -> str:
    del words

    def other(found: re.Match[str]) -> str:
        digits = len(found.group())
        low = 10 ** (digits - 1) if digits > 1 else 0
        while True:
            number = str(chance.randrange(low, 10**digits))
            if number != found.group():
                return number

    return re.sub(r"[0-9]+", other, text)


def _reworded(text: str, words: Sequence[str], chance: random.Random) -> str:
    sentences = [one for one in _SENTENCE_ENDS.split(text) if one.strip()]
    sentence = chance.choice(sentences) if sentences else text
    pieces = re.findall(r"\S+|\s+", sentence)
    step = 2
    if len(pieces) * _LETTERS_A_PIECE < len(sentence):
        pieces, step = list(sentence), 4
    spoken = [i for i, piece in enumerate(pieces) if not piece.isspace()]
    for i in spoken[::step]:
        pieces[i] = chance.choice(words)
    return text.replace(sentence, "".join(pieces), 1)


def _page_break(text: str, words: Sequence[str], chance: random.Random) -> str:
    """Breaks at the space next to the middle, or where there is none near, between two letters."""
    middle = len(text) // 2
    at = text.find(" ", middle)
    at = middle if at < 0 or at > middle + 20 else at
    head = " ".join(chance.choices(words, k=3))
    return f"{text[:at]}\n\n{chance.randrange(2, 400)}\n\n{head}\n\n{text[at:]}"


EDITS: Final[dict[str, Edit]] = {
    "verbatim": _verbatim,
    "reformatted": _reformatted,
    "numbers": _numbers,
    "reworded": _reworded,
    "page break": _page_break,
}


def plant(quotation: str, host: str) -> tuple[str, int, int]:
    """Puts a quotation as a paragraph of its own between two words of a document.

    Returns:
        The text, and the first byte of the quotation and the byte after its last.
    """
    at = host.find(" ", len(host) // 2)
    at = len(host) // 2 if at < 0 else at
    before = host[:at] + "\n\n"
    start = len(before.encode())
    return f"{before}{quotation}\n\n{host[at:]}", start, start + len(quotation.encode())
