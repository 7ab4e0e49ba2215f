"""Shingle sets of the texts of one part, on disk, so that each text is read and hashed only once.

Comparing texts brings together texts of different parts. Their sets are as large as the texts, so
they do not go through a shuffle: the part's job writes those that somebody needs into one file, and
comparisons read the ranges that they want. Opening an index for each pair of parts would cost more
than the data, so the file answers by row number alone:

    uint64 hashes[num_hashes]      sorted and distinct within each row, row after row
    int64  offsets[num_rows + 1]   row i is hashes[offsets[i]:offsets[i + 1]]; empty if not kept

Little-endian. The ledger entry gives `rows` and `bytes`, hence the place of the offsets. Ranges
that are near to each other are read as one, through `cat_ranges` of fsspec, which on object stores
sends them side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from annotators.text.shingles import ShingleSets, shingle_sets
from pipelines.near_duplicates.near import Places, parts_at, rows_at, source_and_part
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import publish_file
from pipelines.workspace.storage import Storage

_WORD: Final = 8
_GAP_BYTES: Final = 8 << 10  # read through rather than asked for anew
_TEXT_ROWS: Final = 4096
_Bounds = npt.NDArray[np.int64]


def texts_at(
    storage: Storage, documents: FileRef, rows: npt.NDArray[np.int64]
) -> Iterator[pa.LargeStringArray]:
    """The texts at some rows of a documents part, in order; other row groups are not read.

    Args:
        storage: The workspace's folder.
        documents: The part.
        rows: Ascending and distinct, int64[n].
    """
    with storage.open(documents.path) as file:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        first = 0
        for number in range(reader.num_row_groups):
            end = first + reader.metadata.row_group(number).num_rows
            wanted = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
            if len(wanted):
                column = reader.read_row_group(number, columns=["text"]).column("text")
                texts = column.cast(pa.large_string()).combine_chunks()
                for start in range(0, len(wanted), _TEXT_ROWS):
                    yield texts.take(pa.array(wanted[start : start + _TEXT_ROWS]))
            first = end


def write_sets(
    storage: Storage,
    texts: Iterator[pa.LargeStringArray],
    rows: npt.NDArray[np.int64],
    num_rows: int,
    *,
    folder: str,
    part: int,
) -> tuple[FileRef, npt.NDArray[np.int32]]:
    """Publishes the sets of some rows of a part.

    Args:
        storage: The workspace's folder.
        texts: The texts, in batches.
        rows: Their rows, ascending, int64[n].
        num_rows: Of the part.
        folder: Where the file goes.
        part: Number of the part.

    Returns:
        The file, and the number of shingles of each text, int32[n].
    """
    local = storage.scratch(".u64")
    try:
        sizes = [np.zeros(0, np.int64)]
        with local.open("wb") as file:
            for batch in texts:
                sets = shingle_sets(batch)
                sets.hashes.astype("<u8", copy=False).tofile(file)
                sizes.append(np.diff(sets.offsets))
            size = np.concatenate(sizes)
            by_row = np.zeros(num_rows + 1, "<i8")
            by_row[rows + 1] = size
            np.cumsum(by_row).astype("<i8", copy=False).tofile(file)
        stem = f"{folder}/part-{part:05d}"
        ref = publish_file(storage, local, kind="shingles", stem=stem, rows=num_rows)
        return ref, size.astype(np.int32)
    finally:
        local.unlink(missing_ok=True)


class ShingleStore:
    """Reads sets of any parts."""

    def __init__(
        self, storage: Storage, sources: Sequence[str], files: Mapping[tuple[str, int], FileRef]
    ) -> None:
        """Args:
        storage: The workspace's folder.
        sources: Names by position.
        files: (source, part) -> its file.
        """
        self._storage = storage
        self._sources = sources
        self._files = files

    def bounds(self, places: Places) -> tuple[_Bounds, _Bounds]:
        """Where sets stand in their files.

        Args:
            places: Ascending, uint64[n].

        Returns:
            First hash of each and the one after the last, int64[n] each.
        """
        rows = rows_at(places)
        files = self._of_parts(places)
        offsets = [(ref.bytes - _WORD * (ref.rows + 1)) // _WORD for ref, _ in files]
        starts = np.concatenate([at + rows[of] for at, (_, of) in zip(offsets, files, strict=True)])
        words = self._read(files, starts, starts + 2)
        found = words.view("<i8").reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def read(self, places: Places, starts: _Bounds, ends: _Bounds) -> ShingleSets:
        """The sets at some places.

        Args:
            places: Ascending, uint64[n].
            starts: As `bounds` gives them, int64[n].
            ends: Likewise.
        """
        hashes = self._read(self._of_parts(places), starts, ends)
        return ShingleSets(hashes, np.concatenate([[0], np.cumsum(ends - starts)]))

    def _of_parts(self, places: Places) -> list[tuple[FileRef, slice]]:
        """Each file, and which of the places are in it."""
        numbers = parts_at(places)
        firsts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
        ends = np.r_[firsts[1:], len(numbers)]
        found = []
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
            source, part = source_and_part(int(numbers[first]))
            found.append((self._files[self._sources[source], part], slice(first, end)))
        return found

    def _read(
        self, files: list[tuple[FileRef, slice]], starts: _Bounds, ends: _Bounds
    ) -> npt.NDArray[np.uint64]:
        """The words of some ranges, one after the other; ranges of a file ascend."""
        paths: list[str] = []
        firsts: list[int] = []
        lasts: list[int] = []
        run = np.empty(len(starts), np.int64)
        for ref, of in files:
            runs, run_starts, run_ends = _joined(starts[of], ends[of])
            run[of] = runs + len(paths)
            paths += [self._storage.path(ref.path)] * len(run_starts)
            firsts += (_WORD * run_starts).tolist()
            lasts += (_WORD * run_ends).tolist()
        read = self._storage.fs.cat_ranges(paths, firsts, lasts, on_error="raise")
        blocks = [np.frombuffer(block, "<u8") for block in read]
        origin = np.array(firsts, np.int64)[run] // _WORD
        pieces = [
            blocks[number][start:end]
            for number, start, end in zip(
                run.tolist(), (starts - origin).tolist(), (ends - origin).tolist(), strict=True
            )
        ]
        return np.concatenate(pieces).astype(np.uint64, copy=False)


def _joined(starts: _Bounds, ends: _Bounds) -> tuple[_Bounds, _Bounds, _Bounds]:
    """Joins ranges whose gap is small: which run each is in, and the runs' starts and ends."""
    opens = np.r_[True, (starts[1:] - ends[:-1]) * _WORD > _GAP_BYTES]
    run = np.cumsum(opens) - 1
    last = np.r_[np.flatnonzero(opens)[1:] - 1, len(starts) - 1]
    return run, starts[opens], ends[last]
