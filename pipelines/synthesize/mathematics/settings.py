"""What may stand in a recipe of `maker: mathematics`."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.models.chat import Sampling, Thinking

Style = Literal["chain_of_thought", "program_aided", "tool_integrated"]

STYLES: Final = ("chain_of_thought", "program_aided", "tool_integrated")

GUESSES: Final = (
    "i guess", "i'll guess", "my guess", "let's guess", "just guess", "a wild guess",
    "by guessing", "ich rate", "geraten", "je devine", "au hasard", "adivino", "al azar", "chuto",
    "tiro a indovinare", "угадаю", "наугад", "猜测", "猜一个", "我猜", "蒙一个", "当てずっぽう",
    "推測で", "찍어서", "أخمن", "تخمين", "حدس می‌زنم", "अंदाज़ा", "अनुमान से", "আন্দাজে",
    "tahmin ediyorum", "saya menebak", "tôi đoán", "เดา",
)  # fmt: skip
"""Says that an answer was not found but guessed; looked for in lower case."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Writing(_Settings):
    """How problems come to be."""

    made_from: Literal["passage", "concepts", "seed"] = "passage"
    """passage: written anew from the seed; concepts: from what the seed is about; seed: the seed is
    itself a problem."""
    per_seed: int = Field(default=3, ge=1, le=32)
    """Problems asked of one seed; with concepts, one request each."""
    concepts: int = Field(default=8, ge=2, le=64)
    """Most concepts named of a seed."""
    combine: int = Field(default=2, ge=1, le=8)
    """Concepts that one problem has to need."""
    sampling: Sampling = Sampling(temperature=0.9, top_p=0.95, max_tokens=2048)
    thinking: Thinking | None = "off"
    longest_passage: int = Field(default=4000, ge=100)
    """Characters of a seed that are shown; Cosmopedia shows 1,000."""
    least_cells: int = Field(default=20, ge=0)
    """Letters and figures of a written problem, ideographs twice; not asked of given ones."""
    most_characters: int = Field(default=2000, ge=1)
    """Of a problem."""
    least_novelty: float = Field(default=0.5, ge=0, le=1)
    """Share of a problem's n-grams that its seed lacks; less is a copy (`too_near_to_seed`)."""
    answer_key: str = "answer"
    """made_from seed: key of the seed's `meta` that holds the reference answer, if any."""
    domain_label: str | None = None
    """Label of seeds that says what field a problem is of, for balance in sets."""
    domain_key: str | None = None
    """Or a key of their `meta`."""


class Check(_Settings):
    """The question whether a problem can be verified; costs one short answer a problem."""

    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)
    thinking: Thinking | None = "off"


class Easy(_Settings):
    """Leaves out what is answered without thinking."""

    attempts: int = Field(default=4, ge=1, le=64)
    share: float = Field(default=1.0, gt=0, le=1)
    """Of attempts without steps that are right: from here on a problem is easy."""
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=64)
    thinking: Thinking | None = "off"


class Solving(_Settings):
    """One style of solutions."""

    samples: int = Field(ge=1, le=256)
    """Attempts in the first round."""
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=4096)
    thinking: Thinking | None = "off"
    turns: int = Field(default=4, ge=1, le=16)
    """tool_integrated: most programs of one solution."""
    program_seconds: float = Field(default=10.0, gt=0, le=600)
    """Time of one program."""
    packages: tuple[str, ...] = ("sympy",)
    """What programs may import beside the standard library."""


class Extra(_Settings):
    """Further attempts at problems that are hard rather than hopeless."""

    samples: int = Field(default=8, ge=1, le=256)
    """In each further round, dealt to the styles in proportion."""
    most: int = Field(default=24, ge=0, le=1024)
    """Attempts at one problem in all; at most the first round makes it off."""


class Filters(_Settings):
    """Which right solutions are not shown to learners: the response filters of Qwen3's cold start
    (arXiv:2505.09388, section 4.1)."""

    need_box: bool = True
    """Whether an answer that only a phrase announces is refused (`no_box`)."""
    repetition: bool = True
    guesses: tuple[str, ...] = GUESSES
    least_derivation: int = Field(default=40, ge=0)
    """Cells (wide characters count two) of what leads to the answer; less is `guesswork`."""
    thinking_agrees: bool = True
    """Whether the thinking has to come to the answer that stands in the response."""
    most_foreign: float = Field(default=0.1, ge=0, le=1)
    """Share of letters in scripts that the problem is not written in."""


class Document(_Settings):
    """What training text is made of a problem."""

    solutions: int = Field(default=1, ge=1, le=16)
    """Most solutions in it; styles take turns, each by the shortest first (shorter solutions teach
    better: 44.5 against 40.6 points in OpenMathInstruct-2, arXiv:2410.01560)."""
    is_separate: bool = False
    """One document a solution."""
    has_thinking: bool = False
    """Whether the thinking stands before the response."""
    layout: str = "{problem}\n\n{solutions}"

    @model_validator(mode="after")
    def _layout_has_both(self) -> Self:
        from pipelines.synthesize.prompts import check_places, places_of

        check_places(self.layout, ("problem", "solutions"))
        if len(places_of(self.layout)) != 2:
            raise ValueError("layout needs both places, {problem} and {solutions}")
        return self
