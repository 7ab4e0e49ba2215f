from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_shards.document_map import (
    DOCUMENT_MAP_SCHEMA,
    DocumentRange,
    document_at,
    document_map,
)

KEYS = np.arange(48, dtype=np.uint8).reshape(3, 16)
DRAWS = np.array([0, 2, 1], np.int32)
LENGTHS = np.array([3, 1, 2], np.int64)


def test_document_map_three_sequences_has_their_ranges() -> None:
    table = document_map(KEYS, DRAWS, LENGTHS)
    assert table.schema == DOCUMENT_MAP_SCHEMA
    table.validate(full=True)
    assert table.to_pydict() == {
        "row": [0, 1, 2],
        "id": [KEYS[0].tobytes(), KEYS[1].tobytes(), KEYS[2].tobytes()],
        "draw": [0, 2, 1],
        "piece": [0, 0, 0],
        "token_start": [0, 3, 4],
        "token_end": [3, 4, 6],
    }


def test_document_map_packed_sequences_leave_room_for_padding() -> None:
    table = packed_map()
    assert table.column("row").to_pylist() == [0, 0, 1]
    assert table.column("piece").to_pylist() == [0, 0, 3]
    assert table.column("token_start").to_pylist() == [0, 3, 5]
    assert table.column("token_end").to_pylist() == [3, 4, 7]
    with pytest.raises(ValueError, match="pieces of sequence 0 have 4 tokens; it takes 3"):
        document_map(KEYS, DRAWS, LENGTHS, rows=np.array([0, 0, 1]), sequence_length=3)


def packed_map() -> pa.Table:
    """3 + 1 of 5 tokens, and 2 of 5."""
    return document_map(
        KEYS,
        DRAWS,
        LENGTHS,
        pieces=np.array([0, 0, 3], np.int32),
        rows=np.array([0, 0, 1]),
        sequence_length=5,
    )


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=20), cut=st.integers(0, 20))
def test_document_at_every_token_gives_its_sequence(lengths: list[int], cut: int) -> None:
    cut = min(cut, len(lengths) - 1)
    keys = np.arange(16 * len(lengths), dtype=np.uint32).astype(np.uint8).reshape(-1, 16)
    draws = np.arange(len(lengths), dtype=np.int32)
    table = document_map(keys, draws, np.array(lengths, np.int64))
    owners = [row for row, length in enumerate(lengths) for _ in range(length)]
    found = [document_at(table, token) for token in range(sum(lengths))]
    assert [document.row for document in found] == owners
    assert [document.draw for document in found] == owners
    assert [document.id for document in found] == [keys[row].tobytes() for row in owners]
    tail = [token for token, row in enumerate(owners) if row >= cut]
    assert [document_at(table.slice(cut), token) for token in tail] == found[tail[0] :]


def test_document_at_from_parquet_gives_the_range(tmp_path: Path) -> None:
    pq.write_table(document_map(KEYS, DRAWS, LENGTHS), tmp_path / "map.parquet")
    table = pq.read_table(tmp_path / "map.parquet")
    assert document_at(table, 3) == DocumentRange(
        row=1, id=KEYS[1].tobytes(), draw=2, piece=0, token_start=3, token_end=4
    )


@pytest.mark.parametrize("token", [-1, 2, 6])
def test_document_at_token_outside_is_refused(token: int) -> None:
    table = document_map(KEYS, DRAWS, LENGTHS).slice(1)
    with pytest.raises(ValueError, match=f"token {token} .* covers tokens 3 to 5"):
        document_at(table, token)


def test_document_at_padding_is_no_document() -> None:
    assert document_at(packed_map(), 5).piece == 3
    with pytest.raises(ValueError, match=r"token 4 is padding.* next document begins at token 5"):
        document_at(packed_map(), 4)


def test_document_at_empty_map_is_refused() -> None:
    table = document_map(KEYS[:0], DRAWS[:0], LENGTHS[:0])
    with pytest.raises(ValueError, match="covers no tokens"):
        document_at(table, 0)


def test_document_map_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 lengths take uint8\[3, 16\] and int32\[3\]"):
        document_map(KEYS[:2], DRAWS, LENGTHS)
    with pytest.raises(ValueError, match=r"3 lengths take"):
        document_map(KEYS, DRAWS[:2], LENGTHS)
    with pytest.raises(ValueError, match=r"lengths\[1\] is 0"):
        document_map(KEYS, DRAWS, np.array([3, 0, 2], np.int64))
