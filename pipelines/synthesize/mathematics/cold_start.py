"""Which right solutions a learner should not be shown.

A result that is right may have been reached badly. These are the response filters of the cold start
of Qwen3 (arXiv:2505.09388, section 4.1), as rules; its sixth, nearness to items of a benchmark, is
the contamination annotator's, on the documents.

    no_box                      the answer is not where it was to stand
    repetition                  the response or the thinking runs in a loop
    guesswork                   the response says that it guesses, or hardly anything leads to its
                                answer
    thinking_summary_disagree   the thinking comes to another answer than the response
    language_mixing             response or thinking is not in the scripts of the problem, or not in
                                its language
"""

import unicodedata
from typing import Final

from pipelines.models.repetition import repetition
from pipelines.synthesize.language_checks import UNKNOWN, judged
from pipelines.synthesize.mathematics.answers import final_answer, is_readable, plain_form
from pipelines.synthesize.mathematics.attempts import Attempt
from pipelines.synthesize.mathematics.quantities import quantity
from pipelines.synthesize.mathematics.scripts import cells, foreign_scripts, prose_of
from pipelines.synthesize.mathematics.settings import Filters

LEAST_PROSE: Final = 200
"""Characters of prose from which the language of a solution is judged ..."""

LEAST_QUESTION: Final = 80
"""... and of a problem."""


def thought_answer(attempt: Attempt) -> str | None:
    """Plain form of the answer that the thinking comes to.

    Thinking is less orderly than a response: a box counts, a phrase only with a number behind it.
    """
    found = final_answer(attempt.thinking)
    if found is None:
        return None
    form = plain_form(found.text)
    if not is_readable(form) or (found.how == "phrase" and quantity(form) is None):
        return None
    return form


def objection(
    attempt: Attempt, problem: str, filters: Filters, *, thinking_agrees: bool
) -> tuple[str, str] | None:
    """Reason and message for a right attempt that is not to be shown.

    Args:
        attempt: With a result that was found right.
        problem: Its text.
        filters: Of the recipe.
        thinking_agrees: Whether `thought_answer` is none or equals the result.
    """
    if filters.need_box and not attempt.is_boxed:
        return "no_box", f"the answer {attempt.final!r} stands behind a phrase, in no box"
    return (
        _repetition(attempt, filters)
        or _guesswork(attempt, filters)
        or _disagreement(attempt, filters, thinking_agrees)
        or _language_mixing(attempt, problem, filters)
    )


def _repetition(attempt: Attempt, filters: Filters) -> tuple[str, str] | None:
    if not filters.repetition:
        return None
    for name, text in (("response", attempt.text), ("thinking", attempt.thinking)):
        found = repetition(text)
        if found:
            return "repetition", f"the {name} has {found}"
    return None


def _guesswork(attempt: Attempt, filters: Filters) -> tuple[str, str] | None:
    said = " ".join(t.content for t in attempt.turns if t.role == "assistant").casefold()
    phrase = next((one for one in filters.guesses if _says(said, one)), None)
    if phrase is not None:
        return "guesswork", f"the response says {phrase!r}"
    if attempt.style != "chain_of_thought":
        return None  # a program that prints the answer leads to it
    count = cells(said[: said.rfind("boxed")] if "boxed" in said else said)
    if count < filters.least_derivation:
        least = filters.least_derivation
        return "guesswork", f"{count} cells lead to the answer; asked are {least}"
    return None


def _says(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text, as words of its own where its script has spaces."""
    start = text.find(phrase)
    while start >= 0:
        before, behind = (
            text[start - 1 : start],
            text[start + len(phrase) : start + len(phrase) + 1],
        )
        is_spaced = unicodedata.east_asian_width(phrase[0]) not in "WF"
        if not is_spaced or not (_is_letter(before) or _is_letter(behind)):
            return True
        start = text.find(phrase, start + 1)
    return False


def _is_letter(character: str) -> bool:
    return bool(character) and character.isalpha()


def _disagreement(
    attempt: Attempt, filters: Filters, thinking_agrees: bool
) -> tuple[str, str] | None:
    if thinking_agrees or not filters.thinking_agrees:
        return None
    message = f"the thinking comes to {thought_answer(attempt)!r}, the response to {attempt.form!r}"
    return "thinking_summary_disagree", message


def _language_mixing(attempt: Attempt, problem: str, filters: Filters) -> tuple[str, str] | None:
    said = "\n".join(turn.content for turn in attempt.turns if turn.role == "assistant")
    for name, text in (("response", said), ("thinking", attempt.thinking)):
        found = foreign_scripts(text, problem, filters.most_foreign) or _other_language(
            text, problem
        )
        if found:
            return "language_mixing", f"{name}: {found}"
    return None


def _other_language(text: str, problem: str) -> str | None:
    """Says where a text is in another language of the same script; only where both are told."""
    prose = prose_of(problem), prose_of(text)
    if len(prose[0]) < LEAST_QUESTION or len(prose[1]) < LEAST_PROSE:
        return None
    asked, given = judged(prose[0]), judged(prose[1])
    if UNKNOWN in (asked.language, given.language) or asked.group == given.group:
        return None
    return f"the problem is in {asked.language}, this in {given.language}"
