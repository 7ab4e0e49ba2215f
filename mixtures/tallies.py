"""Tallies: documents and tokens by group, length bucket, bin and reason, added up over parts.

A tally is all that the solve needs of a corpus: with 119 languages and 2 buckets a few hundred
rows, however many documents there are; a weight gives each of these as many rows as it has bins
(256 between a value and its double). Sums are integers, so parts add up to the same table in any
order. Documents that are not eligible are tallied too, by reason, so that an error about an absent
group can say where its documents went: whoever sums `tokens` filters on `reason` first.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.bins import MOST
from mixtures.expressions import ELIGIBLE, REASONS, Selection

_TALLY_TYPES: Final[dict[str, pa.DataType]] = {
    "group": pa.string(),
    "bucket": pa.int16(),  # -1 outside all length buckets
    "is_synthetic": pa.bool_(),  # depth above 0
    "bin": pa.int32(),  # of the weight or score; 0 without one, and where not eligible
    "reason": pa.string(),  # one of REASONS
    "documents": pa.int64(),
    "tokens": pa.int64(),  # planned, one EOD per document included
}
TALLY: Final = pa.schema(_TALLY_TYPES)
_BINS: Final = 2 * MOST + 1
_KEYS: Final = ["group", "bucket", "is_synthetic", "bin", "reason"]


def tally(selection: Selection, tokens: npt.NDArray[np.int64]) -> pa.Table:
    """Counts one part.

    Args:
        selection: What the stage makes of each of the n documents.
        tokens: int64[n], planned tokens of each, its EOD included, as given to `select`.

    Returns:
        A table of schema TALLY, one row for each combination of keys that occurs, sorted.

    Raises:
        ValueError: The two are not equally long.
    """
    if len(tokens) != len(selection.reason):
        raise ValueError(
            f"found {len(tokens)} token counts for {len(selection.reason)} documents; "
            "give the counts of the same part"
        )
    keys = _packed(selection)
    summed = pa.table({"key": keys, "tokens": tokens, "rows": np.ones(len(keys), np.int64)})
    summed = summed.group_by("key").aggregate([("rows", "sum"), ("tokens", "sum")])
    rest = summed["key"].to_numpy()
    rest, reason = np.divmod(rest, len(REASONS))
    rest, is_synthetic = np.divmod(rest, 2)
    rest, bins = np.divmod(rest, _BINS)
    group, bucket = np.divmod(rest, _buckets(selection))
    columns = {
        "group": selection.group.dictionary.take(pa.array(group)),
        "bucket": (bucket - 1).astype(np.int16),
        "is_synthetic": is_synthetic.astype(np.bool_),
        "bin": (bins - MOST).astype(np.int32),
        "reason": pa.array(REASONS).take(pa.array(reason)),
        "documents": summed["rows_sum"],
        "tokens": summed["tokens_sum"],
    }
    return pa.table(columns, schema=TALLY).sort_by([(key, "ascending") for key in _KEYS])


def _packed(selection: Selection) -> npt.NDArray[np.int64]:
    """All keys of a document in one number, for one pass over one hash table.

    A group_by over five columns costs several times as much. Below 2**63 for up to 2**38 products
    of groups and buckets.
    """
    keys = selection.group.indices.to_numpy().astype(np.int64)
    keys = keys * _buckets(selection) + (selection.bucket + 1)
    keys = keys * _BINS + (selection.bin + MOST)
    keys = keys * 2 + selection.is_synthetic
    packed: npt.NDArray[np.int64] = keys * len(REASONS) + selection.reason
    return packed


def _buckets(selection: Selection) -> int:
    return int(selection.bucket.max(initial=0)) + 2


def combine(tallies: Iterable[pa.Table]) -> pa.Table:
    """Adds up the tallies of many parts; the order of the parts does not matter.

    Returns:
        A table of schema TALLY, sorted by its keys; empty for no parts.
    """
    return _summed(pa.concat_tables([TALLY.empty_table(), *tallies]))


def eligible(tallied: pa.Table) -> pa.Table:
    """The rows of documents that can be drawn."""
    return tallied.filter(pc.equal(tallied["reason"], pa.scalar(ELIGIBLE)))


def excluded(tallied: pa.Table, *, group: str | None = None) -> str:
    """Says for an error text how many documents are not eligible, and why.

    Args:
        tallied: A table of schema TALLY.
        group: Only documents of this group.

    Returns:
        For example `"where_false 120 documents (9000 tokens), too_deep 3 documents (700 tokens)"`;
        reasons without documents are left out, `"none"` where all are eligible.
    """
    if group is not None:
        tallied = tallied.filter(pc.equal(tallied["group"], pa.scalar(group)))
    phrases = []
    for reason in REASONS:
        rows = tallied.filter(pc.equal(tallied["reason"], pa.scalar(reason)))
        if reason != ELIGIBLE and rows.num_rows:
            documents, tokens = (int(rows[n].to_numpy().sum()) for n in ("documents", "tokens"))
            phrases.append(f"{reason} {documents} documents ({tokens} tokens)")
    return ", ".join(phrases) or "none"


def _summed(rows: pa.Table) -> pa.Table:
    sums = rows.group_by(_KEYS).aggregate([("documents", "sum"), ("tokens", "sum")])
    sums = sums.rename_columns({"documents_sum": "documents", "tokens_sum": "tokens"})
    return sums.select(TALLY.names).cast(TALLY).sort_by([(key, "ascending") for key in _KEYS])
