"""Options of annotators, held against what the annotator declares to take.

What a command line or corpus.yaml gives is JSON. The types are those that the class or function
writes beside its parameters, so that an annotator of a user's own is checked as a shipped one is:
`pydantic` decides, strictly, so that "5" is no number and 1 is not true. A parameter without a type
takes anything, and so does one whose own default is not of its type.
"""

import datetime
import inspect
import json
import math
import types
from collections import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

_WORDS: Final[Mapping[Any, str]] = {
    str: "a text",
    Path: "a path",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
    Any: "anything",
}
_LISTS: Final = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection)
_MAPPINGS: Final = (dict, abc.Mapping, abc.MutableMapping)
_MAX_SHOWN: Final = 80


def check_names(made_by: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuses options that a class does not take.

    Raises:
        ValueError: There are such, or one is lacking.
    """
    try:
        signature = inspect.signature(made_by)
    except ValueError:  # a class of C has none
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        raise ValueError(
            f"options {sorted(options)}: {error}; allowed are "
            f"{', '.join(signature.parameters) or 'none'}; rename, add or remove one"
        ) from None


def check_types(made_by: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuses values that are not of the type that their parameter has.

    Args:
        made_by: Class or function.
        options: By name, as JSON has them; what `made_by` does not name is not looked at.

    Raises:
        ValueError: A value is of another type.
    """
    try:
        signature = inspect.signature(made_by)
        hints = get_type_hints(made_by.__init__ if inspect.isclass(made_by) else made_by)
    except (ValueError, NameError, TypeError, AttributeError):  # of C, or of names not imported
        return
    for name, value in options.items():
        parameter = signature.parameters.get(name)
        variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        if parameter is None or parameter.kind in variable or name not in hints:
            continue
        hint, default = hints[name], parameter.default
        if default is None:
            hint = hint | None if isinstance(hint, type | types.UnionType) else Union[hint, None]  # noqa: UP007
        if default is not parameter.empty and not _is_of(hint, default, is_json=False):
            continue
        if not _is_of(hint, value, is_json=True):
            raise ValueError(
                f"{name}: found {_shown(value)}; allowed is {words_of(hint)}: "
                f"{_remedy(hint, value)}"
            )


def refuse_not_json(options: Any) -> None:  # noqa: ANN401 - whatever YAML gives
    """Refuses what YAML has and JSON has not.

    Raises:
        ValueError: There is a date, NaN or the like, at any depth.
    """
    if isinstance(options, dict):
        for key, value in options.items():
            refuse_not_json(key)
            refuse_not_json(value)
    elif isinstance(options, list | tuple):
        for value in options:
            refuse_not_json(value)
    elif isinstance(options, float) and not math.isfinite(options):
        raise ValueError(f"an option has the number {options}; allowed are finite ones: change it")
    elif isinstance(options, datetime.date | bytes | set):
        raise ValueError(
            f"an option has the {type(options).__name__} {options!s}; allowed are texts, numbers, "
            "true, false, null, lists and mappings: put it into quotes"
        )


def words_of(hint: Any) -> str:  # noqa: ANN401 - any type
    """A type in words, as a person writes it in YAML."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # A path is written as a text.
        kinds = [one for one in args if not (one is str and Path in args)]
        return " or ".join(dict.fromkeys(words_of(one) for one in kinds))
    if origin is Literal:
        return " or ".join(repr(one) for one in args)
    items = [one for one in args if one is not Ellipsis]
    if (origin or hint) in _MAPPINGS:
        value = f": {words_of(items[1])}" if len(items) == 2 else ": VALUE"
        return f"a mapping {{NAME{value}, ...}}"
    if (origin or hint) in _LISTS:
        return f"a list [{words_of(items[0]) if items else 'VALUE'}, ...]"
    return getattr(hint, "__name__", str(hint))


def _is_of(hint: Any, value: Any, *, is_json: bool) -> bool:  # noqa: ANN401
    """Whether a value is of a type; true of a type that pydantic does not know."""
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        if is_json:
            adapter.validate_json(json.dumps(value), strict=True)
        else:
            adapter.validate_python(value)
    except ValidationError:
        return False
    except (PydanticSchemaGenerationError, PydanticUserError):
        return True
    return True


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON
    told = json.dumps(value, ensure_ascii=False)
    return told if len(told) <= _MAX_SHOWN else f"{told[: _MAX_SHOWN - 3]}..."


def _remedy(hint: Any, value: Any) -> str:  # noqa: ANN401 - any type, any JSON
    if isinstance(value, str) and (get_origin(hint) or hint) in _LISTS:
        return f"write [{value}]"
    kinds = get_args(hint) or (hint,)
    if isinstance(value, bool | int | float) and (str in kinds or Path in kinds):
        return "if it is meant as a text, put it into quotes"
    return "write it so"
