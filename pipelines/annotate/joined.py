"""One Parquet file with the documents and their labels side by side.

A workspace keeps each labels set in files of its own, so that changing one leaves the others. Who
wants one file gets it here: rows in the order of the inputs, one batch of texts in memory at a
time. A label column whose name a document column has is called `<set>.<column>`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.annotate.registry import AnnotatorSpec
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.workspace import Workspace

_FIELDS: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # hex digits, as `tokenmill trace` takes it
        DOCUMENT.field("text"),
        pa.field("url", pa.string()),
        DOCUMENT.field("source"),
        pa.field("file", pa.string()),  # relative to the root of its source
        pa.field("offset", pa.int64()),  # byte (JSONL) or row (Parquet) in the file
        DOCUMENT.field("license"),
        DOCUMENT.field("declared_language"),
        DOCUMENT.field("meta"),
    ]
)
"""Columns of documents."""
_READ: Final = ["id", "text", "uri", "source", "locator", "license", "declared_language", "meta"]
_BATCH_ROWS: Final = 1024
_GROUP_BYTES: Final = 32 << 20


def check_join(file: str, inputs: Sequence[str]) -> None:
    """Refuses a file that cannot be written, before any work.

    Args:
        file: Path or fsspec URL.
        inputs: Paths of the files that are read.

    Raises:
        ValueError: It is an input or a folder, is not called .parquet, or cannot be made.
    """
    if not file.endswith(".parquet"):
        raise ValueError(f"--join: found {file!r}; allowed is a file .parquet: name one")
    if "://" in file:
        return
    path = Path(file).resolve()
    if any("://" not in one and Path(one).resolve() == path for one in inputs):
        raise ValueError(f"--join: {file} is an input, which is never written; name another file")
    if path.is_dir():
        raise ValueError(f"--join: {file} is a folder; allowed is a file .parquet: name one in it")
    above = next(one for one in path.parents if one.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        problem = "is read-only" if above.is_dir() else "is a file"
        raise ValueError(
            f"--join: {file} needs the folder {path.parent}, but {above} {problem}; allowed is a "
            "file in a folder that is there or can be made: name another"
        )


def write_joined(
    workspace: Workspace,
    extract: Mapping[str, Generation],
    annotate: Mapping[str, Sequence[Generation]],
    specs: Sequence[AnnotatorSpec],
    keys: Sequence[PartKey],
    file: str,
) -> int:
    """Writes documents with their labels; gives the number of rows.

    Args:
        workspace: Where they are.
        extract: Source -> generation of its documents.
        annotate: Source -> generations of its labels sets, one for each of `specs`, in order.
        specs: The annotators.
        keys: Parts, in the order of the rows.
        file: Path or URL to write; it is there when all of it is, and its folder is made.
    """
    schema = _schema(specs)
    num_rows = 0
    with _draft(file) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        pending: list[pa.RecordBatch] = []
        for key in keys:
            made = annotate[key.source]
            for batch in _rows(workspace, extract[key.source], made, specs, key, schema):
                num_rows += batch.num_rows
                pending.append(batch)
                if sum(one.nbytes for one in pending) >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(pending))
                    pending = []
        if pending:
            writer.write_table(pa.Table.from_batches(pending))
    return num_rows


def _schema(specs: Sequence[AnnotatorSpec]) -> pa.Schema:
    fields = list(_FIELDS)
    for spec in specs:
        for field in spec.annotator.columns:
            clash = field.name in _FIELDS.names
            name = f"{spec.annotator.name}.{field.name}" if clash else field.name
            fields.append(field.with_name(name).with_nullable(True))
    return pa.schema(fields)


def _rows(
    workspace: Workspace,
    extract: Generation,
    made: Sequence[Generation],
    specs: Sequence[AnnotatorSpec],
    key: PartKey,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """The rows of one part."""
    storage, ledger = workspace.storage, workspace.ledger
    labels: list[pa.Array] = []
    for spec, generation in zip(specs, made, strict=True):
        ref = ledger.get(generation, key.source, key.part).file("labels")
        names = spec.annotator.columns.names
        table = read_table(storage, ref, names)
        labels += [table.column(name).combine_chunks() for name in names]
    documents = ledger.get(extract, key.source, key.part).file("documents")
    start = 0
    for batch in read_batches(storage, documents, _READ, batch_rows=_BATCH_ROWS):
        columns = [*_document(batch), *(one.slice(start, batch.num_rows) for one in labels)]
        start += batch.num_rows
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _document(batch: pa.RecordBatch) -> list[pa.Array]:
    ids = [id_.hex() for id_ in batch.column("id").to_pylist()]
    place = batch.column("locator")
    return [
        pa.array(ids, pa.string()),
        batch.column("text"),
        batch.column("uri"),
        batch.column("source"),
        pc.struct_field(place, "file"),
        pc.struct_field(place, "offset"),
        batch.column("license"),
        batch.column("declared_language"),
        batch.column("meta"),
    ]


@contextmanager
def _draft(file: str) -> Iterator[pa.NativeFile]:
    """A file that takes its name when it is whole; an object store does so by itself."""
    if "://" in file:
        with fsspec.open(file, "wb") as opened:
            yield opened
        return
    draft = Path(f"{file}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        with draft.open("wb") as opened:
            yield opened
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)
