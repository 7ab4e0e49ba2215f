"""What a recipe is: seeds in, documents, rejects and samples out, one coroutine a group of seeds.

A recipe knows neither workspace nor Beam. The job (`pipelines.synthesize.job`) chooses the seeds of
a part, runs as many coroutines side by side as the model takes, and gives what they make ids,
provenance and a place in the ledger.

Equation: units = accepted + rejected, where a unit is what the recipe says it is (a chunk of a
text, a problem): every unit is one document's worth of work that was paid for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pipelines.models.chat import Request
from pipelines.models.desk import Desk

Kind = Literal["natural", "refined", "rewritten", "synthetic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A document that something is made of."""

    id: bytes
    text: str
    language: str | None
    """One of the 119 codes, or `und`; None where it was not annotated."""
    uri: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Values of the `columns` that the recipe names."""
    file: str = ""
    """Of its locator: path below the root of its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A document in the making."""

    text: str
    request: Request | None
    """That gave the text, or its last and longest part; provenance is read from it."""
    parents: tuple[bytes, ...]
    """Ids of the seeds, the chief one first."""
    accepted_tokens: int
    """Completion tokens of the answers that stand in it."""
    language: str | None = None
    """Declared language, where the recipe fixes it."""
    prompt_hash: str | None = None
    """Of the recipe's templates (not of the filled-in prompt), 16 hexadecimal digits."""
    attempt: int = 0
    media_type: str = "text/plain"
    meta: Mapping[str, str] = field(default_factory=dict)
    """Such as novelty, difficulty, repository: readable, small, sorted by the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A unit that gave nothing."""

    reason: str
    message: str


@dataclass(slots=True, kw_only=True)
class Made:
    """What came of one group of seeds."""

    units: int
    """= accepted + len(rejects)."""
    accepted: int
    drafts: Sequence[Draft] = ()
    rejects: Sequence[Reject] = ()
    samples: Sequence[Mapping[str, Any]] = ()
    """Rows of `pipelines.synthesize.samples.SAMPLE`: attempts with their verdicts, for the sets."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Sums over the group, added up in the ledger's detail: such as novelty_sum."""


class Recipe(Protocol):
    """One way of making documents. Pickled to workers, so it holds plain values only."""

    @property
    def name(self) -> str:
        """Stands in provenance.recipe."""

    @property
    def kind(self) -> Kind:
        """Depth follows: refined (and natural: arranged without a model) keeps that of its parent,
        rewritten and synthetic add one."""

    @property
    def needs_model(self) -> bool:
        """Whether it asks one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Labels of seeds that it reads (`Seed.labels`) beside language."""

    @property
    def where(self) -> str | None:
        """Default condition on the labels of seeds, in the language of mixtures; None takes all."""

    @property
    def group_by(self) -> str | None:
        """Key of `meta` by which seeds of a part come together; None: each alone."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values of all that decides what is made; enters the generation."""

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Makes what can be made of a seed, or of a group of seeds in the order of the part.

        Whatever a model answers is no exception: it becomes a reject. EndpointError goes through.
        """
