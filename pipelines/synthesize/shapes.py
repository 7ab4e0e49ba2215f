"""What an answer has to look like, and the text that is made of it.

plain     prose; a code fence around all of it is taken off
markdown  the same, and the document is called text/markdown
list      lines that begin with a bullet or a number; made one form, `- `
qa        pairs whose parts begin with markers at the start of a line (`Q:`, `A:`, and `R:` for the
          steps between them); the markers are cut off, so that the text holds no English in
          another language, and a pair is question, steps and answer, one below the other

Markers and bullets are looked for behind the emphasis (`**Q:**`) that models like to put around
them, and with the colon of any script. Of the pairs some are kept, by a draw that the seed, the
chunk and the attempt fix.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.synthesize.recipe import Reject

_FENCE: Final = re.compile(r"\A```[\w+-]*[^\S\n]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_BULLET: Final = re.compile(
    r"^[^\S\n]*(?:[-*+\u2022\u2023\u25cf\u30fb\u00b7]|\d{1,3}[.)\u3001\uff0e])[^\S\n]*(?=\S)", re.M
)


class Pairs(BaseModel):
    """How pairs are marked in an answer, and how many are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(default="Q:", min_length=1)
    steps: str | None = None
    """Of the reasoning between question and answer; None where there is none."""
    answer: str = Field(default="A:", min_length=1)
    most: int = Field(default=8, ge=1)
    """Pairs of one chunk; further ones are left out."""
    tokens_per_pair: float | None = Field(default=None, gt=0)
    """At most one pair for so many tokens of the chunk, and at least one; a random number up to
    that is kept. None keeps all."""
    shuffle: bool = False


class Shape(BaseModel):
    """The form of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal["plain", "markdown", "list", "qa"] = "plain"
    min_lines: int = Field(default=3, ge=1)
    """list: fewer are rejected."""
    pairs: Pairs = Pairs()
    """qa only."""
    behind_passage: bool = False
    """Whether the passage itself stands in front of what was made of it."""

    @model_validator(mode="after")
    def _markers_differ(self) -> Self:
        markers = (self.pairs.question, self.pairs.answer, self.pairs.steps)
        if len(set(markers)) < len(markers):
            raise ValueError(f"the markers of pairs are {markers}; each must differ")
        return self

    @property
    def media_type(self) -> str:
        """Of the documents."""
        return "text/markdown" if self.form in ("markdown", "list") else "text/plain"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and what answers it."""

    question: str
    steps: str
    """Empty where none are asked for."""
    answer: str

    @property
    def text(self) -> str:
        """As it stands in a document."""
        return "\n".join(part for part in (self.question, self.steps, self.answer) if part)


def unfenced(text: str) -> str:
    """The text without white space at its ends, and without a code fence around all of it."""
    text = text.strip()
    fence = _FENCE.match(text)
    return fence[1].strip() if fence and "```" not in fence[1] else text


def pairs_of(text: str, marks: Pairs) -> tuple[Pair, ...]:
    """Reads the pairs of an answer; what is not whole is left out.

    Args:
        text: The answer.
        marks: How its parts begin.
    """
    wanted = [marks.question, *([marks.steps] if marks.steps else []), marks.answer]
    parts = _marked(text, wanted)
    found = []
    for at in range(len(parts) - len(wanted) + 1):
        here = parts[at : at + len(wanted)]
        if [name for name, _ in here] == wanted and all(said for _, said in here):
            question, *steps, answer = (said for _, said in here)
            found.append(Pair(question, "\n".join(steps), answer))
    return tuple(found)


def no_pairs(text: str, marks: Pairs) -> Reject:
    """Says that an answer holds no whole pair."""
    names = ", ".join(one for one in (marks.question, marks.steps, marks.answer) if one)
    return Reject(reason="no_pairs", message=f"no lines begin with {names} in turn: {text[:60]!r}")


def kept_pairs(
    pairs: tuple[Pair, ...], marks: Pairs, chunk_tokens: int, draw: str
) -> tuple[Pair, ...]:
    """Chooses among the pairs of one chunk.

    Args:
        pairs: All of them.
        marks: How many are wanted.
        chunk_tokens: Of the passage.
        draw: Fixes the choice: equal for equal seed, chunk and attempt.
    """
    keys = [hashlib.blake2b(f"{draw}/{i}".encode()).digest() for i in range(len(pairs))]
    order = sorted(range(len(pairs)), key=keys.__getitem__)
    count = min(marks.most, len(pairs))
    if marks.tokens_per_pair is not None:
        most = max(1, int(chunk_tokens / marks.tokens_per_pair))
        digest = hashlib.blake2b(f"{draw}/count".encode(), digest_size=8).digest()
        count = min(count, 1 + int.from_bytes(digest, "big") % most)
    chosen = order[:count]
    return tuple(pairs[i] for i in (chosen if marks.shuffle else sorted(chosen)))


def listed_lines(text: str, shape: Shape) -> str | Reject:
    """The points of an answer as `- ` lines, without what stands before the first."""
    bullets = list(_BULLET.finditer(text))
    ends = [*(bullet.start() for bullet in bullets[1:]), len(text)]
    points = [
        " ".join(text[bullet.end() : end].split())
        for bullet, end in zip(bullets, ends, strict=False)
    ]
    if len(points) < shape.min_lines:
        return Reject(
            reason="not_a_list",
            message=f"{len(points)} lines begin with a bullet or a number (at least "
            f"{shape.min_lines}): {text[:60]!r}",
        )
    return "\n".join(f"- {point}" for point in points)


def _marked(text: str, wanted: list[str]) -> list[tuple[str, str]]:
    """Marker and what stands behind it up to the next, in order."""
    names = "|".join(_pattern(one) for one in wanted)
    found = list(re.finditer(rf"^[^\S\n]*[*_#>\-]*[^\S\n]*({names})[*_]*", text, re.M))
    ends = [*(match.start() for match in found[1:]), len(text)]
    by_form = {_plain(one): one for one in wanted}
    return [
        (by_form[_plain(match[1])], text[match.end() : end].strip())
        for match, end in zip(found, ends, strict=False)
    ]


def _pattern(marker: str) -> str:
    """A marker, with the ideographic colon for its own, and emphasis before it."""
    return re.escape(marker).replace(":", r"[*_]*[:\uff1a]")


def _plain(marker: str) -> str:
    return re.sub(r"[*_]", "", marker).replace("\uff1a", ":")
