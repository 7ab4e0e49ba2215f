"""What is said of a mistake in a YAML file or option: the key, what was found, what is allowed."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mixtures.errors import listed, nearest

Models = Mapping[tuple[str, ...], type[BaseModel]]
"""Place of a mapping in a file -> what it is read as."""


def complaints(
    error: ValidationError,
    models: Models,
    root: type[BaseModel],
    before: str = "",
    place: Sequence[str] = (),
) -> str:
    """All mistakes of a file, one a line.

    Args:
        error: What pydantic found.
        models: What mappings are read as.
        root: What the whole is read as.
        before: Begins each line: the file.
        place: Where in the file what was read stands.
    """
    causes = _causes(error.errors())
    for one in causes:
        one["loc"] = (*place, *one["loc"])
    return "\n".join(before + _complaint(one, models, root) for one in causes)


_BOUNDS: Final = {
    "greater_than": ("gt", "numbers above {}"),
    "greater_than_equal": ("ge", "numbers of at least {}"),
    "less_than": ("lt", "numbers below {}"),
    "less_than_equal": ("le", "numbers of at most {}"),
}
"""Type of an error -> name of its bound, and what it allows."""


def _causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without what only follows from another: a list is "too short" when an item is refused."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(
            len(p) > len(error["loc"]) and p[: len(error["loc"])] == error["loc"] for p in places
        )
    ]


def _complaint(error: ErrorDetails, models: Models, root: type[BaseModel]) -> str:
    """Key, what was found, what is allowed, what to do."""
    loc = error["loc"]
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in loc).lstrip(".")
    place = tuple(key for key in loc[:-1] if isinstance(key, str))
    model = models.get(place, root)
    if not loc and error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return (
            f"{path}: unknown key {loc[-1]!r}; {nearest(str(loc[-1]), known)}allowed: "
            f"{listed(known)}; rename or remove it"
        )
    if error["type"] == "missing":
        return f"{path}: missing; add this key"
    return f"{path or 'sources'}: found {error['input']!r}; {allowed_of(error)}; change this value"


def allowed_of(error: ErrorDetails) -> str:
    """What is allowed in place of a refused value, in words that end an error text."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return f"allowed: {context['error']}"
    if kind == "literal_error":
        expected = str(context["expected"])
        near = nearest(str(error["input"]), re.findall(r"'([^']*)'", expected))
        return f"{near}allowed: {expected}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"allowed: {words.format(context[name])}"
    if kind == "tuple_type" and isinstance(error["input"], str):
        return f"allowed: a list, such as [{error['input']!r}]"
    return "allowed: " + error["msg"].replace("valid tuple", "list")
