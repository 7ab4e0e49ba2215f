r"""Whether a model fell into a loop: rules for what no person writes, in every script.

A model that reads or writes text ends, now and then, in a line, a phrase or a character that it
repeats until its tokens are used up. Five rules find that, each in linear time:

    line       the same line 3 times running; of tables 9 times, for rows of equal figures are
               common; of lines narrower than 8 cells 12 times (lists of dashes, verse, code)
    sentence   the same sentence of at least 50 cells 5 times, wherever
    character  the same character 350 times running (leaders and rules on a form are shorter)
    tail       the text ends in a unit of 1 to 40 characters over and over: at least 150 characters
               and 10 units of it, or more than 30 units of at most 5 characters; what has neither
               letter nor figure in it is left to the rule of characters
    long tail  the text ends in 5 equal units of up to 2,000 characters: several sentences in turn

The first three thresholds are those of FinePDFs (Hugging Face, 2025), 30 repeats of 1 to 5
characters that of olmOCR (2502.18443); rules and code are written anew. Theirs count characters;
here a wide character (ideographs, kana, Hangul) is two cells, as on a terminal, for it says as much
as two to three letters. Sentences end as scripts have it: `. ! ?` before white space, and the marks
of Chinese, Devanagari, Burmese, Khmer, Arabic, Ethiopic, Armenian and Tibetan; of Thai, Lao, Khmer
and Burmese, which may have no mark at all, the pieces between spaces count as well.
Sentences run on over the ends of lines, not over an empty line nor into a table.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

_LINES: Final = 3
_TABLE_LINES: Final = 9
_NARROW_LINES: Final = 12
_NARROW: Final = 8
_SENTENCES: Final = 5
_LONG_SENTENCE: Final = 50
_CHARACTERS: Final = 350
_UNIT: Final = 40
_UNITS: Final = 10
_UNITS_CHARS: Final = 150
_TINY_UNIT: Final = 5
_TINY_UNITS: Final = 31
_LONG_UNIT: Final = 2000
_LONG_UNITS: Final = 5
_SHOWN: Final = 40

_WIDE: Final = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f"
    "\uff00-\uff60\uffe0-\uffe6\U00016fe0-\U00018aff\U0001b000-\U0001b2ff\U00020000-\U0003fffd]"
)
_TABLE: Final = re.compile(r"\||</?t(?:able|head|body|r|h|d)\b", re.IGNORECASE)
_SPOKEN: Final = re.compile(r"[^\W_]")
_NO_SPACES: Final = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f]"
_SENTENCE_END: Final = re.compile(
    r"[.!?\u2026](?=\s)"
    # ideographic and half-width stops, their ! and ?, danda, Burmese and Khmer stops
    "|[\u3002\uff61\uff01\uff1f\uff0e\u0964\u0965\u104a\u104b\u17d4\u17d5]"
    # Arabic and Urdu, Syriac, Ethiopic, Armenian, Tibetan
    "|[\u061f\u06d4\u0700-\u0702\u1362\u1367\u1368\u0589\u0f0d\u0f0e]"
)
_CLAUSE_END: Final = re.compile(f"(?<={_NO_SPACES})[ \u200b]+(?={_NO_SPACES})")
_PARAGRAPH_END: Final = re.compile(r"\n\s*\n")


def repetition(text: str) -> str | None:
    """What repeats in a text as no person would write it, in words; None where nothing does.

    Args:
        text: Plain text or Markdown.

    >>> repetition("The mill.\\nThe mill stands still.\\nThe mill stands still.\\nThe end.")
    >>> repetition("The mill.\\n" + "The mill stands still.\\n" * 3)
    "the same line 3 times running: 'The mill stands still.'"
    """
    return _character(text) or _line(text) or _tail(text.rstrip()) or _sentence(text)


def _character(text: str) -> str | None:
    """The same character too often."""
    if len(text) < _CHARACTERS:
        return None
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]) + 1, codes.size)
    runs = np.diff(ends, prepend=0)
    longest = int(runs.argmax())
    if runs[longest] < _CHARACTERS:
        return None
    return f"the same character {runs[longest]} times running: {text[int(ends[longest]) - 1]!r}"


def _line(text: str) -> str | None:
    """The same line running; empty lines between do not count."""
    before, times = "", 0
    for line in filter(None, map(str.strip, text.splitlines())):
        times = times + 1 if line == before else 1
        before = line
        if times >= _LINES and times >= _allowed(line):
            return f"the same line {times} times running: {_shown(line)}"
    return None


def _allowed(line: str) -> int:
    """How often a line may stand in a row, and once more."""
    if _TABLE.search(line):
        return _TABLE_LINES
    return _NARROW_LINES if _width(line) < _NARROW else _LINES


def _sentence(text: str) -> str | None:
    """The same long sentence too often."""
    counts = Counter(_sentences(text))
    for sentence, times in counts.items():
        if times >= _SENTENCES:
            return f"the same sentence {times} times: {_shown(sentence)}"
    return None


def _sentences(text: str) -> Iterator[str]:
    """Long sentences with letters, in one spelling of white space; those of tables left out."""
    lines = ["" if _TABLE.search(line) else line for line in text.splitlines()]
    for paragraph in _PARAGRAPH_END.split("\n".join(lines)):
        start = 0
        for end in _SENTENCE_END.finditer(paragraph + "\n"):
            yield from _clauses(paragraph[start : end.end()])
            start = end.end()
        yield from _clauses(paragraph[start:])


def _clauses(sentence: str) -> Iterator[str]:
    """A sentence, and what spaces make of it, where that is long."""
    if len(sentence) * 2 < _LONG_SENTENCE:
        return
    sentence = " ".join(sentence.split())
    pieces = _CLAUSE_END.split(sentence)
    for one in [sentence, *pieces] if len(pieces) > 1 else pieces:
        if _width(one) >= _LONG_SENTENCE and _SPOKEN.search(one):
            yield one


def _tail(text: str) -> str | None:
    """A unit that is repeated up to the end of a text."""
    tail = text[-_LONG_UNIT * _LONG_UNITS :]
    if len(tail) < _TINY_UNITS:
        return None
    periods = _periods(tail[::-1])
    lengths = np.arange(1, len(tail) + 1)
    units = lengths // periods
    is_tiny = (periods <= _TINY_UNIT) & (units >= _TINY_UNITS)
    is_short = (periods <= _UNIT) & (units >= _UNITS) & (lengths >= _UNITS_CHARS)
    is_long = (periods > _UNIT) & (periods <= _LONG_UNIT) & (units >= _LONG_UNITS)
    for found in (is_tiny, is_short, is_long):
        # The longest tail of its kind.
        for at in np.flatnonzero(found)[-1:].tolist():
            unit = tail[-int(periods[at]) :]
            if _SPOKEN.search(unit):
                return f"it ends in {int(units[at])} times the same: {_shown(unit)}"
    return None


def _periods(text: str) -> npt.NDArray[np.int64]:
    """The least period of each prefix of a text, int64[len(text)].

    A prefix has the period p where each of its characters equals the one p places before; by the
    failure function of Knuth, Morris and Pratt (1977), which takes linear time.
    """
    borders = [0] * len(text)
    border = 0
    for i in range(1, len(text)):
        while border and text[i] != text[border]:
            border = borders[border - 1]
        if text[i] == text[border]:
            border += 1
        borders[i] = border
    return np.arange(1, len(text) + 1, dtype=np.int64) - np.array(borders, np.int64)


def _width(text: str) -> int:
    """Cells: characters, the wide ones twice."""
    return len(text) + len(_WIDE.findall(text))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
