"""Spans of a part as its labels: lists of structs, and the share of the text that they hold."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.repeats.plan import LABEL_SCHEMAS, SPANS


class Spans(NamedTuple):
    """Spans of some texts, by text and place, none overlapping."""

    rows: npt.NDArray[np.int64]
    """The text of each, ascending: int64[n]."""
    kinds: pa.StringArray
    starts: npt.NDArray[np.int64]
    """First byte: int64[n]."""
    ends: npt.NDArray[np.int64]
    """The byte after the last: int64[n]."""
    documents: npt.NDArray[np.int64]
    """That hold it: int64[n]."""
    firsts: npt.NDArray[np.bool_] | None
    """Whether this document is the first of them: bool[n]; None for boilerplate."""


def labels_of(
    level: str, ids: pa.Array, num_bytes: npt.NDArray[np.int64], spans: Spans
) -> pa.RecordBatch:
    """LABEL_SCHEMAS rows of some documents.

    Args:
        level: `boilerplate` or `repeats`.
        ids: Of the documents.
        num_bytes: Of their texts: int64[num_documents].
        spans: Theirs.
    """
    columns = [
        spans.kinds,
        pa.array(spans.starts),
        pa.array(spans.ends),
        pa.array(spans.documents.astype(np.int32)),
    ]
    if spans.firsts is not None:
        columns.append(pa.array(spans.firsts))
    values = pa.StructArray.from_arrays(columns, fields=list(SPANS[level]))
    offsets = np.searchsorted(spans.rows, np.arange(len(ids) + 1)).astype(np.int32)
    held = np.zeros(len(ids), np.int64)
    np.add.at(held, spans.rows, spans.ends - spans.starts)
    share = (held / np.maximum(num_bytes, 1)).astype(np.float32)
    schema = LABEL_SCHEMAS[level]
    lists = pa.ListArray.from_arrays(pa.array(offsets), values).cast(schema.field(level).type)
    return pa.RecordBatch.from_arrays([ids, lists, pa.array(share)], schema=schema)
