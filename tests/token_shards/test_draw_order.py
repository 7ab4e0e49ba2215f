import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_shards.draw_order import (
    draw_hashes,
    order_of_draws,
    plain_order,
    shuffle_order,
    targets,
)

MASK = 2**64 - 1
IDS = st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=20)


def mix(x: int) -> int:
    """SplitMix64 in plain integers."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def draw_hash(seed: int, document: bytes, draw: int) -> int:
    low, high = document[:8], document[8:]
    hashed = mix(mix(seed) ^ int.from_bytes(low, "little"))
    return mix(mix(hashed ^ int.from_bytes(high, "little")) ^ draw)


def keys_of(ids: list[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), 16)


def draws_in_order(seed: int, ids: list[bytes], repeats: list[int]) -> list[tuple[bytes, int]]:
    rows, draws = shuffle_order(seed, keys_of(ids), np.array(repeats, np.int32))
    assert rows.dtype == np.int64
    assert draws.dtype == np.int32
    return [(ids[row], int(draw)) for row, draw in zip(rows, draws, strict=True)]


@given(seed=st.integers(0, MASK), ids=IDS, data=st.data())
def test_shuffle_order_any_documents_is_the_documented_sort(
    seed: int, ids: list[bytes], data: st.DataObject
) -> None:
    repeats = [data.draw(st.integers(0, 4)) for _ in ids]
    every_draw = [(i, draw) for i, n in zip(ids, repeats, strict=True) for draw in range(n)]
    expected = sorted(every_draw, key=lambda d: (draw_hash(seed, *d), *d))
    assert draws_in_order(seed, ids, repeats) == expected


@given(ids=IDS, data=st.data())
def test_shuffle_order_documents_come_in_otherwise_stays_the_same(
    ids: list[bytes], data: st.DataObject
) -> None:
    repeats = {i: data.draw(st.integers(0, 3)) for i in ids}
    permuted = data.draw(st.permutations(ids))
    expected = draws_in_order(5, ids, [repeats[i] for i in ids])
    assert draws_in_order(5, permuted, [repeats[i] for i in permuted]) == expected


def test_shuffle_order_document_gets_one_more_draw_leaves_the_others_in_order() -> None:
    ids = [bytes([i]) * 16 for i in range(50)]
    before = draws_in_order(1, ids, [1] * 50)
    after = draws_in_order(1, ids, [2] + [1] * 49)
    assert [draw for draw in after if draw != (ids[0], 1)] == before


def test_shuffle_order_hashes_collide_goes_by_id_then_draw() -> None:
    # mix is a bijection, so the second half of the second id can be chosen to cancel the first's.
    first, second = 0x0201, 0x0102  # as bytes, the first comes first
    cancel = mix(mix(0) ^ first) ^ mix(mix(0) ^ second)
    ids = [
        second.to_bytes(8, "little") + cancel.to_bytes(8, "little"),
        first.to_bytes(8, "little") + bytes(8),
    ]
    assert draw_hash(0, ids[0], 0) == draw_hash(0, ids[1], 0)
    order = draws_in_order(0, ids, [1, 1])
    assert order == draws_in_order(0, ids[::-1], [1, 1]) == [(ids[1], 0), (ids[0], 0)]


def test_shuffle_order_sequential_ids_lie_without_pattern() -> None:
    n = 20_000
    keys = np.zeros((n, 16), np.uint8)
    keys[:, 0], keys[:, 1] = np.arange(n) % 256, np.arange(n) // 256
    once = np.ones(n, np.int32)
    rows, _ = shuffle_order(1, keys, once)
    other, _ = shuffle_order(2, keys, once)
    assert np.array_equal(np.sort(rows), np.arange(n))
    assert abs(np.corrcoef(rows, np.arange(n))[0, 1]) < 0.03
    assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(rows, other)[0, 1]) < 0.03


def test_shuffle_order_id_in_two_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0707.*comes in more than one row"):
        draws_in_order(0, [b"\x07" * 16, b"\x08" * 16, b"\x07" * 16], [1, 1, 2])


@pytest.mark.parametrize(
    ("seed", "keys", "repeats", "message"),
    [
        (-1, np.zeros((1, 16), np.uint8), np.ones(1, np.int32), "seed is -1"),
        (2**64, np.zeros((1, 16), np.uint8), np.ones(1, np.int32), "seed is"),
        (0, np.zeros((1, 8), np.uint8), np.ones(1, np.int32), r"keys are uint8\[1, 8\]"),
        (0, np.zeros((1, 16), np.uint8), np.ones(2, np.int32), r"repeats are int32\[2\]"),
        (0, np.zeros((1, 16), np.uint8), np.ones(1, np.int64), r"repeats are int64\[1\]"),
        (0, np.zeros((2, 16), np.uint8), np.array([1, -2], np.int32), r"repeats\[1\] is -2"),
    ],
)
def test_shuffle_order_bad_argument_is_refused(
    seed: int, keys: npt.NDArray[np.uint8], repeats: npt.NDArray[np.int32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        shuffle_order(seed, keys, repeats)


def test_single_draws_stand_in_the_order_of_all() -> None:
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 256, (40, 16)).astype(np.uint8)
    repeats = rng.integers(0, 4, 40).astype(np.int32)
    rows, draws = plain_order(repeats, 40)
    assert rows.tolist() == [row for row in range(40) for _ in range(repeats[row])]
    order = order_of_draws(11, keys[rows], draws)
    expected_rows, expected_draws = shuffle_order(11, keys, repeats)
    assert rows[order].tolist() == expected_rows.tolist()
    assert draws[order].tolist() == expected_draws.tolist()


@pytest.mark.parametrize("num_shards", [1, 3, 7])
def test_shards_one_after_the_other_are_one_sort(num_shards: int) -> None:
    rng = np.random.default_rng(4)
    keys = rng.integers(0, 256, (3000, 16)).astype(np.uint8)
    draws = np.zeros(3000, np.int32)
    aimed = targets(draw_hashes(5, keys, draws), num_shards)
    whole = order_of_draws(5, keys, draws)
    assert (np.diff(aimed[whole]) >= 0).all()
    filled = np.bincount(aimed, minlength=num_shards)
    assert len(filled) == num_shards
    assert filled.min() > 0.8 * 3000 / num_shards
    assert targets(np.array([0, 2**64 - 1], np.uint64), 2**31).tolist() == [0, 2**31 - 1]
