"""Models from a file, for commands that work without a corpus: the `models:` of any corpus.yaml."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mixtures.errors import MixtureError, listed
from mixtures.strict_yaml import read_yaml
from pipelines.complaints import Models, complaints
from pipelines.config import ConfigError, Name
from pipelines.models.settings import ModelConfig


class _ModelsFile(BaseModel):
    # Other keys are those of corpus.yaml, and of no interest here.
    model_config = ConfigDict(extra="ignore", frozen=True)

    models: dict[Name, ModelConfig]


def read_models(path: Path) -> dict[str, ModelConfig]:
    """The models of a YAML file, by the names that options use.

    Raises:
        ConfigError: It is missing, is no YAML, has no `models`, or holds a mistake in them.
    """
    try:
        written = read_yaml(path)
    except MixtureError as error:
        raise ConfigError(str(error)) from error
    named = written.get("models") if isinstance(written, dict) else None
    if not isinstance(named, dict):
        raise ConfigError(
            f"{path}: found no mapping `models`; begin it with `models:` and, below it, a name and "
            "what the model is, such as `reader: {engine: endpoint, url: ..., model: ...}`"
        )
    try:
        return _ModelsFile.model_validate(written).models
    except ValidationError as error:
        places: Models = {("models", str(name)): ModelConfig for name in named}
        raise ConfigError(complaints(error, places, _ModelsFile, f"{path}: ")) from error


def model_named(models: dict[str, ModelConfig], name: str, key: str) -> ModelConfig:
    """One of some models.

    Args:
        models: By name.
        name: The one that is asked for.
        key: Of the configuration that asks, for the error.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in models:
        known = f"allowed are {listed(models)}" if models else "no model is named"
        raise ConfigError(f"{key}: found {name!r}; {known}; name one of `models`")
    return models[name]
