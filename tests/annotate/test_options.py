"""Values of options against the types of parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from pipelines.annotate.options import check_types, words_of


def taking(
    number: float = 1,
    count: int = 1,
    names: Sequence[str] = (),
    pairs: tuple[tuple[int, float], ...] = (),
    kind: Literal["a", "b"] = "a",
    untyped=None,  # type: ignore[no-untyped-def]  # noqa: ANN001
    implicit: str = None,  # type: ignore[assignment]  # noqa: RUF013
    wrong: tuple[int] = (1, 2),  # type: ignore[assignment]
    schema: pa.Schema | None = None,
    **rest: int,
) -> None:
    pass


@pytest.mark.parametrize(
    "options",
    [
        {"number": 2, "count": 3, "names": ["a"], "pairs": [[1, 0.5], [2, 1]], "kind": "b"},
        {"untyped": [1], "implicit": None, "wrong": ["any"], "other": "any"},
        {"number": 0.5, "implicit": "x", "schema": None},
    ],
)
def test_values_of_the_type_pass(options: dict[str, Any]) -> None:
    check_types(taking, options)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("number", "2", r'number: found "2"; allowed is a number'),
        ("number", True, r"number: found true; allowed is a number"),
        ("count", 1.5, r"count: found 1.5; allowed is a whole number"),
        ("names", "ab", r'names: found "ab"; allowed is a list \[a text, \.\.\.\]: write \[ab\]'),
        ("names", [1], r"names: found \[1\]"),
        ("pairs", [[1]], r"allowed is a list \[a list"),
        ("kind", "c", r"""kind: found "c"; allowed is 'a' or 'b'"""),
        ("implicit", 3, r"implicit: found 3; allowed is a text or null: .*into quotes"),
    ],
)
def test_values_of_another_type_are_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_types(taking, {option: value})


def test_types_in_words() -> None:
    assert words_of(str | Path | None) == "a path or null"
    assert words_of(Mapping[str, float | None]) == "a mapping {NAME: a number or null, ...}"
