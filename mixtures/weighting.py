"""`weight`: the three ways in which documents of one group can be drawn unequally often.

All three act inside a (group, length bucket) cell; how many tokens the cell gives is decided by
shares and budget alone. Each turns the labels of one document into one number, its *value*, and the
value into a bin (`bins`); what the bin means for the draws is a matter of the solve.

- An expression: the value is the weight. Expected draws are in proportion to it, up to the cap.
- `quality_curve`: the value is a score, larger is better. Draws follow its percentile (`curves`).
- `quadmix`: the value is a merged score, *smaller* is better, as in the paper. Draws follow its
  percentile by the parameters of the group (`quadmix`).
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from mixtures.complaints import complaint
from mixtures.errors import MixtureError, listed
from mixtures.fields import Expression, Model, NotNegative, Number, Positive
from mixtures.strict_yaml import read_yaml

ANY_GROUP: Final = "*"
"""Key of the parameters for groups that have none of their own."""

FOLDER: Final = "folder"
"""Key of the validation context: the folder that paths in the file are relative to."""

WEIGHT: Final = (
    'a numeric SQL expression over the labels of one document, as text (weight: "1 + '
    'quality_score"), {quality_curve: {score: quality_score, drop: 0.4}}, or {quadmix: FILE.yaml}; '
    "without it all documents of a group are drawn alike"
)


class Curve(Model):
    """Draws by the percentile of a score, as in Olmo 3."""

    score: Expression = Field(
        description="a numeric SQL expression (duckdb) over the labels of one document, larger is "
        "better; a document without a score (null) is not drawn"
    )
    drop: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False, strict=True)] = Field(
        default=0.4,
        description="a number from 0 to below 1: the part of a group's tokens, the worst by score, "
        "that is never drawn",
    )


class QualityCurve(Model):
    """The key `quality_curve` of a weight."""

    quality_curve: Curve = Field(description="a mapping with the keys score and drop")


class Score(Model):
    """One quality score that QuaDMix merges."""

    score: Expression = Field(
        description="a numeric SQL expression (duckdb) over the labels of one document; a document "
        "without one of the scores (null) is not drawn"
    )
    better: Literal["larger", "smaller"] = Field(
        description="larger or smaller: which end of this score is the better one"
    )
    center: Number = Field(
        default=0.0, description="a number: what the score is on average, subtracted from it"
    )
    scale: Positive = Field(
        default=1.0,
        description="a number above 0: how far the score spreads (its standard deviation), "
        "divides it",
    )


class Sampling(Model):
    """How QuaDMix merges the scores of a group and draws by the percentile of the merged score."""

    alpha: Annotated[dict[str, NotNegative], Field(min_length=1)] = Field(
        description="a mapping of score names to numbers from 0, at least one above 0"
    )
    lambda_: NotNegative = Field(
        alias="lambda", description="a number from 0: how steeply draws fall towards omega"
    )
    omega: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] = Field(
        description="a number from 0 to 1: the percentile (0 is best) up to which documents are "
        "drawn by the curve"
    )
    eta: NotNegative = Field(description="a number from 0: the exponent of the curve")
    epsilon: NotNegative = Field(
        description="a number from 0: what is added everywhere, also beyond omega"
    )

    @model_validator(mode="after")
    def _check_alpha(self) -> Self:
        if not any(self.alpha.values()):
            raise ValueError(
                f"found alpha {self.alpha}; allowed: at least one number above 0; change one"
            )
        if self.omega == 0 and self.epsilon == 0:
            raise ValueError(
                "found omega 0 and epsilon 0, which draw nothing; allowed: one of them above 0; "
                "change one"
            )
        return self


class Parameters(Model):
    """A file of QuaDMix parameters."""

    scores: Annotated[dict[str, Score], Field(min_length=1)] = Field(
        description="a mapping of names to {score, better, center, scale}"
    )
    groups: Annotated[dict[str, Sampling], Field(min_length=1)] = Field(
        description="a mapping of groups to {alpha, lambda, omega, eta, epsilon}, where '*' stands "
        "for all groups that are not named"
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for group, sampling in self.groups.items():
            if set(sampling.alpha) != set(self.scores):
                raise ValueError(
                    f"groups.{group}.alpha: found the scores {listed(sorted(sampling.alpha))}; "
                    f"allowed: exactly {listed(sorted(self.scores))}; name each once, 0 leaves one "
                    "out"
                )
        return self

    def of(self, group: str) -> Sampling | None:
        """Parameters of a group; None where the file has neither the group nor '*'."""
        return self.groups.get(group, self.groups.get(ANY_GROUP))


MODELS: Final[dict[str, type[BaseModel]]] = {
    "quality_curve": Curve,
    "quadmix": Parameters,
    "scores": Score,
    "groups": Sampling,
}
"""The model that stands below a key, for error texts."""


def _read_parameters(written: object, info: ValidationInfo) -> object:
    if not isinstance(written, str):
        return written
    folder = (info.context or {}).get(FOLDER, ".")
    path = Path(folder) / written
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise MixtureError(
            f"{path}: found {type(found).__name__}; allowed: a mapping with the keys scores and "
            "groups; begin the file with `scores:`"
        )
    try:
        return Parameters.model_validate(found)
    except ValidationError as error:
        wrong = [f"{path}: {complaint(one, Parameters, MODELS)}" for one in error.errors()]
        raise MixtureError("; ".join(wrong)) from error


def _path_or_mapping(schema: dict[str, Any]) -> None:
    mapping = {"$ref": schema.pop("$ref")}
    schema["anyOf"] = [{"type": "string", "examples": ["quadmix.yaml"]}, mapping]


class QuaDMix(Model):
    """The key `quadmix` of a weight.

    A path is read when the mixture is loaded; from then on only the content counts, so the
    fingerprint follows the content and not the path.
    """

    quadmix: Annotated[Parameters, BeforeValidator(_read_parameters)] = Field(
        description="the path of a YAML file of parameters (keys scores and groups), relative to "
        "the mixture file, or the same mapping in its place",
        json_schema_extra=_path_or_mapping,
    )


def _shape_of_weight(written: object) -> str | None:
    if isinstance(written, QualityCurve) or (
        isinstance(written, dict) and "quality_curve" in written
    ):
        return "curve"
    if isinstance(written, QuaDMix) or (isinstance(written, dict) and "quadmix" in written):
        return "quadmix"
    return "expression"


Weight = Annotated[
    Annotated[Expression, Tag("expression")]
    | Annotated[QualityCurve, Tag("curve")]
    | Annotated[QuaDMix, Tag("quadmix")],
    Discriminator(_shape_of_weight),
]


def value_expressions(weight: str | QualityCurve | QuaDMix | None) -> list[tuple[str, str]]:
    """The SQL expressions that a weight evaluates.

    Returns:
        (key path below the stage, expression) for each; empty without a weight.
    """
    if weight is None:
        return []
    if isinstance(weight, str):
        return [("weight", weight)]
    if isinstance(weight, QualityCurve):
        return [("weight.quality_curve.score", weight.quality_curve.score)]
    scores = weight.quadmix.scores.items()
    return [(f"weight.quadmix.scores.{name}.score", one.score) for name, one in scores]


def value_payload(weight: str | QualityCurve | QuaDMix | None) -> dict[str, Any] | None:
    """What decides the value of a document, without what decides only its draws."""
    if weight is None:
        return None
    if isinstance(weight, str):
        return {"weight": weight}
    if isinstance(weight, QualityCurve):
        return {"score": weight.quality_curve.score}
    groups = weight.quadmix.groups.items()
    return {
        "scores": {name: one.model_dump() for name, one in weight.quadmix.scores.items()},
        "alpha": {group: dict(sampling.alpha) for group, sampling in groups},
    }


class SyntheticCaps(Model):
    """How much text that a model wrote a stage takes (`depth` above 0)."""

    max_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)] | None = Field(
        default=None,
        description="a number above 0 up to 1: the part of the stage's tokens that synthetic "
        "documents (depth above 0) give at most; to take none write max_depth: 0",
    )
    max_share_per_group: (
        Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False, strict=True)] | None
    ) = Field(
        default=None,
        description="a number between 0 and 1: the part of the tokens of each group (of group_by), "
        "in each of its length buckets, that synthetic documents give at most; a group without "
        "natural text then gives none",
    )
    max_depth: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        default=None,
        description="a whole number from 0: generations of models between a human and the text "
        "at most; deeper documents are not eligible",
    )
    max_rewrites_per_seed: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        default=None,
        description="a whole number from 0: rewrites of one seed document at most, counted by "
        "rewrite_index; later ones are not eligible",
    )
