"""Prompt templates: plain text with named places, filled in one pass.

A place is a name in braces, such as `{passage}`. What is put into a place is never read as a
template, so braces of a passage stay what they are; braces of the template itself are doubled.
Anything else in braces is refused when a recipe is read, not when the first document comes.

Places belong in the user message. The system message is the same for every request of a recipe, so
that a server can keep its prefix in its cache, and so that the rules of the echo server know the
recipe by it.
"""

import hashlib
import string
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from mixtures.errors import listed, nearest
from pipelines.models.chat import Message
from pipelines.workspace.fingerprints import canonical_json

HASH_DIGITS: Final = 16

PASSAGE_PLACES: Final = ("passage", "language", "title", "topic")
"""passage: a chunk; language: its English name; title and topic: of its document."""


def places_of(template: str) -> tuple[str, ...]:
    """Names of the places of a template, each once, in order.

    Raises:
        ValueError: A brace is open, or holds something else than a name.
    """
    names: dict[str, None] = {}
    try:
        for _, name, form, conversion in string.Formatter().parse(template):
            if name is None:
                continue
            if form or conversion or not name.isidentifier():
                raise ValueError(f"{{{name}}} with {(form or conversion or name)!r}")
            names[name] = None
    except ValueError as error:
        raise ValueError(
            f"a place is a name in braces such as {{passage}}, other braces are doubled ({error})"
        ) from None
    return tuple(names)


def check_places(template: str, allowed: tuple[str, ...]) -> str:
    """Gives the template back where all its places are known.

    Raises:
        ValueError: One is not.
    """
    for name in places_of(template):
        if name not in allowed:
            known = listed(f"{{{one}}}" for one in allowed)
            raise ValueError(
                f"the place {{{name}}} is unknown; {nearest(name, allowed)}places are {known}; "
                "braces that are meant as such are doubled"
            )
    return template


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its places filled; values are taken as they are."""
    parts: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(values[name])
    return "".join(parts)


def _checked_system(template: str) -> str:
    if not template.strip():
        raise ValueError("a text that says what the model shall do")
    return check_places(template, ())


def _checked_user(template: str) -> str:
    places_of(template)
    return template


def _checked_passage(template: str) -> str:
    check_places(template, PASSAGE_PLACES)
    if "passage" not in places_of(template):
        raise ValueError("a text with the place {passage}")
    return template


class Prompt(BaseModel):
    """What is asked; which places its user message may have, its maker checks (`check_places`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Annotated[str, AfterValidator(_checked_system)]
    """Without places."""
    user: Annotated[str, AfterValidator(_checked_user)]
    """With places."""

    @property
    def places(self) -> tuple[str, ...]:
        """Names that the user message wants."""
        return places_of(self.user)

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of SHA-256 over both templates."""
        told = canonical_json([self.system, self.user])
        return hashlib.sha256(told.encode()).hexdigest()[:HASH_DIGITS]

    def messages(self, values: Mapping[str, str]) -> tuple[Message, Message]:
        """The two turns of a request.

        Args:
            values: Of all `places`.
        """
        system = filled(self.system, {}).strip()
        return Message("system", system), Message("user", filled(self.user, values).strip())


class PassagePrompt(Prompt):
    """What is asked about each chunk of a document."""

    user: Annotated[str, AfterValidator(_checked_passage)]
    """With `{passage}`; other places are in PASSAGE_PLACES."""
