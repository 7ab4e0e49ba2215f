"""What a stage redacts: spans of the `pii` labels become cuts, and the tokens on both sides.

A span of kind k becomes `<k>`. Texts are cut in the child that tokenizes them, and a document with
cuts is tokenized twice: as it is, because its label counted that, and as it is written. So the
difference is counted, not guessed; only documents with cuts cost twice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.cuts import CUT, apply_cuts
from mixtures.spec import REDACTION_LABELS
from token_shards.batch import TokenBatch, gather
from token_shards.tokenizer import Tokenizer

CUTS: Final = pa.list_(pa.field("item", CUT, nullable=False))
"""Type of the cuts of documents."""


def replacement(kind: str) -> str:
    """What stands in place of a span."""
    return f"<{kind}>"


def cuts_of(labels: pa.Table, kinds: Sequence[str]) -> pa.ListArray:
    """The cuts of documents, of type CUTS.

    Args:
        labels: Labels of the documents, `pii` among them.
        kinds: What to cut.

    Raises:
        ValueError: There are no such labels, or a document has none because its annotator died.
    """
    if REDACTION_LABELS not in labels.column_names:
        raise ValueError(
            f"a stage redacts {', '.join(kinds)} and its plan pins no labels "
            f"{REDACTION_LABELS!r}; add '{REDACTION_LABELS}' to the annotators, or remove redact"
        )
    spans = labels.column(REDACTION_LABELS).combine_chunks()
    if spans.null_count:
        row = int(np.argmax(spans.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(
            f"document {labels.column('id')[row].as_py().hex()} is drawn, and nobody knows what to "
            f"redact in it: its '{REDACTION_LABELS}' labels are null (its annotator died on it); "
            f"add `{REDACTION_LABELS} is not null` to `where`"
        )
    flat, rows = pc.list_flatten(spans), pc.list_parent_indices(spans).to_numpy()
    chosen = pc.is_in(pc.struct_field(flat, "kind"), pa.array(list(kinds), pa.string()))
    flat = flat.filter(chosen)
    kept = rows[chosen.to_numpy(zero_copy_only=False)]
    counts = np.bincount(kept, minlength=len(spans))
    named = pc.binary_join_element_wise("<", pc.struct_field(flat, "kind"), ">", "")
    struct = pa.StructArray.from_arrays(
        [pc.struct_field(flat, "start"), pc.struct_field(flat, "end"), named], fields=list(CUT)
    )
    ends = np.r_[0, np.cumsum(counts)].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), struct, type=CUTS)


def spans_by_kind(cuts: pa.ListArray, kinds: Sequence[str]) -> dict[str, npt.NDArray[np.int32]]:
    """How many spans of each kind are cut in each document.

    Args:
        cuts: As `cuts_of` gives them.
        kinds: What is cut.

    Returns:
        Kind -> int32[len(cuts)].
    """
    names = pc.struct_field(pc.list_flatten(cuts), "replacement")
    rows = pc.list_parent_indices(cuts).to_numpy()
    found = {}
    for kind in kinds:
        chosen = pc.equal(names, replacement(kind)).to_numpy(zero_copy_only=False)
        found[kind] = np.bincount(rows[chosen], minlength=len(cuts)).astype(np.int32)
    return found


def encode_cut(
    tokenizer: Tokenizer, texts: pa.LargeStringArray, cuts: pa.ListArray
) -> tuple[TokenBatch, npt.NDArray[np.int64]]:
    """Tokens of texts after their cuts, and how many they had before.

    Args:
        tokenizer: Encodes.
        texts: large_string[n].
        cuts: n lists, as `cuts_of` gives them.

    Returns:
        The tokens of the n texts as cut, and int64[n]: tokens of each as it was.

    Raises:
        ValueError: A cut does not fit its text.
    """
    whole = tokenizer.encode(texts)
    rows = np.flatnonzero(pc.list_value_length(cuts).to_numpy())
    if not len(rows):
        return whole, whole.lengths
    some = pa.array(rows)
    changed = tokenizer.encode(apply_cuts(texts.take(some), cuts.take(some)))
    both = TokenBatch(
        np.concatenate([whole.ids, changed.ids]),
        np.concatenate([whole.offsets, changed.offsets[1:] + whole.offsets[-1]]),
    )
    order = np.arange(len(whole))
    order[rows] = len(whole) + np.arange(len(rows))
    return gather(both, order), whole.lengths
