"""Which answers of a rewriting model become text: rules as data, asked in this order.

    refused            a short answer that begins as refusals do (`pipelines.models.refusals`), or
                       with a phrase of the recipe, where the passage does not
    no_opening         the phrase with which it must open is missing (it is cut off where it stands)
    too_short          fewer tokens than `min_tokens`
    repeating          a line, sentence or character over and over (`pipelines.models.repetition`)
    length_ratio       too long or too short for its passage
    language_changed   not the language of its passage or document (`language_checks`)
    numbers_invented   too many numerals that the passage lacks: facts that were not given
    too_near_to_seed   too few new n-grams: a copy (`novelty`)

What the model or its endpoint says itself (`truncated`, `refused`, `empty` and the others of
`pipelines.models.chat.REASONS`) comes first, what is wrong with the form of an answer (`no_pairs`,
`not_a_list`, see `shapes`) behind the opening.

A fixed opening is what Nemotron-CC (arXiv:2412.02595) drops answers by: a model that did not follow
it mostly did not follow the rest, and one that chats before it starts is caught in any language.
"""

import re
from collections import Counter
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from pipelines.models.chat import Answer
from pipelines.models.refusals import refuses
from pipelines.models.repetition import repetition
from pipelines.synthesize.chunks import num_tokens
from pipelines.synthesize.grams import density, letters_of
from pipelines.synthesize.language_checks import changed_language
from pipelines.synthesize.novelty import novelty
from pipelines.synthesize.numerals import numerals
from pipelines.synthesize.recipe import Reject
from pipelines.synthesize.shapes import unfenced

_LIST_NUMBER: Final = re.compile(r"^[^\S\n]*(?:[-*]\s*)?\d{1,3}[.)\u3001\uff0e](?=\s)", re.M)
_LOOKED_AT: Final = 200
"""Characters of a passage that may itself begin with an apology."""
_FEW_NUMBERS: Final = 2
"""New numerals that are always allowed: a century for a year, a count of what is listed."""


class Acceptance(BaseModel):
    """The rules for one recipe; a rule that is null is not asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opening: str | None = Field(default=None, min_length=1)
    """Phrase that an answer has to begin with; case and emphasis do not count."""
    keep_opening: bool = False
    """Whether it stays in the text; otherwise it is cut off."""
    min_tokens: int = Field(default=20, ge=1)
    """Of an answer."""
    min_document_tokens: int = Field(default=50, ge=1)
    """Of all accepted answers of a seed together."""
    min_length_ratio: float | None = Field(default=None, ge=0)
    """Tokens of the answer for each of its passage."""
    max_length_ratio: float | None = Field(default=None, gt=0)
    same_language: bool = True
    language_letters: int = Field(default=80, ge=0)
    """From how many letters on the language is judged."""
    max_new_numbers: float | None = Field(default=None, ge=0, le=1)
    """Share of an answer's numerals that its passage may lack; two are always allowed."""
    min_novelty: float = Field(default=0.05, ge=0, le=1)
    """Share of new n-grams."""
    refusals: tuple[str, ...] = ()
    """Beginnings of refusals beside those that every recipe knows."""


def opened(answer: Answer, passage: str, rules: Acceptance) -> str | Reject:
    """The text of an answer without its opening phrase, or why there is none.

    Args:
        answer: As the model gave it.
        passage: What was asked about.
        rules: Of the recipe.
    """
    if answer.reason is not None:
        return Reject(reason=answer.reason, message=answer.message or answer.reason)
    # JSON can hold half of a surrogate pair, which no UTF-8 can.
    text = (answer.text or "").encode("utf-8", "replace").decode()
    text = unfenced(text)
    if not text:
        return Reject(reason="empty", message="the answer is white space")
    if _is_refusal(text, passage, rules.refusals):
        return Reject(reason="refused", message=f"it begins as a refusal does: {text[:60]!r}")
    if rules.opening is None:
        return text
    opening = r"\s+".join(map(re.escape, rules.opening.split()))
    found = re.match(rf"[\s*_#>\"]*?{opening}[*_\"]*\s*", text, re.IGNORECASE)
    if found is None:
        return Reject(
            reason="no_opening", message=f"it has to open with {rules.opening!r}: {text[:60]!r}"
        )
    return text if rules.keep_opening else unfenced(text[found.end() :])


def checked(text: str, passage: str, language: str | None, rules: Acceptance) -> Reject | None:
    """Asks the rules of a text that was read out of an answer.

    Args:
        text: Without opening and markers.
        passage: What it was made of.
        language: Label of the document, or None.
        rules: Of the recipe.
    """
    tokens = num_tokens(text)
    if tokens < rules.min_tokens:
        return Reject(reason="too_short", message=f"{tokens} tokens (at least {rules.min_tokens})")
    repeated = repetition(text)
    if repeated is not None:
        return Reject(reason="repeating", message=repeated)
    return (
        _ratio(tokens, passage, rules)
        or _language(text, passage, language, rules)
        or _new_numbers(text, passage, rules)
        or _copy(text, passage, rules)
    )


def _is_refusal(text: str, passage: str, more: tuple[str, ...]) -> bool:
    begins = text.lower().startswith(tuple(map(str.lower, more))) if more else False
    return (refuses(text) and not refuses(passage[:_LOOKED_AT])) or begins


def _ratio(tokens: int, passage: str, rules: Acceptance) -> Reject | None:
    ratio = tokens / max(1, num_tokens(passage))
    least, most = rules.min_length_ratio, rules.max_length_ratio
    if (least is None or ratio >= least) and (most is None or ratio <= most):
        return None
    return Reject(
        reason="length_ratio",
        message=f"{ratio:.2f} tokens for one of the passage; allowed are {least or 0} to "
        f"{'any number' if most is None else most}",
    )


def _language(text: str, passage: str, language: str | None, rules: Acceptance) -> Reject | None:
    if not rules.same_language:
        return None
    letters = letters_of(text).points
    if len(letters) * density(letters) < rules.language_letters:
        return None
    changed = changed_language(passage, text, language)
    return None if changed is None else Reject(reason="language_changed", message=changed)


def _new_numbers(text: str, passage: str, rules: Acceptance) -> Reject | None:
    if rules.max_new_numbers is None:
        return None
    told = numerals(_LIST_NUMBER.sub("", text))
    new = Counter({one: n for one, n in told.items() if one not in numerals(passage)})
    most = max(_FEW_NUMBERS, int(rules.max_new_numbers * told.total()))
    if new.total() <= most:
        return None
    return Reject(
        reason="numbers_invented",
        message=f"{new.total()} of {told.total()} numerals (at most {most}) are not in the "
        f"passage: {', '.join(sorted(new)[:10])}",
    )


def _copy(text: str, passage: str, rules: Acceptance) -> Reject | None:
    share = novelty(text, passage)
    if share >= rules.min_novelty:
        return None
    return Reject(
        reason="too_near_to_seed",
        message=f"{share:.3f} of its n-grams are new (at least {rules.min_novelty})",
    )
