"""Every format and packing, written from a layout and read back by readers of their own."""

import io
import itertools
import json
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_shards.formats import FILES, check_format, open_writer
from token_shards.indexed_dataset import read_index
from token_shards.layout import Layout, one_after_another, packed, write
from token_shards.mds import MdsWriter, index_json, read_mds
from token_shards.packing import pieces
from token_shards.token_store import TokenStore

EOD = 9
LENGTH = 8
Sequences = list[list[int]]


def documents(lengths: list[int], dtype: npt.DTypeLike = np.uint16) -> TokenStore:
    """Document i holds 10 + i again and again, and ends with the EOD."""
    store = TokenStore(dtype)
    for row, length in enumerate(lengths):
        ids = np.full(length, 10 + row, dtype)
        ids[-1] = EOD
        store.append(ids, np.array([length], np.int64))
    return store


def layout_of(store: TokenStore, order: list[int], *, pack: bool) -> Layout:
    rows = np.array(order, np.int64)
    seen = np.array([order[:place].count(row) for place, row in enumerate(order)], np.int32)
    if not pack:
        return one_after_another(rows, seen, store.lengths)
    cut = [pieces(int(length), LENGTH) for length in store.lengths]
    counts = np.array([len(one) for one in cut], np.int64)
    return packed(rows, seen, np.concatenate(cut), counts, LENGTH)


def keys_of(store: TokenStore) -> npt.NDArray[np.uint8]:
    return np.arange(16 * len(store.lengths), dtype=np.uint8).reshape(-1, 16)


def write_all(name: str, store: TokenStore, layout: Layout) -> dict[str, bytes]:
    files: dict[str, BinaryIO] = {kind: io.BytesIO() for kind in FILES[name]}
    writer = open_writer(
        name, files, store.ids.dtype, layout.sequence_lengths, layout.sequence_length
    )
    write(layout, store, layout.document_map(keys_of(store)), writer, EOD)
    return {kind: file.getvalue() for kind, file in files.items()}  # type: ignore[attr-defined]


def read_megatron(files: dict[str, bytes]) -> Sequences:
    index = read_index(files["idx"])
    ids = np.frombuffer(files["bin"], index.dtype)
    starts = (index.pointers // index.dtype.itemsize).tolist()
    pairs = zip(starts, index.lengths.tolist(), strict=True)
    return [ids[start : start + length].tolist() for start, length in pairs]


def read_mds_by_hand(files: dict[str, bytes]) -> Sequences:
    """By the documented bytes alone, as a reader of single samples goes about it."""
    data = files["mds"]
    (n,) = struct.unpack_from("<I", data)
    config_end = struct.unpack_from("<I", data, 4)[0]
    config = json.loads(data[4 * (n + 2) : config_end])
    assert config["column_names"] == ["tokens"]
    assert config["column_encodings"] == ["ndarray:int32"]
    assert config["column_sizes"] == [None]
    found = []
    for sample in range(n):
        start, end = struct.unpack_from("<II", data, 4 + 4 * sample)
        (size,) = struct.unpack_from("<I", data, start)
        assert end - start == 4 + size
        dimensions, code = divmod(data[start + 4], 4)
        assert dimensions == 1
        width = 1 << code
        count = int.from_bytes(data[start + 5 : start + 5 + width], "little")
        found.append(list(struct.unpack_from(f"<{count}i", data, start + 5 + width)))
        assert start + 5 + width + 4 * count == end
    return found


def read_parquet(files: dict[str, bytes]) -> Sequences:
    table = pq.read_table(io.BytesIO(files["parquet"]), page_checksum_verification=True)
    found: Sequences = table.column("tokens").to_pylist()
    return found


READERS = {"megatron": read_megatron, "mds": read_mds_by_hand, "parquet": read_parquet}


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@pytest.mark.parametrize("name", FILES)
def test_documents_one_after_another_read_back_in_their_order(
    name: str, dtype: npt.DTypeLike, tmp_path: Path
) -> None:
    store = documents([3, 1, 300], dtype)
    order = [2, 0, 1, 0]
    expected = [[10 + row] * (int(store.lengths[row]) - 1) + [EOD] for row in order]
    files = write_all(name, store, layout_of(store, order, pack=False))
    if name == "npy":
        (tmp_path / "t.npy").write_bytes(files["npy"])
        array = np.load(tmp_path / "t.npy", mmap_mode="r")
        assert array.dtype == dtype
        assert array.tolist() == list(itertools.chain(*expected))
        return
    assert READERS[name](files) == expected
    if name == "parquet":
        table = pq.read_table(io.BytesIO(files["parquet"]))
        assert table.column("draw").to_pylist() == [0, 0, 0, 1]
        assert table.column("id").to_pylist() == [keys_of(store)[row].tobytes() for row in order]


@pytest.mark.parametrize("name", FILES)
def test_packed_sequences_read_back_as_rows_of_one_length(name: str, tmp_path: Path) -> None:
    store = documents([12, 5, 4, 3])
    layout = layout_of(store, [1, 0, 2, 3], pack=True)
    # 12 tokens are 6 + 6; longest first: 6 | 6 | 5 and the 3 | 4. A cut piece stands alone or last.
    expected = [
        [11, 11, 11, 11, EOD, 13, 13, EOD],
        [10, 10, 10, 10, 10, 10, EOD, EOD],
        [10, 10, 10, 10, 10, EOD, EOD, EOD],
        [12, 12, 12, EOD, EOD, EOD, EOD, EOD],
    ]
    files = write_all(name, store, layout)
    if name == "npy":
        (tmp_path / "t.npy").write_bytes(files["npy"])
        array = np.load(tmp_path / "t.npy", mmap_mode="r")
        assert array.shape == (4, LENGTH)
        assert array.tolist() == expected
    else:
        assert READERS[name](files) == expected
    if name == "parquet":
        table = pq.read_table(io.BytesIO(files["parquet"]))
        assert table.column("lengths").to_pylist() == [[5, 3], [6], [6], [4]]
    assert layout.padding == 2 + 2 + 4
    assert layout.pieces.tolist() == [0, 0, 0, 1, 0]


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    order=st.lists(st.integers(0, 11), min_size=1, max_size=24),
)
def test_packing_any_draws_keeps_them_whole_and_ends_cut_ones_last(
    lengths: list[int], order: list[int]
) -> None:
    store = documents(lengths)
    drawn = [row % len(lengths) for row in order]
    layout = layout_of(store, drawn, pack=True)
    rows = layout.document_map(keys_of(store))
    flat = list(itertools.chain(*read_megatron(write_all("megatron", store, layout))))
    assert len(flat) == LENGTH * layout.num_sequences
    assert len(flat) - layout.padding == sum(lengths[row] for row in drawn)
    found: dict[tuple[bytes, int], list[int]] = {}
    table = rows.sort_by([("draw", "ascending"), ("piece", "ascending")]).to_pylist()
    for row in table:
        tokens = found.setdefault((row["id"], row["draw"]), [])
        tokens += flat[row["token_start"] : row["token_end"]]
    ids = [key.tobytes() for key in keys_of(store)]
    assert sorted(found) == sorted({(ids[r], drawn[:p].count(r)) for p, r in enumerate(drawn)})
    for (id_, _), tokens in found.items():
        row = ids.index(id_)
        assert tokens == [10 + row] * (lengths[row] - 1) + [EOD]
    for sequence in range(layout.num_sequences):
        ends = [flat[r["token_end"] - 1] for r in rows.to_pylist() if r["row"] == sequence]
        assert all(token == EOD for token in ends[:-1])


def test_mds_module_reads_what_it_writes_and_refuses_what_is_damaged() -> None:
    store = documents([3, 255, 256, 70_000], np.int32)
    data = write_all("mds", store, layout_of(store, [0, 1, 2, 3], pack=False))["mds"]
    ids, lengths = read_mds(data)
    assert ids.tolist() == store.ids.tolist()
    assert lengths.tolist() == [3, 255, 256, 70_000]
    with pytest.raises(ValueError, match="samples go from byte"):
        read_mds(data[:-4])
    with pytest.raises(ValueError, match="has no column 'tokens'"):
        read_mds(data.replace(b"ndarray:int32", b"ndarray:int64"))
    broken = bytearray(data)
    broken[int.from_bytes(data[4:8], "little") + 4] = 8  # two dimensions
    with pytest.raises(ValueError, match="sample 0 of 18 bytes is no array"):
        read_mds(bytes(broken))
    with pytest.raises(ValueError, match="MDS shard has at most 4294967295: lower shard_tokens"):
        MdsWriter(io.BytesIO(), np.array([2**30, 1], np.int64))


def test_index_json_names_shards_in_order_with_their_hash() -> None:
    index = json.loads(index_json([("a.mds", 10, 2, "aa"), ("b.mds", 20, 3, "bb")]))
    assert index["version"] == 2
    assert [shard["raw_data"] for shard in index["shards"]] == [
        {"basename": "a.mds", "bytes": 10, "hashes": {"sha256": "aa"}},
        {"basename": "b.mds", "bytes": 20, "hashes": {"sha256": "bb"}},
    ]
    assert [shard["samples"] for shard in index["shards"]] == [2, 3]
    assert {shard["zip_data"] for shard in index["shards"]} == {None}


def test_store_takes_what_was_not_expected_and_refuses_another_dtype() -> None:
    store = TokenStore(np.uint16, num_tokens=2)
    for start in range(0, 5000, 50):
        store.append(np.arange(start, start + 50, dtype=np.uint16), np.array([20, 30], np.int64))
    assert store.ids.tolist() == list(range(5000))
    assert store.lengths.tolist() == [20, 30] * 100
    with pytest.raises(ValueError, match="ids are int32; this store takes uint16"):
        store.append(np.zeros(1, np.int32), np.array([1], np.int64))
    with pytest.raises(ValueError, match="lengths sum to 2, but 1 ids"):
        store.append(np.zeros(1, np.uint16), np.array([2], np.int64))


def test_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'bin'; allowed: megatron, mds, parquet, npy"):
        check_format("bin")


def test_flipped_byte_of_a_parquet_shard_is_noticed() -> None:
    store = documents([400, 300])
    data = bytearray(write_all("parquet", store, layout_of(store, [0, 1], pack=False))["parquet"])
    footer = pq.ParquetFile(io.BytesIO(bytes(data))).metadata
    column = footer.row_group(0).column(3)
    data[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(io.BytesIO(bytes(data)), page_checksum_verification=True)


def test_writers_take_megatron_ids_of_the_disk_dtype_only() -> None:
    files: dict[str, BinaryIO] = {"bin": io.BytesIO(), "idx": io.BytesIO()}
    writer = open_writer("megatron", files, np.int32, np.array([1], np.int64))
    with pytest.raises(ValueError, match=r"ids are uint16\[1\]"):
        writer.add(np.zeros(1, np.uint16), np.array([1], np.int64), pa.table({}))


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=10),
    copies=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_no_packed_sequence_holds_a_document_twice(
    lengths: list[int], copies: int, seed: int
) -> None:
    store = documents(lengths)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(lengths)), copies))
    layout = layout_of(store, order.tolist(), pack=True)
    mapped = layout.document_map(keys_of(store)).to_pylist()
    places = [(row["row"], row["id"]) for row in mapped]
    assert len(set(places)) == len(places)
    cut = [pieces(n, LENGTH) for n in lengths]
    assert len(mapped) == copies * sum(len(one) for one in cut)
    assert layout.lengths.sum() == copies * sum(lengths)
    # The same where every draw is a document of its own, as after the global shuffle.
    singly = documents([lengths[row] for row in order])
    draws = np.array([order[:place].tolist().count(row) for place, row in enumerate(order)])
    dealt = packed(
        np.arange(len(order)),
        draws.astype(np.int32),
        np.concatenate([cut[row] for row in order]),
        np.array([len(cut[row]) for row in order], np.int64),
        LENGTH,
        order,
    )
    assert np.array_equal(order[dealt.documents], layout.documents)
    assert np.array_equal(dealt.sequences, layout.sequences)
    assert np.array_equal(dealt.lengths, singly.take(dealt.offsets, dealt.ranges)[1])
