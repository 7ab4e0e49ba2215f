"""The maker `programs`: problems, programs that solve them, and what shows that they do.

A recipe says how its programs are checked.

`check: tests`: solution and tests come in one answer, perhaps with the problem. They are run
(`verdicts`); what fails is asked for again, both anew, up to `attempts` times, so that hard
problems stay in (KodCode, arXiv:2503.02951: n = 10 attempts, 100 % branch coverage). The share of
attempts that passed is the problem's `pass_rate`. Coverage may not fall from one attempt to the
next, or tests would be thinned until they pass.

`check: agreement`: a problem, an input generator with a validator, and N independent programs that
read standard input and write standard output. Where at least `agreement` of the N give the same
output for every input, their answer is taken for right and one of them is kept (rStar-Coder,
arXiv:2505.21297: 16 programs, 50 inputs and more, 60 %, or 40 % for hard problems). The reference
keeps the fastest; times are not the same twice, so here the shortest is kept.

A unit is a seed: one problem's worth of work. Rejects of a unit have the reason of most of its
attempts. Beside the reasons of `verdicts` and of requests (`pipelines.models.chat.REASONS`) they
are `seed_too_short`, `no_problem` and `no_code_block` (the answer lacks the section),
`no_agreement`, `constant_output` (the answer to every input is the same), `too_few_inputs`,
`generator_fails`, `coverage_fell`, and `too_near_to_seed`. Samples say of a program that was
outvoted: `disagrees`.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipelines.models.desk import Desk
from pipelines.synthesize.programs.asking import Ask
from pipelines.synthesize.programs.verdicts import Limits, TestRules
from pipelines.synthesize.prompts import HASH_DIGITS, check_places, places_of
from pipelines.synthesize.recipe import Kind, Made, Reject, Seed
from pipelines.workspace.fingerprints import canonical_json

_VERSION: Final = "1"
"""Raised when the same answers would get other verdicts."""
_PARTS: Final = ("problem", "solution", "tests", "examples")


class InputRules(BaseModel):
    """Which inputs programs are compared on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 1000)
    """What a generator is asked for, from tiny to large (rStar-Coder: 1 to 9 and powers of 10)."""
    per_scale: int = Field(default=6, ge=1, le=1000)
    """Inputs asked for of each scale, under other random seeds."""
    least: int = Field(default=50, ge=1)
    """Distinct valid inputs without which nothing is compared."""
    max_characters: int = Field(default=20_000, ge=1, le=100_000)
    """A longer input is left out."""
    attempts: int = Field(default=3, ge=1, le=16)
    """How often a generator is asked for."""

    @model_validator(mode="after")
    def _can_be_enough(self) -> Self:
        if len(self.scales) * self.per_scale < self.least:
            raise ValueError(
                f"least: {len(self.scales)} scales of {self.per_scale} inputs each are at most "
                f"{len(self.scales) * self.per_scale}, and {self.least} are wanted; lower `least`, "
                "or raise `per_scale`"
            )
        return self


class ProgramMaker(BaseModel):
    """A recipe of programs (a `Recipe`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["programs"]
    name: str = Field(min_length=1)
    about: str = ""
    check: Literal["tests", "agreement"]
    """What a program must show."""
    document: Annotated[str, AfterValidator(lambda text: check_places(text, _PARTS))]
    """What becomes of an accepted problem; its places are problem, solution, tests and examples."""
    problem: Ask | None = None
    """Asks for a problem; without it, each answer to `solution` brings its own."""
    solution: Ask
    """Asks for a program (and its tests)."""
    inputs: Ask | None = None
    """Asks for an input generator."""
    attempts: int = Field(ge=1, le=64)
    """tests: most attempts at a problem; agreement: programs that vote."""
    at_once: int = Field(default=1, ge=1, le=64)
    """tests: attempts that are asked for together; those behind an accepted one count for
    `pass_rate` all the same."""
    tests: TestRules = TestRules()
    generated: InputRules = InputRules()
    agreement: float = Field(default=0.6, gt=0, le=1)
    """Share of the programs that must agree."""
    agreement_hard: float = Field(default=0.4, gt=0, le=1)
    """Likewise for problems that call themselves hard."""
    limits: Limits = Limits()
    min_novelty: float = Field(default=0.3, ge=0, le=1)
    """Least share of n-grams that the seed does not have."""
    min_seed_characters: int = Field(default=100, ge=0)
    max_seed_characters: int = Field(default=4000, ge=1)
    """A longer seed is cut at the last line end before."""
    where: str | None = None
    """Condition on the labels of seeds."""

    kind: ClassVar[Kind] = "synthetic"
    needs_model: ClassVar[bool] = True
    runs_code: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ()
    group_by: ClassVar[str | None] = None

    @model_validator(mode="after")
    def _has_what_its_check_needs(self) -> Self:
        if self.check == "agreement" and (self.problem is None or self.inputs is None):
            raise ValueError("`check: agreement` needs `problem` and `inputs`; add them")
        if self.check == "tests" and self.inputs is not None:
            raise ValueError("`check: tests` runs no inputs; leave `inputs` out")
        absent = {"agreement": "tests", "tests": "examples"}[self.check]
        if absent in places_of(self.document):
            raise ValueError(f"document: `check: {self.check}` has no {{{absent}}}; remove it")
        return self

    @property
    def identity(self) -> Mapping[str, Any]:
        """All of it but the remark about it, and the version of the checks."""
        told: dict[str, Any] = self.model_dump(mode="json", exclude={"about"})
        return told | {"version": _VERSION}

    @cached_property
    def prompt_hash(self) -> str:
        """Of all templates."""
        asks = (self.problem, self.solution, self.inputs)
        told = [[ask.system, ask.user] for ask in asks if ask is not None]
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()[:HASH_DIGITS]

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Makes one problem of a seed."""
        # Both flows import this module's rules.
        from pipelines.synthesize.programs.agreement import make_agreed
        from pipelines.synthesize.programs.tested import make_tested

        (seed,) = seeds
        passage = self.cut(seed.text)
        if len(passage) < self.min_seed_characters:
            message = f"{len(passage)} characters; at least {self.min_seed_characters} are wanted"
            return Made(
                units=1, accepted=0, rejects=[Reject(reason="seed_too_short", message=message)]
            )
        flow = make_tested if self.check == "tests" else make_agreed
        return await flow(self, seed, passage, desk)

    def cut(self, text: str) -> str:
        """The seed as the model sees it."""
        if len(text) <= self.max_seed_characters:
            return text.strip()
        cut = text[: self.max_seed_characters]
        return (cut.rpartition("\n")[0] or cut).strip()
