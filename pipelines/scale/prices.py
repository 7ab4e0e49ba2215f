"""Prices, as data that the user states: lists change and contracts differ, so none is built in.

`prices.yaml` beside this module is a template without figures, and is refused until the names that
a bill needs are filled. docs/scale.md shows one that is filled, with where its figures stand.
"""

from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

TEMPLATE: Final = Path(__file__).with_name("prices.yaml")


class Prices(BaseModel):
    """What a cloud, or a machine of one's own, costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(min_length=1)
    stated: str = Field(min_length=1)
    """Where and when: such as `https://..., us-east-1, 2026-06-17`."""
    core_hour: float = Field(ge=0)
    """An hour of one core (a virtual one where these are sold) with its memory."""
    storage_gb_month: float = Field(ge=0)
    """A GB, 10^9 bytes, in the object store for a month."""
    write_requests_1000: float = Field(ge=0)
    """A thousand requests that write or list."""
    read_requests_1000: float = Field(ge=0)
    """A thousand requests that read."""
    shuffle_gb: float = Field(default=0.0, ge=0)
    """A GB through a shuffle service that is paid for apart; 0 where the workers shuffle."""
    gpu_hour: float | None = Field(default=None, ge=0)
    """An hour of one GPU; needed where a model reads or writes."""


def load_prices(file: Path) -> Prices:
    """Reads prices.

    Raises:
        ValueError: There is no such file, or it is no YAML; a name lacks its figure, or is unknown.
    """
    try:
        stated = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise ValueError(
            f"--prices: found {file}, which cannot be read ({why}); allowed: a YAML file as "
            f"{TEMPLATE.name} is; copy that and fill it in"
        ) from None
    names = stated if isinstance(stated, dict) else {}
    empty = [
        name
        for name, field in Prices.model_fields.items()
        if field.is_required() and name in names and names[name] is None
    ]
    if empty:
        raise ValueError(
            f"{file} is not filled in: {', '.join(empty)} {'is' if len(empty) == 1 else 'are'} "
            "empty; allowed: figures of your contract or your cloud's list; fill them in"
        )
    try:
        return Prices.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(one) for one in first["loc"]) or "the file"
        raise ValueError(
            f"{file}: {name}: {first['msg']}; allowed: the names of {TEMPLATE.name} with their "
            "figures; look them up in your contract or your cloud's list and fill them in"
        ) from None
