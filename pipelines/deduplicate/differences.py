"""What differs between two texts, word by word, cut to the passages that are worth reading.

Words are compared without the white space between them; in scripts without spaces each character
is a word. Equal stretches between two differences are cut to some words on either side.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

# Thai to Lao, Burmese, Khmer, kana, Han: there a space ends no word.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_WORD: Final = re.compile(rf"[{_UNSPACED}]\s*|[^\s{_UNSPACED}]+\s*|\s+")
_MAX_WORDS: Final = 6000  # compared from the first difference on; the comparison is quadratic
_CONTEXT: Final = 12


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one text."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """Stretches of both texts that belong together."""

    skipped: int
    """Equal words left out before it."""
    first: tuple[Piece, ...]
    second: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """Passages in which two texts differ, in order."""

    passages: tuple[Passage, ...]
    left_out: int
    """Equal words behind the last passage."""
    not_compared: tuple[int, int]
    """Words of the two texts behind those that were compared."""

    @property
    def is_white_space(self) -> bool:
        """Whether the words are the same; texts that differ even so do it between words."""
        return not any(piece.differs for one in self.passages for piece in one.first + one.second)


def differences(first: str, second: str, *, context: int = _CONTEXT) -> Differences:
    """Compares two texts.

    Args:
        first: One text.
        second: The other.
        context: Equal words kept on either side of a difference.

    >>> found = differences("a b c d e", "a b x d e", context=1)
    >>> [(p.skipped, [(q.text, q.differs) for q in p.second]) for p in found.passages]
    [(1, [('b ', False), ('x ', True), ('d ', False)])]
    """
    words: list[list[str]] = [_WORD.findall(text) for text in (first, second)]
    keys = [[word.strip() for word in some] for some in words]
    equal = _common_prefix(*keys)
    skipped = max(0, equal - context)
    words = [some[skipped:] for some in words]
    keys = [some[skipped : skipped + _MAX_WORDS] for some in keys]
    rest = (len(words[0]) - len(keys[0]), len(words[1]) - len(keys[1]))
    matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    passages: list[tuple[Passage, int]] = []
    for group in matcher.get_grouped_opcodes(context):
        starts, ends = (group[0][1], group[0][3]), (group[-1][2], group[-1][4])
        before = passages[-1][1] if passages else 0
        passage = Passage(
            (0 if passages else skipped) + starts[0] - before,
            tuple(_pieces(words[0], [(op, a, b) for op, a, b, _, _ in group])),
            tuple(_pieces(words[1], [(op, c, d) for op, _, _, c, d in group])),
        )
        passages.append((passage, ends[0]))
    end = passages[-1][1] if passages else 0
    return Differences(
        tuple(passage for passage, _ in passages),
        (0 if passages else skipped) + len(keys[0]) - end,
        rest,
    )


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """Equal words at the beginning."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _pieces(words: Sequence[str], stretches: Sequence[tuple[str, int, int]]) -> Iterator[Piece]:
    for kind, start, end in stretches:
        if start < end:
            yield Piece("".join(words[start:end]), kind != "equal")
