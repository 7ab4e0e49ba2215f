"""The maker of mathematics: problems, N solutions of several styles, the answer that they agree on.

A seed gives problems, or is one (`problems`). Each problem is attempted several times in each style
(`attempts`); their answers are compared (`comparing`) and one is accepted: the source's where it
has one, else the majority's (`votes`). Problems that come close are hard rather than hopeless and
get more attempts. Of the right attempts those are kept that a learner may be shown (`cold_start`),
and the best become one document. All attempts become samples.

A unit is a problem. Beside the reasons of `problems` it is rejected for

    no_answer             no attempt has a result
    no_majority           the results disagree
    styles_disagree       prose and programs disagree
    not_solved            no attempt comes to the answer that the source gives
    unreadable_reference  the source's answer is none that could be compared
    unreadable_answer     computer algebra cannot work with the accepted answer in its time
    all_filtered          right attempts, and none that may be shown
    easy                  answered without thinking

and a sample for those of `attempts` and `cold_start`, `wrong_answer`, `undecided` (its problem has
no accepted answer) or its problem's reason.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pipelines.models.desk import Desk
from pipelines.models.settings import ModelConfig
from pipelines.models.thinking import check_thinking
from pipelines.synthesize.language_checks import checks_identity
from pipelines.synthesize.mathematics.answers import final_answer, is_readable, plain_form
from pipelines.synthesize.mathematics.problems import (
    Proposed,
    checked,
    proposed,
    rule_objections,
    together,
)
from pipelines.synthesize.mathematics.prompts import MathPrompts, shipped_prompts, with_shipped
from pipelines.synthesize.mathematics.settings import (
    Check,
    Document,
    Easy,
    Extra,
    Filters,
    Solving,
    Style,
    Writing,
)
from pipelines.synthesize.mathematics.solution import ANSWER_CHARACTERS, Solution, Unit
from pipelines.synthesize.mathematics.votes import Majority
from pipelines.synthesize.recipe import Kind, Made, Reject, Seed

VERSION: Final = "1"
"""Raised with every change of a rule that decides what is made."""


class MathMaker(BaseModel):
    """A recipe of mathematics (a `Recipe`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["mathematics"]
    name: str = Field(min_length=1)
    about: str = ""
    """One line on what it makes."""
    where: str | None = None
    """Condition on the labels of seeds."""
    problems: Writing = Writing()
    check: Check | None = None
    """None: problems are solved as they come."""
    solutions: dict[Style, Solving] = Field(min_length=1)
    """Style -> how it is sampled. The order is that of preference."""
    extra: Extra = Extra()
    majority: Majority = Majority()
    easy: Easy | None = None
    """None: what is answered without thinking is kept."""
    filters: Filters = Filters()
    document: Document = Document()
    prompts: Annotated[MathPrompts, BeforeValidator(with_shipped)] = Field(
        default_factory=shipped_prompts
    )
    """The shipped ones where the recipe has none of its own."""

    @model_validator(mode="after")
    def _can_be_won(self) -> Self:
        samples = sum(one.samples for one in self.solutions.values())
        if self.majority.count > samples:
            raise ValueError(
                f"majority.count {self.majority.count} is more than the {samples} samples of the "
                "first round; ask for more samples or a smaller count"
            )
        return self

    @property
    def kind(self) -> Kind:
        """Not a rewriting of the seed: another text, grounded in it."""
        return "synthetic"

    @property
    def needs_model(self) -> bool:
        """Always."""
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        """The label that names the field of a problem, if the recipe asks for one."""
        label = self.problems.domain_label
        return () if label is None else (label,)

    @property
    def group_by(self) -> str | None:
        """Every seed alone."""
        return None

    @property
    def runs_programs(self) -> bool:
        """Whether it needs the sandbox."""
        return any(style != "chain_of_thought" for style in self.solutions)

    def check_model(self, model: ModelConfig) -> None:
        """Refuses a model that cannot do what the recipe asks.

        Raises:
            ValueError: It has no switch for thinking, or a budget leaves nothing for the answer.
        """
        for one in (self.problems, self.check, self.easy, *self.solutions.values()):
            if one is not None and not (one.thinking == "off" and model.thinking == "none"):
                check_thinking(model, one.thinking, one.sampling)

    @property
    def identity(self) -> Mapping[str, Any]:
        """All settings and prompts, and the versions of the rules."""
        told = self.model_dump(mode="json", exclude={"about", "where"})
        # Their order is one of preference, which JSON objects do not keep.
        told["preference"] = list(self.solutions)
        return {**told, "version": VERSION, "language": checks_identity()}

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Problems of one seed, solved and checked."""
        (seed,) = seeds
        units = await proposed(seed, self.problems, self.prompts, desk)
        units = rule_objections(units, seed, self.problems)
        made = await together(self._unit(unit, seed, desk) for unit in units)
        figures: dict[str, float] = {}
        for name, value in (item for one in made for item in one.figures.items()):
            figures[name] = figures.get(name, 0) + value
        return Made(
            units=len(made),
            accepted=sum(one.reject is None for one in made),
            drafts=[draft for one in made for draft in one.drafts],
            rejects=[one.reject for one in made if one.reject is not None],
            samples=[row for one in made for row in one.samples],
            figures=figures,
        )

    async def _unit(self, unit: Proposed | Reject, seed: Seed, desk: Desk) -> Unit:
        """One problem from its check to its documents."""
        if isinstance(unit, Proposed) and self.check is not None:
            unit = await checked(unit.text, self.check, self.prompts, desk) or unit
        if isinstance(unit, Reject):
            return Unit(reject=unit)
        reference = None
        if self.problems.made_from == "seed":
            reference = seed.meta.get(self.problems.answer_key)
        if reference is not None:
            boxed = final_answer(reference)
            reference = boxed.text if boxed is not None else reference
            if not is_readable(plain_form(reference)):
                message = f"the answer of the source is {reference[:ANSWER_CHARACTERS]!r}"
                return Unit(reject=Reject(reason="unreadable_reference", message=message))
        return await Solution(self, unit, seed, reference, desk).solved()

    def prompt_hash(self, roles: Sequence[str]) -> str:
        """Of the questions that a document or sample comes from."""
        written = {"passage": ["problems"], "concepts": ["concepts", "combine"], "seed": []}
        return self.prompts.hash([*written[self.problems.made_from], *roles])

    def more(self, counts: Mapping[Style, int]) -> dict[Style, int]:
        """Attempts of the next round, dealt to the styles in proportion; empty when used up."""
        left = min(self.extra.samples, self.extra.most - sum(counts.values()))
        if left <= 0:
            return {}
        total = sum(one.samples for one in self.solutions.values())
        dealt = {style: left * one.samples // total for style, one in self.solutions.items()}
        for style in list(self.solutions)[: left - sum(dealt.values())]:
            dealt[style] += 1
        return {style: n for style, n in dealt.items() if n}
