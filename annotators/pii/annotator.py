"""The `pii` labels: personal data and secrets of a text as spans of bytes, for a mixture to cut.

Nothing is cut here. A span is [start, end) in UTF-8 bytes of the text, so it fits exactly in any
script, and `apply_cuts` (annotators/text/cuts.py) is the only code that uses it to cut.

What to trust: an e-mail address, a card, an IBAN or a key of a vendor is decided by its form and
check digits; a national number by those and, where they are weak, by a word for it; a telephone
number by the numbering plan of a country; an IPv4 address against version numbers by its
surroundings. Names, postal addresses and dates of birth are not looked for.

Kernels find windows (`triggers`) and rules read only those. On one core of a busy machine 39,000
documents of 4 KB a second (160 MB/s) of software documentation and mathematics, 18,000 of web pages
cut to 4 KB, and 22,000 whole web pages of 3.2 KB. WebOrganizer's examples have, in every 10,000,
464 addresses, 1,604 telephone numbers, 2 national numbers and nothing else; of 61 hits in these
pages, other texts and sentences in many languages, read one by one, all were what they were
taken for. How the cases of `evaluation` fare is printed by `tokenmill evaluate pii`.
"""

import bisect
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from annotators.pii import emails
from annotators.pii.addresses import find_ipv4, find_ipv6
from annotators.pii.cards import find_cards
from annotators.pii.ibans import find_iban
from annotators.pii.keys import find_key
from annotators.pii.national_ids import find_national_code, find_national_ids
from annotators.pii.phones import find_phones
from annotators.pii.triggers import CODE, COLONS, MAIL, NUMBER, find_windows
from annotators.pii.windows import BEFORE, Window, window_of
from annotators.text.utf8 import utf8_texts

KINDS: Final = ("email", "ip", "phone", "card", "iban", "national_id", "key")
"""What a span can be."""

_PRECEDENCE: Final = ("key", "email", "iban", "card", "national_id", "ip", "phone")
"""Which of two kinds keeps bytes that both claim."""

SPAN: Final = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)
_OF_NUMBERS: Final = (
    ("national_id", find_national_ids),
    ("card", find_cards),
    ("ip", find_ipv4),
    ("phone", find_phones),
)
_SMALL_CODE: Final = re.compile(rb"[a-z]{2}(?:[0-9]{2}[a-z0-9]{12}|[a-z]{4}[0-9lmnp-v]{2}[a-z])")
_Hit = tuple[int, int, str]  # bytes [start, end) of the buffer, kind


class Pii:
    """Finds personal data and secrets (an `Annotator`)."""

    name: ClassVar[str] = "pii"
    # Numbering plans and registries change with every release of the libraries.
    version: ClassVar[str] = (
        f"3/phonenumbers-{library_version('phonenumbers')}/stdnum-{library_version('python-stdnum')}"
    )
    inputs: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("pii", pa.list_(pa.field("item", SPAN, nullable=False)), nullable=False),
            pa.field("pii_count", pa.int32(), nullable=False),
        ]
    )

    def model_files(self) -> list[Path]:
        """Gives the list of top-level domains, which decides about e-mail addresses."""
        return [emails.TLDS]

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Finds the spans of texts.

        Args:
            texts: large_string, no nulls.
            labels: Not read.

        Returns:
            One row a text, of schema `columns`: `pii` sorted by start and without overlap,
            `pii_count` their number.

        Raises:
            ValueError: A text is null, or `texts` is of another type.
        """
        viewed = utf8_texts(texts)
        data = viewed.data.data
        windows = find_windows(viewed)
        hits: dict[int, list[_Hit]] = {}
        columns = (column.tolist() for column in windows)
        for row, kind, start, end in zip(*columns, strict=True):
            bounds = (int(viewed.offsets[row]), int(viewed.offsets[row + 1]))
            for hit in _read(data, bounds, kind, start, end):
                hits.setdefault(row, []).append(hit)
        found = {row: _without_overlap(some) for row, some in hits.items()}
        return _batch(found, viewed.offsets, len(texts), self.columns)


def _read(
    data: memoryview, bounds: tuple[int, int], kind: int, start: int, end: int
) -> Iterator[_Hit]:
    """Applies the rules of one kind of window."""
    if kind == MAIL:
        before = bytes(data[max(bounds[0], start - BEFORE) : start])
        email = emails.find_email(bytes(data[start:end]), before)
        if email:
            yield start + email[0], start + email[1], "email"
    elif kind == NUMBER:
        yield from _read_number(window_of(data, bounds, start, end))
    elif kind == CODE:
        yield from _read_code(window_of(data, bounds, start, end))
    elif kind == COLONS:
        around = window_of(data, bounds, start, end)
        address = find_ipv6(
            around.plain[around.start : around.end],
            around.plain[max(0, around.start - 1) : around.start],
            around.plain[around.end : around.end + 2],
        )
        if address:
            yield start + address[0], start + address[1], "ip"
    else:
        key = find_key(data[bounds[0] : bounds[1]], start - bounds[0], end - bounds[0])
        if key:
            yield bounds[0] + key[0], bounds[0] + key[1], "key"
        elif _SMALL_CODE.match(data, start, end):
            yield from _read_code(window_of(data, bounds, start, end), small=True)


def _read_code(window: Window, *, small: bool = False) -> Iterator[_Hit]:
    code = find_national_code(window, small=small)
    kind = "national_id" if code else "iban"
    found = code or find_iban(window)
    if found:
        start, end = window.bytes_at(found)
        yield start, end, kind


def _read_number(window: Window) -> Iterator[_Hit]:
    for kind, find in _OF_NUMBERS:
        found = find(window)
        if not found:
            continue
        places = window.bytes_at([place for span in found for place in span])
        yield from (
            (start, end, kind) for start, end in zip(places[::2], places[1::2], strict=True)
        )


def _without_overlap(hits: list[_Hit]) -> list[_Hit]:
    """Spans by start; of two that meet, the one of the kind with precedence stays."""
    kept: list[_Hit] = []
    for hit in sorted(set(hits), key=lambda one: (_PRECEDENCE.index(one[2]), one[0], -one[1])):
        # Those kept do not overlap, so only the two around the start can reach into it.
        place = bisect.bisect(kept, hit)
        if all(
            hit[0] >= end or hit[1] <= start
            for start, end, _ in kept[max(0, place - 1) : place + 1]
        ):
            kept.insert(place, hit)
    return kept


def _batch(
    found: Mapping[int, list[_Hit]], offsets: np.ndarray, num_texts: int, schema: pa.Schema
) -> pa.RecordBatch:
    counts = np.zeros(num_texts, np.int32)
    spans: list[_Hit] = []
    for row in sorted(found):
        counts[row] = len(found[row])
        first = int(offsets[row])
        spans += [(start - first, end - first, kind) for start, end, kind in found[row]]
    struct = pa.StructArray.from_arrays(
        [
            pa.array([kind for _, _, kind in spans], pa.string()),
            pa.array([start for start, _, _ in spans], pa.int64()),
            pa.array([end for _, end, _ in spans], pa.int64()),
        ],
        fields=list(SPAN),
    )
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    lists = pa.ListArray.from_arrays(pa.array(ends), struct, type=schema.field("pii").type)
    return pa.record_batch([lists, pa.array(counts)], schema=schema)
