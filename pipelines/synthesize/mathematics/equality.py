r"""Whether two answers are the same mathematics.

First what needs no algebra: equal plain forms, quantities, words, brackets of different kinds.
Only what is left goes to math-verify, which parses LaTeX and asks sympy; it runs in a child process
with a limit, for an answer such as 9^{9^{9^9}} keeps sympy busy for ever. Its own limit works by
signals, in main threads only, so it is switched off.

math-verify compares a gold answer with another and is not symmetric (1 < x < 2 equals (1, 2), not
the other way about). Here both ways are asked, and classes are connected components, so neither the
order of the samples nor a single failing comparison decides who agrees with whom.

Two answers that math-verify takes for equal are kept apart here: a set and a tuple, {1, 2} and
(1, 2); and words of the same letters, which it reads as products.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from pipelines.synthesize.mathematics.answers import is_readable, is_text
from pipelines.synthesize.mathematics.quantities import quantity, same_quantity


def quick_equal(one: str, other: str) -> bool | None:
    """Compares without algebra.

    Args:
        one: Plain form.
        other: Another.

    Returns:
        None where only algebra can tell.
    """
    if _squeezed(one) == _squeezed(other):
        return True
    numbers = quantity(one), quantity(other)
    if numbers[0] is not None and numbers[1] is not None:
        return same_quantity(numbers[0], numbers[1])
    if is_text(one) or is_text(other):
        return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
    if {_brackets(one), _brackets(other)} in ({"{}", "()"}, {"{}", "[]"}):
        return False
    return None


def algebra_equal(one: str, other: str) -> bool:
    """Compares by math-verify; to be called in a child process that can be killed.

    Args:
        one: Plain form.
        other: Another.
    """
    return _verified(_parsed(one), _parsed(other))


def read_answer(form: str) -> bool:
    """Whether algebra can be done with an answer at all; in a child process, like `algebra_equal`.

    Parses it and compares it with itself and with a number, which is where sympy evaluates.
    """
    parsed = _parsed(form)
    _verified(parsed, _parsed("7919"))
    return bool(parsed)


def pairs_to_ask(forms: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of distinct readable forms that `quick_equal` cannot tell.

    Args:
        forms: Plain forms, in any order, with repetitions.

    Returns:
        Sorted; each pair once, its members in order.
    """
    distinct = sorted({form for form in forms if is_readable(form)})
    return [
        (one, other)
        for place, one in enumerate(distinct)
        for other in distinct[place + 1 :]
        if quick_equal(one, other) is None
    ]


def algebra_equals(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """`algebra_equal` of many pairs, each form parsed once; for a child process."""
    forms = {form: _parsed(form) for form in sorted({form for pair in pairs for form in pair})}
    return [_verified(forms[one], forms[other]) for one, other in pairs]


def agreeing(reference: str, forms: Sequence[str], equal: frozenset[tuple[str, str]]) -> set[str]:
    """The forms that are equal to a reference.

    Args:
        reference: Plain form.
        forms: Of the answers.
        equal: Pairs that algebra found equal, members in order.
    """
    return {form for form in forms if _equal(reference, form, equal)}


def classes(forms: Sequence[str], equal: frozenset[tuple[str, str]]) -> dict[str, str]:
    """Which answers are one.

    Equality is not transitive where a unit is missing: 12 equals 12 cm and 12 m. Answers without a
    unit join those with one only where that is one class on either side.

    Args:
        forms: Plain forms.
        equal: Pairs that algebra found equal, members in order.

    Returns:
        Form -> the smallest form of its class, for the readable ones. It does not depend on the
        order of `forms`.
    """
    distinct = sorted({form for form in forms if is_readable(form)})
    leader = {form: form for form in distinct}
    loose: list[tuple[str, str]] = []  # (without a unit, with one)
    for place, one in enumerate(distinct):
        for other in distinct[place + 1 :]:
            if not _equal(one, other, equal):
                continue
            with_unit = [_has_unit(one), _has_unit(other)]
            if with_unit[0] == with_unit[1]:
                _join(leader, one, other)
            else:
                loose.append((other, one) if with_unit[0] else (one, other))
    links = {(_leader(leader, bare), _leader(leader, whole)) for bare, whole in loose}
    for bare, whole in sorted(links):
        if sum(bare == b for b, _ in links) == 1 == sum(whole == w for _, w in links):
            _join(leader, bare, whole)
    return {form: _leader(leader, form) for form in distinct}


def _equal(one: str, other: str, equal: frozenset[tuple[str, str]]) -> bool:
    quick = quick_equal(one, other)
    return (min(one, other), max(one, other)) in equal if quick is None else quick


def _has_unit(form: str) -> bool:
    found = quantity(form)
    return found is not None and found.unit is not None


def _leader(leader: dict[str, str], form: str) -> str:
    while leader[form] != form:
        form = leader[form]
    return form


def _join(leader: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_leader(leader, one), _leader(leader, other)))
    leader[second] = first


def _squeezed(form: str) -> str:
    return "".join(form.split())


_OPENING: Final = {"\\{": "{}", "(": "()", "[": "[]"}


def _brackets(form: str) -> str | None:
    """Kind of the brackets around a form of several members; None where there are none."""
    squeezed = _squeezed(form)
    if "," not in squeezed:
        return None
    return next(
        (kind for sign, kind in _OPENING.items() if squeezed.startswith(sign)),
        None,
    )


def _parsed(form: str) -> list[Any]:
    # Imported here: half a second and 40 MB that only children pay for.
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)
    targets = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    parsed: list[Any] = parse(f"$\\boxed{{{form}}}$", targets, parsing_timeout=None)
    return parsed


def _verified(one: list[Any], other: list[Any]) -> bool:
    from math_verify import verify

    return any(
        verify(gold, answer, timeout_seconds=None) for gold, answer in ((one, other), (other, one))
    )
