"""Planned tokens: what a document is expected to take in a shard, known before its text is read.

    planned = round(num_tokens * kept bytes / num_bytes + tokens of the replacements) + 1 EOD

Kept bytes lie outside the spans that the stage redacts; spans that overlap become one cut with the
replacement of the first, as `annotators.text.cuts` cuts them. Without a cut the plan is exact. With
one it is off by what the neighbours of a cut merge into and by cut bytes being dearer or cheaper
than the mean byte of their document; the writer counts both and reports the difference.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.errors import MixtureError
from mixtures.expressions import NUM_TOKENS
from mixtures.spec import REDACTABLE, REDACTION_LABELS

NUM_BYTES: Final = "num_bytes"
"""Label column of a document's UTF-8 bytes; the `length` labels have it."""

EOD_TOKENS: Final = 1


def count_replacements(tokenizer: str, *, eod: str = "<|endoftext|>") -> dict[str, int]:
    """Tokens of what stands in place of each kind of span.

    Args:
        tokenizer: As corpus.yaml names it.
        eod: Text of the token that ends a document; nothing is counted by it.

    Returns:
        Kind -> tokens of `<kind>` alone, for every kind that can be redacted.
    """
    from token_shards.tokenizer import load_tokenizer

    written = pa.array([f"<{kind}>" for kind in REDACTABLE], pa.large_string())
    counts = load_tokenizer(tokenizer, eod=eod).count(written)
    return dict(zip(REDACTABLE, counts.tolist(), strict=True))


def planned_tokens(
    labels: pa.Table, kinds: Sequence[str], replacement_tokens: Mapping[str, int]
) -> npt.NDArray[np.int64]:
    """Tokens that each document is planned with.

    Args:
        labels: n rows with `num_tokens` and, where something is redacted, `num_bytes` and `pii`; no
            nulls among them.
        kinds: What the stage redacts.
        replacement_tokens: Kind -> tokens that stand in place of a span.

    Returns:
        int64[n], EOD included.

    Raises:
        MixtureError: The labels lack a column, or a span lies outside its document.
    """
    num_tokens = _whole_numbers(labels, NUM_TOKENS)
    planned = num_tokens + EOD_TOKENS
    if not kinds:
        return planned
    _check_columns(labels, kinds)
    spans = _Spans(labels.column(REDACTION_LABELS), kinds)
    if not len(spans.rows):
        return planned
    num_bytes = _whole_numbers(labels, NUM_BYTES)
    touched, places = np.unique(spans.rows, return_inverse=True)
    spans.check(num_bytes)
    cut, added = spans.settled(places, replacement_tokens)
    kept = num_bytes[touched] - cut
    share = num_tokens[touched] * kept / num_bytes[touched]
    planned[touched] = np.rint(share + added).astype(np.int64) + EOD_TOKENS
    return planned


def _whole_numbers(labels: pa.Table, name: str) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = labels.column(name).to_numpy().astype(np.int64, copy=False)
    return numbers


def _check_columns(labels: pa.Table, kinds: Sequence[str]) -> None:
    for column, maker in ((REDACTION_LABELS, REDACTION_LABELS), (NUM_BYTES, "length")):
        if column not in labels.column_names:
            raise MixtureError(
                f"a stage redacts {', '.join(kinds)}, and the labels have no column {column!r}; "
                f"make the labels set '{maker}' anew with `tokenmill run`, or remove redact"
            )


class _Spans:
    """The spans of some kinds, int64[num_spans] each, by document, start and end."""

    def __init__(self, column: pa.ChunkedArray, kinds: Sequence[str]) -> None:
        lists = column.combine_chunks()
        flat = pc.list_flatten(lists)
        rows = pc.list_parent_indices(lists).to_numpy()
        code = pc.index_in(pc.struct_field(flat, "kind"), value_set=pa.array(kinds, pa.string()))
        codes = code.fill_null(-1).to_numpy()
        chosen = codes >= 0
        starts = pc.struct_field(flat, "start").to_numpy()[chosen]
        ends = pc.struct_field(flat, "end").to_numpy()[chosen]
        rows = rows[chosen].astype(np.int64)
        order = np.lexsort((ends, starts, rows))
        self.kinds = list(kinds)
        self.rows, self.codes = rows[order], codes[chosen][order]
        self.starts, self.ends = starts[order], ends[order]

    def check(self, num_bytes: npt.NDArray[np.int64]) -> None:
        """Refuses spans that are not of these documents.

        Raises:
            MixtureError: One is empty or lies outside its document.
        """
        wrong = (self.starts < 0) | (self.starts >= self.ends) | (self.ends > num_bytes[self.rows])
        if wrong.any():
            at = int(np.argmax(wrong))
            raise MixtureError(
                f"found a span [{self.starts[at]}, {self.ends[at]}) in a document of "
                f"{num_bytes[self.rows[at]]} bytes; the '{REDACTION_LABELS}' labels were made for "
                "another text: run `tokenmill audit`"
            )

    def settled(
        self, places: npt.NDArray[np.int64], replacement_tokens: Mapping[str, int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Bytes cut and tokens put in their place, of each document with spans.

        Args:
            places: int64[num_spans]: position, among the documents with spans, of each span's.
            replacement_tokens: Kind -> tokens.
        """
        # Documents one after the other, so that spans of two can neither mix nor overlap.
        shift = places * (int(self.ends.max()) + 1)
        starts, reach = self.starts + shift, np.maximum.accumulate(self.ends + shift)
        begins = np.flatnonzero(np.r_[True, starts[1:] >= reach[:-1]])
        lasts = np.r_[begins[1:], len(starts)] - 1
        tokens = np.array([replacement_tokens[kind] for kind in self.kinds], np.int64)
        documents = int(places.max()) + 1
        cut = np.bincount(places[begins], reach[lasts] - starts[begins], documents)
        added = np.bincount(places[begins], tokens[self.codes[begins]], documents)
        return cut.astype(np.int64), added.astype(np.int64)
