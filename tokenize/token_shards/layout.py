"""The layout of a shard: which piece of which draw stands in which sequence, in order.

Computed from ids, draws and lengths alone, before a token is moved; the document map, the index of
every format and the counts are functions of it. Two layouts: every draw a sequence of its own
(`one_after_another`), or pieces packed into sequences of one length (`packed`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from token_shards.document_map import document_map
from token_shards.formats import ShardWriter
from token_shards.packing import best_fit
from token_shards.token_store import TokenIds, TokenStore

_WRITE_TOKENS: Final = 1 << 20
"""Tokens gathered at a time, about, so that no second copy of a shard exists."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """The pieces of a shard, in the order in which they stand."""

    documents: npt.NDArray[np.int64]
    """int64[num_pieces], row of the document among those of the shard."""
    draws: npt.NDArray[np.int32]
    """int32[num_pieces], which draw of it."""
    pieces: npt.NDArray[np.int32]
    """int32[num_pieces], which piece of the draw."""
    ranges: npt.NDArray[np.int64]
    """int64[num_pieces], number of the piece among all pieces of all documents."""
    lengths: npt.NDArray[np.int64]
    """int64[num_pieces], tokens."""
    sequences: npt.NDArray[np.int64]
    """int64[num_pieces], sequence that it stands in, not falling, from 0."""
    offsets: npt.NDArray[np.int64]
    """int64[num_ranges + 1], where the pieces of all documents begin in the store."""
    sequence_length: int | None
    """Tokens of every sequence, where they are packed."""

    @property
    def num_sequences(self) -> int:
        """Sequences of the shard."""
        return int(self.sequences[-1]) + 1 if len(self.sequences) else 0

    @property
    def padding(self) -> int:
        """Tokens behind the last piece of a sequence, all sequences together."""
        return int(self.sequence_lengths.sum() - self.lengths.sum())

    @property
    def sequence_lengths(self) -> npt.NDArray[np.int64]:
        """int64[num_sequences], tokens of each."""
        if self.sequence_length is None:
            return self.lengths
        return np.full(self.num_sequences, self.sequence_length, np.int64)

    def document_map(self, keys: npt.NDArray[np.uint8]) -> pa.Table:
        """The map of the shard.

        Args:
            keys: uint8[num_documents, 16], ids of the documents.
        """
        return document_map(
            keys[self.documents],
            self.draws,
            self.lengths,
            pieces=self.pieces,
            rows=self.sequences,
            sequence_length=self.sequence_length,
        )


def one_after_another(
    documents: npt.NDArray[np.int64],
    draws: npt.NDArray[np.int32],
    num_tokens: npt.NDArray[np.int64],
) -> Layout:
    """Every draw is a sequence.

    Args:
        documents: int64[num_draws], document of each draw, in the order of the shard.
        draws: int32[num_draws], which draw of it.
        num_tokens: int64[num_documents], tokens of each document, EOD included.
    """
    return Layout(
        documents=documents,
        draws=draws,
        pieces=np.zeros(len(draws), np.int32),
        ranges=documents,
        lengths=num_tokens[documents],
        sequences=np.arange(len(documents), dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum(num_tokens, dtype=np.int64)]).astype(np.int64),
        sequence_length=None,
    )


def packed(
    documents: npt.NDArray[np.int64],
    draws: npt.NDArray[np.int32],
    piece_lengths: npt.NDArray[np.int64],
    piece_counts: npt.NDArray[np.int64],
    sequence_length: int,
    same: npt.NDArray[np.int64] | None = None,
) -> Layout:
    """Pieces packed into sequences by best fit, none with two draws or pieces of a document.

    A sequence takes the place of its longest piece: for the place of a draw says nothing of its
    length, sequences of many short documents are spread like others.
    In a sequence, pieces stand in the order of their draws, but one that does not end its document
    stands last (see `packing`).

    Args:
        documents: int64[num_draws], document of each draw, in the order to be packed.
        draws: int32[num_draws], which draw of it.
        piece_lengths: int64[num_ranges], tokens of the pieces of all documents.
        piece_counts: int64[num_documents], pieces of each.
        sequence_length: Tokens of a sequence.
        same: int64[num_documents], a number from 0 that documents share which are draws of one,
            where draws were dealt out singly. Without it, every document is another one.
    """
    first_ranges = np.cumsum(piece_counts, dtype=np.int64) - piece_counts
    counts = piece_counts[documents]
    draw = np.repeat(np.arange(len(documents), dtype=np.int64), counts)
    piece = np.arange(len(draw), dtype=np.int64) - (np.cumsum(counts) - counts)[draw]
    rows = documents[draw]
    ranges = first_ranges[rows] + piece
    lengths = piece_lengths[ranges]
    bins = best_fit(lengths, sequence_length, rows if same is None else same[rows])
    goes_on = piece < counts[draw] - 1
    order = np.lexsort((np.arange(len(bins)), goes_on, _places(bins, lengths)[bins]))
    ranked = bins[order]
    sequences = np.cumsum(np.concatenate([[0], ranked[1:] != ranked[:-1]])[: len(ranked)])
    return Layout(
        documents=rows[order],
        draws=draws[draw][order],
        pieces=piece[order].astype(np.int32),
        ranges=ranges[order],
        lengths=lengths[order],
        sequences=sequences.astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum(piece_lengths, dtype=np.int64)]).astype(np.int64),
        sequence_length=sequence_length,
    )


def _places(bins: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[num_bins]: position of the longest piece of each bin, of equal ones the first."""
    order = np.argsort(-lengths, kind="stable")
    _, opened = np.unique(bins[order], return_index=True)
    return order[opened].astype(np.int64)


def write(layout: Layout, store: TokenStore, rows: pa.Table, writer: ShardWriter, eod: int) -> None:
    """Writes all sequences of a layout.

    Args:
        layout: What stands where.
        store: Tokens of the documents.
        rows: The document map of the layout.
        writer: Takes the sequences.
        eod: Token that pads.
    """
    for first, last in _chunks(layout):
        start, end = np.searchsorted(layout.sequences, [first, last]).tolist()
        ids, lengths = store.take(layout.offsets, layout.ranges[start:end])
        if layout.sequence_length is not None:
            within = layout.sequences[start:end] - first
            ids = _padded(ids, lengths, within, last - first, layout.sequence_length, eod)
            lengths = np.full(last - first, layout.sequence_length, np.int64)
        writer.add(ids, lengths, rows.slice(start, end - start))
    writer.finish()


def _chunks(layout: Layout) -> Iterator[tuple[int, int]]:
    """Runs of sequences [first, last) of about _WRITE_TOKENS tokens."""
    filled = np.cumsum(layout.sequence_lengths) // _WRITE_TOKENS
    cuts = (np.flatnonzero(np.diff(filled)) + 1).tolist()
    first = 0
    for last in (*cuts, layout.num_sequences):
        if last > first:
            yield first, last
        first = last


def _padded(
    ids: TokenIds,
    lengths: npt.NDArray[np.int64],
    sequences: npt.NDArray[np.int64],
    num_sequences: int,
    sequence_length: int,
    eod: int,
) -> TokenIds:
    """Tokens of whole sequences, from those of their pieces."""
    filled = np.bincount(sequences, lengths, num_sequences).astype(np.int64)
    if (filled == sequence_length).all():
        return ids
    out = np.full((num_sequences, sequence_length), eod, ids.dtype)
    out[np.arange(sequence_length) < filled[:, None]] = ids
    return out.reshape(-1)
