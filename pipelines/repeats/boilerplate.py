"""Boilerplate: lines and paragraphs that several documents of one host hold.

Where a whole paragraph repeats, it is one span; of other paragraphs, the lines that repeat are. A
span holds its line break, and where nothing of a paragraph is left, the blank lines behind it too,
so that a text without its spans has no gap where one was. Documents without a host are left alone:
there is no site whose pages could be compared.
"""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.key_table import key_table, positions_in
from annotators.text.passages import NO_KEY, find_passages
from pipelines.repeats.counting import DocumentKeys, SharedKeys
from pipelines.repeats.spans import Spans

_KINDS: Final = pa.array(["line", "paragraph"])


def seeds_of(hosts: pa.StringArray) -> npt.NDArray[np.uint64]:
    """A number for each host, uint64[n]; 0 where there is none (null or empty)."""
    coded = hosts.dictionary_encode()
    names = [(name or "").encode() for name in coded.dictionary.to_pylist()]
    digests = [hashlib.blake2b(name, digest_size=8).digest() for name in names]
    numbers = np.array([int.from_bytes(one, "little") or 1 for one in digests], np.uint64)
    numbers[[not name for name in names]] = 0
    codes = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    seeds: npt.NDArray[np.uint64] = np.append(numbers, np.uint64(0))[codes]
    return seeds


def passage_keys(texts: pa.LargeStringArray, hosts: pa.StringArray) -> DocumentKeys:
    """Keys of the lines and paragraphs of some documents.

    Args:
        texts: large_string, no nulls.
        hosts: As many; documents without one have no keys.
    """
    lines, paragraphs = find_passages(texts, seeds_of(hosts))
    has_key = paragraphs.keys != NO_KEY
    keys = np.r_[lines.keys, paragraphs.keys[has_key]]
    rows = np.r_[paragraphs.texts[lines.paragraphs], paragraphs.texts[has_key]]
    order = np.lexsort([keys, rows])
    keys, rows = keys[order], rows[order]
    fresh = np.r_[True, (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])][: len(keys)]
    return DocumentKeys(keys[fresh], np.bincount(rows[fresh], minlength=len(texts)))


def boilerplate_spans(
    texts: pa.LargeStringArray, hosts: pa.StringArray, shared: SharedKeys
) -> Spans:
    """The spans of some documents.

    Args:
        texts: large_string, no nulls.
        hosts: As many.
        shared: Keys that enough documents of their host hold.
    """
    lines, paragraphs = find_passages(texts, seeds_of(hosts))
    table = key_table(shared.keys)
    counts = np.r_[shared.documents, 0]  # the last for keys that are not there (-1)
    # NO_KEY, which is 0, is no key of the table.
    of_paragraph = counts[positions_in(table, paragraphs.keys)]
    of_line = counts[positions_in(table, lines.keys)]
    of_line[(of_paragraph > 0)[lines.paragraphs]] = 0
    chosen = np.flatnonzero(of_line)
    owner = lines.paragraphs[chosen]
    ends = lines.ends[chosen]
    # The last line of a paragraph of which nothing is left takes the blank lines behind it.
    is_last = np.r_[owner[1:] != owner[:-1], True][: len(owner)]
    is_gone = np.bincount(owner, minlength=len(paragraphs.keys)) == paragraphs.num_lines
    ends = np.where(is_last & is_gone[owner], paragraphs.ends[owner], ends)
    whole = np.flatnonzero(of_paragraph)
    rows = np.r_[paragraphs.texts[owner], paragraphs.texts[whole]]
    starts = np.r_[lines.starts[chosen], paragraphs.starts[whole]]
    order = np.lexsort([starts, rows])
    kinds = np.r_[np.zeros(len(chosen), np.int64), np.ones(len(whole), np.int64)]
    return Spans(
        rows=rows[order],
        kinds=_KINDS.take(pa.array(kinds[order])),
        starts=starts[order],
        ends=np.r_[ends, paragraphs.ends[whole]][order],
        documents=np.r_[of_line[chosen], of_paragraph[whole]][order],
        firsts=None,
    )
