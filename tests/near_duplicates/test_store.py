"""Sets come back from any rows of any parts, wherever the ranges lie."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from annotators.text.shingles import ShingleRanges, ShingleSets, shingle_sets
from pipelines.near_duplicates.compare import compare
from pipelines.near_duplicates.near import places_of
from pipelines.near_duplicates.store import ShingleStore, texts_at, words_to_read, write_sets
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import PartFile
from pipelines.workspace.storage import Storage

# Row 3 is longer than a gap that is read through; every row has texts of its own.
TEXTS = [" ".join(f"{row}x{n}" for n in range(9 + 5000 * (row == 3))) for row in range(8)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def documents(storage: Storage) -> FileRef:
    """A part with two texts in a row group."""
    schema = pa.schema([("text", pa.large_string())])
    with PartFile(storage, schema) as file:
        for start in range(0, 8, 2):
            texts = pa.array(TEXTS[start : start + 2], pa.large_string())
            file.write(pa.record_batch([texts], schema=schema))
        return file.publish("documents", "documents", 0)


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.workspace.parts._ROW_GROUP_BYTES", 100)


def stored(storage: Storage, rows: list[int], part: int) -> FileRef:
    ref = write_sets(
        storage,
        documents(storage),
        np.array(rows),
        len(TEXTS),
        folder="sets",
        part=part,
        num_threads=1 + part % 2,
    )
    num_shingles = sum(len(TEXTS[row].split()) - 4 for row in rows)
    assert (ref.rows, ref.bytes) == (len(TEXTS), 8 * (num_shingles + len(TEXTS) + 1))
    assert ref.bytes == storage.size(ref.path)
    return ref


def ranges_of(sets: ShingleSets) -> ShingleRanges:
    return ShingleRanges(sets.hashes, sets.offsets[:-1], sets.offsets[1:])


def sets_in(found: ShingleRanges) -> list[list[int]]:
    ranges = zip(found.starts, found.ends, strict=True)
    return [found.hashes[start:end].tolist() for start, end in ranges]


def test_store_gives_the_sets_of_any_rows_of_any_parts(storage: Storage) -> None:
    files = {
        ("a", 0): stored(storage, [0, 1, 2, 3, 4, 7], part=0),
        ("b", 5): stored(storage, [2, 3, 6], part=5),
    }
    store = ShingleStore(storage, ["a", "b"], files)
    first, second = [0, 2, 4, 7], [2, 3, 6]
    places = np.concatenate([places_of(0, 0, np.array(first)), places_of(1, 5, np.array(second))])
    starts, ends = store.bounds(places)
    found = store.read(places, starts, ends)
    expected = shingle_sets(pa.array([TEXTS[row] for row in [*first, *second]], pa.large_string()))
    assert sets_in(found) == sets_in(ranges_of(expected))
    assert words_to_read(starts, ends).sum() == len(found.hashes)


def test_compare_in_small_chunks_gives_the_same(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {("a", part): stored(storage, list(range(8)), part) for part in range(2)}
    store = ShingleStore(storage, ["a"], files)
    rows = np.arange(64)
    lower, higher = places_of(0, 0, rows // 8), places_of(0, 1, rows % 8)
    whole = compare(store, lower, higher)
    assert whole.reshape(8, 8).tolist() == np.eye(8).tolist()
    monkeypatch.setattr("pipelines.near_duplicates.compare._BLOCK_BYTES", 1000)
    monkeypatch.setattr("pipelines.near_duplicates.compare._STREAM_BYTES", 500)
    assert compare(store, lower, higher, num_threads=3).tolist() == whole.tolist()


def test_texts_at_rows_of_several_row_groups(storage: Storage) -> None:
    ref = documents(storage)
    for rows in ([0, 7], [2, 3], [1, 4, 5, 6], []):
        found = [
            text for batch in texts_at(storage, ref, np.array(rows, np.int64)) for text in batch
        ]
        assert [text.as_py() for text in found] == [TEXTS[row] for row in rows]


def test_store_that_was_cut_off_is_refused(storage: Storage, tmp_path: Path) -> None:
    ref = stored(storage, [0, 1, 2], part=0)
    path = tmp_path / ref.path
    path.write_bytes(path.read_bytes()[:-8])
    store = ShingleStore(storage, ["a"], {("a", 0): ref})
    with pytest.raises(OSError, match="ends before byte"):
        store.bounds(places_of(0, 0, np.array([7])))


def test_store_on_another_file_system_gives_the_same(storage: Storage) -> None:
    ref = stored(storage, [0, 3, 4, 7], part=0)
    remote = Storage("memory://near-duplicates-store")
    with remote.fs.open(remote.path(ref.path), "wb") as file:
        file.write(storage.read(ref.path))
    places = places_of(0, 0, np.array([0, 4, 7]))
    found = []
    for one in (storage, remote):
        store = ShingleStore(one, ["a"], {("a", 0): ref})
        found.append(store.read(places, *store.bounds(places)))
    assert sets_in(found[0]) == sets_in(found[1])
