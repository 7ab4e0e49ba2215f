"""Columns of part files as planning wants them: few, and text as codes.

A code of 4 bytes stands for a language of 8 letters, so a part takes a third of the memory and
comparing with a constant costs one comparison a distinct text. Ids, 16 bytes a row that do not
compress, are read only where they are asked for.
"""

from collections.abc import Collection, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.workspace.ledger import FileRef
from pipelines.workspace.workspace import Workspace

# What a mixture may ask of the document itself, beside its labels.
DOCUMENT_COLUMNS: Final = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("host", pa.string()),
        pa.field("media_type", pa.string()),
        pa.field("license", pa.string()),
        pa.field("declared_language", pa.string()),
        pa.field("provenance_kind", pa.string()),
        pa.field("depth", pa.int32()),
        pa.field("rewrite_index", pa.int32()),
    ]
)
_PROVENANCE: Final = {
    "provenance_kind": "provenance.kind",
    "depth": "provenance.depth",
    "rewrite_index": "provenance.rewrite_index",
}
"""Columns that stand inside a struct, by their path in the file."""

ID: Final = "id"
_ID_BYTES: Final = 16
NULL: Final = "null"
"""What stands for a label that a document does not have."""


def document_columns(
    workspace: Workspace, source: str, ref: FileRef, names: list[str], *, ids: bool, encoded: bool
) -> pa.Table:
    """Columns of the documents themselves; the name of the source needs no reading."""
    read = {name: _PROVENANCE.get(name, name) for name in names if name != "source"}
    paths = [*([ID] if ids else []), *read.values()]
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    if paths:
        table = read_columns(workspace, ref, paths, encoded=encoded)
        flat = table.flatten()
        columns = dict(zip(flat.column_names, flat.columns, strict=True))
    constant = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(ref.rows, np.int32)), pa.array([source])
    )
    made = {ID: columns[ID]} if ids else {}
    for name in names:
        if name == "source":
            made[name] = constant if encoded else constant.cast(pa.string())
        else:
            made[name] = columns[read[name]]
    return pa.table(made) if made else _no_columns(ref.rows)


def _no_columns(rows: int) -> pa.Table:
    """A table of so many rows to which columns can be added."""
    return pa.table({"_": pa.nulls(rows)}).select([])


def read_columns(
    workspace: Workspace, ref: FileRef, columns: list[str], *, encoded: bool
) -> pa.Table:
    """Some columns of a committed file; one thread, for a worker reads several parts at a time."""
    storage = workspace.storage
    opened = pa.OSFile(storage.path(ref.path)) if storage.is_local else storage.open(ref.path)
    with opened as file:
        metadata = pq.read_metadata(file)
        texts = list(_texts(metadata, columns)) if encoded else []
        reader = pq.ParquetFile(
            file,
            metadata=metadata,
            read_dictionary=texts,
            page_checksum_verification=True,
            pre_buffer=True,
        )
        table = reader.read(columns=columns, use_threads=False)
    if table.num_rows != ref.rows:
        raise ValueError(
            f"{ref.path} has {table.num_rows} rows, and the ledger says {ref.rows}; run "
            "`tokenmill audit`"
        )
    return table


def _texts(metadata: pq.FileMetaData, columns: Collection[str]) -> Iterator[str]:
    """Those columns that hold text themselves: inside a struct, Arrow cannot read dictionaries."""
    wanted = set(columns)
    for i in range(metadata.num_columns):
        leaf = metadata.schema.column(i)
        is_text = leaf.logical_type.type == "STRING" and "." not in leaf.path
        if is_text and leaf.path in wanted:
            yield leaf.path


def codes_of(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    """A column as codes and the texts they stand for; null is one of them.

    Args:
        column: n values of any type that can be cast to text.

    Returns:
        int64[n] codes, and the text of each code.
    """
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = encoded.unify_dictionaries().combine_chunks()
    values = [str(value) for value in whole.dictionary.to_pylist()]
    codes = whole.indices.fill_null(len(values)).to_numpy().astype(np.int64)
    return codes, [*values, NULL]


def id_bytes(ids: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] view of an id column."""
    data = np.frombuffer(ids.buffers()[1], np.uint8)
    start = _ID_BYTES * ids.offset
    view: npt.NDArray[np.uint8] = data[start : start + _ID_BYTES * len(ids)]
    return view.reshape(-1, _ID_BYTES)
