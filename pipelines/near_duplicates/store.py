"""Shingle sets of the texts of one part, on disk, so that each text is read and hashed only once.

Comparing texts brings together texts of different parts. Their sets are as large as the texts, so
they do not go through a shuffle: the part's job writes those that somebody needs into one file, and
comparisons read the ranges that they want. Opening an index for each pair of parts would cost more
than the data, so the file answers by row number alone:

    uint64 hashes[num_hashes]      sorted and distinct within each row, row after row
    int64  offsets[num_rows + 1]   row i is hashes[offsets[i]:offsets[i + 1]]; empty if not kept

Little-endian. The ledger entry gives `rows` and `bytes`, hence the place of the offsets. Ranges
that are near to each other are read as one; on object stores through `cat_ranges` of fsspec, which
sends them side by side.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from annotators.text.shingles import ShingleRanges, ShingleSets, shingle_sets
from pipelines.near_duplicates.near import Places, parts_at, rows_at, source_and_part
from pipelines.near_duplicates.threads import in_order
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import publish_file
from pipelines.workspace.storage import Storage

_WORD: Final = 8
_GAP_BYTES: Final = 8 << 10  # read through rather than asked for anew
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
    for wanted in _by_row_group(storage, documents, rows):
        yield _texts_of_group(storage, documents, wanted)


class _Wanted(NamedTuple):
    """Rows that are wanted of a row group."""

    metadata: pq.FileMetaData
    """Of the file."""
    row_group: int
    rows: npt.NDArray[np.int64]
    """Counted from its first, ascending, int64[n]."""


def _by_row_group(
    storage: Storage, documents: FileRef, rows: npt.NDArray[np.int64]
) -> Iterator[_Wanted]:
    with storage.open(documents.path) as file:
        metadata = pq.ParquetFile(file).metadata
    first = 0
    for number in range(metadata.num_row_groups):
        end = first + metadata.row_group(number).num_rows
        wanted = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
        if len(wanted):
            yield _Wanted(metadata, number, wanted)
        first = end


def _texts_of_group(storage: Storage, documents: FileRef, wanted: _Wanted) -> pa.LargeStringArray:
    with storage.open(documents.path) as file:
        reader = pq.ParquetFile(file, metadata=wanted.metadata, page_checksum_verification=True)
        # Threads read row groups side by side; a row group is one column here.
        table = reader.read_row_group(wanted.row_group, columns=["text"], use_threads=False)
        texts = table.column("text").take(pa.array(wanted.rows))
        return texts.cast(pa.large_string()).combine_chunks()


def write_sets(
    storage: Storage,
    documents: FileRef,
    rows: npt.NDArray[np.int64],
    num_rows: int,
    *,
    folder: str,
    part: int,
    num_threads: int = 1,
) -> FileRef:
    """Publishes the sets of some rows of a part.

    Args:
        storage: The workspace's folder.
        documents: The part.
        rows: Ascending and distinct, int64[n].
        num_rows: Of the part.
        folder: Where the file goes.
        part: Number of the part.
        num_threads: Threads that make sets.
    """
    local = storage.scratch(".u64")
    try:
        sizes = [np.zeros(0, np.int64)]
        state = hashlib.sha256()
        with local.open("wb") as file:

            def write(words: npt.NDArray[np.uint64] | npt.NDArray[np.int64]) -> None:
                little = words.astype(words.dtype.newbyteorder("<"), copy=False)
                little.tofile(file)
                state.update(little.data)  # while threads make the next sets

            def sets_of(wanted: _Wanted) -> ShingleSets:
                return shingle_sets(_texts_of_group(storage, documents, wanted))

            # A row group, of 16 MB of text, and its sets for each thread.
            for sets in in_order(sets_of, _by_row_group(storage, documents, rows), num_threads):
                write(sets.hashes)
                sizes.append(np.diff(sets.offsets))
            by_row = np.zeros(num_rows + 1, np.int64)
            by_row[rows + 1] = np.concatenate(sizes)
            write(np.cumsum(by_row))
        return publish_file(
            storage,
            local,
            kind="shingles",
            stem=f"{folder}/part-{part:05d}",
            rows=num_rows,
            sha256=state.hexdigest(),
        )
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
        words, at, _ = self._read(files, starts, starts + 2)
        return words[at].view(np.int64), words[at + 1].view(np.int64)

    def read(self, places: Places, starts: _Bounds, ends: _Bounds) -> ShingleRanges:
        """The sets at some places.

        Args:
            places: Ascending, uint64[n].
            starts: As `bounds` gives them, int64[n].
            ends: Likewise.
        """
        return self._read(self._of_parts(places), starts, ends)

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
    ) -> ShingleRanges:
        """Some ranges, and what stands in small gaps between them; ranges of a file ascend."""
        runs, room, at = [], 0, np.empty(len(starts), np.int64)
        for ref, of in files:
            run, firsts, lasts = _joined(starts[of], ends[of])
            before = room + np.cumsum(lasts - firsts) - (lasts - firsts)
            at[of] = starts[of] + (before - firsts)[run]
            end = room + int((lasts - firsts).sum())
            runs.append((ref, firsts, lasts, slice(room, end)))
            room = end
        words = np.empty(room, "<u8")
        for ref, firsts, lasts, of in runs:
            self._read_runs(ref, firsts, lasts, words[of])
        return ShingleRanges(words.astype(np.uint64, copy=False), at, at + ends - starts)

    def _read_runs(
        self, ref: FileRef, firsts: _Bounds, lasts: _Bounds, words: npt.NDArray[np.uint64]
    ) -> None:
        """Reads some ranges of one file, one after the other, into `words`."""
        path = self._storage.path(ref.path)
        starts, sizes = (_WORD * firsts).tolist(), (lasts - firsts).tolist()
        if self._storage.is_local:
            # Opened once, and read into place; `cat_ranges` opens it for each range.
            at = 0
            with open(path, "rb", buffering=0) as file:
                for start, size in zip(starts, sizes, strict=True):
                    _read_into(file, start, words[at : at + size].view(np.uint8).data)
                    at += size
        else:
            ends = (_WORD * lasts).tolist()
            paths = [path] * len(starts)
            read = self._storage.fs.cat_ranges(paths, starts, ends, on_error="raise")
            words[:] = np.concatenate([np.frombuffer(block, "<u8") for block in read])


def _read_into(file: IO[bytes], start: int, target: memoryview) -> None:
    """Fills the target from a position on.

    Raises:
        OSError: The file ends before.
    """
    done = 0
    while done < len(target):
        read = os.preadv(file.fileno(), [target[done:]], start + done)
        if not read:
            raise OSError(f"{file.name} ends before byte {start + len(target)}; it was cut off")
        done += read


def words_to_read(starts: _Bounds, ends: _Bounds) -> _Bounds:
    """Words that `ShingleStore.read` holds for each set, with the gap behind it, int64[n]."""
    gaps = starts[1:] - ends[:-1]
    is_read = (gaps > 0) & (gaps * _WORD <= _GAP_BYTES)
    sizes = ends - starts
    sizes[:-1] += np.where(is_read, gaps, 0)
    return sizes


def _joined(starts: _Bounds, ends: _Bounds) -> tuple[_Bounds, _Bounds, _Bounds]:
    """Joins ranges whose gap is small: which run each is in, and the runs' starts and ends."""
    opens = np.r_[True, (starts[1:] - ends[:-1]) * _WORD > _GAP_BYTES]
    run = np.cumsum(opens) - 1
    last = np.r_[np.flatnonzero(opens)[1:] - 1, len(starts) - 1]
    return run, starts[opens], ends[last]
