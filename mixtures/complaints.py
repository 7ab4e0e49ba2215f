"""What pydantic found, said to the author: key path, what was found, what is allowed, what to do.

What is allowed is the description of the field, which editors show too.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mixtures.errors import listed, nearest

SHARE: Final = "a number above 0, relative to the other shares (they need not sum to 1)"

_Location = tuple[int | str, ...]
_Models = Mapping[str, type[BaseModel]]
_SHAPES: Final = {
    "shares": ("word", "temperature", "groups"),
    "weight": ("expression", "curve", "quadmix"),
}
"""Tags of the unions below a key: pydantic names them in its paths, but nobody wrote them."""


def complaint(error: ErrorDetails, root: type[BaseModel], models: _Models) -> str:
    """Says one error.

    Args:
        error: One of `ValidationError.errors()`.
        root: The model of the file.
        models: The model that stands below a key.

    Returns:
        One line, for example `stages[0].shares.eng_Latn: found -1; allowed: ...; change ...`.
    """
    loc = _written(error["loc"])
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in loc).lstrip(".")
    prefix = f"{path}: " if path else ""
    above = root
    for key in loc[:-1]:
        above = models.get(str(key), above)
    if error["type"] == "value_error":
        return prefix + str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return prefix + _unknown_key(str(loc[-1]), above)
    if error["type"] == "missing":
        return f"{prefix}missing; allowed: {_allowed(loc, above)}; add this key"
    found = repr(error["input"])
    return f"{prefix}found {found}; allowed: {_allowed(loc, above)}; change this value"


def _written(loc: _Location) -> _Location:
    for key, shapes in _SHAPES.items():
        if key in loc:
            branch = loc.index(key) + 1
            if branch < len(loc) and loc[branch] in shapes:
                return loc[:branch] + loc[branch + 1 :]
    return loc


def _unknown_key(key: str, above: type[BaseModel]) -> str:
    known = _keys(above)
    return f"unknown key {key!r}; {nearest(key, known)}allowed: {listed(known)}; rename or remove"


def _allowed(loc: _Location, above: type[BaseModel]) -> str:
    if isinstance(loc[-1], int):
        return f"a mapping with the keys {listed(_keys(above))}"
    # An entry of a mapping is no field; the field that holds the mapping says what it may be.
    for key in reversed(loc):
        field = _keys(above).get(str(key))
        if field is not None:
            return field.description or ""
    return SHARE


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields of a model by the keys that are written for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
