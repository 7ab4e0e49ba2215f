"""Packing: documents into training sequences of exactly L tokens, cut only where they must be.

Cutting a stream of documents every L tokens truncates documents that would have fitted; best-fit
packing keeps them whole and pays with a little padding (Ding et al., "Fewer Truncations Improve
Language Modeling", arXiv:2404.10830, which packs by best-fit decreasing too).

- A document of n tokens, its end-of-document token (EOD) included, with n <= L is one piece.
- A longer one is k = ceil(n / L) pieces of nearly equal length, larger ones first. The writer moves
  each cut to a natural break nearby (`natural_breaks`), so far as all pieces stay within L.
- Pieces go into sequences by best-fit decreasing: the longest first, each into the fullest
  sequence that still has room for it and holds nothing of its document.

The last condition parts the draws of a document that comes several times. Best fit alone takes
these, which are of one length, one after the other, and often puts them side by side: a model
would read the second copy off the first. It costs no search: copies of a piece are placed one after
the other, and a sequence that took one is set aside until all of them are placed. Two different
pieces of a document never fit a sequence: were they L or less together, the k - 2 others of at most
L each would leave the document at most (k - 1) L, and it would be k - 1 pieces.

A piece that is not the end of its document has no EOD behind it, so nothing would part it from a
piece that follows in the same sequence. Such pieces are therefore longer than half a sequence,
which near-equal pieces are by themselves and moved cuts are kept to: no two of them meet in a
sequence, and the one that is there stands last.

One million pieces take 0.1 s on one core, 0.2 s where each document comes three times; the compiled
loop is kept on disk.
"""

import functools
from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

_REACH = 16
"""A cut moves by at most L / 16 tokens: pieces stay near-equal, and a window is quick to search."""

_Ints = npt.NDArray[np.int64]
_Placement = Callable[[_Ints, _Ints, int], _Ints]


def num_pieces(num_tokens: npt.NDArray[np.int64], sequence_length: int) -> npt.NDArray[np.int64]:
    """Gives how many pieces each document is cut in, int64[num_documents].

    Args:
        num_tokens: int64[num_documents], tokens of each, EOD included, 1 or more.
        sequence_length: Tokens of a training sequence.

    Raises:
        ValueError: A document is empty, or the sequence length is below 2.
    """
    if sequence_length < 2:
        raise ValueError(f"sequence_length is {sequence_length}; a sequence has 2 tokens or more")
    if len(num_tokens) and num_tokens.min() < 1:
        row = int(np.argmin(num_tokens))
        raise ValueError(f"document {row} has {num_tokens[row]} tokens; it has at least its EOD")
    return -(-num_tokens // sequence_length)


def pieces(num_tokens: int, sequence_length: int) -> npt.NDArray[np.int64]:
    """Gives the lengths of the pieces that a document is cut in.

    Args:
        num_tokens: Tokens of the document, EOD included, 1 or more.
        sequence_length: Tokens of a training sequence.

    Returns:
        int64[ceil(num_tokens / sequence_length)], which sum to `num_tokens`, differ by at most one
        and do not rise.

    Raises:
        ValueError: The document is empty, or the sequence length is below 2.
    """
    count = int(num_pieces(np.array([num_tokens], np.int64), sequence_length)[0])
    lengths = np.full(count, num_tokens // count, np.int64)
    lengths[: num_tokens % count] += 1
    return lengths


def cut_at_breaks(
    num_tokens: int,
    sequence_length: int,
    best_break: Callable[[int, int, int], int],
) -> npt.NDArray[np.int64]:
    """Gives the lengths of the pieces of a document whose cuts move to natural breaks.

    Args:
        num_tokens: Tokens of the document, EOD included.
        sequence_length: Tokens of a training sequence.
        best_break: (first, last, wanted) -> position in [first, last] to cut at, best near
            `wanted`; a cut at p parts token p - 1 from token p.

    Returns:
        int64[ceil(num_tokens / sequence_length)], which sum to `num_tokens`; none is above
        `sequence_length`, and all but the last are above half of it.

    Raises:
        ValueError: As `pieces` raises, or `best_break` left its bounds.
    """
    wanted = np.cumsum(pieces(num_tokens, sequence_length))
    least, reach = sequence_length // 2 + 1, sequence_length // _REACH
    cuts = [0]
    for number in range(len(wanted) - 1):
        later = len(wanted) - 2 - number  # cuts after this one
        low = max(cuts[-1] + least, num_tokens - (later + 1) * sequence_length)
        high = min(cuts[-1] + sequence_length, num_tokens - later * least - 1)
        aim = min(max(int(wanted[number]), low), high)
        first, last = max(low, aim - reach), min(high, aim + reach)
        cut = best_break(first, last, aim)
        if not first <= cut <= last:
            raise ValueError(f"best_break gave {cut} where {first} to {last} were allowed")
        cuts.append(cut)
    ends = np.array([*cuts[1:], num_tokens], np.int64)
    return ends - np.array(cuts, np.int64)


def best_fit(
    lengths: npt.NDArray[np.int64],
    capacity: int,
    documents: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Packs pieces into bins by best-fit decreasing, in O(n log n + n log capacity).

    Pieces of one length are taken in the order in which their documents first stand, those of one
    document together, and of bins with the same room the one that came to it last is filled: the
    result is a function of the arguments. Where no document comes twice, how many bins there are
    and how full depends only on which lengths there are.

    Args:
        lengths: int64[num_pieces], tokens of each piece, 1 to `capacity`.
        capacity: Tokens of a bin.
        documents: int64[num_pieces], number of the document of each, 0 or more; no bin holds two
            pieces of one number. Those of different lengths are more than `capacity` together, as
            `pieces` and `cut_at_breaks` cut them. Without it, every piece is a document.

    Returns:
        int64[num_pieces], bin of each piece; bins are numbered from 0 as they are opened.

    Raises:
        ValueError: An array is not int64[num_pieces], or a length is out of range.
    """
    if lengths.dtype != np.int64 or lengths.ndim != 1:
        raise ValueError(
            f"lengths are {lengths.dtype}{list(lengths.shape)}; best_fit takes int64[num_pieces]"
        )
    if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= capacity):
        raise ValueError(
            f"lengths go from {lengths.min()} to {lengths.max()}; a bin of {capacity} tokens takes "
            f"pieces of 1 to {capacity}"
        )
    if documents is None:
        same = np.arange(len(lengths), dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
    else:
        same = _first_positions(lengths, documents)
        order = np.lexsort((same, -lengths))
    bins = np.empty(len(lengths), np.int64)
    bins[order] = _placement()(lengths[order], same[order], capacity)
    return bins


def _first_positions(
    lengths: npt.NDArray[np.int64], documents: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """int64[num_pieces]: where the document of each piece first stands."""
    if documents.dtype != np.int64 or documents.shape != lengths.shape:
        raise ValueError(
            f"documents are {documents.dtype}{list(documents.shape)}; best_fit takes one int64 for "
            f"each of the {len(lengths)} lengths"
        )
    first = np.empty(int(documents.max(initial=-1)) + 1, np.int64)
    first[documents[::-1]] = np.arange(len(documents), dtype=np.int64)[::-1]
    return first[documents]


@functools.cache
def _placement() -> _Placement:
    from numba import njit  # 0.3 s, which a stage that is not packed need not wait for

    return cast(_Placement, njit(cache=True, nogil=True)(_place))


def _place(
    lengths: npt.NDArray[np.int64], documents: npt.NDArray[np.int64], capacity: int
) -> npt.NDArray[np.int64]:
    """Bin of each of the lengths, which do not rise; compiled by numba.

    Open bins are kept by their room, in stacks. A complete binary tree over the rooms 0 to
    `capacity` says which stacks hold something, so the least room that suffices is found by going
    up and down once. While pieces of one document and length are placed, the bins that took one
    are in no stack.
    """
    leaves = 1
    while leaves < capacity + 1:
        leaves *= 2
    held = np.zeros(2 * leaves, np.bool_)  # node i has the children 2i and 2i + 1
    top = np.full(capacity + 1, -1, np.int64)  # room -> bin on top of its stack
    below = np.empty(len(lengths), np.int64)  # bin -> the bin under it
    rooms = np.empty(len(lengths), np.int64)  # bin -> its room
    aside = np.empty(len(lengths), np.int64)  # bins that are in no stack
    num_aside = 0
    out = np.empty(len(lengths), np.int64)
    opened = 0
    for item in range(len(lengths)):
        length = lengths[item]
        if item and (documents[item] != documents[item - 1] or length != lengths[item - 1]):
            for number in range(num_aside):
                chosen = aside[number]
                room = rooms[chosen]
                below[chosen] = top[room]
                top[room] = chosen
                node = leaves + room
                while node >= 1 and not held[node]:
                    held[node] = True
                    node >>= 1
            num_aside = 0
        node = leaves + length
        while node > 1 and not held[node]:
            # To the right neighbour of this subtree; past the right edge there is none.
            while node > 1 and node & 1:
                node >>= 1
            if node > 1:
                node += 1
        if node > 1:
            while node < leaves:
                node = 2 * node if held[2 * node] else 2 * node + 1
            chosen = top[node - leaves]
            top[node - leaves] = below[chosen]
            if top[node - leaves] < 0:
                held[node] = False
                node >>= 1
                while node >= 1:
                    held[node] = held[2 * node] or held[2 * node + 1]
                    node >>= 1
        else:
            chosen = opened
            opened += 1
            rooms[chosen] = capacity
        aside[num_aside] = chosen
        num_aside += 1
        out[item] = chosen
        rooms[chosen] -= length
    return out
