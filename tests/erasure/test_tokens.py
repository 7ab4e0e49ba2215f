"""Tokens are overwritten in every format that shards are written in, and no others are."""

import io
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.erasure.tokens import erase_scattered, erase_tokens
from token_shards.formats import FILES, open_writer
from token_shards.mds import read_mds

EOD = 9
LENGTHS = np.array([3, 4, 2, 5], np.int64)
IDS = np.array([1, 2, 9, 3, 4, 5, 9, 6, 9, 7, 8, 1, 2, 9], np.uint16)


def read(kind: str, path: Path) -> list[int]:
    """All tokens of a file."""
    if kind == "mds":
        return [int(token) for token in read_mds(path.read_bytes())[0]]
    if kind == "parquet":
        return [t for row in pq.read_table(path).column("tokens").to_pylist() for t in row]
    array: npt.NDArray[np.uint16]
    array = np.fromfile(path, "<u2") if kind == "bin" else np.load(path)
    return [int(token) for token in array.reshape(-1)]


@pytest.mark.parametrize("name", FILES)
def test_tokens_of_any_format_become_eod_where_they_stand(name: str, tmp_path: Path) -> None:
    kind = FILES[name][0]
    files = {one: (tmp_path / f"all.{one}").open("wb") for one in FILES[name]}
    writer = open_writer(
        name, {k: cast(BinaryIO, f) for k, f in files.items()}, IDS.dtype, LENGTHS, None
    )
    zeros = np.zeros(4, np.int32)
    ids = pa.array([bytes([n]) * 16 for n in range(4)], pa.binary(16))
    rows = pa.table({"id": ids, "draw": zeros, "piece": zeros})
    writer.add(IDS, LENGTHS, rows)
    writer.finish()
    for file in files.values():
        file.close()
    path = tmp_path / f"all.{kind}"
    size = path.stat().st_size
    assert read(kind, path) == IDS.tolist()
    ranges = np.array([[3, 7], [9, 14]], np.int64)
    assert erase_tokens(path, kind, ranges, dtype="uint16", eod=EOD)
    wanted = IDS.copy()
    wanted[3:7] = wanted[9:14] = EOD
    assert read(kind, path) == wanted.tolist()
    assert kind == "parquet" or path.stat().st_size == size
    assert not erase_tokens(path, kind, ranges, dtype="uint16", eod=EOD)  # nothing is left to do


def test_what_was_dealt_out_to_shards_loses_the_same_documents() -> None:
    ids = pa.array([b"a" * 16, b"b" * 16, b"a" * 16], pa.binary(16))
    tokens = pa.array([[1, 2, 9], [3, 9], [1, 2, 9]], pa.large_list(pa.uint16()))
    batch = pa.record_batch([ids, tokens], names=["id", "tokens"])
    source, target = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_file(source, batch.schema) as writer:
        writer.write_batch(batch.slice(1))
        writer.write_batch(batch.slice(0, 0))
        writer.write_batch(batch)
    source.seek(0)
    assert erase_scattered(source, target, pa.array([b"a" * 16], pa.binary(16))) == 3
    target.seek(0)
    reader = pa.ipc.open_file(target)
    found = [reader.get_batch(n).column("tokens").to_pylist() for n in range(3)]
    assert found == [[[3, 9], [9, 9, 9]], [], [[9, 9, 9], [3, 9], [9, 9, 9]]]
    assert reader.get_batch(2).column("id").equals(ids)
