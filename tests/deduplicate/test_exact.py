"""Clusters depend on the rows, never on the order in which they arrive."""

import itertools
import random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.deduplicate.exact import (
    DECISION,
    MEMBER,
    find_clusters,
    labels_of,
    members,
    partition_of,
)


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def member(text: int, id_: int, source: int = 0, part: int = 0, row: int = 0) -> dict[str, object]:
    return {
        "text_hash": key(text), "id": key(id_), "source": source, "part": part, "row": row
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
    }
    labels = labels_of(ids, pa.Table.from_pylist([decision], schema=DECISION)).to_pylist()
    assert [row["id"] for row in labels] == [key(1), key(2), key(3)]
    assert [row["duplicate_role"] for row in labels] == ["alone", "duplicate", "alone"]
    assert [row["cluster"] for row in labels] == [None, key(9), None]
    assert [row["cluster_size"] for row in labels] == [1, 2, 1]
    assert [row["jaccard"] for row in labels] == [None, 0.875, None]


def test_members_carry_place_and_keys() -> None:
    signatures = pa.table(
        {"id": pa.array([key(4), key(5)], pa.binary(16)),
         "text_hash": pa.array([key(6), key(6)], pa.binary(16))}
    )  # fmt: skip
    batch = members(signatures, source=2, part=3)
    assert batch.to_pylist() == [member(6, 4, 2, 3, 0), member(6, 5, 2, 3, 1)]
    assert np.diff(partition_of(batch.column("text_hash"), 7)).tolist() == [0]


def test_members_without_a_hash_equal_only_their_own_record() -> None:
    signatures = pa.table(
        {"id": pa.array([key(4), key(5), key(5)], pa.binary(16)),
         "text_hash": pa.array([None, None, None], pa.binary(16))}
    )  # fmt: skip
    table = find_clusters(pa.Table.from_batches([members(signatures, source=0, part=0)]))
    assert table.column("row").to_pylist() == [1, 2]
    assert table.column("duplicate_role").to_pylist() == ["representative", "repeated_record"]
