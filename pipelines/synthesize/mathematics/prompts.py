"""The prompts of mathematics: shipped as data, any of them replaced by a recipe's own."""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict

from mixtures.strict_yaml import read_yaml
from pipelines.models.chat import Message
from pipelines.synthesize.prompts import HASH_DIGITS, check_places, filled, places_of
from pipelines.workspace.fingerprints import canonical_json

SHIPPED: Final = Path(__file__).with_name("prompts.yaml")

PLACES: Final = ("passage", "concepts", "problem", "number", "language")

AS_THE_PASSAGE: Final = "the language of the passage"
"""Stands in the place {language} where the seed's language is not known."""


def _checked_system(template: str) -> str:
    if not template.strip():
        raise ValueError("a text that says what the model shall do")
    return check_places(template, ())


def _checked_user(template: str) -> str:
    check_places(template, PLACES)
    if not {"passage", "concepts", "problem"} & set(places_of(template)):
        raise ValueError("a text with the place {passage}, {concepts} or {problem}")
    return template


class MathPrompt(BaseModel):
    """One question to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Annotated[str, AfterValidator(_checked_system)]
    """Without places."""
    user: Annotated[str, AfterValidator(_checked_user)]
    """With places of PLACES."""

    def messages(self, **values: str) -> tuple[Message, Message]:
        """The turns that ask it.

        Args:
            values: Of all places.
        """
        system = filled(self.system, {}).strip()
        return Message("system", system), Message("user", filled(self.user, values).strip())


class MathPrompts(BaseModel):
    """All questions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problems: MathPrompt
    concepts: MathPrompt
    combine: MathPrompt
    check: MathPrompt
    direct: MathPrompt
    chain_of_thought: MathPrompt
    program_aided: MathPrompt
    tool_integrated: MathPrompt

    def hash(self, roles: Iterable[str]) -> str:
        """16 hexadecimal digits over the templates of some questions, in any order."""
        told = canonical_json({role: getattr(self, role).model_dump() for role in roles})
        return hashlib.sha256(told.encode()).hexdigest()[:HASH_DIGITS]


@functools.cache
def _shipped() -> dict[str, Any]:
    return cast(dict[str, Any], read_yaml(SHIPPED))


def with_shipped(own: object) -> object:
    """A recipe's own prompts over the shipped ones; anything but a mapping is left to the check."""
    return {**_shipped(), **own} if isinstance(own, Mapping) else own


def shipped_prompts() -> MathPrompts:
    """Those of the recipes that give none of their own."""
    return MathPrompts.model_validate(_shipped())
