"""What `tokenmill annotate --list` shows: every registered annotator, and what it is made of."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from pipelines.annotate.registry import BUILTIN, spec_of
from pipelines.config import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

ROOT: Final = Path(__file__).parents[2]
_CARD: Final = "CARD.md"
_LICENCE_LINE: Final = re.compile(
    r"^\W*Licen[cs]e:?\W*\s+([A-Za-z0-9][A-Za-z0-9.+-]*)", re.MULTILINE
)
_LICENCE_SAID: Final = re.compile(
    r"(?:under|licen[cs]e)\b[^.|]{0,60}?\b(CC-BY-SA-4\.0|CC-BY-4\.0|CC0-1\.0|Apache-2\.0|MIT)\b"
)
_OTHERS: Final = (
    "Beside these: your own as module:Class or module:function, and datatrove:NAME for any filter "
    "of datatrove."
)
_MEGABYTE: Final = 1_000_000


class Model(NamedTuple):
    """A file that decides labels."""

    path: Path
    num_bytes: int
    licence: str
    """As the card in its folder says; empty where there is none, or it says nothing."""


class Listed(NamedTuple):
    """A registered annotator."""

    name: str
    version: str
    columns: pa.Schema | None
    """None where options decide them."""
    inputs: tuple[str, ...]
    models: tuple[Model, ...] | None
    """None where options name them."""


def registered() -> Iterator[Listed]:
    """All annotators of the registry, by name, with their default options."""
    for name in sorted(BUILTIN):
        try:
            annotator = spec_of(name, {}).annotator
        except ConfigError:  # it cannot be made without options
            yield _without_options(name)
            continue
        models = tuple(_model(path) for path in annotator.model_files())
        yield Listed(name, annotator.version, annotator.columns, annotator.inputs, models)


def _without_options(name: str) -> Listed:
    module, _, attribute = BUILTIN[name].partition(":")
    made: Any = getattr(importlib.import_module(module), attribute)
    columns = getattr(made, "columns", None)
    return Listed(
        name,
        getattr(made, "version", ""),
        columns if isinstance(columns, pa.Schema) else None,
        tuple(getattr(made, "inputs", ())),
        None,
    )


def _model(path: Path) -> Model:
    card = path.parent / _CARD
    licence = licence_of(card.read_text(encoding="utf-8")) if card.is_file() else ""
    return Model(path, path.stat().st_size if path.is_file() else 0, licence)


def licence_of(card: str) -> str:
    """The licence that a card names: in a line `Licence: ID`, or in a sentence; else empty."""
    found = _LICENCE_LINE.search(card) or _LICENCE_SAID.search(card)
    return found[1].rstrip(".") if found else ""


def show_annotators(console: "Console") -> None:
    """Prints them, a block each: columns with their types, inputs, files that decide labels."""
    from pipelines.commands.screen import wrapped

    for one in registered():
        told = [f"{one.name} {one.version}".rstrip()]
        columns = "as its options say"
        if one.columns is not None:
            columns = ", ".join(f"{field.name} {_short(field.type)}" for field in one.columns)
        told.append(f"columns: {columns}")
        told.append(f"inputs: {', '.join(one.inputs) or 'none but the text'}")
        if one.models is None:
            told.append("needs options")
        for model in one.models or ():
            said = model.licence or "licence: see NOTICE"
            size = f"{model.num_bytes / _MEGABYTE:.2f} MB"
            told.append(f"file: {_below_root(model.path)}, {size}, {said}")
        console.print(told[0], style="bold")
        for line in told[1:]:
            console.print(f"  {wrapped(line, console.width - 2, indent=6)}", soft_wrap=True)
    console.print(wrapped(_OTHERS, console.width), soft_wrap=True)


def _short(type_: pa.DataType) -> str:
    """The type in few words: structs by the names of their fields."""
    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        return f"list of ({', '.join(field.name for field in type_.value_type)})"
    return str(type_)


def _below_root(path: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else str(path)
