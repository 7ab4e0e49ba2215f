"""Which answer a problem is held to have, from the answers of its attempts.

Where the source gives an answer, that decides. Else the largest class of equal answers does, if it
has a least count and a least share *of all attempts*, those without an answer included (OpenMath-
Instruct-2, arXiv:2410.01560, takes a majority of 32 solutions and finds that judging them further
does not help). Two classes of the same size are no majority. Solutions of different styles, prose
and programs, err in different ways, so a recipe may ask that each style by itself would choose the
same answer.

The share of attempts that reach the accepted answer is the pass rate; one minus it is the
difficulty. Attempts that never came back (the endpoint failed) say nothing and do not count.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Majority(BaseModel):
    """When answers of a problem without a reference are believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(default=0.6, gt=0, le=1)
    """Least share of all attempts. rStar-Coder (arXiv:2505.21297) asks 60 % of equal results."""
    hard_share: float = Field(default=0.4, gt=0, le=1)
    """After the extra attempts; rStar-Coder asks 40 % for hard problems."""
    count: int = Field(default=3, ge=1)
    """Least number of attempts."""
    styles_agree: bool = True
    """Whether the most frequent answer of each style has to be the same."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer of one attempt."""

    style: str
    answer: str | None
    """Representative of its class; None where the attempt has no answer."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the votes say."""

    answer: str | None
    """Representative of the accepted class."""
    reason: Literal["no_answer", "no_majority", "styles_disagree", "not_solved"] | None
    """not_solved: a reference decides and nothing agrees with it."""
    message: str | None
    pass_rate: float
    """Of the accepted answer, or of the most frequent one."""


def decide(votes: Sequence[Vote], majority: Majority, *, is_last: bool) -> Decision:
    """Chooses by majority; the order of the votes does not matter.

    Args:
        votes: Of all attempts that came back.
        majority: The rules.
        is_last: Whether no further attempts will be made, so that `hard_share` is enough.
    """
    ranked = _ranked(votes)
    if not ranked:
        return Decision(None, "no_answer", f"none of {len(votes)} attempts has an answer", 0.0)
    best, count = ranked[0]
    rate = count / len(votes)
    least = min(majority.share, majority.hard_share) if is_last else majority.share
    is_tied = len(ranked) > 1 and ranked[1][1] == count
    if is_tied or count < majority.count or rate < least:
        message = (
            f"the most frequent answer has {count} of {len(votes)} attempts"
            + (", as has another" if is_tied else "")
            + f"; asked are {majority.count} and a share of {least:g}"
        )
        return Decision(None, "no_majority", message, rate)
    if majority.styles_agree:
        for style in sorted({vote.style for vote in votes}):
            own = _ranked([vote for vote in votes if vote.style == style])
            if own and best not in [answer for answer, n in own if n == own[0][1]]:
                message = f"{style} most often says {own[0][0]!r}, all together {best!r}"
                return Decision(None, "styles_disagree", message, rate)
    return Decision(best, None, None, rate)


def _ranked(votes: Sequence[Vote]) -> list[tuple[str, int]]:
    """Answers with their counts, most frequent first, then by their text."""
    counts = Counter(vote.answer for vote in votes if vote.answer is not None)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
