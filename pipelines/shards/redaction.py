"""What a stage redacts and cuts: spans of labels become cuts, and the tokens on both sides.

A span of personal data of kind k becomes `<k>`; quoted benchmarks, boilerplate and repeats become
nothing (`pipelines.mix.cut_spans` says which spans). Texts are cut in the child that tokenizes
them, and a document with cuts is tokenized twice: as it is, because its label counted that, and as
it is written. So the difference is counted, not guessed; only documents with cuts cost twice.

A document of which the cuts leave white space alone is *emptied*: it has no tokens, not even an
EOD, and is not written, because an empty document teaches only that documents end.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.cuts import CUT, apply_cuts
from pipelines.mix.cut_spans import CutSpans
from token_shards.batch import TokenBatch, gather
from token_shards.tokenizer import Tokenizer

CUTS: Final = pa.list_(pa.field("item", CUT, nullable=False))
"""Type of the cuts of documents."""


def replacement(kind: str) -> str:
    """What stands in place of a span."""
    return f"<{kind}>"


def cuts_of(spans: CutSpans) -> pa.ListArray:
    """The cuts of documents, of type CUTS.

    Args:
        spans: What is taken out of n documents.

    Returns:
        n lists; what stands in place of a span is `replacement` of its kind where it is redacted,
        else nothing.
    """
    applied = spans.applied()
    kinds = [
        replacement(kind) if code < spans.num_redacted else ""
        for code, kind in enumerate(spans.kinds)
    ]
    written = pa.array(kinds, pa.string()).take(pa.array(applied.codes))
    struct = pa.StructArray.from_arrays(
        [pa.array(applied.starts), pa.array(applied.ends), written], fields=list(CUT)
    )
    counts = np.bincount(applied.rows, minlength=spans.num_documents)
    ends = np.r_[0, np.cumsum(counts)].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), struct, type=CUTS)


class CutTokens(NamedTuple):
    """Tokens of n texts on both sides of their cuts."""

    batch: TokenBatch
    """Of the n texts as cut; none where a text is emptied."""
    uncut: npt.NDArray[np.int64]
    """int64[n], tokens of each as it was."""
    is_emptied: npt.NDArray[np.bool_]
    """bool[n]: cuts leave no character but white space."""


def encode_cut(tokenizer: Tokenizer, texts: pa.LargeStringArray, cuts: pa.ListArray) -> CutTokens:
    """Tokens of texts after their cuts, and how many they had before.

    Args:
        tokenizer: Encodes.
        texts: large_string[n].
        cuts: n lists, as `cuts_of` gives them.

    Raises:
        ValueError: A cut does not fit its text.
    """
    whole = tokenizer.encode(texts)
    is_emptied = np.zeros(len(texts), np.bool_)
    rows = np.flatnonzero(pc.list_value_length(cuts).to_numpy())
    if not len(rows):
        return CutTokens(whole, whole.lengths, is_emptied)
    some = pa.array(rows)
    left = apply_cuts(texts.take(some), cuts.take(some))
    # An empty text is no white space to Arrow.
    blank = pc.or_(pc.utf8_is_space(left), pc.equal(pc.binary_length(left), 0))
    is_emptied[rows] = blank.to_numpy(zero_copy_only=False)
    changed = tokenizer.encode(pc.if_else(blank, pa.scalar("", pa.large_string()), left))
    both = TokenBatch(
        np.concatenate([whole.ids, changed.ids]),
        np.concatenate([whole.offsets, changed.offsets[1:] + whole.offsets[-1]]),
    )
    order = np.arange(len(whole))
    order[rows] = len(whole) + np.arange(len(rows))
    return CutTokens(gather(both, order), whole.lengths, is_emptied)
