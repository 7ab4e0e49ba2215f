"""Recipes as data: a YAML file names its maker, and the maker says what may stand in the file.

A maker is a frozen pydantic model with the properties of `recipe.Recipe`. `MAKERS` names it as
`module:Class`, imported only when a recipe asks for it. Options of corpus.yaml are laid over the
file key by key before it is checked, so whatever can be written there can be changed for a run.

A shipped recipe is asked for by its name, one of your own by its path (which ends in `.yaml` or
`.yml`): copy a shipped file and change it.
"""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError

from mixtures.errors import MixtureError, listed, nearest
from mixtures.strict_yaml import read_yaml
from pipelines.complaints import complaints
from pipelines.synthesize.recipe import Recipe

MAKERS: Final = {
    "rewrite": "pipelines.synthesize.rewriting:Rewrite",
    "refine": "pipelines.synthesize.refining:Refine",
    "mathematics": "pipelines.synthesize.mathematics.maker:MathMaker",
    "programs": "pipelines.synthesize.programs.maker:ProgramMaker",
    "fill_in_the_middle": "pipelines.synthesize.programs.fill_in_the_middle:FillInTheMiddleMaker",
    "repository": "pipelines.synthesize.programs.repository:RepositoryMaker",
}
"""`maker:` of a recipe file -> what reads the rest."""

SHIPPED: Final = Path(__file__).parent / "recipes"
_YAML: Final = (".yaml", ".yml")


class RecipeError(ValueError):
    """A recipe that cannot be used; the text is meant for its author."""


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with tokenmill, sorted."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def described(name: str) -> str:
    """What the file says a shipped recipe makes, in one line; empty where it does not."""
    told = _read(recipe_path(name)).get("about", "")
    return " ".join(str(told).split())


def maker_of(name: str) -> str:
    """The `maker:` of a shipped recipe, without importing it."""
    return str(_read(recipe_path(name)).get("maker"))


def recipe_path(name_or_path: str) -> Path:
    """The file of a recipe.

    Raises:
        RecipeError: No recipe of this name is shipped.
    """
    if name_or_path.endswith(_YAML):
        return Path(name_or_path)
    names = shipped_recipes()
    if name_or_path not in names:
        raise RecipeError(
            f"recipe {name_or_path!r}: none of this name is shipped; "
            f"{nearest(name_or_path, names)}shipped are {listed(names)}; "
            "or give the path of a file that ends in .yaml"
        )
    return SHIPPED / f"{name_or_path}.yaml"


def load_recipe(name_or_path: str, options: Mapping[str, Any] | None = None) -> Recipe:
    """Reads a recipe.

    Args:
        name_or_path: A shipped recipe, or the path of a YAML file.
        options: Keys of the file that are otherwise here; mappings are merged key by key.

    Raises:
        RecipeError: The file is absent or not YAML, or a key or value is not allowed; names each.
    """
    path = recipe_path(name_or_path)
    told = _merged(_read(path), options or {})
    made = _maker(told, path)
    before = f"recipe {path.name}: "
    try:
        return cast(Recipe, made.model_validate(told))
    except ValidationError as error:
        models = dict(_models_of(made))
        raise RecipeError(complaints(error, models, made, before=before)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        told = read_yaml(path)
    except MixtureError as error:
        raise RecipeError(f"recipe {error}") from error
    if not isinstance(told, dict):
        raise RecipeError(
            f"recipe {path.name}: found {type(told).__name__}; a recipe is a mapping with the keys "
            "name and maker, and those of its maker"
        )
    return told


def _maker(told: Mapping[str, Any], path: Path) -> type[BaseModel]:
    name = told.get("maker")
    target = MAKERS.get(name) if isinstance(name, str) else None
    if target is None:
        near = nearest(name, MAKERS) if isinstance(name, str) else ""
        raise RecipeError(
            f"recipe {path.name}: maker: found {name!r}; {near}allowed: {listed(MAKERS)}"
        )
    module, _, class_name = target.partition(":")
    return cast(type[BaseModel], getattr(importlib.import_module(module), class_name))


def _merged(told: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(told)
    for key, value in options.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _models_of(
    model: type[BaseModel], place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Where in a file which model stands."""
    yield place, model
    for name, field in model.model_fields.items():
        for one in (field.annotation, *get_args(field.annotation)):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield from _models_of(one, (*place, name))
