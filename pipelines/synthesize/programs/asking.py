"""One question of a recipe of programs: its templates, how it is sampled, and its requests."""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from pipelines.models.chat import Message, Request, Sampling, Thinking
from pipelines.models.desk import Desk
from pipelines.synthesize.asking import switched
from pipelines.synthesize.language_checks import english_name
from pipelines.synthesize.prompts import check_places, filled
from pipelines.synthesize.recipe import Seed

PLACES: Final = ("passage", "language", "problem")
"""passage: the seed, cut; language: the English name of its language; problem: a problem's text."""

DEFAULT_LANGUAGE: Final = "eng_Latn"
"""Of problems made of a seed whose language is none of the 119, or not known."""


def _checked_system(template: str) -> str:
    if not template.strip():
        raise ValueError("a text that says what the model shall do")
    return check_places(template, ())


class Ask(BaseModel):
    """One question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Annotated[str, AfterValidator(_checked_system)]
    """Without places, so that a server can keep it in its cache."""
    user: Annotated[str, AfterValidator(lambda text: check_places(text, PLACES))]
    """With places of PLACES."""
    sampling: Sampling = Sampling()
    thinking: Thinking | None = None
    """Whether the model thinks first; left out for models without the switch where it is `off`."""

    @model_validator(mode="after")
    def _asks_about_something(self) -> Self:
        if "{passage}" not in self.user and "{problem}" not in self.user:
            raise ValueError("user: a text with the place {passage} or {problem}")
        return self

    @property
    def system_message(self) -> str:
        """As it is sent."""
        return filled(self.system, {}).strip()

    def request(
        self, desk: Desk, *, passage: str, language: str, problem: str = "", attempt: int = 0
    ) -> Request:
        """The request about a seed.

        Args:
            desk: That it is asked of.
            passage: Text of the seed.
            language: One of the 119 codes.
            problem: Text of the problem that was made before.
            attempt: Number of the sample.
        """
        places = {"passage": passage, "language": english_name(language) or "", "problem": problem}
        system = Message("system", self.system_message)
        return Request(
            messages=(system, Message("user", filled(self.user, places).strip())),
            sampling=self.sampling,
            thinking=switched(self.thinking, desk),
            attempt=attempt,
        )


def language_of(seed: Seed) -> str:
    """The language that a problem is written in: that of its seed, if it is one of the 119."""
    is_known = english_name(seed.language) is not None
    return seed.language if is_known and seed.language else DEFAULT_LANGUAGE
