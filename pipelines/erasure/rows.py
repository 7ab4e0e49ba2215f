"""What is left of an erased row: its id, its place among the others, and what was counted.

Rows stay, because labels stand beside documents row by row, and because every count of the ledger
goes on being true. What a person could read goes: texts, addresses, titles, names of files,
messages that quote. What stays are ids and other hashes, numbers, languages, and labels that are
one of a few words.

Of an erased document the hash of its normalised text is kept as its root: it decides whether a text
is held out, and what was made of the document is traced back to it. An address becomes the hash of
itself (`pseudonyms`): it stays what it was for counting and says nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.hashing import normalised_text_hashes
from pipelines.crawl.fetches import PSEUDONYM
from pipelines.workspace.schema import LOCATOR, PROVENANCE

EXTRACTOR: Final = "erased"
"""In `extractor` of a document that was erased; by it an erased row is known without its text."""
REASON: Final = "erased"
"""Reason of a sample that was erased; its verdict is `rejected`, so no set takes it."""
_NOWHERE: Final = {"file": "", "offset": 0, "length": 0, "pages": None}
_SAMPLE_TEXTS: Final = ("query", "messages", "reasoning", "response", "final_answer", "reference")
_SAMPLE_MORE: Final = ("tests", "message", "style", "domain")
_HELD_TEXTS: Final = ("etag", "last_modified", "sent_digest", "record_uri")
_HASH_DIGITS: Final = 32

Mask = npt.NDArray[np.bool_]


def pseudonyms(addresses: Any) -> pa.StringArray:  # noqa: ANN401 - pyarrow has no types
    """The hash of each address, `erased:` and 32 hexadecimal digits of SHA-256; null stays null.

    Args:
        addresses: string[n]; what is a pseudonym already stays as it is.
    """
    told = [None if a is None else _pseudonym(a) for a in addresses.to_pylist()]
    return pa.array(told, pa.string())


def _pseudonym(address: str) -> str:
    if address.startswith(PSEUDONYM):
        return address
    return PSEUDONYM + hashlib.sha256(address.encode()).hexdigest()[:_HASH_DIGITS]


def is_pseudonym(addresses: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Which addresses were erased: bool[n], false where null."""
    return pc.fill_null(pc.starts_with(addresses, PSEUDONYM), False)


def erase_documents(
    rows: pa.RecordBatch, mask: Mask, moved: Mapping[str, str], *, made: bool
) -> pa.RecordBatch:
    """Documents without what is erased.

    Args:
        rows: DOCUMENT rows.
        mask: bool[n], those to erase.
        moved: Old name of a file -> new one, in locators.
        made: Whether a recipe made them: then a locator is a row of a documents part, which tells
            nothing and is held against that part by the audit, and stays.
    """
    rows = _move(rows, moved)
    if not mask.any():
        return rows
    roots = normalised_text_hashes(rows.column("text").cast(pa.large_string()))
    provenance = _with_roots(rows.column("provenance"), roots, mask)
    rows = _set(rows, "provenance", provenance)
    blank: dict[str, Any] = {"text": "", "uri": None, "host": None, "meta": None}
    if not made:
        blank["locator"] = _NOWHERE
    return _blank(rows, mask, {**blank, "extractor": EXTRACTOR})


def erase_rejects(
    rows: pa.RecordBatch, mask: Mask, moved: Mapping[str, str], *, made: bool
) -> pa.RecordBatch:
    """REJECT rows without addresses and messages; see `erase_documents`."""
    blank: dict[str, Any] = {"uri": None, "message": ""}
    if not made:
        blank["locator"] = _NOWHERE
    return _blank(_move(rows, moved), mask, blank)


def erase_pages(rows: pa.RecordBatch, mask: Mask, moved: Mapping[str, str]) -> pa.RecordBatch:
    """PAGES rows without the names of their files; figures stay."""
    file = _renamed(rows.column("file"), moved)
    return _blank(_set(rows, "file", file), mask, {"file": ""})


def erase_samples(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """SAMPLE rows without what was asked and answered, rejected."""
    blank: dict[str, Any] = {
        name: _nothing(rows.schema.field(name))
        for name in (*_SAMPLE_TEXTS, *_SAMPLE_MORE)
        if name in rows.schema.names
    }
    return _blank(rows, mask, {**blank, "verdict": "rejected", "reason": REASON})


def erase_labels(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """Labels of a set that may quote: every column that can hold words is emptied."""
    blank = {
        one.name: _nothing(one) for one in rows.schema if one.name != "id" and _has_words(one.type)
    }
    return _blank(rows, mask, blank)


def erase_fetches(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """FETCHES rows by the hashes of their addresses."""
    rows = _blank(_named_by_hash(rows, mask, ("url", "final_url")), mask, {"message": None})
    return _forget_held(rows, mask)


def erase_links(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """LINKS rows by the hashes of their addresses."""
    return _blank(_named_by_hash(rows, mask, ("url",)), mask, {"host": ""})


def erase_frontier(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """FRONTIER rows by the hashes of their addresses."""
    return _forget_held(erase_links(rows, mask), mask)


def erase_texts(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """Held-out texts without the texts; their hashes stay."""
    present = mask & pc.is_valid(rows.column("text")).to_numpy(zero_copy_only=False)
    return _blank(rows, present, {"text": ""})


def erase_items(lines: Sequence[bytes], ids: frozenset[str]) -> list[bytes]:
    """Passages of held-out texts; of those that are erased the id alone.

    Args:
        lines: JSON objects with `id` (hexadecimal digits of the document, a colon, a number).
        ids: Hexadecimal digits of documents to erase.
    """
    found = []
    for line in lines:
        told = json.loads(line)
        if told["id"].partition(":")[0] in ids:
            # A benchmark may not have items without a word.
            line = json.dumps({"id": told["id"], "text": REASON}).encode()
        found.append(line)
    return found


def _named_by_hash(rows: pa.RecordBatch, mask: Mask, names: Sequence[str]) -> pa.RecordBatch:
    for name in names:
        column = rows.column(name)
        replaced = pc.replace_with_mask(column, pa.array(mask), pseudonyms(column.filter(mask)))
        rows = _set(rows, name, replaced)
    return rows


def _forget_held(rows: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """What a crawl holds of an address, without the address and what the server said."""
    if "held" not in rows.schema.names:
        return rows  # of a crawl that asked for nothing again
    held = rows.column("held")
    fields = [
        _where(mask, None, held.field(i)) if one.name in _HELD_TEXTS else held.field(i)
        for i, one in enumerate(held.type)
    ]
    array = pa.StructArray.from_arrays(fields, fields=list(held.type), mask=pc.is_null(held))
    return _set(rows, "held", array)


def _with_roots(
    provenance: pa.StructArray, roots: pa.FixedSizeBinaryArray, mask: Mask
) -> pa.StructArray:
    place = PROVENANCE.get_field_index("root")
    fields = [provenance.field(i) for i in range(provenance.type.num_fields)]
    known = pc.coalesce(fields[place], roots.cast(fields[place].type))
    fields[place] = pc.if_else(pa.array(mask), known, fields[place])
    kinds = list(provenance.type)
    return pa.StructArray.from_arrays(fields, fields=kinds, mask=pc.is_null(provenance))


def _move(rows: pa.RecordBatch, moved: Mapping[str, str]) -> pa.RecordBatch:
    if not moved:
        return rows
    locator = rows.column("locator")
    fields = [locator.field(i) for i in range(locator.type.num_fields)]
    place = LOCATOR.get_field_index("file")
    fields[place] = _renamed(fields[place], moved)
    kinds = list(locator.type)
    array = pa.StructArray.from_arrays(fields, fields=kinds, mask=pc.is_null(locator))
    return _set(rows, "locator", array)


def _renamed(names: pa.StringArray, moved: Mapping[str, str]) -> pa.StringArray:
    if not moved:
        return names
    places = pc.index_in(names, pa.array(list(moved), pa.string()))
    return pc.coalesce(pa.array(list(moved.values()), pa.string()).take(places), names)


def _blank(rows: pa.RecordBatch, mask: Mask, values: Mapping[str, Any]) -> pa.RecordBatch:
    for name, value in values.items():
        rows = _set(rows, name, _where(mask, value, rows.column(name)))
    return rows


def _where(mask: Mask, value: Any, column: pa.Array) -> pa.Array:  # noqa: ANN401 - pyarrow has no types
    """The column, with the value where the mask is set."""
    if not mask.any():
        return column
    both = pa.concat_arrays([column, pa.array([value], column.type)])
    places = np.where(mask, len(column), np.arange(len(column)))
    return both.take(pa.array(places))


def _set(rows: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    columns = [*rows.columns]
    columns[place] = column
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _has_words(kind: pa.DataType) -> bool:
    """Whether a type can hold what a person reads."""
    if pa.types.is_dictionary(kind):
        return _has_words(kind.value_type)
    nested = [kind.field(i).type for i in range(kind.num_fields)]
    words = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(test(kind) for test in (*words, pa.types.is_large_binary)) or any(
        map(_has_words, nested)
    )


def _nothing(field: "pa.Field[Any]") -> Any:  # noqa: ANN401 - as deep as the type
    """Null, or the empty value of a field that may not be null."""
    kind = field.type
    if field.nullable:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return []
    if pa.types.is_struct(kind):
        return {one.name: _nothing(one) for one in kind}
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return b""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ""
    return False if pa.types.is_boolean(kind) else 0
