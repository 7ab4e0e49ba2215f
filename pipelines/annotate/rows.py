"""What a child does with a batch of texts: all annotators over it, one struct column a labels set.

What an annotator gives is held against what it declares, row by row and type by type, because a
column of another type or order would end in a file that readers join by position.
"""

import json
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from annotators.annotator import Annotator, AnnotatorError
from pipelines.annotate.compiling import clocked
from pipelines.annotate.registry import AnnotatorSpec
from pipelines.workspace.schema import DOCUMENT

FAILED: Final = "failed"
"""Column of the outcome: null, or reason and message, on two lines, of a row without labels."""
_SECONDS: Final = b"cpu_seconds"
_BEGINNING_CHARACTERS: Final = 60


def labels_schema(spec: AnnotatorSpec) -> pa.Schema:
    """Columns of a labels part: `id`, then those of the annotator, all of which may be null."""
    columns = [field.with_nullable(True) for field in spec.annotator.columns]
    return pa.schema([DOCUMENT.field("id"), *columns])


def annotate_rows(batch: pa.RecordBatch, *, specs: tuple[AnnotatorSpec, ...]) -> pa.RecordBatch:
    """Labels of a batch; runs in a child process.

    Args:
        batch: Columns `id`, `text`, and what the annotators need of the document and of labels
            that others made before.
        specs: Each after those whose labels it needs.

    Returns:
        `id`, one struct column for each labels set, and `failed` (null); CPU seconds by labels
        set in the metadata, without those in which kernels were compiled.

    Raises:
        AnnotatorError: An annotator gives something else than it declares.
        RuntimeError: An annotator raised an error: a mistake of its own, not of the text.
    """
    known = {name: batch.column(name) for name in batch.schema.names}
    columns = {"id": known.pop("id")}
    texts = known.pop("text")
    seconds: dict[str, float] = {}
    for spec in specs:
        annotator = spec.annotator
        inputs = {name: known[name] for name in annotator.inputs}
        with clocked() as compiling:
            started = time.process_time()
            made = _call(spec, texts, inputs, columns["id"])
            taken = time.process_time() - started
        arrays = _checked(annotator, made, batch.num_rows)
        seconds[annotator.name] = max(0.0, taken - compiling.seconds)
        known |= arrays
        columns[annotator.name] = _struct(spec, list(arrays.values()))
    columns[FAILED] = pa.nulls(batch.num_rows, pa.string())
    told = {_SECONDS: json.dumps(seconds).encode()}
    return pa.RecordBatch.from_pydict(columns).replace_schema_metadata(told)


def seconds_of(labelled: pa.RecordBatch) -> dict[str, float]:
    """CPU seconds by labels set; nothing where a batch was put together from several."""
    told = (labelled.schema.metadata or {}).get(_SECONDS, b"{}")
    seconds: dict[str, float] = json.loads(told)
    return seconds


def null_row(
    record: pa.RecordBatch, reason: str, message: str, *, specs: tuple[AnnotatorSpec, ...]
) -> pa.RecordBatch:
    """The row of a record that no child survives."""
    columns = {"id": record.column("id")}
    for spec in specs:
        nulls = [pa.nulls(1, field.type) for field in spec.annotator.columns]
        columns[spec.annotator.name] = _struct(spec, nulls)
    columns[FAILED] = pa.array([f"{reason}\n{message}"], pa.string())
    return pa.RecordBatch.from_pydict(columns)


def _struct(spec: AnnotatorSpec, arrays: list[pa.Array]) -> pa.StructArray:
    return pa.StructArray.from_arrays(arrays, fields=list(labels_schema(spec))[1:])


def _call(
    spec: AnnotatorSpec,
    texts: pa.LargeStringArray,
    labels: Mapping[str, pa.Array],
    ids: pa.Array,
) -> Any:  # noqa: ANN401 - whatever a user's annotator gives
    """Calls an annotator; says which one raised, where and on what.

    Raises:
        ValueError: A shipped annotator refuses its model, or one gives what it does not declare.
        RuntimeError: Any other error.
    """
    annotator = spec.annotator
    try:
        return annotator(texts, labels)
    except (MemoryError, AnnotatorError):
        raise
    except Exception as error:
        if spec.is_shipped and isinstance(error, ValueError):
            raise
        document = _first_to_fail(annotator, texts, labels, ids)
        raise RuntimeError(
            f"annotator {annotator.name} raised {_told(error)} (at "
            f"{_place_of(error, spec)}) on {document}; mend it, and give the same command "
            "again: what is committed stays"
        ) from error


def _told(error: Exception) -> str:
    """Kind and message; without the errno by which a full disk of the workspace is known."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"{type(error).__name__}: {message}"


def _place_of(error: BaseException, spec: AnnotatorSpec) -> str:
    """File and line: the last in the annotator's module, for below it are libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    module = sys.modules.get(spec.target.partition(":")[0])
    file = getattr(module, "__file__", None)
    own = [frame for frame in frames if file and Path(frame.filename) == Path(file)]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _first_to_fail(
    annotator: Annotator,
    texts: pa.LargeStringArray,
    labels: Mapping[str, pa.Array],
    ids: pa.Array,
) -> str:
    """The first document of a batch on which an annotator raises alone, in words."""
    for row in range(len(texts)):
        try:
            annotator(texts.slice(row, 1), {n: some.slice(row, 1) for n, some in labels.items()})
        except Exception:  # any error: it is only looked for where it is
            beginning = " ".join(texts[row].as_py()[: 4 * _BEGINNING_CHARACTERS].split())
            return f"document {ids[row].as_py().hex()} ({beginning[:_BEGINNING_CHARACTERS]!r})"
    return f"a batch of {len(texts)} texts, but on none of them alone"


def _checked(annotator: Annotator, made: object, num_rows: int) -> dict[str, pa.Array]:
    """The columns of a result by name.

    Raises:
        AnnotatorError: It is not what the annotator declares.
    """
    name, declared = annotator.name, annotator.columns
    if not isinstance(made, pa.RecordBatch):
        raise AnnotatorError(
            f"annotator {name} gave a {type(made).__name__}; allowed is a pyarrow RecordBatch of "
            f"{declared.names}: change its __call__, or make it a function with the decorator "
            "annotators.annotator.annotator, which takes lists and dicts too"
        )
    if made.schema.names != declared.names:
        raise AnnotatorError(
            f"annotator {name} gave the columns {made.schema.names}; it declares "
            f"{declared.names}: change one of them (the order counts)"
        )
    if made.num_rows != num_rows:
        raise AnnotatorError(
            f"annotator {name} gave {made.num_rows} rows for {num_rows} texts; allowed is one row "
            "for each text, in their order: change its __call__ (null where it knows nothing)"
        )
    for field, column in zip(declared, made.columns, strict=True):
        if column.type != field.type:
            raise AnnotatorError(
                f"annotator {name}, column {field.name}: found values of type {column.type}; it "
                f"declares {field.type}: cast the values, or change `columns`"
            )
    return dict(zip(made.schema.names, made.columns, strict=True))
