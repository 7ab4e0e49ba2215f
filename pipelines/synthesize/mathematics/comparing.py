"""Comparing the answers of a problem in child processes, where sympy may hang or eat memory.

All pairs that need algebra go to a child at once. If it dies or overruns, every answer is read in a
child of its own to find out which ones no computer algebra can be done with (`unreadable_answer`),
and the pairs of the others are asked one by one; a pair that still fails is not equal.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from pipelines.models.desk import Desk
from pipelines.synthesize.mathematics.answers import is_text
from pipelines.synthesize.mathematics.equality import (
    algebra_equal,
    algebra_equals,
    pairs_to_ask,
    read_answer,
)
from pipelines.synthesize.mathematics.quantities import quantity
from pipelines.workspace.children import ChildFailed

ALL_S: Final = 20.0
"""For all pairs of a problem; the start of a child, which imports sympy, is part of it."""

ONE_S: Final = 8.0
"""For one answer or pair: about 0.05 s where it is an answer, plus that start."""


class Compared(NamedTuple):
    """What algebra says of the answers of a problem."""

    equal: frozenset[tuple[str, str]]
    """Pairs, members in order."""
    unreadable: frozenset[str]
    """Answers that no algebra can be done with."""


async def compared(forms: Sequence[str], desk: Desk) -> Compared:
    """Asks algebra where nothing cheaper can tell.

    Args:
        forms: Plain forms.
        desk: Of the part.
    """
    pairs = pairs_to_ask(forms)
    if not pairs:
        return Compared(frozenset(), frozenset())
    try:
        verdicts = await desk.compute(algebra_equals, pairs, timeout_s=ALL_S)
    except ChildFailed:
        return await _one_by_one(pairs, desk)
    equal = (pair for pair, is_equal in zip(pairs, verdicts, strict=True) if is_equal)
    return Compared(frozenset(equal), frozenset())


async def is_computable(form: str, desk: Desk) -> bool:
    """Whether another answer can be compared with this one: asked of what a verifier will hold.

    Args:
        form: Plain form.
        desk: Of the part.
    """
    if quantity(form) is not None or is_text(form):
        return True
    try:
        return bool(await desk.compute(read_answer, form, timeout_s=ONE_S))
    except ChildFailed:
        return False


async def _one_by_one(pairs: Collection[tuple[str, str]], desk: Desk) -> Compared:
    forms = sorted({form for pair in pairs for form in pair})
    bad = {form for form in forms if not await is_computable(form, desk)}
    equal = set()
    for pair in pairs:
        if bad.isdisjoint(pair):
            try:
                if await desk.compute(algebra_equal, *pair, timeout_s=ONE_S):
                    equal.add(pair)
            except ChildFailed:
                continue
    return Compared(frozenset(equal), frozenset(bad))
