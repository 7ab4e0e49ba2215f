"""Cutting spans out of texts: the only code of the project that changes a text by its labels.

A span is [start, end) in UTF-8 bytes of its text. What does not fit (outside the text, inside a
character, empty) means that the label was made for another text, and is an error: a wrong cut would
leave what was to go and take what was to stay. Spans may come in any order; those that overlap
become one, with the replacement of the first.

Works on Arrow buffers: texts without cuts cost a copy of their bytes, and an array without any
cut is given back as it is.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotators.text.kernels import kernel
from annotators.text.utf8 import Utf8Texts, utf8_texts

CUT: Final = pa.struct(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("replacement", pa.string(), nullable=False),
    ]
)
"""Bytes [start, end) of a text, and what stands there afterwards (may be empty)."""


class _Cuts(NamedTuple):
    """Cuts of all texts by start, none overlapping; places count in the whole buffer."""

    rows: NDArray[np.int64]
    """Which text: int64[num_cuts]."""
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    replacements: Utf8Texts


def apply_cuts(texts: pa.LargeStringArray, cuts: pa.ListArray) -> pa.LargeStringArray:
    """Replaces spans of texts.

    Args:
        texts: large_string, no nulls.
        cuts: list (or large_list) of structs with the fields of CUT, as long as `texts`; null is
            like an empty list.

    Returns:
        As many texts, in the same order.

    Raises:
        ValueError: A cut does not fit its text, or an array has another type, length or a null.
    """
    viewed = utf8_texts(texts)
    _check_cuts(cuts, len(texts))
    spans: Any = pc.list_flatten(cuts)
    if not len(spans):
        return texts
    rows = np.asarray(pc.list_parent_indices(cuts), dtype=np.int64)
    found = _settled(viewed, rows, spans)
    shift = np.diff(found.replacements.offsets) - (found.ends - found.starts)
    grown = np.zeros(len(texts) + 1, np.int64)
    np.add.at(grown, found.rows + 1, shift)
    offsets = viewed.offsets - viewed.offsets[0] + np.cumsum(grown)
    out = np.empty(int(offsets[-1]), np.uint8)
    first, last = int(viewed.offsets[0]), int(viewed.offsets[-1])
    _copy(viewed.data, first, last, found.starts, found.ends, *found.replacements, out)
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(out))


def _check_cuts(cuts: pa.ListArray, num_texts: int) -> None:
    kind = cuts.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    inner = kind.value_type if is_list else None
    fields = {f.name: f.type for f in inner} if inner and pa.types.is_struct(inner) else {}
    if fields != {f.name: f.type for f in CUT}:
        raise ValueError(f"cuts are of type {kind}; give a list of {CUT} for each text")
    if len(cuts) != num_texts:
        raise ValueError(
            f"there are {len(cuts)} lists of cuts for {num_texts} texts; give one a text"
        )


def _settled(texts: Utf8Texts, rows: NDArray[np.int64], spans: pa.StructArray) -> _Cuts:
    """Checks cuts, sorts them and makes one of those that overlap."""
    columns = dict(zip((f.name for f in spans.type), spans.flatten(), strict=True))
    if any(column.null_count for column in columns.values()):
        raise ValueError("a cut has a null start, end or replacement; every cut needs all three")
    starts, ends = (columns[name].to_numpy() for name in ("start", "end"))
    _check_places(texts, rows, starts, ends)
    first = texts.offsets[rows]
    starts, ends = starts + first, ends + first
    # Texts follow one another in the buffer, so spans of two texts can neither mix nor overlap.
    order = np.lexsort((ends, starts))
    rows, starts, ends = rows[order], starts[order], ends[order]
    reach = np.maximum.accumulate(ends)
    begins = np.flatnonzero(np.concatenate([[True], starts[1:] >= reach[:-1]]))
    lasts = np.concatenate([begins[1:], [len(starts)]]) - 1
    replacements = columns["replacement"].take(pa.array(order[begins])).cast(pa.large_string())
    return _Cuts(rows[begins], starts[begins], reach[lasts], utf8_texts(replacements))


def _check_places(
    texts: Utf8Texts,
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    first, sizes = texts.offsets[rows], np.diff(texts.offsets)[rows]
    is_outside = (starts < 0) | (ends > sizes) | (starts >= ends)
    if is_outside.any():
        at = int(np.argmax(is_outside))
        raise ValueError(
            f"text {rows[at]} has {sizes[at]} bytes and a cut [{starts[at]}, {ends[at]}); a cut "
            "takes at least one byte of its text: the labels were made for another text"
        )
    for places in (starts, ends):
        inside = np.minimum(first + places, len(texts.data) - 1)
        is_split = (places < sizes) & (texts.data[inside] & 0xC0 == 0x80)
        if is_split.any():
            at = int(np.argmax(is_split))
            raise ValueError(
                f"text {rows[at]} has a cut [{starts[at]}, {ends[at]}) that begins or ends inside "
                "a UTF-8 character: the labels were made for another text"
            )


@kernel
def _copy(
    data: NDArray[np.uint8],
    first: int,
    last: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    replacement_data: NDArray[np.uint8],
    replacement_offsets: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Copies `data[first:last]` without the cuts, with their replacements in place."""
    position, at = first, 0
    for cut in range(len(starts)):
        size = starts[cut] - position
        out[at : at + size] = data[position : starts[cut]]
        at += size
        low, high = replacement_offsets[cut], replacement_offsets[cut + 1]
        out[at : at + high - low] = replacement_data[low:high]
        at += high - low
        position = ends[cut]
    out[at:] = data[position:last]
