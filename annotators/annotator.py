"""What an annotator is: texts in, columns out, with a name, a version and its columns declared.

An annotator never sees ids, files or Beam. What it wants to know beside the text it names in
`inputs` and gets as arrays of the same length: labels of other annotators (the language, for
example), and what a document says of itself (`DOCUMENT_COLUMNS`).

A class follows `Annotator`. A function is made one by the decorator `annotator`:

    @annotator(columns={"num_lines": "int64"})
    def num_lines(texts):
        return [text.count("\\n") + 1 for text in texts.to_pylist()]
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

DOCUMENT_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "url": pa.string(),
    "source": pa.string(),
    "license": pa.string(),
    "declared_language": pa.string(),
    "meta": pa.map_(pa.string(), pa.string()),
    "media_type": pa.string(),
}
"""What an annotator may name in `inputs` beside labels -> its type; null where it is unknown."""


class Annotator(Protocol):
    """Says something about each text of an Arrow array.

    Construction is cheap and loads no model: the driver constructs annotators to learn their
    fingerprint. Models load at the first call. One that needs a file to run may have a method
    `check` (see `Checked`).
    """

    name: str
    """Name of the labels set, in the workspace and in corpus.yaml."""

    version: str
    """Enters the fingerprint; raised whenever the same text would get other columns."""

    columns: pa.Schema
    """Names and types of what `__call__` gives, one row a text."""

    inputs: tuple[str, ...]
    """Label columns of other annotators, and `DOCUMENT_COLUMNS`, that `__call__` needs."""

    def model_files(self) -> list[Path]:
        """Files whose bytes decide the result; their hashes enter the fingerprint."""
        ...

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: One text a row, no nulls.
            labels: The arrays named in `inputs`, each as long as `texts`; a value may be null.

        Returns:
            One row a text, of schema `columns`.
        """
        ...


@runtime_checkable
class Checked(Protocol):
    """What an annotator may have beside: a look at its files before any work starts."""

    def check(self) -> None:
        """Loads what a call will need.

        Raises:
            ValueError: A file is missing or damaged; path and remedy.
        """
        ...


class AnnotatorError(ValueError):
    """An annotator gave something else than it declares."""


Result: TypeAlias = pa.RecordBatch | Mapping[str, Any] | Sequence[Any] | pa.Array
"""What a function may give: a batch, columns by name, or the one column that it declares."""

_PYTHON_TYPES: Final = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}


def annotator(
    columns: pa.Schema | Mapping[str, pa.DataType | str | type],
    inputs: Sequence[str] = (),
    name: str | None = None,
    version: str = "1",
) -> Callable[[Callable[..., Result]], "FunctionAnnotator"]:
    """Makes an annotator of a function.

    The function is called with the texts, and with its inputs by name. Its other parameters, by
    keyword, are options, which corpus.yaml and the command line may set.

    Args:
        columns: Names of what the function gives -> Arrow types, names of them such as "float32"
            or "string", or one of str, bool, int and float.
        inputs: Label columns of other annotators, and `DOCUMENT_COLUMNS`.
        name: Of the labels set; that of the function by default.
        version: Raise it when something outside of the function's module changes its labels.

    Raises:
        ValueError: A type is unknown, or the function does not take its inputs.
    """
    schema = columns if isinstance(columns, pa.Schema) else _schema_of(columns)

    def decorate(function: Callable[..., Result]) -> FunctionAnnotator:
        return FunctionAnnotator(
            function, schema, tuple(inputs), name or function.__name__, version, {}
        )

    return decorate


class FunctionAnnotator:
    """A function as an `Annotator`; made by `annotator`."""

    def __init__(
        self,
        function: Callable[..., Result],
        columns: pa.Schema,
        inputs: tuple[str, ...],
        name: str,
        version: str,
        options: Mapping[str, Any],
    ) -> None:
        """See `annotator`; `options` are further arguments of the function by keyword."""
        self.function, self.options = function, dict(options)
        self.columns, self.inputs = columns, inputs
        self.name, self.version = name, version
        functools.update_wrapper(self, function)
        self._check_signature()

    def with_options(self, **options: Any) -> "FunctionAnnotator":  # noqa: ANN401 - any JSON
        """The same with options.

        Raises:
            ValueError: The function has no such parameter, or lacks one.
        """
        made = FunctionAnnotator(
            self.function, self.columns, self.inputs, self.name, self.version, options
        )
        try:
            inspect.signature(self.function).bind(None, **dict.fromkeys(self.inputs), **options)
        except TypeError as error:
            raise ValueError(
                f"options {sorted(options)}: {error}; allowed are {made.parameters or 'none'}; "
                "change the options"
            ) from None
        return made

    @property
    def parameters(self) -> list[str]:
        """Names of the options that the function takes."""
        return [
            one.name
            for one in list(inspect.signature(self.function).parameters.values())[1:]
            if one.name not in self.inputs and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        ]

    def model_files(self) -> list[Path]:
        """Gives none: the module of the function stands for it."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """What the function gives, as a batch of `columns`.

        Raises:
            AnnotatorError: It is none: other columns, another number of rows, or other types.
        """
        given = {name: labels[name] for name in self.inputs}
        made = self.function(texts, **given, **self.options)
        columns = self._columns_of(made)
        arrays = [self._array(field, columns[field.name]) for field in self.columns]
        wrong = [len(array) for array in arrays if len(array) != len(texts)]
        if wrong:
            raise AnnotatorError(
                f"annotator {self.name} gave {wrong[0]} values for {len(texts)} texts; allowed is "
                "one for each text, in their order (None where it knows nothing): change its "
                "function"
            )
        return pa.RecordBatch.from_arrays(arrays, schema=self.columns)

    def _columns_of(self, made: Result) -> Mapping[str, Any]:
        names = self.columns.names
        if isinstance(made, pa.RecordBatch | pa.Table):
            found: Mapping[str, Any] = dict(zip(made.schema.names, made.columns, strict=True))
        elif isinstance(made, Mapping):
            found = made
        elif len(names) == 1 and made is not None and not isinstance(made, str | bytes):
            found = {names[0]: made}
        else:
            raise AnnotatorError(
                f"annotator {self.name} gave {_kind_of(made)} for the columns {names}; allowed "
                "are a dict of columns by name, a RecordBatch, or for one column a list: change "
                "its function"
            )
        if set(found) != set(names):
            raise AnnotatorError(
                f"annotator {self.name} gave the columns {sorted(map(str, found))}; it declares "
                f"{names}: change one of them"
            )
        return found

    def _array(self, field: "pa.Field[Any]", values: Any) -> pa.Array:  # noqa: ANN401
        try:
            if isinstance(values, pa.ChunkedArray):
                values = values.combine_chunks()
            if pa.types.is_integer(field.type) and not isinstance(values, pa.Array):
                values = pa.array(values)  # else Arrow makes 1.5 a 1
            if isinstance(values, pa.Array):
                return values if values.type == field.type else values.cast(field.type)
            return pa.array(values, field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise AnnotatorError(
                f"annotator {self.name}, column {field.name}: {error}; it declares {field.type}: "
                "change the values or the type"
            ) from error

    def _check_signature(self) -> None:
        parameters = inspect.signature(self.function).parameters
        takes_all = any(one.kind == one.VAR_KEYWORD for one in parameters.values())
        lacking = [name for name in self.inputs if name not in parameters and not takes_all]
        if not parameters or lacking:
            raise ValueError(
                f"annotator {self.name}: found the function ({', '.join(parameters)}); allowed is "
                f"one whose first parameter is the texts and that takes the inputs by name: add "
                f"{', '.join(lacking) or 'texts'}"
            )


def _schema_of(columns: Mapping[str, pa.DataType | str | type]) -> pa.Schema:
    return pa.schema([pa.field(name, _type_of(name, type_)) for name, type_ in columns.items()])


def _type_of(name: str, type_: pa.DataType | str | type) -> pa.DataType:
    if isinstance(type_, pa.DataType):
        return type_
    try:
        if isinstance(type_, str):
            return pa.type_for_alias(type_)
        return _PYTHON_TYPES[type_]
    except (ValueError, KeyError):
        raise ValueError(
            f"column {name}: found the type {type_!r}; allowed are Arrow types, their names such "
            "as 'string', 'bool', 'int64' and 'float32', and str, bool, int and float"
        ) from None


def _kind_of(made: object) -> str:
    return "nothing" if made is None else f"a {type(made).__name__}"
