"""What the models of a mixture file have in common: strictness, names, and numbers above 0."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME: Final = "1 to 64 letters, digits, _ or -, beginning with a letter or digit"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class Model(BaseModel):
    """A mapping of the file: frozen, and no key that it does not know."""

    # By alias, so that what is written out can be read back (`lambda` is no name in Python).
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)
