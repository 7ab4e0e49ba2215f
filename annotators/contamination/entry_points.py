"""Names of the functions that code benchmarks ask for, and where documents use them.

A solution copied with its comments changed still defines the function that the tests call. So a
document that defines or calls `has_close_elements(` quotes HumanEval, whatever else it says. Names
are compared as they are written, with case, and directly before an opening parenthesis.

A name counts only where it is **distinctive**: at least two words (split at underscores and at
capitals after small letters) and 12 letters. Of the 540 names of half of HumanEval and MBPP these
are 275. In 12,700 files of Python's standard library and of installed packages the distinctive
ones came 33 times, 18 of them `remove_duplicates`, `snake_to_camel` and its reverse; names of two
words and 8 letters came 105 times, plain words such as `split`, `add`, `match` thousands of times.
Items whose name does not count are still found by their words.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.contamination.tables import Table, find_hash, make_table, may_hold
from annotators.text.kernels import inlined_kernel, kernel

_MIN_WORDS, _MIN_LETTERS = 2, 12
_DEFINED: Final = re.compile(r"\bdef\s+(\w+)\s*\(")
_CALLED: Final = re.compile(r"\b(\w+)\s*\(")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEED = np.uint64(0xCBF29CE484222325)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_FINAL = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(32)


class EntryPoints(NamedTuple):
    """Distinctive names, as kernels read them."""

    table: Table
    """Hashes of names; `positions` are numbers in `items` and `name_offsets`."""
    items: NDArray[np.int32]
    """Item of each name: `int32[num_names]`."""
    letters: NDArray[np.uint8]
    """Their bytes, one after another."""
    name_offsets: NDArray[np.int32]
    """`int32[num_names + 1]`."""


def is_distinctive(name: str) -> bool:
    """Says whether a name alone is evidence of a quotation.

    >>> [is_distinctive(name) for name in ("add", "fibonacci", "sort_array", "truncate_number")]
    [False, False, False, True]
    """
    words = [word for part in name.split("_") for word in _HUMP.split(part) if word]
    is_plain = name.isascii() and name.isidentifier()
    return is_plain and len(words) >= _MIN_WORDS and sum(map(len, words)) >= _MIN_LETTERS


def entry_point_of(record: Mapping[str, Any]) -> str:
    """Gives the name of the function that an item asks for, where it is distinctive.

    It is the field `entry_point`, or else the first function that a field of the item defines and,
    where there are fields `test...`, one of those calls.
    """
    name = record.get("entry_point")
    if not isinstance(name, str):
        texts = {key: "\n".join(_texts(value)) for key, value in record.items()}
        tests = {key: text for key, text in texts.items() if key.startswith("test")}
        called = set(_CALLED.findall("\n".join(tests.values())))
        defined = _DEFINED.findall("\n".join(t for key, t in texts.items() if key not in tests))
        name = next((one for one in defined if not called or one in called), "")
    return name if is_distinctive(name) else ""


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def index_entry_points(names: Sequence[str]) -> EntryPoints:
    """Makes the table.

    Args:
        names: Of each item, empty where it has none.
    """
    items = np.array([i for i, name in enumerate(names) if name], np.int32)
    letters = [np.frombuffer(names[i].encode(), np.uint8) for i in items]
    offsets = np.cumsum([0, *map(len, letters)]).astype(np.int32)
    data = np.concatenate([*letters, np.zeros(0, np.uint8)])
    hashes = np.array(
        [_name_hash(data, a, b) for a, b in pairwise(offsets.tolist())],
        np.uint64,
    )
    table = make_table(hashes, np.arange(len(items), dtype=np.int32), 8)
    return EntryPoints(table, items, data, offsets)


@kernel
def _name_hash(data: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    value = _SEED
    for i in range(start, end):
        value = value * _MULTIPLIER + np.uint64(data[i])
    value = (value ^ (value >> _SHIFT)) * _FINAL
    mixed: np.uint64 = value ^ (value >> _SHIFT)
    return mixed


@inlined_kernel
def _is_name_byte(byte: int) -> bool:
    return 0x61 <= byte | 0x20 <= 0x7A or 0x30 <= byte <= 0x39 or byte == 0x5F


@kernel
def find_entry_points(
    data: NDArray[np.uint8],
    start: int,
    end: int,
    names: EntryPoints,
    found: NDArray[np.int64],
) -> int:
    """Finds where one text writes a distinctive name before an opening parenthesis.

    Args:
        data: UTF-8 bytes, `uint8[num_bytes]`.
        start: Start of the text in bytes.
        end: End of the text in bytes.
        names: What is looked for.
        found: Written, as far as it reaches: item, first byte and the byte after the last, from the
            start of the text: `int64[n, 3]`.

    Returns:
        How many there are, also beyond the end of `found`.
    """
    count = 0
    for position in range(start + 1, end):
        if data[position] != 0x28 or not _is_name_byte(data[position - 1]):
            continue
        first = position - 1
        while first > start and _is_name_byte(data[first - 1]):
            first -= 1
        if position - first < _MIN_LETTERS:
            continue
        value = _name_hash(data, first, position)
        if not may_hold(names.table, value):
            continue
        number = find_hash(names.table, value)
        if number < 0:
            continue
        for at in range(names.table.offsets[number], names.table.offsets[number + 1]):
            name = names.table.positions[at]
            begin = names.name_offsets[name]
            length = names.name_offsets[name + 1] - begin
            if length != position - first:
                continue
            is_same = True
            for k in range(length):
                if data[first + k] != names.letters[begin + k]:
                    is_same = False
                    break
            if is_same:
                if count < len(found):
                    found[count, 0] = names.items[name]
                    found[count, 1], found[count, 2] = first - start, position - start
                count += 1
    return count
