"""A file that holds its own hash: any reader reads it, and no byte of it changes unnoticed."""

import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.workspace.inventory import SCHEMA, Inventory, InventoryError, inventory_file
from pipelines.workspace.own_hash import HashError, check_hash, to_hashed_parquet
from pipelines.workspace.storage import Storage

KEY = b"tokenmill.sha256"
TABLE = pa.table(
    {
        "part": pa.array([0, 1, 2], pa.int32()),
        "file": ["страница.html", "頁/ページ.warc.gz", "tokenmill.sha256"],
    }
)


@pytest.fixture(scope="module")
def data() -> bytes:
    return to_hashed_parquet(TABLE, 2)


def test_other_readers_read_it(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("hashed") / "one.parquet"
    path.write_bytes(data)
    assert pq.read_table(path).to_pylist() == TABLE.to_pylist()
    rows = duckdb.sql(f"SELECT part, file FROM '{path}' ORDER BY part").fetchall()
    assert rows == [tuple(row.values()) for row in TABLE.to_pylist()]
    assert pq.ParquetFile(path).num_row_groups == 2


def test_a_change_of_any_byte_is_noticed(data: bytes) -> None:
    check_hash(data)
    key = data.rindex(KEY)
    unnoticed = []
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            check_hash(bytes(changed))
        except HashError:
            continue
        unnoticed.append(place)
    # Without its name the hash is no more; two bytes behind it tell how long it is.
    assert unnoticed == list(range(key, key + len(KEY) + 2))


def test_files_are_the_same_whenever_they_are_written_again(data: bytes) -> None:
    read = pq.read_table(io.BytesIO(data))  # its metadata holds the hash
    assert to_hashed_parquet(read, 2) == data


def test_a_file_without_a_hash_is_one_of_an_earlier_release() -> None:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    check_hash(sink.getvalue())


def test_a_changed_footer_of_an_inventory_is_told(tmp_path: Path) -> None:
    storage, path = Storage(str(tmp_path)), "inventory/s/from-00000.parquet"
    row = {"part": 7, "url": "u", "file": "f", "format": "jsonl", "start": 0, "end": None}
    rows = [row | {"bytes": 9, "stamp": "t", "digest": ""}]
    data = bytearray(inventory_file(pa.Table.from_pylist(rows, schema=SCHEMA)))
    # The least and the greatest part of the row group, by which a worker finds its part.
    footer = data.rindex(b"\x07\x00\x00\x00")
    data[footer] = 8
    storage.create(path, bytes(data))
    with pytest.raises(InventoryError, match=r"from-00000\.parquet is damaged"):
        Inventory(storage, "s").part(7)
