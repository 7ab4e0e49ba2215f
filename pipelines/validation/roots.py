"""Which texts are held out: a function of the text that a document goes back to, and no other.

A document is held out where the first 8 bytes of a hash, read as a big-endian number, are below
`share * 2^64`. The hash is that of the normalised text (`annotators.text.hashing`: without case,
punctuation and repeated spaces) of its **root ancestor**: of itself, or, where it was made from
another document, of the text at the beginning of that line. So all copies of a text that differ by
no more than dress are held out or none of them, in every corpus, source and order; and what a model
makes of a held-out text is held out with it.

The digest is that of BLAKE2b (RFC 7693), whose bits are uniform, so the share of distinct texts is
kept to a standard deviation of sqrt(share * (1 - share) / n).
"""

import pyarrow as pa
import pyarrow.compute as pc
from numpy import bool_, frombuffer, uint64
from numpy.typing import NDArray

from annotators.text.hashing import DIGEST_BYTES, normalised_text_hashes

_ROOT = pa.binary(DIGEST_BYTES)


def root_hash_of(
    texts: pa.LargeStringArray, roots: pa.FixedSizeBinaryArray | None = None
) -> pa.FixedSizeBinaryArray:
    """Gives the hash of the root ancestor of each document.

    What makes a document from others writes this hash of its first parent into `provenance.root`
    of the child, and asks `is_validation` of that of every parent before it begins.

    Args:
        texts: large_string[n], no nulls.
        roots: `provenance.root` of the same documents, fixed_size_binary[16]; null where a document
            is its own root. None: all are.

    Returns:
        fixed_size_binary[16], no nulls.

    Raises:
        ValueError: `texts` has nulls or is of another type.
    """
    own = normalised_text_hashes(texts)
    return own if roots is None else pc.coalesce(roots.cast(_ROOT), own)


def is_validation(root_hashes: pa.FixedSizeBinaryArray, share: float) -> NDArray[bool_]:
    """Says which documents are held out.

    Args:
        root_hashes: From `root_hash_of`, fixed_size_binary[16], no nulls.
        share: Part of all distinct texts, in (0, 1).

    Returns:
        `bool[n]`.

    Raises:
        ValueError: `share` is outside (0, 1), or a hash is null.
    """
    if not 0 < share < 1:
        raise ValueError(
            f"validation.share: found {share}; allowed are numbers between 0 and 1, such as 0.001; "
            "leave `validation` out to hold out nothing"
        )
    if root_hashes.null_count:
        raise ValueError(
            f"{root_hashes.null_count} of {len(root_hashes)} root hashes are null; give those of "
            "`root_hash_of`"
        )
    words = frombuffer(root_hashes.cast(_ROOT).buffers()[1], dtype=">u8")
    start = 2 * root_hashes.offset
    first = words[start : start + 2 * len(root_hashes) : 2].astype(uint64)
    # A product by 2^64 is exact in binary floating point.
    held_out: NDArray[bool_] = first < uint64(int(share * 2.0**64))
    return held_out
