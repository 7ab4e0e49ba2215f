"""Sets come back from any rows of any parts, wherever the ranges lie."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from annotators.text.shingles import shingle_sets
from pipelines.near_duplicates.job import compare
from pipelines.near_duplicates.near import places_of
from pipelines.near_duplicates.store import ShingleStore, texts_at, write_sets
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import PartFile
from pipelines.workspace.storage import Storage

# Row 3 is longer than a gap that is read through; every row has texts of its own.
TEXTS = [" ".join(f"{row}x{n}" for n in range(9 + 5000 * (row == 3))) for row in range(8)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def stored(storage: Storage, rows: list[int], part: int) -> FileRef:
    texts = [pa.array([TEXTS[row] for row in rows[i : i + 2]], pa.large_string())
             for i in range(0, len(rows), 2)]  # fmt: skip
    ref, sizes = write_sets(
        storage, iter(texts), np.array(rows), len(TEXTS), folder="sets", part=part
    )
    assert sizes.tolist() == [len(TEXTS[row].split()) - 4 for row in rows]
    assert (ref.rows, ref.bytes) == (len(TEXTS), 8 * (int(sizes.sum()) + len(TEXTS) + 1))
    assert ref.bytes == storage.size(ref.path)
    return ref


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
    assert found.hashes.tolist() == expected.hashes.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_compare_in_small_chunks_gives_the_same(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {("a", part): stored(storage, list(range(8)), part) for part in range(2)}
    store = ShingleStore(storage, ["a"], files)
    rows = np.arange(64)
    lower, higher = places_of(0, 0, rows // 8), places_of(0, 1, rows % 8)
    whole = compare(store, lower, higher)
    assert whole.reshape(8, 8).tolist() == np.eye(8).tolist()
    monkeypatch.setattr("pipelines.near_duplicates.job._SETS_BYTES", 1000)
    assert compare(store, lower, higher).tolist() == whole.tolist()


def test_texts_at_rows_of_several_row_groups(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.workspace.parts._ROW_GROUP_BYTES", 100)
    schema = pa.schema([("text", pa.large_string())])
    with PartFile(storage, schema) as file:
        for start in range(0, 8, 2):
            file.write(
                pa.record_batch(
                    [pa.array(TEXTS[start : start + 2], pa.large_string())], schema=schema
                )
            )
        ref = file.publish("documents", "documents", 0)
    for rows in ([0, 7], [2, 3], [1, 4, 5, 6], []):
        found = [
            text for batch in texts_at(storage, ref, np.array(rows, np.int64)) for text in batch
        ]
        assert [text.as_py() for text in found] == [TEXTS[row] for row in rows]
