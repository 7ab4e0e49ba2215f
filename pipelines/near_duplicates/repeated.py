"""Which band hashes occur more than once: a band that is alone makes no pair and needs no shuffle.

Most texts are like no other, so most bands (86 % where a third of the texts are in clusters) occur
once, and 32 bytes each would go through a shuffle to learn that. One task goes over the bands first
and notes in two bits for each of 8 to 16 slots a band whether a hash fell there, and whether
another did: 128 MB for the bands of two million texts. Of the bands that are alone about a tenth
share a slot by chance and are sent after all; of the others none is missed.

Over 13 million texts the bits would not fit a worker, and all bands are sent.

Equation: bands of a part = sent + single.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from annotators.text.kernels import kernel
from annotators.text.minhash import NUM_BANDS
from pipelines.near_duplicates.near import number_of_part
from pipelines.near_duplicates.plan import NearPlan
from pipelines.near_duplicates.threads import in_order
from pipelines.workspace.jobs import PARTITIONS, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import publish_file, read_batches
from pipelines.workspace.workspace import Workspace

_BATCH_ROWS: Final = 1 << 14
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio, as in Fibonacci hashing
_Bands = npt.NDArray[np.uint64]
_Mask = npt.NDArray[np.bool_]


class _Part(NamedTuple):
    """The bands of one part."""

    bands: _Bands
    """`uint64[num_rows, NUM_BANDS]`."""
    is_signed: _Mask
    """`bool[num_rows]`."""


def commit_repeated(
    workspace: Workspace,
    near: NearPlan,
    keys: Sequence[PartKey],
    copies: dict[int, npt.NDArray[np.int64]],
    num_threads: int,
) -> None:
    """Goes over the bands of all distinct texts and commits the slots that more than one fell into.

    Args:
        workspace: Where the labels are.
        near: What is looked for.
        keys: All parts.
        copies: Number of a part -> its rows that equal another text, int64[n].
        num_threads: Threads that read.
    """
    watch = Stopwatch()
    slots = np.zeros(2 << (near.repeated_bits - 6), np.uint64)  # seen and seen again, in turns
    shift = np.uint64(64 - near.repeated_bits)
    num_bands, num_again = 0, 0

    def read(key: PartKey) -> tuple[PartKey, list[_Part]]:
        return key, list(_read_part(workspace, near, key))

    for key, batches in in_order(read, keys, num_threads):
        left_out = copies.get(number_of_part(near.sources.index(key.source), key.part))
        first = 0
        for bands, is_signed in batches:
            if left_out is not None:
                some = left_out[(left_out >= first) & (left_out < first + len(bands))]
                is_signed[some - first] = False
            first += len(bands)
            num_bands += int(is_signed.sum()) * NUM_BANDS
            num_again += mark_bands(bands, is_signed, shift, slots)
    local = workspace.storage.scratch(".u64")
    try:
        slots[1::2].astype("<u8", copy=False).tofile(local)
        stem = f"clusters/{near.repeated.name}/part-00000"
        rows = len(slots) // 2
        ref = publish_file(workspace.storage, local, kind="repeated", stem=stem, rows=rows)
    finally:
        local.unlink(missing_ok=True)
    counts = {"bands": num_bands, "again": num_again}
    key = PartKey(PARTITIONS, 0)
    workspace.ledger.commit(entry_of(near.repeated, key, files=(ref,), counts=counts, watch=watch))


def _read_part(workspace: Workspace, near: NearPlan, key: PartKey) -> Iterator[_Part]:
    entry = workspace.ledger.get(near.minhash[key.source], key.source, key.part)
    file = entry.file("labels")
    for batch in read_batches(workspace.storage, file, ["bands"], batch_rows=_BATCH_ROWS):
        yield signed_bands(batch.column("bands"))


def signed_bands(bands: pa.FixedSizeBinaryArray) -> _Part:
    """The bands of some texts as words, and which of the texts have any."""
    words = np.frombuffer(bands.buffers()[1], "<u8")[NUM_BANDS * bands.offset :]
    words = words[: NUM_BANDS * len(bands)].reshape(-1, NUM_BANDS).astype(np.uint64, copy=False)
    return _Part(words, bands.is_valid().to_numpy(zero_copy_only=False).copy())


def repeated_bands(
    workspace: Workspace, near: NearPlan, bands: pa.FixedSizeBinaryArray
) -> npt.NDArray[np.bool_]:
    """Which bands of some texts may occur in others, bool[num_texts, NUM_BANDS].

    All of them where nobody looked; none of a text whose annotator failed.
    """
    words, is_signed = signed_bands(bands)
    if not near.repeated_bits:
        return np.repeat(is_signed[:, None], NUM_BANDS, axis=1)
    again = _slots_of(workspace.url, near.repeated.name)
    return marked_bands(words, is_signed, np.uint64(64 - near.repeated_bits), again)


@lru_cache(maxsize=1)
def _slots_of(url: str, generation: str) -> npt.NDArray[np.uint64]:
    """The committed slots, uint64[2 ** (bits - 6)]; asked for when they are there."""
    workspace = Workspace(url)
    entry = workspace.ledger.get(generation, PARTITIONS, 0)
    data = workspace.storage.read(entry.file("repeated").path)
    return np.frombuffer(data, "<u8").astype(np.uint64, copy=False)


@kernel
def mark_bands(
    bands: _Bands, is_wanted: _Mask, shift: np.uint64, slots: npt.NDArray[np.uint64]
) -> int:
    """Notes the slots of the bands; gives how many fell into a slot that was taken."""
    again = 0
    for text in range(bands.shape[0]):
        if is_wanted[text]:
            for band in range(bands.shape[1]):
                slot = np.uint64(bands[text, band] * _MIX) >> shift
                word = np.int64(slot >> np.uint64(6)) * 2
                bit = np.uint64(1) << (slot & np.uint64(63))
                if slots[word] & bit != 0:
                    slots[word + 1] |= bit
                    again += 1
                slots[word] |= bit
    return again


@kernel
def marked_bands(
    bands: _Bands, is_wanted: _Mask, shift: np.uint64, again: npt.NDArray[np.uint64]
) -> _Mask:
    """Which bands of the wanted texts fell into a slot that more than one fell into."""
    out = np.zeros(bands.shape, np.bool_)
    for text in range(bands.shape[0]):
        if is_wanted[text]:
            for band in range(bands.shape[1]):
                slot = np.uint64(bands[text, band] * _MIX) >> shift
                word = again[np.int64(slot >> np.uint64(6))]
                out[text, band] = word >> (slot & np.uint64(63)) & np.uint64(1) != 0
    return out
