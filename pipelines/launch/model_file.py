"""A model of one's own as a YAML file: its shape, and how it is trained.

The keys are those of `ModelShape`, in Megatron's words. `base: qwen3-8b` takes a published shape,
so that a file which only changes the training stays short. Unknown keys are refused with the
nearest known ones; `model_schema` is for editors.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError, field_validator

from mixtures.complaints import complaint
from mixtures.errors import listed, nearest
from mixtures.strict_yaml import read_yaml
from pipelines.launch.models import MODELS, ModelShape, find_model
from pipelines.launch.settings import Training

_YAML: Final = (".yaml", ".yml")
_TRAINING: Final = f"a mapping with the keys {listed(Training.model_fields)}"


class Model(ModelShape):
    """A model and its training."""

    base: str | None = Field(
        default=None,
        description=f"one of {', '.join(MODELS)}: keys that are not written are its own",
        json_schema_extra={"enum": list(MODELS)},
    )
    training: Training = Field(default=Training(), description=_TRAINING)

    @field_validator("base")
    @classmethod
    def _is_known(cls, base: str | None) -> str | None:
        return base if base is None else find_model(base).name


def load_model(model: str) -> Model:
    """The model that a name or the path of a YAML file means.

    Raises:
        ValueError: There is none; or the file is missing, is no YAML, or holds a mistake: file,
            key, found, allowed.
    """
    if not model.endswith(_YAML):
        return Model(**find_model(model).model_dump())
    path = Path(model)
    written = read_yaml(path)
    if not isinstance(written, dict):
        raise ValueError(
            f"{path}: found {type(written).__name__}; allowed: a mapping with the keys "
            f"{listed(Model.model_fields)}; begin the file with `base: qwen3-8b` or `num_layers:`"
        )
    try:
        return Model.model_validate(_completed(written, path))
    except ValidationError as error:
        models = {"training": Training}
        faults = [f"{path}: {complaint(one, Model, models)}" for one in error.errors()]
        raise ValueError("\n".join(faults)) from error


def _completed(written: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What was written, over the keys of its base; the name is that of the file.

    Raises:
        ValueError: There is no such base.
    """
    base = written.get("base")
    if base is not None and str(base).lower() not in MODELS:
        # Said alone: without it, every key that the base would have given is missing too.
        raise ValueError(
            f"{path}: base: found {base!r}; {nearest(str(base), MODELS)}allowed: "
            f"{', '.join(MODELS)}; name one of them, or remove base and write the whole shape"
        )
    stem = re.sub(r"[^a-z0-9_.-]+", "-", path.stem.lower()).strip("-._") or "model"
    below = {} if base is None else MODELS[str(base).lower()].model_dump()
    return {**below, "name": stem, **written}


def model_schema() -> dict[str, Any]:
    """JSON Schema of a model file; with a base, no key of the shape is required."""
    schema = Model.model_json_schema()
    required = [key for key in schema.pop("required") if key != "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "anyOf": [{"required": ["base"]}, {"required": required}],
    }
