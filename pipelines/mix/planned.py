"""Planned tokens: what a document is expected to take in a shard, known before its text is read.

    planned = round(num_tokens * kept bytes / num_bytes + tokens of the replacements) + 1 EOD

Kept bytes lie outside the spans that the stage redacts or cuts (`cut_spans`); spans that overlap
become one cut with the replacement of the first, as `annotators.text.cuts` cuts them. Without a cut
the plan is exact. With one it is off by what the neighbours of a cut merge into and by cut bytes
being dearer or cheaper than the mean byte of their document; the writer counts both and reports the
difference. A document of which no byte is kept is known here and never drawn; one of which only
white space is kept is found by the writer, who reads the text.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures.errors import MixtureError
from mixtures.expressions import NUM_TOKENS
from mixtures.spec import REDACTABLE, Stage
from pipelines.mix.cut_spans import CutSpans, spans_of

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


class Planned(NamedTuple):
    """What n documents are planned with."""

    tokens: npt.NDArray[np.int64]
    """int64[n], EOD included."""
    cut_to_nothing: npt.NDArray[np.bool_]
    """bool[n]: the cuts leave no byte and put nothing in its place."""


def planned_tokens(
    stage: Stage, labels: pa.Table, replacement_tokens: Mapping[str, int]
) -> Planned:
    """Tokens that each document is planned with.

    Args:
        stage: Says what is redacted and cut.
        labels: n rows with `num_tokens` and, where something is redacted or cut, `num_bytes` and
            the stage's `cut_columns`; no nulls among them.
        replacement_tokens: Kind -> tokens that stand in place of a span that is redacted.

    Raises:
        MixtureError: The labels lack a column, or a span lies outside its document.
    """
    num_tokens = _whole_numbers(labels, NUM_TOKENS)
    planned = Planned(num_tokens + EOD_TOKENS, np.zeros(len(num_tokens), np.bool_))
    if not stage.cut_columns:
        return planned
    if NUM_BYTES not in labels.column_names:
        raise MixtureError(
            f"{stage.place} redacts or cuts, and the labels have no column {NUM_BYTES!r}; make the "
            "labels set 'length' anew with `tokenmill run`, or remove redact and cut"
        )
    spans = spans_of(stage, labels)
    if not len(spans):
        return planned
    num_bytes = _whole_numbers(labels, NUM_BYTES)
    spans.check(num_bytes)
    touched, cut, added, replaced = _settled(spans.applied(), replacement_tokens)
    kept = num_bytes[touched] - cut
    share = num_tokens[touched] * kept / num_bytes[touched]
    planned.tokens[touched] = np.rint(share + added).astype(np.int64) + EOD_TOKENS
    planned.cut_to_nothing[touched] = (kept == 0) & (replaced == 0)
    return planned


def _whole_numbers(labels: pa.Table, name: str) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = labels.column(name).to_numpy().astype(np.int64, copy=False)
    return numbers


class _Settled(NamedTuple):
    """What becomes of the documents that have cuts, int64 each."""

    rows: npt.NDArray[np.int64]
    cut_bytes: npt.NDArray[np.int64]
    added_tokens: npt.NDArray[np.int64]
    replaced: npt.NDArray[np.int64]
    """Cuts with something in their place."""


def _settled(spans: CutSpans, replacement_tokens: Mapping[str, int]) -> _Settled:
    """Makes one cut of spans that overlap, and adds up by document."""
    rows, places = np.unique(spans.rows, return_inverse=True)
    # Documents one after the other, so that spans of two can neither mix nor overlap.
    shift = places * (int(spans.ends.max()) + 1)
    starts, reach = spans.starts + shift, np.maximum.accumulate(spans.ends + shift)
    begins = np.flatnonzero(np.r_[True, starts[1:] >= reach[:-1]])
    lasts = np.r_[begins[1:], len(starts)] - 1
    redacted = spans.kinds[: spans.num_redacted]
    of_kind = [replacement_tokens[kind] for kind in redacted]
    tokens = np.array(of_kind + [0] * (len(spans.kinds) - len(redacted)), np.int64)
    codes, at = spans.codes[begins], places[begins]
    return _Settled(
        rows,
        np.bincount(at, reach[lasts] - starts[begins], len(rows)).astype(np.int64),
        np.bincount(at, tokens[codes], len(rows)).astype(np.int64),
        np.bincount(at, codes < len(redacted), len(rows)).astype(np.int64),
    )
