"""Clusters depend on the rows, never on the order in which they arrive."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.deduplicate.exact import (
    DECISION,
    MEMBER,
    collapse_keys,
    find_byte_clusters,
    find_clusters,
    labels_of,
    members,
    partition_of,
)


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def member(
    text: int,
    id_: int,
    source: int = 0,
    part: int = 0,
    row: int = 0,
    exact: int | None = None,
    *,
    generated: bool = False,
) -> dict[str, object]:
    """`text` numbers the normalised form, `exact` the bytes."""
    return {
        "key": key(text), "text_hash": key(text if exact is None else exact), "id": key(id_),
        "source": source, "part": part, "row": row, "generated": generated,
    }  # fmt: skip


def clusters(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    table = find_clusters(pa.Table.from_pylist(rows, schema=MEMBER))
    return [
        (r["source"], r["part"], r["row"], r["cluster"], r["cluster_size"], r["duplicate_role"])
        for r in table.to_pylist()
    ]


def test_find_clusters_smallest_id_represents() -> None:
    rows = [member(7, 30, row=0), member(7, 10, part=1), member(7, 20, source=1), member(8, 5)]
    assert clusters(rows) == [
        (0, 0, 0, key(10), 3, "duplicate"),
        (0, 1, 0, key(10), 3, "representative"),
        (1, 0, 0, key(10), 3, "duplicate"),
    ]


def test_find_clusters_same_record_met_twice_is_repeated() -> None:
    rows = [member(7, 10, part=3), member(7, 10, part=1), member(7, 11), member(7, 11, row=9)]
    assert clusters(rows) == [
        (0, 0, 0, key(10), 4, "duplicate"),
        (0, 0, 9, key(10), 4, "repeated_record"),
        (0, 1, 0, key(10), 4, "representative"),
        (0, 3, 0, key(10), 4, "repeated_record"),
    ]


def test_find_clusters_all_alone_decides_nothing() -> None:
    assert clusters([member(n, n) for n in range(5)]) == []
    assert clusters([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=24),
    st.randoms(use_true_random=False),
)
def test_find_clusters_any_order_gives_the_same(
    pairs: list[tuple[int, int]], chance: random.Random
) -> None:
    rows = [member(t, i, row=n) for n, (t, i) in enumerate(pairs)]
    shuffled = rows[:]
    chance.shuffle(shuffled)
    found = clusters(rows)
    assert found == clusters(shuffled)
    by_text = itertools.groupby(sorted(pairs), key=lambda pair: pair[0])
    sizes = [len(list(some)) for _, some in by_text]
    assert len(found) == sum(size for size in sizes if size > 1)
    roles = [row[-1] for row in found]
    assert roles.count("representative") == sum(size > 1 for size in sizes)


@given(st.binary(min_size=16, max_size=16), st.integers(1, 300))
def test_partition_of_equal_hashes_share_one_in_range(hash_: bytes, partitions: int) -> None:
    array = pa.array([b"\0" * 16, hash_, b"\1" * 16, hash_], pa.binary(16)).slice(1)
    found = partition_of(array, partitions)
    assert found[0] == found[2]
    assert ((found >= 0) & (found < partitions)).all()


def test_labels_of_rows_without_decision_are_alone() -> None:
    ids = pa.array([key(1), key(2), key(3)], pa.binary(16))
    decision = {
        "source": 0,
        "part": 0,
        "row": 1,
        "cluster": key(9),
        "cluster_size": 2,
        "duplicate_role": "duplicate",
        "jaccard": 0.875,
        "level": "bytes",
    }
    labels = labels_of(ids, pa.Table.from_pylist([decision], schema=DECISION)).to_pylist()
    assert [row["id"] for row in labels] == [key(1), key(2), key(3)]
    assert [row["duplicate_role"] for row in labels] == ["alone", "duplicate", "alone"]
    assert [row["cluster"] for row in labels] == [None, key(9), None]
    assert [row["cluster_size"] for row in labels] == [1, 2, 1]
    assert [row["jaccard"] for row in labels] == [None, 0.875, None]
    assert [row["duplicate_level"] for row in labels] == [None, "bytes", None]
    decisions = pa.Table.from_pylist([decision], schema=DECISION)
    for name, level in (("same_bytes", "bytes"), ("same_text", "text"), ("same_url", "url")):
        assert labels_of(ids, decisions, name).to_pylist() == [
            {"id": key(n), f"{level}_cluster": cluster, f"{level}_cluster_size": size,
             f"{level}_role": role}
            for n, cluster, size, role in (
                (1, None, 1, "alone"), (2, key(9), 2, "duplicate"), (3, None, 1, "alone")
            )
        ]  # fmt: skip


def signatures(*rows: tuple[int, int | None, int | None]) -> pa.Table:
    """Of (id, text_hash, normal_hash)."""
    columns = zip(*rows, strict=True)
    names = ("id", "text_hash", "normal_hash")
    return pa.table(
        {
            name: pa.array([None if n is None else key(n) for n in column], pa.binary(16))
            for name, column in zip(names, columns, strict=True)
        }
    )


def test_members_carry_place_and_keys() -> None:
    table = signatures((4, 6, 7), (5, 8, 7))
    batch = members(table, source=2, part=3)
    assert batch.to_pylist() == [member(7, 4, 2, 3, 0, exact=6), member(7, 5, 2, 3, 1, exact=8)]
    assert np.diff(partition_of(batch.column("key"), 7)).tolist() == [0]
    by_bytes = members(table, source=2, part=3, collapse="bytes")
    assert by_bytes.to_pylist() == [member(6, 4, 2, 3, 0), member(8, 5, 2, 3, 1)]


def test_collapse_keys_are_the_hash_of_the_level_or_the_id() -> None:
    table = signatures((4, 6, 7), (5, None, None)).slice(0, 2)
    assert collapse_keys(table).to_pylist() == [key(7), key(5)]
    assert collapse_keys(table, "text").to_pylist() == [key(7), key(5)]
    assert collapse_keys(table, "bytes").to_pylist() == [key(6), key(5)]
    assert collapse_keys(table.slice(1), "bytes").to_pylist() == [key(5)]


def test_members_without_a_hash_equal_only_their_own_record() -> None:
    table = signatures((4, None, None), (5, None, None), (5, None, None))
    found = find_clusters(pa.Table.from_batches([members(table, source=0, part=0)]))
    assert found.column("row").to_pylist() == [1, 2]
    assert found.column("duplicate_role").to_pylist() == ["representative", "repeated_record"]


def test_find_clusters_says_at_which_level_and_how_similar() -> None:
    rows = [
        member(1, 12, row=0, exact=100),
        member(1, 10, row=1, exact=101),  # represents
        member(1, 11, row=2, exact=101),
        member(1, 13, row=3, exact=100),
        member(1, 10, row=4, exact=101),
    ]
    table = pa.Table.from_pylist(rows, schema=MEMBER)
    found = find_clusters(table)
    assert found.column("level").to_pylist() == ["text", None, "bytes", "text", "bytes"]
    assert found.column("jaccard").to_pylist() == [None, 1.0, 1.0, None, 1.0]
    assert set(found.column("cluster").to_pylist()) == {key(10)}
    inner = find_byte_clusters(table)
    assert inner.column("cluster").to_pylist() == [key(n) for n in (12, 10, 10, 12, 10)]
    assert inner.column("cluster_size").to_pylist() == [2, 3, 3, 2, 3]
    assert inner.column("level").null_count == inner.column("jaccard").null_count == 5
    assert inner.column("duplicate_role").to_pylist() == [
        "representative", "representative", "duplicate", "duplicate", "repeated_record"
    ]  # fmt: skip


def test_find_clusters_keys_that_share_one_word_are_kept_apart() -> None:
    other = (7 << 64) + 1
    rows = [member(7 << 64, 1, row=0), member(other, 2, row=1), member(7 << 64, 3, row=2)]
    assert [row[2:] for row in clusters(rows)] == [
        (0, key(1), 2, "representative"),
        (2, key(1), 2, "duplicate"),
    ]


def brute_force(rows: list[tuple[int, int, int]]) -> list[tuple[object, ...]]:
    """(row, cluster, size, role) of rows given as (key, bytes, id), by what the words say."""
    found = []
    for number, (text, exact, id_) in enumerate(rows):
        group = sorted((i, e, n) for n, (t, e, i) in enumerate(rows) if t == text)
        if len(group) == 1:
            continue
        before = [i for i, e, n in group if (i, e, n) < (id_, exact, number)]
        role = "representative" if not before else "duplicate"
        role = "repeated_record" if id_ in before else role
        found.append((number, key(group[0][0]), len(group), role))
    return found


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 5)), max_size=20))
def test_find_clusters_any_rows_agree_with_brute_force(rows: list[tuple[int, int, int]]) -> None:
    given_rows = [member(t, i, row=n, exact=10 * t + e) for n, (t, e, i) in enumerate(rows)]
    known = [(t, 10 * t + e, i) for t, e, i in rows]
    assert [row[2:] for row in clusters(given_rows)] == brute_force(known)
    inner = find_byte_clusters(pa.Table.from_pylist(given_rows, schema=MEMBER)).to_pylist()
    names = ("row", "cluster", "cluster_size", "duplicate_role")
    assert [tuple(r[n] for n in names) for r in inner] == brute_force(
        [(e, e, i) for _, e, i in known]
    )


@pytest.mark.parametrize("num_texts", [1, 20_000])
def test_find_clusters_many_rows_of_one_text_and_of_none(num_texts: int) -> None:
    n = 20_000
    ids = np.random.default_rng(1).permutation(n).astype(">u8")
    words = np.stack([np.zeros(n, ">u8"), ids], axis=1)
    texts = np.stack([(np.arange(n) % num_texts).astype(">u8"), np.zeros(n, ">u8")], axis=1)

    def keys(array: np.ndarray) -> pa.Array:
        return pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(array.tobytes())])

    columns = [keys(texts), keys(texts), keys(words)]
    places = [np.zeros(n, np.int32), np.zeros(n, np.int32), np.arange(n), np.zeros(n, bool)]
    found = find_clusters(pa.table([*columns, *map(pa.array, places)], schema=MEMBER))
    if num_texts > 1:
        assert found.num_rows == 0
        return
    assert set(found.column("cluster").to_pylist()) == {b"\0" * 16}
    assert set(found.column("cluster_size").to_pylist()) == {n}
    (head,) = np.flatnonzero(ids == 0)
    roles = found.column("duplicate_role").to_pylist()
    assert [row for row, role in enumerate(roles) if role == "representative"] == [head]
    assert roles.count("duplicate") == n - 1
