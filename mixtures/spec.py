"""The mixture file: one YAML file, its stages, and errors that name file, key, found and allowed.

A person reads it aloud and edits it daily, so: numbers are relative and never have to sum to 1,
budgets have units, every key has one meaning, and an unknown or doubled key is refused. pydantic
v2 gives the checks and the JSON Schema for editors.

Two choices of meaning:

- `temperature` is the exponent: a group with the part p of all tokens gets a share in proportion
  to p ** temperature. 1 is natural, 0 gives all groups the same. XLM-R (arXiv:1911.02116, section
  3.1) calls it alpha = 0.3; mT5 (arXiv:2010.11934) prints the same rule as 1/tau, tau = 3.33.
- A length bucket takes documents *longer than* `min` and *up to* `max` tokens, the EOD included:
  (4096, 16384] and (16384, 32768] meet without a gap, a document of exactly 32,768 tokens fills
  one sequence of 32,768, and one of exactly 16,384 fits the shorter bucket.
"""

import itertools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mixtures.budgets import ALLOWED, TokenBudget, parse_tokens
from mixtures.complaints import SHARE, complaint
from mixtures.errors import MixtureError as MixtureError
from mixtures.errors import listed, nearest
from mixtures.fields import NAME, Expression, Model, Name, Positive
from mixtures.strict_yaml import read_yaml
from mixtures.weighting import FOLDER, MODELS, WEIGHT, SyntheticCaps, Weight, value_payload
from mixtures.weighting import QuaDMix as QuaDMix
from mixtures.weighting import QualityCurve as QualityCurve

OTHERS: Final = "*"
"""Key of a mapping of shares that stands for all groups that are not named, together."""

RULES_VERSION: Final = 2
"""Enters the fingerprint; raised whenever the same file would give other draws."""

REDACTABLE: Final = ("email", "ip", "phone", "card", "iban", "national_id", "key")
"""Kinds of personal data that a stage can have cut; the annotator of them names the same."""

REDACTION_LABELS: Final = "pii"
"""Label column that says where they stand."""

CUTTABLE: Final = ("contamination", "boilerplate", "repeats")
"""What a stage can have cut: quoted benchmarks, lines and paragraphs that a host repeats, and
stretches that stand in other documents too."""

CUT_LABELS: Final[Mapping[str, str]] = {
    "contamination": "contamination_spans",
    "boilerplate": "boilerplate",
    "repeats": "repeats",
}
"""Label column that says where each of CUTTABLE stands."""

_CUT_MAKERS: Final[Mapping[str, str]] = {
    "contamination": "list what is to be found under benchmarks of the corpus",
    "boilerplate": "add boilerplate to duplicates.levels of the corpus",
    "repeats": "add repeats to duplicates.levels of the corpus",
}
"""How a corpus gets these labels, for error texts."""

DEFAULT_MAX_EPOCHS: Final = 4.0
"""Up to 4 epochs are nearly as good as unique data (Muennighoff et al., arXiv:2305.16264)."""


class Temperature(Model):
    """Shares in proportion to p ** temperature, p being a group's part of the tokens."""

    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] = Field(
        description="a number from 0 (all groups the same) to 1 (natural): the exponent of "
        "p ** temperature; a tau of 3.33 is written 0.3"
    )


class LengthBucket(Model):
    """Documents longer than `min` and up to `max` tokens, EOD included."""

    name: Name = Field(description=NAME)
    min: Annotated[int, Field(ge=0, strict=True)] = Field(
        description="a whole number of tokens from 0, EOD included; documents are longer than this"
    )
    max: Annotated[int, Field(gt=0, strict=True)] = Field(
        description="a whole number of tokens above min, EOD included; documents of exactly "
        "this many tokens belong to the bucket"
    )
    share: Positive = Field(description=SHARE + ", counted in tokens of the stage")

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if self.min >= self.max:
            raise ValueError(
                f"found min {self.min} and max {self.max}; allowed: min below max; swap or change"
            )
        return self


def _shape_of_shares(written: object) -> str:
    if isinstance(written, Temperature) or (
        isinstance(written, dict) and set(written) == {"temperature"}
    ):
        return "temperature"
    return "groups" if isinstance(written, dict) else "word"


Shares = Annotated[
    Annotated[Literal["natural", "unimax"], Tag("word")]
    | Annotated[Temperature, Tag("temperature")]
    | Annotated[dict[str, Positive], Field(min_length=1), Tag("groups")],
    Discriminator(_shape_of_shares),
]


class Stage(Model):
    """One training stage: which documents, how many tokens, in which shares."""

    name: Name = Field(description=NAME + "; enters the draws, so renaming redraws")
    sequence_length: Annotated[int, Field(ge=2, strict=True)] = Field(
        description="a whole number of tokens from 2: the length of one training sequence"
    )
    tokens: Annotated[
        TokenBudget,
        BeforeValidator(parse_tokens),
        WithJsonSchema({"type": ["string", "integer"], "examples": ["max", "one_epoch", "300B"]}),
    ] = Field(description=ALLOWED)
    where: Expression | None = Field(
        default=None,
        description="a boolean SQL expression (duckdb) over the labels of one document; null "
        "counts as false; without it every document is eligible",
    )
    group_by: Expression | None = Field(
        default=None,
        description="a label column of text, or a SQL expression (duckdb) that gives text; "
        "without it all documents are one group",
    )
    shares: Shares = Field(
        default="natural",
        description="natural, unimax, {temperature: 0.3}, or a mapping of groups to numbers above "
        "0, where '*' stands for all other groups together",
    )
    weight: Weight | None = Field(default=None, description=WEIGHT)
    max_epochs: Positive = Field(
        default=DEFAULT_MAX_EPOCHS,
        description="a number above 0, may be fractional: expected draws of one document at most; "
        "no document is drawn more often than this, rounded up",
    )
    length_buckets: tuple[LengthBucket, ...] = Field(
        default=(),
        description="a list of {name, min, max, share} that do not overlap; a document outside "
        "all of them is not eligible",
    )
    bucket_shares_in: Literal["tokens"] = Field(
        default="tokens",
        description="tokens: the unit in which the shares of length_buckets are counted",
    )
    synthetic: SyntheticCaps | None = Field(
        default=None,
        description="a mapping with the keys max_share, max_depth and max_rewrites_per_seed, each "
        "optional; without it synthetic documents count like all others",
    )
    packing: Literal["concat", "best_fit"] = Field(
        default="concat",
        description="concat (documents one after the other; the trainer cuts them into sequences) "
        "or best_fit (whole documents packed into sequences of exactly sequence_length tokens)",
    )
    shuffle: Literal["none", "part", "global"] = Field(
        default="part",
        description="none (documents as they come), part (inside each shard; enough for Megatron, "
        "which shuffles again), or global (over all shards of the stage; for other trainers)",
    )
    redact: tuple[str, ...] = Field(
        default=(),
        description=f"a list of kinds of personal data out of {', '.join(REDACTABLE)}: what the "
        "shards of this stage hold <kind> in place of; without it personal data stays as it is",
        json_schema_extra={"items": {"enum": list(REDACTABLE)}, "uniqueItems": True},
    )
    cut: tuple[str, ...] = Field(
        default=(),
        description="a list out of contamination (stretches that quote a benchmark), boilerplate "
        "(lines and paragraphs that a host repeats) and repeats (stretches that stand in other "
        "documents too, but for their first copy): what the shards of this stage leave out; "
        "without it nothing of these is cut",
        json_schema_extra={"items": {"enum": list(CUTTABLE)}, "uniqueItems": True},
    )
    _place: str = PrivateAttr(default="")

    @property
    def place(self) -> str:
        """File and key path of this stage for error texts, or its name where made in code."""
        return self._place or f"stage '{self.name}'"

    @property
    def cut_columns(self) -> tuple[str, ...]:
        """Label columns that say where the spans stand that this stage redacts or cuts."""
        redacted = (REDACTION_LABELS,) if self.redact else ()
        return (*redacted, *(CUT_LABELS[one] for one in self.cut))

    @field_validator("length_buckets")
    @classmethod
    def _check_buckets(cls, buckets: tuple[LengthBucket, ...]) -> tuple[LengthBucket, ...]:
        _refuse_twice([bucket.name for bucket in buckets], "buckets")
        ordered = sorted(buckets, key=lambda bucket: bucket.min)
        for low, high in itertools.pairwise(ordered):
            if high.min < low.max:
                raise ValueError(
                    f"found '{low.name}' up to {low.max} and '{high.name}' from {high.min}; "
                    "allowed: buckets that do not overlap; change one of the two ends"
                )
        return buckets

    @field_validator("redact", mode="before")
    @classmethod
    def _check_redact(cls, written: object) -> tuple[str, ...]:
        return _chosen(written, REDACTABLE)

    @field_validator("cut", mode="before")
    @classmethod
    def _check_cut(cls, written: object) -> tuple[str, ...]:
        return _chosen(written, CUTTABLE)

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.group_by is None and self.shares != "natural":
            raise ValueError(
                "found shares but no group_by; allowed: shares need groups; add group_by or "
                "remove shares"
            )
        return self

    def selection_payload(self) -> dict[str, Any]:
        """What decides `expressions.select` and the tally, as a dict to be written as JSON.

        Budgets, shares, caps of the solve, curve parameters, packing and shuffle are left out: an
        edit of these needs no new tally. `redact` and `cut` are in it because planned tokens follow
        the cuts.
        """
        caps = self.synthetic or SyntheticCaps()
        return {
            "rules": RULES_VERSION,
            "name": self.name,
            "where": self.where,
            "group_by": self.group_by,
            "value": value_payload(self.weight),
            "length_buckets": [[bucket.min, bucket.max] for bucket in self.length_buckets],
            "max_depth": caps.max_depth,
            "max_rewrites_per_seed": caps.max_rewrites_per_seed,
            "redact": list(self.redact),
            "cut": list(self.cut),
        }


class Mixture(Model):
    """A mixture file: its stages in the order in which the trainer runs them."""

    name: Name = Field(description=NAME)
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = Field(
        description="a whole number from 0 to 2**63 - 1: another seed draws other documents"
    )
    stages: tuple[Stage, ...] = Field(
        description="a list of at least one stage", json_schema_extra={"minItems": 1}
    )

    @field_validator("stages")
    @classmethod
    def _check_stages(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        # Not min_length, which pydantic also reports when the only stage is wrong.
        if not stages:
            raise ValueError("found no stage; allowed: a list of at least one stage; add one")
        _refuse_twice([stage.name for stage in stages], "stages")
        return stages

    def with_tokens(self, budget: TokenBudget | str) -> "Mixture":
        """The same mixture with another budget for every stage, for `--tokens 2M`.

        Raises:
            MixtureError: `budget` is not a token budget.
        """
        tokens = parse_tokens(budget)
        stages = tuple(stage.model_copy(update={"tokens": tokens}) for stage in self.stages)
        return self.model_copy(update={"stages": stages})

    def fingerprint_payload(self) -> dict[str, Any]:
        """What decides the draws and the cuts, as a dict to be written as JSON with sorted keys.

        The names of the mixture and of its buckets are left out: they change no draw. The names of
        the stages are in it, for they enter the draws.
        """
        stages = []
        for stage in self.stages:
            payload = stage.model_dump(mode="json")
            for bucket in payload["length_buckets"]:
                del bucket["name"]
            stages.append(payload)
        return {"rules": RULES_VERSION, "seed": self.seed, "stages": stages}


def _chosen(written: object, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """What a list names out of some kinds, in their order.

    In one order, so that another order in the file is not another plan.
    """
    known = listed(allowed)
    if not isinstance(written, list | tuple):
        raise ValueError(f"found {written!r}; allowed: a list out of {known}; write [{allowed[0]}]")
    for kind in written:
        if kind not in allowed:
            hint = nearest(kind, allowed) if isinstance(kind, str) else ""
            raise ValueError(f"found {kind!r}; {hint}allowed: {known}; name some of these")
    _refuse_twice(list(written), "kinds")
    return tuple(kind for kind in allowed if kind in written)


def _refuse_twice(names: list[str], what: str) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            raise ValueError(f"found two {what} named {name!r}; names must differ; rename one")


def check_cuts(mixture: Mixture, columns: Collection[str], *, has_benchmarks: bool = True) -> None:
    """Checks that what the stages redact and cut is labelled, before any work.

    Args:
        mixture: The mixture.
        columns: Names of the label columns that there are, or that will be made.
        has_benchmarks: Whether the corpus names benchmarks; without any, labels of quotations are
            there and empty, and a stage that cuts them would cut nothing unnoticed.

    Raises:
        MixtureError: One line for each stage and each thing that it cuts without labels of it.
    """
    complaints = []
    for stage in mixture.stages:
        if stage.redact and REDACTION_LABELS not in columns:
            complaints.append(
                f"{stage.place}.redact: found {listed(stage.redact)} and no label column "
                f"{REDACTION_LABELS!r} that says where they stand; add '{REDACTION_LABELS}' to the "
                "annotators of the corpus, or remove redact"
            )
        for one in stage.cut:
            lacking = f"no label column {CUT_LABELS[one]!r} that says where it stands"
            if CUT_LABELS[one] in columns:
                if one != "contamination" or has_benchmarks:
                    continue
                lacking = "no benchmarks that could be quoted"
            complaints.append(
                f"{stage.place}.cut: found {one} and {lacking}; {_CUT_MAKERS[one]}, or remove "
                f"{one} from cut"
            )
    if complaints:
        raise MixtureError("\n".join(complaints))


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mixture file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Mixture.model_json_schema(),
    }


def load_mixture(path: str | Path) -> Mixture:
    """Reads and checks one mixture file.

    Args:
        path: A local YAML file.

    Returns:
        The mixture; its expressions are not yet checked (`expressions.check_expressions` does).

    Raises:
        MixtureError: One line for each thing that is wrong, with file, key path, what was found,
            what is allowed and what to do.
    """
    written = read_yaml(Path(path))
    if not isinstance(written, dict):
        raise MixtureError(
            f"{path}: found {type(written).__name__}; allowed: a mapping with the keys "
            f"{listed(Mixture.model_fields)}; begin the file with `name: ...`"
        )
    try:
        mixture = Mixture.model_validate(written, context={FOLDER: Path(path).parent})
    except ValidationError as error:
        models: dict[str, type[BaseModel]] = {
            "stages": Stage,
            "length_buckets": LengthBucket,
            "shares": Temperature,
            "synthetic": SyntheticCaps,
            **MODELS,
        }
        wrong = (complaint(one, Mixture, models) for one in error.errors())
        complaints = [f"{path}: {text}" for text in wrong]
        raise MixtureError("\n".join(complaints)) from error
    for position, stage in enumerate(mixture.stages):
        stage._place = f"{path}: stages[{position}]"
    return mixture
